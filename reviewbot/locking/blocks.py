# SPDX-License-Identifier: GPL-2.0-or-later
"""The flow graph of a function: basic blocks of calls and assignments, and the variables.

A :class:`Draft` is a block that is being filled; :func:`compact` makes the graph of
the drafts that can be reached.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

VOID = "void"
"""What ``return;`` and the end of a function return."""
AROUND = "around"
GOTO, BRANCH, RETURN, SWITCH, STOP = range(5)


class Event(msgspec.Struct, frozen=True, array_like=True, cache_hash=True):
    """One call or assignment, in execution order.

    ``name`` is the callee (``mutex_lock``), a call through a pointer as written
    (``dev->ops->open``), ``guard(mutex)`` or, when its scope ends,
    ``~guard(mutex)``; or ``=`` for an assignment of something else to ``result``.
    Its ``args`` then say what is assigned: ``0``, ``-`` (an error code) or ``1`` with
    the constant behind it, ``=x`` for another variable or constant, ``~x`` for what
    has the signs of x (``PTR_ERR(x)``), ``?x`` for ``PTR_ERR_OR_ZERO(x)``, or nothing.
    """

    line: int
    name: str
    args: tuple[str, ...]
    result: str
    """The variable that gets the value, the call as written if a condition tests it, ``@n`` if
    it is returned, or empty."""


class Block(msgspec.Struct, frozen=True, array_like=True):
    """Events, then a jump."""

    events: tuple[Event, ...]
    jump: int
    """GOTO, BRANCH, RETURN, SWITCH or STOP."""
    key: str
    """BRANCH: the condition in one spelling (:mod:`reviewbot.locking.known`); SWITCH: on what;
    RETURN: what is returned, a constant, ``x``, ``~x`` or ``?x`` as in an assignment, ``+`` for
    an address, or empty if it cannot be said."""
    targets: tuple[int, ...]
    """Block numbers; BRANCH: (if true, if false)."""
    labels: tuple[str, ...] = ()
    """SWITCH: the case label of each target; empty for ``default``.  BRANCH: :data:`AROUND` for a
    target that goes around the statement of an ``if`` or loop, else empty; none if both are."""
    line: int = 0
    """RETURN: where it stands."""


class Local(msgspec.Struct, frozen=True, array_like=True):
    """A parameter or local variable."""

    type: str
    param: int
    """0-based position among the parameters, or -1."""
    alias: str
    """The expression a local pointer is set to, if that happens exactly once."""


USER = "$"
"""Stands among the locals of a macro: names that are not known there are those of its user."""


class Flow(msgspec.Struct, frozen=True, array_like=True):
    """One way through the preprocessor: blocks, the first is the entry."""

    blocks: tuple[Block, ...]


class Draft(msgspec.Struct):
    """A block under construction."""

    events: list[Event] = []
    jump: int = GOTO
    key: str = ""
    targets: list[int] = []
    labels: tuple[str, ...] = ()
    line: int = 0


_WORD = re.compile(r"[A-Za-z_]\w*")


def compact(drafts: list[Draft]) -> tuple[Block, ...]:
    """The reachable blocks, without the empty ones that only jump on.

    Assignments are kept only where a condition or a returned value asks for the
    variable, or where a pointer changes that a call is given.
    """

    def forward(block: int) -> int:
        seen: set[int] = set()
        while (draft := drafts[block]).jump == GOTO and not draft.events and block not in seen:
            seen.add(block)
            block = draft.targets[0]
        return block

    after: dict[int, list[int]] = {}
    number: dict[int, int] = {}
    work = [forward(0)]
    while work:
        block = work.pop()
        if block in number:
            continue
        number[block] = len(number)
        after[block] = [forward(target) for target in drafts[block].targets]
        work.extend(reversed(after[block]))
    reached = [drafts[block] for block in number]
    asked = _asked(reached)
    return tuple(
        [
            Block(
                _worth_keeping(draft.events, asked),
                draft.jump,
                draft.key,
                tuple([number[target] for target in targets]),
                draft.labels,
                draft.line,
            )
            for draft, targets in zip(reached, after.values(), strict=True)
        ]
    )


def _asked(drafts: Iterable[Draft]) -> set[str]:
    """The variables that a condition or a returned value asks for, or that a call is given."""
    asked: set[str] = set()
    for draft in drafts:
        if draft.jump != GOTO and draft.key:
            asked.update(_WORD.findall(draft.key))
        for event in draft.events:
            if event.name != "=":
                for argument in event.args:
                    if "->" in argument or argument.isidentifier():
                        if "[" in argument:
                            asked.update(_WORD.findall(argument))
                        elif (word := _WORD.search(argument)) is not None:
                            asked.add(word[0])
    return asked


def _worth_keeping(events: list[Event], asked: set[str]) -> tuple[Event, ...]:
    """The calls, and the assignments to what is *asked*."""
    if not events:
        return ()
    return tuple(
        [
            event
            for event in events
            if event.name != "=" or not asked.isdisjoint(_WORD.findall(event.result))
        ]
    )
