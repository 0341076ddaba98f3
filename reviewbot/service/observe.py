# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the service tells what happens, for the log and the figures."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Hears of every event, from any thread; must not raise and not take long.

    Events and their fields:

    ``poll-good``       source, messages, news
    ``poll-failed``     source, kind, reason, next_try
    ``unreadable``      source, where, reason
    ``queued``          review, head, workflow, reason
    ``skipped``         review, head, reason
    ``superseded``      review, head, by
    ``step``            review, step, seconds
    ``put-off``         review, step, kind, reason, next_try
    ``failed``          review, step, kind, reason
    ``done``            review, head, verdict, reason, seconds (all its steps')
    ``resubmitted``     review, reason
    ``machine-died``    machine, reviews
    ``trouble``         reason (the service's own, such as its database)
    """

    def event(self, name: str, **fields: object) -> None:
        """Something happened."""


class Silent:
    """Tells nobody."""

    def event(self, name: str, **fields: object) -> None:
        pass
