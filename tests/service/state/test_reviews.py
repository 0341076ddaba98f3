# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from reviewbot.errors import UsageError
from reviewbot.locking.model import Verdict
from reviewbot.service.model import FailureKind, OutboxState, ReviewState, Step
from reviewbot.service.state import mail, progress, queries, reviews, transitions
from reviewbot.service.state.model import Failure, Outcome, ReviewRecord
from reviewbot.service.state.store import State
from reviewbot.service.state.tables import outbox
from reviewbot.service.state.transitions import IllegalTransition
from tests.service.support import HAZARD, START, HandClock, group, outcome, received

PASSING = Failure(FailureKind.TREE, "the tree is being fetched")
LASTING = Failure(FailureKind.CRASHED, "the check died")


def collected(state: State, key: str = "k", *ids: str) -> ReviewRecord:
    ids = ids or (f"{key}-0@example.org", f"{key}-1@example.org")
    mail.take_in(state, "kvm", "c", [received(one) for one in ids])
    return reviews.collect(state, group(key, *ids), START, "kvm", "ann@example.org")


def queued(state: State, key: str = "k") -> ReviewRecord:
    record = collected(state, key)
    assert reviews.queue(state, record.id, f"print-{key}", "whole", "kvm")
    return reviews.get(state, record.id)


def running(state: State, key: str = "k") -> ReviewRecord:
    record = queued(state, key)
    progress.submitted(state, record)
    assert progress.begin(state, record.id, Step.FETCH, "m1")
    return reviews.get(state, record.id)


def changes(state: State, head: str = "k-0@example.org") -> list[tuple[str, str, str]]:
    story = queries.story(state, head)
    assert story is not None
    return [(event.before, event.after, event.reason) for event in story.events]


def test_a_review_from_its_first_mail_to_its_reply(state: State, clock: HandClock) -> None:
    record = running(state)
    clock.forward(5)
    for step in Step:
        assert progress.begin(state, record.id, step, "m1")
        progress.keep(state, record.id, step, step.value.encode(), 1.25)
    assert progress.product(state, record.id, Step.BASE) == b"base"
    assert progress.finish(state, record.id, outcome())
    done = reviews.get(state, record.id)
    assert (done.state, done.verdict, done.reason) == (
        *(ReviewState.DONE, Verdict.REMOVED),
        "patch 2 removes it",
    )
    assert (done.started, done.ended) == (START, clock.now())
    assert done.seconds == {step.value: 1.25 for step in Step}
    assert progress.product(state, record.id, Step.BASE) is None
    story = queries.story(state, "k-1@example.org")
    assert story is not None
    assert story.review == done
    assert [message.message_id for message in story.messages] == [
        *("k-0@example.org", "k-1@example.org")
    ]
    assert story.hazards == (HAZARD,)
    (letter,) = story.letters
    assert (letter.message_id, letter.state) == ("reply-1@example.org", OutboxState.WAITING)
    assert queries.letter(state, letter.message_id) == b"From: bot\n\n"
    assert queries.result(state, record.id) == {"schema": "reviewbot.review/1"}
    assert changes(state) == [
        ("", "collecting", "first mail"),
        ("collecting", "queued", "whole"),
        ("queued", "running", "on m1"),
        ("running", "done", "patch 2 removes it"),
        ("", "waiting", "verdict removed"),
    ]
    assert queries.story(state, "reply-1@example.org") == queries.story(state, done.head)


def two_letters(*message_ids: str, verdict: Verdict = Verdict.REMOVED) -> Outcome:
    """A finished review whose replies each tell of a hazard of their own."""
    one = outcome()
    return replace(
        one,
        verdict=verdict,
        replies=tuple(replace(one.replies[0], message_id=each) for each in message_ids),
        hazards=tuple(
            replace(HAZARD, hazard=f"h{number}", letter=each)
            for number, each in enumerate(message_ids)
        ),
    )


def test_all_letters_of_a_review_are_put_out_at_once(state: State) -> None:
    record = running(state)
    assert progress.finish(state, record.id, two_letters("1@example.org", "2@example.org"))
    assert not progress.finish(state, record.id, two_letters("3@example.org"))
    assert [one.message_id for one in queries.letters(state)] == ["1@example.org", "2@example.org"]
    story = queries.story(state, "2@example.org")
    assert story is not None
    assert [one.letter for one in story.hazards] == ["1@example.org", "2@example.org"]


@pytest.mark.parametrize(
    ("again", "verdict", "put_out"),
    [
        (("1@example.org", "2@example.org"), Verdict.REMOVED, ["2@example.org"]),
        (("3@example.org",), Verdict.REMOVED, []),
        (("3@example.org",), Verdict.INTRODUCED, ["3@example.org"]),
    ],
)
def test_a_round_more_says_nothing_twice(
    state: State, again: tuple[str, ...], verdict: Verdict, put_out: list[str]
) -> None:
    record = running(state)
    progress.finish(state, record.id, two_letters("1@example.org", "2@example.org"))
    with state.write() as connection:
        tried = outbox.c.message_id == "1@example.org"
        connection.execute(outbox.update().where(tried).values(attempts=1, state=OutboxState.SENT))
        done = transitions.fetch(connection, record.id)
        reviews.queue_again(state, connection, done, "retest")
    assert [one.message_id for one in queries.letters(state)] == ["1@example.org"]
    progress.begin(state, record.id, Step.FETCH, "m1")
    assert progress.finish(state, record.id, two_letters(*again, verdict=verdict))
    assert [one.message_id for one in queries.letters(state)] == ["1@example.org", *put_out]


def test_steps_that_run_twice_change_nothing_the_second_time(state: State) -> None:
    record = running(state)
    progress.keep(state, record.id, Step.FETCH, b"first", 1.0)
    progress.keep(state, record.id, Step.FETCH, b"second", 2.0)
    assert progress.product(state, record.id, Step.FETCH) == b"first"
    assert reviews.get(state, record.id).seconds == {"fetch": 1.0}
    assert progress.finish(state, record.id, outcome())
    before = queries.story(state, record.head)
    assert not progress.finish(state, record.id, outcome("another@example.org"))
    assert not progress.begin(state, record.id, Step.CHECK, "m2")
    progress.keep(state, record.id, Step.BASE, b"late", 1.0)
    assert queries.story(state, record.head) == before


def test_two_that_finish_at_once_leave_one_reply(state: State) -> None:
    record = running(state)
    gate = threading.Barrier(4)
    done: list[bool] = []

    def finish(number: int) -> None:
        gate.wait()
        done.append(progress.finish(state, record.id, outcome(f"{number}@example.org")))

    threads = [threading.Thread(target=finish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False, False, False, True]
    assert len(queries.letters(state)) == 1
    assert len(queries.hazards_of(state, record.id)) == 1


def test_a_passing_failure_is_tried_later(state: State, clock: HandClock) -> None:
    record = running(state)
    later = START + timedelta(seconds=60)
    assert progress.put_off(state, record.id, PASSING, later)
    assert not progress.put_off(state, record.id, PASSING, later)
    assert progress.waiting(state) == ()
    clock.forward(60)
    (again,) = progress.waiting(state)
    assert (again.attempts, again.round, again.failure) == (1, 2, FailureKind.TREE)
    assert again.workflow == "print-k.2"
    progress.submitted(state, again)
    assert progress.waiting(state) == ()
    assert progress.begin(state, record.id, Step.BASE, "m1")
    progress.keep(state, record.id, Step.BASE, b"", 1.0)
    assert reviews.get(state, record.id).attempts == 0


def test_a_clock_set_far_ahead_and_back_does_not_hold_a_review_up(
    state: State, clock: HandClock
) -> None:
    record = running(state)
    clock.jump(10 * 86400)
    progress.put_off(state, record.id, PASSING, clock.now() + timedelta(seconds=60))
    clock.jump(-10 * 86400)
    assert [found.id for found in progress.waiting(state)] == [record.id]


def test_a_failure_that_lasts_ends_the_review_until_somebody_retries(state: State) -> None:
    record = running(state)
    progress.keep(state, record.id, Step.FETCH, b"mails", 1.0)
    assert progress.fail(state, record.id, LASTING)
    assert not progress.fail(state, record.id, LASTING)
    failed = reviews.get(state, record.id)
    assert (failed.state, failed.failure, failed.step) == (
        *(ReviewState.FAILED, FailureKind.CRASHED),
        Step.FETCH,
    )
    assert reviews.retry(state, record.id, "asked for")
    assert progress.product(state, record.id, Step.FETCH) is None
    (again,) = progress.waiting(state)
    assert (again.round, again.failure, again.ended) == (2, None, None)


def test_a_done_review_is_not_retried(state: State) -> None:
    record = running(state)
    with pytest.raises(IllegalTransition, match="is running and cannot become queued"):
        reviews.retry(state, record.id, "asked for")
    progress.finish(state, record.id, outcome())
    with pytest.raises(IllegalTransition, match="is done and cannot become queued"):
        reviews.retry(state, record.id, "asked for")
    with pytest.raises(IllegalTransition, match="is done and cannot become skipped"):
        reviews.skip(state, record.id, "unwanted")


def test_a_series_skipped_while_it_came_goes_on_coming(state: State) -> None:
    record = collected(state)
    reviews.skip(state, record.id, "unwanted")
    reviews.retry(state, record.id, "wanted after all")
    assert reviews.get(state, record.id).state is ReviewState.COLLECTING


def test_a_newer_version_ends_what_waits_for_the_older(state: State) -> None:
    waiting, under_way = queued(state, "old"), running(state, "run")
    newer = collected(state, "new")
    assert reviews.supersede(state, ["old", "run", "unknown", "new"], newer) == (waiting.id,)
    old = reviews.get(state, waiting.id)
    assert (old.state, old.superseded_by) == (ReviewState.SUPERSEDED, newer.id)
    assert reviews.get(state, under_way.id).state is ReviewState.RUNNING
    assert not progress.begin(state, waiting.id, Step.FETCH, "m1")


def test_what_comes_late_joins_its_review_and_changes_nothing(state: State) -> None:
    record = running(state)
    mail.take_in(state, "kvm", "c2", [received("late@example.org")])
    grown = group("k", "k-0@example.org", "k-1@example.org", "late@example.org", title="other")
    after = reviews.collect(state, grown, START, "kvm", "ann@example.org")
    assert after == reviews.get(state, record.id)
    assert after.title == record.title
    story = queries.story(state, "late@example.org")
    assert story is not None
    assert story.review == after


def test_a_group_that_grows_while_it_collects_is_brought_up_to_date(state: State) -> None:
    record = collected(state)
    later = START + timedelta(seconds=9)
    grown = group("k", "k-1@example.org", expected=3, title="cover")
    after = reviews.collect(state, grown, later, "kvm", "ann@example.org")
    assert (after.id, after.expected, after.title, after.arrived) == (record.id, 3, "cover", later)


def test_groups_that_have_merged_leave_one_review(state: State) -> None:
    first, second = collected(state, "a"), collected(state, "b")
    merged = reviews.collect(
        state, group("b", "b-0@example.org", "a-0@example.org"), START, "kvm", "ann@example.org"
    )
    reviews.regroup(state, ["b"], ["a-0@example.org", "a-1@example.org", "b-0@example.org"])
    with pytest.raises(UsageError, match="no review"):
        reviews.get(state, first.id)
    assert merged.id == second.id


def test_a_workflow_that_is_gone_is_started_again(state: State) -> None:
    record = running(state)
    assert progress.resubmit(state, record, "its workflow is gone")
    assert not progress.resubmit(state, record, "its workflow is gone")
    (again,) = progress.waiting(state)
    assert again.round == record.round + 1


def test_a_forgotten_review_lets_its_workflow_end(state: State) -> None:
    record = running(state)
    progress.keep(state, record.id, Step.FETCH, b"mails", 1.0)
    reviews.forget(state, record.id)
    assert queries.story(state, record.head) is None
    assert not progress.begin(state, record.id, Step.BASE, "m1")
    progress.keep(state, record.id, Step.BASE, b"base", 1.0)
    assert not progress.finish(state, record.id, outcome())
    assert queries.letters(state) == ()
    assert reviews.by_key(state, ["k"]) == ()


@pytest.mark.parametrize("to", sorted(set(ReviewState) - {ReviewState.QUEUED}))  # that is a retest
def test_only_what_may_follow_follows(state: State, to: ReviewState) -> None:
    record = running(state)
    progress.finish(state, record.id, outcome())
    if to is ReviewState.DONE:
        assert not transitions.change(state, record.id, to, "again")
    else:
        with pytest.raises(IllegalTransition):
            transitions.change(state, record.id, to, "no")
    assert reviews.get(state, record.id).state is ReviewState.DONE


def test_figures(state: State, clock: HandClock) -> None:
    done, failed = running(state, "done"), running(state, "failed")
    progress.keep(state, done.id, Step.FETCH, b"", 3.0)
    progress.finish(state, done.id, outcome())
    progress.fail(state, failed.id, LASTING)
    clock.forward(7)
    queued(state, "young")
    clock.forward(7)
    running(state, "younger")
    shown = queries.overview(state)
    assert shown.reviews == {
        ReviewState.DONE: 1,
        ReviewState.FAILED: 1,
        ReviewState.QUEUED: 1,
        ReviewState.RUNNING: 1,
    }
    assert shown.depth == 2
    assert shown.oldest == START + timedelta(seconds=7)
    assert shown.verdicts == {Verdict.REMOVED: 1}
    assert shown.failures == {FailureKind.CRASHED: 1}
    assert shown.outbox == {OutboxState.WAITING: 1}
    assert shown.seconds == {Step.FETCH: 3.0}
    assert [source.name for source in shown.sources] == ["kvm"]
    assert [found.key for found in queries.list_reviews(state, limit=2)] == ["younger", "young"]
    assert [found.id for found in queries.list_reviews(state, [ReviewState.FAILED])] == [failed.id]
