# SPDX-License-Identifier: GPL-2.0-or-later
"""Who logs in where: an imap address, and the password that goes with it.

The password is looked up anew for each connection, so that a changed one is taken
without a restart, and is in no configuration file.
"""

from __future__ import annotations

import ipaddress
import netrc
import ssl
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reviewbot.errors import ConfigError
from reviewbot.service.model import FailureKind
from reviewbot.service.sources.errors import SourceError

_MAX_SECRET = 64 * 1024
_COMMAND_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Account:
    """A user of an IMAP server; without a name, anybody (RFC 4505)."""

    host: str
    port: int
    user: str
    starttls: bool = False
    """Whether TLS begins after the greeting (RFC 3501, 6.2.1), not before it (RFC 8314)."""
    context: ssl.SSLContext | None = None
    """How its certificate is checked; None for no encryption at all."""
    password_file: Path | None = field(default=None, repr=False)
    password_command: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return f"{self.user or 'anonymous'}@{self.host}:{self.port}"

    def password(self) -> str:
        """From its file, else its command, else ``~/.netrc``.

        Raises SourceError if there is none.
        """
        try:
            if self.password_file:
                return _first_line(self.password_file.read_bytes()[:_MAX_SECRET])
            if self.password_command:
                return _first_line(_output(self.password_command))
            entry = netrc.netrc().authenticators(self.host)
        except (OSError, subprocess.SubprocessError, netrc.NetrcParseError, ValueError) as error:
            raise self._no_password(type(error).__name__) from error
        if entry is None or entry[0] not in ("", self.user) or not entry[2]:
            raise self._no_password("~/.netrc has none")
        return entry[2]

    def _no_password(self, why: str) -> SourceError:
        return SourceError(
            f"There is no password for {self} ({why}): set password_file or password_command,"
            " or write it into ~/.netrc.",
            FailureKind.UNREACHABLE,
        )


def parse_account(
    where: str,
    url: str,
    *,
    tls: bool,
    ca_file: Path | None,
    password_file: Path | None,
    password_command: tuple[str, ...],
) -> Account:
    """The account of ``imaps://USER@HOST[:PORT]``, or of ``imap://`` for STARTTLS.

    ``where`` names the configuration's table.  Raises ConfigError.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    good = parts.scheme in ("imap", "imaps") and host and not parts.path.strip("/")
    if not good or not url.isprintable() or " " in url:
        raise ConfigError(f"{where}: url must be like imaps://USER@HOST, not {url[:80]!r}")
    if parts.password is not None:
        raise ConfigError(f"{where}: take the password out of url, and put it into password_file")
    if not tls and not is_loopback(host):
        raise ConfigError(f"{where}: tls can be off for a loopback address only, not for {host}")
    if not tls and parts.scheme == "imaps":
        raise ConfigError(f"{where}: imaps:// is with TLS: write imap://, or leave tls on")
    return Account(
        host=host,
        port=port or (993 if parts.scheme == "imaps" else 143),
        user=unquote(parts.username or ""),
        starttls=parts.scheme == "imap",
        context=_context(where, ca_file) if tls else None,
        password_file=password_file,
        password_command=password_command,
    )


def _context(where: str, ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{where}: ca_file {ca_file} holds no certificates: {error}") from error


def is_loopback(host: str) -> bool:
    """Whether a host is this one, by its address or as ``localhost``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _output(command: tuple[str, ...]) -> bytes:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_COMMAND_SECONDS,
        check=True,
    )
    return done.stdout[:_MAX_SECRET]


def _first_line(raw: bytes) -> str:
    """Raises ValueError (UnicodeDecodeError is one) if there is no password in it."""
    line = raw.decode("utf-8").partition("\n")[0].rstrip("\r")
    if not line:
        raise ValueError("empty")
    return line
