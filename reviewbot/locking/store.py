# SPDX-License-Identifier: GPL-2.0-or-later
"""A linked tree on disk: arrays that are mapped, names in SQLite.

A review opens the tree it is about (or one that differs in few files) and asks
for the handful of names it needs; nothing is read as a whole.  A store is
written beside its final place and renamed when complete, so what has the name
is whole; what turns out not to be is removed and built again.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from reviewbot.errors import ServiceError
from reviewbot.locking.flow import Effects
from reviewbot.locking.graph import Arrays, Table
from reviewbot.locking.linked import LinkedFunction, Queue, Queueing, Registration
from reviewbot.locking.symbols import FunctionRef, MemorySymbols, StructRef, VariableRef, is_shared

FORMAT = 15
"""Of the files in a store."""

_TABLES = (
    "down", "up", "actions", "actors", "holds", "held_into", "held_onto", "releases",
)  # fmt: skip
_SCHEMA = """
CREATE TABLE files (path TEXT PRIMARY KEY, blob TEXT, first INTEGER, count INTEGER) WITHOUT ROWID;
CREATE TABLE functions (id INTEGER PRIMARY KEY, name TEXT, file TEXT, line INTEGER, stop INTEGER,
                        static INTEGER, macro INTEGER, returns TEXT, effects BLOB, detail BLOB,
                        shared INTEGER);
CREATE TABLE structs (tag TEXT, file TEXT, fields BLOB);
CREATE TABLE variables (name TEXT, file TEXT, type TEXT, static INTEGER, defined INTEGER);
CREATE TABLE directories (path TEXT PRIMARY KEY, id INTEGER) WITHOUT ROWID;
CREATE TABLE wrappers (name TEXT);
CREATE TABLE typedefs (name TEXT PRIMARY KEY, type TEXT) WITHOUT ROWID;
CREATE TABLE callables (name TEXT PRIMARY KEY, id INTEGER) WITHOUT ROWID;
CREATE TABLE nodes (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE registrations (node TEXT, what TEXT, function INTEGER, line INTEGER, file TEXT);
CREATE TABLE queueings (queue TEXT, work TEXT, file TEXT);
CREATE TABLE undefined (name TEXT, file TEXT, PRIMARY KEY (name, file)) WITHOUT ROWID;
CREATE TABLE queues (node TEXT, flags TEXT, file TEXT);
"""
_INDEXES = """
CREATE INDEX functions_name ON functions (name, file);
CREATE INDEX functions_shared ON functions (name) WHERE shared;
CREATE INDEX structs_tag ON structs (tag);
CREATE INDEX variables_name ON variables (name);
CREATE INDEX nodes_name ON nodes (name);
CREATE INDEX callables_id ON callables (id);
CREATE INDEX registrations_node ON registrations (node);
CREATE INDEX registrations_function ON registrations (function);
CREATE INDEX queueings_work ON queueings (work);
CREATE INDEX queueings_queue ON queueings (queue);
CREATE INDEX queues_node ON queues (node);
"""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of a stored tree."""

    path: str
    blob: str
    first: int
    """Number of its first function; the others follow."""
    count: int


@dataclass(frozen=True, slots=True)
class Content:
    """What is written into a store."""

    files: tuple[FileEntry, ...]
    symbols: MemorySymbols
    details: Mapping[int, bytes]
    ends: Mapping[int, int]
    callables: Mapping[str, int]
    nodes: Mapping[str, int]
    registrations: tuple[Registration, ...]
    queueings: tuple[tuple[Queueing, str], ...]
    queues: tuple[tuple[Queue, str], ...]
    undefined: tuple[tuple[str, str], ...]
    """(name, file that calls it) of functions that no file defines."""
    arrays: Arrays
    directories: Mapping[str, int]
    wrappers: frozenset[str]
    """Names of shared functions after which a caller holds other locks than before."""


class StoreError(Exception):
    """A store is missing or not whole; build it again."""

    def __init__(self, place: Path, why: object) -> None:
        super().__init__(f"{place} cannot be read: {why}")
        self.place = place
        self._why = str(why)

    def __reduce__(self) -> tuple[type[StoreError], tuple[Path, str]]:
        """Let a process hand it to its parent."""
        return type(self), (self.place, self._why)

    def discard(self) -> None:
        """Remove what is left of it, so that the next look builds it again."""
        shutil.rmtree(self.place, ignore_errors=True)


def write(place: Path, content: Content, about: Mapping[str, Any]) -> None:
    """Write a store at *place*, complete or not at all; one that is there is replaced.

    Raises :class:`ServiceError` if SQLite cannot: there is no room, or the directory is gone.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
    try:
        _write_names(work / "names.sqlite", content)
        _write_arrays(work, content.arrays)
        (work / "about.json").write_text(json.dumps({"format": FORMAT, **about}), "utf-8")
        _put_in_place(work, place)
    except sqlite3.OperationalError as error:
        raise ServiceError(
            f"the linked tree cannot be written to {place.parent} ({error}): see that there is"
            " room, and try again"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _put_in_place(work: Path, place: Path) -> None:
    try:
        work.rename(place)
    except OSError:  # another process was first, or an old one stands there
        old = Path(tempfile.mkdtemp(prefix=".old-", dir=place.parent))
        try:
            place.rename(old / "store")
            work.rename(place)
        finally:
            shutil.rmtree(old, ignore_errors=True)


def _write_names(path: Path, content: Content) -> None:
    encode = msgspec.msgpack.encode
    db = sqlite3.connect(path)
    try:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.executescript(_SCHEMA)
        db.executemany(
            "INSERT INTO files VALUES (?, ?, ?, ?)",
            ((f.path, f.blob, f.first, f.count) for f in content.files),
        )
        db.executemany(
            "INSERT INTO functions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    ref.id, ref.name, ref.file, ref.line, content.ends.get(ref.id, 0),
                    ref.static, ref.macro, ref.returns,
                    encode(ref.effects) if ref.effects is not None else None,
                    content.details.get(ref.id),
                    is_shared(ref),
                )
                for ref in sorted(content.symbols.all_functions(), key=lambda ref: ref.id)
            ),
        )  # fmt: skip
        db.executemany(
            "INSERT INTO structs VALUES (?, ?, ?)",
            ((r.tag, r.file, encode(r.fields)) for r in content.symbols.all_structs()),
        )
        db.executemany(
            "INSERT INTO variables VALUES (?, ?, ?, ?, ?)",
            (
                (r.name, r.file, r.type, r.static, r.defined)
                for r in content.symbols.all_variables()
            ),
        )
        db.executemany(
            "INSERT INTO wrappers VALUES (?)", ((name,) for name in sorted(content.wrappers))
        )
        db.executemany("INSERT INTO typedefs VALUES (?, ?)", content.symbols.all_typedefs().items())
        db.executemany("INSERT INTO directories VALUES (?, ?)", content.directories.items())
        db.executemany("INSERT INTO callables VALUES (?, ?)", content.callables.items())
        db.executemany(
            "INSERT INTO nodes VALUES (?, ?)", ((n, name) for name, n in content.nodes.items())
        )
        db.executemany(
            "INSERT INTO registrations VALUES (?, ?, ?, ?, ?)",
            ((r.node, r.what, r.function, r.line, r.file) for r in content.registrations),
        )
        db.executemany(
            "INSERT INTO queueings VALUES (?, ?, ?)",
            ((q.queue, q.work, file) for q, file in content.queueings),
        )
        db.executemany(
            "INSERT INTO queues VALUES (?, ?, ?)",
            ((q.node, q.flags, file) for q, file in content.queues),
        )
        db.executemany("INSERT OR IGNORE INTO undefined VALUES (?, ?)", content.undefined)
        db.executescript(_INDEXES)
        db.commit()
    finally:
        db.close()


def _write_arrays(work: Path, arrays: Arrays) -> None:
    for name in _TABLES:
        table: Table = getattr(arrays, name)
        np.save(work / f"{name}.starts.npy", table.starts)
        for number, column in enumerate(table.columns):
            np.save(work / f"{name}.{number}.npy", column)
    np.save(work / "place.npy", arrays.place)
    sizes = {"callables": arrays.callables, "nodes": arrays.nodes}
    (work / "sizes.json").write_text(json.dumps(sizes), "utf-8")


_WIDTH = {"down": 3, "up": 3, "actions": 3, "actors": 3, "releases": 3}


class Store:
    """An opened store; also the :class:`~reviewbot.locking.symbols.Symbols` of its tree."""

    def __init__(self, place: Path) -> None:
        """Open the store at *place*; raises :class:`StoreError` if it is not whole."""
        self.place = place
        try:
            self.about: dict[str, Any] = json.loads((place / "about.json").read_text("utf-8"))
            if self.about.get("format") != FORMAT:
                raise StoreError(place, "another format")
            self.arrays = _read_arrays(place)
            self._db = sqlite3.connect(f"file:{place / 'names.sqlite'}?mode=ro", uri=True)
            self._db.execute("SELECT count(*) FROM queues").fetchone()
            os.utime(place)
        except (OSError, EOFError, ValueError, KeyError, sqlite3.DatabaseError) as error:
            raise StoreError(place, error) from error
        self._shared: dict[str, list[FunctionRef]] = {}
        self._structs: dict[str, list[StructRef]] = {}
        self._variables: dict[str, list[VariableRef]] = {}
        self._typedefs: dict[str, str | None] = {}
        self._node_numbers: dict[str, int | None] = {}
        self._node_names: dict[int, str] = {}

    def close(self) -> None:
        self._db.close()

    def _rows(self, statement: str, *values: Any) -> list[Any]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise StoreError(self.place, error) from error

    # files

    def blobs(self) -> dict[str, str]:
        """Path to blob id of every file in the tree."""
        return dict(self._rows("SELECT path, blob FROM files"))

    def file(self, path: str) -> FileEntry | None:
        rows = self._rows("SELECT path, blob, first, count FROM files WHERE path = ?", path)
        return FileEntry(*rows[0]) if rows else None

    # symbols

    def own(self, name: str, file: str) -> list[FunctionRef]:
        rows = self._rows(_REF + " WHERE name = ? AND file = ?", name, file)
        return [_ref(row) for row in rows]

    def shared(self, name: str) -> list[FunctionRef]:
        if name not in self._shared:
            rows = self._rows(_REF + " WHERE name = ? AND shared", name)
            self._shared[name] = [_ref(row) for row in rows]
        return self._shared[name]

    def structs(self, tag: str) -> list[StructRef]:
        if tag not in self._structs:
            rows = self._rows("SELECT tag, file, fields FROM structs WHERE tag = ?", tag)
            self._structs[tag] = [
                StructRef(t, file, msgspec.msgpack.decode(fields, type=dict[str, str]))
                for t, file, fields in rows
            ]
        return self._structs[tag]

    def variables(self, name: str) -> list[VariableRef]:
        if name not in self._variables:
            rows = self._rows(
                "SELECT name, file, type, static, defined FROM variables WHERE name = ?", name
            )
            self._variables[name] = [
                VariableRef(n, f, t, bool(s), bool(d)) for n, f, t, s, d in rows
            ]
        return self._variables[name]

    def typedef(self, name: str) -> str | None:
        if name not in self._typedefs:
            rows = self._rows("SELECT type FROM typedefs WHERE name = ?", name)
            self._typedefs[name] = rows[0][0] if rows else None
        return self._typedefs[name]

    # the graph's numbers

    def function(self, number: int) -> FunctionRef | None:
        rows = self._rows(_REF + " WHERE id = ?", number)
        return _ref(rows[0]) if rows else None

    def detail(self, number: int) -> LinkedFunction | None:
        """What the function does and holds, line by line; None if it does nothing."""
        rows = self._rows("SELECT detail FROM functions WHERE id = ?", number)
        if not rows or rows[0][0] is None:
            return None
        return msgspec.msgpack.decode(rows[0][0], type=LinkedFunction)

    def functions_in(self, path: str) -> Iterator[FunctionRef]:
        entry = self.file(path)
        if entry is not None:
            rows = self._rows(
                _REF + " WHERE id >= ? AND id < ?",
                entry.first,
                entry.first + entry.count,
            )
            yield from (_ref(row) for row in rows)

    def active(self) -> list[tuple[str, int]]:
        """(file, number) of every function that locks, waits, or runs as a handler."""
        return self._rows(
            "SELECT file, id FROM functions WHERE detail IS NOT NULL"
            " OR id IN (SELECT function FROM registrations)"
        )

    def wrappers(self) -> frozenset[str]:
        """Names of functions after which a caller holds other locks than before."""
        rows = self._rows("SELECT name FROM wrappers")
        return frozenset(name for (name,) in rows)

    def callers_of_undefined(self, name: str) -> list[str]:
        """Files that call a function which no file of the tree defines."""
        return [row[0] for row in self._rows("SELECT file FROM undefined WHERE name = ?", name)]

    def end_of(self, number: int) -> int:
        """Last line of a function."""
        rows = self._rows("SELECT stop FROM functions WHERE id = ?", number)
        return int(rows[0][0]) if rows else 0

    def callable_number(self, name: str) -> int | None:
        rows = self._rows("SELECT id FROM callables WHERE name = ?", name)
        return rows[0][0] if rows else None

    def callable_name(self, number: int) -> str | None:
        rows = self._rows("SELECT name FROM callables WHERE id = ?", number)
        return rows[0][0] if rows else None

    def directories(self) -> dict[str, int]:
        """Directory to its number."""
        return dict(self._rows("SELECT path, id FROM directories"))

    def node_number(self, name: str) -> int | None:
        if name not in self._node_numbers:
            rows = self._rows("SELECT id FROM nodes WHERE name = ?", name)
            self._node_numbers[name] = rows[0][0] if rows else None
        return self._node_numbers[name]

    def node_name(self, number: int) -> str:
        if number not in self._node_names:
            rows = self._rows("SELECT name FROM nodes WHERE id = ?", number)
            self._node_names[number] = str(rows[0][0]) if rows else ""
        return self._node_names[number]

    # handlers and queues

    def registrations(self, node: str) -> list[Registration]:
        rows = self._rows(
            "SELECT node, what, function, line, file FROM registrations WHERE node = ?", node
        )
        return [Registration(*row) for row in rows]

    def registered(self, function: int) -> list[Registration]:
        rows = self._rows(
            "SELECT node, what, function, line, file FROM registrations WHERE function = ?",
            function,
        )
        return [Registration(*row) for row in rows]

    def queues_of(self, work: str) -> list[tuple[str, str]]:
        """(workqueue node, file that queues) for a work item."""
        return self._rows("SELECT queue, file FROM queueings WHERE work = ?", work)

    def flags_of(self, queue: str) -> list[tuple[str, str]]:
        """(flags, file that allocates) for a workqueue."""
        return self._rows("SELECT flags, file FROM queues WHERE node = ?", queue)

    def size(self) -> tuple[int, int]:
        """Numbers of files and functions."""
        rows = self._rows("SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM functions)")
        return int(rows[0][0]), int(rows[0][1])

    def search_nodes(self, text: str) -> list[str]:
        """Names of nodes that contain *text*."""
        pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rows = self._rows(
            "SELECT name FROM nodes WHERE name LIKE ? ESCAPE '\\' ORDER BY length(name) LIMIT 50",
            pattern,
        )
        return [row[0] for row in rows]


_REF = "SELECT id, name, file, line, static, macro, returns, effects FROM functions"


def _ref(row: tuple[Any, ...]) -> FunctionRef:
    number, name, file, line, static, macro, returns, effects = row
    decoded = msgspec.msgpack.decode(effects, type=Effects) if effects is not None else None
    return FunctionRef(number, name, file, line, bool(static), bool(macro), returns, decoded)


def _read_arrays(place: Path) -> Arrays:
    sizes = json.loads((place / "sizes.json").read_text("utf-8"))
    tables: dict[str, Table] = {}
    for name in _TABLES:
        columns = tuple(
            np.load(place / f"{name}.{number}.npy", mmap_mode="r")
            for number in range(_WIDTH.get(name, 4))
        )
        tables[name] = Table(columns, np.load(place / f"{name}.starts.npy", mmap_mode="r"))
    place_of = np.load(place / "place.npy", mmap_mode="r")
    return Arrays(sizes["callables"], sizes["nodes"], place_of, **tables)


def prune(folder: Path, keep: int) -> None:
    """Remove all but the *keep* stores used last."""
    stores = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    for old in sorted(stores, key=lambda p: p.stat().st_mtime, reverse=True)[keep:]:
        shutil.rmtree(old, ignore_errors=True)
