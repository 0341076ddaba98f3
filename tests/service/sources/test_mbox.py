# SPDX-License-Identifier: GPL-2.0-or-later
"""mbox files of every kind, while somebody writes them."""

from __future__ import annotations

import fcntl
import mailbox
import os
import subprocess
import sys
import threading
import time
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.service.model import FailureKind
from reviewbot.service.sources import mboxes
from reviewbot.service.sources.mbox import MboxSource
from reviewbot.service.sources.mboxes import entries
from tests.service.sources.support import drain, failing, mail, mails, numbers

SEPARATOR = b"From author@example.org Mon Mar  2 12:00:00 2026\n"
LONG_AGO = 1_600_000_000


def entry(raw: bytes, separator: bytes = SEPARATOR) -> bytes:
    return separator + raw + b"\n"


class Box:
    """An mbox with ten mails, that nobody has written to for a while."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.write_bytes(b"")
        self.append(*map(entry, mails(0, 10)))

    def open(self, settled: float = 2.0) -> MboxSource:
        return MboxSource("x", self.path, settled=settled)

    def append(self, *texts: bytes) -> None:
        with self.path.open("ab") as file:
            file.writelines(texts)
        self.settle()

    def write(self, text: bytes) -> None:
        self.path.write_bytes(text)
        self.settle()

    def settle(self) -> None:
        os.utime(self.path, (LONG_AGO, LONG_AGO))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "box")


def test_all_messages_come_once_and_in_order(box: Box) -> None:
    source = box.open()
    batches = drain(source, limit=4)
    assert [numbers(batch) for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    (again,) = drain(source, batches[-1].cursor)
    assert (again.arrivals, again.cursor) == ((), batches[-1].cursor)
    box.append(entry(mail(10)))
    (after,) = drain(box.open(), again.cursor)
    assert (numbers(after), after.notices) == ([10], ())
    assert [batch.more for batch in drain(source, limit=11)] == [False]


def test_a_message_is_as_it_was_sent(box: Box) -> None:
    batch = box.open().fetch(None, 2)
    assert [arrival.raw for arrival in batch.arrivals] == [mail(0), mail(1)]
    assert [arrival.where for arrival in batch.arrivals] == ["box:0", f"box:{len(entry(mail(0)))}"]


def test_an_empty_file(box: Box) -> None:
    box.write(b"")
    (empty,) = drain(box.open())
    box.append(entry(mail(0)))
    (after,) = drain(box.open(), empty.cursor)
    assert (numbers(after), after.notices) == ([0], ())


# ---- rewritten ----


def test_a_file_that_was_rotated_is_read_anew(box: Box) -> None:
    (batch,) = drain(box.open())
    box.write(entry(mail(20)))
    (after,) = drain(box.open(), batch.cursor)
    assert numbers(after) == [20]
    assert "truncated or rewritten" in after.notices[0]
    # Rotated, and longer again than it was.
    box.write(b"".join(map(entry, mails(30, 60))))
    (later,) = drain(box.open(), after.cursor)
    assert numbers(later) == list(range(30, 60))


def test_a_file_that_a_reader_rewrites_is_read_anew(box: Box) -> None:
    (batch,) = drain(box.open())
    box.write(box.path.read_bytes().replace(b"Subject:", b"Status: RO\nSubject:"))
    assert numbers(*drain(box.open(), batch.cursor)) == list(range(10))


def test_a_message_that_went_on(box: Box) -> None:
    (batch,) = drain(box.open())
    box.append(b"and one more line\n\n", entry(mail(10)))
    assert numbers(*drain(box.open(), batch.cursor)) == [10]


# ---- while somebody writes ----


def test_the_last_message_waits_while_it_grows(box: Box) -> None:
    half = entry(mail(10))[:-40]

    def write() -> None:
        time.sleep(0.3)
        with box.path.open("ab") as file:
            file.write(entry(mail(10))[-40:])

    with box.path.open("ab") as file:
        file.write(half)
    writer = threading.Thread(target=write)
    writer.start()
    (batch,) = drain(box.open(settled=1.0))
    writer.join()
    assert numbers(batch) == list(range(10))
    box.settle()
    (after,) = drain(box.open(), batch.cursor)
    assert [arrival.raw for arrival in after.arrivals] == [mail(10)]


def test_the_last_message_waits_for_a_lock(box: Box) -> None:
    program = (
        "import fcntl, sys\n"
        f"file = open({str(box.path)!r}, 'ab')\nfcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout and other.stdin
        assert other.stdout.readline() == b"locked\n"
        (batch,) = drain(box.open())
        other.stdin.close()
    assert numbers(batch) == list(range(9))
    assert numbers(*drain(box.open(), batch.cursor)) == [9]


def test_the_last_message_waits_for_a_lock_file(box: Box) -> None:
    lock = box.path.with_name("box.lock")
    lock.touch()
    (batch,) = drain(box.open())
    assert numbers(batch) == list(range(9))
    os.utime(lock, (LONG_AGO, LONG_AGO))  # its owner has died
    assert numbers(*drain(box.open(), batch.cursor)) == [9]


def test_the_lock_is_given_back(box: Box) -> None:
    drain(box.open())
    with box.path.open("ab") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


# ---- kinds of mbox ----


def test_escaped_lines(box: Box) -> None:
    text = "From here on:\n>From there\n>>From afar"
    raw = mail(0, text)
    rd = raw.replace(b"\n>", b"\n>>").replace(b"\nFrom here", b"\n>From here")
    box.write(entry(rd) + entry(mail(1)))
    assert [arrival.raw for arrival in drain(box.open())[0].arrivals] == [raw, mail(1)]


def test_what_the_standard_library_writes(tmp_path: Path) -> None:
    made = mailbox.mbox(tmp_path / "box")
    made.lock()
    for number in range(3):
        made.add(mail(number, "From here on\n\nFrom x Mon Mar  2 12:00:00 2026\n"))
    made.close()
    source = MboxSource("x", tmp_path / "box", settled=0)
    assert [b"\nFrom here on\n" in a.raw for a in drain(source)[0].arrivals] == [True] * 3


INLINE = "Look:\n\nFrom 1234567890 Mon Sep 17 00:00:00 2001\nFrom: B <b@example.org>\n\ntext"


def counted(raw: bytes, size: int | None = None) -> bytes:
    head, _, body = raw.partition(b"\n\n")
    return head + b"\nContent-Length: %d\n\n" % (len(body) if size is None else size) + body


def test_counted_bytes(box: Box) -> None:
    """mboxcl2: nothing is escaped, and a From_ line in a message is none."""
    raw = [counted(mail(0, INLINE)), counted(mail(1, ">From me")), counted(mail(2, INLINE))]
    box.write(b"".join(map(entry, raw)))
    assert [arrival.raw for arrival in drain(box.open())[0].arrivals] == raw


@pytest.mark.parametrize("size", [0, 3, 10**9, 10**14])
def test_bytes_counted_wrongly(box: Box, size: int) -> None:
    raw = [counted(mail(0), size), mail(1)]
    box.write(b"".join(map(entry, raw)))
    assert [arrival.raw for arrival in drain(box.open())[0].arrivals] == raw


def test_crlf(box: Box) -> None:
    box.write(b"".join(map(entry, mails(0, 3))).replace(b"\n", b"\r\n"))
    assert [arrival.raw for arrival in drain(box.open())[0].arrivals] == mails(0, 3)


def test_lei_and_git_separators(box: Box) -> None:
    box.write(
        entry(mail(0), b"From mboxrd@z Thu Jan  1 00:00:00 1970\n")
        + entry(
            mail(1), b"From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001\n"
        )
        + entry(mail(2), b"From a@example.org Mon, 02 Mar 2026 12:00:00 +0000\n")
        + entry(mail(3), b"From MAILER-DAEMON Mon Mar  2 12:00 2026\n")
    )
    assert numbers(*drain(box.open())) == [0, 1, 2, 3]


def test_a_file_without_an_empty_line_at_its_end(box: Box) -> None:
    box.write(entry(mail(0)) + SEPARATOR + mail(1))
    (batch,) = drain(box.open())
    assert [arrival.raw for arrival in batch.arrivals] == mails(0, 2)
    box.append(b"\n", entry(mail(2)))
    assert numbers(*drain(box.open(), batch.cursor)) == [2]


body_lines = st.lists(
    st.sampled_from(
        ["", "text", "From you", ">From you", "From a Mon Mar  2 12:00:00 2026", "x: y"]
    ),
    max_size=8,
)


@given(st.lists(body_lines, min_size=1, max_size=5))
def test_mboxrd_gives_back_what_went_in(bodies: list[list[str]]) -> None:
    texts = ["\n".join([*lines, "end"]) for lines in bodies]
    box = b""
    for number, text in enumerate(texts):
        escaped = [f">{x}" if x.lstrip(">").startswith("From ") else x for x in text.split("\n")]
        box += entry(mail(number, "\n".join(escaped)))
    file = cast(BinaryIO, BytesIO(box))
    found = list(entries(file, "x"))
    assert [each.raw for each in found] == [mail(n, text) for n, text in enumerate(texts)]
    assert [each.last for each in found] == [False] * (len(texts) - 1) + [True]
    # From each message on it reads the same.
    assert all(list(entries(file, "x", e.start)) == found[n:] for n, e in enumerate(found))


@given(st.binary(max_size=400), st.integers(0, 400))
def test_any_bytes_are_read_to_their_end(junk: bytes, offset: int) -> None:
    file = cast(BinaryIO, BytesIO(SEPARATOR + junk))
    found = list(entries(file, "x", min(offset, len(junk)) or 0))
    assert all(each.start < each.end <= len(SEPARATOR + junk) for each in found)


# ---- limits and faults ----


def test_a_message_that_is_too_big_is_counted(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mboxes, "MAX_MESSAGE", 5000)
    for big in (mail(10, "x" * 5000), mail(10, "x\n" * 90_000), counted(mail(10, "x" * 90_000))):
        box.append(entry(big), entry(mail(11)))
        (batch,) = drain(box.open())
        assert numbers(batch) == [*range(10), 11]
        assert len(batch.skipped) == 1
        box.write(b"".join(map(entry, mails(0, 10))))


def test_a_file_that_is_not_there(box: Box) -> None:
    (batch,) = drain(box.open())
    away = box.path.rename(box.path.with_name("away"))
    with failing(FailureKind.UNREACHABLE, str(box.path), "No such file"):
        drain(box.open(), batch.cursor)
    away.rename(box.path)
    assert numbers(*drain(box.open(), batch.cursor)) == []


@pytest.mark.parametrize("text", [b"<html>\n", b"\x1f\x8b\x08\0", mail(0), b"x" * 200_000])
def test_a_file_of_another_kind(box: Box, text: bytes) -> None:
    box.write(text)
    with failing(FailureKind.GARBAGE, "no mbox"):
        box.open().fetch(None, 10)


def test_cursors_that_are_not_ours(box: Box) -> None:
    for cursor in ("", "{}", '{"type":"mbox","offset":-5,"digest":""}', '{"type":"maildir"}'):
        assert numbers(box.open().fetch(cursor, 2)) == [0, 1]
