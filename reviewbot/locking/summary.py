# SPDX-License-Identifier: GPL-2.0-or-later
"""What a call does to the caller's locks, in terms of the call's arguments.

For a primitive that is in the table; for any other function it follows from
walking it.  A function that leaves everything as it found it has no effects, and
that is nearly all of them; the rest are the kernel's wrappers (``rtnl_lock()``,
``inode_lock(inode)``, ``guard(mutex)``), found without naming one.

Where only some ways out leave a lock held, the result of the call or one of its
arguments has to tell which; if neither does, the lock is in doubt, and a caller
that works with it is left in peace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from reviewbot.locking import known as knowledge
from reviewbot.locking.body import VOID
from reviewbot.locking.classes import UNKNOWN, Place
from reviewbot.locking.composed import composed
from reviewbot.locking.effects import (
    ANY,
    SIGNS,
    Effect,
    Effects,
    Exit,
    Fact,
    Held,
    Point,
    Queued,
    Touch,
    Walk,
    When,
)
from reviewbot.locking.facts import Function
from reviewbot.locking.names import lock_expression, substitute
from reviewbot.locking.primitives import CPU_OBJECTS, NONE, RESULT, Primitive, Primitives, Role

MAX_EFFECTS = 6
"""A function that leaves more locks changed is no wrapper but a part of its caller."""
MAX_RESULTS = 4
"""Constants among which a result can tell what is held."""

PlaceOf = Callable[[str], Place]
_Name = tuple[str, str]
"""A lock and the mode that it is taken in."""
_BEGIN = re.compile(r"_(?:begin|start)(?:_|$)|^guard\(", re.I)
_END = re.compile(r"_(?:end|stop)(?:_|$)|^~guard\(", re.I)
"""Pairs of functions between which the processor is in some state: ``kernel_fpu_begin()``,
and ``guard(preempt)`` with the end of its scope."""

_WHEN = {
    Role.ACQUIRE: When.ALWAYS,
    Role.ACQUIRE_ZERO: When.ZERO,
    Role.ACQUIRE_TRY: When.NONZERO,
    Role.ACQUIRE_TRY_ZERO: When.ZERO,
}
_BY_SIGNS = {signs: when for when, signs in SIGNS.items()}


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
            otherwise="-" if primitive.role is Role.ACQUIRE_ZERO else "",
        )
        return Effects(acquires=(effect,))
    if primitive.role is Role.RELEASE:
        return Effects(releases=(Effect(lock, primitive.lock, primitive.mode),))
    if primitive.role is Role.HELD:
        return Effects(holds=(Effect(lock, primitive.lock or "lock", primitive.mode),))
    if primitive.drops >= 0:
        return Effects(drops=(f"${primitive.drops}{primitive.below}",))
    if primitive.role in (
        Role.WAIT, Role.REGISTER, Role.SIGNAL, Role.QUEUE, Role.QUEUE_ALLOC, Role.CALL,
    ):  # fmt: skip
        return Effects()
    return None


def table_effects(primitives: Primitives) -> dict[str, Effects]:
    """Effects of every primitive by name."""
    found = ((name, primitive_effects(entry)) for name, entry in primitives.items())
    return {name: effects for name, effects in found if effects is not None}


def summarize(
    function: Function,
    walk: Walk,
    place_of: PlaceOf,
    primitives: Primitives,
    lookup: Callable[[str], Effects | None],
) -> Effects | None:
    """What calling *function* does to its caller's locks; None for nothing.

    *lookup* gives the effects of its own callees.
    """
    if function.annotations and any(a.startswith("__cond_acquires") for a in function.annotations):
        return None
    found = _Summary(function, walk, place_of)
    holds = _asserted(walk.exits, place_of)
    touches = tuple(dict.fromkeys(_touched(function, walk, place_of, primitives, lookup)))
    if max(len(found.acquires), len(found.releases), len(holds)) > MAX_EFFECTS:
        return None
    effects = Effects(
        tuple(found.acquires),
        tuple(found.releases),
        holds,
        touches[:MAX_EFFECTS],
        tuple(sorted(found.doubts))[:MAX_EFFECTS],
        found.results,
        tuple(sorted(_dropped(walk, place_of)))[:MAX_EFFECTS],
        tuple(dict.fromkeys(_queued(function, walk, place_of, primitives)))[:MAX_EFFECTS],
        tuple(dict.fromkeys(composed(function, lookup)))[:MAX_EFFECTS],
    )
    return effects if effects else None


@dataclass(frozen=True, slots=True)
class Terms:
    """When something happens: on which results, and given what."""

    when: When
    otherwise: str = ""
    given: tuple[Fact, ...] = ()


class _Summary:
    """The uneven ways out of one function, told apart."""

    def __init__(self, function: Function, walk: Walk, place_of: PlaceOf) -> None:
        self._params = {
            name: local.param for name, local in function.locals.items() if local.param >= 0
        }
        self._walk = walk
        self._place_of = place_of
        self._handed_over = {  # a function that was handed in may give them back
            held.lock for p in walk.points if p.name in self._params for held in p.held
        }
        self.acquires: list[Effect] = []
        self.releases: list[Effect] = []
        self.doubts: set[str] = set()
        self.results: tuple[str, ...] = ()
        self._ends = _END.search(function.name) is not None
        self._begins = _BEGIN.search(function.name) is not None
        left = self._left_held()
        for names in self._of_one_class(left):
            self._add(self.acquires, names, left[names[0]])
        for pair in sorted({pair for leave in walk.exits for pair in leave.released}):
            self._add(self.releases, [pair], None)

    def _left_held(self) -> dict[tuple[str, str], Held]:
        out: dict[tuple[str, str], Held] = {}
        for leave in self._walk.exits:
            for held in leave.held:
                if not held.entry and "@" not in held.lock:
                    out.setdefault((held.lock, held.mode), held)
        return out

    def _of_one_class(self, left: Mapping[tuple[str, str], Held]) -> Iterable[list[_Name]]:
        """The locks that are left held, those together that callers cannot tell apart.

        ``if (a) lock(f(x)); else lock(g(x));`` leaves one lock of that class held.
        """
        together: dict[tuple[str, str], list[_Name]] = {}
        for lock, mode in left:
            template, _ = _portable(lock, left[lock, mode].cls, self._place_of)
            together.setdefault((template or lock, mode), []).append((lock, mode))
        for names in together.values():
            apart = all(len(set(names) & _held_by(e)) <= 1 for e in self._walk.exits)
            yield from [names] if apart else ([name] for name in names)

    def _add(self, effects: list[Effect], names: list[_Name], held: Held | None) -> None:
        """Put down what happens to a lock: it is left *held*, or (None) given back."""
        lock, mode = names[0]
        template, cls = _portable(lock, held.cls if held is not None else "", self._place_of)
        state = template.removeprefix("=") in CPU_OBJECTS
        if not template or (state and not (self._begins if held else self._ends)):
            return  # a state of the processor is not handed on: its ends need not match
        terms = self._terms(names, held)
        if state and terms != [Terms(When.ALWAYS)]:
            return
        if self._walk.doubtful & {lock, cls, template} or lock in self._handed_over:
            terms = []
        if not terms:
            self.doubts.add(template)
            return
        kind, irq, nested = (held.kind, held.irq, held.nested) if held else ("", "", False)
        for term in terms:
            effect = Effect(
                template, kind, mode, term.when, irq, nested, cls, term.otherwise, term.given
            )
            if effect not in effects:  # two objects of one class may have no other name
                effects.append(effect)

    def _terms(self, names: list[_Name], held: Held | None) -> list[Terms]:
        """When it happens; nothing if that cannot be told."""
        found: list[list[Terms]] = []
        for variant in sorted({leave.variant for leave in self._walk.exits}):
            exits = [e for e in self._walk.exits if e.variant == variant]
            happens = _held_by if held is not None else _released_by
            some = [e for e in exits if not happens(e).isdisjoint(names)]
            if some:
                found.append(self._apart(some, [e for e in exits if e not in some]))
        return found[0] if found and all(terms == found[0] for terms in found) else []

    def _apart(self, some: list[Exit], rest: list[Exit]) -> list[Terms]:
        if not rest:
            return [Terms(When.ALWAYS)]
        given = _common_facts(some)
        left = [e for e in rest if not _contradicts(e, given)]
        facts = () if len(left) == len(rest) else self._portable_facts(given)
        if facts is None:
            facts, left = (), rest
        if not left:
            return [Terms(When.ALWAYS, given=facts)]
        with_it, without = _signs(some), _signs(left)
        if with_it and without and not set(with_it) & set(without):
            when = _BY_SIGNS.get(with_it, When.MAYBE)
            full = "".join(s for s in ANY if s not in with_it)
            if when is not When.MAYBE:
                return [Terms(when, "" if without == full else without, facts)]
        return self._by_constant(some, left, facts)

    def _by_constant(
        self, some: list[Exit], left: list[Exit], facts: tuple[Fact, ...]
    ) -> list[Terms]:
        here, there = {e.constant for e in some}, {e.constant for e in left}
        if "" in here | there or here & there or len(here | there) > MAX_RESULTS:
            return []
        self.results = tuple(sorted(here | there))
        return [Terms(When.ALWAYS, "", (*facts, ("@=", const))) for const in sorted(here)]

    def _portable_facts(self, facts: tuple[Fact, ...]) -> tuple[Fact, ...] | None:
        """Conditions on parameters in a caller's words; None if one cannot be said."""
        out: list[Fact] = []
        for fact in facts:
            base = knowledge.base_of(fact[0])
            if base not in self._params:
                return None
            out.append(knowledge.about(fact, base, f"${self._params[base]}"))
        return tuple(out)


def _held_by(leave: Exit) -> set[_Name]:
    """(lock, mode) of what a way out leaves held."""
    return {(h.lock, h.mode) for h in leave.held if not h.entry}


def _released_by(leave: Exit) -> set[_Name]:
    """(lock, mode) of what a way out gives back."""
    return set(leave.released)


def _common_facts(exits: list[Exit]) -> tuple[Fact, ...]:
    common = set(exits[0].params)
    for leave in exits[1:]:
        common &= set(leave.params)
    return tuple(sorted(common))


def _contradicts(leave: Exit, facts: Iterable[Fact]) -> bool:
    known = frozenset(leave.params)
    return any(knowledge.holds(known, fact) is False for fact in facts)


def _signs(exits: Iterable[Exit]) -> str:
    """The signs of the results of these ways out; empty if one has none."""
    values = [leave.value for leave in exits]
    return "" if VOID in values else "".join(s for s in ANY if any(s in v for v in values))


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


def _dropped(walk: Walk, place_of: PlaceOf) -> Iterable[str]:
    """Locks that are given back for a while and that only the caller can name.

    Where the class can be told, it is known for each call whether that is while it is given back;
    what is only pointed to may have another class there.
    """
    for lock in walk.dropped:
        place = place_of(lock) if lock and lock[:1] != "=" else UNKNOWN
        if place.param and (not place.cls or place.type.endswith("*")):
            yield place.param


def _touched(
    function: Function,
    walk: Walk,
    place_of: PlaceOf,
    primitives: Primitives,
    lookup: Callable[[str], Effects | None],
) -> Iterable[Touch]:
    """Blocking calls on an object that reaches this function as a bare pointer."""
    for point in walk.points:
        primitive = primitives.get(point.name)
        if primitive is not None:
            touches = _touches_of(primitive, point)
        else:
            effects = lookup(point.name)
            touches = (
                msgspec.structs.replace(
                    touch,
                    lock=substitute(touch.lock, point.args, function.locals),
                    released=tuple(
                        substitute(lock, point.args, function.locals) for lock in touch.released
                    ),
                )
                for touch in (effects.touches if effects is not None else ())
            )
        for touch in touches:
            expression = lock_expression(touch.lock, function.locals) if touch.lock else ""
            place = place_of(expression) if expression else UNKNOWN
            if place.param and not place.cls and expression not in point.released:
                yield msgspec.structs.replace(
                    touch, lock=place.param, released=_released(touch, point, place_of)
                )


def _released(touch: Touch, point: Point, place_of: PlaceOf) -> tuple[str, ...]:
    """What is given back over a blocking call, by the function itself or by what it calls."""
    found = (_portable(lock, "", place_of)[0] for lock in (*point.released, *touch.released))
    return tuple(sorted({template for template in found if template}))


def _queued(
    function: Function, walk: Walk, place_of: PlaceOf, primitives: Primitives
) -> Iterable[Queued]:
    """Work items put on a queue that reach this function as a bare pointer."""

    def named(argument: str) -> str:
        expression = lock_expression(argument, function.locals)
        return _portable(expression, "", place_of)[0] if expression else ""

    for point in walk.points:
        primitive = primitives.get(point.name)
        if primitive is None or primitive.role is not Role.QUEUE:
            continue
        work = named(argument_of(primitive, point.args, point.result))
        queue = named(queue_of(primitive, point.args))
        if work.startswith("$") and queue:
            yield Queued(queue, work)


def _touches_of(primitive: Primitive, point: Point) -> Iterable[Touch]:
    """What a call of the table does to its argument, in the words of the caller."""
    if primitive.waits and primitive.arg >= 0:
        argument = argument_of(primitive, point.args, point.result)
        yield Touch(argument, primitive.what, primitive.lock, primitive.mode, primitive.irq)


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


def queue_of(primitive: Primitive, args: tuple[str, ...]) -> str:
    """The expression of the queue that a call puts work on, or ``=object``; empty if none."""
    if primitive.queue_object:
        return f"={primitive.queue_object}"
    return args[primitive.queue] if 0 <= primitive.queue < len(args) else ""
