# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare the trees before and after each patch of a series.

A hazard is known by its kind and classes, a site of it by function and callee,
so what moved a few lines is the same.  Only functions that the series changes
are looked at, and hazards that run through them; the rest of the tree is context.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from reviewbot.locking.describe import Describer
from reviewbot.locking.grade import condition, grade
from reviewbot.locking.hazards import Finder
from reviewbot.locking.legs import Finding, Spot
from reviewbot.locking.link import LinkedFunction
from reviewbot.locking.model import (
    ChangeState,
    Comparison,
    Evidence,
    Hazard,
    HazardKind,
    Site,
    Stats,
    Verdict,
)
from reviewbot.locking.view import View

_CLAIM = re.compile(
    r"dead-?lock|live-?lock|circular lock|lock(ing)? (order )?inversion|lock(ing)? order|ABBA|AB-BA"
    r"|lockdep|possible recursive|hung task|sleep\w* (function|while|in|inside|under)"
    r"|scheduling while atomic|invalid (wait )?context|missing \w*unlock|unbalanced"
    r"|double \w*unlock|leak\w* \w*lock",
    re.I,
)
MAX_REMAINING = 12
"""Sites listed of a hazard that stays in the files a series changes."""

Key = tuple[HazardKind, frozenset[str]]
SiteKey = tuple[Spot, str]


def claims_fix(text: str) -> bool:
    """Whether a cover letter or commit message says that it is about a locking hazard."""
    return _CLAIM.search(text) is not None


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """One tree: its finder and the hazards that run through the changed functions."""

    finder: Finder
    found: dict[Key, dict[SiteKey, Finding]]


def _names(hazard: Hazard, words: frozenset[str]) -> bool:
    """Whether a text with these words speaks of *hazard*.

    It has to name one of its functions and, if it names any lock at all, one of its
    classes.  A text without any identifier speaks of whatever the series touches.
    """
    identifiers = {word for word in words if "_" in word}
    if not identifiers:
        return True
    classes = {part for name in hazard.classes for part in _IDENTIFIER.findall(name)}
    functions = {name for site in hazard.sites for name in (site.function, site.via)}
    if functions.isdisjoint(words):
        return False
    speaks_of_locks = any(_LOCKISH.search(word) for word in identifiers - functions)
    return not speaks_of_locks or not classes.isdisjoint(words - _GENERIC)


_IDENTIFIER = re.compile(r"[A-Za-z_]\w+")
_LOCKISH = re.compile(r"lock|mutex|sem|rcu|work|timer|wq")
_GENERIC = frozenset({"lock", "mutex", "struct", "work", "net", "core", "drivers", "dev", "the"})


def compare(views: Sequence[View], files: Iterable[str], claim: str) -> Comparison:
    """Say what a series does to the hazards that its changes touch.

    *views* are the trees before the series and after each patch; *files* the source
    files it changes; *claim* what it says of itself, which may be that it fixes a
    deadlock.
    """
    started = time.monotonic()
    paths = frozenset(files)
    changed = changed_functions(views, paths)
    snapshots = _snapshots(views, changed)
    hazards = tuple(_hazards(snapshots, paths))
    reported, verdict, reason = _verdict(hazards, claim)
    return Comparison(
        verdict=verdict,
        reason=reason,
        hazards=reported,
        changed=tuple(sorted(changed)),
        stats=_stats(views, changed, time.monotonic() - started),
    )


def changed_functions(views: Sequence[View], files: frozenset[str]) -> set[Spot]:
    """Functions whose text, or whose meaning through what they name, the series changes."""
    out: set[Spot] = set()
    relinked = {p for v in views if v.overlay is not None for p in v.overlay.files}
    for path in files | relinked:
        if path in files:
            out.update((path, name) for name in _differing([_texts(v, path) for v in views]))
        out.update((path, name) for name in _differing([_forms(v, path) for v in views]))
    return out


def _differing(versions: Sequence[Mapping[str, object]]) -> set[str]:
    """Names whose value is not the same in every two versions next to each other."""
    return {
        name
        for before, after in pairwise(versions)
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
    }


def _texts(view: View, path: str) -> dict[str, str]:
    lines = view.lines(path)
    out: dict[str, str] = {}
    for ref in view.functions_in(path):
        text = " ".join(" ".join(lines[ref.line - 1 : view.end_of(ref)]).split())
        out[ref.name] = out.get(ref.name, "") + text
    return out


def _forms(view: View, path: str) -> dict[str, tuple[object, ...]]:
    """What each function of a file is to the graph, without line numbers."""
    out: dict[str, tuple[object, ...]] = {}
    for ref in view.functions_in(path):
        detail = view.detail(ref.id)
        out[ref.name] = (*out.get(ref.name, ()), _form(detail), *_wiring(view, ref.id))
    return out


def _wiring(view: View, function: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """From where a function is run without being called by name."""
    return tuple(sorted(view.runs_as(function))), tuple(view.tables_of(function))


def _form(detail: LinkedFunction | None) -> object:
    if detail is None or not (detail.actions or detail.uses or detail.imbalances):
        return None
    actions = [(a.node, a.what, a.kind, a.mode, a.nested, a.irq) for a in detail.actions]
    uses = {
        (use.call, actions[use.action] if use.action >= 0 else None,
         frozenset((t.node, t.mode, t.nested) for t in use.held), use.released)
        for use in detail.uses
    }  # fmt: skip
    return frozenset(actions), frozenset(uses), frozenset(i.node for i in detail.imbalances)


def _snapshots(views: Sequence[View], changed: set[Spot]) -> list[_Snapshot]:
    homes = {path for path, _ in changed}
    finders = [Finder(view, view.directories(homes)) for view in views]
    numbers = [_numbers(view, changed) for view in views]
    effects = [
        {spot: _effects(finder, own) for spot, own in found.items()}
        for finder, found in zip(finders, numbers, strict=True)
    ]
    volatile: dict[Spot, frozenset[str]] = {}
    for spot in changed:
        sets = [frozenset(known.get(spot, ())) for known in effects]
        every = frozenset[str]().union(*sets)
        wirings = {
            tuple(_wiring(view, number) for number in found.get(spot, ()))
            for view, found in zip(views, numbers, strict=True)
        }
        volatile[spot] = every if len(wirings) > 1 else every - frozenset.intersection(*sets)
    out: list[_Snapshot] = []
    for finder, found in zip(finders, numbers, strict=True):
        functions = [number for own in found.values() for number in own]
        per_number = {n: volatile[spot] for spot, own in found.items() for n in own}
        hazards: dict[Key, dict[SiteKey, Finding]] = {}
        for finding in finder.find(functions, per_number):
            hazards.setdefault(finding.key, {})[finding.site, finding.via] = finding
        out.append(_Snapshot(finder, hazards))
    return out


def _numbers(view: View, changed: set[Spot]) -> dict[Spot, list[int]]:
    out: dict[Spot, list[int]] = {}
    for path in {path for path, _ in changed}:
        for ref in view.functions_in(path):
            if (path, ref.name) in changed:
                out.setdefault((path, ref.name), []).append(ref.id)
    return out


def _effects(finder: Finder, functions: Iterable[int]) -> set[str]:
    return {name for number in functions for name in finder.effects(number)}


def _hazards(snapshots: list[_Snapshot], files: frozenset[str]) -> Iterable[Hazard]:
    keys = {key for snapshot in snapshots for key in snapshot.found}
    for key in sorted(keys, key=lambda key: (key[0], sorted(key[1]))):
        sites = _site_states(key, snapshots)
        if not sites:
            continue
        yield _hazard(key, sites, snapshots, files)


@dataclass(frozen=True, slots=True)
class _SiteState:
    """A site through the series: its finding in each tree, None where it is not."""

    key: SiteKey
    findings: tuple[Finding | None, ...]

    @property
    def state(self) -> ChangeState:
        if self.findings[0] is None:
            return ChangeState.INTRODUCED
        return ChangeState.REMOVED if self.findings[-1] is None else ChangeState.REMAINING

    @property
    def patch(self) -> int | None:
        """The last patch at which the site came or went."""
        if self.state is ChangeState.REMAINING:
            return None
        last = bool(self.findings[-1])
        for index in range(len(self.findings) - 1, 0, -1):
            if bool(self.findings[index - 1]) != last:
                return index
        return None


def _site_states(key: Key, snapshots: list[_Snapshot]) -> list[_SiteState]:
    """States of all sites of a hazard; sites that only come and go within are left out."""
    out: list[_SiteState] = []
    for site in sorted({s for snapshot in snapshots for s in snapshot.found.get(key, {})}):
        found = [snapshot.found.get(key, {}).get(site) for snapshot in snapshots]
        model = next(finding for finding in found if finding is not None)
        findings = tuple(
            finding if finding is not None else _still_there(model, snapshot)
            for finding, snapshot in zip(found, snapshots, strict=True)
        )
        if findings[0] is not None or findings[-1] is not None:
            out.append(_SiteState(site, findings))
    return out


def _still_there(model: Finding, snapshot: _Snapshot) -> Finding | None:
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


def _hazard(
    key: Key, sites: list[_SiteState], snapshots: list[_Snapshot], files: frozenset[str]
) -> Hazard:
    first = next(f for site in sites for f in site.findings if f is not None)
    states = {site.state for site in sites}
    if ChangeState.REMOVED in states:
        sites = [*sites, *_remaining(first, sites, snapshots, files)]
        states = {site.state for site in sites}
    describers = [Describer(snapshot.finder) for snapshot in snapshots]
    described = tuple(_site(site, describers) for site in sites)
    state = _overall(sites, snapshots[0].finder.view)
    deciding = next((s for s in sites if s.state is state), sites[0])
    shown = next(
        (n, f) for n, f in reversed(list(enumerate(deciding.findings))) if f is not None
    ) if state is not ChangeState.REMOVED else (0, deciding.findings[0] or first)  # fmt: skip
    describer, shown_in = describers[shown[0]], snapshots[shown[0]].finder.view
    return Hazard(
        kind=first.kind,
        grade=grade(shown_in, shown[1]),
        state=state,
        classes=first.classes,
        sites=described,
        scenario=describer.scenario(shown[1]),
        summary=describer.summary(shown[1]),
        condition=condition(shown_in, shown[1]),
        patch=max(
            (s.patch for s in sites if s.patch is not None and s.state is state), default=None
        ),
    )


def _overall(sites: Sequence[_SiteState], before: View) -> ChangeState:
    """A hazard stays while a site of it does, or when its sites only move.

    A fix that turns an order round has a new edge where the old one was, and a helper
    that is split up has its edges in its callers; a site in another function is new.
    """
    where: dict[ChangeState, set[Spot]] = {}
    for site in sites:
        where.setdefault(site.state, set()).add(site.key[0])
    removed = where.get(ChangeState.REMOVED, set())
    if where.get(ChangeState.INTRODUCED, set()) - removed - _neighbours(removed, before):
        return ChangeState.INTRODUCED
    return ChangeState.REMOVED if where.keys() == {ChangeState.REMOVED} else ChangeState.REMAINING


def _neighbours(spots: Iterable[Spot], view: View) -> set[Spot]:
    """Functions that call one of *spots*, or that they call."""
    numbers = [
        ref.id for file, name in spots for ref in view.functions_in(file) if ref.name == name
    ]
    own = np.array(numbers, np.int32)
    around = {*view.graph.callers(own)[0].tolist(), *view.graph.callees(own)[1].tolist()}
    refs = (view.function(number) for number in around)
    return {(ref.file, ref.name) for ref in refs if ref is not None}


def _remaining(
    model: Finding, known: list[_SiteState], snapshots: list[_Snapshot], files: frozenset[str]
) -> list[_SiteState]:
    """Further sites of a hazard, in the files the series changes, that it leaves alone."""
    if model.kind is HazardKind.LOCK_IMBALANCE or model.interrupted is not None:
        return []
    last = snapshots[-1].finder
    out: dict[SiteKey, _SiteState] = {}
    seen = {site.key for site in known}
    for leg in last.edges_in(files, model.leg.held, model.leg.target):
        for finding in last.close(leg):
            key = (finding.site, finding.via)
            if finding.key == model.key and key not in seen and key not in out:
                before = _still_there(finding, snapshots[0])
                if before is not None:
                    middle = [None] * (len(snapshots) - 2)
                    out[key] = _SiteState(key, (before, *middle, finding))
    return list(out.values())[:MAX_REMAINING]


def _site(site: _SiteState, describers: list[Describer]) -> Site:
    first, last = site.findings[0], site.findings[-1]
    (file, function), via = site.key
    return Site(
        function=function,
        file=file,
        via=via,
        state=site.state,
        before=_evidence(first, describers[0]),
        after=_evidence(last, describers[-1]),
        patch=site.patch,
    )


def _evidence(finding: Finding | None, describer: Describer) -> Evidence | None:
    return describer.evidence(finding) if finding is not None else None


def _verdict(hazards: tuple[Hazard, ...], claim: str) -> tuple[tuple[Hazard, ...], Verdict, str]:
    """The hazards to report, the verdict, and a clause that says why."""
    introduced = [h for h in hazards if h.state is ChangeState.INTRODUCED]
    removed = [h for h in hazards if h.state is ChangeState.REMOVED]
    partial = [
        h
        for h in hazards
        if h.state is ChangeState.REMAINING
        and any(site.state is ChangeState.REMOVED for site in h.sites)
        and not any(site.state is ChangeState.INTRODUCED for site in h.sites)
    ]
    touched = (*introduced, *partial, *removed)
    if introduced:
        return touched, Verdict.INTRODUCED, _count(introduced, "introduced")
    if partial:
        return touched, Verdict.PARTIALLY_REMOVED, "some sites are gone, others remain"
    if removed:
        return touched, Verdict.REMOVED, _count(removed, "gone")
    remaining = tuple(h for h in hazards if h.state is ChangeState.REMAINING)
    words = frozenset(_IDENTIFIER.findall(claim))
    named = tuple(h for h in remaining if claims_fix(claim) and _names(h, words))
    if named:
        reason = "the series speaks of a locking hazard that its functions are still part of"
        return named, Verdict.NOT_REMOVED, reason
    if remaining:
        reason = f"the hazards that its functions are part of ({len(remaining)}) are as they were"
        return (), Verdict.CLEAN, reason
    return (), Verdict.CLEAN, "nothing that the series changes is part of a hazard"


def _count(hazards: list[Hazard], what: str) -> str:
    sites = sum(len(hazard.sites) for hazard in hazards)
    many = f"{len(hazards)} hazards" if len(hazards) > 1 else "one hazard"
    return f"{many} {what}, {sites} site{'s' if sites > 1 else ''}"


def _stats(views: Sequence[View], changed: set[Spot], seconds: float) -> Stats:
    last = views[-1]
    files, functions = last.store.size()
    overlay = last.overlay
    capped = 0
    if overlay is not None:
        capped = sum(detail.capped for detail in overlay.details.values())
    return Stats(
        files=files,
        functions=functions,
        changed_functions=len(changed),
        locks=overlay.locks if overlay is not None else 0,
        unknown_locks=overlay.unknown if overlay is not None else 0,
        capped=capped,
        seconds=seconds,
    )
