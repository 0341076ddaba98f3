# SPDX-License-Identifier: GPL-2.0-or-later
"""A patchwork server on loopback, as far as checks go: REST API 1.2, and ways to fail.

What it answers has the form of patchwork.kernel.org's (patchwork 3.1, docs/api/rest).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "0123456789abcdef0123456789abcdef01234567"
STATES = ("pending", "success", "warning", "fail")

Fault = Callable[["Handler"], bool]
"""Called before (GET) or after (POST) the work is done; true if it has answered."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: CheckServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.server.asked.append(("GET", self.path))
        if self._fails():
            return
        if parts.path == "/api/1.2/patches/":
            number = self.server.patches.get(query.get("msgid", ""))
            known = number is not None and query.get("project") == "frob"
            self.reply(200, [self.server.patch(number)] if known and number else [])
        else:
            checks = self.server.checks.get(int(parts.path.split("/")[4]), [])
            found = [one for one in checks if one["context"] == query.get("context")]
            page, size = int(query.get("page", "1")), self.server.page_size
            more = len(found) > page * size
            link = f"<{self.server.named}{parts.path}?page={page + 1}&context={query['context']}>"
            headers = {"Link": f'{link}; rel="next"'} if more else {}
            self.reply(200, found[(page - 1) * size : page * size], **headers)

    def do_POST(self) -> None:
        self.server.asked.append(("POST", self.path))
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Token {TOKEN}":
            self.reply(403, {"detail": "Invalid token."})
            return
        if given["state"] not in STATES:
            self.reply(400, {"state": ["A check must have a state."]})
            return
        number = int(self.path.split("/")[4])
        made = self.server.add(number, given)
        if not self._fails():
            self.reply(201, made)

    def _fails(self) -> bool:
        faults = self.server.faults
        return faults.pop(0)(self) if faults else False

    def reply(self, status: int, value: object, **headers: str) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""


class CheckServer(ThreadingHTTPServer):
    """Patches by message-id, and the checks posted beside them."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, message_ids: Sequence[str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.patches = {one: number for number, one in enumerate(message_ids, 14_000_001)}
        self.checks: dict[int, list[dict[str, Any]]] = {}
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, str]] = []
        self.stopped = threading.Event()
        self.page_size = 30
        self.named = self.url
        """What the server takes for its own address in links."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def patch(self, number: int) -> dict[str, Any]:
        (message_id,) = (one for one, known in self.patches.items() if known == number)
        return {
            "id": number,
            "url": f"{self.named}/api/1.2/patches/{number}/",
            "web_url": f"{self.named}/project/frob/patch/{message_id}/",
            "project": {"id": 1, "name": "frob", "link_name": "frob"},
            "msgid": f"<{message_id}>",
            "name": "frob: gate",
            "state": "new",
            "check": "pending",
            "checks": f"{self.named}/api/patches/{number}/checks/",
        }

    def add(self, number: int, given: dict[str, Any]) -> dict[str, Any]:
        checks = self.checks.setdefault(number, [])
        check = {
            "id": 5_000_000 + sum(map(len, self.checks.values())),
            "url": f"{self.named}/api/1.2/patches/{number}/checks/{len(checks) + 1}/",
            "user": {"id": 7, "username": "frob-bot"},
            "date": "2026-08-03T10:00:00.000000",
            "target_url": None,
            "description": None,
            **given,
        }
        checks.append(check)
        return check

    def told(self, number: int = 14_000_001) -> list[tuple[str, str]]:
        """State and description of a patch's checks, oldest first."""
        return [(one["state"], one["description"]) for one in self.checks.get(number, [])]

    def posts(self) -> int:
        return sum(method == "POST" for method, _ in self.asked)


@contextmanager
def patchwork(*message_ids: str) -> Iterator[CheckServer]:
    """A server that has these patches in its project ``frob``."""
    with CheckServer(message_ids) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()


def answer(status: int, value: object = b"", **headers: str) -> Fault:
    """Answer with something else."""

    def fault(handler: Handler) -> bool:
        handler.reply(status, value, **headers)
        return True

    return fault


def hang_up(handler: Handler) -> bool:
    """Close the connection without an answer."""
    handler.close_connection = True
    return True


def well(handler: Handler) -> bool:
    """No fault this time."""
    return False
