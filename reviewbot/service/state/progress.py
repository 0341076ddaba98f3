# SPDX-License-Identifier: GPL-2.0-or-later
"""Reviews under way: what the steps of a workflow read and write.

Each function may run twice, as a step does after a crash: the second time
changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from reviewbot.locking.model import Verdict
from reviewbot.report.envelope import Dispatch
from reviewbot.service.model import ENDED, OutboxState, ReviewState, Step
from reviewbot.service.state.checks import conclude
from reviewbot.service.state.model import Failure, Outcome, Reply, ReviewRecord, Subject
from reviewbot.service.state.quiet import stopped
from reviewbot.service.state.rows import REVIEW, review_record
from reviewbot.service.state.store import Connection, State, add, note
from reviewbot.service.state.tables import hazards, outbox, products, reviews
from reviewbot.service.state.transitions import UNDER_WAY, apply, change, fetch, find, note_review

_FAR = timedelta(days=1)
"""No review is put off for longer: a later "next try" was set by a clock gone wrong."""


def waiting(state: State) -> tuple[ReviewRecord, ...]:
    """Queued reviews whose workflow has not been started and whose time has come."""
    now = state.clock.now()
    due = sa.or_(
        reviews.c.next_try.is_(None), reviews.c.next_try <= now, reviews.c.next_try > now + _FAR
    )
    with state.read() as connection:
        query = (
            sa.select(*REVIEW)
            .where(reviews.c.state == ReviewState.QUEUED)
            .where(reviews.c.submitted < reviews.c.round, due)
            .order_by(reviews.c.queued, reviews.c.id)
        )
        return tuple(map(review_record, connection.execute(query)))


def under_way(state: State) -> tuple[ReviewRecord, ...]:
    """Reviews whose workflow should be waiting or at work, oldest first."""
    with state.read() as connection:
        query = (
            sa.select(*REVIEW)
            .where(reviews.c.state.in_(UNDER_WAY), reviews.c.submitted == reviews.c.round)
            .order_by(reviews.c.id)
        )
        return tuple(map(review_record, connection.execute(query)))


def submitted(state: State, record: ReviewRecord) -> None:
    """Remember that a review's workflow of this round was started."""
    with state.write() as connection:
        connection.execute(
            reviews.update()
            .where(reviews.c.id == record.id, reviews.c.submitted < record.round)
            .values(submitted=record.round)
        )


def resubmit(state: State, record: ReviewRecord, reason: str) -> bool:
    """Queue a review again whose workflow is gone; what its steps have made is kept."""
    with state.write() as connection:
        now = fetch(connection, record.id)
        if now.round != record.round or now.state not in UNDER_WAY:
            return False
        connection.execute(
            reviews.update()
            .where(reviews.c.id == record.id, reviews.c.round == record.round)
            .values(round=record.round + 1, state=ReviewState.QUEUED)
        )
        note_review(state, connection, record.id, now.state, ReviewState.QUEUED, reason)
        return True


def redo(state: State, review: int, reason: str) -> bool:
    """Queue a running review again from its first step: what its steps have made is of no use."""
    with state.write() as connection:
        record = find(connection, review)
        if record is None or record.state is not ReviewState.RUNNING:
            return False
        connection.execute(products.delete().where(products.c.review == review))
        values = {"round": reviews.c.round + 1, "seconds": {}}
        return apply(state, connection, record, ReviewState.QUEUED, reason, values)


def begin(state: State, review: int, step: Step, machine: str) -> bool:
    """A step begins; False if the review is over or forgotten, so that the workflow ends."""
    with state.write() as connection:
        record = find(connection, review)
        if record is None or record.state not in UNDER_WAY:
            return False
        if record.state is ReviewState.QUEUED:
            apply(state, connection, record, ReviewState.RUNNING, f"on {machine}", {})
        started = record.started or state.clock.now()
        connection.execute(
            reviews.update()
            .where(reviews.c.id == review)
            .values(step=step, machine=machine, started=started, submitted=reviews.c.round)
        )
        return True


def keep(state: State, review: int, step: Step, product: bytes, seconds: float) -> None:
    """Keep what a step has made for those after it, and how long that took."""
    with state.write() as connection:
        record = find(connection, review)
        if record is None or record.state in ENDED:
            return
        if not add(connection, products, review=review, step=step, data=product):
            return
        spent = {**record.seconds, step.value: round(seconds, 3)}
        connection.execute(
            reviews.update()
            .where(reviews.c.id == review)
            .values(seconds=spent, attempts=0, failure=None)
        )


def product(state: State, review: int, step: Step) -> bytes | None:
    """What a step has made; None if it has not been done."""
    with state.read() as connection:
        query = sa.select(products.c.data).where(
            products.c.review == review, products.c.step == step
        )
        found: bytes | None = connection.scalar(query)
        return found


def put_off(state: State, review: int, failure: Failure, next_try: datetime) -> bool:
    """Queue a running review again, not before ``next_try``: its failure may pass."""
    return change(
        state,
        review,
        ReviewState.QUEUED,
        failure.reason,
        only_from=frozenset({ReviewState.RUNNING}),
        failure=failure.kind,
        round=reviews.c.round + 1,
        attempts=reviews.c.attempts + 1,
        next_try=next_try,
    )


def fail(state: State, review: int, failure: Failure) -> bool:
    """End a review that failed for good."""
    return change(
        state,
        review,
        ReviewState.FAILED,
        failure.reason,
        only_from=UNDER_WAY,
        failure=failure.kind,
    )


def finish(state: State, review: int, outcome: Outcome) -> bool:
    """The last step: result, hazards, replies and the state DONE, all in one transaction.

    False if the review was over before, by this very step or by somebody's wish;
    nothing is written then.
    """
    with state.write() as connection:
        record = find(connection, review)
        if record is None or record.state not in UNDER_WAY:
            return False
        values = {
            "verdict": outcome.verdict,
            "result": outcome.result,
            "page": outcome.page or None,
            "base": outcome.base,
            "failure": None,
            "next_try": None,
        }
        silent = _why_silent(connection, record, outcome)
        reason = f"{outcome.reason}; no reply, as {silent}" if silent else outcome.reason
        if not apply(state, connection, record, ReviewState.DONE, reason, values):
            return False
        for reply in () if silent else outcome.replies:
            _put_out(state, connection, record, outcome.verdict, reply)
        conclude(connection, review, outcome.checks)
        known = _letters(connection, record)
        connection.execute(hazards.delete().where(hazards.c.review == review))  # of a round before
        for hazard in outcome.hazards:
            connection.execute(
                hazards.insert().values(
                    review=review,
                    hazard=hazard.hazard,
                    kind=hazard.kind,
                    classes=list(hazard.classes),
                    state=hazard.state,
                    patch=hazard.patch,
                    letter=hazard.letter if hazard.letter in known else "",
                )
            )
        connection.execute(products.delete().where(products.c.review == review))
        return True


_FIRST_STATE: Mapping[Dispatch, OutboxState] = {
    Dispatch.KEEP: OutboxState.KEPT,
    Dispatch.APPROVE: OutboxState.WAITING,
    Dispatch.SEND: OutboxState.APPROVED,
}


def _why_silent(connection: Connection, record: ReviewRecord, outcome: Outcome) -> str:
    """Why none of an outcome's replies is put out; empty if they are."""
    if not outcome.replies:
        return ""
    known = _letters(connection, record)
    # Divided otherwise than in the round before, they have other names.
    again = known and record.verdict is outcome.verdict
    if again and known.isdisjoint(reply.message_id for reply in outcome.replies):
        return f"{len(known)} before said {outcome.verdict}"
    return stopped(connection, record)


def _letters(connection: Connection, record: ReviewRecord) -> frozenset[str]:
    """Message-IDs of the review's letters in the outbox."""
    query = sa.select(outbox.c.message_id).where(outbox.c.review == record.id)
    return frozenset(connection.scalars(query))


def _put_out(
    state: State, connection: Connection, record: ReviewRecord, verdict: Verdict, reply: Reply
) -> None:
    first = _FIRST_STATE[reply.dispatch]
    why = f"verdict {verdict}" + (f", {reply.why}" if reply.why else "")
    if add(
        connection,
        outbox,
        message_id=reply.message_id,
        review=record.id,
        list=record.list,
        subject=reply.subject,
        recipients=list(reply.recipients),
        mail=reply.mail,
        state=first,
        reason=why,
        created=state.clock.now(),
        changed=state.clock.now(),
    ):
        note(state, connection, (Subject.OUTBOX, reply.message_id), None, first, why)
