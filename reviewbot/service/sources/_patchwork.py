# SPDX-License-Identifier: GPL-2.0-or-later
"""patchwork's REST API (https://patchwork.readthedocs.io/en/latest/api/rest/), version 1.2.

What is asked of it is a list in the order of dates, page by page as its Link headers
(RFC 8288) go on, and the text of single mails.  Nothing but the configured server is
ever asked, whatever its answers name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Self, TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

import msgspec
import requests

from reviewbot.series.http import (
    WIRE_ERRORS,
    TooLongError,
    Watchdog,
    chunks,
    reason,
    retry_after,
    session,
    user_agent,
)
from reviewbot.service.model import FailureKind
from reviewbot.service.sources.errors import SourceError
from reviewbot.service.sources.tray import MAX_MESSAGE
from reviewbot.typed import learnt

_MAX_PAGE = 32 << 20
_T = TypeVar("_T")


class Listing(StrEnum):
    """What can be listed.  An event is one mail that came; a series is all of its mails."""

    SERIES = "series"
    COVERS = "cover-created"
    PATCHES = "patch-created"


@dataclass(frozen=True, slots=True)
class Item:
    """An entry of a list, with the addresses of its mails."""

    id: int
    date: datetime
    mboxes: tuple[str, ...]


class _Mail(msgspec.Struct):
    mbox: str = ""


class _Payload(msgspec.Struct):
    cover: _Mail | None = None
    patch: _Mail | None = None


class _Event(msgspec.Struct):
    id: int
    date: datetime
    payload: _Payload

    def item(self) -> Item:
        mails = (self.payload.cover, self.payload.patch)
        return Item(self.id, _utc(self.date), tuple(m.mbox for m in mails if m and m.mbox))


class _Series(msgspec.Struct):
    id: int
    date: datetime
    patches: list[_Mail]
    cover_letter: _Mail | None = None

    def item(self) -> Item:
        mails = ([self.cover_letter] if self.cover_letter else []) + self.patches
        return Item(self.id, _utc(self.date), tuple(m.mbox for m in mails if m.mbox))


class Client:
    """One visit to a server, for at most ``seconds``.  A context manager."""

    def __init__(self, url: str, project: str, *, seconds: float, contact: str) -> None:
        self._url = url.rstrip("/")
        self._project = project
        self._seconds = seconds
        self._contact = contact
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._watchdog = self._stack.enter_context(Watchdog(self._seconds))
        self._http = self._stack.enter_context(session(self._watchdog))
        self._http.headers["User-Agent"] = user_agent(self._contact)
        self._http.headers["Accept-Encoding"] = "identity"
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def in_time(self) -> bool:
        """Whether half of the time is left: rather a small batch than none."""
        return self._watchdog.remaining > self._seconds / 2

    def now(self) -> datetime:
        """The server's clock."""
        answer, _ = self._get(f"{self._url}/api/1.2/", {}, _MAX_PAGE)
        try:
            return _utc(parsedate_to_datetime(answer.headers.get("Date", "")))
        except ValueError:
            return datetime.now(UTC)

    def items(self, listing: Listing, since: datetime) -> Iterator[Item]:
        """The entries from a date on, oldest first."""
        query = {"project": self._project, "order": "date", "since": _naive(since)}
        url: str | None = f"{self._url}/api/1.2/events/"
        if listing is Listing.SERIES:
            url = f"{self._url}/api/1.2/series/"
        else:
            query["category"] = listing.value
        before = datetime.min.replace(tzinfo=UTC)
        while url:
            answer, page = self._get(url, query, _MAX_PAGE)
            for item in self._decode(page, listing, url):
                if item.date < before:
                    raise self._garbage(url, "a list that is not in the order of its dates")
                before = item.date
                yield item
            url, query = self._next(answer, url), {}

    def mail(self, url: str) -> bytes | None:
        """The mail at an address; None if it is too big.

        Raises SourceError, and LookupError if it was deleted.
        """
        _, text = self._get(self._ours(url), {}, MAX_MESSAGE)
        if text is not None and not text.startswith(b"From "):
            raise self._garbage(url, "something that is no mail")
        return text

    def _next(self, answer: requests.Response, url: str) -> str | None:
        """The next page; a page that is its own successor would never end."""
        link = answer.links.get("next", {}).get("url")
        if not link:
            return None
        following = self._ours(urljoin(url, link))
        if following == answer.url:
            raise self._garbage(url, "a list that never ends")
        return following

    def _ours(self, url: str) -> str:
        """An address on the configured server, which knows itself as http behind its proxy.

        Raises SourceError for another server's.
        """
        try:
            there, here = urlsplit(url), urlsplit(self._url)
            same = there.hostname == here.hostname and there.scheme in ("http", "https")
        except ValueError:
            same = False
        if not same:
            raise self._garbage(url, "the address of another server")
        return urlunsplit((here.scheme, here.netloc, there.path, there.query, ""))

    def _decode(self, page: bytes | None, listing: Listing, url: str) -> list[Item]:
        kind: type[list[_Series]] | type[list[_Event]] = (
            list[_Series] if listing is Listing.SERIES else list[_Event]
        )
        try:
            return [entry.item() for entry in msgspec.json.decode(page or b"", type=learnt(kind))]
        except msgspec.DecodeError as error:
            raise self._garbage(url, "something that is no list of patchwork's") from error

    def _get(
        self, url: str, query: dict[str, str], limit: int
    ) -> tuple[requests.Response, bytes | None]:
        """An answer and its body, None if that is over the limit."""
        try:
            timeout = max(0.05, self._watchdog.remaining)
            with self._http.get(
                url, params=query, stream=True, allow_redirects=False, timeout=timeout
            ) as answer:
                self._check(answer, url)
                return answer, _body(answer, limit)
        except WIRE_ERRORS as error:
            if self._watchdog.expired:
                raise SourceError(
                    f"{url} did not answer in time: it is asked again later.", FailureKind.TIMEOUT
                ) from error
            raise SourceError(
                f"{url} cannot be read ({reason(error)}): check the server's name and the network.",
                FailureKind.UNREACHABLE,
            ) from error

    def _check(self, answer: requests.Response, url: str) -> None:
        status = answer.status_code
        if status in (404, 410) and "/mbox" in url:
            raise LookupError(url)
        if status in (429, 503):
            raise SourceError(
                f"{url} limits requests (HTTP {status}): it is asked again later.",
                FailureKind.THROTTLED,
                retry_after(answer.headers.get("Retry-After", "")),
            )
        if status != requests.codes.ok:
            raise SourceError(
                f"{url} answered with HTTP status {status}: check the server's address, and the"
                " project's name.",
                FailureKind.UNREACHABLE,
            )

    def _garbage(self, url: str, what: str) -> SourceError:
        shown = "".join(char for char in url if char.isprintable())[:200]
        return SourceError(
            f"{self._url} gave {what} ({shown}): check that it is a patchwork of 2.2 or later.",
            FailureKind.GARBAGE,
        )


def _body(answer: requests.Response, limit: int) -> bytes | None:
    try:
        return b"".join(chunks(answer, limit))
    except TooLongError:
        return None


def _utc(date: datetime) -> datetime:
    """patchwork's dates are UTC without saying so."""
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)


def _naive(date: datetime) -> str:
    return date.astimezone(UTC).replace(tzinfo=None).isoformat()
