# SPDX-License-Identifier: GPL-2.0-or-later
"""Addresses that get no mail: dead, muted, opted out."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from reviewbot.series.addresses import canonical
from reviewbot.service.model import AddressState, Fate
from reviewbot.service.state.model import AddressRecord, Subject
from reviewbot.service.state.store import Connection, State, add, note
from reviewbot.service.state.tables import addresses, deliveries, events, outbox


def silence(state: State, address: str, to: AddressState, reason: str) -> bool:
    """Send an address no more mail; False if that was so already, whatever for."""
    with state.write() as connection:
        return silence_in(connection, state, address, to, reason)


def bounced(
    state: State, address: str, message_ids: Collection[str], reason: str, *, dead: bool
) -> bool:
    """A letter came back from an address; False if none of these went there.

    What nobody wrote cannot come back: a report without our Message-ID silences
    no one.  Unless the address is ``dead`` it has mail as before.
    """
    key = canonical(address)
    ours = (
        sa.select(deliveries.c.letter)
        .join(outbox)
        .where(deliveries.c.address == key, outbox.c.message_id.in_(message_ids))
        .where(deliveries.c.fate.in_((Fate.TAKEN, Fate.TRYING, Fate.BOUNCED)))
    )
    with state.write() as connection:
        letters = tuple(connection.scalars(ours))
        if not letters:
            return False
        connection.execute(
            deliveries.update()
            .where(deliveries.c.letter.in_(letters), deliveries.c.address == key)
            .values(fate=Fate.BOUNCED, said=reason)
        )
        if dead:
            silence_in(connection, state, address, AddressState.DEAD, reason)
        return True


def silence_in(
    connection: Connection, state: State, address: str, to: AddressState, reason: str
) -> bool:
    """The same as :func:`silence`, in the caller's transaction."""
    key = canonical(address)
    new = add(connection, addresses, address=key, state=to, reason=reason, at=state.clock.now())
    if new:
        note(state, connection, (Subject.ADDRESS, key), None, to, reason)
    return new


def restore(state: State, address: str, reason: str) -> bool:
    """Let an address have mail again; False if it had."""
    key = canonical(address)
    gone = addresses.delete().where(addresses.c.address == key).returning(addresses.c.state)
    with state.write() as connection:
        row = connection.execute(gone).first()
        if row is None:
            return False
        connection.execute(
            events.insert().values(
                at=state.clock.now(),
                kind=Subject.ADDRESS,
                subject=key,
                before=row.state.value,
                after="",
                reason=reason,
            )
        )
        return True


def silent(state: State) -> tuple[AddressRecord, ...]:
    """Every address that gets no mail."""
    query = sa.select(
        addresses.c.address, addresses.c.state, addresses.c.reason, addresses.c.at
    ).order_by(addresses.c.address)
    with state.read() as connection:
        return tuple(AddressRecord(*row) for row in connection.execute(query))
