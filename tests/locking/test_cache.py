# SPDX-License-Identifier: GPL-2.0-or-later
"""The facts cache: what goes in comes out, and damage is found and made good."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.errors import ReviewbotError, ServiceError
from reviewbot.locking.cache import FactsCache, pack, unpack
from reviewbot.locking.facts import FileFacts
from tests.locking.scenario import DEV, HANDLER
from tests.locking.support import facts_of_text

FACTS = facts_of_text(DEV + HANDLER)
BLOBS = [f"{number:040x}" for number in range(1200)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "facts.sqlite"


def test_what_goes_in_comes_out(path: Path) -> None:
    with FactsCache(path) as cache:
        assert cache.known(BLOBS[:3]) == set()
        cache.put([(BLOBS[0], pack(FACTS)), (BLOBS[2], pack(facts_of_text("")))])
        assert cache.known(BLOBS[:3]) == {BLOBS[0], BLOBS[2]}
    with FactsCache(path) as cache:
        assert cache.get(BLOBS[:3]) == {BLOBS[0]: FACTS, BLOBS[2]: facts_of_text("")}


def test_more_than_sqlite_takes_at_once(path: Path) -> None:
    with FactsCache(path) as cache:
        cache.put((blob, pack(FACTS)) for blob in BLOBS)
        assert cache.known(BLOBS) == set(BLOBS)
        assert len(cache.get(BLOBS)) == len(BLOBS)


def test_an_entry_can_be_put_again(path: Path) -> None:
    with FactsCache(path) as cache:
        cache.put([(BLOBS[0], pack(facts_of_text("")))])
        cache.put([(BLOBS[0], pack(FACTS))])
        assert cache.get([BLOBS[0]]) == {BLOBS[0]: FACTS}


@given(st.binary(max_size=200))
def test_damaged_bytes_are_no_facts(data: bytes) -> None:
    assert unpack(data) is None


@given(st.integers(0, len(pack(FACTS)) - 1), st.integers(1, 255))
def test_one_wrong_byte_is_found(place: int, change: int) -> None:
    data = bytearray(pack(FACTS))
    data[place] ^= change
    found = unpack(bytes(data))
    assert found is None or found == FACTS  # some bits of zlib's header mean nothing


@pytest.mark.parametrize("inside", [b"", b"not msgpack", b"\xc0", b"\x93\x01\x02\x03"])
def test_whole_bytes_that_say_something_else_are_no_facts(inside: bytes) -> None:
    assert unpack(zlib.compress(inside)) is None


def test_a_truncated_entry_is_absent(path: Path) -> None:
    with FactsCache(path) as cache:
        cache.put([(BLOBS[0], pack(FACTS)[:-7]), (BLOBS[1], pack(FACTS))])
        assert cache.get(BLOBS[:2]) == {BLOBS[1]: FACTS}


@pytest.mark.parametrize(
    "damage",
    [b"", b"\0" * 5000, b"this is no database at all, but some text" * 200],
    ids=["empty", "zeros", "text"],
)
def test_a_file_that_is_no_database_is_replaced(path: Path, damage: bytes) -> None:
    with FactsCache(path) as cache:
        cache.put([(BLOBS[0], pack(FACTS))])
    path.write_bytes(damage)
    with FactsCache(path) as cache:
        assert cache.get([BLOBS[0]]) == {}
        cache.put([(BLOBS[0], pack(FACTS))])
        assert cache.get([BLOBS[0]]) == {BLOBS[0]: FACTS}


@pytest.mark.parametrize("keep", [100, 4096, 20000])
def test_a_truncated_file_gives_facts_or_one_sentence(path: Path, keep: int) -> None:
    with FactsCache(path) as cache:
        cache.put((blob, pack(FACTS)) for blob in BLOBS[:200])
    with path.open("r+b") as file:
        file.truncate(keep)
    try:
        with FactsCache(path) as cache:
            assert all(facts == FACTS for facts in cache.get(BLOBS[:200]).values())
            cache.put([(BLOBS[0], pack(FACTS))])
    except ServiceError as error:
        assert str(path) in str(error)
        assert "remove" in str(error)


def test_a_database_of_something_else_is_one_sentence(path: Path) -> None:
    path.parent.mkdir(parents=True)
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE facts (name TEXT)")
    db.commit()
    db.close()
    with pytest.raises(ServiceError) as caught:
        FactsCache(path)
    assert str(path) in str(caught.value)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    place = tmp_path / "a file"
    place.write_text("x")
    with pytest.raises(ReviewbotError) as caught:
        FactsCache(place / "facts.sqlite")
    assert "a file" in str(caught.value)
    directory = tmp_path / "facts.sqlite"
    directory.mkdir()
    with pytest.raises(ServiceError, match=r"facts\.sqlite"):
        FactsCache(directory)


def test_a_damaged_file_whose_directory_goes_is_one_sentence(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database at all" * 400)
    monkeypatch.setattr(Path, "unlink", lambda self: shutil.rmtree(self.parent, True))
    with pytest.raises(ServiceError, match=str(path)):
        FactsCache(path)


def _write(path: Path, first: int) -> None:
    for number in range(first, first + 60):
        with FactsCache(path) as cache:
            cache.put([(BLOBS[number], pack(FACTS)), (BLOBS[1100], pack(FACTS))])
            assert BLOBS[number] in cache.get([BLOBS[number]])


def test_several_processes_write_at_once(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_write, args=(path, 60 * n)) for n in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0, 0, 0, 0]
    with FactsCache(path) as cache:
        found = cache.get(BLOBS)
    assert len(found) == 241
    assert all(isinstance(facts, FileFacts) for facts in found.values())


def test_a_writer_that_is_killed_leaves_what_it_had(path: Path) -> None:
    context = multiprocessing.get_context("fork")

    def write_and_die() -> None:
        cache = FactsCache(path)
        cache.put([(BLOBS[0], pack(FACTS))])
        os._exit(9)

    child = context.Process(target=write_and_die)
    child.start()
    child.join(60)
    assert child.exitcode == 9
    with FactsCache(path) as cache:
        assert cache.get([BLOBS[0]]) == {BLOBS[0]: FACTS}
