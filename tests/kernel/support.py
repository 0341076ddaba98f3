# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the kernel room share: checkouts, and values made from diffs."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reviewbot.kernel.model import Base, BaseHow
from reviewbot.series.model import BlobChange, Damage, Envelope, Identity, Patch, Series

AUTHOR = Identity("A U Thor", "author@example.org")
_FILE = re.compile(r"^diff --git a/\S+ b/(\S+)\n(?:.*\n)*?index ([0-9a-f]+)\.\.([0-9a-f]+)", re.M)


@dataclass(frozen=True)
class Checkout:
    """A user's git repository, worked on with plain git."""

    path: Path

    @classmethod
    def make(cls, path: Path, *options: str) -> Checkout:
        path.mkdir(parents=True)
        checkout = cls(path)
        checkout.git("init", "-q", "-b", "master", *options)
        return checkout

    def git(self, *args: str, data: str = "") -> str:
        """Run git here; dates go up by one second a commit."""
        identity = {
            f"GIT_{who}_{what.upper()}": getattr(AUTHOR, field)
            for who in ("AUTHOR", "COMMITTER")
            for what, field in (("name", "name"), ("email", "address"))
        }
        env = {**os.environ, **identity}
        done = subprocess.run(
            ["git", *args],
            cwd=self.path,
            env=env,
            input=data.encode("utf-8", "surrogateescape"),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode("utf-8", "surrogateescape")

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, files: Mapping[str, str], message: str = "change", date: int = 0) -> str:
        """Write and commit files; returns the commit's id. ``date`` in seconds since 2020."""
        self.write(files)
        self.git("add", "-A")
        stamp = f"@{1577836800 + date} +0000"
        config = ["-c", "core.hooksPath=/dev/null"]
        os.environ["GIT_COMMITTER_DATE"] = stamp
        try:
            self.git(*config, "commit", "-q", "--allow-empty", "-m", message, "--date", stamp)
        finally:
            del os.environ["GIT_COMMITTER_DATE"]
        return self.git("rev-parse", "HEAD").strip()

    def edit(self, name: str, *pairs: tuple[str, str]) -> str:
        """The diff of replacing texts in a committed file; the file stays as it was."""
        path = self.path / name
        before = path.read_text()
        text = before
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new, 1)
        path.write_text(text)
        diff = self.git("diff", "--full-index")
        path.write_text(before)
        return diff

    def blob(self, rev_path: str) -> str:
        return self.git("rev-parse", rev_path).strip()

    def state(self) -> tuple[object, ...]:
        """What a reader must not change."""
        git_dir = self.path / ".git" if (self.path / ".git").is_dir() else self.path
        files = sorted(str(path) for path in git_dir.rglob("*"))
        index = git_dir / "index"
        return (
            files,
            index.read_bytes() if index.exists() else b"",
            index.stat().st_mtime_ns if index.exists() else 0,
            self.git("for-each-ref"),
            self.git("count-objects", "-v"),
        )


def make_patch(diff: str, index: int = 1, damage: Damage | None = None) -> Patch:
    """A patch as the series room would hand it on."""
    subject = f"change {index}"
    return Patch(
        index=index,
        envelope=Envelope(f"{index}@example.org", f"[PATCH] {subject}", AUTHOR, ""),
        subject=subject,
        author=AUTHOR,
        message="",
        diff=diff,
        blobs=tuple(BlobChange(*found.groups()) for found in _FILE.finditer(diff)),
        damage=damage,
    )


def make_series(
    *diffs: str | Patch,
    missing: tuple[int, ...] = (),
    base_commit: str | None = None,
) -> Series:
    """A series of patches, or of diffs numbered from 1."""
    patches = tuple(
        diff if isinstance(diff, Patch) else make_patch(diff, index)
        for index, diff in enumerate(diffs, 1)
    )
    return Series(
        message_id="0@example.org",
        subject="series",
        version=1,
        expected=len(patches) + len(missing),
        patches=patches,
        missing=missing,
        base_commit=base_commit,
    )


def make_base(tree: str, commit: str = "0" * 40) -> Base:
    return Base(commit=commit, tree=tree, describe="base", how=BaseHow.OPTION, why="test")


def mbox_diff(path: Path) -> str:
    """The diff in a mailbox of one patch."""
    text = path.read_text()
    return text[text.index("diff --git ") : text.index("\n-- \n") + 1]


def temporary_left() -> list[str]:
    """Directories of ours in TMPDIR."""
    return sorted(path.name for path in Path(os.environ["TMPDIR"]).glob("reviewbot-*"))
