# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading trees and blobs, compared with what plain git says."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from reviewbot.errors import TreeError
from reviewbot.kernel import git
from reviewbot.kernel.model import TreeChange, TreeEntry
from reviewbot.kernel.repository import Repository, Scratch
from tests.kernel.support import Checkout


@pytest.fixture
def repository(numbered: Checkout) -> Iterator[Repository]:
    with Repository.open(numbered.path) as opened:
        yield opened


def head_tree(checkout: Checkout) -> str:
    return checkout.blob("HEAD^{tree}")


def test_list_tree(checkout: Checkout) -> None:
    checkout.write({"run.sh": "#!/bin/sh\n", "a b/ü\n.c": "x\n", "plain.c": "y\n"})
    (checkout.path / "run.sh").chmod(0o755)
    (checkout.path / "link").symlink_to("plain.c")
    os.close(os.open(os.fsencode(checkout.path) + b"/\xff.c", os.O_CREAT | os.O_WRONLY, 0o644))
    checkout.commit({})
    with Repository.open(checkout.path) as opened:
        entries = list(opened.list_tree(head_tree(checkout)))
        assert entries[0] == TreeEntry("a b/ü\n.c", "100644", checkout.blob("HEAD:a b/ü\n.c"))
        modes = {entry.path: entry.mode for entry in entries}
        assert modes == {
            "a b/ü\n.c": "100644",
            "link": "120000",
            "plain.c": "100644",
            "run.sh": "100755",
            "\udcff.c": "100644",
        }
        assert opened.lookup(head_tree(checkout), ["\udcff.c"]).keys() == {"\udcff.c"}


def test_lookup(repository: Repository, numbered: Checkout) -> None:
    tree = head_tree(numbered)
    asked = [
        "dir/lines.c",
        "dir",
        "dir/",
        "/",
        "",
        "none",
        "../x",
        "dir/./lines.c",
        "/dir/lines.c",
        "a\0b",
        "*.c",
        "x" * 9000,
    ]
    assert repository.lookup(tree, asked) == {"dir/lines.c": numbered.blob("HEAD:dir/lines.c")}
    many = [f"dir/none-{number}" for number in range(2000)]
    assert repository.lookup(tree, [*many, "other.c"]).keys() == {"other.c"}


def test_diff_trees(numbered: Checkout) -> None:
    before = head_tree(numbered)
    numbered.git("mv", "other.c", "moved.c")
    (numbered.path / "dir" / "lines.c").chmod(0o755)
    numbered.commit({"new.c": "int n;\n"})
    after = head_tree(numbered)
    other, new = numbered.blob("HEAD:moved.c"), numbered.blob("HEAD:new.c")
    lines = numbered.blob("HEAD:dir/lines.c")
    with Repository.open(numbered.path) as opened:
        assert opened.diff_trees(before, after) == (
            TreeChange("dir/lines.c", lines, lines, "100644", "100755"),
            TreeChange("moved.c", None, other, None, "100644"),
            TreeChange("new.c", None, new, None, "100644"),
            TreeChange("other.c", other, None, "100644", None),
        )
        assert opened.diff_trees(after, after) == ()


def test_read_blobs_in_order_and_in_parallel(numbered: Checkout) -> None:
    files = {f"f{number}.c": os.urandom(400).hex() * number for number in range(300)}
    numbered.commit(files)
    with Repository.open(numbered.path) as opened:
        ids = opened.lookup(head_tree(numbered), files)
        asked = [ids[name] for name in files]
        first, second = opened.read_blobs(asked), opened.read_blobs(reversed(asked))
        for name, text in files.items():
            assert next(first) == (ids[name], text.encode())
            next(second)
            assert opened.read_blob(ids["f1.c"]) == files["f1.c"].encode()
        assert list(opened.read_blobs([])) == []


def test_a_reader_left_early_gives_no_wrong_answers(
    repository: Repository, numbered: Checkout
) -> None:
    lines, other = numbered.blob("HEAD:dir/lines.c"), numbered.blob("HEAD:other.c")
    half = repository.read_blobs([lines] * 200)
    next(half)
    del half
    assert repository.read_blob(other) == b"int other;\n"


def test_large_blobs_do_not_deadlock(checkout: Checkout) -> None:
    checkout.commit({f"big{number}": f"{number}" * (3 << 20) for number in range(4)})
    with Repository.open(checkout.path) as opened:
        ids = [entry.blob for entry in opened.list_tree(head_tree(checkout))] * 20
        assert sum(len(data) for _, data in opened.read_blobs(ids)) == 80 * (3 << 20)


def test_missing_objects_are_tree_errors(repository: Repository) -> None:
    with pytest.raises(TreeError, match=f"object {'1' * 40} is missing"):
        repository.read_blob("1" * 40)
    with pytest.raises(TreeError, match="is missing"):
        repository.tree_of("1" * 40)


@pytest.mark.parametrize("name", ["HEAD", "--batch-check", "", "1" * 39, "1" * 40 + "\n", "x\ny"])
def test_only_full_ids_are_taken(repository: Repository, name: str) -> None:
    for call in (
        repository.read_blob,
        repository.tree_of,
        lambda oid: list(repository.list_tree(oid)),
        lambda oid: repository.diff_trees(oid, oid),
        lambda oid: repository.lookup(oid, ["other.c"]),
    ):
        with pytest.raises(TreeError, match="not a full object id"):
            call(name)


def test_a_reader_that_dies_is_an_error(repository: Repository, numbered: Checkout) -> None:
    lines = numbered.blob("HEAD:dir/lines.c")
    repository.read_blob(lines)
    (reader,) = repository._idle
    reader._child.kill()
    reader._child.wait()
    with pytest.raises(git.GitError, match="git cat-file"):
        repository.read_blob(lines)
    assert repository.read_blob(lines).startswith(b"line 1\n")


def test_children_end_with_the_repository(numbered: Checkout) -> None:
    lines = numbered.blob("HEAD:dir/lines.c")
    with pytest.raises(RuntimeError), Repository.open(numbered.path) as opened:
        opened.read_blob(lines)
        (reader,) = opened._idle
        raise RuntimeError
    assert reader._child.returncode is not None


def test_find_blob_prefixes(repository: Repository, numbered: Checkout) -> None:
    lines, other = numbered.blob("HEAD:dir/lines.c"), numbered.blob("HEAD:other.c")
    tree = head_tree(numbered)
    numbered.git("branch", lines[:9])  # a reference is not an object's prefix
    asked = [lines[:7], other, tree[:12], "1" * 12, lines[:3], "nonsense", "0" * 40, "--all"]
    assert repository.find_blob_prefixes(asked) == {
        lines[:7]: (lines,),
        other: (other,),
    }
    assert repository.find_blob_prefixes([]) == {}


def test_peel(repository: Repository, numbered: Checkout) -> None:
    commit, other = numbered.blob("HEAD"), numbered.blob("HEAD:other.c")
    names = ["HEAD", "HEAD:other.c", "HEAD:no such", "1" * 40, "HEAD^{tree}", ""]
    assert repository.peel(names) == [
        (commit, "commit"),
        (other, "blob"),
        (None, None),
        (None, None),
        (head_tree(numbered), "tree"),
        (None, None),
    ]
    with pytest.raises(TreeError, match="line break"):
        repository.peel(["HEAD\nHEAD"])


def test_a_partial_clone_fetches_nothing(numbered: Checkout, tmp_path: object) -> None:
    blob = numbered.blob("HEAD:other.c")
    git_dir = numbered.path / ".git"
    (git_dir / "objects" / blob[:2] / blob[2:]).unlink()
    marker = numbered.path / "fetched"
    numbered.git("config", "remote.origin.url", f"ext::touch {marker}")
    numbered.git("config", "remote.origin.promisor", "true")
    numbered.git("config", "extensions.partialClone", "origin")
    numbered.git("config", "protocol.allow", "always")
    with Repository.open(numbered.path) as opened, Scratch(opened) as scratch:
        for store in (opened, scratch):
            with pytest.raises(TreeError, match="partial or broken clone"):
                store.read_blob(blob)
    assert not marker.exists()


@pytest.mark.kernel
def test_the_whole_kernel_is_read(kernel: tuple[Repository, Scratch]) -> None:
    repository, _ = kernel
    entries = list(repository.list_tree(repository.tree_of(repository.resolve("v6.12"))))
    assert len(entries) > 80_000
    some = [entry.blob for entry in entries if entry.path.startswith("virt/")]
    assert [oid for oid, _ in repository.read_blobs(some)] == some
