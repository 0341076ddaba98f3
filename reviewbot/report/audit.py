# SPDX-License-Identifier: GPL-2.0-or-later
"""A finished audit: as text that reads like lockdep's reports, and as values for JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reviewbot import __version__
from reviewbot.errors import ExitStatus
from reviewbot.locking.audit import AuditHazard, AuditSite
from reviewbot.locking.model import Grade, HazardKind
from reviewbot.report.clean import prose
from reviewbot.report.facts import short_id
from reviewbot.report.layout import LINE_LIMIT, chain_lines
from reviewbot.report.proof import cycle_line, scenario_text
from reviewbot.report.templates import environment

SCHEMA = "reviewbot.audit/1"
SITES_SHOWN = 3
"""Sites of a hazard that are printed with their chains; the JSON has more."""
_BLANK_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True)
class Audit:
    """The hazards of a tree or of a part of it."""

    rev: str
    """The revision as it was asked for."""
    commit: str
    describe: str
    """A short name for the commit."""
    paths: tuple[str, ...]
    """The part of the tree that was audited; empty for all of it."""
    kinds: tuple[HazardKind, ...]
    """The kinds asked for; empty for all."""
    since: str | None
    """Only hazards that functions changed after this commit are part of."""
    counts: Mapping[HazardKind, int]
    """Hazards found by kind, listed or not."""
    hazards: tuple[AuditHazard, ...]
    """Those listed."""
    files: int
    """Source files in the tree's index."""
    functions: int
    """Functions the search started from."""
    seconds: float
    tool_version: str = __version__

    @property
    def found(self) -> int:
        """Hazards found, listed or not."""
        return sum(self.counts.values())

    @property
    def exit_status(self) -> ExitStatus:
        """1 if there are hazards, else 0."""
        return ExitStatus.FINDINGS if self.found else ExitStatus.OK

    def to_dict(self) -> dict[str, Any]:
        """The whole audit as ``reviewbot.audit/1`` (docs/audit.schema.json)."""
        return {
            "schema": SCHEMA,
            "tree": {"rev": self.rev, "commit": self.commit, "describe": self.describe},
            "paths": list(self.paths),
            "kinds": [kind.value for kind in self.kinds],
            "since": self.since,
            "found": self.found,
            "counts": {kind.value: count for kind, count in sorted(self.counts.items())},
            "hazards": [hazard.to_dict() for hazard in self.hazards],
            "stats": {
                "files": self.files,
                "functions": self.functions,
                "seconds": round(self.seconds, 3),
            },
            "tool": {"name": "reviewbot", "version": self.tool_version},
        }


@dataclass(frozen=True, slots=True)
class SiteText:
    """A site as it is printed."""

    title: str
    chain: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HazardText:
    """A hazard as it is printed; every string is clean."""

    id: str
    kind: str
    grade: Grade
    cycle: str
    summary: str
    condition: str
    scenario: tuple[str, ...]
    sites: tuple[SiteText, ...]
    more_sites: int
    closing: tuple[SiteText, ...]
    """The other contexts of the first site."""


def hazard_text(hazard: AuditHazard, sites: int = SITES_SHOWN) -> HazardText:
    """What is printed of a hazard, with the chains of its first *sites*."""
    shown = hazard.sites[:sites]
    return HazardText(
        id=hazard.id,
        kind=hazard.kind.value,
        grade=hazard.grade,
        cycle=cycle_line(hazard.kind, hazard.classes),
        summary=prose(hazard.summary, 1200),
        condition=prose(hazard.condition, 1200),
        scenario=scenario_text(hazard.scenario),
        sites=tuple(SiteText(site_title(s), chain_lines(s.evidence.chain)) for s in shown),
        more_sites=len(hazard.sites) - len(shown) + hazard.more_sites,
        closing=tuple(
            SiteText(prose(chain.context, LINE_LIMIT), chain_lines(chain.steps, indent=4))
            for chain in (hazard.sites[0].evidence.closing if hazard.sites else ())
        ),
    )


def site_title(site: AuditSite) -> str:
    """``function (file:line), through callee()``."""
    via = f", through {prose(site.via)}()" if site.via else ""
    return f"{prose(site.function)} ({prose(site.file)}:{site.evidence.line}){via}"


def render_audit(audit: Audit) -> str:
    """The audit as text for a terminal or a file."""
    text = (
        environment()
        .get_template("audit.txt.j2")
        .render(
            name=prose(audit.describe),
            commit=short_id(audit.commit),
            where=" ".join(map(prose, audit.paths)),
            since=short_id(audit.since or ""),
            found=audit.found,
            counts=[(kind.value, n) for kind, n in sorted(audit.counts.items())],
            hazards=[hazard_text(hazard) for hazard in audit.hazards],
            functions=audit.functions,
        )
    )
    return _BLANK_LINES.sub("\n\n", text.strip("\n") + "\n")
