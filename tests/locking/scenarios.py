# SPDX-License-Identifier: GPL-2.0-or-later
"""Small kernels with a hazard, their fixed twins, and near-misses without one."""

from __future__ import annotations

from reviewbot.locking.model import HazardKind as Kind
from tests.locking.callee_scenarios import CALLEE_NEAR_MISSES, CALLEE_SCENARIOS
from tests.locking.context_scenarios import CONTEXT_NEAR_MISSES, CONTEXT_SCENARIOS
from tests.locking.scenario import DEV, HANDLER, LOCK, Scenario, one
from tests.locking.support import Files


def scenario(
    kind: Kind, classes: str, sites: str, text: str, bad: str, good: str, *, mark: str = "@@"
) -> Scenario:
    """One file with *bad* or *good* at the mark; sites are ``function`` or ``function>via``."""
    assert mark in text
    where = tuple(
        (function, via) for function, _, via in (site.partition(">") for site in sites.split())
    )
    return Scenario(
        kind,
        tuple(classes.split("|")),
        where,
        one(text.replace(mark, bad)),
        one(text.replace(mark, good)),
    )


FIRST, SECOND, THIRD = (f"drivers/dev/core.c:{name}" for name in ("first", "second", "third"))

ORDER = """
void forward(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
}

void backward(void)
{
@@
}
"""
B_THEN_A = "mutex_lock(&second); mutex_lock(&first); mutex_unlock(&first); mutex_unlock(&second);"
A_THEN_B = "mutex_lock(&first); mutex_lock(&second); mutex_unlock(&second); mutex_unlock(&first);"

SCENARIOS: dict[str, Scenario] = {
    "order": scenario(
        Kind.LOCK_ORDER_INVERSION, f"{FIRST}|{SECOND}", "backward", ORDER, B_THEN_A, A_THEN_B
    ),
    "order through a call": scenario(
        Kind.LOCK_ORDER_INVERSION,
        f"{FIRST}|{SECOND}",
        "backward>helper",

            "static void helper(void)\n{\n\tmutex_lock(&first);\n\twork();\n"
            "\tmutex_unlock(&first);\n}\n"
        + ORDER,
        "mutex_lock(&second);\n\thelper();\n\tmutex_unlock(&second);",
        "mutex_lock(&second);\n\tmutex_unlock(&second);\n\thelper();",
    ),
    "order by interruptible locks": scenario(
        Kind.LOCK_ORDER_INVERSION,
        f"{FIRST}|{SECOND}",
        "backward",
        ORDER,
        "mutex_lock(&second); if (!mutex_lock_interruptible(&first)) mutex_unlock(&first);"
        " mutex_unlock(&second);",
        A_THEN_B,
    ),
    "order by guards": scenario(
        Kind.LOCK_ORDER_INVERSION,
        f"{FIRST}|{SECOND}",
        "backward",
        ORDER,
        "guard(mutex)(&second);\n\tscoped_guard(mutex, &first)\n\t\twork();",
        "scoped_guard(mutex, &first)\n\t\twork();\n\tguard(mutex)(&second);\n\twork();",
    ),
    "order of writer and reader": scenario(
        Kind.LOCK_ORDER_INVERSION,
        f"{FIRST}|struct dev.sem",
        "backward",
        "void forward(struct dev *d)\n{\n\tmutex_lock(&first);\n\tdown_write(&d->sem);\n"

            "\tup_write(&d->sem);\n\tmutex_unlock(&first);\n}\n"
            "void backward(struct dev *d)\n{\n@@\n}\n",
        "down_read(&d->sem); mutex_lock(&first); mutex_unlock(&first); up_read(&d->sem);",
        "down_read(&d->sem); up_read(&d->sem); mutex_lock(&first); mutex_unlock(&first);",
    ),
    "order of three": scenario(
        Kind.LOCK_ORDER_INVERSION,
        f"{FIRST}|{SECOND}|{THIRD}",
        "backward",

            "void one(void)\n{\n\tmutex_lock(&first);\n\tmutex_lock(&second);\n"
            "\tmutex_unlock(&second);\n"
        "\tmutex_unlock(&first);\n}\n"

            "void two(void)\n{\n\tmutex_lock(&second);\n\tmutex_lock(&third);\n"
            "\tmutex_unlock(&third);\n"
        "\tmutex_unlock(&second);\n}\nvoid backward(void)\n{\n@@\n}\n",
        "mutex_lock(&third); mutex_lock(&first); mutex_unlock(&first); mutex_unlock(&third);",
        "mutex_lock(&first); mutex_lock(&third); mutex_unlock(&third); mutex_unlock(&first);",
    ),
    "order through a table": scenario(
        Kind.LOCK_ORDER_INVERSION,
        f"{FIRST}|{SECOND}",
        "backward>struct",
        "struct ops { void (*run)(int x); };\nstruct bus { const struct ops *ops; };\n"

            "static void my_run(int x)\n{\n\tmutex_lock(&first);\n\twork();\n"
            "\tmutex_unlock(&first);\n}\n"
        "static const struct ops my_ops = {\n\t.run = my_run,\n};\n"
        + ORDER.replace("void backward(void)", "void backward(struct bus *bus)"),
        "mutex_lock(&second);\n\tbus->ops->run(1);\n\tmutex_unlock(&second);",
        "mutex_lock(&second);\n\tmutex_unlock(&second);\n\tbus->ops->run(1);",
    ),
    "recursion": scenario(
        Kind.RECURSIVE_LOCK, FIRST, "f",
        "void f(int x)\n{\n\tmutex_lock(&first);\n@@\n\tmutex_lock(&first);\n\twork();\n"
        "\tmutex_unlock(&first);\n}\n",
        "\tif (x)\n\t\twork();", "\tmutex_unlock(&first);",
    ),
    "recursion through a call": scenario(
        Kind.RECURSIVE_LOCK, FIRST, "f>helper",

            "static void helper(void)\n{\n\tmutex_lock(&first);\n\twork();\n"
            "\tmutex_unlock(&first);\n}\n"
        "void f(void)\n{\n\tmutex_lock(&first);\n@@\n}\n",
        "\thelper();\n\tmutex_unlock(&first);", "\tmutex_unlock(&first);\n\thelper();",
    ),
    "recursion on one object": scenario(
        Kind.RECURSIVE_LOCK, LOCK, "f>helper",
        "static void helper(struct dev *x)\n{\n\tmutex_lock(&x->lock);\n\twork();\n"
        "\tmutex_unlock(&x->lock);\n}\nvoid f(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n@@\n}\n",
        "\thelper(d);\n\tmutex_unlock(&d->lock);", "\tmutex_unlock(&d->lock);\n\thelper(d);",
    ),
    "recursion on one object by alias": scenario(
        Kind.RECURSIVE_LOCK, LOCK, "f",

            "void f(struct dev *d)\n{\n\tstruct dev *same = d->parent;\n\n"
            "\tmutex_lock(&same->lock);\n@@\n"
        "\tmutex_lock(&d->parent->lock);\n\twork();\n\tmutex_unlock(&d->parent->lock);\n}\n",
        "\twork();", "\tmutex_unlock(&same->lock);",
    ),
    "recursive reader to writer": scenario(
        Kind.RECURSIVE_LOCK, "struct dev.sem", "f",
        "void f(struct dev *d)\n{\n\tdown_read(&d->sem);\n@@\n\tdown_write(&d->sem);\n"
        "\tup_write(&d->sem);\n}\n",
        "\twork();", "\tup_read(&d->sem);",
    ),
    "grace period": scenario(
        Kind.GRACE_PERIOD_CYCLE, f"{LOCK}|struct dev.srcu", "f",
        "void reader(struct dev *d)\n{\n\tint idx = srcu_read_lock(&d->srcu);\n\n"
        "\tmutex_lock(&d->lock);\n\twork();\n\tmutex_unlock(&d->lock);\n"

            "\tsrcu_read_unlock(&d->srcu, idx);\n}\nvoid f(struct dev *d)\n{\n"
            "\tmutex_lock(&d->lock);\n@@\n}\n",
        "\tsynchronize_srcu(&d->srcu);\n\tmutex_unlock(&d->lock);",
        "\tmutex_unlock(&d->lock);\n\tsynchronize_srcu(&d->srcu);",
    ),
    "grace period through calls": scenario(
        Kind.GRACE_PERIOD_CYCLE, f"{LOCK}|struct dev.srcu", "f>unregister",
        "static void take(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n\twork();\n"
        "\tmutex_unlock(&d->lock);\n}\n"
        "void reader(struct dev *d)\n{\n\tguard(srcu)(&d->srcu);\n\ttake(d);\n}\n"
        "static void unregister(struct dev *d)\n{\n\tlist_del(&d->list);\n"
        "\tsynchronize_srcu_expedited(&d->srcu);\n}\n"
        "void f(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n@@\n}\n",
        "\tunregister(d);\n\tmutex_unlock(&d->lock);",
        "\tmutex_unlock(&d->lock);\n\tunregister(d);",
    ),
    "grace period in a reader": scenario(
        Kind.GRACE_PERIOD_IN_READER, "struct dev.srcu", "f",
        "void f(struct dev *d)\n{\n\tint idx = srcu_read_lock(&d->srcu);\n\twork();\n@@\n}\n",
        "\tsynchronize_srcu(&d->srcu);\n\tsrcu_read_unlock(&d->srcu, idx);",
        "\tsrcu_read_unlock(&d->srcu, idx);\n\tsynchronize_srcu(&d->srcu);",
    ),
    "grace period in a reader, through a call": scenario(
        Kind.GRACE_PERIOD_IN_READER, "struct dev.srcu", "f>flush",
        "static void flush(struct dev *d)\n{\n\tsynchronize_srcu(&d->srcu);\n}\n"
        "void f(struct dev *d)\n{\n\tint idx = srcu_read_lock(&d->srcu);\n\twork();\n@@\n}\n",
        "\tflush(d);\n\tsrcu_read_unlock(&d->srcu, idx);",
        "\tsrcu_read_unlock(&d->srcu, idx);\n\tflush(d);",
    ),
    "flush": scenario(
        Kind.FLUSH_CYCLE, f"{LOCK}|work struct dev.work", "f",
        HANDLER + "void f(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n@@\n}\n",
        "\tcancel_work_sync(&d->work);\n\tmutex_unlock(&d->lock);",
        "\tmutex_unlock(&d->lock);\n\tcancel_work_sync(&d->work);",
    ),
    "flush through calls on both sides": scenario(
        Kind.FLUSH_CYCLE, f"{LOCK}|work struct dev.work", "f>stop",
        "static void update(struct dev *d)\n{\n\tguard(mutex)(&d->lock);\n\td->dead++;\n}\n"

            "static void dev_work(struct work_struct *work)\n{\n"
            "\tupdate(container_of(work, struct dev, work));\n}\n"
        "void dev_init(struct dev *d)\n{\n\tINIT_WORK(&d->work, dev_work);\n}\n"
        "static void stop(struct dev *d)\n{\n\tflush_work(&d->work);\n}\n"
        "void f(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n@@\n}\n",
        "\tstop(d);\n\tmutex_unlock(&d->lock);",
        "\tmutex_unlock(&d->lock);\n\tstop(d);",
    ),
    "flush of delayed work": scenario(
        Kind.FLUSH_CYCLE, f"{LOCK}|work struct dev.dwork", "f",
        "static void poll(struct work_struct *work)\n{\n"
        "\tstruct dev *d = container_of(work, struct dev, dwork.work);\n\n"
        "\tmutex_lock(&d->lock);\n\twork();\n\tmutex_unlock(&d->lock);\n}\n"
        "void dev_init(struct dev *d)\n{\n\tINIT_DELAYED_WORK(&d->dwork, poll);\n}\n"
        "void f(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n@@\n}\n",
        "\tcancel_delayed_work_sync(&d->dwork);\n\tmutex_unlock(&d->lock);",
        "\tmutex_unlock(&d->lock);\n\tcancel_delayed_work_sync(&d->dwork);",
    ),
    "flush of a queue": scenario(
        Kind.FLUSH_CYCLE, f"{LOCK}|workqueue struct dev.wq", "f",
        HANDLER + "void kick(struct dev *d)\n{\n\tqueue_work(d->wq, &d->work);\n}\n"
        "void f(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n@@\n}\n",
        "\tdestroy_workqueue(d->wq);\n\tmutex_unlock(&d->lock);",
        "\tmutex_unlock(&d->lock);\n\tdestroy_workqueue(d->wq);",
    ),
    "stop of a timer": scenario(
        Kind.FLUSH_CYCLE, "struct dev.slock|timer struct dev.timer", "f",
        "static void tick(struct timer_list *t)\n{\n\tstruct dev *d = from_timer(d, t, timer);\n\n"
        "\tspin_lock(&d->slock);\n\twork();\n\tspin_unlock(&d->slock);\n}\n"
        "void dev_init(struct dev *d)\n{\n\ttimer_setup(&d->timer, tick, 0);\n}\n"
        "void f(struct dev *d)\n{\n\tspin_lock_bh(&d->slock);\n@@\n}\n",
        "\tdel_timer_sync(&d->timer);\n\tspin_unlock_bh(&d->slock);",
        "\tspin_unlock_bh(&d->slock);\n\tdel_timer_sync(&d->timer);",
    ),
    "free of an interrupt": scenario(
        Kind.FLUSH_CYCLE, f"{LOCK}|irq struct dev.irq", "f",
        "static irqreturn_t thread_fn(int irq, void *data)\n{\n\tstruct dev *d = data;\n\n"
        "\tmutex_lock(&d->lock);\n\twork();\n\tmutex_unlock(&d->lock);\n\treturn IRQ_HANDLED;\n}\n"
        "int dev_init(struct dev *d)\n{\n"
        "\treturn request_threaded_irq(d->irq, NULL, thread_fn, 0, \"dev\", d);\n}\n"
        "void f(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n@@\n}\n",
        "\tfree_irq(d->irq, d);\n\tmutex_unlock(&d->lock);",
        "\tmutex_unlock(&d->lock);\n\tfree_irq(d->irq, d);",
    ),
    "stop of a thread": scenario(
        Kind.FLUSH_CYCLE, f"{LOCK}|kthread struct dev.thread", "f",

            "static int loop(void *data)\n{\n\tstruct dev *d = data;\n\n"
            "\twhile (!kthread_should_stop()) {\n"
        "\t\tmutex_lock(&d->lock);\n\t\twork();\n\t\tmutex_unlock(&d->lock);\n\t}\n\treturn 0;\n}\n"
        "void dev_init(struct dev *d)\n{\n\td->thread = kthread_run(loop, d, \"dev\");\n}\n"
        "void f(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n@@\n}\n",
        "\tkthread_stop(d->thread);\n\tmutex_unlock(&d->lock);",
        "\tmutex_unlock(&d->lock);\n\tkthread_stop(d->thread);",
    ),
    "flush of static work": scenario(
        Kind.FLUSH_CYCLE, f"{FIRST}|work drivers/dev/core.c:static_work", "f",
        "static void run(struct work_struct *w)\n{\n\tmutex_lock(&first);\n\twork();\n"
        "\tmutex_unlock(&first);\n}\nstatic DECLARE_WORK(static_work, run);\n"
        "void f(void)\n{\n\tmutex_lock(&first);\n@@\n}\n",
        "\tflush_work(&static_work);\n\tmutex_unlock(&first);",
        "\tmutex_unlock(&first);\n\tflush_work(&static_work);",
    ),
    "flush from within": scenario(
        Kind.FLUSH_CYCLE, "work struct dev.work", "dev_work",
        "static void dev_work(struct work_struct *work)\n{\n"
        "\tstruct dev *d = container_of(work, struct dev, work);\n\n@@\n\tmutex_lock(&d->other);\n"
        "\tmutex_unlock(&d->other);\n}\n"
        "void dev_init(struct dev *d)\n{\n\tINIT_WORK(&d->work, dev_work);\n}\n",
        "\tcancel_work_sync(&d->work);", "\tcancel_work(&d->work);",
    ),
    "worker pool": scenario(
        Kind.WORKER_POOL_CYCLE, f"{LOCK}|struct dev.srcu", "f",
        HANDLER + "void kick(struct dev *d)\n{\n\tschedule_work(&d->work);\n}\n"
        "void reader(struct dev *d)\n{\n\tguard(srcu)(&d->srcu);\n\twork();\n}\n"
        "void f(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n@@\n}\n",
        "\tsynchronize_srcu(&d->srcu);\n\tmutex_unlock(&d->lock);",
        "\tmutex_unlock(&d->lock);\n\tsynchronize_srcu(&d->srcu);",
    ),
    "worker pool through a call": scenario(
        Kind.WORKER_POOL_CYCLE, f"{LOCK}|struct dev.srcu", "f>drain",
        HANDLER +
            "static void drain(struct dev *d)\n{\n"
            "\tsynchronize_srcu_expedited(&d->srcu);\n}\n"
        "void f(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n@@\n}\n",
        "\tdrain(d);\n\tmutex_unlock(&d->lock);",
        "\tmutex_unlock(&d->lock);\n\tdrain(d);",
    ),
    "mutex under a spinlock": scenario(
        Kind.SLEEP_IN_ATOMIC, "struct dev.slock", "f",

            "void f(struct dev *d)\n{\n\tspin_lock(&d->slock);\n@@\n"
            "\tmutex_lock(&d->lock);\n\twork();\n"
        "\tmutex_unlock(&d->lock);\n}\n",
        "\twork();", "\tspin_unlock(&d->slock);",
    ),
    "sleep under a spinlock, through a call": scenario(
        Kind.SLEEP_IN_ATOMIC, "struct dev.slock", "f>wait",
        "static void wait(void)\n{\n\tmsleep(10);\n}\n"

            "void f(struct dev *d)\n{\n\tunsigned long flags;\n\n"
            "\tspin_lock_irqsave(&d->slock, flags);\n@@\n}\n",
        "\twait();\n\tspin_unlock_irqrestore(&d->slock, flags);",
        "\tspin_unlock_irqrestore(&d->slock, flags);\n\twait();",
    ),
    "grace period under a spinlock": scenario(
        Kind.SLEEP_IN_ATOMIC, "struct dev.slock", "f",
        "void f(struct dev *d)\n{\n\tspin_lock(&d->slock);\n\twork();\n@@\n}\n",
        "\tsynchronize_rcu();\n\tspin_unlock(&d->slock);",
        "\tspin_unlock(&d->slock);\n\tsynchronize_rcu();",
    ),
    "mutex in an RCU reader": scenario(
        Kind.SLEEP_IN_ATOMIC, "rcu_read_lock", "f",
        "void f(struct dev *d)\n{\n\trcu_read_lock();\n\twork();\n@@\n}\n",
        "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);\n\trcu_read_unlock();",
        "\trcu_read_unlock();\n\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);",
    ),
    "flush with interrupts off": scenario(
        Kind.SLEEP_IN_ATOMIC, "local_irq_save", "f",
        "void f(struct dev *d)\n{\n\tunsigned long flags;\n\n\tlocal_irq_save(flags);\n@@\n}\n",
        "\tflush_work(&d->work);\n\tlocal_irq_restore(flags);",
        "\tlocal_irq_restore(flags);\n\tflush_work(&d->work);",
    ),
    "error path keeps the lock": scenario(
        Kind.LOCK_IMBALANCE, LOCK, "f",
        "int f(struct dev *d)\n{\n\tint ret;\n\n\tmutex_lock(&d->lock);\n\tret = prepare(d);\n"
        "\tif (ret)\n@@\n\tret = finish(d);\nout:\n\tmutex_unlock(&d->lock);\n\treturn ret;\n}\n",
        "\t\treturn ret;", "\t\tgoto out;",
    ),
    "early return keeps the lock": scenario(
        Kind.LOCK_IMBALANCE, LOCK, "f",

            "int f(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n\tif (d->dead) {\n@@\n"
            "\t\treturn -ENODEV;\n\t}\n"
        "\twork();\n\tmutex_unlock(&d->lock);\n\treturn 0;\n}\n",
        "\t\twork();", "\t\tmutex_unlock(&d->lock);",
    ),
    "error path keeps the reader": scenario(
        Kind.LOCK_IMBALANCE, "struct dev.srcu", "f",

            "int f(struct dev *d)\n{\n\tint idx = srcu_read_lock(&d->srcu);\n\n"
            "\tif (d->dead)\n@@\n\twork();\n"
        "out:\n\tsrcu_read_unlock(&d->srcu, idx);\n\treturn 0;\n}\n",
        "\t\treturn 0;", "\t\tgoto out;",
    ),
    "unlocked twice on one way": scenario(
        Kind.LOCK_IMBALANCE, LOCK, "f",

            "int f(struct dev *d)\n{\n\tint ret = 0;\n\n\tmutex_lock(&d->lock);\n"
            "\tif (prepare(d)) {\n@@\n"

            "\t\tret = -EIO;\n\t\tgoto out;\n\t}\n\twork();\nout:\n"
            "\tmutex_unlock(&d->lock);\n\treturn ret;\n}\n",
        "\t\tmutex_unlock(&d->lock);", "\t\twork();",
    ),
}  # fmt: skip


def across_files(bad: str, good: str) -> Scenario:
    """The same inversion with its halves in two files and the callee in a third."""
    header = "struct dev {\n\tstruct mutex lock;\n};\nextern struct mutex shared_lock;\n"
    rest = {
        "include/linux/dev.h": header,
        "lib/shared.c": "DEFINE_MUTEX(shared_lock);\nvoid shared_update(struct dev *d)\n{\n"
        "\tmutex_lock(&shared_lock);\n\twork();\n\tmutex_unlock(&shared_lock);\n}\n",
        "drivers/one/a.c": "void one_enter(struct dev *d)\n{\n\tmutex_lock(&shared_lock);\n"
        "\tmutex_lock(&d->lock);\n\twork();\n\tmutex_unlock(&d->lock);\n"
        "\tmutex_unlock(&shared_lock);\n}\n",
    }
    two = "void two_enter(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n@@\n}\n"
    return Scenario(
        Kind.LOCK_ORDER_INVERSION,
        ("struct dev.lock", "shared_lock"),
        (("two_enter", "shared_update"),),
        {**rest, "drivers/two/b.c": two.replace("@@", bad)},
        {**rest, "drivers/two/b.c": two.replace("@@", good)},
    )


SCENARIOS["order across files"] = across_files(
    "\tshared_update(d);\n\tmutex_unlock(&d->lock);",
    "\tmutex_unlock(&d->lock);\n\tshared_update(d);",
)

SCENARIOS.update(CONTEXT_SCENARIOS)
SCENARIOS.update(CALLEE_SCENARIOS)

# ---- near-misses: text that is added to a kernel and must raise nothing ----

NEAR_MISSES: dict[str, str] = {
    "trylock the other way round": ORDER.replace(
        "@@",
        "\tmutex_lock(&second);\n\tif (mutex_trylock(&first))\n\t\tmutex_unlock(&first);\n"
        "\tmutex_unlock(&second);",
    ),
    "trylock wrapper the other way round": "static bool try_first(void)\n{\n"
    "\treturn mutex_trylock(&first);\n}\n"
    + ORDER.replace(
        "@@",
        "\tmutex_lock(&second);\n\tif (try_first())\n\t\tmutex_unlock(&first);\n"
        "\tmutex_unlock(&second);",
    ),
    "readers both ways": """
static DECLARE_RWSEM(one_sem);
static DECLARE_RWSEM(two_sem);
void forward(void)
{
	down_read(&one_sem);
	down_read(&two_sem);
	up_read(&two_sem);
	up_read(&one_sem);
}
void backward(void)
{
	down_read(&two_sem);
	down_read(&one_sem);
	up_read(&one_sem);
	up_read(&two_sem);
}
""",
    "SRCU readers both ways": """
void forward(struct dev *d)
{
	int i = srcu_read_lock(&d->srcu);
	int j = srcu_read_lock(&d->srcu2);

	srcu_read_unlock(&d->srcu2, j);
	srcu_read_unlock(&d->srcu, i);
}
void backward(struct dev *d)
{
	int j = srcu_read_lock(&d->srcu2);
	int i = srcu_read_lock(&d->srcu);

	srcu_read_unlock(&d->srcu, i);
	srcu_read_unlock(&d->srcu2, j);
}
""",
    "SRCU reader in a reader": """
void f(struct dev *d)
{
	int i = srcu_read_lock(&d->srcu);
	int j = srcu_read_lock(&d->srcu);

	srcu_read_unlock(&d->srcu, j);
	srcu_read_unlock(&d->srcu, i);
}
""",
    "nested annotation": """
void f(struct dev *a, struct dev *b)
{
	mutex_lock(&a->lock);
	mutex_lock_nested(&b->lock, SINGLE_DEPTH_NESTING);
	mutex_unlock(&b->lock);
	mutex_unlock(&a->lock);
}
""",
    "parent and child": """
void f(struct dev *d)
{
	mutex_lock(&d->parent->lock);
	mutex_lock(&d->lock);
	mutex_unlock(&d->lock);
	mutex_unlock(&d->parent->lock);
}
""",
    "two objects of one class": """
void f(struct dev *a, struct dev *b)
{
	mutex_lock(&a->lock);
	mutex_lock(&b->lock);
	mutex_unlock(&b->lock);
	mutex_unlock(&a->lock);
}
""",
    "two objects of one class through a call": """
static void helper(struct dev *x)
{
	mutex_lock(&x->lock);
	work();
	mutex_unlock(&x->lock);
}
void f(struct dev *d)
{
	mutex_lock(&d->lock);
	helper(d->parent);
	mutex_unlock(&d->lock);
}
""",
    "a pointer that is moved on": """
void f(struct dev *head)
{
	struct dev *d = head;

	mutex_lock(&head->lock);
	next_dev(&d);
	mutex_lock(&d->lock);
	mutex_unlock(&d->lock);
	mutex_unlock(&head->lock);
}
""",
    "hand over hand": """
void f(struct dev *d)
{
	struct dev *next;

	mutex_lock(&d->lock);
	while (d->parent) {
		next = d->parent;
		mutex_lock(&next->lock);
		mutex_unlock(&d->lock);
		d = next;
	}
	mutex_unlock(&d->lock);
}
""",
    "released in the callee around the wait": HANDLER
    + """
static void quiesce(struct dev *d)
{
	mutex_unlock(&d->lock);
	cancel_work_sync(&d->work);
	mutex_lock(&d->lock);
}
void f(struct dev *d)
{
	mutex_lock(&d->lock);
	quiesce(d);
	mutex_unlock(&d->lock);
}
""",
    "released in the callee around a call that waits": HANDLER
    + """
static void stop(struct dev *d)
{
	cancel_work_sync(&d->work);
}
static void quiesce(struct dev *d)
{
	lockdep_assert_held(&d->lock);
	mutex_unlock(&d->lock);
	stop(d);
	mutex_lock(&d->lock);
}
void f(struct dev *d)
{
	mutex_lock(&d->lock);
	quiesce(d);
	mutex_unlock(&d->lock);
}
""",
    "released by a callee, taken again by another": HANDLER
    + """
static void dev_unlock(struct dev *d)
{
	mutex_unlock(&d->lock);
}
static void dev_lock(struct dev *d)
{
	mutex_lock(&d->lock);
}
void f(struct dev *d)
{
	dev_lock(d);
	work();
	dev_unlock(d);
	cancel_work_sync(&d->work);
	dev_lock(d);
	dev_unlock(d);
}
""",
    "queued but not flushed": HANDLER
    + """
void f(struct dev *d)
{
	mutex_lock(&d->lock);
	schedule_work(&d->work);
	queue_work(d->wq, &d->work);
	mutex_unlock(&d->lock);
}
""",
    "cancelled without waiting": HANDLER
    + """
void f(struct dev *d)
{
	mutex_lock(&d->lock);
	cancel_work(&d->work);
	mutex_unlock(&d->lock);
}
""",
    "flushed under another lock": HANDLER
    + """
void f(struct dev *d)
{
	mutex_lock(&d->other);
	flush_work(&d->work);
	mutex_unlock(&d->other);
}
""",
    "the handler tries": """
static void dev_work(struct work_struct *work)
{
	struct dev *d = container_of(work, struct dev, work);

	if (!mutex_trylock(&d->lock))
		return;
	mutex_unlock(&d->lock);
}
void dev_init(struct dev *d)
{
	INIT_WORK(&d->work, dev_work);
}
void f(struct dev *d)
{
	mutex_lock(&d->lock);
	cancel_work_sync(&d->work);
	mutex_unlock(&d->lock);
}
""",
    "another queue is flushed": HANDLER
    + """
static struct workqueue_struct *other_wq;
void kick(struct dev *d)
{
	queue_work(d->wq, &d->work);
}
void f(struct dev *d)
{
	mutex_lock(&d->lock);
	flush_workqueue(other_wq);
	mutex_unlock(&d->lock);
}
""",
    "queue destroyed after the lock was dropped": HANDLER
    + """
void kick(struct dev *d)
{
	queue_work(d->wq, &d->work);
}
void f(struct dev *d)
{
	mutex_lock(&d->lock);
	d->dead = 1;
	mutex_unlock(&d->lock);
	destroy_workqueue(d->wq);
}
""",
    "interrupt disabled without waiting": """
static irqreturn_t handler(int irq, void *data)
{
	struct dev *d = data;

	spin_lock(&d->slock);
	spin_unlock(&d->slock);
	return IRQ_HANDLED;
}
int dev_init(struct dev *d)
{
	return request_irq(d->irq, handler, 0, "dev", d);
}
void f(struct dev *d)
{
	spin_lock_irq(&d->slock);
	disable_irq_nosync(d->irq);
	spin_unlock_irq(&d->slock);
}
""",
    "synchronized after the unlock": HANDLER
    + """
void reader(struct dev *d)
{
	guard(srcu)(&d->srcu);
	mutex_lock(&d->lock);
	mutex_unlock(&d->lock);
}
void f(struct dev *d)
{
	mutex_lock(&d->lock);
	work();
	mutex_unlock(&d->lock);
	synchronize_srcu(&d->srcu);
}
""",
    "a reader around a lock, and no wait under it": HANDLER
    + """
void f(struct dev *d)
{
	guard(srcu)(&d->srcu);
	mutex_lock(&d->lock);
	work();
	mutex_unlock(&d->lock);
}
void waiter(struct dev *d)
{
	mutex_lock(&d->other);
	synchronize_srcu(&d->srcu);
	mutex_unlock(&d->other);
}
""",
    "RCU grace period under a mutex": HANDLER
    + """
void f(struct dev *d)
{
	mutex_lock(&d->lock);
	synchronize_rcu();
	mutex_unlock(&d->lock);
}
void reader(struct dev *d)
{
	rcu_read_lock();
	work();
	rcu_read_unlock();
}
""",
    "SRCU grace period under a mutex no work takes": """
void f(struct dev *d)
{
	mutex_lock(&d->lock);
	synchronize_srcu(&d->srcu);
	mutex_unlock(&d->lock);
}
void reader(struct dev *d)
{
	guard(srcu)(&d->srcu);
	work();
}
""",
    "callback instead of a wait": HANDLER
    + """
static void freed(struct rcu_head *head)
{
	work();
}
void f(struct dev *d)
{
	mutex_lock(&d->lock);
	call_srcu(&d->srcu, &d->rcu, freed);
	mutex_unlock(&d->lock);
}
""",
    "locked and unlocked under one ifdef": """
int f(struct dev *d)
{
#ifdef CONFIG_SMP
	mutex_lock(&d->lock);
#endif
	work();
#ifdef CONFIG_SMP
	mutex_unlock(&d->lock);
#endif
	return 0;
}
""",
    "meant to return with the lock": """
int dev_begin(struct dev *d)
{
	mutex_lock(&d->lock);
	if (d->dead) {
		mutex_unlock(&d->lock);
		return -ENODEV;
	}
	return 0;
}
void dev_end(struct dev *d)
{
	mutex_unlock(&d->lock);
}
int f(struct dev *d)
{
	int ret = dev_begin(d);

	if (ret)
		return ret;
	work();
	dev_end(d);
	return 0;
}
""",
    "meant to return a locked object": """
struct dev *dev_get(int id)
{
	struct dev *d = find(id);

	if (!d)
		return NULL;
	mutex_lock(&d->lock);
	if (d->dead) {
		mutex_unlock(&d->lock);
		return NULL;
	}
	return d;
}
struct dev *dev_get_err(int id)
{
	struct dev *d = find(id);

	if (!d)
		return ERR_PTR(-ENOENT);
	mutex_lock(&d->lock);
	if (d->dead) {
		mutex_unlock(&d->lock);
		return ERR_PTR(-ENODEV);
	}
	return d;
}
""",
    "locking by a flag parameter": """
void f(struct dev *d, bool locked)
{
	if (!locked)
		mutex_lock(&d->lock);
	work();
	if (!locked)
		mutex_unlock(&d->lock);
}
""",
    "unlocking by a flag parameter": """
static void dev_put(struct dev *d, bool unlock)
{
	work();
	if (unlock)
		mutex_unlock(&d->lock);
}
static void dev_take(struct dev *d, bool lock)
{
	if (lock)
		mutex_lock(&d->lock);
	work();
}
void f(struct dev *d)
{
	dev_take(d, true);
	dev_put(d, true);
}
""",
    "two statics of one name": """
static DEFINE_MUTEX(lock);
void f(void)
{
	mutex_lock(&first);
	mutex_lock(&lock);
	mutex_unlock(&lock);
	mutex_unlock(&first);
}
""",
    "sleep behind the spinlock": """
void f(struct dev *d)
{
	spin_lock(&d->slock);
	if (d->dead) {
		spin_unlock(&d->slock);
		mutex_lock(&d->lock);
		mutex_unlock(&d->lock);
		return;
	}
	work();
	spin_unlock(&d->slock);
	msleep(1);
}
""",
    "RCU reader left before sleeping": """
void f(struct dev *d)
{
	rcu_read_lock();
	if (!lookup(d)) {
		rcu_read_unlock();
		mutex_lock(&d->lock);
		mutex_unlock(&d->lock);
		rcu_read_lock();
	}
	rcu_read_unlock();
}
""",
    "mutex in an SRCU reader": """
void f(struct dev *d)
{
	int idx = srcu_read_lock(&d->srcu);

	mutex_lock(&d->lock);
	msleep(1);
	mutex_unlock(&d->lock);
	srcu_read_unlock(&d->srcu, idx);
}
""",
    "unlock and lock again": """
int f(struct dev *d)
{
	int ret = 0;

	mutex_lock(&d->lock);
	while (busy(d)) {
		mutex_unlock(&d->lock);
		msleep(1);
		mutex_lock(&d->lock);
		if (d->dead) {
			ret = -ENODEV;
			break;
		}
	}
	mutex_unlock(&d->lock);
	return ret;
}
""",
    "same order everywhere": ORDER.replace("@@", A_THEN_B),
    "a lock for each element": """
void f(struct dev **devs, int n)
{
	int i;

	for (i = 0; i < n; i++)
		mutex_lock(&devs[i]->lock);
	work();
	for (i = n - 1; i >= 0; i--)
		mutex_unlock(&devs[i]->lock);
}
""",
    "recursive work that queues itself": """
static void poll(struct work_struct *work)
{
	struct dev *d = container_of(work, struct dev, dwork.work);

	mutex_lock(&d->lock);
	schedule_delayed_work(&d->dwork, HZ);
	mutex_unlock(&d->lock);
}
void dev_init(struct dev *d)
{
	INIT_DELAYED_WORK(&d->dwork, poll);
}
""",
    "BUG on the way out": """
int f(struct dev *d)
{
	mutex_lock(&d->lock);
	if (d->dead)
		BUG();
	mutex_unlock(&d->lock);
	return 0;
}
""",
    "text in comments and strings": """
/* mutex_lock(&second); mutex_lock(&first); */
void f(struct dev *d)
{
	/* synchronize_srcu(&d->srcu); under the lock would be wrong */
	mutex_lock(&d->lock);
	pr_info("synchronize_srcu(&d->srcu)");
	mutex_unlock(&d->lock);
}
""",
}

NEAR_MISSES.update(CONTEXT_NEAR_MISSES)
NEAR_MISSES.update(CALLEE_NEAR_MISSES)
PLAIN = one("void nothing(void)\n{\n\twork();\n}\n")


def near_miss(name: str) -> Files:
    files = {"drivers/dev/core.c": DEV + NEAR_MISSES[name]}
    if name == "two statics of one name":
        files["drivers/dev/other.c"] = (
            "static DEFINE_MUTEX(first);\nstatic DEFINE_MUTEX(lock);\n"
            "void g(void)\n{\n\tmutex_lock(&lock);\n\tmutex_lock(&first);\n"
            "\tmutex_unlock(&first);\n"
            "\tmutex_unlock(&lock);\n}\n"
        )
    return files
