# SPDX-License-Identifier: GPL-2.0-or-later
"""An IMAP connection that ends in time and takes no more than it asked for.

imap-tools and imaplib do the protocol (RFC 3501); what they lack for a server that
may be slow or lie is here: a deadline for everything, a bound on every answer, and
one kind of error.
"""

from __future__ import annotations

import imaplib
import math
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from imap_tools import BaseMailBox, ImapToolsError

from reviewbot.series.http import Watchdog, reason
from reviewbot.service.model import FailureKind
from reviewbot.service.sources.account import Account
from reviewbot.service.sources.errors import SourceError

_TALK = 8 << 20
"""Bytes of an answer that holds no message."""
_ERRORS = (imaplib.IMAP4.error, ImapToolsError, OSError, ValueError)
_BUSY = re.compile(r"\[(LIMIT|OVERQUOTA)\]|too many|throttl|rate limit", re.IGNORECASE)
_NONSENSE = re.compile(r"unexpected|not IMAP4|got more than|BAD|invalid literal|codec")


class _Client(imaplib.IMAP4):
    """imaplib's client under a watchdog's eye, over TLS from the start if the account has it."""

    def __init__(self, account: Account, watchdog: Watchdog) -> None:
        self._account = account
        self._watchdog = watchdog
        self.allowance = _TALK
        self.handle: socket.socket | None = None
        """A second handle of the connection: TLS hides the first, which cannot be shut then."""
        try:
            super().__init__(account.host, account.port, watchdog.remaining)
            if account.context and account.starttls:
                self.starttls(account.context)
        except BaseException:
            self.hang_up()
            raise

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        made = socket.create_connection((self._account.host, self._account.port), timeout)
        self._watchdog.watch(made)
        self.handle = made.dup()
        if not self._account.context or self._account.starttls:
            return made
        try:
            return self._account.context.wrap_socket(made, server_hostname=self._account.host)
        except OSError:
            made.close()
            raise

    def hang_up(self) -> None:
        """Close the connection, also under a thread that waits; a server needs no good-bye."""
        if self.handle:
            with suppress(OSError):
                self.handle.shutdown(socket.SHUT_RDWR)
            self.handle.close()
        if getattr(self, "file", None):
            with suppress(OSError):
                self.shutdown()

    def read(self, size: int) -> bytes:
        self._take(size)
        return super().read(size)

    def readline(self) -> bytes:
        line = super().readline()
        self._take(len(line))
        if line.endswith(b"\n") and not line.endswith(b"\r\n"):
            raise self.abort("unexpected end of a line")
        return line

    def _take(self, size: int) -> None:
        self.allowance -= size
        if self.allowance < 0:
            raise self.abort("got more than was asked for")


class MailBox(BaseMailBox):
    """imap-tools' mailbox on our client."""

    client: _Client

    def __init__(self, account: Account, watchdog: Watchdog) -> None:
        self._account = account
        self._watchdog = watchdog
        super().__init__()

    def _get_mailbox_client(self) -> imaplib.IMAP4:
        return _Client(self._account, self._watchdog)

    def enter(self) -> None:
        """Log in.  A read-only server has no INBOX to begin with, so no folder is selected."""
        if self._account.user:
            self.login_utf8(self._account.user, self._account.password(), initial_folder=None)
        else:
            self.client.authenticate("ANONYMOUS", lambda _: b"reviewbot")


@dataclass(frozen=True, slots=True)
class Status:
    """What a mailbox says when it is opened."""

    validity: int
    next: int
    """A UID that no message has had yet: the next one will have it or a higher one."""


@dataclass(frozen=True, slots=True)
class Message:
    """What the server says of a message before it is fetched."""

    uid: int
    size: int
    received: float
    """Seconds since 1970; without end if the server does not say."""


class Session:
    """One connection to an account, made when it is needed and kept while it works."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._box: MailBox | None = None

    @contextmanager
    def open(self, seconds: float) -> Iterator[tuple[MailBox, Watchdog]]:
        """The connection, for at most ``seconds``; whatever fails is a SourceError."""
        with Watchdog(seconds) as watchdog:
            try:
                yield self._connected(watchdog), watchdog
            except SourceError:
                self.close()
                raise
            except _ERRORS as error:
                self.close()
                raise _failure(error, self.account, late=watchdog.expired) from error

    def close(self) -> None:
        """End the connection."""
        if self._box:
            self._box.client.hang_up()
            self._box = None

    def _connected(self, watchdog: Watchdog) -> MailBox:
        if self._box and self._box.client.handle:
            # Kept from the last time: the server, or a firewall between, may have dropped it.
            try:
                watchdog.watch(self._box.client.handle)
                self._box.client.allowance = _TALK
                self._box.client.noop()
            except (imaplib.IMAP4.error, OSError):
                self.close()
            else:
                return self._box
        self._box = MailBox(self.account, watchdog)
        self._box.enter()
        return self._box


def examine(box: MailBox, folder: str) -> Status:
    """Open a mailbox read-only, anew: nothing in it is marked."""
    box.client.allowance = _TALK
    box.folder.set(folder, readonly=True)
    return Status(_number(box, "UIDVALIDITY"), _number(box, "UIDNEXT"))


def is_there(box: MailBox, folder: str) -> bool:
    """Whether the account has a mailbox of this name."""
    box.client.allowance = _TALK
    return box.folder.exists(folder)


def messages(box: MailBox, first: int, last: int) -> list[Message]:
    """The messages in a range of UIDs, in their order."""
    box.client.allowance = _TALK
    found = {}
    for item in _answers(box, f"{first}:{last}", "(UID RFC822.SIZE INTERNALDATE)"):
        line = _text(item)
        uid, size = re.search(_UID, line), re.search(rb"RFC822\.SIZE (\d{1,18})", line)
        when = imaplib.Internaldate2tuple(line)
        # A range that ends after the last message also names that one (RFC 3501, 6.4.8).
        if uid and size and first <= int(uid[1]) <= last:
            received = time.mktime(when) if when else math.inf
            found[int(uid[1])] = Message(int(uid[1]), int(size[1]), received)
    return sorted(found.values(), key=lambda message: message.uid)


def bodies(box: MailBox, wanted: list[Message]) -> dict[int, bytes]:
    """The messages that are still there, by UID, and not marked as seen."""
    box.client.allowance = sum(2 * message.size + 4096 for message in wanted)
    uids = ",".join(str(message.uid) for message in wanted)
    answers = _answers(box, uids, "(UID BODY.PEEK[])")
    found = {}
    for item, tail in zip(answers, [*answers[1:], b""], strict=True):
        if isinstance(item, tuple):
            # The UID stands before the message, or after it.
            uid = re.search(_UID, item[0]) or re.search(_UID, _text(tail))
            if uid:
                found[int(uid[1])] = item[1]
    return found


_UID = rb"UID (\d{1,10})"
_Answer = bytes | tuple[bytes, bytes]


def _answers(box: MailBox, uids: str, parts: str) -> list[_Answer]:
    """imaplib's form of what FETCH says: bytes, or a head and the literal after it."""
    status, data = box.client.uid("FETCH", uids, parts)
    if status != "OK":
        raise box.client.error(f"FETCH: {status} {data!r:.200}")
    return [item for item in data if isinstance(item, bytes | tuple)]


def _text(item: _Answer) -> bytes:
    return item if isinstance(item, bytes) else item[0]


def _number(box: MailBox, name: str) -> int:
    """A number that the mailbox gave when it was opened."""
    _, (value,) = box.client.response(name)
    if not isinstance(value, bytes) or not re.fullmatch(rb"[1-9]\d{0,9}", value):
        raise box.client.error(f"unexpected {name} {value!r:.40}")
    return int(value)


def _failure(error: Exception, account: Account, *, late: bool) -> SourceError:
    words = "".join(char for char in _words(error) if char.isprintable())[:200]
    if late:
        return SourceError(
            f"{account} did not answer in time: it is asked again later.", FailureKind.TIMEOUT
        )
    if _BUSY.search(words):
        return SourceError(
            f"{account} wants fewer connections ({words}): it is asked again later.",
            FailureKind.THROTTLED,
        )
    if not isinstance(error, OSError | ImapToolsError) and _NONSENSE.search(words):
        return SourceError(
            f"{account} answers with something that is no IMAP ({words}): check host and port.",
            FailureKind.GARBAGE,
        )
    return SourceError(
        f"{account} cannot be read ({words}): check host, user, password and folder.",
        FailureKind.UNREACHABLE,
    )


def _words(error: Exception) -> str:
    return reason(error) if isinstance(error, OSError) else str(error)
