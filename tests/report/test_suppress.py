# SPDX-License-Identifier: GPL-2.0-or-later
"""Hazards that are known to be none, left out of a review."""

from __future__ import annotations

import json
from dataclasses import replace

from reviewbot.errors import ExitStatus
from reviewbot.locking.model import ChangeState, Verdict
from reviewbot.report.jsonout import dump
from reviewbot.report.model import Suppressed
from reviewbot.report.suppress import suppress
from reviewbot.service.memory import recall, since, tells_nothing_new
from tests.report import builders

WHY = "both run on one queue"


def test_without_known_hazards_nothing_changes() -> None:
    review = builders.introduced()
    assert suppress(review, {}) is review
    assert suppress(review, {"lock-order-inversion-000000000000": WHY}) is review


def test_the_only_hazard_left_out_leaves_a_clean_series() -> None:
    review = builders.introduced()
    (hazard,) = review.hazards
    found = suppress(review, {hazard.id: WHY})
    assert (found.verdict, found.hazards) == (Verdict.CLEAN, ())
    assert found.reason == "known false positives left out: 1"
    assert found.suppressed == (Suppressed(hazard.id, hazard.kind, hazard.classes, WHY),)
    assert found.exit_status is ExitStatus.OK
    told = json.loads(dump(found.to_dict()))
    assert told["suppressed"] == [
        {"id": hazard.id, "kind": hazard.kind, "classes": list(hazard.classes), "reason": WHY}
    ]


def test_the_other_hazards_have_the_verdict() -> None:
    new = builders.introduced().hazards[0]
    gone = builders.removed().hazards[0]
    review = replace(builders.introduced(), hazards=(new, gone))
    assert new.id != gone.id
    found = suppress(review, {new.id: WHY})
    assert (found.verdict, found.hazards) == (Verdict.REMOVED, (gone,))
    assert found.reason.endswith("; known false positives left out: 1")
    assert suppress(review, {gone.id: WHY}).verdict is Verdict.INTRODUCED


def test_what_is_left_out_is_not_said_to_be_gone() -> None:
    """v2 brought the hazard in, people said that it is none, v3 brings it in as well."""
    old = builders.introduced()
    (hazard,) = old.hazards
    stored = json.loads(dump(old.to_dict()))
    new = suppress(replace(old, series=replace(old.series, version=3)), {hazard.id: WHY})
    told = since(recall(stored, {hazard.id}), new)
    assert told is not None
    assert (told.gone, told.remaining, told.new) == ((), (), ())
    assert not tells_nothing_new(recall(stored, {hazard.id}), new)  # the verdict is another
    forgetful = since(recall(stored), new)
    assert forgetful is not None
    assert [gone.id for gone in forgetful.gone] == [hazard.id]
    assert hazard.state is ChangeState.INTRODUCED
