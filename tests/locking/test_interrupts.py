# SPDX-License-Identifier: GPL-2.0-or-later
"""Locks open to an interrupt: which contexts are known, and what keeps them out."""

from __future__ import annotations

import pytest

from reviewbot.locking.edges import Edges
from reviewbot.locking.frameworks import Running
from reviewbot.locking.interrupts import contexts, inversions, runs_open
from reviewbot.locking.model import ChangeState, HazardKind, Verdict
from reviewbot.locking.rows import BH_OFF, IRQ_OFF, masked
from reviewbot.locking.view import View
from tests.locking.context_scenarios import BH_LOCK, HARD, IRQ_LOCK, PLAIN_LOCK, SHOW, TIMER
from tests.locking.scenario import HANDLER, one
from tests.locking.support import CLAIM, Lab, removed_if_asked

FILE = "drivers/dev/core.c"


def edges_of(view: View) -> Edges:
    return Edges(view, view.directories([FILE]))


def number(view: View, name: str) -> int:
    return next(ref.id for ref in view.functions_in(FILE) if ref.name == name)


@pytest.mark.parametrize(
    ("kind", "irq", "mask"),
    [
        ("spinlock", "", 0),
        ("spinlock", "bh", BH_OFF),
        ("spinlock", "off", IRQ_OFF | BH_OFF),
        ("irq-off", "", IRQ_OFF | BH_OFF),
        ("bh-off", "", BH_OFF),
        ("preempt-off", "", 0),
        ("mutex", "", 0),
    ],
)
def test_what_a_lock_keeps_out(kind: str, irq: str, mask: int) -> None:
    assert masked(kind, irq) == mask


def test_contexts_follow_from_who_calls(lab: Lab) -> None:
    text = TIMER + HARD.replace("dev_start", "dev_probe") + SHOW.replace("@@", PLAIN_LOCK)
    with lab.views(one(text)) as (view,):
        assert contexts(view, number(view, "dev_timer")) == {Running.SOFTIRQ}
        assert contexts(view, number(view, "dev_irq")) == {Running.HARDIRQ}
        assert contexts(view, number(view, "state_show")) == {Running.PROCESS}
        assert contexts(view, number(view, "dev_start")) == set()


@pytest.mark.parametrize(
    ("queue", "context"),
    [
        ("system_bh_wq", Running.SOFTIRQ),
        ("system_wq", Running.PROCESS),
        ("d->wq", Running.SOFTIRQ),
    ],
)
def test_work_may_run_in_a_softirq(lab: Lab, queue: str, context: Running) -> None:
    text = HANDLER + (
        "void dev_kick(struct dev *d)\n{\n"
        f'\td->wq = alloc_workqueue("dev", WQ_BH, 0);\n\tqueue_work({queue}, &d->work);\n}}\n'
        "struct workqueue_struct *system_bh_wq, *system_wq;\n"
    )
    with lab.views(one(text)) as (view,):
        assert contexts(view, number(view, "dev_work")) == {context}


@pytest.mark.parametrize(
    ("handler", "taken", "found"),
    [
        (TIMER, PLAIN_LOCK, True),
        (TIMER, BH_LOCK, False),
        (TIMER, IRQ_LOCK, False),
        (HARD, PLAIN_LOCK, True),
        (HARD, BH_LOCK, True),
        (HARD, IRQ_LOCK, False),
    ],
)
def test_only_what_comes_in_between_counts(lab: Lab, handler: str, taken: str, found: bool) -> None:
    with lab.views(one(handler + SHOW.replace("@@", taken))) as (view,):
        edges = edges_of(view)
        hits = list(inversions(edges, number(view, "state_show")))
        assert bool(hits) == found
        assert not list(
            inversions(edges, number(view, "dev_timer" if handler == TIMER else "dev_irq"))
        )
        for hit in hits:
            assert hit.interrupted is not None
            assert hit.classes[0] == "struct dev.slock"


COUNT = (
    "static void count(struct dev *d)\n{\n\tspin_lock(&d->slock);\n\tspin_unlock(&d->slock);\n}\n"
)


@pytest.mark.parametrize(
    ("around", "reached"),
    [
        ("\tcount(d);", True),
        ("\tlocal_bh_disable();\n\tcount(d);\n\tlocal_bh_enable();", False),
        ("\tlocal_irq_disable();\n\tcount(d);\n\tlocal_irq_enable();", False),
        ("\tpreempt_disable();\n\tcount(d);\n\tpreempt_enable();", False),
        ("\tmutex_lock(&d->lock);\n\tcount(d);\n\tmutex_unlock(&d->lock);", True),
    ],
)
def test_a_task_is_proved_through_its_callers(lab: Lab, around: str, reached: bool) -> None:
    text = TIMER + COUNT + SHOW.replace("@@", around)
    with lab.views(one(text)) as (view,):
        assert runs_open(edges_of(view), number(view, "count"), BH_OFF) == reached
        assert bool(list(inversions(edges_of(view), number(view, "count")))) == reached


@pytest.mark.parametrize("sleep", ["msleep(1)", "kthread_stop(d->thread)"])
def test_who_sleeps_is_a_task(lab: Lab, sleep: str) -> None:
    unlock = "\tspin_unlock(&d->slock);\n"
    text = COUNT.replace(unlock, f"{unlock}\t{sleep};\n")
    with lab.views(one(TIMER + text)) as (view,):
        assert runs_open(edges_of(view), number(view, "count"), BH_OFF)


def test_who_sleeps_only_where_nothing_may_proves_nothing(lab: Lab) -> None:
    text = COUNT.replace(
        "\tspin_unlock", "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);\n\tspin_unlock"
    )
    with lab.views(one(TIMER + text)) as (view,):
        assert not runs_open(edges_of(view), number(view, "count"), BH_OFF)


@pytest.mark.parametrize(
    ("before", "mask", "task"),
    [
        ("", IRQ_OFF, False),
        ("\tlockdep_assert_held(&d->lock);\n", IRQ_OFF, True),
        ("\tlockdep_assert_held(&d->slock);\n", IRQ_OFF, False),
        ("\tspin_lock_irq(&d->queue);\n\tspin_unlock_irq(&d->queue);\n", IRQ_OFF, True),
        ("\tspin_lock_irq(&d->queue);\n\tspin_unlock_irq(&d->queue);\n", BH_OFF, False),
        ("\tspin_lock_irqsave(&d->queue, flags);\n\tspin_unlock_irqrestore(&d->queue, flags);\n",
         IRQ_OFF, False),
    ],
)  # fmt: skip
def test_what_a_function_says_of_its_callers(lab: Lab, before: str, mask: int, task: bool) -> None:
    text = "void lock(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);\n}\n"
    text += COUNT.replace("{\n", "{\n" + before, 1)
    with lab.views(one(text.replace("d->queue", "d->timer_lock"))) as (view,):
        assert runs_open(edges_of(view), number(view, "count"), mask) == task


@pytest.mark.parametrize(
    ("others", "stranger", "proved"),
    [(0, False, True), (0, True, True), (3, False, True), (3, True, False)],
)
def test_a_task_is_proved_through_a_struct(
    lab: Lab, others: int, stranger: bool, proved: bool
) -> None:
    """One task is enough where few functions stand; where many do, all callers have to be."""
    text = (
        COUNT
        + "struct dev_ops {\n\tvoid (*count)(struct dev *d);\n};\n"
        + SHOW.replace("@@", "\td->ops->count(d);").replace(
            "struct dev *d = dev_get_drvdata(device);", "struct bound *d = drvdata(device);"
        )
    )
    text += "struct bound {\n\tstruct dev_ops *ops;\n};\n"
    if stranger:
        text += "void anywhere(struct bound *d)\n{\n\td->ops->count(d);\n}\n"
    for n in range(others):
        text += f"static void none_{n}(struct dev *d)\n{{\n}}\n"
        text += f"static const struct dev_ops ops_{n} = {{\n\t.count = none_{n},\n}};\n"
    text += "static const struct dev_ops dev_ops = {\n\t.count = count,\n};\n"
    with lab.views(one(text)) as (view,):
        assert runs_open(edges_of(view), number(view, "count"), BH_OFF) == proved


RECEIVER = """
struct packet_type {
	int (*func)(struct bound *bound);
};
static int receive(struct bound *bound)
{
	bound->ops->count(bound->dev);
	return 0;
}
static struct packet_type receiver = {
	.func = receive,
};
"""


@pytest.mark.parametrize(
    ("where", "found"), [("drivers/dev/receive.c", True), ("net/other/receive.c", False)]
)
def test_what_a_framework_calls_elsewhere_is_somebody_elses(
    lab: Lab, where: str, found: bool
) -> None:
    header = (
        "struct dev_ops {\n\tvoid (*count)(struct dev *d);\n};\n"
        "struct bound {\n\tstruct dev_ops *ops;\n\tstruct dev *dev;\n};\n"
    )
    text = COUNT + SHOW.replace("@@", PLAIN_LOCK)
    text += "static const struct dev_ops dev_ops = {\n\t.count = count,\n};\n"
    files = {**one(text), "include/linux/dev.h": header, where: RECEIVER}
    with lab.views(files) as (view,):
        hits = list(inversions(edges_of(view), number(view, "state_show")))
        assert [hit.classes for hit in hits] == [("struct dev.slock", "softirq context")] * found


@pytest.mark.parametrize(("asserted", "found"), [("d->lock", True), ("d->slock2", False)])
def test_a_caller_with_a_mutex_has_interrupts_on(lab: Lab, asserted: str, found: bool) -> None:
    text = (
        TIMER
        + "struct dev2 { spinlock_t slock2; };\n"
        + "void count(struct dev *d, struct dev2 *e)\n{\n"
        + f"\tlockdep_assert_held(&{asserted.replace('d->slock2', 'e->slock2')});\n"
        + PLAIN_LOCK
        + "\n\tmsleep(1);\n}\n"
        + "void other(struct dev *d, struct dev2 *e)\n{\n\tmutex_lock(&d->lock);\n"
        + "\tmutex_unlock(&d->lock);\n\tspin_lock(&e->slock2);\n\tspin_unlock(&e->slock2);\n}\n"
    )
    with lab.views(one(text)) as (view,):
        assert bool(list(inversions(edges_of(view), number(view, "count")))) == found


@pytest.mark.parametrize("below", [False, True])
def test_the_handler_may_be_what_changes(lab: Lab, below: bool) -> None:
    """Who lets the interrupt in is left alone by a fix that leaves the lock to a work item."""
    text = TIMER + SHOW.replace("@@", PLAIN_LOCK)
    text += HANDLER.replace("update(work)", "tidy(work)")
    if below:
        lines = "\tspin_lock(&d->slock);\n\td->dead++;\n\tspin_unlock(&d->slock);\n"
        helper = f"static void count(struct dev *d)\n{{\n{lines}}}\n"
        text = helper + text.replace(lines, "\tcount(d);\n", 1)
    taking = "\tspin_lock(&d->slock);\n"
    start = text.index(taking)
    end = text.index("\tspin_unlock(&d->slock);\n", start)
    gone = text[:start] + "\tschedule_work(&d->work);\n" + text[end:].split("\n", 1)[1]
    before, after = one(text), one(gone)
    hazard = removed_if_asked(lab, before, after, HazardKind.LOCK_ORDER_INVERSION)
    assert [(s.function, s.state) for s in hazard.sites] == [("state_show", ChangeState.REMOVED)]
    assert lab.review(after, before, claim=CLAIM).verdict is Verdict.CLEAN


def test_a_handler_that_tasks_call_too_may_interrupt_itself(lab: Lab) -> None:
    poll = HARD + SHOW.replace("@@", "\tdev_irq(0, d);")
    save = ("spin_lock(&d->slock)", "spin_lock_irqsave(&d->slock, flags)")
    restore = ("spin_unlock(&d->slock)", "spin_unlock_irqrestore(&d->slock, flags)")
    before, after = one(poll), one(poll.replace(*save).replace(*restore))
    hazard = removed_if_asked(lab, before, after, HazardKind.LOCK_ORDER_INVERSION)
    assert [site.function for site in hazard.sites] == ["dev_irq"]
    closed = poll.replace(
        "\tdev_irq(0, d);", "\tlocal_irq_disable();\n\tdev_irq(0, d);\n\tlocal_irq_enable();"
    )
    again = one(closed.replace(*save).replace(*restore))
    assert lab.review(one(closed), again, claim=CLAIM).verdict is Verdict.CLEAN


HRTIMER = """
static enum hrtimer_restart dev_tick(struct hrtimer *t)
{
	struct dev *d = container_of(t, struct dev, tick);

	spin_lock(&d->slock);
	spin_unlock(&d->slock);
	return HRTIMER_NORESTART;
}
void dev_start(struct dev *d)
{
	hrtimer_init(&d->tick, CLOCK_MONOTONIC, HRTIMER_MODE_REL@@);
	d->tick.function = dev_tick;
}
"""
TICK = "struct hrtimer { void (*function)(struct hrtimer *t); };\n"


@pytest.mark.parametrize(
    ("mode", "taken", "found"),
    [("", BH_LOCK, True), ("_SOFT", BH_LOCK, False), ("_SOFT", PLAIN_LOCK, True),
     ("_PINNED_HARD", BH_LOCK, True)],
)  # fmt: skip
def test_an_hrtimer_may_be_a_soft_one(lab: Lab, mode: str, taken: str, found: bool) -> None:
    text = one(HRTIMER.replace("@@", mode) + SHOW.replace("@@", taken))[FILE]
    text = TICK + text.replace("struct dev {", "struct dev {\n\tstruct hrtimer tick;", 1)
    with lab.views({FILE: text}) as (view,):
        assert bool(list(inversions(edges_of(view), number(view, "state_show")))) == found


IRQ_WORK = """
static void dev_wake(struct irq_work *work)
{
	struct dev *d = container_of(work, struct dev, iwork);

@@
}
void dev_start(struct dev *d)
{
	init_irq_work(&d->iwork, dev_wake);
}
"""
SAVED = """	spin_lock_irqsave(&d->slock, flags);
	spin_unlock_irqrestore(&d->slock, flags);
"""


def careful(count: int, bodies: str = SAVED) -> str:
    """*count* functions that take the lock with interrupts off."""
    return "".join(f"void note_{n}(struct dev *d)\n{{\n{bodies}\n}}\n" for n in range(count))


@pytest.mark.parametrize(
    ("user", "others", "found"),
    [
        (IRQ_WORK, careful(4), True),
        (IRQ_WORK, careful(3), False),
        (IRQ_WORK, careful(4) + SHOW.replace("@@", PLAIN_LOCK), False),
        (IRQ_WORK, careful(4) + careful(1, PLAIN_LOCK).replace("note", "hint"), True),
        (IRQ_WORK.replace("init_irq_work(&d->iwork, dev_wake)",
                          "d->iwork = IRQ_WORK_INIT_HARD(dev_wake)"), careful(4), False),
        (SHOW, careful(4), True),
        ("void dev_plain(struct dev *d)\n{\n@@\n}\n", careful(4), False),
    ],
)  # fmt: skip
def test_the_care_of_others_tells_of_an_interrupt(
    lab: Lab, user: str, others: str, found: bool
) -> None:
    before, after = (
        {FILE: text.replace("struct dev {", "struct dev {\n\tstruct irq_work iwork;", 1)}
        for body in (PLAIN_LOCK, SAVED)
        for text in one(user.replace("@@", body) + others).values()
    )
    if not found:
        assert lab.review(before, after, claim=CLAIM).verdict is Verdict.CLEAN
        return
    hazard = removed_if_asked(lab, before, after, HazardKind.LOCK_ORDER_INVERSION)
    assert "No interrupt that takes the lock is known" in hazard.condition
    assert ("PREEMPT_RT" in hazard.condition) == (user is IRQ_WORK)
    assert lab.review(after, before, claim=CLAIM).verdict is Verdict.CLEAN


def test_the_care_of_others_is_for_what_a_handler_calls_too(lab: Lab) -> None:
    """A handler that is split in two takes no more and no less."""
    whole = IRQ_WORK.replace("@@", PLAIN_LOCK)
    split = whole.replace("static void dev_wake", "static void __dev_wake").replace(
        "void dev_start",
        "static void dev_wake(struct irq_work *work)\n{\n\t__dev_wake(work);\n}\nvoid dev_start",
    )
    before, after = (
        {FILE: text.replace("struct dev {", "struct dev {\n\tstruct irq_work iwork;", 1)}
        for user in (whole, split)
        for text in one(user + careful(4)).values()
    )
    assert lab.review(before, after, claim=CLAIM).verdict is Verdict.CLEAN
    assert lab.review(after, before, claim=CLAIM).verdict is Verdict.CLEAN


@pytest.mark.parametrize(("apart", "found"), [(False, True), (True, False)])
@pytest.mark.parametrize(
    "request_", ["\tint irq = find_irq(d);\n\n\trequest_irq(irq,", "\trequest_irq(find_irq(d),"]
)
def test_a_number_that_is_kept_nowhere_is_of_its_own_file(
    lab: Lab, request_: str, apart: bool, found: bool
) -> None:
    """Any driver's interrupt may have it, not only the one that asks for it."""
    hard = HARD.replace("\trequest_irq(d->irq,", request_)
    show = SHOW.replace("@@", PLAIN_LOCK)
    struct, _, rest = one(show)[FILE].partition("static DEFINE_MUTEX")
    mine = f"static DEFINE_MUTEX{rest}"
    files = {"include/linux/dev.h": struct, FILE: mine if apart else mine + hard}
    if apart:
        files["drivers/dev/other.c"] = hard
    with lab.views(files) as (view,):
        assert bool(list(inversions(edges_of(view), number(view, "state_show")))) == found
