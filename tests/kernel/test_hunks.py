# SPDX-License-Identifier: GPL-2.0-or-later
"""Hunks found by git's words, and hunks that a tree has already."""

from __future__ import annotations

from collections.abc import Callable
from difflib import unified_diff

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.kernel import hunks as module
from reviewbot.kernel.hunks import hunk_at, without_present
from reviewbot.kernel.model import PresentHunk

BEFORE = [f"line {number}\n" for number in range(1, 61)]
CHANGES = {5: "five\n", 20: "twenty\n", 40: "forty\n", 55: "fifty five\n"}


def changed(*numbers: int) -> str:
    lines = list(BEFORE)
    for number in numbers:
        lines[number - 1] = CHANGES[number]
    return "".join(lines)


def diff(before: str, after: str, path: str = "dir/x.c") -> str:
    lines = unified_diff(before.splitlines(True), after.splitlines(True), f"a/{path}", f"b/{path}")
    return f"diff --git a/{path} b/{path}\n" + "".join(lines)


def tree(files: dict[str, str]) -> Callable[[str], str | None]:
    return files.get


WHOLE = diff(changed(), changed(*CHANGES))


def test_hunk_at() -> None:
    hunk = hunk_at(WHOLE, "dir/x.c", 17)
    assert hunk.startswith("@@ -17,7 +17,7 @@\n line 17\n")
    assert "-line 20\n+twenty\n" in hunk
    assert hunk_at(WHOLE, "dir/x.c", 18) == ""
    assert hunk_at(WHOLE, "dir/y.c", 17) == ""
    assert hunk_at("@@ -1,9 +1,9 @@\n x\n", "dir/x.c", 1) == ""


def test_present_hunks_are_left_out() -> None:
    reduced = without_present(WHOLE, tree({"dir/x.c": changed(5, 40)}))
    assert reduced is not None
    assert reduced.present == (PresentHunk("dir/x.c", 1), PresentHunk("dir/x.c", 3))
    assert reduced.numbers == {("dir/x.c", 1): 2, ("dir/x.c", 2): 4}
    assert reduced.diff.count("\n@@ ") == 2
    assert "twenty" in reduced.diff
    assert "forty" not in reduced.diff


def test_nothing_to_leave_out_and_nothing_left() -> None:
    assert without_present(WHOLE, tree({"dir/x.c": changed()})) is None
    assert without_present(WHOLE, tree({"dir/x.c": changed(*CHANGES)})) is None


def test_a_hunk_that_is_neither_gives_none() -> None:
    text = changed(5).replace("line 41\n", "something else\n")
    assert without_present(WHOLE, tree({"dir/x.c": text})) is None


def test_a_hunk_that_is_present_twice_gives_none() -> None:
    assert without_present(WHOLE, tree({"dir/x.c": changed(5) + changed(5)})) is None


def test_a_missing_file_gives_none() -> None:
    assert without_present(WHOLE, tree({})) is None


def test_a_file_that_is_wholly_present_is_dropped() -> None:
    both = diff(changed(), changed(5), "one.c") + diff(changed(), changed(20), "two.c")
    reduced = without_present(both, tree({"one.c": changed(5), "two.c": changed()}))
    assert reduced is not None
    assert reduced.present == (PresentHunk("one.c", 1),)
    assert "one.c" not in reduced.diff


def test_other_kinds_of_change_are_kept_as_they_are() -> None:
    new = (
        "diff --git a/new.c b/new.c\nnew file mode 100644\nindex 0000000..1234567\n"
        "--- /dev/null\n+++ b/new.c\n@@ -0,0 +1 @@\n+int n;\n"
    )
    moved = "diff --git a/m b/n\nsimilarity index 100%\nrename from m\nrename to n\n"
    mode = "diff --git a/x.sh b/x.sh\nold mode 100644\nnew mode 100755\n"
    whole = new + moved + mode + diff(changed(), changed(5, 20), "one.c")
    reduced = without_present(whole, tree({"one.c": changed(5)}))
    assert reduced is not None
    for kept in ("new file mode", "+int n;", "rename to n", "new mode 100755"):
        assert kept in reduced.diff


def test_a_file_without_a_last_newline() -> None:
    posted = (
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-a\n+A\n b\n"
        "@@ -9,2 +9,2 @@\n y\n-z\n\\ No newline at end of file\n+Z\n\\ No newline at end of file\n"
    )
    reduced = without_present(posted, tree({"x": "A\nb\nc\n\n\n\n\n\ny\nz"}))
    assert reduced is not None
    assert reduced.present == (PresentHunk("x", 1),)
    assert reduced.diff.endswith("\n+Z\n\\ No newline at end of file\n")


def test_too_much_work_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    files = tree({"dir/x.c": changed(5)})
    assert without_present(WHOLE, files) is not None
    monkeypatch.setattr(module, "MAX_WORK", 100)
    assert without_present(WHOLE, files) is None
    monkeypatch.undo()
    monkeypatch.setattr(module, "MAX_PARSED", 100)
    assert without_present(WHOLE, files) is None
    assert hunk_at(WHOLE, "dir/x.c", 17) == ""


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_is_survived(posted: str, text: str) -> None:
    without_present(posted, lambda _: text)
    hunk_at(posted, text, 1)


@given(st.sets(st.sampled_from(sorted(CHANGES))))
def test_what_is_left_out_and_what_is_left_are_the_whole(there: set[int]) -> None:
    reduced = without_present(WHOLE, tree({"dir/x.c": changed(*there)}))
    if not there or len(there) == len(CHANGES):
        assert reduced is None
    else:
        assert reduced is not None
        assert len(reduced.present) == len(there)
        assert len(reduced.numbers) == len(CHANGES) - len(there)
