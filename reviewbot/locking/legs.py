# SPDX-License-Identifier: GPL-2.0-or-later
"""What the search for hazards finds: edges with the way they were found, and cycles of them."""

from __future__ import annotations

from dataclasses import dataclass

from reviewbot.locking.imbalance import Imbalance
from reviewbot.locking.linked import Action
from reviewbot.locking.model import HazardKind
from reviewbot.locking.rows import CONTEXT

Spot = tuple[str, str]
"""(file, function)."""
Key = tuple[HazardKind, frozenset[str]]
"""What a hazard is known by: its kind and classes."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One edge of a cycle with the way it was found.

    ``function`` holds ``held`` and blocks on ``target`` at the end of ``path``, whose
    first member is the callee there; an empty path means that it blocks itself.
    ``function`` is CONTEXT for a handler, which is what ``held`` runs.
    """

    held: str
    target: str
    function: int
    path: tuple[int, ...]

    @property
    def holder(self) -> int:
        """The function that holds, or that runs as what is held."""
        return self.path[0] if self.function == CONTEXT else self.function

    @property
    def calls(self) -> tuple[int, ...]:
        """The callees on the way from :attr:`holder`."""
        return self.path[1:] if self.function == CONTEXT else self.path


@dataclass(frozen=True, slots=True)
class Finding:
    """A hazard at one site of one tree."""

    kind: HazardKind
    classes: tuple[str, ...]
    site: Spot
    via: str
    """Callee through which the site's function blocks; empty if it blocks itself."""
    leg: Leg
    closing: tuple[Leg, ...]
    imbalance: Imbalance | None = None
    interrupted: Action | None = None
    """The acquisition after which the interrupt of the closing leg may come in."""
    careful: int = 0
    """How many others take the lock with interrupts off, if no interrupt that takes it is known."""
    readers: str = ""
    """The lock that both sides take for reading: a writer has to wait in between."""

    @property
    def on_rt(self) -> bool:
        """Whether what sleeps is a spinlock, as on PREEMPT_RT: it is named as well."""
        return self.kind is HazardKind.SLEEP_IN_ATOMIC and len(self.classes) > 1

    @property
    def legs(self) -> tuple[Leg, ...]:
        """The edge at the site, and what leads back from it."""
        return self.leg, *self.closing

    @property
    def key(self) -> Key:
        return self.kind, frozenset(self.classes)
