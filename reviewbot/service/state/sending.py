# SPDX-License-Identifier: GPL-2.0-or-later
"""Sending, as the state sees it: who may send a letter, to whom, and how it ended.

A letter becomes ``sending``, with all addresses it is for, before its first
byte goes out.  One row is locked for that: the stop switch's.  So of all
processes on all machines one at a time decides, nobody sends beside a stop, and
budgets hold.  What is left ``sending`` by a dead process is in doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from reviewbot.series.addresses import canonical, mailbox
from reviewbot.service.model import Fate, OutboxState
from reviewbot.service.state.model import Answer, Letter
from reviewbot.service.state.outbox import change, fates, fetch, is_stopped
from reviewbot.service.state.quiet import silence
from reviewbot.service.state.store import Connection, State, add
from reviewbot.service.state.tables import addresses, deliveries, outbox

FIRST_DELAY = 300.0
"""Seconds before a letter that was put off is tried again; each time twice as long."""
MAX_DELAY = 4 * 3600.0
HELD = 900.0
"""Seconds after which a letter that the configuration holds back is looked at again."""
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_DOUBLINGS = 10
_SETTLED = frozenset({Fate.TAKEN, Fate.REFUSED, Fate.BOUNCED})
_COUNTED = (Fate.TRYING, Fate.TAKEN, Fate.BOUNCED)
"""What counts against a person's budget: it went there, or may have."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How many letters may go out; over that they stay approved for a while."""

    list_hour: int
    list_day: int
    person_hour: int
    person_day: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What the configuration says about letters on their way out."""

    budget: Budget
    hold: Callable[[Letter], str]
    """Why a letter may not go out for now; empty if it may."""
    bar: Callable[[str], str]
    """Why an address gets no mail; empty if it may."""
    lists: frozenset[str] = frozenset()
    """Canonical addresses of lists, which have a budget of their own."""
    attempts: int = 30


@dataclass(frozen=True, slots=True)
class Claim:
    """A letter that the caller, and nobody else, is to send now."""

    letter: Letter
    recipients: tuple[str, ...]
    """As they are written in the letter."""
    mail: bytes


def due(state: State) -> tuple[int, ...]:
    """Approved letters whose time has come, those that wait longest first."""
    return _numbers(state, OutboxState.APPROVED, outbox.c.next_try.is_(None))


def doubtful(state: State) -> tuple[int, ...]:
    """Letters in doubt that the archive is to be asked about now."""
    return _numbers(state, OutboxState.IN_DOUBT, sa.false())


def _numbers(
    state: State, wanted: OutboxState, otherwise: sa.ColumnElement[bool]
) -> tuple[int, ...]:
    now = state.clock.now()
    # What lies far ahead was set by a clock gone wrong.
    there = sa.or_(otherwise, outbox.c.next_try <= now, outbox.c.next_try > now + _DAY)
    query = sa.select(outbox.c.id).where(outbox.c.state == wanted, there).order_by(outbox.c.id)
    with state.read() as connection:
        return tuple(connection.scalars(query))


def claim(state: State, number: int, terms: Terms, sender: str) -> Claim | str:
    """Take an approved letter on to send it now, or say why it does not go out now.

    ``sender`` names the process.  Raises
    :class:`~.outbox.NoSuchLetter`.
    """
    with state.write() as connection:
        if why := is_stopped(connection, lock=True):
            return why
        letter = fetch(connection, number)
        if letter.state is not OutboxState.APPROVED:
            return f"it is {letter.state}"
        if why := terms.hold(letter) or silence(connection, letter.list, letter.review):
            return _put_off(state, connection, letter, why, timedelta(seconds=HELD))
        wanted = _wanted(state, connection, letter, terms)
        if not wanted:
            return _conclude(state, connection, letter, "nobody is left to get it", terms.attempts)
        if over := _over_budget(state, connection, letter, wanted, terms):
            return _put_off(state, connection, letter, *over)
        now = state.clock.now()
        for address in wanted:
            _mark(connection, letter.id, address, Answer(Fate.TRYING, ""), now)
        change(
            state,
            connection,
            letter,
            OutboxState.SENDING,
            f"to {len(wanted)} of {len(letter.recipients)} recipients",
            attempts=letter.attempts + 1,
            next_try=None,
            asked=0,
            sender=sender,
            began=now,
        )
        query = sa.select(outbox.c.mail).where(outbox.c.id == number)
        return Claim(fetch(connection, number), wanted, connection.execute(query).scalar_one())


def may_go_on(state: State, claimed: Claim, told: Mapping[str, Answer]) -> str:
    """Why the text of a claimed letter may not be given away; empty if it may.

    ``told`` is what was said of recipients that the text is not for: should the
    sender die now, and the letter be found in the archive, they did not get it.
    """
    with state.write() as connection:
        if why := is_stopped(connection):
            return why
        letter = fetch(connection, claimed.letter.id)
        same = letter.attempts == claimed.letter.attempts
        if letter.state is not OutboxState.SENDING or not same:
            return f"it is {letter.state}"
        _mark_all(state, connection, letter, told)
        return ""


def settle(state: State, claimed: Claim, answers: Mapping[str, Answer], terms: Terms) -> str:
    """Write down what became of a claimed letter; the reason of its new state."""
    with state.write() as connection:
        letter = _still(connection, claimed)
        if letter is None:
            return "somebody else has decided about it"
        _mark_all(state, connection, letter, answers)
        return _conclude(state, connection, letter, _summary(answers.values()), terms.attempts)


def release(state: State, claimed: Claim, reason: str, delay: float = 0.0) -> None:
    """Give a claimed letter back, of which nothing went out; not for ``delay`` seconds."""
    untried = dict.fromkeys(claimed.recipients, Answer(Fate.DEFERRED, reason))
    after = state.clock.now() + timedelta(seconds=delay)
    with state.write() as connection:
        letter = _still(connection, claimed)
        if letter is not None:
            _mark_all(state, connection, letter, untried)
            change(state, connection, letter, OutboxState.APPROVED, reason, next_try=after)


def lose(
    state: State, claimed: Claim, answers: Mapping[str, Answer], reason: str, delay: float
) -> None:
    """A claimed letter may have gone out or not; the archive is asked after ``delay`` seconds."""
    with state.write() as connection:
        letter = _still(connection, claimed)
        if letter is not None:
            _mark_all(state, connection, letter, answers)
            _doubt(state, connection, letter, reason, delay)


def abandoned(state: State, is_gone: Callable[[Letter, datetime], bool], delay: float) -> int:
    """Put in doubt what dead processes left ``sending``; how many letters those were.

    ``is_gone`` is told the letter and when its sending began.
    """
    query = sa.select(outbox.c.id, outbox.c.began).where(outbox.c.state == OutboxState.SENDING)
    with state.write() as connection:
        left = [
            letter
            for number, began in connection.execute(query).all()
            if is_gone(letter := fetch(connection, number), began)
        ]
        for letter in left:
            reason = f"its sender {letter.sender.partition(' ')[0]} ended while it was on its way"
            _doubt(state, connection, letter, reason, delay)
        return len(left)


def found(state: State, number: int, where: str, terms: Terms) -> str:
    """A letter in doubt has arrived: to the rest of its recipients it may go now."""
    return _resolve(state, number, Answer(Fate.TAKEN, f"{where} has it"), terms)


def denied(state: State, number: int, where: str, terms: Terms) -> str:
    """A letter in doubt is certain not to have gone out: it is tried again."""
    return _resolve(state, number, Answer(Fate.DEFERRED, f"{where} does not have it"), terms)


def _resolve(state: State, number: int, answer: Answer, terms: Terms) -> str:
    with state.write() as connection:
        letter = fetch(connection, number)
        if letter.state is not OutboxState.IN_DOUBT:
            return f"it is {letter.state}"
        trying = [one.address for one in fates(connection, number) if one.fate is Fate.TRYING]
        _mark_all(state, connection, letter, dict.fromkeys(trying, answer))
        return _conclude(state, connection, letter, answer.said, terms.attempts)


def not_found(state: State, number: int, reason: str, delay: float | None) -> None:
    """The archive does not know a letter in doubt; without ``delay`` a person has to decide."""
    with state.write() as connection:
        letter = fetch(connection, number)
        if letter.state is OutboxState.IN_DOUBT:
            after = state.clock.now() + timedelta(seconds=delay) if delay is not None else None
            asked = letter.asked + 1
            change(state, connection, letter, letter.state, reason, next_try=after, asked=asked)


def fail(state: State, claimed: Claim, reason: str) -> None:
    """A claimed letter, of which nothing went out, never will: it is not fit to be sent."""
    refused = dict.fromkeys(claimed.recipients, Answer(Fate.LEFT_OUT, reason))
    with state.write() as connection:
        letter = _still(connection, claimed)
        if letter is not None:
            _mark_all(state, connection, letter, refused)
            change(state, connection, letter, OutboxState.FAILED, reason)


# ---- within a transaction ----


def _still(connection: Connection, claimed: Claim) -> Letter | None:
    """The letter, if no other attempt, and nobody else, has ended this one."""
    letter = fetch(connection, claimed.letter.id)
    ours = letter.attempts == claimed.letter.attempts
    return letter if ours and letter.state in (OutboxState.SENDING, OutboxState.IN_DOUBT) else None


def _doubt(state: State, connection: Connection, letter: Letter, reason: str, delay: float) -> None:
    after = state.clock.now() + timedelta(seconds=delay)
    change(state, connection, letter, OutboxState.IN_DOUBT, reason, next_try=after, asked=0)


def _put_off(
    state: State, connection: Connection, letter: Letter, reason: str, delay: timedelta
) -> str:
    after = state.clock.now() + delay
    change(state, connection, letter, letter.state, reason, next_try=after)
    return reason


def _wanted(state: State, connection: Connection, letter: Letter, terms: Terms) -> tuple[str, ...]:
    """To whom it is still to go; who is left out is written down."""
    settled = {one.address for one in fates(connection, letter.id) if one.fate in _SETTLED}
    wanted: dict[str, str] = {}
    for address in letter.recipients:
        key = canonical(address)
        if key in settled or key in wanted:
            continue
        if why := terms.bar(address) or _listed(connection, address):
            _mark(connection, letter.id, address, Answer(Fate.LEFT_OUT, why), state.clock.now())
        else:
            wanted[key] = address
    return tuple(wanted.values())


def _listed(connection: Connection, address: str) -> str:
    """Why the state says that an address gets no mail."""
    names = (canonical(address), mailbox(address))
    query = sa.select(addresses.c.state, addresses.c.reason).where(addresses.c.address.in_(names))
    row = connection.execute(query).first()
    return f"is {row.state.value}: {row.reason}" if row is not None else ""


def _over_budget(
    state: State, connection: Connection, letter: Letter, wanted: Iterable[str], terms: Terms
) -> tuple[str, timedelta] | None:
    """Which budget is used up, and for how long; None if there is room."""
    now, budget = state.clock.now(), terms.budget
    others = sa.and_(outbox.c.list == letter.list, outbox.c.id != letter.id)
    limits = (budget.list_hour, _HOUR), (budget.list_day, _DAY)
    if wait := _relief(connection, outbox.c.began, others, limits, now):
        return f"the budget of the list {letter.list} is used up", wait
    limits = (budget.person_hour, _HOUR), (budget.person_day, _DAY)
    for address in wanted:
        others = sa.and_(
            deliveries.c.address == canonical(address),
            deliveries.c.letter != letter.id,
            deliveries.c.fate.in_(_COUNTED),
        )
        is_list = canonical(address) in terms.lists
        if not is_list and (wait := _relief(connection, deliveries.c.at, others, limits, now)):
            return f"the budget of {address} is used up", wait
    return None


def _relief(
    connection: Connection,
    when: sa.Column[datetime],
    which: sa.ColumnElement[bool],
    limits: Iterable[tuple[int, timedelta]],
    now: datetime,
) -> timedelta | None:
    """How long to wait before one more is within all limits; None if it is now."""
    waits: list[timedelta] = []
    for limit, window in limits:
        query = sa.select(when).where(which, when > now - window).order_by(when.desc())
        oldest = connection.scalar(query.offset(limit - 1).limit(1))
        if oldest is not None:
            waits.append(min(oldest + window - now, _DAY))
    return max(waits, default=None)


def _conclude(
    state: State, connection: Connection, letter: Letter, reason: str, attempts: int
) -> str:
    """The state that follows from what became of each recipient."""
    seen = {one.fate for one in fates(connection, letter.id)}
    to = outcome(seen, letter.attempts < attempts)
    delay = min(MAX_DELAY, FIRST_DELAY * 2 ** min(max(letter.attempts - 1, 0), _DOUBLINGS))
    next_try = state.clock.now() + timedelta(seconds=delay)
    again = next_try if to is OutboxState.APPROVED else None
    change(state, connection, letter, to, reason, next_try=again)
    return reason


def outcome(seen: Collection[Fate], again: bool) -> OutboxState:
    """What a letter is whose recipients fared so; ``again``: it may be tried once more."""
    if Fate.DEFERRED in seen and again:
        return OutboxState.APPROVED
    if not {Fate.TAKEN, Fate.BOUNCED} & set(seen):
        return OutboxState.FAILED
    lost = {Fate.DEFERRED, Fate.REFUSED} & set(seen)
    return OutboxState.PARTLY_SENT if lost else OutboxState.SENT


def _summary(answers: Iterable[Answer]) -> str:
    """What a server said, each thing once, with how many it said it of."""
    counts: dict[tuple[Fate, str], int] = {}
    for answer in answers:
        counts[answer.fate, answer.said] = counts.get((answer.fate, answer.said), 0) + 1
    return "; ".join(f"{count} {fate.value}: {said}" for (fate, said), count in counts.items())


def _mark_all(
    state: State, connection: Connection, letter: Letter, answers: Mapping[str, Answer]
) -> None:
    for address, answer in answers.items():
        _mark(connection, letter.id, address, answer, state.clock.now())


def _mark(connection: Connection, letter: int, address: str, answer: Answer, now: datetime) -> None:
    key = canonical(address)
    values = {"fate": answer.fate, "said": answer.said, "at": now}
    if not add(connection, deliveries, letter=letter, address=key, **values):
        connection.execute(
            deliveries.update()
            .where(deliveries.c.letter == letter, deliveries.c.address == key)
            .values(**values)
        )
