# SPDX-License-Identifier: GPL-2.0-or-later
"""A review as the reply's template sees it: strings that are fit to print.

The template holds the words, this module the choice of what is shown.  Every
string in here has been through :mod:`reviewbot.report.clean`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reviewbot.kernel.model import Application, ApplyState, Conflict, PatchApplication
from reviewbot.locking.model import (
    ChangeState,
    Site,
    Verdict,
)
from reviewbot.report.clean import prose, quoted
from reviewbot.report.facts import Fact, facts, listed, missing, numbered, reproduce, short_id
from reviewbot.report.inline import file_diffs, trimmed
from reviewbot.report.model import Review
from reviewbot.report.remarks import DETAILS, Detail, RemarkView, remarks
from reviewbot.report.since import sentence

HAZARDS_SHOWN = 5
FAILED_HUNK_LINES = 20

_ORDER = (ChangeState.INTRODUCED, ChangeState.REMAINING, ChangeState.REMOVED)


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
    more_facts: int
    failure: FailureView | None
    missing: str
    """"patch 2/3", "patches 2/4 and 3/4", or empty."""
    base_named: bool
    """The series says which commit it was made on."""
    remarks: tuple[RemarkView, ...]
    more_hazards: int
    patterns: int
    """Hazards, shown or not."""
    fresh: int
    """Those of them that the series brings."""
    brought: int
    """Sites that are new."""
    removed: int
    """Sites that are gone."""
    present: int
    """Sites that were there before."""
    left_in: str
    new_in: str
    gone_from: str
    functions: int
    """Functions that the series changes."""
    locks: int
    unknown_locks: int
    capped: int
    reproduce: str
    version: str


def view(review: Review, detail: Detail = DETAILS[0], answered: int | None = None) -> ReviewView:
    """Choose and clean what the reply shows of a review.

    ``answered`` is the patch that the reply stands under, which need not be named again.
    """
    hazards = sorted(review.hazards, key=lambda hazard: _ORDER.index(hazard.state))
    sites = [site for hazard in hazards for site in hazard.sites]
    series = review.series
    new, left, removed = ([site for site in sites if site.state is state] for state in _ORDER)
    diffs = file_diffs(review.application)
    return ReviewView(
        verdict=review.verdict,
        reason=prose(review.reason, min(600, detail.prose)).rstrip("."),
        since=sentence(review.since, series) if review.since else "",
        facts=facts(review)[: detail.facts],
        more_facts=max(0, len(facts(review)) - detail.facts),
        failure=_failure(review, min(FAILED_HUNK_LINES, 2 * detail.quote)),
        missing=missing(series),
        base_named=series.base_commit is not None,
        remarks=remarks(hazards[:HAZARDS_SHOWN], series, diffs, detail, answered),
        more_hazards=max(0, len(hazards) - HAZARDS_SHOWN),
        patterns=len(hazards),
        fresh=sum(hazard.state is ChangeState.INTRODUCED for hazard in hazards),
        brought=_count(new),
        removed=_count(removed),
        present=_count(removed) + _count(left),
        left_in=_functions(left),
        new_in=_functions(new),
        gone_from=_functions(removed),
        functions=review.stats.changed_functions,
        locks=review.stats.locks,
        unknown_locks=review.stats.unknown_locks,
        capped=review.stats.capped,
        reproduce=reproduce(review),
        version=prose(review.tool_version, 40),
    )


def _count(sites: Iterable[Site]) -> int:
    """How many places these are: hazards of one call share theirs."""
    return len(
        {
            (s.file, s.function, s.via, s.before and s.before.line, s.after and s.after.line)
            for s in sites
        }
    )


def _functions(sites: Iterable[Site]) -> str:
    return listed(list(dict.fromkeys(f"{prose(site.function)}()" for site in sites)))


def _failure(review: Review, lines: int) -> FailureView | None:
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
        quote=_failed_hunk(failed, lines),
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


def _failed_hunk(failed: PatchApplication, limit: int) -> tuple[str, ...]:
    if failed.failure is None or not failed.failure.hunk:
        return ()
    lines = failed.failure.hunk[:20_000].splitlines()
    half = limit // 2
    ends = [number for number in range(len(lines)) if min(number, len(lines) - 1 - number) < half]
    if len(ends) == len(lines):
        return tuple(map(quoted, lines))
    return trimmed(lines, ends, limit=limit)
