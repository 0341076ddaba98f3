# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a way through calls can be gone, as far as constant arguments tell.

``stop(dev, false)`` does not wait where ``stop()`` asks ``if (sync)``, nor after
``dev->sync = false`` where it asks ``if (dev->sync)``.  Only what a caller says itself is
followed, down the calls of one way: conditions on parameters and members, up to where
they are set to something else, against the constants that are given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from reviewbot.locking import known as knowledge
from reviewbot.locking.blocks import BRANCH, SWITCH, Block, Event, Flow
from reviewbot.locking.calls import constant_value
from reviewbot.locking.facts import Function
from reviewbot.locking.known import NOTHING, Knowledge
from reviewbot.locking.reading import read_facts
from reviewbot.locking.view import View

Edge = tuple[int, int]
"""(caller, callee)."""
Calls = frozenset[tuple[str, int]]
"""(name, line) of calls; line 0 for any."""
NOWHERE = -1
MAX_STATES = 256
"""Blocks, each with what is known there, after which nothing is known any more."""
_MEMBER = re.compile(r"\w+(?:(?:->|\.)\w+)+$")
_MEMBER_SET = re.compile(r"(?:->|\.)\w+\s*=\s*(?:true|false|[01]|NULL)\s*;")
_CALLED = re.compile(r"\w+(?=\s*\()")


@dataclass(slots=True)
class Feasibility:
    """Asks about ways of one tree; keeps the functions that it has read."""

    view: View
    _read: dict[int, Function | None] = field(default_factory=dict)

    def set_by(self, caller: int, line: int) -> Knowledge:
        """What a function knows of the members that it has set whenever it comes to *line*."""
        if _MEMBER_SET.search(self.view.text_of(caller)) is None:
            return NOTHING
        function = self._function(caller)
        if function is None:
            return NOTHING
        reached = (one for flow in function.flows for one in _reached(flow, NOTHING))
        there = [known for event, known in reached if event.line == line]
        return frozenset.intersection(*there) if there else NOTHING

    def stuck(
        self, path: Sequence[int], args: Sequence[str], last: Calls, known: Knowledge = NOTHING
    ) -> Edge | None:
        """The call of *path* that is not made if ``path[0]`` is called with *args*.

        *last* names what the end of the path calls; ``(n, NOWHERE)`` stands for such a call;
        *known* is what the caller knows.  None if all are made; what cannot be told is taken
        to be possible.
        """
        if not path:
            return None
        if self.view.function(path[0]) is None:  # what stands behind a member gets its arguments
            return self.stuck(path[1:], args, last, known)
        rest = path[1:]
        names = frozenset({(self._called(rest[0]), 0)}) if rest else last
        function = self._function(path[0])
        if function is None:
            return None
        if not any(_calls(event, names) for flow in function.flows for event in _events(flow)):
            return None
        known = _given(function, args) | _members(function, args, known)
        ends: Edge | None = (path[0], rest[0] if rest else NOWHERE)
        for event, then in {one for flow in function.flows for one in _reached(flow, known)}:
            if ends is not None and _calls(event, names):
                ends = self.stuck(rest, _handed_on(event, then), last, then)
        return ends

    def _called(self, number: int) -> str:
        """How a callee is called in the source: its name, or that of the member."""
        name = self.view.callable_name(number)
        return name if self.view.function(number) is not None else name.rpartition(".")[2]

    def _function(self, number: int) -> Function | None:
        """A function with its flow; None if its text makes none."""
        if number not in self._read:
            self._read[number] = self._parsed(number)
        return self._read[number]

    def _parsed(self, number: int) -> Function | None:
        ref = self.view.function(number)
        if ref is None or ref.macro:
            return None
        # with empty lines before it, for its own to have the numbers of the file
        body = self.view.text_of(number)
        text = "\n" * (ref.line - 1) + body
        if "##" in body:  # a macro defines it, which is used further down
            text = "\n".join(self.view.source(ref.file))
        facts = read_facts(text.encode("latin-1", "replace"), frozenset(_CALLED.findall(body)))
        return next((f for f in facts.functions if f.name == ref.name and f.flows), None)


def _calls(event: Event, calls: Calls) -> bool:
    """Whether an event is one of *calls*, be it through a struct."""
    names = (event.name, event.name.replace("->", ".").rpartition(".")[2])
    return any((name, line) in calls for name in names for line in (0, event.line))


def _events(flow: Flow) -> Iterator[Event]:
    return (event for block in flow.blocks for event in block.events)


def _reached(flow: Flow, known: Knowledge) -> Iterator[tuple[Event, Knowledge]]:
    """The events that can happen if *known* holds at first, with what is known there."""
    seen: set[tuple[int, Knowledge]] = set()
    work = [(0, known)] if flow.blocks else []
    while work:
        state = work.pop()
        if state in seen:
            continue
        seen.add(state)
        number, known = state if len(seen) <= MAX_STATES else (state[0], NOTHING)
        block = flow.blocks[number]
        for event in block.events:
            yield event, known
            known = _forget(known, event)
            if event.name == "=" and _MEMBER.match(event.result):
                known = knowledge.assign(known, event.result, event.args)
        work.extend((target, known) for target in _targets(block, known))


def _targets(block: Block, known: Knowledge) -> tuple[int, ...]:
    """Where a block goes, given what is known."""
    if block.jump == BRANCH and block.key:
        answer = knowledge.decide(known, block.key)
        if answer is not None:
            return block.targets[:1] if answer else block.targets[1:]
    if block.jump == SWITCH and (const := knowledge.value(known, block.key)[1]):
        cases = list(zip(block.targets, block.labels, strict=True))
        chosen = [t for t, label in cases if label == const]
        return tuple(chosen or [t for t, label in cases if not label] or block.targets)
    return block.targets


def _forget(known: Knowledge, event: Event) -> Knowledge:
    """What is still known after an event that may set a variable."""
    changed = {event.result, *(argument[1:] for argument in event.args if argument[:1] == "&")}
    return frozenset(fact for fact in known if knowledge.base_of(fact[0]) not in changed)


def _given(function: Function, args: Sequence[str]) -> Knowledge:
    """What constant arguments say of a function's parameters."""
    known = NOTHING
    for name, local in function.locals.items():
        if 0 <= local.param < len(args):
            known = knowledge.assign(known, name, constant_value(args[local.param]))
    return known


def _members(function: Function, args: Sequence[str], known: Knowledge) -> Knowledge:
    """What a caller knows of its arguments' members, in the callee's words."""
    out = NOTHING
    for name, local in function.locals.items():
        given = args[local.param] if 0 <= local.param < len(args) else ""
        prefix = f"{given[1:]}." if given[:1] == "&" else f"{given}->"
        out |= {
            knowledge.about(fact, base, f"{name}->{base[len(prefix) :]}")
            for fact in known
            if given and (base := knowledge.base_of(fact[0])).startswith(prefix)
        }
    return out


def _handed_on(event: Event, known: Knowledge) -> tuple[str, ...]:
    """The arguments of a call, with what is known of them in place of names."""
    return tuple(_constant(argument, known) for argument in event.args)


def _constant(argument: str, known: Knowledge) -> str:
    signs, const = knowledge.value(known, argument)
    return const or {"0": "0", "+": "1"}.get(signs, argument)
