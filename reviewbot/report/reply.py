# SPDX-License-Identifier: GPL-2.0-or-later
"""From a review to the mail that answers the series.

Which mail is answered, who gets it and what it is called is decided in
:mod:`reviewbot.report.envelope`; here it gets its words and its bytes, and is
not given away before the linter has seen it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime

from reviewbot.config_service import PostMode
from reviewbot.errors import ExitStatus, ReviewbotError
from reviewbot.report import etiquette
from reviewbot.report.clean import one_line
from reviewbot.report.envelope import (
    Answer,
    Audience,
    Distribution,
    Field,
    Policy,
    answer,
    answers,
    distribute,
    message_id,
    rule,
)
from reviewbot.report.facts import listed, numbered
from reviewbot.report.headers import (
    address_header,
    archive_link,
    id_header,
    is_message_id,
    references,
    reply_subject,
    text_header,
)
from reviewbot.report.model import Review
from reviewbot.report.norms.text import allowed_lines
from reviewbot.report.remarks import DETAILS
from reviewbot.report.templates import environment
from reviewbot.report.view import ReviewView, view
from reviewbot.series.model import Identity

_TO_ALL = Policy(mode=PostMode.LIST)
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
    distribution: Distribution
    subject: str
    date: datetime
    message_id: str
    """Without angle brackets, as the two below."""
    in_reply_to: str
    """Empty if there is no mail to answer."""
    references: tuple[str, ...]
    body: str

    @property
    def to(self) -> tuple[Identity, ...]:
        return self.distribution.field(Field.TO)

    @property
    def cc(self) -> tuple[Identity, ...]:
        return self.distribution.field(Field.CC)

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


def render_text(review: Review, sender: Sender, said: Answer | None = None) -> str:
    """The body of the reply, which is what the terminal shows.

    ``said`` is what one of several answers is about; all of it if it is not given.
    """
    about = replace(review, hazards=said.hazards) if said else review
    text = ""
    for detail in DETAILS:
        text = _filled(view(about, detail, said.patch if said else None), review, sender, said)
        if text.count("\n") <= allowed_lines(text):
            break
    return text


def _filled(shown: ReviewView, review: Review, sender: Sender, said: Answer | None) -> str:
    elsewhere = said.elsewhere if said else ()
    text = (
        environment()
        .get_template("reply.txt.j2")
        .render(
            review=shown,
            elsewhere=listed([numbered(patch, review.series) for patch in elsewhere]),
            credit=_credit(review, sender, said),
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


def _credit(review: Review, sender: Sender, said: Answer | None) -> dict[str, str] | None:
    """Tags for a fix of what the series did not bring; none if no mail would be posted."""
    answered = (said or answer(review)).envelope
    if not is_message_id(answered.message_id):
        return None
    link = archive_link(message_id(review, sender.domain, _apart(said)))
    return {"by": one_line(f"{sender.name} <{sender.address}>"), "link": link}


def _apart(said: Answer | None) -> int | None:
    """The patch that tells one of several answers from the others."""
    return said.patch if said and said.elsewhere else None


def render_reply(
    review: Review,
    sender: Sender,
    *,
    date: datetime | None = None,
    policy: Policy | None = None,
) -> Reply:
    """The one mail that answers the series, not yet checked: see :func:`checked`.

    ``date`` is the clock, aware of its zone; now if it is not given.  Without a
    policy it is addressed as if it were posted to all.
    """
    return _reply(review, sender, answer(review), date, policy)


def render_replies(
    review: Review,
    sender: Sender,
    policy: Policy | None = None,
    *,
    date: datetime | None = None,
) -> tuple[Reply, ...]:
    """The mails that answer the series, one for each of :func:`~.envelope.answers`: several if
    several patches have findings of their own.  Otherwise as :func:`render_reply`."""
    return tuple(_reply(review, sender, said, date, policy) for said in answers(review))


def _reply(
    review: Review, sender: Sender, said: Answer, date: datetime | None, policy: Policy | None
) -> Reply:
    answered = said.envelope
    in_reply_to = answered.message_id if is_message_id(answered.message_id) else ""
    own = replace(policy or _TO_ALL, own=(policy or _TO_ALL).own | {sender.address})
    audience = rule(review, policy).audience if policy else Audience.ALL
    return Reply(
        sender=sender.identity,
        distribution=distribute(answered, own, audience),
        subject=reply_subject(answered.subject),
        date=date or datetime.now(UTC),
        message_id=message_id(review, sender.domain, _apart(said)),
        in_reply_to=in_reply_to,
        references=references(answered.references, in_reply_to) if in_reply_to else (),
        body=render_text(review, sender, said),
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
