# SPDX-License-Identifier: GPL-2.0-or-later
"""The hazards of a series' trees: before it, after it, and in between where that is asked.

What a series does is told from its ends.  At which patch a site came or went is asked
only of sites that did, and found by halving: a series of forty patches needs a
handful of its trees, not all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from reviewbot.locking.expressions import constant, split_arguments
from reviewbot.locking.hazards import Finder
from reviewbot.locking.legs import Finding, Key, Spot
from reviewbot.locking.limits import UNASKED, Limits
from reviewbot.locking.model import ChangeState, HazardKind
from reviewbot.locking.orders import follows
from reviewbot.locking.releases import is_in_doubt, is_out_of_sight
from reviewbot.locking.rows import SLEEPS, SLEEPS_ON_RT
from reviewbot.locking.view import View

SiteKey = tuple[Spot, str]

EVERY = 8
"""Patches up to which the trees are asked one by one, the last first."""
FAR = 4
"""Calls from which on it is all one how many they are."""
_CALL = re.compile(r"\b(\w+)\s*\((?=((?:[^()]|\([^()]*\))*)\))")
"""A call and its arguments; those of calls among them are found in their turn."""
_KEPT = 4
"""Trees between the ends that are kept in memory."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One tree: its finder and the hazards that run through the changed functions."""

    finder: Finder
    found: dict[Key, dict[SiteKey, Finding]]

    def at(self, key: Key, site: SiteKey, model: Finding) -> Finding | None:
        """The hazard at a site, also if not through a function that was looked at."""
        found = self.found.get(key, {}).get(site)
        return found if found is not None else still_there(model, self)


@dataclass(frozen=True, slots=True)
class SiteState:
    """A site through the series: its finding before and after, None where it is not."""

    key: SiteKey
    before: Finding | None
    after: Finding | None
    patch: int | None = None
    """1-based patch at which the site came or went, the last if there were several and the
    series is short; None while it remains."""

    @property
    def state(self) -> ChangeState:
        if self.before is None:
            return ChangeState.INTRODUCED
        return ChangeState.REMOVED if self.after is None else ChangeState.REMAINING

    @property
    def model(self) -> Finding:
        """A finding of the site where it is."""
        found = self.before or self.after
        assert found is not None  # noqa: S101 - a site that is nowhere has no state
        return found


class History:
    """The trees of a series, looked at for the functions that it changes."""

    def __init__(self, views: Sequence[View], changed: set[Spot], limits: Limits = UNASKED) -> None:
        """*views* are the trees before the series and after each patch."""
        self._views = views
        self._limits = limits
        self._changed = changed
        self._homes = {path for path, _ in changed}
        self._between: dict[int, Snapshot] = {}
        self._patient: dict[int, Finder] = {}
        """Of the first and the last tree."""
        ends = (views[0], views[-1])
        finders = [self._finder(view) for view in ends]
        self._volatile = volatile(finders, [numbers(view, changed) for view in ends], changed)
        self.first, self.last = (self._snapshot(finder) for finder in finders)

    def _finder(self, view: View) -> Finder:
        return Finder(view, view.directories(self._homes), self._limits)

    def _snapshot(self, finder: Finder) -> Snapshot:
        own = numbers(finder.view, self._changed)
        functions = [number for found in own.values() for number in found]
        volatile = {n: self._volatile[spot] for spot, found in own.items() for n in found}
        hazards: dict[Key, dict[SiteKey, Finding]] = {}
        for finding in finder.find(functions, volatile):
            hazards.setdefault(finding.key, {})[finding.site, finding.via] = finding
        return Snapshot(finder, hazards)

    def keys(self) -> set[Key]:
        """The hazards before or after the series."""
        return self.first.found.keys() | self.last.found.keys()

    def sites(self, key: Key) -> list[SiteState]:
        """The states of all sites of a hazard, but those that come to do as the tree does."""
        ends = (self.first.found.get(key, {}), self.last.found.get(key, {}))
        out: list[SiteState] = []
        kept: set[tuple[str, str]] = set()
        for site in sorted({*ends[0], *ends[1]}):
            model = ends[0].get(site) or ends[1][site]
            state = SiteState(site, self.first.at(key, site, model), self.last.at(key, site, model))
            if self._is_no_news(state):
                if state.before is None:
                    kept.add(_edge(model))
                continue
            if state.state is not ChangeState.REMAINING:
                if self._is_a_call_away(key, state):
                    continue
                patch = self._turn(key, state)
                state = SiteState(site, state.before, state.after, patch)
            out.append(state)
        gone = {s.key for s in out if s.state is ChangeState.REMOVED and _edge(s.model) in kept}
        return [s for s in out if s.key not in gone and not self._is_split(s, out)]

    def _is_split(self, site: SiteState, others: Iterable[SiteState]) -> bool:
        """Whether a site came with its function, split off from that of another, or went so."""
        spot = site.key[0]
        gone = site.after is None
        there, other = (self.first, self.last) if gone else (self.last, self.first)
        if site.state is ChangeState.REMAINING or numbers(other.finder.view, {spot}):
            return False
        around = neighbours({spot}, there.finder.view)
        return any(
            each.key[0] in around - {spot}
            and each.state is ChangeState.REMAINING
            and _edge(each.model) == _edge(site.model)
            for each in others
        )

    def _is_no_news(self, site: SiteState) -> bool:
        """Whether a site has not really come or gone, or is one of a crowd that stays."""
        before, after = self.first.finder, self.last.finder
        if site.state is ChangeState.REMAINING:
            interrupted = site.model.interrupted is not None
            return interrupted and follows(site.model, before, self._changed)
        if site.before is None and follows(site.model, before, self._changed):
            return True
        there, elsewhere = (before, after) if site.after is None else (after, before)
        if site.before is None and site.model.imbalance is not None:
            return is_in_doubt(site.model, before.view)
        return is_out_of_sight(site.model, there.view, elsewhere.view)

    def _is_a_call_away(self, key: Key, site: SiteState) -> bool:
        """Whether a site is also in the tree that seems to lack it, just too far to be told there.

        A helper more or less on the way makes no hazard and mends none, if it comes before who
        blocks there or is split off from it.
        """
        model = site.model
        if model.kind is HazardKind.LOCK_IMBALANCE:
            return False
        there, end = (self.first.finder, -1) if site.after is None else (self.last.finder, 0)
        if end not in self._patient:
            view = self._views[end]
            self._patient[end] = Finder(view, view.directories(self._homes), self._limits.patient)
        finder, way = self._patient[end], there.way(model.leg)
        for number in numbers(finder.view, {model.site}).get(model.site, []):
            for found in finder.every(key, number, frozenset({model.leg.target})):
                other = finder.way(found.leg)
                same = (found.site, found.via) == site.key
                if same and (other[-1] in way or way[-1] in other):
                    return True
        return False

    def _turn(self, key: Key, state: SiteState) -> int:
        """The patch after which a site is as it is after the series, and not before."""
        low, high = 0, len(self._views) - 1
        while high - low > 1:
            middle = (low + high) // 2 if high - low > EVERY else high - 1
            there = self._at(middle).at(key, state.key, state.model) is not None
            if there == (state.after is not None):
                high = middle
            else:
                low = middle
        return high

    def _at(self, index: int) -> Snapshot:
        if index not in self._between:
            while len(self._between) >= _KEPT:
                del self._between[next(iter(self._between))]
            self._between[index] = self._snapshot(self._finder(self._views[index]))
        return self._between[index]


def _edge(finding: Finding) -> tuple[str, str]:
    """What is held over blocking on what: an edge that goes here and comes there has moved."""
    return finding.leg.held, finding.leg.target


def still_there(model: Finding, snapshot: Snapshot) -> Finding | None:
    """The same hazard at the same site, though not through a function that was looked at."""
    if model.kind is HazardKind.LOCK_IMBALANCE:
        return None
    finder = snapshot.finder
    if model.interrupted is not None:
        return finder.interruption(model.site, model.key)
    leg = finder.edge_at(model.site, model.via, model.leg.held, model.leg.target)
    if leg is None:
        return None
    for finding in finder.close(leg):
        if finding.key == model.key:
            return finding
    return None


def numbers(view: View, spots: set[Spot]) -> dict[Spot, list[int]]:
    """The functions of a tree at *spots*."""
    out: dict[Spot, list[int]] = {}
    for path in {path for path, _ in spots}:
        for ref in view.functions_in(path):
            if (path, ref.name) in spots:
                out.setdefault((path, ref.name), []).append(ref.id)
    return out


def neighbours(spots: Iterable[Spot], view: View) -> set[Spot]:
    """Functions that call one of *spots*, or that they call."""
    numbers = [
        ref.id for file, name in spots for ref in view.functions_in(file) if ref.name == name
    ]
    own = np.array(numbers, np.int32)
    around = {*view.graph.callers(own)[0].tolist(), *view.graph.callees(own)[1].tolist()}
    refs = (view.function(number) for number in around)
    return {(ref.file, ref.name) for ref in refs if ref is not None}


def wiring(view: View, function: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """From where a function is run without being called by name."""
    runs = (node for node in view.runs_as(function) if not node.startswith("completion "))
    return tuple(sorted(runs)), tuple(view.tables_of(function))


def volatile(
    finders: Sequence[Finder], found: Sequence[dict[Spot, list[int]]], changed: set[Spot]
) -> dict[Spot, frozenset[str]]:
    """For each function the nodes that it does not block on in every tree, as many calls away.

    Far down nearly everything blocks on nearly everything, so what a change adds close by
    may be there already.  All of them if the function is not run from the same places in
    every tree; and what it waits for itself, since the condition on which it does may be
    another; and what is behind callees that it tells otherwise, ``true`` for ``false``.
    """
    out: dict[Spot, frozenset[str]] = {}
    for spot in changed:
        sets = [
            frozenset(_effects(finder, own.get(spot, ())))
            for finder, own in zip(finders, found, strict=True)
        ]
        every = frozenset[tuple[str, int, int]]().union(*sets)
        wirings = {
            tuple(wiring(finder.view, number) for number in own.get(spot, ()))
            for finder, own in zip(finders, found, strict=True)
        }
        here = every if len(wirings) > 1 else every - frozenset.intersection(*sets)
        out[spot] = frozenset(node for node, *_ in here)
        told = _told_otherwise(finders, [own.get(spot, ()) for own in found])
        for finder, own in zip(finders, found, strict=True):
            versions = own.get(spot, ())
            out[spot] |= {node for n in versions for node in finder.waits_of(n)}
            out[spot] |= _behind(finder, versions, told)
    return out


def _told_otherwise(
    finders: Sequence[Finder], versions: Sequence[Iterable[int]]
) -> AbstractSet[str]:
    """Callees of a function that get other constants from it after a series than before."""
    before, after = (
        _constants(finder.view, own) for finder, own in zip(finders, versions, strict=True)
    )
    return {name for name in before.keys() & after.keys() if before[name] != after[name]}


def _constants(view: View, functions: Iterable[int]) -> dict[str, frozenset[tuple[str, ...]]]:
    """The constants that some functions give to each callee, call by call."""
    out: dict[str, frozenset[tuple[str, ...]]] = {}
    for number in functions:
        for match in _CALL.finditer(view.text_of(number)):
            given = tuple(constant(argument) for argument in split_arguments(match[2]))
            if any(given):
                out[match[1]] = out.get(match[1], frozenset()) | {given}
    return out


def _behind(finder: Finder, functions: Iterable[int], names: AbstractSet[str]) -> set[str]:
    """What callees of some names block on, not far down."""
    if not names:
        return set()
    callees = finder.view.graph.callees(np.array([*functions], np.int32))[1]
    return {
        name
        for number in set(callees.tolist())
        if finder.view.callable_name(number) in names
        for name, (distance, *_) in finder.nearest(finder.down(number)).items()
        if distance < FAR
    }


def _effects(finder: Finder, functions: Iterable[int]) -> set[tuple[str, int, int]]:
    """What *functions* block on, the number of calls that lead there, and whether it sleeps."""
    return {
        (name, min(distance, FAR), bits & (SLEEPS | SLEEPS_ON_RT))
        for number in functions
        for name, (distance, _, bits) in finder.nearest(finder.down(number)).items()
    }
