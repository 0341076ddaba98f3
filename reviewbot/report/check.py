# SPDX-License-Identifier: GPL-2.0-or-later
"""A review as checks, one a patch: what patchwork and b4 show beside each patch.

A check says what its patch does.  What the series as a whole leaves undone stands at its
last patch, and what kept it from being looked at stands at all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reviewbot.errors import ExitStatus
from reviewbot.locking.model import ChangeState, Grade, Hazard, Site, Verdict
from reviewbot.report.clean import one_line, prose
from reviewbot.report.facts import listed
from reviewbot.report.headline import TITLES, headline
from reviewbot.report.model import Review
from reviewbot.report.view import view

DESCRIPTION_LIMIT = 200
"""Characters: patchwork shows a description in a cell of a table."""
TOOL = "reviewbot"


class CheckState(StrEnum):
    """As patchwork names them, the mildest first."""

    PENDING = "pending"
    SUCCESS = "success"
    WARNING = "warning"
    FAIL = "fail"


_B4 = {
    CheckState.PENDING: "warn",
    CheckState.SUCCESS: "pass",
    CheckState.WARNING: "warn",
    CheckState.FAIL: "fail",
}
"""As b4 names them (docs/maintainer/review.rst of b4 0.16, "CI check integration")."""


@dataclass(frozen=True, slots=True)
class Check:
    """What is to be shown beside one patch."""

    patch: int
    """1-based; 0 for the cover letter, which stands for the series."""
    message_id: str
    state: CheckState
    description: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "patch": self.patch,
            "message_id": self.message_id,
            "state": self.state.value,
            "description": self.description,
        }

    def b4_entry(self, details: str, url: str = "") -> dict[str, Any]:
        """One entry of the array that b4 reads from a check command."""
        return b4_entry(_B4[self.state], self.description, details, url)


def b4_entry(status: str, summary: str, details: str = "", url: str = "") -> dict[str, Any]:
    """An entry of b4's: ``status`` is pass, warn or fail."""
    entry = {"tool": TOOL, "status": status, "summary": summary, "url": url, "details": details}
    return {name: value for name, value in entry.items() if value}


def checks(review: Review) -> tuple[Check, ...]:
    """A check for each patch that arrived, in order."""
    series = review.series
    return tuple(
        Check(patch.index, patch.envelope.message_id, *_of_patch(review, patch.index))
        for patch in series.patches
    )


def check_of_series(review: Review) -> Check:
    """One check for the series as a whole."""
    worst = max((one.state for one in checks(review)), key=_RANK.index, default=CheckState.WARNING)
    return Check(0, review.series.message_id, worst, _verdict(review))


_RANK = tuple(CheckState)
_UNDONE = frozenset({Verdict.PARTIALLY_REMOVED, Verdict.NOT_REMOVED})


def _of_patch(review: Review, index: int) -> tuple[CheckState, str]:
    if review.exit_status is ExitStatus.NOT_REVIEWABLE:
        return CheckState.WARNING, _verdict(review)
    new = list(_turned(review.hazards, ChangeState.INTRODUCED, index))
    if new:
        definite = any(hazard.grade is Grade.DEFINITE for hazard, _ in new)
        kinds = listed(list(dict.fromkeys(f"{h.kind} ({h.grade})" for h, _ in new)))
        return CheckState.FAIL if definite else CheckState.WARNING, _said("new", kinds, new)
    if review.verdict in _UNDONE and index == review.series.patches[-1].index:
        return CheckState.WARNING, _verdict(review)
    gone = list(_turned(review.hazards, ChangeState.REMOVED, index))
    if gone:
        kinds = listed(list(dict.fromkeys(h.kind.value for h, _ in gone)))
        return CheckState.SUCCESS, _said("removes", kinds, gone)
    return CheckState.SUCCESS, "adds no lock pattern that this check knows"


def _turned(
    hazards: Iterable[Hazard], state: ChangeState, patch: int
) -> Iterator[tuple[Hazard, Site]]:
    """The sites that came or went with a patch; one that only moves is not new."""
    for hazard in hazards:
        if state is ChangeState.INTRODUCED and hazard.state is not state:
            continue
        for site in hazard.sites:
            if site.state is state and site.patch == patch:
                yield hazard, site


def _said(verb: str, kinds: str, turned: Iterable[tuple[Hazard, Site]]) -> str:
    functions = listed(list(dict.fromkeys(f"{prose(site.function)}()" for _, site in turned)))
    where = "from" if verb == "removes" else "in"
    return one_line(f"{verb} {kinds} {where} {functions}", DESCRIPTION_LIMIT)


def _verdict(review: Review) -> str:
    text = f"{TITLES[review.verdict].lower()}: {headline(view(review))}"
    return one_line(text, DESCRIPTION_LIMIT)
