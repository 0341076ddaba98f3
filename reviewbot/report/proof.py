# SPDX-License-Identifier: GPL-2.0-or-later
"""What every text about a hazard prints of it: its cycle and its scenario, clean."""

from __future__ import annotations

import re

from reviewbot.locking.model import HazardKind, Scenario
from reviewbot.report.clean import one_line, prose
from reviewbot.report.layout import LINE_LIMIT, columns, scenario_lines, wrap

_NO_CYCLE = frozenset({HazardKind.SLEEP_IN_ATOMIC, HazardKind.LOCK_IMBALANCE})
_ARROW = " --> "
_TERMINAL = 79
_STRUCT = re.compile(r"\b(?:struct|union) (?=\w+\.)")


def cycle_line(kind: HazardKind, classes: tuple[str, ...]) -> str:
    """``A --> B --> A`` as lockdep prints a chain; a plain list where nothing closes."""
    names = [prose(name) for name in classes]
    if kind in _NO_CYCLE or not names:
        return one_line(", ".join(names), LINE_LIMIT)
    return one_line(_ARROW.join((*names, names[0])), LINE_LIMIT)


def cycle_lines(kind: HazardKind, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The cycle, broken at an arrow where a terminal would break it anywhere."""
    lines: list[str] = []
    for name in cycle_line(kind, classes).split(_ARROW):
        joined = f"{lines[-1]}{_ARROW}{name}" if lines else f"  {name}"
        if lines and columns(joined) > _TERMINAL:
            lines.append(f"   {_ARROW}{name}")
        else:
            lines[-1:] = [joined]
    return tuple(lines)


def scenario_text(scenario: Scenario) -> tuple[str, ...]:
    """The "possible unsafe locking scenario", a line each.

    A third context that only says why nothing goes on is told below the others.
    """
    names = [short(column, 120) for column in scenario.columns]
    rows = [(row.column, short(row.text, 200)) for row in scenario.rows]
    last = len(names) - 1
    ends = [at for at, row in enumerate(rows) if row[0] == last]
    if last > 1 and ends == [len(rows) - 1]:
        told = wrap(f"{names[-1]}: {rows[-1][1]}", first="  ", rest="    ")
        return (*scenario_lines(names[:-1], rows[:-1]), *told)
    return scenario_lines(names, rows)


def short(text: str, limit: int) -> str:
    """A scenario's text without ``struct``: columns are narrow, the cycle has the names."""
    return _STRUCT.sub("", prose(text, limit))
