# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths, modes and sizes that are refused before git sees a diff."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reviewbot.kernel.check import ApplyLimits, forbidden_change, forbidden_path, refusal
from reviewbot.kernel.model import TreeChange
from tests.kernel.support import Checkout, mbox_diff

LIMITS = ApplyLimits()


def diff_of(path: str, *, header: str = "", quoted: bool = False) -> str:
    old, new = (f'"{side}/{path}"' if quoted else f"{side}/{path}" for side in "ab")
    return f"diff --git {old} {new}\n{header}--- {old}\n+++ {new}\n@@ -1 +1 @@\n-old\n+new\n"


@pytest.mark.parametrize(
    "path",
    [
        "virt/kvm/eventfd.c",
        ".gitignore",
        ".gitattributes",
        "Documentation/a..b.rst",
        "scripts/git.orderFile",
        "a b/c.h",
        "Documentation/überblick.rst",
        "tools/.git-hooks.txt",
    ],
)
def test_ordinary_paths_pass(path: str) -> None:
    assert forbidden_path(path) is None
    assert refusal(diff_of(path), LIMITS) is None


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../etc/passwd", ".. component"),
        ("a/../../b", ".. component"),
        ("a//b", "empty, . or .. component"),
        ("./a", "empty, . or .. component"),
        ("/etc/passwd", "absolute|empty"),
        (".git/hooks/post-checkout", "git's own directory"),
        ("sub/.GIT/config", "git's own directory"),
        (".git", "git's own directory"),
        (".git./config", "git's own directory"),
        (".git /config", "git's own directory"),
        ("git~1/config", "git's own directory"),
        ("GIT~2/config", "git's own directory"),
        (".git::$INDEX_ALLOCATION/config", "git's own directory"),
        (".g\u200cit/config", "git's own directory"),
        (".gi\ufefft/config", "git's own directory"),
        ("a\\..\\b", "backslash"),
        ("a\x01b", "control character"),
        ("a\x7fb", "control character"),
    ],
)
def test_hostile_paths_are_refused(path: str, reason: str) -> None:
    why = forbidden_path(path)
    assert why is not None
    failure = refusal(diff_of(path), LIMITS)
    assert failure is not None
    assert re.search(reason, why)
    assert failure.path.isprintable()


@pytest.mark.parametrize(
    "diff",
    [
        diff_of(r"\056git/config", quoted=True),
        diff_of(r"a\001b", quoted=True),
        diff_of(r"a/\056\056/b", quoted=True),
        "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to .git/hooks/y\n",
        "diff --git a/x b/y\nsimilarity index 100%\ncopy from ../x\ncopy to y\n",
        "--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n",
        "--- a/x\n+++ b/.git/x\n@@ -1 +1 @@\n-a\n+b\n",
        "--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+b\n",
    ],
)
def test_hostile_headers_are_refused(diff: str) -> None:
    assert refusal(diff, LIMITS) is not None


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("new file mode 120000\n", "a symbolic link"),
        ("new file mode 160000\n", "a submodule"),
        ("deleted file mode 120000\n", "a symbolic link"),
        ("old mode 100644\nnew mode 120000\n", "a symbolic link"),
        ("index 1234567..89abcde 120000\n", "a symbolic link"),
        ("index 1234567..89abcde 160000\n", "a submodule"),
        ("new file mode 040000\n", "mode 040000"),
    ],
)
def test_only_plain_modes_pass(header: str, reason: str) -> None:
    failure = refusal(diff_of("x", header=header), LIMITS)
    assert failure is not None
    assert reason in failure.reason


@pytest.mark.parametrize("header", ["new file mode 100644\n", "old mode 100644\nnew mode 100755\n"])
def test_plain_modes_pass(header: str) -> None:
    assert refusal(diff_of("x", header=header), LIMITS) is None


def test_hunk_lines_are_no_headers() -> None:
    body = "@@ -1,3 +1,3 @@\n /etc/passwd\n--- a/../x\n+new file mode 120000\n rename to .git\n"
    assert refusal(f"--- a/x.sql\n+++ b/x.sql\n{body}", LIMITS) is None


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        (ApplyLimits(bytes=100), "larger than 100 bytes"),
        (ApplyLimits(files=1), "more than 1 files"),
        (ApplyLimits(hunks=1), "more than 1 hunks"),
    ],
)
def test_sizes_are_limited(limits: ApplyLimits, word: str) -> None:
    failure = refusal(diff_of("x") + diff_of("y"), limits)
    assert failure is not None
    assert word in failure.reason


def test_binary_files_are_limited() -> None:
    header = "GIT binary patch\nliteral {}\nzcmZ\n\nliteral 0\nHcmV?d00001\n"
    diff = "diff --git a/x b/x\nindex 1234567..89abcde 100644\n" + header
    assert refusal(diff.format(1 << 20), LIMITS) is None
    for size in ((1 << 20) + 1, "9" * 5000):
        failure = refusal(diff.format(size), LIMITS)
        assert failure is not None
        assert "binary" in failure.reason


@pytest.mark.parametrize("text", ["o\0d", "o\ud800d"])
def test_what_is_no_text_is_refused(text: str) -> None:
    assert refusal(diff_of("x").replace("old", text), LIMITS) is not None


def test_escaped_bytes_pass() -> None:
    assert refusal(diff_of("x").replace("old", "o\udcffd"), LIMITS) is None


@pytest.mark.parametrize("header", ["-{} +1", "-1,{} +1", "-1 +{}", "-1 +1,{}"])
def test_absurd_line_numbers_are_refused(header: str) -> None:
    for number, refused in (("9" * 9, False), ("9" * 10, True), ("9" * 5000, True)):
        diff = diff_of("x").replace("-1 +1", header.format(number))
        assert (refusal(diff, LIMITS) is not None) == refused


def test_the_seed_passes(seed: Path) -> None:
    assert refusal(mbox_diff(seed / "seed-v2.mbox"), LIMITS) is None


def test_the_result_is_checked_whatever_the_diff_said() -> None:
    def change(path: str, before: str | None, after: str | None) -> TreeChange:
        return TreeChange(path, "0" * 40, "1" * 40, before, after)

    assert forbidden_change(change("x", "100644", "100755")) is None
    assert forbidden_change(change("x", None, "100644")) is None
    for hostile in (
        change("x", None, "120000"),
        change("x", "160000", "160000"),
        change("x", "120000", None),
        change("sub/.Git/x", None, "100644"),
    ):
        assert forbidden_change(hostile) is not None


PARTS = st.sampled_from(
    ["..", ".", "", ".git", ".GIT", "git~1", "GIT~1", ".git ", ".git.", ".gi\u200dt", "a", "b.c"]
) | st.text("abgit.~1: \u200c", max_size=6)


@given(st.lists(st.lists(PARTS, min_size=1, max_size=3).map("/".join), min_size=20, max_size=40))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_git_refuses_is_refused_here(numbered: Checkout, paths: list[str]) -> None:
    """git's verify_path is the judge: nothing it refuses may pass here."""
    blob = numbered.blob("HEAD:other.c")
    for path in {path for path in paths if forbidden_path(path) is None}:
        done = subprocess.run(
            [
                *("git", "-c", "core.protectHFS=true", "-c", "core.protectNTFS=true"),
                *("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}"),
            ],
            cwd=numbered.path,
            env={"PATH": "/usr/bin:/bin", "GIT_INDEX_FILE": str(numbered.path / "none")},
            capture_output=True,
            check=False,
        )
        assert b"Invalid path" not in done.stderr, path
        (numbered.path / "none").unlink(missing_ok=True)
