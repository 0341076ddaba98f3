# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports that a mail could not be delivered: RFC 3464, and what Exim and qmail write.

Read in time that grows with a report's size: it is a stranger's text like any
other.  Nothing here believes it; the state knows whether we wrote there at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import unquote
from itertools import islice

from reviewbot.report.clean import one_line
from reviewbot.report.headers import is_address

MAX_REPORT = 512 * 1024
"""Bytes of a report that are read; most are below ten thousand."""
MAX_BOUNCES = 200
"""Addresses in one report."""
_MAX_IDS = 20
_FOLD = re.compile(r"\n[ \t]+")
_FIELD = re.compile(r"^([A-Za-z-]{1,40}):[ \t]*([^\n]{0,2000})$", re.MULTILINE)
_MESSAGE_ID = re.compile(
    r"^message-id:[ \t]*<([!-;=?A-~]{1,200}@[!-;=?A-~]{1,200})>", re.MULTILINE | re.IGNORECASE
)
_DAEMON = re.compile(r"(?im)^(?:from|return-path|sender):[^\n]*(?:mailer-daemon|postmaster|<>)")
_QMAIL = re.compile(r"^<([^\s<>]{1,254})>:\n((?:[^\n]+\n){1,10})", re.MULTILINE)
"""One paragraph of a qmail-send bounce message (https://cr.yp.to/proto/qsbmf.txt)."""
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_ALIVE = re.compile(r"5\.(?:2\.[234]|3\.\d+|6\.\d+|7\.\d+)$")
"""Permanent, and not about the address (RFC 3463): full, too large, content, policy."""


@dataclass(frozen=True, slots=True)
class Bounce:
    """An address that a mail did not reach for good."""

    address: str
    status: str
    """As RFC 3463 has it; empty if the report has none."""
    said: str
    dead: bool
    """Whether the address is at fault, not this one mail."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a mail says about mails that were not delivered."""

    message_ids: tuple[str, ...] = ()
    """Those named below its own headers; ours is among them."""
    bounces: tuple[Bounce, ...] = ()


def read_report(raw: bytes) -> Report:
    """What a mail reports; nothing if it is no report, or one that mail is late."""
    text = raw[:MAX_REPORT].decode("utf-8", "replace").replace("\r\n", "\n")
    head, _, body = text.partition("\n\n")
    head = _FOLD.sub(" ", head)
    if not _DAEMON.search(head) and "delivery-status" not in head.lower():
        return Report()
    found = (*_standard(body), *_exim(head, body), *_qmail(body))
    bounces = {bounce.address.lower(): bounce for bounce in reversed(found)}
    ids = dict.fromkeys(match[1] for match in _MESSAGE_ID.finditer(body))
    return Report(
        tuple(islice(ids, _MAX_IDS)), tuple(islice(reversed(bounces.values()), MAX_BOUNCES))
    )


def _standard(body: str) -> Iterator[Bounce]:
    """The groups of message/delivery-status (RFC 3464, 2.3)."""
    if "final-recipient" not in body.lower():
        return
    for block in _FOLD.sub(" ", body).split("\n\n"):
        fields = {match[1].lower(): match[2].strip() for match in _FIELD.finditer(block)}
        recipient = fields.get("original-recipient") or fields.get("final-recipient", "")
        if fields.get("action", "").lower() != "failed" or not recipient:
            continue
        said = fields.get("diagnostic-code", "").partition(";")[2] or fields.get("status", "")
        yield from _bounce(_typed(recipient), fields.get("status", ""), said)


def _typed(recipient: str) -> str:
    """The address of ``rfc822; someone@example.org``."""
    kind, separator, address = recipient.partition(";")
    return unquote((address if separator else kind).strip())


def _exim(head: str, body: str) -> Iterator[Bounce]:
    found = re.search(r"(?im)^x-failed-recipients:[ \t]*([^\n]{1,10000})$", head)
    for address in found[1].split(",") if found else ():
        said = body.partition(f"{address.strip()}\n")[2][:400].strip().partition("\n\n")[0]
        yield from _bounce(address.strip(), "", said)


def _qmail(body: str) -> Iterator[Bounce]:
    if "qmail-send" not in body[:400]:
        return
    for match in islice(_QMAIL.finditer(body), MAX_BOUNCES):
        yield from _bounce(match[1], "", match[2])


def _bounce(address: str, status: str, said: str) -> Iterator[Bounce]:
    if not is_address(address):
        return
    found = _STATUS.search(status) or _STATUS.search(said)
    code = found[1] if found else ""
    if not code.startswith(("2", "4")):
        yield Bounce(address, code, one_line(said, 200), dead=not _ALIVE.match(code))
