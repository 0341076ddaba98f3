# SPDX-License-Identifier: GPL-2.0-or-later
"""Diffs in and out of mail."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.series import diffs
from reviewbot.series.model import BlobChange
from tests.support.mails import Author

CLEAN = "--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@ int f(void)\n {\n-a\n+b\n"


@pytest.mark.parametrize(
    "tail",
    [
        "",
        "-- \n2.34.1\n\n",
        "--\n2.34.1\n",
        "\nsome words\n",
        "_____\nlist\n",
        "-- \n2.34.1\n\nbase-commit: 0123456\n",
    ],
)
def test_extract_ends_at_the_last_hunk(tail: str) -> None:
    assert diffs.extract(f"v2:\n - note\n---\n x.c | 2 +-\n\n{CLEAN}{tail}") == CLEAN


def test_extract_of_text_without_a_diff() -> None:
    assert diffs.extract("--- \nhello\n-- \n2.34\n") == ""


def test_a_removed_signature_line_is_part_of_the_hunk() -> None:
    diff = "--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n-- \n a\n"
    assert diffs.extract(f"{diff}-- \n2.34.1\n") == diff


def test_what_a_hunk_says() -> None:
    (file,) = diffs.parse(CLEAN)
    (hunk,) = file.hunks
    assert (file.old, file.new, file.path, file.before) == ("x.c", "x.c", "x.c", "")
    assert (hunk.old_start, hunk.old_count, hunk.new_count, hunk.section) == (
        1,
        2,
        2,
        "int f(void)",
    )
    assert hunk.lines == (" {", "-a", "+b")
    assert hunk.intact


@pytest.mark.parametrize(
    "body",
    [
        "{\n-a\n+b\n",
        " {\n-a\n",
        " {\n-a\n+b\n+c\n",
        " {\n-a\n+b\nrest of b\n",
        " {\n-a\n+b\n\n@@ -9 +9 @@\n-a\n+b\n",
        " {\n-a\n-c\n+b\n",
    ],
    ids=["no-blank", "too-few", "too-many", "wrapped", "between-hunks", "miscounted"],
)
def test_a_hunk_that_does_not_add_up(body: str) -> None:
    (file,) = diffs.parse(f"--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\n{body}")
    assert not file.hunks[0].intact


def test_every_kind_of_change_that_git_prints(tmp_path: Path) -> None:
    author = Author(tmp_path / "author")
    root = author.root
    for name in ("old name", "gone.c", "tool.sh", "blob.bin"):
        (root / name).write_bytes(f"{name}\n".encode() * 20)
    author.git("add", "-A")
    author.git("commit", "-qm", "before")
    author.git("mv", "old name", "nëw name")
    (root / "gone.c").unlink()
    (root / "tool.sh").chmod(0o755)
    (root / "blob.bin").write_bytes(bytes(range(256)))
    (root / "new dir").mkdir()
    (root / "new dir" / "b c.c").write_text("int x;")
    author.git("add", "-A")
    diff = author.git("diff", "--cached", "--binary", "-M").decode()
    files = {(file.old, file.new): file for file in diffs.parse(diff)}
    assert set(files) == {
        ("blob.bin", "blob.bin"),
        ("gone.c", None),
        (None, "new dir/b c.c"),
        ("old name", "nëw name"),
        ("tool.sh", "tool.sh"),
    }
    assert all(hunk.intact for file in files.values() for hunk in file.hunks)
    assert files[None, "new dir/b c.c"].hunks[0].lines[-1] == "\\ No newline at end of file"
    changes = diffs.blob_changes(list(files.values()))
    assert len(changes) == 5
    assert all(change.path for change in changes)
    assert diffs.extract(f"text\n---\n{diff}-- \n2.39\n") == diff.rstrip("\n") + "\n"


def test_blob_ids() -> None:
    diff = f"diff --git a/x.c b/x.c\nindex 0123456..89abcdef 100644\n{CLEAN}"
    assert diffs.blob_changes(diffs.parse(diff)) == (BlobChange("x.c", "0123456", "89abcdef"),)
    assert diffs.blob_changes(diffs.parse(CLEAN)) == (BlobChange("x.c", "", ""),)


def test_a_wrapped_git_header() -> None:
    diff = f"diff --git a/x.c\nb/x.c\n{CLEAN}"
    assert diffs.parse(diff)[0].header[0] == "diff --git a/x.c b/x.c"


def test_git_agrees_about_what_is_intact(tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text("{\na\n")
    assert subprocess.run(["git", "apply"], input=CLEAN.encode(), cwd=tmp_path, check=True)
    assert (tmp_path / "x.c").read_text() == "{\nb\n"


@given(st.text(alphabet="+-@ \nabi/\\x1,dgtf", max_size=200))
def test_any_text_is_read(text: str) -> None:
    diff = diffs.extract(f"{text}\n{CLEAN}{text}")
    for file in diffs.parse(diff):
        for hunk in file.hunks:
            if hunk.intact:
                old = sum(line[:1] in ("", " ", "-") for line in hunk.lines)
                assert old == hunk.old_count
