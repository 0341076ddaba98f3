# SPDX-License-Identifier: GPL-2.0-or-later
"""A Maildir that lei, mbsync or an MDA fills; nothing in it is moved or marked.

A Maildir has no order and no numbers, and its files change their names when a reader
flags them or takes them from ``new`` to ``cur``; only the first part of a name stays
(https://cr.yp.to/proto/maildir.html).  So each message gets a number when it is first
seen, as an IMAP server gives it a UID, and the numbers are kept in a small database of
our own.  The cursor is a number; a message that was numbered but never stored comes
again.
"""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path

import msgspec

from reviewbot.service.model import Batch, FailureKind
from reviewbot.service.sources.errors import SourceError, refused
from reviewbot.service.sources.tray import MAX_MESSAGE, Tray, read_cursor

_FOLDERS = ("new", "cur")  # in this order: messages move from the first to the second
_LOOKS = 4
"""How often a message is looked for that is not where it was."""
_UNIQUE = re.compile(rb"[^.:,][^:,]*")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS list (validity TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS message (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name BLOB NOT NULL UNIQUE,  -- the part that stays
    path BLOB NOT NULL          -- where it was first seen
);
"""


class _Cursor(msgspec.Struct, frozen=True, tag="maildir", forbid_unknown_fields=True):
    """The last number that was given."""

    validity: str
    """Of the database: made anew, it numbers from the start."""
    number: int


class MaildirSource:
    """New messages of a Maildir (:class:`~reviewbot.service.model.Source`)."""

    def __init__(self, name: str, path: Path, state: Path, *, since: date | None = None) -> None:
        """``state`` is this source's own directory; files older than ``since`` are passed over."""
        self.name = name
        self._path = path
        self._database = state / "maildir.sqlite"
        self._since = datetime.combine(since or date(1970, 1, 1), time(), UTC).timestamp()

    def fetch(self, cursor: str | None, limit: int) -> Batch:
        """At most ``limit`` messages after ``cursor``."""
        at = read_cursor(_Cursor, cursor)
        tray = Tray(limit)
        with self._numbers() as numbers:
            (validity,) = numbers.execute("SELECT validity FROM list").fetchone()
            if at is None or at.validity != validity:
                at = _Cursor(validity, 0)
            wanted = self._after(numbers, at.number, tray.room)
            if len(wanted) < tray.room:
                self._number_all(numbers)
                wanted = self._after(numbers, at.number, tray.room)
            done = self._read(wanted, tray)
            number = wanted[done - 1][0] if done else at.number
            (last,) = numbers.execute("SELECT max(number) FROM message").fetchone()
        return tray.batch(_Cursor(validity, number), more=number < (last or 0))

    def wait(self, seconds: float) -> bool:
        """A directory cannot tell."""
        return False

    def close(self) -> None:
        """Nothing is kept open."""

    def _number_all(self, numbers: sqlite3.Connection) -> None:
        """Give a number to every message that has none, in the order of delivery."""
        numbers.execute("CREATE TEMP TABLE found (delivered INTEGER, name BLOB, path BLOB)")
        with numbers:
            numbers.executemany("INSERT INTO found VALUES (?, ?, ?)", self._unknown(numbers))
            numbers.execute(
                "INSERT OR IGNORE INTO message (name, path)"
                " SELECT name, path FROM found ORDER BY delivered, name"
            )

    def _unknown(self, numbers: sqlite3.Connection) -> Iterator[tuple[int, bytes, bytes]]:
        question = numbers.cursor()
        for name, path in self._files():
            question.execute("SELECT 1 FROM message WHERE name = ?", (name,))
            if question.fetchone() is None:
                yield _delivered(path), name, path

    def _after(
        self, numbers: sqlite3.Connection, number: int, limit: int
    ) -> list[tuple[int, bytes, bytes]]:
        """(number, lasting name, path when first seen) of the next messages."""
        return numbers.execute(
            "SELECT number, name, path FROM message WHERE number > ? ORDER BY number LIMIT ?",
            (number, limit),
        ).fetchall()

    def _read(self, wanted: list[tuple[int, bytes, bytes]], tray: Tray) -> int:
        """Put the messages on the tray; how many of them there was room for."""
        paths = {name: path for _, name, path in wanted}
        for done, (_, name, _) in enumerate(wanted):
            if tray.full:
                return done
            for _ in range(_LOOKS):
                if name not in paths or self._read_one(paths[name], tray):
                    break  # read, or deleted by someone
                # Flagged or taken from new to cur, and others likely with it.
                paths = self._find(set(paths))
            else:
                raise SourceError(
                    f"{os.fsdecode(paths[name])} is renamed faster than it can be read: it is"
                    " tried later.",
                    FailureKind.TREE,
                )
        return len(wanted)

    def _find(self, names: set[bytes]) -> dict[bytes, bytes]:
        """Where these messages are now; those that are not found twice are deleted."""
        found: dict[bytes, bytes] = {}
        for _ in range(2):  # a file renamed while its directory is read may be passed over
            found |= {name: path for name, path in self._files() if name in names}
            if len(found) == len(names):
                break
        return found

    def _read_one(self, name: bytes, tray: Tray) -> bool:
        """Whether the file is there; what is no message, or too old, is passed over."""
        path = Path(os.fsdecode(name))
        try:
            status = path.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode) or status.st_mtime < self._since:
                return True
            with path.open("rb") as file:
                raw = file.read(MAX_MESSAGE + 1)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise refused(error, path) from error
        where = str(path.relative_to(self._path))
        if len(raw) > MAX_MESSAGE:
            tray.skip(where)
        else:
            tray.add(raw, where)
        return True

    def _files(self) -> Iterator[tuple[bytes, bytes]]:
        """(lasting name, path) of each message."""
        for folder in _FOLDERS:
            try:
                with os.scandir(os.fsencode(self._path / folder)) as entries:
                    for entry in entries:
                        if unique := _UNIQUE.match(entry.name):
                            yield unique[0], entry.path
            except OSError as error:
                raise refused(error, self._path / folder) from error

    @contextmanager
    def _numbers(self) -> Iterator[sqlite3.Connection]:
        """The database, made if it is not there; it is made anew if it is damaged."""
        try:
            self._database.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._database, timeout=30)) as numbers:
                numbers.executescript(_SCHEMA)
                with numbers:
                    numbers.execute(
                        "INSERT INTO list SELECT ? WHERE NOT EXISTS (SELECT 1 FROM list)",
                        (secrets.token_hex(8),),
                    )
                yield numbers
        except sqlite3.OperationalError as error:
            kind = FailureKind.DISK_FULL if "full" in str(error) else FailureKind.TREE
            raise SourceError(
                f"{self._database} cannot be used ({error}): look at the disk and its permissions.",
                kind,
            ) from error
        except sqlite3.DatabaseError as error:
            self._database.unlink(missing_ok=True)
            raise SourceError(
                f"{self._database} was damaged ({error}) and is removed: the Maildir is read anew.",
                FailureKind.TREE,
            ) from error
        except OSError as error:
            raise refused(error, self._database) from error


def _delivered(path: bytes) -> int:
    """When a message was put there, in nanoseconds; 0 if it is gone again."""
    try:
        return os.stat(path, follow_symlinks=False).st_mtime_ns  # noqa: PTH116 - bytes, and many
    except FileNotFoundError:
        return 0
