# SPDX-License-Identifier: GPL-2.0-or-later
"""One sentence for every verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reviewbot.locking.model import Verdict
from reviewbot.report.headline import TITLES, headline
from reviewbot.report.view import view

from . import builders
from .shapes import GOLDEN


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("removed", "the lock pattern is gone from frob_gate_close() and frob_gate_open()"),
        (
            "partially-removed",
            "2 of 3 sites of the lock pattern are gone, left in frob_gate_open()",
        ),
        ("not-removed", "the lock pattern is still there in frob_gate_open()"),
        ("introduced", "the series brings a new lock pattern into frob_poll_stop()"),
        ("clean", "the series neither adds nor removes a lock pattern that this check knows"),
        ("conflict", "a hunk of patch 2/3 does not match the base"),
        ("not-reviewable", "the series changes no C source of a kernel"),
    ],
)
def test_each_verdict_in_a_sentence(name: str, sentence: str) -> None:
    assert headline(view(GOLDEN[name]())) == sentence


def test_several_patterns_are_several() -> None:
    review = builders.removed()
    shown = view(replace(review, hazards=review.hazards * 2))
    assert headline(shown).startswith("2 lock patterns are gone from")


def test_every_verdict_has_a_title() -> None:
    assert list(TITLES) == list(Verdict)
    assert [title.lower().replace(" ", "-") for title in TITLES.values()] == list(Verdict)
