# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of unattended work, as their user runs them, on the seed's two versions."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests

from tests.support.program import (
    PROGRAM,
    SECONDS,
    Kernel,
    complaint,
    environment,
    finish,
    run,
    start,
)


@pytest.fixture
def mail(tmp_path: Path, sample_patches: Path) -> Path:
    """A directory with both versions of the seed, as one saves threads."""
    saved = tmp_path / "mail"
    saved.mkdir()
    for name in ("seed-v1.mbox", "seed-v2.mbox"):
        (saved / name).write_bytes((sample_patches / name).read_bytes())
    (saved / "notes.bin").write_bytes(b"\0\1 no mail at all")
    return saved


@pytest.fixture
def settings(tmp_path: Path, kernel: Kernel, mail: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(
        f'tree = "{kernel.path}"\ncache = "cache"\n'
        '[list.kvm]\naddress = "kvm@example.org"\n'
        '[source.one]\nkind = "mbox"\npath = "mail/seed-v1.mbox"\n'
        '[source.two]\nkind = "mbox"\npath = "mail/seed-v2.mbox"\n'
        '[service]\nstate = "state"\nlisten = ""\ninterval = 0.5\nwait = 1\n'
    )
    return file


def head_of(verdict: str, settings: Path) -> str:
    """Message-ID of the series that was found to be this."""
    listed = run("status", "--json", "--config", settings).json["reviews"]
    (found,) = [each["head"] for each in listed if each["verdict"] == verdict]
    return str(found)


def test_replay_gives_the_same_replies_to_the_byte(
    settings: Path, mail: Path, tmp_path: Path
) -> None:
    mails = []
    for name in ("a", "b"):
        ran = run("replay", mail, "--out", tmp_path / name, "--config", settings)
        assert ran.status == 0, ran.err
        mails.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert mails[0] == mails[1]
    assert ran.out.endswith("2 mails, 2 series, 1 reply\n")
    assert any(b"Verdict: removed." in text for text in mails[0].values())
    assert not (tmp_path / "state").exists(), "the state is not the user's"


def test_replay_asks_nobody(settings: Path, mail: Path, tmp_path: Path) -> None:
    """Whatever the configuration names; in a network namespace there is nothing to ask either."""
    (mail / "answer.eml").write_bytes(
        b"From: Author <author@example.org>\nMessage-ID: <answer@example.org>\n"
        b"DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=x; h=from; bh=x; b=x\n"
        b"Subject: Re: x\nIn-Reply-To: <half@example.org>\n\nNo.\n\n#reviewbot stop\n"
    )
    half = (mail / "seed-v1.mbox").read_bytes()
    half = re.sub(rb"(?m)^Message-ID: .*", b"Message-ID: <half@example.org>", half)
    half = re.sub(rb"(?m)^Subject: .*", b"Subject: [PATCH v7 1/2] half of it", half)
    (mail / "half.mbox").write_bytes(half + b"\nbase-commit: " + b"1" * 40 + b"\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        settings.write_text(
            settings.read_text().replace("[list.kvm]", '[list.kvm]\nbranch = "kvm/next"')
            + f'archive = "{url}/all"\n[remote.kvm]\nurl = "{url}/kvm.git"\n'
            + f'[lore]\nurl = "{url}/all"\n'
        )
        mails = []
        for name, confined in (("a", ()), ("b", ("unshare", "--map-root-user", "--net"))):
            command = [*confined, str(PROGRAM), "replay", str(mail), "--out", str(tmp_path / name)]
            ran = subprocess.run(
                [*command, "--config", str(settings)],
                env=environment(), capture_output=True, check=True, timeout=SECONDS,
            )  # fmt: skip
            assert b"kvm/next: HEAD is read instead" in ran.stderr
            mails.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
        with pytest.raises(BlockingIOError):
            server.accept()
    assert mails[0] == mails[1]
    assert any(b"Verdict: removed." in text for text in mails[0].values())


def test_a_pass_reviews_what_came_and_status_tells_it(settings: Path) -> None:
    ran = run("poll", "--config", settings)
    assert (ran.status, ran.out) == (0, ""), ran.err
    assert " service.stopped" in ran.err.splitlines()[-1]
    seen = run("status", "--config", settings)
    assert seen.status == 0
    assert "1 removed" in seen.out
    told = run("status", head_of("removed", settings), "--config", settings)
    assert "review running -> done: one hazard gone, 3 sites" in told.out
    assert run("poll", "--config", settings).status == 0
    again = run("status", "--json", "--config", settings).json
    assert again["overview"]["outbox"] == {"kept": 1}


def test_what_is_over_can_be_forgotten_but_not_skipped(settings: Path) -> None:
    run("poll", "--config", settings)
    head = head_of("removed", settings)
    assert "done" in complaint(run("skip", head, "--why", "x", "--config", settings), 2)
    assert "done" in complaint(run("retry", head, "--config", settings), 2)
    assert run("forget", f"<{head}>", "--config", settings).first.startswith("forgotten: v2 ")
    assert "was seen" in complaint(run("status", head, "--config", settings), 2)


@pytest.mark.parametrize("command", ["poll", "serve"])
def test_without_a_source_or_list_it_says_what_to_configure(tmp_path: Path, command: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[service]\nstate = "state"\n')
    assert "no [source]" in complaint(run(command, "--config", file), 2)
    file.write_text('[source.a]\nkind = "mbox"\npath = "x"\n[service]\nstate = "state"\n')
    assert "no [list]" in complaint(run(command, "--config", file), 2)


def test_serve_stays_shows_itself_and_ends_on_a_signal(settings: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = settings.read_text().replace('listen = ""', f'listen = "127.0.0.1:{port}"')
    settings.write_text(text + 'log = "json"\n')
    child = start("serve", "--config", settings)
    try:
        page = await_page(f"http://127.0.0.1:{port}/", "removed</span>")
    finally:
        child.send_signal(signal.SIGTERM)
    ran = finish(child)
    assert (ran.status, ran.out) == (0, "")
    events = [json.loads(line)["event"] for line in ran.err.splitlines()]
    assert events[-1] == "service.stopped"
    assert "review.done" in events
    assert "<script" not in page


def await_page(url: str, wanted: str) -> str:
    """The page at *url* as soon as it says that; a service that never does hangs."""
    end = time.monotonic() + 90
    text = ""
    while wanted not in text and time.monotonic() < end:
        try:
            text = requests.get(url, timeout=10).text
        except requests.ConnectionError:
            time.sleep(0.2)
    assert wanted in text
    return text
