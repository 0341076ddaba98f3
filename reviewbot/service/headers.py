# SPDX-License-Identifier: GPL-2.0-or-later
"""The headers of a stranger's mail: bounded, decoded, on one line each.

Addresses and message-ids are taken by hand, out of the raw text: RFC 5322's grammar,
applied to what is really posted, mangles names with commas and parentheses, and the
parsers for it take time without bound.  What is decoded is cut first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.header import decode_header
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import mktime_tz, parsedate_tz

from reviewbot.series.addresses import is_relay
from reviewbot.series.model import Identity
from reviewbot.series.source import is_message_id

MAX_VALUE = 2000
"""Characters of a header that are decoded."""
MAX_ITEMS = 1000
"""Recipients or references taken from one mail."""

_CHARSET = re.compile(
    r"utf-?8|(us-)?ascii|(iso[-_]?8859|windows|cp)[-_]?\d{1,4}|latin[-_]?1|koi8-[ru]"
    r"|gb(2312|k|18030)|big5(-?hkscs)?|euc-(jp|kr|cn)|shift_jis|iso-2022-(jp|kr)",
    re.IGNORECASE,
)
"""Those of the world's mail; of others that Python knows, punycode takes quadratic time."""
_BRACKETED = re.compile(r"<([^<>\s]+)>")
_ADDRESS = re.compile(r"[^\s<>@,;:\"()\[\]\\]{1,200}@[\w.-]{1,255}")
_BETWEEN_ADDRESSES = re.compile(r"[\s,;:<>()\"]+")
_VIA = re.compile(r" via \S.*$")
"""``Robin Ample via B4 Relay``, ``Robin Ample via linux-frob``."""


class Headers:
    """The header block of one message."""

    def __init__(self, block: bytes) -> None:
        parsed = BytesHeaderParser(policy=compat32).parsebytes(block)
        self._values: dict[str, list[str]] = {}
        for name, value in parsed.raw_items():
            text = str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            self._values.setdefault(name.lower(), []).append(one_line(text))

    def raw(self, name: str) -> str:
        """The first value of that name, not decoded; empty without one."""
        return self._values.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def names(self) -> Iterator[str]:
        return iter(self._values)

    def text(self, name: str) -> str:
        """The first value with its encoded words (RFC 2047) read."""
        return decoded(self.raw(name))

    def message_ids(self, name: str) -> tuple[str, ...]:
        """The ids in all values of that name, each once, in order."""
        found = (item for value in self.all(name) for item in _BRACKETED.findall(value))
        return tuple(dict.fromkeys(item for item in found if is_message_id(item)))[-MAX_ITEMS:]

    def addresses(self, name: str) -> tuple[str, ...]:
        """The addresses in all values of that name, in lower case."""
        words = (word for value in self.all(name) for word in _BETWEEN_ADDRESSES.split(value))
        found = (word.lower() for word in words if "@" in word)
        return tuple(dict.fromkeys(w for w in found if _ADDRESS.fullmatch(w)))[:MAX_ITEMS]

    def lists(self) -> tuple[str, ...]:
        """List-Ids (RFC 2919) and the addresses in To and Cc."""
        ids = [
            found.lower()
            for value in self.all("list-id")
            for found in (_BRACKETED.findall(value) or value.split()[-1:])
        ]
        found = (*ids, *self.addresses("to"), *self.addresses("cc"))
        return tuple(dict.fromkeys(found))[:MAX_ITEMS]

    def author(self) -> Identity:
        """Who wrote the mail; behind b4's relay, or a list that puts itself into From for
        DMARC's sake, the person meant."""
        sender = identity(self.raw("from"))
        own = self.lists()
        relayed = is_relay(sender.address)
        munged = _VIA.search(sender.name) is not None and sender.address.lower() in own
        if not (relayed or munged):
            return sender
        name = _VIA.sub("", sender.name)
        for header in ("x-original-from", "reply-to"):
            person = identity(self.raw(header))
            other = person.address and person.address.lower() not in own
            if other and not is_relay(person.address):
                return Identity(person.name or name, person.address)
        return Identity(name, sender.address if relayed else "")

    def date(self) -> int:
        """Seconds since 1970 that ``Date:`` says, 0 for nonsense."""
        try:
            parts = parsedate_tz(self.raw("date")[:100])
            return mktime_tz(parts) if parts is not None else 0
        except (ValueError, OverflowError, IndexError, TypeError):
            return 0


def identity(value: str) -> Identity:
    """The first person of a raw address header; nobody if it has no address."""
    value = value[:MAX_VALUE]
    for found in _BRACKETED.finditer(value):
        if _ADDRESS.fullmatch(found[1]):
            name = decoded(value[: found.start()]).strip()
            return Identity(name.strip('"').replace('\\"', '"').strip(), found[1])
    words = _BETWEEN_ADDRESSES.split(value)
    address = next((word for word in words if _ADDRESS.fullmatch(word)), "")
    comment = value[value.find("(") + 1 : value.rfind(")")] if "(" in value else ""
    return Identity(decoded(comment) if address else "", address)


def decoded(value: str) -> str:
    """Text of a header with encoded words read: one line that can be printed.

    To look at; :func:`reviewbot.series.addresses.decoded` is for what may be written again.
    """
    value = value[:MAX_VALUE]
    if "=?" in value:
        pieces = decode_header(value)
        value = "".join(
            piece if isinstance(piece, str) else as_text(piece, charset or "")
            for piece, charset in pieces
        )
    return one_line(value)


def one_line(text: str) -> str:
    """The text on one line, without what cannot be printed."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(filter(str.isprintable, line))


def as_text(data: bytes, charset: str) -> str:
    """Bytes in a charset that mail is written in; in any other they are read as UTF-8."""
    known = charset if _CHARSET.fullmatch(charset) else "utf-8"
    try:
        return data.decode(known, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")
