# SPDX-License-Identifier: GPL-2.0-or-later
"""The choice of a base and the clause that says why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha1
from pathlib import Path

import pytest

from reviewbot.errors import TreeError
from reviewbot.kernel import base as module
from reviewbot.kernel.base import choose_base
from reviewbot.kernel.mirror import Mirror
from reviewbot.kernel.model import BaseHow
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.series.model import (
    BlobChange,
    Finding,
    Prerequisite,
    Reference,
    ReferenceKind,
    Series,
)
from tests.kernel.support import Checkout, make_patch, make_series, mbox_diff


@pytest.fixture
def commits(checkout: Checkout) -> list[str]:
    """v1, v2 and v3 (HEAD): a.c changes each time, b.c with v3 only."""
    made = []
    for number in (1, 2, 3):
        files = {"a.c": f"int a{number};\n", "b.c": f"int b{number // 3};\n"}
        made.append(checkout.commit(files, date=number))
        checkout.git("tag", f"v{number}")
    return made


def choose(
    checkout: Checkout,
    series: Series,
    option: str | None = None,
    branch: str = "",
    mirror: Mirror | None = None,
    prerequisites: Sequence[Prerequisite] = (),
) -> tuple[str, BaseHow, str]:
    with Repository.open(checkout.path, mirror) as opened:
        base = choose_base(opened, series, option, branch, prerequisites)
        if mirror is not None:
            assert base.tree == opened.tree_of(base.commit)
            return base.describe, base.how, base.why
        assert base.tree == checkout.blob(f"{base.commit}^{{tree}}")
    return base.describe, base.how, base.why


def series_on(
    checkout: Checkout, commit: str, *names: str, base_commit: str | None = None
) -> Series:
    """A series of one patch that changes files as they are in a commit."""
    checkout.git("checkout", "-q", commit)
    for name in names:
        with (checkout.path / name).open("a") as file:
            file.write("int more;\n")
    diff = checkout.git("diff")
    checkout.git("checkout", "-q", "-f", "master")
    return make_series(diff, base_commit=base_commit)


def test_the_option_wins(checkout: Checkout, commits: list[str]) -> None:
    series = series_on(checkout, "v3", "a.c", base_commit=commits[1])
    assert choose(checkout, series, "v1") == ("v1", BaseHow.OPTION, "v1 was asked for")
    with pytest.raises(TreeError, match="'v9' names no commit"):
        choose(checkout, series, "v9")


def test_base_commit_comes_next(checkout: Checkout, commits: list[str]) -> None:
    series = series_on(checkout, "v3", "a.c", base_commit=commits[1])
    assert choose(checkout, series) == ("v2", BaseHow.BASE_COMMIT, "the series names it")


@pytest.mark.parametrize("given", ["1" * 40, "6", "v1", "HEAD", "--all", "", "master"])
def test_a_base_commit_that_is_not_there(
    checkout: Checkout, commits: list[str], given: str
) -> None:
    series = series_on(checkout, "v2", "a.c", base_commit=given)
    why = "base-commit given but not in this tree; 1 of 1 pre-image blobs match"
    assert choose(checkout, series) == ("v2", BaseHow.BLOBS, why)


def test_head_is_first_among_those_that_match(checkout: Checkout, commits: list[str]) -> None:
    series = series_on(checkout, "v3", "a.c", "b.c")
    checkout.commit({"c.c": "int c;\n"}, date=9)
    assert choose(checkout, series) == ("master", BaseHow.BLOBS, "2 of 2 pre-image blobs match")


def test_the_newest_tag_that_matches(checkout: Checkout, commits: list[str]) -> None:
    series = series_on(checkout, "v2", "b.c")
    assert choose(checkout, series) == ("v2", BaseHow.BLOBS, "1 of 1 pre-image blobs match")
    series = series_on(checkout, "v1", "a.c", "b.c")
    assert choose(checkout, series) == ("v1", BaseHow.BLOBS, "2 of 2 pre-image blobs match")


def test_a_remote_branch_matches(checkout: Checkout, commits: list[str]) -> None:
    checkout.git("checkout", "-q", "--detach", "v1")
    commit = checkout.commit({"a.c": "int elsewhere;\n"}, date=2)
    checkout.git("update-ref", "refs/remotes/next/master", commit)
    series = series_on(checkout, commit, "a.c", "b.c")
    assert choose(checkout, series)[:2] == ("next/master", BaseHow.BLOBS)


def test_a_partial_match_is_told_and_head_used(checkout: Checkout, commits: list[str]) -> None:
    mixed = series_on(checkout, "v3", "a.c", "b.c").patches[0].diff
    blob = checkout.blob("v3:a.c")[:7]
    series = make_series(mixed.replace(f"index {blob}", "index 1234567"), base_commit="2" * 40)
    assert choose(checkout, series) == (
        "v3",
        BaseHow.HEAD,
        "base-commit given but not in this tree; 1 of 2 pre-image blobs match; used HEAD",
    )


def test_known_blobs_that_never_stood_together(checkout: Checkout, commits: list[str]) -> None:
    one = series_on(checkout, "v1", "a.c").patches[0].diff
    three = series_on(checkout, "v3", "b.c").patches[0].diff
    why = "1 of 2 pre-image blobs match; used HEAD"
    assert choose(checkout, make_series(one + three)) == ("v3", BaseHow.HEAD, why)


def test_nothing_matches(checkout: Checkout, commits: list[str]) -> None:
    diff = series_on(checkout, "v3", "a.c").patches[0].diff
    blob = checkout.blob("v3:a.c")[:7]
    series = make_series(diff.replace(f"index {blob}", "index 1234567"))
    assert choose(checkout, series) == ("v3", BaseHow.HEAD, "pre-image blobs differ; used HEAD")


def test_only_new_files(checkout: Checkout, commits: list[str]) -> None:
    checkout.write({"new.c": "int n;\n"})
    checkout.git("add", "-N", "new.c")
    series = make_series(checkout.git("diff"))
    assert series.patches[0].blobs[0].before == "0000000"
    why = "no pre-image blobs to compare; used HEAD"
    assert choose(checkout, series) == ("v3", BaseHow.HEAD, why)


def test_only_the_first_pre_image_of_a_file_counts(checkout: Checkout, commits: list[str]) -> None:
    first = series_on(checkout, "v2", "a.c").patches[0].diff
    second = first.replace(f"index {checkout.blob('v2:a.c')[:7]}", "index 1234567")
    assert choose(checkout, make_series(first, second))[0] == "v2"


def test_an_ambiguous_pre_image_still_decides(
    checkout: Checkout, commits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a kernel clone seven digits often fit several blobs; the path tells which one."""
    monkeypatch.setattr(module, "_COMMIT", re.compile("[0-9a-f]{4,40}"))  # four are found sooner
    short = checkout.blob("v1:a.c")[:4]
    for number in range(2_000_000):
        text = f"{number}\n"
        oid = sha1(f"blob {len(text)}\0{text}".encode(), usedforsecurity=False).hexdigest()
        if oid.startswith(short):
            break
    assert checkout.git("hash-object", "-w", "--stdin", data=text).strip() == oid
    with Repository.open(checkout.path) as opened:
        assert len(opened.find_blob_prefixes([short])[short]) == 2
    patch = series_on(checkout, "v1", "a.c").patches[0]
    patch = replace(patch, blobs=(BlobChange("a.c", short, "1234567"),))
    assert choose(checkout, make_series(patch))[:2] == ("v1", BaseHow.BLOBS)


def test_the_lists_branch_is_used_when_nothing_matches(
    checkout: Checkout, commits: list[str]
) -> None:
    checkout.git("update-ref", "refs/remotes/kvm/next", commits[0])
    series = make_series("")
    why = "no pre-image blobs to compare; used kvm/next, where this list's patches go"
    assert choose(checkout, series, branch="kvm/next") == ("v1", BaseHow.BRANCH, why)
    why = "no pre-image blobs to compare; kvm/gone is not there; used HEAD"
    assert choose(checkout, series, branch="kvm/gone") == ("v3", BaseHow.HEAD, why)


def test_the_lists_branch_is_preferred_to_other_matches(
    checkout: Checkout, commits: list[str]
) -> None:
    series = series_on(checkout, "v1", "b.c")
    assert choose(checkout, series)[0] == "v2"
    assert choose(checkout, series, branch="v1")[:2] == ("v1", BaseHow.BLOBS)


def test_blobs_below_the_prerequisites(checkout: Checkout, commits: list[str]) -> None:
    below = series_on(checkout, "v1", "a.c").patches[0]
    blobs = (BlobChange("a.c", below.blobs[0].after, "1234567"),)
    series = make_series(replace(make_patch(""), blobs=blobs))
    assert choose(checkout, series)[1] is BaseHow.HEAD
    found = Prerequisite(Reference(ReferenceKind.PATCH_ID, "1" * 40), Finding.FOUND, (below,))
    why = "with prerequisites 1 of 1 pre-image blobs match"
    assert choose(checkout, series, prerequisites=(found,)) == ("v1", BaseHow.BLOBS, why)


def test_caps_hold(checkout: Checkout, commits: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    series = series_on(checkout, "v1", "a.c")
    monkeypatch.setattr(module, "MAX_CANDIDATES", 2)
    assert choose(checkout, series)[:2] == ("v3", BaseHow.HEAD)
    monkeypatch.setattr(module, "MAX_CANDIDATES", 3)
    assert choose(checkout, series)[:2] == ("v1", BaseHow.BLOBS)
    monkeypatch.setattr(module, "MAX_QUERIES", 1)
    assert choose(checkout, series)[:2] == ("v3", BaseHow.HEAD)


def test_thousands_of_tags(checkout: Checkout, commits: list[str]) -> None:
    refs = "".join(f"create refs/tags/t{number} {commits[1]}\n" for number in range(3000))
    checkout.git("update-ref", "--stdin", data=refs)
    series = series_on(checkout, "v1", "a.c")
    assert choose(checkout, series)[:2] == ("v1", BaseHow.BLOBS)


@pytest.mark.kernel
def test_the_seed_uses_head_of_debians_tree(kernel: tuple[Repository, Scratch], seed: Path) -> None:
    repository, _ = kernel
    series = make_series(mbox_diff(seed / "seed-v2.mbox"))
    base = choose_base(repository, series, None)
    assert (base.describe, base.how) == ("v6.12", BaseHow.HEAD)
    assert base.why == "pre-image blobs differ; used HEAD"
