# SPDX-License-Identifier: GPL-2.0-or-later
"""What a transport is given, what it answers, and what it may not know.

::

    Parcel ─ Transport.send ─► an Answer for each recipient
                             │ Withheld: nothing went out
                             └ Lost: the text went out, and no answer came
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from reviewbot.errors import ServiceError
from reviewbot.service.model import Fate
from reviewbot.service.state.model import Answer

Answers = Mapping[str, Answer]
"""By recipient, as the parcel has it."""
Proceed = Callable[[Answers], str]
"""Asked right before the text goes out: why it must not, empty if it may.  Told of the recipients
that the text is not for, as whoever asks may not live to tell later."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A mail with its envelope (RFC 5321, 2.3.1)."""

    message_id: str
    sender: str
    """Where it comes back to; empty for the null sender (RFC 3834, 4)."""
    recipients: tuple[str, ...]
    mail: bytes
    """With LF line ends."""


class Withheld(ServiceError):
    """The text was not given away: somebody stopped it."""


class Lost(ServiceError):
    """The text went out and nobody said what became of it."""

    def __init__(self, message: str, answers: Answers) -> None:
        super().__init__(message)
        self.answers = answers
        """What was said of recipients before: of those whom the text was not for."""


class Transport(Protocol):
    """Takes mail on its way."""

    reaches_people: bool
    """Whether somebody may read what it is given."""

    def send(self, parcel: Parcel, proceed: Proceed) -> Answers:
        """Give a mail away once.  Raises :class:`Withheld` or :class:`Lost`."""

    def holds(self, message_id: str) -> bool | None:
        """Whether it has taken a mail on; None if it cannot tell."""


def all_of(recipients: tuple[str, ...], fate: Fate, said: str) -> dict[str, Answer]:
    """One answer for everybody."""
    return dict.fromkeys(recipients, Answer(fate, said))
