# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import requests

from reviewbot.errors import ConfigError, ServiceError
from reviewbot.service.web import Page, Server, text


def down() -> Page:
    raise ServiceError("The state cannot be read: try again.")


@pytest.fixture
def server() -> Iterator[Server]:
    pages = {
        r"/": lambda: Page(b"<p>all is well</p>"),
        r"/review/([0-9]{1,18})": lambda number: text(f"review {number}"),
        r"/down": down,
    }
    with Server("127.0.0.1:0", pages) as running:
        yield running


def get(server: Server, path: str, method: str = "GET") -> requests.Response:
    return requests.request(method, f"http://127.0.0.1:{server.port}{path}", timeout=20)


def test_a_page_is_served_with_headers_that_keep_it_to_itself(server: Server) -> None:
    found = get(server, "/?refresh=1")
    assert (found.status_code, found.text) == (200, "<p>all is well</p>")
    assert "default-src 'none'" in found.headers["Content-Security-Policy"]
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    assert "Python" not in found.headers["Server"]


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/review/12", "GET", 200),
        ("/review/12/../../etc/passwd", "GET", 404),
        ("/review/x", "GET", 404),
        ("/nothing", "GET", 404),
        ("/", "HEAD", 200),
        ("/", "POST", 501),
        ("/", "DELETE", 501),
        ("/down", "GET", 503),
    ],
)
def test_only_what_is_there_is_answered(
    server: Server, path: str, method: str, status: int
) -> None:
    assert get(server, path, method).status_code == status


def test_groups_of_the_path_are_arguments_and_errors_are_sentences(server: Server) -> None:
    assert get(server, "/review/12").text == "review 12\n"
    assert get(server, "/down").text == "The state cannot be read: try again.\n"


def test_clients_that_say_nothing_leave_room_for_others(server: Server) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    idle[0].sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000)
    assert get(server, "/").status_code == 200
    for client in idle:
        client.close()


def test_an_address_that_cannot_be_had_is_a_sentence(server: Server) -> None:
    with pytest.raises(ConfigError, match=r"service\.listen: cannot listen at 127\.0\.0\.1:\d+"):
        Server(f"127.0.0.1:{server.port}", {})
