# SPDX-License-Identifier: GPL-2.0-or-later
"""The edges of a hazard's cycle: what they join, and in which of the trees each is."""

from __future__ import annotations

from itertools import pairwise

import pytest

from reviewbot.locking.model import ChangeState, Edge, HazardKind, Node
from tests.locking.scenario import HANDLER, one
from tests.locking.scenarios import SCENARIOS
from tests.locking.support import Files, Lab, of_kind

LOCK = Node("mutex", "struct dev.lock")
WORK = Node("work item", "struct dev.work")
OPEN = {HazardKind.SLEEP_IN_ATOMIC}
"""Kinds whose edges do not come back to where they start."""


def driver(close: str, handler: str = HANDLER) -> Files:
    """A driver with a work item and a function that ends it."""
    return one(f"{handler}void dev_close(struct dev *d)\n{{\n{close}}}\n")


UNDER = "\tmutex_lock(&d->lock);\n\tcancel_work_sync(&d->work);\n\tmutex_unlock(&d->lock);\n"
AFTER = "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);\n\tcancel_work_sync(&d->work);\n"


def flush(lab: Lab, before: Files, after: Files) -> tuple[Edge, ...]:
    return of_kind(lab.review(before, after), HazardKind.FLUSH_CYCLE).edges


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_cycle_comes_back_to_where_it_starts(lab: Lab, name: str) -> None:
    scenario = SCENARIOS[name]
    for hazard in lab.review(scenario.bad, scenario.good).hazards:
        edges = hazard.edges
        if hazard.kind is HazardKind.LOCK_IMBALANCE:
            assert edges == ()
            continue
        assert edges
        assert all(edge.target == follower.source for edge, follower in pairwise(edges))
        assert (edges[-1].target == edges[0].source) is (hazard.kind not in OPEN)
        assert all(edge.before for edge in edges)
        assert hazard.state is not ChangeState.REMOVED or not all(edge.after for edge in edges)


def test_a_fix_that_moves_the_wait(lab: Lab) -> None:
    assert flush(lab, driver(UNDER), driver(AFTER)) == (
        Edge(LOCK, WORK, ("dev_close()",), ()),
        Edge(WORK, LOCK, ("dev_work()",), ("dev_work()",)),
    )


def test_a_fix_that_takes_the_lock_out_of_the_handler(lab: Lab) -> None:
    """The site is gone, but its own edge is as it was."""
    bare = HANDLER.replace("\tmutex_lock(&d->lock);\n", "").replace(
        "\tmutex_unlock(&d->lock);\n", ""
    )
    assert bare != HANDLER
    assert flush(lab, driver(UNDER), driver(UNDER, bare)) == (
        Edge(LOCK, WORK, ("dev_close()",), ("dev_close()",)),
        Edge(WORK, LOCK, ("dev_work()",), ()),
    )


def test_what_a_series_brings(lab: Lab) -> None:
    assert flush(lab, driver(AFTER), driver(UNDER)) == (
        Edge(LOCK, WORK, (), ("dev_close()",)),
        Edge(WORK, LOCK, ("dev_work()",), ("dev_work()",)),
    )


def test_one_of_two_functions_is_mended(lab: Lab) -> None:
    def two(first: str) -> Files:
        return driver(f"{first}}}\n\nvoid dev_quit(struct dev *d)\n{{\n{UNDER}")

    assert flush(lab, two(UNDER), two(AFTER))[0] == Edge(
        LOCK, WORK, ("dev_close()", "dev_quit()"), ("dev_quit()",)
    )


def test_the_worker_pool_is_a_place_of_its_own(lab: Lab) -> None:
    scenario = SCENARIOS["worker pool"]
    (hazard,) = lab.review(scenario.bad, scenario.good).hazards
    assert [edge.source.what for edge in hazard.edges] == [
        "mutex",
        "SRCU grace period",
        "worker pool",
        "work item",
    ]
    assert [bool(edge.after) for edge in hazard.edges] == [False, True, True, True]
