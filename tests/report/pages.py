# SPDX-License-Identifier: GPL-2.0-or-later
"""The reviews of the golden mails with what only a page shows: edges and source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reviewbot.locking.model import Edge, Hazard, Node
from reviewbot.report.excerpts import excerpts
from reviewbot.report.model import Review

from . import builders
from .builders import CONF_LOCK, GATE, GATE_LOCK, GATE_PATH, POLL, POLL_PATH, PORTS_SRCU

LOCK = Node("mutex", GATE_LOCK)
GRACE = Node("SRCU grace period", PORTS_SRCU)
POOL = Node("worker pool", "kworkers")
DRAIN = Node("work item", "struct frob_port.drain")
CLOSE, OPEN = "frob_gate_close()", "frob_gate_open()"


def gate_edges(after: tuple[str, ...]) -> tuple[Edge, ...]:
    """The gate's cycle; *after* are the functions that still hold the lock over the wait."""
    process, run = ("it ends when a kworker runs process_srcu()",), ("they run it from frob_wq",)
    return (
        Edge(LOCK, GRACE, (CLOSE, OPEN), after),
        Edge(GRACE, POOL, process, process),
        Edge(POOL, DRAIN, run, run),
        Edge(DRAIN, LOCK, ("frob_port_drain()",), ("frob_port_drain()",)),
    )


def poll_edges() -> tuple[Edge, ...]:
    """The flush-cycle that patch 2 of 3 brings."""
    lock, work = Node("mutex", CONF_LOCK), Node("work item", "struct frob.poll_work")
    return (
        Edge(lock, work, (), ("frob_poll_stop()",)),
        Edge(work, lock, ("frob_poll()",), ("frob_poll()",)),
    )


def drawn(review: Review, edges: tuple[Edge, ...]) -> Review:
    """The review with the cycle of its hazards, and the source that the driver has."""
    hazards: tuple[Hazard, ...] = tuple(replace(one, edges=edges) for one in review.hazards)
    return replace(review, hazards=hazards, excerpts=excerpts(hazards, source, source))


def source(path: str) -> Sequence[str]:
    """The lines of the invented driver."""
    return {GATE_PATH: GATE, POLL_PATH: POLL}.get(path, "").split("\n")


PAGES = {
    "removed": lambda: drawn(builders.removed(), gate_edges(())),
    "partially-removed": lambda: drawn(builders.partially_removed(), gate_edges((OPEN,))),
    "not-removed": lambda: drawn(builders.not_removed(), gate_edges((CLOSE, OPEN))),
    "introduced": lambda: drawn(builders.introduced(), poll_edges()),
    "clean": builders.clean,
    "conflict": builders.conflict,
    "long-chain": builders.long_chain,
    "unicode-names": builders.unicode_names,
}
"""Pages of every verdict that a page differs for."""
GOLDEN = ("removed", "introduced", "conflict")
