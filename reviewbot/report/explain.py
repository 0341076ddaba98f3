# SPDX-License-Identifier: GPL-2.0-or-later
"""One hazard step by step, each step with the source around it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reviewbot import __version__
from reviewbot.locking.audit import AuditHazard
from reviewbot.locking.model import Step
from reviewbot.report.audit import hazard_text, site_title
from reviewbot.report.clean import prose, visible
from reviewbot.report.excerpts import Source, around
from reviewbot.report.layout import LINE_LIMIT, step_line
from reviewbot.report.templates import environment

SCHEMA = "reviewbot.explain/1"
_TAB = 8
_WIDTH = 200
_BLANK_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True)
class SourceStep:
    """A step of a chain and the source lines around it."""

    step: Step
    first: int
    """Number of the first of :attr:`lines`."""
    lines: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        source = [{"line": n, "text": text} for n, text in enumerate(self.lines, self.first)]
        return {**self.step.to_dict(), "source": source}


@dataclass(frozen=True, slots=True)
class SourceChain:
    """A chain with its source, and the context that runs it."""

    context: str
    steps: tuple[SourceStep, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"context": self.context, "steps": [step.to_dict() for step in self.steps]}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A hazard with the source of its first site's chains."""

    tree: str
    """The tree it was found in, in words."""
    hazard: AuditHazard
    chains: tuple[SourceChain, ...]
    """That of the site, then those of the other contexts."""
    tool_version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        """The whole explanation as ``reviewbot.explain/1`` (docs/audit.schema.json)."""
        return {
            "schema": SCHEMA,
            "tree": self.tree,
            "hazard": self.hazard.to_dict(),
            "chains": [chain.to_dict() for chain in self.chains],
            "tool": {"name": "reviewbot", "version": self.tool_version},
        }


def explanation(hazard: AuditHazard, tree: str, source: Source) -> Explanation:
    """Read the lines around the steps of a hazard's first site; *source* gives those of a file."""
    texts: dict[str, Sequence[str]] = {}

    def shown(step: Step) -> SourceStep:
        if step.file not in texts:
            texts[step.file] = source(step.file)
        return SourceStep(step, *around(texts[step.file], step.line))

    site = hazard.sites[0]
    chains = [(site.context, site.evidence.chain)]
    chains += [(chain.context, chain.steps) for chain in site.evidence.closing]
    return Explanation(
        tree=tree,
        hazard=hazard,
        chains=tuple(SourceChain(name, tuple(map(shown, steps))) for name, steps in chains),
    )


def render_explanation(explained: Explanation) -> str:
    """The explanation as text for a terminal."""
    hazard = explained.hazard
    titles = [site_title(hazard.sites[0])]
    titles += [prose(chain.context, LINE_LIMIT) for chain in explained.chains[1:]]
    text = (
        environment()
        .get_template("explain.txt.j2")
        .render(
            tree=prose(explained.tree),
            hazard=hazard_text(hazard, sites=1),
            chains=[
                (title, [(step_line(step.step), _source(step)) for step in chain.steps])
                for title, chain in zip(titles, explained.chains, strict=True)
            ],
            others=[site_title(site) for site in hazard.sites[1:]],
            more_sites=hazard.more_sites,
        )
    )
    return _BLANK_LINES.sub("\n\n", text.strip("\n") + "\n")


def _source(step: SourceStep) -> Sequence[str]:
    width = len(str(step.first + len(step.lines)))
    return [
        f"{'->' if number == step.step.line else '  '} {number:>{width}}"
        f"  {visible(line[:_WIDTH]).expandtabs(_TAB)}".rstrip()
        for number, line in enumerate(step.lines, step.first)
    ]
