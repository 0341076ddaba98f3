# SPDX-License-Identifier: GPL-2.0-or-later
"""A finished review: everything a face of it may show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reviewbot import __version__
from reviewbot.errors import ExitStatus
from reviewbot.kernel.model import Application, Base
from reviewbot.locking.model import ChangeState, Hazard, HazardKind, Stats, Verdict
from reviewbot.report.excerpts import Excerpts
from reviewbot.series.model import Series

SCHEMA = "reviewbot.review/1"


@dataclass(frozen=True, slots=True)
class Gone:
    """A hazard that the older version had and the new one has not."""

    id: str
    patch: int | None
    """1-based patch of the new version that removes it, or no longer brings it in; None if
    there is no such patch any more."""

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "patch": self.patch}


@dataclass(frozen=True, slots=True)
class Since:
    """The hazards of a series' older version, seen from its new one."""

    version: int
    gone: tuple[Gone, ...] = ()
    remaining: tuple[str, ...] = ()
    new: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The ``since`` member of ``reviewbot.review/1``."""
        return {
            "version": self.version,
            "gone": [gone.to_dict() for gone in self.gone],
            "remaining": list(self.remaining),
            "new": list(self.new),
        }


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A hazard that is not reported, as people on the list said that it is none."""

    id: str
    kind: HazardKind
    classes: tuple[str, ...]
    reason: str
    """Theirs."""

    def to_dict(self) -> dict[str, Any]:
        """One of the ``suppressed`` of ``reviewbot.review/1``."""
        return {
            "id": self.id,
            "kind": self.kind.value,
            "classes": list(self.classes),
            "reason": self.reason,
        }


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
    since: Since | None = None
    """What became of the hazards of an older version that was reviewed, if one was."""
    suppressed: tuple[Suppressed, ...] = ()

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
            "suppressed": [hazard.to_dict() for hazard in self.suppressed],
            "stats": self.stats.to_dict(),
            "since": self.since.to_dict() if self.since else None,
            "tool": {"name": "reviewbot", "version": self.tool_version},
        }
