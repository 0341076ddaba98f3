# SPDX-License-Identifier: GPL-2.0-or-later
"""Many letters, a server that fails at random, and senders that die at random.

What must hold in the end: no recipient got a letter twice, and every letter is
sent, failed with its reason, or left in doubt for a person.
"""

from __future__ import annotations

import gzip
import multiprocessing
import multiprocessing.process
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from reviewbot.series.fetch import FetchLimits
from reviewbot.service.archive import Archive
from reviewbot.service.log import silent
from reviewbot.service.model import Fate, OutboxState
from reviewbot.service.posting.postman import Office, Postman
from reviewbot.service.posting.smtp import Server, Smtp
from reviewbot.service.sources.account import Account
from reviewbot.service.state import outbox, sending
from reviewbot.service.state.store import State
from tests.service.posting.letters import put, terms
from tests.support.faults import Handler, serving
from tests.support.sink import DROP, TAKE_AND_DROP, Sink

PEOPLE = tuple(f"person{number}@example.org" for number in range(40))
_SPEED = 600
"""Seconds that pass for the senders in each second: they are to be put off, not the test."""
_SENDERS = 3
_DOUBT = 1800.0
_ENDED = (OutboxState.SENT, OutboxState.PARTLY_SENT, OutboxState.FAILED)
_CALLS: tuple[tuple[Any, str], ...] = (
    (sending, "claim"),
    (Smtp, "send"),
    (sending, "may_go_on"),
    (sending, "settle"),
    (sending, "lose"),
    (sending, "found"),
    (sending, "not_found"),
)
_FAULTS: dict[str, tuple[tuple[float, str], ...]] = {
    "MAIL": ((0.02, "451 later"), (0.01, DROP)),
    "RCPT": ((0.02, "550 no such user"), (0.03, "450 greylisted"), (0.01, DROP)),
    "DATA": ((0.02, "451 disk full"), (0.01, "554 spam"), (0.03, DROP), (0.03, TAKE_AND_DROP)),
}


class _Fast:
    """A clock that all senders share, and that runs fast."""

    def __init__(self, start: float) -> None:
        self._start = start

    def now(self) -> datetime:
        passed = (time.time() - self._start) * _SPEED
        return datetime.fromtimestamp(self._start, UTC) + timedelta(seconds=passed)

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(frozen=True)
class Figures:
    """How it went."""

    states: dict[str, int]
    faults: int
    deaths: int
    delivered: int
    twice: int
    wrong: tuple[str, ...]
    """Letters whose state does not say what the server has."""


def run(database: str, count: int, seed: int, deaths: float = 0.01) -> Figures:
    """Send ``count`` letters; ``deaths`` is how likely a sender dies at each of its steps."""
    dice = random.Random(seed)  # noqa: S311
    start = time.time()
    faults = 0

    def fault(command: str, argument: str) -> str:
        nonlocal faults
        roll = dice.random()
        for likely, answer in _FAULTS[command]:
            if roll < likely:
                faults += 1
                return answer
            roll -= likely
        return ""

    with State.open(database, _Fast(start)) as state:
        letters = [put(state, n, tuple(dice.sample(PEOPLE, 2))) for n in range(count)]
        with Sink(fault) as sink, _archive(sink) as url:
            died = _send_all(state, database, start, sink.port, url, deaths)
            wrong = tuple(_wrong(state, [letter.id for letter in letters], sink.delivered))
            twice = sum(number > 1 for number in Counter(sink.delivered).values())
        states = Counter(outbox.get(state, letter.id).state.value for letter in letters)
        return Figures(dict(states), faults, died, len(sink.delivered), twice, wrong)


def _send_all(state: State, database: str, start: float, port: int, url: str, deaths: float) -> int:
    """Have senders at work, new ones for those that die, until nothing is left to do."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    died = 0
    senders: list[multiprocessing.process.BaseProcess] = []
    try:
        while _is_work_left(state):
            dead = [sender for sender in senders if not sender.is_alive()]
            died += sum(sender.exitcode == -signal.SIGKILL for sender in dead)
            senders = [sender for sender in senders if sender not in dead]
            while len(senders) < _SENDERS:
                args = (database, start, port, url, deaths)
                senders.append(context.Process(target=_sender, args=args, daemon=True))
                senders[-1].start()
            time.sleep(0.1)
    finally:
        for sender in senders:
            sender.kill()
            sender.join()
    return died


def _is_work_left(state: State) -> bool:
    waiting = outbox.in_state(
        state, OutboxState.APPROVED, OutboxState.SENDING, OutboxState.IN_DOUBT
    )
    return any(
        letter.state is not OutboxState.IN_DOUBT or letter.next_try is not None
        for letter in waiting
    )


def _sender(database: str, start: float, port: int, url: str, deaths: float) -> None:
    """Send until killed; most likely by oneself."""
    random.seed()  # or all die where the first one did
    for owner, name in _CALLS:
        setattr(owner, name, _deadly(getattr(owner, name), deaths))
    account = Account("127.0.0.1", port, "")
    office = Office(
        Smtp(Server(account, "bot.example.org", 20.0)),
        terms(attempts=12),
        domain="bot.example.org",
        archive=Archive(url, FetchLimits(deadline=10.0)),
        doubt=_DOUBT,
    )
    with State.open(database, _Fast(start)) as state:
        postman = Postman(state, office, silent())
        while True:
            postman.round()
            time.sleep(0.05)


def _deadly(real: Callable[..., Any], deaths: float) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        roll = random.random()  # noqa: S311
        if roll < deaths / 2:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if roll > 1 - deaths / 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return call


@contextmanager
def _archive(sink: Sink) -> Iterator[str]:
    """What the server has taken, as public-inbox would show it."""

    def answer(handler: Handler) -> None:
        found = re.fullmatch(r"/list/([^/]+)/t\.mbox\.gz", handler.path)
        text = sink.texts.get(unquote(found[1]) if found else "")
        if text is None:
            handler.reply(404, b"")
        else:
            handler.reply(200, gzip.compress(b"From x@y Thu Jan 1 00:00:00 1970\n" + text))

    with serving(answer) as server:
        yield server.url


def _wrong(state: State, numbers: list[int], delivered: list[tuple[str, str]]) -> Iterator[str]:
    there = set(delivered)
    for number in numbers:
        letter = outbox.get(state, number)
        got = {one for one in letter.recipients if (letter.message_id, one) in there}
        said = {
            one.address for one in outbox.deliveries_of(state, number) if one.fate is Fate.TAKEN
        }
        complete = letter.state is not OutboxState.SENT or got == set(letter.recipients)
        if letter.state in _ENDED and (got != said or not complete):
            yield f"letter {number} is {letter.state}, had by {sorted(got)}, not {sorted(said)}"
        if letter.state not in (*_ENDED, OutboxState.IN_DOUBT):
            yield f"letter {number} is still {letter.state}"
