# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens only when the last reference goes is said so."""

from __future__ import annotations

import pytest

from reviewbot.locking.model import Grade, HazardKind
from tests.locking.scenario import HANDLER, one
from tests.locking.support import Lab, of_kind

PUT = """
static void dev_release(struct kref *ref)
{
	struct dev *d = container_of(ref, struct dev, ref);

	cancel_work_sync(&d->work);
}
static void dev_put(struct dev *d)
{
@@
}
void dev_close(struct dev *d)
{
	mutex_lock(&d->lock);
	dev_put(d);
	mutex_unlock(&d->lock);
}
"""
STOP = "cancel_work_sync(&d->work);"


@pytest.mark.parametrize(
    ("body", "last"),
    [
        (f"\tif (refcount_dec_and_test(&d->users))\n\t\t{STOP}", True),
        (f"\tif (atomic_dec_and_test(&d->users)) {{\n\t\tnote(d);\n\n\t\t{STOP}\n\t}}", True),
        (f"\tif (!refcount_dec_and_test(&d->users))\n\t\treturn;\n\t{STOP}", True),
        (f"\tif (--d->users > 0) {{\n\t\tnote(d);\n\t\treturn;\n\t}}\n\t{STOP}", True),
        ("\tkref_put(&d->ref, dev_release);", True),
        (f"\t{STOP}", False),
        (f"\tif (atomic_dec_and_test(&d->pending))\n\t\tnote(d);\n\t{STOP}", False),
        (f"\tif (refcount_dec_and_test(&d->users)) {{\n\t\treturn;\n\t}} else {{\n\t\t{STOP}\n\t}}",
         False),
        (f"\tif (!--d->users)\n\t\t{STOP}", True),
        (f"\tif (--d->users == 0) {{\n\t\t{STOP}\n\t}}", True),
        (f"\tif (--d->users)\n\t\t{STOP}", False),
        (f"\tif (!refcount_dec_and_test(&d->users)) {{\n\t\t{STOP}\n\t\treturn;\n\t}}", False),
        (f"\t{STOP}\n\tif (refcount_dec_and_test(&d->users))\n\t\tnote(d);", False),
        (f"\tif (!--tries)\n\t\t{STOP}", False),
        (f"\tif (count-- > d->users)\n\t\treturn;\n\t{STOP}", False),
    ],
)  # fmt: skip
def test_the_last_reference_is_a_condition(lab: Lab, body: str, last: bool) -> None:
    bad = one(HANDLER + PUT.replace("@@", body))
    good = one(HANDLER + PUT.replace("@@", "\tnote(d);"))
    hazard = of_kind(lab.review(good, bad), HazardKind.FLUSH_CYCLE)
    assert hazard.grade is (Grade.CONDITIONAL if last else Grade.DEFINITE)
    assert ("through dev_put() takes that it drops the last" in hazard.condition) == last


def test_a_lock_may_be_for_the_last(lab: Lab) -> None:
    body = "\tif (atomic_dec_and_mutex_lock(&d->users, &d->lock))\n\t\tmutex_unlock(&d->lock);"
    bad, good = (one(HANDLER + PUT.replace("@@", text)) for text in (body, "\tnote(d);"))
    hazard = of_kind(lab.review(good, bad), HazardKind.RECURSIVE_LOCK)
    assert hazard.grade is Grade.CONDITIONAL
    assert "through dev_put() takes that it drops the last" in hazard.condition
