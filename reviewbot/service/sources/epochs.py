# SPDX-License-Identifier: GPL-2.0-or-later
"""A public-inbox archive followed through git, epoch by epoch.

``https://lore.kernel.org/kvm`` is served as the repositories ``…/kvm/0``,
``…/kvm/1`` and so on, each begun when the one before it is full (about 1 GB;
public-inbox-v2-format(5)).  Archives are append-only, except when an operator
edits or purges a message: then an epoch's history is rewritten, and what comes
after the last common commit is given once more.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path

import msgspec

from reviewbot.service.model import Batch, FailureKind
from reviewbot.service.sources._epoch import Epoch, Event
from reviewbot.service.sources._remote import FetchLimits
from reviewbot.service.sources.errors import SourceError, refused
from reviewbot.service.sources.tray import Tray, read_cursor

DEFAULT_LIMITS = FetchLimits()


class _Cursor(msgspec.Struct, frozen=True, tag="public-inbox", forbid_unknown_fields=True):
    """The last commit whose message was given; empty at the start of an epoch."""

    epoch: int = 0
    commit: str = ""


class _Walk:
    """The rest of an epoch, in order: what one batch leaves, the next begins with."""

    def __init__(self, at: _Cursor, tip: str, events: Iterator[Event]) -> None:
        self.tip = tip
        self._events = events
        self._ahead = next(events, None)
        self.at = at if self._ahead else _Cursor(at.epoch, tip)

    @property
    def ended(self) -> bool:
        return self._ahead is None

    def __iter__(self) -> Iterator[Event]:
        """The events that are left; between two of them ``at`` is a place to go on from."""
        while event := self._ahead:
            self._ahead = next(self._events, None)
            # The tip itself may be no event.
            self.at = _Cursor(self.at.epoch, event.commit if self._ahead else self.tip)
            yield event


class EpochSource:
    """New messages of a public-inbox archive (:class:`~reviewbot.service.model.Source`)."""

    def __init__(
        self,
        name: str,
        url: str,
        state: Path,
        *,
        since: date | None = None,
        contact: str = "",
        limits: FetchLimits = DEFAULT_LIMITS,
    ) -> None:
        """``state`` is this source's own directory."""
        self.name = name
        self._url = url.rstrip("/")
        self._state = state
        self._since = since
        self._contact = contact
        self._limits = limits
        self._epoch: Epoch | None = None
        self._number = -1
        self._walk: _Walk | None = None
        self._followed = False
        """Whether the epoch under way has one after it, so that it grows no more."""

    def fetch(self, cursor: str | None, limit: int) -> Batch:
        """At most ``limit`` messages after ``cursor``."""
        at = read_cursor(_Cursor, cursor) or _Cursor()
        tray = Tray(limit)
        walk, self._walk = self._walk, None
        with self._alone():
            if walk is None or walk.at != at or walk.ended:
                walk = self._begin(at, tray)
            for event in walk:
                _put(event, tray, f"{self._url}/{at.epoch} {event.commit[:12]}")
                if tray.full:
                    break
        if not walk.ended:
            self._walk = walk
            return tray.batch(walk.at, more=True)
        if self._followed:
            return tray.batch(_Cursor(at.epoch + 1), more=True)
        return tray.batch(walk.at, more=False)

    def wait(self, seconds: float) -> bool:
        """git cannot tell."""
        return False

    def close(self) -> None:
        """End the children."""
        self._walk = None
        if self._epoch:
            self._epoch.close()
            self._epoch, self._number = None, -1

    def _begin(self, at: _Cursor, tray: Tray) -> _Walk:
        """Fetch, and stand where the cursor says, or where a rewritten history leaves it."""
        epoch = self._open(at.epoch)
        tip = epoch.fetch(self._since)
        self._followed = False
        # A server is asked for the next epoch on the way through old ones, and when nothing
        # has come: an epoch that still grows has none after it.
        quiet = not at.commit or tip in (at.commit, None)
        if quiet and epoch.is_served(self._address(at.epoch + 1)):
            self._followed = True
            tip = epoch.fetch(self._since)  # what came before the next epoch was begun
        if tip is None:
            return _Walk(at, at.commit, iter(()))
        after = epoch.common(at.commit, tip) if at.commit else None
        if at.commit and after != at.commit:
            self._rewritten(epoch, at, after, tip, tray)
        return _Walk(at, tip, epoch.events(after, tip, self._oldest()))

    def _rewritten(
        self, epoch: Epoch, at: _Cursor, common: str | None, tip: str, tray: Tray
    ) -> None:
        tray.note(
            f"The history of {epoch.url} was rewritten: its messages since"
            f" {common[:12] if common else 'the start'} are read again."
        )
        if epoch.object_types([at.commit]) == ["commit"]:
            tray.take_back(epoch.vanished(common, at.commit, tip))

    def _oldest(self) -> int:
        return int(datetime.combine(self._since or date(1970, 1, 1), time(), UTC).timestamp())

    def _open(self, number: int) -> Epoch:
        """The epoch under way, its children kept."""
        if self._epoch is None or self._number != number:
            self.close()
            copy = self._state / f"{number}.git"
            self._epoch = Epoch(copy, self._address(number), self._contact, self._limits)
            self._number = number
        return self._epoch

    def _address(self, number: int) -> str:
        """Where an epoch is: on disk, where no server translates it, below git/."""
        local = self._url.startswith("file:")
        return f"{self._url}/git/{number}.git" if local else f"{self._url}/{number}"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep two processes from one copy: each removes what the other has not finished."""
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._state / "busy", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise refused(error, self._state) from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SourceError(
                    f"Another process fetches {self._url} into {self._state}: wait for its end.",
                    FailureKind.TREE,
                ) from error
            yield
        finally:
            os.close(handle)


def _put(event: Event, tray: Tray, where: str) -> None:
    if event.raw is not None:
        tray.add(event.raw, where)
    elif event.oversized:
        tray.skip(where)
    elif event.removed:
        tray.take_back(event.removed)
