# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways through a function that do not leave its locks as the other ways do.

Most functions that leave a lock held mean to, and the walk cannot follow every
condition by which they choose.  So a slip is told only where the function shows
what it wants: it takes the lock itself and gives it back on another way, the
result it returns does not tell the two ways apart, no argument does, and neither
the taking nor the giving back hangs on a condition of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from reviewbot.locking import known as knowledge
from reviewbot.locking.body import VOID
from reviewbot.locking.classes import Place
from reviewbot.locking.effects import ANY, Exit, Held, Walk
from reviewbot.locking.facts import Function
from reviewbot.locking.primitives import (
    CPU_OBJECTS,
    CPU_STATES,
    RCU,
    SIGNALS,
    SLEEPING,
    Role,
    builtin,
)

_TABLE = builtin()
_NESTING = CPU_OBJECTS | {RCU}
"""What a callee may leave entered once more: one unlock does not end it."""
_FAILURES = frozenset({"false", "NULL", "IRQ_NONE"})
"""Zeros that say that nothing was done: whoever keeps a lock returns something else."""
_DECLARED = ("__acquires", "__releases", "__cond_acquires")


class Imbalance(msgspec.Struct, frozen=True, array_like=True):
    """A way out with a lock that other ways out give back."""

    node: str
    instance: str
    taken: int
    """Line on which it was taken; 0 if the fault is an unlock of what is not held."""
    call: str
    """The call that took it; empty for an unlock of what is not held."""
    leaves: int
    """Line of the return, 0 for the end of the function; of the unlock for one of what is
    not held."""
    weak: bool = False
    """Believed if somebody speaks of such things and, of what is kept, no caller gives it back."""


def imbalances(
    function: Function, walk: Walk, place_of: Callable[[str], tuple[Place, str]]
) -> Iterable[Imbalance]:
    """The slips of one function; *place_of* gives a lock's class and full expression."""
    if any(a.startswith(_DECLARED) for a in function.annotations):
        return
    if walk.capped:  # with conditions forgotten on the way
        slips = _not_held(walk, place_of)
        yield from (msgspec.structs.replace(slip, weak=True) for slip in slips)
        return
    yield from _forgotten(walk, place_of)
    yield from _not_held(walk, place_of)
    yield from _asserted_and_dropped(walk, place_of)
    yield from _dropped_untold(walk, place_of)
    yield from _mistaken(walk, place_of)


def _forgotten(walk: Walk, place_of: Callable[[str], tuple[Place, str]]) -> Iterable[Imbalance]:
    """Ways out that keep what the others give back."""
    moved = {h.cls for leave in walk.exits for h in leave.held if "@" in h.lock}
    for variant in {leave.variant for leave in walk.exits}:
        exits = [leave for leave in walk.exits if leave.variant == variant]
        followed = any(leave.done for leave in exits)  # else the function was too large for it
        for (lock, mode), held in _own(exits).items():
            if held.kind in CPU_STATES or held.call.endswith("_non_owner"):
                continue
            place, expression = place_of(lock)
            names = {lock, place.cls}
            if not _is_sure(place.cls) or place.cls in moved or walk.doubtful & names:
                continue
            if walk.given_back.isdisjoint(names):
                continue
            keeping = [e for e in exits if any(_is(h, lock, mode) for h in e.held)]
            rest = [
                e
                for e in exits
                if not (followed and names.isdisjoint(e.done))
                and not any(_may_be(h, held, place.cls, place_of) for h in e.held)
            ]
            odd = odd_ones(keeping, rest)
            for leave in keeping:
                weak = not followed or leave not in odd or held.kind in SIGNALS
                if leave in odd or (leave.value == "0" and _is_mute(rest)):
                    sure = next(h for h in leave.held if _is(h, lock, mode))
                    yield Imbalance(place.cls, expression, sure.line, sure.call, leave.line, weak)


def _may_be(
    other: Held, held: Held, cls: str, place_of: Callable[[str], tuple[Place, str]]
) -> bool:
    """Whether *other* is the lock *held* of class *cls*, or one that cannot be told from it."""
    if other.lock == held.lock:
        return True
    known = place_of(other.lock)[0].cls or other.cls
    return known == cls or (not known and other.kind == held.kind)


def _is_sure(cls: str) -> bool:
    """Whether a class is known by its declaration, not by the function that returns the lock."""
    return bool(cls) and not cls.endswith("()")


def _own(exits: Iterable[Exit]) -> dict[tuple[str, str], Held]:
    """Locks that a way out keeps though the function took them itself."""
    out: dict[tuple[str, str], Held] = {}
    for leave in exits:
        for held in leave.held:
            if not (held.entry or held.unsure or "@" in held.lock):
                out.setdefault((held.lock, held.mode), held)
    return out


def _is(held: Held, lock: str, mode: str) -> bool:
    return held.lock == lock and held.mode == mode and not held.unsure


def _not_held(walk: Walk, place_of: Callable[[str], tuple[Place, str]]) -> Iterable[Imbalance]:
    """Releases that find the lock held on one path and not on another."""
    asserted = {h.cls or h.lock for leave in walk.exits for h in leave.held if h.entry}
    for slip in walk.slips:
        place, expression = place_of(slip.lock)
        names = {slip.lock, place.cls}
        if not _is_sure(place.cls) or place.cls in _NESTING or walk.doubtful & names:
            continue
        if walk.optional.isdisjoint(names) and asserted.isdisjoint(names):
            kinds = {h.kind for point in walk.points for h in point.held if h.lock == slip.lock}
            weak = not kinds.isdisjoint(SIGNALS)
            yield Imbalance(place.cls, expression, 0, "", slip.line, weak)


def _asserted_and_dropped(
    walk: Walk, place_of: Callable[[str], tuple[Place, str]]
) -> Iterable[Imbalance]:
    """Errors on which a lock goes that the function asserts its caller holds, and else keeps."""
    for lock, mode in {pair for leave in walk.exits for pair in leave.released}:
        dropping = [e for e in walk.exits if (lock, mode) in e.released]
        keeping = [
            e for e in walk.exits if any(h.lock == lock and _is_assertion(h) for h in e.held)
        ]
        place, expression = place_of(lock)
        sure = _is_sure(place.cls) and walk.doubtful.isdisjoint((lock, place.cls))
        if sure and keeping and all(e.value == "-" for e in dropping):
            for leave in dropping:
                yield Imbalance(place.cls, expression, 0, "", leave.line)


def _dropped_untold(
    walk: Walk, place_of: Callable[[str], tuple[Place, str]]
) -> Iterable[Imbalance]:
    """Ways out on which a lock of the caller's goes, though nothing tells the caller so."""
    for lock, mode in {pair for leave in walk.exits for pair in leave.released}:
        place, expression = place_of(lock)
        names = {lock, place.cls}
        if not _is_sure(place.cls) or place.cls in _NESTING or walk.doubtful & names:
            continue
        if not walk.given_back.isdisjoint(names):
            continue
        dropping = [e for e in walk.exits if (lock, mode) in e.released]
        others = [e for e in walk.exits if all(name != lock for name, _ in e.released)]
        if len(dropping) > len(others):
            continue
        for leave in dropping:
            if any(_is_same_answer(leave, other) for other in others):
                yield Imbalance(place.cls, expression, 0, "", leave.line, weak=True)


def _is_same_answer(one: Exit, other: Exit) -> bool:
    """Whether a caller that gets one result cannot know which way out it is of."""
    answers = {(e.variant, e.value, e.constant) for e in (one, other)}
    return len(answers) == 1 and one.value != ANY and not _told_by_caller(one, other)


def _mistaken(walk: Walk, place_of: Callable[[str], tuple[Place, str]]) -> Iterable[Imbalance]:
    """Ways out that keep the function's own lock and give back one of its caller's instead."""
    for leave in walk.exits:
        own = [h for h in leave.held if not (h.entry or h.unsure or "@" in h.lock)]
        if len(own) != 1 or len(leave.released) != 1 or own[0].kind not in SLEEPING:
            continue
        kept, (lock, _) = own[0], leave.released[0]
        (place, expression), given = place_of(kept.lock), place_of(lock)[0]
        names = {kept.lock, place.cls, lock, given.cls}
        if not (_is_sure(place.cls) and _is_sure(given.cls)) or place.cls == given.cls:
            continue
        if walk.doubtful.isdisjoint(names) and walk.given_back.isdisjoint(names):
            yield Imbalance(place.cls, expression, kept.line, kept.call, leave.line, weak=True)


def _is_mute(rest: Iterable[Exit]) -> bool:
    """Whether ways out that give a lock back return what may be a success or an error."""
    return any(leave.value == ANY for leave in rest)


def _is_assertion(held: Held) -> bool:
    """Whether the function says that it is entered with the lock, rather than takes it again."""
    primitive = _TABLE.get(held.call)
    asserts = primitive is not None and primitive.role is Role.HELD
    return held.entry and (asserts or held.call == "__must_hold")


def odd_ones(some: list[Exit], rest: list[Exit]) -> list[Exit]:
    """The ways out among *some* that neither the result nor a parameter tells from the *rest*.

    A function that returns a lock held says so by its result.  A way out on an error
    that keeps what success gives back is a slip, and so are two that report the same
    and do not leave the same.
    """
    return [leave for leave in some if any(_alike(leave, other) for other in rest)]


def _alike(keeping: Exit, other: Exit) -> bool:
    if keeping.value != "-" and _told_by_caller(keeping, other):
        return False
    kept = {held.lock for held in keeping.held}
    if any(not h.entry and h.lock not in kept for h in other.held):
        return False  # it leaves one lock held or the other
    if VOID in (keeping.value, other.value):
        return keeping.value == other.value
    if keeping.constant in _FAILURES:
        return True
    if keeping.constant and other.constant and keeping.constant != other.constant:
        return keeping.value == other.value == "-"
    if keeping.value == "-":
        return True
    if other.value == ANY and keeping.value != ANY:
        return False  # an error that is not known to be one
    return set(keeping.value) <= set(other.value)  # a vague value may be that of a success


def _told_by_caller(one: Exit, other: Exit) -> bool:
    """Whether what is known of parameters tells two ways out apart."""
    known = frozenset(other.params)
    return any(knowledge.holds(known, fact) is False for fact in one.params)
