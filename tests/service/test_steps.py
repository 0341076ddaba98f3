# SPDX-License-Identifier: GPL-2.0-or-later
"""Steps taken one by one, with what may go wrong in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reviewbot import config
from reviewbot.locking.model import Verdict
from reviewbot.service.child import Leave, Nursery
from reviewbot.service.collect import advance
from reviewbot.service.log import silent
from reviewbot.service.model import FailureKind, Reason, ReviewState, Step
from reviewbot.service.plan import Paths, plan_of, scope_of
from reviewbot.service.poll import poll
from reviewbot.service.state import mail, progress, queries, reviews
from reviewbot.service.state.model import ReviewRecord
from reviewbot.service.state.store import State
from reviewbot.service.state.tables import products
from reviewbot.service.steps import Plan, Steps
from tests.service.folder import Folder
from tests.service.support import HandClock
from tests.service.world import FILE, World
from tests.support.mails import split


@dataclass
class Bench:
    """A queued review, and steps to take on it."""

    world: World
    state: State
    plan: Plan
    nursery: Nursery

    def steps(self) -> Steps:
        return Steps(self.state, self.plan, "m1", silent(), self.nursery)

    def take(self, *steps: Step) -> list[bool]:
        return [self.steps().take(self.review.id, step) for step in steps]

    @property
    def review(self) -> ReviewRecord:
        return queries.list_reviews(self.state)[0]

    def arrive(self, *mails: bytes) -> None:
        """Mails come, are grouped, and what is due is queued."""
        self.world.post(list(mails))
        settings = config.load(self.world.config_file)
        paths = Paths(settings)
        paths.refresh()

        def scope(source: str) -> Any:
            return scope_of(settings, paths, source)

        folder = Folder("list", self.world.mail)
        poll(self.state, folder, scope("list"), silent(), limit=100, go_on=lambda: True)
        advance(self.state, scope, silent(), 60.0)


@pytest.fixture
def bench(tmp_path: Path, clock: HandClock) -> Any:
    world = World.make(tmp_path)
    settings = config.load(world.config_file)
    with State.open(settings.service.url, clock) as state:
        nursery = Nursery()
        yield Bench(world, state, plan_of(settings), nursery)
        nursery.close()


def patch(world: World, edit: Callable[[str], str], subject: str, name: str = "a") -> bytes:
    """A mail with one patch."""
    world.kernel.git("clone", "-q", world.kernel.path, world.root / name)
    author = type(world.kernel)(world.root / name)
    author.edit(FILE, subject, edit)
    (mail_,) = split(author.mails("--full-index", "--to=kvm@example.org", "origin/master.."))
    return mail_


def two_hazards(world: World) -> list[bytes]:
    """A series of two patches, each of which has two locks of its own in either order."""
    world.kernel.git("clone", "-q", world.kernel.path, world.root / "two")
    author = type(world.kernel)(world.root / "two")
    for number in (1, 2):
        locks = [f"frob_{name}{number}" for name in "ab"]
        text = "".join(f"static DEFINE_MUTEX({lock});\n" for lock in locks)
        for name, order in (("up", locks), ("down", locks[::-1])):
            taken = "".join(f"\tmutex_lock(&{lock});\n" for lock in order)
            given = "".join(f"\tmutex_unlock(&{lock});\n" for lock in reversed(order))
            text += f"\nvoid frob_{name}{number}(void)\n{{\n{taken}{given}}}\n"
        author.edit(FILE, f"frob: close {number}", lambda old, new=text: f"{old}\n{new}")
    return split(author.mails("--full-index", "--to=kvm@example.org", "origin/master.."))


def test_what_touches_no_lock_ends_early_and_unanswered(bench: Bench) -> None:
    bench.arrive(patch(bench.world, lambda old: old + "\nint frob_unused;\n", "frob: count"))
    assert bench.take(*Step) == [True] * 6
    assert (bench.review.state, bench.review.verdict, bench.review.reason) == (
        *(ReviewState.DONE, Verdict.CLEAN),
        Reason.NO_LOCKS.value,
    )
    assert queries.letters(bench.state) == ()


def test_a_tree_that_is_away_is_waited_for(bench: Bench, clock: HandClock) -> None:
    bench.arrive(*bench.world.series(1))
    away = bench.world.kernel.path.rename(bench.world.root / "away")
    assert bench.take(Step.FETCH, Step.BASE) == [True, False]
    record = bench.review
    assert (record.state, record.failure, record.attempts) == (
        *(ReviewState.QUEUED, FailureKind.TREE),
        1,
    )
    assert progress.waiting(bench.state) == ()
    clock.forward(3600)
    assert [each.id for each in progress.waiting(bench.state)] == [record.id]
    away.rename(bench.world.kernel.path)
    assert bench.take(*Step) == [True] * 6
    assert bench.review.state is ReviewState.DONE
    assert bench.review.failure is None


def test_one_that_stays_away_is_given_up(bench: Bench, clock: HandClock) -> None:
    bench.arrive(*bench.world.series(1))
    bench.world.kernel.path.rename(bench.world.root / "away")
    delays = []
    for _ in range(bench.plan.attempts):
        bench.take(Step.FETCH)
        assert bench.take(Step.BASE) == [False]
        if bench.review.next_try is not None and bench.review.state is ReviewState.QUEUED:
            delays.append((bench.review.next_try - clock.now()).total_seconds())
    assert delays == [30.0 * 2**n for n in range(7)] + [3600.0] * 2
    assert (bench.review.state, bench.review.failure) == (ReviewState.FAILED, FailureKind.TREE)
    assert bench.take(Step.BASE) == [False]


def test_a_tree_that_is_away_for_an_hour_costs_no_review(bench: Bench, clock: HandClock) -> None:
    bench.arrive(*bench.world.series(1))
    away = bench.world.kernel.path.rename(bench.world.root / "away")
    start = clock.now()
    while (clock.now() - start).total_seconds() < 3600.0:
        assert bench.take(Step.FETCH, Step.BASE) == [True, False]
        assert bench.review.state is ReviewState.QUEUED
        assert bench.review.next_try is not None
        clock.forward((bench.review.next_try - clock.now()).total_seconds())
    away.rename(bench.world.kernel.path)
    assert bench.take(*Step) == [True] * 6
    assert bench.review.state is ReviewState.DONE


def test_one_that_needs_too_long_fails_at_once(bench: Bench) -> None:
    bench.arrive(*bench.world.series(1))
    bench.plan = replace(bench.plan, limits=replace(bench.plan.limits, seconds=1e-6))
    assert bench.take(Step.FETCH, Step.BASE) == [True, False]
    assert (bench.review.state, bench.review.failure) == (ReviewState.FAILED, FailureKind.TIMEOUT)
    bench.plan = replace(bench.plan, limits=replace(bench.plan.limits, seconds=60))
    reviews.retry(bench.state, bench.review.id, "more time")
    assert bench.take(*Step) == [True] * 6
    assert bench.review.state is ReviewState.DONE


def test_mails_that_are_gone_fail_with_a_sentence(bench: Bench, clock: HandClock) -> None:
    bench.arrive(*bench.world.series(1))
    record = bench.review
    reviews.skip(bench.state, record.id, "wait")
    clock.forward(1)
    mail.prune(bench.state, clock.now())
    reviews.retry(bench.state, record.id, "now")
    assert bench.take(Step.FETCH) == [False]
    assert bench.review.reason == (
        f"The mails of <{record.head}> were taken back or are no longer kept."
    )


def test_a_superseded_review_takes_no_step(bench: Bench) -> None:
    bench.arrive(*bench.world.series(1))
    reviews.skip(bench.state, bench.review.id, "unwanted")
    assert bench.take(*Step) == [False] * 6
    assert bench.review.state is ReviewState.SKIPPED


def test_no_step_begins_when_the_service_ends(bench: Bench) -> None:
    bench.arrive(*bench.world.series(1))
    steps = bench.steps()
    steps.leave.set()
    with pytest.raises(Leave):
        steps.take(bench.review.id, Step.FETCH)
    assert bench.review.state is ReviewState.QUEUED


def test_the_next_version_says_what_became_of_the_last(bench: Bench) -> None:
    bench.arrive(*bench.world.series(1))
    assert bench.take(*Step) == [True] * 6
    bench.arrive(*bench.world.series(1, version=2))
    second = bench.review
    assert second.version == 2
    assert bench.take(*Step) == [True] * 6
    result = queries.result(bench.state, second.id)
    assert result is not None
    (since,) = [result[key] for key in result if key == "since"]
    assert since["version"] == 1


def test_the_reply_has_the_date_of_its_first_rendering(bench: Bench, clock: HandClock) -> None:
    bench.arrive(*bench.world.series(1))
    assert bench.take(*list(Step)[:-1]) == [True] * 5
    clock.forward(86400)
    assert bench.take(*Step) == [True] * 6
    (letter,) = queries.letters(bench.state)
    raw = queries.letter(bench.state, letter.message_id)
    assert raw is not None
    assert b"Date: Sun, 22 Nov 2026 12:00:00 +0000" in raw


def test_findings_of_two_patches_are_two_letters(bench: Bench) -> None:
    bench.arrive(*two_hazards(bench.world))
    assert bench.take(*Step) == [True] * 6
    letters = queries.letters(bench.state)
    assert [letter.subject for letter in letters] == [
        f"Re: [PATCH {number}/2] frob: close {number}" for number in (1, 2)
    ]
    assert len({letter.message_id for letter in letters}) == 2
    story = queries.story(bench.state, letters[1].message_id)
    assert story is not None
    assert [hazard.letter for hazard in story.hazards] == [one.message_id for one in letters]


@pytest.mark.parametrize("step", [Step.FETCH, Step.APPLY, Step.CHECK, Step.RENDER])
def test_what_an_older_program_has_left_is_made_again(bench: Bench, step: Step) -> None:
    bench.arrive(*bench.world.series(1))
    done = list(Step)[: list(Step).index(step) + 1]
    assert bench.take(*done) == [True] * len(done)
    with bench.state.write() as connection:
        stale = msgspec.msgpack.encode({"verdict": "clean", "reason": "", "reply": None})
        row = products.c.step == step
        connection.execute(products.update().where(row).values(data=stale))
    rest = iter(list(Step)[len(done) :])
    while bench.take(next(rest)) == [True]:
        pass  # as a workflow does, which ends with the first that is not
    assert (bench.review.state, bench.review.round) == (ReviewState.QUEUED, 2)
    assert "made by another reviewbot" in bench.review.reason
    assert bench.take(*Step) == [True] * 6
    assert len(queries.letters(bench.state)) == 1
