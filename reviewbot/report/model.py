# SPDX-License-Identifier: GPL-2.0-or-later
"""A finished review: everything a face of it may show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reviewbot import __version__
from reviewbot.errors import ExitStatus
from reviewbot.kernel.model import Application, Base
from reviewbot.locking.model import ChangeState, Hazard, Stats, Verdict
from reviewbot.report.excerpts import Excerpts
from reviewbot.series.model import Series

SCHEMA = "reviewbot.review/1"


@dataclass(frozen=True, slots=True)
class Review:
    """A series, the base it was tried on, what came of applying it, and the verdict."""

    series: Series
    verdict: Verdict
    reason: str
    """One clause that says why this verdict."""
    base: Base | None
    """None if no base could be chosen."""
    application: Application | None
    """None if the series was never tried."""
    hazards: tuple[Hazard, ...]
    stats: Stats
    tool_version: str = __version__
    excerpts: Excerpts = field(default_factory=Excerpts)
    """The source that the hazards' chains go through."""

    @property
    def exit_status(self) -> ExitStatus:
        """0 without findings, 1 if hazards remain or were introduced, 3 if not reviewable."""
        if self.verdict in (Verdict.DOES_NOT_APPLY, Verdict.NOT_REVIEWABLE):
            return ExitStatus.NOT_REVIEWABLE
        if any(hazard.state is not ChangeState.REMOVED for hazard in self.hazards):
            return ExitStatus.FINDINGS
        return ExitStatus.OK

    def to_dict(self) -> dict[str, Any]:
        """The whole review as ``reviewbot.review/1``."""
        return {
            "schema": SCHEMA,
            "series": self.series.to_dict(),
            "base": self.base.to_dict() if self.base else None,
            "application": self.application.to_dict() if self.application else None,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "hazards": [hazard.to_dict() for hazard in self.hazards],
            "stats": self.stats.to_dict(),
            "tool": {"name": "reviewbot", "version": self.tool_version},
        }
