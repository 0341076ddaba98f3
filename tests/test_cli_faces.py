# SPDX-License-Identifier: GPL-2.0-or-later
"""``b4-check`` as b4 itself runs it, ``patchwork-check`` against a server, pages from the CLI."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.support import faults
from tests.support.check_server import TOKEN, CheckServer, patchwork
from tests.support.mails import join, message_id, split
from tests.support.program import PROGRAM, Kernel, Ran, complaint, environment, run

# What b4's review does for each patch and cover letter (b4.review_tui, _fetch_and_check).
B4 = """
import argparse, email, json, sys
import b4
from b4.review import checks
b4.setup_config(argparse.Namespace(config={}))
commands, _ = checks.load_check_cmds()
for path in sys.argv[1:]:
    mail = email.message_from_bytes(open(path, "rb").read(), policy=b4.emlpolicy)
    msgid = mail["Message-ID"].strip("<> ")
    told = checks.run_perpatch_checks([(msgid, mail)], commands, b4.git_get_toplevel())
    print(json.dumps(told[msgid]))
"""
SITES = "irqfd_resampler_shutdown() and kvm_irqfd_assign()"


def mail_of(mbox: Path) -> bytes:
    """The message of a mailbox of one."""
    return re.sub(rb"\AFrom .*\n", b"", mbox.read_bytes())


def entry(ran: Ran) -> dict[str, Any]:
    """The one result that b4-check printed."""
    assert ran.status == 0, ran.err
    (told,) = json.loads(ran.out)
    assert told["tool"] == "reviewbot"
    assert told["status"] in ("pass", "warn", "fail")
    return dict(told)


@pytest.fixture(scope="module")
def three(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A series whose second patch takes the seed's fix back: cover letter and three patches."""
    clone = Kernel(tmp_path_factory.mktemp("author") / "linux")
    kernel.git("clone", "-q", kernel.path, clone.path)
    clone.git("checkout", "-q", "-b", "work", "origin/v2")
    note = "/* {} */\n"
    clone.edit("virt/kvm/irqchip.c", "kvm: a note", lambda text: note.format("one") + text)
    clone.git("revert", "--no-edit", "origin/v2")
    clone.edit("virt/kvm/irqchip.c", "kvm: another", lambda text: text + note.format("two"))
    mails = split(clone.mails("--cover-letter", "origin/v2..work"))
    assert len(mails) == 4
    return mails


# ---- b4 ----


def through_b4(kernel: Kernel, mails: Mapping[str, bytes], folder: Path, command: str) -> Any:
    """What b4's own runner makes of the answers."""
    paths = []
    for name, mail in mails.items():
        paths.append(folder / name)
        paths[-1].write_bytes(mail)
    config = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "b4.review-perpatch-check-cmd",
        "GIT_CONFIG_VALUE_0": f"{PROGRAM} b4-check {command}",
    }
    done = subprocess.run(
        [sys.executable, "-c", B4, *map(str, paths)],
        cwd=kernel.path,
        env=environment(**config),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_b4_takes_the_answers(kernel: Kernel, v1: Path, v2: Path, tmp_path: Path) -> None:
    mails = {"v1": mail_of(v1), "v2": mail_of(v2), "text": b"Message-ID: <1@example.org>\n\nx\n"}
    ((first,), (second,), (third,)) = through_b4(kernel, mails, tmp_path, "--tree .")
    assert (second["tool"], second["status"]) == ("reviewbot", "pass")
    assert second["summary"] == f"removes worker-pool-cycle from {SITES}"
    assert second["details"].startswith("Verdict: removed.")
    assert first["status"] == "warn"
    assert "left in kvm_irqfd_assign()" in first["summary"]
    assert third["summary"].startswith("no verdict: ")


def test_a_patch_is_judged_as_part_of_its_series(kernel: Kernel, three: list[bytes]) -> None:
    with faults.serving(faults.mailbox(join(*three))) as archive:
        base = ["--tree", kernel.path, "--base", "v2", "--lore", archive.url]
        told = [entry(run("b4-check", *base, data=mail)) for mail in three]
        assert archive.requests[0][0] == f"/list/{message_id(three[0])}/t.mbox.gz"
    assert [one["status"] for one in told] == ["warn", "pass", "warn", "pass"]
    assert told[0]["summary"].startswith("introduced: the series brings a new lock pattern into")
    assert told[2]["summary"] == f"new worker-pool-cycle (conditional) in {SITES}"
    assert told[3]["summary"] == "adds no lock pattern that this check knows"


def test_without_the_archive_it_looks_at_the_patch_alone(
    kernel: Kernel, three: list[bytes]
) -> None:
    with faults.serving(faults.status(404)) as archive:
        base = ["--tree", kernel.path, "--base", "v2", "--lore", archive.url]
        cover, _, second, _ = (entry(run("b4-check", *base, data=mail)) for mail in three)
    assert cover["status"] == "warn"
    assert cover["summary"].startswith("no verdict: ")
    assert second["status"] == "warn"
    assert second["summary"].endswith(f"in {SITES} (without the rest of its series)")
    assert archive.url in second["details"]


def test_under_review_the_base_is_what_b4_applied_the_series_to(
    kernel: Kernel, v2: Path, tmp_path: Path
) -> None:
    """b4 has the series checked out: at HEAD it is in already."""
    tracking = tmp_path / "tracking.json"
    branch = kernel.git("rev-parse", "v2").strip()
    reviewed = Kernel(tmp_path / "linux")
    kernel.git("clone", "-q", "--branch", "v2", kernel.path, reviewed.path)
    ask = ["b4-check", "--tree", reviewed.path]
    assert "already applied" in entry(run(*ask, data=mail_of(v2)))["summary"]
    base = reviewed.git("rev-parse", f"{branch}^").strip()
    for value, status in (
        ({"series": {"base-commit": base}}, "pass"),
        ({"series": {"base-commit": "1" * 40}}, "warn"),
        ({"series": {"base-commit": "--help"}}, "warn"),
        ({"series": []}, "warn"),
    ):
        tracking.write_text(json.dumps(value))
        env = environment(B4_TRACKING_FILE=str(tracking))
        assert entry(run(*ask, data=mail_of(v2), env=env))["status"] == status, value


def test_b4_is_told_what_went_wrong(kernel: Kernel, v2: Path, tmp_path: Path) -> None:
    for args in (["--tree", tmp_path], ["--tree", kernel.path, "--base", "v99"], []):
        told = entry(run("b4-check", *args, data=mail_of(v2)))
        assert told["status"] == "fail", args
        assert told["summary"].startswith("no verdict: ")
    assert "--bogus" in complaint(run("b4-check", "--bogus"), 2)


def test_a_message_id_is_never_a_file(kernel: Kernel, three: list[bytes], v2: Path) -> None:
    """Strangers choose message-ids; what is named so on this disk is not read for it."""
    evil = re.sub(rb"(?m)^Message-Id: .*$", b"Message-Id: <%s>" % os.fsencode(v2), three[2],
                  flags=re.IGNORECASE)  # fmt: skip
    assert evil != three[2]
    with faults.serving(faults.status(404)) as archive:
        args = ["--tree", kernel.path, "--base", "v2", "--lore", archive.url]
        told = entry(run("b4-check", *args, data=evil))
    assert told["summary"].endswith("(without the rest of its series)")


# ---- patchwork ----


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A configuration for the server of :func:`configured`."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    return tmp_path / "config.toml"


def configured(path: Path, server: CheckServer, **more: str) -> Path:
    lines = {"url": server.url, "project": "frob", "token_file": "token", **more}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())
    path.write_text(f"[patchwork]\n{text}")
    return path


def test_the_checks_of_a_series(kernel: Kernel, three: list[bytes], settings: Path) -> None:
    mbox = settings.with_name("series.mbox")
    mbox.write_bytes(join(*three))
    with patchwork(*map(message_id, three[1:])) as server:
        configured(settings, server, linkmask="https://example.org/reviews/%s")
        ask = ["patchwork-check", mbox, "-t", kernel.path, "--base", "v2", "--config", settings]
        dry = run(*ask, "--dry-run")
        assert server.asked == []
        ran = run(*ask)
        again = run(*ask, "--json")
        assert server.posts() == 3
        (second,) = server.checks[14_000_002]
    assert (dry.status, ran.status, again.status) == (1, 1, 1)
    lines = ran.out.splitlines()
    assert lines[0] == "1/3 success, posted: adds no lock pattern that this check knows"
    assert lines[1] == f"2/3 warning, posted: new worker-pool-cycle (conditional) in {SITES}"
    assert dry.out == ran.out.replace("posted:", "not posted:")
    assert {one["outcome"] for one in again.json} == {"there already"}  # type: ignore[call-overload]
    assert second["target_url"] == f"https://example.org/reviews/{message_id(three[0])}"


def test_a_patch_that_the_server_does_not_know(kernel: Kernel, v2: Path, settings: Path) -> None:
    with patchwork() as server:
        ran = run(
            "patchwork-check", v2, "-t", kernel.path, "--config", configured(settings, server)
        )
        assert server.posts() == 0
    assert ran.out.startswith("1/1 success, no such patch there: removes worker-pool-cycle")


def test_nothing_is_posted_unless_configured(kernel: Kernel, v2: Path, settings: Path) -> None:
    ask = ["patchwork-check", v2, "-t", kernel.path]
    assert "patchwork.url" in complaint(run(*ask), 2)
    with patchwork() as server:
        configured(settings, server, token_file="nowhere")
        assert "nowhere" in complaint(run(*ask, "--config", settings), 2)
        settings.with_name("token").write_text("two words\n")
        configured(settings, server)
        assert "one token" in complaint(run(*ask, "--config", settings), 2)
        assert server.asked == []
    for url in ("http://patchwork.example.org", "ftp://127.0.0.1", "https://a:b@example.org"):
        settings.write_text(f'[patchwork]\nurl = "{url}"\n')
        assert "patchwork.url must be" in complaint(run(*ask, "--config", settings), 2)


# ---- files ----


def test_a_review_in_three_forms(kernel: Kernel, v1: Path, tmp_path: Path) -> None:
    page, log, mail = (tmp_path / name for name in ("a.html", "a.sarif", "a.eml"))
    ran = run("review", v1, "-t", kernel.path, "--html", page, "--sarif", log, "--out", mail)
    assert (ran.status, ran.err) == (1, "")
    assert ran.out == f"partially-removed: {mail}, {page}, {log}\n"
    text = page.read_text()
    HTMLParser().feed(text)
    assert text.count("<svg") == 2
    assert 'class="here"' in text
    (result,) = json.loads(log.read_text())["runs"][0]["results"]
    assert result["baselineState"] == "unchanged"
    assert mail.read_bytes().startswith(b"From: ")


def test_a_page_of_what_does_not_apply(kernel: Kernel, v2: Path, tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    ran = run("review", v2, "-t", kernel.path, "--base", "v2", "--html", page)
    assert ran.status == 3
    assert "Does not apply" in page.read_text()
    nowhere = tmp_path / "no" / "a.html"
    assert str(nowhere) in complaint(run("review", v2, "-t", kernel.path, "--html", nowhere), 2)
