# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands that were heard: who gave them is found out, then they are obeyed or ignored.

In this order, so that a stranger's mail costs nothing: may the person in From do that,
does a signature say that it is that person, does the archive have the same mail.  Who
asked is never told anything but by what happens.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta

from reviewbot.errors import ConfigError, ServiceError, TreeError
from reviewbot.series.addresses import canonical
from reviewbot.series.errors import NotFound, TooBig
from reviewbot.service.log import Event, Observer
from reviewbot.service.state import talk
from reviewbot.service.state.model import ReviewRecord
from reviewbot.service.state.store import State, StateError
from reviewbot.service.talk.copy import Thread, differs
from reviewbot.service.talk.model import CommandRecord, Role
from reviewbot.service.talk.signature import Resolve, objection

FIRST_DELAY = 60.0
"""Seconds before a mail that cannot be checked now is looked at again; then twice as long."""
MAX_DELAY = 4 * 3600.0
_DOUBLINGS = 10


@dataclass(frozen=True, slots=True)
class Desk:
    """What is asked about a command."""

    people: Collection[str]
    """Addresses that the configuration names, canonical."""
    maintainers: Callable[[ReviewRecord], Collection[str]]
    """Canonical addresses of who maintains what a series touches; raises ReviewbotError."""
    resolve: Resolve
    thread: Thread | None
    """None without an archive: then nothing can be obeyed."""
    limits: talk.Limits
    patience: timedelta
    """How long a mail waits for name service and archive."""


def answer_all(state: State, desk: Desk, observer: Observer) -> int:
    """Obey or ignore all that was heard and can be checked now; how many mails changed something.

    Raises :class:`StateError`.
    """
    return sum(_answer(state, command, desk, observer) for command in talk.pending(state))


def _answer(state: State, command: CommandRecord, desk: Desk, observer: Observer) -> bool:
    told = {"message": command.message_id, "person": command.author}
    try:
        verdict = _judge(state, command, desk)
    except StateError:
        raise
    except (NotFound, ServiceError, TreeError) as error:
        if _put_off(state, command, desk):
            return False
        verdict = f"it could not be checked in time: {error}"
    if isinstance(verdict, Role):
        done = talk.obey(state, command, verdict, desk.limits)
        observer.event(Event.OBEYED, **told, reason=done)
        return bool(done)
    if talk.ignore(state, command, verdict):
        observer.event(Event.IGNORED, **told, reason=verdict)
    return False


def _judge(state: State, command: CommandRecord, desk: Desk) -> Role | str:
    """In what role the author may give commands, or why the mail has no effect."""
    record = talk.series_of(state, command)
    raw = talk.text(state, command.message_id)
    if record is None:
        return "its series was forgotten"
    role = _role(command, record, desk)
    if role is None:
        return "its author may not give commands here"
    if desk.thread is None:
        return "no archive is configured to ask for its copy (service.archive)"
    if why := objection(raw, desk.resolve):
        return why
    try:
        return differs(raw, command.message_id, desk.thread) or role
    except TooBig as error:
        return str(error)


def _role(command: CommandRecord, record: ReviewRecord, desk: Desk) -> Role | None:
    if not command.author:
        return None
    if command.author == canonical(record.author):
        return Role.AUTHOR
    if command.author in desk.people:
        return Role.PERSON
    try:
        return Role.MAINTAINER if command.author in desk.maintainers(record) else None
    except ConfigError:
        return None  # the list is no longer in the configuration


def _put_off(state: State, command: CommandRecord, desk: Desk) -> bool:
    """Look at a mail again later; False if it has waited long enough."""
    now = state.clock.now()
    if now - command.received >= desk.patience:
        return False
    delay = min(MAX_DELAY, FIRST_DELAY * 2 ** min(command.attempts, _DOUBLINGS))
    talk.put_off(state, command, now + timedelta(seconds=delay))
    return True
