# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person can ask of the graph: who takes a lock, what is blocked on under it."""

from __future__ import annotations

from reviewbot.locking.inspect import report
from reviewbot.locking.primitives import builtin
from reviewbot.locking.show import facts_text, facts_to_dict, lock_text
from tests.locking.scenarios import SCENARIOS
from tests.locking.support import Lab, facts_of_text

FILE = "drivers/dev/core.c"
BAD = SCENARIOS["flush through calls on both sides"].bad


def test_a_lock(lab: Lab) -> None:
    with lab.views(BAD) as (view,):
        found = report(view, "struct dev.lock")
    assert found is not None
    assert {(step.function, step.what) for step in found.takers} == {
        ("update", "guard(mutex)"),
        ("f", "mutex_lock"),
    }
    (chain,) = found.held_over
    assert [step.function for step in chain.steps] == ["f", "f", "stop"]
    assert chain.steps[-1].lock == "work struct dev.work"
    text = lock_text(found)
    assert text.startswith("struct dev.lock\n")
    assert f"stop ({FILE}:" in text
    assert found.to_dict()["schema"] == "reviewbot.lock/1"


def test_a_work_item(lab: Lab) -> None:
    with lab.views(BAD) as (view,):
        found = report(view, "work struct dev.work")
    assert found is not None
    assert [step.function for step in found.handlers] == ["dev_work"]
    assert [step.function for step in found.takers] == ["stop"]
    assert "handlers:" in lock_text(found)


def test_what_the_graph_does_not_know(lab: Lab) -> None:
    with lab.views(BAD) as (view,):
        assert report(view, "struct no.lock") is None


def test_a_laid_over_tree_answers_the_same(lab: Lab) -> None:
    case = SCENARIOS["flush through calls on both sides"]
    with lab.views(case.good, case.bad) as (_, over):
        laid = report(over, "struct dev.lock")
    with lab.with_cache("fresh").views(case.bad) as (alone,):
        assert report(alone, "struct dev.lock") == laid


def test_facts_as_text_and_as_values() -> None:
    facts = facts_of_text(BAD[FILE])
    text = facts_text(FILE, facts, builtin())
    assert text.startswith(f"{FILE}: {len(facts.functions)} functions")
    line = next(line for line in text.split("\n") if "stop(d)" in line)
    assert "{d->lock}" in line
    values = facts_to_dict(FILE, facts)
    assert values["schema"] == "reviewbot.facts/1"
    assert values["functions"][0]["name"] == facts.functions[0].name
    assert values["structs"][0]["fields"]["lock"] == "struct mutex"
