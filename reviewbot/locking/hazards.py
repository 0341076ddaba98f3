# SPDX-License-Identifier: GPL-2.0-or-later
"""The hazards of a tree that the functions under review are part of.

An edge ``A → B`` says that a context which holds (or is) A can block until B is
released or has finished.  It exists where a function holds A and blocks on B
itself or through its callees.  A hazard is an edge that something leads back
from; only edges that run through the functions under review are looked at, so
the cost follows the size of a patch, not of the kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from reviewbot.locking.graph import (
    BLOCKS,
    CONTEXT,
    FEW_CANDIDATES,
    IN_ATOMIC,
    NESTED,
    READ,
    SLEEP,
    SLEEPS,
    Ids,
    Reach,
    rows_of,
    runs_atomically,
    sleeps,
)
from reviewbot.locking.instances import same_object
from reviewbot.locking.interrupts import inversions
from reviewbot.locking.legs import Finding, Leg, Spot
from reviewbot.locking.link import OPS, Action, LinkedFunction, Taken, Use
from reviewbot.locking.model import HazardKind
from reviewbot.locking.places import directory_of, related
from reviewbot.locking.primitives import ATOMIC, builtin
from reviewbot.locking.view import View

DEPTH = 7
"""Calls followed from where a lock is held to where the wait is."""
ATOMIC_DEPTH = 3
"""The same for what may sleep in other files: deep down almost everything may, somehow."""
MAX_COST = 14
"""Cost of the calls in both halves of a cycle; a longer proof convinces nobody."""
MAX_WAY_BACK = 12
"""Cost of the way from a driver through its framework back to the driver."""
IN_FILE, IN_DIRECTORY, ELSEWHERE = 1, 2, 3
"""Cost of a call by where it leads.  A helper in a header costs nothing."""
THROUGH_STRUCT = 3
"""Cost of a call through a struct, besides that of the function behind it."""
MAX_THIRDS = 40
"""Locks held over taking one, up to which cycles of three are looked for."""
MAX_WAYS = 24
"""Ways kept from one lock to another: those of the subsystem first, then the shortest."""
NEAR = 2
"""Calls in each part of such a cycle."""
MAX_HOLDERS = 400
"""Callers with a lock held that are looked at above one changed function."""
_WORKER_POOL = "srcu-gp"


@dataclass(slots=True)
class Finder:
    """Looks for hazards in one tree; keeps what it worked out about the tree."""

    view: View
    home: Ids
    """Directories whose functions are meant by calls through a struct."""
    _ups: dict[tuple[int, bool], Reach] = field(default_factory=dict)
    _downs: dict[int, Reach] = field(default_factory=dict)
    _into: dict[tuple[int, bool], dict[int, list[Leg]]] = field(default_factory=dict)
    _costs: dict[Leg, int] = field(default_factory=dict)

    # what functions do

    def effects(self, function: int) -> dict[str, int]:
        """Names of the nodes *function* may block on, with flags, through its callees."""
        reach = self._down(function)
        _, nodes, flags = self.view.graph.actions_of(reach.ids())
        out: dict[str, int] = {}
        for node, bits in rows_of(nodes, flags):
            if bits & BLOCKS:
                name = self.view.node_name(node)
                out[name] = out.get(name, 0) | bits
        return out

    def _down(self, function: int) -> Reach:
        if function not in self._downs:
            self._downs[function] = self.view.graph.reach_down([function], DEPTH, self.home)
        return self._downs[function]

    def _up(self, node: int, writers_only: bool) -> Reach:
        """Callables that may block on *node*, with the way there."""
        key = (node, writers_only)
        if key not in self._ups:
            actors, flags = self.view.graph.actors_on(node)
            keep = (flags & BLOCKS) != 0
            if writers_only:
                keep &= (flags & READ) == 0
            self._ups[key] = self.view.graph.reach_up(actors[keep].tolist(), DEPTH, self.home)
        return self._ups[key]

    def leading_to(self, node: int, writers_only: bool) -> dict[int, list[Leg]]:
        """For each node that is held over blocking on *node*, the shortest ways."""
        key = (node, writers_only)
        if key in self._into:
            return self._into[key]
        graph = self.view.graph
        target = self.view.node_name(node)
        up = self._up(node, writers_only)
        found: dict[int, list[tuple[int, int, int]]] = {}
        held, function, callee, _ = graph.held_into(up.ids())
        for a, f, c in rows_of(held, function, callee):
            found.setdefault(a, []).append((up.distance[c] + 1, f, c))
        held, function, _, _ = graph.held_onto(node)
        actors, flags = graph.actors_on(node)
        blocking = {
            f for f, bits in rows_of(actors, flags)
            if bits & BLOCKS and not (writers_only and bits & READ)
        }  # fmt: skip
        for a, f in rows_of(held, function):
            if f in blocking:
                found.setdefault(a, []).append((0, f, -1))
        out: dict[int, list[Leg]] = {}
        home = frozenset(self.home.tolist())
        for a, ways in found.items():
            name = self.view.node_name(a)
            order = sorted(set(ways), key=lambda w: (not self._at(w[1], w[2], home), *w))
            out[a] = [
                Leg(name, target, f, tuple(up.path(c)) if c >= 0 else ())
                for _, f, c in order[:MAX_WAYS]
            ]
        for leg in [leg for legs in out.values() for leg in legs if leg.function == CONTEXT]:
            for queue in self.view.queues_of(leg.held):  # done when the work on it is
                number = self.view.node(queue)
                if number is not None:
                    out.setdefault(number, []).append(replace(leg, held=queue))
        self._into[key] = out
        return out

    def _at(self, function: int, callee: int, home: frozenset[int]) -> bool:
        """Whether a way starts in one of the directories *home*."""
        return self.view.graph.place_of(callee if function == CONTEXT else function) in home

    # the search

    def find(self, functions: Iterable[int], volatile: dict[int, frozenset[str]]) -> list[Finding]:
        """Hazards on edges that start in *functions*, or that lead through them.

        *volatile* names, for a function, the nodes that not every tree under
        comparison has it block on: callers who hold something meanwhile are looked at.
        """
        out: dict[tuple[object, ...], Finding] = {}
        for function in functions:
            for finding in self._of_function(function):
                out.setdefault((finding.key, finding.site, finding.via), finding)
            for finding in self._of_handler(function):
                out.setdefault((finding.key, finding.site, finding.via), finding)
            for finding in self._of_callers(function, volatile.get(function, frozenset())):
                out.setdefault((finding.key, finding.site, finding.via), finding)
        return list(out.values())

    def _of_function(self, function: int) -> Iterator[Finding]:
        detail = self.view.detail(function)
        if detail is None:
            return
        yield from self._imbalances(function, detail)
        yield from inversions(self, function)
        for use in detail.uses:
            for taken in use.held:
                for target, path, flags in self._targets(detail, use):
                    if taken.node in use.released:
                        continue
                    leg = Leg(taken.node, target, function, path)
                    yield from self._close(leg, _bits(taken), flags)

    def _of_handler(self, function: int) -> Iterator[Finding]:
        """Edges of the work items, timers and so on that *function* is the handler of."""
        nodes = dict.fromkeys(self.view.runs_as(function))
        if not nodes:
            return
        atomic = {r.node for r in self.view.registered(function) if runs_atomically(r)}
        down = self._down(function)
        for target, (_, actor, bits) in self._nearest(down).items():
            path = tuple(reversed(down.path(actor)))
            for node in nodes:
                held = IN_ATOMIC if node in atomic else 0
                yield from self._close(Leg(node, target, CONTEXT, path), held, bits)

    def _nearest(self, down: Reach) -> dict[str, tuple[int, int, int]]:
        """For each node blocked on below, (distance, who blocks, flags)."""
        actors, found, flags = self.view.graph.actions_of(down.ids())
        best: dict[str, tuple[int, int, int]] = {}
        for actor, node, bits in rows_of(actors, found, flags):
            if bits & BLOCKS:
                name = self.view.node_name(node)
                entry = (down.distance[actor], actor, bits)
                if name not in best or entry < best[name]:
                    best[name] = entry
        return best

    def _targets(
        self, detail: LinkedFunction, use: Use
    ) -> Iterator[tuple[str, tuple[int, ...], int]]:
        """(node, path, flags) of everything that a use may block on."""
        if use.action >= 0:
            action = detail.actions[use.action]
            if action.blocks:
                yield action.node or SLEEP, (), _action_bits(action)
            return
        seen: set[tuple[str, int]] = set()
        for target in use.target:
            number = target if isinstance(target, int) else self._number(target)
            if number is None:
                continue
            number = self._current(number)
            if number < 0:
                continue
            reach = self._down(number)
            actors, nodes, flags = self.view.graph.actions_of(reach.ids())
            order = np.argsort(
                np.array([reach.distance[a] for a in actors.tolist()], np.int32), kind="stable"
            )
            for place in order.tolist():
                bits = int(flags[place])
                if not bits & BLOCKS:
                    continue
                name = self.view.node_name(int(nodes[place]))
                if (name, bits & (READ | SLEEPS)) in seen:
                    continue
                seen.add((name, bits & (READ | SLEEPS)))
                yield name, tuple(reversed(reach.path(int(actors[place])))), bits

    def _number(self, virtual: str) -> int | None:
        number = self.view.store.callable_number(virtual)
        if number is None and self.view.overlay is not None:
            number = self.view.overlay.callables.get(virtual)
        return number

    def _current(self, number: int) -> int:
        overlay = self.view.overlay
        return overlay.replaced.get(number, number) if overlay is not None else number

    def _of_callers(self, function: int, nodes: frozenset[str]) -> Iterator[Finding]:
        """Edges of callers that hold something while *function* blocks on one of *nodes*."""
        if not nodes:
            return
        down = self._down(function)
        targets = [
            (name, tuple(reversed(down.path(actor))), bits)
            for name, (_, actor, bits) in self._nearest(down).items()
            if name in nodes
        ]
        up = self.view.graph.reach_up([function], DEPTH, self.home)
        held, holder, callee, bits_ = self.view.graph.held_into(up.ids())
        rows = sorted(rows_of(held, holder, callee, bits_), key=lambda row: up.distance[row[2]])
        for a, f, c, held_bits in rows[:MAX_HOLDERS]:
            name = self.view.node_name(a)
            above = tuple(up.path(c))  # from the callee down to the function itself
            for target, below, bits in targets:
                if len(above) + len(below) - 1 <= DEPTH:
                    yield from self._close(
                        Leg(name, target, f, (*above, *below[1:])), held_bits, bits
                    )

    def edges_of(self, function: int, held: str) -> list[Leg]:
        """All edges of a function that start at *held*, nearest first for each target."""
        detail = self.view.detail(function)
        legs: dict[str, Leg] = {}
        for use in detail.uses if detail is not None else ():
            if detail is None or not any(taken.node == held for taken in use.held):
                continue
            for target, path, _ in self._targets(detail, use):
                if target not in legs or len(path) < len(legs[target].path):
                    legs[target] = Leg(held, target, function, path)
        return list(legs.values())

    def close(self, leg: Leg) -> list[Finding]:
        """The hazards that an edge found by :meth:`edge_at` or :meth:`edges_in` is part of."""
        taken, action = self.taken(leg), self.action(leg)
        if action is None:
            return []
        held = _bits(taken) if taken is not None else 0
        return list(self._close(leg, held, _action_bits(action)))

    # closing a cycle

    def _close(self, leg: Leg, held: int, target: int) -> Iterator[Finding]:
        """The hazards that the edge of *leg* is part of."""
        if self._drops(leg):
            return
        if held & IN_ATOMIC and target & SLEEPS and self._near(leg):
            yield self._finding(HazardKind.SLEEP_IN_ATOMIC, leg, ())
        if leg.target == SLEEP or leg.held.endswith("()") or leg.target.endswith("()"):
            return  # whatever lock a function returns is no class
        kinds = self._kinds_of(leg)
        if kinds == "rcu-gp":  # its readers may not sleep: what blocks in one is found as that
            return
        if leg.held == leg.target:
            yield from self._self_edge(leg, held, target, kinds)
            return
        node = self.view.node(leg.held)
        other = self.view.node(leg.target)
        if node is None or other is None:
            return
        back = self.leading_to(node, writers_only=bool(held & READ))
        closing = self._choose(back.get(other, []), bool(target & READ), leg)
        if closing is not None and self._kinds_of(closing) == "rcu-gp":
            return
        if closing is not None and self._ordered(leg, closing):
            yield self._cycle(leg, closing, kinds)
        elif closing is not None:
            return
        elif not kinds and (third := self._by_a_third(leg, other, back, target)) is not None:
            yield self._finding(HazardKind.LOCK_ORDER_INVERSION, leg, third)
        elif kinds == _WORKER_POOL and leg.function != CONTEXT and self._at_home(leg):
            blocked = self._blocked_work(back, leg)
            if blocked is not None:
                yield self._finding(HazardKind.WORKER_POOL_CYCLE, leg, (blocked,))

    def _ordered(self, leg: Leg, closing: Leg) -> bool:
        """Whether the classes of a cycle have an order that it can break.

        Those lockdep is told not to validate, the driver core's lock of every device
        first of all, count only where one driver waits for what itself does elsewhere.
        """
        if not any(self.view.registrations(f"unordered {node}") for node in (leg.held, leg.target)):
            return True
        if not (self._kinds_of(leg) or self._kinds_of(closing)):
            return False
        if any(self._meets_another(way) for way in (leg, closing)):
            return False
        one, other = (
            directory_of(self.spot(way.function if way.function >= 0 else way.path[0])[0])
            for way in (leg, closing)
        )
        return related(one, other)

    def _meets_another(self, leg: Leg) -> bool:
        """Whether a leg goes through adding or removing an object: a child, not what is held."""
        entries = (builtin().get(self.view.callable_name(number)) for number in leg.path)
        return any(entry is not None and entry.follow for entry in entries)

    def _drops(self, leg: Leg) -> bool:
        """Whether a callee on the way gives back what is held, and takes it again later."""
        node, target = self.view.node(leg.held), self.view.node(leg.target)
        if node is None or not leg.path:
            return False
        avoid = self.view.graph.released_at(node)
        if not avoid:
            return False
        last = (leg.path[-1], -1 - target) if target is not None else (-1, 0)
        return last in avoid or any(pair in avoid for pair in pairwise(leg.path))

    def _near(self, leg: Leg) -> bool:
        """Whether a sleep is close enough to the atomic section to be meant by it."""
        first = leg.function if leg.function != CONTEXT else leg.path[0]
        home = self.spot(first)[0]
        path = leg.path if leg.function != CONTEXT else leg.path[1:]
        refs = [self.view.function(number) for number in path]
        calls = [ref for ref in refs if ref is None or not ref.macro]
        if any(ref is None for ref in calls):
            return False
        own_file = all(ref is not None and ref.file == home for ref in calls)
        return len(calls) <= (DEPTH if own_file else ATOMIC_DEPTH)

    def _kinds_of(self, leg: Leg) -> str:
        """What the leg waits for: empty for a lock, else ``srcu-gp``, ``work`` …"""
        action = self.action(leg)
        return action.what if action is not None else ""

    def _self_edge(self, leg: Leg, held: int, target: int, what: str) -> Iterator[Finding]:
        if what.endswith("-gp"):
            yield self._finding(HazardKind.GRACE_PERIOD_IN_READER, leg, ())
        elif what:
            yield self._finding(HazardKind.FLUSH_CYCLE, leg, ())
        elif (
            not (held & READ and target & READ)
            and not (held | target) & NESTED
            and (self._comes_back(leg) if self._through_ops(leg) else same_object(self.view, leg))
        ):
            yield self._finding(HazardKind.RECURSIVE_LOCK, leg, ())

    def _comes_back(self, leg: Leg) -> bool:
        """Whether a call through a struct comes back to the file that holds the lock.

        What a driver asks of its framework under its own lock, and its callback takes
        that lock: the same one, unless the driver handles two objects at once.
        """
        if leg.function < 0 or self.cost(leg) > MAX_WAY_BACK:
            return False
        actor = self.view.function(leg.path[-1])
        return actor is not None and actor.file == self.spot(leg.function)[0]

    def _choose(self, ways: list[Leg], target_read: bool, leg: Leg) -> Leg | None:
        """The best way back: one whose lock conflicts, that does not release it on the way."""
        spot = self.spot(leg.function)
        own = self.cost(leg)
        usable = [
            way
            for way in ways
            if self.cost(way) + own <= MAX_COST and self._usable(way, target_read, leg)
        ]
        if not usable:
            return None
        return min(
            usable,
            key=lambda way: (
                self._through_ops(way),
                self.cost(way),
                self.spot(way.function)[0] != spot[0],
                self.spot(way.function),
            ),
        )

    def _by_a_third(
        self, leg: Leg, other: int, back: dict[int, list[Leg]], target: int
    ) -> tuple[Leg, Leg] | None:
        """``B → C → A`` for the edge ``A → B``: only plain calls, and few of them."""
        if len(back) > MAX_THIRDS or len(leg.path) > NEAR:
            return None
        for node, ways in back.items():
            home = self._choose([w for w in ways if len(w.path) <= NEAR], False, leg)
            if node == other or home is None or self._through_ops(home):
                continue
            if self._kinds_of(home) or (home.function == CONTEXT and not self._is_lock(home)):
                continue
            middle = self.leading_to(node, writers_only=False).get(other, [])
            first = self._choose(
                [w for w in middle if len(w.path) <= NEAR], bool(target & READ), leg
            )
            if first is None or self._through_ops(first) or not self._is_lock(first):
                continue
            if self._ordered(leg, first) and self._ordered(first, home):
                return first, home
        return None

    def _is_lock(self, leg: Leg) -> bool:
        """Whether a leg holds a lock, and is not the handler of something."""
        return leg.function != CONTEXT or any(
            r.node == leg.held and r.what.startswith(OPS) for r in self.view.registered(leg.path[0])
        )

    def cost(self, leg: Leg) -> int:
        """How far the calls of a leg lead, and with it how little they prove."""
        if leg not in self._costs:
            total = 0
            path = leg.path if leg.function != CONTEXT else leg.path[1:]
            at = self.spot(leg.function if leg.function != CONTEXT else leg.path[0])[0]
            for number in path:
                ref = self.view.function(number)
                if ref is None:
                    total += THROUGH_STRUCT
                elif not (ref.macro or (ref.static and ref.file.endswith(".h"))):
                    total += _step(at, ref.file)
                    at = ref.file
            self._costs[leg] = total
        return self._costs[leg]

    def _usable(self, way: Leg, target_read: bool, leg: Leg) -> bool:
        held = self.view.node(way.held)
        if held is None:
            return False
        if way.function == CONTEXT:
            return self.near(way, leg.function, *leg.path)
        taken = self.taken(way)
        if taken is None or (target_read and taken.mode == "read" and taken.kind != "srcu"):
            return False
        return not self._drops(way)

    def near(self, way: Leg, *functions: int) -> bool:
        """Whether the handler that closes a cycle is one of the object that is meant.

        ``struct pci_dev.irq`` has a handler in every driver: with that many, only one
        beside the *functions* at the other side of the cycle can be meant.
        """
        files = {r.file for r in self.view.registrations(way.held)}
        if len(files) <= FEW_CANDIDATES:
            return True
        own = directory_of(self.spot(way.path[0])[0])
        others = {directory_of(self.spot(n)[0]) for n in functions if n >= 0}
        return any(related(own, other) for other in others)

    def _cycle(self, leg: Leg, closing: Leg, what: str) -> Finding:
        """Name a cycle of two edges; its site is where a lock is held over a wait."""
        back = self._kinds_of(closing)
        if what.endswith("-gp") or back.endswith("-gp"):
            kind = HazardKind.GRACE_PERIOD_CYCLE
        elif what or back:
            kind = HazardKind.FLUSH_CYCLE
        else:
            return self._finding(HazardKind.LOCK_ORDER_INVERSION, leg, (closing,))
        if not what and back and closing.function != CONTEXT:
            leg, closing = closing, leg
        return self._finding(kind, leg, (closing,))

    def _at_home(self, leg: Leg) -> bool:
        """Whether the wait is in the directory of the function that holds the lock.

        Far below the driver core half the kernel waits for some grace period: true, and
        nothing that a patch to its caller could be asked to mend.
        """
        own, actor = (
            self.spot(leg.function),
            self.spot(leg.path[-1] if leg.path else leg.function),
        )
        return directory_of(own[0]) == directory_of(actor[0])

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
        function, via = leg.function, self._via(leg)
        if function == CONTEXT:
            function, via = leg.path[0], ""
        return Finding(kind, tuple(classes), self.spot(function), via, leg, closing)

    def _via(self, leg: Leg) -> str:
        return self.view.callable_name(leg.path[0]) if leg.path else ""

    def spot(self, function: int) -> Spot:
        ref = self.view.function(function) if function >= 0 else None
        return (ref.file, ref.name) if ref is not None else ("", "")

    def _through_ops(self, leg: Leg) -> bool:
        return any(self.view.function(number) is None for number in leg.path)

    def _imbalances(self, function: int, detail: LinkedFunction) -> Iterator[Finding]:
        for imbalance in detail.imbalances:
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

    # proof

    def action(self, leg: Leg) -> Action | None:
        """The action at the end of a leg."""
        actor = leg.path[-1] if leg.path else leg.function
        detail = self.view.detail(actor) if actor >= 0 else None
        if detail is None:
            return None
        found = [a for a in detail.actions if (a.node or SLEEP) == leg.target and a.blocks]
        if not leg.path:
            used = {use.action for use in detail.uses for t in use.held if t.node == leg.held}
            found = [a for n, a in enumerate(detail.actions) if a in found and n in used] or found
        return min(found, key=lambda a: a.line, default=None)

    def taken(self, leg: Leg) -> Taken | None:
        """How the holder of a leg took what it holds."""
        use = self.use(leg)
        if use is None:
            return None
        return next((taken for taken in use.held if taken.node == leg.held), None)

    def use(self, leg: Leg) -> Use | None:
        """The call in the holder's function on which a leg sets out."""
        detail = self.view.detail(leg.function) if leg.function >= 0 else None
        if detail is None:
            return None
        for use in sorted(detail.uses, key=lambda use: use.line):
            if not any(taken.node == leg.held for taken in use.held):
                continue
            if not leg.path:
                if use.action >= 0 and (detail.actions[use.action].node or SLEEP) == leg.target:
                    return use
                continue
            if leg.path[0] in self.numbers(use):
                return use
        return None

    def numbers(self, use: Use) -> list[int]:
        """The callees of a use as this tree numbers them."""
        out: list[int] = []
        for target in use.target:
            number = target if isinstance(target, int) else self._number(target)
            if number is not None:
                out.append(self._current(number))
        return out

    def edge_at(self, site: Spot, via: str, held: str, target: str) -> Leg | None:
        """The edge ``held → target`` of a function, through *via* if it is not empty."""
        for ref in self.view.functions_in(site[0]):
            if ref.name != site[1]:
                continue
            detail = self.view.detail(ref.id)
            for use in detail.uses if detail is not None else ():
                if not any(taken.node == held for taken in use.held):
                    continue
                for name, path, _ in self._targets(detail, use) if detail is not None else ():
                    if name == target and (self.view.callable_name(path[0]) if path else "") == via:
                        return Leg(held, target, ref.id, path)
        return None

    def interruption(self, site: Spot, key: tuple[HazardKind, frozenset[str]]) -> Finding | None:
        """The hazard *key* of a lock that an interrupt comes to take, at a function."""
        for ref in self.view.functions_in(site[0]):
            if ref.name == site[1]:
                for finding in inversions(self, ref.id):
                    if finding.key == key:
                        return finding
        return None

    def edges_in(self, files: frozenset[str], held: str, target: str) -> list[Leg]:
        """All edges ``held → target`` whose holder stands in one of *files*."""
        node, other = self.view.node(held), self.view.node(target)
        if node is None or other is None:
            return []
        legs = self._leading_to_from(other, node)
        return [leg for leg in legs if self.spot(leg.function)[0] in files]

    def _leading_to_from(self, target: int, held: int) -> list[Leg]:
        up = self._up(target, writers_only=False)
        name, goal = self.view.node_name(held), self.view.node_name(target)
        out: list[Leg] = []
        functions, targets, _ = self.view.graph.holds_of(held)
        for function, onto in rows_of(functions, targets):
            if onto == -1 - target:
                out.append(Leg(name, goal, function, ()))
            elif onto >= 0 and onto in up.hop:
                out.append(Leg(name, goal, function, tuple(up.path(onto))))
        return out


def _step(file: str, other: str) -> int:
    """Cost of a call from one file to another."""
    if file == other:
        return IN_FILE
    return IN_DIRECTORY if directory_of(file) == directory_of(other) else ELSEWHERE


def _bits(taken: Taken) -> int:
    return (
        (READ if taken.mode == "read" else 0)
        | (NESTED if taken.nested else 0)
        | (IN_ATOMIC if taken.kind in ATOMIC else 0)
    )


def _action_bits(action: Action) -> int:
    return (
        (BLOCKS if action.blocks else 0)
        | (READ if action.mode == "read" else 0)
        | (NESTED if action.nested else 0)
        | (SLEEPS if sleeps(action) else 0)
    )
