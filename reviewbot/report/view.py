# SPDX-License-Identifier: GPL-2.0-or-later
"""A review as the reply's template sees it: strings that are fit to print.

The template holds the words, this module the choice of what is shown.  Every
string in here has been through :mod:`reviewbot.report.clean`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from reviewbot.kernel.model import Application, ApplyState, Conflict, PatchApplication
from reviewbot.locking.model import (
    Chain,
    ChangeState,
    Evidence,
    Grade,
    Hazard,
    Site,
    Step,
    Verdict,
)
from reviewbot.report.clean import prose, quoted
from reviewbot.report.facts import Fact, facts, listed, missing, numbered, reproduce, short_id
from reviewbot.report.inline import FileDiff, Passage, file_diffs, passages, trimmed
from reviewbot.report.layout import LINE_LIMIT, chain_lines
from reviewbot.report.model import Review
from reviewbot.report.proof import cycle_line, scenario_text
from reviewbot.report.since import sentence
from reviewbot.series.model import Series

HAZARDS_SHOWN = 5
SITES_SHOWN = 8
CONTEXTS_SHOWN = 3
FAILED_HUNK_LINES = 20

_ORDER = (ChangeState.INTRODUCED, ChangeState.REMAINING, ChangeState.REMOVED)


@dataclass(frozen=True, slots=True)
class SiteView:
    """One site and its chains; an empty chain means that there is no such path."""

    function: str
    via: str
    file: str
    state: ChangeState
    patch: str
    """Empty in a series of one patch."""
    before: tuple[str, ...]
    after: tuple[str, ...]
    same: bool
    """Both trees have the same path, but for its line numbers."""


@dataclass(frozen=True, slots=True)
class PassageView:
    """A quoted hunk and the sites under it."""

    patch: str
    """``2/3``, empty in a series of one patch or where nothing is quoted."""
    subject: str
    quote: tuple[str, ...]
    sites: tuple[SiteView, ...]


@dataclass(frozen=True, slots=True)
class HazardView:
    """One hazard with everything that is printed of it."""

    id: str
    kind: str
    grade: Grade
    state: ChangeState
    patch: str
    cycle: str
    summary: str
    condition: str
    scenario: tuple[str, ...]
    closing: tuple[tuple[str, tuple[str, ...]], ...]
    """(context, chain lines) of the other contexts, those of all sites together."""
    more_contexts: int
    passages: tuple[PassageView, ...]
    more_sites: int


@dataclass(frozen=True, slots=True)
class FailureView:
    """The patch that did not go on."""

    patch: str
    subject: str
    state: str
    path: str
    reason: str
    quote: tuple[str, ...]
    rest: int
    """Patches after it, which were not tried."""
    touched_by: str = ""
    """The commit of the base that last touched what the hunk wanted, as commits are cited."""
    applies_to: str = ""
    """A tag or branch on which the series applies, and its commit."""


@dataclass(frozen=True, slots=True)
class ReviewView:
    """Everything the template may print."""

    verdict: Verdict
    reason: str
    since: str
    """What became of an older version's hazards; empty if there is nothing to say."""
    facts: tuple[Fact, ...]
    failure: FailureView | None
    missing: str
    """"patch 2/3", "patches 2/4 and 3/4", or empty."""
    base_named: bool
    """The series says which commit it was made on."""
    hazards: tuple[HazardView, ...]
    more_hazards: int
    patterns: int
    """Hazards, shown or not."""
    removed: int
    """Sites that are gone."""
    present: int
    """Sites that were there before."""
    left_in: str
    new_in: str
    gone_from: str
    locks: int
    unknown_locks: int
    capped: int
    reproduce: str
    version: str


def view(review: Review) -> ReviewView:
    """Choose and clean what the reply shows of a review."""
    hazards = sorted(review.hazards, key=lambda hazard: _ORDER.index(hazard.state))
    sites = [site for hazard in hazards for site in hazard.sites]
    diffs = file_diffs(review.application)
    series = review.series
    removed = [site for site in sites if site.state is ChangeState.REMOVED]
    left = [site for site in sites if site.state is ChangeState.REMAINING]
    return ReviewView(
        verdict=review.verdict,
        reason=prose(review.reason, 600).rstrip("."),
        since=sentence(review.since, series) if review.since else "",
        facts=facts(review),
        failure=_failure(review),
        missing=missing(series),
        base_named=series.base_commit is not None,
        hazards=tuple(_hazard(hazard, diffs, series) for hazard in hazards[:HAZARDS_SHOWN]),
        more_hazards=max(0, len(hazards) - HAZARDS_SHOWN),
        patterns=len(hazards),
        removed=len(removed),
        present=len(removed) + len(left),
        left_in=_functions(left),
        new_in=_functions(site for site in sites if site.state is ChangeState.INTRODUCED),
        gone_from=_functions(removed),
        locks=review.stats.locks,
        unknown_locks=review.stats.unknown_locks,
        capped=review.stats.capped,
        reproduce=reproduce(review),
        version=prose(review.tool_version, 40),
    )


def _functions(sites: Iterable[Site]) -> str:
    return listed(list(dict.fromkeys(f"{prose(site.function)}()" for site in sites)))


def _hazard(hazard: Hazard, diffs: tuple[FileDiff, ...], series: Series) -> HazardView:
    closing = _closing(hazard)
    shown, more = _first_sites(passages(hazard, diffs))
    return HazardView(
        id=hazard.id,
        kind=hazard.kind.value,
        grade=hazard.grade,
        state=hazard.state,
        patch=_patch(hazard.patch, series),
        cycle=cycle_line(hazard.kind, hazard.classes),
        summary=prose(hazard.summary, 1200),
        condition=prose(hazard.condition, 1200),
        scenario=scenario_text(hazard.scenario),
        closing=tuple(
            (prose(chain.context, LINE_LIMIT), chain_lines(chain.steps, indent=4))
            for chain in closing[:CONTEXTS_SHOWN]
        ),
        more_contexts=max(0, len(closing) - CONTEXTS_SHOWN),
        passages=_passages(shown, series),
        more_sites=more,
    )


def _patch(index: int | None, series: Series) -> str:
    return "" if index is None else numbered(index, series)


def _closing(hazard: Hazard) -> list[Chain]:
    """The other contexts' chains of all sites, each once, of the newest tree that has it."""
    chains: dict[tuple[str, tuple[tuple[str, ...], ...]], Chain] = {}
    for site in hazard.sites:
        evidence = site.after or site.before
        for chain in evidence.closing if evidence else ():
            chains.setdefault((chain.context, _path(chain.steps)), chain)
    return list(chains.values())


def _path(steps: Iterable[Step]) -> tuple[tuple[str, ...], ...]:
    """What a chain is but for its line numbers."""
    return tuple((step.function, step.file, step.what, step.lock) for step in steps)


def _first_sites(all_passages: tuple[Passage, ...]) -> tuple[list[Passage], int]:
    """The first sites, under their hunks, and how many are left out."""
    shown: list[Passage] = []
    room = SITES_SHOWN
    for passage in all_passages:
        sites = passage.sites[:room]
        if sites:
            shown.append(replace(passage, sites=sites))
            room -= len(sites)
    return shown, sum(len(passage.sites) for passage in all_passages) - (SITES_SHOWN - room)


def _passages(shown: list[Passage], series: Series) -> tuple[PassageView, ...]:
    subjects = {patch.index: prose(patch.subject, 120) for patch in series.patches}
    made, told, title = [], None, ""
    for passage in shown:
        new_patch = passage.patch is not None and passage.patch != told and series.expected > 1
        new_file = bool(passage.quote) and (new_patch or passage.title != title)
        head = (quoted(passage.title),) if new_file else ()
        made.append(
            PassageView(
                patch=_patch(passage.patch, series) if new_patch else "",
                subject=subjects.get(passage.patch or 0, "") if new_patch else "",
                quote=(*head, *passage.quote),
                sites=tuple(_site(site, series) for site in passage.sites),
            )
        )
        if passage.quote:
            told, title = passage.patch, passage.title
    return tuple(made)


def _site(site: Site, series: Series) -> SiteView:
    return SiteView(
        function=prose(site.function),
        via=prose(site.via),
        file=prose(site.file),
        state=site.state,
        patch=_patch(site.patch, series) if series.expected > 1 else "",
        before=_chain(site.before),
        after=_chain(site.after),
        same=_same(site.before, site.after),
    )


def _chain(evidence: Evidence | None) -> tuple[str, ...]:
    return chain_lines(evidence.chain) if evidence else ()


def _same(before: Evidence | None, after: Evidence | None) -> bool:
    if before is None or after is None:
        return False
    return _path(before.chain) == _path(after.chain)


def _failure(review: Review) -> FailureView | None:
    failed = _failed_patch(review.application)
    if failed is None:
        return None
    series, failure = review.series, failed.failure
    conflict = review.application.conflict if review.application else None
    return FailureView(
        patch=numbered(failed.index, series),
        subject=prose(failed.subject, 120),
        state=failed.state.value,
        path=prose(failure.path) if failure else "",
        reason=prose(failure.reason).rstrip(".") if failure else "",
        quote=_failed_hunk(failed),
        rest=sum(patch.index > failed.index for patch in series.patches),
        touched_by=_touched_by(conflict) if conflict else "",
        applies_to=_applies_to(conflict) if conflict else "",
    )


def _touched_by(conflict: Conflict) -> str:
    if not conflict.commit:
        return ""
    return f'{short_id(conflict.commit)} ("{prose(conflict.subject, 120)}")'


def _applies_to(conflict: Conflict) -> str:
    name, commit = prose(conflict.applies_to, 80), short_id(conflict.applies_commit)
    return f"{name} ({commit})" if name and not commit.startswith(name) else commit


def _failed_patch(application: Application | None) -> PatchApplication | None:
    """The patch that gave the series its state; one the base had before is no failure."""
    if application is None or application.state is ApplyState.APPLIED:
        return None
    return next((one for one in application.patches if one.state is application.state), None)


def _failed_hunk(failed: PatchApplication) -> tuple[str, ...]:
    if failed.failure is None or not failed.failure.hunk:
        return ()
    lines = failed.failure.hunk[:20_000].splitlines()
    half = FAILED_HUNK_LINES // 2
    ends = [number for number in range(len(lines)) if min(number, len(lines) - 1 - number) < half]
    if len(ends) == len(lines):
        return tuple(map(quoted, lines))
    return trimmed(lines, ends, limit=FAILED_HUNK_LINES)
