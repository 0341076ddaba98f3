# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports of undelivered mail: those of real servers, and what pretends to be one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.service.log import silent
from reviewbot.service.model import AddressState, Fate
from reviewbot.service.posting.bouncebox import read_bounces
from reviewbot.service.posting.bounces import Bounce, read_report
from reviewbot.service.sources.maildir import MaildirSource
from reviewbot.service.state import addresses, outbox
from reviewbot.service.state.store import State
from tests.service.posting.letters import KIM, LEE, Hand, name, postman, put
from tests.service.posting.test_postman import take

POSTFIX = """\
Return-Path: <>
From: MAILER-DAEMON@mail.example.org (Mail Delivery System)
To: bounces@example.org
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="4F1.1/mail.example.org"
Message-Id: <20261122.4F2@mail.example.org>

This is a MIME-encapsulated message.

--4F1.1/mail.example.org
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mail.example.org.

<{address}>: host mx.example.org[192.0.2.1] said: {code} (in reply to RCPT TO command)

--4F1.1/mail.example.org
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.org
X-Postfix-Queue-ID: 4F1
Arrival-Date: Sun, 22 Nov 2026 12:00:00 +0000 (UTC)

Final-Recipient: rfc822; {address}
Original-Recipient: rfc822;{address}
Action: {action}
Status: {status}
Remote-MTA: dns; mx.example.org
Diagnostic-Code: smtp; {code}

--4F1.1/mail.example.org
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

From: reviewbot <reviewbot@bot.example.org>
To: {address}
Message-ID: <{message_id}>

--4F1.1/mail.example.org--
"""
EXIM = """\
From: Mail Delivery System <Mailer-Daemon@mail.example.org>
To: bounces@example.org
Subject: Mail delivery failed: returning message to sender
X-Failed-Recipients: {address}
Message-Id: <E1-0@mail.example.org>

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  {address}
    host mx.example.org [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<{address}>:
    550 5.1.1 no such user

------ This is a copy of the message's headers. ------

Message-ID: <{message_id}>
"""
QMAIL = """\
Return-Path: <>
From: MAILER-DAEMON@mail.example.org
To: bounces@example.org
Subject: failure notice

Hi. This is the qmail-send program at mail.example.org.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{address}>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Message-ID: <{message_id}>
"""


def report(form: str = POSTFIX, **given: str) -> bytes:
    parts = {
        "address": KIM,
        "action": "failed",
        "status": "5.1.1",
        "code": "550 5.1.1 no such user",
        "message_id": name(1),
    }
    return form.format(**parts | given).encode()


@pytest.mark.parametrize("form", [POSTFIX, EXIM, QMAIL])
def test_an_address_that_is_gone(form: str) -> None:
    found = read_report(report(form))
    assert found.message_ids == (name(1),)
    (bounce,) = found.bounces
    assert (bounce.address, bounce.status, bounce.dead) == (KIM, "5.1.1", True)
    assert "no" in bounce.said


@pytest.mark.parametrize(
    ("status", "dead"), [("5.2.2", False), ("5.7.1", False), ("5.1.10", True), ("5.2.1", True)]
)
def test_whose_fault_it_is(status: str, dead: bool) -> None:
    (bounce,) = read_report(report(status=status, code=f"550 {status} no")).bounces
    assert bounce.dead == dead


@pytest.mark.parametrize(
    "raw",
    [
        report(action="delayed", status="4.4.1", code="451 4.4.1 later"),
        report(action="delivered", status="2.0.0", code="250 2.0.0 OK"),
        report(status="4.4.7", code="421 4.4.7 expired"),
        report(address="no address"),
        report()
        .replace(b"MAILER-DAEMON", b"kim")
        .replace(b"<>", b"<a@b.c>")
        .replace(b"delivery-status", b"other"),
        b"",
        b"\n\n",
        b"From: postmaster@example.org\n\n" + b"Final-Recipient: rfc822;\n\n" * 50_000,
    ],
)
def test_what_says_nothing_for_good(raw: bytes) -> None:
    assert read_report(raw).bounces == ()


@given(st.binary(max_size=400))
def test_any_bytes_can_be_read(junk: bytes) -> None:
    read_report(b"From: MAILER-DAEMON@example.org\n" + junk)
    read_report(report().replace(b"5.1.1", junk))


def test_the_last_word_about_an_address_counts_once() -> None:
    two = report() + report().partition(b"\n\n")[2]
    assert read_report(two).bounces == (Bounce(KIM, "5.1.1", "550 5.1.1 no such user", dead=True),)


def test_a_bounce_silences_its_address(state: State, tmp_path: Path) -> None:
    letter = put(state)
    postman(state, Hand(take)).round()
    box = tmp_path / "bounces"
    for folder in ("new", "cur", "tmp"):
        (box / folder).mkdir(parents=True)
    (box / "new" / "1").write_bytes(report(message_id="forged@example.org"))
    (box / "new" / "2").write_bytes(report(address="else@example.org"))
    (box / "new" / "3").write_bytes(
        report(address=LEE, status="5.2.2", code="552 5.2.2 mailbox full")
    )
    source = MaildirSource("bounces", box, tmp_path / "source")

    def read() -> int:
        return read_bounces(state, source, silent(), limit=2, go_on=lambda: True)

    assert read() == 0
    assert addresses.silent(state) == ()
    (box / "new" / "4").write_bytes(report())
    assert read() == 1
    (record,) = addresses.silent(state)
    assert (record.address, record.state) == (KIM, AddressState.DEAD)
    fates = {one.address: one.fate for one in outbox.deliveries_of(state, letter.id)}
    assert fates == {KIM: Fate.BOUNCED, LEE.lower(): Fate.BOUNCED}
    second = put(state, 2)
    hand = Hand(take)
    postman(state, hand).post(second.id)
    assert [parcel.recipients for parcel in hand.given] == [(LEE,)]


def test_a_mailbox_that_is_away_is_tried_later(state: State, tmp_path: Path) -> None:
    source = MaildirSource("bounces", tmp_path / "absent", tmp_path / "source")
    assert read_bounces(state, source, silent(), limit=2, go_on=lambda: True) == 0
