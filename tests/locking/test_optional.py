# SPDX-License-Identifier: GPL-2.0-or-later
"""Arms of a branch that take or give back a lock, and the jumps that start a loop's next turn."""

from __future__ import annotations

import pytest

from reviewbot.locking.body import Block, read_body
from reviewbot.locking.optional import Arms, back_edges, find_arms

NOTHING: frozenset[str] = frozenset()


def blocks_of(code: str) -> tuple[Block, ...]:
    (flow,) = read_body(f"{{ {code} }}".encode(), 1, ()).flows
    return flow.blocks


def arms_of(code: str) -> Arms:
    blocks = blocks_of(code)

    def changes(number: int) -> tuple[frozenset[str], frozenset[str]]:
        names = [event.name for event in blocks[number].events]
        return frozenset("l" for n in names if n == "take"), frozenset(
            "l" for n in names if n == "give"
        )

    return find_arms(blocks, changes)


@pytest.mark.parametrize(
    ("code", "gives", "takes"),
    [
        ("take(l); if (c) give(l); g();", True, False),
        ("take(l); if (c && d) give(l); g();", True, False),
        ("take(l); if (c) g(); else give(l); h();", True, False),
        ("take(l); while (next()) give(l);", True, False),
        ("if (c) take(l); give(l);", False, True),
        ("take(l); if (c) { give(l); g(); take(l); } give(l);", False, False),
        ("take(l); if (c) goto out; g(); give(l); out: h();", False, False),
        ("take(l); if (c) { give(l); return; } give(l);", False, False),
        ("while (next()) { take(l); if (c) break; give(l); }", False, False),
        ("take(l); while (next()) if (c) goto out; if (d) return; out: give(l);", False, False),
        ("take(l); give(l);", False, False),
    ],
)
def test_what_depends_on_a_condition(code: str, gives: bool, takes: bool) -> None:
    arms = arms_of(code)
    assert bool(arms.releases) is gives
    assert bool(arms.acquires) is takes
    assert bool(arms.blocks) is gives


@pytest.mark.parametrize(
    ("code", "turns"),
    [
        ("g();", 0),
        ("if (c) g(); h();", 0),
        ("while (c) g();", 1),
        ("do { g(); } while (c);", 1),
        ("for (;;) { if (c) continue; if (d) break; g(); }", 2),
        ("again: g(); if (c) goto again;", 1),
        ("while (c) { while (d) g(); h(); }", 2),
    ],
)
def test_back_edges(code: str, turns: int) -> None:
    assert len(back_edges(blocks_of(code))) == turns
