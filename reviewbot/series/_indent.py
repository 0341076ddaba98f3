# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a line of C would be indented, in kernel style, given the lines above it.

Used to give added lines back the indentation a mail path took away.  It need
not be a parser: lines whose indentation is known (context) steer it, and a
brace in column 0 begins afresh, since kernel functions open and close there.
Style: Documentation/process/coding-style.rst, sections 1 and 2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

_TAB = 8
_TOKEN = re.compile(
    r'/\*|//.*|"(?:\\.|[^"\\])*"?|\'(?:\\.|[^\'\\])*\'?|[{}()\[\];,:?]|[A-Za-z_]\w*|\d[\w.]*|\S'
)
_LABEL = re.compile(r"^(?!default\b)[A-Za-z_]\w*\s*:(?![:=])\s*($|/[*/])")
_CASE = re.compile(r"^(case\b.*|default\s*):")
_HEADER_WORD = re.compile(r"^(if|for|while|switch|\w*for_each\w*|scoped_guard|scoped_cond_guard)$")
_FUNCTION_NAME = re.compile(r"^[A-Za-z_]\w*\(")


def width(space: str) -> int:
    """Columns that leading white space takes, tabs at every eighth."""
    return len(space.expandtabs(_TAB))


def space(columns: int) -> str:
    """Leading white space of that many columns: tabs, then less than eight blanks."""
    return "\t" * (columns // _TAB) + " " * (columns % _TAB)


@dataclass(frozen=True, slots=True)
class _Open:
    """An open brace or parenthesis."""

    kind: str
    base: str
    """Indentation of the statement it belongs to."""
    column: int = 0
    """Column after it, to align continuation lines with."""
    last: bool = False
    """Nothing follows it on its line."""
    init: bool = False
    """A brace of an initialiser or enum: commas end an element."""
    body: str | None = None
    """Indentation of the statements inside, once one was seen."""
    chain: tuple[str, ...] = ()
    """Indentation of the braceless headers whose body this brace is."""


@dataclass(slots=True)
class Indenter:
    """Feed it every line in order; ask it about the next one."""

    stack: list[_Open] = field(default_factory=list)
    statement: str | None = None
    """Indentation of the unfinished statement."""
    chain: tuple[str, ...] = ()
    """Indentation of control headers that wait for their body."""
    outer: str = ""
    """Indentation of statements outside every brace seen: empty but for text begun midway."""
    closed: tuple[str, ...] = ()
    """Headers of the statement just finished: an ``else`` may belong to one."""
    comment: str | None = None
    """What a further line of the open comment begins with."""
    macro: Indenter | None = None
    """Inside a macro's continuation lines."""
    branches: list[Indenter] = field(default_factory=list)
    """State at each open ``#if``, taken up again at its ``#else``."""
    _header_depth: int = -1
    _enum: bool = False
    _last: str = ""

    def indent(self, text: str) -> str:
        """Indentation for ``text``, the next line without its own."""
        if self.macro is not None:
            return self.macro.indent(text) or "\t"
        if self.comment is not None:
            return self.comment if text.startswith("*") else self.comment[:-1]
        if text.startswith("#"):
            return ""
        if text.startswith("}"):
            brace = next((o for o in reversed(self.stack) if o.kind == "{"), None)
            return brace.base if brace else self.outer.removesuffix("\t")
        top = self.stack[-1] if self.stack else None
        if top is not None and top.kind != "{":
            return f"{top.base}\t" if top.last else space(top.column)
        if self.statement is None and _CASE.match(text):
            return top.base if top else "\t"
        if self.statement is None and _LABEL.match(text) and not (top and top.init):
            return ""
        return self._statement_indent(text, top)

    def _statement_indent(self, text: str, top: _Open | None) -> str:
        if text.startswith("{"):
            if self.statement is not None:
                return self.statement
            if self.chain:
                return self.chain[-1]
        if self.statement is not None:
            at_file_scope = not self.stack and bool(_FUNCTION_NAME.match(text))
            return "" if at_file_scope else f"{self.statement}\t"
        if self.chain:
            return f"{self.chain[-1]}\t"
        if re.match(r"else\b", text) and self.closed:
            return self.closed[-1]
        if top is None:
            return self.outer
        return top.body if top.body is not None else f"{top.base}\t"

    def feed(self, line: str) -> None:
        """Take in a line with its true indentation."""
        text = line.strip()
        if not text:
            return
        lead = line[: len(line) - len(line.lstrip())]
        if self.macro is not None:
            self.macro.feed(line.rstrip().removesuffix("\\"))
            if not text.endswith("\\"):
                self.macro = None
            return
        if self.comment is None and text.startswith("#"):
            self._directive(text)
            return
        if self.comment is None and not lead and text[0] in "{}":
            # Column 0: a function opens or closes, whatever was counted before.
            self._restart()
            if text[0] == "}":
                self.stack.append(_Open("{", ""))
        self._note_body(lead, text)
        self._tokens(lead, line, text)

    def _restart(self) -> None:
        self.stack.clear()
        self.statement, self.chain, self.closed, self.outer = None, (), (), ""
        self._header_depth, self._enum = -1, False

    def _directive(self, text: str) -> None:
        word = text[1:].lstrip()
        if word.startswith("if"):
            self.branches.append(self._copy())
        elif word.startswith("el") and self.branches:
            saved = self.branches[-1]._copy()
            self.stack, self.statement = saved.stack, saved.statement
            self.chain, self.closed = saved.chain, saved.closed
            self._header_depth, self._enum = saved._header_depth, saved._enum
        elif word.startswith("endif") and self.branches:
            self.branches.pop()
        elif word.startswith("define") and text.endswith("\\"):
            self.macro = Indenter(stack=[_Open("{", "")])

    def _copy(self) -> Indenter:
        return replace(self, stack=list(self.stack), branches=[])

    def _note_body(self, lead: str, text: str) -> None:
        """Remember how deep the statements of this block stand."""
        if self.comment is not None or self.statement is not None or self.chain:
            return
        if text[0] == "{" or (_LABEL.match(text) and not _CASE.match(text)):
            return
        if not self.stack:
            self.outer = lead
            return
        if self.stack[-1].kind != "{" or text[0] == "}":
            return
        if _CASE.match(text):
            lead += "\t"
        self.stack[-1] = replace(self.stack[-1], body=lead)

    def _tokens(self, lead: str, line: str, text: str) -> None:
        if self.comment is None and self.statement is None and _LABEL.match(text):
            return
        in_case = self.comment is None and self.statement is None and bool(_CASE.match(text))
        at = 0
        while at < len(line):
            if self.comment is not None:
                # Nothing but its end means anything here, least of all an apostrophe.
                end = line.find("*/", at)
                if end < 0:
                    return
                self.comment, at = None, end + 2
                continue
            match = _TOKEN.search(line, at)
            if match is None:
                return
            word, at = match.group(), match.end()
            if word == "/*":
                self.comment = space(len(line[: match.start()].expandtabs(_TAB))) + " "
            elif word.startswith("//"):
                return
            elif in_case:
                in_case = word != ":"
            else:
                self._token(word, lead, line, at)
                self._last = word

    def _token(self, word: str, lead: str, line: str, end: int) -> None:
        if word in ("(", "["):
            self._begin(lead)
            column = len(line[:end].expandtabs(_TAB))
            base = self.statement if self.statement is not None else lead
            self.stack.append(_Open(word, base, column, last=not line[end:].strip()))
        elif word in (")", "]"):
            self._close_parenthesis()
        elif word == "{":
            self._open_brace(lead)
        elif word == "}":
            self._close_brace()
        elif self.stack and self.stack[-1].kind != "{":
            return
        elif word == ";":
            self.closed, self.chain, self.statement, self._enum = self.chain, (), None, False
        elif word == ",":
            if self.stack and self.stack[-1].init:
                self.statement = None
        elif word in ("else", "do"):
            base = lead if self.statement is None else self.statement
            self.chain, self.statement = (*self.chain, base), None
            self.closed = ()
        else:
            self._plain(word, lead)

    def _plain(self, word: str, lead: str) -> None:
        starts = self.statement is None
        self._begin(lead)
        if starts and _HEADER_WORD.match(word) and self.stack:
            self._header_depth = len(self.stack)
        elif word == "enum":
            self._enum = True

    def _begin(self, lead: str) -> None:
        if self.statement is None:
            self.statement, self.closed = lead, ()

    def _close_parenthesis(self) -> None:
        if self.stack and self.stack[-1].kind != "{":
            self.stack.pop()
            if len(self.stack) == self._header_depth:
                self.chain = (*self.chain, self.statement or "")
                self.statement, self._header_depth = None, -1

    def _open_brace(self, lead: str) -> None:
        init = self._last in ("=", ",") or self._enum or bool(self.stack and self.stack[-1].init)
        base = self.statement
        if base is None:
            base = self.chain[-1] if self.chain else lead
        chain = self.chain if self.statement is None else ()
        self.stack.append(_Open("{", base, init=init, chain=chain))
        self.statement, self.chain, self.closed, self._enum = None, (), (), False

    def _close_brace(self) -> None:
        while self.stack:
            brace = self.stack.pop()
            if brace.kind == "{":
                self.statement = brace.base if brace.init else None
                self.closed, self.chain = brace.chain, ()
                return
