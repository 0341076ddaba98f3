# SPDX-License-Identifier: GPL-2.0-or-later
"""An audit finds without a patch what a review finds with one, and ranks it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.locking.audit import (
    CROWD,
    MAX_SITES,
    Rank,
    Sighting,
    Standing,
    again,
    by_directory,
    look,
    merge,
    tell,
    within,
)
from reviewbot.locking.legs import Finding, Leg
from reviewbot.locking.model import HazardKind, hazard_id
from reviewbot.locking.view import View
from tests.locking.scenarios import DEV, NEAR_MISSES, SCENARIOS
from tests.locking.support import Lab

Kind = HazardKind


def standing(view: View, *, callers: bool = False) -> list[Standing]:
    return merge(
        sighting
        for directory, numbers in by_directory(view.active()).items()
        for sighting in look(view, directory, numbers, callers)
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_hazard_is_found_where_a_review_finds_it(lab: Lab, name: str) -> None:
    case = SCENARIOS[name]
    with lab.views(case.bad) as (view,):
        found = {hazard.id: hazard for hazard in standing(view)}
        hazard = found[hazard_id(case.kind, case.classes)]
        (told,) = tell(view, [hazard])
    assert {function for function, _ in case.sites} <= {site.function for site in told.sites}
    assert told.id == hazard.id
    assert all(site.evidence.chain for site in told.sites)


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_is_gone_from_the_mended_kernel(lab: Lab, name: str) -> None:
    case = SCENARIOS[name]
    with lab.views(case.good) as (view,):
        found = {hazard.id for hazard in standing(view)}
    assert hazard_id(case.kind, case.classes) not in found


def test_near_misses_are_not_listed(lab: Lab) -> None:
    files = {
        f"drivers/dev{number}/core.c": DEV + text
        for number, text in enumerate(NEAR_MISSES.values())
    }
    with lab.views(files) as (view,):
        told = [f"{h.id} {h.first.site}" for h in standing(view)]
    assert told == []


def test_what_is_in_one_file_comes_before_what_is_not(lab: Lab) -> None:
    near, far = SCENARIOS["order"], SCENARIOS["order through a table"]
    files = {**{f"fs/{path}": text for path, text in near.bad.items()}, **far.bad}
    with lab.views(files) as (view,):
        first, second = standing(view)
    assert first.first.site[0].startswith("fs/")
    assert first.sightings[0].rank < second.sightings[0].rank
    assert second.sightings[0].rank.virtual > 0


def test_a_hazard_is_found_again_where_it_was(lab: Lab) -> None:
    case = SCENARIOS["flush through calls on both sides"]
    with lab.views(case.bad) as (view,):
        (hazard,) = [h for h in standing(view) if h.first.kind is case.kind]
        found = again(view, case.kind, case.classes, hazard.spots)
        assert found is not None
        assert found.id == hazard.id


def test_a_hazard_is_found_again_where_its_functions_were_renamed(lab: Lab) -> None:
    case = SCENARIOS["flush through calls on both sides"]
    with lab.views(case.bad) as (view,):
        found = again(view, case.kind, case.classes, [("drivers/gone.c", "gone")])
        assert found is not None
        elsewhere = again(view, case.kind, case.classes, [], scope=["drivers/other"])
    assert elsewhere is None


def test_what_is_mended_is_not_found_again(lab: Lab) -> None:
    case = SCENARIOS["order"]
    with lab.views(case.bad, case.good) as (bad, good):
        (hazard,) = [h for h in standing(bad) if h.first.kind is case.kind]
        assert again(good, case.kind, case.classes, hazard.spots) is None


@pytest.mark.parametrize(
    ("path", "scope", "inside"),
    [
        ("a/b.c", [], True),
        ("a/b.c", ["a"], True),
        ("a/b.c", ["a/b.c"], True),
        ("ab/b.c", ["a"], False),
        ("a/b.c", ["b", "a/b"], False),
    ],
)
def test_a_scope_is_files_and_whole_directories(path: str, scope: list[str], inside: bool) -> None:
    assert within(path, scope) is inside


# ---- ranking, on findings made by hand ----


def sighting(kind: Kind, classes: tuple[str, ...], site: str, rank: Rank) -> Sighting:
    leg = Leg(classes[0], classes[-1], 0, ())
    return Sighting(Finding(kind, classes, ("f.c", site), "", leg, ()), rank)


ranks = st.builds(Rank, st.integers(0, 2), st.integers(0, 1), st.integers(0, 2), st.just(False))
sightings = st.lists(
    st.builds(
        sighting,
        st.sampled_from([Kind.LOCK_IMBALANCE, Kind.FLUSH_CYCLE, Kind.RECURSIVE_LOCK]),
        st.sampled_from([("a",), ("b",), ("a", "b"), ("b", "a")]),
        st.sampled_from(["f", "g", "h"]),
        ranks,
    ),
    max_size=14,
)


@given(sightings, st.randoms())
def test_the_order_of_discovery_does_not_matter(found: list[Sighting], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merge(shuffled) == merge(found)


@given(sightings)
def test_each_hazard_once_with_each_site_once_best_first(found: list[Sighting]) -> None:
    merged = merge(found)
    assert {h.first.key for h in merged} == {s.finding.key for s in found}
    assert len({h.id for h in merged}) == len(merged)
    best = [hazard.sightings[0].rank for hazard in merged]
    assert best == sorted(best)  # all in one file: nothing is found in a crowd
    for hazard in merged:
        own = [s.rank for s in hazard.sightings]
        assert own == sorted(own)
        assert len({s.finding.site for s in hazard.sightings}) == len(own)
        assert own[0] == min(s.rank for s in found if s.finding.key == hazard.first.key)


def test_what_is_found_in_a_crowd_of_files_comes_last() -> None:
    sure, doubtful = Rank(0, 0, 0, False), Rank(2, 3, 9, True)
    crowd = [
        replace(one, finding=replace(one.finding, site=(f"f{number}.c", "f")))
        for number in range(CROWD + 1)
        for one in [sighting(Kind.LOCK_IMBALANCE, ("a",), "f", sure)]
    ]
    alone = sighting(Kind.FLUSH_CYCLE, ("b",), "f", doubtful)
    assert [h.first.kind for h in merge([*crowd, alone])] == [
        alone.finding.kind,
        crowd[0].finding.kind,
    ]
    assert merge([*crowd[1:], alone])[0].first.kind is Kind.LOCK_IMBALANCE


def test_kinds_take_turns() -> None:
    rank = Rank(0, 0, 0, False)
    many = [sighting(Kind.LOCK_IMBALANCE, (name,), "f", rank) for name in "abc"]
    few = [sighting(Kind.RECURSIVE_LOCK, (name,), "f", rank) for name in "xy"]
    kinds = [hazard.first.kind for hazard in merge([*many, *few])]
    assert kinds[:4] in (
        [Kind.LOCK_IMBALANCE, Kind.RECURSIVE_LOCK] * 2,
        [Kind.RECURSIVE_LOCK, Kind.LOCK_IMBALANCE] * 2,
    )
    assert [h.first.kind for h in merge([*many, *few], [Kind.RECURSIVE_LOCK])] == [
        Kind.RECURSIVE_LOCK
    ] * 2


def test_a_conditional_hazard_comes_after_a_definite_one() -> None:
    sure = Rank(0, 0, 0, False)
    assert sure < replace(sure, conditional=True) < replace(sure, calls=1)
    assert replace(sure, calls=9) < replace(sure, virtual=1) < replace(sure, spread=1)


def test_very_many_sites_are_counted(lab: Lab) -> None:
    body = "".join(
        f"void f{n}(struct dev *d)\n{{\n\tmutex_lock(&first);\n\tmutex_lock(&second);\n"
        "\tmutex_unlock(&second);\n\tmutex_unlock(&first);\n}\n"
        for n in range(MAX_SITES + 5)
    )
    (path, text), *_ = SCENARIOS["order"].bad.items()
    with lab.views({path: text + body}) as (view,):
        (hazard,) = tell(view, standing(view))
    assert len(hazard.sites) == MAX_SITES
    assert hazard.more_sites >= 5
