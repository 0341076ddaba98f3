# SPDX-License-Identifier: GPL-2.0-or-later
"""The same lock taken again: in a callee, by a callback, through a pointer."""

from __future__ import annotations

import pytest

from reviewbot.locking.model import ChangeState, Grade, HazardKind, Verdict
from tests.locking.scenario import one
from tests.locking.support import CLAIM, Lab, of_kind, removed, removed_if_asked

FAULT = """
static int dev_fault(struct vm_fault *vmf)
{
	struct dev *d = vmf->vma->vm_private_data;

	mutex_lock(&d->lock);
	d->dead++;
	mutex_unlock(&d->lock);
	return 0;
}

static const struct vm_operations_struct dev_vm_ops = {
	.fault = dev_fault,
};

long dev_read(struct dev *d, char *to, long size)
{
	long left = 0;

@@
	return left;
}
"""


def test_a_fault_under_the_lock_may_come_back_for_it(lab: Lab) -> None:
    copy = "\tleft = copy_to_user(to, d->buf, size);\n"
    hold, release = "\tmutex_lock(&d->lock);\n", "\tmutex_unlock(&d->lock);\n"
    bad, good = (
        one(FAULT.replace("@@\n", body)) for body in (hold + copy + release, hold + release + copy)
    )
    comparison = lab.review(bad, good, claim=CLAIM)
    hazard = of_kind(comparison, HazardKind.RECURSIVE_LOCK)
    assert hazard.state is ChangeState.REMOVED
    assert hazard.grade is Grade.CONDITIONAL
    assert hazard.classes == ("struct dev.lock",)
    (site,) = hazard.sites
    assert (site.function, site.before and site.before.chain[-1].function) == (
        "dev_read", "dev_fault",
    )  # fmt: skip


OWN_MEMORY = """
struct mm_struct { struct rw_semaphore mmap_lock; };
struct task_struct { struct mm_struct *mm; };
static int fetch(unsigned long *to, unsigned long __user *from)
{
	return get_user(*to, from);
}
int pop(unsigned long __user *from, struct mm_struct *other)
{
	struct mm_struct *mm = current->mm;
	unsigned long frame;
	int err;

	@@(&##->mmap_lock);
	err = fetch(&frame, from);
	$$(&##->mmap_lock);
	return err;
}
"""


@pytest.mark.parametrize(
    ("side", "whose", "found"),
    [("read", "mm", True), ("write", "mm", True), ("write", "current->mm", True),
     ("write", "other", False)],
)  # fmt: skip
def test_a_fault_takes_the_lock_of_the_tasks_own_memory(
    lab: Lab, side: str, whose: str, found: bool
) -> None:
    text = OWN_MEMORY.replace("@@", f"down_{side}").replace("$$", f"up_{side}").replace("##", whose)
    good = text.replace("err = fetch(&frame, from)", "err = 0")
    writer = "void map(struct mm_struct *mm)\n{\n\tdown_write(&mm->mmap_lock);\n"
    writer += "\tup_write(&mm->mmap_lock);\n}\n"
    before, after = one(text + writer), one(good + writer)
    kinds = [hazard.kind for hazard in lab.review(before, after, claim=CLAIM).hazards]
    assert kinds == [HazardKind.RECURSIVE_LOCK] * found


REREAD = """
static DECLARE_RWSEM(table);
static void look(void)
{
	down_read(&table);
	up_read(&table);
}
void scan(void)
{
	down_read(&table);
@@
	up_read(&table);
}
void change(void)
{
	down_write(&table);
	up_write(&table);
}
"""


def test_a_reader_that_reads_again_may_wait_for_a_writer(lab: Lab) -> None:
    """lockdep says so too; a review only of who speaks of such things."""
    before, after = ({"lib/t.c": REREAD.replace("@@", body)} for body in ("\tlook();", "\t;"))
    hazard = removed_if_asked(lab, before, after, HazardKind.RECURSIVE_LOCK)
    assert hazard.grade is Grade.CONDITIONAL
    assert "only while a writer waits" in hazard.condition


def test_a_lock_that_is_pointed_to_is_taken_again(lab: Lab) -> None:
    core = """
void handler_setup(struct handler *h)
{
	mutex_lock(h->lock);
	work();
	mutex_unlock(h->lock);
}
"""
    header = "struct handler {\n\tstruct mutex *lock;\n};\nvoid handler_setup(struct handler *h);\n"
    sensor = """
struct sensor {
	struct mutex mutex;
	struct handler controls;
};
void sensor_probe(struct sensor *s)
{
	s->controls.lock = &s->%s;
}
void sensor_start(struct sensor *s)
{
	mutex_lock(&s->mutex);
	@@
	mutex_unlock(&s->mutex);
}
"""
    for kept, verdict in (("mutex", Verdict.REMOVED), ("other", Verdict.CLEAN)):
        before, after = (
            {
                "include/linux/handler.h": header,
                "lib/handler.c": core,
                "drivers/sensor.c": (sensor % kept).replace("@@", body),
            }
            for body in ("handler_setup(&s->controls);", ";")
        )
        comparison = lab.review(before, after, claim=CLAIM)
        assert comparison.verdict is verdict
        if verdict is Verdict.REMOVED:
            hazard = of_kind(comparison, HazardKind.RECURSIVE_LOCK)
            assert hazard.classes == ("struct sensor.mutex", "struct handler.lock")
            assert hazard.grade is Grade.CONDITIONAL
            assert "struct handler.lock" in hazard.condition


WAITER = """
struct sock {
	struct socket_lock sk_lock;
};
static DEFINE_MUTEX(registered);
static int wait_for_peer(struct sock *sk)
{
	return sk_wait_event(sk, &timeo, done(sk), &wait);
}
static void end(struct sock *sk)
{
@@
}
void shut(struct sock *sk)
{
	lock_sock(sk);
	end(sk);
	release_sock(sk);
}
void open(struct sock *sk)
{
	lock_sock(sk);
	mutex_lock(&registered);
	mutex_unlock(&registered);
	release_sock(sk);
}
"""


def test_a_wait_that_gives_its_lock_back_takes_it_again(lab: Lab) -> None:
    """So it is after what is held meanwhile, but no recursion."""
    inside = "\tmutex_lock(&registered);\n\twait_for_peer(sk);\n\tmutex_unlock(&registered);"
    before, after = (
        {"net/w.c": WAITER.replace("@@", body)} for body in (inside, "\twait_for_peer(sk);")
    )
    comparison = lab.review(before, after)
    assert [hazard.kind for hazard in comparison.hazards] == [HazardKind.LOCK_ORDER_INVERSION]
    assert comparison.verdict is Verdict.REMOVED


TRACERS = """
DEFINE_MUTEX(tracers);
void tracer_set(struct tracer *t)
{
	mutex_lock(&tracers);
@@
	mutex_unlock(&tracers);
}
"""
RESIZE = """
void tracer_size(struct tracer *t)
{
	mutex_lock(&tracers);
	mutex_unlock(&tracers);
}
"""
OWN = """
static void own_init(struct tracer *t)
{
	tracer_size(t);
}
const struct tracer own = {
	.init = own_init,
};
"""


@pytest.mark.parametrize(
    ("here", "there", "claim"), [(RESIZE, OWN, CLAIM), (RESIZE, OWN, ""), (OWN, RESIZE, "")]
)
def test_a_callback_comes_back_for_a_lock_that_is_a_variable(
    lab: Lab, here: str, there: str, claim: str
) -> None:
    """As a function of the lock's file or, if somebody speaks of it, by a call into that file."""
    header = (
        "struct tracer {\n\tvoid (*init)(struct tracer *t);\n};\n"
        "extern struct mutex tracers;\nvoid tracer_size(struct tracer *t);\n"
    )
    before, after = (
        {
            "include/linux/tracer.h": header,
            "kernel/tracer.c": TRACERS.replace("@@", body) + here,
            "kernel/own.c": there,
        }
        for body in ("\tt->init(t);", ";")
    )
    comparison = lab.review(before, after, claim=claim)
    if here is RESIZE and not claim:
        assert comparison.verdict is Verdict.CLEAN
    else:
        assert removed(comparison, HazardKind.RECURSIVE_LOCK).classes == ("tracers",)


NESTED = """
static void __count(struct dev *d)
{
	d->dead++;
}
static void count(struct dev *d)
{
	mutex_lock(&d->lock);
	d->dead++;
	mutex_unlock(&d->lock);
}
static void count_one(struct dev *d, int more, bool nested)
{
	if (nested)
		__count(d);
	else
		count(d);
}
static void middle(struct dev *d)
{
	count_one(d, (d->dead), @@);
}
void outer(struct dev *d)
{
	mutex_lock(&d->lock);
	middle(d);
	mutex_unlock(&d->lock);
}
"""


def test_a_callee_is_told_that_the_lock_is_held(lab: Lab) -> None:
    """Nothing but a constant changes, two calls below the function that holds the lock."""
    before, after = (one(NESTED.replace("@@", nested)) for nested in ("false", "true"))
    hazard = removed(lab.review(before, after), HazardKind.RECURSIVE_LOCK)
    assert [site.function for site in hazard.sites] == ["outer"]
    assert lab.review(after, before).verdict is Verdict.INTRODUCED
    assert lab.review(before, before | {"lib/x.c": "int x;\n"}).verdict is Verdict.CLEAN


QUEUE = """
struct queue {
	spinlock_t lock;
	struct request *first;
};
static void notify(struct request *r)
{
	struct queue *q = r->queue->data;

	spin_lock(&q->lock);
	spin_unlock(&q->lock);
}
static void timed_out(struct request *r)
{
	notify(r);
}
void timeout(struct request *r)
{
	struct request_queue *rq = r->queue;
	struct queue *q = rq->data;

	spin_lock(&q->lock);
%s	spin_unlock(&q->lock);
%s}
"""


def test_a_lock_of_the_same_class_close_by_may_be_the_same(lab: Lab) -> None:
    """How the functions find their object is not followed: a condition says so."""
    call = "\ttimed_out(r);\n"
    before, after = ({"drivers/q.c": QUEUE % where} for where in ((call, ""), ("", call)))
    hazard = removed_if_asked(lab, before, after, HazardKind.RECURSIVE_LOCK)
    assert hazard.grade is Grade.CONDITIONAL
    assert "only if they are of the same object" in hazard.condition


TUNNEL_NIC = """
struct udp_tunnel_nic {
	struct mutex lock;
};
static void nic_lock(struct net_device *dev)
{
	struct udp_tunnel_nic *n = dev->udp_tunnel_nic;

	mutex_lock(&n->lock);
}
static void nic_sync(struct net_device *dev)
{
	dev->udp_tunnel_nic_info->set_port(dev, 0);
}
void udp_tunnel_nic_note(struct net_device *dev)
{
	nic_lock(dev);
	mutex_unlock(&dev->udp_tunnel_nic->lock);
}
"""
PORTS = """
static int chip_set_port(struct net_device *dev, unsigned int table)
{
@@
	return 0;
}
static const struct udp_tunnel_nic_info chip_ports = {
	.set_port = chip_set_port,
};
"""


def test_a_callback_asks_its_framework_for_the_lock_it_is_run_under(lab: Lab) -> None:
    header = (
        "struct net_device {\n\tconst struct udp_tunnel_nic_info *udp_tunnel_nic_info;\n"
        "\tstruct udp_tunnel_nic *udp_tunnel_nic;\n};\nstruct udp_tunnel_nic_info {\n"
        "\tint (*set_port)(struct net_device *dev, unsigned int table);\n};\n"
    )
    before, after = (
        {
            "include/net/udp_tunnel.h": header,
            "net/ipv4/udp_tunnel_nic.c": TUNNEL_NIC,
            "drivers/net/chip/ports.c": PORTS.replace("@@", body),
        }
        for body in ("\tudp_tunnel_nic_note(dev);", "\tnote(dev);")
    )
    hazard = removed_if_asked(lab, before, after, HazardKind.RECURSIVE_LOCK)
    assert hazard.classes == ("struct udp_tunnel_nic.lock",)
    assert "only if the callback is for the same object" in hazard.condition


@pytest.mark.parametrize(
    ("claim", "kinds"),
    [
        ("fix an ABBA deadlock", {HazardKind.LOCK_ORDER_INVERSION}),
        ("fix possible recursive locking", {
            HazardKind.LOCK_ORDER_INVERSION, HazardKind.RECURSIVE_LOCK,
        }),
        ("fix an imbalance", {HazardKind.LOCK_ORDER_INVERSION}),
    ],
)  # fmt: skip
def test_a_series_that_speaks_of_another_kind_is_looked_at_again(
    lab: Lab, claim: str, kinds: set[HazardKind]
) -> None:
    text = REREAD + (
        "static DEFINE_MUTEX(big);\nvoid turn(void)\n{\n\tmutex_lock(&big);\n"
        "\tdown_write(&table);\n\tup_write(&table);\n\tmutex_unlock(&big);\n}\n"
    )
    body = "\tlook();\n\tmutex_lock(&big);\n\tmutex_unlock(&big);"
    before, after = (
        one("extern struct mutex big;\n" + text.replace("@@", lines)) for lines in (body, "")
    )
    comparison = lab.review(before, after, claim=claim)
    assert comparison.verdict is Verdict.REMOVED
    assert {hazard.kind for hazard in comparison.hazards} == kinds
