# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's kernel repository, read through a private one that borrows its objects.

``Repository`` resolves revisions and reads; ``Scratch`` also takes new objects.
Neither ever has git open the user's repository: its references are copied as a
snapshot (:mod:`reviewbot.kernel.locate`), its objects are borrowed by
``objects/info/alternates``.  So ``origin/master``, ``v6.12``, ``HEAD~3``, short
ids and ``A..B`` work as usual, while what depends on the user's configuration or
reflogs (``@{upstream}``, ``HEAD@{1}``) is refused with a sentence.  What remotes have
beside that is the matter of :mod:`reviewbot.kernel.mirror`.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from reviewbot.errors import TreeError
from reviewbot.kernel import git
from reviewbot.kernel.locate import Located, locate
from reviewbot.kernel.mirror import Fetched, Mirror
from reviewbot.kernel.objects import ObjectStore

MAX_TIPS = 20_000
"""Branches and tags that are looked at; the rest can still be named."""

_FULL_ID = re.compile(r"[0-9a-f]{40}")
_COMMITTER = re.compile(rb"^committer .*> (\d{1,15}) ", re.MULTILINE)
_MAX_REVISION = 250
_KINDS = ("refs/tags/", "refs/heads/", "refs/remotes/")


@dataclass(frozen=True, slots=True)
class Tip:
    """A branch or tag and the commit it stands for."""

    ref: str
    commit: str
    time: int
    """The commit's committer date, in seconds since 1970."""

    @property
    def name(self) -> str:
        """The reference as people write it: ``v6.12``, ``origin/master``."""
        for kind in _KINDS:
            if self.ref.startswith(kind):
                return self.ref.removeprefix(kind)
        return self.ref


class Repository(ObjectStore):
    """A git repository opened for reading. Close it, or use it with ``with``."""

    def __init__(self, path: Path, mirror: Mirror | None = None) -> None:
        """Use :meth:`open`."""
        self.path = path
        self._mirror = mirror
        self._located = _locate(path, mirror)
        self._stack = ExitStack()
        git_dir = self._stack.enter_context(git.private_repository(*self.objects))
        super().__init__(git_dir)
        try:
            _write_snapshot(git_dir, self._located)
        except BaseException:
            self._stack.close()
            raise

    @classmethod
    def open(cls, path: Path, mirror: Mirror | None = None) -> Self:
        """Open the checkout, worktree or bare repository at ``path``, and its mirror.

        Raises :class:`TreeError` if there is none, if it has no commits, or if
        it is of a kind that is not supported.
        """
        return cls(path.expanduser(), mirror)

    @property
    def objects(self) -> tuple[Path, ...]:
        """The object directories that are borrowed from."""
        return (self._located.objects, *self._located.more)

    def obtain(self, commit: str) -> tuple[Fetched, ...]:
        """Have the mirror's remotes asked for a commit (:meth:`Mirror.fetch_commit`).

        Without a mirror nobody is asked.
        """
        if self._mirror is None:
            return ()
        asked = self._mirror.fetch_commit(commit)
        self._located = _locate(self.path, self._mirror)
        self.__dict__.pop("tips", None)
        _write_snapshot(self.git_dir, self._located)
        return asked

    def close(self) -> None:
        """End the children and remove the private directory."""
        super().close()
        self._stack.close()

    def resolve(self, rev: str) -> str:
        """The full id of the commit a revision names (gitrevisions(7)).

        Raises :class:`TreeError`, which names the revision and the tree, if it
        names no commit, several, or is not plainly a revision.
        """
        shown = repr(rev[:80])
        plain = rev.isprintable() and not rev.startswith("-") and " " not in rev
        if not rev or not plain or ":" in rev or len(rev) > _MAX_REVISION:
            raise TreeError(f"{shown} is not a revision: give a tag, branch or commit id")
        if "@{" in rev:
            raise TreeError(
                f"{shown} needs the reflog or configuration of {self.path}, which are"
                " never read: give a tag, branch or commit id"
            )
        args = ["rev-parse", "--verify", f"{rev}^{{commit}}"]
        done = self.git(*args, accept=(0, 1, 128))
        if done.status != 0:
            why = "is ambiguous" if "ambiguous" in done.stderr else "names no commit"
            raise TreeError(f"{shown} {why} in {self.path}: give a tag, branch or commit id")
        return done.stdout.decode().strip()

    def describe(self, commit: str) -> str:
        """A short name for a commit: a tag on it, else a branch at it, else 12 hex digits."""
        here = [tip for tip in self.tips if tip.commit == commit]
        current = self._located.head

        def rank(tip: Tip) -> tuple[int, bool, int, str]:
            kind = next(n for n, start in enumerate(_KINDS) if tip.ref.startswith(start))
            return kind, tip.ref != current, len(tip.ref), tip.ref

        return min(here, key=rank).name if here else commit[:12]

    @cached_property
    def tips(self) -> tuple[Tip, ...]:
        """Branches, remote branches and tags that stand for commits, newest first.

        References to missing objects, as a damaged clone has them, are left out.
        """
        refs = [ref for ref in self._located.refs if ref.startswith(_KINDS)][:MAX_TIPS]
        found = self.peel([f"{self._located.refs[ref]}^{{commit}}" for ref in refs])
        commits = {ref: oid for ref, (oid, _) in zip(refs, found, strict=True) if oid}
        times = {}
        for oid, text in self.read_blobs(dict.fromkeys(commits.values())):
            date = _COMMITTER.search(text.partition(b"\n\n")[0])
            times[oid] = int(date[1]) if date else 0
        tips = (Tip(ref, commit, times[commit]) for ref, commit in commits.items())
        return tuple(sorted(tips, key=lambda tip: (-tip.time, tip.ref)))


class Scratch(ObjectStore):
    """A private repository for new objects beside a :class:`Repository`'s.

    It has an index file of its own.  What is written here, blobs and trees, can
    be read through this object until it is closed, and is gone after that.
    """

    def __init__(self, repository: Repository) -> None:
        self._stack = ExitStack()
        super().__init__(self._stack.enter_context(git.private_repository(*repository.objects)))
        self.index = self.git_dir / "reviewbot.index"
        self.indexed = ""
        """The tree that the index stands for; empty if that is not known."""

    def forget_index(self) -> None:
        """Drop the index with its shared part, and the lock a killed git left on it."""
        self.indexed = ""
        for name in (self.index.name, f"{self.index.name}.lock"):
            self.index.with_name(name).unlink(missing_ok=True)
        for shared in self.git_dir.glob("sharedindex.*"):
            shared.unlink()

    def close(self) -> None:
        """End the children and remove the private directory."""
        super().close()
        self._stack.close()


def _locate(path: Path, mirror: Mirror | None) -> Located:
    located = locate(path)
    if not located.refs and not _FULL_ID.fullmatch(located.head or ""):
        raise TreeError(f"{path} has no commits yet: name a kernel checkout")
    if mirror is None:
        return located
    mirror.prepare()
    return mirror.beside(located)


def _write_snapshot(git_dir: Path, located: Located) -> None:
    """Copy the references into the private repository."""
    lines = (f"{oid} {ref}\n" for ref, oid in located.refs.items())
    text = "".join(sorted(lines, key=lambda line: line[41:].encode("utf-8", "surrogateescape")))
    _write(git_dir / "packed-refs", text)
    for name, oid in located.pseudo.items():
        _write(git_dir / name, f"{oid}\n")
    if located.shallow:
        _write(git_dir / "shallow", located.shallow)
    if located.head:
        symbolic = located.head.startswith("refs/")
        _write(git_dir / "HEAD", f"ref: {located.head}\n" if symbolic else f"{located.head}\n")


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
