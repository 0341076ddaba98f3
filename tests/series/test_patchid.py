# SPDX-License-Identifier: GPL-2.0-or-later
"""git's patch-id, held against git's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewbot.series.diffs import extract
from reviewbot.series.patchid import patch_id

TWO = """\
diff --git a/a.c b/a.c
index 0123456789ab..123456789abc 100644
--- a/a.c
+++ b/a.c
@@ -1,3 +1,3 @@ int a;
 int one;
-int two;
+long  two;
 int three;
diff --git a/b.c b/c.c
similarity index 90%
rename from b.c
rename to c.c
--- a/b.c
+++ b/c.c
@@ -7 +7,2 @@
-x
+\ty
+z
\\ No newline at end of file
"""


def of_git(diff: str) -> str:
    """What ``git patch-id --stable`` says; of several patches in the text the first."""
    done = subprocess.run(
        ["git", "patch-id", "--stable"], input=diff.encode(), capture_output=True, check=True
    )
    return done.stdout.decode().partition(" ")[0].partition("\n")[0]


def test_two_files() -> None:
    assert patch_id(TWO) == of_git(TWO) != ""


def test_order_of_files_line_numbers_and_blanks_do_not_count() -> None:
    first, second = TWO.split("diff --git a/b.c")
    swapped = f"diff --git a/b.c{second}{first}".replace("@@ -1,3 +1,3", "@@ -9,3 +9,3")
    assert patch_id(swapped.replace("long  two", "long two")) == patch_id(TWO)
    assert patch_id(TWO.replace("long", "short")) != patch_id(TWO)


@pytest.mark.parametrize("name", ["seed-v1.mbox", "seed-v2.mbox"])
def test_the_seed(sample_patches: Path, name: str) -> None:
    diff = extract((sample_patches / name).read_text())
    assert patch_id(diff) == of_git(diff) != ""


@pytest.mark.parametrize(
    "diff", ["", "\n", "no diff\n", "--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-a\n+b\n"]
)
def test_what_git_takes_for_no_patch_has_none(diff: str) -> None:
    assert patch_id(diff) == of_git(diff) == ""


def test_a_binary_patch_has_none() -> None:
    assert (
        patch_id("diff --git a/x b/x\nindex 1..2 100644\nBinary files a/x and b/x differ\n") == ""
    )


_LINES = st.sampled_from(
    [
        "diff --git a/a.c b/a.c",
        "index 0123456..789abcd 100644",
        "--- a/a.c",
        "+++ b/a.c",
        "@@ -1,2 +1,2 @@ f(void)",
        "@@ -1 +1 @@",
        "@@ -5,0 +6 @@",
        " same",
        "-old",
        "+new  \t text",
        "",
        "\\ No newline at end of file",
        "\\ short",
        "new file mode 100644",
        "-- ",
        "2.39.5",
        "words",
    ]
)


@settings(max_examples=60)
@given(st.lists(_LINES, max_size=25))
def test_any_lines(lines: list[str]) -> None:
    diff = "\n".join(["diff --git a/a.c b/a.c", *lines]) + "\n"
    assert patch_id(diff) == of_git(diff)
