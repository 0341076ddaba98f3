# SPDX-License-Identifier: GPL-2.0-or-later
"""What closes a cycle: of all ways back from where an edge leads, the one to be believed."""

from __future__ import annotations

from dataclasses import dataclass, field

from reviewbot.locking.beliefs import FILES
from reviewbot.locking.families import one_family
from reviewbot.locking.graph import FEW_CANDIDATES
from reviewbot.locking.legs import Leg, Spot
from reviewbot.locking.places import directory_of, related
from reviewbot.locking.rows import CONTEXT, READ
from reviewbot.locking.sleeps import Sleeps

MAX_FILE_COST = 6
"""Cost of the calls in both halves of a cycle through the files of debugfs, proc or sysfs."""
MAX_THIRDS = 40
"""Locks held over taking one, up to which cycles of three are looked for."""


@dataclass(slots=True)
class Closings(Sleeps):
    """Ways of one tree, and which of them close a cycle."""

    _handlers: dict[str, dict[str, set[Spot]]] = field(default_factory=dict)

    def closing(self, ways: list[Leg], leg: Leg, held: int, target: int) -> tuple[Leg | None, str]:
        """The best of the *ways* back, and the lock that both sides of it only read."""
        closing = self._choose(ways, bool(target & READ), leg)
        if closing is None and (readers := self.shared(leg, held, target)):
            node, other = self.view.node(leg.held), self.view.node(leg.target)
            if node is not None and other is not None:
                all_ways = self.leading_to(node, writers_only=False).get(other, [])
                return self._choose(all_ways, False, leg), readers
        return closing, ""

    def _choose(self, ways: list[Leg], target_read: bool, leg: Leg) -> Leg | None:
        """The best way back: one whose lock conflicts, that does not release it on the way."""
        spot = self.spot(leg.function)
        own = self.cost(leg)
        usable = [
            way
            for way in ways
            if self.cost(way) + own <= self._limit(leg, way) and self._usable(way, target_read, leg)
        ]
        usable.sort(
            key=lambda way: (
                self.through_ops(way),
                self.cost(way),
                self.spot(way.function)[0] != spot[0],
                self.spot(way.function),
            ),
        )
        return next((way for way in usable if self.barred(way) is None), None)

    def _limit(self, leg: Leg, way: Leg) -> int:
        """What a cycle of two edges may cost.

        The files that a source file makes in debugfs, proc or sysfs are one node: that
        a lock is held over removing one and taken by the user of another is believed
        only of what stands close by.
        """
        files = leg.target.partition(" ")[0] in FILES or way.target.partition(" ")[0] in FILES
        return MAX_FILE_COST if files else self.limits.cycle

    def by_a_third(
        self, leg: Leg, other: int, back: dict[int, list[Leg]], target: int
    ) -> tuple[Leg, Leg] | None:
        """``B → C → A`` for the edge ``A → B``: only plain calls, and few of them.

        Waits for handlers count only in one file, and if somebody speaks of such things.
        """
        if self.limits.waits:
            return self._by_another_handler(leg, other, back)
        waits = self.limits.asked
        if not self._is_near(leg) or ((len(back) > MAX_THIRDS or self.what_of(leg)) and not waits):
            return None
        close = {
            n: found for n, ways in back.items() if (found := list(filter(self._is_near, ways)))
        }
        if len(close) > MAX_THIRDS:
            return None
        for node, ways in close.items():
            home = self._choose(ways, False, leg)
            if node == other or home is None or self.through_ops(home):
                continue
            if not waits and not self._only_locks(home):
                continue
            middle = self.leading_to(node, writers_only=False).get(other, [])
            first = self._choose(list(filter(self._is_near, middle)), bool(target & READ), leg)
            if first is None or self.through_ops(first):
                continue
            one_file = len({self.spot(way.holder)[0] for way in (leg, first, home)}) == 1
            if not (waits and one_file) and not self._only_locks(leg, first, home):
                continue
            pairs = ((leg, first), (first, home))
            if all(self.ordered(*pair) and self.told(*pair) for pair in pairs):
                return first, home
        return None

    def waits_nearby(self, leg: Leg) -> bool:
        """Whether a leg holds a lock and waits for another's work, or a handler for itself."""
        if not self.what_of(leg):
            return False
        return self._is_near(leg) if self.is_lock(leg) else leg.held == leg.target

    def _by_another_handler(
        self, leg: Leg, other: int, back: dict[int, list[Leg]]
    ) -> tuple[Leg, Leg] | None:
        """``B → C → A`` for the lock A held over waiting for B, a handler that waits for C.

        Only in one driver: what its works wait for it has to know.
        """
        if not self.is_lock(leg):
            return None
        found: list[tuple[Leg, Leg]] = []
        for node, ways in back.items():
            handlers = [way for way in ways if self._handles_in(leg, way)]
            home = self._choose(handlers, False, leg) if node != other else None
            if home is None:
                continue
            middle = self.leading_to(node, writers_only=False).get(other, [])
            waiting = [way for way in middle if self._handles_in(leg, way)]
            first = self._choose(waiting, False, leg)
            if first is not None and self.what_of(first):
                found.append((first, home))
        return min(found, key=lambda pair: sum(map(self.cost, pair)), default=None)

    def _handles_in(self, leg: Leg, way: Leg) -> bool:
        """Whether a way is that of a handler, and starts and ends in the driver of *leg*."""
        if way.function != CONTEXT or self.is_lock(way):
            return False
        own, *others = (self.spot(n)[0] for n in (leg.holder, way.holder, way.path[-1]))
        return all(related(directory_of(own), directory_of(other)) for other in others)

    def _only_locks(self, *legs: Leg) -> bool:
        """Whether legs hold and take locks, and neither wait for a handler nor are one."""
        return all(self.is_lock(leg) and not self.what_of(leg) for leg in legs)

    def _usable(self, way: Leg, target_read: bool, leg: Leg) -> bool:
        held = self.view.node(way.held)
        if held is None:
            return False
        if not all(one_family(self.view, node, leg, way) for node in (leg.held, leg.target)):
            return False
        if leg.function == CONTEXT and not self.near(leg, way.function, *way.path):
            return False
        if way.function == CONTEXT:
            return self._meant(way, leg) and self.possible(leg, way)
        taken = self.taken(way)
        if taken is None or (target_read and taken.mode == "read" and taken.kind != "srcu"):
            return False
        return not self.drops(way) and self.possible(leg, way)

    def _meant(self, way: Leg, leg: Leg) -> bool:
        """Whether the handler that closes a cycle is one that can be met there.

        There is but one of a lock that is a variable, whoever's callback runs under it.
        """
        shared = self.limits.asked and self.is_lock(way) and not way.held.startswith("struct ")
        return shared or self.near(way, leg.function, *leg.path)

    def near(self, way: Leg, *functions: int) -> bool:
        """Whether the handler that closes a cycle is one of the object that is meant.

        ``struct pci_dev.irq`` has a handler in every driver: with that many, only one
        beside the *functions* at the other side of the cycle can be meant.
        """
        handlers = self._handlers_of(way.held)
        own = self.spot(way.path[0])[0]
        home = way.held.partition(":")[0]  # of a variable, where everybody who takes it calls
        others = {self.spot(n)[0] for n in functions if n >= 0} - {home}
        served = {spot for file in others for spot in handlers.get(file, ())}
        elsewhere = own not in others and self.spot(way.path[0]) not in served
        if served and elsewhere and not self.is_lock(way):
            return False  # who waits has a handler of its own
        if len(handlers) <= FEW_CANDIDATES:
            return True
        return any(related(directory_of(own), directory_of(other)) for other in others)

    def _handlers_of(self, node: str) -> dict[str, set[Spot]]:
        """The handlers of a node, by the file that registers them; there may be thousands."""
        if node not in self._handlers:
            found: dict[str, set[Spot]] = {}
            for registration in self.view.registrations(node):
                found.setdefault(registration.file, set()).add(self.spot(registration.function))
            self._handlers[node] = found
        return self._handlers[node]

    def _is_near(self, leg: Leg) -> bool:
        return len(leg.path) <= self.limits.near
