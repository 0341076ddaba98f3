# SPDX-License-Identifier: GPL-2.0-or-later
"""An mbox that fetchmail, procmail or lei appends to; it is only read.

The cursor is an offset, and a digest of what stands right before it: where those
bytes are others, the file was truncated, rotated or rewritten, and is read from its
start.  The last message is left for later while somebody writes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec

from reviewbot.service.model import Batch
from reviewbot.service.sources.errors import refused
from reviewbot.service.sources.mboxes import Entry, entries
from reviewbot.service.sources.tray import Tray, read_cursor

_BEFORE = 4096
"""Bytes before the offset that must be as they were."""
_SETTLED = 2.0
"""Seconds without a change after which a last message is whole."""
_STALE_LOCK = 1024.0
"""Age in seconds at which procmail, too, no longer heeds a lock file (procmailrc(5))."""


class _Cursor(msgspec.Struct, frozen=True, tag="mbox", forbid_unknown_fields=True):
    """Up to where the file was read."""

    offset: Annotated[int, msgspec.Meta(ge=0)]
    digest: str


class MboxSource:
    """New messages of an mbox (:class:`~reviewbot.service.model.Source`)."""

    def __init__(self, name: str, path: Path, *, settled: float = _SETTLED) -> None:
        """``settled`` is how many seconds old the last message must be."""
        self.name = name
        self._path = path
        self._settled = settled

    def fetch(self, cursor: str | None, limit: int) -> Batch:
        """At most ``limit`` messages after ``cursor``."""
        tray = Tray(limit)
        try:
            with self._path.open("rb") as file, _shared(file) as unlocked:
                offset = self._begin(file, read_cursor(_Cursor, cursor), tray)
                more = False
                for entry in entries(file, str(self._path), offset):
                    if tray.full:
                        more = True
                        break
                    if entry.last and not (unlocked and self._is_settled(file, entry.end)):
                        break
                    self._put(entry, tray)
                    offset = entry.end
                return tray.batch(_Cursor(offset, _digest(file, offset)), more=more)
        except OSError as error:
            raise refused(error, self._path) from error

    def wait(self, seconds: float) -> bool:
        """A file cannot tell."""
        return False

    def close(self) -> None:
        """Nothing is kept open."""

    def _begin(self, file: BinaryIO, at: _Cursor | None, tray: Tray) -> int:
        """The offset to read from."""
        size = os.fstat(file.fileno()).st_size
        if at and at.offset <= size and at.digest == _digest(file, at.offset):
            return at.offset
        if at and at.offset:
            tray.note(f"{self._path} was truncated or rewritten: all of it is read again.")
        return 0

    def _put(self, entry: Entry, tray: Tray) -> None:
        where = f"{self._path.name}:{entry.start}"
        if entry.raw is None:
            tray.skip(where)
        else:
            tray.add(entry.raw, where)

    def _is_settled(self, file: BinaryIO, end: int) -> bool:
        """Whether nobody is in the middle of the last message, as far as one can see."""
        lock = self._path.with_name(f"{self._path.name}.lock")
        with suppress(FileNotFoundError):
            if time.time() - lock.stat().st_mtime < _STALE_LOCK:
                return False
        # A clock that jumps makes the file too new or too old once, and no more than that.
        age = abs(time.time() - os.fstat(file.fileno()).st_mtime)
        if age < self._settled:
            time.sleep(self._settled - age)
        return os.fstat(file.fileno()).st_size == end


@contextmanager
def _shared(file: BinaryIO) -> Iterator[bool]:
    """Keep a writer that locks (fcntl(2)) out while we read; whether there was none."""
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        yield False  # also where the file system has no locks
        return
    try:
        yield True
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN)


def _digest(file: BinaryIO, offset: int) -> str:
    """Of the bytes before an offset."""
    start = max(0, offset - _BEFORE)
    file.seek(start)
    return hashlib.sha256(file.read(offset - start)).hexdigest()[:32]
