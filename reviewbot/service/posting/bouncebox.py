# SPDX-License-Identifier: GPL-2.0-or-later
"""The mailbox that undeliverable mail comes back to: read, and obeyed."""

from __future__ import annotations

from collections.abc import Callable

from reviewbot.service.log import Event, Observer
from reviewbot.service.model import Arrival, Source
from reviewbot.service.poll import put_off
from reviewbot.service.posting.bounces import read_report
from reviewbot.service.sources.errors import SourceError
from reviewbot.service.state import addresses, mail
from reviewbot.service.state.store import State


def read_bounces(
    state: State, source: Source, observer: Observer, *, limit: int, go_on: Callable[[], bool]
) -> int:
    """Mark what the reports say is dead; how many addresses that were.

    Like :func:`~reviewbot.service.poll.poll`: a source that fails is put off.  A
    report that is read twice says the same.
    """
    silenced, count = 0, 0
    try:
        while go_on():
            batch = source.fetch(mail.source(state, source.name).cursor, limit)
            silenced += sum(_obey(state, arrival, observer) for arrival in batch.arrivals)
            mail.take_in(state, source.name, batch.cursor, ())
            count += len(batch.arrivals)
            if not batch.more:
                break
    except SourceError as error:
        put_off(state, source.name, error, observer)
        return silenced
    observer.event(Event.POLLED, source=source.name, messages=count, news=silenced)
    return silenced


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
