# SPDX-License-Identifier: GPL-2.0-or-later
"""What every text about a hazard prints of it: its cycle and its scenario, clean."""

from __future__ import annotations

import re

from reviewbot.locking.model import HazardKind, Scenario
from reviewbot.report.clean import one_line, prose
from reviewbot.report.layout import LINE_LIMIT, scenario_lines

_NO_CYCLE = frozenset({HazardKind.SLEEP_IN_ATOMIC, HazardKind.LOCK_IMBALANCE})
_STRUCT = re.compile(r"\b(?:struct|union) (?=\w+\.)")


def cycle_line(kind: HazardKind, classes: tuple[str, ...]) -> str:
    """``A --> B --> A`` as lockdep prints a chain; a plain list where nothing closes."""
    names = [prose(name) for name in classes]
    if kind in _NO_CYCLE or not names:
        return one_line(", ".join(names), LINE_LIMIT)
    return one_line(" --> ".join((*names, names[0])), LINE_LIMIT)


def scenario_text(scenario: Scenario) -> tuple[str, ...]:
    """The "possible unsafe locking scenario", a line each."""
    return scenario_lines(
        [short(column, 120) for column in scenario.columns],
        [(row.column, short(row.text, 200)) for row in scenario.rows],
    )


def short(text: str, limit: int) -> str:
    """A scenario's text without ``struct``: columns are narrow, the cycle has the names."""
    return _STRUCT.sub("", prose(text, limit))
