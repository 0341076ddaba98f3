# SPDX-License-Identifier: GPL-2.0-or-later
"""Maildirs as programs fill and rename them."""

from __future__ import annotations

import mailbox
import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reviewbot.service.model import FailureKind
from reviewbot.service.sources import maildir
from reviewbot.service.sources.maildir import MaildirSource
from tests.service.sources.support import drain, failing, mail, mails, numbers


class Box:
    """A Maildir with ten mails, and a source that follows it."""

    def __init__(self, root: Path) -> None:
        self.path = root / "Maildir"
        self.state = root / "state"
        for folder in ("new", "cur", "tmp"):
            (self.path / folder).mkdir(parents=True)
        self._clock = 1_700_000_000

    def open(self, since: date | None = None) -> MaildirSource:
        return MaildirSource("x", self.path, self.state, since=since)

    def put(self, wanted: Iterable[bytes], folder: str = "new", info: str = "") -> list[Path]:
        """Deliver, one mail a second; names say nothing of the order."""
        made = []
        for raw in wanted:
            self._clock += 1
            path = self.path / folder / f"{self._clock % 7}{self._clock}.M1P2.host,S=9{info}"
            path.write_bytes(raw)
            os.utime(path, (self._clock, self._clock))
            made.append(path)
        return made

    def take(self, flags: str = "") -> None:
        """What a mail reader does that opens the folder."""
        for path in (self.path / "new").iterdir():
            path.rename(self.path / "cur" / f"{path.name}:2,{flags}")

    def flag(self, flags: str) -> None:
        for path in (self.path / "cur").iterdir():
            path.rename(path.with_name(f"{path.name.partition(':')[0]}:2,{flags}"))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    made = Box(tmp_path)
    made.put(mails(0, 10))
    return made


def test_all_messages_come_once_and_in_order(box: Box) -> None:
    source = box.open()
    batches = drain(source, limit=4)
    assert [numbers(batch) for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    (again,) = drain(source, batches[-1].cursor)
    assert (again.arrivals, again.cursor) == ((), batches[-1].cursor)
    box.put([mail(10)])
    assert numbers(*drain(source, again.cursor)) == [10]
    assert [batch.more for batch in drain(source, limit=11)] == [False]


def test_a_message_is_as_it_was_delivered(box: Box) -> None:
    first = box.open().fetch(None, 1).arrivals[0]
    assert first.raw == mail(0)
    assert first.where.startswith("new/")


def test_nothing_is_moved(box: Box) -> None:
    before = sorted(path.relative_to(box.path) for path in box.path.rglob("*"))
    drain(box.open())
    assert sorted(path.relative_to(box.path) for path in box.path.rglob("*")) == before


def test_what_was_not_stored_comes_again(box: Box) -> None:
    first = box.open().fetch(None, 4)
    box.open().fetch(first.cursor, 3)
    assert numbers(*drain(box.open(), first.cursor)) == [4, 5, 6, 7, 8, 9]
    assert numbers(*drain(box.open())) == list(range(10))


def test_readers_may_move_and_flag(box: Box) -> None:
    source = box.open()
    first = source.fetch(None, 4)
    box.take()
    box.put([mail(10)])
    batches = [source.fetch(first.cursor, 3)]
    box.flag("RS")
    box.put([mail(11)], "cur", ":2,")
    batches += drain(source, batches[-1].cursor)
    assert numbers(*batches) == [*range(4, 12)]
    box.flag("S")
    assert drain(source, batches[-1].cursor)[0].arrivals == ()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    steps=st.lists(st.sampled_from(["put", "take", "flag", "fetch", "lose", "delete"]), max_size=14)
)
def test_whatever_readers_do_each_message_comes_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    box = Box(tmp_path_factory.mktemp("box"))
    source = box.open()
    cursor, put, deleted = None, 0, set()
    batches = []
    for step in [*steps, "fetch", "fetch"]:
        if step == "put":
            box.put([mail(put)])
            put += 1
        elif step == "take":
            box.take("S")
        elif step == "flag":
            box.flag("RS" if put % 2 else "")
        elif step == "delete" and put:
            for path in [*box.path.glob("new/*"), *box.path.glob("cur/*")]:
                if path.read_bytes() == mail(put - 1):
                    path.unlink()
            deleted.add(put - 1)
        elif step == "lose":
            source.fetch(cursor, 2)  # and never stored
        elif step == "fetch":
            batches += drain(source, cursor, limit=2)
            cursor = batches[-1].cursor
    came = numbers(*batches)
    assert len(came) == len(set(came))
    assert set(range(put)) - deleted <= set(came)


def test_deleted_messages_are_passed_over(box: Box) -> None:
    source = box.open()
    first = source.fetch(None, 2)
    for path in (box.path / "new").iterdir():
        if path.read_bytes() in (mail(3), mail(4)):
            path.unlink()
    assert numbers(*drain(source, first.cursor, 2)) == [2, 5, 6, 7, 8, 9]


def test_what_is_no_message(box: Box, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(mail(99))
    (box.path / "new" / "1.link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(box.path / "new" / "2.fifo")
    (box.path / "new" / "3.dir").mkdir()
    (box.path / "new" / ".hidden").write_bytes(mail(98))
    (box.path / "tmp" / "4.half").write_bytes(mail(97)[:30])
    assert numbers(*drain(box.open())) == list(range(10))


def test_python_and_mbsync_names(tmp_path: Path) -> None:
    """Two who write to a Maildir: the standard library, and mbsync as its manual shows."""
    box = mailbox.Maildir(tmp_path / "Maildir")
    for number in range(3):
        box.add(mail(number))
    for number in range(3, 6):
        name = f"1700000000.4711_{number}.host,U={number}:2,"
        (tmp_path / "Maildir" / "cur" / name).write_bytes(mail(number))
    source = MaildirSource("x", tmp_path / "Maildir", tmp_path / "state")
    assert sorted(numbers(*drain(source))) == [0, 1, 2, 3, 4, 5]


def test_crlf_and_a_separator_on_top(box: Box) -> None:
    (batch,) = drain(box.open())
    box.put([mail(10).replace(b"\n", b"\r\n"), b"From a@b Mon Mar  2 12:00:00 2026\n" + mail(11)])
    (after,) = drain(box.open(), batch.cursor)
    assert [arrival.raw for arrival in after.arrivals] == [mail(10), mail(11)]


def test_since_is_the_day_of_delivery(box: Box) -> None:
    assert numbers(*drain(box.open(since=date(2020, 1, 1)))) == list(range(10))
    assert numbers(*drain(box.open(since=date(2999, 1, 1)))) == []


def test_a_message_that_is_too_big_is_counted(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maildir, "MAX_MESSAGE", 5000)
    box.put([mail(10, "x" * 5000), mail(11)])
    (batch,) = drain(box.open())
    assert numbers(batch) == [*range(10), 11]
    assert len(batch.skipped) == 1


# ---- faults ----


def test_a_maildir_that_is_not_there(box: Box) -> None:
    (batch,) = drain(box.open())
    away = box.path.rename(box.path.with_name("away"))
    with failing(FailureKind.UNREACHABLE, str(box.path), "No such file"):
        drain(box.open(), batch.cursor)
    away.rename(box.path)
    assert numbers(*drain(box.open(), batch.cursor)) == []


def test_numbers_that_are_lost_are_given_anew(box: Box) -> None:
    source = box.open()
    first = source.fetch(None, 4)
    (box.state / "maildir.sqlite").unlink()
    assert sorted(numbers(*drain(source, first.cursor))) == list(range(10))


@pytest.mark.parametrize(
    "damage", [b"no database at all " * 500, b"SQLite format 3\0" + b"\1" * 5000]
)
def test_a_damaged_database_is_made_anew(box: Box, damage: bytes) -> None:
    first = box.open().fetch(None, 4)
    (box.state / "maildir.sqlite").write_bytes(damage)
    with failing(FailureKind.TREE, "damaged"):
        box.open().fetch(first.cursor, 4)
    assert sorted(numbers(*drain(box.open(), first.cursor))) == list(range(10))


def test_a_state_that_cannot_be_written(box: Box) -> None:
    box.state.write_text("a file where a directory should be")
    with failing(FailureKind.UNREACHABLE, str(box.state)):
        box.open().fetch(None, 4)


def test_a_message_that_never_stands_still(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    source = box.open()
    monkeypatch.setattr(source, "_read_one", lambda *_: False)
    with failing(FailureKind.TREE, "renamed faster"):
        source.fetch(None, 4)
