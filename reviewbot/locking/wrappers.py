# SPDX-License-Identifier: GPL-2.0-or-later
"""Summaries of a file's functions, wrappers of its own wrappers included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from reviewbot.locking.classes import Classifier
from reviewbot.locking.effects import Effects, Walk
from reviewbot.locking.facts import (
    FileFacts,
    Function,
    Head,
    HeadFunction,
    called_as,
    callees,
    speaks_of_locks,
)
from reviewbot.locking.link import Linker
from reviewbot.locking.symbols import FunctionRef, StructRef, Symbols, VariableRef

ROUNDS = 16
"""How deep wrappers of wrappers are followed."""


Keep = Callable[[int, Walk | None], None]
"""Called with a function's number and its walk; None if an earlier walk no longer holds."""


def forget(number: int, walk: Walk | None) -> None:
    """Keep no walk."""


def function_refs(
    path: str, facts: FileFacts | Head, first: int
) -> Iterator[tuple[FunctionRef, int]]:
    """A reference, still without effects, and the last line of each function of a file."""
    functions: tuple[Function | HeadFunction, ...] = facts.functions
    for place, function in enumerate(functions):
        ref = FunctionRef(
            first + place,
            function.name,
            path,
            function.line,
            function.static,
            function.macro,
            function.returns,
            None,
        )
        yield ref, function.end


def wrapper_names(refs: Iterable[FunctionRef]) -> frozenset[str]:
    """Names of functions whose callers have to be walked."""
    return frozenset(
        ref.name for ref in refs if ref.effects is not None and ref.effects.concerns_callers
    )


def summarize_file(
    linker: Linker,
    path: str,
    facts: FileFacts,
    numbers: Mapping[int, int],
    changed: frozenset[str] | None,
    keep: Keep = forget,
    likely: bool = False,
) -> list[tuple[int, Effects | None]]:
    """(number, effects) of a file's functions that have a flow.

    With *changed*, only of those that call one of these names; with *likely*, only of
    those that look like wrappers (:func:`is_likely`).  Wrappers of the file's own wrappers
    are followed within the file.  The walks go to *keep*; they hold as long as no callee's
    effects change.
    """
    classifier = Classifier(path, linker.symbols)
    own: dict[str, Effects | None] = {}
    out: dict[int, Effects | None] = {}
    symbols = linker.symbols
    local = Linker(_FileFirst(symbols, path, own), linker.primitives, linker.table)
    lookup = local.lookup(path)
    clock = 0
    walked: dict[int, int] = {}  # when, by place
    renewed: dict[str, int] = {}  # when a callee got other effects
    pending: frozenset[str] | None = changed
    for _ in range(ROUNDS):
        news: set[str] = set()
        for place, function in _callers(facts, pending):
            if likely and not is_likely(path, function.name):
                continue
            if place in walked and _newest(function, renewed) < walked[place]:
                continue
            walked[place] = clock = clock + 1
            vetted = classifier.vetted(function)
            walk = local.walk(vetted, lookup, classifier)
            effects = local.effects_of(vetted, walk, lookup, classifier)
            number = numbers[place]
            keep(number, walk)
            before = out[number] if number in out else _known(symbols, path, function, number)
            out[number] = effects
            # what is in the table its callers know from there
            if effects != before and function.name not in linker.primitives:
                own[function.name] = effects
                news.add(function.name)
                renewed[called_as(function.name)] = clock
                lookup = local.lookup(path)  # the one before remembers what it was
        pending = frozenset(news)
        if not pending:
            break
    else:
        for place, _ in _callers(facts, pending):
            keep(numbers[place], None)
    return list(out.items())


def is_likely(path: str, name: str) -> bool:
    """Whether a function looks like a wrapper: it stands in a header, or its name says so."""
    return path.endswith(".h") or speaks_of_locks(name)


def _newest(function: Function, renewed: Mapping[str, int]) -> int:
    """When one of the callees of *function* got other effects; 0 for never."""
    return max((renewed[name] for name in renewed.keys() & callees(function)), default=0)


def _known(symbols: Symbols, path: str, function: Function, number: int) -> Effects | None:
    """The effects of a function as they were before."""
    return next((ref.effects for ref in symbols.own(function.name, path) if ref.id == number), None)


def _callers(facts: FileFacts, names: frozenset[str] | None) -> Iterator[tuple[int, Function]]:
    """(place, function) of those with a flow that call one of *names*; of all for None."""
    words = frozenset(map(called_as, names)) if names is not None else frozenset()
    for place, function in enumerate(facts.functions):
        if function.flows and (names is None or not words.isdisjoint(callees(function))):
            yield place, function


@dataclass(frozen=True, slots=True)
class _FileFirst:
    """Symbols with newer effects for the functions of one file."""

    base: Symbols
    file: str
    effects: Mapping[str, Effects | None]

    def own(self, name: str, file: str) -> list[FunctionRef]:
        found = self.base.own(name, file)
        if file != self.file or name not in self.effects:
            return found
        new = self.effects[name]
        return [msgspec.structs.replace(ref, effects=new) for ref in found]

    def shared(self, name: str) -> list[FunctionRef]:
        return self.base.shared(name)

    def structs(self, tag: str) -> list[StructRef]:
        return self.base.structs(tag)

    def variables(self, name: str) -> list[VariableRef]:
        return self.base.variables(name)

    def typedef(self, name: str) -> str | None:
        return self.base.typedef(name)
