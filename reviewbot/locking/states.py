# SPDX-License-Identifier: GPL-2.0-or-later
"""What a path is at: the locks it holds and what it knows; and what all paths met."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from reviewbot.locking.body import Event
from reviewbot.locking.effects import Exit, Held, Slip
from reviewbot.locking.known import NOTHING, Knowledge


class State(msgspec.Struct, frozen=True, cache_hash=True):
    """One state of a walk; equal ones are one."""

    held: tuple[Held, ...] = ()
    released: frozenset[tuple[str, str]] = frozenset()
    known: Knowledge = NOTHING
    done: frozenset[str] = frozenset()
    """Locks taken here and given back, if that is followed at all."""

    def knowing(self, known: Knowledge) -> State:
        """The state with this knowledge instead."""
        if known is self.known:
            return self
        return State(self.held, self.released, known, self.done)

    def holding(self, *held: Held) -> State:
        """The state with these locks held instead."""
        if held == self.held:
            return self
        return State(held, self.released, self.known, self.done)


@dataclass(slots=True)
class Record:
    """What was met so far; one point a call site."""

    held: dict[Event, dict[tuple[str, str, int], Held]] = field(default_factory=dict)
    released: dict[Event, frozenset[str]] = field(default_factory=dict)
    """What is given back of the caller's on some path to an event."""
    over: dict[Event, frozenset[str]] = field(default_factory=dict)
    """What is given back on every path, be it the function's own."""
    exits: dict[Exit, None] = field(default_factory=dict)
    given_back: set[str] = field(default_factory=set)
    exclusive: set[str] = field(default_factory=set)
    """Those of them that nobody takes twice."""
    optional: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    matched: set[tuple[int, str, str]] = field(default_factory=set)
    """(line, call, lock) of releases that found the function's own lock held."""
    unmatched: dict[tuple[int, str, str], Slip] = field(default_factory=dict)
    twice: dict[tuple[int, str, str], Slip] = field(default_factory=dict)
    """Releases of what the function has taken and given back before, on that path."""
    once: set[tuple[int, str, str]] = field(default_factory=set)
    """Those that are not so on every path."""

    @property
    def slips(self) -> tuple[Slip, ...]:
        """Releases of the function's own lock where it does not hold it."""
        here = [slip for key, slip in self.unmatched.items() if key in self.matched]
        again = [slip for key, slip in self.twice.items() if key not in self.once]
        return tuple(dict.fromkeys((*here, *again)))

    def point(self, event: Event, state: State) -> None:
        held = self.held.setdefault(event, {})
        for lock in state.held:
            held[(lock.lock, lock.mode, lock.line)] = lock
        released = frozenset(name for name, _ in state.released)
        over = released | state.done.difference(lock.lock for lock in state.held)
        self.over[event] = self.over.get(event, over) & over
        self.released[event] = self.released.get(event, _NONE) | released

    def given_up(self, event: Event) -> frozenset[str]:
        """The caller's locks that are given back on every path to a call.

        Where the caller has none, a function may have taken the lock itself, and given that back.
        """
        return self.over[event] & self.released[event]

    def nothing_released(self, event: Event) -> None:
        """The call is reached with nothing of the caller's given back."""
        self.over[event] = _NONE


_NONE: frozenset[str] = frozenset()
