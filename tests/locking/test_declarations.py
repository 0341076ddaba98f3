# SPDX-License-Identifier: GPL-2.0-or-later
"""Structs, variables, defining macros and initialisers, as headers write them."""

from __future__ import annotations

import pytest

from reviewbot.locking.declarations import (
    Definer,
    Initialiser,
    Variable,
    aggregates,
    definers,
    initialisers,
    power_tables,
    spell_type,
    variables,
)
from reviewbot.locking.source import split_directives, without_comments
from tests.locking.support import facts_of_text


def fields_of(text: str, tag: str) -> dict[str, str]:
    structs, _, _ = aggregates(split_directives(without_comments(text.encode()))[0])
    (found,) = [struct for struct in structs if struct.tag == tag]
    return found.fields


def test_fields() -> None:
    text = """\
struct kvm {
	spinlock_t mmu_lock;
	struct mutex slots_lock, other_lock;	/* two of one type */
	struct mm_struct *mm;
	struct kvm_io_bus *buses[KVM_NR_BUSES];
	const struct kvm_ops *ops, **table, *const fixed, * const *fixed_table;
	union kvm_u { int a; } u;
	unsigned long flags;
	int users:4;
	void (*destroy)(struct kvm *kvm);
	struct list_head (*pick)(int);
	wait_queue_head_t	wait[2][3];
	u64 : 32;
};
"""
    fields = fields_of(text, "struct kvm")
    assert fields == {
        "mmu_lock": "spinlock_t",
        "slots_lock": "struct mutex",
        "other_lock": "struct mutex",
        "mm": "struct mm_struct*",
        "buses": "struct kvm_io_bus*",
        "ops": "struct kvm_ops*",
        "table": "struct kvm_ops**",
        "fixed": "struct kvm_ops*",
        "fixed_table": "struct kvm_ops**",
        "u": "struct kvm_u",
        "destroy": "()",
        "pick": "()",
        "wait": "wait_queue_head_t",
    }


def test_anonymous_members_are_flattened() -> None:
    text = """\
struct kvm {
	struct {
		spinlock_t lock;
		struct {
			struct mutex resampler_lock;
		} deep;
		union {
			struct list_head items;
			struct inner *one;
		};
	} irqfds;
	struct {
		struct mutex plain;
	};
};
"""
    assert fields_of(text, "struct kvm") == {
        "irqfds.lock": "spinlock_t",
        "irqfds.deep.resampler_lock": "struct mutex",
        "irqfds.items": "struct list_head",
        "irqfds.one": "struct inner*",
        "plain": "struct mutex",
    }


def test_tagged_members_are_types_of_their_own() -> None:
    text = (
        "struct outer {\n\tstruct inner {\n\t\tstruct mutex m;\n\t} a, *b;\n\tstruct mutex n;\n};\n"
    )
    assert fields_of(text, "struct outer") == {
        "a": "struct inner",
        "b": "struct inner*",
        "n": "struct mutex",
    }
    assert fields_of(text, "struct inner") == {"m": "struct mutex"}


def test_fields_behind_ifdef_count() -> None:
    text = (
        "struct x {\n#ifdef CONFIG_A\n\tstruct mutex a;\n#else\n\tspinlock_t b;\n"
        "#endif\n\tstruct mutex c;\n};\n"
    )
    assert fields_of(text, "struct x") == {
        "a": "struct mutex",
        "b": "spinlock_t",
        "c": "struct mutex",
    }


def test_attributes_in_a_struct() -> None:
    text = (
        "struct x {\n\tstruct mutex a ____cacheline_aligned_in_smp;\n\tspinlock_t b __aligned(8);\n"
    )
    text += "\tstruct kvm_io_bus __rcu *buses[4];\n\tstruct stats __percpu *stats;\n} __packed;\n"
    facts = facts_of_text(text)
    (struct,) = facts.structs
    assert struct.fields == {
        "a": "struct mutex",
        "b": "spinlock_t",
        "buses": "struct kvm_io_bus*",
        "stats": "struct stats*",
    }


def test_typedefs() -> None:
    text = """\
typedef struct { struct mutex lock; } foo_t, *foo_p;
typedef struct bar { spinlock_t l; } bar_t;
typedef struct baz baz_t;
typedef const struct baz *baz_p;
typedef union qux qux_t;
"""
    structs, typedefs, found = aggregates(text.encode())
    assert {struct.tag: struct.fields for struct in structs} == {
        "typedef foo_t": {"lock": "struct mutex"},
        "struct bar": {"l": "spinlock_t"},
    }
    assert typedefs == {
        "foo_t": "typedef foo_t",
        "foo_p": "typedef foo_t*",
        "bar_t": "struct bar",
        "baz_t": "struct baz",
        "baz_p": "struct baz*",
        "qux_t": "struct qux",
    }
    assert found == ()


def test_variables_with_a_struct_body() -> None:
    text = (
        "static struct {\n\tstruct mutex m;\n} state;\nstruct dev {\n"
        "\tspinlock_t l;\n} the_dev, *other;\n"
    )
    structs, _, found = aggregates(text.encode())
    assert [struct.tag for struct in structs] == ["anonymous state", "struct dev"]
    assert found == (
        Variable("state", "anonymous state", True, True),
        Variable("the_dev", "struct dev", False, True),
        Variable("other", "struct dev*", False, True),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("static struct mutex m;", [("m", "struct mutex", True, True)]),
        (
            "struct dev *a, b;",
            [("a", "struct dev*", False, True), ("b", "struct dev", False, True)],
        ),
        ("extern struct srcu_struct s;", [("s", "struct srcu_struct", False, False)]),
        ("static spinlock_t locks[16];", [("locks", "spinlock_t", True, True)]),
        ("static const struct ops o = {", [("o", "struct ops", True, True)]),
        (
            "static struct workqueue_struct *wq __read_mostly;",
            [("wq", "struct workqueue_struct*", True, True)],
        ),
        ("static struct dev *\ndevs[3] = { 0 };", [("devs", "struct dev*", True, True)]),
        ("struct dev *find(int id);", []),
        ("\tstruct mutex indented;", []),
    ],
)
def test_variables(text: str, expected: list[tuple[str, str, bool, bool]]) -> None:
    found = facts_of_text(text + "\n").variables if "__" in text else variables(text.encode())
    assert [(v.name, v.type, v.static, v.defined) for v in found] == expected


def test_definers() -> None:
    text = """\
static DEFINE_MUTEX(one);
DEFINE_SPINLOCK(two);
static DECLARE_WORK(work, handler);
DEFINE_PER_CPU(struct foo *, ptr);
extern DECLARE_BITMAP(map, 4);
BLOCKING_NOTIFIER_HEAD(chain);
static DEVICE_ATTR_RW(mode);
"""
    assert list(definers(text.encode())) == [
        Definer("DEFINE_MUTEX", ("one",), True),
        Definer("DEFINE_SPINLOCK", ("two",), False),
        Definer("DECLARE_WORK", ("work", "handler"), True),
        Definer("DEFINE_PER_CPU", ("struct foo *", "ptr"), False),
        Definer("DECLARE_BITMAP", ("map", "4"), False),
        Definer("BLOCKING_NOTIFIER_HEAD", ("chain",), False),
        Definer("DEVICE_ATTR_RW", ("mode",), True),
    ]


def test_initialisers() -> None:
    text = """\
static const struct file_operations fops = {
	.owner		= THIS_MODULE,
	.open		= my_open,
	.release	= &my_release,
	.inner.start	= go,
	.flags		= FLAG_ONE,
	.last		= my_last
};
struct table tables[] = {
	{ .run = first },
	{ .run = second },
};
"""
    assert list(initialisers(text.encode())) == [
        Initialiser("struct file_operations", "open", "my_open", "fops"),
        Initialiser("struct file_operations", "release", "my_release", "fops"),
        Initialiser("struct file_operations", "inner.start", "go", "fops"),
        Initialiser("struct file_operations", "last", "my_last", "fops"),
        Initialiser("struct table", "run", "first", "tables"),
        Initialiser("struct table", "run", "second", "tables"),
    ]


def test_members_of_members() -> None:
    text = """\
static struct algorithm algorithm = {
	.name = "x",
	.iface = {
		.enable = start,
		.deep = { .each = walk, },
		.disable = stop,
	},
	.rows = { { .run = first }, { .run = second } },
	.last = finish,
};
"""
    found = [(entry.field, entry.value) for entry in initialisers(text.encode())]
    assert found == [
        ("iface.enable", "start"),
        ("iface.deep.each", "walk"),
        ("iface.disable", "stop"),
        ("rows.run", "first"),
        ("rows.run", "second"),
        ("last", "finish"),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SYSTEM_SLEEP_PM_OPS(go, come)", {"suspend": "go", "resume": "come"}),
        (
            "SET_LATE_SYSTEM_SLEEP_PM_OPS(go,\n\tcome)",
            {"suspend_late": "go", "resume_early": "come"},
        ),
        ("NOIRQ_SYSTEM_SLEEP_PM_OPS(go, come)", {"suspend_noirq": "go", "resume_noirq": "come"}),
        ("SET_RUNTIME_PM_OPS(go, come, NULL)", {"runtime_suspend": "go", "runtime_resume": "come"}),
        ("static DEFINE_SIMPLE_DEV_PM_OPS(ops, go, come);", {"suspend": "go", "resume": "come"}),
        ("static SIMPLE_DEV_PM_OPS(ops, NULL, come);", {"resume": "come"}),
    ],
)
def test_power_tables(text: str, found: dict[str, str]) -> None:
    entries = list(power_tables(text.encode()))
    assert {entry.tag for entry in entries} == {"struct dev_pm_ops"}
    assert {entry.field: entry.value for entry in entries} == found


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        (b"struct  kvm", "struct kvm"),
        (b"union u", "struct u"),
        (b" spinlock_t ", "spinlock_t"),
        (b"", ""),
    ],
)
def test_spell_type(text: bytes, spelled: str) -> None:
    assert spell_type(text) == spelled


@pytest.mark.parametrize(
    "text",
    ["struct x {", "struct x { int", "struct x { struct y {", "struct { } ;", "};", "struct x { }"],
)
def test_broken_structs_are_left_out(text: str) -> None:
    structs, _, _ = aggregates(text.encode())
    assert all(not struct.fields for struct in structs)
