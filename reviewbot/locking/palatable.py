# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a function body fit for a C grammar that knows none of the kernel's macros.

Nothing moves: what is rewritten keeps its length and its line ends, so an offset in
the result is an offset in the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reviewbot.locking.source import blank, matching_paren, without_attributes

_LOOP = re.compile(rb"\b(\w*for_each\w*|\w+_foreach\w*|for_[a-z]\w*)(?=\s*\()")
_SCOPED = re.compile(rb"\b(scoped_guard|scoped_cond_guard|scoped_class)(?=\s*\()")
_SCOPED_FAIL = re.compile(rb"(scoped_cond_guard\s*\(\s*\w+\s*,)([^,;{}]*)(,)")
_STRUCT_ARGUMENT = re.compile(rb",\s*(?:struct|union|enum)(?=\s+\w+(?:\s*\**)\s*[,)])")
_BEFORE_STRING = re.compile(rb'(?<=[(,])\s*(?:[A-Z_][A-Z0-9_]*\s+)+(?=")')
"""``printk(KERN_ERR PFX "…")``: macros that are strings."""
_CASE_RANGE = re.compile(rb"(?<=[\w'\s])\.\.\.[^:\n]*(?=:)")
_PREPROCESSOR = re.compile(rb"^[ \t]*#[ \t]*(\w+)((?:\\\n|[^\n])*)\n?", re.M)


@dataclass(frozen=True, slots=True)
class Palatable:
    """A body's text and what was rewritten in it, by offset."""

    code: bytes
    loops: frozenset[int]
    """``for_each`` macros and their kin that now read ``while``."""
    scoped: frozenset[int]
    """``scoped_guard`` and its kin that now read ``while``."""


def variants(text: bytes) -> list[bytes]:
    """The text with its preprocessor conditions all true and, if it has any, all false."""
    if b"#" not in text or not _PREPROCESSOR.search(text):
        return [text]
    both = [_decide(text, True), _decide(text, False)]
    return both if both[0] != both[1] else both[:1]


def _decide(text: bytes, value: bool) -> bytes:
    out: list[bytes] = []
    stack: list[tuple[bool, bool]] = []  # (this branch is kept, some branch was kept)
    position = 0
    for match in _PREPROCESSOR.finditer(text):
        kept = all(branch for branch, _ in stack)
        piece = text[position : match.start()]
        out.append(piece if kept else re.sub(rb"[^\n]", b" ", piece))
        out.append(re.sub(rb"[^\n]", b" ", match[0]))
        position = match.end()
        word = match[1]
        if word in (b"if", b"ifdef", b"ifndef"):
            branch = _condition(word, match[2], value)
            stack.append((branch, branch))
        elif word == b"elif" and stack:
            _, done = stack.pop()
            branch = not done and _condition(b"if", match[2], value)
            stack.append((branch, done or branch))
        elif word == b"else" and stack:
            _, done = stack.pop()
            stack.append((not done, True))
        elif word == b"endif" and stack:
            stack.pop()
    out.append(text[position:])
    return b"".join(out)


def _condition(word: bytes, rest: bytes, value: bool) -> bool:
    rest = rest.strip()
    if word == b"ifndef":
        return not value
    if word == b"if":
        if rest == b"0":
            return False
        if rest == b"1":
            return True
        if rest.startswith(b"!") and b"&&" not in rest and b"||" not in rest:
            return not value
    return value


def palatable(text: bytes) -> Palatable:
    """Text that tree-sitter can parse."""
    text = without_attributes(text)
    if b'"' in text:
        text = _BEFORE_STRING.sub(blank, text)
    if b"..." in text:
        text = _CASE_RANGE.sub(blank, text)
    text = _STRUCT_ARGUMENT.sub(lambda m: b"," + blank(m)[1:], text)
    loops: set[int] = set()
    scoped: set[int] = set()
    if b"scoped_" in text:
        text = _SCOPED_FAIL.sub(lambda m: m[1] + blank(m)[len(m[1]) :], text)

        def scope(match: re.Match[bytes]) -> bytes:
            scoped.add(match.start())
            return b"while".ljust(len(match[0]))

        text = _SCOPED.sub(scope, text)
    if b"for_" in text or b"foreach" in text:

        def loop(match: re.Match[bytes]) -> bytes:
            if not _opens_loop(text, match.end()):
                return match[0]
            loops.add(match.start())
            return b"while".ljust(len(match[0]))

        text = _LOOP.sub(loop, text)
    return Palatable(text, frozenset(loops), frozenset(scoped))


def _opens_loop(text: bytes, opening: int) -> bool:
    """Whether the macro call at *opening* is followed by a statement, not by ``;``."""
    start = text.find(b"(", opening)
    close = matching_paren(text, start)
    if close < 0:
        return False
    following = text[close + 1 : close + 40].lstrip()[:1]
    return following not in (b";", b")", b",", b"")
