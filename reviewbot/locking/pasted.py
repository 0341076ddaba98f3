# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that a macro of the same file defines: ``SHOW(size)`` for ``size_show()``.

The macro's text is written out with what its user gives it, each of its lines on the
line that it has in the macro: there a reader looks for it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from reviewbot.locking.mentions import top_level_commas
from reviewbot.locking.source import Cut, Macro, cut_functions

MAX_BODY = 8000
"""Bytes of a macro that is written out."""
MAX_USES = 200
"""Uses of such macros in a file that are written out."""
MAX_GIVEN = 400
"""Bytes of arguments up to which a use is written out."""
MAX_WRITTEN = 1 << 23
"""Bytes that are written out for a file."""
_DEFINES = re.compile(rb"\)[^;{}()]*\\\n\{")
_PASTE = re.compile(rb"[ \t]*##[ \t]*")
_USE = re.compile(rb"\n([A-Za-z_]\w*+)[ \t]*+\(([^(){};]*+(?:\([^(){};]*+\)[^(){};]*+)*)\)")


class Pasted(NamedTuple):
    """One use of a macro, written out."""

    code: bytes
    """As many empty lines as the file has before the macro's text, and then that."""
    cuts: tuple[Cut, ...]


def pasted(
    clean: bytes, code: bytes, cuts: tuple[Cut, ...], macros: Iterable[Macro]
) -> Iterator[Pasted]:
    """The functions that the macros of a file define where they are used outside of *cuts*.

    *clean* is the file without comments, *code* the same without directives.
    """
    if b"##" not in clean:
        return
    found = {macro.name.encode("latin-1"): macro for macro in macros if _defines(clean, macro)}
    if not found:
        return
    bodies = [(cut.body, cut.end) for cut in cuts]
    uses = (match for match in _USE.finditer(code) if match[1] in found)
    outside = (match for match in uses if not _is_within(match.start(1), bodies))
    written = 0
    for match in islice(outside, MAX_USES):
        macro = found[match[1]]
        args = [b" ".join(arg.split()) for arg in top_level_commas(match[2])]
        if len(match[2]) > MAX_GIVEN or len(args) != len(macro.params):
            continue
        text = b"\n" * clean.count(b"\n", 0, macro.body) + _written_out(clean, macro, args)
        written += len(text)
        if written > MAX_WRITTEN:
            return
        if own := tuple(cut_functions(text)):
            yield Pasted(text, own)


def _is_within(offset: int, spans: list[tuple[int, int]]) -> bool:
    place = bisect_right(spans, (offset, 0)) - 1
    return place >= 0 and offset < spans[place][1]


def _defines(clean: bytes, macro: Macro) -> bool:
    """Whether a macro defines a function whose name its user gives."""
    short = macro.end - macro.body <= MAX_BODY and "..." not in macro.params
    return (
        short
        and clean.find(b"##", macro.body, macro.end) >= 0
        and _DEFINES.search(clean, macro.body, macro.end) is not None
    )


def _written_out(clean: bytes, macro: Macro, args: list[bytes]) -> bytes:
    """A macro's text with *args* in place of its parameters."""
    text = clean[macro.body : macro.end].replace(b"\\\n", b" \n")
    given = dict(zip((name.encode("latin-1") for name in macro.params), args, strict=True))
    names = b"|".join(map(re.escape, given))
    text = re.sub(rb"(?<!#)#[ \t]*(?:" + names + rb")\b", b'""', text)
    text = re.sub(rb"\b(?:" + names + rb")\b", lambda match: given[match[0]], text)
    return _PASTE.sub(b"", text)
