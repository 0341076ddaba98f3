# SPDX-License-Identifier: GPL-2.0-or-later
"""The values that go between the parts of the service.

::

    Source ─ Arrival ─► Post ─ decide ─► Decision ─ threads ─► Group
                                                               │ whole, or its time is up
                            Outbox ◄─ workflow, step by step ◄─ review

A message is read once: its :class:`Post` says all that the service asks of it
later; its text is kept only while it may be part of a review.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from reviewbot.series.model import Identity


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as a source gave it."""

    raw: bytes
    """RFC 5322 with LF line ends, without an mbox separator."""
    where: str
    """What the source calls it, for the log: a commit, a UID, a file name."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a source has had since a cursor, oldest first."""

    arrivals: tuple[Arrival, ...]
    cursor: str
    """Where to go on once this batch is stored; only its source reads it."""
    more: bool = False
    """Whether asking again at once would give more."""
    removed: tuple[str, ...] = ()
    """Message-ids that the archive has taken back."""
    skipped: tuple[str, ...] = ()
    """Where the messages are that were left out because they are too big."""
    notices: tuple[str, ...] = ()
    """Sentences for the log: a history rewritten, a mailbox made anew, and the like."""


class Source(Protocol):
    """New mail since a cursor; nothing is marked, moved or deleted there.

    A source may give the same message again (history rewritten, a folder made
    anew): whoever asks knows messages by their ids.  Raises
    :class:`~reviewbot.service.sources.errors.SourceError` with its kind if the
    place is down, slow, throttling or lying; the cursor is then as before.
    """

    name: str

    def fetch(self, cursor: str | None, limit: int) -> Batch:
        """At most ``limit`` messages after ``cursor``; None for the very first time."""

    def wait(self, seconds: float) -> bool:
        """Block until there is news, at most ``seconds``.

        False if none has come, or, at once, if this source cannot tell.
        """

    def close(self) -> None:
        """End connections and children."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a subject's brackets say: ``[PATCH net-next v3 2/7]``."""

    version: int
    counter: int
    """0 for a cover letter; 1 for a lone patch."""
    total: int
    numbered: bool
    """Whether ``n/m`` stood there."""
    words: tuple[str, ...]
    """The other words in lower case, such as ``patch``, ``rfc``, ``resend``, ``net-next``."""
    title: str
    """The subject without its brackets, one line."""
    reply: bool
    """Whether it begins with ``Re:`` or its like."""

    @property
    def resent(self) -> bool:
        """Whether it says ``RESEND``: posted again, unchanged (submitting-patches.rst)."""
        return any(word.startswith(("resend", "resent", "repost")) for word in self.words)


@dataclass(frozen=True, slots=True)
class Post:
    """One message, as far as the service needs to know it."""

    message_id: str
    """Without angle brackets."""
    subject: str
    label: Label | None
    """None where the subject has no brackets as patches have them."""
    author: Identity
    """Who wrote it: behind a relay (``devnull+…``) the person it relays."""
    date: int
    """Seconds since 1970 as ``Date:`` says; 0 if it says nothing readable.  Never to sort by."""
    in_reply_to: str
    references: tuple[str, ...]
    """Oldest first, without its own id."""
    lists: tuple[str, ...]
    """List-Ids and addresses of To and Cc, in lower case."""
    diff: bool
    """Whether the body holds a diff outside quotes."""
    paths: tuple[str, ...]
    """What its diff touches, names before a renaming included."""
    created: tuple[str, ...]
    """Those of them that were not there before."""
    patch_id: str
    """``git patch-id --stable`` of its diff, empty without one."""
    change_id: str
    base_commit: str
    prerequisites: tuple[str, ...]
    """Patch-ids and message-ids it builds on, as its trailers name them."""
    marks: tuple[str, ...]
    """What its headers or body say to programs such as this one, as ``name: value`` in lower
    case; :mod:`reviewbot.service.decide` knows what they mean."""


class Reason(StrEnum):
    """Why a message is a part of a series to review, or is not."""

    OURS = "ours"
    COVER = "cover letter"
    NOT_A_PATCH = "no patch"
    REPLY = "a reply with a diff"
    PULL_REQUEST = "a pull request"
    STABLE = "a stable review or backport"
    OTHER_PROJECT = "a patch for another project"
    BOT = "written by a program"
    OWN = "our own mail"
    HINT = "X-Patchwork-Hint: ignore"
    RFC = "an RFC, which this list's configuration leaves out"
    RESEND = "posted again, unchanged"
    NO_SOURCE = "no C source or header touched"
    PATHS = "outside the configured paths"
    NOT_IN_TREE = "its files are not in the tree"
    NO_LIST = "of no configured list"
    REMOVED = "taken back from the archive"
    UNREADABLE = "unreadable"
    NO_PATCHES = "its patches never came"
    NO_LOCKS = "touches no function that holds or waits"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a message, or a series, may be reviewed, and why."""

    ours: bool
    reason: Reason
    detail: str = ""
    """One clause more, such as the header's name."""
    list: str = ""
    """Name of the ``[list]`` in the configuration whose tree and rules count; empty if none."""


@dataclass(frozen=True, slots=True)
class Group:
    """The messages of one series version that have come so far."""

    key: str
    """The same for every list and order of arrival: from who wrote which version of what."""
    head: str
    """Message-id of the cover letter, else of the lowest patch."""
    title: str
    version: int
    expected: int
    messages: tuple[str, ...]
    """Message-ids: cover letter first, then patches by number."""
    missing: tuple[int, ...]
    change_id: str = ""
    supersedes: tuple[str, ...] = ()
    """Keys of groups that are older versions of this series: not to be reviewed any more,
    once it is decided that this one is."""
    borrowed: tuple[str, ...] = ()
    """Message-ids of another version that have to be read with it: of the older one where
    only some patches were posted again, of the series that a ``[PATCH 4/3]`` adds to."""

    @property
    def whole(self) -> bool:
        """Whether every patch, and the cover letter that the numbers promise, is there."""
        return not self.missing


class ReviewState(StrEnum):
    """How far the review of one series version is."""

    COLLECTING = "collecting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    SUPERSEDED = "superseded"


ENDED = frozenset(
    {ReviewState.DONE, ReviewState.FAILED, ReviewState.SKIPPED, ReviewState.SUPERSEDED}
)


class Step(StrEnum):
    """The steps of a review, in this order."""

    FETCH = "fetch"
    BASE = "base"
    APPLY = "apply"
    CHECK = "check"
    RENDER = "render"
    OUTBOX = "outbox"


class FailureKind(StrEnum):
    """What became of a review or a poll that failed."""

    UNREACHABLE = "unreachable"
    THROTTLED = "throttled"
    GARBAGE = "garbage"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out of memory"
    DISK_FULL = "disk full"
    TREE = "tree"
    UNREADABLE = "unreadable"
    INTERNAL = "internal"


PASSING = frozenset(
    {
        FailureKind.UNREACHABLE,
        FailureKind.THROTTLED,
        FailureKind.DISK_FULL,
        FailureKind.TREE,
    }
)
"""Failures that may mend themselves: the step is tried again later."""


class OutboxState(StrEnum):
    """Where a reply is on its way out."""

    KEPT = "kept"
    """The list's configuration lets it go to nobody."""
    WAITING = "waiting"
    """Nobody has decided about it yet."""
    APPROVED = "approved"
    """It goes out when its time has come."""
    REJECTED = "rejected"
    SENDING = "sending"
    """It may be on the wire; found so after a crash, it is in doubt."""
    SENT = "sent"
    PARTLY_SENT = "partly sent"
    """Some recipients were refused for good."""
    IN_DOUBT = "in doubt"
    """Nobody knows whether the server took it; it is not sent again unless a person says so."""
    FAILED = "failed"


class Fate(StrEnum):
    """What became of a reply on its way to one address."""

    TRYING = "trying"
    TAKEN = "taken"
    """The server has taken it on."""
    DEFERRED = "deferred"
    """Not now: it is tried again."""
    REFUSED = "refused"
    LEFT_OUT = "left out"
    """Not even tried."""
    BOUNCED = "bounced"
    """Taken, and returned later."""


class CheckFate(StrEnum):
    """What became of a check that a patchwork server is to show."""

    WAITING = "waiting"
    POSTED = "posted"
    UNKNOWN = "of no patch there"
    GIVEN_UP = "given up"


class AddressState(StrEnum):
    """Why an address gets no mail."""

    DEAD = "dead"
    """Mail to it came back."""
    MUTED = "muted"
    """The operator wants it so."""
    OPTED_OUT = "opted out"
    """Whoever reads it wants it so."""
