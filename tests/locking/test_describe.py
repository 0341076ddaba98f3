# SPDX-License-Identifier: GPL-2.0-or-later
"""Words: each kind says what it is about, in lockdep's vocabulary."""

from __future__ import annotations

import pytest

from reviewbot.locking.model import Hazard, HazardKind
from tests.locking.scenario import one
from tests.locking.scenarios import SCENARIOS
from tests.locking.support import Lab, Reviews, of_kind


def hazard_of(reviews: Reviews, name: str) -> Hazard:
    return of_kind(reviews.introducing(name), SCENARIOS[name].kind)


def columns(hazard: Hazard) -> list[tuple[int, str]]:
    return [(row.column, row.text) for row in hazard.scenario.rows]


def test_an_inversion_is_two_cpus(reviews: Reviews) -> None:
    hazard = hazard_of(reviews, "order")
    a, b = "drivers/dev/core.c:second", "drivers/dev/core.c:first"
    assert hazard.scenario.columns == ("CPU0", "CPU1")
    assert columns(hazard) == [
        (0, f"lock({a})"),
        (1, f"lock({b})"),
        (1, f"lock({a})"),
        (0, f"lock({b})"),
    ]
    assert "backward()" in hazard.summary
    assert a in hazard.summary
    assert b in hazard.summary


def test_a_cycle_of_three_is_three_cpus(reviews: Reviews) -> None:
    hazard = hazard_of(reviews, "order of three")
    a, b, c = (f"drivers/dev/core.c:{name}" for name in ("third", "first", "second"))
    assert hazard.scenario.columns == ("CPU0", "CPU1", "CPU2")
    assert columns(hazard) == [
        (0, f"lock({a})"),
        (1, f"lock({b})"),
        (2, f"lock({c})"),
        (1, f"lock({c})"),
        (2, f"lock({a})"),
        (0, f"lock({b})"),
    ]
    assert hazard.summary.endswith(f"elsewhere {b} leads to {c} and {c} leads to {a}.")


def test_a_reader_is_an_rlock(reviews: Reviews) -> None:
    assert any(
        text == "rlock(struct dev.sem)"
        for _, text in columns(hazard_of(reviews, "order of writer and reader"))
    )


def test_a_worker_pool_cycle_has_three_columns(reviews: Reviews) -> None:
    hazard = hazard_of(reviews, "worker pool through a call")
    assert hazard.scenario.columns == ("CPU0", "kworker", "kworker pool")
    texts = [text for _, text in columns(hazard)]
    assert texts[0] == "lock(struct dev.lock)"
    assert "synchronize_srcu_expedited(struct dev.srcu)" in texts
    assert any("process_srcu" in text for text in texts)
    assert "drain()" in hazard.summary
    assert "legal" in hazard.condition


def test_a_flush_cycle_names_the_handler(reviews: Reviews) -> None:
    hazard = hazard_of(reviews, "flush through calls on both sides")
    assert "work item struct dev.work" in hazard.summary
    assert any("dev_work()" in text for _, text in columns(hazard))
    (site,) = hazard.sites
    assert site.after is not None
    assert [(step.function, step.what) for step in site.after.chain] == [
        ("f", "mutex_lock"),
        ("f", "stop"),
        ("stop", "flush_work"),
    ]
    (closing,) = site.after.closing
    assert closing.context.startswith("work item struct dev.work")
    assert [(step.function, step.what) for step in closing.steps] == [
        ("dev_work", "update"),
        ("update", "guard(mutex)"),
    ]


def test_an_srcu_reader_is_called_one(reviews: Reviews) -> None:
    (site,) = hazard_of(reviews, "grace period").sites
    assert site.after is not None
    assert [chain.context for chain in site.after.closing] == ["SRCU reader of struct dev.srcu"]


def test_a_call_through_a_table_says_so(reviews: Reviews) -> None:
    (site,) = hazard_of(reviews, "order through a table").sites
    assert site.after is not None
    step = next(step for step in site.after.chain if step.indirect)
    assert step.indirect == "ops struct ops.run"
    assert step.what == "my_run"


@pytest.mark.parametrize("name", SCENARIOS)
def test_prose_is_prose(reviews: Reviews, name: str) -> None:
    hazard = hazard_of(reviews, name)
    assert hazard.summary.endswith(".")
    assert hazard.summary[0].isalpha()
    assert "  " not in hazard.summary
    assert "None" not in hazard.summary
    assert "CONTEXT" not in hazard.summary
    assert set(hazard.to_dict()) >= {"id", "kind", "grade", "state", "classes", "patch", "sites"}


PREEMPT = """
#define FP_START() preempt_disable()
DEFINE_LOCK_GUARD_0(preempt, preempt_disable(), preempt_enable())
void dev_run(struct dev *d)
{
@@
}
"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("\tFP_START();\n\t%s;\n\tpreempt_enable();", "FP_START()"),
        ("\tguard(preempt)();\n\t%s;", "guard(preempt)"),
    ],
)
def test_a_state_of_the_processor_is_not_held(lab: Lab, body: str, said: str) -> None:
    text = PREEMPT.replace("@@", body)
    comparison = lab.review(one(text % "work()"), one(text % "msleep(1)"))
    assert of_kind(comparison, HazardKind.SLEEP_IN_ATOMIC).summary == (
        f"dev_run() reaches msleep(), which may sleep, with preemption off since {said}."
    )
