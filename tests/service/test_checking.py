# SPDX-License-Identifier: GPL-2.0-or-later
"""Reviews told to a patchwork server by the service itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reviewbot import config
from reviewbot.errors import ConfigError
from reviewbot.report.check import Check, CheckState
from reviewbot.service.checking import Checker
from reviewbot.service.log import Event
from reviewbot.service.metrics import Metrics
from reviewbot.service.model import CheckFate, ReviewState, Step
from reviewbot.service.show import as_text, overview_facts
from reviewbot.service.state import checks, mail, progress, queries, reviews
from reviewbot.service.state.model import Failure, FailureKind
from reviewbot.service.state.store import State
from tests.service.support import START, HandClock, Heard, group, outcome, received
from tests.service.world import World
from tests.support.check_server import TOKEN, CheckServer, answer, patchwork

_ID = re.compile(rb"^Message-ID: <([^>]+)>", re.MULTILINE | re.IGNORECASE)
IDS = ("k-1@example.org", "k-2@example.org")


def settings_of(folder: Path, server: CheckServer, **more: str) -> config.Config:
    """A configuration that has the list kvm shown on a server."""
    (folder / "token").write_text(TOKEN)
    keys = {"lists": '["kvm"]', "retries": "0", **more}
    text = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return config.parse(
        f'[service]\npublic_url = "https://bot.example.org/"\n[patchwork]\nurl = "{server.url}"\n'
        f'project = "frob"\ntoken_file = "{folder}/token"\n{text}'.encode(),
        folder / "config.toml",
    )


@dataclass
class Bench:
    """A series under way, a server that has its patches, and who tells it."""

    state: State
    clock: HandClock
    server: CheckServer
    heard: Heard
    checker: Checker
    review: int

    def round(self) -> list[list[str]]:
        """Post what is due; the states of each patch's checks, oldest first."""
        self.checker.round(lambda: True)
        return [[state for state, _ in self.server.told(number)] for number in self.numbers]

    @property
    def numbers(self) -> list[int]:
        return list(self.server.patches.values())

    def finish(self, state: CheckState = CheckState.FAIL) -> None:
        progress.begin(self.state, self.review, Step.FETCH, "m1")
        found = (
            Check(1, IDS[0], CheckState.SUCCESS, "adds no lock pattern"),
            Check(2, IDS[1], state, "new flush-cycle"),
        )
        assert progress.finish(self.state, self.review, replace(outcome(), checks=found))

    def fates(self) -> dict[CheckFate, int]:
        return dict(queries.overview(self.state).checks)


@pytest.fixture
def bench(state: State, clock: HandClock, tmp_path: Path) -> Iterator[Bench]:
    with patchwork(*IDS) as server:
        arrived = [received(one, number=number) for number, one in enumerate(IDS, 1)]
        mail.take_in(state, "kvm", "c", arrived)
        record = reviews.collect(state, group("k", *IDS), START, "kvm", "ann@example.org")
        reviews.queue(state, record.id, "print-k", "whole", "kvm")
        heard = Heard()
        checker = Checker(settings_of(tmp_path, server), state, heard)
        yield Bench(state, clock, server, heard, checker, record.id)


def test_pending_while_it_is_under_way_then_the_result(bench: Bench) -> None:
    assert bench.round() == [["pending"], ["pending"]]
    bench.finish()
    assert bench.round() == [["pending", "success"], ["pending", "fail"]]
    (_, last) = bench.server.checks[bench.numbers[1]]
    assert last["target_url"] == f"https://bot.example.org/review/{bench.review}"
    assert last["description"] == "new flush-cycle"
    asked = len(bench.server.asked)
    bench.clock.forward(86_400)
    bench.round()
    assert len(bench.server.asked) == asked, "what was posted is remembered"
    assert bench.fates() == {CheckFate.POSTED: 2}
    assert [one["patches"] for one in bench.heard.of(Event.CHECKED)] == [
        *("1 pending, 2 pending", "1 success, 2 fail")
    ]


def test_another_result_of_a_round_more_is_posted_and_the_same_is_not(bench: Bench) -> None:
    bench.finish()
    bench.round()
    for state in (CheckState.FAIL, CheckState.WARNING):
        with bench.state.write() as connection:
            done = reviews.fetch(connection, bench.review)
            reviews.queue_again(bench.state, connection, done, "retest")
        bench.round()
        bench.finish(state)
        bench.round()
    assert bench.round() == [["success"], ["fail", "warning"]]


def test_a_server_that_is_down_is_asked_again_later(bench: Bench) -> None:
    busy = answer(503, {"detail": "busy"})
    bench.server.faults[:] = [busy] * 3
    assert bench.round() == [[], []]
    assert bench.fates() == {CheckFate.WAITING: 2}
    assert "is busy or broken (HTTP 503)" in bench.heard.of(Event.CHECK_FAILED)[0]["reason"]
    said = as_text(overview_facts(queries.overview(bench.state), bench.clock.now()))
    assert "checks    2 waiting; http://127.0.0.1" in said
    metrics = Metrics(lambda: queries.overview(bench.state), bench.clock, 60.0).render()
    assert b'reviewbot_checks{fate="waiting"} 2.0' in metrics
    asked = len(bench.server.asked)
    bench.clock.forward(59)
    bench.round()
    assert len(bench.server.asked) == asked
    bench.finish()  # the review goes on, and its result does not wait for the pending
    bench.server.faults.clear()
    assert bench.round() == [["success"], ["fail"]]


def test_a_server_that_stays_down_is_asked_ever_less(bench: Bench) -> None:
    tries = []
    for minute in range(60 * 40):
        bench.server.faults[:] = [answer(503, {})]
        before = len(bench.server.asked)
        bench.round()
        if len(bench.server.asked) > before:
            tries.append(minute)
        bench.clock.forward(60)
    assert tries[:5] == [0, 1, 3, 7, 15]
    assert len(tries) == checks.MAX_ATTEMPTS
    assert bench.fates() == {CheckFate.GIVEN_UP: 2}


def test_a_patch_that_the_server_does_not_have_yet(bench: Bench) -> None:
    late = bench.server.patches.pop(IDS[1])
    assert [one["state"] for one in bench.server.checks.get(late, [])] == []
    bench.round()
    bench.server.patches[IDS[1]] = late
    bench.clock.forward(61)
    assert bench.round() == [["pending"], ["pending"]]


def test_one_that_it_never_has_is_left_alone(bench: Bench) -> None:
    bench.server.patches.clear()
    for _ in range(20):
        bench.round()
        bench.clock.forward(3600)
    assert bench.fates() == {CheckFate.UNKNOWN: 2}


def test_a_series_that_is_not_reviewed_after_all(bench: Bench) -> None:
    bench.round()
    progress.fail(bench.state, bench.review, Failure(FailureKind.TIMEOUT, "too slow"))
    assert bench.round() == [["pending", "warning"]] * 2
    assert bench.server.told(bench.numbers[0])[-1][1] == "was not reviewed"
    assert bench.round() == [["pending", "warning"]] * 2


def test_nobody_is_told_of_what_was_never_begun(bench: Bench) -> None:
    checks.announce(bench.state, ["kvm"])
    reviews.skip(bench.state, bench.review, "unwanted")
    assert bench.round() == [[], []]
    assert bench.fates() == {}


def test_of_two_that_post_at_once_one_does(bench: Bench) -> None:
    checks.announce(bench.state, ["kvm"])
    first, second = checks.take(bench.state), checks.take(bench.state)
    assert (len(first), second) == (2, ())
    bench.finish()  # while the first is on its way with "pending"
    assert len(checks.take(bench.state)) == 2
    for one in first:
        checks.settle(bench.state, one, CheckFate.POSTED, "")
    assert len(checks.take(bench.state)) == 2, "the pending may have come last"


def test_it_is_off_unless_a_list_is_named(state: State, tmp_path: Path) -> None:
    with patchwork() as server:
        off = settings_of(tmp_path, server, lists="[]")
        Checker(off, state, Heard()).round(lambda: True)
        Checker(config.Config(), state, Heard()).round(lambda: True)
        assert server.asked == []
    with pytest.raises(ConfigError, match=r"patchwork\.url"):
        Checker(
            replace(off, patchwork=replace(off.patchwork, url="", lists=("x",))), state, Heard()
        )


def test_a_pass_of_the_service_tells_the_server(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    mails = world.series(1, patches=2)
    ids = [found[1].decode() for one in mails[1:] if (found := _ID.search(one))]
    world.post(mails)
    with patchwork(*ids) as server:
        (tmp_path / "token").write_text(TOKEN)
        with world.config_file.open("a") as file:
            file.write(f'[patchwork]\nurl = "{server.url}"\nproject = "frob"\nlists = ["kvm"]\n')
            file.write(f'token_file = "{tmp_path}/token"\n')
        child = world.start("once")
        assert child.wait(120) == 0, world.log()
        (review,) = world.reviews()
        assert review.state is ReviewState.DONE
        told = [[state for state, _ in server.told(number)] for number in server.patches.values()]
    assert [states[-1] for states in told] == ["fail", "fail"]
    assert all(states[:-1] in ([], ["pending"]) for states in told)
