# SPDX-License-Identifier: GPL-2.0-or-later
"""Which conditions of a function are worth remembering on a path, and for how long.

Remembering all would make a state of every combination.  A condition matters if
it is asked again, if what it asks for is set to a constant or by a call that takes
a lock only sometimes, or if it says which constant a lock function is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from reviewbot.locking import known as knowledge
from reviewbot.locking.body import BRANCH, RETURN, SWITCH, VOID, Block, Event, Local
from reviewbot.locking.effects import Effects, Fact, When
from reviewbot.locking.names import WORDS

_PARAMETER = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True)
class Interest:
    """The conditions of one flow that are followed."""

    bases: frozenset[str]
    """Expressions whose value is followed."""
    keys: frozenset[str]
    """Branch keys that teach something."""
    words: Mapping[str, tuple[str, ...]]
    """The variables an expression mentions."""
    live: list[frozenset[str]]
    """For each block the expressions that it or a block behind it still asks for."""
    asked: frozenset[str]
    """Expressions that a branch, a return or an argument that decides asks for at all."""
    parameters: frozenset[str]
    """Expressions of parameters that are followed to the ways out."""

    def on_parameter(self, fact: Fact) -> bool:
        """Whether a piece of knowledge is about what the caller chose."""
        return knowledge.base_of(fact[0]) in self.parameters


@dataclass(slots=True)
class _Asked:
    """What a flow's blocks ask and set."""

    bases: dict[str, int] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)
    """Variables that are set to a constant, or by a call that does not always take its lock."""
    decide: set[str] = field(default_factory=set)
    """Arguments that say what a call does to a lock."""
    copies: list[tuple[str, str]] = field(default_factory=list)

    def ask(self, base: str, key: str) -> None:
        self.bases[base] = self.bases.get(base, 0) + 1
        self.keys[key] = self.keys.get(key, 0) + 1


def find_interest(
    blocks: tuple[Block, ...],
    locals_: Mapping[str, Local],
    effects_of: Callable[[str], Effects | None],
    ask_parameters: bool,
) -> Interest:
    """What to follow in a flow; with *ask_parameters* also every plain test of a parameter."""
    asked = _Asked()
    for block in blocks:
        if block.key and block.jump in (BRANCH, RETURN, SWITCH):
            base = asked_base(block)
            if base:
                asked.ask(base, block.key)
        for event in block.events:
            _look_at(event, effects_of, asked)
    parameters = (
        {base for base in asked.bases if _is_parameter(base, locals_)} if ask_parameters else set()
    )
    bases = asked.decide | {
        base
        for base, count in asked.bases.items()
        if count > 1 or base in asked.fixed or base in parameters
    }
    for _ in range(3):
        bases |= {source for target, source in asked.copies if target in bases}
    if ask_parameters:
        parameters |= {base for base in bases if _is_parameter(base, locals_)}
    followed = asked.fixed | asked.decide | parameters
    keys = frozenset(
        key
        for key, count in asked.keys.items()
        if key_base(key) in bases
        and (count > 1 or knowledge.parse(key).op != "&" or key_base(key) in followed)
    )
    words = {base: tuple(WORDS.findall(base)) for base in bases}
    live = _live(blocks, bases, asked.copies, parameters, effects_of)
    seen = frozenset((*asked.bases, *asked.decide, *(source for _, source in asked.copies)))
    return Interest(frozenset(bases), keys, words, live, seen, frozenset(parameters))


def key_base(key: str) -> str:
    """The expression a branch key asks about."""
    return knowledge.parse(key).base


def asked_base(block: Block) -> str:
    """What a block's jump asks about; empty for nothing that could be known."""
    key = block.key
    if block.jump == RETURN:
        key = key.lstrip("~?")
        return key if key != VOID and (key.isidentifier() or key.startswith("@")) else ""
    return key if block.jump == SWITCH else key_base(key)


def _is_parameter(base: str, locals_: Mapping[str, Local]) -> bool:
    """Whether an expression is a parameter itself."""
    local = locals_.get(base)
    return local is not None and local.param >= 0


def _look_at(event: Event, effects_of: Callable[[str], Effects | None], asked: _Asked) -> None:
    if event.name == "=":
        if event.args:
            mark, rest = event.args[0][:1], event.args[0][1:]
            if mark in "=~?" and not knowledge.is_constant(rest):
                asked.copies.append((event.result, rest))
            else:
                asked.fixed.add(event.result)
        return
    effects = effects_of(event.name)
    if effects is None:
        return
    some = (*effects.acquires, *effects.releases)
    if event.result and effects.results:
        asked.decide.add(event.result)
    elif event.result and any(effect.when is not When.ALWAYS for effect in some):
        asked.fixed.add(event.result)
    for effect in some:
        asked.decide.update(_deciding(effect.given, event.args))


def _deciding(given: Iterable[Fact], args: tuple[str, ...]) -> Iterable[str]:
    """The arguments on which an effect depends, if they are no constants."""
    for key, _ in given:
        if key.startswith("$"):
            place = parameter_of(knowledge.base_of(key))
            if place < len(args) and args[place] and not knowledge.is_constant(args[place]):
                yield args[place]


def parameter_of(base: str) -> int:
    """The n of ``$n…``."""
    digits = _PARAMETER.match(base)
    return int(digits[1]) if digits is not None else -1


def _live(
    blocks: tuple[Block, ...],
    bases: set[str],
    copies: Iterable[tuple[str, str]],
    parameters: set[str],
    effects_of: Callable[[str], Effects | None],
) -> list[frozenset[str]]:
    if not bases:
        return [frozenset()] * len(blocks)
    sources = dict(copies)
    live: list[set[str]] = []
    for block in blocks:
        own = {base for base in (asked_base(block),) if base in bases}
        for event in block.events:
            if event.name == "=":
                if event.result in sources and event.args:
                    own |= {event.args[0][1:]} & bases
            else:
                effects = effects_of(event.name)
                if effects is not None:
                    for effect in (*effects.acquires, *effects.releases):
                        own |= set(_deciding(effect.given, event.args)) & bases
        live.append(own)
    changed = True
    while changed:
        changed = False
        for number in range(len(blocks) - 1, -1, -1):
            some = live[number]
            size = len(some)
            for target in blocks[number].targets:
                some |= live[target]
            changed |= len(some) != size
    return [frozenset(some | parameters) for some in live]
