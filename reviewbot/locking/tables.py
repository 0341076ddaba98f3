# SPDX-License-Identifier: GPL-2.0-or-later
"""Which functions stand in which members: designated initialisers, assignments, arguments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from reviewbot.locking.blocks import Local
from reviewbot.locking.facts import FieldSet, FileFacts, Function
from reviewbot.locking.frameworks import argument
from reviewbot.locking.linked import OPS, OpsEntry, argument_node
from reviewbot.locking.naming import FileNames
from reviewbot.locking.pointers import Handed
from reviewbot.locking.registrations import Registrations
from reviewbot.locking.symbols import resolve_function


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one file; tells *registrations* of members that frameworks call."""

    names: FileNames
    facts: FileFacts
    registrations: Registrations

    def entries(self) -> Iterable[OpsEntry]:
        """Each function with the member, or the argument, that it is put into."""
        takers = {f.name: found for f in self.facts.functions if (found := tuple(_takes(f)))}
        for entry in self.facts.initialisers:
            functions = self.names.functions(entry.value)
            if functions:
                owner = self._owner(entry.tag, entry.field)
                for number in functions:
                    self.registrations.called_back(owner, number)
                    self.registrations.stands(owner, entry.variable, number)
                    yield OpsEntry(owner, number)
                for own, place in takers.get(entry.value, ()):
                    node = argument_node(own, self.names.file, place)
                    yield OpsEntry(node, OPS + argument(owner, place))
        for function in self.facts.functions:
            for assigned in function.sets:
                yield from self._set(assigned, function)
            yield from self._handed(function)

    def _set(self, assigned: FieldSet, function: Function) -> Iterable[OpsEntry]:
        owner = self.names.classifier.owner_of(assigned.chain, function.locals, assigned.type)
        if not owner:
            return
        if (other := self._elsewhere(assigned, function)) and other != owner:
            yield OpsEntry(owner, OPS + other)
        for target in self.names.functions(assigned.function):
            self.registrations.called_back(owner, target)
            self.registrations.handles(owner, assigned, function, target)
            yield OpsEntry(owner, target)

    def _elsewhere(self, assigned: FieldSet, function: Function) -> str:
        """The argument or the other member that a member is set to; empty for a function."""
        if assigned.function.startswith("$"):
            return argument_node(function, self.names.file, assigned.function[1:])
        if assigned.function.isidentifier():
            return ""
        classifier = self.names.classifier
        return classifier.owner_of(assigned.function, function.locals, assigned.source)

    def _handed(self, function: Function) -> Iterable[OpsEntry]:
        """Functions that are given to callees, which keep them for others to call."""
        for handed in function.hands:
            for name, node in self._given_to(handed, function):
                if handed.function.startswith("$"):
                    own = argument_node(function, self.names.file, handed.function[1:])
                    yield OpsEntry(node, OPS + own)
                for target in self.names.functions(handed.function):
                    self.registrations.called_back(argument(name, handed.position), target)
                    yield OpsEntry(node, target)

    def _given_to(self, handed: Handed, function: Function) -> Iterable[tuple[str, str]]:
        """Each callee that is given something, be it a member, with the node of that argument."""
        if not handed.callee.isidentifier():
            types = {call.chain: call.type for call in function.indirect}
            kind = types.get(handed.callee, "")
            member = self.names.classifier.owner_of(handed.callee, function.locals, kind)
            if member:
                yield member, argument(member, handed.position)
        elif handed.callee not in self.names.primitives:
            for ref in resolve_function(handed.callee, self.names.file, self.names.symbols):
                yield ref.name, argument_node(ref, ref.file, handed.position)

    def _owner(self, tag: str, field: str) -> str:
        local = {"_": Local(f"{tag}*", -1, "")}
        return self.names.classifier.owner_of(f"_->{field}", local, f"{tag}*")


def _takes(function: Function) -> Iterable[tuple[Function, str]]:
    """The parameters, by place, of which a function keeps or hands on what it is given."""
    given = chain((s.function for s in function.sets), (h.function for h in function.hands))
    return ((function, what[1:]) for what in dict.fromkeys(given) if what.startswith("$"))
