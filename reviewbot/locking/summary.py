# SPDX-License-Identifier: GPL-2.0-or-later
"""What a call does to the caller's locks, in terms of the call's arguments.

For a primitive that is in the table; for any other function it follows from
walking it.  A function that leaves everything as it found it has no effects, and
that is nearly all of them; the rest are the kernel's wrappers (``rtnl_lock()``,
``inode_lock(inode)``, ``guard(mutex)``), found without naming one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reviewbot.locking.facts import Function
from reviewbot.locking.flow import Effect, Effects, Exit, Held, Touch, Walk, When, lock_expression
from reviewbot.locking.primitives import NONE, RESULT, Primitive, Primitives, Role
from reviewbot.locking.symbols import Place

MAX_EFFECTS = 6
"""A function that leaves more locks changed is no wrapper but a part of its caller."""

PlaceOf = Callable[[str], Place]

_WHEN = {
    Role.ACQUIRE: When.ALWAYS,
    Role.ACQUIRE_ZERO: When.ZERO,
    Role.ACQUIRE_TRY: When.NONZERO,
}


def primitive_effects(primitive: Primitive) -> Effects | None:
    """The effects of a call in the table; None for one that needs no attention in a walk."""
    lock = f"${primitive.arg}{primitive.below}" if primitive.arg >= 0 else f"={primitive.object}"
    if primitive.acquires:
        effect = Effect(
            lock,
            primitive.lock,
            primitive.mode,
            _WHEN[primitive.role],
            primitive.irq,
            primitive.nested,
        )
        return Effects(acquires=(effect,))
    if primitive.role is Role.RELEASE:
        return Effects(releases=(Effect(lock, primitive.lock, primitive.mode),))
    if primitive.role is Role.HELD:
        return Effects(holds=(Effect(lock, primitive.lock or "lock", primitive.mode),))
    if primitive.role in (Role.WAIT, Role.REGISTER, Role.QUEUE, Role.QUEUE_ALLOC):
        return Effects()
    return None


def table_effects(primitives: Primitives) -> dict[str, Effects]:
    """Effects of every primitive by name."""
    found = ((name, primitive_effects(entry)) for name, entry in primitives.items())
    return {name: effects for name, effects in found if effects is not None}


def summarize(
    function: Function, walk: Walk, place_of: PlaceOf, primitives: Primitives
) -> Effects | None:
    """What calling *function* does to its caller's locks; None for nothing."""
    if function.annotations and any(a.startswith("__cond_acquires") for a in function.annotations):
        return None
    exits = walk.exits
    acquires = _left_held(exits, place_of)
    releases = _given_back(exits, place_of)
    holds = _asserted(exits, place_of)
    touches = tuple(dict.fromkeys(_touched(function, walk, place_of, primitives)))
    if max(len(acquires), len(releases), len(holds)) > MAX_EFFECTS:
        return None
    effects = Effects(acquires, releases, holds, touches[:MAX_EFFECTS])
    return effects if effects else None


def _when(with_it: set[str], without: set[str]) -> When:
    """Which results of a call go with an effect, given the results seen with and without it."""
    if not without:
        return When.ALWAYS
    if with_it.isdisjoint(without):
        if without == {"0"} or with_it <= {"1", "-"}:
            return When.NONZERO
        if without <= {"1", "-"} or with_it == {"0"}:
            return When.ZERO
    return When.MAYBE


def _left_held(exits: Iterable[Exit], place_of: PlaceOf) -> tuple[Effect, ...]:
    exits = list(exits)
    candidates: dict[tuple[str, str], Held] = {}
    for leave in exits:
        for held in leave.held:
            if not held.entry and "@" not in held.lock:
                candidates.setdefault((held.lock, held.mode), held)
    out: list[Effect] = []
    for (lock, mode), held in candidates.items():
        with_it = {e.value for e in exits if any(h.lock == lock and h.mode == mode for h in e.held)}
        without = {
            e.value for e in exits if not any(h.lock == lock and h.mode == mode for h in e.held)
        }
        template, cls = _portable(lock, held.cls, place_of)
        when = _when(with_it, without)
        if template and when is not When.MAYBE:
            out.append(Effect(template, held.kind, mode, when, held.irq, held.nested, cls))
    return tuple(out)


def _given_back(exits: Iterable[Exit], place_of: PlaceOf) -> tuple[Effect, ...]:
    exits = list(exits)
    out: list[Effect] = []
    for lock, mode in sorted({pair for leave in exits for pair in leave.released}):
        with_it = {e.value for e in exits if (lock, mode) in e.released}
        without = {e.value for e in exits if (lock, mode) not in e.released}
        template, cls = _portable(lock, "", place_of)
        when = _when(with_it, without)
        if template and when is not When.MAYBE:
            out.append(Effect(template, "", mode, when, cls=cls))
    return tuple(out)


def _asserted(exits: Iterable[Exit], place_of: PlaceOf) -> tuple[Effect, ...]:
    """Locks asserted to be held on entry on every way out."""
    exits = list(exits)
    if not exits:
        return ()
    common = {h.lock: h for h in exits[0].held if h.entry}
    for leave in exits[1:]:
        names = {h.lock for h in leave.held if h.entry}
        common = {lock: held for lock, held in common.items() if lock in names}
    out: list[Effect] = []
    for lock, held in common.items():
        template, cls = _portable(lock, held.cls, place_of)
        if template:
            out.append(Effect(template, held.kind, held.mode, cls=cls))
    return tuple(out)


def _portable(lock: str, hint: str, place_of: PlaceOf) -> tuple[str, str]:
    """(name in the callee's terms, class) of a lock of this function; empty names if unknown."""
    if lock.startswith("="):
        return lock, lock[1:]
    place = place_of(lock)
    cls = place.cls or hint
    if place.param:
        return place.param, cls
    return (f"={cls}", cls) if cls and "on stack" not in cls else ("", "")


def _touched(
    function: Function, walk: Walk, place_of: PlaceOf, primitives: Primitives
) -> Iterable[Touch]:
    """Blocking calls on an object that reaches this function as a bare pointer."""
    for point in walk.points:
        primitive = primitives.get(point.name)
        if primitive is None or not primitive.waits or primitive.arg < 0:
            continue
        argument = argument_of(primitive, point.args, point.result)
        if not argument:
            continue
        place = place_of(lock_expression(argument, function.locals))
        if place.param and not place.cls:
            yield Touch(place.param, primitive.what, primitive.lock, primitive.mode, primitive.irq)


def argument_of(primitive: Primitive, args: tuple[str, ...], result: str) -> str:
    """The expression a primitive is about, or ``=object``; empty if it is not there."""
    if primitive.arg == RESULT:
        return result
    if primitive.arg == NONE:
        return f"={primitive.object}" if primitive.object else ""
    if primitive.arg >= len(args):
        return ""
    argument = args[primitive.arg]
    if primitive.below and argument.startswith("&"):
        return argument[1:] + primitive.below.replace("->", ".", 1)
    return argument + primitive.below if argument else ""
