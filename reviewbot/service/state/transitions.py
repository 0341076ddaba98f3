# SPDX-License-Identifier: GPL-2.0-or-later
"""From one state of a review to the next: what may follow what, in one place.

Every change is written down with its time and reason.  Of two that change the
same review at once, one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from reviewbot.errors import UsageError
from reviewbot.service.model import ENDED, ReviewState
from reviewbot.service.state.model import ReviewRecord, Subject
from reviewbot.service.state.rows import REVIEW, review_record
from reviewbot.service.state.store import Connection, State, note
from reviewbot.service.state.tables import reviews

_FOLLOWS: Mapping[ReviewState, frozenset[ReviewState]] = {
    ReviewState.COLLECTING: frozenset(
        {ReviewState.QUEUED, ReviewState.SKIPPED, ReviewState.SUPERSEDED}
    ),
    ReviewState.QUEUED: frozenset(
        {
            *(ReviewState.RUNNING, ReviewState.DONE, ReviewState.FAILED),
            *(ReviewState.SKIPPED, ReviewState.SUPERSEDED),
        }
    ),
    ReviewState.RUNNING: frozenset(
        {ReviewState.QUEUED, ReviewState.DONE, ReviewState.FAILED, ReviewState.SKIPPED}
    ),
    ReviewState.FAILED: frozenset({ReviewState.QUEUED, ReviewState.SKIPPED}),
    ReviewState.SKIPPED: frozenset({ReviewState.COLLECTING, ReviewState.QUEUED}),
    ReviewState.SUPERSEDED: frozenset({ReviewState.COLLECTING, ReviewState.QUEUED}),
    ReviewState.DONE: frozenset({ReviewState.QUEUED}),
}
UNDER_WAY = frozenset({ReviewState.QUEUED, ReviewState.RUNNING})


class IllegalTransition(UsageError):
    """A review cannot change to this state from the one it is in."""


def change(
    state: State,
    review: int,
    to: ReviewState,
    reason: str,
    *,
    only_from: frozenset[ReviewState] | None = None,
    **values: Any,
) -> bool:
    """Change a review's state; False if it is in it already or not in ``only_from``."""
    with state.write() as connection:
        record = fetch(connection, review)
        if record.state is to or (only_from is not None and record.state not in only_from):
            return False
        return apply(state, connection, record, to, reason, values)


def apply(
    state: State,
    connection: Connection,
    record: ReviewRecord,
    to: ReviewState,
    reason: str,
    values: Mapping[str, Any],
) -> bool:
    """Change the state if it is still as in ``record``: of two that try, one does."""
    if to not in _FOLLOWS[record.state]:
        raise illegal(record, to)
    if to in ENDED:
        values = {"ended": state.clock.now(), **values}
    done = connection.execute(
        reviews.update()
        .where(reviews.c.id == record.id, reviews.c.state == record.state)
        .values(state=to, reason=reason, **values)
    )
    if not done.rowcount:
        return False
    note_review(state, connection, record.id, record.state, to, reason)
    return True


def illegal(record: ReviewRecord, to: ReviewState) -> IllegalTransition:
    return IllegalTransition(
        f"The review of <{record.head}> is {record.state} and cannot become {to}:"
        " see reviewbot status."
    )


def note_review(
    state: State,
    connection: Connection,
    review: int,
    before: ReviewState | None,
    after: ReviewState,
    reason: str,
) -> None:
    note(state, connection, (Subject.REVIEW, review), before, after, reason)


def find(connection: Connection, review: int) -> ReviewRecord | None:
    query = sa.select(*REVIEW).where(reviews.c.id == review).with_for_update()
    row = connection.execute(query).first()
    return review_record(row) if row is not None else None


def fetch(connection: Connection, review: int) -> ReviewRecord:
    record = find(connection, review)
    if record is None:
        raise UsageError(f"There is no review {review}: it was forgotten; see reviewbot status.")
    return record
