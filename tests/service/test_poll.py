# SPDX-License-Identifier: GPL-2.0-or-later
"""What a source has to say of itself, and of mail that it cannot give, is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from reviewbot.service.decide import Scope
from reviewbot.service.log import Event
from reviewbot.service.poll import is_due, poll
from reviewbot.service.posting.bouncebox import read_bounces
from reviewbot.service.sources.mbox import MboxSource
from reviewbot.service.sources.tray import MAX_MESSAGE
from reviewbot.service.state import mail
from reviewbot.service.state.store import State
from tests.service.support import HandClock, Heard

LETTER = b"From mboxrd@z Thu Jan  1 00:00:00 1970\nMessage-ID: <a@example.org>\n\nhello\n\n"
BIG = LETTER.replace(b"hello", b"x" * 999 + b"\n" + (b"y" * 999 + b"\n") * (MAX_MESSAGE // 1000))


@dataclass
class Box:
    """A file of mails and who reads it: as a list, or for what bounced."""

    file: Path
    state: State
    heard: Heard
    bounces: bool

    def read(self) -> None:
        source = MboxSource("box", self.file, settled=0.0)
        if self.bounces:
            read_bounces(self.state, source, self.heard, limit=10, go_on=lambda: True)
        else:
            poll(self.state, source, Scope({}), self.heard, limit=10, go_on=lambda: True)


@pytest.fixture(params=[False, True], ids=["list", "bounces"])
def box(request: pytest.FixtureRequest, tmp_path: Path, state: State) -> Box:
    return Box(tmp_path / "mbox", state, Heard(), request.param)


def test_a_message_that_is_too_big_is_told(box: Box) -> None:
    box.file.write_bytes(LETTER + BIG)
    box.read()
    (told,) = box.heard.of(Event.MESSAGE)
    assert told == {"source": "box", "where": f"mbox:{len(LETTER)}", "reason": "too big"}
    (done,) = box.heard.of(Event.POLLED)
    assert done["messages"] == 1


def test_a_file_that_was_rewritten_is_told(box: Box) -> None:
    box.file.write_bytes(LETTER)
    box.read()
    assert not box.heard.of(Event.NOTICE)
    box.file.write_bytes(LETTER.replace(b"hello", b"other"))
    box.read()
    (told,) = box.heard.of(Event.NOTICE)
    assert told["source"] == "box"
    assert "rewritten" in told["reason"]


def test_a_file_that_is_gone_is_put_off(box: Box, clock: HandClock) -> None:
    box.read()
    (told,) = box.heard.of(Event.POLL_FAILED)
    assert str(box.file) in told["reason"]
    assert not is_due(box.state, "box")
    clock.forward(60.0)
    assert is_due(box.state, "box")
    assert mail.source(box.state, "box").failures == 1


def test_mail_that_cannot_be_read_is_told(box: Box) -> None:
    box.file.write_bytes(LETTER.replace(b"Message-ID: <a@example.org>", b"To: b@example.org"))
    box.read()
    unread = box.heard.of(Event.MESSAGE)
    assert [each["where"] for each in unread] == ([] if box.bounces else ["mbox:0"])
