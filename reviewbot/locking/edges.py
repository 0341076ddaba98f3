# SPDX-License-Identifier: GPL-2.0-or-later
"""The edges of a tree's lock graph: who holds what over waiting for what, and how far apart.

An edge ``A → B`` says that a context which holds (or is) A can block until B is
released or has finished.  It exists where a function holds A and blocks on B
itself or through its callees.  Edges are looked for where somebody asks, downwards
from a function or upwards to a lock, so the cost follows the question.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from reviewbot.locking.feasible import NOWHERE, Edge
from reviewbot.locking.graph import Reach, rows_of
from reviewbot.locking.legs import Leg, Spot
from reviewbot.locking.limits import UNASKED, Limits
from reviewbot.locking.linked import ALLOCATION, OPS, Action, LinkedFunction, Taken, Use
from reviewbot.locking.places import directory_of
from reviewbot.locking.rows import (
    BLOCKS,
    CONTEXT,
    READ,
    SLEEP,
    SLEEPS,
    Ids,
    action_bits,
)
from reviewbot.locking.view import View

MAX_SLEEPERS = 12
"""Functions below one that may sleep of which it is asked whether they do."""
MAX_WAYS = 24
"""Ways kept from one lock to another: those of the subsystem first, then the shortest."""
IN_FILE, IN_DIRECTORY, ELSEWHERE = 1, 2, 3
"""Cost of a call by where it leads.  A helper in a header costs nothing."""
THROUGH_STRUCT = 3
"""Cost of a call through a struct, besides that of the function behind it."""


@dataclass(slots=True)
class Edges:
    """Finds edges in one tree; keeps what it worked out about the tree."""

    view: View
    home: Ids
    """Directories whose functions are meant by calls through a struct."""
    limits: Limits = UNASKED
    _ups: dict[tuple[int, bool], Reach] = field(default_factory=dict)
    _downs: dict[int, Reach] = field(default_factory=dict)
    _into: dict[tuple[int, bool], dict[int, list[Leg]]] = field(default_factory=dict)
    _costs: dict[Leg, int] = field(default_factory=dict)

    def effects(self, function: int) -> dict[str, int]:
        """Names of the nodes *function* may block on, with flags, through its callees."""
        reach = self.down(function)
        _, nodes, flags = self.view.graph.actions_of(reach.ids())
        out: dict[str, int] = {}
        for node, bits in rows_of(nodes, flags):
            if bits & BLOCKS:
                name = self.view.node_name(node)
                out[name] = out.get(name, 0) | bits
        return out

    def waits_of(self, function: int) -> set[str]:
        """Nodes other than locks that *function* waits for itself."""
        detail = self.view.detail(function)
        actions = detail.actions if detail is not None else ()
        return {action.node for action in actions if action.what and action.node and action.blocks}

    def down(self, function: int) -> Reach:
        if function not in self._downs:
            depth = self.limits.depth
            self._downs[function] = self.view.graph.reach_down([function], depth, self.home)
        return self._downs[function]

    def _up(self, node: int, writers_only: bool) -> Reach:
        """Callables that may block on *node*, with the way there."""
        key = (node, writers_only)
        if key not in self._ups:
            actors, flags = self.view.graph.actors_on(node)
            keep = (flags & BLOCKS) != 0
            if writers_only:
                keep &= (flags & READ) == 0
            self._ups[key] = self.view.graph.reach_up(
                actors[keep].tolist(), self.limits.depth, self.home
            )
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

    def nearest(self, down: Reach) -> dict[str, tuple[int, int, int]]:
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

    def sleepers(self, down: Reach) -> list[tuple[str, int, int]]:
        """(node, who, flags) of those below that may sleep or allocate, the nearest first.

        Which of them does, conditions decide: the nearest of all may be one that cannot.
        """
        nodes = {self.view.node(name): name for name in (SLEEP, ALLOCATION)}
        rows = rows_of(*self.view.graph.actions_of(down.ids()))
        own = {
            (nodes[node], actor): bits
            for actor, node, bits in rows
            if node in nodes and bits & BLOCKS
        }
        order = sorted(own.items(), key=lambda one: (down.distance[one[0][1]], one))
        return [(node, actor, bits) for (node, actor), bits in order[:MAX_SLEEPERS]]

    def targets(
        self, detail: LinkedFunction, use: Use
    ) -> Iterator[tuple[str, tuple[int, ...], int]]:
        """(node, path, flags) of everything that a use may block on."""
        if use.action >= 0:
            action = detail.actions[use.action]
            if action.blocks:
                yield action.node or SLEEP, (), action_bits(action)
            return
        seen: set[tuple[str, int]] = set()
        for target in use.target:
            number = target if isinstance(target, int) else self.view.callable_number(target)
            if number is None:
                continue
            number = self._current(number)
            if number < 0:
                continue
            reach = self.down(number)
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

    def _current(self, number: int) -> int:
        overlay = self.view.overlay
        return overlay.replaced.get(number, number) if overlay is not None else number

    def edges_of(self, function: int, held: str) -> list[Leg]:
        """All edges of a function that start at *held*, nearest first for each target."""
        detail = self.view.detail(function)
        legs: dict[str, Leg] = {}
        for use in detail.uses if detail is not None else ():
            if detail is None or not any(taken.node == held for taken in use.held):
                continue
            for target, path, _ in self.targets(detail, use):
                if target not in legs or len(path) < len(legs[target].path):
                    legs[target] = Leg(held, target, function, path)
        return list(legs.values())

    def edge_at(self, site: Spot, via: str, held: str, target: str) -> Leg | None:
        """The edge ``held → target`` of a function, through *via* if it is not empty."""
        for ref in self.view.functions_in(site[0]):
            if ref.name != site[1]:
                continue
            detail = self.view.detail(ref.id)
            for use in detail.uses if detail is not None else ():
                if not any(taken.node == held for taken in use.held):
                    continue
                for name, path, _ in self.targets(detail, use) if detail is not None else ():
                    if name == target and (self.view.callable_name(path[0]) if path else "") == via:
                        return Leg(held, target, ref.id, path)
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

    def drops(self, leg: Leg) -> bool:
        """Whether a callee on the way gives back what is held, and takes it again later."""
        return self.dropped_at(leg) is not None

    def dropped_at(self, leg: Leg) -> Edge | None:
        """The call of a leg that is made while what it holds is given back."""
        node, target = self.view.node(leg.held), self.view.node(leg.target)
        if node is None or not leg.path:
            return None
        avoid = self.view.graph.released_at(node)
        if not avoid:
            return None
        if target is not None and (leg.path[-1], -1 - target) in avoid:
            return leg.path[-1], NOWHERE
        return next((pair for pair in pairwise(leg.path) if pair in avoid), None)

    def cost(self, leg: Leg) -> int:
        """How far the calls of a leg lead, and with it how little they prove."""
        if leg not in self._costs:
            total = 0
            at = self.spot(leg.holder)[0]
            refs = [self.view.function(number) for number in leg.calls]
            for before, ref in zip((True, *refs), refs, strict=False):
                if ref is None:
                    total += THROUGH_STRUCT if before is not None else 0
                elif not (ref.macro or (ref.static and ref.file.endswith(".h"))):
                    total += _step(at, ref.file)
                    at = ref.file
            self._costs[leg] = total
        return self._costs[leg]

    def through_ops(self, leg: Leg) -> bool:
        return any(self.view.function(number) is None for number in leg.path)

    def is_lock(self, leg: Leg) -> bool:
        """Whether a leg holds a lock, and is not the handler of something."""
        return leg.function != CONTEXT or any(
            r.node == leg.held and r.what.startswith(OPS) for r in self.view.registered(leg.path[0])
        )

    def takes_lock(self, leg: Leg) -> bool:
        """Whether a leg ends in taking a lock, and not in another wait."""
        action = self.action(leg)
        return action is not None and not action.what and bool(action.kind)

    def what_of(self, leg: Leg) -> str:
        """What the leg waits for: empty for a lock, else ``srcu-gp``, ``work`` …"""
        action = self.action(leg)
        return action.what if action is not None else ""

    def spot(self, function: int) -> Spot:
        ref = self.view.function(function) if function >= 0 else None
        return (ref.file, ref.name) if ref is not None else ("", "")

    def way(self, leg: Leg) -> list[Spot]:
        """The functions on a leg, the last of which blocks."""
        return [self.spot(number) for number in (leg.holder, *leg.calls)]

    def via(self, leg: Leg) -> str:
        return self.view.callable_name(leg.path[0]) if leg.path else ""

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
            number = target if isinstance(target, int) else self.view.callable_number(target)
            if number is not None:
                out.append(self._current(number))
        return out


def _step(file: str, other: str) -> int:
    """Cost of a call from one file to another."""
    if file == other:
        return IN_FILE
    return IN_DIRECTORY if directory_of(file) == directory_of(other) else ELSEWHERE
