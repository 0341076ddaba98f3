# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the lock that is taken is the one that is held, or another of its class."""

from __future__ import annotations

import pytest

from tests.locking.scenario import DEV
from tests.locking.scenarios import PLAIN
from tests.locking.support import Lab, kinds

CALLEE = """\
static void take(struct dev *x, int n)
{
	mutex_lock(&x->lock);
	work(n);
	mutex_unlock(&x->lock);
}
static void deep(int n, struct dev *y)
{
	take(y, n);
}
static void above(struct dev *y)
{
	take(y->parent, 1);
}
"""


@pytest.mark.parametrize(
    ("body", "same"),
    [
        ("mutex_lock(&d->lock); mutex_lock(&d->lock);", True),
        ("mutex_lock(&d->lock); mutex_lock(&e->lock);", False),
        ("mutex_lock(&d->lock); mutex_lock(&d->parent->lock);", False),
        ("mutex_lock(&d->lock); take(d, 1);", True),
        ("mutex_lock(&d->lock); take(e, 1);", False),
        ("mutex_lock(&d->lock); take(d->parent, 1);", False),
        ("mutex_lock(&d->lock); deep(1, d);", True),
        ("mutex_lock(&d->lock); deep(1, e);", False),
        ("mutex_lock(&d->lock); above(d);", False),
        ("mutex_lock(&d->parent->lock); above(d);", True),
        ("struct dev *same = d; mutex_lock(&same->lock); take(d, 1);", True),
        ("struct dev *p = d->parent; mutex_lock(&p->lock); take(d->parent, 1);", True),
        ("struct dev *p = d->parent; mutex_lock(&p->lock); take(p->parent, 1);", False),
        ("mutex_lock(&first); mutex_lock(&first);", True),
        ("mutex_lock(&devs[0].lock); take(&devs[0], 1);", True),
        ("mutex_lock(&devs[0].lock); take(&devs[1], 1);", False),
        ("d = e; mutex_lock(&d->lock); e = e->parent; mutex_lock(&e->lock);", False),
        ("mutex_lock(&d->lock); d = d->parent; mutex_lock(&d->lock);", False),
        ("mutex_lock(&d->lock); take(other(d), 1);", False),
    ],
)
def test_one_object_or_two(lab: Lab, body: str, same: bool) -> None:
    text = DEV + "static struct dev devs[4];\n" + CALLEE
    text += f"void f(struct dev *d, struct dev *e)\n{{\n\t{body}\n}}\n"
    found = kinds(lab.review(PLAIN, {"drivers/dev/core.c": text}))
    assert ("recursive-lock" in found) == same
