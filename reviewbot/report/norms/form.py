# SPDX-License-Identifier: GPL-2.0-or-later
"""Norms of form: plain text in one part, and headers as RFC 5322 has them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from reviewbot.report.clean import is_hidden
from reviewbot.report.headers import RECIPIENTS_LIMIT, is_address, is_message_id
from reviewbot.report.letter import Letter, Situation, Voice
from reviewbot.series.addresses import canonical, decoded, domain_of

LINE_BYTES = 998
"""RFC 5322, 2.1.1, without the line end."""

_ONCE = (
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Auto-Submitted",
    "X-Patchwork-Hint",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
)
_ALWAYS = ("From", "Subject", "Date", "Message-ID")
_OWN = frozenset(name.lower() for name in _ONCE if name not in ("Sender", "Reply-To"))
_ON_THE_WAY = frozenset(
    {
        "received",
        "return-path",
        "delivered-to",
        "authentication-results",
        "dkim-signature",
        "x-developer-signature",
        "x-developer-key",
        "precedence",
    }
)
"""What signing and the way to a reader add (RFC 5322, 3.6.7; RFC 6376), besides ``List-…``."""
_PART = re.compile(rb"(?im)^content-type:[ \t]*text/html")
_ATTACHED = re.compile(rb"(?im)^content-disposition:[ \t]*attachment|^begin \d{3} \S")
_MARKUP = re.compile(r"(?i)</?(?:html|body|div|span|br|p|table|font)\b[^<>\n]*>")
_RE_TWICE = re.compile(r"(?i)Re:\s*(?:re|aw|sv)\s*(?:\[\d+\])?\s*:")
_ENCODED = re.compile(r"(?i)=\?[\w-]+\?[bq]\?[^?\s]*\?=")
_SKEW = timedelta(days=1)
_EPOCH_YEAR = 1991


def single_part(letter: Letter, _: Situation) -> Iterator[str]:
    if letter.kind != "text/plain":
        yield f"the type is {letter.kind[:60]!a}"


def no_html(letter: Letter, _: Situation) -> Iterator[str]:
    if letter.kind == "text/html" or _PART.search(letter.content):
        yield "a part is HTML"
    elif letter.kind == "text/plain" and any(map(_MARKUP.match, letter.lines)):
        yield "a line starts with an HTML tag"


def no_attachment(letter: Letter, _: Situation) -> Iterator[str]:
    disposition = letter.value("Content-Disposition").lower()
    if disposition.startswith("attachment") or _ATTACHED.search(letter.content):
        yield "something is attached"


def utf8(letter: Letter, _: Situation) -> Iterator[str]:
    charset = re.search(r"(?:^|;)charset=([\w-]*)", letter.parameters)
    named = charset[1] if charset else "us-ascii"
    data = letter.bytes_of_text
    if named != "utf-8" and not (named == "us-ascii" and data.isascii()):
        yield "Content-Type does not say utf-8"
    if data.decode("utf-8", "ignore").encode() != data:
        yield "the body holds text that is not UTF-8"


def eight_bit(letter: Letter, _: Situation) -> Iterator[str]:
    if letter.encoding not in ("8bit", "7bit"):
        yield f"the text is encoded as {letter.encoding[:40]!a}"
    elif letter.encoding == "7bit" and not letter.content.isascii():
        yield "the text has 8 bits and is not marked as 8bit"


def not_flowed(letter: Letter, _: Situation) -> Iterator[str]:
    if "format=flowed" in letter.parameters or "delsp=" in letter.parameters:
        yield "Content-Type says that lines may be joined"


def headers_once(letter: Letter, _: Situation) -> Iterator[str]:
    for name in _ONCE:
        count = len(letter.all(name))
        if count > 1:
            yield f"{name} is there {count} times"
        elif name in _ALWAYS and not letter.value(name):
            yield f"{name} is not there"
    if letter.value("Content-Type") and not letter.value("MIME-Version"):
        yield "MIME-Version is not there"


def no_bcc(letter: Letter, _: Situation) -> Iterator[str]:
    if letter.all("Bcc"):
        yield "Bcc would be seen by all, or mailed to in secret"


def known_headers(letter: Letter, _: Situation) -> Iterator[str]:
    names = {name.lower() for name in letter.message}
    strange = {name for name in names - _OWN - _ON_THE_WAY if not name.startswith("list-")}
    for name in sorted(strange)[:3]:
        yield f"{name[:60]!a} is no header that reviewbot writes"


def addresses(letter: Letter, _: Situation) -> Iterator[str]:
    authors = letter.people("From")
    if len(authors) != 1 or not is_address(authors[0].address):
        yield "From is not one address"
    for name in ("To", "Cc", "Reply-To"):
        for value in letter.all(name):
            people = [one for one in letter.people(name) if one.address != ";"]
            if any(not is_address(one.address) for one in people) or (value and not people):
                yield f"{name} holds what is no address"
                break


def recipients(letter: Letter, _: Situation) -> Iterator[str]:
    counted = Counter(canonical(one.address) for one in letter.people("To", "Cc"))
    if not counted:
        yield "nobody is in To or Cc"
    if len(counted) > RECIPIENTS_LIMIT:
        yield f"{len(counted)} recipients, more than {RECIPIENTS_LIMIT}"
    twice = sorted(address for address, times in counted.items() if times > 1)
    if twice:
        yield f"{twice[0][:80]!a} is in To and Cc more than once"


def subject(letter: Letter, situation: Situation) -> Iterator[str]:
    answers = bool(letter.value("In-Reply-To")) or situation.voice > Voice.PERSON
    if answers and not letter.value("Subject").startswith("Re: "):
        yield "Subject does not start with Re:"
    elif _RE_TWICE.match(letter.subject):
        yield "Subject has Re: more than once"


def threading(letter: Letter, _: Situation) -> Iterator[str]:
    answered, chain = letter.ids("In-Reply-To"), letter.ids("References")
    if answered != chain[-1:]:
        yield "In-Reply-To is not the last of References"
    if not all(map(is_message_id, chain)):
        yield "References holds what is no message-id"
    elif len(set(chain)) < len(chain):
        yield "References names a mail twice"


def own_id(letter: Letter, situation: Situation) -> Iterator[str]:
    own = letter.ids("Message-ID")
    if len(own) != 1 or not is_message_id(own[0]):
        yield "Message-ID is not one message-id"
    elif own[0] in letter.ids("References"):
        yield "Message-ID is that of another mail"
    elif situation.voice > Voice.PERSON:
        authors = letter.people("From")
        wanted = situation.domain or (domain_of(authors[0].address) if authors else "")
        if not _related(domain_of(own[0]), wanted.casefold()):
            yield f"Message-ID is not of the sender's domain {wanted[:80]!a}"


def _related(one: str, other: str) -> bool:
    """Whether two domains are the same, or one is within the other."""
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def date(letter: Letter, situation: Situation) -> Iterator[str]:
    when = date_of(letter)
    if when is None:
        yield "Date is no date with a zone"
    elif when.year < _EPOCH_YEAR:
        yield "Date is older than Linux"
    elif situation.now is not None and when > situation.now + _SKEW:
        yield "Date is in the future"


def date_of(letter: Letter) -> datetime | None:
    """When a mail says that it was written; None without a date and a zone."""
    try:
        found = parsedate_to_datetime(letter.value("Date")[:100])
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return found if found.tzinfo is not None else None


def auto_submitted(letter: Letter, _: Situation) -> Iterator[str]:
    kind = letter.value("Auto-Submitted").partition(";")[0].strip()
    if kind not in ("auto-replied", "auto-generated"):
        yield "Auto-Submitted does not say that a program wrote it"
    elif kind == "auto-generated" and letter.value("In-Reply-To"):
        yield "Auto-Submitted of an answer is not auto-replied"


def patchwork_hint(letter: Letter, _: Situation) -> Iterator[str]:
    if letter.value("X-Patchwork-Hint").lower() != "ignore":
        yield "X-Patchwork-Hint is not ignore"


def characters(letter: Letter, _: Situation) -> Iterator[str]:
    if any(is_hidden(char) and char not in "\n\t\f" for char in letter.body):
        yield "the body holds a control or bidirectional character"
    for name in ("From", "To", "Cc", "Subject"):
        shown = decoded(letter.value(name))
        if any(map(is_hidden, shown)):
            yield f"{name} holds a control or bidirectional character"
        elif shown == letter.value(name) and _ENCODED.search(shown):
            yield f"{name} holds an encoded word that cannot be read"


def line_bytes(letter: Letter, _: Situation) -> Iterator[str]:
    if any(len(line) > LINE_BYTES for line in letter.raw.split(b"\n")):
        yield f"a line has more than {LINE_BYTES} bytes"


def transport(letter: Letter, situation: Situation) -> Iterator[str]:
    if b"\r" in letter.raw:
        yield "a lone carriage return"
    if b"\0" in letter.raw:
        yield "a NUL"
    lines = letter.body.split("\n") if situation.voice > Voice.PERSON else []
    if any(line == "." or line.startswith("From ") for line in lines):
        yield 'a line that is "." or starts with "From "'
