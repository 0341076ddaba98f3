# SPDX-License-Identifier: GPL-2.0-or-later
"""A hazard with its source."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reviewbot.report.excerpts import AROUND
from reviewbot.report.explain import Explanation, explanation, render_explanation
from reviewbot.report.jsonout import dump
from tests.support.schemas import broken

from .audits import made, one_sided
from .builders import GATE, GATE_PATH, POLL, POLL_PATH

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "audit.schema.json").read_text())
TEXTS = {GATE_PATH: GATE.split("\n"), POLL_PATH: POLL.split("\n")}


def explained(number: int) -> Explanation:
    return explanation(made().hazards[number], "v6.12", lambda path: TEXTS.get(path, []))


def test_golden_text(golden: Callable[[str, bytes], None]) -> None:
    golden("explain.txt", render_explanation(explained(1)).encode())


def test_each_step_points_at_its_line() -> None:
    made_of = explained(1)
    steps = [
        step for chain in made_of.chains for step in chain.steps if step.step.file == GATE_PATH
    ]
    assert len(steps) >= 4
    for step in steps:
        line = step.lines[step.step.line - step.first]
        assert step.step.what in line
        assert len(step.lines) == 2 * AROUND + 1
        assert f"-> {step.step.line}  " in render_explanation(made_of)


def test_it_fits_the_schema() -> None:
    for number in (0, 1):
        assert broken(json.loads(dump(explained(number).to_dict())), DOCUMENT) == []


def test_a_file_that_is_not_there_has_no_lines() -> None:
    (hazard,) = one_sided().hazards
    made_of = explanation(hazard, "v6.12", lambda _: [])
    assert all(not step.lines for chain in made_of.chains for step in chain.steps)
    assert "frob_gate_open" in render_explanation(made_of)


def test_source_cannot_write_on_the_terminal() -> None:
    (hazard,) = one_sided().hazards
    text = render_explanation(
        explanation(hazard, "x", lambda _: ["\x1b]0;owned\x07\t\u202e"] * 999)
    )
    assert "\x1b" not in text
    assert "<U+001B>" in text


def test_other_sites_are_named_and_counted() -> None:
    hazard = replace(made().hazards[1], more_sites=7)
    text = render_explanation(explanation(hazard, "v6.12", lambda path: TEXTS.get(path, [])))
    for site in hazard.sites[1:]:
        assert f"  {site.function} ({site.file}:{site.evidence.line})" in text
    assert "[ 7 more ]" in text
