# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a mail is from whom it says: a DKIM signature (RFC 6376) of the author's domain.

A signature counts if its domain is that of ``From:`` or one above it, as nobody but the
domain's owner can publish its key.  It has to cover the text as a whole, who wrote it and
which mail it answers: a signed mail could else be posted again in another thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import dkim
import dns.exception
import dns.resolver
from dkim.util import InvalidTagValueList, parse_tag_value

from reviewbot.errors import ServiceError
from reviewbot.series.addresses import canonical, domain_of, read_addresses
from reviewbot.service.headers import Headers

Resolve = Callable[[str], bytes | None]
"""The TXT record of a name, None if there is none; raises :class:`ResolveError`."""

MAX_SIGNATURES = 5
"""Of one mail that are looked at: its author's server and a list put one each."""
_MIN_KEY = 1024
"""Bits of an RSA key (RFC 8301, 3.2)."""
_ALGORITHMS = frozenset({b"rsa-sha256", b"ed25519-sha256"})
"""RFC 8301, 3.1, has done away with SHA-1."""
_SINGLE = (
    *("from", "subject", "date", "message-id", "in-reply-to", "references"),
    *("content-type", "content-transfer-encoding"),
)
"""Headers of which a mail has one (RFC 5322, 3.6); of two, one would go unsigned."""
_BLOCK = re.compile(rb"(?:[!-9;-~]+:[^\r\n]*\n(?:[ \t][^\r\n]*\n)*)+")
"""Headers that every parser reads in the same way: of others, ours may see one that the
signature's does not."""
_ANSWERING = ("in-reply-to", "references")
_SHAPING = ("content-type", "content-transfer-encoding")
_PLAIN = re.compile(r"\s*(?:text/plain\b.*|7bit|8bit|quoted-printable)\s*", re.IGNORECASE)
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What dkimpy raises, besides its own, for a signature or key that is malformed."""
_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+\.?")


class ResolveError(ServiceError):
    """The name service does not answer at the moment."""


def resolver(seconds: float) -> Resolve:
    """The system's name service; each question may take so long."""

    def resolve(name: str) -> bytes | None:
        try:
            answer = dns.resolver.resolve(name, "TXT", lifetime=seconds, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None
        except dns.exception.DNSException as error:
            raise ResolveError(
                f"{name} cannot be looked up ({type(error).__name__}): check the name service."
            ) from error
        return next((b"".join(record.strings) for record in answer), None)

    return resolve


def author_of(headers: Headers) -> str:
    """The one address in ``From:``, in its canonical form; empty if there are more or none."""
    people = read_addresses(headers.all("from"))
    return canonical(people[0].address) if len(people) == 1 and "@" in people[0].address else ""


def author_in(raw: bytes) -> str:
    """The same for a whole mail."""
    return author_of(Headers(raw.partition(b"\n\n")[0] + b"\n\n"))


def objection(raw: bytes, resolve: Resolve) -> str:
    """Why a mail is not known to be from its author, one clause; empty if it is.

    Raises :class:`ResolveError`.
    """
    block = raw.partition(b"\n\n")[0]
    if not _BLOCK.fullmatch(block + b"\n"):
        return "its headers are malformed"
    headers = Headers(block + b"\n\n")
    author = author_of(headers)
    if not author:
        return "From names no one person"
    if doubled := next((name for name in _SINGLE if len(headers.all(name)) > 1), ""):
        return f"it has {doubled} more than once"
    reasons = []
    for index, value in enumerate(headers.all("dkim-signature")[:MAX_SIGNATURES]):
        why = _unfit(_tags(value), domain_of(author), headers)
        if not why and _verifies(raw, index, resolve):
            return ""
        reasons.append(why or "its DKIM signature does not verify")
    return next(iter(reasons), "it has no DKIM signature")


def _tags(value: str) -> Mapping[bytes, bytes]:
    try:
        found: Mapping[bytes, bytes] = parse_tag_value(value.encode("utf-8", "replace"))
    except InvalidTagValueList:
        return {}
    return found


def _unfit(tags: Mapping[bytes, bytes], domain: str, headers: Headers) -> str:
    """Why a signature does not say what we want to know, whether it is good or not."""
    signer = tags.get(b"d", b"").decode("ascii", "replace").lower()
    if "." not in signer or not f".{domain}".endswith(f".{signer}"):
        return "its DKIM signature is of another domain than From"
    if tags.get(b"a", b"") not in _ALGORITHMS:
        return "its DKIM signature's algorithm is not accepted"
    if b"l" in tags:
        return "its DKIM signature leaves out the end of the text"
    signed = {
        name.strip().lower() for name in tags.get(b"h", b"").decode("ascii", "replace").split(":")
    }
    if bare := next(iter(_unsigned(headers, signed)), ""):
        return f"its DKIM signature leaves out {bare}"
    return ""


def _unsigned(headers: Headers, signed: set[str]) -> Iterable[str]:
    """Headers that matter, are there and are not signed."""
    yield from (name for name in ("from", *_ANSWERING) if headers.raw(name) and name not in signed)
    for name in _SHAPING:
        # Many servers do not sign these; plain text cannot be made to read otherwise by them.
        value = headers.raw(name)
        if value and name not in signed and not _PLAIN.fullmatch(value):
            yield name


def _verifies(raw: bytes, index: int, resolve: Resolve) -> bool:
    def ask(name: bytes, timeout: float = 0) -> bytes | None:
        text = name.decode("ascii", "replace")
        return resolve(text) if _NAME.fullmatch(text) else None

    try:
        return bool(dkim.DKIM(raw, minkey=_MIN_KEY).verify(index, dnsfunc=ask))
    except (dkim.DKIMException, *_MALFORMED):
        return False
