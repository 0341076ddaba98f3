# SPDX-License-Identifier: GPL-2.0-or-later
"""One epoch of a public-inbox archive, as a bare repository of our own.

Each commit of an epoch is one event (public-inbox-v2-format(5)): a tree with the
file ``m`` is a message that has come, one with ``d`` a message taken back.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from itertools import islice
from pathlib import Path

import numpy as np

from reviewbot.errors import TreeError
from reviewbot.kernel import git
from reviewbot.kernel.objects import ObjectStore
from reviewbot.service.model import FailureKind
from reviewbot.service.sources import _remote
from reviewbot.service.sources.errors import SourceError, refused
from reviewbot.service.sources.tray import MAX_MESSAGE, message_ids

_REF = "refs/heads/epoch"
_PROBE = "refs/heads/probe"
_CHUNK = 64
_LINE = 1 << 16
_MOST_VANISHED = 10_000
"""Messages that a rewritten history can take back: one that drops more is no editor's work."""

_COMMIT = re.compile(rb"\0([0-9a-f]{40}) (\d+)\n")
_CHANGE = re.compile(rb":\d{6} 100\d{3} [0-9a-f]{40} ([0-9a-f]{40}) [AM]\t([md])\n")
_ABSENT = re.compile(r"not found|not appear to be a git|not exported|returned error: 404")
_EMPTY = re.compile(r"couldn't find remote ref HEAD")
_NO_SHALLOW = re.compile(r"does not support.*shallow")
_FULL = re.compile(r"No space left|Disk quota exceeded")
_SHORT_OF = re.compile(rf"{_FULL.pattern}|not installed|[Oo]ut of memory|Cannot allocate|Too many")


@dataclass(frozen=True, slots=True)
class Event:
    """What one commit says."""

    commit: str
    raw: bytes | None = None
    """The message; None if it is too big or too old, or if there is none."""
    oversized: bool = False
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    """One commit before its blob is read."""

    commit: str
    time: int
    blob: str = ""
    removal: bool = False


class Epoch(ObjectStore):
    """The copy of one epoch.  All that fails is a SourceError."""

    def __init__(self, git_dir: Path, url: str, contact: str, limits: _remote.FetchLimits) -> None:
        super().__init__(git_dir)
        self.url = url
        self._contact = contact
        self._limits = limits

    def fetch(self, since: date | None) -> str | None:
        """Bring the copy up to date; the newest commit, or None if there is none.

        ``since`` limits what a new copy begins with, if the server can do that.
        """
        self._prepare()
        try:
            if since and not self.tip():
                self._begin(since)
            else:
                self._fetch()
        except git.GitError as error:
            if str(self.git_dir) in error.stderr or "bad object refs/" in error.stderr:
                raise self._unusable(error) from error
            if _EMPTY.search(error.stderr) and not _remote.is_page(error) and not self.tip():
                return None
            raise _remote.failure(error, self.url, self.git_dir) from error
        return self.tip()

    def is_served(self, url: str) -> bool:
        """Whether there is another epoch at ``url``, with something in it."""
        try:
            return bool(self._ask("ls-remote", "--end-of-options", url, "HEAD"))
        except git.GitError as error:
            if _ABSENT.search(error.stderr):
                return False
            raise _remote.failure(error, url, self.git_dir) from error

    def tip(self) -> str | None:
        """The newest commit of the copy."""
        with self._reading():
            done = self.git("rev-parse", "--verify", "--quiet", f"{_REF}^{{commit}}", accept=(0, 1))
        return done.stdout.decode().strip() or None

    def common(self, old: str, new: str) -> str | None:
        """The newest commit that both histories share; None also if ``old`` is not here."""
        with self._reading():
            if self.object_types([old]) != ["commit"]:
                return None
            return self.git("merge-base", old, new, accept=(0, 1)).stdout.decode().strip() or None

    def events(self, after: str | None, upto: str, since: int) -> Iterator[Event]:
        """What happened after one commit and up to another, oldest first.

        Messages of before ``since`` (seconds since 1970) are passed over.
        """
        with self._reading():
            entries = self._entries(after, upto)
            while chunk := list(islice(entries, _CHUNK)):
                yield from self._read(chunk, since)

    def vanished(self, common: str | None, old: str, new: str) -> tuple[str, ...]:
        """Message-ids that a history had before it was rewritten, and now has no more.

        An edited message keeps its id, so it is none of them.
        """
        with self._reading():
            gone = set(self._ids_only_in(old, new, common))
            return tuple(sorted(gone - set(self._ids_only_in(new, old, common)))) if gone else ()

    def _ids_only_in(self, mine: str, other: str, common: str | None) -> Iterator[str]:
        # As numbers: a history of a million messages may have been rewritten from its start.
        known = np.fromiter((_short(e.blob) for e in self._entries(common, other)), np.uint64)
        known.sort()
        only = []
        for entry in self._entries(common, mine):
            at = known.searchsorted(np.uint64(_short(entry.blob)))
            if entry.blob and (at == len(known) or known[at] != _short(entry.blob)):
                only.append(replace(entry, removal=True))
                if len(only) > _MOST_VANISHED:
                    return
        for event in self._read(only, 0):
            yield from event.removed

    def _read(self, chunk: list[_Entry], since: int) -> Iterator[Event]:
        """The events of a few entries, with one question for their sizes."""
        wanted = [entry.blob for entry in chunk if entry.blob and entry.time >= since]
        check = "--batch-check=%(objectname) %(objectsize)"
        done = self.git("cat-file", check, data="".join(f"{b}\n" for b in wanted).encode())
        sizes = dict(line.split(" ") for line in done.stdout.decode().splitlines())
        small = {blob for blob in wanted if _size(sizes, blob) <= MAX_MESSAGE}
        contents = self.read_blobs([blob for blob in wanted if blob in small])
        for entry in chunk:
            if not entry.blob or entry.time < since:
                yield Event(entry.commit)
            elif entry.blob not in small:
                yield Event(entry.commit, oversized=not entry.removal)
            else:
                _, raw = next(contents)
                if entry.removal:
                    yield Event(entry.commit, removed=message_ids(raw))
                else:
                    # A purged message leaves an empty one.
                    yield Event(entry.commit, raw=raw or None)

    def _entries(self, after: str | None, upto: str) -> Iterator[_Entry]:
        """Commits in order, from a child that goes on as they are taken."""
        span = [upto, f"^{after}"] if after else [upto]
        words = ["log", "--reverse", "--raw", "--root", "--no-renames", "--no-abbrev"]
        child = git.start(self.git_dir, [*words, "--format=%x00%H %ct", *span, "--"])
        assert child.stdout and child.stderr  # noqa: S101 - made by start()
        entry = None
        try:
            while line := child.stdout.readline(_LINE):
                if commit := _COMMIT.fullmatch(line):
                    if entry:
                        yield entry
                    entry = _Entry(commit[1].decode(), int(commit[2]))
                elif entry and (change := _CHANGE.fullmatch(line)):
                    entry = replace(entry, blob=change[1].decode(), removal=change[2] == b"d")
            stderr = child.stderr.read(_LINE).decode("utf-8", "replace")
            if child.wait() != 0:
                raise git.GitError("git log failed", child.returncode, stderr)
        finally:
            git.stop(child)
        if entry:
            yield entry

    def _begin(self, since: date) -> None:
        """Copy no more than is wanted; servers that cannot do this give everything."""
        try:
            # Asked for what is after its last commit, git's server fails.
            self._fetch("--depth=1", to=_PROBE)
            newest = int(self.git("log", "-1", "--format=%ct", _PROBE, "--").stdout)
            if newest < datetime.combine(since, time(), UTC).timestamp():
                self.git("update-ref", _REF, _PROBE)
            else:
                self._fetch(f"--shallow-since={since} 00:00:00 +0000")
        except git.GitError as error:
            if not _NO_SHALLOW.search(error.stderr):
                raise
            self._fetch()

    def _fetch(self, *limit: str, to: str = _REF) -> None:
        words = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *limit]
        self._ask(*words, "--end-of-options", self.url, f"+HEAD:{to}")

    def _ask(self, *args: str) -> str:
        return _remote.ask(self.git_dir, args, self.url, limits=self._limits, contact=self._contact)

    def _prepare(self) -> None:
        """Make the repository unless it is there; remove what a fetch left that was killed."""
        try:
            self.git_dir.mkdir(parents=True, exist_ok=True)
            for left in (*self.git_dir.rglob("*.lock"), *self.git_dir.rglob("tmp_*")):
                left.unlink(missing_ok=True)
        except OSError as error:
            raise refused(error, self.git_dir) from error
        if not (self.git_dir / "HEAD").exists():
            init = ["init", "--quiet", "--bare", "--template=", "--object-format=sha1"]
            with self._reading():
                self.git(*init, "--initial-branch=epoch", str(self.git_dir))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn failures of git on our own copy into SourceErrors, and drop a damaged copy."""
        try:
            yield
        except (git.GitError, TreeError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: git.GitError | TreeError) -> SourceError:
        """The copy cannot be read: for the moment, or it is damaged and goes."""
        words = getattr(error, "stderr", "") or str(error)
        if isinstance(error, git.LimitError) or _SHORT_OF.search(words):
            return SourceError(
                f"git lacks the means to use {self.git_dir} ({_remote.said(error)}): it is tried"
                " again later.",
                FailureKind.DISK_FULL if _FULL.search(words) else FailureKind.TIMEOUT,
            )
        self.close()
        shutil.rmtree(self.git_dir, ignore_errors=True)
        return SourceError(
            f"The copy of {self.url} in {self.git_dir} was damaged and is removed: it is fetched"
            " anew.",
            FailureKind.TREE,
        )


def _short(blob: str) -> int:
    """The first 8 bytes of a blob's id: enough to tell the messages of an archive apart."""
    return int(blob[:16] or "0", 16)


def _size(sizes: dict[str, str], blob: str) -> int:
    size = sizes.get(blob, "missing")
    if not size.isdigit():
        raise TreeError(f"object {blob} is missing")
    return int(size)
