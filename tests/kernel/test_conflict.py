# SPDX-License-Identifier: GPL-2.0-or-later
"""A conflict explained: who changed the lines, and where the series does apply."""

from __future__ import annotations

import pytest

from reviewbot.kernel import conflict as module
from reviewbot.kernel.apply import apply_series
from reviewbot.kernel.check import ApplyLimits
from reviewbot.kernel.conflict import explain_conflict
from reviewbot.kernel.model import Conflict
from reviewbot.kernel.repository import Repository, Scratch
from tests.kernel.conftest import numbered_lines
from tests.kernel.support import Checkout, make_base, make_series

FILE = "dir/lines.c"
Pair = tuple[str, str]


def posted(checkout: Checkout, number: int = 30) -> str:
    """A patch to the file as the first commit has it."""
    return checkout.edit(FILE, (f"line {number}\n", "posted\n"))


def change(checkout: Checkout, *pairs: Pair, date: int = 0, message: str = "change") -> str:
    text = (checkout.path / FILE).read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    return checkout.commit({FILE: text}, message, date=date)


def explain(checkout: Checkout, *diffs: str) -> Conflict | None:
    series = make_series(*diffs)
    limits = ApplyLimits()
    with Repository.open(checkout.path) as repository, Scratch(repository) as scratch:
        base = make_base(checkout.blob("HEAD^{tree}"), checkout.blob("HEAD"))
        application = apply_series(scratch, base, series, limits)
        return explain_conflict(repository, scratch, base, series, application, limits)


def test_the_commit_that_rewrote_the_lines(numbered: Checkout) -> None:
    diff = posted(numbered)
    change(numbered, ("line 2\n", "far away\n"), date=1)
    guilty = change(numbered, ("line 30\n", "rewritten\n"), date=2, message="dir: rewrite it")
    change(numbered, ("line 60\n", "far below\n"), date=3)
    found = explain(numbered, diff)
    assert found is not None
    assert (found.path, found.commit, found.subject) == (FILE, guilty, "dir: rewrite it")


def test_the_commit_that_took_the_lines_away(numbered: Checkout) -> None:
    diff = posted(numbered)
    guilty = change(numbered, ("line 30\n", ""), date=1)
    change(numbered, ("line 60\n", "far below\n"), date=2)
    found = explain(numbered, diff)
    assert found is not None
    assert found.commit == guilty


def test_lines_that_have_moved(numbered: Checkout) -> None:
    diff = posted(numbered)
    change(numbered, ("line 1\n", "new\n" * 200 + "line 1\n"), date=1)
    guilty = change(numbered, ("line 29\n", "beside\n"), ("line 32\n", "beside\n"), date=2)
    found = explain(numbered, diff)
    assert found is not None
    assert found.commit == guilty


@pytest.mark.parametrize("renamed", [False, True])
def test_a_file_that_is_gone(numbered: Checkout, renamed: bool) -> None:
    diff = posted(numbered)
    numbered.git(*(("mv", FILE, "moved.c") if renamed else ("rm", "-q", FILE)))
    guilty = numbered.commit({}, "move it", date=1)
    found = explain(numbered, diff)
    assert found is not None
    assert (found.commit, found.subject) == (guilty, "move it")


def test_the_first_commit_of_all_tells_nothing(checkout: Checkout) -> None:
    text = numbered_lines()
    checkout.commit({FILE: text})
    diff = posted(checkout)
    checkout.git("checkout", "-q", "--orphan", "other")
    checkout.commit({FILE: text.replace("line 30\n", "never so\n")})
    checkout.git("branch", "-q", "-D", "master")
    assert explain(checkout, diff) == Conflict(path=FILE)


def test_the_nearest_tag_is_the_newest_that_takes_it(numbered: Checkout) -> None:
    diff = posted(numbered)
    numbered.git("tag", "v1")
    change(numbered, ("line 2\n", "beside the point\n"), date=1)
    numbered.git("tag", "v2")
    change(numbered, ("line 30\n", "rewritten\n"), date=2)
    numbered.git("tag", "v3")
    numbered.commit({"other.c": "int x;\n"}, date=3)
    found = explain(numbered, diff)
    assert found is not None
    # v1 has the very pre-image, so it comes before v2, which would take it as well.
    assert (found.applies_to, found.applies_commit) == ("v1", numbered.blob("v1"))
    assert found.tried == 1
    found = explain(numbered, diff.replace(f"index {numbered.blob(f'v1:{FILE}')}", "index 1234567"))
    assert found is not None
    assert (found.applies_to, found.tried) == ("v2", 1)


def test_tries_are_bounded_and_each_state_is_tried_once(
    numbered: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    diff = posted(numbered).replace("line 29", "nowhere").replace("line 28", "never")
    for number in range(12):
        change(numbered, ("line 2", f"line {number}2"), date=2 * number + 1)
        numbered.commit({"other.c": f"int x{number};\n"}, date=2 * number + 2)
        numbered.git("branch", f"b{number}")
        numbered.git("branch", f"c{number}")
    found = explain(numbered, diff)
    assert found is not None
    assert (found.applies_to, found.tried) == ("", module.MAX_TRIES)
    monkeypatch.setattr(module, "MAX_TRIES", 50)
    found = explain(numbered, diff)
    assert found is not None
    assert found.tried == 11


def test_time_has_an_end(numbered: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    diff = posted(numbered).replace("line 29", "nowhere").replace("line 28", "never")
    for number in range(3):
        change(numbered, ("line 2", f"line {number}2"), date=number + 1)
        numbered.git("branch", f"b{number}")
    monkeypatch.setattr(module, "TRY_SECONDS", -1.0)
    monkeypatch.setattr(module, "HISTORY", module.git.Limits(seconds=0.0))
    found = explain(numbered, diff)
    assert found == Conflict(path=FILE, tried=1)


def test_a_series_that_applies_has_no_conflict(numbered: Checkout) -> None:
    assert explain(numbered, posted(numbered)) is None


def test_a_hostile_hunk_is_only_text(numbered: Checkout) -> None:
    diff = posted(numbered)
    evil = diff.replace(" line 29", " --output=/tmp/pwned").replace("-line 30", "-$(touch pwned)")
    change(numbered, ("line 30\n", "rewritten\n"), date=1)
    found = explain(numbered, evil)
    assert found is not None
    assert found.path == FILE
