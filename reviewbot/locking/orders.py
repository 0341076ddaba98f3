# SPDX-License-Identifier: GPL-2.0-or-later
"""The order that a tree keeps between locks, and whether a new site only follows it.

Where some take B over A and others A over B, one more changes nothing: the cycle was
there before, and lockdep, who would have spoken up then, says nothing now.  So it is
with a lock that is taken all over the tree with interrupts on: what is wrong then is the
one handler that takes it, or what is thought of it.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from reviewbot.locking.hazards import Finder
from reviewbot.locking.interrupts import inversions
from reviewbot.locking.legs import Finding, Leg, Spot
from reviewbot.locking.model import HazardKind

CROWD = 8
"""Files in which one lock is at fault beyond which it is rather that it is not understood."""
MANY = 2
"""Functions that take two locks in one order, and others in the other, for it to be old."""
MAX_TAKERS = 400
"""Functions that take a lock among which such a crowd is looked for."""


def follows(finding: Finding, finder: Finder, changed: AbstractSet[Spot]) -> bool:
    """Whether a finding does as others outside *changed* do in the tree of *finder*."""
    if finding.kind is not HazardKind.LOCK_ORDER_INVERSION:
        return False
    if finding.interrupted is not None:
        return _is_crowded(finding, finder, changed)
    if len(finding.closing) != 1:
        return False
    leg, closing = finding.leg, finding.closing[0]
    against = len(_keepers(finder, closing, finder.cost(leg)) - changed)
    same = len(_keepers(finder, leg, finder.cost(closing)) - changed)
    return against > 0 and same >= min(against, MANY)


def _keepers(finder: Finder, leg: Leg, other: int) -> set[Spot]:
    """The functions that hold and block on the same as *leg*, as near as a cycle asks for.

    *other* is what the way back costs.
    """
    target, held = finder.view.node(leg.target), finder.view.node(leg.held)
    if target is None or held is None:
        return set()
    ways = finder.leading_to(target, writers_only=False).get(held, [])
    return {
        finder.spot(way.holder) for way in ways if finder.cost(way) + other <= finder.limits.cycle
    }


def _is_crowded(finding: Finding, finder: Finder, changed: AbstractSet[Spot]) -> bool:
    """Whether the same interrupt finds the lock taken in many other files."""
    node = finder.view.node(finding.leg.held)
    if node is None:
        return False
    files: set[str] = set()
    takers = sorted(set(finder.view.graph.actors_on(node)[0].tolist()))
    for taker in takers[:MAX_TAKERS]:
        spot = finder.spot(taker)
        if spot in changed or spot[0] in files:
            continue
        if any(other.key == finding.key for other in inversions(finder, taker)):
            files.add(spot[0])
            if len(files) >= CROWD:
                return True
    return False
