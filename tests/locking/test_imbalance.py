# SPDX-License-Identifier: GPL-2.0-or-later
"""Locks that are kept, given back twice, or given back for somebody else."""

from __future__ import annotations

import pytest

from reviewbot.locking.model import HazardKind, Verdict
from tests.locking.scenario import one
from tests.locking.support import CLAIM, Lab, removed, removed_if_asked

TWICE = """
int ring_add(struct dev *d)
{
	int err;

	mutex_lock(&d->lock);
	if (!d->buf) {
		mutex_unlock(&d->lock);
		return -EINVAL;
	}
	mutex_unlock(&d->lock);
	err = ring_start(d);
	if (err)
		goto clean;
	return 0;
clean:
	ring_free(d);
@@	return err;
}
"""


def test_what_was_given_back_is_given_back_again(lab: Lab) -> None:
    """On every way to the second unlock the lock has been taken and given back."""
    before, after = (one(TWICE.replace("@@", line)) for line in ("\tmutex_unlock(&d->lock);\n", ""))
    hazard = removed(lab.review(before, after), HazardKind.LOCK_IMBALANCE)
    assert [site.function for site in hazard.sites] == ["ring_add"]
    assert lab.review(after, before).verdict is Verdict.INTRODUCED


def test_a_callers_lock_may_be_dropped_and_taken_again(lab: Lab) -> None:
    text = TWICE.replace(
        "\tmutex_lock(&d->lock);\n", "\tmutex_unlock(&d->lock);\n\tmutex_lock(&d->lock);\n", 1
    )
    before, after = (one(text.replace("@@", line)) for line in ("\tmutex_unlock(&d->lock);\n", ""))
    assert lab.review(after, before, claim=CLAIM).verdict is Verdict.CLEAN


SIGNAL = """
struct nvram {
	struct semaphore sem;
};
int nvram_read(struct nvram *d)
{
	if (down_interruptible(&d->sem))
		return -EINTR;
	if (!nvram_start(d)) {
@@		return -EIO;
	}
	up(&d->sem);
	return 0;
}
int nvram_check(struct nvram *d)
{
	return nvram_read(d);
}
"""
MUTE = """
static int truncate(struct dev *d)
{
	int err;

	mutex_lock(&d->lock);
	if (!d->buf) {
@@		return 0;
	}
	err = truncate_all(d);
	mutex_unlock(&d->lock);
	return err;
}
int shorten(struct dev *d)
{
	return truncate(d);
}
"""
UNTOLD = """
static int answer(struct dev *d)
{
	if (!d->buf) {
##		return 0;
	}
	d->dead = 1;
	return 0;
}
void receive(struct dev *d)
{
	mutex_lock(&d->lock);
	answer(d);
	mutex_unlock(&d->lock);
}
"""
MISTAKEN = """
static void silence(struct dev *d)
{
	mutex_lock(&d->lock);
	d->dead = 1;
	mutex_unlock(&d->%s);
}
void close(struct dev *d)
{
	silence(d);
}
"""
FOLIO = """
int migrate_one(struct folio *folio, int cpu)
{
	folio_lock(folio);
	if (!migrate_start(folio)) {
@@		return -EIO;
	}
	migrate_end(folio);
	folio_unlock(folio);
	return 0;
}
int migrate(struct folio *folio)
{
	return migrate_one(folio, 0);
}
"""
UNLOCK = "\t\tmutex_unlock(&d->lock);\n"
WEAK = {
    "a semaphore": [SIGNAL.replace("@@", line) for line in ("", "\t\tup(&d->sem);\n")],
    "a folio": [FOLIO.replace("@@", line) for line in ("", "\t\tfolio_unlock(folio);\n")],
    "a success": [MUTE.replace("@@", line) for line in ("", UNLOCK)],
    "a caller's": [UNTOLD.replace("##", line) for line in (UNLOCK, "")],
    "another's": [MISTAKEN % lock for lock in ("other", "lock")],
}


@pytest.mark.parametrize("name", WEAK)
def test_what_only_a_series_that_speaks_of_it_is_told(lab: Lab, name: str) -> None:
    before, after = map(one, WEAK[name])
    removed_if_asked(lab, before, after, HazardKind.LOCK_IMBALANCE)
    assert lab.review(after, before, claim=CLAIM).verdict is not Verdict.INTRODUCED


STEP = "\tif (flags & STEP_%d) {\n\t\tmutex_lock(&step_%d);\n\t\tmutex_unlock(&step_%d);\n\t}\n"


def test_of_a_large_function_only_who_speaks_of_it_is_told(lab: Lab) -> None:
    """What was taken and given back on each way is too much to be followed there."""
    steps = range(12)
    text = (
        "".join(f"static DEFINE_MUTEX(step_{n});\n" for n in steps)
        + "int setattr(struct dev *d, int flags)\n{\n\tint err = check(d);\n\n"
        + "\tif (err)\n\t\treturn err;\n"
        + "".join(STEP % (n, n, n) for n in steps)
        + "\tmutex_lock(&d->lock);\n\terr = flush(d);\n\tif (err) {\n@@\t\treturn err;\n\t}\n"
        + "\tmutex_unlock(&d->lock);\n\treturn 0;\n}\n"
        + "int chmod(struct dev *d)\n{\n\treturn setattr(d, 0);\n}\n"
    )
    before, after = (one(text.replace("@@", line)) for line in ("", UNLOCK))
    hazard = removed_if_asked(lab, before, after, HazardKind.LOCK_IMBALANCE)
    assert hazard.classes == ("struct dev.lock",)


HARDWARE = """
struct pins { struct hwspinlock *hwlock; };
int pins_set(struct pins *p, int value)
{
	int err;

	err = hwspin_lock_timeout(p->hwlock, 5);
	if (err)
		return err;
	if (value > 3) {
@@		return -EINVAL;
	}
	write(p, value);
	hwspin_unlock(p->hwlock);
	return 0;
}
"""


def test_a_hardware_lock_is_given_back(lab: Lab) -> None:
    before, after = (
        one(HARDWARE.replace("@@", line)) for line in ("", "\t\thwspin_unlock(p->hwlock);\n")
    )
    hazard = removed(lab.review(before, after), HazardKind.LOCK_IMBALANCE)
    assert hazard.classes == ("struct pins.hwlock",)


def test_nothing_sleeps_under_a_hardware_lock(lab: Lab) -> None:
    text = HARDWARE.replace("@@", "\t\thwspin_unlock(p->hwlock);\n")
    before, after = (one(text.replace("write(p, value)", call)) for call in ("msleep(1)", "go()"))
    removed(lab.review(before, after), HazardKind.SLEEP_IN_ATOMIC)


FOLIO_ORDER = """
static DEFINE_MUTEX(table);
void fill(struct folio *folio)
{
	folio_lock(folio);
	mutex_lock(&table);
	mutex_unlock(&table);
	folio_unlock(folio);
}
void drain(struct folio *folio)
{
@@
}
"""


def test_an_order_with_a_folio_is_believed_if_somebody_speaks_of_it(lab: Lab) -> None:
    take, under = "\tfolio_lock(folio);\n\tfolio_unlock(folio);\n", "\tmutex_lock(&table);\n"
    before, after = (
        one(FOLIO_ORDER.replace("@@\n", body))
        for body in (f"{under}{take}\tmutex_unlock(&table);\n", take)
    )
    hazard = removed_if_asked(lab, before, after, HazardKind.LOCK_ORDER_INVERSION)
    assert set(hazard.classes) == {"struct folio.lock", "drivers/dev/core.c:table"}


MOUNT = """
int set_label(struct file *file, int value)
{
	int err = mnt_want_write_file(file);

	if (err)
		return err;
	if (value > 3) {
@@		return -EINVAL;
	}
	write(file, value);
	mnt_drop_write_file(file);
	return 0;
}
"""


def test_freeze_protection_is_given_back(lab: Lab) -> None:
    before, after = (
        one(MOUNT.replace("@@", line)) for line in ("", "\t\tmnt_drop_write_file(file);\n")
    )
    hazard = removed(lab.review(before, after), HazardKind.LOCK_IMBALANCE)
    assert hazard.classes == ("sb_writers",)


def test_an_order_with_freeze_protection_is_believed_if_somebody_speaks_of_it(lab: Lab) -> None:
    freeze = "\tsb_start_intwrite(sb);\n", "\tsb_end_intwrite(sb);\n"
    locked = "\tmutex_lock(&table);\n", "\tmutex_unlock(&table);\n"
    text = "static DEFINE_MUTEX(table);\nvoid %s(struct super_block *sb)\n{\n%s}\n"
    change = text % ("change", freeze[0] + "".join(locked) + freeze[1])
    before, after = (
        one(change + (text % ("start", body)).partition("\n")[2])
        for body in (locked[0] + "".join(freeze) + locked[1], "".join(locked + freeze))
    )
    hazard = removed_if_asked(lab, before, after, HazardKind.LOCK_ORDER_INVERSION)
    assert set(hazard.classes) == {"sb_internal", "drivers/dev/core.c:table"}


def test_a_function_may_leave_a_lock_to_its_callers(lab: Lab) -> None:
    caller = "\treturn truncate(d);\n"
    kept = "\tint err = truncate(d);\n\n\tif (!err)\n\t\tmutex_unlock(&d->lock);\n\treturn err;\n"
    before, after = (one(text.replace(caller, kept)) for text in WEAK["a success"])
    comparison = lab.review(before, after, claim=CLAIM)
    assert "truncate" not in {site.function for h in comparison.hazards for site in h.sites}
