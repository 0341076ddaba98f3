# SPDX-License-Identifier: GPL-2.0-or-later
"""A range of commits as mails, compared with what git format-patch says."""

from __future__ import annotations

import mailbox
from pathlib import Path

import pytest

from reviewbot.errors import TreeError, UsageError
from reviewbot.kernel import range as module
from reviewbot.kernel.apply import apply_series
from reviewbot.kernel.range import RangePatches, range_patches
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.series.assemble import assemble
from tests.kernel.support import Checkout, make_base, make_series


@pytest.fixture
def commits(checkout: Checkout) -> list[str]:
    """Five commits on one line; ``v1`` is the second."""
    lines = [f"line {number}\n" for number in range(1, 41)]
    made = []
    for number in range(5):
        lines[number * 8] = f"chänged {number}\n"
        made.append(checkout.commit({"dir/x.c": "".join(lines)}, f"dir: change {number}\n\nWhy."))
    checkout.git("tag", "v1", made[1])
    return made


def patches_of(checkout: Checkout, revisions: str) -> RangePatches:
    with Repository.open(checkout.path) as opened:
        return range_patches(opened, revisions)


@pytest.mark.parametrize("revisions", ["v1..HEAD", "v1..", "v1..master", "HEAD~3..HEAD"])
def test_a_range(checkout: Checkout, commits: list[str], revisions: str, tmp_path: Path) -> None:
    found = patches_of(checkout, revisions)
    assert found.base == commits[1]
    assert found.commits == tuple(commits[2:])
    assert found.revisions == revisions
    path = tmp_path / "mbox"
    path.write_bytes(found.mbox)
    mails = list(mailbox.mbox(path))
    assert [mail["Subject"] for mail in mails] == [
        f"[PATCH {place}/3] dir: change {place + 1}" for place in (1, 2, 3)
    ]
    assert {mail["From"] for mail in mails} == {"A U Thor <author@example.org>"}
    assert not any(mail["In-Reply-To"] or mail.is_multipart() for mail in mails)
    plain = checkout.git(
        *("format-patch", "--stdout", "--full-index", "--no-signature", "--numbered"), "v1..HEAD"
    )
    assert found.mbox.decode() == plain


def test_one_commit_is_numbered_too(checkout: Checkout, commits: list[str]) -> None:
    assert b"Subject: [PATCH 1/1] dir: change 4" in patches_of(checkout, "HEAD~1..HEAD").mbox


def test_the_mails_apply_to_the_base(checkout: Checkout, commits: list[str]) -> None:
    with Repository.open(checkout.path) as opened, Scratch(opened) as scratch:
        found = range_patches(opened, "v1..HEAD")
        diffs = [part.partition("\ndiff ")[2] for part in found.mbox.decode().split("\nFrom ")]
        series = make_series(*("diff " + diff for diff in diffs))
        result = apply_series(scratch, make_base(opened.tree_of(found.base)), series)
        assert [patch.tree for patch in result.patches] == [
            opened.tree_of(commit) for commit in found.commits
        ]
        assert not any(patch.three_way or patch.offsets for patch in result.patches)


def test_a_side_that_moved_on(checkout: Checkout, commits: list[str]) -> None:
    """A need not be below B: the base is where B's commits begin."""
    checkout.git("checkout", "-q", "-b", "topic", "v1")
    topic = checkout.commit({"new.c": "int n;\n"})
    found = patches_of(checkout, "master..topic")
    assert (found.base, found.commits) == (commits[1], (topic,))


def test_the_series_room_reads_the_mails(checkout: Checkout, commits: list[str]) -> None:
    message = "dir: ünusual\n\nFrom here on it is not a mail of its own."
    checkout.commit({"dir/x.c": "int x;\n"}, message)
    found = patches_of(checkout, "v1..HEAD")
    series = assemble(found.mbox, wanted=None, source="v1..HEAD")
    assert (series.expected, series.missing, len(series.patches)) == (4, (), 4)
    last = series.patches[-1]
    assert last.subject == "dir: ünusual"
    assert "From here on it is not a mail of its own." in last.message
    with Repository.open(checkout.path) as opened, Scratch(opened) as scratch:
        result = apply_series(scratch, make_base(opened.tree_of(found.base)), series)
        assert result.patches[-1].tree == opened.tree_of(found.commits[-1])


@pytest.mark.parametrize(
    ("revisions", "message"),
    [
        ("HEAD..HEAD", "holds no commits"),
        ("HEAD..v1", "holds no commits"),
        ("..", "holds no commits"),
        ("HEAD", "write it as A..B"),
        ("v1...HEAD", "write it as A..B"),
        ("v1..HEAD..v1", "write it as A..B"),
        ("", "write it as A..B"),
        ("orphan..HEAD", "which has no commit below it"),
    ],
)
def test_what_is_no_range(
    checkout: Checkout, commits: list[str], revisions: str, message: str
) -> None:
    tree = checkout.blob("HEAD^{tree}")
    checkout.git("branch", "orphan", checkout.git("commit-tree", "-m", "orphan", tree).strip())
    with pytest.raises(UsageError, match=message):
        patches_of(checkout, revisions)


@pytest.mark.parametrize("revisions", ["v9..HEAD", "HEAD..nothing", "--all..HEAD", "HEAD..-x"])
def test_sides_that_are_not_there(checkout: Checkout, commits: list[str], revisions: str) -> None:
    with pytest.raises(TreeError):
        patches_of(checkout, revisions)


def test_merges_are_refused(checkout: Checkout, commits: list[str]) -> None:
    checkout.git("checkout", "-q", "-b", "topic", "v1")
    checkout.commit({"new.c": "int n;\n"})
    checkout.git("merge", "-q", "--no-edit", "master")
    merge = checkout.blob("HEAD")
    with pytest.raises(UsageError, match=f"holds the merge {merge[:12]}"):
        patches_of(checkout, "v1..topic")


def test_caps(checkout: Checkout, commits: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COMMITS", 2)
    with pytest.raises(UsageError, match="more than 2 commits"):
        patches_of(checkout, "v1..HEAD")
    monkeypatch.setattr(module, "MAX_MBOX", 1000)
    with pytest.raises(UsageError, match="too large"):
        patches_of(checkout, "HEAD~2..HEAD")


def test_the_authors_configuration_has_no_say(checkout: Checkout, commits: list[str]) -> None:
    plain = patches_of(checkout, "v1..HEAD").mbox
    for key, value in {
        "format.attach": "x",
        "format.subjectPrefix": "RFC",
        "format.coverLetter": "true",
        "format.thread": "deep",
        "format.to": "someone@example.org",
        "format.useAutoBase": "true",
        "diff.noprefix": "true",
        "diff.context": "9",
        "diff.algorithm": "patience",
        "color.ui": "always",
        "core.commentChar": "x",
        "core.abbrev": "4",
    }.items():
        checkout.git("config", key, value)
    assert patches_of(checkout, "v1..HEAD").mbox == plain
