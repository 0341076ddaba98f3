# SPDX-License-Identifier: GPL-2.0-or-later
"""Hazards that depend on how a callee is called: with which constants, functions and locks."""

from __future__ import annotations

from reviewbot.locking.model import HazardKind as Kind
from tests.locking.scenario import HANDLER, LOCK, Scenario, one

CORE = "drivers/dev/core.c"
STOP = (
    HANDLER
    + """
static void stop(struct dev *d, bool sync)
{
	if (sync)
		cancel_work_sync(&d->work);
	else
		cancel_work(&d->work);
}

static void quiesce(struct dev *d, bool sync)
{
	stop(d, sync);
}

void dev_quit(struct dev *d)
{
	mutex_lock(&d->lock);
@@
	mutex_unlock(&d->lock);
}
"""
)
LOADED = """
static void load(void *data, unsigned long long cookie)
{
	mutex_lock(&first);
	read(data);
	mutex_unlock(&first);
}

void dev_load(struct dev *d)
{
	mutex_lock(&first);
@@
}
"""
RELEASED = LOADED.replace("void *data, unsigned long long cookie", "struct kref *data")
TICK = """
struct hrtimer {
	int (*function)(struct hrtimer *t);
};
struct clock {
	spinlock_t lock;
	struct hrtimer tick;
};

static int clock_tick(struct hrtimer *t)
{
	struct clock *c = container_of(t, struct clock, tick);
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	spin_unlock_irqrestore(&c->lock, flags);
	return 0;
}

void clock_start(struct clock *c)
{
	c->tick.function = clock_tick;
}

void clock_stop(struct clock *c)
{
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
@@
}
"""
TABLE = """
struct xarray {
	spinlock_t xa_lock;
};
#define xa_lock(xa)		spin_lock(&(xa)->xa_lock)
#define xa_unlock(xa)		spin_unlock(&(xa)->xa_lock)
struct table {
	struct xarray names;
	struct xarray ids;
	spinlock_t lock;
};

void store(struct xarray *xa)
{
	xa_lock(xa);
	work();
	xa_unlock(xa);
}

void table_add(struct table *t)
{
	spin_lock(&t->lock);
	store(&t->names);
	spin_unlock(&t->lock);
}

void table_walk(struct table *t)
{
	xa_lock(&t->names);
@@
}
"""


def scenario(kind: Kind, classes: str, site: str, text: str, bad: str, good: str) -> Scenario:
    """One file with *bad* or *good* at the mark; the site is ``function>via``."""
    function, _, via = site.partition(">")
    return Scenario(
        kind,
        tuple(classes.split("|")),
        ((function, via),),
        one(text.replace("@@", bad)),
        one(text.replace("@@", good)),
    )


_INSIDE = "\tspin_lock(&t->lock);\n\tspin_unlock(&t->lock);\n"
CALLEE_SCENARIOS: dict[str, Scenario] = {
    "a callee that waits if it is told to": scenario(
        Kind.FLUSH_CYCLE, f"{LOCK}|work struct dev.work", "dev_quit>stop",
        STOP, "\tstop(d, true);", "\tstop(d, false);",
    ),
    "a callee that hands on whether to wait": scenario(
        Kind.FLUSH_CYCLE, f"{LOCK}|work struct dev.work", "dev_quit>quiesce",
        STOP, "\tquiesce(d, true);", "\tquiesce(d, false);",
    ),
    "what is scheduled may run at once": scenario(
        Kind.RECURSIVE_LOCK, f"{CORE}:first", "dev_load>load", LOADED,
        "\tasync_schedule(load, d);\n\tmutex_unlock(&first);",
        "\tmutex_unlock(&first);\n\tasync_schedule(load, d);",
    ),
    "the last reference is released under the lock": scenario(
        Kind.RECURSIVE_LOCK, f"{CORE}:first", "dev_load>load", RELEASED,
        "\tkref_put(&d->ref, load);\n\tmutex_unlock(&first);",
        "\tmutex_unlock(&first);\n\tkref_put(&d->ref, load);",
    ),
    "a handler that is set in a member": scenario(
        Kind.FLUSH_CYCLE, "struct clock.lock|hrtimer struct clock.tick", "clock_stop", TICK,
        "\thrtimer_cancel(&c->tick);\n\tspin_unlock_irqrestore(&c->lock, flags);",
        "\tspin_unlock_irqrestore(&c->lock, flags);\n\thrtimer_cancel(&c->tick);",
    ),
    "the lock of a container": scenario(
        Kind.LOCK_ORDER_INVERSION, "struct table.names.xa_lock|struct table.lock", "table_walk",
        TABLE, _INSIDE + "\txa_unlock(&t->names);", "\txa_unlock(&t->names);\n" + _INSIDE,
    ),
    "a plain sleep under a spinlock": scenario(
        Kind.SLEEP_IN_ATOMIC, "struct dev.slock", "nap",
        "void nap(struct dev *d)\n{\n\tspin_lock(&d->slock);\n@@\n}\n",
        "\tmsleep(1);\n\tspin_unlock(&d->slock);", "\tspin_unlock(&d->slock);\n\tmsleep(1);",
    ),
}  # fmt: skip

CALLEE_NEAR_MISSES: dict[str, str] = {
    "containers of two owners": TABLE.replace("names);\n@@", f"ids);\n{_INSIDE}@@").replace(
        "@@", "\txa_unlock(&t->ids);"),
    "a wait gives back the spinlock it is given": """
static inline void wait_cond(struct cond *cond, spinlock_t *lock)
{
	spin_unlock(lock);
	schedule();
	spin_lock(lock);
}
static void settle(struct cond *cond, spinlock_t *lock)
{
	wait_cond(cond, lock);
}
void dev_wait(struct dev *d)
{
	spin_lock(&d->slock);
	settle(d->cond, &d->slock);
	spin_unlock(&d->slock);
}
""",
    "a wait gives back the mutex it is given": """
static void wait_cond(struct cond *cond, struct mutex *lock)
{
	mutex_unlock(lock);
	schedule();
	mutex_lock(lock);
}
void dev_wait(struct dev *d)
{
	mutex_lock(&d->lock);
	wait_cond(d->cond, &d->lock);
	mutex_unlock(&d->lock);
}
""",
    "a wait of the kernel's gives back its spinlock": """
void dev_wait(struct dev *d)
{
	spin_lock_irq(&d->slock);
	wait_event_lock_irq(d->wq, d->dead, d->slock);
	spin_unlock_irq(&d->slock);
}
""",
    "a switch that says not to wait": HANDLER + """
static void stop(struct dev *d, int how)
{
	switch (how) {
	case STOP_SYNC:
		cancel_work_sync(&d->work);
		break;
	default:
		cancel_work(&d->work);
	}
}
void dev_quit(struct dev *d)
{
	mutex_lock(&d->lock);
	stop(d, STOP_LATER);
	mutex_unlock(&d->lock);
}
""",
    "one lock or the other by the kind of what is given": """
static void walk_one(struct dev *d)
{
	mutex_lock(&d->lock);
	work();
	mutex_unlock(&d->lock);
}
static void walk_other(struct dev *d)
{
	mutex_lock(&d->other);
	work();
	mutex_unlock(&d->other);
}
static void walk(struct dev *d)
{
	if (is_one(d))
		walk_one(d);
	else
		walk_other(d);
}
void one(struct dev *d, struct dev *e)
{
	mutex_lock(&e->lock);
	walk(d);
	mutex_unlock(&e->lock);
}
void other(struct dev *d, struct dev *e)
{
	mutex_lock(&e->other);
	walk(d);
	mutex_unlock(&e->other);
}
""",
}  # fmt: skip
