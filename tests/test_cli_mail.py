# SPDX-License-Identifier: GPL-2.0-or-later
"""``reviewbot lint-mail``, run as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reviewbot.report.etiquette import RULES

from .support.program import complaint, run

GOLDEN = Path(__file__).parent / "data" / "golden"


def test_our_own_mail_keeps_every_rule() -> None:
    ran = run("lint-mail", GOLDEN / "clean.eml")
    assert ran.status == 0, ran.out
    assert ran.first == "Checked as reviewbot's own mail."
    assert "FAIL" not in ran.out
    assert all(f"{rule.name} " in ran.out for rule in RULES)


def test_a_broken_rule_is_told_with_its_source() -> None:
    mail = (GOLDEN / "clean.eml").read_bytes().replace(b"Subject: Re: ", b"Subject: ")
    ran = run("lint-mail", "-", data=mail)
    assert ran.status == 1
    at = ran.out.index("FAIL  subject")
    assert ran.out[at:].splitlines()[1:3] == [
        "      Subject does not start with Re:",
        "      see RFC 5322, 3.6.5",
    ]


def test_an_answer_is_compared_with_its_parent(tmp_path: Path) -> None:
    parent = tmp_path / "parent.eml"
    parent.write_text("From: a@example.org\nMessage-ID: <other@example.org>\n\nx\n")
    ran = run("lint-mail", GOLDEN / "clean.eml", "--parent", parent, "--json")
    assert ran.status == 1
    assert ran.json["schema"] == "reviewbot.lint/1"
    assert (ran.json["as"], ran.json["ok"]) == ("reviewbot", False)
    rules = {rule["rule"]: rule for rule in ran.json["rules"]}
    assert rules["references-kept"]["ok"] is False
    assert rules["answerable"]["ok"] is True


@pytest.mark.parametrize(("whose", "status"), [("person", 0), ("bot", 1)])
def test_whose_mail_it_is_can_be_said(whose: str, status: int) -> None:
    mail = b"""\
From: Kim <kim@example.org>
To: robin@example.org
Subject: frob
Date: Mon, 3 Aug 2026 11:00:00 +0200
Message-ID: <1@example.org>

Does it build?
"""
    assert run("lint-mail", "-", "--as", whose, data=mail).status == status


def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path: Path) -> None:
    assert complaint(run("lint-mail", tmp_path / "no"), 2).endswith("No such file or directory")
    assert "--as" in complaint(run("lint-mail", "-", "--as", "dog"), 2)
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(17 << 20)
    assert complaint(run("lint-mail", huge), 2).endswith("is it one mail?")
