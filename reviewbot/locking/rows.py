# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of a lock graph, as they are collected from linked functions.

Functions and virtual callees (``ops struct x.field``) share one number space,
*callables*; lock classes and the other nodes have another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reviewbot.locking.frameworks import RUNS_IN, Running, is_atomic
from reviewbot.locking.linked import (
    OPS,
    RAW_CONTEXT,
    Action,
    LinkedFile,
    LinkedFunction,
    Registration,
    Taken,
    context_node,
)
from reviewbot.locking.primitives import ATOMIC, RAW, RCU, SLEEPING, SLEEPING_ON_RT

Ids = NDArray[np.int32]
BLOCKS, READ, NESTED, ENTRY, IN_ATOMIC, SLEEPS, IRQ_OFF, BH_OFF = 1, 2, 4, 8, 16, 32, 64, 128
IN_RAW, SLEEPS_ON_RT = 256, 512
"""Bits of an action's or hold's flags: the lock is taken for reading; nothing may sleep
while it is held; the action may sleep; no interrupt, no softirq comes in between; and on
PREEMPT_RT nothing may sleep either, or the action does there."""
SLEEP = "sleep"
"""The node of a call that may sleep and waits for nothing in particular."""
CONTEXTS = frozenset(context_node(context) for context in Running) | {RAW_CONTEXT}
_PROCESS = context_node(Running.PROCESS)
CONTEXT = -1
"""Stands for the function of a hold that is a context: a work item runs its handler.

In stored rows it is ``-2 - n`` instead, where n is a function of the file that
registers the handler, so that the row goes when that file does.
"""


@dataclass(slots=True)
class Rows:
    """Rows of a graph while it is collected."""

    calls: list[tuple[int, int, int]] = field(default_factory=list)
    actions: list[tuple[int, int, int]] = field(default_factory=list)
    holds: list[tuple[int, int, int, int]] = field(default_factory=list)
    releases: list[tuple[int, int, int]] = field(default_factory=list)


class Numbering:
    """Numbers for virtual callables and nodes, handed out as names turn up."""

    def __init__(
        self, callables: int, nodes: int, known: Mapping[str, int], known_nodes: Mapping[str, int]
    ) -> None:
        self.callables = callables
        self.nodes = nodes
        self._known = known
        self._known_nodes = known_nodes
        self.new: dict[str, int] = {}
        self.new_nodes: dict[str, int] = {}

    def callable(self, name: str) -> int:
        number = self._known.get(name)
        if number is None:
            number = self.new.get(name)
        if number is None:
            number = self.new[name] = self.callables
            self.callables += 1
        return number

    def node(self, name: str) -> int:
        number = self._known_nodes.get(name)
        if number is None:
            number = self.new_nodes.get(name)
        if number is None:
            number = self.new_nodes[name] = self.nodes
            self.nodes += 1
        return number


def sleeps(action: Action) -> bool:
    """Whether an action may sleep: waiting for anything but a spinning lock or a timer does."""
    if not action.blocks:
        return False
    if action.what:
        return action.what not in _SPINNING_WAITS
    return action.kind in SLEEPING


def runs_atomically(registration: Registration) -> bool:
    """Whether a handler runs where nothing may sleep."""
    return (
        RUNS_IN.get(registration.what, Running.PROCESS) is not Running.PROCESS
        or registration.node == RCU
        or registration.node in CONTEXTS - {_PROCESS, RAW_CONTEXT}
        or is_atomic(registration.what.removeprefix(OPS))
    )


def action_bits(action: Action) -> int:
    """The flags of an action."""
    return (
        (BLOCKS if action.blocks else 0)
        | (READ if action.mode == "read" else 0)
        | (NESTED if action.nested else 0)
        | (SLEEPS if sleeps(action) else 0)
        | (SLEEPS_ON_RT if action.blocks and action.kind in SLEEPING_ON_RT else 0)
    )


def bits_of(taken: Taken) -> int:
    """The flags of a hold."""
    return (
        (READ if taken.mode == "read" else 0)
        | (NESTED if taken.nested else 0)
        | (ENTRY if taken.entry else 0)
        | (IN_ATOMIC if taken.kind in ATOMIC else 0)
        | (IN_RAW if taken.kind in RAW else 0)
        | masked(taken.kind, taken.irq)
    )


def masked(kind: str, irq: str) -> int:
    """What cannot come in between while a lock of this kind is held, taken in this way."""
    if irq == "off" or kind == "irq-off":
        return IRQ_OFF | BH_OFF
    return BH_OFF if irq == "bh" or kind == "bh-off" else 0


_SPINNING_WAITS = frozenset({"timer", "hrtimer", "irq-work"})


def collect(linked: LinkedFunction, numbering: Numbering, rows: Rows) -> None:
    """Add a function's rows."""
    own = linked.id
    for target in linked.calls:
        number = target if isinstance(target, int) else numbering.callable(target)
        rows.calls.append((own, number, own))
    nodes: list[int] = []
    for action in linked.actions:
        node = numbering.node(action.node or SLEEP)
        nodes.append(node)
        rows.actions.append((own, node, action_bits(action)))
    holds: dict[tuple[int, int, int, int], None] = {}
    releases: dict[tuple[int, int, int], None] = {}
    for use in linked.uses:
        targets = [t if isinstance(t, int) else numbering.callable(t) for t in use.target]
        if use.action >= 0 and linked.actions[use.action].blocks:
            targets.append(-1 - nodes[use.action])
        for taken in use.held:
            node, flags = numbering.node(taken.node), bits_of(taken)
            holds.update(dict.fromkeys((node, own, target, flags) for target in targets))
        for cls in use.released:
            node = numbering.node(cls)
            releases.update(dict.fromkeys((node, own, target) for target in targets))
    rows.holds.extend(holds)
    rows.releases.extend(releases)


def collect_file(linked: LinkedFile, numbering: Numbering, rows: Rows) -> None:
    """Add the rows of a file's functions, ops tables and handlers."""
    for function in linked.functions:
        collect(function, numbering, rows)
    first = linked.functions[0].id if linked.functions else None
    for entry in linked.ops:
        callee = entry.function
        number = callee if isinstance(callee, int) else numbering.callable(callee)
        source = number if first is None else first  # a file may be but a table
        rows.calls.append((numbering.callable(OPS + entry.field), number, source))
    for registration in linked.registrations:
        if registration.node == _PROCESS:
            continue  # nearly everything, and it interrupts nobody
        node = numbering.node(registration.node)
        flags = IN_ATOMIC if runs_atomically(registration) else 0
        flags |= IN_RAW if registration.node == RAW_CONTEXT else 0
        source = registration.function if first is None else first
        rows.holds.append((node, -2 - source, registration.function, flags))


@dataclass(frozen=True, slots=True)
class Columns:
    """Collected rows, a column at a time."""

    calls: tuple[Ids, ...]
    actions: tuple[Ids, ...]
    holds: tuple[Ids, ...]
    releases: tuple[Ids, ...]


def columns_of(rows: Rows) -> Columns:
    """Rows as arrays."""
    return Columns(
        _columns(rows.calls, 3),
        _columns(rows.actions, 3),
        _columns(rows.holds, 4),
        _columns(rows.releases, 3),
    )


def _columns(rows: Sequence[tuple[int, ...]], width: int) -> tuple[Ids, ...]:
    if not rows:
        return tuple(np.empty(0, np.int32) for _ in range(width))
    array = np.array(rows, np.int32)
    return tuple(np.ascontiguousarray(array[:, n]) for n in range(width))


def concatenate(parts: Sequence[Columns]) -> Columns:
    """All rows of *parts* in one."""

    def join(tables: Iterable[tuple[Ids, ...]]) -> tuple[Ids, ...]:
        return tuple(np.concatenate(columns) for columns in zip(*tables, strict=True))

    return Columns(
        join(part.calls for part in parts),
        join(part.actions for part in parts),
        join(part.holds for part in parts),
        join(part.releases for part in parts),
    )
