# SPDX-License-Identifier: GPL-2.0-or-later
"""The public-inbox server that has the lists' mail."""

from __future__ import annotations

from dataclasses import dataclass, field

from reviewbot.config import Config
from reviewbot.series.fetch import FetchLimits, fetch_thread
from reviewbot.wiring import series_limits


@dataclass(frozen=True, slots=True)
class Archive:
    """A server, and what one question to it may cost."""

    url: str
    limits: FetchLimits = field(default_factory=FetchLimits)
    contact: str = ""

    def thread(self, message_id: str) -> bytes:
        """The mboxrd of a message's thread; raises as
        :func:`~reviewbot.series.fetch.fetch_thread`."""
        return fetch_thread(message_id, server=self.url, limits=self.limits, contact=self.contact)


def archive_of(config: Config, url: str) -> Archive:
    """A server, with the limits of the configuration."""
    return Archive(url, series_limits(config).fetch, config.sender.contact)
