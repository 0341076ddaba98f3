# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands in the state: who asked for what, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
import sqlalchemy as sa

from reviewbot.service.model import ReviewState
from reviewbot.service.state import quiet, reviews
from reviewbot.service.state.model import ReviewRecord, Subject
from reviewbot.service.state.rows import hazard_record
from reviewbot.service.state.store import Connection, State, add, note
from reviewbot.service.state.tables import commands, hazards, messages, outbox
from reviewbot.service.state.tables import reviews as reviews_table
from reviewbot.service.state.transitions import fetch
from reviewbot.service.talk.commands import Command, Heard, Verb
from reviewbot.service.talk.model import CommandRecord, CommandState, Role

_DAY = timedelta(days=1)
_COLUMNS = [column for column in commands.c if column.name not in ("raw", "next_try", "digest")]
_RETESTABLE = frozenset({ReviewState.DONE, ReviewState.FAILED})


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be asked for, and how much may be wrong."""

    retests: int
    """Of one person in a day."""
    share: float
    """Of a list's posted hazards that may be false positives."""
    least: int
    """False positives before which the share does not count."""


def answered(state: State, references: Iterable[str]) -> tuple[ReviewRecord, str] | None:
    """The review that a mail with these references, the nearest first, speaks of.

    They may name our reply, which then comes with it, or the series itself.
    """
    with state.read() as connection:
        for message_id in references:
            ours = sa.select(outbox.c.review).where(outbox.c.message_id == message_id)
            theirs = sa.select(messages.c.review).where(messages.c.message_id == message_id)
            if (number := connection.scalar(ours)) is not None:
                return fetch(connection, number), message_id
            if (number := connection.scalar(theirs)) is not None:
                return fetch(connection, number), ""
    return None


def take_down(
    state: State,
    message_id: str,
    about: tuple[ReviewRecord, str],
    author: str,
    heard: Heard,
    raw: bytes,
) -> bool:
    """Keep a mail with commands until it is known whether it is genuine; False if it is known.

    It is ``about`` what :func:`answered` says.

    Another copy of one that was ignored is looked at anew: what a list had changed on its
    way, or somebody else had posted under that name, may come unchanged by another way.
    """
    first = CommandState.IGNORED if heard.objection else CommandState.HEARD
    now = state.clock.now()
    values = {
        "review": about[0].id,
        "letter": about[1],
        "author": author,
        "commands": msgspec.to_builtins(heard.commands),
        "state": first,
        "reason": heard.objection,
        "received": now,
        "decided": now if heard.objection else None,
        "raw": raw if not heard.objection else None,
        "digest": sha256(raw).hexdigest(),
    }
    with state.write() as connection:
        known = None
        if not add(connection, commands, message_id=message_id, **values):
            known = CommandState.IGNORED
            changed = connection.execute(
                commands.update()
                .where(commands.c.message_id == message_id, commands.c.state == known)
                .where(commands.c.digest != values["digest"])
                .values(**values)
            )
            if not changed.rowcount:
                return False
        note(state, connection, (Subject.COMMAND, message_id), known, first, heard.objection)
        return True


def pending(state: State) -> tuple[CommandRecord, ...]:
    """Mails with commands that are to be looked at now, oldest first."""
    now = state.clock.now()
    # What lies far ahead was set by a clock gone wrong.
    due = sa.or_(
        commands.c.next_try.is_(None), commands.c.next_try <= now, commands.c.next_try > now + _DAY
    )
    query = sa.select(*_COLUMNS).where(commands.c.state == CommandState.HEARD, due)
    with state.read() as connection:
        return tuple(map(_record, connection.execute(query.order_by(commands.c.received))))


def about(connection: Connection, review: int) -> tuple[CommandRecord, ...]:
    """The mails with commands about a review, oldest first."""
    query = sa.select(*_COLUMNS).where(commands.c.review == review)
    return tuple(map(_record, connection.execute(query.order_by(commands.c.received))))


def text(state: State, message_id: str) -> bytes:
    """A mail whose commands have not been decided about."""
    with state.read() as connection:
        query = sa.select(commands.c.raw).where(commands.c.message_id == message_id)
        return connection.scalar(query) or b""


def put_off(state: State, command: CommandRecord, next_try: datetime) -> None:
    """Whether it is genuine cannot be told now."""
    with state.write() as connection:
        connection.execute(
            commands.update()
            .where(commands.c.message_id == command.message_id)
            .values(next_try=next_try, attempts=commands.c.attempts + 1)
        )


def ignore(state: State, command: CommandRecord, reason: str) -> bool:
    """A mail whose commands have no effect; False if it was decided about before."""
    with state.write() as connection:
        return _decide(state, connection, command, CommandState.IGNORED, reason)


def obey(state: State, command: CommandRecord, role: Role, limits: Limits) -> str:
    """Do what a genuine mail asks for, all of it once; what was done, empty if it was before."""
    with state.write() as connection:
        if not _decide(state, connection, command, CommandState.OBEYED, ""):
            return ""
        record = fetch(connection, command.review)
        done = "; ".join(
            f"{one.verb}: {_do(state, connection, command, record, one, role, limits)}"
            for one in command.commands
        )
        connection.execute(
            commands.update()
            .where(commands.c.message_id == command.message_id)
            .values(reason=f"{done} ({role.value})")
        )
        return done


def _decide(
    state: State, connection: Connection, command: CommandRecord, to: CommandState, reason: str
) -> bool:
    done = connection.execute(
        commands.update()
        .where(commands.c.message_id == command.message_id)
        .where(commands.c.state == CommandState.HEARD)
        .values(state=to, reason=reason, decided=state.clock.now(), raw=None, next_try=None)
    )
    if done.rowcount:
        subject = (Subject.COMMAND, command.message_id)
        note(state, connection, subject, CommandState.HEARD, to, reason)
    return bool(done.rowcount)


def _do(
    state: State,
    connection: Connection,
    command: CommandRecord,
    record: ReviewRecord,
    one: Command,
    role: Role,
    limits: Limits,
) -> str:
    """Carry one command out; what came of it."""
    by = quiet.By(command.author, role, command.message_id)
    if one.verb is Verb.STOP:
        return quiet.stop(state, connection, record, by)
    if one.verb is Verb.FALSE_POSITIVE:
        query = hazards.select().where(hazards.c.review == record.id).order_by(hazards.c.id)
        if command.letter:
            query = query.where(hazards.c.letter.in_(("", command.letter)))
        reported = tuple(map(hazard_record, connection.execute(query)))
        marked = quiet.mark(state, connection, record.list, reported, one.reason, by)
        muted = quiet.mute_if_due(state, connection, record.list, limits.share, limits.least)
        return f"{marked} of {len(reported)} hazards marked" + (f"; {muted}" if muted else "")
    return _retest(state, connection, command, record, limits)


def _retest(
    state: State,
    connection: Connection,
    command: CommandRecord,
    record: ReviewRecord,
    limits: Limits,
) -> str:
    if record.state not in _RETESTABLE:
        return f"nothing, it is {record.state}"
    if _retests(connection, command, state.clock.now() - _DAY) >= limits.retests:
        return f"nothing, {limits.retests} were asked for in a day"
    reviews.queue_again(state, connection, record, f"retest asked for in <{command.message_id}>")
    return "queued"


def _retests(connection: Connection, command: CommandRecord, since: datetime) -> int:
    """How many mails of a person have had a retest since then, this one not counted."""
    query = sa.select(commands.c.commands).where(
        commands.c.author == command.author,
        commands.c.state == CommandState.OBEYED,
        commands.c.decided > since,
        commands.c.message_id != command.message_id,
    )
    return sum(
        any(one["verb"] == Verb.RETEST.value for one in asked)
        for asked in connection.scalars(query)
    )


def _record(row: Any) -> CommandRecord:
    values = dict(row._mapping)
    asked = msgspec.convert(values.pop("commands"), tuple[Command, ...])
    return CommandRecord(commands=asked, **values)


def series_of(state: State, command: CommandRecord) -> ReviewRecord | None:
    """The review that a command is about; None if it was forgotten."""
    with state.read() as connection:
        query = sa.select(reviews_table.c.id).where(reviews_table.c.id == command.review)
        known = connection.scalar(query)
        return fetch(connection, command.review) if known is not None else None
