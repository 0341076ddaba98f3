# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration of posting: how replies go out, how many, and to whom never.

Read as part of :class:`reviewbot.config.Config`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from reviewbot.schema import key, positive


class TransportKind(StrEnum):
    """What takes a reply on its way."""

    DIRECTORY = "directory"
    SMTP = "smtp"
    SENDMAIL = "sendmail"


class Encryption(StrEnum):
    """How the way to the SMTP server is kept private."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


def _transport(value: str) -> str:
    known = ", ".join(TransportKind)
    return "" if value in list(TransportKind) else f"must be one of {known}"


def _encryption(value: str) -> str:
    return "" if value in list(Encryption) else f"must be one of {', '.join(Encryption)}"


def _envelope(value: str) -> str:
    good = not value or re.fullmatch(r"[^\s<>@]+@[A-Za-z0-9.-]+", value)
    return "" if good else "must be an address such as bounces@example.org, or empty"


def _domains(values: tuple[str, ...]) -> str:
    good = all(re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", value) for value in values)
    return "" if good else "must be domains in lower case, such as example.org"


def _port(value: int) -> str:
    return "" if 0 <= value < 65536 else "must be a port, or 0 for the usual one"


@dataclass(frozen=True, slots=True)
class PostConfig:
    """How replies go out."""

    transport: str = field(
        default="directory",
        metadata=key(
            "directory (a file each, nobody gets mail), smtp, or sendmail (a command).", _transport
        ),
    )
    directory: Path | None = field(
        default=None, metadata=key("directory: where the files go.", None, "~/reviewbot-mail")
    )
    sendmail: tuple[str, ...] = field(
        default=(),
        metadata=key("sendmail: the command; empty: what git's sendemail.sendmailcmd says."),
    )
    i_mean_it: bool = field(
        default=False,
        metadata=key("Mail anybody. Until this is true only the domains below get mail."),
    )
    domains: tuple[str, ...] = field(
        default=("example.org",),
        metadata=key("Domains that get mail while i_mean_it is false.", _domains),
    )
    envelope: str = field(
        default="",
        metadata=key(
            "Where what cannot be delivered comes back to; empty: nowhere (RFC 3834).", _envelope
        ),
    )
    bounces: str = field(
        default="",
        metadata=key("Name of the [source] that is that mailbox; poll and serve read it."),
    )
    list_hour: int = field(default=10, metadata=key("Replies an hour for one list.", positive))
    list_day: int = field(default=50, metadata=key("Replies a day for one list.", positive))
    person_hour: int = field(
        default=5,
        metadata=key("Replies an hour to one address that is no [list]'s.", positive),
    )
    person_day: int = field(
        default=20, metadata=key("Replies a day to one address that is no [list]'s.", positive)
    )
    attempts: int = field(
        default=30,
        metadata=key(
            "How often a reply that is put off is tried; 30 times take four days.", positive
        ),
    )
    doubt: float = field(
        default=86_400.0,
        metadata=key(
            "Seconds that the archive is asked whether a reply of unknown fate came; then a person"
            " decides.",
            positive,
        ),
    )
    sign_key: Path | None = field(
        default=None,
        metadata=key(
            "Ed25519 key of patatt to sign with.", None, "~/.local/share/patatt/private/…"
        ),
    )
    sign_selector: str = field(
        default="default", metadata=key("Selector under which its public key is published.")
    )


@dataclass(frozen=True, slots=True)
class SmtpConfig:
    """The mail server; without one git's is taken."""

    server: str = field(
        default="",
        metadata=key("Its name; empty: the server of sendemail.* in `git config --global`."),
    )
    port: int = field(default=0, metadata=key("0: 587, or 465 for tls.", _port))
    encryption: str = field(
        default="starttls",
        metadata=key("starttls, tls, or none, which is for loopback addresses only.", _encryption),
    )
    user: str = field(default="", metadata=key("Who logs in; empty: nobody."))
    password_file: Path | None = field(
        default=None, metadata=key("File with the password.", None, "~/.smtp-password")
    )
    password_command: tuple[str, ...] = field(
        default=(), metadata=key("Command that prints the password. Else ~/.netrc is read.")
    )
    ca_file: Path | None = field(
        default=None,
        metadata=key("Certificates to trust instead of the system's.", None, "~/ca.pem"),
    )
    seconds: float = field(default=900.0, metadata=key("Time for one mail in all.", positive))
