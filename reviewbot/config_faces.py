# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration of what tells results elsewhere than by mail.

Read as part of :class:`reviewbot.config.Config`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from reviewbot.schema import key, positive


def _server(url: str) -> str:
    """https, or http on this machine: the token goes there."""
    try:
        parts = urlsplit(url)
        good = bool(parts.hostname) and parts.port != 0
        good = good and (
            parts.scheme == "https" or (parts.scheme == "http" and _own(parts.hostname))
        )
    except ValueError:
        good = False
    if url and (not good or parts.query or parts.fragment or parts.username or " " in url):
        return "must be the https address of a patchwork server, or empty"
    return ""


def _own(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _context(name: str) -> str:
    good = re.fullmatch(r"[A-Za-z0-9_-]{1,255}", name)
    return "" if good else "must be letters, digits, hyphens and underscores"


def _mask(url: str) -> str:
    good = not url or (re.match(r"https?://[^\s]+$", url) and url.count("%s") == 1)
    return "" if good else "must be a web address with one %s, or empty"


@dataclass(frozen=True, slots=True)
class PatchworkConfig:
    """A patchwork server that shows a check beside each patch reviewed."""

    url: str = field(
        default="",
        metadata=key(
            "Its address, such as https://patchwork.kernel.org; empty: no checks.", _server
        ),
    )
    project: str = field(
        default="", metadata=key("Short name of the project whose patches get checks.")
    )
    token_file: Path | None = field(
        default=None,
        metadata=key("File with the API token of the bot's account.", None, "~/.patchwork-token"),
    )
    lists: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "Names of the [list]s whose reviews poll and serve show there by themselves, pending"
            " while they are under way; empty: none."
        ),
    )
    context: str = field(
        default="reviewbot", metadata=key("What the checks are called there.", _context)
    )
    linkmask: str = field(
        default="",
        metadata=key(
            "Where a check leads: an address with %s for the series' message-id; or empty.", _mask
        ),
    )
    deadline: float = field(
        default=60.0, metadata=key("Seconds for the checks of one series.", positive)
    )
    retries: int = field(default=3, metadata=key("How often to try again when it is busy."))
