# SPDX-License-Identifier: GPL-2.0-or-later
"""What is held at each call and on each way out, on small C functions.

The calls ``p1()``, ``p2()`` … are looked at; locks are named by their expression.
The cases are of the kinds that Smatch's ``sm_locking*.c`` and sparse's
``context*.c`` validation files have.
"""

from __future__ import annotations

import pytest

from reviewbot.locking.effects import ANY
from reviewbot.locking.flow import MAX_STATES, Walk
from tests.locking.support import Kernel

FILE = "f.c"
DECLARATIONS = """\
struct kvm { struct mutex lock; spinlock_t mmu_lock; struct list_head nodes; };
struct resampler { struct kvm *kvm; struct mutex lock; };
static DEFINE_MUTEX(a);
static DEFINE_MUTEX(b);
static DEFINE_MUTEX(c);
static DEFINE_SPINLOCK(s);
static DECLARE_RWSEM(sem);
DEFINE_STATIC_SRCU(domain);
"""


def kernel_of(code: str) -> Kernel:
    return Kernel({FILE: DECLARATIONS + code})


def walk_of(code: str, name: str = "f") -> Walk:
    return kernel_of(code).walk(FILE, name)


def held_at(walk: Walk) -> dict[str, str]:
    """Probe to the locks that may be held there."""
    out: dict[str, set[str]] = {}
    for point in walk.points:
        if point.name[:1] == "p" and point.name[1:].isdigit():
            out.setdefault(point.name, set()).update(held.lock for held in point.held)
    return {name: " ".join(sorted(locks)) for name, locks in out.items() if locks}


def ways_out(walk: Walk) -> set[str]:
    """What each way out leaves held; ``-x`` is a lock given back that was not taken."""
    return {
        " ".join(
            sorted([held.lock for held in leave.held] + [f"-{lock}" for lock, _ in leave.released])
        )
        for leave in walk.exits
    }


BALANCED = {""}

# name: (body, what is held at the probes (nothing if not named), what the ways out leave)
CASES: dict[str, tuple[str, dict[str, str], set[str]]] = {
    "straight": (
        "mutex_lock(&a); p1(); mutex_unlock(&a); p2();",
        {"p1": "a"},
        BALANCED,
    ),
    "nesting": (
        "mutex_lock(&a); p1(); mutex_lock(&b); p2(); mutex_unlock(&b); p3(); mutex_unlock(&a);",
        {"p1": "a", "p2": "a b", "p3": "a"},
        BALANCED,
    ),
    "released out of order": (
        "mutex_lock(&a); mutex_lock(&b); mutex_unlock(&a); p1(); mutex_unlock(&b);",
        {"p1": "b"},
        BALANCED,
    ),
    "goto ladder": (
        """
	int ret = -EIO;

	mutex_lock(&a);
	if (bad())
		goto out_a;
	mutex_lock(&b);
	if (worse())
		goto out_b;
	p1();
	ret = 0;
out_b:
	mutex_unlock(&b);
	p2();
out_a:
	mutex_unlock(&a);
	p3();
	return ret;
""",
        {"p1": "a b", "p2": "a"},
        BALANCED,
    ),
    "goto back": (
        """
again:
	p1();
	mutex_lock(&a);
	if (busy()) {
		mutex_unlock(&a);
		p2();
		goto again;
	}
	p3();
	mutex_unlock(&a);
""",
        {"p3": "a"},
        BALANCED,
    ),
    "early return keeps it": (
        "mutex_lock(&a); if (bad()) return -EIO; p1(); mutex_unlock(&a); return 0;",
        {"p1": "a"},
        {"", "a"},
    ),
    "early return gives it back": (
        "mutex_lock(&a); if (bad()) { mutex_unlock(&a); return -EIO; } p1(); mutex_unlock(&a);"
        " return 0;",
        {"p1": "a"},
        BALANCED,
    ),
    "both arms take it": (
        "if (x()) mutex_lock(&a); else { p1(); mutex_lock(&a); } p2(); mutex_unlock(&a);",
        {"p2": "a"},
        BALANCED,
    ),
    "arms take different locks": (
        "if (x()) mutex_lock(&a); else mutex_lock(&b); p1();",
        {"p1": "a b"},
        {"a", "b"},
    ),
    "else if chain": (
        """
	if (x())
		p1();
	else if (y())
		mutex_lock(&a), p2(), mutex_unlock(&a);
	else if (mutex_trylock(&b)) {
		p3();
		mutex_unlock(&b);
	} else
		p4();
	p5();
""",
        {"p2": "a", "p3": "b"},
        BALANCED,
    ),
    # loops
    "loop with break": (
        "while (more()) { mutex_lock(&a); if (stop()) break; p1(); mutex_unlock(&a); } p2();",
        {"p1": "a", "p2": "a"},
        {"", "a"},
    ),
    "loop with continue": (
        """
	for (i = 0; i < n; i++) {
		mutex_lock(&a);
		if (skip(i)) {
			mutex_unlock(&a);
			continue;
		}
		p1();
		mutex_unlock(&a);
	}
	p2();
""",
        {"p1": "a"},
        BALANCED,
    ),
    "dropped in the loop": (
        "mutex_lock(&a); while (next()) { mutex_unlock(&a); p1(); mutex_lock(&a); p2(); } p3();"
        " mutex_unlock(&a);",
        {"p2": "a", "p3": "a"},
        BALANCED,
    ),
    "endless loop": (
        "while (1) { mutex_lock(&a); if (done()) break; mutex_unlock(&a); p1(); } p2();"
        " mutex_unlock(&a);",
        {"p2": "a"},
        BALANCED,
    ),
    "endless for": (
        "for (;;) { mutex_lock(&a); if (done()) break; mutex_unlock(&a); } p1(); mutex_unlock(&a);",
        {"p1": "a"},
        BALANCED,
    ),
    "do while": (
        "do { mutex_lock(&a); p1(); mutex_unlock(&a); p2(); } while (again()); p3();",
        {"p1": "a"},
        BALANCED,
    ),
    "do while false": (
        "do { mutex_lock(&a); if (bad()) break; p1(); } while (0); p2(); mutex_unlock(&a);",
        {"p1": "a", "p2": "a"},
        BALANCED,
    ),
    "do while with continue": (
        "do { mutex_lock(&a); if (x()) { mutex_unlock(&a); continue; } p1(); mutex_unlock(&a); }"
        " while (again()); p2();",
        {"p1": "a"},
        BALANCED,
    ),
    "for each": (
        """
	mutex_lock(&a);
	list_for_each_entry(item, &head, list) {
		mutex_lock(&b);
		list_for_each_entry_safe(sub, tmp, &item->subs, list)
			p1();
		hlist_for_each_entry_rcu(other, &item->others, node) {
			if (other->dead)
				continue;
			p2();
			break;
		}
		mutex_unlock(&b);
		p3();
	}
	p4();
	mutex_unlock(&a);
""",
        {"p1": "a b", "p2": "a b", "p3": "a", "p4": "a"},
        BALANCED,
    ),
    "return in a for each": (
        "mutex_lock(&a); for_each_possible_cpu(cpu) { if (x(cpu)) { mutex_unlock(&a); return; }"
        " p1(); } p2(); mutex_unlock(&a);",
        {"p1": "a", "p2": "a"},
        BALANCED,
    ),
    "for each as an argument is no loop": (
        "mutex_lock(&a); n = bus_for_each_dev(bus, NULL, x, fn); p1(); mutex_unlock(&a);",
        {"p1": "a"},
        BALANCED,
    ),
    # switch
    "switch falls through": (
        """
	switch (kind) {
	case 1:
		mutex_lock(&a);
		fallthrough;
	case 2:
		p1();
		break;
	default:
		p2();
	}
	p3();
""",
        {"p1": "a", "p3": "a"},
        {"", "a"},
    ),
    "switch twice on one value": (
        """
	switch (kind) {
	case KIND_A:
		mutex_lock(&a);
		break;
	case KIND_B:
		mutex_lock(&b);
		break;
	}
	p1();
	switch (kind) {
	case KIND_A:
		p2();
		mutex_unlock(&a);
		break;
	case KIND_B:
		p3();
		mutex_unlock(&b);
		break;
	}
	p4();
""",
        {"p1": "a b", "p2": "a", "p3": "b"},
        BALANCED,
    ),
    "break in a switch in a loop": (
        """
	while (more()) {
		mutex_lock(&a);
		switch (kind()) {
		case 1:
			p1();
			break;
		case 2:
			mutex_unlock(&a);
			continue;
		case 3 ... 7:
			mutex_unlock(&a);
			return;
		default:
			break;
		}
		p2();
		mutex_unlock(&a);
	}
	p3();
""",
        {"p1": "a", "p2": "a"},
        BALANCED,
    ),
    "default first": (
        "switch (k) { default: mutex_lock(&a); break; case 3: mutex_lock(&a); p1(); } p2();"
        " mutex_unlock(&a);",
        {"p1": "a", "p2": "a"},
        BALANCED,
    ),
    # preprocessor
    "ifdef around lock and unlock": (
        """
#ifdef CONFIG_SMP
	mutex_lock(&a);
#endif
	p1();
#ifdef CONFIG_SMP
	mutex_unlock(&a);
#endif
	p2();
""",
        {"p1": "a"},
        BALANCED,
    ),
    "ifdef and ifndef": (
        """
#ifndef CONFIG_TINY
	mutex_lock(&a);
#endif
	p1();
#if !defined(CONFIG_TINY)
	mutex_unlock(&a);
#endif
""",
        {"p1": "a"},
        BALANCED,
    ),
    "ifdef else": (
        """
#if IS_ENABLED(CONFIG_X)
	mutex_lock(&a);
	p1();
	mutex_unlock(&a);
#else
	mutex_lock(&b);
	p2();
	mutex_unlock(&b);
#endif
	p3();
""",
        {"p1": "a", "p2": "b"},
        BALANCED,
    ),
    "ifdef that splits an if": (
        """
#ifdef CONFIG_X
	if (x())
		p1();
	else
#endif
	{
		mutex_lock(&a);
		p2();
		mutex_unlock(&a);
	}
	p3();
""",
        {"p2": "a"},
        BALANCED,
    ),
    "if 0 is not there": (
        """
	mutex_lock(&a);
#if 0
	mutex_lock(&b);
#endif
	p1();
	mutex_unlock(&a);
""",
        {"p1": "a"},
        BALANCED,
    ),
    # conditional acquire
    "trylock fails": (
        "if (!mutex_trylock(&a)) { p1(); return -EBUSY; } p2(); mutex_unlock(&a); return 0;",
        {"p2": "a"},
        BALANCED,
    ),
    "trylock got it": (
        "if (mutex_trylock(&a)) { p1(); mutex_unlock(&a); } else { p2(); } p3();",
        {"p1": "a"},
        BALANCED,
    ),
    "trylock == 0": (
        "if (mutex_trylock(&a) == 0) { p1(); return; } p2(); mutex_unlock(&a);",
        {"p2": "a"},
        BALANCED,
    ),
    "trylock in likely and WARN_ON": (
        """
	if (likely(spin_trylock(&s))) {
		p1();
		spin_unlock(&s);
	}
	if (WARN_ON(!mutex_trylock(&a)))
		return;
	p2();
	mutex_unlock(&a);
""",
        {"p1": "s", "p2": "a"},
        BALANCED,
    ),
    "trylock after &&": (
        "if (x() && mutex_trylock(&a)) { p1(); mutex_unlock(&a); } p2();",
        {"p1": "a"},
        BALANCED,
    ),
    "trylock after ||": (
        "if (!x() || !mutex_trylock(&a)) { p1(); return; } p2(); mutex_unlock(&a);",
        {"p2": "a"},
        BALANCED,
    ),
    "two trylocks": (
        """
	if (!mutex_trylock(&a))
		return;
	if (!mutex_trylock(&b)) {
		p1();
		goto out;
	}
	p2();
	mutex_unlock(&b);
out:
	mutex_unlock(&a);
""",
        {"p1": "a", "p2": "a b"},
        BALANCED,
    ),
    "trylock loop": (
        "while (!mutex_trylock(&a)) p1(); p2(); mutex_unlock(&a); p3();",
        {"p2": "a"},
        BALANCED,
    ),
    "trylock remembered": (
        "bool got = mutex_trylock(&a); p1(); if (got) { p2(); mutex_unlock(&a); } p3();",
        {"p1": "a", "p2": "a"},
        BALANCED,
    ),
    "trylock remembered, tested by not": (
        "int got; got = mutex_trylock(&a); if (!got) { p1(); return; } p2(); mutex_unlock(&a);",
        {"p2": "a"},
        BALANCED,
    ),
    "trylock assigned in the condition": (
        "int got; if (!(got = mutex_trylock(&a))) { p1(); return; } p2(); mutex_unlock(&a);",
        {"p2": "a"},
        BALANCED,
    ),
    "interruptible": (
        "if (mutex_lock_interruptible(&a)) { p1(); return -ERESTARTSYS; } p2(); mutex_unlock(&a);"
        " return 0;",
        {"p2": "a"},
        BALANCED,
    ),
    "killable": (
        "int ret; ret = mutex_lock_killable(&a); if (ret) { p1(); return ret; } p2();"
        " mutex_unlock(&a); return 0;",
        {"p2": "a"},
        BALANCED,
    ),
    "interruptible < 0": (
        "int ret = mutex_lock_interruptible(&a); if (ret < 0) { p1(); return ret; } p2();"
        " mutex_unlock(&a); return 0;",
        {"p2": "a"},
        BALANCED,
    ),
    "interruptible == 0": (
        "int ret = down_read_killable(&sem); if (ret == 0) { p1(); up_read(&sem); } return ret;",
        {"p1": "sem"},
        BALANCED,
    ),
    "interruptible != 0 in the condition": (
        "int ret; if ((ret = mutex_lock_interruptible(&a)) != 0) return ret; p1();"
        " mutex_unlock(&a); return 0;",
        {"p1": "a"},
        BALANCED,
    ),
    "interruptible or blocking": (
        """
	int ret = 0;

	if (intr)
		ret = mutex_lock_interruptible(&a);
	else
		mutex_lock(&a);
	if (ret)
		return ret;
	p1();
	mutex_unlock(&a);
	return 0;
""",
        {"p1": "a"},
        BALANCED,
    ),
    "trylock or give up when asked": (
        """
	if (nowait) {
		if (!mutex_trylock(&a))
			return -EAGAIN;
	} else {
		mutex_lock(&a);
	}
	p1();
	mutex_unlock(&a);
	return 0;
""",
        {"p1": "a"},
        BALANCED,
    ),
    "dec and lock": (
        "if (atomic_dec_and_mutex_lock(&refs, &a)) { p1(); mutex_unlock(&a); } p2();",
        {"p1": "a"},
        BALANCED,
    ),
    # correlated branches
    "same local twice": (
        "if (last) mutex_lock(&a); p1(); if (last) { p2(); mutex_unlock(&a); } p3();",
        {"p1": "a", "p2": "a"},
        BALANCED,
    ),
    "same local, negated": (
        "if (!last) goto skip; mutex_lock(&a); skip: p1(); if (last) mutex_unlock(&a); p2();",
        {"p1": "a"},
        BALANCED,
    ),
    "local changed in between": (
        "if (last) mutex_lock(&a); last = next(); if (last) mutex_unlock(&a); p1();",
        {"p1": "a"},
        {"", "a", "-a"},
    ),
    "pointer against NULL": (
        "if (p) mutex_lock(&a); p1(); if (p != NULL) mutex_unlock(&a); p2();",
        {"p1": "a"},
        BALANCED,
    ),
    "comparison twice": (
        "if (mode == READ) down_read(&sem); else down_write(&sem); p1();"
        " if (mode == READ) up_read(&sem); else up_write(&sem); p2();",
        {"p1": "sem"},
        BALANCED,
    ),
    "comparison and its contrary": (
        "if (mode == READ) mutex_lock(&a); else mutex_lock(&b); p1();"
        " if (mode != READ) mutex_unlock(&b); else mutex_unlock(&a); p2();",
        {"p1": "a b"},
        BALANCED,
    ),
    "flag bits": (
        "if (flags & NEEDS_LOCK) mutex_lock(&a); p1(); if (flags & NEEDS_LOCK) mutex_unlock(&a);"
        " p2();",
        {"p1": "a"},
        BALANCED,
    ),
    "flag set where it was taken": (
        """
	bool locked = false;

	if (x()) {
		mutex_lock(&a);
		locked = true;
	}
	p1();
	if (locked)
		mutex_unlock(&a);
	p2();
""",
        {"p1": "a"},
        BALANCED,
    ),
    "two flags": (
        """
	int got_a = 0, got_b = 0;

	if (x()) {
		mutex_lock(&a);
		got_a = 1;
	}
	if (y()) {
		mutex_lock(&b);
		got_b = 1;
	}
	p1();
	if (got_b)
		mutex_unlock(&b);
	p2();
	if (got_a)
		mutex_unlock(&a);
	p3();
""",
        {"p1": "a b", "p2": "a"},
        BALANCED,
    ),
    "error code decides": (
        """
	int ret = 0;

	mutex_lock(&a);
	if (bad()) {
		mutex_unlock(&a);
		ret = -EIO;
	}
	if (!ret) {
		p1();
		mutex_unlock(&a);
	}
	p2();
	return ret;
""",
        {"p1": "a"},
        BALANCED,
    ),
    # guards
    "guard": (
        "p1(); guard(mutex)(&a); p2(); if (x()) return -EIO; p3(); return p4();",
        {"p2": "a", "p3": "a", "p4": "a"},
        BALANCED,
    ),
    "guard in a block": (
        "{ guard(mutex)(&a); p1(); } p2();",
        {"p1": "a"},
        BALANCED,
    ),
    "guards end last first": (
        "{ guard(mutex)(&a); guard(mutex)(&b); p1(); } p2();",
        {"p1": "a b"},
        BALANCED,
    ),
    "guard of SRCU": (
        "{ guard(srcu)(&domain); p1(); } p2();",
        {"p1": "domain"},
        BALANCED,
    ),
    "guard without argument": (
        "{ guard(rcu)(); p1(); } p2();",
        {"p1": "=rcu_read_lock"},
        BALANCED,
    ),
    "guard in a loop": (
        """
	while (more()) {
		guard(mutex)(&a);
		if (x())
			continue;
		if (y())
			break;
		p1();
	}
	p2();
""",
        {"p1": "a"},
        BALANCED,
    ),
    "guard left by goto": (
        """
	{
		guard(mutex)(&a);
		if (x())
			goto out;
		p1();
	}
	p2();
out:
	p3();
""",
        {"p1": "a"},
        BALANCED,
    ),
    "guard left by goto back to before it": (
        """
again:
	p1();
	guard(mutex)(&a);
	p2();
	if (x())
		goto again;
	p3();
""",
        {"p2": "a", "p3": "a"},
        BALANCED,
    ),
    "scoped guard": (
        "p1(); scoped_guard(mutex, &a) { p2(); } p3(); scoped_guard(mutex, &b) p4(); p5();",
        {"p2": "a", "p4": "b"},
        BALANCED,
    ),
    "scoped guard left by return and goto": (
        """
	scoped_guard(mutex, &a) {
		if (x())
			return -EIO;
		if (y())
			goto out;
		p1();
	}
	p2();
out:
	p3();
	return 0;
""",
        {"p1": "a"},
        BALANCED,
    ),
    "break leaves only the scoped guard": (
        """
	while (more()) {
		scoped_guard(mutex, &a) {
			if (x()) {
				mutex_lock(&b);
				break;
			}
			p1();
		}
		p2();
		if (y())
			mutex_unlock(&b);
	}
""",
        {"p1": "a b", "p2": "b"},
        {"", "b", "-b"},
    ),
    "scoped guard without a loop around, left by break": (
        "scoped_guard(mutex, &a) { if (x()) { mutex_lock(&b); break; } p1(); } p2();",
        {"p1": "a", "p2": "b"},
        {"", "b"},
    ),
    "scoped conditional guard": (
        "scoped_cond_guard(mutex_intr, return -EINTR, &a) { p1(); } p2();",
        {"p1": "a"},
        BALANCED,
    ),
    "scoped guard that tries": (
        "scoped_guard(mutex_try, &a) { p1(); } p2();",
        {"p1": "a"},
        BALANCED,
    ),
    # names
    "alias of a pointer": (
        "struct kvm *kvm = r->kvm; mutex_lock(&kvm->lock); p1(); "
        "mutex_unlock(&r->kvm->lock); p2();",
        {"p1": "r->kvm->lock"},
        BALANCED,
    ),
    "pointer to the lock": (
        "struct mutex *lock = &r->lock; mutex_lock(lock); p1(); mutex_unlock(&r->lock); p2();",
        {"p1": "r->lock"},
        BALANCED,
    ),
    "address of a member by another way": (
        "struct kvm *kvm = r->kvm; struct mutex *lock = &kvm->lock; mutex_lock(lock); p1();"
        " mutex_unlock(&kvm->lock); p2();",
        {"p1": "r->kvm->lock"},
        BALANCED,
    ),
    "two of one array": (
        "mutex_lock(&t->locks[i]); mutex_lock(&t->locks[j]); p1(); mutex_unlock(&t->locks[j]);"
        " p2(); mutex_unlock(&t->locks[i]);",
        {"p1": "t->locks[i] t->locks[j]", "p2": "t->locks[i]"},
        BALANCED,
    ),
    "casts and parentheses": (
        "mutex_lock((&(a))); p1(); mutex_unlock((struct mutex *)&a); p2();",
        {"p1": "a"},
        BALANCED,
    ),
    # what is held on entry
    "asserted": (
        "p1(); lockdep_assert_held(&a); p2(); mutex_lock(&b); p3(); mutex_unlock(&b);",
        {"p2": "a", "p3": "a b"},
        {"a"},
    ),
    "given back for the caller": (
        "p1(); mutex_unlock(&a); p2();",
        {},
        {"-a"},
    ),
    "left for the caller": ("mutex_lock(&a);", {}, {"a"}),
    # the rest
    "reader to writer": (
        "down_write(&sem); p1(); downgrade_write(&sem); p2(); up_read(&sem); p3();",
        {"p1": "sem", "p2": "sem"},
        BALANCED,
    ),
    "irq state": (
        "spin_lock_irqsave(&s, flags); p1(); spin_unlock_irqrestore(&s, flags); p2();",
        {"p1": "s"},
        BALANCED,
    ),
    "no return behind BUG": (
        "mutex_lock(&a); if (x()) { BUG(); } p1(); mutex_unlock(&a);",
        {"p1": "a"},
        BALANCED,
    ),
    "call as an argument": (
        "mutex_lock(&a); g(h(p1())); mutex_unlock(&a); g(p2());",
        {"p1": "a"},
        BALANCED,
    ),
    "one arm of a conditional expression": (
        "mutex_lock(&a); x = y ? p1() : p2(); mutex_unlock(&a); z = w && p3();",
        {"p1": "a", "p2": "a"},
        BALANCED,
    ),
    "statement expression": (
        "mutex_lock(&a); x = ({ int t = p1(); t + 1; }); mutex_unlock(&a); p2();",
        {"p1": "a"},
        BALANCED,
    ),
    "text that looks like code": (
        'mutex_lock(&a); printk("mutex_unlock(&a); }"); /* mutex_unlock(&a); */ p1();\n'
        "// mutex_unlock(&a);\n c = '}'; p2(); mutex_unlock(&a);",
        {"p1": "a", "p2": "a"},
        BALANCED,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_held(name: str) -> None:
    body, held, left = CASES[name]
    walk = walk_of(f"int f(struct resampler *r)\n{{\n{body}\n}}\n")
    assert not walk.capped
    assert held_at(walk) == held
    assert ways_out(walk) == left


@pytest.mark.parametrize(
    ("word", "held"),
    [("__must_hold", {"p1": "a"}), ("__acquires", {}), ("__releases", {})],
)
def test_annotations_say_what_it_is_entered_with(word: str, held: dict[str, str]) -> None:
    walk = walk_of(f"void f(void) {word}(&a)\n{{\n\tp1();\n\tmutex_lock(&b);\n\tp1();\n}}\n")
    found = held_at(walk)
    assert ("a" in found.get("p1", "").split()) == bool(held)


def test_must_hold_names_a_parameter() -> None:
    walk = walk_of(
        "void f(struct kvm *k)\n\t__must_hold(&k->lock)\n{\n\tp1();\n\tmight_sleep();\n"
        "\tmutex_lock(&a);\n\tmutex_unlock(&a);\n}\n"
    )
    assert held_at(walk)["p1"] == "k->lock"
    (point,) = [point for point in walk.points if point.name == "p1"]
    assert point.held[0].entry


# ---- what the exits say about the result ----


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return mutex_trylock(&a);", {("1", "a"), ("0", "")}),
        ("return mutex_lock_interruptible(&a);", {("0", "a"), ("1", "")}),
        (
            "mutex_lock(&a); if (x()) { mutex_unlock(&a); return -EIO; } return 0;",
            {("0", "a"), ("1", "")},
        ),
        (
            "mutex_lock(&a); if (x()) { mutex_unlock(&a); return NULL; } return r;",
            {("", "a"), ("0", "")},
        ),
        (
            "mutex_lock(&a); if (x()) { mutex_unlock(&a); return ERR_PTR(-EIO); } return r;",
            {("", "a"), ("1", "")},
        ),
        (
            "int ret = mutex_lock_killable(&a); if (ret) return ret; return 0;",
            {("0", "a"), ("1", "")},
        ),
        ("int ret = mutex_lock_killable(&a); return ret;", {("0", "a"), ("1", "")}),
        ("bool ok = false; if (mutex_trylock(&a)) ok = true; return ok;", {("1", "a"), ("0", "")}),
    ],
)
def test_the_result_says_whether_it_is_held(body: str, expected: set[tuple[str, str]]) -> None:
    walk = walk_of(f"int f(struct resampler *r)\n{{\n\t{body}\n}}\n")
    words = {"-": "1", "+": "1", "-+": "1", ANY: ""}  # an error code is one kind of non-zero
    found = {
        (words.get(leave.value, leave.value), " ".join(held.lock for held in leave.held))
        for leave in walk.exits
    }
    assert found == expected


def test_where_it_was_taken_and_left() -> None:
    walk = walk_of("int f(void)\n{\n\tmutex_lock(&a);\n\tif (x())\n\t\treturn 1;\n\tp1();\n}\n")
    first = len(DECLARATIONS.splitlines()) + 1  # the line of "int f(void)"
    (point,) = [point for point in walk.points if point.name == "p1"]
    assert [(held.line, held.call) for held in point.held] == [(first + 2, "mutex_lock")]
    assert point.line == first + 5
    assert {leave.line for leave in walk.exits} == {first + 4, first + 6}


def test_released_is_what_every_path_released() -> None:
    walk = walk_of(
        "void f(void)\n{\n\tmutex_unlock(&a);\n\tp1();\n\tif (x())\n"
        "\t\tmutex_lock(&a);\n"
        "\tp2();\n}\n"
    )
    released = {point.name: point.released for point in walk.points}
    assert released["p1"] == ("a",)
    assert released["p2"] == ()


@pytest.mark.parametrize("first", ["", "lockdep_assert_held(&a); "])
def test_what_was_dropped_for_the_caller_is_held_once_taken_again(first: str) -> None:
    walk = walk_of(
        f"void f(void)\n{{\n\t{first}mutex_unlock(&a); p1(); mutex_lock(&a); p2();\n}}\n"
    )
    assert held_at(walk) == {"p2": "a"}


def test_modes_and_interrupts() -> None:
    walk = walk_of(
        "void f(void)\n{\n\tdown_read(&sem);\n\tspin_lock_irqsave(&s, flags);\n\tp1();\n"
        "\tspin_lock_bh(&s);\n\tmutex_lock_nested(&a, 1);\n\tp2();\n}\n"
    )
    held = {
        point.name: [(h.lock, h.kind, h.mode, h.irq, h.nested) for h in point.held]
        for point in walk.points
    }
    assert held["p1"] == [
        ("sem", "rwsem", "read", "", False),
        ("s", "spinlock", "write", "off", False),
    ]
    assert ("a", "mutex", "write", "", True) in held["p2"]


# ---- the cap ----


def test_many_independent_branches_are_capped_not_wrong() -> None:
    tests = "".join(f"\tif (x{n})\n\t\tg{n}();\n" for n in range(12))
    again = "".join(f"\tif (x{n})\n\t\th{n}();\n" for n in range(12))
    walk = walk_of(
        f"void f(void)\n{{\n\tmutex_lock(&a);\n{tests}{again}\tp1();\n"
        f"\tmutex_unlock(&a);\n"
        "\tp2();\n}\n"
    )
    assert MAX_STATES < 2**12
    assert held_at(walk)["p1"] == "a"
    assert ways_out(walk) == {""}


def test_a_lock_for_every_turn_of_a_loop_ends() -> None:
    walk = walk_of(
        "void f(struct kvm **k)\n{\n\tfor (i = 0; i < n; i++)\n"
        "\t\tmutex_lock(&k[i]->lock);\n"
        "\tp1();\n}\n"
    )
    assert held_at(walk)["p1"].startswith("k[i]->lock")


@pytest.mark.parametrize(
    ("call", "unlock"),
    [
        ("spinlock_t *ptl = table_lock(t);", "spin_unlock(ptl);"),
        ("v->ptl = table_lock(t);", "spin_unlock(v->ptl);"),
        ("map_lock(t, &v->ptl);", "spin_unlock(v->ptl);"),
        ("map_lock(t, &v->ptl);", "done(v);"),
    ],
)
def test_a_lock_that_a_callee_hands_out_is_given_back_by_what_it_is_kept_in(
    call: str, unlock: str
) -> None:
    code = """
struct table { spinlock_t ptl; };
struct fault { spinlock_t *ptl; };
static spinlock_t *ptl_of(struct table *t) { return &t->ptl; }
static spinlock_t *table_lock(struct table *t)
{
	spinlock_t *ptl = ptl_of(t);

	spin_lock(ptl);
	return ptl;
}
static void map_lock(struct table *t, spinlock_t **ptlp)
{
	spinlock_t *ptl = ptl_of(t);

	*ptlp = ptl;
	spin_lock(ptl);
}
static void done(struct fault *v)
{
	spin_unlock(v->ptl);
}
void f(struct table *t, struct fault *v)
{
	@@
	p1();
	##
	p2();
}
"""
    walk = walk_of(code.replace("@@", call).replace("##", unlock))
    assert held_at(walk).keys() == {"p1"}
    assert ways_out(walk) == BALANCED


def test_what_a_callee_may_give_back_is_not_held_after_it() -> None:
    """It flushes what is waiting, and gives the lock back or to somebody else."""
    code = """
static void flush_and_unlock(void)
{
	bool handover;

	do {
		flush(&handover);
		if (!handover)
			mutex_unlock(&a);
	} while (more() && mutex_trylock(&a));
}
void f(void)
{
	mutex_lock(&b);
	mutex_lock(&a);
	p1();
	flush_and_unlock();
	p2();
	mutex_unlock(&b);
}
"""
    assert held_at(walk_of(code)) == {"p1": "a b", "p2": "b"}
