# SPDX-License-Identifier: GPL-2.0-or-later
"""What class an expression has."""

from __future__ import annotations

import pytest

from reviewbot.locking.body import Local
from reviewbot.locking.classes import Classifier, split_path
from tests.locking.support import Kernel

KVM = """\
typedef struct foo_s { struct mutex m; } foo_t;
typedef struct { spinlock_t l; } bar_t;
struct inner { struct mutex m; spinlock_t l; };
struct kvm {
	struct { struct mutex resampler_lock; struct inner deep; } irqfds;
	struct mutex lock;
	struct mutex locks[4];
	struct inner *inner;
	struct inner *array[8];
	struct kvm *next;
	foo_t foo;
	bar_t bar;
	struct srcu_struct irq_srcu;
};
struct kvm *kvm_of(int id);
struct kvm *kvm_get(int id)
{
	return 0;
}
"""
FILE = """\
DEFINE_MUTEX(global_lock);
static DEFINE_MUTEX(file_lock);
static struct { struct mutex m; struct inner in; } state;
static struct kvm the_kvm;
static struct kvm *kvm_ptr;
DEFINE_PER_CPU(struct inner, percpu_inner);
"""
LOCALS = {
    "kvm": Local("struct kvm*", 0, ""),
    "lock": Local("struct mutex*", 1, ""),
    "in": Local("struct inner*", -1, ""),
    "own": Local("struct mutex", -1, ""),
    "void_ptr": Local("void*", 2, ""),
    "foo": Local("foo_t*", -1, ""),
    "bar": Local("bar_t*", -1, ""),
    "got": Local("struct mutex*", -1, "get_lock(kvm)"),
    "below": Local("struct inner*", -1, "kvm_get(3)->inner"),
    "opaque": Local("struct unknown*", -1, ""),
    "list": Local("struct list_head*", -1, ""),
}


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return Kernel({"include/linux/kvm.h": KVM, "virt/kvm/f.c": FILE})


@pytest.mark.parametrize(
    ("expression", "cls", "param"),
    [
        ("kvm->lock", "struct kvm.lock", "$0->lock"),
        (
            "kvm->irqfds.resampler_lock",
            "struct kvm.irqfds.resampler_lock",
            "$0->irqfds.resampler_lock",
        ),
        ("kvm->irqfds.deep.m", "struct inner.m", "$0->irqfds.deep.m"),
        ("kvm->locks[i]", "struct kvm.locks", "$0->locks[i]"),
        ("kvm->inner->m", "struct inner.m", "$0->inner->m"),
        ("kvm->array[i + 1]->l", "struct inner.l", "$0->array[i + 1]->l"),
        ("kvm->next->next->lock", "struct kvm.lock", "$0->next->next->lock"),
        ("kvm->foo.m", "struct foo_s.m", "$0->foo.m"),
        ("kvm->bar.l", "bar_t.l", "$0->bar.l"),
        ("foo->m", "struct foo_s.m", ""),
        ("bar->l", "bar_t.l", ""),
        ("in->m", "struct inner.m", ""),
        ("lock", "", "$1"),
        ("own", "own in f() (on stack)", ""),
        ("got", "get_lock()", ""),
        ("below", "struct kvm.inner", ""),
        ("global_lock", "global_lock", ""),
        ("file_lock", "virt/kvm/f.c:file_lock", ""),
        ("state.m", "virt/kvm/f.c:state.m", ""),
        ("state.in.m", "struct inner.m", ""),
        ("the_kvm.lock", "struct kvm.lock", ""),
        ("kvm_ptr->irqfds.resampler_lock", "struct kvm.irqfds.resampler_lock", ""),
        ("kvm_get(3)->lock", "struct kvm.lock", ""),
        ("container_of(list, struct kvm, next)->lock", "struct kvm.lock", ""),
        ("per_cpu_ptr(&percpu_inner, cpu)->m", "struct inner.m", ""),
        ("this_cpu_ptr(&percpu_inner)->l", "struct inner.l", ""),
        ("=RCU", "RCU", ""),
        ("opaque->lock", "struct unknown.lock", ""),
        ("nowhere", "", ""),
        ("nowhere->lock", "", ""),
        ("a + b", "", ""),
        ("", "", ""),
    ],
)
def test_classes(kernel: Kernel, expression: str, cls: str, param: str) -> None:
    place = Classifier("virt/kvm/f.c", kernel.symbols).place(expression, LOCALS, "f")
    assert (place.cls, place.param) == (cls, param)


@pytest.mark.parametrize(
    ("body", "cls"),
    [
        ("\treturn &kvm->lock;", "struct kvm.lock"),
        ("\treturn &kvm->irqfds.deep.m;", "struct inner.m"),
        ("\tstruct inner *in = kvm->inner;\n\n\treturn &in->m;", "struct inner.m"),
        ("\tif (!kvm)\n\t\treturn NULL;\n\treturn lock_of(kvm);", "struct kvm.lock"),
        ("\treturn kvm->next ? &kvm->lock : &kvm->next->lock;", "get_it()"),
        ("\treturn &kvm->locks[hash_ptr(kvm, 4)];", "struct kvm.locks"),
        ("\treturn &global_lock;", "get_it()"),
        ("\treturn get_it(kvm);", "get_it()"),
    ],
)
def test_a_function_may_always_return_the_same_lock(body: str, cls: str) -> None:
    text = (
        "static inline struct mutex *lock_of(struct kvm *kvm)\n{\n\treturn &kvm->lock;\n}\n"
        f"static struct mutex *get_it(struct kvm *kvm)\n{{\n{body}\n}}\n"
    )
    kernel = Kernel({"include/linux/kvm.h": KVM, "virt/kvm/f.c": FILE + text})
    classifier = Classifier("virt/kvm/f.c", kernel.symbols)
    locals_ = {**LOCALS, "got": Local("struct mutex*", -1, "get_it(kvm)")}
    for expression in ("get_it(kvm)", "got"):
        assert classifier.place(expression, locals_, "f").cls == cls
    if cls != "get_it()":
        assert classifier.type_of("get_it(kvm)", locals_) == "struct mutex*"


def test_the_task_that_runs_has_a_type() -> None:
    tasks = "struct mm_struct { struct rw_semaphore mmap_lock; };\n"
    tasks += "struct task_struct { struct mm_struct *mm; };\n"
    kernel = Kernel({"include/linux/sched.h": tasks, "a/a.c": ""})
    classifier = Classifier("a/a.c", kernel.symbols)
    locals_ = {"mm": Local("struct mm_struct*", -1, "current->mm")}
    assert classifier.place("current->mm->mmap_lock", {}, "f").cls == "struct mm_struct.mmap_lock"
    assert classifier.type_of("current->mm", locals_) == "struct mm_struct*"


def test_a_global_is_the_same_class_in_every_file() -> None:
    kernel = Kernel({"a/a.c": "DEFINE_MUTEX(shared);\n", "b/b.c": "extern struct mutex shared;\n"})
    for file in ("a/a.c", "b/b.c", "c/c.c"):
        assert Classifier(file, kernel.symbols).place("shared", {}, "f").cls == "shared"


def test_statics_of_one_name_are_two_classes() -> None:
    kernel = Kernel(
        {"a/a.c": "static DEFINE_MUTEX(lock);\n", "b/b.c": "static struct mutex lock;\n"}
    )
    classes = {Classifier(f, kernel.symbols).place("lock", {}, "f").cls for f in ("a/a.c", "b/b.c")}
    assert classes == {"a/a.c:lock", "b/b.c:lock"}
    assert Classifier("c/c.c", kernel.symbols).place("lock", {}, "f").cls == ""


def test_two_structs_of_one_tag() -> None:
    text = "struct priv { struct mutex lock; };\n"
    kernel = Kernel({"a/a.c": text, "b/b.c": text, "b/c.c": "int x;\n"})
    local = {"p": Local("struct priv*", 0, "")}
    classes = [
        Classifier(f, kernel.symbols).place("p->lock", local, "f").cls for f in ("a/a.c", "b/b.c")
    ]
    assert len(set(classes)) == 2
    assert all(cls.startswith("struct priv") for cls in classes)
    one = Kernel({"a/a.c": text})
    assert Classifier("a/a.c", one.symbols).place("p->lock", local, "f").cls == "struct priv.lock"


@pytest.mark.parametrize(
    ("expression", "root", "path"),
    [
        ("a", "a", ()),
        ("a->b.c", "a", ("b", "c")),
        ("&a[i].b", "a", ("b",)),
        ("a[f(x)[1]]->b", "a", ("b",)),
        ("f(a, b)->c", "f(a, b)", ("c",)),
        ("*a", "a", ()),
        ("a->", None, ()),
        ("a + b", None, ()),
        ("(a)->b", None, ()),
        ("a[b", None, ()),
        ("", None, ()),
    ],
)
def test_split_path(expression: str, root: str | None, path: tuple[str, ...]) -> None:
    assert split_path(expression) == (root, path)
