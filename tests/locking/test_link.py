# SPDX-License-Identifier: GPL-2.0-or-later
"""From facts to what the graph is made of: actions, held uses, handlers, tables, queues."""

from __future__ import annotations

import pytest

from reviewbot.locking.linked import LinkedFile, OpsEntry, Queue, Queueing
from tests.locking.support import Kernel

DEV = """\
struct ops { int (*open)(struct dev *d); void (*close)(struct dev *d); };
struct dev {
	struct mutex lock;
	struct work_struct work;
	struct delayed_work dwork;
	struct timer_list timer;
	struct hrtimer hr;
	struct tasklet_struct tasklet;
	struct irq_work iwork;
	struct napi_struct napi;
	struct rcu_head rcu;
	struct kthread_work kwork;
	struct kthread_worker *worker;
	struct workqueue_struct *wq;
	struct task_struct *thread;
	struct srcu_struct srcu;
	const struct ops *ops;
	struct ops own_ops;
	int irq;
};
static DEFINE_MUTEX(big);
static void handler(struct dev *d)
{
	work(d);
}
static int thread_fn(void *p)
{
	return 0;
}
"""
FILE = "drivers/d.c"


def kernel_of(code: str) -> Kernel:
    return Kernel({FILE: DEV + code})


def names(kernel: Kernel) -> dict[int, str]:
    return {ref.id: ref.name for ref in kernel.symbols.all_functions()}


def link(code: str) -> tuple[LinkedFile, dict[int, str]]:
    kernel = kernel_of(code)
    return kernel.link(FILE), names(kernel)


def in_function(body: str) -> str:
    return f"int f(struct dev *d)\n{{\n\tint ret, i;\n\n\t{body}\n\treturn 0;\n}}\n"


@pytest.mark.parametrize(
    ("body", "node", "function"),
    [
        ("INIT_WORK(&d->work, handler);", "work struct dev.work", "handler"),
        ("INIT_DELAYED_WORK(&d->dwork, handler);", "work struct dev.dwork", "handler"),
        ("INIT_WORK(&d->work, (work_func_t)handler);", "work struct dev.work", "handler"),
        ("timer_setup(&d->timer, handler, 0);", "timer struct dev.timer", "handler"),
        ("tasklet_setup(&d->tasklet, handler);", "tasklet struct dev.tasklet", "handler"),
        ("init_irq_work(&d->iwork, &handler);", "irq-work struct dev.iwork", "handler"),
        ('ret = request_irq(d->irq, handler, 0, "x", d);', "irq struct dev.irq", "handler"),
        (
            'request_threaded_irq(d->irq, NULL, thread_fn, 0, "x", d);',
            "irq struct dev.irq",
            "thread_fn",
        ),
        ('devm_request_irq(d->dev, d->irq, handler, 0, "x", d);', "irq struct dev.irq", "handler"),
        ('d->thread = kthread_run(thread_fn, d, "x");', "kthread struct dev.thread", "thread_fn"),
        ("netif_napi_add(d->net, &d->napi, handler);", "napi struct dev.napi", "handler"),
        ("call_rcu(&d->rcu, handler);", "rcu-callback struct dev.rcu", "handler"),
        ("kthread_init_work(&d->kwork, handler);", "work struct dev.kwork", "handler"),
    ],
)
def test_registrations(body: str, node: str, function: str) -> None:
    linked, number = link(in_function(body))
    assert [(r.node, number[r.function]) for r in linked.registrations] == [(node, function)]


@pytest.mark.parametrize(
    ("body", "contexts"),
    [
        ('request_irq(pick(d)->irq, handler, 0, "x", d);', ["hardirq context"]),
        (
            'request_threaded_irq(pick(d)->irq, handler, thread_fn, 0, "x", d);',
            ["hardirq context", "process context"],
        ),
        ("struct timer_list *t = pick(d);\n\n\ttimer_setup(t, handler, 0);", ["pick()"]),
        ("tasklet_setup(pick(d)->next, handler);", ["softirq context"]),
        ("INIT_WORK(pick(d)->next, handler);", ["process context"]),
    ],
)
def test_where_a_handler_of_an_unknown_object_runs(body: str, contexts: list[str]) -> None:
    linked, _ = link(in_function(body))
    assert [r.node.removeprefix("timer ") for r in linked.registrations] == contexts


def test_a_handler_may_be_chosen_first() -> None:
    linked, number = link(
        "static void other(struct dev *d)\n{\n}\n"
        "static int ret(struct dev *d)\n{\n\treturn 0;\n}\n"
        + in_function(
            "work_func_t chosen = handler;\n\n\tif (d->fast)\n\t\tchosen = other;\n"
            "\tINIT_WORK(&d->work, chosen);\n\tINIT_WORK(&d->dwork, ret);"
        )
    )
    assert [(r.node, number[r.function]) for r in linked.registrations] == [
        ("work struct dev.work", "handler"),
        ("work struct dev.work", "other"),
    ]  # and not the function whose name a local has


def test_a_threaded_interrupt_has_two_handlers() -> None:
    linked, number = link(
        in_function('request_threaded_irq(d->irq, handler, thread_fn, 0, "x", d);')
    )
    assert {number[r.function] for r in linked.registrations} == {"handler", "thread_fn"}


def test_static_work() -> None:
    linked, number = link(
        "static DECLARE_WORK(my_work, handler);\nDECLARE_DELAYED_WORK(slow, handler);\n"
    )
    assert {(r.node, number[r.function]) for r in linked.registrations} == {
        ("work drivers/d.c:my_work", "handler"),
        ("work slow", "handler"),
    }


@pytest.mark.parametrize(
    ("body", "queue", "work"),
    [
        ("queue_work(d->wq, &d->work);", "struct dev.wq", "struct dev.work"),
        ("queue_delayed_work(d->wq, &d->dwork, HZ);", "struct dev.wq", "struct dev.dwork"),
        ("mod_delayed_work(d->wq, &d->dwork, 0);", "struct dev.wq", "struct dev.dwork"),
        ("queue_work_on(1, d->wq, &d->work);", "struct dev.wq", "struct dev.work"),
        ("schedule_work(&d->work);", "system_wq", "struct dev.work"),
        ("schedule_delayed_work(&d->dwork, 1);", "system_wq", "struct dev.dwork"),
        ("queue_work(system_unbound_wq, &d->work);", "system_unbound_wq", "struct dev.work"),
        ("kthread_queue_work(d->worker, &d->kwork);", "struct dev.worker", "struct dev.kwork"),
    ],
)
def test_queueings(body: str, queue: str, work: str) -> None:
    kernel = Kernel(
        {
            FILE: DEV + in_function(body),
            "kernel/workqueue.c": "struct workqueue_struct *system_wq;\n"
            "struct workqueue_struct *system_unbound_wq;\n",
        }
    )
    assert kernel.link(FILE).queueings == (Queueing(f"workqueue {queue}", f"work {work}"),)


@pytest.mark.parametrize(
    ("call", "flags"),
    [
        ('alloc_workqueue("x", WQ_UNBOUND | WQ_MEM_RECLAIM, 0)', "WQ_UNBOUND|WQ_MEM_RECLAIM"),
        ('alloc_workqueue("x", 0, 0)', ""),
        ('alloc_ordered_workqueue("x", WQ_MEM_RECLAIM)', "WQ_UNBOUND|WQ_MEM_RECLAIM"),
        ('alloc_ordered_workqueue("x", 0)', "WQ_UNBOUND"),
        ('create_workqueue("x")', "WQ_MEM_RECLAIM"),
        ('create_singlethread_workqueue("x")', "WQ_UNBOUND|WQ_MEM_RECLAIM"),
    ],
)
def test_queues(call: str, flags: str) -> None:
    linked, _ = link(in_function(f"d->wq = {call};"))
    assert linked.queues == (Queue("workqueue struct dev.wq", flags),)


def test_ops_tables() -> None:
    linked, number = link(
        "static int my_open(struct dev *d) { return 0; }\n"
        "static int my_close(struct dev *d) { return 0; }\n"
        "static const struct ops my_ops = {\n\t.open = my_open,\n\t.close = my_close,\n};\n"
        "void f(struct dev *d)\n{\n\td->own_ops.open = my_close;\n}\n"
    )
    assert {(entry.field, number[entry.function]) for entry in linked.ops} == {
        ("struct ops.open", "my_open"),
        ("struct ops.close", "my_close"),
        ("struct ops.open", "my_close"),
    }
    assert all(isinstance(entry, OpsEntry) for entry in linked.ops)


def test_a_call_through_a_table_names_struct_and_field() -> None:
    kernel = kernel_of("void f(struct dev *d)\n{\n\td->ops->open(d);\n\td->own_ops.close(d);\n}\n")
    assert set(kernel.linked(FILE, "f").calls) == {"ops struct ops.open", "ops struct ops.close"}


def test_a_callback_handed_to_an_iterator_is_called() -> None:
    kernel = kernel_of(
        "void f(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n"
        "\tbus_for_each_dev(d, NULL, NULL, thread_fn);\n"
        "\tmutex_unlock(&d->lock);\n}\n"
    )
    number = names(kernel)
    calls = kernel.linked(FILE, "f").calls
    assert "thread_fn" in {number[call] for call in calls if isinstance(call, int)}


# ---- actions and uses ----


def actions(body: str) -> list[tuple[str, str, bool]]:
    kernel = kernel_of(in_function(body))
    return [(a.node, a.what, a.blocks) for a in kernel.linked(FILE, "f").actions]


@pytest.mark.parametrize(
    ("body", "node", "what", "blocks"),
    [
        ("mutex_lock(&d->lock);", "struct dev.lock", "", True),
        ("ret = mutex_trylock(&d->lock);", "struct dev.lock", "", False),
        ("i = srcu_read_lock(&d->srcu);", "struct dev.srcu", "", False),
        ("synchronize_srcu(&d->srcu);", "struct dev.srcu", "srcu-gp", True),
        ("cancel_work_sync(&d->work);", "work struct dev.work", "work", True),
        ("flush_workqueue(d->wq);", "workqueue struct dev.wq", "workqueue", True),
        ("del_timer_sync(&d->timer);", "timer struct dev.timer", "timer", True),
        ("kthread_stop(d->thread);", "kthread struct dev.thread", "kthread", True),
        ("free_irq(d->irq, d);", "irq struct dev.irq", "irq", True),
        ("synchronize_rcu();", "rcu_read_lock", "rcu-gp", True),
        ("msleep(3);", "", "sleep", True),
    ],
)
def test_actions(body: str, node: str, what: str, blocks: bool) -> None:
    assert actions(body) == [(node, what, blocks)]


@pytest.mark.parametrize(
    "body",
    [
        "mutex_unlock(&d->lock);",
        "queue_work(d->wq, &d->work);",
        "cancel_work(&d->work);",
        "lockdep_assert_held(&d->lock);",
    ],
)
def test_what_is_no_action(body: str) -> None:
    assert actions(body) == []


def test_uses_say_what_is_held() -> None:
    kernel = kernel_of(
        in_function(
            "mutex_lock(&big);\n\thandler(d);\n\tcancel_work_sync(&d->work);\n\tmutex_unlock(&big);"
        )
    )
    uses = kernel.linked(FILE, "f").uses
    assert [(use.call, [t.node for t in use.held]) for use in uses] == [
        ("handler", ["drivers/d.c:big"]),
        ("cancel_work_sync", ["drivers/d.c:big"]),
    ]
    (call, wait) = uses
    assert [names(kernel)[t] for t in call.target if isinstance(t, int)] == ["handler"]
    assert wait.action >= 0
    assert call.held[0].line < call.line < wait.line


def test_a_lock_handed_over_as_a_parameter_is_resolved_at_the_call() -> None:
    kernel = kernel_of(
        "static void helper(struct mutex *m, struct work_struct *w)\n{\n"
        "\tmutex_lock(m);\n\tflush_work(w);\n"
        "\tmutex_unlock(m);\n}\nvoid f(struct dev *d)\n{\n\tmutex_lock(&big);\n"
        "\thelper(&d->lock, &d->work);\n"
        "\tmutex_unlock(&big);\n}\n"
    )
    blocked = {
        (action.node, use.held[0].node)
        for function in [kernel.linked(FILE, "f")]
        for use in function.uses
        if use.action >= 0
        for action in [function.actions[use.action]]
    }
    assert blocked == {
        ("struct dev.lock", "drivers/d.c:big"),
        ("work struct dev.work", "drivers/d.c:big"),
    }


def test_a_void_pointer_is_what_it_is_assigned_to() -> None:
    """The idiom of every interrupt handler and thread."""
    kernel = kernel_of(
        "static int h(int irq, void *data)\n{\n\tstruct dev *d = data;\n\n"
        "\tmutex_lock(&d->lock);\n"
        "\tmutex_unlock(&d->lock);\n\treturn 0;\n}\n"
    )
    assert [action.node for action in kernel.linked(FILE, "h").actions] == ["struct dev.lock"]
    assert kernel.link(FILE).unknown == 0


def test_unknown_locks_are_counted() -> None:
    linked, _ = link(
        in_function(
            "mutex_lock(&nothing->lock);\n\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);"
        )
    )
    assert (linked.locks, linked.unknown) == (2, 1)
    assert all("nothing" not in a.node for f in linked.functions for a in f.actions)


def test_linking_is_pure() -> None:
    kernel = kernel_of(in_function("mutex_lock(&d->lock);\n\thandler(d);"))
    assert kernel.link(FILE) == kernel.link(FILE)
