# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks beside patches on a patchwork server: what is to be shown there, and whether it is.

A check is ``pending`` from the time its review is queued, then what the review says.
Who posts one takes it on first, so that of several processes one does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta

import sqlalchemy as sa

from reviewbot.report.check import Check, CheckState
from reviewbot.service.model import CheckFate, ReviewState
from reviewbot.service.state import mail
from reviewbot.service.state.model import CheckRecord
from reviewbot.service.state.store import Connection, State, add
from reviewbot.service.state.tables import checks, reviews
from reviewbot.service.state.transitions import UNDER_WAY

FIRST_DELAY = 60.0
"""Seconds before a check that could not be posted is tried again; each time twice as long."""
MAX_DELAY = 3600.0
MAX_ATTEMPTS = 30
"""Tries of a check before it is given up."""
MAX_UNKNOWN = 6
"""Tries of a check whose patch the server does not know: it reads the same lists, later."""
_DAY = timedelta(days=1)
_PORTION = 50
_QUEUED = "its review is under way"
_UNREVIEWED = frozenset({ReviewState.FAILED, ReviewState.SKIPPED, ReviewState.SUPERSEDED})


def announce(state: State, lists: Collection[str]) -> int:
    """Have the patches of these lists' series that are queued or run shown as pending; how many.

    A series that is reviewed once more keeps what the last review said.
    """
    new = (
        sa.select(reviews.c.id, reviews.c.parts)
        .outerjoin(checks, checks.c.review == reviews.c.id)
        .where(reviews.c.list.in_(lists), reviews.c.state.in_(UNDER_WAY))
        .where(checks.c.review.is_(None))
        .order_by(reviews.c.id)
        .limit(_PORTION)
    )
    with state.read() as connection:
        found = [(row.id, row.parts) for row in connection.execute(new)]
    pending = [
        (review, Check(post.label.counter, post.message_id, CheckState.PENDING, _QUEUED))
        for review, parts in found
        for post in mail.posts(state, parts)
        if post.patch_id and post.label is not None
    ]
    with state.write() as connection:
        return sum(_insert(connection, review, check) for review, check in pending)


def conclude(connection: Connection, review: int, found: Iterable[Check]) -> None:
    """Have the patches of a review that ends shown with what it says of each."""
    for check in found:
        if not _insert(connection, review, check):
            other = sa.or_(checks.c.state != check.state, checks.c.description != check.description)
            connection.execute(
                checks.update().where(_is(review, check.message_id), other).values(_fresh(check))
            )


def retract(state: State) -> None:
    """See to the patches shown as pending whose review came to no result.

    What nobody was told of goes; the rest says why.
    """
    ended = sa.select(reviews.c.id).where(reviews.c.state.in_(_UNREVIEWED))
    pending = sa.and_(checks.c.state == CheckState.PENDING, checks.c.review.in_(ended))
    told = sa.or_(checks.c.attempts > 0, checks.c.fate == CheckFate.POSTED)
    unreviewed = Check(0, "", CheckState.WARNING, "was not reviewed")
    with state.write() as connection:
        connection.execute(checks.delete().where(pending, ~told))
        connection.execute(checks.update().where(pending).values(_fresh(unreviewed)))


def take(state: State) -> tuple[CheckRecord, ...]:
    """Take on the checks of one review that are to be posted now; empty if there are none.

    Until they are settled they are not due for a while, should this process die.
    """
    now = state.clock.now()
    # What lies far ahead was set by a clock gone wrong.
    time = sa.or_(
        checks.c.next_try.is_(None), checks.c.next_try <= now, checks.c.next_try > now + _DAY
    )
    due = sa.and_(checks.c.fate == CheckFate.WAITING, time)
    first = sa.select(sa.func.min(checks.c.review)).where(due)
    with state.write() as connection:
        review = connection.scalar(first)
        if review is None:
            return ()
        mine = checks.select().where(due, checks.c.review == review)
        # In one order, so that two that take the same wait for each other.
        rows = connection.execute(mine.order_by(checks.c.patch).with_for_update()).all()
        for row in rows:
            delay = min(MAX_DELAY, FIRST_DELAY * 2 ** min(row.attempts, 10))
            connection.execute(
                checks.update()
                .where(_is(row.review, row.message_id))
                .values(attempts=row.attempts + 1, next_try=now + timedelta(seconds=delay))
            )
        return tuple(
            CheckRecord(
                row.review,
                Check(row.patch, row.message_id, row.state, row.description),
                row.attempts + 1,
            )
            for row in rows
        )


def settle(state: State, taken: CheckRecord, fate: CheckFate, reason: str) -> None:
    """Write down what became of a check.

    If another one is wanted by now it is posted once more, as it may have come first.
    """
    known, check = taken.attempts, taken.check
    if fate is CheckFate.WAITING and known >= MAX_ATTEMPTS:
        fate = CheckFate.GIVEN_UP
    if fate is CheckFate.UNKNOWN and known < MAX_UNKNOWN:
        fate = CheckFate.WAITING
    same = sa.and_(checks.c.state == check.state, checks.c.description == check.description)
    with state.write() as connection:
        mine = checks.update().where(_is(taken.review, check.message_id))
        unchanged = mine.where(checks.c.attempts == known, same)
        if not connection.execute(unchanged.values(fate=fate, reason=reason)).rowcount:
            connection.execute(mine.where(~same).values(fate=CheckFate.WAITING, next_try=None))


def _insert(connection: Connection, review: int, check: Check) -> bool:
    own = {"review": review, "message_id": check.message_id, "patch": check.patch}
    return add(connection, checks, **own, **_fresh(check))


def _fresh(check: Check) -> dict[str, object]:
    return {
        "state": check.state,
        "description": check.description,
        "fate": CheckFate.WAITING,
        "reason": "",
        "attempts": 0,
        "next_try": None,
    }


def _is(review: int, message_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(checks.c.review == review, checks.c.message_id == message_id)
