# SPDX-License-Identifier: GPL-2.0-or-later
"""Every dump is what docs/review.schema.json says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reviewbot.kernel.model import ApplyState, BaseHow
from reviewbot.locking.model import ChangeState, Grade, HazardKind, Verdict
from reviewbot.report.jsonout import dump
from reviewbot.report.model import SCHEMA
from reviewbot.series.model import DamageKind
from tests.support.schemas import CHECKED, broken, keywords

from . import builders
from .shapes import GOLDEN

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "review.schema.json").read_text())


@pytest.mark.parametrize("name", GOLDEN)
def test_every_dump_fits_the_schema(name: str) -> None:
    text = dump(GOLDEN[name]().to_dict())
    assert broken(json.loads(text), DOCUMENT) == []
    assert text.endswith("}\n")


def test_the_check_knows_every_keyword_of_the_schema() -> None:
    used = set().union(*map(keywords, DOCUMENT["$defs"].values()))
    assert used <= CHECKED


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "reviewbot.review/2"),
        (("verdict",), "fine"),
        (("hazards", 0, "patch"), "1"),
        (("hazards", 0, "sites", 0, "before", "line"), -1),
        (("application", "patches", 0, "three_way"), 0),
        (("base", "commit"), "v6.12"),
        (("base", "extra"), 1),
    ],
)
def test_the_check_can_fail(path: tuple[Any, ...], value: Any) -> None:
    whole = json.loads(dump(builders.removed().to_dict()))
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert len(broken(whole, DOCUMENT)) == 1


def test_a_missing_key_is_seen() -> None:
    whole = json.loads(dump(builders.removed().to_dict()))
    del whole["stats"]["seconds"]
    assert broken(whole, DOCUMENT) == ["$.stats: no seconds"]


def test_the_schema_has_every_word_of_the_program() -> None:
    defs = DOCUMENT["$defs"]
    assert DOCUMENT["properties"]["schema"]["const"] == SCHEMA
    assert set(DOCUMENT["properties"]["verdict"]["enum"]) == set(Verdict)
    assert set(defs["apply_state"]["enum"]) == set(ApplyState)
    assert set(defs["change"]["enum"]) == set(ChangeState)
    assert set(defs["hazard"]["properties"]["kind"]["enum"]) == set(HazardKind)
    assert set(defs["hazard"]["properties"]["grade"]["enum"]) == set(Grade)
    assert set(defs["base"]["properties"]["how"]["enum"]) == set(BaseHow)
    assert set(defs["posted"]["properties"]["damage"]["items"]["enum"]) == set(DamageKind)


def test_text_is_readable_and_always_utf_8() -> None:
    text = dump(replace(builders.clean(), reason="Zoë \ud800 山").to_dict())
    assert '"reason": "Zoë \\ud800 山"' in text
    assert json.loads(text.encode())["reason"] == "Zoë \ud800 山"
