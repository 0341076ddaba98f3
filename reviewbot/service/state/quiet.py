# SPDX-License-Identifier: GPL-2.0-or-later
"""What we are to be silent about: hazards that are none, series, people, whole lists.

The functions that take a connection are parts of their caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from reviewbot.errors import UsageError
from reviewbot.locking.model import ChangeState
from reviewbot.series.addresses import canonical
from reviewbot.service.model import AddressState, OutboxState
from reviewbot.service.state.addresses import silence_in
from reviewbot.service.state.model import HazardRecord, ReviewRecord, Subject
from reviewbot.service.state.store import Connection, State, add, note
from reviewbot.service.state.tables import (
    addresses,
    false_positives,
    hazards,
    lists,
    messages,
    outbox,
    reviews,
    stops,
)
from reviewbot.service.state.transitions import find
from reviewbot.service.talk.model import FalsePositive, ListState, Role, Share, StopKind

_POSTED = (OutboxState.SENT, OutboxState.PARTLY_SENT, OutboxState.IN_DOUBT)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class By:
    """Who said so, and where."""

    person: str
    role: Role
    message_id: str


# ---- series and people ----


def stop(state: State, connection: Connection, record: ReviewRecord, by: By) -> str:
    """No more mail about a series, its other versions and its thread; if its author says so,
    none to the author and about any of the author's.  What was stopped."""
    wanted = [(StopKind.SERIES, record.key), (StopKind.THREAD, _root(connection, record))]
    wanted += [(StopKind.SERIES, record.change_id)] if record.change_id else []
    for kind, value in wanted:
        said = {"person": by.person, "message_id": by.message_id, "at": state.clock.now()}
        add(connection, stops, kind=kind, value=value, **said)
    if by.role is not Role.AUTHOR:
        return "this series"
    reason = f"asked us to stop in <{by.message_id}>"
    silence_in(connection, state, record.author, AddressState.OPTED_OUT, reason)
    return "all series of its author"


def _root(connection: Connection, record: ReviewRecord) -> str:
    """The mail that a series' thread begins with."""
    query = sa.select(messages.c.root).where(messages.c.message_id == record.head)
    return connection.scalar(query) or record.head


def silence(connection: Connection, list_: str, review: int | None) -> str:
    """Why no reply may be mailed for a review of this list, one clause; empty if it may."""
    row = connection.execute(lists.select().where(lists.c.name == list_)).first()
    if row is not None and row.state is ListState.MUTED:
        return f"the list {list_} is muted: {row.reason}"
    record = find(connection, review) if review is not None else None
    return stopped(connection, record) if record is not None else ""


def stopped(connection: Connection, record: ReviewRecord) -> str:
    """Why a series is not to be answered; empty if it may be."""
    series = [record.key, *record.supersedes, *([record.change_id] if record.change_id else [])]
    asked = stops.select().where(
        sa.or_(
            sa.and_(stops.c.kind == StopKind.SERIES, stops.c.value.in_(series)),
            sa.and_(stops.c.kind == StopKind.THREAD, stops.c.value == _root(connection, record)),
        )
    )
    row = connection.execute(asked.order_by(stops.c.at)).first()
    if row is not None:
        return f"{row.person} asked us to stop in <{row.message_id}>"
    author = addresses.select().where(
        addresses.c.address == canonical(record.author),
        addresses.c.state == AddressState.OPTED_OUT,
    )
    row = connection.execute(author).first()
    return f"{row.address} {row.reason}" if row is not None else ""


def is_stopped(state: State, record: ReviewRecord) -> str:
    """The same as :func:`stopped` in a transaction of its own."""
    with state.read() as connection:
        return stopped(connection, record)


def is_silent(state: State, list_: str, review: int | None) -> str:
    """The same as :func:`silence` in a transaction of its own."""
    with state.read() as connection:
        return silence(connection, list_, review)


# ---- hazards that are none ----


def mark(
    state: State,
    connection: Connection,
    list_: str,
    reported: Iterable[HazardRecord],
    reason: str,
    by: By,
) -> int:
    """Remember that reported hazards are none; how many that was news of."""
    return sum(
        add(
            connection,
            false_positives,
            list=list_,
            hazard=hazard.hazard,
            kind=hazard.kind,
            classes=list(hazard.classes),
            reason=reason,
            person=by.person,
            role=by.role.value,
            message_id=by.message_id,
            at=state.clock.now(),
        )
        for hazard in reported
        if hazard.state is not ChangeState.REMOVED
    )


def marked(state: State, list_: str = "") -> tuple[FalsePositive, ...]:
    """The false positives of a list, or of all, the oldest first."""
    query = false_positives.select().order_by(
        false_positives.c.at, false_positives.c.list, false_positives.c.hazard
    )
    if list_:
        query = query.where(false_positives.c.list == list_)
    with state.read() as connection:
        return tuple(map(_false_positive, connection.execute(query)))


def replace_marks(state: State, marks: Collection[FalsePositive]) -> tuple[int, int]:
    """Have exactly these false positives; how many were added, and how many dropped."""
    wanted = {(mark.list, mark.hazard): asdict(mark) for mark in marks}
    with state.write() as connection:
        query = sa.select(false_positives.c.list, false_positives.c.hazard)
        known = {(row[0], row[1]) for row in connection.execute(query)}
        connection.execute(false_positives.delete())
        for values in wanted.values():
            connection.execute(false_positives.insert().values(values))
    return len(wanted.keys() - known), len(known - wanted.keys())


def _false_positive(row: Any) -> FalsePositive:
    return FalsePositive(**{**row._mapping, "classes": tuple(row.classes)})


# ---- lists ----


def mute_if_due(state: State, connection: Connection, list_: str, limit: float, least: int) -> str:
    """Mute a list if too much of what it was told was wrong; what to say of that, or nothing.

    What was before somebody unmuted it does not count again.
    """
    row = connection.execute(lists.select().where(lists.c.name == list_)).first()
    if row is not None and row.state is ListState.MUTED:
        return ""
    share = _share(connection, list_, row.changed if row is not None else _BEGINNING)
    if share.false_positives < least or share.rate <= limit:
        return ""
    reason = (
        f"{share.false_positives} of {share.posted} hazards posted were false positives,"
        f" over the limit of {limit:.0%}"
    )
    _set(state, connection, list_, ListState.MUTED, reason)
    return f"the list {list_} is muted, as {reason}"


def unmute(state: State, list_: str, reason: str) -> None:
    """Let a list's replies be mailed again.  Raises :class:`UsageError` if it is not muted."""
    with state.write() as connection:
        row = connection.execute(lists.select().where(lists.c.name == list_)).first()
        if row is None or row.state is not ListState.MUTED:
            raise UsageError(f"the list {list_} is not muted: see reviewbot status")
        _set(state, connection, list_, ListState.OPEN, reason)


def _set(state: State, connection: Connection, list_: str, to: ListState, reason: str) -> None:
    before = ListState.OPEN if to is ListState.MUTED else ListState.MUTED
    values = {"state": to, "reason": reason, "changed": state.clock.now()}
    if not add(connection, lists, name=list_, **values):
        connection.execute(lists.update().where(lists.c.name == list_).values(**values))
    note(state, connection, (Subject.LIST, list_), before, to, reason)


def shares(connection: Connection) -> tuple[Share, ...]:
    """The figures of every list to which a hazard was posted, or of which one was marked."""
    posted = sa.select(outbox.c.list).where(outbox.c.state.in_(_POSTED)).distinct()
    known = sa.select(false_positives.c.list).distinct()
    muted = {
        row.name: row.reason
        for row in connection.execute(lists.select().where(lists.c.state == ListState.MUTED))
    }
    names = {*connection.scalars(posted), *connection.scalars(known), *muted}
    return tuple(
        _share(connection, name, _BEGINNING, muted.get(name, "")) for name in sorted(names)
    )


def _share(connection: Connection, list_: str, since: datetime, muted: str = "") -> Share:
    told = (
        sa.select(hazards.c.hazard)
        .join(reviews, hazards.c.review == reviews.c.id)
        .join(outbox, outbox.c.review == reviews.c.id)
        .where(hazards.c.letter.in_(("", outbox.c.message_id)))
        .where(reviews.c.list == list_, outbox.c.state.in_(_POSTED))
        .where(hazards.c.state != ChangeState.REMOVED)
    )
    lately = told.where(outbox.c.created > since).distinct().subquery()
    posted = sa.select(sa.func.count()).select_from(lately)
    wrong = (
        sa.select(sa.func.count())
        .select_from(false_positives)
        .where(false_positives.c.list == list_, false_positives.c.at > since)
        .where(false_positives.c.hazard.in_(told))
    )
    return Share(list_, connection.scalar(posted) or 0, connection.scalar(wrong) or 0, muted)
