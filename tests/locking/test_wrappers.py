# SPDX-License-Identifier: GPL-2.0-or-later
"""Summaries of a file's functions, in rounds until nothing changes."""

from __future__ import annotations

from reviewbot.locking.wrappers import function_refs, summarize_file, wrapper_names
from tests.locking.support import Kernel

CHAIN = """\
static DEFINE_MUTEX(big);
void lock_three(void)
{
	lock_two();
}
void lock_two(void)
{
	lock_one();
}
void lock_one(void)
{
	mutex_lock(&big);
}
void neither_lock(void)
{
	lock_three();
	mutex_unlock(&big);
}
"""


def test_wrappers_of_wrappers_within_a_file() -> None:
    kernel = Kernel({"f.c": CHAIN})
    facts = kernel.facts["f.c"]
    numbers = dict(enumerate(range(100, 100 + len(facts.functions))))
    found = dict(summarize_file(kernel.linker, "f.c", facts, numbers, None))
    locked = {
        number for number, effects in found.items() if effects is not None and effects.acquires
    }
    assert locked == {100, 101, 102}
    assert found[103] is None


def test_only_callers_of_what_changed_are_summarized() -> None:
    kernel = Kernel({"f.c": CHAIN})
    facts = kernel.facts["f.c"]
    numbers = dict(enumerate(range(len(facts.functions))))
    assert summarize_file(kernel.linker, "f.c", facts, numbers, frozenset({"nothing"})) == []
    found = summarize_file(kernel.linker, "f.c", facts, numbers, frozenset({"lock_two"}))
    assert 2 not in dict(found)
    assert 0 in dict(found)


def test_wrapper_names() -> None:
    kernel = Kernel({"f.c": CHAIN, "g.c": "static void mine(void)\n{\n\tmutex_lock(&big);\n}\n"})
    names = wrapper_names(kernel.symbols.all_functions())
    assert {"lock_one", "lock_two", "lock_three"} <= names
    assert not {"neither_lock", "mine"} & names


def test_refs_are_numbered_in_order() -> None:
    kernel = Kernel({"f.c": CHAIN})
    refs = list(function_refs("f.c", kernel.facts["f.c"], 7))
    assert [(ref.id, ref.name) for ref, _ in refs] == [
        (7, "lock_three"),
        (8, "lock_two"),
        (9, "lock_one"),
        (10, "neither_lock"),
    ]
    assert all(ref.effects is None and ref.line < end for ref, end in refs)
