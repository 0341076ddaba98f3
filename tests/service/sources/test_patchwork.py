# SPDX-License-Identifier: GPL-2.0-or-later
"""A patchwork project: answers in the form that patchwork 3.1 gives, from a server on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from reviewbot.service.model import FailureKind
from reviewbot.service.sources import _patchwork, patchwork
from reviewbot.service.sources.patchwork import PatchworkSource
from tests.service.sources.support import drain, failing, mail, numbers
from tests.support import faults

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
PAGE = 3


class Patchwork:
    """What a server knows: mails, and the events and series that they made."""

    def __init__(self) -> None:
        self.mails: dict[str, bytes] = {}
        self.events: list[dict[str, Any]] = []
        self.series: list[dict[str, Any]] = []
        self.now = NOW
        self.asked: list[str] = []
        self.answer: Callable[[str], tuple[int, dict[str, str], bytes] | None] = lambda path: None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, number: int, kind: str = "patch", at: datetime | None = None) -> dict[str, Any]:
        """A mail comes in."""
        path = f"/project/kvm/{kind}/{number}@example.org/mbox/"
        when = (at or self.now).replace(tzinfo=None).isoformat()
        raw = mail(number)
        self.mails[path] = b"From patchwork Tue Mar 10 12:00:00 2026\n" + raw
        entry = {
            "id": 7000 + number,
            "url": f"{self.url}/api/1.2/{kind}s/{7000 + number}/",
            "web_url": f"{self.url}{path.removesuffix('mbox/')}",
            "msgid": f"<{number}@example.org>",
            "list_archive_url": None,
            "date": when,
            "name": f"mail {number}",
            "mbox": f"{self.url}{path}",
        }
        self.events.append(
            {
                "id": 90_000 + number,
                "category": f"{kind}-created",
                "project": {"id": 1, "link_name": "kvm", "list_id": "kvm.lists.example.org"},
                "date": when,
                "actor": None,
                "payload": {kind: entry},
            }
        )
        return entry

    def post_series(self, first: int, patches: int, at: datetime) -> None:
        cover = self.post(first, "cover", at)
        self.series.append(
            {
                "id": 500 + first,
                "url": f"{self.url}/api/1.2/series/{500 + first}/",
                "web_url": f"{self.url}/project/kvm/list/?series={500 + first}",
                "project": {"id": 1, "link_name": "kvm"},
                "name": f"mail {first}",
                "date": at.replace(tzinfo=None).isoformat(),
                "submitter": {"id": 9, "name": "A U Thor", "email": "author@example.org"},
                "version": 1,
                "total": patches,
                "received_total": patches,
                "received_all": True,
                "mbox": f"{self.url}/series/{500 + first}/mbox/",
                "cover_letter": cover,
                "patches": [self.post(first + n + 1, at=at) for n in range(patches)],
            }
        )

    def get(self, target: str) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(target)
        date_header = {"Date": format_datetime(self.now, usegmt=True)}
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if wrong := self.answer(target):
            return wrong
        if path == "/api/1.2/":
            return 200, date_header, b"{}"
        if path in self.mails:
            return 200, date_header, self.mails[path]
        if path not in ("/api/1.2/events/", "/api/1.2/series/"):
            return 404, date_header, b"<h1>Not Found</h1>"
        assert query["project"] == ["kvm"]
        assert query["order"] == ["date"]
        known = self.series if "series" in path else self.events
        category = query.get("category", [""])[0]
        since = query["since"][0]
        wanted = sorted(
            (e for e in known if e["date"] >= since and e.get("category", "") == category),
            key=lambda entry: entry["date"],
        )
        page = int(query.get("page", ["1"])[0])
        headers = dict(date_header)
        if len(wanted) > page * PAGE:
            following = urlencode({**{k: v[0] for k, v in query.items()}, "page": page + 1})
            headers["Link"] = f'<{self.url}{path}?{following}>; rel="next"'
        return 200, headers, json.dumps(wanted[(page - 1) * PAGE : page * PAGE]).encode()


@pytest.fixture
def server() -> Iterator[Patchwork]:
    made = Patchwork()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = made.get(self.path)
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        made.port = http.server_port
        thread = Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield made
        http.shutdown()
        thread.join()


def follow(server: Patchwork, since: date | None = None, seconds: float = 60) -> PatchworkSource:
    return PatchworkSource("x", server.url, "kvm", since=since, seconds=seconds)


def later(**steps: float) -> datetime:
    return NOW + timedelta(**steps)


def test_first_the_series_then_the_events(server: Patchwork) -> None:
    for number in range(0, 40, 10):
        server.post_series(number, 3, later(days=-3, minutes=number))
    source = follow(server)
    batches = drain(source, limit=5)
    assert sorted(numbers(*batches)) == [n + i for n in range(0, 40, 10) for i in range(4)]
    assert all(len(batch.arrivals) == 5 for batch in batches[:3])
    server.post(50, "cover", later(minutes=1))
    for number in range(51, 59):
        server.post(number, at=later(minutes=1, seconds=number))
    after = drain(source, batches[-1].cursor, limit=4)
    assert numbers(*after) == list(range(50, 59))
    (quiet,) = drain(source, after[-1].cursor)
    assert quiet.arrivals == ()


def test_a_message_is_as_the_server_has_it(server: Patchwork) -> None:
    server.post_series(0, 1, later(days=-1))
    first = follow(server).fetch(None, 1).arrivals[0]
    assert (first.raw, first.where) == (mail(0), "/project/kvm/cover/0@example.org/mbox/")


def test_a_long_series_is_more_than_one_batch(server: Patchwork) -> None:
    server.post_series(0, 11, later(days=-1))
    batches = drain(follow(server), limit=5)
    assert [numbers(batch) for batch in batches] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]


def test_nothing_before_since(server: Patchwork) -> None:
    server.post_series(0, 2, later(days=-30))
    server.post_series(10, 2, later(days=-3))
    assert numbers(*drain(follow(server, since=date(2026, 3, 1)))) == [10, 11, 12]


def test_mail_that_comes_while_the_series_are_read(server: Patchwork) -> None:
    server.post_series(0, 3, later(days=-1))
    source = follow(server)
    first = source.fetch(None, 2)
    server.now = later(minutes=2)
    server.post(20)
    assert numbers(first, *drain(source, first.cursor, 2)) == [0, 1, 2, 3, 20]


def test_events_seen_out_of_order(server: Patchwork) -> None:
    source = follow(server)
    (start,) = drain(source)
    server.post(1, at=later(minutes=10, seconds=5))
    (batch,) = drain(source, start.cursor)
    server.post(0, at=later(minutes=10))
    (after,) = drain(source, batch.cursor)
    assert (numbers(batch), numbers(after)) == ([1], [0])


def test_what_was_deleted_is_passed_over(server: Patchwork) -> None:
    server.post_series(0, 3, later(days=-1))
    del server.mails["/project/kvm/patch/2@example.org/mbox/"]
    assert numbers(*drain(follow(server))) == [0, 1, 3]


def test_a_message_that_is_too_big_is_counted(
    server: Patchwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_patchwork, "MAX_MESSAGE", 5000)
    server.post_series(0, 3, later(days=-1))
    server.mails["/project/kvm/patch/2@example.org/mbox/"] = b"From x\n" + b"x" * 5000
    (batch,) = drain(follow(server))
    assert numbers(batch) == [0, 1, 3]
    assert batch.skipped == ("/project/kvm/patch/2@example.org/mbox/",)


def test_requests_name_who_asks() -> None:
    with faults.serving(faults.status(503)) as server:
        source = PatchworkSource("x", server.url, "kvm", contact="me@example.org")
        with failing(FailureKind.THROTTLED):
            source.fetch(None, 10)
        ((path, headers),) = server.requests
    assert path == "/list/api/1.2/"
    assert headers["User-Agent"].endswith("(+me@example.org)")


# ---- servers that fail ----


def test_throttling_is_heeded_and_what_came_is_kept(server: Patchwork) -> None:
    """A server that allows three mails at a time is read all the same."""
    server.post_series(0, 7, later(days=-1))
    source = follow(server)
    allowed = 3

    def throttle(path: str) -> tuple[int, dict[str, str], bytes] | None:
        nonlocal allowed
        if "/mbox/" not in path:
            return None
        allowed -= 1
        return (429, {"Retry-After": "30"}, b"") if allowed < 0 else None

    server.answer = throttle
    batches = [source.fetch(None, 10)]
    assert numbers(*batches) == [0, 1, 2]
    with failing(FailureKind.THROTTLED, "429") as caught:
        source.fetch(batches[-1].cursor, 10)
    assert caught.value.retry_after == 30
    for _ in range(2):
        allowed = 3
        batches.append(source.fetch(batches[-1].cursor, 10))
    assert numbers(*batches) == list(range(8))


@pytest.mark.parametrize(
    "mbox",
    [
        "http://other.example.org/project/kvm/patch/1@example.org/mbox/",
        "http://127.0.0.2/project/kvm/patch/1@example.org/mbox/",
        "file:///etc/passwd",
        "http://[",
        "/etc/passwd",
    ],
)
def test_no_other_server_is_asked(server: Patchwork, mbox: str) -> None:
    server.post_series(0, 1, later(days=-1))
    server.series[0]["cover_letter"]["mbox"] = mbox
    with failing(FailureKind.GARBAGE, "another server", server.url):
        follow(server).fetch(None, 10)


def test_a_server_behind_a_proxy_knows_another_name(server: Patchwork) -> None:
    server.post_series(0, 1, later(days=-1))
    mbox = server.series[0]["cover_letter"]["mbox"]
    server.series[0]["cover_letter"]["mbox"] = mbox.replace(f":{server.port}", "")
    assert numbers(*drain(follow(server))) == [0, 1]


@contextmanager
def answering(server: Patchwork, at: str, *answer: Any) -> Iterator[None]:
    server.answer = lambda path: answer if at in path else None  # type: ignore[assignment,return-value]
    yield
    server.answer = lambda path: None


WRONG = {
    "no json": (b"<!doctype html><title>Are you a bot?</title>", "no list"),
    "no list": (b'{"detail": "no"}', "no list"),
    "entries of another kind": (b'[{"id": "x"}]', "no list"),
    "a date that is none": (b'[{"id":1,"date":"yesterday","payload":{},"patches":[]}]', "no list"),
    "deep": (b"[" * 100_000, "no list"),
    "bytes": (b"\xff\xfe", "no list"),
    "wrong order": (
        b'[{"id":1,"date":"2026-03-02T00:00:00","patches":[]},'
        b'{"id":2,"date":"2026-03-01T00:00:00","patches":[]}]',
        "order of its dates",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_list_that_is_none(server: Patchwork, wrong: str) -> None:
    body, words = WRONG[wrong]
    with answering(server, "/series/", 200, {}, body), failing(FailureKind.GARBAGE, words):
        follow(server).fetch(None, 10)


def test_a_list_without_end(server: Patchwork) -> None:
    def circle(path: str) -> tuple[int, dict[str, str], bytes] | None:
        link = f'<{server.url}/api/1.2/series/?page=2>; rel="next"'
        return (200, {"Link": link}, b"[]") if "/series/" in path else None

    server.answer = circle
    with failing(FailureKind.GARBAGE, "never ends"):
        follow(server).fetch(None, 10)


def test_a_page_instead_of_a_mail(server: Patchwork) -> None:
    server.post_series(0, 1, later(days=-1))
    with answering(server, "/mbox/", 200, {}, b"<html>"), failing(FailureKind.GARBAGE, "no mail"):
        follow(server).fetch(None, 10)


def test_a_redirect_is_not_followed(server: Patchwork) -> None:
    elsewhere = {"Location": "http://other.example.org/"}
    with answering(server, "/api", 302, elsewhere, b""), failing(FailureKind.UNREACHABLE, "302"):
        follow(server).fetch(None, 10)


FAULTS = {
    "429": (faults.status(429, Retry_After="77"), FailureKind.THROTTLED),
    "503": (faults.status(503), FailureKind.THROTTLED),
    "500": (faults.status(500), FailureKind.UNREACHABLE),
    "404": (faults.status(404), FailureKind.UNREACHABLE),
    "hanging": (faults.hang, FailureKind.TIMEOUT),
    "trickling": (faults.trickle_body, FailureKind.TIMEOUT),
    "trickling headers": (faults.trickle_headers, FailureKind.TIMEOUT),
    "cut": (faults.reset, FailureKind.UNREACHABLE),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_server_is_one_sentence(fault: str) -> None:
    answer, kind = FAULTS[fault]
    with faults.serving(answer) as server:
        source = PatchworkSource(
            "x", server.url, "kvm", seconds=1.0 if kind is FailureKind.TIMEOUT else 60.0
        )
        with failing(kind, server.url) as caught:
            source.fetch(None, 10)
    assert caught.value.retry_after == (77 if fault == "429" else None)


def test_a_server_that_is_down() -> None:
    with faults.serving(faults.hang) as server:
        url = server.url
    with failing(FailureKind.UNREACHABLE, "Connection refused"):
        PatchworkSource("x", url, "kvm").fetch(None, 10)


def test_cursors_that_are_not_ours(server: Patchwork) -> None:
    server.post_series(0, 1, later(days=-1))
    for cursor in ("", "{}", '{"type":"patchwork","places":{"nonsense":{}}}'):
        assert numbers(follow(server).fetch(cursor, 10)) == [0, 1]


def test_done_entries_are_not_remembered_for_ever(server: Patchwork) -> None:
    source = follow(server)
    (batch,) = drain(source)
    sizes = []
    for hour in range(1, 6):
        for number in range(5):
            server.post(100 * hour + number, at=later(hours=hour, seconds=number))
        (batch,) = drain(source, batch.cursor)
        sizes.append(len(batch.cursor))
    assert len(set(sizes)) == 1
    assert patchwork._MOST_DONE >= 1000
