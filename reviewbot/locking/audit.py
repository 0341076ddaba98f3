# SPDX-License-Identifier: GPL-2.0-or-later
"""The hazards of a tree without a patch: found, ranked, each told once.

A review asks what a series does to hazards; an audit asks what there is.  The
search is the same, started from every function instead of the changed ones, so a
hazard has the same id in both.  What is easiest to check by eye comes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from reviewbot.locking.describe import Describer
from reviewbot.locking.grade import condition, grade
from reviewbot.locking.hazards import Finder
from reviewbot.locking.legs import Finding, Key, Leg, Spot
from reviewbot.locking.model import Evidence, Grade, HazardKind, Scenario, hazard_id
from reviewbot.locking.orders import CROWD
from reviewbot.locking.places import directory_of
from reviewbot.locking.rows import CONTEXT
from reviewbot.locking.view import View

MAX_SITES = 64
"""Sites of one hazard that are told with their chains; the others are counted."""
MAX_AROUND = 4000
"""Functions around a hazard's classes that are searched if it is not where it was."""


@dataclass(frozen=True, slots=True, order=True)
class Rank:
    """How much there is to doubt in a finding; the least sorts first."""

    spread: int
    """Where its ends are: 0 in one file, 1 in one directory, 2 further apart."""
    virtual: int
    """Calls through a struct, in all chains together."""
    calls: int
    """Plain calls, in all chains together."""
    conditional: bool


@dataclass(frozen=True, slots=True)
class Sighting:
    """A hazard at one site, with its rank."""

    finding: Finding
    rank: Rank


@dataclass(frozen=True, slots=True)
class Standing:
    """A hazard of a tree: all its sites, the one with the least to doubt first."""

    sightings: tuple[Sighting, ...]

    @property
    def first(self) -> Finding:
        return self.sightings[0].finding

    @property
    def id(self) -> str:
        return hazard_id(self.first.kind, self.first.classes)

    @property
    def spots(self) -> tuple[Spot, ...]:
        """The functions that it is found in."""
        return tuple(dict.fromkeys(sighting.finding.site for sighting in self.sightings))


@dataclass(frozen=True, slots=True)
class AuditSite:
    """One function in which a hazard's cycle is entered, with the proof."""

    function: str
    file: str
    via: str
    """The callee through which the wait is reached; empty if the function waits itself."""
    context: str
    """Who runs the function: "task", "SRCU reader of ...", "work item ..."."""
    evidence: Evidence

    def to_dict(self) -> dict[str, Any]:
        return {
            "function": self.function,
            "file": self.file,
            "via": self.via,
            "context": self.context,
            **self.evidence.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class AuditHazard:
    """One hazard of a tree in words."""

    kind: HazardKind
    grade: Grade
    classes: tuple[str, ...]
    """Lock classes and other nodes of the cycle, the held one first."""
    sites: tuple[AuditSite, ...]
    more_sites: int
    """Sites beyond :data:`MAX_SITES`."""
    scenario: Scenario
    summary: str
    condition: str

    @property
    def id(self) -> str:
        """The same as a review gives it."""
        return hazard_id(self.kind, self.classes)

    def to_dict(self) -> dict[str, Any]:
        """One of the ``hazards`` of ``reviewbot.audit/1``."""
        return {
            "id": self.id,
            "kind": self.kind.value,
            "grade": self.grade.value,
            "classes": list(self.classes),
            "summary": self.summary,
            "condition": self.condition,
            "sites": [site.to_dict() for site in self.sites],
            "more_sites": self.more_sites,
            "scenario": self.scenario.to_dict(),
        }


def within(path: str, scope: Collection[str]) -> bool:
    """Whether a file is one of *scope* or below a directory of it; an empty scope has all."""
    return not scope or any(path == one or path.startswith(f"{one}/") for one in scope)


def by_directory(functions: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Function numbers by directory, from (file, number)."""
    out: dict[str, list[int]] = {}
    for file, number in functions:
        out.setdefault(directory_of(file), []).append(number)
    return out


def look(
    view: View, directory: str, functions: Sequence[int], callers: bool = False
) -> list[Sighting]:
    """The hazards that functions of one directory are part of.

    A call through a struct is taken to mean that directory's functions, as in a
    review of a patch to it.  With *callers*, what functions elsewhere hold over a
    call of one of these counts too.
    """
    finder = Finder(view, view.directories([f"{directory}/"]))
    reached = {n: frozenset(finder.effects(n)) for n in functions} if callers else {}
    found = finder.find(functions, reached)
    return [Sighting(finding, rank_of(view, finding)) for finding in found]


def rank_of(view: View, finding: Finding) -> Rank:
    """How much there is to doubt in a finding."""
    legs = finding.legs
    files = {finding.site[0], *(file for leg in legs for file in _ends(view, leg))} - {""}
    calls = [view.function(number) for leg in legs for number in leg.path]
    virtual = sum(ref is None for ref in calls)
    return Rank(
        spread=0 if len(files) == 1 else 1 if len(set(map(directory_of, files))) == 1 else 2,
        virtual=virtual,
        calls=len(calls) - virtual,
        conditional=grade(view, finding) is Grade.CONDITIONAL,
    )


def _ends(view: View, leg: Leg) -> list[str]:
    """The files of the function that holds and of the one that blocks."""
    numbers = [leg.path[-1] if leg.path else leg.function, leg.holder]
    refs = map(view.function, numbers)
    return [ref.file for ref in refs if ref is not None]


def merge(sightings: Iterable[Sighting], kinds: Collection[HazardKind] = ()) -> list[Standing]:
    """Each hazard once, the one with the least to doubt first.

    Where there is equally much to doubt the kinds take turns: a list that is cut
    short shows of each what is best.  What is found in a crowd of files comes last.
    """
    sites: dict[Key, dict[tuple[Spot, str], Sighting]] = {}
    for sighting in sightings:
        finding = sighting.finding
        if kinds and finding.kind not in kinds:
            continue
        known = sites.setdefault(finding.key, {})
        key = (finding.site, finding.via)
        if key not in known or _order(sighting) < _order(known[key]):
            known[key] = sighting
    standing = [Standing(tuple(sorted(known.values(), key=_order))) for known in sites.values()]
    standing.sort(key=lambda hazard: (_doubt(hazard), _order(hazard.sightings[0])))
    turns: Counter[tuple[tuple[bool, Rank], HazardKind]] = Counter()
    places: dict[str, int] = {}
    for hazard in standing:
        turn = (_doubt(hazard), hazard.first.kind)
        places[hazard.id] = turns[turn]
        turns[turn] += 1
    return sorted(standing, key=lambda hazard: (_doubt(hazard), places[hazard.id]))


def _doubt(hazard: Standing) -> tuple[bool, Rank]:
    """How much there is to doubt in all of a hazard.

    Who takes a lock the wrong way is alone with it; a lock that seems to be taken so in
    many files is one whose rules the source does not tell, such as a wrapper's.
    """
    files = {file for file, _ in hazard.spots}
    return len(files) > CROWD, hazard.sightings[0].rank


def _order(sighting: Sighting) -> tuple[Rank, Spot, str, HazardKind, tuple[str, ...]]:
    finding = sighting.finding
    return sighting.rank, finding.site, finding.via, finding.kind, finding.classes


def tell(view: View, hazards: Sequence[Standing]) -> list[AuditHazard]:
    """Hazards in words, with their proof; reads the source for line numbers."""
    describer = Describer(Finder(view, view.directories(())))
    return [_told(view, describer, hazard) for hazard in hazards]


def _told(view: View, describer: Describer, hazard: Standing) -> AuditHazard:
    first = hazard.first
    sites = tuple(_site(describer, one.finding) for one in hazard.sightings[:MAX_SITES])
    return AuditHazard(
        kind=first.kind,
        grade=grade(view, first),
        classes=first.classes,
        sites=sites,
        more_sites=max(0, len(hazard.sightings) - MAX_SITES),
        scenario=describer.scenario(first),
        summary=describer.summary(first),
        condition=condition(view, first),
    )


def _site(describer: Describer, finding: Finding) -> AuditSite:
    file, function = finding.site
    context = describer.chain(finding.leg).context
    return AuditSite(function, file, finding.via, context, describer.evidence(finding))


def again(
    view: View,
    kind: HazardKind,
    classes: Collection[str],
    spots: Iterable[Spot],
    scope: Collection[str] = (),
) -> Standing | None:
    """Look for a hazard that was seen in *spots*, or wherever its classes are held."""
    key = (kind, frozenset(classes))
    for functions in (_at(view, spots), _around(view, classes)):
        wanted = [(file, number) for file, number in functions if within(file, scope)]
        found = [
            sighting
            for directory, numbers in by_directory(wanted).items()
            for sighting in look(view, directory, numbers)
            if sighting.finding.key == key
        ]
        if found:
            return merge(found)[0]
    return None


def _at(view: View, spots: Iterable[Spot]) -> list[tuple[str, int]]:
    wanted = set(spots)
    return [
        (ref.file, ref.id)
        for path in sorted({path for path, _ in wanted})
        for ref in view.functions_in(path)
        if (path, ref.name) in wanted
    ]


def _around(view: View, classes: Iterable[str]) -> list[tuple[str, int]]:
    """Functions that hold, take or run as one of *classes*."""
    numbers: set[int] = set()
    for name in classes:
        node = view.node(name)
        if node is not None:
            numbers.update(view.graph.holds_of(node)[0].tolist())
            numbers.update(view.graph.actors_on(node)[0].tolist())
        numbers.update(registration.function for registration in view.registrations(name))
    refs = (view.function(number) for number in sorted(numbers - {CONTEXT})[:MAX_AROUND])
    return [(ref.file, ref.id) for ref in refs if ref is not None]
