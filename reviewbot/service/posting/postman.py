# SPDX-License-Identifier: GPL-2.0-or-later
"""Sends what may be sent, once.

::

    approved ─ claim ─► sending ─ lint, sign, transport ─► sent, partly sent, failed
       ▲                   │ no answer, or its process died       │ put off
       ├─ a person ─── in doubt ─ the archive has it ─► sent      │
       └──────────────────────────────────────────────────────────┘

The state says ``sending`` before the first byte goes out.  Whatever happens
after that, a letter goes out again only if the server said that it did not take
it, or a person who has looked says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from reviewbot.errors import ConfigError
from reviewbot.report import etiquette
from reviewbot.report.letter import Situation
from reviewbot.service import watch
from reviewbot.service.archive import Archive
from reviewbot.service.log import Event, Observer
from reviewbot.service.model import Fate
from reviewbot.service.posting.archive import FIRST_DELAY, ArchiveError, has, next_delay
from reviewbot.service.posting.parcel import Lost, Parcel, Transport, Withheld
from reviewbot.service.posting.signing import Signer
from reviewbot.service.state import outbox, sending
from reviewbot.service.state.model import Letter
from reviewbot.service.state.sending import Claim, Terms
from reviewbot.service.state.store import State

PATIENCE = 3600.0
"""Seconds after which a letter that is still ``sending`` is in doubt, whoever sends it."""


@dataclass(frozen=True, slots=True)
class Office:
    """How letters are sent, from the configuration."""

    transport: Transport
    terms: Terms
    envelope: str = ""
    """Envelope sender; empty for the null sender."""
    domain: str = ""
    """Domain that the Message-IDs must have."""
    archive: Archive | None = None
    doubt: float = 86_400.0
    """Seconds that the archive is asked about a letter."""
    signer: Signer | None = None


class Postman:
    """Sends letters, one after the other."""

    def __init__(self, state: State, office: Office, observer: Observer) -> None:
        self._state = state
        self._office = office
        self._observer = observer
        self._mark = watch.identify().mark

    def round(self, go_on: Callable[[], bool] = lambda: True) -> int:
        """See to letters in doubt, then send what is due; how many were sent or tried."""
        self.look_after()
        tried = 0
        for number in sending.due(self._state):
            if not go_on():
                break
            tried += self._is_tried(number)
        return tried

    def look_after(self) -> None:
        """Put in doubt what was left half-way, and ask about what is in doubt."""
        left = sending.abandoned(self._state, self._is_gone, FIRST_DELAY)
        if left:
            self._observer.event(Event.MAIL_DOUBT, letters=left, reason="left while sending")
        for number in sending.doubtful(self._state):
            self._ask(outbox.get(self._state, number))

    def post(self, number: int) -> Letter:
        """Send one approved letter, if it may go out; how it is then."""
        claimed = sending.claim(self._state, number, self._office.terms, self._mark)
        if isinstance(claimed, Claim):
            self._send(claimed)
        return outbox.get(self._state, number)

    def _is_tried(self, number: int) -> bool:
        try:
            before = outbox.get(self._state, number).attempts
            return self.post(number).attempts > before
        except outbox.NoSuchLetter:
            return False  # its series was forgotten meanwhile

    def _send(self, claimed: Claim) -> None:
        letter, terms = claimed.letter, self._office.terms
        mail = self._ready(claimed)
        if mail is None:
            return
        parcel = Parcel(letter.message_id, self._office.envelope, claimed.recipients, mail)
        try:
            answers = self._office.transport.send(
                parcel, lambda told: sending.may_go_on(self._state, claimed, told)
            )
        except Withheld as error:
            sending.release(self._state, claimed, str(error))
        except Lost as error:
            sending.lose(self._state, claimed, error.answers, str(error), FIRST_DELAY)
        else:
            sending.settle(self._state, claimed, answers, terms)
        self._tell(letter.id)

    def _ready(self, claimed: Claim) -> bytes | None:
        """The mail, signed; None for one that breaks a rule, which is the operator's to see."""
        situation = Situation(domain=self._office.domain, now=self._state.clock.now())
        broken = etiquette.check(claimed.mail, situation)
        if broken:
            rules = ", ".join(dict.fromkeys(one.rule for one in broken))
            why = f"breaks the etiquette of the lists ({rules}: {broken[0].what})"
            sending.fail(self._state, claimed, why)
            self._tell(claimed.letter.id)
            return None
        if self._office.signer is None:
            return claimed.mail
        try:
            return self._office.signer.sign(claimed.mail)
        except ConfigError as error:
            sending.release(self._state, claimed, str(error), sending.HELD)
            raise

    def _ask(self, letter: Letter) -> None:
        """Find out about a letter in doubt: from the transport if it knows, else the archive."""
        office, state = self._office, self._state
        known, reason = office.transport.holds(letter.message_id), ""
        where = "the transport" if known is not None else "the archive"
        if known is None:
            known, reason = self._look(letter)
        if known:
            sending.found(state, letter.id, where, office.terms)
        elif not reason:
            sending.denied(state, letter.id, where, office.terms)
        else:
            delay = next_delay(letter.asked, office.doubt) if known is False else None
            if delay is None:
                reason = f"{reason}: outbox approve {letter.id} sends it again, reject does not"
            sending.not_found(state, letter.id, reason, delay)
        self._tell(letter.id)

    def _look(self, letter: Letter) -> tuple[bool | None, str]:
        """Whether the archive has a letter, and what to say if not; None if it cannot tell."""
        fates = {one.fate for one in outbox.deliveries_of(self._state, letter.id)}
        if Fate.TAKEN in fates:
            # The archive may have it from an earlier attempt, for others.
            return None, "some have it, and nobody can tell who of the rest has"
        if self._office.archive is None:
            return None, "there is no archive to ask"
        try:
            there = has(self._office.archive, letter.message_id)
        except ArchiveError as error:
            return False, str(error)
        return there, "" if there else "the archive does not have it (yet)"

    def _is_gone(self, letter: Letter, began: datetime) -> bool:
        if letter.sender == self._mark:
            return True  # this postman has one letter at a time, and none now
        late = self._state.clock.now() - began > timedelta(seconds=PATIENCE)
        return late or watch.is_gone(letter.sender)

    def _tell(self, number: int) -> None:
        letter = outbox.get(self._state, number)
        told = {"letter": letter.id, "message_id": letter.message_id, "list": letter.list}
        self._observer.event(Event.MAIL, state=letter.state, reason=letter.reason, **told)
