# SPDX-License-Identifier: GPL-2.0-or-later
"""Hazards as remarks of a reply: the hunks they are about, and their proof.

How much is shown is given; nothing is wrapped here but explanations, which the
template fills.  Every string has been through :mod:`reviewbot.report.clean`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from reviewbot.locking.model import Chain, ChangeState, Evidence, Grade, Hazard, Site, Step
from reviewbot.report.clean import ELISION, prose, quoted
from reviewbot.report.facts import numbered
from reviewbot.report.inline import FileDiff, Passage, passages
from reviewbot.report.layout import LINE_LIMIT, trace_lines
from reviewbot.report.proof import cycle_lines, scenario_text
from reviewbot.series.model import Series


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is shown: a mail that gets too long is made again with less."""

    quote: int
    """Lines quoted of one hunk."""
    hunks: int = 3
    sites: int = 8
    contexts: int = 3
    """Other contexts of one cycle."""
    steps: int = 8
    """Steps of one chain."""
    facts: int = 40
    """Facts about the base and how the series went on."""
    prose: int = 1200
    """Characters of one explanation."""
    summary: bool = True
    """Whether the hazard is told in words, too, where a scenario shows it."""


_BRIEF = Detail(quote=8, summary=False)
DETAILS = (
    Detail(quote=20),
    Detail(quote=12),
    Detail(quote=8),
    _BRIEF,
    replace(_BRIEF, quote=5),
    replace(_BRIEF, quote=3),
    replace(_BRIEF, quote=2),
    replace(_BRIEF, quote=2, hunks=1),
    replace(_BRIEF, quote=2, hunks=1, sites=4, contexts=1, facts=6),
    replace(_BRIEF, quote=2, hunks=1, sites=2, contexts=1, steps=5, facts=3, prose=400),
    replace(_BRIEF, quote=2, hunks=1, sites=1, contexts=1, steps=4, facts=1, prose=300),
)
"""From all that a reader may want to what he cannot do without."""


@dataclass(frozen=True, slots=True)
class SiteView:
    """One site and its chains; an empty chain means that there is no such path."""

    function: str
    via: str
    state: ChangeState
    patch: str
    """Empty where the hazard's says it, and in a series of one patch."""
    before: tuple[str, ...]
    after: tuple[str, ...]
    same: bool
    """Both trees have the same path, but for its line numbers."""


@dataclass(frozen=True, slots=True)
class QuoteView:
    """A quoted hunk."""

    patch: str
    """``2/3`` where another patch is quoted than before, in a series of several."""
    subject: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HazardView:
    """One hazard with everything that is printed of it."""

    id: str
    grade: Grade
    state: ChangeState
    patch: str
    """Empty in a series of one patch, and while it remains."""
    cycle: tuple[str, ...]
    summary: str
    condition: str
    scenario: tuple[str, ...]
    sites: tuple[SiteView, ...]
    more_sites: int
    closing: tuple[tuple[str, tuple[str, ...]], ...]
    """(context, chain lines) of the other contexts, those of all sites together."""
    more_contexts: int


@dataclass(frozen=True, slots=True)
class RemarkView:
    """Hazards with one cause, below the hunks they concern."""

    quotes: tuple[QuoteView, ...]
    hazard: HazardView
    others: tuple[HazardView, ...]
    """Those that the same call brings about."""


def remarks(
    hazards: Iterable[Hazard],
    series: Series,
    diffs: tuple[FileDiff, ...],
    detail: Detail,
    answered: int | None,
) -> tuple[RemarkView, ...]:
    """A remark for each cause, in the order of the hazards.

    ``answered`` is the patch that the reply stands under, which need not be named again.
    """
    shown = _Shown(series, diffs, detail, answered)
    return tuple(map(shown.remark, _by_cause(hazards)))


def _by_cause(hazards: Iterable[Hazard]) -> list[list[Hazard]]:
    """Hazards that stand and fall with the same calls, in order."""
    causes: dict[object, list[Hazard]] = {}
    for hazard in hazards:
        calls = frozenset(
            (site.file, site.function, evidence.line)
            for site in hazard.sites
            for evidence in (site.after or site.before,)
            if evidence is not None
        )
        causes.setdefault((hazard.state, hazard.patch, calls or hazard.id), []).append(hazard)
    return list(causes.values())


@dataclass(frozen=True, slots=True)
class _Shown:
    """What all remarks of one reply have in common."""

    series: Series
    diffs: tuple[FileDiff, ...]
    detail: Detail
    answered: int | None

    def remark(self, hazards: list[Hazard]) -> RemarkView:
        first, *others = hazards
        found = passages(first, self.diffs, self.detail.quote)
        sites = [site for passage in found for site in passage.sites]
        brief = replace(self, detail=replace(self.detail, sites=1))
        return RemarkView(
            quotes=self._quotes([passage for passage in found if passage.quote]),
            hazard=self._hazard(first, sites),
            others=tuple(brief._hazard(other, list(other.sites)) for other in others),
        )

    def _hazard(self, hazard: Hazard, sites: list[Site]) -> HazardView:
        detail, closing = self.detail, _closing(hazard)
        scenario = scenario_text(hazard.scenario)
        return HazardView(
            id=hazard.id,
            grade=hazard.grade,
            state=hazard.state,
            patch=self._patch(hazard.patch),
            cycle=cycle_lines(hazard.kind, hazard.classes),
            summary=prose(hazard.summary, detail.prose) if detail.summary or not scenario else "",
            condition=prose(hazard.condition, detail.prose),
            scenario=scenario,
            sites=tuple(self._sites(sites[: detail.sites], hazard.patch)),
            more_sites=max(0, len(sites) - detail.sites),
            closing=tuple(
                (prose(chain.context, LINE_LIMIT), trace_lines(chain.steps, limit=detail.steps))
                for chain in closing[: detail.contexts]
            ),
            more_contexts=max(0, len(closing) - detail.contexts),
        )

    def _patch(self, index: int | None) -> str:
        several = index is not None and self.series.expected > 1
        return numbered(index, self.series) if several and index is not None else ""

    def _quotes(self, found: list[Passage]) -> tuple[QuoteView, ...]:
        subjects = {patch.index: prose(patch.subject, 120) for patch in self.series.patches}
        several = len({diff.title for diff in self.diffs}) > 1
        made, told, title = [], self.answered, ""
        for passage in found[: self.detail.hunks]:
            patch = self._patch(passage.patch) if passage.patch != told else ""
            head = (quoted(passage.title),) if several and passage.title != title else ()
            subject = subjects.get(passage.patch or 0, "") if patch else ""
            # That a hunk is cut where it starts is seen: its first line says where that is.
            hunk, *lines = passage.quote
            lines = lines[1:] if lines[:1] == [ELISION] else lines
            lines = lines[:-1] if lines[-1:] == [ELISION] else lines
            made.append(QuoteView(patch, subject, (*head, hunk, *lines)))
            told, title = passage.patch, passage.title
        return tuple(made)

    def _sites(self, sites: list[Site], decided: int | None) -> Iterator[SiteView]:
        """The sites; those of one function that begin alike are told together."""
        together = all(site.patch == decided for site in sites)
        for _, group in groupby(sites, key=_beginning):
            first, *others = group
            before, after = self._way(first, first.before), self._way(first, first.after)
            for other in others:
                before += self._other_way(other, other.before)
                after += self._other_way(other, other.after)
            yield SiteView(
                function=prose(first.function),
                via="" if others else prose(first.via),
                state=first.state,
                patch="" if together else self._patch(first.patch),
                before=tuple(before),
                after=tuple(after),
                same=all(_same(site.before, site.after) for site in (first, *others)),
            )

    def _way(self, site: Site, evidence: Evidence | None) -> list[str]:
        chain = evidence.chain if evidence is not None else ()
        return list(trace_lines(chain, site.function, limit=self.detail.steps))

    def _other_way(self, site: Site, evidence: Evidence | None) -> list[str]:
        """How the function gets to the wait by other calls, below the steps of another site."""
        if evidence is None:
            return []
        rest = trace_lines(evidence.chain[1:], site.function, limit=self.detail.steps)
        return ["or", *rest]


def _beginning(site: Site) -> tuple[object, ...]:
    """What sites share that can be told together: the function, the lock, and their fate."""
    firsts = [e.chain[0] if e and len(e.chain) > 1 else None for e in (site.before, site.after)]
    alone = site if not any(firsts) else None
    return (site.function, site.file, site.state, site.patch, *firsts, alone)


def _closing(hazard: Hazard) -> list[Chain]:
    """The other contexts' chains of all sites, each once, of the newest tree that has it."""
    chains: dict[tuple[str, tuple[tuple[str, ...], ...]], Chain] = {}
    for site in hazard.sites:
        evidence = site.after or site.before
        for chain in evidence.closing if evidence else ():
            chains.setdefault((chain.context, _path(chain.steps)), chain)
    return list(chains.values())


def _path(steps: Iterable[Step]) -> tuple[tuple[str, ...], ...]:
    """What a chain is but for its line numbers."""
    return tuple((step.function, step.file, step.what, step.lock) for step in steps)


def _same(before: Evidence | None, after: Evidence | None) -> bool:
    if before is None or after is None:
        return False
    return _path(before.chain) == _path(after.chain)
