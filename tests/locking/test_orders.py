# SPDX-License-Identifier: GPL-2.0-or-later
"""Who does as others in the tree do brings nothing in; who does otherwise does."""

from __future__ import annotations

from itertools import pairwise

import pytest

from reviewbot.locking.model import HazardKind, Verdict
from reviewbot.locking.orders import CROWD
from tests.locking.scenario import DEV, HANDLER, one
from tests.locking.support import Files, Lab, kinds, of_kind

QUIET = (Verdict.CLEAN, Verdict.NOT_REMOVED)
"""What is said of a series that changes nothing."""
HEADER = {"include/linux/dev.h": DEV.split("static")[0]}
BOTH = """
void @@(struct dev *d)
{
	mutex_lock(&d->%s);
	mutex_lock(&d->%s);
	mutex_unlock(&d->%s);
	mutex_unlock(&d->%s);
}
"""
RIGHT = BOTH % ("lock", "other", "other", "lock")
WRONG = BOTH % ("other", "lock", "lock", "other")


def takers(right: int, wrong: int, *more: str) -> Files:
    """A kernel with so many functions that take two locks in one order, or in the other."""
    files = dict(HEADER)
    for text, count, name in ((RIGHT, right, "right"), (WRONG, wrong, "wrong")):
        for number in range(count):
            own = f"{name}_{number}"
            files[f"drivers/dev/{own}.c"] = text.replace("@@", own)
    files["drivers/dev/new.c"] = "".join(t.replace("@@", f"new_{n}") for n, t in enumerate(more))
    return files


@pytest.mark.parametrize(
    ("right", "wrong", "added", "reported"),
    [
        (3, 1, RIGHT, False),  # as most do
        (3, 1, WRONG, True),  # one that does so too makes no habit
        (3, 0, WRONG, True),
        (0, 3, RIGHT, True),
        (1, 3, RIGHT, True),
        (1, 1, RIGHT, False),
        (2, 3, RIGHT, False),
    ],
)
def test_a_site_more_of_an_old_cycle(
    lab: Lab, right: int, wrong: int, added: str, reported: bool
) -> None:
    comparison = lab.review(takers(right, wrong), takers(right, wrong, added))
    assert kinds(comparison) == [HazardKind.LOCK_ORDER_INVERSION.value] * reported


def test_what_goes_is_told_whatever_others_do(lab: Lab) -> None:
    comparison = lab.review(takers(3, 1, WRONG), takers(3, 1))
    hazard = of_kind(comparison, HazardKind.LOCK_ORDER_INVERSION)
    assert [site.function for site in hazard.sites if site.before] == ["new_0"]


BARE = """
static int @@(struct dev *d)
{
	msleep(1);
	spin_lock(&d->slock);
	spin_unlock(&d->slock);
	return 0;
}
"""
TIMER = """
static void dev_timer(struct timer_list *t)
{
	struct dev *d = from_timer(d, t, timer);

	spin_lock(&d->slock);
	spin_unlock(&d->slock);
}
void dev_start(struct dev *d)
{
	timer_setup(&d->timer, dev_timer, 0);
}
"""


@pytest.mark.parametrize(("others", "reported"), [(0, True), (CROWD - 1, True), (CROWD, False)])
def test_a_lock_that_everybody_takes_bare(lab: Lab, others: int, reported: bool) -> None:
    before = {**HEADER, "drivers/dev/timer.c": TIMER}
    for number in range(others):
        before[f"drivers/dev/old_{number}.c"] = BARE.replace("@@", f"old_{number}")
    after = {**before, "drivers/dev/new.c": BARE.replace("@@", "new")}
    comparison = lab.review(before, after)
    assert kinds(comparison) == [HazardKind.LOCK_ORDER_INVERSION.value] * reported


POINTED = """
struct fence {
	spinlock_t *lock;
};
struct ring {
	spinlock_t lock;
	struct mutex mutex;
	struct fence fence;
};
static void signal(struct fence *f)
{
	spin_lock(f->lock);
	spin_unlock(f->lock);
}
void ring_stop(struct ring *r)
{
	KIND_lock(&r->NAME);
	signal(&r->fence);
	KIND_unlock(&r->NAME);
}
void fence_done(struct ring *r)
{
	spin_lock(r->fence.lock);
	KIND_lock(&r->NAME);
	KIND_unlock(&r->NAME);
	spin_unlock(r->fence.lock);
}
"""
START = "void ring_start(struct ring *r)\n{\n\t%s;\n}\n"


@pytest.mark.parametrize(
    ("kind", "name", "start", "told"),
    [
        ("spin", "lock", "fence_init(&r->fence, &r->lock, 1)", False),
        ("spin", "lock", "r->fence.lock = &r->lock", False),
        ("spin", "lock", "spin_lock_init(&r->lock)", True),
        ("mutex", "mutex", "fence_init(&r->fence, &r->lock, 1)", True),
    ],
)
def test_a_lock_that_is_pointed_to_may_be_the_other(
    lab: Lab, kind: str, name: str, start: str, told: bool
) -> None:
    text = POINTED.replace("KIND", kind).replace("NAME", name) + START % start
    comparison = lab.review(one(""), one(text))
    assert (HazardKind.LOCK_ORDER_INVERSION.value in kinds(comparison)) == told


SPLIT = """
static void @@(struct dev *d)
{
	__@@(d);
}
"""


@pytest.mark.parametrize("claim", ["tidy up", "fix a deadlock"])
def test_a_site_in_a_function_that_is_split_has_moved(lab: Lab, claim: str) -> None:
    """Where it comes it only follows the order of others, so where it goes it is not gone."""
    whole = takers(3, 1, RIGHT)
    split = takers(3, 1, RIGHT.replace("@@", "__@@") + SPLIT)
    for before, after in ((whole, split), (split, whole)):
        assert not kinds(lab.review(before, after, claim=claim))


TWICE = """
@HELPER@
void dev_stop(struct dev *d)
{
	mutex_lock(&first);
	d->dead++;
	take_it(d);
	mutex_unlock(&first);
@@
}
void dev_read(struct dev *d)
{
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}
static void take_it(struct dev *d)
{
	mutex_lock(&second);
	mutex_unlock(&second);
}
"""
REGION = "\tmutex_lock(&first);\n\ttake_it(d);\n\tmutex_unlock(&first);"
HELPER = f"static void stop_more(struct dev *d)\n{{\n{REGION}\n}}\n"


@pytest.mark.parametrize("claim", ["tidy up", "fix a deadlock"])
def test_one_of_two_sites_that_is_split_off_has_moved(lab: Lab, claim: str) -> None:
    """Where its function went to the same is done already: there is no site less."""
    whole = one(TWICE.replace("@HELPER@", "").replace("@@", REGION))
    split = one(TWICE.replace("@HELPER@", HELPER).replace("@@", "\tstop_more(d);"))
    mended = one(TWICE.replace("@HELPER@", HELPER.replace("mutex_lock(&first)", "bare(d)")
                               .replace("mutex_unlock(&first)", "bare(d)"))
                 .replace("@@", "\tstop_more(d);"))  # fmt: skip
    assert lab.review(whole, split, claim=claim).verdict in QUIET
    assert lab.review(split, whole, claim=claim).verdict in QUIET
    assert lab.review(split, mended, claim=claim).verdict is Verdict.PARTIALLY_REMOVED


LAST = {
    "lock": "\tmutex_lock(&second);\n\tmutex_unlock(&second);",
    "sleep": "\tmsleep(1);",
    "wait": "\tcancel_work_sync(&d->work);",
}
HELD = {"lock": ("mutex", "first"), "sleep": ("spin", "d->slock"), "wait": ("mutex", "d->lock")}
STOP_IT = """
static void stop_it(struct dev *d)
{
%s
}
"""
AWAY = """
@HELPERS@
void dev_stop(struct dev *d)
{
	@KIND@_lock(&@LOCK@);
	step_0(d);
	@KIND@_unlock(&@LOCK@);
}
void dev_read(struct dev *d)
{
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}
"""


def helpers(calls: int, apart: bool) -> tuple[str, Files]:
    """``step_0()``, which comes to ``stop_it()`` after so many calls: here, or from far away."""
    names = [*(f"step_{n}" for n in range(calls + 1)), "stop_it"]
    steps = [
        f"void {name}(struct dev *d)\n{{\n\t{callee}(d);\n}}\n" for name, callee in pairwise(names)
    ]
    if not apart:
        return "".join(reversed(steps)), {}
    return steps[-1], {f"lib/{n}/step.c": step for n, step in enumerate(steps[:-1])}


def far_away(what: str, calls: int, apart: bool, stop_it: str) -> Files:
    """A lock held over a call that comes to *stop_it* in the end."""
    kind, lock = HELD[what]
    own, files = helpers(calls, apart)
    text = AWAY.replace("@KIND@", kind).replace("@LOCK@", lock).replace("@HELPERS@", stop_it + own)
    return files | one(HANDLER + text)


@pytest.mark.parametrize("what", sorted(LAST))
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("claim", ["tidy up", "fix a deadlock"])
def test_a_helper_more_on_the_way_is_no_news(lab: Lab, claim: str, apart: bool, what: str) -> None:
    """At any length of a proof a call more does not end what it shows, nor one less begin it."""
    whole = STOP_IT % LAST[what]
    split = whole.replace("stop_it", "__stop_it") + STOP_IT % "\t__stop_it(d);"
    kernels = [far_away(what, calls, apart, whole) for calls in range(12)]
    pairs = [*pairwise(kernels)]
    pairs += [(kernels[calls], far_away(what, calls, apart, split)) for calls in range(12)]
    for pair in pairs:
        for before, after in (pair, pair[::-1]):
            assert lab.review(before, after, claim=claim).verdict in QUIET


TAKE = "\tmutex_lock(&d->lock);\n\td->dead++;\n\tmutex_unlock(&d->lock);"
GUARD = "\tguard(mutex)(&d->lock);\n\td->dead++;"
TAKER = """
static void take_it(struct dev *d)
{
%s
}
static void pass_on(struct dev *d)
{
	take_it(d);
}
"""
UNDER_A_SPINLOCK = """
void dev_stop(struct dev *d)
{
	spin_lock(&d->slock);
	pass_on(d);
	spin_unlock(&d->slock);
}
"""
IN_A_TIMER = """
static void dev_tick(struct timer_list *t)
{
	pass_on(container_of(t, struct dev, timer));
}
void dev_start(struct dev *d)
{
	timer_setup(&d->timer, dev_tick, 0);
}
"""


@pytest.mark.parametrize("user", [UNDER_A_SPINLOCK, IN_A_TIMER])
@pytest.mark.parametrize("claim", ["tidy up", "fix a deadlock", "do not sleep in atomic context"])
def test_a_lock_that_becomes_a_guard_is_no_news(lab: Lab, claim: str, user: str) -> None:
    """What sleeps is another function then, one call further off; that it sleeps stays."""
    plain, guarded = (one(TAKER % body + user) for body in (TAKE, GUARD))
    for before, after in ((plain, guarded), (guarded, plain)):
        assert lab.review(before, after, claim=claim).verdict in QUIET
