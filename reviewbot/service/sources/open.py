# SPDX-License-Identifier: GPL-2.0-or-later
"""From a [source.NAME] table to the source that it describes."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

from reviewbot.config_service import SourceConfig, SourceKind
from reviewbot.errors import ConfigError
from reviewbot.schema import expand
from reviewbot.service.model import Source
from reviewbot.service.sources import _remote
from reviewbot.service.sources.account import parse_account
from reviewbot.service.sources.epochs import EpochSource
from reviewbot.service.sources.imap import ImapSource
from reviewbot.service.sources.maildir import MaildirSource
from reviewbot.service.sources.mbox import MboxSource
from reviewbot.service.sources.patchwork import PatchworkSource

_NAME = re.compile(r"[A-Za-z0-9_][\w.-]{0,99}", re.ASCII)
_COMMON = {"kind", "list"}
_NEEDED = {
    SourceKind.PUBLIC_INBOX: {"url"},
    SourceKind.IMAP: {"url"},
    SourceKind.MAILDIR: {"path"},
    SourceKind.MBOX: {"path"},
    SourceKind.PATCHWORK: {"url", "project"},
}
_ALLOWED = {
    SourceKind.PUBLIC_INBOX: {"since"},
    SourceKind.IMAP: {"folder", "since", "password_file", "password_command", "ca_file", "tls"},
    SourceKind.MAILDIR: {"since"},
    SourceKind.MBOX: set[str](),
    SourceKind.PATCHWORK: {"since"},
}


def open_source(name: str, config: SourceConfig, state_dir: Path, contact: str) -> Source:
    """The source of one table; nothing is asked of it yet.

    ``state_dir`` is the service's: each source that keeps something has a directory
    ``sources/NAME`` there.  ``contact`` goes into User-Agents.  Raises ConfigError if the
    name, or a key, is missing, wrong, or means nothing for this kind of source.
    """
    where = f"[source.{name}]"
    kind = SourceKind(config.kind)
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: a source's name may have letters, digits and . _ - only")
    _check_keys(where, kind, config)
    since = _day(where, config.since)
    state = state_dir / "sources" / name
    path = expand(config.path or Path())
    if kind is SourceKind.PUBLIC_INBOX:
        url = _address(where, config.url, _remote.SCHEMES)
        return EpochSource(name, url, state, since=since, contact=contact)
    if kind is SourceKind.IMAP:
        account = parse_account(
            where,
            config.url,
            tls=config.tls,
            ca_file=config.ca_file,
            password_file=config.password_file,
            password_command=config.password_command,
        )
        return ImapSource(name, account, config.folder, since=since)
    if kind is SourceKind.MAILDIR:
        return MaildirSource(name, path, state, since=since)
    if kind is SourceKind.MBOX:
        return MboxSource(name, path)
    url = _address(where, config.url, ("https", "http"))
    return PatchworkSource(name, url, config.project, since=since, contact=contact)


def _check_keys(where: str, kind: SourceKind, config: SourceConfig) -> None:
    """No key may be missing, and none that is set may be without effect."""
    given = {entry.name for entry in fields(config) if getattr(config, entry.name) != entry.default}
    for key in sorted(_NEEDED[kind] - given):
        raise ConfigError(f"{where}: a source of kind {kind} needs the key {key}")
    for key in sorted(given - _NEEDED[kind] - _ALLOWED[kind] - _COMMON):
        raise ConfigError(f"{where}: {key} means nothing for a source of kind {kind}")


def _day(where: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise ConfigError(f"{where}: since is no day of the calendar: {text}") from error


def _address(where: str, url: str, schemes: tuple[str, ...]) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in schemes and (parts.hostname or parts.scheme == "file")
        _ = parts.port
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise ConfigError(f"{where}: url must begin with {', '.join(schemes)}: {url[:80]!r}")
    return url
