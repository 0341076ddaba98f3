# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration of commands by reply.

Read as part of :class:`reviewbot.config.Config`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from reviewbot.schema import key, positive


def _addresses(values: tuple[str, ...]) -> str:
    address = r"[^<>@\s,]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"
    good = all(re.fullmatch(address, value) for value in values)
    return "" if good else "must be bare addresses such as kim@example.org"


def _share(value: float) -> str:
    return "" if 0 < value <= 1 else "must be above 0 and at most 1"


@dataclass(frozen=True, slots=True)
class TalkConfig:
    """Commands in replies, such as '#reviewbot stop', and what follows from them."""

    people: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "Who may give commands besides a series' author and the maintainers of what it"
            " touches.",
            _addresses,
        ),
    )
    retests: int = field(
        default=5, metadata=key("Retests that one person may ask for in a day.", positive)
    )
    false_positives: float = field(
        default=0.2,
        metadata=key(
            "Share of a list's posted hazards that may be false positives; above it the list is"
            " muted until reviewbot unmute.",
            _share,
        ),
    )
    false_positives_least: int = field(
        default=3,
        metadata=key("False positives before which no list is muted for its share.", positive),
    )
    seconds: float = field(
        default=10.0, metadata=key("Seconds that the name service may take for a key.", positive)
    )
    days: float = field(
        default=2.0,
        metadata=key(
            "Days that a command waits for the archive or the name service, then it is dropped.",
            positive,
        ),
    )
