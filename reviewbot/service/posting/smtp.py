# SPDX-License-Identifier: GPL-2.0-or-later
"""Mail by SMTP (RFC 5321): each recipient's answer, and what is not known after DATA.

smtplib's own ``sendmail()`` does not tell a connection that is lost before the
text from one that is lost after it, so the dialogue is held command by command.
All of it is over at one deadline, however slowly the server speaks.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from reviewbot.errors import ServiceError
from reviewbot.report.clean import one_line
from reviewbot.series.http import Watchdog, reason
from reviewbot.service.model import Fate
from reviewbot.service.posting.parcel import Answers, Lost, Parcel, Proceed, Withheld, all_of
from reviewbot.service.sources.account import Account
from reviewbot.service.sources.errors import SourceError
from reviewbot.service.state.model import Answer

_SILENCE = 60.0
"""Seconds that one answer may take."""
_FINAL_SILENCE = 600.0
"""The same for the answer to the text (RFC 5321, 4.5.3.2.6)."""
_PARTING = 5.0
"""The same for the answer to QUIT, which changes nothing."""
_BROKEN = (OSError, smtplib.SMTPServerDisconnected)


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server and who logs in there."""

    account: Account
    """Without a user nobody logs in; without a context nothing is encrypted."""
    helo: str = "localhost"
    """How this host names itself: its domain."""
    seconds: float = 900.0
    """Time for one mail in all."""
    password: str = field(default="", repr=False)
    """Given outright, as git's configuration may; else the account's is looked up."""


class _Refused(Exception):
    """The server ends the dialogue for all recipients before it has any text."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.said)
        self.answer = answer


class Smtp:
    """A :class:`~.parcel.Transport` over SMTP."""

    reaches_people = True

    def __init__(self, server: Server) -> None:
        self._server = server

    def holds(self, message_id: str) -> bool | None:
        """A server keeps no account of what it had."""
        return None

    def send(self, parcel: Parcel, proceed: Proceed) -> Answers:
        """One dialogue with the server."""
        with Watchdog(self._server.seconds) as watchdog:
            try:
                with self._connected(watchdog) as smtp:
                    return _talk(smtp, parcel, proceed)
            except _Refused as refused:
                return dict.fromkeys(parcel.recipients, refused.answer)
            except (*_BROKEN, smtplib.SMTPException, ssl.SSLError, SourceError) as error:
                return all_of(parcel.recipients, Fate.DEFERRED, self._why(error))

    @contextmanager
    def _connected(self, watchdog: Watchdog) -> Iterator[_Connection]:
        account = self._server.account
        smtp = _Connection(watchdog, account, self._server.helo)
        try:
            if account.starttls:
                # Raises SMTPNotSupportedError: nothing is said in the open instead.
                smtp.starttls(context=account.context)
            smtp.ehlo_or_helo_if_needed()
            if account.user:
                smtp.login(account.user, self._server.password or account.password())
            yield smtp
            with suppress(*_BROKEN, smtplib.SMTPException):
                smtp.hurry(_PARTING)
                smtp.quit()
        finally:
            smtp.close()

    def _why(self, error: Exception) -> str:
        if isinstance(error, smtplib.SMTPResponseException):
            return f"{self._server.account} says {_said(error.smtp_code, error.smtp_error)}"
        if isinstance(error, ssl.SSLError):
            return f"no trusted connection to {self._server.account}: {one_line(str(error))}"
        said = str(error) if isinstance(error, ServiceError | smtplib.SMTPException) else ""
        return f"{self._server.account}: {one_line(said or reason(error))}"


class _Connection(smtplib.SMTP):
    """A connection that its watchdog can end, with TLS from the first byte if so wished."""

    def __init__(self, watchdog: Watchdog, account: Account, helo: str) -> None:
        self._watchdog = watchdog
        self._first = None if account.starttls else account.context
        super().__init__(account.host, account.port, local_hostname=helo, timeout=_SILENCE)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = socket.create_connection((host, port), timeout)
        self._watchdog.watch(connection)
        if self._first is None:
            return connection
        return self._first.wrap_socket(connection, server_hostname=host)

    def hurry(self, seconds: float) -> None:
        """Wait so long for an answer from now on."""
        if self.sock is not None:
            self.sock.settimeout(seconds)


def _talk(smtp: _Connection, parcel: Parcel, proceed: Proceed) -> Answers:
    """MAIL, RCPT for each, DATA."""
    options = [f"SIZE={len(parcel.mail)}"] if smtp.has_extn("size") else []
    if not parcel.mail.isascii():
        if not smtp.has_extn("8bitmime"):
            raise _Refused(Answer(Fate.DEFERRED, "the server takes no 8bit text (RFC 6152)"))
        options.append("BODY=8BITMIME")
    _expect(smtp.mail(parcel.sender, options))
    answers = {one: _answer(*smtp.rcpt(one)) for one in parcel.recipients}
    accepted = tuple(one for one, answer in answers.items() if answer.fate is Fate.TAKEN)
    if not accepted:
        return answers
    told = {one: answer for one, answer in answers.items() if one not in accepted}
    if why := proceed(told):
        raise Withheld(why)
    _expect(smtp.docmd("DATA"), good=3)
    return {**told, **dict.fromkeys(accepted, _text(smtp, parcel.mail, told))}


def _text(smtp: _Connection, mail: bytes, told: Answers) -> Answer:
    """Send the text, and have the one answer that counts for all who were accepted."""
    try:
        smtp.hurry(_FINAL_SILENCE)
        smtp.send(_wire(mail))
        code, said = smtp.getreply()
    except (*_BROKEN, smtplib.SMTPException) as error:
        raise Lost(f"the connection was lost after the text: {reason(error)}", told) from error
    if not 200 <= code < 600:
        raise Lost(f"no answer to the text but {_said(code, said)}", told)
    return _answer(code, said)


def _wire(mail: bytes) -> bytes:
    """CRLF line ends, leading dots doubled, a lone dot at the end (RFC 5321, 4.5.2)."""
    lines = re.sub(rb"(?m)^\.", b"..", mail.replace(b"\r\n", b"\n").removesuffix(b"\n"))
    return lines.replace(b"\n", b"\r\n") + b"\r\n.\r\n"


def _expect(reply: tuple[int, bytes], good: int = 2) -> None:
    if reply[0] // 100 != good:
        raise _Refused(_answer(*reply, good=good))


def _answer(code: int, said: Any, good: int = 2) -> Answer:
    """2xx took it; 5xx never will, all else may later (RFC 5321, 4.2.1)."""
    if code // 100 == good:
        fate = Fate.TAKEN
    else:
        fate = Fate.REFUSED if code // 100 == 5 else Fate.DEFERRED
    return Answer(fate, _said(code, said))


def _said(code: int, said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return one_line(f"{code} {text}", 200)
