# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors a user can meet, each with the exit status it causes.

A message is one sentence: what went wrong, where, and what to do.  Anything
that is raised out of a room is one of these; ``cli.py`` prints the message and
exits with :attr:`ReviewbotError.exit_status`, so no traceback reaches a user.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitStatus(IntEnum):
    """What the program's exit status tells a script."""

    OK = 0
    """A verdict without findings."""
    FINDINGS = 1
    """Hazards remain or were introduced."""
    USAGE = 2
    """The command line, the configuration or a named file is wrong."""
    NOT_REVIEWABLE = 3
    """The series cannot be reviewed or does not apply."""
    SERVICE = 4
    """A service failed: trying again later may help."""


class ReviewbotError(Exception):
    """Base of every error with a message for the user."""

    exit_status: ClassVar[ExitStatus] = ExitStatus.USAGE


class UsageError(ReviewbotError):
    """The command line names something that is not there or makes no sense."""


class ConfigError(UsageError):
    """The configuration file is unreadable or has an unknown or ill-typed key."""


class TreeError(UsageError):
    """The kernel tree is not a git repository, or a revision is not in it."""


class NotReviewable(ReviewbotError):
    """What was posted is no patch series, or not one that can be read safely."""

    exit_status = ExitStatus.NOT_REVIEWABLE


class DamagedPatch(NotReviewable):
    """A white-space damaged patch cannot be repaired with certainty."""


class ServiceError(ReviewbotError):
    """A server or a child process failed; the same command may work later."""

    exit_status = ExitStatus.SERVICE
