# SPDX-License-Identifier: GPL-2.0-or-later
"""New mail of one source: fetched, read, decided about, stored with the cursor."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256

from reviewbot.errors import NotReviewable
from reviewbot.service.decide import Scope, decide
from reviewbot.service.failures import failure_of
from reviewbot.service.log import Event, Observer
from reviewbot.service.model import Arrival, Batch, Decision, Reason, Source
from reviewbot.service.post import read_post
from reviewbot.service.sources.errors import SourceError
from reviewbot.service.state import mail
from reviewbot.service.state.model import Received
from reviewbot.service.state.store import State
from reviewbot.service.talk.overhear import overhear

FIRST_DELAY = 30.0
"""Seconds after which a source that failed is tried again; each time twice as long."""
MAX_DELAY = 3600.0
_FAR = timedelta(days=1)
"""No source asks for more patience: a later "next try" was set by a clock gone wrong."""
_DOUBLINGS = 10
_MESSAGE_ID = re.compile(rb"^message-id:\s*<([!-;=?-~]{1,900})>", re.MULTILINE | re.IGNORECASE)


def is_due(state: State, name: str) -> bool:
    """Whether a source may be asked, or is to be left alone for a while after a failure."""
    next_try = mail.source(state, name).next_try
    now = state.clock.now()
    return next_try is None or not now < next_try <= now + _FAR


def poll(
    state: State,
    source: Source,
    scope: Scope,
    observer: Observer,
    *,
    limit: int,
    go_on: Callable[[], bool],
    first_delay: float = FIRST_DELAY,
) -> int:
    """Take in all that is new, as long as ``go_on`` says so; how many messages were news.

    A source that fails is put off, and that is written down; its cursor stays where
    the last stored batch left it.  Raises
    :class:`~reviewbot.service.state.store.StateError`.
    """
    return read_all(
        state,
        source,
        lambda batch: _take_in(state, source.name, batch, scope, observer),
        observer,
        limit=limit,
        go_on=go_on,
        first_delay=first_delay,
    )


def read_all(
    state: State,
    source: Source,
    take_in: Callable[[Batch], int],
    observer: Observer,
    *,
    limit: int,
    go_on: Callable[[], bool],
    first_delay: float = FIRST_DELAY,
) -> int:
    """Go through what a source has had since its cursor, batch by batch; how much was news.

    ``take_in`` stores a batch with its cursor and says how much of it was news.
    """
    news, count = 0, 0
    try:
        while go_on():
            batch = source.fetch(mail.source(state, source.name).cursor, limit)
            news += take_in(batch)
            count += len(batch.arrivals)
            for notice in batch.notices:
                observer.event(Event.NOTICE, source=source.name, reason=notice)
            for where in batch.skipped:
                observer.event(Event.MESSAGE, source=source.name, where=where, reason="too big")
            if not batch.more:
                break
    except SourceError as error:
        _put_off(state, source.name, error, observer, first_delay)
        return news
    observer.event(Event.POLLED, source=source.name, messages=count, news=news)
    return news


def _take_in(state: State, name: str, batch: Batch, scope: Scope, observer: Observer) -> int:
    received = [read(arrival, scope) for arrival in batch.arrivals]
    # Before the batch counts as stored, so that a crash loses no command.
    for arrival, message in zip(batch.arrivals, received, strict=True):
        overhear(state, message, arrival.raw)
    for message in received:
        if message.decision.reason is Reason.UNREADABLE:
            told = {"where": message.where, "reason": message.decision.detail}
            observer.event(Event.MESSAGE, source=name, **told)
    return len(mail.take_in(state, name, batch.cursor, received, batch.removed))


def read(arrival: Arrival, scope: Scope) -> Received:
    """One message, decided about; what cannot be read is remembered as such."""
    try:
        post = read_post(arrival.raw)
    except NotReviewable as error:
        decision = Decision(False, Reason.UNREADABLE, str(error))
        return Received(_name_of(arrival.raw), arrival.where, decision)
    decision = decide(post, scope)
    raw = arrival.raw if decision.ours else None
    return Received(post.message_id, arrival.where, decision, post, raw)


def _name_of(raw: bytes) -> str:
    """The id of a message that is no mail, or a name for it that it always gets."""
    found = _MESSAGE_ID.search(raw.partition(b"\n\n")[0][:100_000])
    return found[1].decode() if found else f"unreadable-{sha256(raw).hexdigest()[:24]}"


def _put_off(
    state: State, name: str, error: SourceError, observer: Observer, first_delay: float
) -> None:
    """Leave a source that failed alone for a while, and write that down."""
    failures = mail.source(state, name).failures
    delay = min(MAX_DELAY, first_delay * 2 ** min(failures, _DOUBLINGS))
    delay = max(delay, min(error.retry_after or 0.0, _FAR.total_seconds()))
    next_try = state.clock.now() + timedelta(seconds=delay)
    failure = failure_of(error)
    mail.source_failed(state, name, failure, next_try)
    told = {"kind": failure.kind, "reason": failure.reason, "next_try": next_try}
    observer.event(Event.POLL_FAILED, source=name, **told)
