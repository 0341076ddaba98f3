# SPDX-License-Identifier: GPL-2.0-or-later
"""The sample tree is real C, takes the seed's series, and the demo leaves nothing behind."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

COMMIT = "0e5844e217fceaebbfdc348116d5de31fcea637f"
"""The demo's commit: equal on every machine. A change to the sample tree changes it."""

FAKE = """#!/bin/sh
echo "$@"
git -C "$4" rev-parse HEAD
git -C "$4" status --porcelain
exit 7
"""


def git(tree: Path, *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=tree, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def tree(tmp_path: Path, sample_patches: Path) -> Path:
    """The sample tree in the index of a repository."""
    copy = tmp_path / "linux"
    shutil.copytree(sample_patches / "tree", copy)
    git(copy, "init", "-q")
    git(copy, "add", "-A", "-f")
    return copy


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """What the demo runs in place of reviewbot."""
    path = tmp_path / "program"
    path.write_text(FAKE)
    path.chmod(0o755)
    return path


def source_files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.[ch]"))


def test_there_is_a_tree(sample_patches: Path) -> None:
    names = source_files(sample_patches / "tree")
    assert "virt/kvm/eventfd.c" in names
    assert len(names) > 8


def test_every_file_is_real_c(sample_patches: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("gcc is missing: apt-get install gcc")
    root = sample_patches / "tree"
    for name in source_files(root):
        done = subprocess.run(
            ["gcc", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-Iinclude", "-x", "c", name],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("series", "hunks"), [("seed-v1.mbox", 2), ("seed-v2.mbox", 3)])
def test_the_seed_applies_whole_and_stays_c(
    tree: Path, sample_patches: Path, series: str, hunks: int
) -> None:
    mbox = sample_patches / series
    assert mbox.read_text().count("\n@@ ") == hunks
    git(tree, "apply", "--index", str(mbox))
    if shutil.which("gcc"):
        gcc = ["gcc", "-Wall", "-Werror", "-fsyntax-only", "-Iinclude", "virt/kvm/eventfd.c"]
        subprocess.run(gcc, cwd=tree, check=True)
    git(tree, "apply", "--index", "-R", str(mbox))


def test_the_text_as_given_is_damaged(tree: Path, sample_patches: Path) -> None:
    text = sample_patches / "seed-as-given.txt"
    with pytest.raises(subprocess.CalledProcessError):
        git(tree, "apply", "--cached", "--check", str(text))
    given = re.sub(r"\s", "", text.read_text())
    posted = re.sub(r"\s", "", (sample_patches / "seed-v2.mbox").read_text())
    assert given.partition("diff--git")[2] == posted.partition("diff--git")[2]


def test_mails_name_no_real_address(sample_patches: Path) -> None:
    for mbox in sample_patches.glob("*.mbox"):
        headers = mbox.read_text().partition("\n\n")[0]
        people = [line for line in headers.splitlines() if line.startswith(("From:", "To:", "Cc:"))]
        domains = re.findall(r"@([\w.-]+)", "\n".join(people))
        assert set(domains) == {"example.org"}


def demo(sample_patches: Path, program: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["env", f"REVIEWBOT={program}", "GIT_DIR=/nowhere", str(sample_patches / "demo"), *args],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


def test_the_demo_passes_the_exit_status_and_leaves_nothing(
    home: Path, sample_patches: Path, program: Path
) -> None:
    done = demo(sample_patches, program)
    assert done.returncode == 7, done.stderr
    arguments, commit = done.stdout.splitlines()
    assert arguments.startswith(f"review {sample_patches}/seed-v2.mbox --tree {home}/tmp/")
    assert commit == COMMIT
    assert list((home / "tmp").iterdir()) == []


def test_the_demo_takes_another_series_and_options(sample_patches: Path, program: Path) -> None:
    done = demo(sample_patches, program, "other.mbox", "--json")
    arguments = done.stdout.splitlines()[0]
    assert re.fullmatch(r"review other\.mbox --tree \S+/linux --json", arguments)


def test_an_interrupted_demo_leaves_nothing(
    home: Path, sample_patches: Path, program: Path
) -> None:
    started = home / "started"
    program.write_text(f"#!/bin/sh\ntouch {started}\nsleep 1\n")
    child = subprocess.Popen(["env", f"REVIEWBOT={program}", str(sample_patches / "demo")])
    deadline = time.monotonic() + 60
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=60) == 143
    assert list((home / "tmp").iterdir()) == []
