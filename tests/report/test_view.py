# SPDX-License-Identifier: GPL-2.0-or-later
"""What the reply shows of a review, before it is put into words."""

from __future__ import annotations

from dataclasses import replace

from reviewbot.kernel.model import Application, ApplyState, HunkFailure
from reviewbot.locking.model import ChangeState, Evidence, HazardKind, Verdict
from reviewbot.report.view import CONTEXTS_SHOWN, SITES_SHOWN, view

from . import builders
from .builders import GATE, gate_hazard, gate_site


def test_the_worst_hazard_comes_first() -> None:
    old, new = builders.not_removed().hazards[0], builders.poll_hazard()
    gone = gate_hazard(
        ChangeState.REMOVED, [gate_site("frob_gate_open", ChangeState.REMOVED, GATE)]
    )
    shown = view(replace(builders.introduced(), hazards=(gone, old, new))).hazards
    assert [hazard.state for hazard in shown] == ["introduced", "remaining", "removed"]


def test_chains_of_other_contexts_are_told_once() -> None:
    """All three sites close by the same work item, though each has its own evidence."""
    (hazard,) = view(builders.removed()).hazards
    assert len(hazard.closing) == 1
    assert hazard.more_contexts == 0


def test_too_many_contexts_are_counted() -> None:
    site = gate_site("frob_gate_open", ChangeState.REMOVED, GATE, number=1)
    assert site.before is not None
    (chain,) = site.before.closing
    many = tuple(replace(chain, context=f"work item {number}") for number in range(9))
    evidence: Evidence = replace(site.before, closing=many)
    hazard = gate_hazard(ChangeState.REMOVED, [replace(site, before=evidence)], 1)
    (shown,) = view(replace(builders.one_site(), hazards=(hazard,))).hazards
    assert len(shown.closing) == CONTEXTS_SHOWN
    assert shown.more_contexts == 9 - CONTEXTS_SHOWN


def test_too_many_sites_under_one_hunk_are_counted() -> None:
    site = gate_site("frob_gate_open", ChangeState.REMOVED, GATE, number=1)
    hazard = gate_hazard(ChangeState.REMOVED, [site] * 30, 1)
    (shown,) = view(replace(builders.one_site(), hazards=(hazard,))).hazards
    assert sum(len(passage.sites) for passage in shown.passages) == SITES_SHOWN
    assert shown.more_sites == 30 - SITES_SHOWN


def test_a_cycle_is_closed_and_a_list_is_not() -> None:
    hazard = builders.poll_hazard()
    (closed,) = view(replace(builders.introduced(), hazards=(hazard,))).hazards
    assert closed.cycle.split(" --> ") == [
        "struct frob.conf_lock",
        "struct frob.poll_work",
        "struct frob.conf_lock",
    ]
    flat = replace(hazard, kind=HazardKind.LOCK_IMBALANCE, classes=("struct frob.conf_lock",))
    (shown,) = view(replace(builders.introduced(), hazards=(flat,))).hazards
    assert shown.cycle == "struct frob.conf_lock"


def test_a_scenario_has_no_struct() -> None:
    (hazard,) = view(builders.removed()).hazards
    assert any("lock(frob.gate_lock);" in line for line in hazard.scenario)
    assert not any("struct" in line for line in hazard.scenario)


def test_a_path_that_only_moved_is_the_same() -> None:
    site = gate_site("frob_gate_open", ChangeState.REMAINING, GATE)
    moved = gate_site("frob_gate_open", ChangeState.REMAINING, "\n\n" + GATE).after
    hazard = gate_hazard(ChangeState.REMAINING, [replace(site, after=moved)])
    (shown,) = view(replace(builders.not_removed(), hazards=(hazard,))).hazards
    (site_view,) = shown.passages[0].sites
    assert site_view.same
    assert site_view.before != site_view.after


def test_a_patch_the_base_has_is_not_the_one_that_failed() -> None:
    series = builders.three()
    failure = HunkFailure("a.c", "", "no")
    tried = builders.stopped(series, 2, ApplyState.CONFLICT, failure).patches
    there = replace(tried[0], state=ApplyState.ALREADY_APPLIED)
    application = Application(ApplyState.CONFLICT, (there, tried[1]))
    shown = view(builders.review(series, Verdict.DOES_NOT_APPLY, "no", application=application))
    assert shown.failure is not None
    assert (shown.failure.patch, shown.failure.path, shown.failure.rest) == ("2/3", "a.c", 1)


def test_a_series_that_applied_has_no_failure() -> None:
    assert view(builders.clean()).failure is None
    assert view(builders.not_reviewable()).failure is None
