# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways that constant arguments bar, and those they leave open."""

from __future__ import annotations

import pytest

from reviewbot.locking.feasible import NOWHERE, Feasibility
from reviewbot.locking.view import View
from tests.locking.scenario import one
from tests.locking.support import Lab

FILE = "drivers/dev/core.c"
STOP = """
static void wait(struct dev *d, bool sync)
{
@@
}
static void stop(struct dev *d, bool sync)
{
	wait(d, sync);
}
struct dev_ops {
	void (*wait)(struct dev *d, bool sync);
};
static void halt(struct dev *d, struct dev_ops *ops)
{
	note(d);
	ops->wait(d, false);
}
static const struct dev_ops dev_ops = {
	.wait = wait,
};
"""
LAST = frozenset({("flush_work", 0)})


def number(view: View, name: str) -> int:
    if name.startswith("ops "):
        found = view.store.callable_number(name)
        assert found is not None
        return found
    return next(ref.id for ref in view.functions_in(FILE) if ref.name == name)


@pytest.mark.parametrize(
    ("body", "args", "open_"),
    [
        ("\tif (sync)\n\t\tflush_work(&d->work);", ("d", "false"), False),
        ("\tif (sync)\n\t\tflush_work(&d->work);", ("d", "true"), True),
        ("\tif (sync)\n\t\tflush_work(&d->work);", ("d", "how"), True),
        ("\tif (sync)\n\t\tflush_work(&d->work);", (), True),
        ("\tif (!sync)\n\t\treturn;\n\tflush_work(&d->work);", ("d", "0"), False),
        ("\tif (!d)\n\t\tflush_work(&all);", ("&x->dev", "0"), False),
        ("\tsync = must(d);\n\tif (sync)\n\t\tflush_work(&d->work);", ("d", "false"), True),
        ("\task(&sync);\n\tif (sync)\n\t\tflush_work(&d->work);", ("d", "false"), True),
        ("\tif (sync)\n\t\tflush_work(&d->work);\n\tsync = true;", ("d", "false"), False),
        ("again:\n\tif (sync)\n\t\tflush_work(&d->work);\n\tif (!sync) {\n\t\tsync = true;\n"
         "\t\tgoto again;\n\t}", ("d", "false"), True),
        ("\tif (sync == DEV_WAIT)\n\t\tflush_work(&d->work);", ("d", "DEV_LATER"), False),
        ("\tif (sync & DEV_WAIT)\n\t\tflush_work(&d->work);", ("d", "DEV_NOW | DEV_WAIT"), True),
        ("\tswitch (sync) {\n\tcase DEV_WAIT:\n\t\tflush_work(&d->work);\n\t}", ("d", "DEV_LATER"),
         False),
        ("\tswitch (sync) {\n\tcase DEV_WAIT:\n\t\tflush_work(&d->work);\n\t}", ("d", "DEV_WAIT"),
         True),
    ],
)  # fmt: skip
def test_what_a_constant_bars(lab: Lab, body: str, args: tuple[str, ...], open_: bool) -> None:
    with lab.views(one(STOP.replace("@@", body))) as (view,):
        asked = Feasibility(view)
        wait, stop = number(view, "wait"), number(view, "stop")
        barred = None if open_ else (wait, NOWHERE)
        assert asked.stuck([wait], args, LAST) == barred
        assert asked.stuck([stop, wait], args, LAST) == barred
        assert asked.stuck([stop, wait], ("d", "sync"), LAST) is None


def test_arguments_reach_what_stands_behind_a_member(lab: Lab) -> None:
    body = "\tif (sync)\n\t\tflush_work(&d->work);"
    with lab.views(one(STOP.replace("@@", body))) as (view,):
        way = [number(view, name) for name in ("halt", "ops struct dev_ops.wait", "wait")]
        assert Feasibility(view).stuck(way, ("d", "ops"), LAST) == (way[-1], NOWHERE)


def test_what_is_not_found_in_the_source_is_possible(lab: Lab) -> None:
    body = "\tif (sync)\n\t\tflush_work(&d->work);"
    with lab.views(one(STOP.replace("@@", body))) as (view,):
        asked = Feasibility(view)
        stop, halt = number(view, "stop"), number(view, "halt")
        assert asked.stuck([stop, halt], ("d", "false"), LAST) is None
        assert asked.stuck([stop], ("d", "false"), LAST) is None
        assert asked.stuck([], (), LAST) is None


def test_of_two_calls_of_one_name_the_line_tells(lab: Lab) -> None:
    body = "\tflush_work(&d->other);\n\tif (sync)\n\t\tflush_work(&d->work);"
    with lab.views(one(STOP.replace("@@", body))) as (view,):
        wait = number(view, "wait")
        lines = view.lines("drivers/dev/core.c")
        at = lines.index("\t\tflush_work(&d->work);") + 1
        asked = Feasibility(view)
        assert asked.stuck([wait], ("d", "false"), frozenset({("flush_work", at)})) is not None
        assert asked.stuck([wait], ("d", "false"), frozenset({("flush_work", at - 2)})) is None


SETTER = """
static void sleep_on(struct dev *d)
{
	if (d->dead)
		return;
	flush_work(&d->work);
}
static void pass(struct dev *d)
{
	sleep_on(d);
}
void start(struct dev *d)
{
@@
	pass(d);
}
"""


@pytest.mark.parametrize(
    ("before", "open_"),
    [
        ("\td->dead = 1;", False),
        ("\td->dead = true;\n\tnote(d);", False),
        ("\td->dead = 0;", True),
        ("\td->dead = 1;\n\td->dead = ask(d);", True),
        ("\tif (ask(d))\n\t\td->dead = 1;", True),
        ("\td->parent->dead = 1;", True),
        ("\tnote(d);", True),
    ],
)
def test_a_member_that_the_caller_sets(lab: Lab, before: str, open_: bool) -> None:
    with lab.views(one(SETTER.replace("@@", before))) as (view,):
        asked = Feasibility(view)
        start, way = number(view, "start"), [number(view, name) for name in ("pass", "sleep_on")]
        at = view.lines(FILE).index("\tpass(d);") + 1
        known = asked.set_by(start, at)
        barred = None if open_ else (way[-1], NOWHERE)
        assert asked.stuck(way, ("d",), LAST, known) == barred


def test_many_members_are_too_many(lab: Lab) -> None:
    """2^20 ways through a function are not all gone."""
    sets = "\n".join(f"\tif (ask(d))\n\t\td->m{n} = 1;" for n in range(20))
    with lab.views(one(SETTER.replace("@@", sets))) as (view,):
        at = view.lines(FILE).index("\tpass(d);") + 1
        assert Feasibility(view).set_by(number(view, "start"), at) == frozenset()
