# SPDX-License-Identifier: GPL-2.0-or-later
"""A reply through a real mail server into a real mailbox, read back over IMAP."""

from __future__ import annotations

import email
import time
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from reviewbot import config
from reviewbot.service.log import silent
from reviewbot.service.model import Fate, OutboxState
from reviewbot.service.posting.open import open_office
from reviewbot.service.posting.postman import Postman
from reviewbot.service.state import outbox
from reviewbot.service.state.store import State
from tests.service.posting.letters import mail, name, put
from tests.support import dovecot, postfix

_SECONDS = 60.0


@pytest.fixture
def box() -> Iterator[dovecot.Dovecot]:
    if not dovecot.available():
        pytest.skip("needs Debian's dovecot-imapd, and root")
    with dovecot.Dovecot() as server:
        yield server


@pytest.fixture
def server(box: dovecot.Dovecot) -> Iterator[postfix.Postfix]:
    if not postfix.available():
        pytest.skip("needs Debian's postfix, and root")
    with postfix.Postfix(dovecot.USER, box.ca_file.parent / "mail") as running:
        yield running


def read_back(box: dovecot.Dovecot) -> bytes:
    """The one message of the mailbox, once it is there."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        with box.client() as client:
            client.select("INBOX", readonly=True)
            status, data = client.fetch("1", "(RFC822)")
            if status == "OK" and data and isinstance(data[0], tuple):
                return bytes(data[0][1])
        time.sleep(0.1)
    raise AssertionError("no mail came")


@pytest.mark.dovecot
@pytest.mark.postfix
def test_a_reply_arrives_as_it_was_written(
    tmp_path: Path, box: dovecot.Dovecot, server: postfix.Postfix
) -> None:
    people = (dovecot.USER, "nobody-here@example.org")
    settings = config.parse(
        f"""
[sender]
address = "reviewbot@bot.example.org"
domain = "bot.example.org"
[service]
state = "{tmp_path}/state"
[post]
transport = "smtp"
[smtp]
server = "127.0.0.1"
port = {server.port}
ca_file = "{server.ca_file}"
[list.kvm]
post = "list"
""".encode(),
        tmp_path / "config.toml",
    )
    with State.open(settings.service.url) as state:
        letter = put(state, 1, people)
        # "bot@" is not the sender's own mailbox here.
        sent = Postman(state, open_office(settings), silent()).post(letter.id)
        fates = {one.address: one.fate for one in outbox.deliveries_of(state, letter.id)}
    assert sent.state is OutboxState.PARTLY_SENT, (sent.reason, server.log())
    assert fates == {dovecot.USER: Fate.TAKEN, people[1]: Fate.REFUSED}
    came = read_back(box)
    head, _, body = came.replace(b"\r\n", b"\n").partition(b"\n\n")
    written = mail(1, people)
    assert body == written.partition(b"\n\n")[2]
    message = email.message_from_bytes(came, policy=default)
    assert isinstance(message, EmailMessage)
    assert message["Message-ID"] == f"<{name(1)}>"
    assert message["Return-Path"] == "<>"
    assert message["Auto-Submitted"] == "auto-replied"
    assert written.partition(b"\n\n")[0] in head
