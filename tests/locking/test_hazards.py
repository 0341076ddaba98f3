# SPDX-License-Identifier: GPL-2.0-or-later
"""Every kind of hazard: there, gone, and the near-misses that must stay silent."""

from __future__ import annotations

import re

import pytest

from reviewbot.locking.closings import MAX_THIRDS
from reviewbot.locking.model import (
    ChangeState,
    Comparison,
    Grade,
    Hazard,
    HazardKind,
    Step,
    Verdict,
)
from tests.locking.scenario import HANDLER, Scenario, one
from tests.locking.scenarios import NEAR_MISSES, PLAIN, SCENARIOS, near_miss
from tests.locking.support import (
    CLAIM,
    Files,
    Lab,
    Reviews,
    brief,
    kinds,
    of_kind,
    removed,
    removed_if_asked,
)

every_scenario = pytest.mark.parametrize("name", SCENARIOS)
every_near_miss = pytest.mark.parametrize("name", NEAR_MISSES)


def sites_of(comparison: Comparison, case: Scenario) -> list[tuple[str, str]]:
    hazard = of_kind(comparison, case.kind)
    return sorted((site.function, site.via) for site in hazard.sites)


def expected_sites(case: Scenario, found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A site through a table is named by the table's field: only its start is given."""
    return sorted(
        next(
            (f for f in found if via and f[0] == function and f[1].startswith(("ops ", via))),
            (function, via),
        )
        for function, via in case.sites
    )


def check_proof(hazard: Hazard, files: Files) -> None:
    """The grade fits, the cycle is closed, and every step is on the line it names."""
    steps = [step for site in hazard.sites if site.after for step in site.after.chain]
    called_back = any(step.indirect for step in steps) and steps[0].what == "mutex_lock"
    conditional = (
        hazard.kind is HazardKind.WORKER_POOL_CYCLE
        or (hazard.kind is HazardKind.RECURSIVE_LOCK and called_back)
        or any("kref_put(" in text for text in files.values())
    )
    assert (hazard.grade is Grade.CONDITIONAL) == conditional
    assert bool(hazard.condition) == conditional
    assert hazard.summary
    assert hazard.scenario.rows
    assert all(row.column < len(hazard.scenario.columns) for row in hazard.scenario.rows)
    for site in hazard.sites:
        assert site.after is not None
        cyclic = hazard.kind not in (HazardKind.SLEEP_IN_ATOMIC, HazardKind.LOCK_IMBALANCE)
        assert bool(site.after.closing) == (cyclic and len(hazard.classes) > 1)
        chains = [site.after.chain, *(chain.steps for chain in site.after.closing)]
        assert all(chains)
        for step in (step for steps in chains for step in steps):
            check_step(step, files)
        assert any(step.function == site.function for step in site.after.chain)
        lines = files[site.file].split("\n")
        head = next(
            n for n, line in enumerate(lines, 1) if re.search(rf"\b{site.function}\(", line)
        )
        assert head < site.after.line <= len(lines)


def check_step(step: Step, files: Files) -> None:
    """The call or lock that a step names stands on the line it names."""
    line = files[step.file].split("\n")[step.line - 1]
    if step.what == "interrupt":  # comes in after the lock was taken
        assert "lock" in line
        return
    if step.what == "called with it held":
        assert step.function in line
        return
    word = (step.indirect or step.what).rsplit(".", 1)[-1]
    word = re.sub(r"^guard\(.*\)$", "guard", word)
    assert word in line, (step, line)


@every_scenario
def test_introduced(reviews: Reviews, name: str) -> None:
    case = SCENARIOS[name]
    comparison = reviews.introducing(name)
    assert comparison.verdict is Verdict.INTRODUCED
    hazard = of_kind(comparison, case.kind)
    assert hazard.state is ChangeState.INTRODUCED
    assert set(hazard.classes) == set(case.classes)
    found = sites_of(comparison, case)
    assert found == expected_sites(case, found)
    assert all(site.before is None and site.after is not None for site in hazard.sites)
    assert {site.patch for site in hazard.sites} == {hazard.patch} == {1}
    assert kinds(comparison) == [case.kind.value]
    check_proof(hazard, case.bad)


@every_scenario
def test_removed(reviews: Reviews, name: str) -> None:
    case = SCENARIOS[name]
    comparison = reviews.removing(name)
    assert comparison.verdict is Verdict.REMOVED
    hazard = of_kind(comparison, case.kind)
    assert hazard.state is ChangeState.REMOVED
    assert set(hazard.classes) == set(case.classes)
    found = sites_of(comparison, case)
    assert found == expected_sites(case, found)
    assert all(site.after is None and site.before is not None for site in hazard.sites)
    assert kinds(comparison) == [case.kind.value]


@every_scenario
def test_a_tree_laid_over_another_is_what_it_is_alone(reviews: Reviews, name: str) -> None:
    """The same hazards whether the changed files are linked over a store or a store is built."""
    over, alone = reviews.introducing(name), reviews.removing(name)
    assert [h.id for h in over.hazards] == [h.id for h in alone.hazards]
    for forth, back in zip(over.hazards, alone.hazards, strict=True):
        assert [(s.file, s.function, s.via, s.after) for s in forth.sites] == [
            (s.file, s.function, s.via, s.before) for s in back.sites
        ]


@every_near_miss
def test_near_miss_is_silent(lab: Lab, name: str) -> None:
    for series in ((PLAIN, near_miss(name)), (near_miss(name), PLAIN)):
        comparison = lab.review(*series, claim=CLAIM)
        assert brief(comparison) == []
        assert comparison.verdict is Verdict.CLEAN


def test_near_misses_are_seen_at_all() -> None:
    """Each near-miss holds the calls that its hazard would need."""
    for name, text in NEAR_MISSES.items():
        assert re.search(r"lock|down|guard", text), name


# ---- two structs of one tag ----


def test_two_structs_of_one_tag_are_two_classes(lab: Lab) -> None:
    driver = """\
struct priv {{
	struct mutex a;
	struct mutex b;
}};
void {name}(struct priv *p)
{{
	mutex_lock(&p->{one});
	mutex_lock(&p->{two});
	mutex_unlock(&p->{two});
	mutex_unlock(&p->{one});
}}
"""
    first = driver.format(name="first_op", one="a", two="b")
    second = driver.format(name="second_op", one="b", two="a")
    files = {"drivers/one/one.c": first, "drivers/two/two.c": second}
    assert brief(lab.review({"drivers/one/one.c": first}, files)) == []
    same = first + second.split("};\n", 1)[1]
    comparison = lab.review({"drivers/one/one.c": first}, {"drivers/one/one.c": same})
    assert kinds(comparison) == ["lock-order-inversion"]


# ---- what only some of the code decides ----


def test_a_wrapper_changes_its_callers_in_other_files(lab: Lab) -> None:
    """The patch touches only the wrapper; the hazard is in a file it does not touch."""
    wrapper = (
        "struct dev {{\n\tstruct mutex lock;\n\tstruct work_struct work;\n}};\n"
        "void dev_stop(struct dev *d)\n{{\n\t{body}\n}}\n"
    )
    user = """\
static void dev_work(struct work_struct *work)
{
	struct dev *d = container_of(work, struct dev, work);

	mutex_lock(&d->lock);
	mutex_unlock(&d->lock);
}
void dev_init(struct dev *d)
{
	INIT_WORK(&d->work, dev_work);
}
void user_close(struct dev *d)
{
	mutex_lock(&d->lock);
	dev_stop(d);
	mutex_unlock(&d->lock);
}
"""
    before = {"lib/dev.c": wrapper.format(body="cancel_work(&d->work);"), "drivers/user.c": user}
    after = {
        "lib/dev.c": wrapper.format(body="cancel_work_sync(&d->work);"),
        "drivers/user.c": user,
    }
    comparison = lab.review(before, after)
    hazard = of_kind(comparison, HazardKind.FLUSH_CYCLE)
    assert hazard.state is ChangeState.INTRODUCED
    assert [(s.file, s.function, s.via) for s in hazard.sites] == [
        ("drivers/user.c", "user_close", "dev_stop")
    ]


def test_a_lock_wrapper_that_stops_locking(lab: Lab) -> None:
    wrapper = (
        "static DEFINE_MUTEX(big);\nvoid big_lock(void)\n{{\n\t{lock}\n}}\n"
        "void big_unlock(void)\n{{\n\t{unlock}\n}}\n"
    )
    user = (
        "static DEFINE_MUTEX(small);\n"
        "void one(void)\n{\n\tbig_lock();\n\tmutex_lock(&small);\n\tmutex_unlock(&small);\n"
        "\tbig_unlock();\n}\n"
        "void two(void)\n{\n\tmutex_lock(&small);\n\tbig_lock();\n\tbig_unlock();\n"
        "\tmutex_unlock(&small);\n}\n"
    )
    locking = {
        "lib/big.c": wrapper.format(lock="mutex_lock(&big);", unlock="mutex_unlock(&big);"),
        "drivers/u.c": user,
    }
    not_locking = {
        "lib/big.c": wrapper.format(lock="work();", unlock="work();"),
        "drivers/u.c": user,
    }
    assert kinds(lab.review(locking, not_locking)) == ["lock-order-inversion"]
    assert lab.review(locking, not_locking).verdict is Verdict.REMOVED
    assert lab.review(not_locking, locking).verdict is Verdict.INTRODUCED


def test_the_handler_is_what_changes(lab: Lab) -> None:
    text = """
static void dev_work(struct work_struct *work)
{
	struct dev *d = container_of(work, struct dev, work);

	@@
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
"""
    free = one(text.replace("@@", "work();"))
    taking = one(text.replace("@@", "guard(mutex)(&d->lock);\n\twork();"))
    comparison = lab.review(free, taking)
    assert kinds(comparison) == ["flush-cycle"]
    assert comparison.verdict is Verdict.INTRODUCED
    assert lab.review(taking, free).verdict is Verdict.REMOVED


def test_the_registration_is_what_changes(lab: Lab) -> None:
    text = """
static void locked_work(struct work_struct *work)
{
	struct dev *d = container_of(work, struct dev, work);

	mutex_lock(&d->lock);
	mutex_unlock(&d->lock);
}
static void free_work(struct work_struct *work)
{
	work_free(work);
}
void dev_init(struct dev *d)
{
	INIT_WORK(&d->work, @@);
}
void f(struct dev *d)
{
	mutex_lock(&d->lock);
	cancel_work_sync(&d->work);
	mutex_unlock(&d->lock);
}
"""
    free, locked = (one(text.replace("@@", name)) for name in ("free_work", "locked_work"))
    comparison = lab.review(free, locked)
    assert kinds(comparison) == ["flush-cycle"]
    assert comparison.verdict is Verdict.INTRODUCED
    assert lab.review(locked, free).verdict is Verdict.REMOVED


def test_the_table_is_what_changes(lab: Lab) -> None:
    text = (
        "struct ops { void (*run)(int x); };\nstruct bus { const struct ops *ops; };\n"
        "static void locked_run(int x)\n{\n\tmutex_lock(&first);\n\twork();\n"
        "\tmutex_unlock(&first);\n}\n"
        "static void free_run(int x)\n{\n\twork();\n}\n"
        "static const struct ops my_ops = {\n\t.run = @@,\n};\n"
        "void forward(void)\n{\n\tmutex_lock(&first);\n\tmutex_lock(&second);\n"
        "\tmutex_unlock(&second);\n"
        "\tmutex_unlock(&first);\n}\n"
        "void backward(struct bus *bus)\n{\n\tmutex_lock(&second);\n\tbus->ops->run(1);\n"
        "\tmutex_unlock(&second);\n}\n"
    )
    free, locked = (one(text.replace("@@", name)) for name in ("free_run", "locked_run"))
    comparison = lab.review(free, locked)
    assert kinds(comparison) == ["lock-order-inversion"]
    assert comparison.verdict is Verdict.INTRODUCED
    assert lab.review(locked, free).verdict is Verdict.REMOVED


def test_what_is_queued_is_what_changes(lab: Lab) -> None:
    text = """
static void dev_work(struct work_struct *work)
{
	struct dev *d = container_of(work, struct dev, work);

	mutex_lock(&d->lock);
	mutex_unlock(&d->lock);
}
void dev_init(struct dev *d)
{
	INIT_WORK(&d->work, dev_work);
}
void kick(struct dev *d)
{
	@@
}
void f(struct dev *d)
{
	mutex_lock(&d->lock);
	flush_workqueue(d->wq);
	mutex_unlock(&d->lock);
}
"""
    own = one(text.replace("@@", "queue_work(d->wq, &d->work);"))
    other = one(text.replace("@@", "schedule_work(&d->work);"))
    comparison = lab.review(other, own)
    assert kinds(comparison) == ["flush-cycle"]
    assert comparison.verdict is Verdict.INTRODUCED
    assert lab.review(own, other).verdict is Verdict.REMOVED


def test_the_queue_of_the_blocked_work_is_named(lab: Lab) -> None:
    case = SCENARIOS["worker pool"]
    for flags, words in (
        ("0", "bound"),
        ("WQ_UNBOUND", "unbound"),
        ("WQ_UNBOUND | WQ_HIGHPRI", "unbound"),
    ):
        extra = (
            "static struct workqueue_struct *my_wq;\nvoid my_init(void)\n{\n"
            f'\tmy_wq = alloc_workqueue("my", {flags}, 0);\n}}\n'
            "void my_kick(struct dev *d)\n{\n\tqueue_work(my_wq, &d->work);\n}\n"
        )
        good, bad = (
            {
                path: text.replace("schedule_work(&d->work)", "work()") + extra
                for path, text in files.items()
            }
            for files in (case.good, case.bad)
        )
        hazard = of_kind(lab.review(good, bad), case.kind)
        assert "my_wq" in hazard.condition
        assert (f"is {words}") in hazard.condition


def test_a_file_may_be_but_a_table(lab: Lab) -> None:
    """The functions of a table count, though the file that has it has no function."""
    header = "struct dev_ops {\n\tvoid (*stop)(struct dev *d);\n};\n"
    core = one(
        HANDLER
        + "void dev_stop(struct dev *d)\n{\n@@\n}\n"
        + "void dev_quit(struct dev *d, struct dev_ops *ops)\n{\n\tmutex_lock(&d->lock);\n"
        "\tops->stop(d);\n\tmutex_unlock(&d->lock);\n}\n"
    )["drivers/dev/core.c"]
    bad, good = (
        {
            "drivers/dev/core.c": core.replace("@@", f"\t{call}(&d->work);"),
            "include/linux/dev.h": header,
            "drivers/dev/table.c": "const struct dev_ops dev_ops = {\n\t.stop = dev_stop,\n};\n",
        }
        for call in ("cancel_work_sync", "cancel_work")
    )
    hazard = of_kind(lab.review(bad, good, claim=CLAIM), HazardKind.FLUSH_CYCLE)
    assert hazard.state is ChangeState.REMOVED
    assert [site.function for site in hazard.sites] == ["dev_quit"]


@pytest.mark.parametrize(("machine", "found"), [("x86", True), ("powerpc", False)])
def test_a_kernel_is_for_one_architecture(lab: Lab, machine: str, found: bool) -> None:
    """What one architecture's code calls is not run by that of another."""
    mirror = """
static DEFINE_MUTEX(mirrors);
void mirror(struct dev *d)
{
	mutex_lock(&mirrors);
	dev_destroy(d);
	mutex_unlock(&mirrors);
}
void unmirror(struct dev *d)
{
	mutex_lock(&d->lock);
	mutex_lock(&mirrors);
	mutex_unlock(&mirrors);
	mutex_unlock(&d->lock);
}
"""
    kernel = {
        "include/linux/dev.h": "struct dev {\n\tstruct mutex lock;\n};\n",
        "lib/dev.c": "void dev_destroy(struct dev *d)\n{\n\tarch_dev_destroy(d);\n}\n",
        f"arch/{machine}/dev.c": "void arch_dev_destroy(struct dev *d)\n{\n"
        "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);\n}\n",
    }
    inside = "\tmutex_lock(&mirrors);\n\tdev_destroy(d);\n\tmutex_unlock(&mirrors);\n"
    before, after = (
        {**kernel, "arch/x86/mirror.c": mirror.replace(inside, body)}
        for body in ("\tdev_destroy(d);\n", inside)
    )
    comparison = lab.review(before, after)
    assert (comparison.verdict is Verdict.INTRODUCED) == found


def test_a_lock_that_becomes_one_of_another_kind_is_another_to_callers(lab: Lab) -> None:
    text = """
struct box {
	@@ lock;
};
static void put(struct box *b)
{
	##_lock(&b->lock);
	##_unlock(&b->lock);
}
void walk(struct box *b)
{
	rcu_read_lock();
	put(b);
	rcu_read_unlock();
}
"""
    before, after = (
        {"lib/box.c": text.replace("@@", kind).replace("##", verb)}
        for kind, verb in (("struct mutex", "mutex"), ("spinlock_t", "spin"))
    )
    comparison = lab.review(before, after)
    assert of_kind(comparison, HazardKind.SLEEP_IN_ATOMIC).classes == ("rcu_read_lock",)
    assert comparison.verdict is Verdict.REMOVED


OWNED = """
struct queue {
	spinlock_t lock;
	struct timer_list timer;
};
static DEFINE_SPINLOCK(sizes);
static void expired(struct timer_list *t)
{
	struct queue *q = container_of(t, struct queue, timer);
	unsigned long flags;

	spin_lock_irqsave(&q->lock, flags);
	spin_unlock_irqrestore(&q->lock, flags);
}
void queue_init(struct queue *q)
{
	timer_setup(&q->timer, expired, 0);
}
static ssize_t size_show(struct device *device, struct device_attribute *attr, char *buf)
{
	%s(&sizes);
	%s(&sizes);
	return 0;
}
static DEVICE_ATTR_RO(size);
void queue_add(struct queue *q)
{
	unsigned long flags;

	spin_lock_irqsave(&q->lock, flags);
	@@
	spin_unlock_irqrestore(&q->lock, flags);
}
"""
RESIZE = "spin_lock(&sizes);\n\tspin_unlock(&sizes);"
BARE, CLOSED = ("spin_lock", "spin_unlock"), ("spin_lock_bh", "spin_unlock_bh")


@pytest.mark.parametrize(
    ("bad", "good", "site"),
    [
        ((BARE, RESIZE), (BARE, "work();"), "queue_add"),
        ((BARE, RESIZE), (CLOSED, RESIZE), "size_show"),
    ],
    ids=["the one who waits", "the owner"],
)
def test_an_interrupt_may_wait_for_who_waits_for_the_owner(
    lab: Lab, bad: tuple[tuple[str, str], str], good: tuple[tuple[str, str], str], site: str
) -> None:
    """lockdep's irq-safe lock that takes an irq-unsafe one: no one of them is taken wrongly."""
    before, after = (
        {"drivers/queue.c": (OWNED % pair).replace("@@", body)} for pair, body in (bad, good)
    )
    assert lab.review(before, after).verdict is Verdict.CLEAN
    hazard = removed(lab.review(before, after, claim=CLAIM), HazardKind.LOCK_ORDER_INVERSION)
    assert set(hazard.classes) == {
        "struct queue.lock", "drivers/queue.c:sizes", "timer struct queue.timer",
    }  # fmt: skip
    assert [s.function for s in hazard.sites if s.state is ChangeState.REMOVED] == [site]
    assert any("<Interrupt>" in row.text for row in hazard.scenario.rows)
    assert "timer struct queue.timer" in hazard.summary


@pytest.mark.parametrize(("parameter", "sleeps"), [("kind", False), ("other", True)])
def test_a_parameter_is_no_function_of_its_name(lab: Lab, parameter: str, sleeps: bool) -> None:
    text = (
        "void kind(void)\n{\n\tmsleep(1);\n}\n"
        f"void scan(struct dev *d, int {parameter})\n{{\n\tspin_lock(&d->slock);\n"
        "@@\tspin_unlock(&d->slock);\n}\n"
    )
    before, after = (one(text.replace("@@", body)) for body in ("", "\twalk_all(d, kind);\n"))
    found = [hazard.kind for hazard in lab.review(before, after).hazards]
    assert found == [HazardKind.SLEEP_IN_ATOMIC] * sleeps


def test_a_lock_may_get_the_name_that_the_table_of_frameworks_has(lab: Lab) -> None:
    core = """
static DEFINE_MUTEX(@@);
static ssize_t soft_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	mutex_lock(&@@);
	mutex_unlock(&@@);
	return 0;
}
static DEVICE_ATTR_RO(soft);
void unregister(struct device *dev)
{
	mutex_lock(&@@);
	device_del(dev);
	mutex_unlock(&@@);
}
"""
    driver = """
static int block(void *data, bool blocked)
{
	return 0;
}
static const struct rfkill_ops ops = {
	.set_block = block,
};
"""
    before, after = (
        {"net/rfkill/core.c": core.replace("@@", name), "drivers/driver.c": driver}
        for name in ("rfkill_mutex", "rfkill_global_mutex")
    )
    assert lab.review(before, after).verdict is Verdict.CLEAN


CHOICE = """
struct card {
	struct mutex lock;
	struct mutex other;
};
struct part {
	struct card *card;
};
static inline void lock_card(struct card *c)
{
	mutex_lock(&c->lock);
}
static inline void lock_part(struct part *p)
{
	mutex_lock(&p->card->lock);
}
static inline void unlock_card(struct card *c)
{
	mutex_unlock(&c->lock);
}
static inline void unlock_part(struct part *p)
{
	mutex_unlock(&p->card->lock);
}
#define card_lock(x) _Generic((x), \\
	struct card * : lock_card, \\
	struct part * : lock_part)(x)
#define card_unlock(x) \\
	_Generic((x), struct card * : unlock_card, struct part * : unlock_part)(x)
void order(struct card *c)
{
	mutex_lock(&c->other);
	mutex_lock(&c->lock);
	mutex_unlock(&c->lock);
	mutex_unlock(&c->other);
}
void use(struct card *c)
{
	@@
	mutex_lock(&c->other);
	mutex_unlock(&c->other);
	@@
}
"""


def chosen(lock: str, unlock: str) -> Files:
    return {"sound/card.c": CHOICE.replace("@@", lock, 1).replace("@@", unlock)}


def test_a_choice_by_type_is_one_of_its_functions(lab: Lab) -> None:
    plain = chosen("mutex_lock(&c->lock);", "mutex_unlock(&c->lock);")
    generic = chosen("card_lock(c);", "card_unlock(c);")
    assert not lab.review(plain, generic).hazards
    assert lab.review(generic, chosen("", "")).verdict is Verdict.REMOVED


def test_what_is_only_out_of_sight_is_not_gone(lab: Lab) -> None:
    """A wrapper takes the lock in a way that nothing is known of; it is given back as before."""
    plain = chosen("mutex_lock(&c->lock);", "mutex_unlock(&c->lock);")
    hidden = chosen("get_hold_of(c);", "mutex_unlock(&c->lock);")
    assert lab.review(plain, hidden).verdict is Verdict.CLEAN
    assert lab.review(hidden, plain).verdict is Verdict.CLEAN
    assert lab.review(plain, chosen("", "")).verdict is Verdict.REMOVED


HANDED_OUT = """
struct table { spinlock_t ptl; };
struct fault { spinlock_t *ptl; };
static spinlock_t *ptl_of(struct table *t)
{
	return &t->ptl;
}
static spinlock_t *table_lock(struct table *t)
{
	spinlock_t *ptl = ptl_of(t);

	spin_lock(ptl);
	return ptl;
}
static void copy(struct fault *v)
{
@@
}
void fault(struct table *t)
{
	struct fault v;

	v.ptl = table_lock(t);
	copy(&v);
	spin_unlock(v.ptl);
}
"""


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("\tmsleep(1);", True),
        ("\tspin_unlock(v->ptl);\n\tmsleep(1);\n\tspin_lock(v->ptl);", False),
    ],
)
def test_a_lock_that_was_handed_out_is_given_back_for_a_while(
    lab: Lab, body: str, found: bool
) -> None:
    texts = (HANDED_OUT.replace("@@", text) for text in ("\twork();", body))
    comparison = lab.review(*({"mm/fault.c": text} for text in texts))
    assert kinds(comparison) == [HazardKind.SLEEP_IN_ATOMIC.value] * found


STOPPER = """
static void stop(struct dev *d, struct work_struct *work)
{
@@
}
static void quiesce(struct dev *d)
{
	stop(d, &d->work);
}
void dev_close(struct dev *d)
{
	mutex_lock(&d->lock);
	quiesce(d);
	mutex_unlock(&d->lock);
}
"""
UNDER, APART = (
    "\tcancel_work_sync(work);",
    "\tmutex_unlock(&d->lock);\n\tcancel_work_sync(work);\n\tmutex_lock(&d->lock);",
)


def test_what_a_helper_waits_for_on_behalf_of_its_caller(lab: Lab) -> None:
    """Only the helper changes: it gives back its callers' lock over the wait for their work."""
    under, apart = (one(HANDLER + STOPPER.replace("@@", body)) for body in (UNDER, APART))
    gone = lab.review(under, apart)
    assert of_kind(gone, HazardKind.FLUSH_CYCLE).state is ChangeState.REMOVED
    assert gone.verdict is Verdict.REMOVED
    assert lab.review(apart, under).verdict is Verdict.INTRODUCED


def test_who_comes_to_a_lock_from_afar_is_no_third(lab: Lab) -> None:
    """A crowd that takes a lock by long ways does not hide the three that are close."""
    case = SCENARIOS["order of three"]
    crowd = "static void near(void)\n{\n\tmutex_lock(&third);\n\tmutex_unlock(&third);\n}\n"
    crowd += "static void nearer(void)\n{\n\tnear();\n}\nstatic void far(void)\n{\n\tnearer();\n}\n"
    for number in range(MAX_THIRDS + 1):
        name = f"lock_{number}"
        crowd += f"static DEFINE_MUTEX({name});\nvoid user_{number}(void)\n{{\n"
        crowd += f"\tmutex_lock(&{name});\n\tfar();\n\tmutex_unlock(&{name});\n}}\n"
    good, bad = ({p: text + crowd for p, text in files.items()} for files in (case.good, case.bad))
    removed_if_asked(lab, bad, good, case.kind)


LOAD = """
static void lock_it(struct dev *d)
{
	mutex_lock(&d->lock);
}
static void load(struct dev *d, bool is_locked)
{
	int n;

	if (!is_locked)
		lock_it(d);
	for (n = 0; n < d->count; n++) {
@@
	}
	if (!is_locked)
		mutex_unlock(&d->lock);
}
void dev_open(struct dev *d)
{
	load(d, false);
}
void dev_recover(struct dev *d)
{
	mutex_lock(&d->lock);
	load(d, ??);
	mutex_unlock(&d->lock);
}
"""


@pytest.mark.parametrize(
    ("body", "locked", "found"),
    [
        ("\t\tmutex_unlock(&d->lock);\n\t\twork();\n\t\tlock_it(d);", "true", False),
        ("\t\tlock_it(d);\n\t\twork();\n\t\tmutex_unlock(&d->lock);", "true", True),
        ("\t\twork();", "true", False),
        ("\t\twork();", "false", True),
    ],
)
def test_a_lock_is_taken_back_for_whoever_had_it(
    lab: Lab, body: str, locked: str, found: bool
) -> None:
    """The function gives back, for a while, what it took itself or what its caller did."""
    text = LOAD.replace("@@", body)
    before = one(text.replace("\tload(d, ??);\n", "\twork();\n"))
    comparison = lab.review(before, one(text.replace("??", locked)))
    assert (HazardKind.RECURSIVE_LOCK.value in kinds(comparison)) == found


def test_one_who_gives_the_lock_back_does_not_hide_another_who_does_not(lab: Lab) -> None:
    text = """
static void pause(struct dev *d)
{
	mutex_unlock(&d->lock);
	work();
	mutex_lock(&d->lock);
}
static void take(struct dev *d)
{
	mutex_lock(&d->lock);
	mutex_unlock(&d->lock);
}
static void far(struct dev *d)
{
	take(d);
}
static void run(struct dev *d)
{
	pause(d);
	far(d);
}
static void reset(struct dev *d)
{
	mutex_lock(&d->lock);
	@@(d);
	mutex_unlock(&d->lock);
}
"""
    good, bad = (one(text.replace("@@", name)) for name in ("pause", "run"))
    hazard = of_kind(lab.review(good, bad), HazardKind.RECURSIVE_LOCK)
    assert [(site.function, site.via) for site in hazard.sites] == [("reset", "run")]
