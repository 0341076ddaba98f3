# SPDX-License-Identifier: GPL-2.0-or-later
"""What the lock checker says: hazards with their proof, and a comparison of trees.

The words are lockdep's (Documentation/locking/lockdep-design.rst): a *lock
class* stands for every lock declared at one place; a *chain* shows how a
context that holds one class comes to block on another.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any


class HazardKind(StrEnum):
    """The patterns the checker knows (docs/lock-model.md)."""

    LOCK_ORDER_INVERSION = "lock-order-inversion"
    RECURSIVE_LOCK = "recursive-lock"
    GRACE_PERIOD_CYCLE = "grace-period-cycle"
    GRACE_PERIOD_IN_READER = "grace-period-in-reader"
    FLUSH_CYCLE = "flush-cycle"
    WORKER_POOL_CYCLE = "worker-pool-cycle"
    SLEEP_IN_ATOMIC = "sleep-in-atomic"
    LOCK_IMBALANCE = "lock-imbalance"


class Grade(StrEnum):
    """How much has to come together for the hazard to bite."""

    DEFINITE = "definite"
    """The contexts named are enough."""
    CONDITIONAL = "conditional"
    """It needs a further condition, which the hazard's note states."""


class ChangeState(StrEnum):
    """A hazard or site before and after the series."""

    REMOVED = "removed"
    REMAINING = "remaining"
    INTRODUCED = "introduced"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a chain: ``function (file:line) what``."""

    function: str
    file: str
    line: int
    what: str
    """The call made there, such as ``mutex_lock`` or a callee's name."""
    lock: str = ""
    """The lock class (or other node) the call is about, where there is one."""
    indirect: str = ""
    """How control gets to the next step if not by a direct call, such as
    ``ops struct file_operations.open``."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "function": self.function,
            "file": self.file,
            "line": self.line,
            "what": self.what,
            "lock": self.lock,
            "indirect": self.indirect,
        }


@dataclass(frozen=True, slots=True)
class Chain:
    """How one context comes to block: from where it holds to where it waits."""

    context: str
    """Who runs it: "task", "work item struct kvm_kernel_irqfd.shutdown", "SRCU reader of …"."""
    steps: tuple[Step, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"context": self.context, "steps": [step.to_dict() for step in self.steps]}


@dataclass(frozen=True, slots=True)
class Evidence:
    """The proof of one site in one tree."""

    line: int
    """Where in the site's function the blocking call stands."""
    chain: tuple[Step, ...]
    """From taking the held lock, through the call, to the primitive that waits."""
    closing: tuple[Chain, ...] = ()
    """The chains of the other contexts that close the cycle."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "line": self.line,
            "chain": [step.to_dict() for step in self.chain],
            "closing": [chain.to_dict() for chain in self.closing],
        }


@dataclass(frozen=True, slots=True)
class Site:
    """One function where the hazard's cycle is entered, before and after."""

    function: str
    file: str
    via: str
    """The callee through which the wait is reached; empty if the function waits itself."""
    state: ChangeState
    before: Evidence | None
    after: Evidence | None
    patch: int | None = None
    """1-based patch that removed or introduced this site."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "function": self.function,
            "file": self.file,
            "via": self.via,
            "state": self.state.value,
            "patch": self.patch,
            "before": self.before.to_dict() if self.before else None,
            "after": self.after.to_dict() if self.after else None,
        }


@dataclass(frozen=True, slots=True)
class ScenarioRow:
    """One line of the "possible unsafe locking scenario": what which context does."""

    column: int
    text: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """Two or three contexts side by side, in the order that deadlocks."""

    columns: tuple[str, ...]
    rows: tuple[ScenarioRow, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "columns": list(self.columns),
            "rows": [{"column": row.column, "text": row.text} for row in self.rows],
        }


@dataclass(frozen=True, slots=True)
class Node:
    """A place on a hazard's cycle."""

    what: str
    """"lock", "SRCU grace period", "work item" and the like."""
    name: str


@dataclass(frozen=True, slots=True)
class Edge:
    """``source → target``: what holds, or is, the one can wait for the other."""

    source: Node
    target: Node
    before: tuple[str, ...]
    """The functions that make it so before the series, or the rule of the kernel that
    does; empty if it is not so."""
    after: tuple[str, ...]
    """The same after the series."""


@dataclass(frozen=True, slots=True)
class Hazard:
    """One hazard and what the series did to it."""

    kind: HazardKind
    grade: Grade
    state: ChangeState
    classes: tuple[str, ...]
    """Lock classes and other nodes of the cycle, the held one first."""
    sites: tuple[Site, ...]
    scenario: Scenario
    summary: str
    """What the hazard is, in a sentence or two of plain prose."""
    condition: str = ""
    """What else would have to happen, for a conditional hazard."""
    patch: int | None = None
    """1-based patch that decided :attr:`state`; None while it remains."""
    edges: tuple[Edge, ...] = ()
    """The cycle in order, for a drawing; empty where there is none."""

    @property
    def id(self) -> str:
        """Fingerprint without line numbers: equal across runs, trees and machines."""
        return hazard_id(self.kind, self.classes)

    def to_dict(self) -> dict[str, Any]:
        """One of the ``hazards`` of ``reviewbot.review/1``."""
        return {
            "id": self.id,
            "kind": self.kind.value,
            "grade": self.grade.value,
            "state": self.state.value,
            "classes": list(self.classes),
            "patch": self.patch,
            "summary": self.summary,
            "condition": self.condition,
            "sites": [site.to_dict() for site in self.sites],
            "scenario": self.scenario.to_dict(),
        }


def hazard_id(kind: HazardKind, classes: tuple[str, ...]) -> str:
    """Name a hazard by what it is: its kind and the classes of its cycle."""
    text = "\0".join((kind.value, *sorted(classes)))
    return f"{kind.value}-{sha256(text.encode()).hexdigest()[:12]}"


class Verdict(StrEnum):
    """The series' worst honest word."""

    INTRODUCED = "introduced"
    PARTIALLY_REMOVED = "partially-removed"
    NOT_REMOVED = "not-removed"
    REMOVED = "removed"
    CLEAN = "clean"
    DOES_NOT_APPLY = "does-not-apply"
    NOT_REVIEWABLE = "not-reviewable"


@dataclass(frozen=True, slots=True)
class Stats:
    """What was looked at, and what the checker could not see."""

    files: int = 0
    """Source files in the tree's index."""
    functions: int = 0
    """Functions in it."""
    changed_functions: int = 0
    """Functions the series changes, adds or removes."""
    locks: int = 0
    """Lock arguments in the changed files."""
    unknown_locks: int = 0
    """Of those, arguments whose class could not be resolved: never part of a hazard."""
    capped: int = 0
    """Functions whose walk hit the cap on states."""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "functions": self.functions,
            "changed_functions": self.changed_functions,
            "locks": self.locks,
            "unknown_locks": self.unknown_locks,
            "capped": self.capped,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two trees compared: the hazards that the series touches."""

    verdict: Verdict
    reason: str
    """One clause that says why this verdict, for the report's first paragraph."""
    hazards: tuple[Hazard, ...]
    changed: tuple[tuple[str, str], ...]
    """(file, function) of every function the series changes."""
    stats: Stats
