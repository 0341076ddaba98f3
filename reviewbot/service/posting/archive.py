# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking the archive whether a letter of unknown fate has come."""

from __future__ import annotations

import re

from reviewbot.errors import ReviewbotError
from reviewbot.series.errors import NotFound
from reviewbot.service.archive import Archive

FIRST_DELAY = 60.0
"""Seconds before the archive is asked first; each further time twice as long."""
MAX_DELAY = 3600.0
_DOUBLINGS = 10


class ArchiveError(ReviewbotError):
    """The archive did not say whether it has a letter."""


def has(archive: Archive, message_id: str) -> bool:
    """Whether a message is there.  Raises :class:`ArchiveError` if nobody knows."""
    try:
        thread = archive.thread(message_id)
    except NotFound:
        return False
    except ReviewbotError as error:
        raise ArchiveError(f"the archive cannot be asked: {error}") from error
    # The thread of a message that others only refer to is there as well.
    name = re.escape(message_id.encode())
    return re.search(rb"(?im)^message-id:\s*<" + name + rb">", thread) is not None


def next_delay(asked: int, doubt: float) -> float | None:
    """Seconds until the archive is asked again; None once ``doubt`` seconds are over."""
    spent = sum(_delay(one) for one in range(asked + 1))
    return _delay(asked + 1) if spent < doubt else None


def _delay(asked: int) -> float:
    return min(MAX_DELAY, FIRST_DELAY * (1 << min(asked, _DOUBLINGS)))
