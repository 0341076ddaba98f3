# SPDX-License-Identifier: GPL-2.0-or-later
"""Where hazards were last seen, by id: how ``explain`` finds one without a whole audit.

A convenience and never a truth: an entry only says where to look first.  What
cannot be read is taken as absent, and what cannot be written is done without.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from reviewbot.locking.legs import Spot
from reviewbot.locking.model import HazardKind, hazard_id

MAX_KNOWN = 50_000
"""Hazards that are remembered; the oldest are forgotten first."""
MAX_SPOTS = 400
_NAME = "hazards.sqlite"


@dataclass(frozen=True, slots=True)
class Known:
    """A hazard by what its id is made of, and the functions it was seen in."""

    kind: HazardKind
    classes: tuple[str, ...]
    spots: tuple[Spot, ...]

    @property
    def id(self) -> str:
        return hazard_id(self.kind, self.classes)


def matches(hazard: str, wanted: str) -> bool:
    """Whether the id *hazard* starts with *wanted*, or its digits do."""
    return hazard.startswith(wanted) or hazard.rpartition("-")[2].startswith(wanted)


def remember(cache: Path, hazards: Iterable[Known]) -> None:
    """Note where *hazards* are."""
    rows = [
        (
            hazard.id,
            hazard.id.rpartition("-")[2],
            hazard.kind.value,
            msgspec.json.encode(hazard.classes),
            msgspec.json.encode(hazard.spots[:MAX_SPOTS]),
        )
        for hazard in hazards
    ]
    with suppress(OSError, sqlite3.Error), closing(_open(cache)) as db, db:
        db.executemany("INSERT OR REPLACE INTO hazards VALUES (?, ?, ?, ?, ?)", rows)
        db.execute(
            "DELETE FROM hazards WHERE rowid <= (SELECT max(rowid) FROM hazards) - ?", [MAX_KNOWN]
        )


def recall(cache: Path, wanted: str) -> list[Known]:
    """The hazards seen whose id, or its digits, start with *wanted*."""
    path = cache / _NAME
    if not wanted or not path.is_file():
        return []
    query = (
        "SELECT id, kind, classes, spots FROM hazards"
        " WHERE substr(id, 1, ?) = ? OR substr(digits, 1, ?) = ?"
    )
    try:
        with closing(_open(cache)) as db:
            size = len(wanted)
            rows = db.execute(query, (size, wanted, size, wanted)).fetchall()
    except (OSError, sqlite3.Error):
        return []
    return [known for row in rows if (known := _known(*row)) is not None]


def _known(identity: str, kind: str, classes: bytes, spots: bytes) -> Known | None:
    """An entry that is what its id says, else None."""
    try:
        known = Known(
            HazardKind(kind),
            msgspec.json.decode(classes, type=tuple[str, ...]),
            msgspec.json.decode(spots, type=tuple[Spot, ...]),
        )
    except (ValueError, msgspec.MsgspecError):
        return None
    return known if known.id == identity else None


def _open(cache: Path) -> sqlite3.Connection:
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / _NAME
    try:
        return _connect(path)
    except sqlite3.OperationalError:  # locked, no space, no permission: not damage
        raise
    except sqlite3.DatabaseError:
        path.unlink(missing_ok=True)
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=10)
    try:
        db.execute(
            "CREATE TABLE IF NOT EXISTS hazards"
            " (id TEXT PRIMARY KEY, digits TEXT, kind TEXT, classes BLOB, spots BLOB)"
        )
        db.execute("SELECT id, digits, kind, classes, spots FROM hazards LIMIT 1").fetchall()
    except sqlite3.Error:
        db.close()
        raise
    return db
