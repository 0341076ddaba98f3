# SPDX-License-Identifier: GPL-2.0-or-later
"""States, patch numbers, sites that remain, claims; and what changes nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewbot.locking.claims import claims_fix
from reviewbot.locking.model import ChangeState, Grade, HazardKind, Site, Verdict, hazard_id
from tests.locking.scenario import DEV, HANDLER, one
from tests.locking.scenarios import NEAR_MISSES, PLAIN, SCENARIOS
from tests.locking.support import CLAIM, Files, Lab, Reviews, brief, fresh_lab, kinds, of_kind

FLUSH_UNDER = "\tmutex_lock(&d->lock);\n\tcancel_work_sync(&d->work);\n\tmutex_unlock(&d->lock);\n"
FLUSH_AFTER = "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);\n\tcancel_work_sync(&d->work);\n"


def closers(*bodies: str) -> Files:
    """A driver with one ``close_<n>()`` for each body."""
    functions = "".join(
        f"void close_{number}(struct dev *d)\n{{\n{body}}}\n"
        for number, body in enumerate(bodies, 1)
    )
    return one(HANDLER + functions)


def states(lab: Lab, *versions: Files) -> dict[str, tuple[str, int | None]]:
    """Function to (state, patch) of the one hazard's sites."""
    hazard = of_kind(lab.review(*versions), HazardKind.FLUSH_CYCLE)
    return {site.function: (site.state.value, site.patch) for site in hazard.sites}


# ---- one patch ----


def test_all_sites_gone(lab: Lab) -> None:
    comparison = lab.review(closers(FLUSH_UNDER, FLUSH_UNDER), closers(FLUSH_AFTER, FLUSH_AFTER))
    hazard = of_kind(comparison, HazardKind.FLUSH_CYCLE)
    assert comparison.verdict is Verdict.REMOVED
    assert hazard.state is ChangeState.REMOVED
    assert (hazard.patch, len(hazard.sites)) == (1, 2)


def test_one_of_two_sites_gone(lab: Lab) -> None:
    comparison = lab.review(closers(FLUSH_UNDER, FLUSH_UNDER), closers(FLUSH_AFTER, FLUSH_UNDER))
    assert comparison.verdict is Verdict.PARTIALLY_REMOVED
    hazard = of_kind(comparison, HazardKind.FLUSH_CYCLE)
    assert hazard.state is ChangeState.REMAINING
    assert hazard.patch is None
    assert {site.function: (site.state.value, site.patch) for site in hazard.sites} == {
        "close_1": ("removed", 1),
        "close_2": ("remaining", None),
    }
    kept = next(site for site in hazard.sites if site.function == "close_2")
    assert kept.before is not None
    assert kept.after is not None


def test_sites_in_files_that_the_series_leaves_alone_are_context(lab: Lab) -> None:
    header = {"include/linux/dev.h": DEV.split("static")[0]}
    elsewhere = {"drivers/far/far.c": f"void far_close(struct dev *d)\n{{\n{FLUSH_UNDER}}}\n"}

    def core(body: str) -> Files:
        return {
            **header,
            **elsewhere,
            "drivers/dev/core.c": HANDLER + f"void close_1(struct dev *d)\n{{\n{body}}}\n",
        }

    comparison = lab.review(core(FLUSH_UNDER), core(FLUSH_AFTER))
    assert comparison.verdict is Verdict.REMOVED
    assert [site.function for h in comparison.hazards for site in h.sites] == ["close_1"]


def test_one_site_more(lab: Lab) -> None:
    comparison = lab.review(closers(FLUSH_UNDER, FLUSH_AFTER), closers(FLUSH_UNDER, FLUSH_UNDER))
    assert comparison.verdict is Verdict.INTRODUCED
    hazard = of_kind(comparison, HazardKind.FLUSH_CYCLE)
    assert [s.function for s in hazard.sites if s.state is ChangeState.INTRODUCED] == ["close_2"]


def test_one_site_for_another(lab: Lab) -> None:
    comparison = lab.review(closers(FLUSH_UNDER, FLUSH_AFTER), closers(FLUSH_AFTER, FLUSH_UNDER))
    assert comparison.verdict is Verdict.INTRODUCED
    hazard = of_kind(comparison, HazardKind.FLUSH_CYCLE)
    assert {site.function: site.state for site in hazard.sites} == {
        "close_1": ChangeState.REMOVED,
        "close_2": ChangeState.INTRODUCED,
    }


def test_one_hazard_gone_and_another_come(lab: Lab) -> None:
    order = SCENARIOS["order"]
    flush = SCENARIOS["flush"]
    before = {"a/a.c": order.bad["drivers/dev/core.c"], "b/b.c": flush.good["drivers/dev/core.c"]}
    after = {"a/a.c": order.good["drivers/dev/core.c"], "b/b.c": flush.bad["drivers/dev/core.c"]}
    comparison = lab.review(before, after)
    assert comparison.verdict is Verdict.INTRODUCED
    assert {h.kind: h.state for h in comparison.hazards} == {
        HazardKind.FLUSH_CYCLE: ChangeState.INTRODUCED,
        HazardKind.LOCK_ORDER_INVERSION: ChangeState.REMOVED,
    }


def test_what_is_only_touched_is_clean(lab: Lab) -> None:
    """The function changes, its hazard does not: nothing to say without a claim."""
    before, after = closers(FLUSH_UNDER), closers("\twork();\n" + FLUSH_UNDER)
    comparison = lab.review(before, after)
    assert (comparison.verdict, comparison.hazards) == (Verdict.CLEAN, ())
    assert comparison.reason


def test_a_claim_that_is_not_kept(lab: Lab) -> None:
    before, after = closers(FLUSH_UNDER), closers("\twork();\n" + FLUSH_UNDER)
    comparison = lab.review(before, after, claim="fix a deadlock in close_1()")
    assert comparison.verdict is Verdict.NOT_REMOVED
    assert [site.function for h in comparison.hazards for site in h.sites] == ["close_1"]
    assert all(h.state is ChangeState.REMAINING for h in comparison.hazards)


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (FLUSH_UNDER.replace("\tcancel", "\twork();\n\n\t\tcancel"), Verdict.CLEAN),
        ("\twork();\n" + FLUSH_UNDER, Verdict.CLEAN),
        (f"\tcancel_work_sync(&d->work);\n{FLUSH_UNDER}", Verdict.NOT_REMOVED),
        (FLUSH_UNDER.replace("(&d->work)", "((&d->work))"), Verdict.NOT_REMOVED),
    ],
)
def test_a_claim_that_names_nothing_is_about_what_changes(
    lab: Lab, body: str, verdict: Verdict
) -> None:
    comparison = lab.review(closers(FLUSH_UNDER), closers(body), claim=CLAIM)
    assert comparison.verdict is verdict


def test_a_claim_without_a_hazard_is_clean(lab: Lab) -> None:
    comparison = lab.review(PLAIN, one("void nothing(void)\n{\n\tother();\n}\n"), claim=CLAIM)
    assert (comparison.verdict, comparison.hazards) == (Verdict.CLEAN, ())


@pytest.mark.parametrize(
    ("claim", "meant"),
    [
        ("dev: fix deadlock in close_1()", True),
        ("dev: fix deadlock of dev_work() against closing", False),
        ("dev: close_1() deadlocks on dev->lock against the work item", True),
        ("fix a deadlock between close_2() and the work item", False),
        ("other_thing: fix deadlock in other_thing_open()", False),
        ("add a call to close_1()", False),
    ],
)
def test_a_claim_is_about_what_it_names(lab: Lab, claim: str, meant: bool) -> None:
    before, after = closers(FLUSH_UNDER), closers("\twork();\n" + FLUSH_UNDER)
    comparison = lab.review(before, after, claim=claim)
    assert comparison.verdict is (Verdict.NOT_REMOVED if meant else Verdict.CLEAN)


def test_a_claim_that_is_kept(lab: Lab) -> None:
    comparison = lab.review(closers(FLUSH_UNDER), closers(FLUSH_AFTER), claim=CLAIM)
    assert comparison.verdict is Verdict.REMOVED


def test_the_function_that_goes_takes_its_hazard_along(lab: Lab) -> None:
    before, after = closers(FLUSH_UNDER), closers()
    assert lab.review(before, after).verdict is Verdict.REMOVED
    assert lab.review(after, before).verdict is Verdict.INTRODUCED


def test_the_file_that_goes_takes_its_hazard_along(lab: Lab) -> None:
    bad = closers(FLUSH_UNDER)
    other = {"lib/x.c": "int x;\n"}
    assert lab.review({**bad, **other}, other).verdict is Verdict.REMOVED
    assert lab.review(other, {**bad, **other}).verdict is Verdict.INTRODUCED


# ---- a series ----


def test_the_patch_that_did_it(lab: Lab) -> None:
    good, bad = closers(FLUSH_AFTER), closers(FLUSH_UNDER)
    noise = {**good, "lib/x.c": "int x;\n"}
    assert states(lab, good, noise, {**noise, **bad}, {**bad, "lib/x.c": "int y;\n"}) == {
        "close_1": ("introduced", 2)
    }
    assert states(lab, bad, {**bad, "lib/x.c": "int x;\n"}, bad, good) == {
        "close_1": ("removed", 3)
    }


def test_introduced_by_the_first_and_gone_by_the_third(lab: Lab) -> None:
    good, bad = closers(FLUSH_AFTER), closers(FLUSH_UNDER)
    comparison = lab.review(
        good, bad, {**bad, "lib/x.c": "int x;\n"}, {**good, "lib/x.c": "int x;\n"}
    )
    assert (comparison.verdict, comparison.hazards) == (Verdict.CLEAN, ())


def test_gone_and_back_again(lab: Lab) -> None:
    good, bad = closers(FLUSH_AFTER), closers(FLUSH_UNDER)
    comparison = lab.review(bad, good, {**bad, "lib/x.c": "int x;\n"})
    assert comparison.verdict is Verdict.CLEAN
    claimed = lab.review(bad, good, {**bad, "lib/x.c": "int x;\n"}, claim=CLAIM)
    assert claimed.verdict is Verdict.NOT_REMOVED


def test_each_site_by_its_own_patch(lab: Lab) -> None:
    both = closers(FLUSH_UNDER, FLUSH_UNDER)
    comparison = lab.review(
        both, closers(FLUSH_UNDER, FLUSH_AFTER), closers(FLUSH_AFTER, FLUSH_AFTER)
    )
    hazard = of_kind(comparison, HazardKind.FLUSH_CYCLE)
    assert {site.function: site.patch for site in hazard.sites} == {"close_1": 2, "close_2": 1}
    assert hazard.patch == 2
    assert comparison.verdict is Verdict.REMOVED


def test_a_hazard_that_needs_two_patches(lab: Lab) -> None:
    """The first patch takes the lock in the handler, the second waits under it."""
    quiet = one(
        "static void dev_work(struct work_struct *work)\n{\n\tother();\n}\n"
        "void dev_init(struct dev *d)\n{\n\tINIT_WORK(&d->work, dev_work);\n}\n"
        f"void close_1(struct dev *d)\n{{\n{FLUSH_AFTER}}}\n"
    )
    assert states(lab, quiet, closers(FLUSH_AFTER), closers(FLUSH_UNDER)) == {
        "close_1": ("introduced", 2)
    }


# ---- what changes nothing ----


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_tree_against_itself_is_clean(lab: Lab, name: str) -> None:
    comparison = lab.review(SCENARIOS[name].bad, SCENARIOS[name].bad, claim=CLAIM)
    assert (comparison.verdict, comparison.hazards, comparison.changed) == (Verdict.CLEAN, (), ())


def moved(files: Files) -> Files:
    """The same code further down, with more white space and other comments."""
    return {
        path: "/* moved\n * down\n */\n\n\n"
        + text.replace(";\n", "; /* so */\n\n").replace("\t", "\t\t")
        for path, text in files.items()
    }


@pytest.mark.parametrize("name", SCENARIOS)
def test_moved_lines_change_nothing(lab: Lab, reviews: Reviews, name: str) -> None:
    case = SCENARIOS[name]
    comparison = lab.review(case.bad, moved(case.bad))
    assert (comparison.verdict, comparison.hazards, comparison.changed) == (Verdict.CLEAN, (), ())
    plain, other = reviews.introducing(name), lab.review(moved(case.good), moved(case.bad))
    assert brief(plain) == brief(other)
    assert [h.id for h in plain.hazards] == [h.id for h in other.hazards]


NAMES = re.compile(
    r"\b(first|second|third|forward|backward|helper|dev|core|drivers|reader|unregister|take|update|stop|f|d"
    r"|dev_work|dev_init|static_work|thread_fn|loop|tick|poll|run|my_run|my_ops|ops|bus|wait|drain|kick"
    r"|slock|sem|srcu2|dwork|wq|timer|thread|parent|irq|dead|shared_lock|shared_update|one_enter|two_enter"
    r"|flush|prepare|finish|work_free|one|two|shared|a|b|x|same|ret|out|idx|flags|t|w|data|list)\b"
)


def renamed(text: str) -> str:
    """Every name of the scenario that is not the kernel's own, another."""
    return NAMES.sub(lambda m: f"zz_{m[1]}_q", text)


def rename_files(files: Files) -> Files:
    def path_of(path: str) -> str:
        return re.sub(r"(?<![\w.])(?!include)(\w+)(?=[/.])", r"zz_\1_q", path)

    kept = {"include/linux/dev.h": "include/linux/zz_dev_q.h"}
    return {kept.get(path, path_of(path)): renamed(text) for path, text in files.items()}


@pytest.mark.parametrize("name", SCENARIOS)
def test_other_names_change_nothing_but_the_names(lab: Lab, reviews: Reviews, name: str) -> None:
    case = SCENARIOS[name]
    plain = reviews.introducing(name)
    other = lab.review(rename_files(case.good), rename_files(case.bad))
    assert plain.verdict is other.verdict
    assert [shape(h.sites) for h in plain.hazards] == [shape(h.sites) for h in other.hazards]
    assert kinds(plain) == kinds(other)
    assert [sorted(h.classes) for h in plain.hazards] == [
        sorted(strip(cls) for cls in h.classes) for h in other.hazards
    ]


def strip(name: str) -> str:
    return re.sub(r"zz_(\w+?)_q\b", r"\1", name)


def shape(sites: tuple[Site, ...]) -> list[tuple[str, str, str, int | None]]:
    return sorted(
        (strip(site.function), strip(site.via), site.state.value, site.patch) for site in sites
    )


QUIET = [name for name in NEAR_MISSES if "static" not in name]


@settings(max_examples=12)
@given(st.lists(st.sampled_from(sorted(SCENARIOS)), min_size=1, max_size=3, unique=True), st.data())
def test_hazards_in_other_files_do_not_disturb_each_other(
    names: list[str], data: st.DataObject
) -> None:
    """A change with several hazards in it is all of them, each as it is alone."""
    names = [name for name in names if len(SCENARIOS[name].bad) == 1]
    directions = [data.draw(st.booleans()) for _ in names]
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    expected: list[str] = []
    for number, (name, forth) in enumerate(zip(names, directions, strict=True)):
        case = SCENARIOS[name]
        path = f"dir{number}/file.c"

        def own(files: Files, number: int = number) -> str:
            text = files["drivers/dev/core.c"]
            return re.sub(
                r"\b(dev|first|second|third|f|forward|backward|helper)\b", rf"\g<1>_{number}", text
            )

        old, new = (case.good, case.bad) if forth else (case.bad, case.good)
        before[path], after[path] = own(old), own(new)
        expected.append(case.kind.value)
    with fresh_lab() as lab:
        alone = [kinds(lab.review({path: before[path]}, {path: after[path]})) for path in before]
        assert kinds(lab.review(before, after)) == sorted(kind for found in alone for kind in found)


# ---- ids, claims ----


def test_an_id_is_kind_and_classes_in_any_order() -> None:
    one_way = hazard_id(HazardKind.FLUSH_CYCLE, ("a", "b"))
    assert one_way == hazard_id(HazardKind.FLUSH_CYCLE, ("b", "a"))
    assert one_way != hazard_id(HazardKind.FLUSH_CYCLE, ("a", "c"))
    assert one_way != hazard_id(HazardKind.WORKER_POOL_CYCLE, ("a", "b"))
    assert one_way.startswith("flush-cycle-")


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("KVM: fix deadlock in irqfd", True),
        ("avoid a dead-lock", True),
        ("Fix ABBA locking", True),
        ("WARNING: possible circular locking dependency detected", True),
        ("sleeping function called from invalid context", True),
        ("BUG: scheduling while atomic", True),
        ("INFO: task hung_task blocked; hung task", True),
        ("add the missing unlock on the error path", True),
        ("missing mutex_unlock() on error", True),
        ("fix lock inversion with rtnl", True),
        ("block device: add support for foo", False),
        ("clock: fix rounding", False),
        ("Add locking documentation", False),
        ("", False),
    ],
)
def test_claims(text: str, claim: bool) -> None:
    assert claims_fix(text) == claim


def test_stats(lab: Lab) -> None:
    files = {**closers(FLUSH_UNDER), "lib/x.c": "int f(void)\n{\n\treturn 1;\n}\n"}
    comparison = lab.review(files, {**closers(FLUSH_AFTER), "lib/x.c": files["lib/x.c"]})
    stats = comparison.stats
    assert stats.files == 3
    assert stats.changed_functions == 1
    assert comparison.changed == (("drivers/dev/core.c", "close_1"),)
    assert stats.locks >= 2
    assert stats.unknown_locks == 0
    assert stats.capped == 0
    assert stats.seconds >= 0


def test_an_unknown_lock_is_counted_and_no_hazard(lab: Lab) -> None:
    take, give = "\tmutex_lock(&{});\n", "\tmutex_unlock(&{});\n"
    strange, known = "mystery(d)->lock", "first"
    body = take.format(strange) + take.format(known) + give.format(known) + give.format(strange)
    other = take.format(known) + take.format(strange) + give.format(strange) + give.format(known)
    comparison = lab.review(PLAIN, closers(body, other))
    assert comparison.hazards == ()
    assert comparison.stats.unknown_locks == 2


def test_what_is_reached_far_down_may_be_called_close_by(lab: Lab) -> None:
    """That another lock of the class is taken far below does not hide who takes this one."""
    text = """
static void lock_it(struct dev *d)
{
	mutex_lock(&d->lock);
	mutex_unlock(&d->lock);
}
static void climb(struct dev *d)
{
	lock_it(d->parent);
}
static void query(struct dev *d)
{
	climb(d);
@@
}
void dev_ioctl(struct dev *d)
{
	mutex_lock(&d->lock);
	query(d);
	mutex_unlock(&d->lock);
}
"""
    bad, good = (one(text.replace("@@", body)) for body in ("\tlock_it(d);", "\tbare(d);"))
    hazard = of_kind(lab.review(bad, good), HazardKind.RECURSIVE_LOCK)
    assert [(site.via, site.state.value) for site in hazard.sites] == [("query", "removed")]


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [("fix a deadlock in ioctl", Verdict.REMOVED), ("tidy up", Verdict.CLEAN)],
)
def test_a_long_proof_is_for_who_speaks_of_locking(lab: Lab, claim: str, verdict: Verdict) -> None:
    ladder = "".join(
        f"void step_{n}(struct dev *d)\n{{\n\tstep_{n + 1}(d);\n}}\n" for n in range(5)
    )
    parts = [part for part in re.split(r"(?=void step_)", ladder) if part]
    files = {f"lib/{number}/step.c": part for number, part in enumerate(parts)}
    core = """
void step_5(struct dev *d)
{
	mutex_lock(&first);
	mutex_unlock(&first);
}
void dev_ioctl(struct dev *d)
{
	mutex_lock(&second);
@@
	mutex_unlock(&second);
}
void dev_read(struct dev *d)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
}
"""
    bad, good = (files | one(core.replace("@@", body)) for body in ("\tstep_0(d);", "\tbare(d);"))
    comparison = lab.review(bad, good, claim=claim)
    assert comparison.verdict is verdict
    if comparison.hazards:
        assert comparison.hazards[0].grade.value == "conditional"
        assert "The proof is a long one" in comparison.hazards[0].condition
    back = lab.review(good, bad, claim=claim)
    assert back.verdict is Verdict.CLEAN, "what a series brings needs a short proof"


STAGES = 11
DEEP = """
void stage_@LAST@(struct dev *d)
{
	mutex_lock(&d->lock);
	mutex_unlock(&d->lock);
}
static void stage_work(struct work_struct *work)
{
	stage_0(container_of(work, struct dev, work));
}
void dev_init(struct dev *d)
{
	INIT_WORK(&d->work, stage_work);
}
void dev_stop(struct dev *d)
{
@@
}
""".replace("@LAST@", str(STAGES))
UNDER_LOCK = "\tmutex_lock(&d->lock);\n\tcancel_work_sync(&d->work);\n\tmutex_unlock(&d->lock);"
BEHIND_LOCK = "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);\n\tcancel_work_sync(&d->work);"


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("fix a deadlock on stop", Verdict.REMOVED),
        ("wait for the work without the lock", Verdict.CLEAN),
        ("tidy up", Verdict.CLEAN),
    ],
)
def test_a_handler_comes_to_a_lock_by_a_very_long_way(
    lab: Lab, claim: str, verdict: Verdict
) -> None:
    """Who says he mends a deadlock, and takes the wait out of the lock, is believed."""
    stages = {
        f"lib/{n}/stage.c": f"void stage_{n}(struct dev *d)\n{{\n\tstage_{n + 1}(d);\n}}\n"
        for n in range(STAGES)
    }
    bad, good = (stages | one(DEEP.replace("@@", body)) for body in (UNDER_LOCK, BEHIND_LOCK))
    comparison = lab.review(bad, good, claim=claim)
    assert comparison.verdict is verdict
    if verdict is Verdict.REMOVED:
        assert of_kind(comparison, HazardKind.FLUSH_CYCLE).grade.value == "conditional"
    assert lab.review(good, bad, claim=claim).verdict is Verdict.CLEAN


RESET = """
void reset_work(struct work_struct *work)
{
	struct dev *d = container_of(work, struct dev, reset);

	mutex_lock(&d->lock);
	mutex_unlock(&d->lock);
}
"""
RELEASE = """
static void release_work(struct work_struct *work)
{
	struct dev *d = container_of(work, struct dev, work);

	@AWAIT@(&d->reset);
}
void dev_init(struct dev *d)
{
	INIT_WORK(&d->work, release_work);
	INIT_WORK(&d->reset, reset_work);
}
void dev_stop(struct dev *d)
{
@@
}
"""


@pytest.mark.parametrize(
    ("await_it", "home", "verdict"),
    [
        ("flush_work", "drivers/lab/reset.c", Verdict.REMOVED),
        ("schedule_work", "drivers/lab/reset.c", Verdict.CLEAN),
        ("flush_work", "fs/other/reset.c", Verdict.CLEAN),
    ],
)
def test_a_work_that_waits_for_a_work(lab: Lab, await_it: str, home: str, verdict: Verdict) -> None:
    """The lock is held over waiting for a work that waits for another, of the same driver."""
    release = RELEASE.replace("@AWAIT@", await_it)
    bad, good = (
        {home: RESET, "drivers/lab/main.c": release.replace("@@", body)}
        for body in (UNDER_LOCK, BEHIND_LOCK)
    )
    comparison = lab.review(bad, good, claim="fix a circular lock dependency")
    assert comparison.verdict is verdict
    if verdict is Verdict.REMOVED:
        hazard = of_kind(comparison, HazardKind.FLUSH_CYCLE)
        assert hazard.classes == (
            "struct dev.lock", "work struct dev.work", "work struct dev.reset",
        )  # fmt: skip
    assert lab.review(good, bad, claim="fix a circular lock dependency").verdict is Verdict.CLEAN


READERS = """
void forward(struct dev *d)
{
	mutex_lock(&first);
	down_read(&d->sem);
	up_read(&d->sem);
	mutex_unlock(&first);
}
void backward(struct dev *d)
{
@@
}
"""
WRITER = "void write(struct dev *d)\n{\n\tdown_write(&d->sem);\n\tup_write(&d->sem);\n}\n"
READ_OUTSIDE = (
    "\tdown_read(&d->sem);\n\tmutex_lock(&first);\n\tmutex_unlock(&first);\n\tup_read(&d->sem);\n"
)
READ_INSIDE = (
    "\tmutex_lock(&first);\n\tdown_read(&d->sem);\n\tup_read(&d->sem);\n\tmutex_unlock(&first);\n"
)


@pytest.mark.parametrize(
    ("writer", "claim", "verdict"),
    [
        (WRITER, "fix a deadlock with a writer", Verdict.REMOVED),
        ("", "fix a deadlock with a writer", Verdict.CLEAN),
        (WRITER, "tidy up", Verdict.CLEAN),
    ],
)
def test_readers_with_a_writer_between(lab: Lab, writer: str, claim: str, verdict: Verdict) -> None:
    bad, good = (one(READERS.replace("@@", body) + writer) for body in (READ_OUTSIDE, READ_INSIDE))
    comparison = lab.review(bad, good, claim=claim)
    assert comparison.verdict is verdict
    for hazard in comparison.hazards:
        assert hazard.grade is Grade.CONDITIONAL
        assert "Readers of struct dev.sem block each other only while a writer" in hazard.condition


COMPLETED = """
struct job {
	struct mutex lock;
	struct completion done;
	struct work_struct work;
};
static void finish(struct work_struct *work)
{
	struct job *j = container_of(work, struct job, work);

@@
}
void stop(struct job *j)
{
	INIT_WORK(&j->work, finish);
	mutex_lock(&j->lock);
	wait_for_completion(&j->done);
	mutex_unlock(&j->lock);
}
"""
TAKES = "\tmutex_lock(&j->lock);\n\tmutex_unlock(&j->lock);\n\tcomplete(&j->done);"


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [("fix a deadlock of stop()", Verdict.REMOVED), ("tidy up", Verdict.CLEAN)],
)
def test_who_completes_takes_the_lock_of_who_waits(lab: Lab, claim: str, verdict: Verdict) -> None:
    bad, good = (one(COMPLETED.replace("@@", body)) for body in (TAKES, "\tcomplete(&j->done);"))
    comparison = lab.review(bad, good, claim=claim)
    assert comparison.verdict is verdict
    for hazard in comparison.hazards:
        assert hazard.classes == ("struct job.lock", "completion struct job.done")
        assert "; who completes it takes struct job.lock." in hazard.summary
    assert lab.review(good, bad, claim=claim).verdict is Verdict.CLEAN


# ---- another name ----


def test_a_lock_with_a_new_name_is_the_lock_it_was(lab: Lab) -> None:
    before = closers(FLUSH_UNDER, FLUSH_AFTER)
    after = {path: re.sub(r"\block\b", "guard_lock", text) for path, text in before.items()}
    comparison = lab.review(before, after)
    assert comparison.verdict is Verdict.CLEAN
    assert "(1) are as they were" in comparison.reason


def test_a_lock_with_a_new_name_and_a_fix(lab: Lab) -> None:
    before, fixed = closers(FLUSH_UNDER), closers(FLUSH_AFTER)
    after = {path: re.sub(r"\block\b", "guard_lock", text) for path, text in fixed.items()}
    assert lab.review(before, after).verdict is Verdict.REMOVED


def test_another_lock_that_was_there_is_no_new_name(lab: Lab) -> None:
    """What was under one lock is now under another, which others take as well: a new hazard."""
    with_other = HANDLER + HANDLER.replace("dev_", "other_").replace("lock", "other").replace(
        "mutex_other", "mutex_lock"
    ).replace("mutex_unother", "mutex_unlock").replace("&d->work", "&d->dwork.work")
    bad = one(with_other + f"void close(struct dev *d)\n{{\n{FLUSH_UNDER}}}\n")
    moved = FLUSH_UNDER.replace("&d->lock", "&d->other").replace("&d->work", "&d->dwork.work")
    new = one(with_other + f"void close(struct dev *d)\n{{\n{moved}}}\n")
    comparison = lab.review(bad, new)
    assert comparison.verdict is Verdict.INTRODUCED
    assert {h.state for h in comparison.hazards} == {ChangeState.REMOVED, ChangeState.INTRODUCED}


# ---- ways that cannot be gone ----


@pytest.mark.parametrize(
    ("taken", "verdict"),
    [("mutex_trylock(&first)", Verdict.REMOVED), ("mutex_lock_interruptible(&first) == 0", None)],
)
def test_what_is_called_with_a_lock_held_does_not_wait_for_it(
    lab: Lab, taken: str, verdict: Verdict | None
) -> None:
    """A worker that only tries a lock is not said to wait for it by a deeper call."""
    text = """
static void settle(void)
{
	mutex_unlock(&first);
	mutex_lock(&first);
	mutex_unlock(&first);
}
static void dev_work(struct work_struct *work)
{
	if (!(@@))
		return;
	settle();
}
void dev_stop(struct dev *d)
{
	INIT_WORK(&d->work, dev_work);
	mutex_lock(&first);
	cancel_work_sync(&d->work);
	mutex_unlock(&first);
}
"""
    bad = one(text.replace("if (!(@@))\n\t\treturn;", "mutex_lock(&first);"))
    comparison = lab.review(bad, one(text.replace("@@", taken)), claim=CLAIM)
    assert comparison.verdict is (verdict or Verdict.NOT_REMOVED)


def test_two_locks_of_one_class_are_taken_one_after_the_other(lab: Lab) -> None:
    """The second call of the helper is made with the class held, the first is not."""
    text = """
static void lock_it(struct dev *d)
{
	mutex_lock(&d->lock);
}
static void lock_both(struct dev *d)
{
	lock_it(d->parent);
	lock_it(d);
}
void backward(struct dev *d)
{
	mutex_lock(&d->lock);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&d->lock);
}
void forward(struct dev *d)
{
@@
}
"""
    under = "\tmutex_lock(&first);\n\tlock_both(d);\n\tmutex_unlock(&first);"
    bad, good = (one(text.replace("@@", body)) for body in (under, "\tlock_both(d);"))
    assert lab.review(bad, good).verdict is Verdict.REMOVED
