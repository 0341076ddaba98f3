# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrappers are found without naming one: what a call leaves held, gives back, expects."""

from __future__ import annotations

import pytest

from reviewbot.locking.flow import Effect, Effects, Touch, When
from reviewbot.locking.primitives import NONE, RESULT, Primitive, Role, builtin
from reviewbot.locking.summary import argument_of, primitive_effects, table_effects
from tests.locking.support import Kernel

HEADER = """\
struct kvm { struct mutex lock; struct mutex other; struct srcu_struct srcu; spinlock_t slock; };
struct vcpu { struct kvm *kvm; struct kvm own; };
"""
TEXT = """\
static DEFINE_MUTEX(big);
static DEFINE_MUTEX(small);
"""


def effects_of(code: str, name: str = "f", **files: str) -> Effects | None:
    kernel = Kernel({"include/linux/kvm.h": HEADER, "virt/f.c": TEXT + code, **files})
    return kernel.effects("virt/f.c", name)


def changes(effects: Effects | None) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """(lock, when) of what is acquired, and of what is released."""
    if effects is None:
        return set(), set()
    return (
        {(e.lock, e.when.value) for e in effects.acquires},
        {(e.lock, e.when.value) for e in effects.releases},
    )


BIG = "=virt/f.c:big"


@pytest.mark.parametrize(
    ("code", "acquires", "releases"),
    [
        ("void f(void)\n{\n\tmutex_lock(&big);\n}\n", {(BIG, "always")}, set()),
        ("void f(void)\n{\n\tmutex_unlock(&big);\n}\n", set(), {(BIG, "always")}),
        (
            "static inline void f(struct kvm *k) { mutex_lock(&k->lock); }\n",
            {("$0->lock", "always")},
            set(),
        ),
        ("void f(int x, struct mutex *m)\n{\n\tmutex_lock(m);\n}\n", {("$1", "always")}, set()),
        (
            "void f(struct vcpu *v)\n{\n\tmutex_lock(&v->kvm->lock);\n}\n",
            {("$0->kvm->lock", "always")},
            set(),
        ),
        (
            "void f(struct vcpu *v)\n{\n\tstruct kvm *k = v->kvm;\n\n"
            "\tmutex_unlock(&k->lock);\n}\n",
            set(),
            {("$0->kvm->lock", "always")},
        ),
        ("int f(void)\n{\n\treturn mutex_trylock(&big);\n}\n", {(BIG, "nonzero")}, set()),
        (
            "bool f(void)\n{\n\tif (!mutex_trylock(&big))\n\t\treturn false;\n\treturn true;\n}\n",
            {(BIG, "positive")},
            set(),
        ),
        ("int f(void)\n{\n\treturn mutex_lock_interruptible(&big);\n}\n", {(BIG, "zero")}, set()),
        (
            "int f(struct kvm *k)\n{\n\tmutex_lock(&k->lock);\n\tif (dead(k)) {\n"
            "\t\tmutex_unlock(&k->lock);\n"
            "\t\treturn -ENODEV;\n\t}\n\treturn 0;\n}\n",
            {("$0->lock", "zero")},
            set(),
        ),
        (
            "void f(struct kvm *a, struct kvm *b)\n{\n\tmutex_lock(&a->lock);\n"
            "\tmutex_lock_nested(&b->lock, 1);\n}\n",
            {("$0->lock", "always"), ("$1->lock", "always")},
            set(),
        ),
        (
            "void f(void)\n{\n\tmutex_unlock(&big);\n\tmutex_lock(&small);\n}\n",
            {("=virt/f.c:small", "always")},
            {(BIG, "always")},
        ),
        (
            "void f(void)\n{\n\tmutex_lock(&big);\n\twork();\n\tmutex_unlock(&big);\n}\n",
            set(),
            set(),
        ),
        ("void f(void)\n{\n\tguard(mutex)(&big);\n\twork();\n}\n", set(), set()),
        (
            "void f(void)\n{\n\tmutex_unlock(&big);\n\twork();\n\tmutex_lock(&big);\n}\n",
            set(),
            set(),
        ),
        ("void f(void)\n{\n\trcu_read_lock();\n}\n", {("=rcu_read_lock", "always")}, set()),
        (
            "int f(struct kvm *k)\n{\n\treturn srcu_read_lock(&k->srcu);\n}\n",
            {("$0->srcu", "always")},
            set(),
        ),
        ("#define f(k) mutex_lock(&(k)->lock)\n", {("$0->lock", "always")}, set()),
        (
            "#define f(k) \\\n\tdo { \\\n\t\twork(k); \\\n"
            "\t\tmutex_unlock(&(k)->lock); \\\n\t} while (0)\n",
            set(),
            {("$0->lock", "always")},
        ),
        ("#define f() mutex_lock(&big)\n", {(BIG, "always")}, set()),
        (
            "void f(struct vcpu *v)\n{\n\tif (v->flags & V_ROOT)\n\t\tspin_lock(lock_of(v));\n"
            "\telse\n\t\tspin_lock(lock_of(root_of(v)));\n}\n"
            "static spinlock_t *lock_of(struct vcpu *v)\n{\n\treturn &v->own.slock;\n}\n",
            {("=struct kvm.slock", "always")},
            set(),
        ),
        (
            "void f(struct vcpu *v)\n{\n\tspin_lock(lock_of(v));\n"
            "\tspin_lock_nested(lock_of(root_of(v)), 1);\n}\n"
            "static spinlock_t *lock_of(struct vcpu *v)\n{\n\treturn &v->own.slock;\n}\n",
            {("=struct kvm.slock", "always")},
            set(),
        ),
    ],
)
def test_a_wrapper(
    code: str, acquires: set[tuple[str, str]], releases: set[tuple[str, str]]
) -> None:
    assert changes(effects_of(code)) == (acquires, releases)


@pytest.mark.parametrize(
    ("name", "body", "effects"),
    [
        ("fpu_begin", "\tpreempt_disable();\n\tsave();", "acquires"),
        ("fpu_begin_mask", "\tpreempt_disable();", "acquires"),
        ("FPU_START", "\tlocal_bh_disable();", "acquires"),
        ("fpu_end", "\trestore();\n\tpreempt_enable();", "releases"),
        ("fpu_begin", "\tif (depth)\n\t\tpreempt_disable();", ""),
        ("fpu_end", "\tpreempt_disable();", ""),
        ("fpu_save", "\tpreempt_disable();", ""),
    ],
)
def test_a_pair_of_functions_may_hand_on_a_state_of_the_processor(
    name: str, body: str, effects: str
) -> None:
    """Others need not match: interrupts are switched off in one way and on in another."""
    found = effects_of(f"void {name}(int depth)\n{{\n{body}\n}}\n", name)
    assert [len(each) for each in changes(found)] == [effects == "acquires", effects == "releases"]


def test_a_wrapper_of_a_wrapper_in_another_file() -> None:
    files = {
        "a/one.c": "void one_lock(struct kvm *kvm)\n{\n\tmutex_lock(&kvm->lock);\n}\n",
        "b/two.c": "int two_lock(struct vcpu *v)\n{\n\tone_lock(v->kvm);\n\treturn 0;\n}\n",
    }
    code = "void f(int x, struct vcpu *vcpu)\n{\n\ttwo_lock(vcpu);\n}\n"
    assert changes(effects_of(code, **files)) == ({("$1->kvm->lock", "always")}, set())


def test_a_wrapper_whose_callers_pass_an_address() -> None:
    code = (
        "static void enter_locked(struct kvm *k)\n{\n\tmutex_lock(&k->lock);\n}\n"
        "void f(struct vcpu *v)\n{\n\tenter_locked(&v->own);\n}\n"
    )
    assert changes(effects_of(code)) == ({("$0->own.lock", "always")}, set())


def test_lock_and_unlock_in_two_files_go_together() -> None:
    kernel = Kernel(
        {
            "include/linux/kvm.h": HEADER,
            "a/lock.c": "void kvm_enter(struct kvm *kvm)\n{\n\tmutex_lock(&kvm->lock);\n}\n",
            "b/unlock.c": "void kvm_leave(struct kvm *kvm)\n{\n\tmutex_unlock(&kvm->lock);\n}\n",
            "c/use.c": "void f(struct vcpu *v)\n{\n\tkvm_enter(v->kvm);\n\tp1();\n"
            "\tkvm_leave(v->kvm);\n\tp2();\n}\n",
        }
    )
    walk = kernel.walk("c/use.c", "f")
    held = {p.name: [h.lock for h in p.held] for p in walk.points if p.held}
    assert held == {"p1": ["v->kvm->lock"], "kvm_leave": ["v->kvm->lock"]}
    assert [leave.held for leave in walk.exits] == [()]


def test_a_trylock_wrapper_in_a_condition() -> None:
    kernel = Kernel(
        {
            "f.c": TEXT + "static bool enter(void)\n{\n\treturn mutex_trylock(&big);\n}\n"
            "void f(void)\n{\n\tif (!enter()) {\n\t\tp1();\n\t\treturn;\n\t}\n"
            "\tp2();\n\tmutex_unlock(&big);\n}\n"
        }
    )
    walk = kernel.walk("f.c", "f")
    held = {p.name: len(p.held) for p in walk.points if p.name[0] == "p"}
    assert held.get("p1", 0) == 0
    assert held["p2"] == 1
    assert all(not leave.held for leave in walk.exits)


def test_what_a_callee_asserts_the_caller_is_expected_to_hold() -> None:
    effects = effects_of(
        "void f(struct kvm *k)\n{\n\tlockdep_assert_held(&k->lock);\n\twork();\n}\n"
    )
    assert effects is not None
    assert [e.lock for e in effects.holds] == ["$0->lock"]
    assert not effects.acquires


def test_a_wait_on_a_bare_parameter_is_the_callers() -> None:
    effects = effects_of("void f(int x, struct work_struct *w)\n{\n\tcancel_work_sync(w);\n}\n")
    assert effects is not None
    assert effects.touches == (Touch("$1", "work", "", "write"),)


def test_a_class_is_told_where_the_caller_may_not_know_it() -> None:
    effects = effects_of("void f(struct vcpu *v)\n{\n\tmutex_lock(&v->kvm->lock);\n}\n")
    assert effects is not None
    assert effects.acquires == (
        Effect("$0->kvm->lock", "mutex", "write", When.ALWAYS, "", False, "struct kvm.lock"),
    )


def test_a_lock_of_its_own_is_nobodys_business() -> None:
    assert effects_of("void f(void)\n{\n\tstruct mutex m;\n\n\tmutex_lock(&m);\n}\n") is None


def test_conditional_annotations_are_not_understood() -> None:
    assert (
        effects_of("bool f(void) __cond_acquires(big)\n{\n\tmutex_lock(&big);\n\treturn x();\n}\n")
        is None
    )


def test_recursive_functions_end() -> None:
    code = (
        "void f(struct kvm *k)\n{\n\tmutex_lock(&k->lock);\n\tif (x())\n\t\tg(k);\n}\n"
        "void g(struct kvm *k)\n{\n\tf(k);\n\tmutex_unlock(&k->lock);\n}\n"
    )
    effects_of(code)
    assert effects_of(code, "g") == effects_of(code, "g")


# ---- primitives ----


def test_primitives_have_their_effects() -> None:
    table = table_effects(builtin())
    assert table["mutex_lock"].acquires[0].when is When.ALWAYS
    assert table["mutex_trylock"].acquires[0].when is When.NONZERO
    assert table["mutex_lock_killable"].acquires[0].when is When.ZERO
    assert table["down_read"].acquires[0].mode == "read"
    assert table["mutex_unlock"].releases[0].lock == "$0"
    assert table["rcu_read_lock"].acquires[0].lock == "=rcu_read_lock"
    assert table["lockdep_assert_held"].holds[0].lock == "$0"
    assert not table["cancel_work_sync"]
    assert "msleep" not in table


def test_effects_of_a_primitive_below_its_argument() -> None:
    primitive = Primitive("sock", Role.ACQUIRE, "", lock="mutex", arg=0, below="->lk")
    effects = primitive_effects(primitive)
    assert effects is not None
    assert effects.acquires[0].lock == "$0->lk"
    assert argument_of(primitive, ("sk",), "") == "sk->lk"
    assert argument_of(primitive, ("&own",), "") == "own.lk"


@pytest.mark.parametrize(
    ("arg", "args", "expected"),
    [
        (0, ("&a", "b"), "&a"),
        (1, ("&a", "b"), "b"),
        (2, ("a",), ""),
        (RESULT, ("a",), "thread"),
        (NONE, ("a",), "=RCU"),
    ],
)
def test_argument_of(arg: int, args: tuple[str, ...], expected: str) -> None:
    primitive = Primitive(
        "x", Role.WAIT, "", what="rcu-gp", arg=arg, object="RCU" if arg == NONE else ""
    )
    assert argument_of(primitive, args, "thread") == expected
