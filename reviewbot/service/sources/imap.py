# SPDX-License-Identifier: GPL-2.0-or-later
"""A mailbox followed over IMAP: one's own, or a list's on public-inbox's read-only server.

A message is known by its UID as long as the mailbox's UIDVALIDITY stays the same
(RFC 3501, 2.3.1.1); if it changes, all messages are new.  public-inbox puts 50,000
messages into a mailbox and the next ones into another (``….kvm.0``, ``….kvm.1``;
public-inbox-imapd(1)): there the one after a full one is followed by itself.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time

import msgspec

from reviewbot.series.http import Watchdog
from reviewbot.service.model import Batch
from reviewbot.service.sources._imap import (
    MailBox,
    Message,
    Session,
    Status,
    bodies,
    examine,
    is_there,
    messages,
)
from reviewbot.service.sources.account import Account
from reviewbot.service.sources.errors import SourceError
from reviewbot.service.sources.tray import MAX_MESSAGE, Tray, read_cursor

_SECONDS = 120.0
_WIDEST = 50_000
"""UIDs looked at in one question: most of them may have been expunged, or be too old."""
_AT_ONCE = 4 << 20
"""Bytes of messages asked for in one question, unless one alone has more."""
_IDLE_SECONDS = 28 * 60.0  # a server may end it after 29 minutes (RFC 2177)
_SLICE = re.compile(r"(.+\.)(\d{1,6})")
_SLICE_UIDS = 50_000


class _Cursor(msgspec.Struct, frozen=True, tag="imap", forbid_unknown_fields=True):
    """The last UID that was given, or looked for in vain."""

    folder: str
    validity: int
    uid: int


class ImapSource:
    """New messages of a mailbox (:class:`~reviewbot.service.model.Source`)."""

    def __init__(
        self,
        name: str,
        account: Account,
        folder: str,
        *,
        since: date | None = None,
        seconds: float = _SECONDS,
    ) -> None:
        """``since`` is a day of delivery; ``seconds`` is how long one fetch may take."""
        self.name = name
        self._folder = folder
        self._since = datetime.combine(since, time(), UTC).timestamp() if since else 0.0
        self._seconds = seconds
        self._session = Session(account)
        self._read_to: tuple[str, Status] | None = None
        """The mailbox that was last read to its end, and what it said then."""

    def fetch(self, cursor: str | None, limit: int) -> Batch:
        """At most ``limit`` messages after ``cursor``."""
        tray = Tray(limit)
        at = read_cursor(_Cursor, cursor)
        folder = at.folder if at and _is_slice_of(self._folder, at.folder) else self._folder
        with self._session.open(self._seconds) as (box, watchdog):
            status = examine(box, folder)
            uid = _begin(status, at, folder, tray)
            uid = self._read(box, folder, range(uid + 1, status.next), tray, watchdog)
            self._read_to = (folder, status)
            full, following = _end_of_slice(folder)
            # There UIDNEXT is the list's, not the mailbox's.
            if full <= uid and uid == status.next - 1 and is_there(box, following):
                folder, uid, status = following, full, examine(box, following)
        return tray.batch(_Cursor(folder, status.validity, uid), more=uid < status.next - 1)

    def wait(self, seconds: float) -> bool:
        """IDLE (RFC 2177), where the server has it."""
        seconds = min(seconds, _IDLE_SECONDS)
        folder, before = self._read_to or (self._folder, None)
        try:
            with self._session.open(seconds + self._seconds) as (box, _):
                if "IDLE" not in box.client.capabilities:
                    return False
                if examine(box, folder) != before and before:
                    return True  # it came before IDLE began, which does not tell of it
                return any(b"EXISTS" in line for line in box.idle.wait(timeout=seconds))
        except SourceError:
            return False  # the next fetch says so

    def close(self) -> None:
        """End the connection."""
        self._session.close()

    def _read(self, box: MailBox, folder: str, uids: range, tray: Tray, watchdog: Watchdog) -> int:
        """Fetch what is new; the UID up to which all is done."""
        done, last, width = uids.start - 1, uids.stop - 1, tray.room
        while done < last and not tray.full and self._has_time(watchdog):
            upto = min(done + width, last)
            found = [m for m in messages(box, done + 1, upto) if m.received >= self._since]
            width = tray.room if found else min(2 * width, _WIDEST)
            if len(found) > tray.room:
                found = found[: tray.room]
                upto = found[-1].uid
            done = self._take(box, folder, found, upto, tray, watchdog)
        return done

    def _take(
        self,
        box: MailBox,
        folder: str,
        found: list[Message],
        upto: int,
        tray: Tray,
        watchdog: Watchdog,
    ) -> int:
        """Fetch these messages; the UID up to which all is done."""
        for group in _groups(found):
            small = [message for message in group if message.size <= MAX_MESSAGE]
            texts = bodies(box, small) if small else {}
            for message in group:
                where = f"{folder}/;UID={message.uid}"  # as in RFC 5092
                if message.size > MAX_MESSAGE:
                    tray.skip(where)
                elif message.uid in texts:  # else it was expunged meanwhile
                    tray.add(texts[message.uid], where)
                if tray.full:
                    return message.uid
            if not self._has_time(watchdog):
                return group[-1].uid
        return upto

    def _has_time(self, watchdog: Watchdog) -> bool:
        """Rather a small batch than none: else a slow line would never get on."""
        return watchdog.remaining > self._seconds / 2


def _begin(status: Status, at: _Cursor | None, folder: str, tray: Tray) -> int:
    """The UID after which to read, which may be lower than the cursor's."""
    if at is None or at.folder != folder:
        return 0
    if at.validity != status.validity:
        tray.note(
            f"The mailbox {folder} was made anew (UIDVALIDITY {at.validity}, now"
            f" {status.validity}): all of it is read again."
        )
        return 0
    if at.uid >= status.next:
        # A backup put back, or a replica that lags: what comes next may have a UID again
        # that another message had.
        tray.note(
            f"The mailbox {folder} went back from UID {at.uid} to {status.next - 1}: it is read"
            " on from there."
        )
    return min(at.uid, status.next - 1)


def _is_slice_of(first: str, folder: str) -> bool:
    """Whether a mailbox is the configured one, or a later slice of the same list."""
    mine, other = _SLICE.fullmatch(first), _SLICE.fullmatch(folder)
    later = mine and other and mine[1] == other[1] and int(mine[2]) <= int(other[2])
    return folder == first or bool(later)


def _end_of_slice(folder: str) -> tuple[int, str]:
    """The last UID that a slice can hold, and the mailbox after it; no end for others."""
    mine = _SLICE.fullmatch(folder)
    if not mine:
        return sys.maxsize, ""
    number = int(mine[2]) + 1
    return number * _SLICE_UIDS, f"{mine[1]}{number}"


def _groups(found: list[Message]) -> Iterator[list[Message]]:
    """Parts that are asked for at once, each of :data:`_AT_ONCE` bytes or of one message."""
    group: list[Message] = []
    total = 0
    for message in found:
        if group and total + message.size > _AT_ONCE:
            yield group
            group, total = [], 0
        group.append(message)
        total += message.size
    if group:
        yield group
