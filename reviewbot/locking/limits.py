# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a proof may be to be believed.

What nobody speaks of is reported only if the proof is short: deep down nearly
everything is connected with nearly everything.  Of a series that says it mends the
locking, a longer one is believed too, if the series takes it away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

DEPTH = 7
"""Calls followed where nothing else is said."""
SLACK = 3
"""Cost of one call, wherever it leads."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Costs are those of the calls of a way (:meth:`reviewbot.locking.edges.Edges.cost`)."""

    cycle: int
    """Cost of both halves of a cycle."""
    back: int
    """Cost of the way from a driver through its framework back to the driver."""
    interrupt: int
    """Cost of the way from a handler to a lock that it finds taken."""
    own_calls: int
    """Calls within its directory from an atomic section to the last that leave it."""
    far_calls: int
    """Calls from there to the sleep: deep down almost everything sleeps."""
    up: int
    """Calls followed up to a function that is known to run with interrupts on."""
    weak: int
    """Cost of a cycle up to which weaker evidence counts, below 0 for never: that readers of one
    lock block each other, as they do once a writer waits; that who completes something first
    does all else that its function does."""

    depth: int = DEPTH
    """Calls followed from where a lock is held to where the wait is."""
    near: int = 2
    """Calls in each part of a cycle of three, and where only what stands close by is meant."""

    rt: bool = False
    """Whether somebody speaks of PREEMPT_RT, where spinlocks sleep."""

    waits: bool = False
    """Whether only waits for handlers and readers count, and locks where those take them."""

    @property
    def asked(self) -> bool:
        """Whether somebody speaks of such things, so that weaker evidence counts."""
        return self.weak >= 0

    @property
    def patient(self) -> Limits:
        """These with a call more of everything: what has moved behind a helper is not gone."""
        return replace(
            self,
            cycle=self.cycle + SLACK,
            back=self.back + SLACK,
            interrupt=self.interrupt + SLACK,
            own_calls=self.own_calls + 1,
            far_calls=self.far_calls + 1,
            depth=self.depth + 1,
            near=self.near + 1,
            weak=self.weak + SLACK if self.asked else self.weak,
        )


UNASKED = Limits(cycle=14, back=17, interrupt=7, own_calls=0, far_calls=3, up=5, weak=-1)
ASKED = Limits(cycle=22, back=26, interrupt=12, own_calls=7, far_calls=5, up=8, weak=14)
WAITED = replace(ASKED, cycle=60, depth=14, waits=True)
"""Of a series that says it mends a deadlock and takes a wait out of a lock: how the handler
comes to that lock may be a long story, but few locks are held over waiting for one's own."""
