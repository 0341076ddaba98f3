# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways through functions that keep a lock, or give back one they do not hold.

Cases of the kinds that Smatch's ``validation/sm_locking*.c`` and sparse's
``validation/context*.c`` have: for each, what the function under test (``f``) does
wrong, and nothing for the many that only look as if they did.
"""

from __future__ import annotations

import pytest

from tests.locking.support import Kernel

FILE = "drivers/f.c"
DECLARATIONS = """\
#define X_SHARED 0x01
#define X_EXCL 0x02
#define Y_EXCL 0x04
struct dev { struct mutex lock; struct mutex other; spinlock_t slock; struct rw_semaphore sem;
	struct srcu_struct srcu; int state; bool busy; struct dev *next; void *priv; };
static DEFINE_MUTEX(a);
static DEFINE_MUTEX(b);
"""
HELPERS = """\
static int get(struct dev *d)
{
	mutex_lock(&d->lock);
	if (d->busy) {
		mutex_unlock(&d->lock);
		return -EBUSY;
	}
	return 0;
}

static struct dev *find(int n)
{
	struct dev *d = look_up(n);

	if (!d)
		return NULL;
	mutex_lock(&d->lock);
	if (d->state) {
		mutex_unlock(&d->lock);
		return ERR_PTR(-ENODEV);
	}
	return d;
}

static bool try_it(struct dev *d)
{
	return d->state && mutex_trylock(&d->lock);
}

static void put(struct dev *d)
{
	mutex_unlock(&d->lock);
}

static void end(struct dev *d)
{
	g(d);
	rcu_read_unlock();
}

static int finish(struct dev *d)
{
	int ret = submit(d);

	if (ret)
		mutex_unlock(&d->lock);
	return ret;
}

static void x_lock(struct dev *d, unsigned int flags)
{
	if (flags & X_EXCL)
		down_write(&d->sem);
	else if (flags & X_SHARED)
		down_read(&d->sem);
	if (flags & Y_EXCL)
		mutex_lock(&d->lock);
}

static void x_unlock(struct dev *d, unsigned int flags)
{
	if (flags & X_EXCL)
		up_write(&d->sem);
	else if (flags & X_SHARED)
		up_read(&d->sem);
	if (flags & Y_EXCL)
		mutex_unlock(&d->lock);
}

static unsigned int x_lock_for(struct dev *d)
{
	unsigned int mode = X_SHARED;

	if (d->state)
		mode = X_EXCL;
	x_lock(d, mode);
	return mode;
}

static void maybe_lock(struct dev *d, bool nested)
{
	if (!nested)
		mutex_lock(&d->lock);
}

static void maybe_unlock(struct dev *d, bool nested)
{
	if (!nested)
		mutex_unlock(&d->lock);
}

static int odd(struct dev *d)
{
	mutex_lock(&d->lock);
	if (d->busy)
		return 0;
	if (d->state)
		schedule_something(d);
	mutex_unlock(&d->lock);
	return 0;
}

static int put_and(struct dev *d, struct mutex *lock, void (*release)(struct dev *d))
{
	mutex_lock(lock);
	if (drop(d)) {
		release(d);
		return 1;
	}
	mutex_unlock(lock);
	return 0;
}

static int reader(struct dev *d)
{
	return srcu_read_lock(&d->srcu);
}
"""

RIGHT: dict[str, str] = {
    "straight": "mutex_lock(&d->lock); g(d); mutex_unlock(&d->lock); return 0;",
    "goto ladder": """
	int ret = -ENOMEM;
	mutex_lock(&d->lock);
	if (one(d))
		goto out;
	mutex_lock(&d->other);
	ret = two(d);
	if (ret < 0)
		goto out_other;
	ret = 0;
out_other:
	mutex_unlock(&d->other);
out:
	mutex_unlock(&d->lock);
	return ret;""",
    "a result that is negative or not": """
	int ret = get(d);
	if (ret < 0)
		return ret;
	put(d);
	return 0;""",
    "a result kept and asked later": """
	int err = get(d);
	log(d);
	if (!err)
		put(d);
	return err;""",
    "interruptible": """
	int ret = mutex_lock_interruptible(&d->lock);
	if (ret < 0)
		return ret;
	ret = g(d);
	mutex_unlock(&d->lock);
	return ret;""",
    "interruptible, the result thrown away": """
	if (mutex_lock_interruptible(&d->lock))
		return -ERESTARTSYS;
	mutex_unlock(&d->lock);
	return 0;""",
    "trylock in a loop": """
	while (!mutex_trylock(&d->lock))
		cpu_relax();
	mutex_unlock(&d->lock);
	return 0;""",
    "trylock or lock": """
	if (!mutex_trylock(&d->lock)) {
		count(d);
		mutex_lock(&d->lock);
	}
	mutex_unlock(&d->lock);
	return 0;""",
    "trylock remembered": """
	bool locked = mutex_trylock(&d->lock);
	if (!locked && !wait)
		return -EAGAIN;
	g(d);
	if (locked)
		mutex_unlock(&d->lock);
	return 0;""",
    "trylock remembered the other way round": """
	bool failed = !mutex_trylock(&d->lock);
	g(d);
	if (!failed)
		mutex_unlock(&d->lock);
	return 0;""",
    "trylock after a test": """
	if (d->state && mutex_trylock(&d->lock)) {
		g(d);
		mutex_unlock(&d->lock);
	}
	return 0;""",
    "trylock and a test remembered": """
	bool locked = d->state && mutex_trylock(&d->lock);
	g(d);
	if (locked)
		mutex_unlock(&d->lock);
	return 0;""",
    "a wrapped trylock": "if (!try_it(d)) return -EAGAIN; put(d); return 0;",
    "BUG_ON of a trylock": "BUG_ON(!mutex_trylock(&d->lock)); mutex_unlock(&d->lock); return 0;",
    "WARN_ON of a trylock": """
	if (WARN_ON(!mutex_trylock(&d->lock)))
		return -EIO;
	mutex_unlock(&d->lock);
	return 0;""",
    "a trylock that tells sparse about itself": """
	if (!__cond_lock(&d->lock, likely(mutex_trylock(&d->lock))))
		return -EAGAIN;
	mutex_unlock(&d->lock);
	return 0;""",
    "a warning with a device": """
	int ret = get(d);
	if (dev_WARN_ONCE(d, ret, "no"))
		return ret;
	put(d);
	return 0;""",
    "a callback that gives it back": """
	put_and(d, &d->lock, release);
	if (n)
		return 0;
	mutex_lock(&d->lock);
	mutex_unlock(&d->lock);
	return 0;""",
    "one parameter decides twice": """
	if (wait)
		mutex_lock(&d->lock);
	g(d);
	if (wait)
		mutex_unlock(&d->lock);
	return 0;""",
    "a pointer that may be the one whose lock is held": """
	void *p;
	mutex_lock(&d->lock);
	for (n = 0; n < 9; n++) {
		p = wait ? d : NULL;
		keep(d, p);
		if (d->state)
			goto out;
	}
	mutex_unlock(&d->lock);
	return 0;
out:
	mutex_unlock(&d->lock);
	return -EIO;""",
    "a loop of a macro of another name": """
	mutex_lock(&d->lock);
	for (;;) {
		if (!d->state)
			break;
		mutex_unlock(&d->lock);
		for_all_tries(d, n) {
			if (d->busy)
				continue;
			g(d);
		}
		mutex_lock(&d->lock);
		if (n)
			break;
	}
	mutex_unlock(&d->lock);
	return 0;""",
    "a reader of RCU in a reader of RCU": """
	rcu_read_lock();
	if (begin(d))
		goto out;
	g(d);
	end(d);
out:
	rcu_read_unlock();
	return 0;""",
    "one field decides twice": """
	if (d->busy)
		mutex_lock(&d->other);
	g(d);
	if (d->busy)
		mutex_unlock(&d->other);
	return 0;""",
    "two conditions decide twice": """
	if (wait && d->state)
		mutex_lock(&d->lock);
	g(d);
	if (wait && d->state)
		mutex_unlock(&d->lock);
	return 0;""",
    "a call decides twice": """
	if (needs_lock(d))
		mutex_lock(&d->lock);
	g(d);
	if (needs_lock(d))
		mutex_unlock(&d->lock);
	return 0;""",
    "a local computed from a flag": """
	bool need = !(n & X_EXCL);
	if (need)
		mutex_lock(&d->lock);
	if (n < 5)
		goto out;
	g(d);
out:
	if (need)
		mutex_unlock(&d->lock);
	return 0;""",
    "a pointer that is found locked": """
	struct dev *e = find(n);
	if (IS_ERR(e))
		return PTR_ERR(e);
	if (!e)
		return 0;
	put(e);
	return 0;""",
    "a pointer found locked, asked at once": """
	struct dev *e = find(n);
	if (IS_ERR_OR_NULL(e))
		return PTR_ERR_OR_ZERO(e);
	put(e);
	return 0;""",
    "a pointer found locked, the error taken along": """
	struct dev *e = find(n);
	int err = PTR_ERR_OR_ZERO(e);
	if (err)
		return err;
	if (e)
		put(e);
	return 0;""",
    "given back by the callee on failure": """
	int ret;
	mutex_lock(&d->lock);
	ret = finish(d);
	if (ret)
		return ret;
	mutex_unlock(&d->lock);
	return 0;""",
    "a constant flag": "x_lock(d, X_EXCL); g(d); x_unlock(d, X_EXCL); return 0;",
    "constant flags": "x_lock(d, X_SHARED | Y_EXCL); x_unlock(d, Y_EXCL | X_SHARED); return 0;",
    "flags in a local": """
	unsigned int mode = X_SHARED;
	x_lock(d, mode);
	g(d);
	x_unlock(d, mode);
	return 0;""",
    "flags chosen": """
	unsigned int mode = wait ? X_EXCL : X_SHARED;
	x_lock(d, mode);
	if (g(d))
		goto out;
	h(d);
out:
	x_unlock(d, mode);
	return 0;""",
    "flags handed through": "x_lock(d, n); g(d); x_unlock(d, n); return 0;",
    "flags that a lock function returns": """
	unsigned int mode = x_lock_for(d);
	int ret = g(d);
	if (ret)
		goto out;
	h(d);
out:
	x_unlock(d, mode);
	return ret;""",
    "a flag that says do not": "maybe_lock(d, false); g(d); maybe_unlock(d, false); return 0;",
    "the same flag handed on": "maybe_lock(d, wait); g(d); maybe_unlock(d, wait); return 0;",
    "an SRCU index": """
	int idx = reader(d);
	if (d->state) {
		srcu_read_unlock(&d->srcu, idx);
		return -EIO;
	}
	srcu_read_unlock(&d->srcu, idx);
	return 0;""",
    "a guard": "guard(mutex)(&d->lock); if (d->state) return -EIO; return 0;",
    "a scoped guard": """
	scoped_guard(mutex, &d->lock) {
		if (d->state)
			return -EIO;
	}
	return 0;""",
    "a conditional guard": """
	scoped_cond_guard(mutex_intr, return -EINTR, &d->lock) {
		g(d);
	}
	return 0;""",
    "switch, one arm locks": """
	switch (n) {
	case 1:
		mutex_lock(&d->lock);
		g(d);
		mutex_unlock(&d->lock);
		break;
	case 2:
		return -EINVAL;
	default:
		break;
	}
	return 0;""",
    "switch twice": """
	switch (n) {
	case 1:
	case 2:
		mutex_lock(&d->lock);
		break;
	}
	g(d);
	switch (n) {
	case 1:
	case 2:
		mutex_unlock(&d->lock);
		break;
	}
	return 0;""",
    "goto again": """
again:
	mutex_lock(&d->lock);
	if (d->busy) {
		mutex_unlock(&d->lock);
		schedule();
		goto again;
	}
	mutex_unlock(&d->lock);
	return 0;""",
    "continue": """
	for (n = 0; n < 9; n++) {
		mutex_lock(&d->lock);
		if (d->busy) {
			mutex_unlock(&d->lock);
			continue;
		}
		g(d);
		mutex_unlock(&d->lock);
	}
	return 0;""",
    "found in a list": """
	struct dev *e;
	mutex_lock(&a);
	list_for_each_entry(e, &all, list) {
		if (e->state == n) {
			mutex_unlock(&a);
			return 1;
		}
	}
	mutex_unlock(&a);
	return 0;""",
    "all of a list, and all again": """
	struct dev *e;
	list_for_each_entry(e, &all, list)
		mutex_lock(&e->lock);
	g(d);
	list_for_each_entry(e, &all, list)
		mutex_unlock(&e->lock);
	return 0;""",
    "hand over hand": """
	struct dev *e;
	mutex_lock(&d->lock);
	while (d->next) {
		e = d->next;
		mutex_lock(&e->lock);
		mutex_unlock(&d->lock);
		d = e;
	}
	mutex_unlock(&d->lock);
	return 0;""",
    "dropped for a while": """
	mutex_lock(&d->lock);
	while (d->busy) {
		mutex_unlock(&d->lock);
		msleep(1);
		mutex_lock(&d->lock);
	}
	mutex_unlock(&d->lock);
	return 0;""",
    "the caller's, dropped and taken again": """
	mutex_unlock(&d->lock);
	g(d);
	mutex_lock(&d->lock);
	return d->state ? -EIO : 0;""",
    "the caller's, dropped unless something fails": """
	int ret = g(d);
	if (ret)
		return ret;
	mutex_unlock(&d->lock);
	return 0;""",
    "left held on success": """
	mutex_lock(&d->lock);
	if (g(d)) {
		mutex_unlock(&d->lock);
		return -EIO;
	}
	return 0;""",
    "left held with a positive result": """
	int ret;
	mutex_lock(&d->lock);
	ret = g(d);
	if (ret <= 0) {
		mutex_unlock(&d->lock);
		return ret;
	}
	return ret;""",
    "left held unless a parameter says no": """
	mutex_lock(&d->lock);
	g(d);
	if (!wait)
		mutex_unlock(&d->lock);
	return 0;""",
    "given back depending on something": """
	int done;
	mutex_lock(&d->lock);
	done = g(d);
	if (!keeps(d))
		mutex_unlock(&d->lock);
	h(d);
	return 0;""",
    "a callee nobody understands": "odd(d); mutex_unlock(&d->lock); return 0;",
    "a callee nobody understands, asked twice": """
	odd(d);
	if (n)
		return 0;
	mutex_lock(&d->lock);
	mutex_unlock(&d->lock);
	return 0;""",
    "a statement expression": """
	int ret = ({ int r; mutex_lock(&d->lock); r = g(d); mutex_unlock(&d->lock); r; });
	return ret;""",
    "a ternary of two locks": """
	wait ? mutex_lock(&a) : mutex_lock(&b);
	g(d);
	wait ? mutex_unlock(&a) : mutex_unlock(&b);
	return 0;""",
    "through a pointer that has a type": """
	struct dev *e = d->priv;
	mutex_lock(&e->lock);
	if (e->state) {
		mutex_unlock(&((struct dev *)d->priv)->lock);
		return -EIO;
	}
	mutex_unlock(&e->lock);
	return 0;""",
    "a write lock made a read lock": """
	down_write(&d->sem);
	if (d->state) {
		up_write(&d->sem);
		return -EIO;
	}
	up_write(&d->sem);
	return 0;""",
    "preprocessor, locked in both": """
#ifdef CONFIG_FOO
	mutex_lock(&d->lock);
#endif
	g(d);
#ifdef CONFIG_FOO
	mutex_unlock(&d->lock);
#endif
	return 0;""",
    "added up errors": """
	int ret = 0;
	mutex_lock(&d->lock);
	ret |= g(d);
	ret |= h(d);
	if (ret)
		goto out;
	ret = i(d);
out:
	mutex_unlock(&d->lock);
	return ret;""",
    "never comes back": """
	mutex_lock(&d->lock);
	if (d->state)
		panic("no");
	mutex_unlock(&d->lock);
	return 0;""",
}
"""Bodies of ``int f(struct dev *d, bool wait, unsigned int n)`` without a fault."""

WRONG: dict[str, tuple[str, set[str]]] = {
    "forgotten on an error": (
        """
	mutex_lock(&d->lock);
	if (d->state)
		return -EINVAL;
	g(d);
	mutex_unlock(&d->lock);
	return 0;""",
        {"keeps d->lock"},
    ),
    "forgotten on an error with a variable": (
        """
	int ret;
	mutex_lock(&d->lock);
	ret = g(d);
	if (ret < 0)
		return ret;
	mutex_unlock(&d->lock);
	return ret;""",
        {"keeps d->lock"},
    ),
    "forgotten where nothing is found": (
        """
	struct dev *e;
	mutex_lock(&d->lock);
	e = look_up(n);
	if (!e)
		return false;
	g(e);
	mutex_unlock(&d->lock);
	return true;""",
        {"keeps d->lock"},
    ),
    "forgotten in a ladder": (
        """
	int ret;
	mutex_lock(&d->lock);
	ret = one(d);
	if (ret)
		goto out;
	ret = two(d);
	if (ret)
		goto unlock;
unlock:
	mutex_unlock(&d->lock);
out:
	return ret;""",
        {"keeps d->lock"},
    ),
    "forgotten by break": (
        """
	for (n = 0; n < 9; n++) {
		mutex_lock(&d->lock);
		if (d->busy)
			break;
		mutex_unlock(&d->lock);
	}
	return 0;""",
        {"keeps d->lock"},
    ),
    "forgotten by continue": (
        """
	for (n = 0; n < 9; n++) {
		mutex_lock(&d->lock);
		if (d->busy)
			continue;
		mutex_unlock(&d->lock);
	}
	return 0;""",
        {"keeps d->lock"},
    ),
    "forgotten in a switch": (
        """
	mutex_lock(&d->lock);
	switch (n) {
	case 1:
		return -EINVAL;
	case 2:
		g(d);
		break;
	}
	mutex_unlock(&d->lock);
	return 0;""",
        {"keeps d->lock"},
    ),
    "forgotten in a for_each": (
        """
	struct dev *e;
	mutex_lock(&a);
	list_for_each_entry(e, &all, list) {
		if (e->state == n)
			return -EEXIST;
	}
	mutex_unlock(&a);
	return 0;""",
        {"keeps a"},
    ),
    "forgotten after a wrapper": (
        """
	int ret = get(d);
	if (ret)
		return ret;
	if (n)
		return -EINVAL;
	put(d);
	return 0;""",
        {"keeps d->lock"},
    ),
    "forgotten after a lock with flags": (
        """
	int ret;
	x_lock(d, X_EXCL);
	ret = g(d);
	if (ret)
		return ret;
	x_unlock(d, X_EXCL);
	return 0;""",
        {"keeps d->sem"},
    ),
    "forgotten after a lock that returns its flags": (
        """
	unsigned int mode = x_lock_for(d);
	int ret = g(d);
	if (ret)
		return ret;
	x_unlock(d, mode);
	return 0;""",
        {"keeps d->sem"},
    ),
    "an SRCU reader forgotten": (
        """
	int idx = srcu_read_lock(&d->srcu);
	if (d->state)
		return -EIO;
	srcu_read_unlock(&d->srcu, idx);
	return 0;""",
        {"keeps d->srcu"},
    ),
    "another lock given back": (
        """
	mutex_lock(&d->lock);
	if (d->state) {
		mutex_unlock(&d->other);
		return -EIO;
	}
	mutex_unlock(&d->lock);
	return 0;""",
        {"keeps d->lock"},
    ),
    "forgotten where a flag was set": (
        """
	bool locked = false;
	if (n) {
		mutex_lock(&d->lock);
		locked = true;
	}
	if (d->state)
		return -EIO;
	if (locked)
		mutex_unlock(&d->lock);
	return 0;""",
        {"keeps d->lock"},
    ),
    "given back before it was taken": (
        """
	int ret = g(d);
	if (ret)
		goto out;
	mutex_lock(&d->lock);
	ret = h(d);
out:
	mutex_unlock(&d->lock);
	return ret;""",
        {"gives d->lock"},
    ),
    "given back though it was not got": (
        """
	int ret = mutex_lock_interruptible(&d->lock);
	if (ret)
		goto out;
	ret = h(d);
out:
	mutex_unlock(&d->lock);
	return ret;""",
        {"gives d->lock"},
    ),
    "given back twice": (
        """
	int ret;
	mutex_lock(&d->lock);
	ret = g(d);
	if (ret) {
		mutex_unlock(&d->lock);
		goto out;
	}
	h(d);
out:
	mutex_unlock(&d->lock);
	return ret;""",
        {"gives d->lock"},
    ),
    "given back again after the callee did": (
        """
	int ret;
	mutex_lock(&d->lock);
	ret = finish(d);
	if (ret)
		goto out;
	h(d);
out:
	mutex_unlock(&d->lock);
	return ret;""",
        {"gives d->lock"},
    ),
    "the caller's given back on an error": (
        """
	int ret;
	lockdep_assert_held(&d->lock);
	ret = g(d);
	if (ret)
		goto err;
	return 0;
err:
	mutex_unlock(&d->lock);
	return ret;""",
        {"gives d->lock"},
    ),
}
"""Bodies of the same function, and its faults."""


def faults(body: str) -> set[str]:
    code = DECLARATIONS + HELPERS
    code += f"\nint f(struct dev *d, bool wait, unsigned int n)\n{{{body}\n}}\n"
    linked = Kernel({FILE: code}).linked(FILE, "f")
    assert not linked.capped
    return {
        ("keeps " if slip.taken else "gives ") + slip.instance.replace("$0", "d")
        for slip in linked.imbalances
    }


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_said_of_what_is_right(name: str) -> None:
    assert faults(RIGHT[name]) == set()


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told(name: str) -> None:
    body, expected = WRONG[name]
    assert faults(body) == expected


@pytest.mark.parametrize("name", ["get", "find", "finish", "x_lock", "x_unlock", "try_it", "put"])
def test_helpers_that_mean_it(name: str) -> None:
    """A function that tells by its result or a parameter what it leaves held."""
    assert Kernel({FILE: DECLARATIONS + HELPERS}).linked(FILE, name).imbalances == ()
