# SPDX-License-Identifier: GPL-2.0-or-later
"""An audit as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.errors import ExitStatus
from reviewbot.locking.model import Grade, HazardKind
from reviewbot.report.audit import SCHEMA, SITES_SHOWN, Audit, render_audit
from reviewbot.report.clean import is_hidden
from reviewbot.report.jsonout import dump
from tests.support.schemas import CHECKED, broken, keywords

from .audits import made, one_sided

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "audit.schema.json").read_text())
NONE = replace(made(), hazards=(), counts={})


def test_golden_text(golden: Callable[[str, bytes], None]) -> None:
    golden("audit.txt", render_audit(made()).encode())


@pytest.mark.parametrize("audit", [made(), one_sided(), NONE])
def test_every_dump_fits_the_schema(audit: Audit) -> None:
    assert broken(json.loads(dump(audit.to_dict())), DOCUMENT) == []


def test_the_check_knows_every_keyword_of_the_schema() -> None:
    assert set().union(*map(keywords, DOCUMENT["$defs"].values())) <= CHECKED


def test_the_schema_has_every_word_of_the_program() -> None:
    defs = DOCUMENT["$defs"]
    assert defs["audit"]["properties"]["schema"]["const"] == SCHEMA
    assert set(defs["kind"]["enum"]) == set(HazardKind)
    assert set(defs["hazard"]["properties"]["grade"]["enum"]) == set(Grade)


def test_nothing_found_is_a_good_end() -> None:
    text = render_audit(replace(NONE, functions=612))
    assert text == "v6.12 (0f1e2d3c4b5a), drivers/frob: no hazard among 612 functions.\n"
    assert NONE.exit_status is ExitStatus.OK
    assert made().exit_status is ExitStatus.FINDINGS


def test_a_cut_list_says_so_and_keeps_its_status() -> None:
    cut = replace(made(), hazards=())
    assert "2 hazards: 1 flush-cycle, 1 worker-pool-cycle. The first 0 are listed." in " ".join(
        render_audit(cut).split()
    )
    assert cut.exit_status is ExitStatus.FINDINGS
    assert "are listed" not in render_audit(made())


def test_what_changed_is_named() -> None:
    assert "that changes since 0f1e2d3c4b5a are part of" in " ".join(
        render_audit(replace(made(), since=made().commit)).split()
    )


def test_sites_beyond_the_first_are_counted() -> None:
    audit = one_sided()
    (hazard,) = audit.hazards
    text = render_audit(replace(audit, hazards=(replace(hazard, sites=hazard.sites * 4),)))
    assert text.count("  frob_gate_open (") + text.count("  frob_odd (") == 2 * SITES_SHOWN
    assert f"[ {8 - SITES_SHOWN + 3} more sites ]" in text


@given(st.text(min_size=1, max_size=40))
def test_names_of_the_tree_cannot_write_on_the_terminal(name: str) -> None:
    audit = made()
    first, *rest = audit.hazards
    site = replace(first.sites[0], function=name, file=name)
    hazard = replace(first, sites=(site,), classes=(name,), summary=name)
    text = render_audit(replace(audit, describe=name, paths=(name,), hazards=(hazard, *rest)))
    assert not any(is_hidden(char) for char in text if char != "\n")
