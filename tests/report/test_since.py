# SPDX-License-Identifier: GPL-2.0-or-later
"""What the reply says of an older version's hazards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reviewbot.report.model import Gone, Since
from reviewbot.report.reply import render_text
from reviewbot.report.since import sentence

from . import builders


def gone(*patches: int | None) -> tuple[Gone, ...]:
    return tuple(Gone(f"hazard-{at}", patch) for at, patch in enumerate(patches))


@pytest.mark.parametrize(
    ("since", "text"),
    [
        (Since(2), ""),
        (Since(2, gone(3)), "Since v2: its lock pattern is gone (patch 3/3)."),
        (Since(1, gone(None)), "Since v1: its lock pattern is gone."),
        (Since(2, remaining=("a",)), "Since v2: its lock pattern remains."),
        (Since(2, remaining=("a", "b")), "Since v2: its 2 lock patterns remain."),
        (Since(2, gone(2, 2)), "Since v2: its 2 lock patterns are gone (patch 2/3)."),
        (
            Since(2, gone(3, 1), ("a",)),
            "Since v2: 2 of its 3 lock patterns are gone (patch 1/3 and 3/3), 1 remains.",
        ),
        (
            Since(2, gone(1), ("a", "b"), ("c",)),
            "Since v2: 1 of its 3 lock patterns is gone (patch 1/3), 2 remain, 1 is new.",
        ),
        (Since(4, new=("a",)), "Since v4: 1 lock pattern is new."),
        (Since(4, new=("a", "b")), "Since v4: 2 lock patterns are new."),
        (
            Since(4, remaining=("c",), new=("a", "b")),
            "Since v4: its lock pattern remains, 2 are new.",
        ),
    ],
)
def test_the_sentence(since: Since, text: str) -> None:
    assert sentence(since, builders.three()) == text


def test_it_stands_below_the_verdict() -> None:
    body = render_text(builders.next_version(), builders.SENDER)
    assert body.startswith("Verdict: ")
    assert body.index("\nSince v2: ") < body.index("\n> @@ ")


def test_nothing_is_said_of_a_version_that_had_nothing() -> None:
    quiet = replace(builders.clean(), since=Since(2))
    assert render_text(quiet, builders.SENDER) == render_text(builders.clean(), builders.SENDER)
