# SPDX-License-Identifier: GPL-2.0-or-later
"""What the lock graph is made of: a file whose calls have callees and whose locks have classes.

Made by :mod:`reviewbot.locking.link`, kept by :mod:`reviewbot.locking.store`; and how
the nodes that are no lock classes are called.
"""

from __future__ import annotations

import msgspec

from reviewbot.locking.facts import Function
from reviewbot.locking.frameworks import Running, argument
from reviewbot.locking.imbalance import Imbalance
from reviewbot.locking.symbols import FunctionRef

ALLOCATION = "allocation"
"""The node of a call that is handed a flag with which it may sleep, such as ``GFP_KERNEL``."""
OPS = "ops "
"""Prefix of the virtual callee of calls through a struct: ``ops struct file_operations.open``."""

Target = int | str
"""A function id, or the name of a virtual callee."""


class Taken(msgspec.Struct, frozen=True, array_like=True):
    """A held lock at a point, with its class."""

    node: str
    kind: str
    mode: str
    line: int
    call: str
    irq: str
    nested: bool
    entry: bool
    instance: str
    """The lock's expression in this function, with pointers followed: what it is locked on."""
    unsure: bool = False
    """It may have been given back, depending on a condition that was not followed."""


class Action(msgspec.Struct, frozen=True, array_like=True):
    """Something a function does that can block (or that takes a lock without blocking)."""

    node: str
    """Lock class, SRCU domain, or ``work x``, ``timer x`` and so on; empty for plain sleep."""
    what: str
    """Empty for taking a lock, else what is waited for; ``sleep`` for plain sleep."""
    kind: str
    mode: str
    line: int
    call: str
    irq: str
    nested: bool
    instance: str
    blocks: bool


class Use(msgspec.Struct, frozen=True, array_like=True):
    """A call or action that happens while something is held."""

    line: int
    call: str
    target: tuple[Target, ...]
    """Callees; empty if :attr:`action` says it all."""
    action: int
    """Index of the function's action, or -1."""
    held: tuple[Taken, ...]
    released: tuple[str, ...]
    """Classes of the caller that are released on every path to here."""
    args: tuple[str, ...]


class LinkedFunction(msgspec.Struct, frozen=True, array_like=True):
    """A function as the lock graph sees it."""

    id: int
    calls: tuple[Target, ...]
    actions: tuple[Action, ...]
    uses: tuple[Use, ...]
    imbalances: tuple[Imbalance, ...]
    capped: bool


class Registration(msgspec.Struct, frozen=True, array_like=True):
    """A handler: *function* runs as *node* (``work struct x.work``).

    A callback of a framework runs while *node*, a lock class, is held, or in the context
    *node* (:func:`context_node`); *what* is then the table's ``ops struct x.field``.
    """

    node: str
    what: str
    function: int
    line: int
    file: str


class Queueing(msgspec.Struct, frozen=True, array_like=True):
    """A work item put on a workqueue."""

    queue: str
    work: str


class Queue(msgspec.Struct, frozen=True, array_like=True):
    """A workqueue: its node and the flags it is made with."""

    node: str
    flags: str


class OpsEntry(msgspec.Struct, frozen=True, array_like=True):
    """A function in a table: ``struct file_operations.open`` may be *function*.

    Or whatever stands in another member, or is given as an argument (:func:`argument_node`).
    """

    field: str
    function: Target


class LinkedFile(msgspec.Struct, frozen=True, array_like=True):
    """All of a file."""

    functions: tuple[LinkedFunction, ...]
    registrations: tuple[Registration, ...]
    queueings: tuple[Queueing, ...]
    queues: tuple[Queue, ...]
    ops: tuple[OpsEntry, ...]
    locks: int
    """Lock arguments seen."""
    unknown: int
    """Of those, without a class."""
    undefined: tuple[str, ...]
    """Names called that no file defines: a patch may."""


POINTER = "pointer"
"""What a class is registered as whose locks are kept elsewhere and only pointed to."""


def context_node(context: Running) -> str:
    """The node of a context that callbacks run in: ``softirq context``."""
    return f"{context.value} context"


RAW_CONTEXT = "raw context"
"""The node of what keeps a callback from sleeping on PREEMPT_RT, too: a raw spinlock, or
interrupts that are off in the processor."""


def argument_node(callee: FunctionRef | Function, file: str, position: str | int) -> str:
    """What is given to a function of *file* as one of its arguments, without :data:`OPS`."""
    name = f"{file}:{callee.name}" if callee.static else callee.name
    return argument(name, position)


def node_name(what: str, cls: str) -> str:
    """The node of an object: locks, SRCU domains and RCU are named by their class alone."""
    if not what or what.endswith("-gp"):
        return cls
    return f"{what} {cls}"
