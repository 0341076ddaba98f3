# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare the trees before and after each patch of a series.

A hazard is known by its kind and classes, a site of it by function and callee,
so what moved a few lines is the same.  Only functions that the series changes
are looked at, and hazards that run through them; the rest of the tree is context.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from difflib import SequenceMatcher
from functools import partial
from itertools import chain, pairwise

import numpy as np

from reviewbot.locking.claims import (
    claims_fix,
    is_named,
    kinds_spoken_of,
    names_something,
    speaks_of_locking,
    speaks_of_rt,
    stands_on,
    words_of,
)
from reviewbot.locking.cycle import cycle
from reviewbot.locking.describe import Describer
from reviewbot.locking.grade import condition, grade
from reviewbot.locking.history import (
    EVERY,
    History,
    SiteKey,
    SiteState,
    neighbours,
    numbers,
    still_there,
    wiring,
)
from reviewbot.locking.legs import Finding, Spot
from reviewbot.locking.limits import ASKED, WAITED, Limits
from reviewbot.locking.linked import LinkedFunction
from reviewbot.locking.model import (
    ChangeState,
    Comparison,
    Evidence,
    Grade,
    Hazard,
    HazardKind,
    Site,
    Stats,
    Verdict,
)
from reviewbot.locking.renames import settled
from reviewbot.locking.symbols import FunctionRef
from reviewbot.locking.view import View

_FAR = (
    "The proof is a long one, or rests on less than others; it is shown because the series speaks"
    " of locking and takes the hazard away."
)
MAX_ON_BEHALF = 40
"""Callers of a function up to which what it does for them is looked at in each."""
MAX_GONE = 12
"""Hazards up to which a long proof is believed: a fault in more places would have been met."""
MAX_AWAITED = 3
"""The same of a wait that is far from closing a cycle: a fix knows of the one that it takes out."""
MAX_LINES = 4000
"""Lines of two versions of a function in which it is told what only moves."""
MAX_REMAINING = 12
"""Sites listed of a hazard that stays in the files a series changes."""


def compare(views: Sequence[View], files: Iterable[str], claim: str) -> Comparison:
    """Say what a series does to the hazards that its changes touch.

    *views* are the trees before the series and after each patch; *files* the source
    files it changes; *claim* what it says of itself, which may be that it fixes a
    deadlock.
    """
    started = time.monotonic()
    paths = frozenset(files)
    changed = touched_functions(views, paths)
    hazards = tuple(_hazards(History(views, changed), paths))
    meant = _meant(claim, views, changed)
    reported, verdict, reason = judge(hazards, meant)
    short = len(views) <= EVERY  # as fixes are; the time of a long one is better spent
    if short and _is_unanswered(claim, reported, verdict):
        kinds = kinds_spoken_of(claim) if verdict is Verdict.REMOVED else set(HazardKind)
        for limits, most in _further(claim):
            found = _hazards(History(views, changed, limits), paths)
            gone = [_far_fetched(h) for h in found if h.kind in kinds and _only_gone(h)]
            if 0 < len(gone) <= most:
                reported, verdict, reason = judge([*reported, *gone], meant)
                break
    return Comparison(
        verdict=verdict,
        reason=reason,
        hazards=reported,
        changed=tuple(sorted(changed)),
        stats=_stats(views, changed, time.monotonic() - started),
    )


def _meant(
    claim: str, views: Sequence[View], changed: AbstractSet[Spot]
) -> Callable[[Hazard], bool]:
    """Which of the hazards that stay a series says that it takes away."""
    if not claims_fix(claim):
        return lambda _: False
    if names_something(claim):
        return partial(is_named, text=claim)
    words = _changed_words(views if len(views) <= EVERY else (views[0], views[-1]), changed)
    return partial(stands_on, words=words)


def _is_unanswered(claim: str, reported: Iterable[Hazard], verdict: Verdict) -> bool:
    """Whether a series speaks of locking, and nothing was found of what it speaks of."""
    if verdict is Verdict.REMOVED:
        kinds = kinds_spoken_of(claim)
        return bool(kinds) and not any(hazard.kind in kinds for hazard in reported)
    return verdict in (Verdict.CLEAN, Verdict.NOT_REMOVED) and speaks_of_locking(claim)


def _further(claim: str) -> Iterator[tuple[Limits, int]]:
    """How far to look again for what *claim* speaks of, and for how many hazards at most."""
    yield replace(ASKED, rt=speaks_of_rt(claim)), MAX_GONE
    if claims_fix(claim):
        yield WAITED, MAX_AWAITED


def _only_gone(hazard: Hazard) -> bool:
    """Whether a series takes sites of a hazard away, and brings none; all, if it takes three.

    Of three who have to meet, each may be kept out by what is not seen: where some of their
    sites stay, the tree has lived with them.
    """
    states = {site.state for site in hazard.sites}
    if len(hazard.classes) > 2 and hazard.state is not ChangeState.REMOVED:
        return False
    return ChangeState.REMOVED in states and ChangeState.INTRODUCED not in states


def _far_fetched(hazard: Hazard) -> Hazard:
    """A hazard whose proof is believed only since the series speaks of such things."""
    condition = f"{hazard.condition} {_FAR}".strip()
    return replace(hazard, grade=Grade.CONDITIONAL, condition=condition)


def touched_functions(views: Sequence[View], files: frozenset[str]) -> set[Spot]:
    """Functions that a series changes; if it takes back what it does, those that it touched."""
    changed = changed_functions((views[0], views[-1]), files)
    if not changed and len(views) <= EVERY:
        changed = changed_functions(list(views), files)
    return changed | _on_behalf(changed, (views[0], views[-1]))


def _on_behalf(changed: Iterable[Spot], views: Iterable[View]) -> set[Spot]:
    """Callers for whom *changed* functions block: what on, only the callers' words tell."""
    out: set[Spot] = set()
    for view in views:
        level = [n for found in numbers(view, set(changed)).values() for n in found]
        while level := [n for n in level if (ref := view.function(n)) and _touches(ref)]:
            up = set(view.graph.callers(np.array(level, np.int32))[0].tolist())
            if len(up) > MAX_ON_BEHALF:
                break
            refs = [ref for n in sorted(up) if (ref := view.function(n)) is not None]
            new = [ref for ref in refs if (ref.file, ref.name) not in out]
            out.update((ref.file, ref.name) for ref in new)
            level = [ref.id for ref in new]
    return out


def _touches(ref: FunctionRef) -> bool:
    return ref.effects is not None and bool(ref.effects.touches)


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


def _changed_words(views: Sequence[View], changed: AbstractSet[Spot]) -> frozenset[str]:
    """The words on the lines of *changed* functions that two trees next to each other differ in."""
    out: set[str] = set()
    for path in {file for file, _ in changed}:
        versions = [_bodies(view, path) for view in views]
        for name in {name for file, name in changed if file == path}:
            for before, after in pairwise(bodies.get(name, []) for bodies in versions):
                out |= words_of(_differing_lines(before, after))
    return frozenset(out)


def _differing_lines(before: list[str], after: list[str]) -> Iterable[str]:
    """The lines that two versions of a function do not share, those that move among them."""
    if len(before) + len(after) > MAX_LINES:
        return set(before) ^ set(after)
    blocks = SequenceMatcher(None, before, after).get_opcodes()
    changed = [block for block in blocks if block[0] != "equal"]
    return chain.from_iterable((*before[a:b], *after[c:d]) for _, a, b, c, d in changed)


def _texts(view: View, path: str) -> dict[str, str]:
    return {name: " ".join(lines) for name, lines in _bodies(view, path).items()}


def _bodies(view: View, path: str) -> dict[str, list[str]]:
    """The lines of each function of a file, without what only sets them apart."""
    out: dict[str, list[str]] = {}
    for ref in view.functions_in(path):
        own = (" ".join(line.split()) for line in view.body_of(ref))
        out.setdefault(ref.name, []).extend(filter(None, own))
    return out


def _forms(view: View, path: str) -> dict[str, tuple[object, ...]]:
    """What each function of a file is to the graph, without line numbers."""
    out: dict[str, tuple[object, ...]] = {}
    for ref in view.functions_in(path):
        detail = view.detail(ref.id)
        out[ref.name] = (*out.get(ref.name, ()), _form(detail), *wiring(view, ref.id))
    return out


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


def _hazards(history: History, files: frozenset[str]) -> list[Hazard]:
    keys = sorted(history.keys(), key=lambda key: (key[0], sorted(key[1])))
    states = [sites for key in keys if (sites := history.sites(key))]
    found = [_hazard(sites, history, files) for sites in states]
    return settled(found, history.first.finder.view, history.last.finder.view)


def _hazard(sites: list[SiteState], history: History, files: frozenset[str]) -> Hazard:
    first = sites[0].model
    if any(site.state is ChangeState.REMOVED for site in sites):
        sites = [*sites, *_remaining(first, sites, history, files)]
    before, after = Describer(history.first.finder), Describer(history.last.finder)
    state = _overall(sites, (history.first.finder.view, history.last.finder.view))
    deciding = next((s for s in sites if s.state is state), sites[0])
    gone = state is ChangeState.REMOVED or deciding.after is None
    shown = deciding.model if gone else deciding.after or first
    describer, view = (before, history.first) if gone else (after, history.last)
    shown_in = view.finder.view
    return Hazard(
        kind=first.kind,
        grade=grade(shown_in, shown),
        state=state,
        classes=first.classes,
        sites=tuple(_site(site, before, after) for site in sites),
        scenario=describer.scenario(shown),
        summary=describer.summary(shown),
        condition=condition(shown_in, shown),
        patch=max(
            (s.patch for s in sites if s.patch is not None and s.state is state), default=None
        ),
        edges=cycle(shown, sites, history),
    )


def _overall(sites: Sequence[SiteState], views: Sequence[View]) -> ChangeState:
    """A hazard stays while a site of it does, or when its sites only move.

    A fix that turns an order round has a new edge where the old one was, a helper that
    is split up has its edges in its callers, and one that is split off has those of the
    function it was part of; a lock may have been held by a caller before.  A site in
    another function is new.
    """
    where: dict[ChangeState, set[Spot]] = {}
    for site in sites:
        where.setdefault(site.state, set()).add(site.key[0])
    removed = where.get(ChangeState.REMOVED, set())
    around = removed.union(*(neighbours(removed, view) for view in views))
    new = [s for s in sites if s.state is ChangeState.INTRODUCED and s.key[0] not in around]
    if not all(_was_held_above(site.model, views[0]) for site in new):
        return ChangeState.INTRODUCED
    return ChangeState.REMOVED if where.keys() == {ChangeState.REMOVED} else ChangeState.REMAINING


def _was_held_above(finding: Finding, before: View) -> bool:
    """Whether callers of a site's function held over it what it takes itself now."""
    node = before.node(finding.leg.held)
    if node is None or finding.leg.function < 0 or finding.imbalance is not None:
        return False
    file, name = finding.site
    own = [ref.id for ref in before.functions_in(file) if ref.name == name]
    return node in before.graph.held_into(np.array(own, np.int32))[0].tolist()


def _remaining(
    model: Finding, known: list[SiteState], history: History, files: frozenset[str]
) -> list[SiteState]:
    """Further sites of a hazard, in the files the series changes, that it leaves alone."""
    if model.kind is HazardKind.LOCK_IMBALANCE or model.interrupted is not None:
        return []
    last = history.last.finder
    out: dict[SiteKey, SiteState] = {}
    seen = {site.key for site in known}
    for leg in last.edges_in(files, model.leg.held, model.leg.target):
        for finding in last.close(leg):
            key = (finding.site, finding.via)
            if finding.key == model.key and key not in seen and key not in out:
                before = still_there(finding, history.first)
                if before is not None:
                    out[key] = SiteState(key, before, finding)
    return list(out.values())[:MAX_REMAINING]


def _site(site: SiteState, before: Describer, after: Describer) -> Site:
    (file, function), via = site.key
    return Site(
        function=function,
        file=file,
        via=via,
        state=site.state,
        before=_evidence(site.before, before),
        after=_evidence(site.after, after),
        patch=site.patch,
    )


def _evidence(finding: Finding | None, describer: Describer) -> Evidence | None:
    return describer.evidence(finding) if finding is not None else None


def judge(
    hazards: Sequence[Hazard], meant: Callable[[Hazard], bool]
) -> tuple[tuple[Hazard, ...], Verdict, str]:
    """The hazards to report, the verdict, and a clause that says why.

    *meant* says of a hazard that stays whether the series says that it goes.
    """
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
    named = tuple(h for h in remaining if meant(h))
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
