# SPDX-License-Identifier: GPL-2.0-or-later
"""What time it is, always passed in, so that a test can make it jump.

Dates are for people, for the order of mails and for "not before"; what has to
happen after a while is measured on the monotonic clock, which no one sets.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The date and the time that passes."""

    def now(self) -> datetime:
        """The date, aware, in UTC.  May jump either way."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()
