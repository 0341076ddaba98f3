# SPDX-License-Identifier: GPL-2.0-or-later
"""A sendmail command that takes, refuses, waits or dies; and a directory that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from reviewbot.service.model import Fate
from reviewbot.service.posting.local import Directory, Sendmail
from reviewbot.service.posting.parcel import Answers, Lost, Parcel, Withheld
from tests.service.posting.letters import KIM, LEE, mail, name

PARCEL = Parcel(name(1), "", (KIM, LEE), mail(1))


def yes(told: Answers) -> str:
    return ""


def script(path: Path, text: str) -> tuple[str, ...]:
    file = path / "sendmail"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return (str(file), "-v; touch injected")


def test_the_command_gets_words_and_the_mail(tmp_path: Path) -> None:
    command = script(tmp_path, f'cat > {tmp_path}/mail; printf "%s\\n" "$@" > {tmp_path}/words')
    answers = Sendmail(command).send(PARCEL, yes)
    assert {one: answer.fate for one, answer in answers.items()} == {
        KIM: Fate.TAKEN,
        LEE: Fate.TAKEN,
    }
    assert (tmp_path / "mail").read_bytes() == PARCEL.mail
    words = (tmp_path / "words").read_text().split("\n")
    assert words == ["-v; touch injected", "-i", "-f", "<>", "--", KIM, LEE, ""]


@pytest.mark.parametrize(
    ("text", "fate"),
    [("echo busy >&2; exit 75", Fate.DEFERRED), ("echo who? >&2; exit 67", Fate.REFUSED)],
)
def test_what_its_status_means(tmp_path: Path, text: str, fate: Fate) -> None:
    answers = Sendmail(script(tmp_path, text)).send(PARCEL, yes)
    assert {answer.fate for answer in answers.values()} == {fate}
    assert answers[KIM].said.startswith("sendmail: ")


@pytest.mark.parametrize("text", ["kill -9 $$", "exit 1"])
def test_one_that_dies_may_have_sent_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(Lost, match="status"):
        Sendmail(script(tmp_path, text)).send(PARCEL, yes)


def test_one_that_is_not_there() -> None:
    answers = Sendmail(("/nonexistent/sendmail",)).send(PARCEL, yes)
    assert answers[LEE].fate is Fate.DEFERRED


@pytest.mark.parametrize("transport", [Directory(Path("/proc/x")), Sendmail(("/bin/false",))])
def test_nothing_is_given_away_when_stopped(transport: Directory | Sendmail) -> None:
    with pytest.raises(Withheld):
        transport.send(PARCEL, lambda told: "stopped")


def test_a_directory_that_cannot_be_written() -> None:
    answers = Directory(Path("/proc/x")).send(PARCEL, yes)
    assert answers[KIM].fate is Fate.DEFERRED


def test_a_name_leads_nowhere_else(tmp_path: Path) -> None:
    evil = Parcel("../../x@example.org", "", (KIM,), b"")
    Directory(tmp_path / "a" / "b").send(evil, yes)
    (file,) = (tmp_path / "a" / "b").iterdir()
    assert file.name == "..%2F..%2Fx@example.org.eml"
    assert Directory(tmp_path / "a" / "b").holds(evil.message_id)
