# SPDX-License-Identifier: GPL-2.0-or-later
"""What the process that parses mail is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from reviewbot.series.model import Series


@dataclass(frozen=True, slots=True)
class AssembleLimits:
    """How much mail is read, and what reading it may cost."""

    max_bytes: int = 64 * 1024 * 1024
    """Bytes of the whole mailbox."""
    max_messages: int = 2000
    max_message: int = 4 * 1024 * 1024
    """Bytes of one message; larger ones are left out."""
    max_header: int = 128 * 1024
    """Bytes of one message's headers; messages with more are left out."""
    max_patches: int = 500
    """The highest number a subject's ``n/m`` may hold."""
    seconds: float = 60.0
    """Wall clock and, rounded up, processor time of the child process."""
    memory: int = 1024 * 1024 * 1024
    """Bytes of address space of the child process."""
    max_reply: int = 256 * 1024 * 1024
    """Bytes the child process may write to any file, its answer included."""


@dataclass(frozen=True, slots=True)
class Request:
    """Given to the child on its command line; the mailbox comes on standard input."""

    wanted: str | None
    source: str
    limits: AssembleLimits
    together: bool = False
    """Whether all of the mail is known to be one series, however it is threaded."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A ReviewbotError on its way through JSON."""

    kind: str
    """Its class name."""
    message: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The child's answer: either a series or a failure."""

    series: Series | None = None
    failure: Failure | None = None
