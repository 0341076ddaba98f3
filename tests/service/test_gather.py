# SPDX-License-Identifier: GPL-2.0-or-later
"""What came, with what the archive has of it: never less than came."""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reviewbot.series.fetch import FetchLimits
from reviewbot.series.mailbox import mbox_entry
from reviewbot.service.archive import Archive
from reviewbot.service.gather import gather
from tests.service.world import World

_ID = re.compile(rb"^Message-ID: <([^>]+)>", re.MULTILINE | re.IGNORECASE)
_TIES = re.compile(rb"^(?:In-Reply-To|References):.*\n(?:[ \t].*\n)*", re.MULTILINE)


@contextmanager
def serving(*thread: bytes) -> Iterator[str]:
    """An archive that has these mails as the thread of every one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = gzip.compress(b"".join(map(mbox_entry, thread)))
            self.send_response(200 if thread else 500)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/all"
        server.shutdown()


def id_of(mail: bytes) -> str:
    found = _ID.search(mail)
    assert found is not None
    return found[1].decode()


def numbers(mails: list[bytes], url: str, limits: FetchLimits | None = None) -> list[int]:
    """The patches of the series that these mails are, as far as it is whole then."""
    archive = Archive(url, limits or FetchLimits(deadline=20.0, retries=0))
    series = gather(mails, id_of(mails[0]), archive).series
    return [patch.index for patch in series.patches]


@pytest.fixture(scope="module")
def mails(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return World.make(tmp_path_factory.mktemp("world")).series(1, patches=3)


def test_what_the_archive_has_is_added(mails: list[bytes]) -> None:
    with serving(*mails) as url:
        assert numbers(mails[:3], url) == [1, 2, 3]


def crowd(mail: bytes, count: int = 2100) -> list[bytes]:
    """More messages than are read of one thread."""
    return [_ID.sub(b"Message-ID: <%d@example.org>" % number, mail) for number in range(count)]


def test_a_thread_that_cannot_be_read_costs_nothing(mails: list[bytes]) -> None:
    for thread in ((), (b"no mail",), crowd(b"Message-ID: <x>\n\nx\n")):
        with serving(*thread) as url:
            assert numbers(mails[:3], url) == [1, 2]


def test_a_thread_that_hides_what_came_is_left_aside(mails: list[bytes], tmp_path: Path) -> None:
    loose = [_TIES.sub(b"", mail) for mail in mails]
    with serving(loose[0]) as url:
        assert numbers(loose[:3], url) == [1, 2]


def test_the_configured_limits_count(mails: list[bytes]) -> None:
    with serving(*mails) as url:
        assert numbers(mails[:3], url, FetchLimits(max_bytes=1000)) == [1, 2]
