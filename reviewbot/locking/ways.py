# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways of edges that the constants handed down them leave open."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reviewbot.locking.edges import DEPTH, Edges
from reviewbot.locking.feasible import NOWHERE, Edge, Feasibility
from reviewbot.locking.graph import BLOCKS, SLEEP, rows_of
from reviewbot.locking.legs import Leg

MAX_DETOURS = 3
"""Calls that constant arguments bar, around which another way is looked for."""


@dataclass(slots=True)
class Ways(Edges):
    """Edges of one tree, with other ways to their ends where one is barred."""

    _feasibility: Feasibility | None = None

    def open_way(self, leg: Leg) -> Leg | None:
        """*leg*, or one to the same end by other calls if constants that are handed down bar it."""
        barred: set[Edge] = set()
        way: Leg | None = leg
        while way is not None and (edge := self.barred(way)) is not None:
            barred.add(edge)
            way = self._detour(way, frozenset(barred)) if len(barred) <= MAX_DETOURS else None
        return way

    def barred(self, leg: Leg) -> Edge | None:
        """The call of a leg that the constants handed down to it bar."""
        if not leg.path:
            return None
        if self._feasibility is None:
            self._feasibility = Feasibility(self.view)
        actor = self.view.detail(leg.path[-1])
        last = frozenset(
            (action.call, action.line)
            for action in (actor.actions if actor is not None else ())
            if (action.node or SLEEP) == leg.target and action.blocks
        )
        name = self.view.callable_name(leg.path[0]).rpartition(".")[2]
        holder = self.view.detail(leg.function) if leg.function >= 0 else None
        given = {
            use.args if use.call.endswith(name) else ()
            for use in (holder.uses if holder is not None else ())
            if leg.path[0] in self.numbers(use) and any(t.node == leg.held for t in use.held)
        }
        edges = [self._feasibility.stuck(leg.path, args, last) for args in given or {()}]
        return None if None in edges else edges[0]

    def _detour(self, leg: Leg, barred: frozenset[Edge]) -> Leg | None:
        """The nearest way to the end of a leg, from the same call, without *barred* calls."""
        graph = self.view.graph
        reach = graph.reach_down([leg.path[0]], DEPTH, self.home, barred)
        target = self.view.node(leg.target)
        if target is None:
            return None
        actors, flags = graph.actors_on(target)
        found = [
            (reach.distance[actor], actor)
            for actor, bits in rows_of(actors, flags)
            if bits & BLOCKS and actor in reach.hop and (actor, NOWHERE) not in barred
        ]
        if not found:
            return None
        return replace(leg, path=tuple(reversed(reach.path(min(found)[1]))))
