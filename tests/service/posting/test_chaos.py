# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing is sent twice and nothing is lost, whatever fails and whoever dies."""

from __future__ import annotations

from tests.service.posting import chaos


def test_none_twice_and_none_lost(database: str) -> None:
    figures = chaos.run(database, count=80, seed=1)
    assert (figures.twice, figures.wrong) == (0, ())
    assert sum(figures.states.values()) == 80
    assert figures.states["sent"] > 40
    assert figures.faults > 5
    assert figures.deaths > 0
