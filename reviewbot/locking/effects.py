# SPDX-License-Identifier: GPL-2.0-or-later
"""What calls do to locks, and what walking a function finds: the values between walk and link.

Signs say what is known of a result or variable: a subset of ``-0+`` in that
order, ``-`` for an error code or error pointer, ``0`` for zero, false and NULL,
``+`` for everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

ANY = "-0+"
"""Nothing is known of a value."""


class When(StrEnum):
    """On which result of a call its effect happened."""

    ALWAYS = "always"
    ZERO = "zero"
    NONZERO = "nonzero"
    NEGATIVE = "negative"
    NOT_NEGATIVE = "not negative"
    POSITIVE = "positive"
    NOT_POSITIVE = "not positive"
    MAYBE = "maybe"


SIGNS = {
    When.ALWAYS: ANY,
    When.ZERO: "0",
    When.NONZERO: "-+",
    When.NEGATIVE: "-",
    When.NOT_NEGATIVE: "0+",
    When.POSITIVE: "+",
    When.NOT_POSITIVE: "-0",
}
"""The results that go with an effect."""

Fact = tuple[str, str]
"""Something known of a condition; see :mod:`reviewbot.locking.known`."""


class Effect(msgspec.Struct, frozen=True, array_like=True):
    """What a call does to one lock.

    ``lock`` names it in the callee's terms: ``$0`` is the first argument itself,
    ``$1->owner.lock`` a lock below the second, ``=struct foo.lock`` a class.
    """

    lock: str
    kind: str
    mode: str = "write"
    when: When = When.ALWAYS
    irq: str = ""
    nested: bool = False
    cls: str = ""
    """The lock's class where the callee can tell it and the caller may not."""
    otherwise: str = ""
    """Signs of the results that go without the effect; empty for all that are not in ``when``."""
    given: tuple[Fact, ...] = ()
    """What must be true of the arguments (``$n``) and of the result (``@``) besides."""


class Touch(msgspec.Struct, frozen=True, array_like=True):
    """A blocking call on an object that only the caller can name: ``$n…``."""

    lock: str
    what: str
    """Empty for taking a lock, else what is waited for."""
    kind: str
    mode: str
    irq: str = ""
    released: tuple[str, ...] = ()
    """Locks of the caller's that are given back meanwhile, named like ``lock``."""


class Queued(msgspec.Struct, frozen=True, array_like=True):
    """A work item that a call puts on a workqueue, both as the caller names them: ``$n…``.

    The queue may be ``=class`` as well.
    """

    queue: str
    work: str


class Effects(msgspec.Struct, frozen=True, array_like=True):
    """What a call does to locks: those it leaves held, those it gives back, those it expects."""

    acquires: tuple[Effect, ...] = ()
    releases: tuple[Effect, ...] = ()
    holds: tuple[Effect, ...] = ()
    """An assertion: these are held on entry of the function that makes the call."""
    touches: tuple[Touch, ...] = ()
    doubts: tuple[str, ...] = ()
    """Locks that are sometimes held or given back after a call and sometimes not, and nothing
    tells which: a caller that works with them cannot be said to be balanced or not."""
    results: tuple[str, ...] = ()
    """All constants the function returns, if what it does to locks goes with them."""
    drops: tuple[str, ...] = ()
    """Locks of the caller's that are given back for a while, as a wait for them does."""
    queues: tuple[Queued, ...] = ()
    runs: tuple[str, ...] = ()
    """Members that a macro calls and its user names (:mod:`reviewbot.locking.composed`)."""

    @property
    def concerns_callers(self) -> bool:
        """Whether a caller has to be walked: it holds other locks after the call than before,
        or meanwhile, or what it hands over is queued, waited for or called."""
        waits = any(touch.what for touch in self.touches)
        return bool(
            self.acquires or self.releases or self.drops or self.queues or self.runs or waits
        )

    def __bool__(self) -> bool:
        return bool(
            self.acquires
            or self.releases
            or self.holds
            or self.touches
            or self.doubts
            or self.drops
            or self.queues
            or self.runs
        )


class Held(msgspec.Struct, frozen=True, array_like=True, cache_hash=True):
    """A lock in a held set."""

    lock: str
    """Expression, or ``=class``."""
    kind: str
    mode: str
    line: int
    """Where it was taken; the function's first line if it was held on entry."""
    call: str
    """The call that took it, or what says that it is held on entry."""
    irq: str = ""
    nested: bool = False
    entry: bool = False
    cls: str = ""
    kept: tuple[str, ...] = ()
    """Where the call that took a lock without a name may have put a pointer to it."""
    unsure: bool = False
    """The path went past a release that the source makes depend on a condition, and of
    that condition nothing is known."""


class Point(msgspec.Struct, frozen=True, array_like=True):
    """A call, with what may be held there."""

    line: int
    name: str
    args: tuple[str, ...]
    result: str
    held: tuple[Held, ...]
    released: tuple[str, ...]
    """The caller's locks that are released on every path to this call."""


class Exit(msgspec.Struct, frozen=True, array_like=True):
    """One way out of a function."""

    line: int
    value: str
    """Signs of the result, or ``void``."""
    constant: str
    """The constant that is returned (``-EAGAIN``, ``FOO_SHARED``), or empty."""
    held: tuple[Held, ...]
    released: tuple[tuple[str, str], ...]
    """(lock, mode) given back that was not taken here."""
    params: tuple[Fact, ...]
    """What is known of conditions on parameters."""
    variant: int = 0
    """Which reading of the preprocessor's conditions it belongs to."""
    done: tuple[str, ...] = ()
    """Locks taken here and given back on the way to this exit; told if the ways out differ."""


class Slip(msgspec.Struct, frozen=True, array_like=True):
    """A release of the function's own lock where it is not held: on one path, or once more."""

    line: int
    name: str
    lock: str
    cls: str


@dataclass(frozen=True, slots=True)
class Walk:
    """What walking a function found."""

    points: tuple[Point, ...]
    exits: tuple[Exit, ...]
    capped: bool
    """Some states were left out or merged: more may be held than is said."""
    given_back: frozenset[str] = frozenset()
    """Names and classes of locks that the function takes and gives back on some path."""
    optional: frozenset[str] = frozenset()
    """Names and classes of locks that the function takes depending on a condition."""
    doubtful: frozenset[str] = frozenset()
    """Names and classes of locks that a callee may or may not have changed."""
    slips: tuple[Slip, ...] = ()
    dropped: frozenset[str] = frozenset()
    """Locks that were not taken here and are given back somewhere."""
