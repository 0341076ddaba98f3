# SPDX-License-Identifier: GPL-2.0-or-later
"""Every rule of the linter, broken one at a time in a real reply."""

from __future__ import annotations

import base64
import quopri
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.report.etiquette import RULES, check, lint
from reviewbot.report.letter import Situation, Voice, read_letter
from reviewbot.report.reply import render_reply

from . import builders

GOOD = render_reply(
    builders.one_site(), builders.SENDER, date=datetime(2026, 8, 3, 12, tzinfo=UTC)
).as_bytes()
OWN_ID = GOOD.split(b"Message-ID: <")[1].split(b">")[0].decode()
NOW = Situation(now=datetime(2026, 8, 3, 12, tzinfo=UTC))
Edit = Callable[[bytes], bytes]


def swap(old: str, new: str) -> Edit:
    """Replace text that must be there."""

    def edit(mail: bytes) -> bytes:
        assert old.encode() in mail
        return mail.replace(old.encode(), new.encode(), 1)

    return edit


def body(line: str) -> Edit:
    """Put a line into the body, above the limits."""
    return swap("\nBase:", f"\n{line}\n\nBase:")


BROKEN: list[tuple[str, Edit]] = [
    ("single-part", swap("text/plain", "text/html")),
    ("single-part", swap("text/plain", "multipart/mixed; boundary=x")),
    ("no-html", swap("text/plain", "text/html")),
    ("no-html", body("<html>")),
    ("no-html", body('</div><p class="x">')),
    ("no-attachment", swap("MIME-Version", "Content-Disposition: attachment\nMIME-Version")),
    ("no-attachment", body("begin 644 dmesg.txt")),
    ("utf-8", lambda mail: body("ü")(swap("charset=utf-8", "charset=us-ascii")(mail))),
    ("utf-8", swap("charset=utf-8", "charset=iso-8859-1")),
    ("utf-8", lambda mail: mail.replace(b"Base: ", b"Base: \xff\xfe", 1)),
    ("8bit", swap("Encoding: 8bit", "Encoding: base64")),
    ("8bit", swap("Encoding: 8bit", "Encoding: quoted-printable")),
    ("8bit", lambda mail: body("ü")(swap("Encoding: 8bit", "Encoding: 7bit")(mail))),
    ("no-format-flowed", swap("charset=utf-8", "charset=utf-8; format=flowed")),
    ("no-format-flowed", swap("charset=utf-8", 'charset=utf-8; Format="Flowed"; DelSp=yes')),
    ("headers", swap("Subject: ", "Subject: Re: one\nSubject: ")),
    ("headers", swap("Date: ", "X-Other: ")),
    ("headers", swap("MIME-Version: 1.0\n", "")),
    ("no-bcc", swap("Subject: ", "Bcc: x@example.org\nSubject: ")),
    ("own-headers", swap("Subject: ", "X-Other: x\nSubject: ")),
    ("addresses", swap("<reviewbot@bot.example.org>", "<reviewbot>")),
    ("addresses", swap("From: ", "From: a@example.org, ")),
    ("addresses", swap("<robin@example.org>", "<robin at example.org>")),
    ("addresses", swap("To: Robin Ample <robin@example.org>", "To: undisclosed-recipients:;")),
    ("recipients", swap("To: Robin", "To: FROB@example.org, Robin")),
    ("recipients", swap("Cc: ", "Cc: " + "".join(f"p{n}@example.org,\n " for n in range(130)))),
    ("recipients", lambda mail: mail.replace(b"\nTo: ", b"\nX: ").replace(b"\nCc: ", b"\nY: ")),
    ("subject", swap("Subject: Re: ", "Subject: ")),
    ("subject", swap("Subject: Re: ", "Subject: Re: RE: ")),
    ("subject", swap("Subject: Re: ", "Subject: Re: =?utf-8?q?AW=3A?= ")),
    ("threading", swap("In-Reply-To: <", "In-Reply-To: <x")),
    ("threading", swap("In-Reply-To: <20260803080000.2-1-robin@example.org>\n", "")),
    ("threading", swap("<v1-1@example.org>", "v1-1")),
    ("threading", swap("<v1-1@example.org>", "<20260803080000.2-1-robin@example.org>")),
    ("message-id", swap("Message-ID: <", "Message-ID: <a b")),
    ("message-id", swap("<v1-1@example.org>", f"<{OWN_ID}>")),
    ("message-id", swap("@bot.example.org>\nIn", "@bot.example.net>\nIn")),
    ("date", swap("Date: ", "Date: about ")),
    ("date", swap("12:00:00 +0000", "12:00:00 -0000")),
    ("date", swap("2026", "1970")),
    ("date", swap("2026", "2027")),
    ("auto-submitted", swap("auto-replied", "no")),
    ("auto-submitted", swap("auto-replied", "auto-generated")),
    ("patchwork-hint", swap("X-Patchwork-Hint: ignore\n", "")),
    ("prose-width", body("word " * 15)),
    ("prose-width", lambda mail: mail + b"word " * 15),
    ("quotes", body(">no blank after the mark")),
    ("whole-quotes", body("> @@ -1,2 +1,2 @@\n> \tmutex_lock(&frob->\n> gate_lock);")),
    ("trimmed", body("> a line\n" * 50)),
    ("interleaved", lambda mail: mail.replace(b"\n-- \n", b"\n> a\n> b\n> c\n> d\n> e\n\n-- \n")),
    (
        "not-empty",
        lambda mail: re.sub(b"\n\nVerdict.*?\n-- \n", b"\n\n> quote\n-- \n", mail, flags=re.S),
    ),
    ("no-human-tag", body("Reviewed-by: Some One <one@example.org>")),
    ("no-human-tag", body("  Tested-by: Some One <one@example.org>")),
    ("no-human-tag", body("| Acked-by: reviewbot <reviewbot@bot.example.org>")),
    ("no-human-tag", body("| Reported-by: Some One <one@example.org>")),
    ("no-trailer", body("Closes: https://lore.kernel.org/r/x@example.org")),
    ("no-trailer", body('  Fixes: 0123456789ab ("frob: a thing")')),
    ("no-trailer", body("Depends: <20260803080000.2-1-robin@example.org>")),
    ("footer", swap("\n-- \n", "\n--\n")),
    ("footer", lambda mail: mail + b"-- \nanother\n"),
    ("footer", lambda mail: mail.replace(b"stop", b"praise")),
    ("footer", lambda mail: mail.replace(b"operator@example.org", b"the operator")),
    ("disclosure", swap("generated by a bot", "written with love")),
    ("verdict-first", swap("Verdict: ", "")),
    ("length", body("> a\n\nand\n\n" * 20)),
    ("characters", body("text \u202e that runs backwards")),
    ("characters", body("a bell \x07")),
    ("characters", swap("Subject: Re: ", "Subject: Re: =?utf-8?q?=E2=80=AE?= ")),
    ("characters", swap("Subject: Re: ", "Subject: Re: =?utf-8?q?=0ABcc:_x?= ")),
    ("characters", swap("Subject: Re: ", "Subject: Re: =?no-such?q?a?= ")),
    ("line-length", body("> " + "x" * 1000)),
    ("transport", body(".")),
    ("transport", body("From someone")),
    ("transport", body("a NUL \0")),
    ("transport", swap("Base", "Ba\rse")),
]


def test_a_real_reply_breaks_no_rule() -> None:
    assert check(GOOD, NOW) == ()


def test_line_ends_of_the_wire_are_as_good() -> None:
    assert check(GOOD.replace(b"\n", b"\r\n"), NOW) == ()


@pytest.mark.parametrize(("rule", "edit"), BROKEN)
def test_a_broken_rule_is_named(rule: str, edit: Edit) -> None:
    assert rule in {violation.rule for violation in check(edit(GOOD), NOW)}


def test_every_rule_has_a_test_and_a_source() -> None:
    tested = {rule for rule, _ in BROKEN} | {rule for rule, _ in UNANSWERED}
    assert tested == {rule.name for rule in RULES}
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.source and rule.says for rule in RULES)


PARENT = b"""\
From: Robin Ample <robin@example.org>
To: Frob maintainers <frob@example.org>
Cc: linux-frob@example.org, Masked <someone@xxxxxxxxx>,
 reviewbot <reviewbot@bot.example.org>
Subject: [PATCH v2] frob: gate: do not wait for readers under gate_lock
Date: Mon, 03 Aug 2026 10:00:00 +0200
Message-ID: <20260803080000.2-1-robin@example.org>
In-Reply-To: <v1-1@example.org>

A patch.
"""

UNANSWERED: list[tuple[str, Edit]] = [
    ("references-kept", swap("2-1-robin", "2-2-robin")),
    ("references-kept", swap("v1-1", "v1-2")),
    ("subject-kept", swap("[PATCH v2]", "[PATCH v3]")),
    ("date-after", swap("03 Aug 2026", "05 Aug 2026")),
    ("cc-kept", swap("Cc: ", "Cc: kim@example.org, ")),
    ("cc-kept", swap("Robin Ample <robin@", "Kim <kim@")),
    ("answerable", swap("To: ", "Auto-Submitted: auto-generated\nTo: ")),
    ("answerable", swap("To: ", "X-Patchwork-Hint: Ignore\nTo: ")),
    ("answerable", swap("To: ", "X-stable: review\nTo: ")),
    ("answerable", swap("Robin Ample <robin@example.org>", "<Reviewbot@bot.example.org>")),
]
"""Changes to the mail answered that make the reply a bad answer."""


def beside(parent: bytes, **more: object) -> Situation:
    return replace(NOW, parent=read_letter(parent), **more)  # type: ignore[arg-type]


def test_a_real_reply_is_a_good_answer() -> None:
    assert check(GOOD, beside(PARENT)) == ()


@pytest.mark.parametrize(("rule", "edit"), UNANSWERED)
def test_a_bad_answer_is_named(rule: str, edit: Edit) -> None:
    assert {found.rule for found in check(GOOD, beside(edit(PARENT)))} == {rule}


def test_who_is_left_out_for_a_reason_is_not_missed() -> None:
    parent = swap("Cc: ", "Cc: Kim+kernel@example.org, ")(PARENT)
    assert check(GOOD, beside(parent, dropped=frozenset({"kim@example.org"}))) == ()


def test_an_answer_to_the_author_alone_drops_nobody() -> None:
    private = re.sub(rb"Cc: .*\n .*\n", b"Cc: volunteer@example.org\n", GOOD, count=1)
    assert check(private, beside(PARENT)) == ()


def test_less_is_asked_of_a_person() -> None:
    """What a maintainer sends with mutt is no bot's mail, and has nothing of one."""
    reply = b"""\
From: Kim Maintainer <kim@example.org>
To: Robin Ample <robin@example.org>
Cc: linux-frob@example.org
Subject: Re: [PATCH v2] frob: gate: do not wait
Date: Mon, 3 Aug 2026 11:00:00 +0200
Message-ID: <ZrXabc@kims-laptop>
References: <20260803080000.2-1-robin@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii
Content-Disposition: inline
In-Reply-To: <20260803080000.2-1-robin@example.org>
User-Agent: Mutt/2.2.9

On Mon, Aug 03, 2026 at 10:00:00AM +0200, Robin Ample wrote:
> frob_gate_open() waits for readers with gate_lock held.

Applied, thanks.

Reviewed-by: Kim Maintainer <kim@example.org>
"""
    letter = read_letter(reply)
    assert letter.voice is Voice.PERSON
    assert check(reply, Situation(letter.voice)) == ()
    broken = {found.rule for found in check(reply, Situation(Voice.BOT))}
    assert broken == {
        *("message-id", "auto-submitted", "patchwork-hint", "no-human-tag", "no-trailer"),
        *("footer", "disclosure"),
    }


def test_a_top_posted_html_mail_from_the_office() -> None:
    mail = b"""\
From: "Office, Kim" <kim@example.org>
To: robin@example.org
Subject: RE: [PATCH] frob
Date: Mon, 3 Aug 2026 11:00:00
Message-ID: <1@example.org>
In-Reply-To: <2@example.org>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="b"

--b
Content-Type: text/plain; charset="utf-8"

Thanks.

--b
Content-Type: text/html; charset="utf-8"

<p>Thanks.</p>
--b--
"""
    broken = {found.rule for found in check(mail, Situation(read_letter(mail).voice))}
    assert broken == {"single-part", "no-html", "subject", "threading", "date"}


def test_encoded_text_is_read_before_it_is_judged() -> None:
    for encoding, text in (
        ("quoted-printable", quopri.encodestring("Schön, ".encode() * 30)),
        ("base64", base64.encodebytes("Schön, ".encode() * 30)),
    ):
        head = GOOD.partition(b"\n\n")[0].replace(b"8bit", encoding.encode())
        broken = {found.rule for found in check(head + b"\n\n" + text, Situation(Voice.PERSON))}
        assert broken == {"8bit", "prose-width"}


def test_a_mail_of_an_mbox_is_read_without_its_separator() -> None:
    assert check(b"From x@example.org Mon Aug  3 12:00:00 2026\n" + GOOD, NOW) == ()


def test_what_the_way_to_a_reader_adds_is_no_breach() -> None:
    added = b"Return-Path: <>\nReceived: from a\n by b\nList-Id: <frob.example.org>\n"
    assert check(added + GOOD, NOW) == ()


def test_a_rule_that_is_not_asked_says_why() -> None:
    outcomes = {one.rule.name: one for one in lint(read_letter(GOOD), Situation(Voice.PERSON))}
    assert outcomes["cc-kept"].skipped == "needs the mail answered"
    assert outcomes["own-headers"].skipped == "asked of reviewbot only"
    assert outcomes["cc-kept"].to_dict()["ok"] is None
    assert outcomes["subject"].to_dict()["ok"] is True


@pytest.mark.parametrize(
    "line",
    [
        "> " + "quoted " * 30,
        "  f (drivers/frob/a_file_with_a_long_name.c:123) synchronize_srcu [struct frob.srcu]",
        "a_single_identifier_that_is_longer_than_any_line_" + "x" * 40,
        "https://lore.kernel.org/r/" + "0123456789" * 8,
    ],
)
def test_what_may_be_long(line: str) -> None:
    assert check(body(line)(GOOD)) == ()


@given(st.binary(max_size=400))
def test_the_linter_never_raises(data: bytes) -> None:
    assert check(data)
    assert check(GOOD[:200] + data + GOOD[200:]) is not None
    assert check(GOOD.replace(b"Subject: Re:", b"Subject: Re: " + data, 1)) is not None
