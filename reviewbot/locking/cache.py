# SPDX-License-Identifier: GPL-2.0-or-later
"""Facts by blob id, kept in one SQLite file.

A blob never changes, so neither do its facts: an entry is right or it is from
another version of the program, and then it is in another file.  Several
processes may read and write at once.  What cannot be read is taken as absent
and made again; a file that SQLite refuses is replaced.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from reviewbot.errors import ServiceError
from reviewbot.locking.facts import FileFacts, Head

_BATCH = 500
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(FileFacts)
_HEAD_DECODER = msgspec.msgpack.Decoder(Head)


def head_of(facts: FileFacts) -> bytes:
    """The beginning of *facts*, encoded: a fraction of the whole."""
    return _ENCODER.encode(_HEAD_DECODER.decode(_ENCODER.encode(facts)))


def decode_head(data: bytes) -> Head:
    """What :func:`head_of` gave."""
    return _HEAD_DECODER.decode(data)


def pack(facts: FileFacts) -> bytes:
    """Facts as they are stored."""
    return zlib.compress(_ENCODER.encode(facts), 1)


def unpack(data: bytes) -> FileFacts | None:
    """Stored facts, or None if the bytes are damaged."""
    try:
        return _DECODER.decode(zlib.decompress(data))
    except (zlib.error, msgspec.MsgspecError):
        return None


class FactsCache:
    """The facts of blobs.  Use with ``with``; one object per process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = _open(path)

    def __enter__(self) -> FactsCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    def known(self, blobs: Iterable[str]) -> set[str]:
        """Which of *blobs* have an entry."""
        wanted = list(dict.fromkeys(blobs))
        out: set[str] = set()
        for start in range(0, len(wanted), _BATCH):
            part = wanted[start : start + _BATCH]
            rows = self._select("SELECT blob FROM facts WHERE blob IN", part)
            out.update(row[0].hex() for row in rows)
        return out

    def get(self, blobs: Sequence[str]) -> dict[str, FileFacts]:
        """Facts of those *blobs* that have a sound entry."""
        out: dict[str, FileFacts] = {}
        for start in range(0, len(blobs), _BATCH):
            part = blobs[start : start + _BATCH]
            for blob, data in self._select("SELECT blob, data FROM facts WHERE blob IN", part):
                facts = unpack(data)
                if facts is not None:
                    out[blob.hex()] = facts
        return out

    def _select(self, statement: str, blobs: Sequence[str]) -> Iterator[tuple[bytes, bytes]]:
        marks = ",".join("?" * len(blobs))
        keys = [bytes.fromhex(blob) for blob in blobs]
        try:
            yield from self._db.execute(f"{statement} ({marks})", keys).fetchall()
        except sqlite3.DatabaseError as error:
            raise ServiceError(_broken(self.path, error)) from error

    def put(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Store packed facts; an entry that is there already is replaced."""
        rows = [(bytes.fromhex(blob), data) for blob, data in entries]
        try:
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", rows)
        except sqlite3.DatabaseError as error:
            raise ServiceError(_broken(self.path, error)) from error


def _broken(path: Path, error: sqlite3.Error) -> str:
    return f"the facts cache {path} cannot be used ({error}); remove the file and try again"


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _connect_anew(path)
    except OSError as error:
        raise ServiceError(
            f"the cache directory {path.parent} cannot be made ({error.strerror}): set 'cache' in"
            " the configuration to a place that can be written"
        ) from error
    except sqlite3.DatabaseError as error:
        raise ServiceError(_broken(path, error)) from error


def _connect_anew(path: Path) -> sqlite3.Connection:
    """Connect; a damaged file makes way for a new one."""
    try:
        return _connect(path)
    except sqlite3.OperationalError:  # locked, no space, no permission: not damage
        raise
    except sqlite3.DatabaseError:
        for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            with suppress(FileNotFoundError):
                name.unlink()
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=60)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(
            "CREATE TABLE IF NOT EXISTS facts (blob BLOB PRIMARY KEY, data BLOB) WITHOUT ROWID"
        )
        with closing(db.execute("SELECT blob, data FROM facts LIMIT 1")) as rows:
            rows.fetchone()
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db
