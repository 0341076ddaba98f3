# SPDX-License-Identifier: GPL-2.0-or-later
"""What is definite, and what else a hazard may take."""

from __future__ import annotations

import pytest

from reviewbot.locking.graph import FEW_CANDIDATES
from reviewbot.locking.model import Grade, HazardKind
from tests.locking.scenario import DEV
from tests.locking.scenarios import ORDER, SCENARIOS
from tests.locking.support import Files, Lab, Reviews, of_kind

CONDITIONAL = (
    "worker pool", "worker pool through a call", "the framework calls back",
    "the last reference is released under the lock",
)  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_contexts_are_enough_or_the_condition_is_said(reviews: Reviews, name: str) -> None:
    hazard = of_kind(reviews.introducing(name), SCENARIOS[name].kind)
    assert (hazard.grade is Grade.CONDITIONAL) == (name in CONDITIONAL)
    assert bool(hazard.condition) == (name in CONDITIONAL)


def table(candidates: int, body: str) -> Files:
    """A call through a struct in which *candidates* functions stand."""
    text = (
        "struct ops { void (*run)(int x); };\nstruct bus { const struct ops *ops; };\n"
        "static void my_run(int x)\n{\n\tmutex_lock(&first);\n\tmutex_unlock(&first);\n}\n"
        "static const struct ops my_ops = {\n\t.run = my_run,\n};\n"
    )
    for number in range(candidates - 1):
        text += (
            f"static void run_{number}(int x)\n{{\n\twork();\n}}\n"
            f"static const struct ops ops_{number} = {{\n\t.run = run_{number},\n}};\n"
        )
    text += ORDER.replace("void backward(void)", "void backward(struct bus *bus)")
    return {"drivers/dev/core.c": DEV + text.replace("@@", body)}


@pytest.mark.parametrize("candidates", [1, FEW_CANDIDATES, FEW_CANDIDATES + 1, 9])
def test_a_wide_table_is_weak_evidence(lab: Lab, candidates: int) -> None:
    after = "\tmutex_lock(&second);\n\tbus->ops->run(1);\n\tmutex_unlock(&second);"
    before = "\tmutex_lock(&second);\n\tmutex_unlock(&second);\n\tbus->ops->run(1);"
    comparison = lab.review(table(candidates, before), table(candidates, after))
    hazard = of_kind(comparison, HazardKind.LOCK_ORDER_INVERSION)
    wide = candidates > FEW_CANDIDATES
    assert hazard.grade is (Grade.CONDITIONAL if wide else Grade.DEFINITE)
    assert (f"{candidates} functions stand" in hazard.condition) == wide
