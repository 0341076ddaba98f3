# SPDX-License-Identifier: GPL-2.0-or-later
"""Services that are killed, and what becomes of their reviews."""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from reviewbot.locking.model import Verdict
from reviewbot.service.model import ReviewState, Step
from reviewbot.service.state import queries
from tests.service.world import World
from tests.support.deadly import FAULTS
from tests.support.postgres import Postgres

SECONDS = 120.0
"""What nothing here comes near to."""


def ends(process: subprocess.Popen[bytes], world: World) -> int:
    """How a service ends, which it must."""
    try:
        return process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"the service goes on and on:\n{world.log()}")


def until(what: Callable[[], bool], world: World, *running: subprocess.Popen[bytes]) -> None:
    """Wait for something to become so; nobody may end meanwhile."""
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline, world.log()
        for process in running:
            assert process.poll() is None, world.log()
        time.sleep(0.1)


def all_done(world: World, number: int) -> Callable[[], bool]:
    return lambda: [review.state for review in world.reviews()] == [ReviewState.DONE] * number


def scratches() -> list[Path]:
    """The locks of the services' temporary directories."""
    return list(Path(tempfile.gettempdir()).glob("reviewbot-service-*.lock"))


def check_once(world: World, number: int) -> None:
    """Each series was reviewed once and answered once."""
    reviews = world.reviews()
    assert [review.state for review in reviews] == [ReviewState.DONE] * number, world.log()
    assert {review.verdict for review in reviews} == {Verdict.INTRODUCED}
    answered = Counter(letter.review for letter in world.letters())
    assert answered == {review.id: 1 for review in reviews}
    told = Counter(re.findall(r"review\.done review=(\d+)", world.log()))
    assert max(told.values(), default=1) == 1, world.log()


def test_a_service_killed_at_every_step_still_reviews_once(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    world.post(world.series(1, patches=2))
    for fault in FAULTS:
        assert ends(world.start("once", fault), world) == -signal.SIGKILL, (fault, world.log())
    assert ends(world.start("once"), world) == 0
    check_once(world, 1)
    with world.state() as state:
        story = queries.story(state, world.reviews()[0].head)
        assert story is not None
        assert [event.after for event in story.events] == [
            *("collecting", "queued", "running", "done", "kept")
        ]
        assert story.review is not None
        assert set(story.review.seconds) == set(list(Step)[:-1])
        result = queries.result_text(state, world.reviews()[0].id)
    assert result.count(b"introduced") > 1


@pytest.mark.postgres
def test_of_two_machines_one_is_killed_and_the_other_finishes(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    world = World.make(tmp_path, postgres_server.database())
    for number in range(5):
        world.post(world.series(number))
    first, second = world.start("serve"), world.start("serve")
    try:

        def both_work() -> bool:
            return len({review.machine for review in world.reviews() if review.machine}) == 2

        until(both_work, world, first, second)
        first.kill()
        first.wait()
        until(all_done(world, 5), world, second)
        until(lambda: "review.taken-over" in world.log(), world, second)
        # what the killed one had started may live a moment longer, and then is swept away
        until(lambda: len(scratches()) == 1, world, second)
        second.terminate()
        assert ends(second, world) == 0
    finally:
        first.kill()
        second.kill()
    check_once(world, 5)


def test_a_service_that_is_told_to_end_leaves_the_rest_for_the_next(tmp_path: Path) -> None:
    world = World.make(tmp_path, workers="1")
    for number in range(2):
        world.post(world.series(number))
    service = world.start("serve")
    until(lambda: "step.done" in world.log(), world, service)
    service.terminate()
    assert ends(service, world) == 0
    assert "service.stopped" in world.log()
    assert not all_done(world, 2)()
    assert ends(world.start("once"), world) == 0
    check_once(world, 2)


def test_a_lost_workflow_database_is_made_up_for(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    world.post(world.series(1))
    fault = "state.progress.keep:after:3"
    assert ends(world.start("once", fault), world) == -signal.SIGKILL
    for file in (tmp_path / "state").glob("work.sqlite*"):
        file.unlink()
    assert ends(world.start("once"), world) == 0
    check_once(world, 1)
    assert "review.resubmitted" in world.log()
    steps = Counter(re.findall(r"step\.done review=\d+ step=(\w+)", world.log()))
    assert steps["fetch"] == 1, "what was made before is kept"
