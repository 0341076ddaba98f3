# SPDX-License-Identifier: GPL-2.0-or-later
"""The cycle of a hazard as a graph: its edges, and in which of two trees each of them is.

A site is gone when the cycle through it is, whichever of its edges that took: a fix may
move the wait out of the lock, or the lock out of the handler.  So each tree is asked for
each edge by itself, at the functions that make it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reviewbot.locking.hazards import Finder
from reviewbot.locking.history import History, SiteState
from reviewbot.locking.legs import Finding, Leg, Spot
from reviewbot.locking.linked import ALLOCATION
from reviewbot.locking.model import Edge, HazardKind, Node
from reviewbot.locking.rows import CONTEXT, CONTEXTS, SLEEP

_CALLED = {
    "work": "work item", "workqueue": "workqueue", "timer": "timer", "irq": "interrupt handler",
    "tasklet": "tasklet", "kthread": "kernel thread", "completion": "completion",
    "napi": "NAPI poll", "urb": "completion of an urb", "rcu-callback": "RCU callback",
    "irq-work": "irq work", "sysfs": "user of sysfs files", "debugfs": "user of debugfs files",
    "proc": "user of proc files", "srcu": "SRCU reader", "rcu": "RCU reader",
    "srcu-gp": "SRCU grace period", "rcu-gp": "RCU grace period",
    "rcu-tasks-gp": "RCU tasks grace period", "irq-off": "interrupts off",
    "bh-off": "softirqs off", "preempt-off": "preemption off",
}  # fmt: skip
"""What readers call the objects and the kinds of lock of primitives.toml."""
_POOL = Node("worker pool", "kworkers")
_PROCESS_SRCU = ("it ends when a kworker runs process_srcu()",)
_AFTER_READERS = ("it ends when its readers have left",)
_MAX_LEGS = 32
"""Ways of one edge that are asked for: a cycle with more of them needs no more names."""


def cycle(shown: Finding, sites: Sequence[SiteState], history: History) -> tuple[Edge, ...]:
    """The edges of a hazard in order, from what its sites hold.

    None for an imbalance, and none where nobody is known to close the cycle.
    """
    if shown.kind is HazardKind.LOCK_IMBALANCE or shown.careful:
        return ()
    first, last = history.first.finder, history.last.finder
    before = [site.before for site in sites if site.before is not None]
    after = [site.after for site in sites if site.after is not None]
    home = first if shown in before else last
    legs = shown.legs
    nodes = _nodes(home, legs)
    edges = [
        Edge(
            nodes[leg.held],
            nodes[leg.target],
            _makers(leg, (first, before), (last, after)),
            _makers(leg, (last, after), (first, before)),
        )
        for leg in legs
    ]
    return tuple(_completed(shown, edges, home))


def _nodes(home: Finder, legs: Sequence[Leg]) -> dict[str, Node]:
    """What the names on a cycle stand for; a domain that is waited for is its grace period."""
    kinds: dict[str, str] = {}
    for leg in legs:
        taken, action = home.taken(leg), home.action(leg)
        if taken is not None:
            kinds.setdefault(leg.held, taken.kind)
        if action is not None and action.what.endswith("-gp"):
            kinds[leg.target] = action.what
        elif action is not None and action.kind:
            kinds.setdefault(leg.target, action.kind)
    nodes = {
        name: _node(name, kinds.get(name, "")) for leg in legs for name in (leg.held, leg.target)
    }
    for name in nodes.keys() & {SLEEP, ALLOCATION}:
        action = home.action(legs[0])
        nodes[name] = Node("may sleep", f"{action.call}()" if action is not None else name)
    return nodes


def _node(name: str, kind: str) -> Node:
    what, _, rest = name.partition(" ")
    if what in _CALLED and rest:
        return Node(_CALLED[what], rest)
    if name in CONTEXTS:
        return Node("context", name.removesuffix(" context"))
    return Node(_CALLED.get(kind, kind) or "lock", name)


def _completed(shown: Finding, edges: list[Edge], home: Finder) -> Iterator[Edge]:
    """The edges with those that are a rule of the kernel and stand in no function."""
    head, *rest = edges
    if shown.kind is HazardKind.WORKER_POOL_CYCLE:
        queues = home.view.queues_of(shown.closing[0].held)
        runs = (f"they run it from {q.removeprefix('workqueue ')}" for q in queues[:2])
        run = tuple(runs) or ("they run it",)
        yield head
        yield Edge(head.target, _POOL, _PROCESS_SRCU, _PROCESS_SRCU)
        yield Edge(_POOL, rest[0].source, run, run)
    elif shown.kind is HazardKind.GRACE_PERIOD_IN_READER:
        reader = Node("SRCU reader", head.source.name)
        yield Edge(reader, head.target, head.before, head.after)
        yield Edge(head.target, reader, _AFTER_READERS, _AFTER_READERS)
    else:
        yield head
    yield from rest


_Side = tuple[Finder, Sequence[Finding]]
"""A tree, and the hazard's findings in it."""


def _makers(leg: Leg, here: _Side, there: _Side) -> tuple[str, ...]:
    """The functions that make the edge of *leg* in the tree *here*."""
    finder, found = here
    other, elsewhere = there
    spots = [_spot(finder, way) for way in _alike(leg, found)]
    for finding in elsewhere:
        for way in _alike(leg, [finding]):
            spot = _spot(other, way)
            if spot not in spots and _has(finder, finding, way, spot):
                spots.append(spot)
    return tuple(dict.fromkeys(f"{function}()" for _, function in spots))


def _alike(leg: Leg, findings: Iterable[Finding]) -> list[Leg]:
    """The ways from the same held to the same awaited node."""
    ways = (way for finding in findings for way in finding.legs)
    ends = (leg.held, leg.target)
    return list(dict.fromkeys(w for w in ways if (w.held, w.target) == ends))[:_MAX_LEGS]


def _spot(finder: Finder, way: Leg) -> Spot:
    """The function that holds, or that runs as what is held."""
    return finder.spot(way.holder)


def _has(finder: Finder, finding: Finding, way: Leg, spot: Spot) -> bool:
    """Whether a tree has, at *spot*, the edge of a way that was found in the other."""
    if finding.interrupted is not None and way == finding.leg:
        return finder.interruption(finding.site, finding.key) is not None
    for ref in finder.view.functions_in(spot[0]):
        if ref.name != spot[1]:
            continue
        if way.function != CONTEXT:
            legs = (leg for leg in finder.edges_of(ref.id, way.held) if leg.target == way.target)
            if any(not finder.drops(leg) and finder.open_way(leg) for leg in legs):
                return True
        elif way.held in {*finder.view.runs_as(ref.id), *CONTEXTS}:
            return way.target in finder.effects(ref.id)
    return False
