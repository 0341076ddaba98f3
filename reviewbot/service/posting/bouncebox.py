# SPDX-License-Identifier: GPL-2.0-or-later
"""The mailbox that undeliverable mail comes back to: read, and obeyed."""

from __future__ import annotations

from collections.abc import Callable

from reviewbot.service.log import Event, Observer
from reviewbot.service.model import Arrival, Batch, Source
from reviewbot.service.poll import read_all
from reviewbot.service.posting.bounces import read_report
from reviewbot.service.state import addresses, mail
from reviewbot.service.state.store import State


def read_bounces(
    state: State, source: Source, observer: Observer, *, limit: int, go_on: Callable[[], bool]
) -> int:
    """Mark what the reports say is dead; how many addresses that were.

    Like :func:`~reviewbot.service.poll.poll`: a source that fails is put off.  A
    report that is read twice says the same.
    """

    def take_in(batch: Batch) -> int:
        silenced = sum(_obey(state, arrival, observer) for arrival in batch.arrivals)
        mail.take_in(state, source.name, batch.cursor, ())
        return silenced

    return read_all(state, source, take_in, observer, limit=limit, go_on=go_on)


def _obey(state: State, arrival: Arrival, observer: Observer) -> int:
    report = read_report(arrival.raw)
    silenced = 0
    for bounce in report.bounces:
        told = {"address": bounce.address, "reason": bounce.said, "where": arrival.where}
        ours = addresses.bounced(
            state, bounce.address, report.message_ids, bounce.said, dead=bounce.dead
        )
        if ours:
            silenced += bounce.dead
            observer.event(Event.BOUNCED, **told)
    return silenced
