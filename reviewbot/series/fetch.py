# SPDX-License-Identifier: GPL-2.0-or-later
"""A mail thread from a public-inbox server, such as lore.kernel.org.

One GET of ``<server>/<message-id>/t.mbox.gz``, or one POST of a search
(public-inbox's design_www), streamed and bounded in time and size.  Retries are for
an overloaded server only, and keep to the wait it asks for (RFC 9110, 10.2.3).
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urljoin, urlsplit

import requests

from reviewbot.errors import ReviewbotError, UsageError
from reviewbot.series.errors import (
    FetchTimeoutError,
    GarbledAnswerError,
    NotFound,
    ServerError,
    ThrottledError,
    TooBig,
    UnreachableError,
)
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

DEFAULT_SERVER = "https://lore.kernel.org/all"
_MAX_REDIRECTS = 3
_FIRST_DELAY = 0.5
"""Seconds before the first retry; each further one waits twice as long."""


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How much one fetch may cost."""

    deadline: float = 30.0
    """Seconds for everything, retries and waits included."""
    max_compressed: int = 16 * 1024 * 1024
    max_bytes: int = 64 * 1024 * 1024
    """Bytes of the mailbox once unpacked."""
    retries: int = 3


DEFAULT_LIMITS = FetchLimits()


class _TryAgainError(Exception):
    """A failure that may pass; ``error`` is what to raise if it does not."""

    def __init__(self, error: ReviewbotError, wait: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait = wait


def thread_url(server: str, message_id: str) -> str:
    """Address of the gzipped mailbox of a message's whole thread.

    Raises UsageError unless ``server`` is an http(s) URL.
    """
    try:
        parts = urlsplit(server)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(
            f"{server!r} is not the URL of a public-inbox server: give one such as "
            f"{DEFAULT_SERVER}."
        )
    return f"{server.rstrip('/')}/{quote(message_id, safe='@')}/t.mbox.gz"


def fetch_thread(
    message_id: str,
    *,
    server: str = DEFAULT_SERVER,
    limits: FetchLimits = DEFAULT_LIMITS,
    contact: str = "",
) -> bytes:
    """The thread that holds a message, as an mboxrd.

    ``contact`` goes into the User-Agent, for the server's operator.  Raises
    NotFound, TooBig, FetchTimeoutError, UnreachableError, ThrottledError, ServerError or
    GarbledAnswerError, each naming the URL.
    """
    absent = f"There is no message {message_id}"
    return _fetch("GET", thread_url(server, message_id), absent, limits, contact)


def search(
    query: str,
    *,
    server: str = DEFAULT_SERVER,
    limits: FetchLimits = DEFAULT_LIMITS,
    contact: str = "",
) -> bytes:
    """The messages that match a public-inbox query, as an mboxrd; not their threads.

    ``patchid:`` and ``nq:`` (text that is no quote) are what a query is made of, as
    the server's ``/_/text/help/`` says.  Raises as :func:`fetch_thread`.
    """
    base = thread_url(server, "x").removesuffix("x/t.mbox.gz")
    absent = f"Nothing matches {_shorten(query)}"
    return _fetch("POST", f"{base}?{urlencode({'q': query, 'x': 'm'})}", absent, limits, contact)


def _fetch(method: str, url: str, absent: str, limits: FetchLimits, contact: str) -> bytes:
    """Ask, and again while the server is overloaded; ``absent`` says what a 404 means."""
    headers = {"User-Agent": user_agent(contact), "Accept-Encoding": "identity"}
    with Watchdog(limits.deadline) as watchdog, session(watchdog) as http:
        http.headers.update(headers)
        for attempt in range(limits.retries + 1):
            try:
                return _attempt(http, watchdog, method, url, absent, limits)
            except _TryAgainError as failure:
                _wait(failure, attempt, watchdog, url, limits)
    raise AssertionError("the last attempt either returns or raises")


def _wait(
    failure: _TryAgainError, attempt: int, watchdog: Watchdog, url: str, limits: FetchLimits
) -> None:
    """Sleep before the next attempt, or give up with the failure's error."""
    if watchdog.expired:
        raise _timed_out(url, limits) from failure
    if attempt >= limits.retries:
        raise failure.error from failure
    delay = failure.wait
    if delay is None:
        delay = _FIRST_DELAY * 2**attempt * random.uniform(0.8, 1.2)  # noqa: S311
    if delay >= watchdog.remaining:
        if failure.wait is None:
            raise failure.error from failure
        raise ThrottledError(
            f"{url} asks to wait {delay:.0f} seconds, longer than the deadline of "
            f"{limits.deadline:g} seconds allows: try again later."
        ) from failure
    time.sleep(delay)


def _timed_out(url: str, limits: FetchLimits) -> FetchTimeoutError:
    return FetchTimeoutError(
        f"{url} did not finish within {limits.deadline:g} seconds: try again later, or name "
        "another server with --lore."
    )


def _attempt(
    http: requests.Session,
    watchdog: Watchdog,
    method: str,
    url: str,
    absent: str,
    limits: FetchLimits,
) -> bytes:
    """One try, redirects followed.  Raises _TryAgainError for what may pass."""
    try:
        with _ask(http, watchdog, method, url) as answer:
            _check_status(answer, url, absent)
            return b"".join(_unpack(_body(answer, url, limits), url, limits))
    except (GarbledAnswerError, *WIRE_ERRORS) as error:
        # A socket that the watchdog shut looks like an answer that ends too early.
        if watchdog.expired:
            raise _timed_out(url, limits) from error
        if isinstance(error, GarbledAnswerError):
            raise
        raise _TryAgainError(
            UnreachableError(
                f"{url} cannot be read ({reason(error)}): check the server's name and the network."
            )
        ) from error


def _ask(http: requests.Session, watchdog: Watchdog, method: str, url: str) -> requests.Response:
    """A request with redirects within one server only, so that it cannot send us elsewhere."""
    at = url
    for _ in range(_MAX_REDIRECTS + 1):
        # A read may block up to the deadline: the watchdog ends it then.
        timeout = max(0.05, watchdog.remaining)
        answer = http.request(method, at, stream=True, allow_redirects=False, timeout=timeout)
        if not answer.is_redirect:
            return answer
        target = urljoin(at, answer.headers.get("Location", ""))
        answer.close()
        if not _same_server(at, target):
            raise ServerError(
                f"{at} redirects to another server ({_shorten(target)}): name that one with --lore."
            )
        at = target
    raise ServerError(f"{url} redirects in a circle: name another server with --lore.")


def _same_server(old: str, new: str) -> bool:
    try:
        before, after = urlsplit(old), urlsplit(new)
        if before.hostname != after.hostname:
            return False
        upgrade = (before.scheme, after.scheme) == ("http", "https")
        return upgrade or (before.scheme, before.port) == (after.scheme, after.port)
    except ValueError:
        return False


def _shorten(text: str) -> str:
    printable = "".join(char for char in text if char.isprintable())
    return printable if len(printable) <= 80 else f"{printable[:80]}…"


def _check_status(answer: requests.Response, url: str, absent: str) -> None:
    status = answer.status_code
    if status == requests.codes.ok:
        return
    if status in (300, 404, 410):
        raise NotFound(
            f"{absent} at {url}: check the Message-ID, or name another server with --lore."
        )
    if status in (429, 503):
        raise _TryAgainError(
            ThrottledError(
                f"{url} is overloaded or limits requests (HTTP {status}): try again later."
            ),
            retry_after(answer.headers.get("Retry-After", "")),
        )
    failure = ServerError(
        f"{url} answered with HTTP status {status}: try again later, or name another server "
        "with --lore."
    )
    if status in (500, 502, 504):
        raise _TryAgainError(failure)
    raise failure


def _body(answer: requests.Response, url: str, limits: FetchLimits) -> Iterator[bytes]:
    """The answer's bytes as sent: the mailbox is gzipped, the transfer is not to be."""
    try:
        yield from chunks(answer, limits.max_compressed)
    except TooLongError as error:
        raise _too_big(url, limits.max_compressed) from error


def _too_big(url: str, limit: int) -> TooBig:
    return TooBig(
        f"The thread at {url} is larger than {limit // 1024} KiB, which is more than is read "
        "from a stranger: give the patches as an mbox."
    )


def _unpack(chunks: Iterator[bytes], url: str, limits: FetchLimits) -> Iterator[bytes]:
    """Inflate a gzip stream (RFC 1952), never more than the limit into memory."""
    inflate = zlib.decompressobj(wbits=31)
    produced = 0
    begun = False
    for chunk in chunks:
        data = chunk
        while data:
            if inflate.eof:
                inflate = zlib.decompressobj(wbits=31)
            try:
                out = inflate.decompress(data, limits.max_bytes - produced + 1)
            except zlib.error as error:
                if begun:
                    raise _garbled(url, "a damaged gzip file") from error
                raise _garbled(url, "something that is no gzipped mailbox") from error
            begun = True
            produced += len(out)
            if produced > limits.max_bytes:
                raise _too_big(url, limits.max_bytes)
            yield out
            data = inflate.unconsumed_tail or inflate.unused_data
    if not begun or not inflate.eof:
        raise _garbled(url, "a mailbox that is cut short")


def _garbled(url: str, what: str) -> GarbledAnswerError:
    return GarbledAnswerError(
        f"{url} answered with {what}: try again later, or name another server."
    )
