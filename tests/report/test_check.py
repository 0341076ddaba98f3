# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks: which patch is shown what, for patchwork and for b4."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from reviewbot.locking.model import ChangeState, Grade
from reviewbot.report.check import (
    DESCRIPTION_LIMIT,
    CheckState,
    b4_entry,
    check_of_series,
    checks,
)
from reviewbot.report.clean import is_hidden
from reviewbot.report.model import Review

from . import builders
from .shapes import GOLDEN
from .test_reply import hostile_reviews

SUCCESS, WARNING, FAIL = CheckState.SUCCESS, CheckState.WARNING, CheckState.FAIL


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("removed", [SUCCESS]),
        ("partially-removed", [WARNING]),
        ("not-removed", [WARNING]),
        ("introduced", [SUCCESS, FAIL, SUCCESS]),
        ("clean", [SUCCESS, SUCCESS, SUCCESS]),
        ("conflict", [WARNING, WARNING, WARNING]),
        ("already-applied", [WARNING]),
        ("missing", [WARNING, WARNING]),
        ("not-reviewable", [WARNING]),
    ],
)
def test_the_state_of_each_patch(name: str, states: list[CheckState]) -> None:
    review = GOLDEN[name]()
    assert [check.state for check in checks(review)] == states
    worst = FAIL if FAIL in states else WARNING if WARNING in states else SUCCESS
    assert check_of_series(review).state is worst


def test_a_patch_is_told_only_what_it_does() -> None:
    first, second, third = checks(builders.introduced())
    assert second.description == "new flush-cycle (definite) in frob_poll_stop()"
    assert first.description == third.description == "adds no lock pattern that this check knows"
    assert [check.patch for check in (first, second, third)] == [1, 2, 3]
    assert second.message_id == "20260803090000.7-3-robin@example.org"
    assert (check_of_series(builders.introduced()).patch, first.to_dict()["state"]) == (
        0,
        "success",
    )


def test_a_fix_is_a_success_that_says_what_it_removes() -> None:
    (check,) = checks(builders.one_site())
    assert check.description == "removes worker-pool-cycle from frob_gate_open()"


def test_what_is_conditional_only_warns() -> None:
    review = builders.introduced()
    (hazard,) = review.hazards
    weaker = replace(review, hazards=(replace(hazard, grade=Grade.CONDITIONAL),))
    assert [check.state for check in checks(weaker)] == [SUCCESS, WARNING, SUCCESS]


def test_a_site_that_only_moves_is_not_new() -> None:
    review = builders.introduced()
    (hazard,) = review.hazards
    moved = replace(review, hazards=(replace(hazard, state=ChangeState.REMAINING),))
    assert {check.state for check in checks(moved)} == {SUCCESS}


def test_what_a_series_leaves_undone_stands_at_its_end() -> None:
    undone = builders.not_removed()
    review = replace(builders.clean(), hazards=undone.hazards, verdict=undone.verdict)
    assert [check.state for check in checks(review)] == [SUCCESS, SUCCESS, WARNING]


def test_b4_gets_its_own_words() -> None:
    entries = [check.b4_entry("text") for check in checks(builders.introduced())]
    assert [entry["status"] for entry in entries] == ["pass", "fail", "pass"]
    assert entries[0].keys() == {"tool", "status", "summary", "details"}
    assert b4_entry("warn", "no verdict")["summary"] == "no verdict"


@given(hostile_reviews())
@settings(max_examples=40)
def test_a_hostile_series_makes_one_short_line(review: Review) -> None:
    for check in (*checks(review), check_of_series(review)):
        assert 0 < len(check.description) <= DESCRIPTION_LIMIT
        assert not any(map(is_hidden, check.description))
