# SPDX-License-Identifier: GPL-2.0-or-later
"""An HTTP session whose every byte comes before one deadline, and what its failures say.

The timeouts of requests are per read: a server that sends a byte now and then
is never late, and its headers are read before any caller's loop can look at
the clock.  So each connection's socket is also known to a watchdog, which shuts
it down at the deadline, whatever the reading thread waits for (connection, TLS
handshake, headers or body).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.poolmanager import PoolManager

from reviewbot import __version__

_CHUNK = 64 * 1024
WIRE_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What a connection that fails raises, at any moment."""


class Watchdog:
    """Shuts the sockets it was shown at the deadline.  A context manager."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._bite)
        self._timer.daemon = True

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    @property
    def expired(self) -> bool:
        return self.remaining <= 0

    def watch(self, connection: socket.socket) -> None:
        """Keep a second handle: TLS detaches the first one from its descriptor."""
        with self._lock:
            self._sockets.append(connection.dup())

    def _bite(self) -> None:
        with self._lock:
            for handle in self._sockets:
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Watchdog:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._lock:
            for handle in self._sockets:
                handle.close()
            self._sockets.clear()


class _Adapter(HTTPAdapter):
    """Pools whose connections show their socket to the watchdog, with or without a proxy."""

    def __init__(self, watchdog: Watchdog) -> None:
        self._pools = _watched_pools(watchdog)
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _watched_pools(watchdog: Watchdog) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            watchdog.watch(connection)
            return connection

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            watchdog.watch(connection)
            return connection

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def session(watchdog: Watchdog) -> requests.Session:
    """A session under the watchdog's eye; close it before the watchdog ends."""
    made = requests.Session()
    adapter = _Adapter(watchdog)
    made.mount("http://", adapter)
    made.mount("https://", adapter)
    return made


class TooLongError(Exception):
    """An answer is longer than its reader wants."""


def chunks(answer: requests.Response, limit: int) -> Iterator[bytes]:
    """The answer's bytes as they are sent: ask for ``Accept-Encoding: identity``.

    Raises :class:`TooLongError` as soon as there are more than ``limit``.
    """
    received = 0
    while chunk := answer.raw.read(_CHUNK, decode_content=False):
        received += len(chunk)
        if received > limit:
            raise TooLongError
        yield chunk


def user_agent(contact: str = "") -> str:
    """Who asks; ``contact`` is for the server's operator."""
    return f"reviewbot/{__version__}" + (f" (+{contact})" if contact else "")


def reason(error: BaseException) -> str:
    """The system's words for a failed connection, without the library's object names."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__


def retry_after(value: str) -> float | None:
    """Seconds to wait, from a number of seconds or an HTTP date; None if it is neither.

    That is the header ``Retry-After`` (RFC 9110, 10.2.3).
    """
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
