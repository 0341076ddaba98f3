# SPDX-License-Identifier: GPL-2.0-or-later
"""The source around the steps of a proof, read while the trees are there.

The tree after a series exists only while the series is under review.  What a page shows
of it is part of the review from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from reviewbot.locking.model import Evidence, Hazard, Step
from reviewbot.report.clean import visible

AROUND = 3
"""Lines shown before and after that of a step."""
MAX_EXCERPTS = 1_000
"""Of one tree; what is above is told without its source."""
_WIDTH = 200
"""Characters after which a line is cut."""

Source = Callable[[str], Sequence[str]]
"""The lines of a file in one tree; empty if it has no such file."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of a file, fit to print but for their tabs."""

    file: str
    line: int
    """The line that is meant, 1-based."""
    first: int
    """Number of the first of :attr:`lines`."""
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Excerpts:
    """What is shown of the trees before and after a series."""

    before: tuple[Excerpt, ...] = ()
    after: tuple[Excerpt, ...] = ()


def excerpts(hazards: Iterable[Hazard], before: Source, after: Source) -> Excerpts:
    """The source around each step of the hazards' chains, in the tree that the chain is of."""
    sites = [site for hazard in hazards for site in hazard.sites]
    return Excerpts(
        tuple(_around(_steps(site.before for site in sites), before)),
        tuple(_around(_steps(site.after for site in sites), after)),
    )


def around(lines: Sequence[str], line: int) -> tuple[int, tuple[str, ...]]:
    """The lines next to one of a file, and the number of the first of them."""
    first = max(1, line - AROUND)
    return first, tuple(lines[first - 1 : line + AROUND])


def _steps(found: Iterable[Evidence | None]) -> Iterator[Step]:
    for evidence in found:
        if evidence is not None:
            yield from evidence.chain
            for chain in evidence.closing:
                yield from chain.steps


def _around(steps: Iterable[Step], source: Source) -> Iterator[Excerpt]:
    files: dict[str, Sequence[str]] = {}
    places = dict.fromkeys((step.file, step.line) for step in steps)
    for file, line in list(places)[:MAX_EXCERPTS]:
        if file not in files:
            files[file] = source(file)
        first, lines = around(files[file], line)
        shown = tuple(visible(text[:_WIDTH].rstrip()) for text in lines)
        if any(shown):
            yield Excerpt(file, line, first, shown)
