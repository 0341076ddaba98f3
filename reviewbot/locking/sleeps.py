# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a way that leads from an atomic section to something that may sleep is a hazard.

Deep down almost everything sleeps for somebody, so the way has to be short; and some
of what sleeps does so in one kind of atomic section only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile

from reviewbot.locking.frameworks import Running
from reviewbot.locking.interrupts import context_of
from reviewbot.locking.legs import Leg
from reviewbot.locking.linked import ALLOCATION
from reviewbot.locking.places import directory_of, related
from reviewbot.locking.primitives import CPU_OBJECTS, RCU
from reviewbot.locking.recursions import Recursions
from reviewbot.locking.rows import (
    BH_OFF,
    CONTEXTS,
    IN_ATOMIC,
    IN_RAW,
    IRQ_OFF,
    SLEEPS,
    SLEEPS_ON_RT,
    masked,
)

_ASKS = re.compile(
    r"(?<!_ON\()(?<!_ON\(!)(?<!_ONCE\()(?<!_ONCE\(!)"
    r"\b(?:in_(?:task|interrupt|irq|hardirq|softirq|serving_softirq|atomic)|preemptible)\s*\(\s*\)"
)
"""Of linux/preempt.h; who only warns does not mean to go on without."""
_VFREE, _DMA_FREE = "vfree", "dma-free"


@dataclass(slots=True)
class Sleeps(Recursions):
    """Ways of one tree from where nothing may sleep."""

    def sleeps(self, leg: Leg, held: int, target: int, what: str) -> bool:
        """Whether an edge leads from an atomic section to what may sleep, and not far."""
        both = held & IN_ATOMIC and target & SLEEPS
        near = bool(both) and self._near(leg) and self._frees(what, leg, held)
        return near and not self._asks_where_it_runs(leg)

    def sleeps_on_rt(self, leg: Leg, held: int, target: int) -> bool:
        """Whether an edge takes a spinlock where on PREEMPT_RT nothing may sleep either."""
        both = held & IN_RAW and target & SLEEPS_ON_RT
        return self.limits.rt and bool(both) and self._near(leg)

    def _near(self, leg: Leg) -> bool:
        """Whether a sleep is close enough to the atomic section to be meant by it."""
        home = self.spot(leg.holder)[0]
        last = self.spot(leg.path[-1])[0] if leg.path else home
        far = directory_of(last) != directory_of(home)
        if leg.target == ALLOCATION and far and not self.limits.asked:
            return False  # a core often has a way for those that cannot wait
        refs = [self.view.function(number) for number in leg.calls]
        files = [ref.file for ref in refs if ref is not None and not ref.macro]
        if self.limits.asked and leg.held in CPU_OBJECTS and self._within_driver(leg):
            return len(files) <= self.limits.depth
        if any(ref is None for ref in refs) and not self._never_sleeps(leg):
            places = {directory_of(file) for file in (home, *files)}
            return self.limits.asked and len(places) == 1 and len(files) <= self.limits.depth
        if all(file == home for file in files):
            return len(files) <= self.limits.depth
        stays = (directory_of(file) == directory_of(home) for file in files)
        own = sum(takewhile(bool, stays))
        return len(files) - min(own, self.limits.own_calls) <= self.limits.far_calls

    def _asks_where_it_runs(self, leg: Leg) -> bool:
        """Whether a function on the way asks if it may sleep: what it does then is up to it."""
        return any(_ASKS.search(self.view.text_of(number)) is not None for number in leg.path)

    def _frees(self, what: str, leg: Leg, held: int) -> bool:
        """Whether freeing memory is what may not be done there; true of all else that sleeps.

        dma_free_coherent() is not for where interrupts are off (Documentation/core-api/
        dma-api.rst); elsewhere it sleeps only where the memory was remapped.  Most of what
        kvfree() is given is too small for vfree(); with softirqs off or in an interrupt that
        leaves the work to another.  Both take somebody who speaks of it.
        """
        if what == _DMA_FREE:
            hard = context_of(self.view, leg) is Running.HARDIRQ
            return hard or bool(held & IRQ_OFF) or self.limits.asked
        if what != _VFREE:
            return True
        use = self.use(leg)
        if not self.limits.asked or use is None:
            return False
        return not any(masked(taken.kind, taken.irq) == BH_OFF for taken in use.held)

    def _never_sleeps(self, leg: Leg) -> bool:
        """Whether a leg starts where nothing may ever sleep, and somebody says that something does.

        A spinlock may be one only for some of its owners, and calls through a struct be
        made by the others.
        """
        return self.limits.asked and (leg.held == RCU or leg.held in CONTEXTS)

    def _within_driver(self, leg: Leg) -> bool:
        """Whether who has preemption or interrupts off, and who sleeps, are of one driver."""
        ends = (self.spot(number)[0] for number in (leg.holder, (leg.path or (leg.holder,))[-1]))
        return related(*map(directory_of, ends))
