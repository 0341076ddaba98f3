# SPDX-License-Identifier: GPL-2.0-or-later
"""The verdict in one sentence, for the faces that have room for no more."""

from __future__ import annotations

from reviewbot.locking.model import Verdict
from reviewbot.report.view import ReviewView

TITLES = {
    Verdict.INTRODUCED: "Introduced",
    Verdict.PARTIALLY_REMOVED: "Partially removed",
    Verdict.NOT_REMOVED: "Not removed",
    Verdict.REMOVED: "Removed",
    Verdict.CLEAN: "Clean",
    Verdict.DOES_NOT_APPLY: "Does not apply",
    Verdict.NOT_REVIEWABLE: "Not reviewable",
}


def headline(shown: ReviewView) -> str:
    """What the verdict means for this series, without its name and a full stop."""
    pattern, be = ("the lock pattern", "is")
    if shown.patterns > 1:
        pattern, be = (f"{shown.patterns} lock patterns", "are")
    match shown.verdict:
        case Verdict.REMOVED:
            return f"{pattern} {be} gone from {shown.gone_from or 'the tree'}"
        case Verdict.PARTIALLY_REMOVED:
            left = shown.left_in or shown.new_in
            return f"{shown.removed} of {shown.present} sites of {pattern} are gone, left in {left}"
        case Verdict.NOT_REMOVED:
            return f"{pattern} {be} still there in {shown.left_in or 'the tree'}"
        case Verdict.INTRODUCED:
            return f"the series brings a new lock pattern into {shown.new_in or 'the tree'}"
        case Verdict.CLEAN:
            return "the series neither adds nor removes a lock pattern that this check knows"
        case _:
            return shown.reason or "no lock check was made"
