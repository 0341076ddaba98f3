# SPDX-License-Identifier: GPL-2.0-or-later
"""From what the user typed to a Series: classify, fetch or read, assemble."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

from reviewbot.series.assemble import AssembleLimits, assemble
from reviewbot.series.fetch import DEFAULT_SERVER, FetchLimits, fetch_thread
from reviewbot.series.mailbox import read_thread
from reviewbot.series.model import Series
from reviewbot.series.source import SourceKind, classify


@dataclass(frozen=True, slots=True)
class SeriesLimits:
    """What opening one series may cost."""

    fetch: FetchLimits = field(default_factory=FetchLimits)
    assemble: AssembleLimits = field(default_factory=AssembleLimits)


DEFAULT_LIMITS = SeriesLimits()


def open_series(
    spec: str,
    *,
    lore: str = DEFAULT_SERVER,
    limits: SeriesLimits = DEFAULT_LIMITS,
    stdin: BinaryIO | None = None,
    contact: str = "",
) -> Series:
    """The series that ``spec`` names: message-id, archive URL, mbox, Maildir, text or ``-``.

    ``lore`` is the public-inbox server for message-ids.  Raises what
    :func:`~reviewbot.series.source.classify`, :func:`~reviewbot.series.fetch.fetch_thread`,
    :func:`~reviewbot.series.mailbox.read_thread` and
    :func:`~reviewbot.series.assemble.assemble` raise.
    """
    source = classify(spec)
    if source.kind is SourceKind.MESSAGE_ID:
        raw = fetch_thread(source.value, server=lore, limits=limits.fetch, contact=contact)
        return assemble(raw, wanted=source.value, source=source.value, limits=limits.assemble)
    raw = read_thread(source, stdin)
    return assemble(raw, wanted=None, source=spec, limits=limits.assemble)
