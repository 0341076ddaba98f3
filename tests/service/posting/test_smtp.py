# SPDX-License-Identifier: GPL-2.0-or-later
"""A mail server that fails in every way; what is said of each recipient, and what is not known."""

from __future__ import annotations

import email
import ssl
from email.policy import SMTP as WIRE
from pathlib import Path

import pytest

from reviewbot.service.model import Fate
from reviewbot.service.posting.parcel import Answers, Lost, Parcel, Withheld
from reviewbot.service.posting.smtp import Server, Smtp
from reviewbot.service.sources.account import Account
from tests.service.posting.letters import KIM, LEE, mail, name
from tests.support.sink import (
    DROP,
    HANG,
    PASSWORD,
    TAKE_AND_DROP,
    TAKE_AND_HANG,
    USER,
    Sink,
    make_certificate,
)

PARCEL = Parcel(name(1), "bounces@example.org", (KIM, LEE), mail(1))
TAKEN = {KIM: Fate.TAKEN, LEE: Fate.TAKEN}
DEFERRED = {KIM: Fate.DEFERRED, LEE: Fate.DEFERRED}
REFUSED = {KIM: Fate.REFUSED, LEE: Fate.REFUSED}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def yes(told: Answers) -> str:
    return ""


def way(
    sink: Sink,
    ca: Path | None = None,
    *,
    starttls: bool = False,
    user: str = "",
    seconds: float = 20.0,
    password: str = PASSWORD,
) -> Smtp:
    context = ssl.create_default_context(cafile=ca) if ca else None
    account = Account("127.0.0.1", sink.port, user, starttls=starttls, context=context)
    return Smtp(Server(account, "bot.example.org", seconds, password))


def fates(transport: Smtp, parcel: Parcel = PARCEL) -> dict[str, Fate]:
    return {one: answer.fate for one, answer in transport.send(parcel, yes).items()}


def failing(command: str, answer: str, of: str = "") -> Sink:
    """A server that gives this answer to a command, if its argument is the one meant."""
    return Sink(lambda given, arg: answer if given == command and of in arg else "")


def test_a_mail_arrives_as_it_is() -> None:
    text = mail(1) + b".\n..two\n. one\n"
    with Sink() as sink:
        assert fates(way(sink), Parcel(name(1), "", (KIM, LEE), text)) == TAKEN
        assert sink.delivered == [(name(1), KIM), (name(1), LEE)]
        assert sink.texts[name(1)] == text.replace(b"\n", b"\r\n")
        assert sink.senders == ["<>"]
    assert "Zoë" in email.message_from_bytes(sink.texts[name(1)], policy=WIRE).get_content()


@pytest.mark.parametrize("starttls", [True, False])
def test_encrypted_and_logged_in(certificate: Path, starttls: bool) -> None:
    with Sink(certificate=certificate, starttls=starttls, login=True) as sink:
        assert fates(way(sink, certificate, starttls=starttls, user=USER)) == TAKEN
        wrong = way(sink, certificate, starttls=starttls, user=USER, password="guess")
        said = wrong.send(PARCEL, yes)
        assert {answer.fate for answer in said.values()} == {Fate.DEFERRED}
        assert "535" in said[KIM].said
        assert len(sink.delivered) == 2


def test_a_certificate_that_nobody_vouches_for(certificate: Path, tmp_path: Path) -> None:
    other = make_certificate(tmp_path / "other")
    with Sink(certificate=certificate) as sink:
        said = way(sink, other, starttls=True).send(PARCEL, yes)
        assert said[KIM].fate is Fate.DEFERRED
        assert "certificate verify failed" in said[KIM].said
        assert sink.delivered == []


def test_a_certificate_of_another_name(tmp_path: Path) -> None:
    other = make_certificate(tmp_path / "other", "DNS:mail.example.org")
    with Sink(certificate=other, starttls=False) as sink:
        said = way(sink, other).send(PARCEL, yes)
        assert said[KIM].fate is Fate.DEFERRED
        assert "certificate is not valid for '127.0.0.1'" in said[KIM].said
        assert sink.delivered == []


def test_without_starttls_nothing_is_said_in_the_open(certificate: Path) -> None:
    commands: list[str] = []
    with Sink(lambda command, _: commands.append(command) or "") as sink:
        said = way(sink, certificate, starttls=True, user=USER).send(PARCEL, yes)
        assert said[KIM].fate is Fate.DEFERRED
        assert "STARTTLS" in said[KIM].said
        assert commands == []


@pytest.mark.parametrize(
    ("command", "answer", "of", "expected"),
    [
        ("RCPT", "550 no such user", "kim", {KIM: Fate.REFUSED, LEE: Fate.TAKEN}),
        ("RCPT", "450 greylisted", "kim", {KIM: Fate.DEFERRED, LEE: Fate.TAKEN}),
        ("RCPT", "550 no such user", "", REFUSED),
        ("RCPT", "451 later", "", DEFERRED),
        ("MAIL", "451 later", "", DEFERRED),
        ("MAIL", "553 not from you", "", REFUSED),
        ("DATA", "451 disk full", "", DEFERRED),
        ("DATA", "554 looks like spam", "", REFUSED),
        ("MAIL", DROP, "", DEFERRED),
        ("RCPT", DROP, "Lee", DEFERRED),
    ],
)
def test_what_the_server_says_of_each(
    command: str, answer: str, of: str, expected: dict[str, Fate]
) -> None:
    with failing(command, answer, of) as sink:
        assert fates(way(sink)) == expected
        taken = [one for one, fate in expected.items() if fate is Fate.TAKEN]
        assert sink.delivered == [(name(1), one) for one in taken]


@pytest.mark.parametrize("how", [TAKE_AND_DROP, DROP, HANG, TAKE_AND_HANG])
def test_no_answer_to_the_text_is_in_doubt(how: str) -> None:
    def fault(command: str, argument: str) -> str:
        if command == "RCPT" and argument == KIM:
            return "550 no such user"
        return how if command == "DATA" else ""

    with Sink(fault) as sink, pytest.raises(Lost, match="after the text") as caught:
        way(sink, seconds=1.0).send(PARCEL, yes)
    assert {one: answer.fate for one, answer in caught.value.answers.items()} == {KIM: Fate.REFUSED}


def test_a_server_that_hangs_before_the_text_is_given_up() -> None:
    with failing("RCPT", HANG) as sink:
        assert fates(way(sink, seconds=0.5)) == DEFERRED


def test_nobody_there() -> None:
    with Sink() as sink:
        pass
    assert fates(way(sink)) == DEFERRED


def test_the_switch_is_asked_before_the_text() -> None:
    asked: list[int] = []

    def stop(told: Answers) -> str:
        asked.append(1)
        return "sending is stopped"

    with Sink() as sink, pytest.raises(Withheld, match="stopped"):
        way(sink).send(PARCEL, stop)
    assert (asked, sink.delivered) == ([1], [])
