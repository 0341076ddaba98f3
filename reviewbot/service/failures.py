# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors as failures: which of them may pass, and what to count them as."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from reviewbot.errors import ConfigError, NotReviewable, ReviewbotError, ServiceError, TreeError
from reviewbot.kernel.git import GitError, LimitError
from reviewbot.kernel.mirror import MirrorError
from reviewbot.series import errors as series_errors
from reviewbot.service.model import FailureKind
from reviewbot.service.state.model import Failure

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = ("No space left on device", "disk is full", "Disk quota exceeded")
_KINDS: tuple[tuple[type[ReviewbotError], FailureKind], ...] = (
    # The first that fits counts: kinds of an error stand before it.
    (series_errors.ThrottledError, FailureKind.THROTTLED),
    (series_errors.GarbledAnswerError, FailureKind.GARBAGE),
    (series_errors.WorkerError, FailureKind.CRASHED),
    (series_errors.UnreachableError, FailureKind.UNREACHABLE),
    (series_errors.FetchTimeoutError, FailureKind.UNREACHABLE),
    (series_errors.ServerError, FailureKind.UNREACHABLE),
    (LimitError, FailureKind.TIMEOUT),
    (GitError, FailureKind.TREE),
    (MirrorError, FailureKind.TREE),
    (TreeError, FailureKind.TREE),
    (NotReviewable, FailureKind.UNREADABLE),
    (ConfigError, FailureKind.INTERNAL),
    (ServiceError, FailureKind.TREE),
)


class StepError(ServiceError):
    """A step of a review failed; says how to count it."""

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind

    @property
    def failure(self) -> Failure:
        """The same as the state keeps it."""
        return Failure(self.kind, str(self))


class StaleProduct(StepError):
    """What a step has left cannot be read, as an older program left it: it is made again."""

    def __init__(self, reason: str) -> None:
        super().__init__(FailureKind.INTERNAL, reason)


def failure_of(error: ReviewbotError) -> Failure:
    """What to count an error as, with its own sentence."""
    kind = getattr(error, "kind", None)
    if isinstance(kind, FailureKind):
        return Failure(kind, str(error))
    if is_full(error):
        return Failure(FailureKind.DISK_FULL, str(error))
    known = (kind for type_, kind in _KINDS if isinstance(error, type_))
    return Failure(next(known, FailureKind.INTERNAL), str(error))


def is_full(error: BaseException) -> bool:
    """Whether there was no room on a disk, as far as the error or its causes say."""
    return any(
        (isinstance(each, OSError) and each.errno in _FULL) or says_full(str(each))
        for each in _causes(error)
    )


def says_full(text: str) -> bool:
    """Whether these are a system's or a database's words for a full disk."""
    return any(words in text for words in _FULL_WORDS)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
