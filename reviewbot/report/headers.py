# SPDX-License-Identifier: GPL-2.0-or-later
"""Mail headers from strangers' values: checked, encoded, folded (RFC 5322, 2047).

:class:`email.message.EmailMessage` is not used to write them: it turns a
message-id longer than a line into an encoded word (Python 3.11 to 3.13), and a
reply whose References are encoded words is in no thread.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable
from email.charset import SHORTEST, Charset
from email.header import Header
from email.utils import quote

from reviewbot.report.clean import one_line
from reviewbot.series.model import Identity

SUBJECT_LIMIT = 240
NAME_LIMIT = 80
ADDRESS_LIMIT = 254
RECIPIENTS_LIMIT = 128
"""A stranger chooses who is in Cc; a treewide patch has about a hundred."""
REFERENCES_LIMIT = 100
"""Ids kept of a long thread: the first, which names it, and the newest."""

_ASCII, _UTF8 = Charset("us-ascii"), Charset("utf-8")
# Who imports b4 has told the email package to send UTF-8 as it is.
_UTF8.header_encoding = SHORTEST
_MESSAGE_ID = re.compile(r"[!-;=?A-~]{1,200}@[!-;=?A-~]{1,200}")
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?P<domain>(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63})"
)
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
"""A display name that needs no quotes (RFC 5322, 3.2.3)."""
_MASKED = re.compile(r"(?i)(?:x+\.)*x+")
"""A domain that an archive has crossed out: ``xxxxxxxxx`` or ``xxxxx.xxx``."""
_RE = re.compile(r"(?i)^(?:re\s*(?:\[\d+\])?\s*:\s*)+")


def is_message_id(value: str) -> bool:
    """Whether ``value`` can stand between angle brackets (RFC 5322, 3.6.4, no white space)."""
    return _MESSAGE_ID.fullmatch(value) is not None


def is_address(value: str) -> bool:
    """Whether mail can be sent there: no empty, bare or crossed-out address (RFC 5321)."""
    match = _ADDRESS.fullmatch(value)
    return (
        match is not None
        and len(value) <= ADDRESS_LIMIT
        and _MASKED.fullmatch(match["domain"]) is None
    )


def reply_subject(original: str) -> str:
    """``Re: `` and the original, exactly once (RFC 5322, 3.6.5)."""
    subject = _RE.sub("", one_line(original, SUBJECT_LIMIT))
    return f"Re: {subject or '(no subject)'}"


def references(ancestors: Iterable[str], answered: str) -> tuple[str, ...]:
    """The References of a reply: those of the mail answered, then its own id."""
    known = (known for known in (*ancestors, answered) if is_message_id(known))
    ids = tuple(dict.fromkeys(known))
    if len(ids) <= REFERENCES_LIMIT:
        return ids
    return (ids[0], *ids[-(REFERENCES_LIMIT - 1) :])


def archive_link(message_id: str) -> str:
    """Where a message-id leads (https://korg.docs.kernel.org/lore.html)."""
    known = one_line(message_id, ADDRESS_LIMIT).encode("utf-8", "replace")
    return f"https://lore.kernel.org/r/{urllib.parse.quote(known, safe='@')}"


def text_header(name: str, value: str) -> str:
    """An unstructured header such as Subject, folded, encoded when it has to be.

    A leading ``Re:`` stays readable: threading tools look for it undecoded.
    """
    if value.startswith("Re: ") and not _is_plain(value):
        return f"{name}: Re: {_encoded(value[4:], name + ' Re:')}"
    return f"{name}: {_encoded(value, name)}"


def address_header(name: str, people: Iterable[Identity]) -> str:
    """An address list, one a line."""
    return f"{name}: " + ",\n ".join(map(_mailbox, people))


def id_header(name: str, ids: Iterable[str]) -> str:
    """Message-ids, one a line and never encoded."""
    return f"{name}: " + "\n ".join(f"<{one_line(value)}>" for value in ids)


def _mailbox(person: Identity) -> str:
    # Recipients are checked before; the sender's own address is for the linter.
    name, address = one_line(person.name, NAME_LIMIT), one_line(person.address, ADDRESS_LIMIT)
    if not name:
        return address
    if not _is_plain(name):
        return f"{_encoded(name, 'Resent-Sender')} <{address}>"
    phrase = name if _ATOMS.fullmatch(name) else f'"{quote(name)}"'
    return f"{phrase} <{address}>"


def _encoded(value: str, name: str) -> str:
    charset = _ASCII if _is_plain(value) else _UTF8
    header = Header(value, charset, maxlinelen=76, header_name=name, continuation_ws=" ")
    return header.encode(splitchars=" ", linesep="\n")


def _is_plain(value: str) -> bool:
    # Text that looks like an encoded word is encoded, or a reader's mail
    # program decodes it to what was kept out of the header.
    return value.isascii() and "=?" not in value
