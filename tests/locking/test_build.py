# SPDX-License-Identifier: GPL-2.0-or-later
"""Building a store: once, whole or not at all, by several at once, leaving nothing behind."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from reviewbot.kernel.objects import ObjectStore
from reviewbot.locking.build import Callees, build_store, open_store
from reviewbot.locking.index import name_key, stores
from tests.locking.scenarios import SCENARIOS
from tests.locking.support import Lab, brief

CASE = SCENARIOS["flush"]
MANY = {f"dir/file{n}.c": f"int f{n}(void)\n{{\n\treturn {n};\n}}\n" for n in range(700)}


def test_a_store_is_built_once(lab: Lab) -> None:
    (tree,) = lab.trees(CASE.bad)
    told: list[str] = []
    with ObjectStore(lab.git_dir) as objects:
        open_store(objects, tree, lab.settings, lambda stage, _d, _t: told.append(stage)).close()
        assert told
        told.clear()
        open_store(objects, tree, lab.settings, lambda stage, _d, _t: told.append(stage)).close()
        assert told == []
    assert stores(lab.settings) == [tree]


def test_an_interrupted_build_leaves_no_half_store(lab: Lab) -> None:
    (tree,) = lab.trees(CASE.bad)

    def stop(stage: str, _done: int, _total: int) -> None:
        if stage == "linking":
            raise KeyboardInterrupt

    with ObjectStore(lab.git_dir) as objects:
        with pytest.raises(KeyboardInterrupt):
            build_store(objects, tree, lab.settings, stop)
        assert stores(lab.settings) == []
        open_store(objects, tree, lab.settings).close()
    assert stores(lab.settings) == [tree]
    assert [path.name for path in (lab.cache / "trees").iterdir()] == [
        lab.settings.store_path(tree).name
    ]


def _review(
    lab: Lab, trees: list[str], queue: multiprocessing.Queue[list[tuple[object, ...]]]
) -> None:
    queue.put(brief(lab.compare(*trees)))


def test_two_processes_at_once(lab: Lab) -> None:
    """Both build the same store in the same cache; both get the same result."""
    trees = lab.trees({**CASE.good, **MANY}, {**CASE.bad, **MANY})
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[list[tuple[object, ...]]] = context.Queue()
    children = [context.Process(target=_review, args=(lab, trees, queue)) for _ in range(2)]
    for child in children:
        child.start()
    results = [queue.get(timeout=120) for _ in children]
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    assert results[0] == results[1]
    assert [row[0] for row in results[0]] == [CASE.kind.value]
    assert [path.name for path in (lab.cache / "trees").iterdir()] == [
        lab.settings.store_path(trees[0]).name
    ]


def test_no_child_is_left_behind(lab: Lab) -> None:
    """Neither a worker nor a git process outlives a review."""
    (tree,) = lab.trees({**CASE.bad, **MANY})
    before = _children()
    lab.workers = 2
    with ObjectStore(lab.git_dir) as objects:
        open_store(objects, tree, lab.settings).close()
    lab.review(CASE.good, CASE.bad)
    assert _children() <= before


def _children() -> set[str]:
    """Processes whose parent this one is."""
    own = str(os.getpid())
    found: set[str] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        name, fields = text.rsplit(")", 1)
        if fields.split()[1] == own:
            found.add(name.split(" ", 1)[0])
    return found


def test_the_repository_is_not_written(lab: Lab) -> None:
    trees = lab.trees(CASE.good, CASE.bad)
    before = _state(lab.git_dir)
    lab.compare(*trees)
    assert _state(lab.git_dir) == before


def _state(git_dir: Path) -> list[tuple[str, int, int]]:
    return sorted(
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in git_dir.rglob("*")
        if path.is_file()
    )


def test_files_that_others_call() -> None:
    """A call from the own file does not count, one of a shared name does."""
    callees = Callees()
    for names in (["own", "far"], ["far_away"], []):
        callees.add(np.array([name_key(name) for name in names], np.uint32))
    callees.index()
    functions = [("own", 0), ("far", 2), ("far_away", 2), ("nobody", 1)]
    assert callees.called(functions) == {2}
    assert callees.called([("own", 1), ("own", 0)]) == {1}
    assert callees.called([]) == frozenset()
    assert callees.files(["far", "nobody"]) == [0]
