# SPDX-License-Identifier: GPL-2.0-or-later
"""The proof of a hazard as a page shows it: hunks, sites, chains, and source that unfolds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reviewbot.locking.model import ChangeState, Evidence, Hazard, Site, Step
from reviewbot.report.clean import ELISION, one_line
from reviewbot.report.excerpts import Excerpt, Excerpts
from reviewbot.report.facts import numbered
from reviewbot.report.inline import FileDiff, Passage, passages
from reviewbot.series.model import Series

SITES_SHOWN = 12
CONTEXTS_SHOWN = 6
STATES = {
    ChangeState.INTRODUCED: "new",
    ChangeState.REMAINING: "still there",
    ChangeState.REMOVED: "gone",
}

_Side = Mapping[tuple[str, int], Excerpt]


@dataclass(frozen=True, slots=True)
class Sources:
    """The excerpts of both trees by file and line."""

    before: _Side
    after: _Side

    @classmethod
    def of(cls, excerpts: Excerpts) -> Sources:
        before, after = (
            {(one.file, one.line): one for one in side}
            for side in (excerpts.before, excerpts.after)
        )
        return cls(before, after)


@dataclass(frozen=True, slots=True)
class StepView:
    """A step of a chain; ``source`` is (number, text, whether it is the line meant)."""

    function: str
    place: str
    what: str
    lock: str
    by: str
    source: tuple[tuple[int, str, bool], ...]


@dataclass(frozen=True, slots=True)
class SiteView:
    """A function in which the cycle is entered; an empty chain: there is no such path."""

    function: str
    file: str
    via: str
    state: ChangeState
    word: str
    """What became of it, and with which patch."""
    before: tuple[StepView, ...]
    after: tuple[StepView, ...]
    same: bool
    """Both trees have the same path, but for its line numbers."""


@dataclass(frozen=True, slots=True)
class PassageView:
    """A hunk, as (kind of line, line), and the sites it concerns; it may be empty."""

    title: str
    hunk: tuple[tuple[str, str], ...]
    sites: tuple[SiteView, ...]


@dataclass(frozen=True, slots=True)
class ContextView:
    """How another context closes the cycle."""

    name: str
    steps: tuple[StepView, ...]


def witnesses(
    hazard: Hazard, series: Series, diffs: Sequence[FileDiff], sources: Sources
) -> tuple[tuple[PassageView, ...], int]:
    """The hazard's sites under their hunks, and how many sites are left out."""
    made, room = [], SITES_SHOWN
    for passage in passages(hazard, diffs):
        if room > 0:
            made.append(_passage(replace(passage, sites=passage.sites[:room]), series, sources))
        room -= len(passage.sites)
    return tuple(made), max(0, -room)


def contexts(hazard: Hazard, sources: Sources) -> tuple[tuple[ContextView, ...], int]:
    """The other contexts of all sites, each once, of the newest tree; and how many more."""
    found: dict[tuple[str, object], ContextView] = {}
    for site in hazard.sites:
        evidence, side = site.before, sources.before
        if site.after is not None:
            evidence, side = site.after, sources.after
        for chain in evidence.closing if evidence is not None else ():
            key = (chain.context, _path(chain.steps))
            if key not in found:
                found[key] = ContextView(one_line(chain.context, 240), _steps(chain.steps, side))
    shown = tuple(found.values())
    return shown[:CONTEXTS_SHOWN], max(0, len(shown) - CONTEXTS_SHOWN)


def _passage(passage: Passage, series: Series, sources: Sources) -> PassageView:
    patch = f"patch {numbered(passage.patch, series)}: " if passage.patch is not None else ""
    return PassageView(
        title=f"{patch}{one_line(passage.path)}",
        hunk=tuple(map(line_of_diff, passage.quote)),
        sites=tuple(_site(site, series, sources) for site in passage.sites),
    )


_KINDS = {"+": "add", "-": "del", "@": "head"}


def line_of_diff(quote: str) -> tuple[str, str]:
    """A quoted line of a diff without its ``> ``, and what kind of line it is."""
    if quote == ELISION:
        return "cut", ELISION
    line = quote[2:]
    return _KINDS.get(line[:1], "same"), line


def _site(site: Site, series: Series, sources: Sources) -> SiteView:
    patch = f" with patch {numbered(site.patch, series)}" if site.patch is not None else ""
    before, after = _chain(site.before), _chain(site.after)
    return SiteView(
        function=one_line(site.function),
        file=one_line(site.file),
        via=one_line(site.via),
        state=site.state,
        word=f"{STATES[site.state]}{patch}",
        before=_steps(before, sources.before),
        after=_steps(after, sources.after),
        same=bool(before) and _path(before) == _path(after),
    )


def _chain(evidence: Evidence | None) -> tuple[Step, ...]:
    return evidence.chain if evidence is not None else ()


def _path(steps: Iterable[Step]) -> tuple[Step, ...]:
    """What a chain is but for its line numbers."""
    return tuple(replace(step, line=0) for step in steps)


def _steps(steps: Iterable[Step], side: _Side) -> tuple[StepView, ...]:
    return tuple(
        StepView(
            function=one_line(step.function),
            place=f"{one_line(step.file)}:{step.line}",
            what=one_line(step.what),
            lock=one_line(step.lock),
            by=one_line(step.indirect),
            source=tuple(_source(side.get((step.file, step.line)))),
        )
        for step in steps
    )


def _source(excerpt: Excerpt | None) -> Iterator[tuple[int, str, bool]]:
    if excerpt is not None:
        for number, text in enumerate(excerpt.lines, excerpt.first):
            yield number, text, number == excerpt.line
