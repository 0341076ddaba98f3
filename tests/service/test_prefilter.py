# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing that the comparison reports is left out, and what has no locks is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from reviewbot.locking.compare import compare
from reviewbot.locking.index import is_source
from reviewbot.locking.model import Comparison
from reviewbot.service.prefilter import touches_locks
from tests.locking.scenario import HANDLER, one
from tests.locking.scenarios import SCENARIOS
from tests.locking.support import Files, Lab

CLAIM = "fix a deadlock"
PLAIN = one("int one(void)\n{\n\treturn 1;\n}\n")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A repository of small kernels with an empty cache."""
    return Lab.make(tmp_path)


def asked(lab: Lab, versions: Sequence[Files], claim: str = CLAIM) -> tuple[bool, Comparison]:
    """What the filter and the comparison say of a series."""
    files = frozenset(
        path
        for before, after in pairwise(versions)
        for path in before.keys() | after.keys()
        if is_source(path) and before.get(path) != after.get(path)
    )
    with lab.views(*versions) as views:
        return touches_locks(views, files), compare(views, files, claim)


@pytest.mark.parametrize("name", sorted(SCENARIOS)[::3])
def test_no_hazard_is_left_out(lab: Lab, name: str) -> None:
    case = SCENARIOS[name]
    for versions in ((case.good, case.bad), (case.bad, case.good), (case.bad, case.good, case.bad)):
        passes, comparison = asked(lab, versions)
        assert passes or not comparison.hazards


INERT = """
static void idle(struct work_struct *work)
{
	struct dev *d = container_of(work, struct dev, work);

	%s;
}

void dev_init(struct dev *d)
{
	INIT_WORK(&d->work, idle);
}
"""
HOLDS = "void f(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n%s\tmutex_unlock(&d->lock);\n}\n"
PLAINLY = "void f(struct dev *d)\n{\n\t%s;\n}\n"
TABLE = "static const struct file_operations ops = {\n\t.open = f,\n};\n"


def beside(before: str, after: str) -> tuple[Files, Files]:
    """A change beside a work item that takes a lock."""
    return one(HANDLER + before), one(HANDLER + after)


UNTOUCHED = {
    "a number": (PLAIN, one("int one(void)\n{\n\treturn 2;\n}\n")),
    "a variable": (PLAIN, {**PLAIN, "drivers/dev/more.c": "int two;\n"}),
    "a function beside locks": beside("", "int two(void)\n{\n\treturn 2;\n}\n"),
    "a table of what takes nothing": beside(
        PLAINLY % "d->dead = 1", PLAINLY % "d->dead = 1" + TABLE
    ),
}
TOUCHED = {
    "a function that holds": beside(HOLDS % "", HOLDS % "\td->dead = 1;\n"),
    "a call of what takes a lock": beside(PLAINLY % "d->dead = 1", PLAINLY % "dev_work(&d->work)"),
    "a sleep": beside(PLAINLY % "d->dead = 1", PLAINLY % "msleep(1)"),
    "a work item's function": (one(HANDLER.replace("dead++", "dead--")), one(HANDLER)),
    "a work item that takes nothing": (
        one(INERT % "d->dead++"),
        one(INERT % "d->dead--"),
    ),
}


@pytest.mark.parametrize("name", [*UNTOUCHED, *TOUCHED])
def test_who_gets_a_full_review(lab: Lab, name: str) -> None:
    passes, comparison = asked(lab, {**UNTOUCHED, **TOUCHED}[name])
    assert passes == (name in TOUCHED)
    assert passes or not comparison.hazards
