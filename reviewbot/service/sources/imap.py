# SPDX-License-Identifier: GPL-2.0-or-later
"""A mailbox followed over IMAP: one's own, or a list's on public-inbox's read-only server.

A message is known by its UID as long as the mailbox's UIDVALIDITY stays the same
(RFC 3501, 2.3.1.1); if it changes, all messages are new.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import msgspec
from imap_tools import AND

from reviewbot.series.http import Watchdog
from reviewbot.service.model import Batch
from reviewbot.service.sources._imap import MailBox, Session, Status, bodies, examine, sizes
from reviewbot.service.sources.account import Account
from reviewbot.service.sources.errors import SourceError
from reviewbot.service.sources.tray import MAX_MESSAGE, Tray, read_cursor

_SECONDS = 120.0
_WIDEST = 50_000
"""UIDs looked at in one question: most of them may have been expunged."""
_AT_ONCE = 4 << 20
"""Bytes of messages asked for in one question, unless one alone has more."""
_IDLE_SECONDS = 28 * 60.0  # a server may end it after 29 minutes (RFC 2177)


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
        """``seconds`` is how long one fetch may take."""
        self.name = name
        self._folder = folder
        self._since = since
        self._seconds = seconds
        self._session = Session(account)
        self._read_to: Status | None = None
        """What the mailbox said when it was last read to its end."""

    def fetch(self, cursor: str | None, limit: int) -> Batch:
        """At most ``limit`` messages after ``cursor``."""
        tray = Tray(limit)
        with self._session.open(self._seconds) as (box, watchdog):
            status = examine(box, self._folder)
            uid = self._begin(box, status, read_cursor(_Cursor, cursor), tray)
            width = tray.room
            while uid < status.next - 1 and not tray.full and self._has_time(watchdog):
                last = min(uid + width, status.next - 1)
                found = sizes(box, uid + 1, last)
                width = tray.room if found else min(2 * width, _WIDEST)
                if len(found) > tray.room:
                    found = found[: tray.room]
                    last = found[-1][0]
                uid = self._take(box, found, last, tray, watchdog)
        more = uid < status.next - 1
        self._read_to = None if more else status
        return tray.batch(_Cursor(self._folder, status.validity, uid), more=more)

    def wait(self, seconds: float) -> bool:
        """IDLE (RFC 2177), where the server has it."""
        seconds = min(seconds, _IDLE_SECONDS)
        try:
            with self._session.open(seconds + self._seconds) as (box, _):
                if "IDLE" not in box.client.capabilities:
                    return False
                status = examine(box, self._folder)
                if self._read_to not in (None, status):
                    return True  # it came before IDLE began, which does not tell of it
                return any(b"EXISTS" in line for line in box.idle.wait(timeout=seconds))
        except SourceError:
            return False  # the next fetch says so

    def close(self) -> None:
        """End the connection."""
        self._session.close()

    def _begin(self, box: MailBox, status: Status, at: _Cursor | None, tray: Tray) -> int:
        """The UID after which to read, which may be lower than the cursor's."""
        if at is None or (at.folder, at.validity) != (self._folder, status.validity):
            if at is not None and at.folder == self._folder:
                tray.note(
                    f"The mailbox {self._folder} was made anew (UIDVALIDITY {at.validity}, now"
                    f" {status.validity}): all of it is read again."
                )
            return self._before_since(box, status)
        if at.uid >= status.next:
            # A backup put back, or a replica that lags: what comes next may have a UID again
            # that another message had.
            tray.note(
                f"The mailbox {self._folder} went back from UID {at.uid} to {status.next - 1}:"
                " it is read on from there."
            )
        return min(at.uid, status.next - 1)

    def _before_since(self, box: MailBox, status: Status) -> int:
        if self._since is None:
            return 0
        uids = box.uids(AND(date_gte=self._since), charset=None)
        return min((int(uid) - 1 for uid in uids), default=status.next - 1)

    def _take(
        self,
        box: MailBox,
        found: list[tuple[int, int]],
        last: int,
        tray: Tray,
        watchdog: Watchdog,
    ) -> int:
        """Fetch the messages, given as (UID, bytes); the UID up to which all is done."""
        for group in _groups(found):
            small = {uid: size for uid, size in group if size <= MAX_MESSAGE}
            texts = bodies(box, list(small), sum(small.values())) if small else {}
            for uid, _ in group:
                where = f"{self._folder}/;UID={uid}"  # as in RFC 5092
                if uid not in small:
                    tray.skip(where)
                elif uid in texts:  # else it was expunged meanwhile
                    tray.add(texts[uid], where)
                if tray.full:
                    return uid
            if not self._has_time(watchdog):
                return group[-1][0]
        return last

    def _has_time(self, watchdog: Watchdog) -> bool:
        """Rather a small batch than none: else a slow line would never get on."""
        return watchdog.remaining > self._seconds / 2


def _groups(found: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Parts that are asked for at once, each of :data:`_AT_ONCE` bytes or of one message."""
    group: list[tuple[int, int]] = []
    total = 0
    for uid, size in found:
        if group and total + size > _AT_ONCE:
            yield group
            group, total = [], 0
        group.append((uid, size))
        total += size
    if group:
        yield group
