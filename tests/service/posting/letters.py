# SPDX-License-Identifier: GPL-2.0-or-later
"""Letters to send, and rules to send them by."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reviewbot.service.log import Observer, silent
from reviewbot.service.model import OutboxState
from reviewbot.service.posting.parcel import Answers, Parcel, Proceed, Transport
from reviewbot.service.posting.postman import Office, Postman
from reviewbot.service.state.model import Letter
from reviewbot.service.state.outbox import get
from reviewbot.service.state.sending import Budget, Terms
from reviewbot.service.state.store import State
from reviewbot.service.state.tables import outbox

DOMAIN = "bot.example.org"
KIM, LEE, LIST = "kim@example.org", "Lee@Example.org", "kvm@lists.example.org"
PLENTY = Budget(10**6, 10**6, 10**6, 10**6)
_GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "unicode-names.eml"


def name(number: int) -> str:
    """The Message-ID of a letter, without angle brackets."""
    return f"reviewbot-removed-v1-{number:024x}@{DOMAIN}"


def mail(number: int, recipients: tuple[str, ...] = (KIM, LEE)) -> bytes:
    """A reply that keeps every rule, in 8bit."""
    text = _GOLDEN.read_text().replace("\n-- \n", "\n“Zoë” is a name.\n\n-- \n")
    text = re.sub(r"(?ms)^To: .*?(?=\nSubject: )", f"To: {', '.join(recipients)}", text)
    return re.sub(r"(?m)^Message-ID: .*$", f"Message-ID: <{name(number)}>", text).encode()


def put(
    state: State,
    number: int = 1,
    recipients: tuple[str, ...] = (KIM, LEE),
    to: OutboxState = OutboxState.APPROVED,
    **values: Any,
) -> Letter:
    """A letter in the outbox."""
    row: dict[str, Any] = {
        "message_id": name(number),
        "list": "kvm",
        "subject": "Re: [PATCH] frob: do not wait",
        "recipients": list(recipients),
        "mail": mail(number, recipients),
        "state": to,
        "created": state.clock.now(),
    }
    with state.write() as connection:
        made = connection.execute(outbox.insert().values(**{**row, **values}))
        key = made.inserted_primary_key
    assert key is not None
    return get(state, key[0])


def terms(
    budget: Budget = PLENTY,
    hold: Callable[[Letter], str] = lambda letter: "",
    bar: Callable[[str], str] = lambda address: "",
    **given: Any,
) -> Terms:
    """Rules that let everything through, unless told otherwise."""
    return Terms(budget, hold, bar, **given)


class Hand:
    """A transport that does what a test says, and knows what it was given."""

    reaches_people = True

    def __init__(self, act: Callable[[Parcel, Proceed], Answers]) -> None:
        self._act = act
        self.given: list[Parcel] = []
        self.known: bool | None = None

    def send(self, parcel: Parcel, proceed: Proceed) -> Answers:
        self.given.append(parcel)
        return self._act(parcel, proceed)

    def holds(self, message_id: str) -> bool | None:
        return self.known


def postman(state: State, transport: Transport, **given: Any) -> Postman:
    """Somebody who sends by these rules."""
    observer: Observer = given.pop("observer", silent())
    return Postman(state, Office(transport, **{"terms": terms(), **given}), observer)
