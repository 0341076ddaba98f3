# SPDX-License-Identifier: GPL-2.0-or-later
"""Reviews before and after their workflow: made, queued, superseded, skipped, forgotten."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from reviewbot.service.model import ENDED, Group, ReviewState
from reviewbot.service.state.mail import batched_values
from reviewbot.service.state.model import ReviewRecord
from reviewbot.service.state.outbox import discard_untouched
from reviewbot.service.state.rows import REVIEW, review_record
from reviewbot.service.state.store import Connection, State, add
from reviewbot.service.state.tables import messages, products, reviews
from reviewbot.service.state.transitions import apply, change, fetch, illegal, note_review

_PORTION = 500


def collect(state: State, group: Group, arrived: datetime, list_: str, author: str) -> ReviewRecord:
    """The review of a group, made if it is new; its messages and numbers brought up to date.

    One that does not collect any more stays as it is.
    """
    known = {
        "title": group.title,
        "version": group.version,
        "expected": group.expected,
        "head": group.head,
        "change_id": group.change_id,
        "parts": [*group.messages, *group.borrowed],
        "supersedes": list(group.supersedes),
        "arrived": arrived,
    }
    with state.write() as connection:
        new = add(
            connection,
            reviews,
            key=group.key,
            list=list_,
            author=author,
            state=ReviewState.COLLECTING,
            seconds={},
            **known,
        )
        record = _by_key(connection, group.key)
        if new:
            note_review(state, connection, record.id, None, ReviewState.COLLECTING, "first mail")
        elif record.state is ReviewState.COLLECTING:
            connection.execute(
                reviews.update()
                .where(reviews.c.id == record.id, reviews.c.state == ReviewState.COLLECTING)
                .values(**known)
            )
        for some in batched_values(group.messages):
            connection.execute(
                messages.update()
                .where(messages.c.message_id.in_(some), messages.c.review.is_(None))
                .values(review=record.id)
            )
        return fetch(connection, record.id)


def adopt(state: State, review: int, message_ids: Collection[str]) -> None:
    """Note messages that came too late as a part of their review, which they do not change."""
    with state.write() as connection:
        for some in batched_values(message_ids):
            connection.execute(
                messages.update()
                .where(messages.c.message_id.in_(some), messages.c.review.is_(None))
                .values(review=review)
            )


def regroup(state: State, kept: Collection[str], among: Collection[str]) -> None:
    """Forget reviews still collecting whose groups have merged into others.

    ``kept`` are the keys of the groups found ``among`` these messages.
    """
    with state.write() as connection:
        stale: set[int] = set()
        for some in batched_values(among):
            query = (
                sa.select(reviews.c.id)
                .join(messages, messages.c.review == reviews.c.id)
                .where(messages.c.message_id.in_(some))
                .where(reviews.c.state == ReviewState.COLLECTING, reviews.c.key.not_in(kept))
            )
            stale.update(connection.scalars(query))
        for review in stale:
            connection.execute(reviews.delete().where(reviews.c.id == review))


def get(state: State, review: int) -> ReviewRecord:
    """A review.  Raises :class:`UsageError` if there is none (any more)."""
    with state.read() as connection:
        return fetch(connection, review)


def by_key(state: State, keys: Collection[str]) -> tuple[ReviewRecord, ...]:
    """The reviews of these groups, as far as there are any."""
    found: list[ReviewRecord] = []
    with state.read() as connection:
        for some in batched_values(keys):
            rows = connection.execute(sa.select(*REVIEW).where(reviews.c.key.in_(some)))
            found.extend(map(review_record, rows))
    return tuple(found)


def some(state: State, numbers: Collection[int]) -> tuple[ReviewRecord, ...]:
    """These reviews, as far as there are any."""
    found: list[ReviewRecord] = []
    rest = sorted(numbers)
    with state.read() as connection:
        for start in range(0, len(rest), _PORTION):
            portion = reviews.c.id.in_(rest[start : start + _PORTION])
            found.extend(map(review_record, connection.execute(sa.select(*REVIEW).where(portion))))
    return tuple(found)


def of_author(state: State, author: str, since: datetime) -> tuple[ReviewRecord, ...]:
    """Reviews of one author that have been queued since then."""
    with state.read() as connection:
        query = (
            sa.select(*REVIEW)
            .where(reviews.c.author == author, reviews.c.queued >= since)
            .order_by(reviews.c.id)
        )
        return tuple(map(review_record, connection.execute(query)))


def in_state(state: State, *states: ReviewState) -> tuple[ReviewRecord, ...]:
    """All reviews in one of these states, oldest first."""
    with state.read() as connection:
        query = sa.select(*REVIEW).where(reviews.c.state.in_(states)).order_by(reviews.c.id)
        return tuple(map(review_record, connection.execute(query)))


def queue(state: State, review: int, fingerprint: str, reason: str, list_: str) -> bool:
    """Let a series that has stopped growing be reviewed, with the tree and rules of a list;
    False if it was queued before."""
    return change(
        state,
        review,
        ReviewState.QUEUED,
        reason,
        only_from=frozenset({ReviewState.COLLECTING}),
        fingerprint=fingerprint,
        list=list_,
        round=reviews.c.round + 1,
        queued=state.clock.now(),
    )


def retry(state: State, review: int, reason: str) -> bool:
    """Queue an ended review again, from its first step on.

    One that ended before its series was whole goes on waiting for it.  Raises
    :class:`IllegalTransition` for a review that is done or has not ended.
    """
    with state.write() as connection:
        record = fetch(connection, review)
        if record.state not in ENDED or record.state is ReviewState.DONE:
            whole = record.fingerprint is not None
            raise illegal(record, ReviewState.QUEUED if whole else ReviewState.COLLECTING)
        return queue_again(state, connection, record, reason)


def queue_again(state: State, connection: Connection, record: ReviewRecord, reason: str) -> bool:
    """The same for any review that has ended, in the caller's transaction.

    Its last result stands until there is a new one.
    """
    whole = record.fingerprint is not None
    to = ReviewState.QUEUED if whole else ReviewState.COLLECTING
    blank = ("ended", "next_try", "failure", "step", "superseded_by", "started")
    values: dict[str, Any] = {**dict.fromkeys(blank), "attempts": 0, "seconds": {}}
    if whole:
        values |= {"round": reviews.c.round + 1, "queued": state.clock.now()}
    connection.execute(products.delete().where(products.c.review == record.id))
    discard_untouched(connection, (record.id,))
    return apply(state, connection, record, to, reason, values)


def supersede(state: State, older: Collection[str], newer: ReviewRecord) -> tuple[int, ...]:
    """End what waits for older versions of a series; returns the reviews ended so.

    One that runs already goes on: its reply is about what was posted then.
    """
    waiting = frozenset({ReviewState.COLLECTING, ReviewState.QUEUED})
    ended = [
        record.id
        for record in by_key(state, older)
        if record.id != newer.id
        and record.state in waiting
        and change(
            state,
            record.id,
            ReviewState.SUPERSEDED,
            f"v{newer.version} came",
            only_from=waiting,
            superseded_by=newer.id,
        )
    ]
    return tuple(ended)


def skip(state: State, review: int, reason: str) -> bool:
    """End a review that nobody wants.  Raises :class:`IllegalTransition` if it is over."""
    return change(state, review, ReviewState.SKIPPED, reason)


def forget(state: State, review: int) -> None:
    """Remove a series with its mails, result and reply, as if it had never come.

    A reply that has gone out, or may have, stays: it must not go out again.
    A review that runs is forgotten too: its workflow finds nothing and ends.
    """
    with state.write() as connection:
        discard_untouched(connection, (review,))
        connection.execute(messages.delete().where(messages.c.review == review))
        connection.execute(reviews.delete().where(reviews.c.id == review))


def _by_key(connection: Connection, key: str) -> ReviewRecord:
    return review_record(connection.execute(sa.select(*REVIEW).where(reviews.c.key == key)).one())
