# SPDX-License-Identifier: GPL-2.0-or-later
"""Headers from strangers' values, read back by the standard library."""

from __future__ import annotations

from email import message_from_string
from email.header import decode_header, make_header
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.report.clean import one_line
from reviewbot.report.headers import (
    REFERENCES_LIMIT,
    SUBJECT_LIMIT,
    address_header,
    id_header,
    is_address,
    is_message_id,
    references,
    reply_subject,
    text_header,
)
from reviewbot.series.model import Identity

ANY = st.text(st.characters(), max_size=300)


def read_back(header: str) -> str:
    """The value of a header line as a mail program shows it; it must be the only header."""
    message = message_from_string(f"{header}\n\n")
    ((_, value),) = message.items()
    return str(make_header(decode_header(" ".join(value.split()))))


@pytest.mark.parametrize(
    ("original", "reply"),
    [
        ("[PATCH] a", "Re: [PATCH] a"),
        ("Re: [PATCH] a", "Re: [PATCH] a"),
        ("RE: re:Re[2]: [PATCH] a", "Re: [PATCH] a"),
        ("Reset: b", "Re: Reset: b"),
        ("", "Re: (no subject)"),
        ("a\r\nBcc: c@example.org", "Re: a Bcc: c@example.org"),
        ("a\u202eb", "Re: a<U+202E>b"),
    ],
)
def test_reply_subject(original: str, reply: str) -> None:
    assert reply_subject(original) == reply


def test_a_long_subject_is_cut() -> None:
    assert len(reply_subject("x" * 100_000)) <= SUBJECT_LIMIT + len("Re: ")


@given(ANY)
def test_a_subject_is_one_header_that_reads_as_it_was(text: str) -> None:
    subject = reply_subject(text)
    header = text_header("Subject", subject)
    assert header.isascii()
    assert read_back(header) == subject
    assert header.startswith("Subject: Re:")


def test_an_encoded_word_in_a_subject_stays_text() -> None:
    trap = "=?utf-8?q?a=0ABcc:_b@example.org?="
    header = text_header("Subject", reply_subject(trap))
    assert trap not in header
    assert read_back(header) == f"Re: {trap}"


@given(ANY)
def test_a_name_is_one_mailbox(text: str) -> None:
    header = address_header("To", [Identity(text, "a@example.org"), Identity("", "b@example.org")])
    message = message_from_string(f"{header}\n\n")
    assert message.keys() == ["To"]
    found = getaddresses([message["To"].replace("\n", "")])
    assert [address for _, address in found] == ["a@example.org", "b@example.org"]
    assert str(make_header(decode_header(found[0][0]))) == one_line(text, 80)


def test_a_long_message_id_is_never_encoded() -> None:
    long = "q" * 150 + "@example.org"
    header = id_header("References", ["a@example.org", long])
    assert header == f"References: <a@example.org>\n <{long}>"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a",
        "a@b@c",
        "a b@example.org",
        "<a@example.org>",
        "a@example.org\nBcc: x",
        "ä@example.org",
    ],
)
def test_what_is_no_message_id(value: str) -> None:
    assert not is_message_id(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "robin",
        "robin@example",
        "someone@xxxxxxxxx",
        "someone@xxxxx.xxx",
        "a..b@example.org",
        "robin at example.org",
        "a@example.org, b@example.org",
        "a@example.org\nBcc: b@example.org",
        "zoë@example.org",
        "x" * 250 + "@example.org",
    ],
)
def test_what_is_no_address(value: str) -> None:
    assert not is_address(value)


def test_what_is_an_address() -> None:
    assert is_address("linux-frob+list@vger.example.org")
    assert is_address("x@example.org")
    assert is_address("xx@xx.example.org")


def test_references_end_with_the_mail_answered() -> None:
    assert references(("a@x", "bad", "b@x", "a@x"), "c@x") == ("a@x", "b@x", "c@x")


def test_a_very_long_thread_keeps_its_root_and_its_newest() -> None:
    chain = references([f"{number}@x" for number in range(5000)], "answered@x")
    assert len(chain) == REFERENCES_LIMIT
    assert chain[0] == "0@x"
    assert chain[-2:] == ("4999@x", "answered@x")
