# SPDX-License-Identifier: GPL-2.0-or-later
"""The hazards of a tree that the functions under review are part of.

A hazard is an edge that something leads back from; only edges that run through the
functions under review are looked at, so the cost follows the size of a patch, not
of the kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice

from reviewbot.locking.beliefs import COMPLETION, FILES
from reviewbot.locking.closings import Closings
from reviewbot.locking.frameworks import Running
from reviewbot.locking.graph import rows_of
from reviewbot.locking.imbalance import Imbalance
from reviewbot.locking.interrupts import (
    MAX_OWNERS,
    beside,
    contexts,
    inversions,
    owner_interrupted,
)
from reviewbot.locking.legs import Finding, Key, Leg, Spot
from reviewbot.locking.linked import ALLOCATION, LinkedFunction
from reviewbot.locking.model import HazardKind
from reviewbot.locking.places import directory_of
from reviewbot.locking.releases import ends_for
from reviewbot.locking.rows import (
    CONTEXT,
    IN_ATOMIC,
    READ,
    SLEEP,
    SLEEPS,
    action_bits,
    bits_of,
    runs_atomically,
)

MAX_HOLDERS = 400
"""Callers with a lock held that are looked at above one changed function."""
_WORKER_POOL = "srcu-gp"


@dataclass(slots=True)
class Finder(Closings):
    """Looks for hazards in one tree."""

    def find(self, functions: Iterable[int], volatile: dict[int, frozenset[str]]) -> list[Finding]:
        """Hazards on edges that start in *functions*, or that lead through them.

        *volatile* names, for a function, the nodes that not every tree under
        comparison has it block on: callers who hold something meanwhile are looked at.
        """
        out: dict[tuple[object, ...], Finding] = {}
        for function in functions:
            for finding in self._candidates(function, volatile.get(function, frozenset())):
                name = (finding.key, finding.site, finding.via)
                if name not in out and (proven := self._proven(finding)) is not None:
                    out[name] = proven
        return list(out.values())

    def every(self, key: Key, function: int, nodes: frozenset[str]) -> Iterator[Finding]:
        """A hazard that :meth:`find` finds for a function, by every way that it looks at."""
        found = (each for each in self._candidates(function, nodes) if each.key == key)
        return (proven for each in found if (proven := self._proven(each)) is not None)

    def _candidates(self, function: int, nodes: frozenset[str]) -> Iterator[Finding]:
        return chain(
            self._of_function(function),
            self._of_handler(function),
            self._of_callers(function, nodes),
            self._of_interrupts(function, nodes),
        )

    def _proven(self, finding: Finding) -> Finding | None:
        """The finding by ways that can be gone; None if there are none."""
        leg = self.open_way(finding.leg)
        if leg is not None and leg is not finding.leg:
            return next((other for other in self.close(leg) if other.key == finding.key), None)
        closing = tuple(way for one in finding.closing if (way := self.open_way(one)) is not None)
        if leg is None or len(closing) < len(finding.closing):
            return None
        return replace(finding, closing=closing)

    def _of_function(self, function: int) -> Iterator[Finding]:
        detail = self.view.detail(function)
        if detail is None:
            return
        yield from self._imbalances(function, detail)
        yield from self._inversions(function)
        for use in detail.uses:
            for taken in use.held:
                for target, path, flags in self.targets(detail, use):
                    if taken.node in use.released:
                        continue
                    leg = Leg(taken.node, target, function, path)
                    yield from self._close(leg, bits_of(taken), flags)

    def _of_handler(self, function: int) -> Iterator[Finding]:
        """Edges of the work items, timers and so on that *function* is the handler of."""
        nodes = dict.fromkeys(self.view.runs_as(function))
        if not nodes:
            return
        atomic = {r.node for r in self.view.registered(function) if runs_atomically(r)}
        down = self.down(function)
        found = [(target, actor, bits) for target, (_, actor, bits) in self.nearest(down).items()]
        if atomic and self.limits.asked:
            found.extend(self.sleepers(down))
        for target, actor, bits in found:
            path = tuple(reversed(down.path(actor)))
            for node in nodes:
                held = IN_ATOMIC if node in atomic else 0
                yield from self._close(Leg(node, target, CONTEXT, path), held, bits)

    def _of_callers(self, function: int, nodes: frozenset[str]) -> Iterator[Finding]:
        """Edges of callers that hold something while *function* blocks on one of *nodes*."""
        if not nodes:
            return
        down = self.down(function)
        targets = [
            (name, tuple(reversed(down.path(actor))), bits)
            for name, (_, actor, bits) in self.nearest(down).items()
            if name in nodes
        ]
        up = self.view.graph.reach_up([function], self.limits.depth, self.home)
        held, holder, callee, bits_ = self.view.graph.held_into(up.ids())
        rows = sorted(rows_of(held, holder, callee, bits_), key=lambda row: up.distance[row[2]])
        for a, f, c, held_bits in rows[:MAX_HOLDERS]:
            name = self.view.node_name(a)
            above = tuple(up.path(c))  # from the callee down to the function itself
            for target, below, bits in targets:
                path = (*above, *below[1:])
                calls = sum(self.view.function(number) is not None for number in path)
                if calls <= self.limits.depth:
                    yield from self._close(Leg(name, target, f, path), held_bits, bits)

    def _of_interrupts(self, function: int, nodes: frozenset[str]) -> Iterator[Finding]:
        """Those who take open to it what an interrupt comes to take through *function*.

        Who let it in stands elsewhere, and may not be what the series is about: only what
        goes away is told so.
        """
        if not self.limits.asked or not self._may_interrupt(function):
            return
        for name, (distance, _, bits) in self.nearest(self.down(function)).items():
            node = self.view.node(name)
            if name not in nodes or distance > self.limits.near or bits & SLEEPS or node is None:
                continue
            takers = self.view.graph.actors_on(node)[0].tolist()
            near = (n for n in takers if n != function and beside(self, n, function))
            for taker in islice(near, MAX_OWNERS):
                for finding in self._inversions(taker):
                    through = any(function in way.path for way in finding.closing)
                    if through and finding.leg.held == name:
                        yield finding

    def _may_interrupt(self, function: int) -> bool:
        """Whether a handler of interrupts comes to *function*, not far up."""
        above = self.view.graph.reach_up([function], self.limits.near, self.home).ids()[:MAX_OWNERS]
        found = (contexts(self.view, n) for n in above.tolist() if self.view.function(n))
        return any(each & {Running.HARDIRQ, Running.SOFTIRQ} for each in found)

    def close(self, leg: Leg) -> list[Finding]:
        """The hazards that an edge found by :meth:`edge_at` or :meth:`edges_in` is part of."""
        way = self.open_way(leg)
        if way is None or (action := self.action(way)) is None:
            return []
        leg, taken = way, self.taken(way)
        held = bits_of(taken) if taken is not None else 0
        return list(self._close(leg, held, action_bits(action)))

    def _close(self, leg: Leg, held: int, target: int) -> Iterator[Finding]:
        """The hazards that the edge of *leg* is part of, of those that one kernel can have."""
        if leg.held == leg.target and self.drops(leg) and (way := self.open_way(leg)) is not None:
            action = self.action(way)
            leg, target = way, action_bits(action) if action is not None else target
        if not self.drops(leg) and self.possible(leg):
            for finding in self._cycles(leg, held, target):
                if self.possible(*finding.legs):
                    yield finding

    def _inversions(self, function: int) -> Iterator[Finding]:
        """Locks that a function takes open to an interrupt, of those that one kernel can have."""
        for finding in inversions(self, function):
            if self.possible(*finding.legs):
                yield finding

    def _cycles(self, leg: Leg, held: int, target: int) -> Iterator[Finding]:
        """The hazards that an edge is part of, whatever kernel its legs are of."""
        kinds = self.what_of(leg)
        if not self.limits.waits:
            yield from self._sleeping(leg, held, target, kinds)
        elif not self.waits_nearby(leg):
            return
        if (
            leg.target in (SLEEP, ALLOCATION)
            or leg.held.endswith("()")
            or leg.target.endswith("()")
        ):
            return  # whatever lock a function returns is no class
        if not self.limits.asked and COMPLETION in (kinds, leg.held.partition(" ")[0]):
            return
        if kinds == "rcu-gp":  # its readers may not sleep: what blocks in one is found as that
            return
        if leg.held == leg.target:
            yield from self._self_edge(leg, held, target, kinds)
            return
        if self.points_back(leg):
            yield self._finding(HazardKind.RECURSIVE_LOCK, leg, ())
            return
        node = self.view.node(leg.held)
        other = self.view.node(leg.target)
        if node is None or other is None:
            return
        back = self.leading_to(node, writers_only=bool(held & READ))
        closing, readers = self.closing(back.get(other, []), leg, held, target)
        if closing is not None:
            if self.believed(leg, closing, readers):
                yield replace(self._cycle(leg, closing, kinds), readers=readers)
        elif (third := self.by_a_third(leg, other, back, target)) is not None:
            yield self._finding(_cycle_kind(kinds, *map(self.what_of, third)), leg, third)
        elif self.limits.asked and (owner := owner_interrupted(self, leg, back)) is not None:
            yield self._finding(HazardKind.LOCK_ORDER_INVERSION, leg, owner)
        elif kinds == _WORKER_POOL and leg.function != CONTEXT and self._at_home(leg):
            blocked = self._blocked_work(back, leg)
            if blocked is not None:
                yield self._finding(HazardKind.WORKER_POOL_CYCLE, leg, (blocked,))

    def _sleeping(self, leg: Leg, held: int, target: int, what: str) -> Iterator[Finding]:
        if self.sleeps(leg, held, target, what):
            yield self._finding(HazardKind.SLEEP_IN_ATOMIC, leg, ())
        if self.sleeps_on_rt(leg, held, target):
            finding = self._finding(HazardKind.SLEEP_IN_ATOMIC, leg, ())
            yield replace(finding, classes=(leg.held, leg.target))

    def _self_edge(self, leg: Leg, held: int, target: int, what: str) -> Iterator[Finding]:
        if what.endswith("-gp"):
            yield self._finding(HazardKind.GRACE_PERIOD_IN_READER, leg, ())
        elif what in FILES or what == COMPLETION:
            return  # one file may remove another, and a task await what it has done before
        elif what:
            met = leg.function != CONTEXT or self.near(leg, leg.path[-1])
            if met and not self.asks_who_runs(leg):
                yield self._finding(HazardKind.FLUSH_CYCLE, leg, ())
        elif self.taken_again(leg, held, target):
            readers = self.queue_of_readers(leg) if held & target & READ else ""
            yield replace(self._finding(HazardKind.RECURSIVE_LOCK, leg, ()), readers=readers)

    def _cycle(self, leg: Leg, closing: Leg, what: str) -> Finding:
        """Name a cycle of two edges; its site is where a lock is held over a wait."""
        back = self.what_of(closing)
        if not what and back and closing.function != CONTEXT:
            leg, closing = closing, leg
        return self._finding(_cycle_kind(what, back), leg, (closing,))

    def _at_home(self, leg: Leg) -> bool:
        """Whether the wait is in the directory of the function that holds the lock.

        Far below the driver core half the kernel waits for some grace period: true, and
        nothing that a patch to its caller could be asked to mend.
        """
        way = self.way(leg)
        return directory_of(way[0][0]) == directory_of(way[-1][0])

    def _blocked_work(self, back: dict[int, list[Leg]], leg: Leg) -> Leg | None:
        """A work item that blocks on what *leg* holds, if there is one."""
        legs = [
            way
            for ways in back.values()
            for way in ways
            if way.function == CONTEXT and way.held.startswith("work ")
        ]
        spot = self.spot(leg.function)

        def rank(way: Leg) -> tuple[int, bool, str]:
            first = self.view.function(way.path[0]) if way.path else None
            return len(way.path), first is None or first.file != spot[0], way.held

        return min(legs, key=rank, default=None)

    def _finding(self, kind: HazardKind, leg: Leg, closing: tuple[Leg, ...]) -> Finding:
        classes = [leg.held]
        if kind is not HazardKind.SLEEP_IN_ATOMIC and leg.target != leg.held:
            classes.append(leg.target)
        if len(closing) > 1:
            classes.extend(way.held for way in closing if way.held not in classes)
        function, via = leg.function, self.via(leg)
        if function == CONTEXT:
            function, via = leg.path[0], ""
        return Finding(kind, tuple(classes), self.spot(function), via, leg, closing)

    def _imbalances(self, function: int, detail: LinkedFunction) -> Iterator[Finding]:
        for imbalance in detail.imbalances:
            if imbalance.weak and not self._is_believed(function, imbalance):
                continue
            leg = Leg(imbalance.node, imbalance.node, function, ())
            yield Finding(
                HazardKind.LOCK_IMBALANCE,
                (imbalance.node,),
                self.spot(function),
                "",
                leg,
                (),
                imbalance,
            )

    def _is_believed(self, function: int, imbalance: Imbalance) -> bool:
        """Whether weak evidence of an imbalance counts: callers do not give back what is kept."""
        if not self.limits.asked:
            return False
        if not imbalance.taken:
            return True
        callers = self.view.callers_of(function)
        ended = (ends_for(self.view, ref.id, function, imbalance.node) for ref in callers)
        return bool(callers) and not any(ended)

    def interruption(self, site: Spot, key: Key) -> Finding | None:
        """The hazard *key* of a lock that an interrupt comes to take, at a function."""
        for ref in self.view.functions_in(site[0]):
            if ref.name == site[1]:
                for finding in self._inversions(ref.id):
                    if finding.key == key:
                        return finding
        return None


def _cycle_kind(*waits: str) -> HazardKind:
    """The name of a cycle by what its edges wait for, empty for a lock."""
    if any(what.endswith("-gp") for what in waits):
        return HazardKind.GRACE_PERIOD_CYCLE
    return HazardKind.FLUSH_CYCLE if any(waits) else HazardKind.LOCK_ORDER_INVERSION
