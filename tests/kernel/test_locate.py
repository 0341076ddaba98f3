# SPDX-License-Identifier: GPL-2.0-or-later
"""Layouts and references, read as plain files and compared with what git says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.errors import TreeError
from reviewbot.kernel import locate as module
from reviewbot.kernel.locate import locate
from tests.kernel.support import Checkout


def shown(checkout: Checkout) -> dict[str, str]:
    lines = checkout.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split(" ") for line in lines)


def test_references_are_those_git_shows(numbered: Checkout) -> None:
    numbered.git("tag", "v1")
    numbered.git("tag", "-a", "-m", "annotated", "v2")
    numbered.git("branch", "topic/one")
    numbered.git("pack-refs", "--all")
    numbered.commit({"other.c": "int changed;\n"})
    numbered.git("update-ref", "refs/remotes/origin/master", "HEAD")
    numbered.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/master")
    located = locate(numbered.path)
    assert located.refs == shown(numbered)
    assert len(located.refs) == 6
    assert located.head == "refs/heads/master"


def test_a_linked_worktree_has_its_own_head(numbered: Checkout, tmp_path: Path) -> None:
    first = numbered.git("rev-parse", "HEAD").strip()
    numbered.commit({"other.c": "int changed;\n"})
    numbered.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"), first)
    located = locate(tmp_path / "linked")
    assert located.head == first
    assert located.objects == numbered.path / ".git" / "objects"
    assert located.refs == shown(numbered)


@pytest.mark.parametrize("name", [".git", "."])
def test_bare_repositories_and_git_directories(
    numbered: Checkout, tmp_path: Path, name: str
) -> None:
    numbered.git("clone", "-q", "--bare", ".", str(tmp_path / "bare" / ".git"))
    bare = tmp_path / "bare" / ".git"
    located = locate(bare if name == "." else tmp_path / "bare")
    assert located.objects == bare / "objects"
    assert located.head == "refs/heads/master"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "is not a git repository"),
        ({".git": "nonsense"}, "names no git directory"),
        ({".git": "gitdir: /nonexistent\n"}, "is not a git repository"),
        ({".git/HEAD": "ref: refs/heads/x"}, "is not a git repository"),
        ({".git/HEAD": "", ".git/commondir": "../nowhere"}, "no usable object directory"),
    ],
)
def test_what_is_no_repository(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    with pytest.raises(TreeError, match=message):
        locate(tmp_path)


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TreeError, match="does not exist"):
        locate(tmp_path / "nothing")


def test_sha256_is_refused(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "new", "--object-format=sha256")
    checkout.commit({"a": "b"})
    with pytest.raises(TreeError, match="SHA-256"):
        locate(checkout.path)


def test_reftable_is_refused(numbered: Checkout) -> None:
    (numbered.path / ".git" / "reftable").mkdir()
    with pytest.raises(TreeError, match="reftable"):
        locate(numbered.path)


def test_named_pipes_do_not_block(numbered: Checkout) -> None:
    os.mkfifo(numbered.path / ".git" / "packed-refs")
    os.mkfifo(numbered.path / ".git" / "refs" / "heads" / "pipe")
    assert list(locate(numbered.path).refs) == ["refs/heads/master"]


def test_oversized_files_and_too_many_references(
    numbered: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LOOSE_REFS", 2)
    for name in ("a", "b"):
        numbered.git("branch", name)
    with pytest.raises(TreeError, match="more than 2 loose references"):
        locate(numbered.path)
    monkeypatch.setattr(module, "MAX_LOOSE_REFS", 3)
    (numbered.path / ".git" / "HEAD").write_bytes(b"x" * (module.MAX_SMALL + 1))
    with pytest.raises(TreeError, match="larger than"):
        locate(numbered.path)


def test_broken_and_endless_references_are_left_out(numbered: Checkout) -> None:
    heads = numbered.path / ".git" / "refs" / "heads"
    (heads / "loop").write_text("ref: refs/heads/loop\n")
    (heads / "gone").write_text("ref: refs/heads/nothing\n")
    (heads / "junk").write_text("junk\n")
    (heads / "x.lock").write_text("0" * 40)
    (heads / "two words").write_text("0" * 40)
    assert list(locate(numbered.path).refs) == ["refs/heads/master"]


@given(st.text(max_size=40))
def test_no_reference_name_leaves_its_place(name: str) -> None:
    if module._REF.fullmatch(name):
        assert name.startswith("refs/")
        parts = name.split("/")
        assert not {"", ".", ".."} & set(parts)
        assert not any(char.isspace() and char < "\x80" for char in name)
