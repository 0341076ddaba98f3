# SPDX-License-Identifier: GPL-2.0-or-later
"""Address headers read, and addresses compared (RFC 5322, 3.4; RFC 2047, 5).

A header is split into mailboxes first and decoded after that: an encoded word
may hold commas, and is never an address.  Addresses are compared parsed, never
by substring.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import getaddresses

from reviewbot.series.model import Identity

MAX_VALUE = 64 * 1024
"""Characters of one header that are read."""
MAX_NAME = 1000
"""Characters of one display name that are decoded."""

# Where it can be strict (CVE-2023-27043), one doubtful mailbox makes it drop all.
_LENIENT = {"strict": False} if "strict" in inspect.signature(getaddresses).parameters else {}


def read_addresses(values: Iterable[str]) -> tuple[Identity, ...]:
    """Everyone in the values of an address header, as written; groups are taken apart.

    What is not an address stands in :attr:`Identity.address` as it was found:
    the caller decides what can be mailed.
    """
    found = (pair for value in values for pair in _split(value[:MAX_VALUE]))
    return tuple(Identity(decoded(name[:MAX_NAME]), address) for name, address in found if address)


def _split(value: str) -> Iterable[tuple[str, str]]:
    try:
        return getaddresses([value], **_LENIENT)
    except RecursionError:  # a comment in a comment in a comment ...
        return ()


def decoded(text: str) -> str:
    """A header's text with its encoded words read; as it is if they cannot be."""
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, ValueError):
        return text


def canonical(address: str) -> str:
    """What two spellings of an address have in common: case is no difference.

    RFC 5321, 2.4, lets a server tell local parts by case.  None that lists know
    does, and one mail too few is better than two.
    """
    local, at, domain = address.strip().rpartition("@")
    return f"{local.casefold()}{at}{domain.casefold().rstrip('.')}"


def mailbox(address: str) -> str:
    """Whose address it is, without a detail: ``robin+kernel@`` is Robin's (RFC 5233)."""
    local, at, domain = canonical(address).rpartition("@")
    owner = local.partition("+")[0]
    return f"{owner or local}{at}{domain}"


def domain_of(address: str) -> str:
    """The domain of an address, in lower case."""
    return canonical(address).rpartition("@")[2]


def is_relay(address: str) -> bool:
    """Whether this is From of b4's web relay, which nobody reads (b4 docs, contributor/send)."""
    return mailbox(address) == "devnull@kernel.org"
