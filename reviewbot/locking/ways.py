# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways of edges that can be gone: neither constants handed down nor locks already held bar them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from reviewbot.locking.edges import Edges
from reviewbot.locking.feasible import NOWHERE, Edge, Feasibility
from reviewbot.locking.graph import rows_of
from reviewbot.locking.legs import Leg
from reviewbot.locking.linked import Taken
from reviewbot.locking.rows import BLOCKS, SLEEP

MAX_DETOURS = 3
"""Calls that constant arguments bar, around which another way is looked for."""


@dataclass(slots=True)
class Ways(Edges):
    """Edges of one tree, with other ways to their ends where one is barred."""

    _feasibility: Feasibility | None = None

    def open_way(self, leg: Leg) -> Leg | None:
        """*leg*, or one to the same end by other calls if it is barred.

        One that comes back to what it holds is barred as well where that is given back meanwhile.
        """
        barred: set[Edge] = set()
        way: Leg | None = leg
        while way is not None and (edge := self._bar(way)) is not None:
            if edge in barred:
                return None
            barred.add(edge)
            way = self._detour(way, frozenset(barred)) if len(barred) <= MAX_DETOURS else None
        return way

    def _bar(self, leg: Leg) -> Edge | None:
        dropped = self.dropped_at(leg) if leg.held == leg.target else None
        return dropped or self.barred(leg)

    def barred(self, leg: Leg) -> Edge | None:
        """The call of a leg that is not made, or never with what the leg ends in still free."""
        if not leg.path:
            return None
        if (edge := self._locked_out(leg)) is not None:
            return edge
        if self._feasibility is None:
            self._feasibility = Feasibility(self.view)
        ask = self._feasibility
        actor = self.view.detail(leg.path[-1])
        last = frozenset(
            (action.call, action.line)
            for action in (actor.actions if actor is not None else ())
            if (action.node or SLEEP) == leg.target and action.blocks
        )
        name = self.view.callable_name(leg.path[0]).rpartition(".")[2]
        holder = self.view.detail(leg.function) if leg.function >= 0 else None
        given = {
            (use.args if use.call.endswith(name) else (), use.line)
            for use in (holder.uses if holder is not None else ())
            if leg.path[0] in self.numbers(use) and any(t.node == leg.held for t in use.held)
        }
        edges = [
            ask.stuck(leg.path, args, last, ask.set_by(leg.function, line))
            for args, line in given or {((), 0)}
        ]
        return None if None in edges else edges[0]

    def _locked_out(self, leg: Leg) -> Edge | None:
        """The call of a leg that is only made with the lock at its end held already.

        Whoever goes this way waits for himself, or gives the lock back before he asks for it
        again, and that is no order between two locks.
        """
        if leg.held == leg.target or self.what_of(leg):
            return None
        for caller, callee in pairwise((leg.function, *leg.path)):
            detail = self.view.detail(caller) if caller >= 0 else None
            lines = {
                use.line
                for use in (detail.uses if detail is not None else ())
                if any(t.node == leg.target and _excludes(t) for t in use.held)
                and callee in self.numbers(use)
            }
            if lines and len(lines) >= self._calls(caller, callee):
                return caller, callee
        return None

    def _calls(self, caller: int, callee: int) -> int:
        """How often a function's text calls another, or the member of a struct."""
        name = self.view.callable_name(callee).rpartition(".")[2]
        return len(re.findall(rf"\b{re.escape(name)}\s*\(", self.view.text_of(caller)))

    def _detour(self, leg: Leg, barred: frozenset[Edge]) -> Leg | None:
        """The nearest way to the end of a leg, from the same call, without *barred* calls."""
        graph = self.view.graph
        reach = graph.reach_down([leg.path[0]], self.limits.depth, self.home, barred)
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


def _excludes(taken: Taken) -> bool:
    """Whether nobody else can have the lock meanwhile, nor its holder once more."""
    return taken.mode != "read" and not taken.nested
