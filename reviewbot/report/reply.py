# SPDX-License-Identifier: GPL-2.0-or-later
"""From a review to the mail that answers the series.

One review makes one mail: a verdict on the whole series answers the cover
letter, else the first patch.  Its Message-ID is derived from what was reviewed
and what was said, so the same review never makes two different mails.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256

from reviewbot.errors import ExitStatus, ReviewbotError
from reviewbot.report import etiquette
from reviewbot.report.clean import one_line
from reviewbot.report.headers import (
    RECIPIENTS_LIMIT,
    address_header,
    id_header,
    is_address,
    is_message_id,
    references,
    reply_subject,
    text_header,
)
from reviewbot.report.model import Review
from reviewbot.report.templates import environment
from reviewbot.report.view import view
from reviewbot.series.model import Envelope, Identity, Series

_RELAY = re.compile(r"devnull\+.*@kernel\.org")
"""From of b4's web relay: nobody reads it, the author is in Reply-To."""
_BLANK_LINES = re.compile(r"\n{3,}")


class EtiquetteError(ReviewbotError):
    """A reply breaks a rule of etiquette and is neither written nor sent."""

    exit_status = ExitStatus.NOT_REVIEWABLE


@dataclass(frozen=True, slots=True)
class Sender:
    """Who the bot is, from the configuration."""

    name: str
    address: str
    operator: str
    """Who runs it."""
    contact: str
    """Where that person is reached: an address or a URL."""
    stop: str
    """How to stop the mails, such as "write to bot-owner@example.org"."""
    domain: str
    """Domain of the Message-IDs."""

    @property
    def identity(self) -> Identity:
        """Sender as it stands in From."""
        return Identity(self.name, self.address)


@dataclass(frozen=True, slots=True)
class Reply:
    """A mail ready to be written; every value is clean."""

    sender: Identity
    to: tuple[Identity, ...]
    cc: tuple[Identity, ...]
    subject: str
    date: datetime
    message_id: str
    """Without angle brackets, as the two below."""
    in_reply_to: str
    """Empty if there is no mail to answer."""
    references: tuple[str, ...]
    body: str

    def as_bytes(self) -> bytes:
        """The mail as RFC 5322 with LF line ends, for a file or ``sendmail -t -i``."""
        lines = [address_header("From", [self.sender])]
        if self.to:
            lines.append(address_header("To", self.to))
        if self.cc:
            lines.append(address_header("Cc", self.cc))
        lines.append(text_header("Subject", self.subject))
        lines.append(f"Date: {format_datetime(self.date)}")
        lines.append(id_header("Message-ID", [self.message_id]))
        if self.in_reply_to:
            lines.append(id_header("In-Reply-To", [self.in_reply_to]))
        if self.references:
            lines.append(id_header("References", self.references))
        lines += [
            "Auto-Submitted: auto-replied",
            "X-Patchwork-Hint: ignore",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 8bit",
        ]
        return ("\n".join(lines) + "\n\n" + self.body).encode("utf-8", "replace")


def render_text(review: Review, sender: Sender) -> str:
    """The body of the reply, which is what the terminal shows."""
    text = (
        environment()
        .get_template("reply.txt.j2")
        .render(
            review=view(review),
            sender={
                "operator": one_line(sender.operator),
                "contact": one_line(sender.contact),
                "stop": one_line(sender.stop),
            },
        )
    )
    body, _, footer = text.strip("\n").rpartition("\n-- \n")
    footer = re.sub(r"\n{2,}", "\n", footer.strip("\n"))
    return _BLANK_LINES.sub("\n\n", f"{body}\n\n-- \n{footer}\n")


def render_reply(review: Review, sender: Sender, *, date: datetime | None = None) -> Reply:
    """The mail that answers the series, not yet checked: see :func:`checked`.

    ``date`` is the clock, aware of its zone; now if it is not given.
    """
    answered = _answered(review.series)
    in_reply_to = answered.message_id if is_message_id(answered.message_id) else ""
    to, cc = _recipients(answered, sender)
    return Reply(
        sender=sender.identity,
        to=to,
        cc=cc,
        subject=reply_subject(answered.subject),
        date=date or datetime.now(UTC),
        message_id=_message_id(review, sender),
        in_reply_to=in_reply_to,
        references=references(answered.references, in_reply_to) if in_reply_to else (),
        body=render_text(review, sender),
    )


def checked(reply: Reply) -> bytes:
    """The reply's bytes, ready to be written.

    Raises:
        EtiquetteError: it breaks a rule of :mod:`reviewbot.report.etiquette`.
    """
    message = reply.as_bytes()
    violations = etiquette.check(message)
    if violations:
        rules = ", ".join(dict.fromkeys(violation.rule for violation in violations))
        raise EtiquetteError(
            f"The reply <{one_line(reply.message_id)}> breaks the etiquette of the lists "
            f"({rules}: {violations[0].what}) and was not written; "
            "correct the sender's settings, or report it as a bug of reviewbot."
        )
    return message


def _answered(series: Series) -> Envelope:
    """The mail to answer; what is known of a series of which nothing could be read."""
    if series.cover is not None or series.patches:
        return series.head
    return Envelope(
        message_id=series.message_id, subject=series.subject, author=Identity("", ""), date=""
    )


def _recipients(
    answered: Envelope, sender: Sender
) -> tuple[tuple[Identity, ...], tuple[Identity, ...]]:
    """To and Cc of a reply to all, without the bot and without dead addresses.

    Where Reply-To is set the author asked to be answered there; From stays in
    Cc, because a list may have set it, unless From is a relay that nobody reads.
    """
    seen = {sender.address.casefold()}
    author = () if _RELAY.fullmatch(answered.author.address) else (answered.author,)
    to = _fresh(answered.reply_to or author, seen)
    cc = _fresh((*author, *answered.to, *answered.cc), seen)
    return to, cc[: RECIPIENTS_LIMIT - len(to)]


def _fresh(people: Iterable[Identity], seen: set[str]) -> tuple[Identity, ...]:
    """Those with a usable address that were not seen before; marks them seen."""
    fresh = []
    for person in people:
        key = person.address.casefold()
        if key not in seen and is_address(person.address):
            seen.add(key)
            fresh.append(person)
    return tuple(fresh[:RECIPIENTS_LIMIT])


def _message_id(review: Review, sender: Sender) -> str:
    """Own, unique and known before sending: from what was reviewed and what was said."""
    series = review.series
    parts = [series.message_id, str(series.version), review.verdict.value]
    for patch in series.patches:
        # A patch that git cannot read has no patch-id; its text tells it apart.
        parts += [patch.envelope.message_id, patch.patch_id or patch.diff]
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    digest = sha256(text).hexdigest()[:24]
    return f"reviewbot-{review.verdict.value}-v{series.version}-{digest}@{sender.domain}"
