# SPDX-License-Identifier: GPL-2.0-or-later
"""What the state takes and gives: frozen records, one for each question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from reviewbot.locking.model import ChangeState, HazardKind, Verdict
from reviewbot.report.check import Check
from reviewbot.report.envelope import Dispatch
from reviewbot.service.model import (
    AddressState,
    CheckFate,
    Decision,
    FailureKind,
    Fate,
    OutboxState,
    Post,
    Reason,
    ReviewState,
    Step,
)
from reviewbot.service.talk.model import CommandRecord, Share


class Subject(StrEnum):
    """Whose state an event changed."""

    REVIEW = "review"
    SOURCE = "source"
    OUTBOX = "outbox"
    COMMAND = "command"
    LIST = "list"
    ADDRESS = "address"
    SWITCH = "switch"


class SourceState(StrEnum):
    """Whether the last poll of a source came through."""

    UNTRIED = "untried"
    GOOD = "good"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Received:
    """One message, read and decided about, on its way into the state."""

    message_id: str
    where: str
    decision: Decision
    post: Post | None = None
    """None if it could not be read."""
    raw: bytes | None = None
    """Its text, if it may be part of a review."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong: a kind for the figures, a sentence for people."""

    kind: FailureKind
    reason: str


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """How following one source goes."""

    name: str
    cursor: str | None = None
    last_good: datetime | None = None
    failure: FailureKind | None = None
    """None if the last poll was good."""
    reason: str = ""
    failed: datetime | None = None
    failures: int = 0
    """Bad polls since the last good one."""
    next_try: datetime | None = None
    """Not before; None for whenever the schedule says."""

    @property
    def state(self) -> SourceState:
        if self.failure is not None:
            return SourceState.FAILING
        return SourceState.GOOD if self.last_good is not None else SourceState.UNTRIED


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """One series version and how far its review is; without the result's text."""

    id: int
    key: str
    """Of its :class:`~reviewbot.service.model.Group`."""
    fingerprint: str | None
    """None as long as it may still grow."""
    list: str
    title: str
    author: str
    version: int
    expected: int
    head: str
    change_id: str
    parts: tuple[str, ...]
    """Message-ids of what is reviewed, patches borrowed from older versions included."""
    supersedes: tuple[str, ...]
    superseded_by: int | None
    state: ReviewState
    step: Step | None
    """The step it is at, or at which it ended."""
    verdict: Verdict | None
    reason: str
    """Why this state, or the verdict's own clause."""
    failure: FailureKind | None
    attempts: int
    """Tries of the present step that failed for a while."""
    round: int
    """How often it was queued: its workflows are numbered so."""
    machine: str | None
    arrived: datetime
    """When its last message came."""
    queued: datetime | None
    next_try: datetime | None
    started: datetime | None
    ended: datetime | None
    base: str
    """The commit it was applied to."""
    seconds: Mapping[str, float]
    """Wall time by step."""

    @property
    def workflow(self) -> str:
        """Name of the workflow that carries this round of it out."""
        return f"{self.fingerprint}.{self.round}"


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """One message and what was decided about it."""

    message_id: str
    source: str
    where: str
    list: str
    received: datetime
    subject: str
    author: str
    ours: bool
    reason: Reason
    detail: str
    removed: bool
    review: int | None


@dataclass(frozen=True, slots=True)
class HazardRecord:
    """A hazard that a review reported."""

    hazard: str
    """Its fingerprint, the same in every tree."""
    kind: HazardKind
    classes: tuple[str, ...]
    state: ChangeState
    patch: int | None
    letter: str = ""
    """Message-ID of the reply that tells of it; empty if each of the review's does."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A reply in the outbox."""

    id: int
    message_id: str
    review: int | None
    """None once its series was forgotten: that it went out is not."""
    list: str
    subject: str
    recipients: tuple[str, ...]
    state: OutboxState
    created: datetime
    reason: str = ""
    """Why this state."""
    changed: datetime | None = None
    attempts: int = 0
    """How often it was given to the transport."""
    next_try: datetime | None = None
    """Approved: not before.  In doubt: when the archive is asked next; None if a person is."""
    asked: int = 0
    """How often the archive was asked for it."""
    sender: str = ""
    """The process that sends it, or did last."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a letter on its way to one address."""

    address: str
    fate: Fate
    said: str
    """The server's words, or why it was not tried."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What a transport says of one recipient."""

    fate: Fate
    said: str


@dataclass(frozen=True, slots=True)
class AddressRecord:
    """An address that gets no mail."""

    address: str
    """In :func:`~reviewbot.series.addresses.canonical` form."""
    state: AddressState
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """A check that the caller, and nobody else, is to post now."""

    review: int
    check: Check
    attempts: int
    """This one counted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a finished review leaves."""

    verdict: Verdict
    reason: str
    replies: tuple[Reply, ...]
    """Empty where nobody is to be answered."""
    base: str = ""
    result: bytes = b""
    """``reviewbot.review/1`` in JSON."""
    page: bytes = b""
    """The review as HTML; empty without a check, or if that is too large to keep."""
    hazards: tuple[HazardRecord, ...] = ()
    checks: tuple[Check, ...] = ()
    """What a patchwork server is to show; empty where it is to show nothing."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A mail that answers a series, or one of its patches."""

    message_id: str
    subject: str
    recipients: tuple[str, ...]
    mail: bytes
    dispatch: Dispatch = Dispatch.APPROVE
    why: str = ""
    """Why this may become of it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One change of state."""

    at: datetime
    kind: Subject
    subject: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True)
class Story:
    """Everything known about one message and the series it is part of."""

    message: MessageRecord
    review: ReviewRecord | None
    messages: tuple[MessageRecord, ...] = ()
    """The series' other messages, too, in order of arrival."""
    hazards: tuple[HazardRecord, ...] = ()
    letters: tuple[Letter, ...] = ()
    events: tuple[Event, ...] = ()
    commands: tuple[CommandRecord, ...] = ()
    """What people asked for in their replies."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The service in figures."""

    reviews: Mapping[ReviewState, int] = field(default_factory=dict)
    verdicts: Mapping[Verdict, int] = field(default_factory=dict)
    failures: Mapping[FailureKind, int] = field(default_factory=dict)
    messages: Mapping[Reason, int] = field(default_factory=dict)
    outbox: Mapping[OutboxState, int] = field(default_factory=dict)
    oldest: datetime | None = None
    """Since when the oldest review that is queued or running waits."""
    seconds: Mapping[Step, float] = field(default_factory=dict)
    """Mean wall time by step of the reviews done lately."""
    sources: tuple[SourceRecord, ...] = ()
    machines: int = 0
    shares: tuple[Share, ...] = ()
    """False positives by list."""
    checks: Mapping[CheckFate, int] = field(default_factory=dict)
    check_trouble: str = ""
    """Why a check waits, if one could not be posted."""

    @property
    def depth(self) -> int:
        """Reviews queued or running."""
        return self.reviews.get(ReviewState.QUEUED, 0) + self.reviews.get(ReviewState.RUNNING, 0)


@dataclass(frozen=True, slots=True)
class Machine:
    """A process that carries out reviews, as it last showed itself."""

    id: str
    host: str
    """Boot and process-id namespace: processes with the same can see each other."""
    pid: int
    birth: str
    """When the process with this pid began, in the host's own count."""
    beat: int
    """Counts up while it lives; how fast is told by each watcher's own clock."""
    seen: datetime
