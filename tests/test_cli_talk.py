# SPDX-License-Identifier: GPL-2.0-or-later
"""What people told us, as the operator sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reviewbot.locking.model import HazardKind, hazard_id
from reviewbot.series.mailbox import mbox_entry
from reviewbot.service.state import mail, quiet, reviews
from reviewbot.service.state.store import State
from reviewbot.service.talk.model import FalsePositive, Role
from tests.service.support import START, group, received
from tests.support.program import Kernel, complaint, run

KIND, CLASSES = HazardKind.LOCK_ORDER_INVERSION, ("struct foo.[a]", "struct foo.b")
MARK = FalsePositive(
    *("kvm", hazard_id(KIND, CLASSES), KIND, CLASSES),
    *("never\x1b[31m at once", "ann@example.org", "author of the series", "a@example.org", START),
)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text('[service]\nstate = "state"\n')
    return file


@pytest.fixture
def state(settings: Path) -> Iterator[State]:
    with State.open(f"sqlite:///{settings.parent}/state/state.sqlite") as opened:
        yield opened


def test_false_positives_are_listed(settings: Path, state: State) -> None:
    quiet.replace_marks(state, [MARK])
    ran = run("false-positives", "--config", settings)
    assert ran.status == 0
    assert f"{MARK.hazard}  struct foo.[a], struct foo.b" in ran.out
    assert "\x1b" not in ran.out
    assert run("false-positives", "--list", "net", "--config", settings).out == "none\n"
    found = run("false-positives", "--json", "--config", settings).json
    assert found["schema"] == "reviewbot.false-positives/1"
    assert found["false_positives"][0]["hazard"] == MARK.hazard


def test_they_go_to_a_file_and_come_back(settings: Path, state: State) -> None:
    quiet.replace_marks(state, [MARK])
    file = settings.parent / "marks.toml"
    said = run("false-positives", "--export", file, "--config", settings).out
    assert said == f"1 false positives: {file}\n"
    quiet.replace_marks(state, [])
    said = run("false-positives", "--import", file, "--config", settings).out
    assert said == "1 added, 0 dropped\n"
    assert quiet.marked(state) == (MARK,)
    both = ("false-positives", "--import", file, "--list", "kvm", "--config", settings)
    assert "give one of" in complaint(run(*both), 2)


def test_a_list_is_unmuted(settings: Path, state: State) -> None:
    with state.write() as connection:
        quiet._set(state, connection, "kvm", quiet.ListState.MUTED, "3 of 5")
    assert "kvm: 0 false positives in 0 hazards posted (0%); muted: 3 of 5" in (
        run("status", "--config", settings).out
    )
    assert run("unmute", "kvm", "--why", "mended", "--config", settings).out == "unmuted: kvm\n"
    assert "the list kvm is not muted" in complaint(run("unmute", "kvm", "--config", settings), 2)


def test_a_series_is_answered_again(settings: Path, state: State) -> None:
    mail.take_in(state, "kvm", "c", [received("k-1@example.org")])
    record = reviews.collect(state, group("k", "k-1@example.org"), START, "kvm", "ann@example.org")
    by = quiet.By("max@example.org", Role.MAINTAINER, "a@example.org")
    with state.write() as connection:
        quiet.stop(state, connection, record, by)
    assert quiet.is_stopped(state, record)
    said = run("unmute", "<k-1@example.org>", "--why", "Max agrees", "--config", settings)
    assert said.out == "unmuted: <k-1@example.org>\n"
    assert quiet.is_stopped(state, record) == ""
    told = run("status", "k-1@example.org", "--config", settings).out
    assert "review not answered -> answered: Max agrees" in told
    again = complaint(run("unmute", "k-1@example.org", "--config", settings), 2)
    assert again == "nobody has stopped the series of <k-1@example.org>"


def test_what_its_author_stopped_stays_so(settings: Path, state: State) -> None:
    mail.take_in(state, "kvm", "c", [received("k-1@example.org")])
    record = reviews.collect(state, group("k", "k-1@example.org"), START, "kvm", "ann@example.org")
    with state.write() as connection:
        by = quiet.By("ann@example.org", Role.AUTHOR, "a@example.org")
        quiet.stop(state, connection, record, by)
    why = complaint(run("unmute", "k-1@example.org", "--config", settings), 2)
    assert why.startswith("ann@example.org asked us to stop in <a@example.org>")
    assert why.endswith("only reviewbot mute --undo ADDRESS can undo that")
    assert run("mute", "--undo", "ann@example.org", "--config", settings).status == 0
    assert quiet.is_stopped(state, record), "both have to be undone"
    assert run("unmute", "k-1@example.org", "--config", settings).status == 0
    assert quiet.is_stopped(state, record) == ""


def test_a_command_in_a_mail_that_nobody_signed(
    tmp_path: Path, kernel: Kernel, sample_patches: Path
) -> None:
    mail = tmp_path / "mail.mbox"
    mail.write_bytes((sample_patches / "seed-v1.mbox").read_bytes())
    settings = tmp_path / "config.toml"
    settings.write_text(
        f'tree = "{kernel.path}"\ncache = "cache"\n[service]\nstate = "state"\nlisten = ""\n'
        'archive = "http://127.0.0.1:1/all"\n'
        f'[list.kvm]\naddress = "kvm@example.org"\n[source.one]\nkind = "mbox"\npath = "{mail}"\n'
    )
    assert run("poll", "--config", settings).status == 0
    (review,) = run("status", "--json", "--config", settings).json["reviews"]
    answer = (
        f"From: <{review['author']}>\nSubject: Re: it\nMessage-ID: <answer@example.org>\n"
        f"In-Reply-To: <{review['head']}>\n\nPlease leave me alone.\n\n#reviewbot stop\n"
    )
    with mail.open("ab") as file:
        file.write(b"\n" + mbox_entry(answer.encode()))
    ran = run("poll", "--config", settings)
    assert "command.ignored message=answer@example.org" in ran.err
    assert 'reason="it has no DKIM signature"' in ran.err
