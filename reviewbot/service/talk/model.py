# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of a command: who gave it, in which thread, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reviewbot.locking.model import HazardKind
from reviewbot.service.talk.commands import Command


class Role(StrEnum):
    """Why somebody may give commands."""

    PERSON = "named in the configuration"
    AUTHOR = "author of the series"
    MAINTAINER = "maintainer of a touched file"


class CommandState(StrEnum):
    """What became of a mail with commands."""

    HEARD = "heard"
    """It is not known yet whether it is genuine."""
    OBEYED = "obeyed"
    IGNORED = "ignored"


class ListState(StrEnum):
    """Whether replies to a list's series may be mailed."""

    OPEN = "open"
    MUTED = "muted"


class StopKind(StrEnum):
    """What is not to be answered any more."""

    SERIES = "series"
    """A key of its versions' groups, or their change-id."""
    THREAD = "thread"
    """The Message-ID that it begins with."""


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """One mail with commands."""

    message_id: str
    review: int
    """The one that it is about."""
    letter: str
    """Message-ID of our reply that it answers; empty if it answers the series."""
    author: str
    """The address in its From, canonical; not known to be true before it is obeyed."""
    commands: tuple[Command, ...]
    state: CommandState
    reason: str
    """What was done, or why nothing."""
    received: datetime
    decided: datetime | None
    attempts: int


@dataclass(frozen=True, slots=True)
class FalsePositive:
    """A hazard that people say is none; not reported on that list again."""

    list: str
    hazard: str
    kind: HazardKind
    classes: tuple[str, ...]
    reason: str
    person: str
    role: str
    message_id: str
    """The mail that says so; empty if it was read from a file."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the hazards posted to a list were false positives."""

    list: str
    posted: int
    false_positives: int
    muted: str = ""
    """Why the list is muted; empty if it is not."""

    @property
    def rate(self) -> float:
        """From 0 to 1."""
        return self.false_positives / max(self.posted, self.false_positives, 1)
