# SPDX-License-Identifier: GPL-2.0-or-later
"""The nearest store serves a tree, and says what a store of its own would say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewbot.kernel.objects import ObjectStore
from reviewbot.locking import trees as trees_module
from reviewbot.locking.index import stores
from reviewbot.locking.trees import prepare
from reviewbot.locking.view import build_overlay
from tests.locking.scenario import DEV
from tests.locking.scenarios import PLAIN, SCENARIOS
from tests.locking.support import Files, Lab, brief, fresh_lab

FILLER = {f"lib/filler{n}.c": f"void filler_{n}(void)\n{{\n\twork();\n}}\n" for n in range(40)}


def filled(files: Files, **changes: str) -> Files:
    """A kernel that is large enough for a store of another to be near."""
    return {**FILLER, **files, **{f"lib/{name}.c": text for name, text in changes.items()}}


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_near_store_serves(lab: Lab, name: str) -> None:
    """A tree a few files away has its store; this one's findings are as with a store of its own."""
    case = SCENARIOS[name]
    near = filled(PLAIN, filler3="int other;\n", extra="int gone;\n")
    (old,) = lab.trees(near)
    with lab.open(old):
        pass
    trees = lab.trees(filled(case.good), filled(case.bad))
    found = brief(lab.compare(*trees))
    assert stores(lab.settings) == [old]
    fresh = lab.with_cache("fresh")
    assert found == brief(fresh.compare(*trees))
    assert stores(fresh.settings) == [trees[0]]
    assert [row[0] for row in found] == [case.kind.value]


def test_the_store_of_another_repository_serves(lab: Lab, tmp_path: Path) -> None:
    """Two checkouts share a cache, and neither has the other's objects."""
    case = SCENARIOS["order"]
    other = replace(Lab.make(tmp_path / "other"), cache=lab.cache)
    (old,) = other.trees(filled(PLAIN, filler3="int other;\n", extra="int gone;\n"))
    with other.open(old):
        pass
    found = brief(lab.compare(*lab.trees(filled(case.good), filled(case.bad))))
    assert [row[0] for row in found] == [case.kind.value]
    assert stores(lab.settings) == [old]


def test_a_link_is_no_source(lab: Lab) -> None:
    """A file that became a symbolic link is gone, in a store of its own as over another."""
    (old,) = lab.trees(filled(PLAIN))
    (new,) = lab.trees(filled(PLAIN), links={"lib/filler3.c": "filler4.c"})
    with lab.open(old), lab.open(new) as views:
        assert list(views[0].functions_in("lib/filler3.c")) == []
    with lab.with_cache("fresh").open(new) as views:
        assert list(views[0].functions_in("lib/filler3.c")) == []


def test_a_tree_too_far_away_gets_a_store_of_its_own(lab: Lab) -> None:
    first, second = lab.trees(filled(PLAIN), {f"x/{n}.c": "int x;\n" for n in range(40)})
    with lab.open(first), lab.open(second):
        pass
    assert set(stores(lab.settings)) == {first, second}


def test_a_damaged_store_nearby_is_passed_over(lab: Lab) -> None:
    case = SCENARIOS["order"]
    (old,) = lab.trees(filled(PLAIN))
    with lab.open(old):
        pass
    (lab.settings.store_path(old) / "about.json").write_text("{")
    trees = lab.trees(filled(case.good), filled(case.bad))
    assert [row[0] for row in brief(lab.compare(*trees))] == [case.kind.value]


def test_a_new_wrapper_that_all_its_callers_know_is_linked_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a function that lacks a flow because of it would be another one when read again."""
    own = "void take(struct mutex *m)\n{\n\tmutex_lock(m);\n}\n"
    old, new = lab.trees(filled(PLAIN), filled(PLAIN, filler3=own))
    with lab.open(old):
        pass
    linked: list[int] = []

    def count(*arguments: Any) -> Any:
        linked.append(len(arguments[1]))
        return build_overlay(*arguments)

    monkeypatch.setattr(trees_module, "build_overlay", count)
    with lab.open(new) as views:
        assert views[0].overlay is not None
    assert linked == [1]


def test_a_tree_near_a_stored_one_is_prepared_without_a_store(lab: Lab) -> None:
    case = SCENARIOS["order"]
    old, new = lab.trees(filled(PLAIN, extra="int gone(void)\n{\n}\n"), filled(case.bad))
    fresh = lab.with_cache("fresh")
    with ObjectStore(lab.git_dir) as objects:
        first = prepare(objects, lab.settings, old)
        assert (first.tree, first.stored, first.changed) == (old, old, 0)
        found = prepare(objects, lab.settings, new)
        alone = prepare(objects, fresh.settings, new)
        differ = {c.path for c in objects.diff_trees(old, new)}
    assert stores(lab.settings) == [old]
    assert (found.tree, found.stored, found.changed) == (new, old, len(differ))
    assert (found.files, found.functions) == (alone.files, alone.functions)
    assert (alone.stored, alone.changed) == (new, 0)


# ---- what a patch does to files it does not touch ----


WRAPPER = "lib/wrap.c"
USER = (
    DEV
    + """\
void one(void)
{
	enter_big();
	mutex_lock(&first);
	mutex_unlock(&first);
	leave_big();
}
void two(void)
{
	mutex_lock(&first);
	enter_big();
	leave_big();
	mutex_unlock(&first);
}
"""
)
TAKING = """\
static DEFINE_MUTEX(big);
void enter_big(void)
{
	mutex_lock(&big);
}
void leave_big(void)
{
	mutex_unlock(&big);
}
"""
NOT_TAKING = "void enter_big(void)\n{\n\twork();\n}\nvoid leave_big(void)\n{\n\twork();\n}\n"
CHAINED = {
    "lib/inner.c": TAKING.replace("enter_big", "enter_inner").replace("leave_big", "leave_inner"),
    WRAPPER: "void enter_big(void)\n{\n\tenter_inner();\n}\nvoid leave_big(void)\n{\n"
    "\tleave_inner();\n}\n",
}


@pytest.mark.parametrize("forth", [True, False])
def test_callers_of_a_wrapper_are_linked_again(lab: Lab, forth: bool) -> None:
    with_lock = {"drivers/u.c": USER, WRAPPER: TAKING}
    without = {"drivers/u.c": USER, WRAPPER: NOT_TAKING}
    series = (without, with_lock) if forth else (with_lock, without)
    comparison = lab.review(*series)
    assert [(h.kind.value, h.state.value) for h in comparison.hazards] == [
        ("lock-order-inversion", "introduced" if forth else "removed")
    ]


def test_callers_of_a_wrapper_of_a_wrapper_are_linked_again(lab: Lab) -> None:
    quiet = {**CHAINED, "lib/inner.c": NOT_TAKING.replace("_big", "_inner")}
    comparison = lab.review({"drivers/u.c": USER, **quiet}, {"drivers/u.c": USER, **CHAINED})
    assert [(h.kind.value, h.state.value) for h in comparison.hazards] == [
        ("lock-order-inversion", "introduced")
    ]


def test_a_function_that_moves_to_another_file(lab: Lab) -> None:
    case = SCENARIOS["order across files"]
    moved = dict(case.bad)
    moved["lib/elsewhere.c"] = (
        "extern struct mutex shared_lock;\n" + moved["lib/shared.c"].split("\n", 1)[1]
    )
    moved["lib/shared.c"] = "DEFINE_MUTEX(shared_lock);\n"
    comparison = lab.review(case.bad, moved)
    assert comparison.hazards == ()
    assert brief(lab.review(case.good, moved)) == brief(lab.review(case.good, case.bad))


def test_an_inline_of_a_header_that_moves_to_a_file(lab: Lab) -> None:
    """Callers that the patch does not touch call the new function."""
    case = SCENARIOS["order across files"]
    stub = "static inline void shared_update(struct dev *d) { work(); }\n"
    header = case.bad["include/linux/dev.h"]
    before = {
        **case.bad,
        "include/linux/dev.h": header + stub,
        "lib/shared.c": "DEFINE_MUTEX(shared_lock);\n",
    }
    comparison = lab.review(before, case.bad)
    assert [(h.kind.value, h.state.value) for h in comparison.hazards] == [
        ("lock-order-inversion", "introduced")
    ]


# ---- random histories ----

PIECES = {
    "ab": "void f_{n}(void)\n{{\n\tmutex_lock(&lock_a);\n\tg_{n}();\n\tmutex_unlock(&lock_a);\n}}\n"
    "void g_{n}(void)\n{{\n\tmutex_lock(&lock_b);\n\twork();\n\tmutex_unlock(&lock_b);\n}}\n",
    "ba": "void f_{n}(void)\n{{\n\tmutex_lock(&lock_b);\n\tg_{n}();\n\tmutex_unlock(&lock_b);\n}}\n"
    "void g_{n}(void)\n{{\n\tmutex_lock(&lock_a);\n\twork();\n\tmutex_unlock(&lock_a);\n}}\n",
    "cross": "void f_{n}(void)\n{{\n\tmutex_lock(&lock_b);\n\tg_{m}();\n"
    "\tmutex_unlock(&lock_b);\n}}\n"
    "void g_{n}(void)\n{{\n\twork();\n}}\n",
    "wait": "void f_{n}(void)\n{{\n\tguard(mutex)(&lock_a);\n\tflush_work(&work_{m});\n}}\n"
    "void g_{n}(void)\n{{\n}}\n",
    "handler": "static void h_{n}(struct work_struct *w)\n{{\n\tg_{m}();\n}}\n"
    "void g_{n}(void)\n{{\n\tguard(mutex)(&lock_c);\n\tg_{m}();\n}}\n"
    "void f_{n}(void)\n{{\n\tINIT_WORK(&work_{n}, h_{n});\n}}\n",
    "lock": "void f_{n}(void)\n{{\n\tmutex_lock(&lock_c);\n}}\nvoid g_{n}(void)\n{{\n"
    "\tmutex_unlock(&lock_c);\n}}\n",
    "use": "void f_{n}(void)\n{{\n\tf_{m}();\n\tmutex_lock(&lock_a);\n"
    "\tmutex_unlock(&lock_a);\n\tg_{m}();\n}}\n"
    "void g_{n}(void)\n{{\n\tguard(mutex)(&lock_b);\n}}\n",
    "none": "void f_{n}(void)\n{{\n\twork();\n}}\nvoid g_{n}(void)\n{{\n\twork();\n}}\n",
}
BASE = {"lib/locks.c": "DEFINE_MUTEX(lock_a);\nDEFINE_MUTEX(lock_b);\nDEFINE_MUTEX(lock_c);\n"}
BASE["lib/works.c"] = "".join(f"struct work_struct work_{n};\n" for n in range(4))

choices = st.lists(st.sampled_from(sorted(PIECES)), min_size=4, max_size=4)


def kernel_of(chosen: list[str]) -> Files:
    return {
        **BASE,
        **{f"d{n}/f.c": PIECES[kind].format(n=n, m=(n + 1) % 4) for n, kind in enumerate(chosen)},
    }


@settings(max_examples=20)
@given(choices, choices)
def test_a_tree_laid_over_another_is_what_it_is_alone(before: list[str], after: list[str]) -> None:
    """What a change introduces its revert removes, whichever tree has the store.

    Not the other way round: what goes is told even where others do the same, what comes is not.
    """
    # every kernel defines what it calls: f_n() and g_n() are in each of the pieces
    with fresh_lab() as lab:
        trees = lab.trees(kernel_of(before), kernel_of(after))
        forth = lab.compare(*trees)
        back = lab.with_cache("other").compare(*reversed(trees))

        def sites_of(rows: list[tuple[object, ...]], wanted: str) -> set[tuple[object, ...]]:
            return {
                (kind, classes, file, function, via)
                for kind, _, _, classes, sites in rows
                for file, function, via, state, _ in sites  # type: ignore[attr-defined]
                if state == wanted
            }

        for one, other in ((forth, back), (back, forth)):
            assert sites_of(brief(one), "introduced") <= sites_of(brief(other), "removed")
