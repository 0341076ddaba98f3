# SPDX-License-Identifier: GPL-2.0-or-later
"""From the configuration to what sends.

Where ``[smtp]`` and ``post.sendmail`` are empty the user's own way of sending
patches counts: ``sendemail.*`` of ``git config --global`` (git-send-email(1)).
"""

from __future__ import annotations

import shlex
import ssl
from collections.abc import Mapping
from pathlib import Path

from reviewbot.config import Config
from reviewbot.config_posting import Encryption, SmtpConfig, TransportKind
from reviewbot.errors import ConfigError
from reviewbot.kernel.git import user_settings
from reviewbot.schema import expand
from reviewbot.service.archive import archive_of
from reviewbot.service.posting.local import Directory, Sendmail
from reviewbot.service.posting.parcel import Transport
from reviewbot.service.posting.postman import Office
from reviewbot.service.posting.signing import Signer
from reviewbot.service.posting.smtp import Server, Smtp
from reviewbot.service.posting.terms import terms_of
from reviewbot.service.sources.account import Account, is_loopback

_ENCRYPTIONS = {"tls": Encryption.STARTTLS, "ssl": Encryption.TLS, "": Encryption.NONE}
"""git's words for them."""
_PORTS = {Encryption.STARTTLS: 587, Encryption.TLS: 465, Encryption.NONE: 25}


def open_office(config: Config) -> Office:
    """How letters are sent; nothing is connected yet.

    Raises :class:`ConfigError` if what that needs is missing or unsafe.
    """
    post = config.post
    transport = open_transport(config)
    return Office(
        transport=transport,
        terms=terms_of(config, transport.reaches_people),
        envelope=envelope_of(config),
        domain=config.sender.domain,
        archive=archive_of(config, config.service.archive or config.lore.url),
        doubt=post.doubt,
        signer=(
            Signer(expand(post.sign_key), config.sender.address, post.sign_selector)
            if post.sign_key is not None
            else None
        ),
    )


def open_transport(config: Config) -> Transport:
    """The transport of ``[post]``; nothing is connected yet.

    Raises :class:`ConfigError` if what it needs is missing or unsafe.
    """
    post = config.post
    kind = TransportKind(post.transport)
    if kind is TransportKind.DIRECTORY:
        return Directory(expand(post.directory or config.service.state / "posted"))
    if kind is TransportKind.SENDMAIL:
        return Sendmail(post.sendmail or _gits_command(user_settings("sendemail")))
    helo = config.sender.domain
    if config.smtp.server:
        return Smtp(Server(_account(config.smtp), helo, config.smtp.seconds))
    return _gits_server(user_settings("sendemail"), helo, config.smtp)


def envelope_of(config: Config) -> str:
    """Where what cannot be delivered comes back to; empty for the null sender.

    git's ``sendemail.envelopesender`` counts where its server does.
    """
    post = config.post
    own = config.smtp.server or post.sendmail or post.transport == TransportKind.DIRECTORY
    if post.envelope or own:
        return post.envelope
    found = user_settings("sendemail").get("envelopesender", "")
    return "" if found == "auto" else found


def _gits_command(settings: Mapping[str, str]) -> tuple[str, ...]:
    """git has a shell run its command; here it is split into words, and that is all."""
    command = settings.get("sendmailcmd") or settings.get("smtpserver", "")
    given = command.strip() if settings.get("sendmailcmd") else command.startswith(("/", "~"))
    if not given:
        raise ConfigError(
            "post.transport is sendmail, and there is no command: set post.sendmail, or"
            " sendemail.sendmailcmd in git config --global"
        )
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"sendemail.sendmailcmd of git cannot be split: {error}") from error
    return (str(Path(words[0]).expanduser()), *words[1:])


def _gits_server(settings: Mapping[str, str], helo: str, own: SmtpConfig) -> Transport:
    server = settings.get("smtpserver", "")
    if server.startswith("/") or (not server and settings.get("sendmailcmd")):
        return Sendmail(_gits_command(settings))
    if not server:
        raise ConfigError(
            "post.transport is smtp, and there is no server: set smtp.server, or"
            " sendemail.smtpserver in git config --global"
        )
    encryption = _ENCRYPTIONS.get(settings.get("smtpencryption", ""), Encryption.NONE)
    port = settings.get("smtpserverport", "0")
    certificates = settings.get("smtpsslcertpath", "")
    account = _account(
        SmtpConfig(
            server=server,
            port=int(port) if port.isascii() and port.isdigit() else 0,
            encryption=encryption,
            user=settings.get("smtpuser", ""),
            password_file=own.password_file,
            password_command=own.password_command,
            ca_file=own.ca_file or (Path(certificates) if certificates else None),
        )
    )
    return Smtp(Server(account, helo, own.seconds, settings.get("smtppass", "")))


def _account(smtp: SmtpConfig) -> Account:
    encryption = Encryption(smtp.encryption)
    if encryption is Encryption.NONE and not is_loopback(smtp.server):
        raise ConfigError(
            f"the way to {smtp.server} is not encrypted: set smtp.encryption (in git:"
            " sendemail.smtpencryption) to tls; none is for loopback addresses only"
        )
    return Account(
        host=smtp.server,
        port=smtp.port or _PORTS[encryption],
        user=smtp.user,
        starttls=encryption is Encryption.STARTTLS,
        context=None if encryption is Encryption.NONE else _context(smtp.ca_file),
        password_file=smtp.password_file,
        password_command=smtp.password_command,
    )


def _context(ca_file: Path | None) -> ssl.SSLContext:
    """Certificates and names are checked, as :mod:`ssl` does by default."""
    path = expand(ca_file) if ca_file is not None else None
    try:
        if path is not None and path.is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"smtp.ca_file {path} holds no certificates: {error}") from error
