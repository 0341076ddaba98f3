# SPDX-License-Identifier: GPL-2.0-or-later
"""What the configuration means to the parts: its keys as their limits, names and places."""

from __future__ import annotations

from pathlib import Path

from reviewbot.config import Config
from reviewbot.kernel.check import ApplyLimits
from reviewbot.kernel.mirror import Mirror
from reviewbot.locking import index
from reviewbot.locking.primitives import with_extra
from reviewbot.report.reply import Sender
from reviewbot.series.fetch import FetchLimits
from reviewbot.series.open import SeriesLimits


def index_settings(config: Config) -> index.Settings:
    """The cache and the locking calls known, those of the configuration included."""
    tables = [table.entries for table in config.primitives]
    where = config.primitives[0].where if config.primitives else ""
    return index.Settings(config.cache, with_extra(tables, where))


def mirrors(config: Config) -> Path:
    """Directory of what is fetched from the configured remotes."""
    return config.service.state / "mirrors"


def mirror_of(config: Config, tree: Path) -> Mirror | None:
    """The mirror of the configured remotes for a tree; None if there are no remotes."""
    return Mirror(mirrors(config), tree, config.remote) if config.remote else None


def apply_limits(config: Config) -> ApplyLimits:
    """What applying one patch may cost."""
    limits = config.limits
    return ApplyLimits(
        bytes=limits.patch_bytes,
        files=limits.patch_files,
        hunks=limits.patch_hunks,
        seconds=limits.seconds,
        memory=limits.memory_bytes,
    )


def series_limits(config: Config) -> SeriesLimits:
    """How much of a series is fetched, and how long that may take."""
    lore = config.lore
    return SeriesLimits(
        fetch=FetchLimits(deadline=lore.deadline, max_bytes=lore.max_bytes, retries=lore.retries)
    )


def sender_of(config: Config) -> Sender:
    """Whose name a reply bears."""
    own = config.sender
    return Sender(
        name=own.name,
        address=own.address,
        operator=own.operator,
        contact=own.contact,
        stop=own.stop,
        domain=own.domain,
    )
