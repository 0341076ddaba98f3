# SPDX-License-Identifier: GPL-2.0-or-later
"""Every shape of a reply: verdict, grade, and where in the series the finding is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reviewbot.locking.model import (
    ChangeState,
    Evidence,
    Grade,
    Hazard,
    HazardKind,
    Site,
    Verdict,
)
from reviewbot.report.model import Review
from reviewbot.series.model import Series

from . import builders
from .builders import GATE, patch_text, poll_after, review, single, three

GONE, LEFT, NEW = ChangeState.REMOVED, ChangeState.REMAINING, ChangeState.INTRODUCED
VERDICTS = {GONE: Verdict.REMOVED, LEFT: Verdict.NOT_REMOVED, NEW: Verdict.INTRODUCED}
DIFFS = {
    (Grade.CONDITIONAL, GONE): "both",
    (Grade.CONDITIONAL, LEFT): "close-only",
    (Grade.CONDITIONAL, NEW): "both-reverted",
    (Grade.DEFINITE, GONE): "poll-2-reverted",
    (Grade.DEFINITE, LEFT): "poll-1",
    (Grade.DEFINITE, NEW): "poll-2",
}
"""The patch that does so to a hazard of that grade."""
OTHER_LOCK = "struct frob.stat_lock"


def of(state: ChangeState, hazard: Hazard, number: int | None) -> Hazard:
    """The hazard with another fate, decided by that patch."""
    decided = None if state is LEFT else number

    def site_of(site: Site) -> Site:
        evidence: Evidence | None = site.after or site.before
        before = None if state is NEW else evidence
        after = None if state is GONE else evidence
        return replace(site, state=state, before=before, after=after, patch=decided)

    return replace(hazard, state=state, sites=tuple(map(site_of, hazard.sites)), patch=decided)


def hazard_of(grade: Grade, state: ChangeState, number: int, *, cover: bool) -> Hazard:
    """The gate's worker-pool-cycle or the poll's flush-cycle."""
    if grade is Grade.CONDITIONAL:
        sites = (builders.gate_site("frob_gate_open", GONE, GATE),)
        return of(state, builders.gate_hazard(GONE, sites), number)
    posted = {1, 3} if cover else {1}
    where = {GONE: {1, 2}, LEFT: posted | {2}, NEW: posted | {2}}[state]
    return of(state, builders.poll_hazard(poll_after(*where)), number)


def covered(diff: str) -> Series:
    """Three patches with a cover letter, the second with this diff."""
    whole = three()
    first, second, third = whole.patches
    return replace(whole, patches=(first, replace(second, diff=diff), third))


def shape(grade: Grade, state: ChangeState, *, cover: bool) -> Review:
    """A review of one hazard, in a lone patch or in patch 2 of 3."""
    diff = patch_text(DIFFS[grade, state])
    hazard = hazard_of(grade, state, 2 if cover else 1, cover=cover)
    series = covered(diff) if cover else single(diff)
    return review(series, VERDICTS[state], "as the checker says", [hazard])


def partially_removed_cover() -> Review:
    """Patch 2 of 3 deals with two of three sites."""
    made = builders.partially_removed()
    (hazard,) = made.hazards
    sites = tuple(replace(one, patch=2 if one.state is GONE else None) for one in hazard.sites)
    series = covered(patch_text("close-only"))
    return review(series, made.verdict, made.reason, [replace(hazard, sites=sites)])


def two_patches() -> Review:
    """Patch 3 of 3 brings another flush-cycle than patch 2."""
    made = builders.introduced()
    (first,) = made.hazards
    (site,) = first.sites
    assert site.after is not None
    moved = replace(site, patch=3, after=replace(site.after, line=site.after.line + 1))
    second = replace(
        first, classes=("struct frob.other_lock", builders.POLL_WORK), sites=(moved,), patch=3
    )
    return replace(made, hazards=(first, second))


def one_cause() -> Review:
    """Two locks are held over the same wait: one remark."""
    made = builders.introduced()
    (first,) = made.hazards
    (site,) = first.sites
    assert site.after is not None
    taken = replace(site.after.chain[0], line=site.after.chain[0].line - 1, lock=OTHER_LOCK)
    chain = (taken, *site.after.chain[1:])
    second = replace(
        first,
        kind=HazardKind.FLUSH_CYCLE,
        classes=(OTHER_LOCK, builders.POLL_WORK),
        sites=(replace(site, after=replace(site.after, chain=chain)),),
    )
    return replace(made, hazards=(first, second))


def outside() -> Review:
    """Besides what the series brings there is a hazard that it found there."""
    made = builders.introduced()
    (old,) = builders.not_removed().hazards
    return replace(made, hazards=(*made.hazards, old))


def incomplete() -> Review:
    """Patch 3 of 3 never came, and what did come was looked at."""
    made = builders.introduced()
    series = replace(made.series, patches=made.series.patches[:2], missing=(3,))
    reason = f"only patches 1 to 2 were looked at, as patch 3 of 3 did not arrive: {made.reason}"
    return replace(made, series=series, reason=reason)


GOLDEN: dict[str, Callable[[], Review]] = {
    "removed": builders.removed,
    "one-site": builders.one_site,
    "partially-removed": builders.partially_removed,
    "introduced": builders.introduced,
    "not-removed": builders.not_removed,
    "clean": builders.clean,
    "conflict": builders.conflict,
    "already-applied": builders.already_applied,
    "repaired": builders.repaired,
    "missing": builders.missing,
    "not-reviewable": builders.not_reviewable,
    "long-chain": builders.long_chain,
    "unicode-names": builders.unicode_names,
    "next-version": builders.next_version,
    "removed-definite": lambda: shape(Grade.DEFINITE, GONE, cover=False),
    "removed-definite-cover": lambda: shape(Grade.DEFINITE, GONE, cover=True),
    "removed-conditional-cover": lambda: shape(Grade.CONDITIONAL, GONE, cover=True),
    "not-removed-definite": lambda: shape(Grade.DEFINITE, LEFT, cover=False),
    "not-removed-conditional-cover": lambda: shape(Grade.CONDITIONAL, LEFT, cover=True),
    "introduced-definite": lambda: shape(Grade.DEFINITE, NEW, cover=False),
    "introduced-conditional": lambda: shape(Grade.CONDITIONAL, NEW, cover=False),
    "introduced-conditional-cover": lambda: shape(Grade.CONDITIONAL, NEW, cover=True),
    "partially-removed-cover": partially_removed_cover,
    "one-cause": one_cause,
    "outside": outside,
    "two-patches": two_patches,
    "incomplete": incomplete,
}
"""Every golden mail and the review it is made of."""
