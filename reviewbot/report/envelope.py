# SPDX-License-Identifier: GPL-2.0-or-later
"""Who gets a reply, which mail it answers, and its name: pure, each with its reason.

Nothing here sends.  A list's policy says what may become of a verdict; the mail
that is answered says who had the patch; what comes out is To and Cc with a
reason for each address, and for each that is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from hashlib import sha256

from reviewbot.config_service import MAILED, ListConfig, PostMode
from reviewbot.locking.claims import claims_fix
from reviewbot.locking.model import ChangeState, Hazard, Verdict
from reviewbot.report.headers import RECIPIENTS_LIMIT, is_address
from reviewbot.report.model import Review
from reviewbot.series.addresses import canonical, is_relay, mailbox, read_addresses
from reviewbot.series.model import Envelope, Identity, Series

ANSWERS_LIMIT = 3
"""Mails about one series: with findings in more patches one mail holds them all."""

_GOOD_NEWS = (Verdict.REMOVED, Verdict.PARTIALLY_REMOVED)


class Field(StrEnum):
    """Where a recipient stands."""

    TO = "to"
    CC = "cc"


class Audience(StrEnum):
    """For whom a reply is."""

    AUTHOR = "author"
    ALL = "all"


class Dispatch(StrEnum):
    """What may become of a reply."""

    KEEP = "keep"
    """It is mailed to nobody."""
    APPROVE = "approve"
    """It goes out once a person has approved it."""
    SEND = "send"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who gets the mail, and why."""

    identity: Identity
    field: Field
    why: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Somebody who had the patch and does not get the reply, and why."""

    identity: Identity
    why: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """Everybody who gets a mail, and who does not."""

    recipients: tuple[Recipient, ...]
    left_out: tuple[LeftOut, ...] = ()

    def field(self, field: Field) -> tuple[Identity, ...]:
        """Those in To, or in Cc."""
        return tuple(one.identity for one in self.recipients if one.field is field)


@dataclass(frozen=True, slots=True)
class Policy:
    """What one list wants, and whom the bot must not write to."""

    mode: PostMode = PostMode.OFF
    verdicts: frozenset[Verdict] = frozenset(map(Verdict, MAILED))
    volunteers: tuple[Identity, ...] = ()
    own: frozenset[str] = frozenset()
    """The bot's addresses."""
    lists: frozenset[str] = frozenset()
    """Addresses or List-Ids of the lists that are known."""
    closed: frozenset[str] = frozenset()
    """Those of them that take no mail of the bot's."""
    bots: tuple[str, ...] = ()
    """Addresses of programs; ``*`` matches anything."""
    silent: frozenset[str] = frozenset()
    """Addresses that asked for no mail, are muted, or cannot be reached."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a policy makes of a verdict."""

    dispatch: Dispatch
    audience: Audience
    why: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A mail that is answered, and what is said there."""

    envelope: Envelope
    hazards: tuple[Hazard, ...]
    patch: int | None = None
    """The patch it is about; None where it is about the whole series."""
    elsewhere: tuple[int, ...] = ()
    """Patches that have an answer of their own."""


def policy_of(
    name: str,
    lists: Mapping[str, ListConfig],
    own: Iterable[str],
    *,
    bots: Iterable[str] = (),
    silent: Iterable[str] = (),
) -> Policy:
    """The policy of the configured list of that name; an unknown one is off.

    Other lists that had the patch get the reply only if they want it themselves.
    """
    known = {entry.address: PostMode(entry.post) for entry in lists.values() if entry.address}
    entry = lists.get(name, ListConfig())
    mode = PostMode(entry.post)
    open_modes = (PostMode.LIST, mode) if mode is PostMode.MODERATE else (PostMode.LIST,)
    return Policy(
        mode=mode,
        verdicts=frozenset(map(Verdict, entry.verdicts)),
        volunteers=read_addresses(entry.volunteers),
        own=frozenset(own),
        lists=frozenset(known),
        closed=frozenset(address for address, wants in known.items() if wants not in open_modes),
        bots=tuple(bots),
        silent=frozenset(silent),
    )


def rule(review: Review, policy: Policy) -> Ruling:
    """What may become of the reply to a review, for whom it is, and why."""
    verdict, mode = review.verdict, policy.mode
    audience, why = Audience.ALL, f"post = {mode.value}"
    if mode is PostMode.AUTHOR:
        audience = Audience.AUTHOR
    elif verdict in _GOOD_NEWS and not claims_fix(review.series.words):
        audience = Audience.AUTHOR
        why = f"{verdict.value} goes to the author alone: the series does not claim a fix"
    if verdict is Verdict.CLEAN:
        return Ruling(Dispatch.KEEP, audience, "clean is never mailed")
    if verdict not in policy.verdicts:
        return Ruling(Dispatch.KEEP, audience, f"the list's verdicts leave {verdict.value} out")
    if mode is PostMode.OFF:
        return Ruling(Dispatch.KEEP, audience, why)
    approve = mode is PostMode.MODERATE
    return Ruling(Dispatch.APPROVE if approve else Dispatch.SEND, audience, why)


def distribute(answered: Envelope, policy: Policy, audience: Audience) -> Distribution:
    """To and Cc of the answer to a mail.

    For all: where Reply-To is set its author asked to be answered there; From
    stays in Cc, because a list may have set it.  For the author alone: whoever
    wrote the mail, be it through a relay or a list that put itself into From.
    """
    if audience is Audience.AUTHOR:
        asked = (*_author(answered, policy), *_volunteers(policy))
        rest = (*answered.reply_to, answered.author, *answered.to, *answered.cc)
        dropped = "the reply is for the author alone"
    else:
        asked, rest, dropped = tuple(_everybody(answered)), (), ""
    given: dict[str, Recipient] = {}
    left: dict[str, LeftOut] = {}
    for one in asked:
        key = canonical(one.identity.address)
        why = barred(one.identity.address, policy, closed=audience is Audience.ALL)
        if not why and len(given) == RECIPIENTS_LIMIT and key not in given:
            why = f"there are {RECIPIENTS_LIMIT} recipients before"
        if why:
            left.setdefault(key, LeftOut(one.identity, why))
        else:
            given.setdefault(key, one)
    for identity in rest:
        left.setdefault(canonical(identity.address), LeftOut(identity, dropped))
    gone = tuple(one for key, one in left.items() if key not in given)
    return Distribution(tuple(given.values()), gone)


def _everybody(answered: Envelope) -> Iterator[Recipient]:
    for person in answered.reply_to:
        yield Recipient(person, Field.TO, "is in Reply-To of the mail answered")
    writers = answered.original_from or (answered.author,)
    for person in writers:
        field = Field.CC if answered.reply_to else Field.TO
        yield Recipient(person, field, "wrote the mail answered")
    yield Recipient(answered.author, Field.CC, "is in From of the mail answered")
    for person in answered.to:
        yield Recipient(person, Field.CC, "is in To of the mail answered")
    for person in answered.cc:
        yield Recipient(person, Field.CC, "is in Cc of the mail answered")


def _author(answered: Envelope, policy: Policy) -> Iterator[Recipient]:
    """The person who posted: not From where a relay or a list stands there."""
    copied = {canonical(one.address) for one in (*answered.to, *answered.cc)}

    def stands_in(address: str) -> bool:
        return (
            is_relay(address)
            or canonical(address) in copied
            or _is_one_of(address, policy.lists | policy.closed)
        )

    if not stands_in(answered.author.address):
        yield Recipient(answered.author, Field.TO, "wrote the mail answered")
        return
    for person in (*answered.original_from, *answered.reply_to):
        if not stands_in(person.address):
            why = f"wrote the mail answered, which came by {answered.author.address}"
            yield Recipient(person, Field.TO, why)
            return


def _volunteers(policy: Policy) -> Iterator[Recipient]:
    for person in policy.volunteers:
        yield Recipient(person, Field.CC, "is a volunteer of the list")


def barred(address: str, policy: Policy, *, closed: bool = False) -> str:
    """Why nothing is sent to an address; empty if it may be.

    With ``closed`` a list that takes no mail of the bot's gets none.
    """
    if not is_address(address):
        return "is no address that mail can be sent to"
    if is_relay(address):
        return "is a relay that nobody reads"
    if mailbox(address) in set(map(mailbox, policy.own)):
        return "is the bot itself"
    if {canonical(address), mailbox(address)} & set(map(canonical, policy.silent)):
        return "wants no mail, or cannot be reached"
    if any(fnmatchcase(canonical(address), canonical(bot)) for bot in policy.bots):
        return "is a program"
    if closed and _is_one_of(address, policy.closed):
        return "is a list that takes no mail of the bot's"
    return ""


def _is_one_of(address: str, lists: Iterable[str]) -> bool:
    """Whether an address is that of a list named by its address or List-Id (RFC 2919)."""
    known = set(map(canonical, lists))
    return canonical(address) in known or canonical(address).replace("@", ".", 1) in known


def answer(review: Review) -> Answer:
    """The one mail to answer: the patch that all new hazards come with, else the head."""
    patches = _concerned(review)
    if len(patches) == 1:
        return Answer(_mail_of(review.series, patches[0]), review.hazards, patches[0])
    return Answer(_head(review.series), review.hazards)


def answers(review: Review) -> tuple[Answer, ...]:
    """The mails to answer: one, unless different patches bring hazards of their own.

    What is not of one of these patches is told in the first answer.
    """
    patches = _concerned(review)
    if not 1 < len(patches) <= ANSWERS_LIMIT:
        return (answer(review),)
    return tuple(
        Answer(
            _mail_of(review.series, patch),
            tuple(h for h in review.hazards if _home(h, patches) == patch),
            patch,
            tuple(other for other in patches if other != patch),
        )
        for patch in patches
    )


def _concerned(review: Review) -> list[int]:
    """The patches that bring something in, if each is known and was mailed."""
    fresh = [hazard for hazard in review.hazards if hazard.state is ChangeState.INTRODUCED]
    posted = {patch.index for patch in review.series.patches}
    patches = {hazard.patch for hazard in fresh}
    return sorted(p for p in patches if p is not None) if patches <= posted else []


def _home(hazard: Hazard, patches: list[int]) -> int:
    fresh = hazard.state is ChangeState.INTRODUCED and hazard.patch is not None
    return hazard.patch if fresh and hazard.patch in patches else patches[0]


def _mail_of(series: Series, index: int) -> Envelope:
    return next(patch.envelope for patch in series.patches if patch.index == index)


def _head(series: Series) -> Envelope:
    """Cover letter, else first patch; what is known of a series that could not be read."""
    if series.cover is not None or series.patches:
        return series.head
    return Envelope(
        message_id=series.message_id, subject=series.subject, author=Identity("", ""), date=""
    )


def message_id(review: Review, domain: str, patch: int | None = None) -> str:
    """Known before sending: from what was reviewed and what was said, not from where.

    The same patches have the same id whichever mail of them was named and
    whichever list they came from.  ``patch`` tells several answers apart.
    """
    series = review.series
    parts = [str(series.version), review.verdict.value]
    for one in series.patches:
        # A patch that git cannot read has no patch-id; its text tells it apart.
        parts += [one.envelope.message_id, one.patch_id or one.diff]
    if not series.patches:
        parts.append(series.message_id)
    if patch is not None:
        parts.append(str(patch))
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    digest = sha256(text).hexdigest()[:24]
    return f"reviewbot-{review.verdict.value}-v{series.version}-{digest}@{domain}"
