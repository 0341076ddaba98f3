# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers that fail in every way: each a typed error in one sentence, none over its deadline."""

from __future__ import annotations

import gzip
import os
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot import __version__
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
from reviewbot.series.fetch import FetchLimits, fetch_thread, thread_url
from tests.support import faults
from tests.support.faults import Answer, mailbox, serving, status

MBOX = b"From mboxrd@z Thu Jan  1 00:00:00 1970\nSubject: hello\n\nbody\n"
ID = "some.id@example.org"
SHORT = FetchLimits(deadline=1.0, retries=2)
PATIENT = FetchLimits(deadline=30.0, retries=2)
MARGIN = 15.0
"""Seconds a loaded machine may be late by; a hang would be minutes."""


def fails(
    kind: type[ReviewbotError], *answers: Answer, limits: FetchLimits = SHORT
) -> tuple[str, list[tuple[str, dict[str, str]]]]:
    """The message of the expected error, and the requests it took."""
    with serving(*answers) as server:
        began = time.monotonic()
        with pytest.raises(kind) as caught:
            fetch_thread(ID, server=server.url, limits=limits)
        assert time.monotonic() - began < limits.deadline + MARGIN
        message = str(caught.value)
        assert "\n" not in message
        assert message.endswith(".")
        assert server.url in message
        return message, server.requests


def test_a_thread_is_fetched_and_unpacked() -> None:
    with serving(mailbox(MBOX)) as server:
        assert fetch_thread(ID, server=server.url + "/", contact="bot@example.org") == MBOX
    path, headers = server.requests[0]
    assert path == f"/list/{ID}/t.mbox.gz"
    assert headers["User-Agent"] == f"reviewbot/{__version__} (+bot@example.org)"
    assert headers["Accept-Encoding"] == "identity"


def test_an_id_cannot_leave_its_place_in_the_url() -> None:
    url = thread_url("https://lore.example.org/all/", "../../x?y#z%41@example.org")
    assert url == "https://lore.example.org/all/..%2F..%2Fx%3Fy%23z%2541@example.org/t.mbox.gz"


@pytest.mark.parametrize(
    "server", ["ftp://example.org", "lore.kernel.org", "https://", "http://[::1"]
)
def test_a_server_that_is_no_url(server: str) -> None:
    with pytest.raises(UsageError, match="public-inbox server"):
        thread_url(server, ID)


def test_a_server_that_is_down() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(UnreachableError, match="Connection refused") as caught:
        fetch_thread(ID, server=f"http://127.0.0.1:{port}", limits=SHORT)
    assert caught.value.exit_status == 4
    assert "HTTPConnection" not in str(caught.value)


@pytest.mark.parametrize("code", [404, 410, 300])
def test_not_found_is_not_retried(code: int) -> None:
    message, requests = fails(NotFound, status(code))
    assert ID in message
    assert len(requests) == 1


@pytest.mark.parametrize("code", [429, 503, 500, 502])
def test_a_passing_failure_is_retried(code: int) -> None:
    with serving(status(code, Retry_After="0"), mailbox(MBOX)) as server:
        assert fetch_thread(ID, server=server.url, limits=PATIENT) == MBOX
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("code", "kind"), [(429, ThrottledError), (503, ThrottledError), (502, ServerError)]
)
def test_retries_end(code: int, kind: type[ReviewbotError]) -> None:
    limits = FetchLimits(deadline=30.0, retries=1)
    message, requests = fails(kind, status(code, Retry_After="0"), limits=limits)
    assert str(code) in message
    assert len(requests) == 2


@pytest.mark.parametrize("code", [401, 403, 418])
def test_a_refusal_is_not_retried(code: int) -> None:
    message, requests = fails(ServerError, status(code))
    assert str(code) in message
    assert len(requests) == 1


def test_the_wait_asked_for_is_kept() -> None:
    with serving(status(429, Retry_After="1"), mailbox(MBOX)) as server:
        began = time.monotonic()
        fetch_thread(ID, server=server.url, limits=PATIENT)
        assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize(
    "when", [lambda: "3600", lambda: format_datetime(datetime.now(UTC) + timedelta(hours=1), True)]
)
def test_a_wait_beyond_the_deadline_is_not_begun(when: Callable[[], str]) -> None:
    message, requests = fails(ThrottledError, status(429, Retry_After=when()), limits=PATIENT)
    assert "asks to wait" in message
    assert len(requests) == 1


@pytest.mark.parametrize("value", ["soon", "-5", "1e9", "9" * 40, "Mon, 99 Foo 2026 99:99:99 GMT"])
def test_nonsense_in_retry_after_is_ignored(value: str) -> None:
    with serving(status(503, Retry_After=value), mailbox(MBOX)) as server:
        assert fetch_thread(ID, server=server.url, limits=PATIENT) == MBOX


@pytest.mark.parametrize("answer", [faults.hang, faults.trickle_body, faults.trickle_headers])
def test_slow_servers_end_at_the_deadline(answer: Answer) -> None:
    message, _ = fails(FetchTimeoutError, answer)
    assert "within 1 seconds" in message


def test_a_tls_handshake_that_never_comes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        server = f"https://127.0.0.1:{mute.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(FetchTimeoutError):
            fetch_thread(ID, server=server, limits=SHORT)
        assert time.monotonic() - began < SHORT.deadline + MARGIN


def test_a_body_cut_off_by_the_server() -> None:
    fails(UnreachableError, faults.reset, limits=FetchLimits(deadline=30.0, retries=0))


@pytest.mark.parametrize(
    "body",
    [
        b"<!doctype html><title>Making sure you&#39;re not a bot!</title>",
        gzip.compress(MBOX)[:-9],
        gzip.compress(MBOX)[:5],
        gzip.compress(MBOX)[:-4] + b"\0\0\0\0",
        gzip.compress(MBOX) + b"garbage",
        b"",
    ],
    ids=["html", "truncated", "header-only", "bad-length", "garbage-behind", "empty"],
)
def test_what_is_no_gzipped_mailbox(body: bytes) -> None:
    fails(GarbledAnswerError, status(200, body))


def test_a_gzip_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    limits = FetchLimits(deadline=30.0, max_bytes=100_000)
    message, _ = fails(TooBig, status(200, bomb), limits=limits)
    assert "97 KiB" in message


def test_an_answer_that_is_too_long() -> None:
    limits = FetchLimits(deadline=30.0, max_compressed=1000)
    fails(TooBig, mailbox(os.urandom(5000)), limits=limits)


def test_a_redirect_on_the_same_server_is_followed() -> None:
    with serving(status(301, Location="/other/t.mbox.gz"), mailbox(MBOX)) as server:
        assert fetch_thread(ID, server=server.url, limits=PATIENT) == MBOX
    assert server.requests[1][0] == "/other/t.mbox.gz"


@pytest.mark.parametrize(
    "target",
    ["http://lore.example.org/", "//lore.example.org/x", "http://127.0.0.1:1/", "ftp://127.0.0.1/"],
)
def test_a_redirect_elsewhere_is_not_followed(target: str) -> None:
    message, requests = fails(ServerError, status(302, Location=target))
    assert "another server" in message
    assert len(requests) == 1


def test_redirects_in_a_circle() -> None:
    fails(ServerError, status(302, Location="/list/again"))


@given(st.binary(max_size=3000), st.integers(1, 4000))
def test_any_mailbox_comes_back_whole_or_not_at_all(mbox: bytes, limit: int) -> None:
    with serving(mailbox(mbox)) as server:
        limits = FetchLimits(deadline=60.0, max_bytes=limit, retries=0)
        if len(mbox) > limit:
            with pytest.raises(TooBig):
                fetch_thread(ID, server=server.url, limits=limits)
        else:
            assert fetch_thread(ID, server=server.url, limits=limits) == mbox
