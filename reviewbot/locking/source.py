# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel C text made fit for regular expressions, and cut into functions.

Works on bytes and never moves an offset: what is blanked becomes spaces of the
same length, so a position in any of these texts is a position in the file and
line numbers stay true.

Kernel style opens a function with ``{`` in column 0 and closes it with ``}`` in
column 0 (Documentation/process/coding-style.rst, 3), which is what makes cutting
without a parser possible.  The few bodies that open at the end of the header
line, and one-line inlines, are recognised too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

_SPACES = bytes(0x0A if c == 0x0A else 0x20 for c in range(256))

_COMMENT_OR_LITERAL = re.compile(
    rb"/\*[^*]*+(?:\*(?!/)[^*]*+)*(?:\*/|\Z)|//[^\\\n]*+(?:\\\n?[^\\\n]*+)*"
    rb'|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*"?|'
    rb"'(?:\\.|[^'\\\n]){1,8}'",
    re.S,
)
# A pattern for the start of a line begins with the line end before it: the search for one byte
# is many times faster than trying "^" everywhere.
_DIRECTIVE = re.compile(rb"\n[ \t]*+#[ \t]*+(\w+)[^\\\n]*+(?:\\(?:\r?\n)?[^\\\n]*+)*")
_CONDITIONALS = frozenset({b"if", b"ifdef", b"ifndef", b"elif", b"else", b"endif"})
# The lookbehinds stand behind a first literal byte for the same reason: a word starts here.
_ARGUMENTS = rb"\s*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
_ATTRIBUTE = re.compile(
    rb"_(?<!\w_)_(?:attribute__|aligned|printf|scanf|section|acquires|releases|must_hold"
    rb"|acquire|release|cond_acquires|free|counted_by|alloc_size|cleanup|guarded_by|realloc_size"
    rb"|no_sanitize|diagnose_as|assume_aligned|malloc|asm__)" + _ARGUMENTS
)
_ASM = re.compile(rb"a(?<!\wa)sm" + _ARGUMENTS)
_BARE_ATTRIBUTE = re.compile(
    rb"_(?<!\w_)_(?:init|exit|user|iomem|rcu|percpu|force|kernel|must_check|maybe_unused"
    rb"|always_unused|used|cold|hot|weak|pure|ref|refdata|read_mostly|net_init|net_exit|sched"
    rb"|latent_entropy|cpuidle|packed|always_inline|meminit|memexit|initdata|exitdata|noreturn"
    rb"|visible|nonstring|private|bitwise|deprecated|randomize_layout|ro_after_init|init_or_module"
    rb"|flatten|noclone|nocfi|tracing|kprobes|noinstr|no_kcsan|no_kasan_or_inline|inline__|inline"
    rb"|extension__|__cacheline_aligned_in_smp|__cacheline_aligned|cacheline_aligned|malloc"
    rb"|bpf_kfunc|attribute_const__|deref_user_data)\b"
)
_WORD_ATTRIBUTE = re.compile(
    rb"n(?<!\wn)o(?:inline_for_stack|inline_for_tracing|inline|instr|trace|kprobe_inline)\b"
)
_ASMLINKAGE = re.compile(rb"a(?<!\wa)smlinkage\b")
_OPENING = (
    rb"(\{[^\n]*\}[ \t]*$"
    rb"|\{"
    rb"|[A-Za-z_][^\n;{}=#]*\)[^\n;{}=()]*\{[ \t]*$"
    rb"|[A-Za-z_][^\n;{}=#]*\)\s*\{[^\n]*\}[ \t]*$)"
)
_OPEN = re.compile(rb"\n" + _OPENING, re.M)
_OPEN_AT_START = re.compile(_OPENING, re.M)
_CALLEE_BEFORE_PAREN = re.compile(rb"([A-Za-z_]\w*)\s*\(")
_DECLARATION = re.compile(rb"(?:static|int|void|bool|struct|unsigned|long|const)\b")
_TYPED_NAME = re.compile(rb"(?:(?!__)[A-Za-z_]\w*[\s*]+)+(?!__)[A-Za-z_]\w*\s*\(")
_SYSCALL = re.compile(rb"^(?:COMPAT_|__)?(SYSCALL_DEFINE)\d$")
_CONDITIONAL_LINE = re.compile(rb"^[ \t]*#[^\n]*(?:\n|\Z)", re.M)
_NOT_A_NAME = frozenset(
    {b"if", b"for", b"while", b"switch", b"return", b"sizeof", b"typeof", b"__typeof__", b"defined"}
)


class Cut(NamedTuple):
    """One function as the cutter saw it; offsets are into the file."""

    name: str
    static: bool
    head: int
    """Where the declaration begins."""
    params: tuple[int, int]
    """Start and end of the text between the parentheses of the parameter list."""
    body: int
    """Offset of the opening brace."""
    end: int
    """Offset just behind the closing brace."""


class Macro(NamedTuple):
    """A function-like macro."""

    name: str
    params: tuple[str, ...]
    body: int
    end: int


def blank(match: re.Match[bytes]) -> bytes:
    """Spaces for a match, line ends kept."""
    return match[0].translate(_SPACES)


def _blank_literal(match: re.Match[bytes]) -> bytes:
    text = match[0]
    if text[0] == 0x22 and (len(text) < 2 or text[-1] != 0x22):
        return text  # not closed: no literal
    if text[0] == 0x22:
        return b'"' + text[1:-1].translate(_SPACES).replace(b" \n", b"\\\n") + b'"'
    if text[0] == 0x27:
        return b"'0" + text[2:-1].translate(_SPACES) + b"'" if len(text) > 2 else text
    return text.translate(_SPACES)


def without_comments(text: bytes) -> bytes:
    """Blank comments and the insides of string and character literals.

    A literal that goes on on the next line goes on there still.
    """
    return _COMMENT_OR_LITERAL.sub(_blank_literal, text)


def without_attributes(text: bytes) -> bytes:
    """Blank the attributes that upset a C grammar without the kernel's macros."""
    if b"__" in text:
        text = _ATTRIBUTE.sub(blank, _BARE_ATTRIBUTE.sub(blank, text))
    if b"noin" in text or b"notrace" in text or b"nokprobe" in text:
        text = _WORD_ATTRIBUTE.sub(blank, text)
    if b"asm" in text:
        text = _ASM.sub(blank, _ASMLINKAGE.sub(blank, text))
    return text


_DEFINE = re.compile(rb"\s*#[ \t]*define[ \t]+(\w+)\(([^()]*)\)")


def split_directives(text: bytes) -> tuple[bytes, tuple[Macro, ...]]:
    """Blank preprocessor directives except conditionals; list function-like macros."""
    macros: list[Macro] = []

    def replace(match: re.Match[bytes]) -> bytes:
        if match[1] in _CONDITIONALS:
            return match[0]
        if match[1] == b"define":
            define = _DEFINE.match(match[0])
            if define is not None:
                params = tuple(p.strip().decode("latin-1") for p in define[2].split(b","))
                macros.append(
                    Macro(
                        define[1].decode("latin-1"),
                        params,
                        match.start() + define.end() - 1,
                        match.end() - 1,
                    )
                )
        return match[0].translate(_SPACES)

    return _DIRECTIVE.sub(replace, b"\n" + text)[1:], tuple(macros)


def cut_functions(code: bytes) -> Iterator[Cut]:
    """Every function definition of a text made by :func:`split_directives`.

    Reads at the speed of the regular expressions; a body that is not closed in
    column 0 ends at the next ``}`` there, or is left out if there is none.
    """
    previous = 0
    first = _OPEN_AT_START.match(code)
    for match in chain((first,) if first else (), _OPEN.finditer(code)):
        start = match.start(1)
        if start < previous:
            continue
        body = code.index(b"{", start)
        end = start + len(match[1].rstrip())
        if code[end - 1 : end] != b"}":
            close = code.find(b"\n}", end)
            if close < 0:
                return
            end = close + 2
        cut = _head(code, previous, body, end)
        if cut is not None:
            yield cut
        previous = end


def _head(code: bytes, floor: int, body: int, end: int) -> Cut | None:
    """The declaration in front of a body, or None if it is no function's."""
    start = max(code.rfind(b";", floor, body), code.rfind(b"}", floor, body), floor - 1) + 1
    head = code[start:body]
    if b"#" in head:
        head = _CONDITIONAL_LINE.sub(blank, head)
    head = without_attributes(head)
    skipped = 0
    for match in _CALLEE_BEFORE_PAREN.finditer(head):
        if match.start() < skipped:
            continue
        name = match[1]
        if name in _NOT_A_NAME:
            return None
        close = matching_paren(head, match.end() - 1)
        if close < 0:
            return None
        rest = head[close + 1 :].lstrip()
        alone = not head[: match.start()].strip()
        if rest[:1] == b"(" and alone:
            continue  # MACRO(args)(real args): the parameter list is the second pair
        if _DECLARATION.match(rest) or (alone and _TYPED_NAME.match(rest)):
            skipped = close
            continue  # module_init(x) without a semicolon in front of the function
        if b"=" in rest[:2]:
            return None
        params = (start + match.end(), start + close)
        if _SYSCALL.match(name):
            first = head[match.end() : close].split(b",", 1)[0].strip()
            name = b"sys_" + first
        elif name.isupper() and alone:
            first = head[match.end() : close].split(b",", 1)[0].strip()
            name = name + b"_" + first if first.replace(b"_", b"a").isalnum() else name
        static = b"static" in head[: match.start()].split()
        lead = len(head) - len(head.lstrip())
        return Cut(name.decode("latin-1"), static, start + lead, params, body, end)
    return None


def matching_paren(text: bytes, opening: int) -> int:
    """Offset of the ``)`` that closes the ``(`` at *opening*, or -1."""
    depth = 0
    for match in _PAREN.finditer(text, opening):
        depth += 1 if match[0] == b"(" else -1
        if depth == 0:
            return match.start()
    return -1


_PAREN = re.compile(rb"[()]")


class Lines:
    """Line numbers (1-based) of offsets into a text; cheap for offsets near the one before."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._offset = 0
        self._line = 1

    def at(self, offset: int) -> int:
        """The line on which the byte at *offset* stands."""
        if offset >= self._offset:
            self._line += self._text.count(b"\n", self._offset, offset)
        else:
            self._line -= self._text.count(b"\n", offset, self._offset)
        self._offset = offset
        return self._line
