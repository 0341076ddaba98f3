# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that are handed on, kept in a member, moved to another, and called from there."""

from __future__ import annotations

import pytest

from reviewbot.locking.facts import FieldSet, Function
from reviewbot.locking.model import HazardKind
from reviewbot.locking.pointers import Handed, handed_on
from tests.locking.scenario import DEV
from tests.locking.support import Files, Lab, facts_of_text, of_kind

HEADER: Files = {
    "include/linux/entry.h": """\
struct entry {
	void (*func)(struct dev *d);
};
struct queue_ops {
	int (*func)(struct dev *d, int when, void (*func)(struct dev *d));
};
struct entry_attr {
	void (*func)(struct dev *d);
	struct queue_ops *ops;
};
"""
}
QUEUE = """\
static DEFINE_MUTEX(first);
static int put(struct dev *d, void (*func)(struct dev *d))
{
	struct entry *e = new_entry(d);

	e->func = func;
	return 0;
}
int queue_func(struct dev *d, int when, void (*func)(struct dev *d))
{
	return put(d, func);
}
void run_all(struct dev *d, struct entry *e)
{
	mutex_lock(&first);
	e->func(d);
	mutex_unlock(&first);
}
"""
USER = """\
static void reset(struct dev *d)
{
	mutex_lock(&d->lock);
	mutex_unlock(&d->lock);
}
int dev_reset(struct dev *d)
{
	return queue_func(d, 1, reset);
}
void dev_stop(struct dev *d, struct entry *e)
{
@@
}
"""
ORDER = ("\tmutex_lock(&d->lock);\n\trun_all(d, e);\n\tmutex_unlock(&d->lock);", "\trun_all(d, e);")
COPIED = QUEUE.replace("e->func = func;", "e->func = d->attr->func;").replace(
    "static int put", "static int set"
)
ATTR = """\
static const struct entry_attr attr = {
	.func = reset,
};
"""

OPS = """static const struct queue_ops ops = {
	.func = queue_func,
};
"""
THROUGH = USER.replace("return queue_func(d, 1, reset)", "return d->attr->ops->func(d, 1, reset)")
"""A function that goes through a struct to where it is kept."""


def function_of(text: str, name: str) -> Function:
    return next(f for f in facts_of_text(text).functions if f.name == name)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("{ take(d, go); }", [("take", 1)]),
        ("{ take(go, d); }", [("take", 0)]),
        ("{ take(f(a, b), &go); }", [("take", 1)]),
        ("{ take(x, give(a, go)); }", [("give", 1)]),
        ("{ ops->take(d, go); }", [("ops->take", 1)]),
        ("{ d->bus.ops->take(go); }", [("d->bus.ops->take", 0)]),
        ("{ ops[0]->take(go); }", []),
        ("{ x = (go); }", []),
        ("{ take(d, go, 1); go(d); }", [("take", 1)]),
        ("{ go(d); }", []),
        ("{ take(d, other); }", []),
    ],
)
def test_handed_on(body: str, found: list[tuple[str, int]]) -> None:
    hits = handed_on(body.encode(), {b"go"}, {})
    assert hits == [Handed(callee, place, "go") for callee, place in found]


def test_parameters_go_on_and_are_kept() -> None:
    assert function_of(DEV + QUEUE, "queue_func").hands == (Handed("put", 1, "$2"),)
    assert function_of(DEV + QUEUE, "put").sets == (FieldSet("struct entry*", "e->func", "$1"),)
    assert function_of(DEV + COPIED, "set").sets == (
        FieldSet("struct entry*", "e->func", "d->attr->func", "struct dev*"),
    )
    assert function_of(DEV + USER, "dev_reset").hands == (Handed("queue_func", 2, "reset"),)


@pytest.mark.parametrize(
    ("core", "user"), [(QUEUE, USER), (COPIED, USER + ATTR), (QUEUE + OPS, THROUGH)]
)
def test_what_is_kept_is_called(lab: Lab, core: str, user: str) -> None:
    """The callee's callback comes back for the lock that the caller holds."""
    header = HEADER | {
        "include/linux/dev.h": "struct dev { struct mutex lock; struct entry_attr *attr; };\n"
    }
    bad, good = (
        header | {"drivers/dev/queue.c": core, "drivers/dev/user.c": user.replace("@@", body)}
        for body in ORDER
    )
    hazard = of_kind(lab.review(bad, good), HazardKind.RECURSIVE_LOCK)
    assert [(site.function, site.via) for site in hazard.sites] == [("dev_stop", "run_all")]
    step = next(step for step in hazard.sites[0].before.chain if step.indirect)  # type: ignore[union-attr]
    assert (step.function, step.what) == ("run_all", "reset")


def test_members_on_the_way_are_no_calls(lab: Lab) -> None:
    """However often a function is handed on, it is one call away from who calls it back."""
    header = HEADER | {
        "include/linux/dev.h": "struct dev { struct mutex lock; struct entry_attr *attr; };\n"
    }
    body = "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);\n"
    deep = f"static void deep(struct dev *d)\n{{\n{body}}}\n"
    deep += "".join(
        f"static void {name}(struct dev *d)\n{{\n\t{callee}(d);\n}}\n"
        for name, callee in (("third", "deep"), ("second", "third"), ("first_of", "second"))
    )
    stop = THROUGH.replace("@@", ORDER[0])
    bad, good = (
        header
        | {
            "drivers/dev/queue.c": QUEUE + OPS,
            "drivers/dev/user.c": deep + stop.replace(body, f"\t{call}(d);\n", 1),
        }
        for call in ("first_of", "work")
    )
    hazard = of_kind(lab.review(good, bad), HazardKind.RECURSIVE_LOCK)
    assert [(site.function, site.via) for site in hazard.sites] == [("dev_stop", "run_all")]
