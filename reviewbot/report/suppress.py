# SPDX-License-Identifier: GPL-2.0-or-later
"""A review without the hazards that people on its list said are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reviewbot.locking.compare import judge
from reviewbot.locking.model import Verdict
from reviewbot.report.model import Review, Suppressed


def suppress(review: Review, known: Mapping[str, str]) -> Review:
    """The review with the verdict that the other hazards have.

    *known* are the ids of those that are none, each with the reason that people gave.
    """
    out = tuple(hazard for hazard in review.hazards if hazard.id in known)
    if not out:
        return review
    kept = [hazard for hazard in review.hazards if hazard.id not in known]
    claimed = review.verdict is Verdict.NOT_REMOVED
    hazards, verdict, reason = judge(kept, lambda _: claimed)
    left_out = f"known false positives left out: {len(out)}"
    return replace(
        review,
        hazards=hazards,
        verdict=verdict,
        reason=f"{reason}; {left_out}" if hazards else left_out,
        suppressed=tuple(
            Suppressed(each.id, each.kind, each.classes, known[each.id]) for each in out
        ),
    )
