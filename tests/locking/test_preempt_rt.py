# SPDX-License-Identifier: GPL-2.0-or-later
"""Locks that sleep on PREEMPT_RT, where nothing may sleep there either."""

from __future__ import annotations

import pytest

from reviewbot.locking.model import ChangeState, Grade, HazardKind, Verdict
from tests.locking.support import Files, Lab

CLAIM = "dev: use a raw spinlock, for PREEMPT_RT"
LOCK = "struct chip.lock"
CHIP = """\
#include <linux/irq.h>
struct chip {
	@@lock_t lock;
	raw_spinlock_t outer;
};

static void chip_write(struct chip *c)
{
	unsigned long flags;

	@@lock_irqsave(&c->lock, flags);
	@@unlock_irqrestore(&c->lock, flags);
}

"""
UNMASK = """\
static void chip_unmask(struct irq_data *data)
{
	chip_write(irq_data_get_irq_chip_data(data));
}

static const struct irq_chip dev_chip = {
	.irq_unmask = chip_unmask,
};
"""


def around(before: str, after: str) -> str:
    return f"void chip_start(struct chip *c)\n{{\n\t{before};\n\tchip_write(c);\n\t{after};\n}}\n"


def versions(caller: str) -> tuple[Files, Files]:
    """A chip with a spinlock, and with a raw one."""
    path, text = "drivers/dev/core.c", CHIP + caller
    return {path: text.replace("@@", "spin_")}, {path: text.replace("@@", "raw_spin_")}


@pytest.mark.parametrize(
    ("caller", "held"),
    [
        (UNMASK, "raw context"),
        (around("raw_spin_lock(&c->outer)", "raw_spin_unlock(&c->outer)"), "struct chip.outer"),
        (around("local_irq_disable()", "local_irq_enable()"), ""),
        (around("preempt_disable()", "preempt_enable()"), ""),
    ],
)
def test_a_spinlock_sleeps_where_nothing_may(lab: Lab, caller: str, held: str) -> None:
    before, after = versions(caller)
    comparison = lab.review(before, after, claim=CLAIM)
    assert comparison.verdict is Verdict.REMOVED
    (hazard,) = comparison.hazards
    assert hazard.kind is HazardKind.SLEEP_IN_ATOMIC
    assert hazard.state is ChangeState.REMOVED
    assert hazard.grade is Grade.CONDITIONAL
    assert "PREEMPT_RT" in hazard.condition
    assert "PREEMPT_RT" in hazard.summary
    assert hazard.classes[1] == LOCK
    assert not held or hazard.classes[0] == held
    assert lab.review(before, after, claim="dev: tidy up").verdict is Verdict.CLEAN
    assert lab.review(after, before, claim=CLAIM).verdict is Verdict.CLEAN  # not told unasked


@pytest.mark.parametrize(
    "caller",
    [
        around("spin_lock(&c->other)", "spin_unlock(&c->other)").replace("&c->other", "&other")
        + "static DEFINE_SPINLOCK(other);\n",
        around("rcu_read_lock()", "rcu_read_unlock()"),
        around("local_bh_disable()", "local_bh_enable()"),
        around("mutex_lock(&tuning)", "mutex_unlock(&tuning)") + "static DEFINE_MUTEX(tuning);\n",
    ],
)
def test_a_spinlock_may_be_taken_where_preempt_rt_lets_it_sleep(lab: Lab, caller: str) -> None:
    assert lab.review(*versions(caller), claim=CLAIM).verdict is Verdict.CLEAN


LOCAL = """\
struct batch {
	local_lock_t lock;
};
static DEFINE_PER_CPU(struct batch, batches);
static void choose(void)
{
	unsigned long flags;

	local_lock_irqsave(&batches.lock, flags);
	local_unlock_irqrestore(&batches.lock, flags);
}
void verify(void)
{
	@@();
	choose();
	##();
}
"""


def test_a_local_lock_sleeps_there_too(lab: Lab) -> None:
    before, after = (
        {
            "kernel/verify.c": LOCAL.replace("@@", f"{state}_disable").replace(
                "##", f"{state}_enable"
            )
        }
        for state in ("preempt", "migrate")
    )
    comparison = lab.review(before, after, claim="verify: do not sleep in atomic context")
    assert [h.classes for h in comparison.hazards] == [("preempt_disable", "struct batch.lock")]
    assert comparison.verdict is Verdict.REMOVED


ORDER = """
static DEFINE_SPINLOCK(table);
void refill(void)
{
	local_lock(&batches.lock);
	spin_lock(&table);
	spin_unlock(&table);
	local_unlock(&batches.lock);
}
void drain(void)
{
	spin_lock(&table);
@@	spin_unlock(&table);
}
"""


def test_nobody_waits_for_the_lock_of_another_processor(lab: Lab) -> None:
    text = LOCAL.replace("@@();\n\tchoose();\n\t##();", "use();") + ORDER
    kernels = ({"kernel/verify.c": text.replace("@@", call)} for call in ("\tchoose();\n", ""))
    assert lab.review(*kernels, claim="verify: fix an ABBA deadlock").verdict is Verdict.CLEAN
