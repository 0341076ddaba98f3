# SPDX-License-Identifier: GPL-2.0-or-later
"""Facts: what a file says of itself, the same every time, whatever bytes it holds."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewbot.locking.cache import pack, unpack
from reviewbot.locking.facts import (
    FieldSet,
    Function,
    IndirectCall,
    called_as,
    callees,
    lacks_flow,
    worth_a_flow,
)
from reviewbot.locking.index import is_source
from reviewbot.locking.mentions import parameters
from reviewbot.locking.primitives import builtin
from reviewbot.locking.reading import add_flows, read_facts
from tests.locking.strategies import TEXTS
from tests.locking.support import facts_of_text


def function_of(text: str, name: str = "f") -> Function:
    return next(f for f in facts_of_text(text).functions if f.name == name)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail what takes longer; generous, for what would otherwise take minutes."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"not done within {seconds:.0f} s", pytrace=False)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ---- what they say ----


def test_calls_references_and_indirect_calls() -> None:
    function = function_of("""\
static void helper(int a) { }
static int handler(void *p) { return 0; }
static int unused(void *p) { return 0; }

int f(struct dev *d, int n)
{
	struct bus *bus = d->bus;

	if (n)
		helper(1);
	request_irq(n, handler, 0, "x", d);
	bus->ops->start(bus);
	d->inner.stop (d);
	return sizeof(int) + other(2);
}
""")
    assert function.calls.split() == ["helper", "other", "request_irq"]
    assert function.refs == "handler"
    assert set(function.indirect) == {
        IndirectCall("struct bus*", "bus->ops->start"),
        IndirectCall("struct dev*", "d->inner.stop"),
    }


def test_functions_put_into_a_table() -> None:
    function = function_of("""\
static int my_open(void) { return 0; }

void f(struct dev *d)
{
	d->ops.open = my_open;
	d->ops.close = &my_open;
	d->other = 3;
}
""")
    assert set(function.sets) == {
        FieldSet("struct dev*", "d->ops.open", "my_open"),
        FieldSet("struct dev*", "d->ops.close", "my_open"),
    }


def test_where_it_stands_and_what_it_returns() -> None:
    text = (
        "\n\nstatic struct kvm *\nf(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n"
        "\treturn d->kvm;\n}\n"
    )
    function = function_of(text)
    assert (function.line, function.end, function.static) == (3, 8, True)
    assert function.returns == "struct kvm*"
    assert function.params == (("d", "struct dev*"),)
    assert function_of("int f(void)\n{\n}\n").returns == ""


def test_annotations() -> None:
    text = "void f(struct x *x)\n\t__must_hold(&x->lock) __releases( a )\n{\n\tg();\n}\n"
    assert function_of(text).annotations == ("__must_hold &x->lock", "__releases a")


@pytest.mark.parametrize(
    ("call", "worth"),
    [
        ("mutex_lock(&a)", True),
        ("synchronize_srcu(&s)", True),
        ("INIT_WORK(&d->w, g)", True),
        ("my_device_lock(d)", True),
        ("guard(mutex)(&a)", True),
        ("scoped_guard(mutex, &a) g()", True),
        ("lock_sock(sk)", True),
        ("foo_acquire(d)", True),
        ("block_device(d)", False),
        ("clock_gettime(d)", False),
        ("memcpy(a, b, 1)", False),
        ("g(d)", False),
    ],
)
def test_only_what_may_lock_has_a_flow(call: str, worth: bool) -> None:
    assert bool(function_of(f"void f(struct d *d)\n{{\n\t{call};\n}}\n").flows) == worth


def test_names_worth_a_flow() -> None:
    assert worth_a_flow({"g", "frob"}, {"frob"})
    assert not worth_a_flow({"g"}, {"frob"})
    assert not worth_a_flow(set(), {"frob"})


def test_a_macro_is_a_function() -> None:
    macro = function_of("#define foo_lock(d) \\\n\tmutex_lock(&(d)->lock)\n\n", "foo_lock")
    assert macro.macro
    assert macro.params == (("d", ""),)
    assert macro.calls == "mutex_lock"
    assert macro.flows


def test_guards_are_pairs_of_functions() -> None:
    facts = facts_of_text(
        "DEFINE_GUARD(dev, struct dev *, dev_lock(_T), dev_unlock(_T))\n"
        "DEFINE_GUARD_COND(dev, _try, dev_trylock(_T))\n"
        "DEFINE_LOCK_GUARD_1(foo, struct foo, foo_lock(_T->lock), foo_unlock(_T->lock), int i)\n"
        "DEFINE_LOCK_GUARD_0(all, lock_all(), unlock_all())\n"
    )
    assert {f.name: f.calls for f in facts.functions} == {
        "guard(dev)": "dev_lock",
        "~guard(dev)": "dev_unlock",
        "guard(dev_try)": "dev_trylock",
        "guard(foo)": "foo_lock",
        "~guard(foo)": "foo_unlock",
        "guard(all)": "lock_all",
        "~guard(all)": "unlock_all",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"void", (("", ""),)),
        (b"", (("", ""),)),
        (b"struct kvm *kvm, int id", (("kvm", "struct kvm*"), ("id", "int"))),
        (b"const struct x * const *p", (("p", "struct x**"),)),
        (b"int (*cb)(struct x *, int), void *data", (("cb", "()"), ("data", "void*"))),
        (b"spinlock_t *l, char name[], ...", (("l", "spinlock_t*"), ("name", "char"), ("", ""))),
        (b"struct list_head\n\t\t*head", (("head", "struct list_head*"),)),
    ],
)
def test_parameters(text: bytes, expected: tuple[tuple[str, str], ...]) -> None:
    found = parameters(text)
    assert len(found) == len(expected)
    for got, want in zip(found, expected, strict=True):
        assert got == want or not want[0]


def test_a_lock_only_in_a_function_is_no_variable_of_the_file() -> None:
    facts = facts_of_text("int f(void)\n{\n\tstatic DEFINE_MUTEX(inner);\n\tstruct mutex m;\n}\n")
    assert facts.variables == ()


# ---- pure ----


@settings(max_examples=60)
@given(TEXTS)
def test_the_same_text_gives_the_same_facts(text: bytes) -> None:
    first = facts_of_text(text)
    facts_of_text(b"struct other { int x; };\n")
    assert facts_of_text(text) == first
    assert unpack(pack(first)) == first


# ---- robust ----


@settings(max_examples=300)
@given(TEXTS)
def test_any_bytes_give_facts(text: bytes) -> None:
    with within(60):
        facts = facts_of_text(text)
    lines = text.count(b"\n") + 1
    assert all(1 <= f.line <= f.end <= lines for f in facts.functions if not f.macro)


SIZE = 120_000
"""Bytes of a hostile file: far less than a patch may have (kernel/check.py)."""


def repeated(piece: str, before: str = "", after: str = "") -> str:
    return before + piece * (SIZE // len(piece)) + after


BODY = "int f(void)\n{\n\tmutex_lock(&a);\n\t"
HOSTILE = {
    "open braces in column 0": repeated("{\n"),
    "function heads": repeated("int f(void)\n{\n"),
    "parentheses": repeated("("),
    "parentheses in a body": repeated("(", BODY, ";\n}\n"),
    "parentheses in a call": repeated("f(", BODY, ";\n}\n"),
    "closing parentheses": repeated(")", "int f(", "\n{\n}\n"),
    "open structs": repeated("struct a {"),
    "nested structs": repeated("struct a { ", "", "}" * 1000),
    "nested and closed": "struct a { " * 3000 + "} x; " * 3000,
    "structs and no semicolon": repeated("struct a {} "),
    "open quotes": repeated('"\\'),
    "quotes": repeated("'"),
    "comments": repeated("/*"),
    "brackets": repeated("[", "static struct a x"),
    "brackets and types": repeated("x_t [", "struct a x"),
    "type names": repeated("struct a "),
    "typedef names": repeated("a_t "),
    "declarations without end": repeated("x_t a=", "int f(void)\n{\n\td->g();\n\t", "\n}\n"),
    "stars": repeated("*", "struct a ", ";\n"),
    "spaces": repeated(" ", "static struct a\n", ";\n"),
    "spaces in a body": repeated(" ", BODY + "x", "->y();\n}\n"),
    "tabs behind a name": repeated("a\t", "struct b "),
    "attributes": repeated("__attribute__((x(", "int f(void) "),
    "annotations": repeated("__must_hold(a)\n", "int f(void)\n", "{\n\tmutex_lock(&a);\n}\n"),
    "ifdefs": repeated("#ifdef A\n"),
    "ifdefs in a body": repeated("#ifdef A\nf();\n", BODY, "\n}\n"),
    "endifs": repeated("#endif\n", BODY, "\n}\n"),
    "macros": repeated("#define f(x) g(x)\n"),
    "one long macro": repeated("f(x); \\\n", "#define g(x) ", "\n"),
    "guards": repeated("DEFINE_GUARD(a, b, c(_T), d(_T)\n"),
    "definers": repeated("DEFINE_MUTEX(\n"),
    "initialisers": repeated(".a = b, ", "static struct ops o = {", "};\n"),
    "open initialisers": repeated("struct a b = {\n"),
    "chains": repeated("a->", BODY, "b();\n}\n"),
    "indices": repeated("a[", BODY + "x->", "b();\n}\n"),
    "members": repeated("a.b", BODY, "();\n}\n"),
    "gotos": repeated("goto x; x: ", BODY, "\n}\n"),
    "ifs": repeated("if (a) ", BODY, ";\n}\n"),
    "elses": repeated("if (a) f(); else ", BODY, ";\n}\n"),
    "independent ifs": "".join(
        [BODY, *(f"if (c{n}) f{n}(); if (c{n}) g();\n" for n in range(3000)), "}\n"]
    ),
    "loops": repeated("while (a) { if (b) break;", BODY, "}" * 6000 + "\n}\n"),
    "cases": repeated("case 1: f();\n", BODY + "switch (a) {", "}\n}\n"),
    "guards in a body": repeated("guard(mutex)(&a);\n", BODY, "}\n"),
    "scoped guards": repeated("scoped_guard(mutex, &a) ", BODY, ";\n}\n"),
    "locks": "".join([BODY, *(f"mutex_lock(&l{n});\n" for n in range(6000)), "}\n"]),
    "arguments": repeated("a,", BODY + "f(", "b);\n}\n"),
    "plus": repeated("a+", BODY + "x = ", "b;\n}\n"),
    "and": repeated("a&&", BODY + "if (", "b) f();\n}\n"),
    "question marks": repeated("a?b:", BODY + "x = ", "f();\n}\n"),
    "zero bytes": "\0" * SIZE,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_ends_quickly(name: str) -> None:
    with within(30):
        facts_of_text(HOSTILE[name])


# ---- the real kernel ----


@pytest.mark.kernel
def test_real_files(kernel_tree: Path) -> None:
    """A seeded sample: facts are whole, pure, and nearly every body can be parsed."""
    done = subprocess.run(
        ["git", "-C", str(kernel_tree), "ls-files", "-z", "*.c", "*.h"],
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [path for path in done.stdout.split("\0") if path and is_source(path)]
    assert len(paths) > 50_000
    sample = random.Random(12).sample(sorted(paths), 300)  # noqa: S311 - a sample, no secret
    functions = flows = errors = 0
    for path in sample:
        text = (kernel_tree / path).read_bytes()
        facts = read_facts(text, builtin().flow_names)
        assert read_facts(text, builtin().flow_names) == facts, path
        assert unpack(pack(facts)) == facts, path
        lines = text.split(b"\n")
        for function in facts.functions:
            functions += 1
            flows += bool(function.flows)
            if not function.macro:
                assert b"}" in lines[function.end - 1], (path, function.name)
        errors += facts.errors
    assert functions > 2000
    assert flows > 150
    assert errors < flows / 10


@pytest.mark.kernel
def test_functions_of_a_known_file(kernel_tree: Path) -> None:
    """Every function that a line in column 0 opens is found, in one large real file."""
    text = (kernel_tree / "kernel/workqueue.c").read_bytes()
    facts = read_facts(text, builtin().flow_names)
    found = {f.name for f in facts.functions if not f.macro}
    for name in (
        "__flush_work",
        "process_one_work",
        "alloc_workqueue",
        "wq_worker_sleeping",
        "rescuer_thread",
        "destroy_workqueue",
        "apply_wqattrs_lock",
    ):
        assert name in found


# ---- flows that are found wanting later ----


LATE = """
#define TAKE(x) frob_take(x)
#define LONG(x) do { frob_take(x); LONG_TEXT } while (0)
static int one(struct frob *f)
{
	if (!frob_take(f))
		return -EBUSY;
	mutex_lock(&f->lock);
	return 0;
}

int two(struct frob *f)
{
	frob_take(f);
	return 1;
}

int three(void)
{
	return two(0);
}
""".replace("LONG_TEXT", "x++; " * 1000)


def test_adding_flows_is_reading_with_the_names() -> None:
    text = LATE.encode()
    known = read_facts(text, builtin().flow_names)
    names = frozenset({"frob_take"})
    assert lacks_flow(known, names)
    added = add_flows(known, text, names)
    assert added == read_facts(text, builtin().flow_names | names)
    assert [f.name for f in added.functions if f.flows] == ["one", "two", "TAKE"]
    assert known.functions[0] == added.functions[0]


def test_what_makes_no_flow_is_not_read_again_and_again() -> None:
    text = LATE.encode()
    names = frozenset({"frob_take"})
    whole = read_facts(text, names)
    assert next(f for f in whole.functions if f.name == "LONG").opaque
    assert not lacks_flow(whole, names)
    assert not lacks_flow(add_flows(facts_of_text(text), text, names), names)


@given(TEXTS, st.sampled_from(["work", "mutex_lock", "f", "kfree", "schedule_work"]))
def test_adding_flows_to_any_text(text: bytes, name: str) -> None:
    assert add_flows(read_facts(text, frozenset()), text, {name}) == read_facts(text, {name})


def test_a_macro_that_names_itself_calls_the_function() -> None:
    text = b"#define f() f(1)\n"
    assert read_facts(text, {"f"}) == add_flows(read_facts(text, frozenset()), text, {"f"})


def test_a_guard_is_a_callee_at_both_ends() -> None:
    function = function_of("int f(void)\n{\n\tguard(mutex)(&a);\n\treturn g();\n}\n")
    assert {"guard", "g"} <= callees(function)
    assert called_as("~guard(mutex)") == called_as("guard(mutex)") == "guard"
    assert called_as("mutex_lock") == "mutex_lock"
