# SPDX-License-Identifier: GPL-2.0-or-later
"""What people and monitors ask of the state."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from reviewbot.service.model import CheckFate, ReviewState, Step
from reviewbot.service.state import mail, quiet, rows, talk
from reviewbot.service.state.model import (
    Event,
    HazardRecord,
    Letter,
    Overview,
    ReviewRecord,
    Story,
    Subject,
)
from reviewbot.service.state.store import Connection, State
from reviewbot.service.state.tables import (
    checks,
    events,
    hazards,
    machines,
    messages,
    outbox,
    reviews,
)

_LATELY = 200
"""Finished reviews that mean times are taken of."""


def overview(state: State) -> Overview:
    """The service in figures."""
    under_way = reviews.c.state.in_([ReviewState.QUEUED, ReviewState.RUNNING])
    with state.read() as connection:
        return Overview(
            reviews=_counts(connection, reviews.c.state),
            verdicts=_counts(connection, reviews.c.verdict),
            failures=_counts(connection, reviews.c.failure, reviews.c.state == ReviewState.FAILED),
            messages=_counts(connection, messages.c.reason),
            outbox=_counts(connection, outbox.c.state),
            oldest=connection.scalar(sa.select(sa.func.min(reviews.c.queued)).where(under_way)),
            seconds=_seconds(connection),
            sources=mail.all_sources(state),
            machines=connection.scalar(sa.select(sa.func.count()).select_from(machines)) or 0,
            shares=quiet.shares(connection),
            checks=_counts(connection, checks.c.fate),
            check_trouble=connection.scalar(
                sa.select(checks.c.reason)
                .where(checks.c.fate == CheckFate.WAITING, checks.c.reason != "")
                .order_by(checks.c.next_try.desc())
                .limit(1)
            )
            or "",
        )


def _counts(connection: Connection, column: sa.Column[Any], *where: Any) -> dict[Any, int]:
    query = (
        sa.select(column, sa.func.count())
        .where(column.is_not(None), *where)
        .group_by(column)
        .order_by(column)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _seconds(connection: Connection) -> dict[Step, float]:
    """Mean wall time by step of the reviews done lately."""
    query = (
        sa.select(reviews.c.seconds)
        .where(reviews.c.state == ReviewState.DONE)
        .order_by(reviews.c.ended.desc())
        .limit(_LATELY)
    )
    times: dict[Step, list[float]] = {}
    for seconds in connection.scalars(query):
        for step, spent in seconds.items():
            times.setdefault(Step(step), []).append(spent)
    return {step: sum(times[step]) / len(times[step]) for step in Step if step in times}


def list_reviews(
    state: State, states: Collection[ReviewState] = (), limit: int = 50
) -> tuple[ReviewRecord, ...]:
    """Reviews in some states (in any if none is named), the latest first."""
    query = sa.select(*rows.REVIEW).order_by(reviews.c.id.desc()).limit(limit)
    if states:
        query = query.where(reviews.c.state.in_(states))
    with state.read() as connection:
        return tuple(map(rows.review_record, connection.execute(query)))


def story(state: State, message_id: str) -> Story | None:
    """All about a message and its series; None if it never came.

    A reply of ours in the outbox stands for the series it answers.
    """
    with state.read() as connection:
        row = _message(connection, message_id)
        if row is None:
            return None
        message = rows.message_record(row)
        if message.review is None:
            return Story(message, None)
        found = connection.execute(
            sa.select(*rows.REVIEW).where(reviews.c.id == message.review)
        ).one()
        return Story(
            message,
            rows.review_record(found),
            _messages(connection, message.review),
            _hazards(connection, message.review),
            _letters(connection, outbox.c.review == message.review),
            _events(connection, message.review),
            talk.about(connection, message.review),
        )


def _message(connection: Connection, message_id: str) -> Any:
    row = connection.execute(messages.select().where(messages.c.message_id == message_id)).first()
    if row is not None:
        return row
    answered = (
        messages.select()
        .join(reviews, messages.c.review == reviews.c.id)
        .join(outbox, outbox.c.review == reviews.c.id)
        .where(outbox.c.message_id == message_id)
        .order_by(messages.c.message_id != reviews.c.head, messages.c.id)
    )
    return connection.execute(answered).first()


def _messages(connection: Connection, review: int) -> tuple[Any, ...]:
    query = messages.select().where(messages.c.review == review).order_by(messages.c.id)
    return tuple(map(rows.message_record, connection.execute(query)))


def _hazards(connection: Connection, review: int) -> tuple[HazardRecord, ...]:
    query = hazards.select().where(hazards.c.review == review).order_by(hazards.c.id)
    return tuple(map(rows.hazard_record, connection.execute(query)))


def _letters(connection: Connection, *where: Any) -> tuple[Letter, ...]:
    query = sa.select(*rows.LETTER).where(*where).order_by(outbox.c.id)
    return tuple(map(rows.letter, connection.execute(query)))


def _events(connection: Connection, review: int) -> tuple[Event, ...]:
    replies = sa.select(outbox.c.message_id).where(outbox.c.review == review)
    mine = sa.or_(
        sa.and_(events.c.kind == Subject.REVIEW, events.c.subject == str(review)),
        sa.and_(events.c.kind == Subject.OUTBOX, events.c.subject.in_(replies)),
    )
    query = events.select().where(mine).order_by(events.c.id)
    return tuple(map(rows.event, connection.execute(query)))


def letters(state: State) -> tuple[Letter, ...]:
    """The outbox, oldest first."""
    with state.read() as connection:
        return _letters(connection)


def verdicts(state: State) -> tuple[tuple[int, str], ...]:
    """The verdicts of reviews that have a letter, by their numbers."""
    query = sa.select(reviews.c.id, reviews.c.verdict).join(outbox, outbox.c.review == reviews.c.id)
    with state.read() as connection:
        return tuple((number, verdict.value) for number, verdict in connection.execute(query))


def letter_events(state: State, message_id: str) -> tuple[Event, ...]:
    """What happened to a letter, in order."""
    mine = sa.and_(events.c.kind == Subject.OUTBOX, events.c.subject == message_id)
    with state.read() as connection:
        query = events.select().where(mine).order_by(events.c.id)
        return tuple(map(rows.event, connection.execute(query)))


def letter(state: State, message_id: str) -> bytes | None:
    """A reply's mail as it stands in the outbox; None if there is none with this id."""
    with state.read() as connection:
        query = sa.select(outbox.c.mail).where(outbox.c.message_id == message_id)
        found: bytes | None = connection.scalar(query)
        return found


def result(state: State, review: int) -> dict[str, Any] | None:
    """A finished review as ``reviewbot.review/1``; None before it is done, or without a check."""
    found = result_text(state, review)
    if not found:
        return None
    loaded: dict[str, Any] = json.loads(found)
    return loaded


def result_text(state: State, review: int) -> bytes:
    """The same as it is stored; empty if there is none."""
    with state.read() as connection:
        found = connection.scalar(sa.select(reviews.c.result).where(reviews.c.id == review))
    return found or b""


def page(state: State, review: int) -> bytes:
    """A finished review as HTML; empty if there is none."""
    with state.read() as connection:
        found = connection.scalar(sa.select(reviews.c.page).where(reviews.c.id == review))
    return found or b""


def head(state: State, review: int) -> str:
    """Message-ID that a review's series is known by; empty if there is no such review."""
    with state.read() as connection:
        return connection.scalar(sa.select(reviews.c.head).where(reviews.c.id == review)) or ""


def hazards_of(state: State, review: int) -> tuple[HazardRecord, ...]:
    """The hazards that a review reported."""
    with state.read() as connection:
        return _hazards(connection, review)
