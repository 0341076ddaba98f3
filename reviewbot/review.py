# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of a series through the house: posted, applied, checked, judged.

Nothing here decides anything by itself; each step belongs to a room, and this
page shows their order.  The steps may run apart, each in a process of its own:
what goes between them are frozen values that msgspec can encode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from reviewbot.kernel.apply import apply_series
from reviewbot.kernel.base import choose_base
from reviewbot.kernel.check import ApplyLimits
from reviewbot.kernel.conflict import explain_conflict
from reviewbot.kernel.mirror import Mirror
from reviewbot.kernel.model import Application, ApplyState, Base, PrerequisiteState
from reviewbot.kernel.prerequisites import apply_prerequisites, find_in_base
from reviewbot.kernel.range import range_patches
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.locking.compare import compare
from reviewbot.locking.index import Progress, Settings, is_source, quiet
from reviewbot.locking.model import Comparison, Hazard, Stats, Verdict
from reviewbot.locking.sightings import Known
from reviewbot.locking.trees import consult
from reviewbot.locking.view import View
from reviewbot.report.excerpts import Excerpts, excerpts
from reviewbot.report.model import Review
from reviewbot.series.assemble import assemble
from reviewbot.series.model import Prerequisite, Series


@dataclass(frozen=True, slots=True)
class Options:
    """What a review needs beside the series."""

    tree: Path
    """The kernel repository; only read."""
    settings: Settings
    base: str | None = None
    """A revision to apply to, instead of what the series says."""
    branch: str = ""
    """Where the list's patches go when nothing better is known, such as ``kvm/next``."""
    prerequisites: tuple[Prerequisite, ...] = ()
    """What the series is built on, as far as it was found, in the order to apply."""
    mirror: Mirror | None = None
    """Where what the tree has not is fetched from."""
    limits: ApplyLimits = field(default_factory=ApplyLimits)
    progress: Progress = quiet


def review_series(series: Series, options: Options) -> Review:
    """Review a posted series on the kernel repository of *options*: all steps in a row.

    Raises :class:`~reviewbot.errors.TreeError` if the repository or the base is not
    there; a series that does not apply is a verdict, not an error.
    """
    with Repository.open(options.tree, options.mirror) as repository:
        return _review(series, repository, options, base_of(series, repository, options))


def settle_base(series: Series, options: Options) -> Base:
    """The first step: what the series is to be applied to."""
    with Repository.open(options.tree, options.mirror) as repository:
        return base_of(series, repository, options)


def review_on(
    series: Series, base: Base, options: Options, application: Application | None = None
) -> Review:
    """The third step: compare the locking on *base* with that after the series.

    *application* is what :func:`applied`, the second step, gave. Its trees are gone
    with the process that made them, so a series that did go on is applied again.
    """
    if application is not None and not _can_be_checked(application):
        return _not_applied(series, base, application)
    with Repository.open(options.tree, options.mirror) as repository:
        return _review(series, repository, options, base)


def review_range(revisions: str, options: Options) -> Review:
    """Review the commits of ``A..B`` in the repository itself, before they are posted."""
    with Repository.open(options.tree, options.mirror) as repository:
        patches = range_patches(repository, revisions)
        series = assemble(patches.mbox, wanted=None, source=revisions)
        if options.base is not None:
            return _review(series, repository, options, base_of(series, repository, options))
        base = choose_base(repository, series, patches.base)
        return _review(series, repository, options, replace(base, why=f"where {revisions} starts"))


def base_of(series: Series, repository: Repository, options: Options) -> Base:
    """What an open repository has for the series to be applied to."""
    return choose_base(repository, series, options.base, options.branch, options.prerequisites)


def applied(
    repository: Repository, scratch: Scratch, series: Series, base: Base, options: Options
) -> Application:
    """What comes of the series on the base, on top of what it is built on."""
    limits, below = options.limits, options.prerequisites
    start, results = apply_prerequisites(scratch, base, below, limits)
    application = apply_series(scratch, replace(base, tree=start), series, limits)
    conflict = explain_conflict(repository, scratch, base, series, application, limits)
    results = find_in_base(repository, base, results, series.patches)
    return replace(application, start=start, prerequisites=results, conflict=conflict)


def _review(series: Series, repository: Repository, options: Options, base: Base) -> Review:
    with Scratch(repository) as scratch:
        application = applied(repository, scratch, series, base, options)
        if not _can_be_checked(application):
            return _not_applied(series, base, application)
        comparison, source = _check(scratch, series, base, application, options)
    return Review(
        series=series,
        verdict=comparison.verdict,
        reason=_so_far(series, application) + comparison.reason,
        base=base,
        application=application,
        hazards=comparison.hazards,
        stats=comparison.stats,
        excerpts=source,
    )


def _check(
    scratch: Scratch, series: Series, base: Base, application: Application, options: Options
) -> tuple[Comparison, Excerpts]:
    """Compare the tree before the series with the tree after each of its patches."""
    trees, files = changed_trees(scratch, base, application)
    if not files:
        reason = "it changes no kernel C source"
        return Comparison(Verdict.CLEAN, reason, (), (), Stats()), Excerpts()

    def ask(views: Sequence[View]) -> tuple[Comparison, Excerpts]:
        found = compare(views, files, series.words)
        return found, excerpts(found.hazards, views[0].source, views[-1].source)

    return consult(scratch, options.settings, options.progress, trees, ask)


def changed_trees(
    scratch: Scratch, base: Base, application: Application
) -> tuple[list[str], frozenset[str]]:
    """The trees before a series and after each of its patches, and the sources it changes."""
    before = application.start or base.tree
    after = [patch.tree for patch in application.patches if patch.tree is not None]
    files = {
        change.path
        for old, new in pairwise([before, *after])
        for change in scratch.diff_trees(old, new)
        if is_source(change.path)
    }
    return [before, *after], frozenset(files)


def known_of(hazard: Hazard) -> Known:
    """Where a hazard of a review is, for who asks about it later."""
    spots = dict.fromkeys((site.file, site.function) for site in hazard.sites)
    return Known(hazard.kind, hazard.classes, tuple(spots))


def _can_be_checked(application: Application) -> bool:
    """Whether the series went on, or did as far as it arrived."""
    if application.state is ApplyState.MISSING_PATCH:
        return any(patch.tree is not None for patch in application.patches)
    return application.state is ApplyState.APPLIED


def _so_far(series: Series, application: Application) -> str:
    """What comes before the reason for a verdict on a part of a series."""
    if application.state is ApplyState.APPLIED:
        return ""
    last = max(patch.index for patch in application.patches if patch.tree is not None)
    seen = "patch 1 was" if last == 1 else f"patches 1 to {last} were"
    return f"only {seen} looked at, as {_absent(series)}: "


def _absent(series: Series) -> str:
    missing = ", ".join(str(index) for index in series.missing)
    return f"patch {missing} of {series.expected} did not arrive"


_UNREVIEWABLE = frozenset({ApplyState.REFUSED, ApplyState.MISSING_PATCH})


def _not_applied(series: Series, base: Base, application: Application) -> Review:
    reviewable = application.state not in _UNREVIEWABLE
    return Review(
        series=series,
        verdict=Verdict.DOES_NOT_APPLY if reviewable else Verdict.NOT_REVIEWABLE,
        reason=_why_not(series, application),
        base=base,
        application=application,
        hazards=(),
        stats=Stats(),
    )


def _why_not(series: Series, application: Application) -> str:
    if application.state is ApplyState.ALREADY_APPLIED:
        return "already applied: the tree has these changes"
    failed = next((p for p in application.patches if p.state is application.state), None)
    if application.state is ApplyState.MISSING_PATCH:
        return _absent(series)
    where = f"patch {failed.index} of {series.expected}" if failed is not None else "the series"
    why = failed.failure.reason if failed is not None and failed.failure is not None else ""
    verb = "does not apply" if application.state is ApplyState.CONFLICT else "is refused"
    said = f"{where} {verb}: {why}" if why else f"{where} {verb}"
    return said + _lacking(application)


def _lacking(application: Application) -> str:
    """What is said of prerequisites when a series did not go on without them."""
    lost = {PrerequisiteState.NOT_FOUND, PrerequisiteState.CONFLICT}
    count = sum(each.state in lost for each in application.prerequisites)
    if application.state is not ApplyState.CONFLICT or not count:
        return ""
    return f"; {count} of its {len(application.prerequisites)} prerequisites could not be applied"
