# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks on a patchwork server: each once, whatever the server does meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from reviewbot.report.check import Check, CheckState
from reviewbot.service.patchwork_check import (
    Outcome,
    PatchworkError,
    PatchworkRefused,
    Server,
    post_checks,
)
from tests.support.check_server import TOKEN, CheckServer, answer, hang_up, patchwork, well

FIRST = Check(1, "1@example.org", CheckState.SUCCESS, "adds no lock pattern")
SECOND = Check(2, "2@example.org", CheckState.FAIL, "new flush-cycle (definite) in frob_stop()")
STRANGE = replace(FIRST, message_id="3@example.org")


@pytest.fixture
def there() -> Iterator[CheckServer]:
    with patchwork("1@example.org", "2@example.org") as server:
        yield server


@pytest.fixture
def server(there: CheckServer) -> Server:
    return Server(there.url, "frob", TOKEN, "reviewbot", deadline=20, contact="me@example.org")


class Sleeper:
    """Waits in no time, and remembers for how long."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)


def test_each_patch_gets_its_check(server: Server, there: CheckServer) -> None:
    outcomes = post_checks(server, [FIRST, SECOND], "https://example.org/r/1")
    assert outcomes == [Outcome.POSTED, Outcome.POSTED]
    assert there.told() == [("success", "adds no lock pattern")]
    (second,) = there.checks[14_000_002]
    assert (second["state"], second["context"]) == ("fail", "reviewbot")
    assert second["target_url"] == "https://example.org/r/1"


def test_the_same_again_is_not_posted(server: Server, there: CheckServer) -> None:
    post_checks(server, [FIRST])
    assert post_checks(server, [FIRST]) == [Outcome.THERE]
    assert there.posts() == 1


def test_another_result_is_posted_and_back_again_too(server: Server, there: CheckServer) -> None:
    worse = replace(FIRST, state=CheckState.WARNING, description="not sure")
    for check in (FIRST, worse, FIRST, FIRST):
        post_checks(server, [check])
    assert [state for state, _ in there.told()] == ["success", "warning", "success"]


def test_checks_of_others_are_not_ours(server: Server, there: CheckServer) -> None:
    there.add(14_000_001, {"state": "success", "context": "build", "description": "fine"})
    assert post_checks(server, [FIRST]) == [Outcome.POSTED]


def test_a_check_on_a_later_page_is_found(server: Server, there: CheckServer) -> None:
    there.page_size = 1
    there.named = "http://127.0.0.1"  # as a server behind a proxy takes itself for another
    for state in (CheckState.WARNING, CheckState.SUCCESS):
        post_checks(server, [replace(FIRST, state=state)])
    assert post_checks(server, [FIRST]) == [Outcome.THERE]


def test_a_patch_that_the_server_has_not(server: Server, there: CheckServer) -> None:
    nameless = replace(FIRST, message_id="")
    assert post_checks(server, [STRANGE, nameless]) == [Outcome.NO_PATCH] * 2
    assert post_checks(replace(server, project="other"), [FIRST]) == [Outcome.NO_PATCH]
    assert there.posts() == 0


def test_a_server_that_is_busy_is_asked_again(server: Server, there: CheckServer) -> None:
    there.faults = [answer(503, Retry_After="7"), answer(500), hang_up]
    sleep = Sleeper()
    assert post_checks(server, [FIRST], sleep=sleep) == [Outcome.POSTED]
    assert sleep.waits == [7, 1, 2]


def test_a_post_whose_answer_is_lost_is_not_repeated(server: Server, there: CheckServer) -> None:
    there.faults = [well, well, hang_up]
    assert post_checks(server, [FIRST], sleep=Sleeper()) == [Outcome.THERE]
    assert len(there.told()) == 1


def test_it_gives_up_in_the_end(server: Server, there: CheckServer) -> None:
    there.faults = [answer(502)] * 10
    sleep = Sleeper()
    with pytest.raises(PatchworkError, match="HTTP 502"):
        post_checks(server, [FIRST], sleep=sleep)
    assert len(sleep.waits) == server.retries
    there.faults = [answer(429, Retry_After="3600")]
    with pytest.raises(PatchworkError, match="HTTP 429"):
        post_checks(server, [FIRST], sleep=sleep)
    assert len(sleep.waits) == server.retries


def test_a_wrong_token_is_the_operators_matter(server: Server, there: CheckServer) -> None:
    with pytest.raises(PatchworkRefused, match="token_file"):
        post_checks(replace(server, token="x" * 40), [FIRST], sleep=Sleeper())
    assert there.posts() == 1


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (b"<html>Just a moment</html>", "no list of patchwork's"),
        ([{"name": "no id"}], "no list of patchwork's"),
        (b"[" + b" " * (5 << 20) + b"]", "more than 4 MiB"),
    ],
)
def test_what_is_no_patchwork(server: Server, there: CheckServer, value: object, what: str) -> None:
    there.faults = [answer(200, value)]
    with pytest.raises(PatchworkError, match=what):
        post_checks(server, [FIRST], sleep=Sleeper())


def test_the_token_goes_nowhere_else(server: Server, there: CheckServer) -> None:
    there.faults = [answer(302, Location="http://127.0.0.2/")]
    with pytest.raises(PatchworkError, match="HTTP status 302"):
        post_checks(server, [FIRST], sleep=Sleeper())
    elsewhere = '<http://127.0.0.2/api/1.2/patches/?page=2>; rel="next"'
    there.faults = [answer(200, [], Link=elsewhere)]
    with pytest.raises(PatchworkError, match="another server"):
        post_checks(server, [FIRST], sleep=Sleeper())


def test_a_server_that_hangs_ends_with_the_deadline(server: Server, there: CheckServer) -> None:
    there.faults = [lambda handler: handler.server.stopped.wait(60)] * 9
    with pytest.raises(PatchworkError, match="in time"):
        post_checks(replace(server, deadline=0.3), [FIRST])
