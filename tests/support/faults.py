# SPDX-License-Identifier: GPL-2.0-or-later
"""Small HTTP servers on loopback that misbehave in one way each."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One request; the server's answers are used up in turn, the last one for ever."""

    server: FaultServer

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        answers = self.server.answers
        answer = answers[min(len(self.server.requests), len(answers)) - 1]
        try:
            answer(self)
        except OSError:
            self.close_connection = True  # the client has hung up, as it should

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        """A whole answer; header names are given with underscores for hyphens."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class FaultServer(ThreadingHTTPServer):
    """Answers from a list, and remembers what was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/list"


@contextmanager
def serving(*answers: Answer) -> Iterator[FaultServer]:
    """A server that gives these answers."""
    with FaultServer(answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Keep quiet."""


@contextmanager
def serving_files(root: Path) -> Iterator[str]:
    """A directory on a plain web server; its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    """A plain answer."""
    return lambda handler: handler.reply(code, body, **headers)


def mailbox(mbox: bytes) -> Answer:
    """What public-inbox sends for a thread."""
    return status(200, gzip.compress(mbox), Content_Type="application/gzip")


def hang(handler: Handler) -> None:
    """Take the request and say nothing."""
    handler.server.stopped.wait(60)


def trickle_body(handler: Handler) -> None:
    """A byte at a time: no single read is ever late."""
    handler.send_response(200)
    handler.end_headers()
    for byte in gzip.compress(bytes(range(256)) * 200, 0):
        handler.wfile.write(bytes([byte]))
        if handler.server.stopped.wait(0.05):
            return


def trickle_headers(handler: Handler) -> None:
    """Headers that never end, a byte at a time."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
    while not handler.server.stopped.wait(0.05):
        handler.wfile.write(b"x")


def reset(handler: Handler) -> None:
    """Half an answer, then nothing more."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(gzip.compress(b"From "))
    handler.close_connection = True
