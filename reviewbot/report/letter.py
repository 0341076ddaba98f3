# SPDX-License-Identifier: GPL-2.0-or-later
"""A mail as the linter reads it: bytes in, nothing believed, nothing raised."""

from __future__ import annotations

import binascii
import quopri
import re
from dataclasses import dataclass, field
from datetime import datetime
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from enum import IntEnum
from functools import cached_property

from reviewbot.series.addresses import decoded, read_addresses
from reviewbot.series.model import Identity

_FOOTER = "\n-- \n"
_PATCH = re.compile(r"^(?:diff --git |--- a/|---$)", re.MULTILINE)
_REPORT_ID = "reviewbot-"
"""How the left part of our own Message-IDs begins (:mod:`reviewbot.report.envelope`)."""


class Voice(IntEnum):
    """Who speaks in a mail; more is asked of the later ones."""

    PERSON = 0
    BOT = 1
    REVIEWBOT = 2


@dataclass(frozen=True)
class Letter:
    """One mail, its headers unfolded and its text decoded."""

    raw: bytes
    """With LF line ends."""
    message: Message[str, str] = field(repr=False)
    """Its headers; the payload is not taken apart."""
    content: bytes
    """What stands below the headers, as it was mailed."""

    def all(self, name: str) -> list[str]:
        """Raw values of a header."""
        return [" ".join(str(value).split()) for value in self.message.get_all(name, [])]

    def value(self, name: str) -> str:
        """The first raw value of a header, empty without one."""
        return next(iter(self.all(name)), "")

    def ids(self, name: str) -> list[str]:
        """The words of a header of message-ids, without their angle brackets."""
        return [re.sub(r"^<(.*)>$", r"\1", word) for word in self.value(name).split()]

    def people(self, *names: str) -> tuple[Identity, ...]:
        """The mailboxes in headers of addresses."""
        return read_addresses(value for name in names for value in self.all(name))

    @cached_property
    def subject(self) -> str:
        return decoded(self.value("Subject"))

    @cached_property
    def kind(self) -> str:
        """The media type, ``text/plain`` where none is given (RFC 2045, 5.2)."""
        given = self.value("Content-Type").partition(";")[0].strip().lower()
        return given or "text/plain"

    @cached_property
    def parameters(self) -> str:
        """What follows the media type, without blanks and quotes, in lower case."""
        rest = self.value("Content-Type").lower().partition(";")[2]
        return rest.replace(" ", "").replace('"', "")

    @cached_property
    def encoding(self) -> str:
        return self.value("Content-Transfer-Encoding").lower() or "7bit"

    @cached_property
    def bytes_of_text(self) -> bytes:
        """The text as it was before it was encoded for transport."""
        if self.encoding == "quoted-printable":
            return quopri.decodestring(self.content)
        if self.encoding == "base64":
            try:
                return binascii.a2b_base64(self.content)
            except binascii.Error:
                return self.content
        return self.content

    @cached_property
    def body(self) -> str:
        return self.bytes_of_text.decode("utf-8", "replace").replace("\r\n", "\n")

    @cached_property
    def text(self) -> str:
        """What somebody says: the body above the footer, and above a patch."""
        above, _, _ = self.body.partition(_FOOTER)
        patch = _PATCH.search(above)
        return above[: patch.start()] if patch else above

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines of :attr:`text`."""
        return tuple(self.text.split("\n"))

    @property
    def footers(self) -> tuple[str, ...]:
        """What stands below each ``-- `` line."""
        return tuple(f"\n{self.body}".split(_FOOTER)[1:])

    @cached_property
    def voice(self) -> Voice:
        """Who speaks here, as far as the headers tell (RFC 3834, 5)."""
        if any(own.startswith(_REPORT_ID) for own in self.ids("Message-ID")):
            return Voice.REVIEWBOT
        automatic = self.value("Auto-Submitted").partition(";")[0].strip().lower()
        return Voice.BOT if automatic not in ("", "no") else Voice.PERSON


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known beside a mail: without it some rules cannot be checked."""

    voice: Voice = Voice.REVIEWBOT
    parent: Letter | None = None
    """The mail answered."""
    domain: str = ""
    """Domain of the sender's Message-IDs; that of From if it is empty."""
    dropped: frozenset[str] = frozenset()
    """Addresses left out with a reason, in :func:`~reviewbot.series.addresses.canonical` form."""
    now: datetime | None = None
    """The clock, aware of its zone."""


def read_letter(raw: bytes) -> Letter:
    """Read the bytes of a mail; what is no mail is one without headers."""
    raw = raw.replace(b"\r\n", b"\n")
    if raw.startswith(b"From "):  # an mbox of one
        raw = raw.partition(b"\n")[2]
    head, _, content = raw.partition(b"\n\n")
    message = BytesHeaderParser(policy=compat32).parsebytes(head + b"\n\n")
    return Letter(raw, message, content)
