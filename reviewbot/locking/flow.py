# SPDX-License-Identifier: GPL-2.0-or-later
"""Walk a function's flow graph with the set of possible held-lock states.

The walk knows what calls do to locks (an :class:`Effects` table, primitives and
wrappers alike) and nothing else.  A state is what is held, what of the caller's
was released, and what is known of the conditions that later branches repeat; two
states that differ in nothing else that still matters are one.

Locks are named by the expression in the source, with pointers that are set once
replaced by what they are set to: ``irqfd->kvm->irq_lock`` rather than
``kvm->irq_lock``.  Giving an expression its class is the caller's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from reviewbot.locking.body import BRANCH, RETURN, STOP, SWITCH, VOID, Event, Flow, Local
from reviewbot.locking.facts import Function

MAX_STATES = 48
"""States kept at one block; more are merged by forgetting conditions, and counted."""
MAX_VISITS = 6000
"""Blocks visited with a new state in one flow, all in all."""
MAX_DEPTH = 16
"""Locks held at once; deeper nesting is a loop that takes one lock an element."""


class When(StrEnum):
    """On which result of a call its effect happened."""

    ALWAYS = "always"
    ZERO = "zero"
    NONZERO = "nonzero"
    MAYBE = "maybe"


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


class Touch(msgspec.Struct, frozen=True, array_like=True):
    """A blocking call on an object that only the caller can name: ``$n…``."""

    lock: str
    what: str
    """Empty for taking a lock, else what is waited for."""
    kind: str
    mode: str
    irq: str = ""


class Effects(msgspec.Struct, frozen=True, array_like=True):
    """What a call does to locks: those it leaves held, those it gives back, those it expects."""

    acquires: tuple[Effect, ...] = ()
    releases: tuple[Effect, ...] = ()
    holds: tuple[Effect, ...] = ()
    """An assertion: these are held on entry of the function that makes the call."""
    touches: tuple[Touch, ...] = ()

    @property
    def changes_held(self) -> bool:
        """Whether a caller holds other locks after the call than before."""
        return bool(self.acquires or self.releases)

    def __bool__(self) -> bool:
        return bool(self.acquires or self.releases or self.holds or self.touches)


class Held(msgspec.Struct, frozen=True, array_like=True):
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
    """``0`` for zero, ``-`` for an error code, ``1`` for another non-zero result, ``void``
    for none; empty if it is unknown."""
    held: tuple[Held, ...]
    released: tuple[tuple[str, str], ...]
    """(lock, mode) given back that was not taken here."""
    params: tuple[tuple[str, bool], ...]
    """What is known of conditions on parameters."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What walking a function found."""

    points: tuple[Point, ...]
    exits: tuple[Exit, ...]
    capped: bool


_INTEGERS = frozenset({"int", "long", "ssize_t", "s32", "s64"})
Lookup = Callable[[str], Effects | None]
ClassOf = Callable[[str], str]

_WORDS = re.compile(r"@?[A-Za-z_]\w*")
_WRAPPED = re.compile(r"^\(&?(\w+)\)(?=->|\.|$)")
_CAST = re.compile(r"^\((?:const )?(?:struct |union )?\w+ ?\**\)(?=[\w(&*])")


def lock_expression(argument: str, locals_: Mapping[str, Local]) -> str:
    """One name for a lock argument: no ``&``, casts or outer parentheses, aliases followed."""
    text = argument
    for _ in range(8):
        if text.startswith("&"):
            text = text[1:]
        elif text.startswith("(") and text.endswith(")") and _balanced(text[1:-1]):
            text = text[1:-1]
        elif (wrapped := _WRAPPED.match(text)) is not None:
            text = wrapped[1] + text[wrapped.end() :]  # a macro's (x)->lock
        elif (cast := _CAST.match(text)) is not None:
            text = text[cast.end() :]
        else:
            break
    for _ in range(4):
        match = _WORDS.match(text)
        local = locals_.get(match[0]) if match is not None else None
        if match is None or local is None or not local.alias or "(" in local.alias:
            break
        alias = local.alias
        rest = text[match.end() :]
        if (
            alias == "NULL"
            or alias[:1].isdigit()
            or (_WORDS.fullmatch(alias) and alias == match[0])
        ):
            break
        if alias.startswith("&"):
            text = alias[1:] + ("." + rest[2:] if rest.startswith("->") else rest)
            if rest and not rest.startswith(("->", "[")):
                break
        elif local.type.endswith("*") and _typed_path(alias, locals_):
            text = alias + rest
        else:
            break
    return text


def _typed_path(alias: str, locals_: Mapping[str, Local]) -> bool:
    """Whether *alias* is ``a->b.c`` from something whose type is known."""
    root = _WORDS.match(alias)
    if root is None or re.fullmatch(r"[\w.>\-\[\]]+", alias) is None:
        return False
    local = locals_.get(root[0])
    return local is None or local.type.rstrip("*") not in ("", "void")


def _balanced(text: str) -> bool:
    depth = 0
    for char in text:
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth < 0:
                return False
    return depth == 0


def substitute(lock: str, args: tuple[str, ...], locals_: Mapping[str, Local]) -> str:
    """A callee's ``$n…`` in terms of the caller's arguments; empty if it cannot be said."""
    if not lock.startswith("$"):
        return lock
    digits = re.match(r"\$(\d+)", lock)
    if digits is None or int(digits[1]) >= len(args):
        return ""
    argument, rest = args[int(digits[1])], lock[digits.end() :]
    if not argument:
        return ""
    base = lock_expression(argument, locals_)
    if not rest:
        return base
    if argument.startswith("&") and rest.startswith("->"):
        return base + "." + rest[2:]
    return base + rest


Knowledge = frozenset[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class _State:
    held: tuple[Held, ...] = ()
    released: frozenset[tuple[str, str]] = frozenset()
    known: Knowledge = frozenset()

    def knows(self, key: str) -> bool | None:
        if (key, True) in self.known:
            return True
        return False if (key, False) in self.known else None


@dataclass(slots=True)
class _Record:
    """The points met so far; one a call site."""

    held: dict[tuple[int, str, tuple[str, ...], str], dict[tuple[str, str, int], Held]] = field(
        default_factory=dict
    )
    released: dict[tuple[int, str, tuple[str, ...], str], frozenset[str]] = field(
        default_factory=dict
    )
    exits: dict[tuple[int, str, tuple[Held, ...], frozenset[tuple[str, str]], Knowledge], None] = (
        field(default_factory=dict)
    )

    def nothing_released(self, event: Event) -> None:
        """The call is reached with nothing of the caller's given back."""
        self.released[event.line, event.name, event.args, event.result] = frozenset()

    def point(self, event: Event, state: _State) -> None:
        key = (event.line, event.name, event.args, event.result)
        held = self.held.setdefault(key, {})
        for lock in state.held:
            held[(lock.lock, lock.mode, lock.line)] = lock
        released = frozenset(name for name, _ in state.released)
        self.released[key] = self.released.get(key, released) & released


def walk(function: Function, lookup: Lookup, class_of: ClassOf, entry: Iterable[Held] = ()) -> Walk:
    """Every call of *function* with what may be held there, and every way out.

    *lookup* gives the effects of a callee's name, None for none; *class_of* the
    class of a lock expression, empty if unknown.  *entry* is what the function is
    entered with (``__must_hold``).
    """
    record = _Record()
    capped = False
    start = tuple(entry)
    for flow in function.flows:
        capped |= _Walker(function, flow, lookup, class_of, record).run(_State(held=start))
    points = tuple(
        Point(
            line, name, args, result, tuple(held.values()),
            tuple(sorted(record.released[line, name, args, result])),
        )
        for (line, name, args, result), held in record.held.items()
    )  # fmt: skip
    exits = tuple(
        Exit(line, value, held, tuple(sorted(released)), tuple(sorted(params)))
        for line, value, held, released, params in record.exits
    )
    return Walk(points, exits, capped)


class _Walker:
    """One flow of one function."""

    def __init__(
        self,
        function: Function,
        flow: Flow,
        lookup: Lookup,
        class_of: ClassOf,
        record: _Record,
    ) -> None:
        self._class_of = class_of
        self._blocks = flow.blocks
        self._lookup = lookup
        self._record = record
        self._locals = function.locals
        self._effects: dict[str, Effects | None] = {}
        self._own: frozenset[str] | None = None
        self._keys = self._relevant_keys()
        self._live = self._live_keys()

    def run(self, start: _State) -> bool:
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
                state = _State(state.held, state.released)
                if state in states or len(states) >= 2 * MAX_STATES:
                    continue
            states.add(state)
            block = self._blocks[number]
            current = [state]
            for event in block.events:
                current = self._event(event, current)
                if len(current) > MAX_STATES:
                    capped = True
                    plain = dict.fromkeys(_State(s.held, s.released) for s in current)
                    current = list(plain)[:MAX_STATES]
            for after in current:
                work.extend(self._jump(number, after))
        return capped

    # what is worth knowing

    def _relevant_keys(self) -> dict[str, tuple[str, ...]]:
        """Condition keys worth a distinction, with the variables they mention."""
        asked: dict[str, int] = {}
        constants: set[str] = set()
        for block in self._blocks:
            if (block.jump in (BRANCH, RETURN) and block.key) or (
                block.jump == SWITCH and block.key
            ):
                asked[block.key] = asked.get(block.key, 0) + 1
            for event in block.events:
                if event.name == "=":
                    if event.args and not event.args[0].startswith("="):
                        constants.add(event.result)
                elif event.result and self._conditional(event.name):
                    constants.add(event.result)
        return {
            key: tuple(_WORDS.findall(key))
            for key, count in asked.items()
            if (count > 1 or key in constants or self._on_parameter(key))
            and key not in ("0", "1", "-", VOID)
        }

    def _on_parameter(self, key: str) -> bool:
        """Whether a condition asks for nothing but parameters: what the caller chose."""
        words = _WORDS.findall(key)
        return (
            bool(words)
            and "(" not in key
            and "->" not in key
            and all(
                (local := self._locals.get(word)) is not None and local.param >= 0
                for word in words[:1]
            )
        )

    def _conditional(self, name: str) -> bool:
        effects = self._effects_of(name)
        return effects is not None and any(
            effect.when is not When.ALWAYS for effect in (*effects.acquires, *effects.releases)
        )

    def _effects_of(self, name: str) -> Effects | None:
        if name not in self._effects:
            self._effects[name] = self._lookup(name)
        return self._effects[name]

    def _live_keys(self) -> list[frozenset[str]]:
        """For each block the keys that it or a block behind it still asks for."""
        live: list[set[str]] = [
            {block.key} & self._keys.keys() if block.key else set() for block in self._blocks
        ]
        if not self._keys:
            return [frozenset()] * len(self._blocks)
        changed = True
        while changed:
            changed = False
            for number in range(len(self._blocks) - 1, -1, -1):
                size = len(live[number])
                for target in self._blocks[number].targets:
                    live[number] |= live[target]
                changed |= len(live[number]) != size
        asked = {key for key in self._keys if self._on_parameter(key)}
        return [frozenset(keys | asked) for keys in live]

    def _project(self, state: _State, number: int) -> _State:
        live = self._live[number]
        if state.known and any(_base(key) not in live for key, _ in state.known):
            known = frozenset((k, v) for k, v in state.known if _base(k) in live)
            return _State(state.held, state.released, known)
        return state

    # events

    def _event(self, event: Event, states: list[_State]) -> list[_State]:
        if event.name == "=":
            return [
                self._assigned(self._moved(state, event), event.result, event.args)
                for state in states
            ]
        effects = self._effects_of(event.name)
        out: list[_State] = []
        for state in states:
            if state.held or state.released or effects is not None:
                self._record.point(event, state)
            else:
                self._record.nothing_released(event)
            after = state
            if event.result:
                after = self._assigned(self._moved(state, event), event.result, ())
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
        source = event.args[0][1:] if event.args and event.args[0].startswith("=") else ""
        held: dict[tuple[str, str], Held] = {}
        for lock in state.held:
            words = _WORDS.findall(lock.lock)
            new = lock
            if target in words and "@" not in lock.lock:
                cls = self._class_of(lock.lock) or lock.cls
                new = msgspec.structs.replace(lock, lock=f"{lock.lock}@{event.line}", cls=cls)
            elif source and words[:1] == [source]:
                new = msgspec.structs.replace(lock, lock=target + lock.lock[len(source) :])
            held.setdefault((new.lock, new.mode), new)
        after = tuple(held.values())
        return state if after == state.held else _State(after, state.released, state.known)

    def _assigned(self, state: _State, target: str, constant: tuple[str, ...]) -> _State:
        known = state.known
        if known:
            known = frozenset(
                (key, value)
                for key, value in known
                if target not in self._keys.get(_base(key), ()) and _base(key) != target
            )
        if constant and constant[0] in ("0", "1", "-") and target in self._keys:
            known |= {(target, constant[0] != "0")}
        return state if known is state.known else _State(state.held, state.released, known)

    def _apply(self, event: Event, effects: Effects, state: _State) -> list[_State]:
        states = [state]
        for effect in effects.holds:
            states = [self._assert_held(event, effect, s) for s in states]
        for effect in effects.releases:
            states = [after for s in states for after in self._release(event, effect, s)]
        for effect in effects.acquires:
            states = [after for s in states for after in self._acquire(event, effect, s)]
        return states if len(states) == 1 else list(dict.fromkeys(states))

    def _named(self, effect: Effect, event: Event) -> str:
        lock = substitute(effect.lock, event.args, self._locals)
        return lock or (f"={effect.cls}" if effect.cls else "")

    def _class(self, lock: str, hint: str = "") -> str:
        return self._class_of(lock) or hint or lock

    def _taken_here(self) -> frozenset[str]:
        """Classes this function takes itself: an assertion says nothing about its callers then."""
        if self._own is None:
            self._own = frozenset(
                self._class(self._named(effect, event), effect.cls)
                for block in self._blocks
                for event in block.events
                if event.name != "=" and (effects := self._effects_of(event.name)) is not None
                for effect in effects.acquires
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
        return _State((*state.held, held), state.released, state.known)

    def _acquire(self, event: Event, effect: Effect, state: _State) -> list[_State]:
        lock = self._named(effect, event)
        if not lock:
            return [state]
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
        regained = next((pair for pair in state.released if pair[0] == lock), None)
        if regained is not None:  # the caller's, given back to it: held on return as on entry
            back = msgspec.structs.replace(held, entry=True)
            taken = _State((*state.held, back), state.released - {regained}, state.known)
        elif len(state.held) >= MAX_DEPTH or any(
            h == held or (h.entry and h.lock == lock and h.mode == held.mode) for h in state.held
        ):
            taken = state
        else:
            taken = _State((*state.held, held), state.released, state.known)
        if effect.when is When.ALWAYS:
            return [taken]
        if not event.result:
            unchecked = effect.when is When.ZERO or event.name.startswith("guard(")
            return [taken] if unchecked else [taken, state]
        got = effect.when is When.NONZERO
        return [
            self._learn(taken, event.result, got),
            self._learn(state, event.result, not got),
        ]

    def _release(self, event: Event, effect: Effect, state: _State) -> list[_State]:
        lock = self._named(effect, event)
        if not lock:
            return [state]
        released = self._released(state, lock, effect)
        if effect.when is When.ALWAYS:
            return [released]
        if effect.when is When.MAYBE or not event.result:
            return [released, state]
        on = effect.when is When.NONZERO
        return [
            self._learn(released, event.result, on),
            self._learn(state, event.result, not on),
        ]

    def _released(self, state: _State, lock: str, effect: Effect) -> _State:
        """Give back the same expression, or else the one held lock of the same class."""
        position = next(
            (n for n in range(len(state.held) - 1, -1, -1) if state.held[n].lock == lock), None
        )
        if position is None and state.held:
            cls = self._class(lock, effect.cls)
            same = [n for n, h in enumerate(state.held) if self._class(h.lock, h.cls) == cls]
            nameless = [n for n in same if "@" in state.held[n].lock]
            position = nameless[0] if nameless else same[0] if len(same) == 1 else None
        if position is not None:
            held = state.held[:position] + state.held[position + 1 :]
            if not state.held[position].entry:
                return _State(held, state.released, state.known)
            return _State(held, state.released | {(lock, effect.mode)}, state.known)
        return _State(state.held, state.released | {(lock, effect.mode)}, state.known)

    def _learn(self, state: _State, key: str, value: bool) -> _State:
        if key not in self._keys:
            return state
        return _State(state.held, state.released, state.known | {(key, value)})

    # jumps

    def _jump(self, number: int, state: _State) -> list[tuple[int, _State]]:
        block = self._blocks[number]
        if block.jump == STOP:
            return []
        if block.jump == RETURN:
            self._leave(block.key, block.line, state)
            return []
        if block.jump == BRANCH and block.key:
            known = state.knows(block.key)
            if known is not None:
                return [(block.targets[0 if known else 1], state)]
            return [
                (block.targets[0], self._learn(state, block.key, True)),
                (block.targets[1], self._learn(state, block.key, False)),
            ]
        if block.jump == SWITCH and block.key in self._keys:
            return self._switch(block.key, block.targets, block.labels, state)
        return [(target, state) for target in block.targets]

    def _switch(
        self, key: str, targets: tuple[int, ...], labels: tuple[str, ...], state: _State
    ) -> list[tuple[int, _State]]:
        chosen = next((k for k, v in state.known if v and _base(k) == key and k != key), None)
        out: list[tuple[int, _State]] = []
        for target, label in zip(targets, labels, strict=True):
            name = f"{key}\0{label}"
            if chosen is not None and chosen != name:
                continue
            known = state.known | {(name, True)}
            out.append((target, _State(state.held, state.released, known)))
        return out or [(target, state) for target in targets]

    def _leave(self, key: str, line: int, state: _State) -> None:
        value = key if key in ("0", "1", "-", VOID) else ""
        if not value and key:
            known = state.knows(key)
            value = "" if known is None else self._nonzero(key) if known else "0"
        params = frozenset((k, v) for k, v in state.known if self._on_parameter(_base(k)))
        self._record.exits[(line, value, state.held, state.released, params)] = None

    def _nonzero(self, key: str) -> str:
        """A variable that is not zero: an error code if it is a plain integer."""
        local = self._locals.get(key)
        return "-" if local is not None and local.type in _INTEGERS else "1"


def _base(key: str) -> str:
    """The condition a piece of knowledge belongs to (a switch keeps its chosen label)."""
    return key.split("\0", 1)[0]
