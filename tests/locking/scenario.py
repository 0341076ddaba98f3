# SPDX-License-Identifier: GPL-2.0-or-later
"""What the small kernels with hazards are made of."""

from __future__ import annotations

from dataclasses import dataclass

from reviewbot.locking.model import HazardKind as Kind
from tests.locking.support import Files

LOCK = "struct dev.lock"
DEV = """\
struct dev {
	struct mutex lock;
	struct mutex other;
	spinlock_t slock;
	struct rw_semaphore sem;
	struct srcu_struct srcu;
	struct srcu_struct srcu2;
	struct work_struct work;
	struct delayed_work dwork;
	struct workqueue_struct *wq;
	struct timer_list timer;
	struct task_struct *thread;
	struct dev *parent;
	int irq;
	int dead;
};
static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_MUTEX(third);
"""


HANDLER = """
static void dev_work(struct work_struct *work)
{
	struct dev *d = container_of(work, struct dev, work);

	mutex_lock(&d->lock);
	d->dead++;
	mutex_unlock(&d->lock);
}

void dev_init(struct dev *d)
{
	INIT_WORK(&d->work, dev_work);
}
"""


@dataclass(frozen=True)
class Scenario:
    """A hazard: the kernel that has it, and the one that does not."""

    kind: Kind
    classes: tuple[str, ...]
    sites: tuple[tuple[str, str], ...]
    """(function, via) of each site."""
    bad: Files
    good: Files


def one(text: str) -> Files:
    """A kernel of one file."""
    return {"drivers/dev/core.c": DEV + text}
