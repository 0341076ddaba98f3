# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of an audit through the rooms, without the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reviewbot.audit import Wanted, explain_in_series, explain_in_tree, find_hazards
from reviewbot.errors import ExitStatus, NotReviewable, TreeError, UsageError
from reviewbot.locking.index import Settings
from reviewbot.locking.model import HazardKind, hazard_id
from reviewbot.locking.primitives import builtin
from reviewbot.locking.sightings import Known, remember
from reviewbot.review import Options, known_of, review_series
from reviewbot.series.assemble import assemble
from reviewbot.series.model import Series
from tests.support.program import DOMAIN, LOCK, SITES, Kernel

FILE = "virt/kvm/eventfd.c"
ID = hazard_id(HazardKind.WORKER_POOL_CYCLE, (LOCK, DOMAIN))


@pytest.fixture
def options(kernel: Kernel, tmp_path: Path) -> Options:
    return Options(tree=kernel.path, settings=Settings(tmp_path / "cache", builtin(), workers=1))


def seed(sample_patches: Path, name: str = "seed-v2.mbox") -> Series:
    return assemble((sample_patches / name).read_bytes(), wanted=None, source=name)


def test_an_audit_finds_the_seed_without_its_patch(options: Options) -> None:
    found = find_hazards(Wanted(), options)
    (hazard,) = found.hazards
    assert hazard.id == ID
    assert {(site.function, site.via) for site in hazard.sites} == set(SITES)
    assert found.exit_status is ExitStatus.FINDINGS
    assert found.counts == {HazardKind.WORKER_POOL_CYCLE: 1}


def test_it_is_gone_from_the_tree_with_the_patch(options: Options) -> None:
    found = find_hazards(Wanted(rev="v2"), options)
    assert found.hazards == ()
    assert found.exit_status is ExitStatus.OK
    assert found.functions > 0


@pytest.mark.parametrize(
    ("paths", "count"),
    [((FILE,), 1), (("virt/",), 1), (("./virt//kvm",), 1), ((".",), 1), (("include",), 0)],
)
def test_a_part_of_the_tree(options: Options, paths: tuple[str, ...], count: int) -> None:
    assert len(find_hazards(Wanted(paths=paths), options).hazards) == count


@pytest.mark.parametrize(
    ("kind", "count"), [(HazardKind.WORKER_POOL_CYCLE, 1), (HazardKind.FLUSH_CYCLE, 0)]
)
def test_one_kind(options: Options, kind: HazardKind, count: int) -> None:
    found = find_hazards(Wanted(kinds=(kind,)), options)
    assert (len(found.hazards), found.found) == (count, count)


@pytest.mark.parametrize("path", ["drivers/nothing", "/etc", "../x", "virt/kv"])
def test_a_path_without_source_is_refused(options: Options, path: str) -> None:
    with pytest.raises(UsageError, match=path):
        find_hazards(Wanted(paths=(path,)), options)


def test_an_unknown_revision_is_refused(options: Options) -> None:
    with pytest.raises(TreeError, match="v9"):
        find_hazards(Wanted(rev="v9"), options)
    with pytest.raises(TreeError, match="v9"):
        find_hazards(Wanted(since="v9"), options)


def test_since_lists_what_a_change_is_part_of(options: Options) -> None:
    assert len(find_hazards(Wanted(rev="revert", since="v2"), options).hazards) == 1
    assert find_hazards(Wanted(rev="v2", since="master"), options).hazards == ()


def test_since_leaves_out_what_nobody_touched(options: Options, kernel: Kernel) -> None:
    head = kernel.git("rev-parse", "master").strip()
    same = find_hazards(Wanted(since=head), options)
    assert (same.hazards, same.functions, same.since) == ((), 0, head)
    other = find_hazards(Wanted(rev="revert", since="v2", paths=("include",)), options)
    assert other.hazards == ()


def test_explain_after_an_audit_needs_the_id_alone(options: Options) -> None:
    find_hazards(Wanted(), options)
    for identity in (ID, ID[:14], ID.rpartition("-")[2][:4]):
        told = explain_in_tree(identity, "master", (), options)
        assert told.hazard.id == ID
    assert [chain.context.split()[0] for chain in told.chains] == ["task", "work"]
    assert all(step.lines for chain in told.chains for step in chain.steps)


def test_explain_after_a_review_of_its_base(options: Options, sample_patches: Path) -> None:
    review = review_series(seed(sample_patches), options)
    assert review.base is not None
    remember(options.settings.cache, map(known_of, review.hazards))
    told = explain_in_tree(ID, review.base.commit, (), options)
    assert told.hazard.id == review.hazards[0].id


def test_explain_of_what_was_never_seen_needs_a_path(options: Options) -> None:
    with pytest.raises(UsageError, match="PATH"):
        explain_in_tree(ID, "master", (), options)
    assert explain_in_tree(ID, "master", ["virt"], options).hazard.id == ID
    with pytest.raises(UsageError, match="include"):
        explain_in_tree(ID, "master", ["include"], options)


def test_explain_believes_the_tree_and_not_its_memory(options: Options) -> None:
    find_hazards(Wanted(), options)
    with pytest.raises(UsageError, match="v2"):
        explain_in_tree(ID, "v2", (), options)


def test_an_id_of_several_hazards_names_them(options: Options) -> None:
    twin = Known(HazardKind.WORKER_POOL_CYCLE, ("a", "b"), ((FILE, "f"),))
    find_hazards(Wanted(), options)
    remember(options.settings.cache, [twin])
    with pytest.raises(UsageError, match=f"2 hazards.*{twin.id}"):
        explain_in_tree("worker", "master", (), options)
    assert explain_in_tree(ID, "master", (), options).hazard.id == ID


def test_explain_in_a_series_that_removes_and_one_that_brings(
    options: Options, sample_patches: Path, kernel: Kernel
) -> None:
    gone = explain_in_series(ID[:20], seed(sample_patches), options)
    assert gone.hazard.id == ID
    assert gone.tree.endswith("before the series")
    mails = kernel.mails("--full-index", "v2..revert")
    brought = explain_in_series(ID, assemble(mails, wanted=None, source="x"), options)
    assert brought.tree.endswith("after the series")
    with pytest.raises(UsageError, match="no hazard"):
        explain_in_series("flush", seed(sample_patches), options)


def test_a_series_that_does_not_apply_has_nothing_to_explain(
    options: Options, sample_patches: Path
) -> None:
    with pytest.raises(NotReviewable, match="does not apply"):
        explain_in_series(ID, seed(sample_patches), replace(options, base="v2"))
