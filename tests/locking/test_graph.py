# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables and walks; and a graph with an overlay is the graph built from scratch."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewbot.locking.graph import Table, rows_of
from reviewbot.locking.view import View
from tests.locking.support import Files, Lab, fresh_lab


def ids(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(numbers, np.int32)


# ---- tables ----


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99), st.integers(0, 3)), max_size=40),
    st.lists(st.integers(-2, 14), max_size=8),
)
def test_a_table_finds_its_rows(rows: list[tuple[int, int, int]], keys: list[int]) -> None:
    columns = tuple(ids(*(row[place] for row in rows)) for place in range(3))
    table = Table.build(columns, 0, 10)
    found = list(rows_of(*table.rows(ids(*keys))))
    assert sorted(found) == sorted(row for key in keys for row in rows if row[0] == key)


def test_an_empty_table() -> None:
    table = Table.build((ids(), ids()), 0, 5)
    assert [len(column) for column in table.rows(ids(0, 4))] == [0, 0]


# ---- small call graphs ----

Edges = dict[str, set[str]]


def kernel_of(files: dict[str, Edges]) -> Files:
    """Functions that call one another; those named ``…l`` take a lock of their own first."""
    texts: dict[str, str] = {}
    for path, functions in files.items():
        text = "".join(f"static DEFINE_MUTEX({name}_m);\n" for name in functions)
        for name, callees in functions.items():
            body = "".join(f"\t{callee}();\n" for callee in sorted(callees))
            if name.endswith("l"):
                body = f"\tmutex_lock(&{name}_m);\n{body}\tmutex_unlock(&{name}_m);\n"
            text += f"void {name}(void)\n{{\n{body}}}\n"
        texts[path] = text
    return texts


def number_of(view: View, name: str) -> int:
    for path in PATHS:
        for ref in view.functions_in(path):
            if ref.name == name:
                return ref.id
    raise AssertionError(name)


def names_of(view: View, numbers: Iterable[int]) -> set[str]:
    return {view.callable_name(number) for number in numbers}


PATHS = ("a/a.c", "b/b.c", "c/c.c")
HOMES = {"f0l": 0, "f1": 0, "f2l": 1, "f3": 1, "f4l": 2, "f5": 2, "f6l": 0, "f7": 1}


@st.composite
def kernels(draw: st.DrawFn) -> dict[str, Edges]:
    """Some of the functions, in their files, with random calls (of missing ones too)."""
    present = draw(st.sets(st.sampled_from(sorted(HOMES)), min_size=1))
    files: dict[str, Edges] = {path: {} for path in PATHS}
    for name in sorted(present):
        callees = draw(st.sets(st.sampled_from(sorted(HOMES)), max_size=3)) - {name}
        files[PATHS[HOMES[name]]][name] = callees
    return files


def picture(view: View) -> dict[str, object]:
    """Everything that can be asked of a graph about the functions, by name."""
    out: dict[str, object] = {}
    home = view.directories(PATHS)
    for path in PATHS:
        for ref in view.functions_in(path):
            graph = view.graph
            callers, _ = graph.callers(ids(ref.id))
            _, callees = graph.callees(ids(ref.id))
            down = graph.reach_down([ref.id], 3, home)
            up = graph.reach_up([ref.id], 3, home)
            out[ref.name] = (
                names_of(view, callers.tolist()),
                names_of(view, callees.tolist()),
                {view.callable_name(n): d for n, d in down.distance.items()},
                {view.callable_name(n): d for n, d in up.distance.items()},
                {view.node_name(n) for _, n, _ in rows_of(*graph.actions_of(ids(ref.id)))},
            )
    for name in HOMES:
        if name.endswith("l"):
            node = view.node(f"{PATHS[HOMES[name]]}:{name}_m")
            if node is None:
                continue
            takers, _ = view.graph.actors_on(node)
            functions, targets, _ = view.graph.holds_of(node)
            held = {
                (view.callable_name(f), view.callable_name(t) if t >= 0 else view.node_name(-1 - t))
                for f, t in rows_of(functions, targets)
            }
            if len(takers):
                out[f"lock of {name}"] = (names_of(view, takers.tolist()), held)
    return out


def check_model(files: dict[str, Edges], found: dict[str, object]) -> None:
    """Callers and callees are what the functions were made of."""
    functions = {name: callees for own in files.values() for name, callees in own.items()}
    for name, callees in functions.items():
        expected = (
            {caller for caller, those in functions.items() if name in those},
            {callee for callee in callees if callee in functions},
        )
        entry = found[name]
        assert isinstance(entry, tuple)
        assert entry[:2] == expected


@settings(max_examples=20)
@given(kernels(), kernels())
def test_an_overlay_is_what_a_rebuild_is(before: dict[str, Edges], after: dict[str, Edges]) -> None:
    with fresh_lab() as lab:
        trees = lab.trees(kernel_of(before), kernel_of(after))
        with lab.open(*trees) as (first, over):
            found_before, found_after = picture(first), picture(over)
            assert first.overlay is None
            assert over.overlay is not None or trees[0] == trees[1]
        with lab.with_cache("fresh").open(trees[1]) as (alone,):
            assert alone.overlay is None
            assert found_after == picture(alone)
    check_model(before, found_before)
    check_model(after, found_after)


@settings(max_examples=6)
@given(st.lists(kernels(), min_size=2, max_size=4))
def test_every_tree_of_a_series_is_what_it_is_alone(series: list[dict[str, Edges]]) -> None:
    with fresh_lab() as lab:
        trees = lab.trees(*(kernel_of(files) for files in series))
        with lab.open(*trees) as views:
            found = [picture(view) for view in views]
    for files, pictured in zip(series, found, strict=True):
        check_model(files, pictured)


# ---- walks ----


CHAIN = {
    "a/a.c": "".join(f"void g{n}(void)\n{{\n\tg{n + 1}();\n}}\n" for n in range(6))
    + "void g6(void)\n{\n\twork();\n}\n"
}


def test_a_walk_goes_as_deep_as_it_is_told(lab: Lab) -> None:
    with lab.views(CHAIN) as (view,):
        home = view.directories(PATHS)
        start = number_of(view, "g0")
        for depth in range(6):
            reach = view.graph.reach_down([start], depth, home)
            assert names_of(view, reach.hop) == {f"g{n}" for n in range(depth + 1)}


def test_a_path_leads_back_to_where_the_walk_began(lab: Lab) -> None:
    with lab.views(CHAIN) as (view,):
        home = view.directories(PATHS)
        start, end = number_of(view, "g0"), number_of(view, "g4")
        down = view.graph.reach_down([start], 6, home)
        assert [view.callable_name(n) for n in down.path(end)] == ["g4", "g3", "g2", "g1", "g0"]
        up = view.graph.reach_up([end], 6, home)
        assert [view.callable_name(n) for n in up.path(start)] == ["g0", "g1", "g2", "g3", "g4"]


@pytest.mark.parametrize(("candidates", "followed"), [(1, True), (2, True), (40, False)])
def test_a_table_with_too_many_candidates_leads_nowhere(
    lab: Lab, candidates: int, followed: bool
) -> None:
    text = "struct ops { void (*run)(void); };\nstruct bus { const struct ops *ops; };\n"
    drivers = {
        f"d{n}/d.c": text + f"static void run_{n}(void)\n{{\n\twork();\n}}\n"
        f"static const struct ops o = {{\n\t.run = run_{n},\n}};\n"
        for n in range(candidates)
    }
    core = {"a/a.c": text + "void call(struct bus *bus)\n{\n\tbus->ops->run();\n}\n"}
    header = {"include/linux/ops.h": text}
    stripped = {
        path: re.sub(r"^struct (ops|bus) \{.*\n", "", t, flags=re.M)
        for path, t in {**core, **drivers}.items()
    }
    with lab.views({**header, **stripped}) as (view,):
        reach = view.graph.reach_down([number_of(view, "call")], 3, view.directories(["a/a.c"]))
        assert ("run_0" in names_of(view, reach.hop)) == followed
