# SPDX-License-Identifier: GPL-2.0-or-later
"""A bad line to a good server: it cuts, slows or changes what a real server sends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType


class BadLine:
    """A port on loopback that leads to another one.  A context manager.

    ``change`` gets every chunk that the server sends.  After ``cut`` bytes, counted over
    all connections, the line is dead; with ``pause`` each byte takes that many seconds.
    """

    def __init__(
        self,
        to: int,
        *,
        change: Callable[[bytes], bytes] = bytes,
        cut: int | None = None,
        pause: float = 0.0,
    ) -> None:
        self._to = to
        self.change = change
        self.cut = cut
        self.pause = pause
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ended = threading.Event()
        self._open: list[socket.socket] = []

    def __enter__(self) -> BadLine:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for each in (self._listener, *self._open):
            _end(each)

    def drop(self) -> None:
        """End all connections, as a firewall does that forgets them."""
        for each in self._open:
            _end(each)

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._ended.is_set():
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self.connections += 1
                self._open += [client, server]
                for target, ends in ((self._up, (client, server)), (self._down, (server, client))):
                    threading.Thread(target=target, args=ends, daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while chunk := client.recv(1 << 16):
                server.sendall(chunk)
        _end(server)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while chunk := server.recv(1 << 16):
                self._send(client, self.change(chunk))
        _end(client)
        _end(server)

    def _send(self, client: socket.socket, chunk: bytes) -> None:
        if self.cut is not None:
            chunk = chunk[: self.cut]
            self.cut -= len(chunk)
        if not self.pause:
            client.sendall(chunk)
        else:
            for byte in chunk:
                client.sendall(bytes([byte]))
                if self._ended.wait(self.pause):
                    break
        if self.cut == 0:
            raise OSError


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
