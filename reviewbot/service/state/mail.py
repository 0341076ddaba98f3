# SPDX-License-Identifier: GPL-2.0-or-later
"""Mail in the state: what came, from where, and how far each source was read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from reviewbot.service.model import Post, Reason, ReviewState
from reviewbot.service.state.model import (
    Failure,
    MessageRecord,
    Received,
    SourceRecord,
    SourceState,
    Subject,
)
from reviewbot.service.state.rows import message_record, source_record
from reviewbot.service.state.store import Connection, State, add, note
from reviewbot.service.state.tables import messages, reviews, sources
from reviewbot.typed import learnt

_PARAMETERS = 500
"""Values in one IN (…); SQLite's limit is 32,766, older ones' 999."""


def take_in(
    state: State,
    source: str,
    cursor: str,
    received: Iterable[Received],
    removed: Iterable[str] = (),
) -> tuple[Received, ...]:
    """Store a batch of a source and how far it goes, both or neither; returns what is news.

    A message that is known already is none, unless another list brought it
    before and it counts only now.
    """
    with state.write() as connection:
        fresh = tuple(message for message in received if _store(state, connection, source, message))
        for message_id in removed:
            _take_back(connection, message_id)
        before = _source(connection, source)
        add(connection, sources, name=source)
        good = {"failure": None, "reason": "", "failed": None, "failures": 0, "next_try": None}
        connection.execute(
            sources.update()
            .where(sources.c.name == source)
            .values(cursor=cursor, last_good=state.clock.now(), **good)
        )
        if before.state is not SourceState.GOOD:
            reason = "" if before.failure is None else f"after: {before.reason}"
            note(
                state, connection, (Subject.SOURCE, source), before.state, SourceState.GOOD, reason
            )
    return fresh


def _store(state: State, connection: Connection, source: str, message: Received) -> bool:
    post, decision = message.post, message.decision
    values: dict[str, Any] = {
        "source": source,
        "place": message.where,
        "list": decision.list,
        "ours": decision.ours,
        "reason": decision.reason,
        "detail": decision.detail,
        "post": msgspec.json.encode(post) if post is not None else None,
        "raw": message.raw,
    }
    if add(
        connection,
        messages,
        message_id=message.message_id,
        received=state.clock.now(),
        subject=post.subject if post is not None else "",
        author=post.author.address.lower() if post is not None else "",
        root=_root(post) if post is not None else "",
        change_id=post.change_id if post is not None else "",
        patch_id=post.patch_id if post is not None else "",
        **values,
    ):
        return True
    if not decision.ours:
        return False
    done = connection.execute(
        messages.update()
        .where(messages.c.message_id == message.message_id)
        .where(~messages.c.ours, ~messages.c.removed, messages.c.review.is_(None))
        .values(**values)
    )
    return bool(done.rowcount)


def _root(post: Post) -> str:
    """The message that its thread goes back to."""
    return next(iter(post.references), "") or post.in_reply_to or post.message_id


def _take_back(connection: Connection, message_id: str) -> None:
    """Obey an archive that takes a message back: its text goes, that it was there stays."""
    connection.execute(
        messages.update()
        .where(messages.c.message_id == message_id)
        .values(removed=True, ours=False, reason=Reason.REMOVED, raw=None)
    )


def source_failed(state: State, name: str, failure: Failure, next_try: datetime) -> None:
    """Write down that a source could not be read; its cursor stays."""
    with state.write() as connection:
        before = _source(connection, name)
        add(connection, sources, name=name)
        connection.execute(
            sources.update()
            .where(sources.c.name == name)
            .values(
                failure=failure.kind,
                reason=failure.reason,
                failed=state.clock.now(),
                failures=sources.c.failures + 1,
                next_try=next_try,
            )
        )
        if before.failure is not failure.kind:
            changed = (Subject.SOURCE, name)
            note(state, connection, changed, before.state, SourceState.FAILING, failure.reason)


def source(state: State, name: str) -> SourceRecord:
    """How following a source goes; blank for one that was never tried."""
    with state.read() as connection:
        return _source(connection, name)


def all_sources(state: State) -> tuple[SourceRecord, ...]:
    """Every source that was ever tried, by name."""
    with state.read() as connection:
        rows = connection.execute(sources.select().order_by(sources.c.name))
        return tuple(source_record(row) for row in rows)


def _source(connection: Connection, name: str) -> SourceRecord:
    row = connection.execute(sources.select().where(sources.c.name == name)).first()
    return source_record(row) if row is not None else SourceRecord(name)


def neighbourhood(state: State, posts: Collection[Post], since: datetime) -> tuple[Post, ...]:
    """What may belong together with these: posts by their authors, in their threads, of their
    change-ids, and of every series that is still collecting; the given ones among them.

    Only messages that are ours and came after ``since``, in order of arrival.
    """
    near = [
        (messages.c.author, {post.author.address.lower() for post in posts}),
        (messages.c.root, {_root(post) for post in posts}),
        (messages.c.change_id, {post.change_id for post in posts} - {""}),
    ]
    found: dict[int, bytes] = {}
    with state.read() as connection:
        for column, values in near:
            for some in batched_values(values):
                query = _posts(since).where(column.in_(some))
                found.update((row.id, row.post) for row in connection.execute(query))
    return tuple(msgspec.json.decode(found[number], type=learnt(Post)) for number in sorted(found))


def open_posts(state: State) -> tuple[Post, ...]:
    """Posts that are in no review yet, or in one that still collects; in order of arrival."""
    waits = sa.or_(messages.c.review.is_(None), reviews.c.state == ReviewState.COLLECTING)
    with state.read() as connection:
        query = (
            sa.select(messages.c.post)
            .outerjoin(reviews, messages.c.review == reviews.c.id)
            .where(messages.c.ours, messages.c.post.is_not(None), waits)
            .order_by(messages.c.id)
        )
        found = connection.scalars(query)
        return tuple(msgspec.json.decode(post, type=learnt(Post)) for post in found)


def _posts(since: datetime) -> sa.Select[Any]:
    return sa.select(messages.c.id, messages.c.post).where(
        messages.c.ours, messages.c.post.is_not(None), messages.c.received >= since
    )


def batched_values(values: Iterable[str]) -> Iterator[list[str]]:
    """Values in portions that one query takes."""
    rest = sorted(values)
    for start in range(0, len(rest), _PARAMETERS):
        yield rest[start : start + _PARAMETERS]


def records(state: State, message_ids: Collection[str]) -> dict[str, MessageRecord]:
    """What is known of these messages, by their ids."""
    found: dict[str, MessageRecord] = {}
    with state.read() as connection:
        for some in batched_values(message_ids):
            query = messages.select().where(messages.c.message_id.in_(some))
            found.update((row.message_id, message_record(row)) for row in connection.execute(query))
    return found


def texts(state: State, message_ids: Collection[str]) -> tuple[bytes, ...]:
    """These mails, as far as they are kept and ours, in the order of their ids."""
    return _of(state, messages.c.raw, message_ids)


def posts(state: State, message_ids: Collection[str]) -> tuple[Post, ...]:
    """These posts, as far as they are ours, in the order of their ids."""
    found = _of(state, messages.c.post, message_ids)
    return tuple(msgspec.json.decode(post, type=learnt(Post)) for post in found)


def _of(state: State, column: sa.Column[bytes], message_ids: Collection[str]) -> tuple[bytes, ...]:
    found: list[bytes] = []
    with state.read() as connection:
        for some in batched_values(message_ids):
            query = (
                sa.select(column)
                .where(messages.c.message_id.in_(some), column.is_not(None), messages.c.ours)
                .order_by(messages.c.message_id)
            )
            found.extend(connection.scalars(query))
    return tuple(found)


def prune(state: State, before: datetime) -> int:
    """Drop texts that no review needs any more: of ended ones and of mail in none; how many."""
    ended = sa.select(reviews.c.id).where(reviews.c.ended < before)
    with state.write() as connection:
        done = connection.execute(
            messages.update()
            .where(messages.c.raw.is_not(None), messages.c.received < before)
            .where(sa.or_(messages.c.review.is_(None), messages.c.review.in_(ended)))
            .values(raw=None)
        )
        return int(done.rowcount)
