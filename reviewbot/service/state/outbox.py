# SPDX-License-Identifier: GPL-2.0-or-later
"""Letters in the outbox: what may follow what, what a person decides, and the stop switch.

Every change is written down with its time and reason.  How a letter is sent is
the matter of :mod:`.sending`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from reviewbot.errors import UsageError
from reviewbot.service.model import OutboxState
from reviewbot.service.state import rows
from reviewbot.service.state.model import Delivery, Letter, Subject
from reviewbot.service.state.store import Connection, State, note
from reviewbot.service.state.tables import deliveries, events, outbox, switches
from reviewbot.service.state.transitions import IllegalTransition

STOP = "stop-sending"
_FOLLOWS: Mapping[OutboxState, frozenset[OutboxState]] = {
    OutboxState.KEPT: frozenset({OutboxState.APPROVED, OutboxState.REJECTED}),
    OutboxState.WAITING: frozenset({OutboxState.APPROVED, OutboxState.REJECTED}),
    OutboxState.APPROVED: frozenset(
        {
            *(OutboxState.SENDING, OutboxState.REJECTED, OutboxState.FAILED),
            *(OutboxState.SENT, OutboxState.PARTLY_SENT),
        }
    ),
    OutboxState.REJECTED: frozenset({OutboxState.APPROVED}),
    OutboxState.SENDING: frozenset(
        {
            *(OutboxState.SENT, OutboxState.PARTLY_SENT, OutboxState.APPROVED),
            *(OutboxState.FAILED, OutboxState.IN_DOUBT),
        }
    ),
    OutboxState.IN_DOUBT: frozenset(
        {
            *(OutboxState.SENT, OutboxState.PARTLY_SENT, OutboxState.APPROVED),
            *(OutboxState.FAILED, OutboxState.REJECTED),
        }
    ),
    OutboxState.FAILED: frozenset({OutboxState.APPROVED, OutboxState.REJECTED}),
    OutboxState.SENT: frozenset(),
    OutboxState.PARTLY_SENT: frozenset(),
}
UNTOUCHED = frozenset(
    {OutboxState.KEPT, OutboxState.WAITING, OutboxState.APPROVED, OutboxState.REJECTED}
)
"""States of letters that, without an attempt, nobody has seen."""


class NoSuchLetter(UsageError):
    """There is no letter with this number (any more)."""


def approve(state: State, number: int, why: str) -> Letter:
    """Let a letter go out; also one in doubt, after a person has looked.

    Raises :class:`NoSuchLetter`, or :class:`IllegalTransition` if it is on its way or sent.
    """
    return _decide(state, number, OutboxState.APPROVED, why)


def reject(state: State, number: int, why: str) -> Letter:
    """See that a letter does not go out (again); raises as :func:`approve`."""
    return _decide(state, number, OutboxState.REJECTED, why)


def _decide(state: State, number: int, to: OutboxState, why: str) -> Letter:
    with state.write() as connection:
        letter = fetch(connection, number)
        if letter.state is not to:
            change(state, connection, letter, to, why, next_try=None)
        return letter


def change(
    state: State,
    connection: Connection,
    letter: Letter,
    to: OutboxState,
    reason: str,
    **values: Any,
) -> None:
    """Change the state of a letter that this transaction has locked."""
    if to is not letter.state and to not in _FOLLOWS[letter.state]:
        raise IllegalTransition(
            f"Letter {letter.id} is {letter.state} and cannot become {to}: see reviewbot outbox."
        )
    connection.execute(
        outbox.update()
        .where(outbox.c.id == letter.id)
        .values(state=to, reason=reason, changed=state.clock.now(), **values)
    )
    if (to, reason) != (letter.state, letter.reason):
        note(state, connection, (Subject.OUTBOX, letter.message_id), letter.state, to, reason)


def fetch(connection: Connection, number: int) -> Letter:
    """A letter, locked until the transaction ends.  Raises :class:`NoSuchLetter`."""
    query = sa.select(*rows.LETTER).where(outbox.c.id == number).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise NoSuchLetter(f"There is no letter {number}: see reviewbot outbox.")
    return rows.letter(row)


def get(state: State, number: int) -> Letter:
    """A letter.  Raises :class:`NoSuchLetter`."""
    with state.read() as connection:
        return fetch(connection, number)


def in_state(state: State, *states: OutboxState) -> tuple[Letter, ...]:
    """All letters in one of these states, oldest first."""
    query = sa.select(*rows.LETTER).where(outbox.c.state.in_(states)).order_by(outbox.c.id)
    with state.read() as connection:
        return tuple(map(rows.letter, connection.execute(query)))


def mail_of(state: State, number: int) -> bytes:
    """The bytes of a letter.  Raises :class:`NoSuchLetter`."""
    with state.read() as connection:
        fetch(connection, number)
        query = sa.select(outbox.c.mail).where(outbox.c.id == number)
        mail: bytes = connection.execute(query).scalar_one()
        return mail


def deliveries_of(state: State, number: int) -> tuple[Delivery, ...]:
    """What became of a letter on its way to each address, as far as it was tried."""
    with state.read() as connection:
        return fates(connection, number)


def fates(connection: Connection, number: int) -> tuple[Delivery, ...]:
    """The same within a transaction."""
    query = (
        sa.select(deliveries.c.address, deliveries.c.fate, deliveries.c.said, deliveries.c.at)
        .where(deliveries.c.letter == number)
        .order_by(deliveries.c.address)
    )
    return tuple(Delivery(*row) for row in connection.execute(query))


# ---- the stop switch ----


def throw(state: State, stop: bool, reason: str) -> None:
    """Stop all sending, or go on with it; every process obeys before its next letter's text."""
    with state.write() as connection:
        connection.execute(
            switches.update()
            .where(switches.c.name == STOP)
            .values(thrown=stop, reason=reason, at=state.clock.now())
        )
        connection.execute(
            events.insert().values(
                at=state.clock.now(),
                kind=Subject.SWITCH,
                subject=STOP,
                before="",
                after="stopped" if stop else "on",
                reason=reason,
            )
        )


def stopped(state: State) -> str:
    """Why nothing is sent at all; empty if sending goes on."""
    with state.read() as connection:
        return is_stopped(connection)


def is_stopped(connection: Connection, *, lock: bool = False) -> str:
    """The same within a transaction; with ``lock`` nobody stops, or sends, before it ends."""
    query = sa.select(switches.c.thrown, switches.c.reason).where(switches.c.name == STOP)
    thrown, reason = connection.execute(query.with_for_update() if lock else query).one()
    return f"sending is stopped: {reason or 'no reason given'}" if thrown else ""


def discard_untouched(connection: Connection, reviews: Collection[int]) -> None:
    """Remove the letters of these reviews that were never given to a transport."""
    connection.execute(
        outbox.delete().where(
            outbox.c.review.in_(reviews), outbox.c.attempts == 0, outbox.c.state.in_(UNTOUCHED)
        )
    )
