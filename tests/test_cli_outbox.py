# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of posting, from the outside."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reviewbot import config
from reviewbot.cli import app
from reviewbot.errors import UsageError
from reviewbot.service.model import OutboxState
from reviewbot.service.state import outbox
from reviewbot.service.state.store import State
from tests.service.posting.letters import KIM, LEE, mail, name, put


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    status: int
    out: str


class Desk:
    """An operator's configuration, and a state with two letters: one waits, one is approved."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capsys = capsys
        self.file = root / "config.toml"
        self.configure('[list.kvm]\npost = "moderate"')
        with self.state() as state:
            put(state, 1, to=OutboxState.WAITING, reason="verdict removed")
            put(state, 2, ("kim@example.invalid",))

    def configure(self, text: str) -> None:
        self.file.write_text(f"""
[sender]
address = "reviewbot@bot.example.org"
domain = "bot.example.org"
[service]
state = "{self.root}/state"
[post]
directory = "{self.root}/posted"
{text}
""")

    def state(self) -> State:
        return State.open(config.load(self.file).service.url)

    def run(self, *words: str) -> Ran:
        self._capsys.readouterr()
        status = app([*words, "--config", str(self.file)], standalone_mode=False)
        return Ran(status or 0, self._capsys.readouterr().out)

    def is_(self, number: int) -> OutboxState:
        with self.state() as state:
            return outbox.get(state, number).state


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def test_from_waiting_to_sent(desk: Desk) -> None:
    listed = desk.run("outbox")
    assert listed.status == 0
    assert "waiting" in listed.out
    assert "verdict removed" in listed.out
    assert f"{KIM} and 1 more" in listed.out
    assert desk.run("outbox", "show", "1", "--raw").out == mail(1).decode()
    dry = desk.run("send", "--dry-run")
    assert "2 would be sent" in dry.out
    assert desk.is_(2) is OutboxState.APPROVED
    assert desk.run("outbox", "approve", "1", "--why", "good").status == 0
    sent = desk.run("send")
    assert (sent.status, sent.out.count("sent: ")) == (0, 2)
    files = sorted(path.name for path in (desk.root / "posted").iterdir())
    assert files == [f"{name(1)}.eml", f"{name(2)}.eml"]
    shown = desk.run("outbox", "show", "1").out
    assert f"{LEE.lower()}: taken" in shown
    assert "approved: good" in shown
    with pytest.raises(UsageError, match="Letter 1 is sent and cannot become approved"):
        desk.run("outbox", "approve", "1")


def test_a_rejected_letter_stays(desk: Desk) -> None:
    desk.run("outbox", "reject", "1", "2", "--why", "wrong")
    assert desk.run("send").out == ""
    assert not (desk.root / "posted").exists()
    letters = json.loads(desk.run("outbox", "--all", "--json").out)["letters"]
    assert [(one["state"], one["reason"]) for one in letters] == [("rejected", "wrong")] * 2


def test_the_switch_stops_it_all(desk: Desk) -> None:
    desk.run("stop-sending", "--why", "a complaint")
    ran = desk.run("send", "2")
    assert ran.status == 1
    assert desk.is_(2) is OutboxState.APPROVED
    assert "sending is stopped: a complaint" in desk.run("outbox").out
    assert "sending goes on" in desk.run("stop-sending", "--resume").out
    assert desk.run("send").status == 0


def test_mail_goes_nowhere_by_accident(desk: Desk) -> None:
    smtp = '[list.kvm]\npost = "list"\n[smtp]\nserver = "127.0.0.1"\nport = 9\nencryption = "none"'
    desk.configure(smtp.replace("[list", 'transport = "smtp"\n[list', 1))
    ran = desk.run("send")
    assert ran.status == 1
    assert "kim@example.invalid is in none of post.domains" in ran.out
    assert desk.is_(2) is OutboxState.APPROVED


def test_one_in_doubt_is_told(desk: Desk) -> None:
    with desk.state() as state:
        put(state, 3, to=OutboxState.IN_DOUBT, reason="lost")
    ran = desk.run("outbox")
    assert ran.status == 1
    assert "in doubt" in ran.out
    assert desk.run("outbox", "approve", "3").status == 0


def test_who_is_muted(desk: Desk) -> None:
    assert desk.run("mute").out == ""
    assert desk.run("mute", "Kim@example.invalid", "--why", "asked").status == 0
    assert "kim@example.invalid  muted" in desk.run("mute").out
    assert desk.run("send").out.startswith("2 failed: nobody is left to get it")
    assert "gets mail again" in desk.run("mute", "kim@example.invalid", "--undo").out
    with pytest.raises(UsageError, match="is no address"):
        desk.run("mute", "nobody")


def test_everything_is_told_in_json_as_well(desk: Desk) -> None:
    def told(*words: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(desk.run(*words, "--json").out)
        assert value.pop("schema") == "reviewbot.outbox/1"
        return value

    shown = told("outbox", "show", "1")
    assert (shown["letter"]["state"], shown["mail"]) == ("waiting", mail(1).decode())
    (dry,) = told("send", "--dry-run")["would_send"]
    assert dry == {"id": 2, "held": "", "left_out": {"kim@example.invalid": ""}}
    desk.run("mute", "kim@example.invalid", "--why", "asked")
    (silent,) = told("mute")["silent"]
    assert (silent["address"], silent["reason"]) == ("kim@example.invalid", "asked")
    (sent,) = told("send")["letters"]
    assert (sent["id"], sent["state"]) == (2, "failed")
    (delivery,) = told("outbox", "show", "2")["deliveries"]
    assert delivery["fate"] == "left out"


def test_what_is_not_there(desk: Desk) -> None:
    with pytest.raises(UsageError, match="There is no letter 9: see reviewbot outbox"):
        desk.run("outbox", "show", "9")
