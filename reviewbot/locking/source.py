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
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

_SPACES = bytes(0x0A if c == 0x0A else 0x20 for c in range(256))

_COMMENT_OR_LITERAL = re.compile(
    rb'/\*.*?(?:\*/|\Z)|//(?:\\\n|[^\n])*|"(?:\\.|[^"\\\n])*+"?|' rb"'(?:\\.|[^'\\\n]){1,8}'",
    re.S,
)
_DIRECTIVE = re.compile(rb"^[ \t]*#[ \t]*(\w+)(?:\\\r?\n|[^\n])*", re.M)
_CONDITIONALS = frozenset({b"if", b"ifdef", b"ifndef", b"elif", b"else", b"endif"})
_ATTRIBUTE = re.compile(
    rb"\b(?:__attribute__|__aligned|__printf|__scanf|__section|__acquires|__releases|__must_hold"
    rb"|__acquire|__release|__cond_acquires|__free|__counted_by|__alloc_size|__cleanup|__guarded_by"
    rb"|__realloc_size|__no_sanitize|__diagnose_as|__assume_aligned|__malloc|asm|__asm__)\s*"
    rb"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
)
_BARE_ATTRIBUTE = re.compile(
    rb"\b(?:__init|__exit|__user|__iomem|__rcu|__percpu|__force|__kernel|__must_check|__maybe_unused"
    rb"|__always_unused|__used|__cold|__hot|__weak|__pure|__ref|__refdata|__read_mostly|__net_init"
    rb"|__net_exit|__sched|__latent_entropy|__cpuidle|__packed|__always_inline|__meminit|__memexit"
    rb"|__initdata|__exitdata|__noreturn|__visible|__nonstring|__private|__bitwise|__deprecated"
    rb"|__randomize_layout|__ro_after_init|__init_or_module|__flatten|__noclone|__nocfi|__tracing"
    rb"|__kprobes|__noinstr|__no_kcsan|__no_kasan_or_inline|noinline_for_stack|noinline_for_tracing"
    rb"|noinline|noinstr|notrace|asmlinkage|nokprobe_inline|__inline__|__inline|__extension__"
    rb"|____cacheline_aligned_in_smp|____cacheline_aligned|__cacheline_aligned|__malloc"
    rb"|__bpf_kfunc|__latent_entropy|__attribute_const__|__deref_user_data)\b"
)
_OPEN = re.compile(
    rb"^\{"
    rb"|^[A-Za-z_][^\n;{}=#]*\)[^\n;{}=()]*\{[ \t]*$"
    rb"|^[A-Za-z_][^\n;{}=#]*\)\s*\{[^\n]*\}[ \t]*$",
    re.M,
)
_CLOSE = re.compile(rb"^\}", re.M)
_CALLEE_BEFORE_PAREN = re.compile(rb"([A-Za-z_]\w*)\s*\(")
_DECLARATION = re.compile(rb"(?:static|int|void|bool|struct|unsigned|long|const)\b")
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
        return b'"' + b" " * (len(text) - 2) + b'"'
    if text[0] == 0x27:
        return b"'0" + b" " * (len(text) - 3) + b"'" if len(text) > 2 else text
    return text.translate(_SPACES)


def without_comments(text: bytes) -> bytes:
    """Blank comments and the insides of string and character literals."""
    return _COMMENT_OR_LITERAL.sub(_blank_literal, text)


def without_attributes(text: bytes) -> bytes:
    """Blank the attributes that upset a C grammar without the kernel's macros."""
    if b"__" in text or b"noi" in text or b"asm" in text or b"notrace" in text:
        text = _BARE_ATTRIBUTE.sub(blank, text)
        return _ATTRIBUTE.sub(blank, text)
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
                        match.start() + define.end(),
                        match.end(),
                    )
                )
        return match[0].translate(_SPACES)

    return _DIRECTIVE.sub(replace, text), tuple(macros)


def cut_functions(code: bytes) -> Iterator[Cut]:
    """Every function definition of a text made by :func:`split_directives`.

    Reads at the speed of the regular expressions; a body that is not closed in
    column 0 ends at the next ``}`` there, or is left out if there is none.
    """
    previous = 0
    for match in _OPEN.finditer(code):
        start = match.start()
        if start < previous:
            continue
        if match[0].endswith(b"}"):
            body, end = code.index(b"{", start), match.end()
        else:
            body = match.end() - 1 if match[0] == b"{" else code.index(b"{", start, match.end())
            close = _CLOSE.search(code, match.end())
            if close is None:
                return
            end = close.end()
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
        if rest[:1] == b"(" and not head[: match.start()].strip():
            continue  # MACRO(args)(real args): the parameter list is the second pair
        if _DECLARATION.match(rest):
            skipped = close
            continue  # module_init(x) without a semicolon in front of the function
        if b"=" in rest[:2]:
            return None
        params = (start + match.end(), start + close)
        if _SYSCALL.match(name):
            first = head[match.end() : close].split(b",", 1)[0].strip()
            name = b"sys_" + first
        elif name.isupper() and not head[: match.start()].strip():
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
    """Line numbers (1-based) of offsets into a text."""

    def __init__(self, text: bytes) -> None:
        self._ends = [match.start() for match in re.finditer(rb"\n", text)]

    def at(self, offset: int) -> int:
        """The line on which the byte at *offset* stands."""
        return bisect_right(self._ends, offset - 1) + 1
