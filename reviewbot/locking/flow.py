# SPDX-License-Identifier: GPL-2.0-or-later
"""Walk a function's flow graph with the set of possible held-lock states.

The walk knows what calls do to locks (an :class:`Effects` table, primitives and
wrappers alike) and nothing else.  A state is what is held, what of the caller's
was released, and what is known of the conditions that later branches repeat; two
states that differ in nothing else that still matters are one.

What a branch says about a parameter is followed only if the ways out of the
function do not agree without it: it tells which caller gets which way out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import msgspec

from reviewbot.locking import known as knowledge
from reviewbot.locking.body import BRANCH, RETURN, STOP, SWITCH, VOID, Event, Flow
from reviewbot.locking.effects import (
    ANY,
    SIGNS,
    Effect,
    Effects,
    Exit,
    Fact,
    Held,
    Point,
    Slip,
    Touch,
    Walk,
    When,
)
from reviewbot.locking.expressions import constant
from reviewbot.locking.facts import Function
from reviewbot.locking.interest import Interest, find_interest, parameter_of
from reviewbot.locking.known import NOTHING, Knowledge
from reviewbot.locking.names import WORDS, lock_expression, substitute
from reviewbot.locking.optional import Arms, back_edges, find_arms
from reviewbot.locking.primitives import CPU_STATES

__all__ = [
    "Effect", "Effects", "Exit", "Held", "Point", "Slip", "Touch", "Walk", "When",
    "lock_expression", "substitute", "walk",
]  # fmt: skip

MAX_STATES = 48
"""States kept at one block; more are merged by forgetting conditions, and counted."""
MAX_VISITS = 6000
"""Blocks visited with a new state in one flow, all in all."""
MAX_DEPTH = 16
"""Locks held at once; deeper nesting is a loop that takes one lock an element."""
MAX_UNTOLD = 2
"""Conditions of one call that may be followed both ways."""

Lookup = Callable[[str], Effects | None]
ClassOf = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class _State:
    held: tuple[Held, ...] = ()
    released: frozenset[tuple[str, str]] = frozenset()
    known: Knowledge = NOTHING
    done: frozenset[str] = frozenset()
    """Locks taken here and given back, if that is followed at all."""

    def knowing(self, known: Knowledge) -> _State:
        """The state with this knowledge instead."""
        return self if known is self.known else replace(self, known=known)

    def holding(self, *held: Held) -> _State:
        """The state with these locks held instead."""
        return self if held == self.held else replace(self, held=held)


_Call = tuple[int, str, tuple[str, ...], str]


@dataclass(slots=True)
class _Record:
    """What was met so far; one point a call site."""

    held: dict[_Call, dict[tuple[str, str, int], Held]] = field(default_factory=dict)
    released: dict[_Call, frozenset[str]] = field(default_factory=dict)
    exits: dict[Exit, None] = field(default_factory=dict)
    given_back: set[str] = field(default_factory=set)
    optional: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    matched: set[tuple[int, str, str]] = field(default_factory=set)
    """(line, call, lock) of releases that found the function's own lock held."""
    unmatched: dict[tuple[int, str, str], Slip] = field(default_factory=dict)

    def point(self, event: Event, state: _State) -> None:
        key = (event.line, event.name, event.args, event.result)
        held = self.held.setdefault(key, {})
        for lock in state.held:
            held[(lock.lock, lock.mode, lock.line)] = lock
        released = frozenset(name for name, _ in state.released)
        self.released[key] = self.released.get(key, released) & released

    def nothing_released(self, event: Event) -> None:
        """The call is reached with nothing of the caller's given back."""
        self.released[event.line, event.name, event.args, event.result] = frozenset()


def walk(function: Function, lookup: Lookup, class_of: ClassOf, entry: Iterable[Held] = ()) -> Walk:
    """Every call of *function* with what may be held there, and every way out.

    *lookup* gives the effects of a callee's name, None for none; *class_of* the
    class of a lock expression, empty if unknown.  *entry* is what the function is
    entered with (``__must_hold``).
    """
    start = _State(held=tuple(entry))
    found = _walk(function, lookup, class_of, start, thorough=False)
    if any(not _agree(found.exits, number) for number in range(len(function.flows))):
        again = _walk(function, lookup, class_of, start, thorough=True)
        if found.capped or not again.capped:
            return again
    return found


def _agree(exits: Iterable[Exit], variant: int) -> bool:
    """Whether all ways out leave the same."""
    left = {
        (frozenset((h.lock, h.mode) for h in e.held), e.released)
        for e in exits
        if e.variant == variant
    }
    return len(left) <= 1


def _walk(
    function: Function, lookup: Lookup, class_of: ClassOf, start: _State, thorough: bool
) -> Walk:
    record = _Record()
    capped = False
    for number, flow in enumerate(function.flows):
        walker = _Walker(function, flow, number, lookup, class_of, record, thorough)
        capped |= walker.run(start)
    points = tuple(
        Point(
            line, name, args, result, tuple(held.values()),
            tuple(sorted(record.released[line, name, args, result])),
        )
        for (line, name, args, result), held in record.held.items()
    )  # fmt: skip
    return Walk(
        points,
        tuple(record.exits),
        capped,
        frozenset(record.given_back),
        frozenset(record.optional),
        frozenset(record.doubtful),
        tuple(slip for key, slip in record.unmatched.items() if key in record.matched),
    )


class _Walker:
    """One flow of one function."""

    def __init__(
        self,
        function: Function,
        flow: Flow,
        variant: int,
        lookup: Lookup,
        class_of: ClassOf,
        record: _Record,
        thorough: bool,
    ) -> None:
        self._class_of = class_of
        self._blocks = flow.blocks
        self._variant = variant
        self._at = 0
        self._thorough = thorough
        self._lookup = lookup
        self._record = record
        self._locals = function.locals
        self._effects: dict[str, Effects | None] = {}
        self._own: frozenset[str] | None = None
        self._interest: Interest = find_interest(
            flow.blocks, function.locals, self._effects_of, thorough
        )
        self._arms: Arms = find_arms(flow.blocks, self._changes)
        shared = {b for b in self._interest.bases if b not in function.locals and b[:1] != "@"}
        self._shared = frozenset(shared)
        self._back = back_edges(flow.blocks) if shared else frozenset()
        record.optional |= self._arms.acquires

    def run(self, start: _State) -> bool:
        """Walk; whether a cap was hit."""
        if not self._blocks:
            return False
        capped = False
        visits = 0
        seen: list[set[_State]] = [set() for _ in self._blocks]
        work: list[tuple[int, _State]] = [(0, start)]
        while work:
            visits += 1
            if visits > MAX_VISITS:
                return True
            number, state = work.pop()
            state = self._project(state, number)
            states = seen[number]
            if state in states:
                continue
            if len(states) >= MAX_STATES:
                capped = True
                state = state.knowing(NOTHING)
                if state in states or len(states) >= 2 * MAX_STATES:
                    continue
            states.add(state)
            self._at = number
            block = self._blocks[number]
            current = [state]
            for event in block.events:
                current = self._event(event, current)
                if len(current) > MAX_STATES:
                    capped = True
                    plain = dict.fromkeys(s.knowing(NOTHING) for s in current)
                    current = list(plain)[:MAX_STATES]
            for after in current:
                for target, there in self._jump(number, after):
                    again = (number, target) in self._back and there.known
                    work.append((target, self._next_turn(there) if again else there))
        return capped

    def _next_turn(self, state: _State) -> _State:
        """In the next turn of a loop fields and globals may have other values."""
        shared = self._shared
        known = frozenset(f for f in state.known if knowledge.base_of(f[0]) not in shared)
        return state.knowing(known)

    def _project(self, state: _State, number: int) -> _State:
        """The state without what no later branch asks for."""
        if not state.known:
            return state
        live = self._interest.live[number]
        known = frozenset(f for f in state.known if knowledge.base_of(f[0]) in live)
        return state if known == state.known else state.knowing(known)

    def _effects_of(self, name: str) -> Effects | None:
        if name not in self._effects:
            self._effects[name] = self._lookup(name)
        return self._effects[name]

    def _changes(self, number: int) -> tuple[frozenset[str], frozenset[str]]:
        """Names and classes of what a block's calls take and give back."""
        taken: set[str] = set()
        given: set[str] = set()
        for event in self._blocks[number].events:
            effects = self._effects_of(event.name) if event.name != "=" else None
            if effects is None:
                continue
            for some, into in ((effects.acquires, taken), (effects.releases, given)):
                for effect in some:
                    lock = self._named(effect, event)
                    into |= {lock, self._class(lock, effect.cls)}
        return frozenset(taken), frozenset(given)

    # events

    def _event(self, event: Event, states: list[_State]) -> list[_State]:
        if event.name == "=":
            return [
                self._assigned(after, event)
                for state in states
                for after in self._told_apart(self._moved(state, event), event)
            ]
        effects = self._effects_of(event.name)
        out: list[_State] = []
        for state in states:
            if state.held or state.released or effects is not None:
                self._record.point(event, state)
            else:
                self._record.nothing_released(event)
            after = self._called(self._moved(state, event), event, effects)
            if effects is None:
                out.append(after)
            else:
                out.extend(self._apply(event, effects, after))
        return list(dict.fromkeys(out)) if len(out) > 1 else out

    def _moved(self, state: _State, event: Event) -> _State:
        """After an assignment, a held lock that was named by the variable has no name left.

        After ``d = next`` what was ``next->lock`` is called ``d->lock``, as the code
        that walks a list hand over hand does.
        """
        target = event.result
        if not state.held or not target.isidentifier():
            return state
        source = event.args[0][1:] if event.name == "=" and event.args else ""
        source = source if event.args and event.args[0].startswith("=") else ""
        held: dict[tuple[str, str], Held] = {}
        for lock in state.held:
            words = WORDS.findall(lock.lock) if not lock.lock.startswith("=") else []
            new = lock
            if target in words and "@" not in lock.lock:
                cls = self._class_of(lock.lock) or lock.cls
                new = msgspec.structs.replace(lock, lock=f"{lock.lock}@{event.line}", cls=cls)
            elif source and words[:1] == [source]:
                new = msgspec.structs.replace(lock, lock=target + lock.lock[len(source) :])
            held.setdefault((new.lock, new.mode), new)
        after = tuple(held.values())
        return state.holding(*after)

    def _told_apart(self, state: _State, event: Event) -> list[_State]:
        """``err = PTR_ERR_OR_ZERO(x)``: whoever asks err asks whether x is an error."""
        if not event.args or not event.args[0].startswith("?"):
            return [state]
        ways = (knowledge.narrow(state.known, event.args[0][1:], signs) for signs in ("-", "0+"))
        return [state.knowing(known) for known in ways if known is not None]

    def _assigned(self, state: _State, event: Event) -> _State:
        before = state.known
        known = self._forget(before, event.result)
        if event.result in self._interest.bases:
            known = knowledge.assign(known, event.result, event.args)
        return state.knowing(known)

    def _called(self, state: _State, event: Event, effects: Effects | None) -> _State:
        """After a call its result is new, and what it was given the address of may be."""
        known = state.known
        if event.result and not (event.result.endswith(")") and effects is None):
            known = self._forget(known, event.result)  # else a test that comes out as before
        if known:
            for argument in event.args:
                if argument.startswith("&"):
                    known = self._forget(known, argument[1:])
        return state.knowing(known)

    def _forget(self, known: Knowledge, target: str) -> Knowledge:
        words = self._interest.words
        stale = [
            fact
            for fact in known
            if target in words.get(base := knowledge.base_of(fact[0]), ()) or base == target
        ]
        return known.difference(stale) if stale else known

    def _apply(self, event: Event, effects: Effects, state: _State) -> list[_State]:
        states = [state]
        key = event.result or "@"
        for effect in effects.holds:
            states = [self._assert_held(event, effect, s) for s in states]
        if effects.results:
            states = [
                s.knowing(after)
                for s in states
                for const in effects.results
                if (after := knowledge.learn(s.known, f"{key}=={const}", True)) is not None
            ]
        if self._is_too_vague(event, effects, key, state.known):
            return states
        for effect in effects.releases:
            states = [a for s in states for a in self._either(event, effect, key, s, self._release)]
        for effect in effects.acquires:
            states = [a for s in states for a in self._either(event, effect, key, s, self._acquire)]
        for lock in effects.doubts:
            name = substitute(lock, event.args, self._locals)
            self._record.doubtful |= {name, self._class(name)}
        if key not in self._interest.bases:
            states = [s.knowing(self._forget(s.known, key)) for s in states]
        return states if len(states) == 1 else list(dict.fromkeys(states))

    def _is_too_vague(self, event: Event, effects: Effects, key: str, known: Knowledge) -> bool:
        """Whether what a call does hangs on more conditions than can be followed."""
        untold: set[Fact] = set()
        locks: set[str] = set()
        for effect in (*effects.releases, *effects.acquires):
            for fact in effect.given:
                here, told = self._in_our_words(fact, event, key, known)
                if told is None and not _is_given(fact):
                    untold.add((here[0], ""))
                    locks.add(self._named(effect, event))
        if len(untold) <= MAX_UNTOLD:
            return False
        self._record.doubtful |= locks | {self._class(lock) for lock in locks}
        return True

    def _either(
        self,
        event: Event,
        effect: Effect,
        key: str,
        state: _State,
        happen: Callable[[Event, Effect, str, _State], _State],
    ) -> Iterable[_State]:
        """The states after a call with and without one of its effects."""
        lock = self._named(effect, event)
        if not lock:
            return [state]
        known = state.known
        untold: list[Fact] = []
        for fact in effect.given:
            here, told = self._in_our_words(fact, event, key, known)
            if told is False:
                return [state]
            if told is None and not _is_given(fact):
                untold.append(here)
        out: list[_State] = []
        for fact in untold:
            without = knowledge.suppose(known, fact, False)
            if without is not None:
                out.append(state.knowing(without))
            with_it = knowledge.suppose(known, fact, True)
            if with_it is None:
                return out
            known = with_it
        yes, no = SIGNS[effect.when], effect.otherwise
        if effect.when is not When.ALWAYS:
            no = no or "".join(sign for sign in ANY if sign not in yes)
            if key not in self._interest.asked:
                no = ""  # whoever does not ask relies on it
        if (after := knowledge.narrow(known, key, yes)) is not None:
            out.append(happen(event, effect, lock, state.knowing(after)))
        if no and (after := knowledge.narrow(known, key, no)) is not None:
            out.append(state.knowing(after))
        return out

    def _in_our_words(
        self, fact: Fact, event: Event, key: str, known: Knowledge
    ) -> tuple[Fact, bool | None]:
        """A callee's condition on its arguments or result in terms of this call."""
        base = knowledge.base_of(fact[0])
        if base.startswith("@"):
            here = knowledge.about(fact, "@", key)
            return here, knowledge.holds(known, here)
        place = parameter_of(base)
        argument = event.args[place] if place < len(event.args) else ""
        given = _constant_value(argument)
        if given:
            return fact, knowledge.holds(knowledge.assign(NOTHING, f"${place}", given), fact)
        here = knowledge.about(fact, f"${place}", argument)
        return here, knowledge.holds(known, here) if argument else None

    def _named(self, effect: Effect, event: Event) -> str:
        lock = substitute(effect.lock, event.args, self._locals)
        return lock or (f"={effect.cls}" if effect.cls else "")

    def _class(self, lock: str, hint: str = "") -> str:
        return self._class_of(lock) or hint or lock

    def _taken_here(self) -> frozenset[str]:
        """Classes this function takes itself: an assertion says nothing about its callers then."""
        if self._own is None:
            self._own = frozenset().union(
                *(self._changes(number)[0] for number in range(len(self._blocks)))
            )
        return self._own

    def _assert_held(self, event: Event, effect: Effect, state: _State) -> _State:
        lock = self._named(effect, event)
        cls = self._class(lock, effect.cls)
        if not lock or any(self._class(h.lock, h.cls) == cls for h in state.held):
            return state
        if cls in self._taken_here() or any(self._class(name) == cls for name, _ in state.released):
            return state
        held = Held(
            lock, effect.kind, effect.mode, event.line, event.name, entry=True, cls=effect.cls
        )
        return state.holding(*state.held, held)

    def _acquire(self, event: Event, effect: Effect, lock: str, state: _State) -> _State:
        held = Held(
            lock,
            effect.kind,
            effect.mode,
            event.line,
            event.name,
            effect.irq,
            effect.nested,
            cls=effect.cls,
        )
        regained = next((pair for pair in state.released if self._one(pair[0], lock)), None)
        if regained is not None:  # the caller's, given back to it: held on return as on entry
            back = msgspec.structs.replace(held, entry=True)
            left = state.released - {regained}
            return replace(state, held=(*state.held, back), released=left)
        if len(state.held) >= MAX_DEPTH or any(
            (h.lock == lock and h.mode == held.mode and (h.entry or _is_exclusive(held)))
            or msgspec.structs.replace(h, unsure=False) == held
            for h in state.held
        ):
            return state
        return state.holding(*state.held, held)

    def _release(self, event: Event, effect: Effect, lock: str, state: _State) -> _State:
        """Give back the same expression, or else the one held lock of the same class."""
        place = (event.line, event.name, lock)
        cls = self._class(lock, effect.cls)
        position = self._held_at(state, lock, cls, effect)
        if position is None:
            if self._at not in self._arms.blocks:
                self._record.unmatched.setdefault(place, Slip(event.line, event.name, lock, cls))
            if any(self._one(name, lock) for name, mode in state.released if mode == effect.mode):
                return state
            return replace(state, released=state.released | {(lock, effect.mode)})
        found = state.held[position]
        held = state.held[:position] + state.held[position + 1 :]
        if found.entry:
            return replace(state, held=held, released=state.released | {(lock, effect.mode)})
        if self._one(found.lock, lock) and not found.unsure:
            self._record.matched.add(place)
        names = {found.lock, self._class(found.lock, found.cls)}
        self._record.given_back |= names
        done = state.done | names if self._thorough else state.done
        return replace(state, held=held, done=done)

    def _one(self, name: str, other: str) -> bool:
        """Whether two names are of one lock: a lock of file scope has its class's name too."""
        if name == other:
            return True
        if name.startswith("="):
            return self._class_of(other) == name[1:]
        return other.startswith("=") and self._class_of(name) == other[1:]

    def _held_at(self, state: _State, lock: str, cls: str, effect: Effect) -> int | None:
        """Which of the held locks a release is about."""
        held = state.held
        same = [n for n in range(len(held) - 1, -1, -1) if self._one(held[n].lock, lock)]
        if same:
            return next((n for n in same if held[n].mode == effect.mode), same[0])
        alike = [n for n, h in enumerate(held) if self._class(h.lock, h.cls) == cls]
        nameless = [n for n in alike if "@" in held[n].lock]
        if nameless:
            return nameless[0]
        if len(alike) > 1:
            self._record.doubtful.add(cls)
            return alike[-1]
        if alike:
            return alike[0]
        if self._class_of(lock) or effect.cls or lock.startswith("="):
            return None
        unnamed = [  # one of the two has no class: a pointer that came out of a call
            n for n, h in enumerate(held) if h.kind == effect.kind and not h.entry
        ]
        if unnamed:
            one = held[unnamed[-1]]
            self._record.doubtful |= {lock, self._class(one.lock, one.cls)}
            return unnamed[-1]
        return None

    # jumps

    def _jump(self, number: int, state: _State) -> list[tuple[int, _State]]:
        block = self._blocks[number]
        if block.jump == STOP:
            return []
        if block.jump == RETURN:
            self._leave(block.key, block.line, state)
            return []
        if block.jump == BRANCH:
            return self._branch(number, block.key, block.targets, state)
        if block.jump == SWITCH:
            return self._switch(number, block.key, state)
        return [(target, state) for target in block.targets]

    def _branch(
        self, number: int, key: str, targets: tuple[int, ...], state: _State
    ) -> list[tuple[int, _State]]:
        answer = knowledge.decide(state.known, key) if key else None
        if answer is not None:
            return [(targets[0 if answer else 1], state)]
        out: list[tuple[int, _State]] = []
        for target, value in zip(targets, (True, False), strict=True):
            known: Knowledge | None = state.known
            if key in self._interest.keys:
                known = knowledge.learn(state.known, key, value)
            if known is not None:
                out.append((target, self._around(number, target, state.knowing(known))))
        return out

    def _around(self, number: int, target: int, state: _State) -> _State:
        """The state after going around an arm that may give locks back."""
        names = self._arms.releases.get((number, target))
        if names is None or not state.held:
            return state
        held = tuple(
            msgspec.structs.replace(h, unsure=True)
            if not (h.unsure or h.entry) and not names.isdisjoint(
                (h.lock, self._class(h.lock, h.cls))
            )
            else h
            for h in state.held
        )  # fmt: skip
        return state.holding(*held)

    def _switch(self, number: int, key: str, state: _State) -> list[tuple[int, _State]]:
        block = self._blocks[number]
        cases = list(zip(block.targets, block.labels, strict=True))
        if key not in self._interest.bases:
            return [(target, self._around(number, target, state)) for target, _ in cases]
        _, const = knowledge.value(state.known, key)
        if const:
            chosen = [c for c in cases if c[1] == const] or [c for c in cases if not c[1]]
            return [(target, state) for target, _ in chosen]
        out: list[tuple[int, _State]] = []
        for target, label in cases:
            known = self._chosen(state.known, key, label, block.labels)
            if known is not None:
                after = state.knowing(known)
                out.append((target, self._around(number, target, after)))
        return out

    def _chosen(
        self, known: Knowledge, key: str, label: str, labels: tuple[str, ...]
    ) -> Knowledge | None:
        """Knowing that a switch goes to *label*; to none of the *labels* if it is empty."""
        if label:
            after = knowledge.learn(known, f"{key}=={label}", True)
            return None if after is None else after | {(key + "=", label)}
        for other in filter(None, labels):
            without = knowledge.learn(known, f"{key}=={other}", False)
            if without is None:
                return None
            known = without
        return known

    def _leave(self, key: str, line: int, state: _State) -> None:
        signs, const = _returned(key, state.known)
        if signs == "-+":
            signs = self._more_likely(key)
        params = tuple(sorted(f for f in state.known if self._interest.on_parameter(f)))
        released, done = tuple(sorted(state.released)), tuple(sorted(state.done))
        leave = Exit(line, signs, const, state.held, released, params, self._variant, done)
        self._record.exits[leave] = None

    def _more_likely(self, key: str) -> str:
        """A number that is not zero is an error code, a pointer that is not NULL an object."""
        local = self._locals.get(key)
        if local is not None and local.type in _INTEGERS:
            return "-"
        return "+" if local is not None and local.type.endswith("*") else "-+"


def _is_exclusive(held: Held) -> bool:
    """Whether nobody can take the lock twice."""
    return held.mode == "write" and held.kind not in CPU_STATES


def _is_given(fact: Fact) -> bool:
    """``if (!x) return;``: who does not know his x to be NULL does not mean it to be."""
    return fact[0].startswith("$") and fact[1] in ("-+", "+", "0+")


_INTEGERS = frozenset({"int", "long", "ssize_t", "s32", "s64"})


def _constant_value(text: str) -> tuple[str, ...]:
    """A constant argument as the value of an assignment; empty if it is none."""
    if text.startswith("&"):
        return ("+",)
    sign = constant(text)
    if not sign:
        return (f"={text}",) if knowledge.is_constant(text) else ()
    return (sign, text)


def _returned(key: str, known: Knowledge) -> tuple[str, str]:
    """(signs, constant) of a returned value."""
    if key == VOID:
        return VOID, ""
    if key in ("", "+", "-"):
        return key or ANY, ""
    mark = key if key[0] in "~?" else f"={key}"
    if key.isidentifier() or key.startswith("@") or key[0] in "~?":
        after = knowledge.assign(known, "\0", (mark,))
        return knowledge.value(after, "\0")
    sign = knowledge.signs_of_constant(key)
    return sign, "" if sign == "0" else key
