# SPDX-License-Identifier: GPL-2.0-or-later
"""Walk a function's flow graph with the set of possible held-lock states.

The walk knows what calls do to locks (an :class:`Effects` table, primitives and
wrappers alike) and nothing else.  A state is what is held, what of the caller's
was released, and what is known of the conditions that later branches repeat; two
states that differ in nothing else that still matters are one.

What a branch says about a parameter is followed only if the ways out of the
function do not agree without it: it tells which caller gets which way out.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from reviewbot.locking import known as knowledge
from reviewbot.locking.body import BRANCH, RETURN, STOP, SWITCH, VOID
from reviewbot.locking.calls import Calls, ClassOf, Lookup
from reviewbot.locking.effects import (
    ANY,
    Effect,
    Effects,
    Exit,
    Held,
    Point,
    Slip,
    Touch,
    Walk,
    When,
)
from reviewbot.locking.expressions import constant
from reviewbot.locking.facts import Function
from reviewbot.locking.known import NOTHING, Knowledge
from reviewbot.locking.names import lock_expression, substitute
from reviewbot.locking.states import Record, State

__all__ = [
    "Effect", "Effects", "Exit", "Held", "Point", "Slip", "Touch", "Walk", "When",
    "lock_expression", "substitute", "walk",
]  # fmt: skip

MAX_STATES = 48
"""States kept at one block; more are merged by forgetting conditions, and counted."""
MAX_VISITS = 6000
"""Blocks visited with a new state in one flow, all in all."""


def walk(function: Function, lookup: Lookup, class_of: ClassOf, entry: Iterable[Held] = ()) -> Walk:
    """Every call of *function* with what may be held there, and every way out.

    *lookup* gives the effects of a callee's name, None for none; *class_of* the
    class of a lock expression, empty if unknown.  *entry* is what the function is
    entered with (``__must_hold``).
    """
    start = State(held=tuple(entry))
    found = _walk(function, lookup, class_of, start, thorough=False)
    apart = any(not _agree(found.exits, number) for number in range(len(function.flows)))
    if apart or not found.dropped.isdisjoint(found.given_back):
        again = _walk(function, lookup, class_of, start, thorough=True)
        if found.capped or not again.capped:
            return again
    return found


def _agree(exits: Iterable[Exit], variant: int) -> bool:
    """Whether all ways out leave the same."""
    left = {
        (frozenset((h.lock, h.mode) for h in e.held), e.released)
        for e in exits
        if e.variant == variant
    }
    return len(left) <= 1


def _walk(
    function: Function, lookup: Lookup, class_of: ClassOf, start: State, thorough: bool
) -> Walk:
    record = Record()
    capped = False
    for number, flow in enumerate(function.flows):
        walker = _Walker(function, flow, number, lookup, class_of, record, thorough)
        capped |= walker.run(start)
    points = tuple(
        Point(
            event.line, event.name, event.args, event.result, tuple(held.values()),
            tuple(sorted(record.given_up(event))),
        )
        for event, held in record.held.items()
    )  # fmt: skip
    return Walk(
        points,
        tuple(record.exits),
        capped,
        frozenset(record.given_back),
        frozenset(record.optional),
        frozenset(record.doubtful),
        record.slips,
        frozenset(record.dropped),
    )


class _Walker(Calls):
    """One flow of one function."""

    def run(self, start: State) -> bool:
        """Walk; whether a cap was hit."""
        if not self._blocks:
            return False
        capped = False
        visits = 0
        seen: list[set[State]] = [set() for _ in self._blocks]
        work: list[tuple[int, State]] = [(0, start)]
        while work:
            visits += 1
            if visits > MAX_VISITS:
                return True
            number, state = work.pop()
            if state.known and not knowledge.bases_of(state.known) <= self._interest.live[number]:
                state = self._project(state, number)
            states = seen[number]
            if state in states:
                continue
            if len(states) >= MAX_STATES:
                capped = True
                state = state.knowing(NOTHING)
                if state in states or len(states) >= 2 * MAX_STATES:
                    continue
            states.add(state)
            self._at = number
            block = self._blocks[number]
            current = [state]
            for event in block.events:
                current = self._event(event, current)
                if len(current) > MAX_STATES:
                    capped = True
                    plain = dict.fromkeys(s.knowing(NOTHING) for s in current)
                    current = list(plain)[:MAX_STATES]
            for after in current:
                for target, there in self._jump(number, after):
                    again = there.known and (number, target) in self._back
                    work.append((target, self._next_turn(there) if again else there))
        return capped

    def _next_turn(self, state: State) -> State:
        """In the next turn of a loop fields and globals may have other values."""
        stale = [f for f in state.known if knowledge.base_of(f[0]) in self._shared]
        return state.knowing(state.known.difference(stale)) if stale else state

    def _project(self, state: State, number: int) -> State:
        """The state without what no later branch asks for."""
        live = self._interest.live[number]
        dead = [f for f in state.known if knowledge.base_of(f[0]) not in live]
        return state.knowing(state.known.difference(dead))

    # jumps

    def _jump(self, number: int, state: State) -> list[tuple[int, State]]:
        block = self._blocks[number]
        if block.jump == STOP:
            return []
        if block.jump == RETURN:
            self._leave(block.key, block.line, state)
            return []
        if block.jump == BRANCH:
            return self._branch(number, block.key, block.targets, state)
        if block.jump == SWITCH:
            return self._switch(number, block.key, state)
        return [(target, state) for target in block.targets]

    def _branch(
        self, number: int, key: str, targets: tuple[int, ...], state: State
    ) -> list[tuple[int, State]]:
        answer = knowledge.decide(state.known, key) if key and state.known else None
        if answer is not None:
            return [(targets[0 if answer else 1], state)]
        if key not in self._interest.keys:
            return [(target, self._around(number, target, state)) for target in targets]
        out: list[tuple[int, State]] = []
        for target, value in zip(targets, (True, False), strict=True):
            known = knowledge.learn(state.known, key, value)
            if known is not None:
                out.append((target, self._around(number, target, state.knowing(known))))
        return out

    def _around(self, number: int, target: int, state: State) -> State:
        """The state after going around an arm that may give locks back."""
        if not state.held:
            return state
        names = self._arms.releases.get((number, target))
        if names is None:
            return state
        held = tuple(
            msgspec.structs.replace(h, unsure=True)
            if not (h.unsure or h.entry) and not names.isdisjoint(
                (h.lock, self._class(h.lock, h.cls))
            )
            else h
            for h in state.held
        )  # fmt: skip
        return state.holding(*held)

    def _switch(self, number: int, key: str, state: State) -> list[tuple[int, State]]:
        block = self._blocks[number]
        cases = list(zip(block.targets, block.labels, strict=True))
        if key not in self._interest.bases:
            return [(target, self._around(number, target, state)) for target, _ in cases]
        _, const = knowledge.value(state.known, key)
        if const:
            chosen = [c for c in cases if c[1] == const] or [c for c in cases if not c[1]]
            return [(target, state) for target, _ in chosen]
        out: list[tuple[int, State]] = []
        for target, label in cases:
            known = self._chosen(state.known, key, label, block.labels)
            if known is not None:
                after = state.knowing(known)
                out.append((target, self._around(number, target, after)))
        return out

    def _chosen(
        self, known: Knowledge, key: str, label: str, labels: tuple[str, ...]
    ) -> Knowledge | None:
        """Knowing that a switch goes to *label*; to none of the *labels* if it is empty."""
        if label:
            after = knowledge.learn(known, f"{key}=={label}", True)
            return None if after is None else after | {(key + "=", label)}
        for other in filter(None, labels):
            without = knowledge.learn(known, f"{key}=={other}", False)
            if without is None:
                return None
            known = without
        return known

    def _leave(self, key: str, line: int, state: State) -> None:
        signs, const = _returned(key, state.known)
        if signs == "-+":
            signs = self._more_likely(key)
        params = tuple(sorted(filter(self._interest.on_parameter, state.known)))
        released, done = tuple(sorted(state.released)), tuple(sorted(state.done))
        leave = Exit(line, signs, const, state.held, released, params, self._variant, done)
        self._record.exits[leave] = None

    def _more_likely(self, key: str) -> str:
        """A number that is not zero is an error code, a pointer that is not NULL an object."""
        local = self._locals.get(key)
        if local is not None and local.type in _INTEGERS:
            return "-"
        return "+" if local is not None and local.type.endswith("*") else "-+"


_INTEGERS = frozenset({"int", "long", "ssize_t", "s32", "s64"})


def _returned(key: str, known: Knowledge) -> tuple[str, str]:
    """(signs, constant) of a returned value."""
    if key == VOID:
        return VOID, ""
    if key in ("", "+", "-"):
        return key or ANY, ""
    mark = key if key[0] in "~?" else f"={key}"
    if constant(key):
        return knowledge.signs_of_constant(key), "" if key == "0" else key
    if key.isidentifier() or key.startswith("@") or key[0] in "~?":
        after = knowledge.assign(known, "\0", (mark,))
        return knowledge.value(after, "\0")
    return ANY, key
