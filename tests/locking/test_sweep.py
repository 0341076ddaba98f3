# SPDX-License-Identifier: GPL-2.0-or-later
"""A sweep says the same in one process and in several, on a store and on what is laid over it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reviewbot.kernel.objects import ObjectStore
from reviewbot.locking import sweep as module
from reviewbot.locking.audit import Sighting, merge
from reviewbot.locking.index import quiet
from reviewbot.locking.sweep import sweep
from reviewbot.locking.trees import Trees
from tests.locking.scenarios import SCENARIOS
from tests.locking.support import Files, Lab

NAMES = ("order", "recursion on one object", "flush", "worker pool", "error path keeps the lock")
KERNEL: Files = {
    path.replace("drivers/dev", f"drivers/dev{number}"): text
    for number, name in enumerate(NAMES)
    for path, text in SCENARIOS[name].bad.items()
}
MENDED: Files = {
    **KERNEL,
    **{
        path.replace("drivers/dev", "drivers/dev0"): text
        for path, text in SCENARIOS["order"].good.items()
    },
}


def told(found: list[Sighting]) -> set[tuple[object, ...]]:
    return {(s.finding.key, s.finding.site, s.finding.via, s.rank) for s in found}


@pytest.mark.parametrize("which", [0, 1])
def test_processes_find_what_one_finds(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    trees = lab.trees(KERNEL, MENDED)
    with (
        ObjectStore(lab.git_dir) as objects,
        Trees(objects, lab.settings) as opened,
    ):
        view = opened.views(trees[0], trees[1:])[which]
        alone = list(sweep(view, objects, view.active(), lab.settings, quiet))
        monkeypatch.setattr(module, "TASK", 1)
        two = replace(lab.settings, workers=2)
        steps: list[tuple[str, int, int]] = []
        many = list(sweep(view, objects, view.active(), two, lambda *step: steps.append(step)))
        assert told(many) == told(alone)
        kinds = {hazard.first.kind for hazard in merge(alone)}
        assert kinds == {SCENARIOS[name].kind for name in NAMES[which:]}
        total = len(view.active())
        assert steps[0] == (module.STAGE, 0, total)
        assert steps[-1] == (module.STAGE, total, total)
        assert len(steps) > 2


def test_with_callers_a_hazard_is_found_from_its_middle(lab: Lab) -> None:
    """The function that waits, deep down, is enough to find who holds a lock over it."""
    case = SCENARIOS["flush through calls on both sides"]
    (tree,) = lab.trees(case.bad)
    with ObjectStore(lab.git_dir) as objects, Trees(objects, lab.settings) as opened:
        (view,) = opened.views(tree, ())
        (wait,) = [
            (ref.file, ref.id)
            for path in case.bad
            for ref in view.functions_in(path)
            if ref.name == "stop"
        ]
        assert not list(sweep(view, objects, [wait], lab.settings, quiet))
        found = list(sweep(view, objects, [wait], lab.settings, quiet, callers=True))
    assert {s.finding.kind for s in found} == {case.kind}
