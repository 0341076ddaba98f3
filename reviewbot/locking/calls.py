# SPDX-License-Identifier: GPL-2.0-or-later
"""What a call or an assignment makes of a state: the part of a walk that knows effects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import msgspec

from reviewbot.locking import known as knowledge
from reviewbot.locking.body import Event, Flow
from reviewbot.locking.effects import ANY, SIGNS, Effect, Effects, Fact, Held, Slip, When
from reviewbot.locking.expressions import constant
from reviewbot.locking.facts import Function
from reviewbot.locking.interest import Interest, find_interest, parameter_of
from reviewbot.locking.known import NOTHING, Knowledge
from reviewbot.locking.names import WORDS, substitute
from reviewbot.locking.optional import Arms, back_edges, find_arms
from reviewbot.locking.primitives import CPU_STATES, SIGNALS
from reviewbot.locking.states import Record, State

MAX_DEPTH = 16
"""Locks held at once; deeper nesting is a loop that takes one lock an element."""
MAX_UNTOLD = 2
"""Conditions of one call that may be followed both ways."""

Lookup = Callable[[str], Effects | None]
ClassOf = Callable[[str], str]


class Calls:
    """The events of one flow of one function."""

    def __init__(
        self,
        function: Function,
        flow: Flow,
        variant: int,
        lookup: Lookup,
        class_of: ClassOf,
        record: Record,
        thorough: bool,
    ) -> None:
        self._class_of = cache(class_of)
        self._blocks = flow.blocks
        self._variant = variant
        self._at = 0
        self._thorough = thorough
        self._record = record
        self._locals = function.locals
        self._effects_of = cache(lookup)
        self._own: frozenset[str] | None = None
        self._mentions: dict[str, set[str]] = {}
        self._names: dict[tuple[str, Event], str] = {}
        self._interest: Interest = find_interest(
            flow.blocks, function.locals, self._effects_of, thorough
        )
        self._arms: Arms = find_arms(flow.blocks, self._changes)
        shared = {b for b in self._interest.bases if b not in function.locals and b[:1] != "@"}
        self._shared = frozenset(shared)
        self._back = back_edges(flow.blocks) if shared else frozenset()
        record.optional |= self._arms.acquires

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

    def _event(self, event: Event, states: list[State]) -> list[State]:
        if event.name == "=":
            after = [self._moved(state, event) if state.held else state for state in states]
            if event.args and event.args[0].startswith("?"):
                after = [told for state in after for told in self._told_apart(state, event)]
            return [self._assigned(state, event) for state in after]
        effects = self._effects_of(event.name)
        out: list[State] = []
        for state in states:
            if state.held or state.released or effects is not None:
                self._record.point(event, state)
            else:
                self._record.nothing_released(event)
            called = self._moved(state, event) if state.held else state
            if called.known:
                called = self._called(called, event, effects)
            if effects is None:
                out.append(called)
            else:
                out.extend(self._apply(event, effects, called))
        return list(dict.fromkeys(out)) if len(out) > 1 else out

    def _moved(self, state: State, event: Event) -> State:
        """After an assignment, a held lock that was named by the variable has no name left.

        After ``d = next`` what was ``next->lock`` is called ``d->lock``, as the code
        that walks a list hand over hand does; but not after ``data = next``, if that is
        of no type that has a lock.
        """
        target = event.result
        if not target.isidentifier():
            return state
        source = event.args[0][1:] if event.name == "=" and event.args else ""
        source = source if event.args and event.args[0].startswith("=") else ""
        held: dict[tuple[str, str], Held] = {}
        for lock in state.held:
            new = lock
            is_named = target in lock.lock or (source and lock.lock.startswith(source))
            words = WORDS.findall(lock.lock) if is_named and lock.lock[:1] != "=" else []
            if target in words and "@" not in lock.lock:
                cls = lock.cls or self._class_of(lock.lock)
                new = msgspec.structs.replace(lock, lock=f"{lock.lock}@{event.line}", cls=cls)
            elif source and words[:1] == [source]:
                name = target + lock.lock[len(source) :]
                if self._class_of(name) or not self._class_of(lock.lock):
                    new = msgspec.structs.replace(lock, lock=name)
            held.setdefault((new.lock, new.mode), new)
        after = tuple(held.values())
        return state.holding(*after)

    def _told_apart(self, state: State, event: Event) -> list[State]:
        """``err = PTR_ERR_OR_ZERO(x)``: whoever asks err asks whether x is an error."""
        ways = (knowledge.narrow(state.known, event.args[0][1:], signs) for signs in ("-", "0+"))
        return [state.knowing(known) for known in ways if known is not None]

    def _assigned(self, state: State, event: Event) -> State:
        known = self._forget(state.known, event.result)
        if event.result in self._interest.bases:
            known = knowledge.assign(known, event.result, event.args)
        return state.knowing(known)

    def _called(self, state: State, event: Event, effects: Effects | None) -> State:
        """After a call its result is new, and what it was given the address of may be."""
        known = state.known
        if event.result and not (event.result.endswith(")") and effects is None):
            known = self._forget(known, event.result)  # else a test that comes out as before
        for argument in event.args:
            if argument.startswith("&"):
                known = self._forget(known, argument[1:])
        return state.knowing(known)

    def _forget(self, known: Knowledge, target: str) -> Knowledge:
        if not known:
            return known
        mentions = self._mentions.get(target)
        if mentions is None:
            words = self._interest.words
            mentions = {base for base in words if target in words[base]} | {target}
            self._mentions[target] = mentions
        if mentions.isdisjoint(knowledge.bases_of(known)):
            return known
        return known.difference([fact for fact in known if knowledge.base_of(fact[0]) in mentions])

    def _apply(self, event: Event, effects: Effects, state: State) -> list[State]:
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
            states = [self._doubted(s, name) for s in states]
        self._record.dropped.update(
            substitute(lock, event.args, self._locals) for lock in effects.drops
        )
        if key not in self._interest.bases:
            states = [s.knowing(self._forget(s.known, key)) for s in states]
        return states if len(states) == 1 else list(dict.fromkeys(states))

    def _doubted(self, state: State, lock: str) -> State:
        """After a call that may give a lock back or not: taken to, as few are left held."""
        return state.holding(*(h for h in state.held if h.entry or not self._one(h.lock, lock)))

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
        state: State,
        happen: Callable[[Event, Effect, str, State], State],
    ) -> Iterable[State]:
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
        out: list[State] = []
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
        given = constant_value(argument)
        if given:
            return fact, knowledge.holds(knowledge.assign(NOTHING, f"${place}", given), fact)
        here = knowledge.about(fact, f"${place}", argument)
        return here, knowledge.holds(known, here) if argument else None

    def _named(self, effect: Effect, event: Event) -> str:
        key = (effect.lock, event)
        lock = self._names.get(key)
        if lock is None:
            lock = self._names[key] = substitute(effect.lock, event.args, self._locals)
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

    def _assert_held(self, event: Event, effect: Effect, state: State) -> State:
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

    def _acquire(self, event: Event, effect: Effect, lock: str, state: State) -> State:
        held = Held(
            lock,
            effect.kind,
            effect.mode,
            event.line,
            event.name,
            effect.irq,
            effect.nested,
            cls=effect.cls,
            kept=_kept(event) if lock.endswith("()") or lock.startswith("=") else (),
        )
        regained = next((pair for pair in state.released if self._one(pair[0], lock)), None)
        if regained is not None:  # the caller's, given back to it: held on return as on entry
            back = msgspec.structs.replace(held, entry=True)
            left = state.released - {regained}
            return State((*state.held, back), left, state.known, state.done)
        if len(state.held) >= MAX_DEPTH or any(
            (h.lock == lock and h.mode == held.mode and (h.entry or _is_exclusive(held)))
            or msgspec.structs.replace(h, unsure=False) == held
            for h in state.held
        ):
            return state
        return state.holding(*state.held, held)

    def _release(self, event: Event, effect: Effect, lock: str, state: State) -> State:
        """Give back the same expression, or else the one held lock of the same class."""
        place = (event.line, event.name, lock)
        cls = self._class(lock, effect.cls)
        position = self._held_at(state, lock, cls, effect)
        if position is None:
            slip = Slip(event.line, event.name, lock, cls)
            if self._at not in self._arms.blocks:
                self._record.unmatched.setdefault(place, slip)
            if self._is_over(state, lock):
                self._record.twice.setdefault(place, slip)
            else:
                self._record.once.add(place)
            if any(self._one(name, lock) for name, mode in state.released if mode == effect.mode):
                return state
            self._record.dropped.add(lock)
            released = state.released | {(lock, effect.mode)}
            return State(state.held, released, state.known, state.done)
        self._record.once.add(place)
        found = state.held[position]
        held = state.held[:position] + state.held[position + 1 :]
        if found.entry:
            released = state.released | {(lock, effect.mode)}
            return State(held, released, state.known, state.done)
        if self._one(found.lock, lock) and not found.unsure:
            self._record.matched.add(place)
        names = {found.lock, self._class(found.lock, found.cls)}
        self._record.given_back |= names
        if _is_exclusive(found) and found.kind not in SIGNALS:
            self._record.exclusive.add(found.lock)
        done = state.done | names if self._thorough else state.done
        return State(held, state.released, state.known, done)

    def _is_over(self, state: State, lock: str) -> bool:
        """Whether a lock that nobody takes twice was taken here on this path, and given back."""
        if lock not in state.done & self._record.exclusive or self._changes_hands(lock):
            return False
        return not any(self._one(name, lock) for name, _ in state.released)

    def _changes_hands(self, lock: str) -> bool:
        """Whether a lock is named by a variable that is set more than once: to other objects."""
        root = WORDS.match(lock)
        local = self._locals.get(root[0]) if root is not None else None
        return local is not None and local.param < 0 and not local.alias

    def _one(self, name: str, other: str) -> bool:
        """Whether two names are of one lock: a lock of file scope has its class's name too."""
        if name == other:
            return True
        if name.startswith("="):
            return self._class_of(other) == name[1:]
        return other.startswith("=") and self._class_of(name) == other[1:]

    def _held_at(self, state: State, lock: str, cls: str, effect: Effect) -> int | None:
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
        handed = [n for n, h in enumerate(held) if lock in h.kept or cls == f"{h.call}()"]
        if handed:
            return handed[-1]
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


def _kept(event: Event) -> tuple[str, ...]:
    """What a call may set: its result, and what it is given the address of."""
    addresses = (argument[1:] for argument in event.args if argument[:1] == "&")
    return tuple(name for name in (event.result, *addresses) if name[:1] not in ("", "@"))


def _is_exclusive(held: Held) -> bool:
    """Whether nobody can take the lock twice."""
    return held.mode == "write" and held.kind not in CPU_STATES


def _is_given(fact: Fact) -> bool:
    """``if (!x) return;``: who does not know his x to be NULL does not mean it to be."""
    return fact[0].startswith("$") and fact[1] in ("-+", "+", "0+")


def constant_value(text: str) -> tuple[str, ...]:
    """A constant argument as the value of an assignment; empty if it is none."""
    if text.startswith("&"):
        return ("+",)
    sign = constant(text)
    if not sign:
        return (f"={text}",) if knowledge.is_constant(text) else ()
    return (sign, text)
