# SPDX-License-Identifier: GPL-2.0-or-later
"""At which patch of a long series a site came or went, without looking at every tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from reviewbot.locking.compare import changed_functions
from reviewbot.locking.history import EVERY, History
from reviewbot.locking.model import ChangeState, HazardKind
from reviewbot.locking.trees import Views
from reviewbot.locking.view import View
from tests.locking.scenarios import SCENARIOS
from tests.locking.support import Files, Lab

BAD, GOOD = SCENARIOS["flush"].bad, SCENARIOS["flush"].good
(FILE,) = BAD


def series(length: int, turns: Callable[[int], bool]) -> list[Files]:
    """Kernels before and after each patch; bad where *turns* says so, each a bit different."""
    return [{**(BAD if turns(n) else GOOD), "lib/x.c": f"int x{n};\n"} for n in range(length + 1)]


def history_of(views: Sequence[View]) -> History:
    return History(views, changed_functions((views[0], views[-1]), frozenset({FILE})))


@pytest.mark.parametrize("length", [1, 2, EVERY, EVERY + 1, 20])
@pytest.mark.parametrize("where", [0.0, 0.4, 1.0])
def test_the_patch_that_fixes_is_found(lab: Lab, length: int, where: float) -> None:
    patch = 1 + round(where * (length - 1))
    with lab.views(*series(length, lambda n: n < patch)) as views:
        history = history_of(views)
        (key,) = history.keys()
        assert key[0] is HazardKind.FLUSH_CYCLE
        (site,) = history.sites(key)
        assert (site.state, site.patch) == (ChangeState.REMOVED, patch)


def test_of_a_long_series_few_trees_are_made(lab: Lab) -> None:
    made: list[str] = []
    trees = lab.trees(*series(40, lambda n: n >= 29))
    with lab.open(*trees) as views:
        names = [str(n) for n in range(len(views))]

        def make(name: str) -> View:
            made.append(name)
            return views[int(name)]

        counted = Views(names, make)
        (key,) = history_of(counted).keys()
        (site,) = history_of(counted).sites(key)
    assert (site.state, site.patch) == (ChangeState.INTRODUCED, 29)
    assert len(made) < 2 + 2 * EVERY


def test_of_a_short_series_the_last_turn_counts(lab: Lab) -> None:
    with lab.views(*series(5, lambda n: n in (0, 2))) as views:
        (key,) = history_of(views).keys()
        (site,) = history_of(views).sites(key)
    assert (site.state, site.patch) == (ChangeState.REMOVED, 3)
