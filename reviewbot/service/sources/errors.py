# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong between a source and its new mail."""

from __future__ import annotations

import errno

from reviewbot.errors import ServiceError
from reviewbot.service.model import FailureKind

_FULL = (errno.ENOSPC, errno.EDQUOT)


class SourceError(ServiceError):
    """A source that is down, slow, throttling or lying, or a disk that takes no more.

    The cursor that was given is as good as before.
    """

    def __init__(self, message: str, kind: FailureKind, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
        """Seconds that the place asks to be left alone for; None if it does not say."""


def refused(error: OSError, path: object) -> SourceError:
    """A file of our own, or the one that is followed, cannot be used."""
    if error.errno in _FULL:
        return SourceError(
            f"The disk of {path} is full: make room; nothing is lost meanwhile.",
            FailureKind.DISK_FULL,
        )
    return SourceError(
        f"{path} cannot be used ({error.strerror}): check the path and its permissions.",
        FailureKind.UNREACHABLE,
    )
