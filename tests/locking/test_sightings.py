# SPDX-License-Identifier: GPL-2.0-or-later
"""Remembered hazards: found by the start of an id, and never believed blindly."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from reviewbot.locking import sightings as module
from reviewbot.locking.model import HazardKind
from reviewbot.locking.sightings import Known, matches, recall, remember

ONE = Known(HazardKind.FLUSH_CYCLE, ("struct a.lock", "work struct a.work"), (("a.c", "stop"),))
TWO = Known(HazardKind.RECURSIVE_LOCK, ("first",), (("b.c", "f"), ("b.c", "g")))


def database(cache: Path) -> Path:
    (path,) = cache.glob("*.sqlite")
    return path


def test_an_id_or_its_start_or_its_digits(tmp_path: Path) -> None:
    remember(tmp_path, [ONE, TWO])
    digits = ONE.id.rpartition("-")[2]
    for wanted in (ONE.id, ONE.id[:-3], digits, digits[:5], "flush-"):
        assert recall(tmp_path, wanted) == [ONE]
        assert matches(ONE.id, wanted)
        assert not matches(TWO.id, wanted)
    assert recall(tmp_path, "zz") == []
    assert recall(tmp_path, "") == []
    assert recall(tmp_path, "%") == []


def test_what_is_seen_again_is_where_it_is_now(tmp_path: Path) -> None:
    remember(tmp_path, [ONE])
    moved = Known(ONE.kind, ONE.classes, (("c.c", "halt"),))
    remember(tmp_path, [moved])
    assert recall(tmp_path, ONE.id) == [moved]


def test_nothing_remembered(tmp_path: Path) -> None:
    assert recall(tmp_path / "none", ONE.id) == []
    assert not (tmp_path / "none").exists()


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    remember(tmp_path, [ONE])
    database(tmp_path).write_bytes(b"no database, but long enough to be looked at" * 40)
    assert recall(tmp_path, ONE.id) == []
    remember(tmp_path, [TWO])
    assert recall(tmp_path, TWO.id) == [TWO]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("classes", b'["another class"]'),
        ("classes", b"not json"),
        ("spots", b'["a.c"]'),
        ("kind", "no-kind"),
    ],
)
def test_an_entry_that_is_not_what_its_id_says_is_passed_over(
    tmp_path: Path, column: str, value: object
) -> None:
    remember(tmp_path, [ONE])
    with sqlite3.connect(database(tmp_path)) as db:
        db.execute(f"UPDATE hazards SET {column} = ?", [value])  # noqa: S608 - names of this test
    db.close()
    assert recall(tmp_path, ONE.id) == []


def test_a_cache_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, no directory")
    remember(tmp_path / "cache", [ONE])
    assert recall(tmp_path / "cache", ONE.id) == []


def test_the_oldest_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 3)
    many = [Known(HazardKind.RECURSIVE_LOCK, (f"lock{n}",), (("f.c", "f"),)) for n in range(5)]
    for one in many:
        remember(tmp_path, [one])
    assert [recall(tmp_path, one.id) for one in many] == [[], [], *([one] for one in many[2:])]
