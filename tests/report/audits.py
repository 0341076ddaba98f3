# SPDX-License-Identifier: GPL-2.0-or-later
"""Audits made by hand, of the invented driver of the golden mails."""

from __future__ import annotations

from reviewbot.locking.audit import AuditHazard, AuditSite
from reviewbot.locking.model import (
    ChangeState,
    Evidence,
    Grade,
    Hazard,
    HazardKind,
    Scenario,
    ScenarioRow,
    Step,
)
from reviewbot.report.audit import Audit

from .builders import (
    COMMIT,
    CONF_LOCK,
    GATE,
    GATE_PATH,
    POLL_PATH,
    all_gate_sites,
    gate_hazard,
    line_of,
    poll_hazard,
)

__all__ = ["GATE_PATH", "POLL_PATH", "audited", "made", "one_sided", "site_of"]


def audited(hazard: Hazard) -> AuditHazard:
    """A hazard of a review, as an audit of the tree that has it would tell it."""
    sites = []
    for site in hazard.sites:
        evidence = site.after or site.before
        assert evidence is not None
        sites.append(AuditSite(site.function, site.file, site.via, "task", evidence))
    return AuditHazard(
        kind=hazard.kind,
        grade=hazard.grade,
        classes=hazard.classes,
        sites=tuple(sites),
        more_sites=0,
        scenario=hazard.scenario,
        summary=hazard.summary,
        condition=hazard.condition,
    )


def _audit(*hazards: AuditHazard) -> Audit:
    counts: dict[HazardKind, int] = {}
    for hazard in hazards:
        counts[hazard.kind] = counts.get(hazard.kind, 0) + 1
    return Audit(
        rev="HEAD",
        commit=COMMIT,
        describe="v6.12",
        paths=("drivers/frob",),
        kinds=(),
        since=None,
        counts=counts,
        hazards=hazards,
        files=61234,
        functions=612,
        seconds=1.5,
        tool_version="0.1.0",
    )


def made() -> Audit:
    """A cycle of one site, and a conditional one of three."""
    sites = all_gate_sites(ChangeState.REMAINING, GATE, None)
    return _audit(audited(poll_hazard()), audited(gate_hazard(ChangeState.REMAINING, sites, None)))


def site_of(function: str, file: str, source: str) -> AuditSite:
    """A function that keeps the lock which it takes."""
    taken = line_of(source, function, "mutex_lock(")
    steps = (
        Step(function, file, taken, "mutex_lock", CONF_LOCK),
        Step(function, file, taken + 3, "return", CONF_LOCK),
    )
    return AuditSite(function, file, "", "task", Evidence(line=taken + 3, chain=steps))


def one_sided() -> Audit:
    """An imbalance in two files, one with a name that is no UTF-8."""
    odd = "void frob_odd(void)\n{\n\tmutex_lock(&conf_lock);\n}\n"
    return _audit(
        AuditHazard(
            kind=HazardKind.LOCK_IMBALANCE,
            grade=Grade.DEFINITE,
            classes=(CONF_LOCK,),
            sites=(
                site_of("frob_gate_open", GATE_PATH, GATE),
                site_of("frob_odd", "drivers/frob/odd é\udcff.c", odd),
            ),
            more_sites=3,
            scenario=Scenario(("CPU0",), (ScenarioRow(0, f"lock({CONF_LOCK})"),)),
            summary=f"frob_gate_open() leaves {CONF_LOCK} in another state on one way out.",
            condition="",
        )
    )
