# SPDX-License-Identifier: GPL-2.0-or-later
"""Source around steps: the right tree, the right lines, fit to print, bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reviewbot.locking.model import ChangeState, Evidence, Step
from reviewbot.report.excerpts import AROUND, MAX_EXCERPTS, Excerpts, around, excerpts

from . import builders
from .builders import GATE, GATE_PATH, gate_hazard, gate_site


def gate(path: str) -> Sequence[str]:
    return GATE.split("\n") if path == GATE_PATH else ()


def refuse(path: str) -> Sequence[str]:
    raise AssertionError(f"{path} is not of this tree")


def test_what_is_gone_is_read_before_the_series() -> None:
    site = gate_site("frob_gate_open", ChangeState.REMOVED, GATE, number=1)
    assert site.before is not None
    found = excerpts([gate_hazard(ChangeState.REMOVED, [site], 1)], gate, refuse)
    assert found.after == ()
    steps = [*site.before.chain, *site.before.closing[0].steps]
    assert [(one.file, one.line) for one in found.before] == [(s.file, s.line) for s in steps]
    for one in found.before:
        assert one.lines[one.line - one.first] == GATE.split("\n")[one.line - 1]
        assert len(one.lines) == 2 * AROUND + 1


def test_what_is_new_is_read_after_the_series() -> None:
    found = excerpts([builders.poll_hazard()], refuse, lambda path: ["x"] * 100)
    assert found.before == ()
    assert found.after


def test_a_file_is_read_once_and_one_that_is_not_there_is_left_out() -> None:
    asked: list[str] = []

    def read(path: str) -> Sequence[str]:
        asked.append(path)
        return gate(path)

    sites = builders.all_gate_sites(ChangeState.REMOVED, GATE, 1)
    found = excerpts([gate_hazard(ChangeState.REMOVED, sites, 1)], read, refuse)
    assert sorted(asked) == sorted(set(asked))
    assert {one.file for one in found.before} == {GATE_PATH}


def test_hostile_source_is_cut_and_made_visible() -> None:
    site = gate_site("frob_gate_open", ChangeState.REMOVED, GATE, number=1)
    lines = ["\x1b]0;x\x07\udce4\u202e\tend  ", "x" * 10_000] * 100
    found = excerpts([gate_hazard(ChangeState.REMOVED, [site], 1)], lambda _: lines, refuse)
    assert {line for one in found.before for line in one.lines} == {
        "<U+001B>]0;x<U+0007><E4><U+202E>\tend",
        "x" * 200,
    }


def test_there_are_not_more_than_a_page_can_hold() -> None:
    site = gate_site("frob_gate_open", ChangeState.REMOVED, GATE, number=1)
    steps = tuple(Step("f", GATE_PATH, line, "g") for line in range(1, 3 * MAX_EXCERPTS))
    deep = replace(site, before=Evidence(1, steps))
    found = excerpts([gate_hazard(ChangeState.REMOVED, [deep], 1)], lambda _: ["x"] * 9999, refuse)
    assert len(found.before) == MAX_EXCERPTS


def test_no_hazards_no_source() -> None:
    assert excerpts([], refuse, refuse) == Excerpts()


@given(st.integers(0, 60), st.integers(0, 70))
def test_around_is_a_part_of_the_file(count: int, line: int) -> None:
    lines = [str(number) for number in range(1, count + 1)]
    first, found = around(lines, line)
    assert list(found) == [text for text in lines if abs(int(text) - line) <= AROUND]
    assert not found or found[0] == str(first)
