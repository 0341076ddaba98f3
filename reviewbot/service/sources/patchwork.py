# SPDX-License-Identifier: GPL-2.0-or-later
"""A project on a patchwork server, mail by mail.

What was there before we came is read as series; then its events are followed, one of
which tells of each cover letter and each patch.  Both are asked for from a date on,
and the cursor holds the entries around that date which are done.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlsplit

import msgspec

from reviewbot.service.model import Batch
from reviewbot.service.sources._patchwork import Client, Item, Listing
from reviewbot.service.sources.errors import SourceError
from reviewbot.service.sources.tray import Tray, read_cursor

_SECONDS = 120.0
_OVERLAP = timedelta(minutes=5)
"""Events may be seen out of order: those of two mails that came at once."""
_MOST_DONE = 2000


class _Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a list was read."""

    date: datetime
    done: tuple[tuple[int, datetime], ...] = ()
    """Entries not much older than that, which are not to be read again."""
    under_way: int = 0
    """An entry of which ``parts`` mails were given."""
    parts: int = 0

    def after(self, item: Item) -> _Place:
        oldest = item.date - _OVERLAP
        done = (*(each for each in self.done if each[1] >= oldest), (item.id, item.date))
        return _Place(item.date, done[-_MOST_DONE:])


class _Cursor(msgspec.Struct, frozen=True, tag="patchwork", forbid_unknown_fields=True):
    places: dict[Listing, _Place]


class PatchworkSource:
    """New messages of a patchwork project (:class:`~reviewbot.service.model.Source`)."""

    def __init__(
        self,
        name: str,
        url: str,
        project: str,
        *,
        since: date | None = None,
        contact: str = "",
        seconds: float = _SECONDS,
    ) -> None:
        """``seconds`` is how long one fetch may take."""
        self.name = name
        self._url = url
        self._project = project
        self._since = datetime.combine(since or date(1970, 1, 2), time(), UTC)
        self._contact = contact
        self._seconds = seconds

    def fetch(self, cursor: str | None, limit: int) -> Batch:
        """At most ``limit`` messages after ``cursor``."""
        tray = Tray(limit)
        at = read_cursor(_Cursor, cursor)
        more = False
        with Client(
            self._url, self._project, seconds=self._seconds, contact=self._contact
        ) as client:
            left = dict(at.places) if at else self._everything(client.now())
            for listing, place in list(left.items()):
                left[listing], ended = _follow(client, listing, place, tray)
                if not ended:
                    more = True
                    break
                if listing is Listing.SERIES:
                    del left[listing]  # all that comes from now on is an event
        return tray.batch(_Cursor(left), more=more)

    def wait(self, seconds: float) -> bool:
        """patchwork cannot tell."""
        return False

    def close(self) -> None:
        """Nothing is kept open."""

    def _everything(self, now: datetime) -> dict[Listing, _Place]:
        """Where to begin: with what is there, and then with what comes meanwhile."""
        return {
            Listing.SERIES: _Place(self._since),
            Listing.COVERS: _Place(now - _OVERLAP),
            Listing.PATCHES: _Place(now - _OVERLAP),
        }


def _follow(client: Client, listing: Listing, place: _Place, tray: Tray) -> tuple[_Place, bool]:
    """Read on in a list; the new place, and whether that is its end.

    A failure is left to the next time if there is something to give: a server that allows
    few requests would else never be read.
    """
    done = {number for number, _ in place.done}
    try:
        for item in client.items(listing, place.date - (_OVERLAP if done else timedelta())):
            if item.id in done:
                continue
            first = place.parts if item.id == place.under_way else 0
            for part, mbox in enumerate(item.mboxes[first:], first + 1):
                if tray.full or not client.in_time:
                    return place, False
                _put(client, mbox, tray)
                place = msgspec.structs.replace(place, under_way=item.id, parts=part)
            place = place.after(item)
    except SourceError:
        if tray.empty:
            raise
        return place, False
    return place, True


def _put(client: Client, mbox: str, tray: Tray) -> None:
    try:
        text = client.mail(mbox)
    except LookupError:
        return  # deleted on the server
    where = urlsplit(mbox).path
    if text is None:
        tray.skip(where)
    else:
        tray.add(text, where)
