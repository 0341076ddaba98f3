# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's repository: found in every layout, resolved, and left alone."""

from __future__ import annotations

import subprocess
from hashlib import sha1
from pathlib import Path

import pytest

from reviewbot.errors import TreeError
from reviewbot.kernel.apply import apply_series
from reviewbot.kernel.base import choose_base
from reviewbot.kernel.range import range_patches
from reviewbot.kernel.repository import Repository, Scratch
from tests.kernel.support import Checkout, make_series, temporary_left


@pytest.fixture
def history(checkout: Checkout) -> list[str]:
    """Four commits; tags v1 (light), v2 (annotated); branch topic; remote master."""
    commits = [checkout.commit({"a.c": f"int a{n};\n"}, date=n) for n in range(4)]
    checkout.git("tag", "v1", commits[0])
    checkout.git("tag", "-a", "-m", "second", "v2", commits[1])
    checkout.git("branch", "topic", commits[2])
    checkout.git("update-ref", "refs/remotes/origin/master", commits[3])
    checkout.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/master")
    return commits


def test_revisions_resolve_as_git_resolves_them(checkout: Checkout, history: list[str]) -> None:
    checkout.git("pack-refs", "--all")
    revisions = [
        *("HEAD", "@", "master", "refs/heads/master", "v1", "v2", "v2^{}", "topic", "topic~2"),
        *("origin/master", "origin", "HEAD~3", "HEAD^", "v2^0", history[1], history[1][:8]),
    ]
    with Repository.open(checkout.path) as opened:
        for revision in revisions:
            assert opened.resolve(revision) == checkout.blob(f"{revision}^{{commit}}"), revision


def test_fetch_head_resolves(checkout: Checkout, history: list[str], tmp_path: Path) -> None:
    clone = Checkout(tmp_path / "clone")
    checkout.git("clone", "-q", ".", str(clone.path))
    clone.git("fetch", "-q", "origin", "topic")
    with Repository.open(clone.path) as opened:
        assert opened.resolve("FETCH_HEAD") == history[2]


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        ("nothing", r"'nothing' names no commit in .*user: give a tag, branch or commit id"),
        ("v9.99", "names no commit"),
        ("1" * 40, "names no commit"),
        ("HEAD~99", "names no commit"),
        ("HEAD^{tree}", "names no commit"),
        ("", "is not a revision"),
        ("--all", "is not a revision"),
        ("-n1", "is not a revision"),
        ("HEAD:a.c", "is not a revision"),
        (":/change", "is not a revision"),
        ("HEAD\nHEAD", "is not a revision"),
        ("a b", "is not a revision"),
        ("x" * 5000, "is not a revision"),
        ("\udcff", "is not a revision"),
        ("HEAD@{1}", "reflog"),
        ("@{upstream}", "reflog or configuration"),
        ("v1..v2", "names no commit"),
    ],
)
def test_what_is_no_revision(
    checkout: Checkout, history: list[str], revision: str, message: str
) -> None:
    with Repository.open(checkout.path) as opened, pytest.raises(TreeError, match=message):
        opened.resolve(revision)


def test_an_ambiguous_id_is_said_to_be(checkout: Checkout, history: list[str]) -> None:
    tree = checkout.blob("HEAD^{tree}")
    who = "A U Thor <author@example.org> 1577836800 +0000"
    seen: dict[str, str] = {}
    for number in range(5000):
        text = f"tree {tree}\nauthor {who}\ncommitter {who}\n\n{number}\n"
        oid = sha1(f"commit {len(text)}\0{text}".encode(), usedforsecurity=False).hexdigest()
        if other := seen.get(oid[:4]):
            break
        seen[oid[:4]] = text
    assert other
    for each in (other, text):
        checkout.git("hash-object", "-w", "-t", "commit", "--stdin", data=each)
    with Repository.open(checkout.path) as opened:
        with pytest.raises(TreeError, match=f"'{oid[:4]}' is ambiguous in"):
            opened.resolve(oid[:4])
        assert opened.resolve(oid[:20]) == oid


def test_describe(checkout: Checkout, history: list[str]) -> None:
    with Repository.open(checkout.path) as opened:
        assert opened.describe(history[0]) == "v1"
        assert opened.describe(history[1]) == "v2"
        assert opened.describe(history[2]) == "topic"
        assert opened.describe(history[3]) == "master"
        assert opened.describe("1" * 40) == "1" * 12
    checkout.git("checkout", "-q", "--detach")
    checkout.git("branch", "-D", "master")
    with Repository.open(checkout.path) as opened:
        assert opened.describe(history[3]) == "origin/HEAD"


def test_the_branch_of_head_names_a_commit(checkout: Checkout, history: list[str]) -> None:
    checkout.git("checkout", "-q", "-b", "a-longer-name")
    with Repository.open(checkout.path) as opened:
        assert opened.describe(history[3]) == "a-longer-name"


def test_tips_are_newest_first_and_skip_what_is_no_commit(
    checkout: Checkout, history: list[str]
) -> None:
    checkout.git("tag", "a-tree", "HEAD^{tree}")
    (checkout.path / ".git" / "refs" / "heads" / "broken").write_text("1" * 40 + "\n")
    with Repository.open(checkout.path) as opened:
        assert [tip.commit for tip in opened.tips] == [history[3]] * 3 + history[2::-1]
        assert {tip.name for tip in opened.tips} == {
            *("origin/master", "origin/HEAD", "master", "topic", "v2", "v1")
        }


def test_no_commits_and_no_repository(tmp_path: Path, checkout: Checkout) -> None:
    with pytest.raises(TreeError, match="has no commits yet"):
        Repository.open(checkout.path)
    with pytest.raises(TreeError, match="not a git repository"):
        Repository.open(tmp_path)
    with pytest.raises(TreeError, match="does not exist"):
        Repository.open(tmp_path / "nothing")
    assert temporary_left() == []


def test_an_unborn_head_with_other_branches(checkout: Checkout, history: list[str]) -> None:
    checkout.git("symbolic-ref", "HEAD", "refs/heads/unborn")
    with Repository.open(checkout.path) as opened:
        assert opened.resolve("topic") == history[2]
        with pytest.raises(TreeError, match="names no commit"):
            opened.resolve("HEAD")
        with pytest.raises(TreeError, match=r"choose a base with --base"):
            choose_base(opened, make_series(""), None)


LAYOUTS = ["checkout", "bare", "worktree", "shared", "nested", "git-file", "git-dir", "shallow"]


def lay_out(checkout: Checkout, layout: str, place: Path) -> Path:
    """A repository of another kind with the same HEAD."""
    source = str(checkout.path)
    if layout == "checkout":
        return checkout.path
    if layout == "git-dir":
        return checkout.path / ".git"
    if layout == "worktree":
        checkout.git("worktree", "add", "-q", "--detach", str(place))
    elif layout == "git-file":
        checkout.git("clone", "-q", f"--separate-git-dir={place}.git", source, str(place))
    elif layout == "shallow":
        checkout.git("clone", "-q", "--depth=2", f"file://{source}", str(place))
    elif layout == "nested":
        checkout.git("clone", "-q", "--shared", source, f"{place}.middle")
        Checkout(Path(f"{place}.middle")).git("clone", "-q", "--shared", ".", str(place))
    else:
        option = {"bare": "--bare", "shared": "--shared"}[layout]
        checkout.git("clone", "-q", option, source, str(place))
    return place


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_applied_to_and_unchanged(
    numbered: Checkout, tmp_path: Path, layout: str
) -> None:
    numbered.commit({"other.c": "int second;\n"})
    head = numbered.commit({"other.c": "int third;\n"})
    diff = numbered.edit("dir/lines.c", ("line 30\n", "line thirty\n"))
    path = lay_out(numbered, layout, tmp_path / "laid out")
    user = Checkout(path)
    before = user.state()
    with Repository.open(path) as opened, Scratch(opened) as scratch:
        series = make_series(diff)
        base = choose_base(opened, series, None)
        assert base.commit == head
        result = apply_series(scratch, base, series)
        assert result.failed is None
        assert range_patches(opened, "HEAD~1..HEAD").commits == (head,)
        blob = scratch.lookup(result.patches[0].tree or "", ["dir/lines.c"])["dir/lines.c"]
        assert b"line thirty\n" in scratch.read_blob(blob)
    assert user.state() == before
    assert temporary_left() == []


def arm(checkout: Checkout, marker: Path) -> None:
    """Configure everything that git may run while it reads, writes or diffs."""
    git_dir = checkout.path / ".git"
    program = checkout.path.parent / "program"
    program.write_text(f"#!/bin/sh\necho $0 $* >> {marker}\ncat\n")
    program.chmod(0o755)
    (checkout.path.parent / "included").write_text(f"[core]\n\tpager = {program}\n")
    settings = {
        "core.fsmonitor": program,
        "core.hooksPath": git_dir / "hooks",
        "core.sshCommand": program,
        "core.pager": program,
        "core.worktree": checkout.path.parent / "elsewhere",
        "include.path": checkout.path.parent / "included",
        "filter.evil.clean": program,
        "filter.evil.smudge": program,
        "filter.evil.process": program,
        "filter.evil.required": "true",
        "diff.external": program,
        "diff.evil.textconv": program,
        "diff.evil.command": program,
        "merge.evil.driver": f"{program} %A",
        "merge.default": "evil",
        "alias.apply": f"!{program}",
        "alias.rev-parse": f"!{program}",
        "alias.cat-file": f"!{program}",
        "gpg.program": program,
        "format.signature": "evil",
        "format.attach": "evil",
        "trailer.x.command": program,
    }
    lines = []
    for key, value in settings.items():
        section, _, name = key.rpartition(".")
        first, _, sub = section.partition(".")
        title = f'[{first} "{sub}"]' if sub else f"[{first}]"
        lines.append(f'{title}\n\t{name} = "{value}"\n')
    with (git_dir / "config").open("a") as config:
        config.writelines(lines)
    (git_dir / "info").mkdir(exist_ok=True)
    (git_dir / "info" / "attributes").write_text("* filter=evil diff=evil merge=evil\n")
    hooks = git_dir / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("applypatch-msg", "post-checkout", "post-index-change", "reference-transaction"):
        (hooks / name).write_text(program.read_text())
        (hooks / name).chmod(0o755)


def test_nothing_of_the_users_configuration_runs(numbered: Checkout, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    numbered.commit({".gitattributes": "* filter=evil diff=evil merge=evil\n"})
    # The pre-image is known but no longer in place: the patch needs a real merge.
    diff = numbered.edit("dir/lines.c", ("line 30\n", "line thirty\n"))
    text = (numbered.path / "dir" / "lines.c").read_text()
    numbered.commit({"dir/lines.c": text.replace("line 27\n", "line 27b\n")})
    arm(numbered, marker)
    before = sorted(path for path in tmp_path.rglob("*") if not path.is_dir())
    series = make_series(diff)
    with Repository.open(numbered.path) as opened, Scratch(opened) as scratch:
        base = choose_base(opened, series, None)
        result = apply_series(scratch, base, series)
        patches = range_patches(opened, "HEAD~2..HEAD")
        blob = scratch.lookup(result.patches[0].tree or "", ["dir/lines.c"])["dir/lines.c"]
        applied = scratch.read_blob(blob)
        assert len(list(opened.list_tree(base.tree))) == 3
    assert result.patches[0].three_way
    assert b"\nline thirty\n" in applied
    assert b"evil\n--" not in patches.mbox
    assert b"multipart" not in patches.mbox
    assert not marker.exists()
    assert sorted(path for path in tmp_path.rglob("*") if not path.is_dir()) == before
    # The trap works: plain git walks into it.
    plain = ["git", f"--work-tree={numbered.path}", "diff", "HEAD~1", "HEAD"]
    subprocess.run(plain, cwd=numbered.path, capture_output=True, check=False)
    assert marker.exists()
