# SPDX-License-Identifier: GPL-2.0-or-later
"""What a new version's reply says of the old one's hazards, and when it says nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest

from reviewbot.locking.model import ChangeState, Hazard, Site, Verdict
from reviewbot.report.jsonout import dump
from reviewbot.report.model import Gone, Review, Since
from reviewbot.service.memory import Memory, recall, since, tells_nothing_new
from tests.report import builders

BASE = builders.poll_hazard()


def hazard(name: str, state: ChangeState, patch: int | None = None) -> Hazard:
    """A hazard with its own id, at one site."""
    site = replace(BASE.sites[0], state=state, patch=patch)
    return replace(BASE, classes=(name, "struct frob.poll_work"), state=state, patch=patch,
                   sites=(site,))  # fmt: skip


def reviewed(*hazards: Hazard, verdict: Verdict = Verdict.INTRODUCED, version: int = 2) -> Review:
    found = builders.review(builders.three(), verdict, "because", hazards)
    return replace(found, series=replace(found.series, version=version))


def remembered(review: Review) -> Memory:
    """The review as it comes back from where it was stored."""
    return recall(json.loads(dump(review.to_dict())))


NEW, LEFT, GONE = ChangeState.INTRODUCED, ChangeState.REMAINING, ChangeState.REMOVED


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        pytest.param([(NEW, 2)], None, ((2,), 0, 0), id="no longer brought in"),
        pytest.param([(NEW, 2)], [(NEW, 2)], ((), 1, 0), id="still brought in"),
        pytest.param([(NEW, 2)], [(NEW, 1)], ((), 1, 0), id="now by another patch"),
        pytest.param([(LEFT, None)], None, ((), 1, 0), id="there before, and not spoken of"),
        pytest.param([(LEFT, None)], [(GONE, 3)], ((3,), 0, 0), id="there before, removed now"),
        pytest.param([(GONE, 1)], [(GONE, 1)], ((), 0, 0), id="removed by both"),
        pytest.param([(GONE, 1)], [(LEFT, None)], ((), 0, 1), id="no longer removed"),
        pytest.param([], [(NEW, 2)], ((), 0, 1), id="new"),
    ],
)
def test_one_hazard(
    before: list[tuple[ChangeState, int | None]],
    now: list[tuple[ChangeState, int | None]] | None,
    expected: tuple[tuple[int, ...], int, int],
) -> None:
    old = reviewed(*(hazard("struct a.lock", *one) for one in before))
    new = reviewed(*(hazard("struct a.lock", *one) for one in now or ()), version=3)
    found = since(remembered(old), new)
    assert found is not None
    assert found.version == 2
    patches = tuple(one.patch for one in found.gone)
    assert (patches, len(found.remaining), len(found.new)) == expected


def test_several_hazards_each_by_its_own_patch() -> None:
    one, two, three, four = (hazard(f"struct {name}.lock", NEW, 2) for name in "abcd")
    old = reviewed(one, replace(two, patch=3), hazard("struct c.lock", LEFT))
    new = reviewed(hazard("struct c.lock", GONE, 1), replace(two, patch=1), four, version=3)
    found = since(remembered(old), new)
    assert found == Since(2, (Gone(one.id, 2), Gone(three.id, 1)), (two.id,), (four.id,))


def test_a_patch_that_was_dropped_is_not_named() -> None:
    old = reviewed(hazard("struct a.lock", NEW, 2))
    new = reviewed(version=3, verdict=Verdict.CLEAN)
    patches = tuple(patch for patch in new.series.patches if patch.index != 2)
    new = replace(new, series=replace(new.series, patches=patches))
    found = since(remembered(old), new)
    assert found is not None
    assert [one.patch for one in found.gone] == [None]


@pytest.mark.parametrize("verdict", [Verdict.DOES_NOT_APPLY, Verdict.NOT_REVIEWABLE])
def test_what_was_not_compared_says_nothing_of_hazards(verdict: Verdict) -> None:
    some, none = reviewed(hazard("struct a.lock", NEW, 2)), reviewed(verdict=verdict)
    assert since(remembered(some), none) is None
    assert since(remembered(none), some) is None


def test_the_same_again_is_nothing_new() -> None:
    old = reviewed(hazard("struct a.lock", NEW, 2))
    again = reviewed(hazard("struct a.lock", NEW, 3), version=3)  # the patches changed places
    assert tells_nothing_new(remembered(old), again)


def moved(found: Hazard) -> Hazard:
    site: Site = replace(found.sites[0], function="frob_poll_start")
    return replace(found, sites=(site,))


@pytest.mark.parametrize(
    "new",
    [
        reviewed(verdict=Verdict.CLEAN),
        reviewed(hazard("struct b.lock", NEW, 2)),
        reviewed(hazard("struct a.lock", LEFT), verdict=Verdict.NOT_REMOVED),
        reviewed(moved(hazard("struct a.lock", NEW, 2))),
        reviewed(hazard("struct a.lock", NEW, 2), hazard("struct b.lock", NEW, 2)),
    ],
)
def test_what_changed_is_news(new: Review) -> None:
    assert not tells_nothing_new(remembered(reviewed(hazard("struct a.lock", NEW, 2))), new)


def test_the_next_conflict_is_news_if_it_is_another() -> None:
    old = reviewed(verdict=Verdict.DOES_NOT_APPLY)
    assert tells_nothing_new(remembered(old), old)
    assert not tells_nothing_new(remembered(old), replace(old, reason="another hunk"))


def test_what_is_no_review_is_not_remembered() -> None:
    with pytest.raises(msgspec.ValidationError):
        recall({"schema": "reviewbot.review/1"})
