# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the addresses of functions go: to callees, and from one member to another.

``queue_request(dev, dev_reset)`` hands a function on, ``queue_request()`` keeps it in
``entry->func``, and somebody calls ``entry->func()``.  Facts of one file again: which
callee that is, and of which struct the member, is found out in linking.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from reviewbot.locking.source import Cut


class Handed(msgspec.Struct, frozen=True, array_like=True):
    """``callee(…, function, …)`` in a function body."""

    callee: str
    """As written: ``f``, or ``dev->ops->f``."""
    position: int
    function: str
    """A function of the file, or ``$n`` for the caller's own parameter n."""


class Kept(NamedTuple):
    """``x->call = y`` in the body of the function ``place`` of a file."""

    place: int
    chain: bytes
    source: bytes


MAX_CALL = 400
"""Bytes before an argument in which its call begins."""
_ARGUMENT = re.compile(rb"[,(][ \t\n]*+&?([A-Za-z_]\w*+)[ \t\n]*+(?=[,)])")
_POINTER_TYPE = re.compile(r"(?<!\w )\b\w*(?:fn|func|function|cb|callback|handler|hook)(?:_t)?$")
_POINTER_NAME = re.compile(r"(?:^|_)(?:fn|func|function|cb|callback|handler|hook)$")
"""Parameters of macros, which have no type."""
_CALLED_BACK = re.compile(
    r"(?:cb|callback|fn|func|function|handler|hook|complete|completion|done|end_io|notify|recv|call)$"
)
"""Names of members that are worth a search for what they are set to."""
_CALLEE = re.compile(rb"(?<![\w>.\]])([A-Za-z_]\w*+(?:(?:->|\.)\w++)*)\s*$")
_CHAIN = re.compile(rb"[A-Za-z_]\w*(?:\[[^\]\n]*\]|(?:->|\.)\w+)*(?:->|\.)$")
_SOURCE = re.compile(rb"\s*([A-Za-z_]\w*(?:\[[^\]\n]*\]|(?:->|\.)\w+)*)\s*;")


def may_take_functions(params: bytes) -> bool:
    """Whether a parameter list may have pointers to functions in it; asked of every function."""
    return (
        b"(*" in params
        or b"fn" in params
        or b"func" in params
        or b"cb" in params
        or b"callback" in params
        or b"handler" in params
    )


def pointers_among(params: Sequence[tuple[str, str]]) -> dict[bytes, str]:
    """Parameters (name, type) that look like pointers to functions, each with its ``$n``."""
    return {
        name.encode("latin-1"): f"${place}"
        for place, (name, kind) in enumerate(params)
        if name and (kind == "()" or _POINTER_TYPE.search(kind))
    }


def pointers_named(params: Sequence[str]) -> dict[bytes, str]:
    """Parameters of a macro that are named like pointers to functions, each with its ``$n``."""
    return {
        name.encode("latin-1"): f"${place}"
        for place, name in enumerate(params)
        if _POINTER_NAME.search(name)
    }


def handed_on(body: bytes, functions: Collection[bytes], own: dict[bytes, str]) -> list[Handed]:
    """The calls that are given one of *functions* or of the *own* parameters."""
    out: dict[Handed, None] = {}
    for match in _ARGUMENT.finditer(body):
        name = match[1]
        if name in own or name in functions:
            call = call_around(body, match.start())
            if call is not None:
                function = own.get(name) or name.decode("latin-1")
                out[Handed(call[0].decode("latin-1"), call[1], function)] = None
    return list(out)


def call_around(body: bytes, at: int) -> tuple[bytes, int] | None:
    """The callee and the position of the argument behind the comma or parenthesis at *at*."""
    depth = position = 0
    for place in range(at, max(at - MAX_CALL, 0), -1):
        char = body[place]
        if char == 0x29:  # )
            depth += 1
        elif char == 0x28:  # (
            if depth == 0:
                callee = _CALLEE.search(body, max(place - 80, 0), place)
                return (callee[1], position) if callee is not None else None
            depth -= 1
        elif char == 0x2C and depth == 0:  # ,
            position += 1
        elif char in b";{}":
            return None
    return None


def kept(code: bytes, cuts: Sequence[Cut], members: Iterable[str]) -> Iterator[Kept]:
    """Assignments of variables and members to *members*, which the file calls back."""
    bodies = [cut.body for cut in cuts]
    for name in members:
        if _CALLED_BACK.search(name) is None:
            continue
        member = name.encode("latin-1")
        needle = member + b" = "
        at = code.find(needle)
        while at >= 0:
            place = bisect_right(bodies, at) - 1
            if place >= 0 and at < cuts[place].end:
                start = max(at - 120, bodies[place])
                chain = _CHAIN.search(code, start, at)
                source = _SOURCE.match(code, at + len(needle), at + len(needle) + 120)
                if chain is not None and source is not None:
                    yield Kept(place, chain[0] + member, source[1])
            at = code.find(needle, at + len(needle))
