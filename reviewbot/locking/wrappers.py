# SPDX-License-Identifier: GPL-2.0-or-later
"""Summaries of a file's functions, wrappers of its own wrappers included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from reviewbot.locking.facts import FileFacts
from reviewbot.locking.flow import Effects
from reviewbot.locking.link import Linker
from reviewbot.locking.symbols import (
    Classifier,
    FunctionRef,
    StructRef,
    Symbols,
    VariableRef,
)

ROUNDS = 16
"""How deep wrappers of wrappers are followed."""


def function_refs(path: str, facts: FileFacts, first: int) -> Iterator[tuple[FunctionRef, int]]:
    """A reference, still without effects, and the last line of each function of a file."""
    for place, function in enumerate(facts.functions):
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
    """Names of functions after which a caller holds other locks than before."""
    return frozenset(
        ref.name for ref in refs if ref.effects is not None and ref.effects.changes_held
    )


def summarize_file(
    linker: Linker,
    path: str,
    facts: FileFacts,
    numbers: Mapping[int, int],
    changed: frozenset[str] | None,
) -> list[tuple[int, Effects | None]]:
    """(number, effects) of a file's functions that have a flow.

    With *changed*, only of those that call one of these names.  Wrappers of the
    file's own wrappers are followed within the file.
    """
    classifier = Classifier(path, linker.symbols)
    own: dict[str, Effects | None] = {}
    out: dict[int, Effects | None] = {}
    symbols = linker.symbols
    pending: frozenset[str] | None = changed
    for _ in range(ROUNDS):
        local = Linker(_FileFirst(symbols, path, own), linker.primitives, linker.table)
        lookup = local.lookup(path)
        news: set[str] = set()
        for place, function in enumerate(facts.functions):
            if not function.flows:
                continue
            if pending is not None and pending.isdisjoint(function.calls.split()):
                continue
            effects = local.summarize(classifier.vetted(function), lookup, classifier)
            number = numbers[place]
            if number not in out or out[number] != effects:
                out[number] = effects
                if effects is not None or own.get(function.name) is not None:
                    own[function.name] = effects
                    news.add(function.name)
        if not news:
            break
        pending = frozenset(news)
    return list(out.items())


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
