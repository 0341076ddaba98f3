# SPDX-License-Identifier: GPL-2.0-or-later
"""A store says what was written; one that is damaged is built again, or says so."""

from __future__ import annotations

import os
import pickle
import tempfile
import time
from pathlib import Path

import pytest

from reviewbot.errors import ReviewbotError, ServiceError
from reviewbot.locking.store import Store, StoreError, prune
from tests.locking.scenarios import SCENARIOS
from tests.locking.support import Lab, brief

CASE = SCENARIOS["worker pool"]
FILES = (
    "about.json",
    "sizes.json",
    "names.sqlite",
    "place.npy",
    "down.starts.npy",
    "down.0.npy",
    "up.1.npy",
    "actions.2.npy",
    "holds.3.npy",
    "held_into.0.npy",
    "held_onto.starts.npy",
    "releases.0.npy",
    "actors.1.npy",
)


@pytest.fixture
def built(lab: Lab) -> tuple[Lab, list[str], Path]:
    """A lab with a store for the first of two trees, the trees, and the store's place."""
    trees = lab.trees(CASE.good, CASE.bad)
    lab.compare(*trees)
    return lab, trees, lab.settings.store_path(trees[0])


def test_a_store_answers(built: tuple[Lab, list[str], Path]) -> None:
    _, trees, place = built
    store = Store(place)
    assert store.about["tree"] == trees[0]
    files, functions = store.size()
    assert files == len(store.blobs()) == 2
    (ref,) = store.own("f", "drivers/dev/core.c")
    assert store.function(ref.id) == ref
    assert store.end_of(ref.id) > ref.line
    assert ref in store.functions_in("drivers/dev/core.c")
    assert store.own("f", "no/such.c") == []
    assert list(store.functions_in("no/such.c")) == []
    assert store.function(functions + 99) is None
    detail = store.detail(ref.id)
    assert detail is not None
    assert detail.id == ref.id
    (handler,) = store.registrations("work struct dev.work")
    handled = store.function(handler.function)
    assert handled is not None
    assert handled.name == "dev_work"
    assert store.registered(handler.function) == [handler]
    assert store.queues_of("work struct dev.work") == [
        ("workqueue system_wq", "drivers/dev/core.c")
    ]
    number = store.node_number("struct dev.lock")
    assert number is not None
    assert store.node_name(number) == "struct dev.lock"
    assert store.node_number("struct nothing.lock") is None
    assert "struct dev.lock" in store.search_nodes("dev.lo")
    assert store.search_nodes("dev%lock") == []
    assert store.search_nodes("dev_lock") == []
    assert store.structs("struct dev")[0].fields["lock"] == "struct mutex"
    assert store.variables("first")[0].static
    assert store.typedef("no_t") is None
    store.close()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["gone", "empty", "half", "garbage"])
def test_a_damaged_store_is_built_again(
    built: tuple[Lab, list[str], Path], name: str, damage: str
) -> None:
    lab, trees, place = built
    whole = lab.compare(*trees)
    path = place / name
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(
            {"empty": b"", "half": data[: len(data) // 2], "garbage": b"\xa5" * len(data)}[damage]
        )
    again = lab.compare(*trees)
    assert brief(again) == brief(whole)
    Store(place).close()


@pytest.mark.parametrize("part", [0.3, 0.5, 0.8, 0.95])
def test_a_hole_in_the_names_is_no_traceback(
    built: tuple[Lab, list[str], Path], part: float
) -> None:
    """Pages of zeros in the middle: built again, or one sentence, never a wrong answer."""
    lab, trees, place = built
    whole = lab.compare(*trees)
    path = place / "names.sqlite"
    data = bytearray(path.read_bytes())
    page = int(len(data) * part) // 4096 * 4096
    data[page : page + 4096] = bytes(4096)
    path.write_bytes(bytes(data))
    try:
        again = lab.compare(*trees)
    except ReviewbotError as error:
        assert str(place.parent) in str(error)
    else:
        assert brief(again) == brief(whole)


def test_a_store_of_another_format_is_built_again(built: tuple[Lab, list[str], Path]) -> None:
    lab, trees, place = built
    about = place / "about.json"
    about.write_text(about.read_text().replace('"format": ', '"format": 9'))
    with pytest.raises(StoreError):
        Store(place)
    assert lab.compare(*trees).hazards
    Store(place).close()


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        Store(tmp_path / "nothing")


def test_nothing_is_left_beside_a_store(built: tuple[Lab, list[str], Path]) -> None:
    _, _, place = built
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_a_directory_that_goes_while_a_store_is_written_is_one_sentence(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = lab.trees(CASE.good, CASE.bad)
    gone = lab.settings.cache / "trees" / "gone"
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: str(gone))
    with pytest.raises(ServiceError, match=str(gone.parent)):
        lab.compare(*trees)


def test_the_oldest_stores_go_first(tmp_path: Path) -> None:
    now = time.time()
    for age in range(5):
        store = tmp_path / f"store-{age}"
        store.mkdir()
        (store / "file").write_text("x")
        os.utime(store, (now - 100 * age, now - 100 * age))
    (tmp_path / ".new-x").mkdir()
    prune(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new-x", "store-0", "store-1"]


def test_using_a_store_keeps_it(built: tuple[Lab, list[str], Path]) -> None:
    _, _, place = built
    long_ago = time.time() - 10_000
    os.utime(place, (long_ago, long_ago))
    Store(place).close()
    assert place.stat().st_mtime > long_ago + 5000


def test_damage_seen_by_a_process_is_told_to_its_parent(tmp_path: Path) -> None:
    error = StoreError(tmp_path, ValueError("not whole"))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made on the line itself
    assert (type(again), again.place, str(again)) == (StoreError, tmp_path, str(error))
