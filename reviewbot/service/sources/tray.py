# SPDX-License-Identifier: GPL-2.0-or-later
"""What all sources share: a batch in the making, the form of a message, cursors."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from reviewbot.series.assemble import DEFAULT_LIMITS
from reviewbot.service.model import Arrival, Batch
from reviewbot.typed import learnt

MAX_MESSAGE = DEFAULT_LIMITS.max_message
"""Bytes of a message; one with more is left out, and counted."""
MAX_BATCH = DEFAULT_LIMITS.max_bytes
"""Bytes of a batch: with this many it ends before its limit."""

_UNIX_FROM = re.compile(rb">?From (?!:)[^\n]*\n")
_MESSAGE_ID = re.compile(rb"^message-id:\s*<([^<>\s]+)>", re.MULTILINE | re.IGNORECASE)
_CursorT = TypeVar("_CursorT", bound=msgspec.Struct)


class Tray:
    """A batch in the making: at most ``limit`` messages, and no more than a process can hold."""

    def __init__(self, limit: int) -> None:
        self.room = max(1, limit)
        """Messages that still fit."""
        self._bytes = MAX_BATCH
        self._arrivals: list[Arrival] = []
        self._skipped: list[str] = []
        self._removed: list[str] = []
        self._notices: list[str] = []

    @property
    def full(self) -> bool:
        return self.room <= 0 or self._bytes <= 0

    @property
    def empty(self) -> bool:
        return not (self._arrivals or self._skipped or self._removed)

    def add(self, raw: bytes, where: str) -> None:
        """One message as it was found."""
        self.room -= 1
        self._bytes -= len(raw)
        self._arrivals.append(Arrival(_canonical(raw), where))

    def skip(self, where: str) -> None:
        """A message over :data:`MAX_MESSAGE`."""
        self.room -= 1
        self._skipped.append(where)

    def take_back(self, ids: tuple[str, ...]) -> None:
        """Messages that the archive does not show any more."""
        self.room -= 1
        self._removed += ids

    def note(self, sentence: str) -> None:
        """Something that the operator should read."""
        self._notices.append(sentence)

    def batch(self, cursor: msgspec.Struct, *, more: bool) -> Batch:
        """The batch, and where to go on after it."""
        return Batch(
            arrivals=tuple(self._arrivals),
            cursor=msgspec.json.encode(cursor).decode(),
            more=more,
            removed=tuple(self._removed),
            skipped=tuple(self._skipped),
            notices=tuple(self._notices),
        )


def _canonical(raw: bytes) -> bytes:
    """LF line ends, and no separator of an mbox that somebody left on top.

    A message whose header has LF line ends keeps the CR of its body: it may be a
    patch to a file that has them.
    """
    if b"\r\n" in raw.partition(b"\n")[0] + b"\n":
        raw = raw.replace(b"\r\n", b"\n")
    separator = _UNIX_FROM.match(raw)
    return raw[separator.end() :] if separator else raw


def message_ids(raw: bytes) -> tuple[str, ...]:
    """The Message-IDs in a message's header, without angle brackets."""
    head = _canonical(raw).partition(b"\n\n")[0]
    return tuple(found.decode("utf-8", "replace") for found in _MESSAGE_ID.findall(head))


def read_cursor(kind: type[_CursorT], cursor: str | None) -> _CursorT | None:
    """The cursor as its source wrote it.

    None for the first time, and also for another source's: someone has made this
    name follow another kind of place, so that everything there is new.
    """
    try:
        return msgspec.json.decode(cursor or "", type=learnt(kind))
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
