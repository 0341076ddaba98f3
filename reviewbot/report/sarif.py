# SPDX-License-Identifier: GPL-2.0-or-later
"""An audit or a review as SARIF 2.1.0, for code-scanning viewers.

Source: the OASIS standard "Static Analysis Results Interchange Format (SARIF)
Version 2.1.0"; section numbers below are its.  What GitHub asks for beyond it
(a result has a location, a rule a help text, a run at most 25,000 results and a
result 10,000 thread flow locations) holds as well.

A cycle is one result, however many functions enter it; a fault of one function
alone (:data:`ONE_SIDED`) is one result a function, since each is mended where it is.

A review has a baseline, the tree before the series, and each of its results says how it
stands to that (3.27.24): ``new``, ``unchanged``, or ``absent`` for what the series removes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from reviewbot.errors import ExitStatus
from reviewbot.locking.audit import AuditHazard, AuditSite
from reviewbot.locking.model import Chain, ChangeState, Grade, Hazard, HazardKind, Site, Step
from reviewbot.report.audit import Audit, site_title
from reviewbot.report.clean import one_line
from reviewbot.report.layout import step_line
from reviewbot.report.model import Review
from reviewbot.report.proof import cycle_line

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
INFORMATION = "https://www.kernel.org/doc/html/latest/locking/lockdep-design.html"
ONE_SIDED = frozenset(
    {HazardKind.LOCK_IMBALANCE, HazardKind.SLEEP_IN_ATOMIC, HazardKind.RECURSIVE_LOCK}
)
MAX_RESULTS = 25_000
_ROOT = "SRCROOT"
_BASELINE = {
    ChangeState.INTRODUCED: "new",
    ChangeState.REMAINING: "unchanged",
    ChangeState.REMOVED: "absent",
}
_LEVEL = {Grade.DEFINITE: "error", Grade.CONDITIONAL: "warning"}

_RULES: dict[HazardKind, tuple[str, str]] = {
    HazardKind.LOCK_ORDER_INVERSION: (
        "Two locks are taken in both orders",
        "One context holds A and waits for B, another holds B and waits for A. If they meet, both"
        " wait for ever. Take the locks in one order everywhere, or drop the first before the"
        " second is taken.",
    ),
    HazardKind.RECURSIVE_LOCK: (
        "A lock is taken by its holder",
        "The function takes a lock that it holds already, itself or through a call. The kernel's"
        " mutexes, semaphores and spinlocks are not recursive: it waits for itself. Call a variant"
        " that expects the lock to be held, or release it before.",
    ),
    HazardKind.GRACE_PERIOD_CYCLE: (
        "A lock is held over a grace period whose readers take it",
        "The grace period ends only when every reader of the domain has left, and a reader waits"
        " for the lock that is held over the wait. Wait for the grace period after the lock is"
        " released.",
    ),
    HazardKind.GRACE_PERIOD_IN_READER: (
        "A grace period is awaited inside a reader",
        "A grace period ends only when every read-side critical section of the domain has ended,"
        " that of the waiting function too. Leave the reader before waiting.",
    ),
    HazardKind.FLUSH_CYCLE: (
        "A lock is held while waiting for a handler that takes it",
        "Cancelling, flushing or stopping waits for the work item, timer, thread or interrupt"
        " handler to finish, and the handler waits for the lock held meanwhile. Release the lock"
        " before, or use a variant that does not wait.",
    ),
    HazardKind.WORKER_POOL_CYCLE: (
        "A lock is held over an SRCU grace period and blocks kworkers",
        "The grace period needs a kworker to run process_srcu(). Work items that wait for the lock"
        " occupy kworkers. Holding a mutex over synchronize_srcu() is legal in itself; only if"
        " every worker that could help is blocked does it deadlock.",
    ),
    HazardKind.SLEEP_IN_ATOMIC: (
        "Something that may sleep is reached in atomic context",
        "Under a spinlock, in an RCU reader, or with preemption or interrupts off nothing may"
        " sleep: no mutex, no flush, no grace period. Move the call out, or use a variant that"
        " does not sleep.",
    ),
    HazardKind.LOCK_IMBALANCE: (
        "A way out of a function leaves a lock in another state",
        "On one path the function returns with a lock that it releases on the others, or releases"
        " one that it does not hold. Usually an error path misses an unlock.",
    ),
}


def sarif(audit: Audit) -> str:
    """The audit as a SARIF log, JSON in UTF-8 that only uses ASCII."""
    results = [result for hazard in audit.hazards for result in _results(hazard)]
    about = {"commit": audit.commit, "hazardsFound": audit.found}
    return _log(audit.tool_version, results, about)


def review_sarif(review: Review) -> str:
    """What a series does to the hazards that it touches, as a SARIF log."""
    results = [result for hazard in review.hazards for result in _compared(hazard)]
    done = review.exit_status is not ExitStatus.NOT_REVIEWABLE
    notice = {"level": "error", "message": {"text": one_line(review.reason or "no check was made")}}
    invocation = {
        "executionSuccessful": done,
        "toolExecutionNotifications": [] if done else [notice],
    }
    about = {
        "verdict": review.verdict.value,
        "base": review.base.commit if review.base is not None else "",
        "messageId": one_line(review.series.message_id),
    }
    return _log(review.tool_version, results, about, invocations=[invocation])


def _log(version: str, results: list[dict[str, Any]], about: dict[str, Any], **more: Any) -> str:
    run = {
        "tool": {"driver": _driver(version)},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The top of the kernel tree."}}},
        **more,
        "results": results[:MAX_RESULTS],
        "properties": about,
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _driver(version: str) -> dict[str, Any]:
    return {
        "name": "reviewbot",
        "semanticVersion": version,
        "informationUri": INFORMATION,
        "rules": [_rule(kind) for kind in _RULES],
    }


def _rule(kind: HazardKind) -> dict[str, Any]:
    short, full = _RULES[kind]
    conditional = kind is HazardKind.WORKER_POOL_CYCLE
    return {
        "id": kind.value,
        "name": "".join(word.capitalize() for word in kind.value.split("-")),
        "shortDescription": {"text": f"{short}."},
        "fullDescription": {"text": full},
        "help": {"text": full, "markdown": full},
        "helpUri": INFORMATION,
        "defaultConfiguration": {"level": "warning" if conditional else "error"},
        "properties": {
            "tags": ["locking", "deadlock"],
            "precision": "low" if conditional else "medium",
            "problem.severity": "warning" if conditional else "error",
        },
    }


def _results(hazard: AuditHazard) -> Iterator[dict[str, Any]]:
    if hazard.kind in ONE_SIDED:
        for site in hazard.sites:
            yield _result(hazard, site, ())
    else:
        yield _result(hazard, hazard.sites[0], hazard.sites[1:])


def _compared(hazard: Hazard) -> Iterator[dict[str, Any]]:
    """A hazard of a review where the series leaves it, else where it was before."""
    sites = list(hazard.sites)
    if hazard.kind not in ONE_SIDED:
        left = [site for site in sites if site.after is not None] or sites
        sites = sorted(left, key=lambda site: site.state is not hazard.state)
    told = AuditHazard(
        kind=hazard.kind,
        grade=hazard.grade,
        classes=hazard.classes,
        sites=tuple(map(_standing, sites)),
        more_sites=0,
        scenario=hazard.scenario,
        summary=hazard.summary,
        condition=hazard.condition,
    )
    for result, site in zip(_results(told), sites, strict=False):
        state = site.state if hazard.kind in ONE_SIDED else hazard.state
        yield {**result, "baselineState": _BASELINE[state]}


def _standing(site: Site) -> AuditSite:
    """A site with its proof in the newest tree that has it."""
    evidence = site.after or site.before
    assert evidence is not None  # noqa: S101 - a site is in one of the trees
    return AuditSite(site.function, site.file, site.via, f"{site.function}()", evidence)


def _result(hazard: AuditHazard, site: AuditSite, others: Sequence[AuditSite]) -> dict[str, Any]:
    chains = [Chain(site.context, site.evidence.chain), *site.evidence.closing]
    threads = [_thread(chain.context, chain.steps) for chain in chains if chain.steps]
    place = "\0".join((site.file, site.function, site.via))
    result: dict[str, Any] = {
        "ruleId": hazard.kind.value,
        "ruleIndex": list(_RULES).index(hazard.kind),
        "level": _LEVEL[hazard.grade],
        "message": {"text": _message(hazard, site)},
        "locations": [_location(site.file, site.evidence.line, site.function)],
        "partialFingerprints": {
            "hazardId/v1": hazard.id,
            "site/v1": sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:16],
        },
    }
    if threads:
        result["codeFlows"] = [{"threadFlows": threads}]
    related = list(_related(site.evidence.closing, others))
    if related:
        result["relatedLocations"] = [{"id": n, **place} for n, place in enumerate(related, 1)]
    return result


def _message(hazard: AuditHazard, site: AuditSite) -> str:
    """What is wrong at this site; a further site of a fault has no summary of its own."""
    cycle = cycle_line(hazard.kind, hazard.classes)
    if site is hazard.sites[0]:
        words = f"{hazard.summary} {hazard.condition}".strip()
    else:
        words = f"{_RULES[hazard.kind][0]} in {site_title(site)}."
    return one_line(f"{words} [{cycle}] (id {hazard.id})", 4000)


def _related(closing: Sequence[Chain], others: Sequence[AuditSite]) -> Iterator[dict[str, Any]]:
    """Where the other contexts wait, and where else the cycle is entered."""
    for chain in closing:
        if chain.steps:
            last = chain.steps[-1]
            yield _location(last.file, last.line, last.function, f"{chain.context}: {last.what}")
    for site in others:
        yield _location(site.file, site.evidence.line, site.function, f"also {site_title(site)}")


def _thread(context: str, steps: Sequence[Step]) -> dict[str, Any]:
    return {
        "message": {"text": one_line(context)},
        "locations": [
            {
                "executionOrder": order,
                "nestingLevel": order - 1,
                "location": _location(step.file, step.line, step.function, step_line(step)),
            }
            for order, step in enumerate(steps, 1)
        ],
    }


def _location(file: str, line: int, function: str, message: str = "") -> dict[str, Any]:
    """A place in the tree (3.28); a line of 0 would break the schema and means the first."""
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(file), "uriBaseId": _ROOT},
            "region": {"startLine": max(1, line)},
        },
        "logicalLocations": [{"name": one_line(function), "kind": "function"}],
    }
    if message:
        location["message"] = {"text": one_line(message)}
    return location


def _uri(file: str) -> str:
    """A path as a relative reference (RFC 3986): bytes that are no UTF-8 are kept."""
    return quote(file.encode("utf-8", "surrogateescape"))
