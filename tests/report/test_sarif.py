# SPDX-License-Identifier: GPL-2.0-or-later
"""The SARIF log has the structure of the standard, and what code-scanning viewers need."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from reviewbot.locking.model import HazardKind
from reviewbot.report.audit import Audit
from reviewbot.report.sarif import ONE_SIDED, review_sarif, sarif
from tests.support.schemas import broken

from .audits import GATE_PATH, POLL_PATH, made, one_sided
from .shapes import GOLDEN

S: dict[str, Any] = {"type": "string"}
LEVEL = {"enum": ["none", "note", "warning", "error"]}


def obj(required: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


def items(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def number(minimum: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": minimum}


# The objects of SARIF 2.1.0 that we use, with the members that we use and what the
# standard's schema requires of each; none of them takes members of another name.
SCHEMA: dict[str, Any] = {
    **obj("version runs", **{"$schema": S}, version={"const": "2.1.0"}, runs=items(ref("run"))),
    "$defs": {
        "run": obj(
            "tool",
            tool=obj("driver", driver=ref("component")),
            columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
            originalUriBaseIds=obj("", SRCROOT=obj("", description=ref("message"))),
            invocations=items(ref("invocation")),
            results=items(ref("result")),
            properties={"type": "object"},
        ),
        "component": obj(
            "name", name=S, semanticVersion=S, informationUri=S, rules=items(ref("rule"))
        ),
        "rule": obj(
            "id",
            id=S,
            name=S,
            shortDescription=ref("text"),
            fullDescription=ref("text"),
            help=ref("text"),
            helpUri=S,
            defaultConfiguration=obj("", level=LEVEL),
            properties={"type": "object"},
        ),
        "invocation": obj(
            "executionSuccessful",
            executionSuccessful={"type": "boolean"},
            toolExecutionNotifications=items(obj("message", level=LEVEL, message=ref("message"))),
        ),
        "text": obj("text", text=S, markdown=S),
        "message": obj("", text=S),
        "result": obj(
            "message",
            ruleId=S,
            ruleIndex=number(-1),
            level=LEVEL,
            baselineState={"enum": ["new", "unchanged", "updated", "absent"]},
            message=ref("message"),
            locations=items(ref("location")),
            relatedLocations=items(ref("location")),
            partialFingerprints={"type": "object"},
            codeFlows=items(obj("threadFlows", threadFlows=items(ref("thread")))),
        ),
        "thread": obj("locations", message=ref("message"), locations=items(ref("step"))),
        "step": obj(
            "", location=ref("location"), executionOrder=number(-1), nestingLevel=number(0)
        ),
        "location": obj(
            "",
            id=number(-1),
            message=ref("message"),
            physicalLocation=obj(
                "artifactLocation",
                artifactLocation=obj("", uri=S, uriBaseId=S),
                region=obj("startLine", startLine=number(1)),
            ),
            logicalLocations=items(obj("", name=S, kind=S)),
        ),
    },
}


def log_of(audit: Audit) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(sarif(audit))
    return loaded


def results(audit: Audit) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = log_of(audit)["runs"][0]["results"]
    return found


@pytest.mark.parametrize("audit", [made(), one_sided(), replace(made(), hazards=())])
def test_it_has_the_structure_of_the_standard(audit: Audit) -> None:
    log = log_of(audit)
    assert broken(log, SCHEMA) == []
    for flow in (flow for result in log["runs"][0]["results"] for flow in result["codeFlows"]):
        assert flow["threadFlows"]
        assert all(thread["locations"] for thread in flow["threadFlows"])


def test_the_check_of_the_structure_can_fail() -> None:
    log = log_of(made())
    log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    log["runs"][0]["results"][0]["lines"] = 3
    del log["runs"][0]["tool"]["driver"]["name"]
    assert len(broken(log, SCHEMA)) == 3


def test_every_kind_is_a_rule_that_explains_itself() -> None:
    rules = log_of(made())["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [kind.value for kind in HazardKind]
    for rule in rules:
        assert len(rule["help"]["text"]) > 100
        assert rule["shortDescription"]["text"].endswith(".")


def test_a_cycle_is_one_result_with_both_chains() -> None:
    result, _ = results(made())
    rules = log_of(made())["runs"][0]["tool"]["driver"]["rules"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "flush-cycle"
    assert result["level"] == "error"
    (hazard, _) = made().hazards
    assert result["partialFingerprints"]["hazardId/v1"] == hazard.id
    site = hazard.sites[0]
    (place,) = result["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == POLL_PATH
    assert place["physicalLocation"]["region"]["startLine"] == site.evidence.line
    (flow,) = result["codeFlows"]
    names = [
        [step["location"]["logicalLocations"][0]["name"] for step in thread["locations"]]
        for thread in flow["threadFlows"]
    ]
    assert names == [["frob_poll_stop", "frob_poll_stop"], ["frob_poll"]]
    assert [related["id"] for related in result["relatedLocations"]] == [1]


def test_a_conditional_hazard_is_a_warning_with_its_other_sites() -> None:
    _, result = results(made())
    assert result["level"] == "warning"
    assert made().hazards[1].condition in result["message"]["text"]
    others = [place["logicalLocations"][0]["name"] for place in result["relatedLocations"]]
    assert "frob_gate_open" in others


def test_a_fault_of_one_function_is_a_result_for_each() -> None:
    first, second = results(one_sided())
    (hazard,) = one_sided().hazards
    assert hazard.kind in ONE_SIDED
    assert first["partialFingerprints"] != second["partialFingerprints"]
    assert first["partialFingerprints"]["hazardId/v1"] == hazard.id
    uris = [
        r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in (first, second)
    ]
    assert uris == [GATE_PATH, "drivers/frob/odd%20%C3%A9%FF.c"]
    assert hazard.summary in first["message"]["text"]
    assert "frob_odd" in second["message"]["text"]


def test_fingerprints_know_no_lines() -> None:
    audit = made()
    hazard = audit.hazards[0]
    site = hazard.sites[0]
    moved = replace(site, evidence=replace(site.evidence, line=site.evidence.line + 40))
    later = replace(audit, hazards=(replace(hazard, sites=(moved,)), *audit.hazards[1:]))
    before, after = ([r["partialFingerprints"] for r in results(a)] for a in (audit, later))
    assert before == after


def test_it_is_plain_ascii() -> None:
    assert sarif(one_sided()).isascii()


# ---- reviews ----


def run_of(name: str) -> dict[str, Any]:
    log = json.loads(review_sarif(GOLDEN[name]()))
    assert broken(log, SCHEMA) == []
    run: dict[str, Any] = log["runs"][0]
    return run


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("removed", ["absent"]),
        ("partially-removed", ["unchanged"]),
        ("not-removed", ["unchanged"]),
        ("introduced", ["new"]),
        ("clean", []),
    ],
)
def test_a_review_tells_each_result_against_its_baseline(name: str, states: list[str]) -> None:
    run = run_of(name)
    assert [result["baselineState"] for result in run["results"]] == states
    assert run["properties"]["verdict"] == name
    assert run["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]


@pytest.mark.parametrize("name", ["conflict", "missing", "not-reviewable"])
def test_a_series_that_was_not_checked_is_a_failed_run(name: str) -> None:
    run = run_of(name)
    (invocation,) = run["invocations"]
    assert run["results"] == []
    assert invocation["executionSuccessful"] is False
    (notice,) = invocation["toolExecutionNotifications"]
    assert notice["message"]["text"] == GOLDEN[name]().reason


def test_what_is_left_is_shown_where_it_is_left() -> None:
    (result,) = run_of("partially-removed")["results"]
    (place,) = result["locations"]
    assert place["logicalLocations"][0]["name"] == "frob_gate_open"
    assert all("frob_gate_close" not in str(one["message"]) or "also" not in str(one["message"])
               for one in result["relatedLocations"])  # fmt: skip


def test_a_fault_of_one_function_has_the_state_of_its_site() -> None:
    review = GOLDEN["partially-removed"]()
    (hazard,) = review.hazards
    fault = replace(hazard, kind=HazardKind.LOCK_IMBALANCE)
    run = json.loads(review_sarif(replace(review, hazards=(fault,))))["runs"][0]
    found = {
        result["locations"][0]["logicalLocations"][0]["name"]: result["baselineState"]
        for result in run["results"]
    }
    assert found == {"frob_gate_close": "absent", "frob_gate_open": "unchanged"}
