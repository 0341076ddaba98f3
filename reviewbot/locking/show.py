# SPDX-License-Identifier: GPL-2.0-or-later
"""Facts and lock reports as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from reviewbot.locking.facts import FileFacts, Function
from reviewbot.locking.flow import walk
from reviewbot.locking.inspect import LockReport
from reviewbot.locking.model import Step
from reviewbot.locking.primitives import Primitives
from reviewbot.locking.summary import table_effects


def facts_to_dict(path: str, facts: FileFacts) -> dict[str, Any]:
    """Facts as plain values, with the names of their fields."""
    return {"schema": "reviewbot.facts/1", "file": path, **_plain(facts)}


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def facts_text(path: str, facts: FileFacts, primitives: Primitives) -> str:
    """One paragraph a function: what is held at each call that matters."""
    out = [
        f"{path}: {len(facts.functions)} functions, {len(facts.structs)} structs,"
        f" {len(facts.variables)} variables, {facts.errors} with syntax errors"
    ]
    effects = table_effects(primitives)
    for function in facts.functions:
        if function.flows:
            out.append("")
            out.extend(_function_lines(function, effects, primitives))
    return "\n".join(out)


def _function_lines(
    function: Function, effects: dict[str, Any], primitives: Primitives
) -> Iterator[str]:
    yield f"{function.name}() line {function.line}"
    result = walk(function, effects.get, lambda _: "")
    for point in sorted(result.points, key=lambda point: point.line):
        held = ", ".join(lock.lock for lock in point.held)
        mark = "*" if point.name in primitives else " "
        call = f"{point.name}({', '.join(point.args)})"
        yield f"  {point.line:5} {mark} {call[:60]:60} {{{held}}}"
    leaving = {tuple(lock.lock for lock in leave.held) for leave in result.exits}
    if leaving != {()} and leaving:
        kept = " or ".join("{" + ", ".join(locks) + "}" for locks in sorted(leaving))
        yield f"  leaves with {kept}"


def lock_text(report: LockReport) -> str:
    """A lock report as lines, one step each."""
    out = [report.name, ""]
    for title, steps in (("handlers", report.handlers), ("taken or waited for", report.takers)):
        if steps:
            out.append(f"{title}:")
            out.extend(f"  {_step(step)}" for step in steps)
            out.append("")
    if report.held_over:
        out.append("while it is held:")
        for chain in report.held_over:
            last = chain.steps[-1] if chain.steps else None
            out.append(f"  {chain.context}: blocks on {last.lock if last is not None else ''}")
            out.extend(f"    {_step(step)}" for step in chain.steps)
    return "\n".join(out).rstrip() + "\n"


def _step(step: Step) -> str:
    return f"{step.function} ({step.file}:{step.line}) {step.what}"
