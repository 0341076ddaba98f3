# SPDX-License-Identifier: GPL-2.0-or-later
"""Summaries of a file's functions, in rounds until nothing changes."""

from __future__ import annotations

import msgspec
import pytest

from reviewbot.locking.effects import Effect, Effects, Walk
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


VANISHING = """
static void stop(struct dev *d)
{
	mutex_lock(&d->lock);
	end(d);
}

void outer(struct dev *d)
{
	spin_lock(&d->other);
	stop(d);
	spin_unlock(&d->other);
}
"""


def test_callers_follow_when_a_static_function_turns_out_to_change_nothing() -> None:
    """Before ``end`` was known to unlock, ``stop`` seemed to leave the lock held."""
    unlock = "void end(struct dev *d)\n{\n\tmutex_unlock(&d->lock);\n}\n"
    kernel = Kernel({"f.c": VANISHING, "g.c": unlock})
    held = Effects(acquires=(Effect("$0->lock", "mutex"),))
    kernel.symbols.replace_functions(
        msgspec.structs.replace(ref, effects=held)
        for name in ("stop", "outer")
        for ref in kernel.symbols.own(name, "f.c")
    )
    facts = kernel.facts["f.c"]
    walks: dict[int, Walk | None] = {}
    numbers = {n: kernel.first["f.c"] + n for n in range(len(facts.functions))}
    found = summarize_file(
        kernel.linker, "f.c", facts, numbers, frozenset({"end"}), walks.__setitem__
    )
    assert dict(found) == dict.fromkeys(numbers.values())
    last = walks[numbers[1]]
    assert last is not None
    assert all(not leave.held for leave in last.exits)


IN_ORDER = """\
static DEFINE_MUTEX(big);
static void take(void)
{
	mutex_lock(&big);
}
static void take_more(void)
{
	take();
}
void use(void)
{
	take_more();
	mutex_unlock(&big);
}
"""


def _numbers(kernel: Kernel, path: str) -> dict[int, int]:
    return dict(enumerate(range(len(kernel.facts[path].functions))))


@pytest.mark.parametrize(("text", "walks"), [(IN_ORDER, 3), (CHAIN, 4 + 3)])
def test_a_function_is_walked_again_only_for_news(text: str, walks: int) -> None:
    """What stands below its callees has seen them; what stands above them has not."""
    kernel = Kernel({"f.c": text})
    kernel.symbols.replace_functions(
        msgspec.structs.replace(ref, effects=None)
        for ref in list(kernel.symbols.all_functions())
        if ref.file == "f.c"
    )
    kept: list[int] = []
    summarize_file(
        kernel.linker, "f.c", kernel.facts["f.c"], _numbers(kernel, "f.c"), None,
        lambda number, _: kept.append(number),
    )  # fmt: skip
    assert len(kept) == walks


@pytest.mark.parametrize(("path", "names"), [("f.c", {"one_lock"}), ("f.h", {"one_lock", "go"})])
def test_likely_wrappers_are_summarized_alone(path: str, names: set[str]) -> None:
    text = (
        "static inline void one_lock(struct dev *d)\n{\n\tmutex_lock(&d->lock);\n}\n"
        "static inline void go(struct dev *d)\n{\n\tone_lock(d);\n\tmutex_unlock(&d->lock);\n}\n"
    )
    kernel = Kernel({path: text})
    facts = kernel.facts[path]
    found = summarize_file(kernel.linker, path, facts, _numbers(kernel, path), None, likely=True)
    assert {facts.functions[number].name for number, _ in found} == names
