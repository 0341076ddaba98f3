# SPDX-License-Identifier: GPL-2.0-or-later
"""Locks that the source takes or gives back depending on a condition: ``if (c) unlock(l);``.

Whoever writes this means that without the condition there is nothing to do.  If
the condition is one that a walk cannot follow, the way around such an arm must not
be called a forgotten unlock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from reviewbot.locking.body import AROUND, BRANCH, GOTO, SWITCH, Block

MAX_ARM = 10
"""Blocks in an arm; a longer one is no afterthought but half of the function."""

Names = frozenset[str]


@dataclass(slots=True)
class Arms:
    """What the arms of a flow's branches do that their other side does not."""

    releases: dict[tuple[int, int], Names] = field(default_factory=dict)
    """(block, the target that goes around the arm) to the locks given back in the arm."""
    blocks: set[int] = field(default_factory=set)
    """Blocks of arms that give a lock back."""
    acquires: Names = frozenset()
    """Locks taken in an arm and kept beyond it."""


def find_arms(blocks: tuple[Block, ...], changes: Callable[[int], tuple[Names, Names]]) -> Arms:
    """The optional arms of a flow; *changes* gives (taken, given back) of a block's calls."""
    out = Arms()
    per_block = [changes(number) for number in range(len(blocks))]
    active = {number for number, (taken, given) in enumerate(per_block) if taken or given}
    if not active:
        return out
    for number, block in enumerate(blocks):
        for skip in _ways_around(block):
            stops = {number, skip}
            if blocks[skip].jump == GOTO and not any(per_block[skip]) and all(block.labels):
                stops.add(blocks[skip].targets[0])  # if … else …: both come together behind it
            for arm in set(block.targets) - {skip}:
                region = _region(blocks, arm, stops)
                does = region & active
                if not does:
                    continue
                taken = _all(per_block[n][0] for n in does)
                given = _all(per_block[n][1] for n in does)
                if given - taken:
                    key = (number, skip)
                    out.releases[key] = out.releases.get(key, frozenset()) | (given - taken)
                    out.blocks |= region
                out.acquires |= taken - given
    return out


def _ways_around(block: Block) -> set[int]:
    """The targets of a branch that leave out what the source makes depend on it.

    ``if (c) goto out;`` goes around much too, but that is no condition of what it skips.
    """
    if block.jump == BRANCH and block.labels:
        pairs = zip(block.targets, block.labels, strict=True)
        return {target for target, label in pairs if label == AROUND}
    return set(block.targets) if block.jump == SWITCH else set()


def _all(names: Iterable[Names]) -> Names:
    return frozenset().union(*names)


def _region(blocks: tuple[Block, ...], start: int, stops: set[int]) -> set[int]:
    """The blocks of an arm that come together again with its other side.

    What jumps out of the arm, as to the unlocking end of the function, is no part of it.
    """
    found: set[int] = set()
    joining: set[int] = set()
    before: dict[int, list[int]] = {}
    work = [] if start in stops else [start]
    while work:
        number = work.pop()
        if number in found:
            continue
        found.add(number)
        if len(found) > MAX_ARM:
            return set()
        for target in blocks[number].targets:
            if target in stops:
                joining.add(number)
            else:
                before.setdefault(target, []).append(number)
                work.append(target)
    work = list(joining)
    while work:
        new = set(before.get(work.pop(), ())) - joining
        joining |= new
        work.extend(new)
    return joining


def back_edges(blocks: tuple[Block, ...]) -> frozenset[tuple[int, int]]:
    """(from, to) of the jumps that start another turn of a loop."""
    out: set[tuple[int, int]] = set()
    open_, done = 1, 2
    colour = [0] * len(blocks)
    work: list[tuple[int, int]] = [(0, 0)]
    while work:
        number, place = work.pop()
        colour[number] = open_
        targets = blocks[number].targets
        if place < len(targets):
            work.append((number, place + 1))
            target = targets[place]
            if colour[target] == open_:
                out.add((number, target))
            elif not colour[target]:
                work.append((target, 0))
        else:
            colour[number] = done
    return frozenset(out)
