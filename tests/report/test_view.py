# SPDX-License-Identifier: GPL-2.0-or-later
"""What the reply shows of a review, before it is put into words."""

from __future__ import annotations

from dataclasses import replace

from reviewbot.kernel.model import Application, ApplyState, HunkFailure
from reviewbot.locking.model import ChangeState, Evidence, HazardKind, Verdict
from reviewbot.report.model import Review
from reviewbot.report.remarks import DETAILS, HazardView
from reviewbot.report.view import view

from . import builders, shapes
from .builders import GATE, gate_hazard, gate_site


def hazards_of(review: Review) -> list[HazardView]:
    return [remark.hazard for remark in view(review).remarks]


def test_the_worst_hazard_comes_first() -> None:
    old, new = builders.not_removed().hazards[0], builders.poll_hazard()
    gone = gate_hazard(
        ChangeState.REMOVED, [gate_site("frob_gate_open", ChangeState.REMOVED, GATE)]
    )
    shown = hazards_of(replace(builders.introduced(), hazards=(gone, old, new)))
    assert [hazard.state for hazard in shown] == ["introduced", "remaining", "removed"]


def test_chains_of_other_contexts_are_told_once() -> None:
    """All three sites close by the same work item, though each has its own evidence."""
    (hazard,) = hazards_of(builders.removed())
    assert len(hazard.closing) == 1
    assert hazard.more_contexts == 0


def test_too_many_contexts_are_counted() -> None:
    site = gate_site("frob_gate_open", ChangeState.REMOVED, GATE, number=1)
    assert site.before is not None
    (chain,) = site.before.closing
    many = tuple(replace(chain, context=f"work item {number}") for number in range(9))
    evidence: Evidence = replace(site.before, closing=many)
    hazard = gate_hazard(ChangeState.REMOVED, [replace(site, before=evidence)], 1)
    (shown,) = hazards_of(replace(builders.one_site(), hazards=(hazard,)))
    assert len(shown.closing) == DETAILS[0].contexts
    assert shown.more_contexts == 9 - DETAILS[0].contexts


def test_too_many_sites_are_counted() -> None:
    site = gate_site("frob_gate_open", ChangeState.REMOVED, GATE, number=1)
    sites = [replace(site, function=f"frob_{number}") for number in range(30)]
    hazard = gate_hazard(ChangeState.REMOVED, sites, 1)
    (shown,) = hazards_of(replace(builders.one_site(), hazards=(hazard,)))
    assert len(shown.sites) == DETAILS[0].sites
    assert shown.more_sites == 30 - DETAILS[0].sites


def test_sites_that_begin_alike_are_told_together() -> None:
    (hazard,) = hazards_of(builders.removed())
    assert [site.function for site in hazard.sites] == ["frob_gate_close", "frob_gate_open"]
    assert [line.split(": ")[-1].split()[0] for line in hazard.sites[0].before] == [
        *("mutex_lock", "synchronize_srcu", "or", "frob_line_put", "synchronize_srcu")
    ]


def test_a_site_with_another_fate_is_told_apart() -> None:
    gone = gate_site("frob_gate_close", ChangeState.REMOVED, GATE, number=1)
    left = gate_site("frob_gate_close", ChangeState.REMAINING, GATE, via="frob_line_put")
    hazard = gate_hazard(ChangeState.REMAINING, [left, gone])
    (shown,) = hazards_of(replace(builders.not_removed(), hazards=(hazard,)))
    assert [site.state for site in shown.sites] == ["remaining", "removed"]


def test_hazards_of_one_call_are_one_remark() -> None:
    (remark,) = view(shapes.one_cause()).remarks
    (other,) = remark.others
    assert other.id != remark.hazard.id
    assert len(other.sites) == 1
    assert len(view(shapes.two_patches()).remarks) == 2


def test_less_detail_is_less_text_with_the_same_chains() -> None:
    full, brief = (
        view(builders.removed(), detail).remarks[0] for detail in (DETAILS[0], DETAILS[4])
    )
    assert sum(len(q.lines) for q in brief.quotes) < sum(len(q.lines) for q in full.quotes)
    assert full.hazard.summary and not brief.hazard.summary
    assert brief.hazard.sites == full.hazard.sites


def test_a_cycle_is_closed_and_a_list_is_not() -> None:
    hazard = builders.poll_hazard()
    (closed,) = hazards_of(replace(builders.introduced(), hazards=(hazard,)))
    names = ["struct frob.conf_lock", "struct frob.poll_work", "struct frob.conf_lock"]
    assert closed.cycle == ("  " + " --> ".join(names),)
    flat = replace(hazard, kind=HazardKind.LOCK_IMBALANCE, classes=("struct frob.conf_lock",))
    (shown,) = hazards_of(replace(builders.introduced(), hazards=(flat,)))
    assert shown.cycle == ("  struct frob.conf_lock",)
    long = replace(hazard, classes=("struct frob." + "x" * 40, "struct frob.poll_work"))
    (shown,) = hazards_of(replace(builders.introduced(), hazards=(long,)))
    assert [line.lstrip()[:3] for line in shown.cycle] == ["str", "-->", "-->"]


def test_a_scenario_has_no_struct() -> None:
    (hazard,) = hazards_of(builders.removed())
    assert any("lock(frob.gate_lock);" in line for line in hazard.scenario)
    assert not any("struct" in line for line in hazard.scenario)


def test_a_path_that_only_moved_is_the_same() -> None:
    site = gate_site("frob_gate_open", ChangeState.REMAINING, GATE)
    moved = gate_site("frob_gate_open", ChangeState.REMAINING, "\n\n" + GATE).after
    hazard = gate_hazard(ChangeState.REMAINING, [replace(site, after=moved)])
    (shown,) = hazards_of(replace(builders.not_removed(), hazards=(hazard,)))
    (site_view,) = shown.sites
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
