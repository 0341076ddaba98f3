# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers about one lock class, for people who look at the graph itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reviewbot.locking.describe import Describer
from reviewbot.locking.graph import rows_of
from reviewbot.locking.hazards import Finder
from reviewbot.locking.legs import Leg
from reviewbot.locking.model import Chain, Step
from reviewbot.locking.rows import CONTEXT
from reviewbot.locking.view import View

MAX_ROWS = 400


@dataclass(frozen=True, slots=True)
class LockReport:
    """Who takes a lock or waits for an object, and what is blocked on while it is held."""

    name: str
    takers: tuple[Step, ...]
    held_over: tuple[Chain, ...]
    """Ways from holding it to blocking on something; the last step names on what."""
    handlers: tuple[Step, ...]
    """For a work item, timer and the like: the functions that run as it."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": "reviewbot.lock/1",
            "name": self.name,
            "takers": [step.to_dict() for step in self.takers],
            "held_over": [chain.to_dict() for chain in self.held_over],
            "handlers": [step.to_dict() for step in self.handlers],
        }


def report(view: View, name: str) -> LockReport | None:
    """What the graph knows of the class (or other node) *name*; None if it has none such."""
    node = view.node(name)
    if node is None:
        return None
    finder = Finder(view, view.directories(()))
    return LockReport(
        name, _takers(view, name, node), _held_over(finder, name, node), _handlers(view, name)
    )


def _takers(view: View, name: str, node: int) -> tuple[Step, ...]:
    functions, _ = view.graph.actors_on(node)
    steps: list[Step] = []
    for number in sorted(set(functions.tolist())):
        ref, detail = view.function(number), view.detail(number)
        if ref is None or detail is None:
            continue
        for action in detail.actions:
            if action.node == name:
                line = action.line or view.call_line(number, action.call)
                steps.append(Step(ref.name, ref.file, line, action.call, name))
    return tuple(sorted(steps, key=lambda s: (s.file, s.line)))[:MAX_ROWS]


def _held_over(finder: Finder, name: str, node: int) -> tuple[Chain, ...]:
    describer = Describer(finder)
    legs: dict[tuple[str, str], Leg] = {}
    functions, _, _ = finder.view.graph.holds_of(node)
    for number in sorted({n for (n,) in rows_of(functions) if n != CONTEXT}):
        ref = finder.view.function(number)
        for leg in finder.edges_of(number, name):
            key = (ref.name if ref is not None else "", leg.target)
            if key not in legs or len(leg.path) < len(legs[key].path):
                legs[key] = leg
    ordered = sorted(legs.values(), key=lambda leg: (len(leg.path), leg.target, leg.function))
    return tuple(describer.chain(leg) for leg in ordered[:MAX_ROWS])


def _handlers(view: View, name: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    for registration in view.registrations(name):
        ref = view.function(registration.function)
        if ref is not None:
            steps.append(Step(ref.name, ref.file, ref.line, "runs as", name))
    return tuple(dict.fromkeys(steps))
