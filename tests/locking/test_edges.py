# SPDX-License-Identifier: GPL-2.0-or-later
"""Edges and what they cost."""

from __future__ import annotations

from reviewbot.locking.edges import ELSEWHERE, IN_DIRECTORY, IN_FILE, THROUGH_STRUCT, Edges
from reviewbot.locking.legs import Leg
from reviewbot.locking.rows import CONTEXT
from reviewbot.locking.view import View
from tests.locking.scenario import DEV, HANDLER
from tests.locking.support import Files, Lab

FILE, BESIDE, FAR = "drivers/dev/core.c", "drivers/dev/other.c", "lib/far.c"
KERNEL: Files = {
    "include/linux/far.h": "static inline void handy(struct dev *d)\n{\n\tfar(d);\n}\n",
    FILE: DEV
    + """
struct ops { void (*run)(struct dev *d); };
static void near(struct dev *d)
{
	beside(d);
}
void start(struct dev *d)
{
	mutex_lock(&first);
	near(d);
	mutex_unlock(&first);
}
void inlined(struct dev *d)
{
	mutex_lock(&second);
	handy(d);
	mutex_unlock(&second);
}
void indirect(struct dev *d, struct ops *ops)
{
	mutex_lock(&third);
	ops->run(d);
	mutex_unlock(&third);
}
static const struct ops my_ops = {
	.run = near,
};
"""
    + HANDLER,
    BESIDE: "void beside(struct dev *d)\n{\n\tfar(d);\n}\n",
    FAR: "static DEFINE_MUTEX(end);\n"
    "void far(struct dev *d)\n{\n\tmutex_lock(&end);\n\tmutex_unlock(&end);\n}\n",
}
END = "lib/far.c:end"


def leg_from(edges: Edges, held: str) -> Leg:
    node, end = edges.view.node(held), edges.view.node(END)
    assert node is not None
    assert end is not None
    (leg,) = edges.leading_to(end, writers_only=False)[node]
    return leg


def edges_of(view: View) -> Edges:
    return Edges(view, view.directories([FILE]))


def test_a_call_costs_by_where_it_leads(lab: Lab) -> None:
    with lab.views(KERNEL) as (view,):
        edges = edges_of(view)
        assert edges.cost(leg_from(edges, f"{FILE}:first")) == IN_FILE + IN_DIRECTORY + ELSEWHERE
        assert edges.cost(leg_from(edges, f"{FILE}:second")) == ELSEWHERE
        through = edges.cost(leg_from(edges, f"{FILE}:third"))
        assert through == THROUGH_STRUCT + IN_FILE + IN_DIRECTORY + ELSEWHERE


def test_a_handler_costs_nothing_itself(lab: Lab) -> None:
    with lab.views(KERNEL) as (view,):
        edges = edges_of(view)
        node, lock = view.node("work struct dev.work"), view.node("struct dev.lock")
        assert node is not None
        assert lock is not None
        (leg,) = edges.leading_to(lock, writers_only=False)[node]
        assert (leg.function, edges.cost(leg)) == (CONTEXT, 0)


def test_an_edge_knows_how_it_began_and_ends(lab: Lab) -> None:
    with lab.views(KERNEL) as (view,):
        edges = edges_of(view)
        leg = leg_from(edges, f"{FILE}:first")
        taken, use, action = edges.taken(leg), edges.use(leg), edges.action(leg)
        assert taken is not None and taken.call == "mutex_lock"
        assert use is not None and use.call == "near"
        assert action is not None and (action.node, action.what) == (END, "")
        assert edges.spot(leg.function) == (FILE, "start")
        assert edges.edge_at((FILE, "start"), "near", leg.held, leg.target) == leg
        assert edges.edges_in(frozenset({FILE}), leg.held, leg.target) == [leg]
        assert edges.edges_in(frozenset({FAR}), leg.held, leg.target) == []
