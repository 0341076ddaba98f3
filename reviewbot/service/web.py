# SPDX-License-Identifier: GPL-2.0-or-later
"""Status pages, metrics and the health check over HTTP; read only.

Meant for loopback, or for a reverse proxy that knows who may look.  Nothing of a
request but its path is read, and a path is only ever compared.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from reviewbot.errors import ConfigError, ReviewbotError

_SECONDS = 10.0
"""How long a client may take; also keeps one that says nothing from holding a thread."""
_CLIENTS = 32
"""Requests answered at the same time; more are turned away."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    body: bytes
    content_type: str = "text/html; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


def text(words: str, status: HTTPStatus = HTTPStatus.OK) -> Page:
    """A page of plain text."""
    return Page(f"{words}\n".encode("utf-8", "replace"), "text/plain; charset=utf-8", status)


Pages = Mapping[str, Callable[..., Page]]
"""A path as a regular expression, and what answers it; its groups are the arguments."""


class Server:
    """An HTTP server in a thread of its own.  A context manager."""

    def __init__(self, address: str, pages: Pages) -> None:
        """Listen at ``HOST:PORT``; raises :class:`ConfigError` if that cannot be had."""
        host, _, port = address.rpartition(":")
        try:
            self._server = _Bounded((host.strip("[]"), int(port)), pages)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"service.listen: cannot listen at {address}: {error}; choose another address"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="reviewbot-web", daemon=True
        )

    @property
    def port(self) -> int:
        """The port listened at."""
        port: int = self._server.server_address[1]
        return port

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Bounded(ThreadingHTTPServer):
    """A server that answers a bounded number of clients at a time."""

    daemon_threads = True
    request_queue_size = 2 * _CLIENTS

    def __init__(self, address: tuple[str, int], pages: Pages) -> None:
        self.pages = [(re.compile(path), answer) for path, answer in pages.items()]
        self._free = threading.BoundedSemaphore(_CLIENTS)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def process_request(self, request: object, client_address: object) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)  # type: ignore[arg-type]
            return
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no event."""

    def answer(self, path: str) -> Page:
        """What a path shows."""
        for pattern, page in self.pages:
            if found := pattern.fullmatch(path):
                try:
                    return page(*found.groups())
                except ReviewbotError as error:
                    return text(str(error), HTTPStatus.SERVICE_UNAVAILABLE)
        return text("There is no such page.", HTTPStatus.NOT_FOUND)


class _Handler(BaseHTTPRequestHandler):
    server: _Bounded
    server_version = "reviewbot"
    sys_version = ""
    timeout = _SECONDS

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        page = self.server.answer(self.path.partition("?")[0])
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(page.body)

    def log_message(self, *_: object) -> None:
        """The log has events of reviews, not of who looked."""
