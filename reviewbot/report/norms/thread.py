# SPDX-License-Identifier: GPL-2.0-or-later
"""Norms of an answer, seen beside the mail that it answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from reviewbot.report import headers
from reviewbot.report.letter import Letter, Situation, Voice
from reviewbot.report.norms.form import date_of
from reviewbot.series.addresses import canonical, is_relay, mailbox

_SKEW = timedelta(days=1)
_NOT_FOR_REVIEW = ("X-stable", "X-stable-base", "X-KernelTest-Branch", "X-KernelTest-Tree")
"""What stable review and its test mails carry."""


def references(letter: Letter, situation: Situation) -> Iterator[str]:
    parent = _parent(situation)
    answered = parent.ids("Message-ID")[:1]
    if letter.ids("In-Reply-To") != answered:
        yield "In-Reply-To is not the Message-ID of the mail answered"
        return
    known = parent.ids("References")
    known += [one for one in parent.ids("In-Reply-To") if one not in known]
    if tuple(letter.ids("References")) != headers.references(known, answered[0]):
        yield "References is not that of the mail answered with its Message-ID added"


def subject(letter: Letter, situation: Situation) -> Iterator[str]:
    wanted = headers.reply_subject(_parent(situation).subject)
    if " ".join(letter.subject.split()) != wanted:
        yield "Subject is not that of the mail answered"


def date(letter: Letter, situation: Situation) -> Iterator[str]:
    own, answered = date_of(letter), date_of(_parent(situation))
    if own is not None and answered is not None and own < answered - _SKEW:
        yield "Date is before that of the mail answered"


def cc_kept(letter: Letter, situation: Situation) -> Iterator[str]:
    """An answer to the author alone is private, which is no breach."""
    parent = _parent(situation)
    sender = {mailbox(one.address) for one in letter.people("From")}
    there = {canonical(one.address) for one in letter.people("To", "Cc")}
    copied = {canonical(one.address) for one in parent.people("To", "Cc")}
    authors = {canonical(one.address) for one in parent.people("From", "Reply-To")}
    if not there & (copied - authors):
        return
    for person in parent.people("Reply-To", "From", "To", "Cc"):
        address = canonical(person.address)
        dropped = address in situation.dropped or mailbox(address) in sender | situation.dropped
        if (
            address in there
            or dropped
            or is_relay(address)
            or not headers.is_address(person.address)
        ):
            continue
        yield f"{address[:80]!a} had the mail answered and does not get this one"
        return


def answerable(letter: Letter, situation: Situation) -> Iterator[str]:
    parent = _parent(situation)
    if situation.voice is Voice.PERSON:
        return
    automatic = parent.value("Auto-Submitted").partition(";")[0].strip().lower()
    if automatic not in ("", "no"):
        yield "the mail answered was written by a program"
    if parent.value("X-Patchwork-Hint").lower() == "ignore":
        yield "the mail answered asks programs to ignore it"
    if any(parent.all(name) for name in _NOT_FOR_REVIEW):
        yield "the mail answered is a stable review, which is not for bots"
    own = {canonical(one.address) for one in letter.people("From")}
    if own & {canonical(one.address) for one in parent.people("From")}:
        yield "the mail answered is the sender's own"


def _parent(situation: Situation) -> Letter:
    """The mail answered: these rules are asked only where it is known."""
    if situation.parent is None:
        raise ValueError("a rule about an answer needs the mail answered")
    return situation.parent
