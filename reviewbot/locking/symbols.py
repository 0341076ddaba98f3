# SPDX-License-Identifier: GPL-2.0-or-later
"""Names across files: which function, struct or variable a name in a file means.

The kernel is read unconfigured, so a name may be defined several times: per
architecture, as an inline stub under ``#else``, as a static of the same name in
another file.  The nearest definition wins: the same file, then the one global
definition, then what lies closest in the tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from reviewbot.locking.declarations import Variable
from reviewbot.locking.facts import FileFacts, Head
from reviewbot.locking.flow import Effects


class FunctionRef(msgspec.Struct, frozen=True, array_like=True):
    """A function definition, as other files see it."""

    id: int
    name: str
    file: str
    line: int
    static: bool
    macro: bool
    returns: str
    effects: Effects | None
    """What a call of it does to the caller's locks; None for nothing."""


class StructRef(msgspec.Struct, frozen=True, array_like=True):
    """A struct definition and where it stands."""

    tag: str
    file: str
    fields: dict[str, str]


class VariableRef(msgspec.Struct, frozen=True, array_like=True):
    """A variable of file scope and where it stands."""

    name: str
    file: str
    type: str
    static: bool
    defined: bool


class Symbols(Protocol):
    """What the linker asks about names; each list holds every definition in the tree."""

    def own(self, name: str, file: str) -> list[FunctionRef]:
        """Definitions of *name* in *file*."""
        ...

    def shared(self, name: str) -> list[FunctionRef]:
        """Definitions other files can call: global ones, and statics of headers."""
        ...

    def structs(self, tag: str) -> list[StructRef]: ...

    def variables(self, name: str) -> list[VariableRef]: ...

    def typedef(self, name: str) -> str | None: ...


MAX_CANDIDATES = 8
"""Global definitions of one name beyond which a call is not followed."""


def _nearness(file: str, other: str) -> int:
    """How many leading path components two files share."""
    count = 0
    for a, b in zip(file.split("/")[:-1], other.split("/")[:-1], strict=False):
        if a != b:
            break
        count += 1
    return count


def _arch(file: str) -> str:
    parts = file.split("/", 2)
    return parts[1] if parts[0] == "arch" and len(parts) > 2 else ""


def resolve_function(name: str, file: str, symbols: Symbols) -> list[FunctionRef]:
    """The definitions a call of *name* in *file* may reach; empty if none is known."""
    own = symbols.own(name, file)
    if own and not file.startswith("include/"):
        return own
    found = symbols.shared(name)
    if own and all(ref.static for ref in found):
        return own  # else a stub, for kernels without what the header declares
    visible = [ref for ref in found if not ref.static] or found
    if len(visible) > 1:
        visible = _same_arch(visible, file)
    if len(visible) > 1:
        best = max(_nearness(file, ref.file) for ref in visible)
        if best > 1:
            visible = [ref for ref in visible if _nearness(file, ref.file) == best]
    return visible if len(visible) <= MAX_CANDIDATES else []


def _same_arch(refs: list[FunctionRef], file: str) -> list[FunctionRef]:
    arch = _arch(file)
    if arch:
        own = [ref for ref in refs if _arch(ref.file) == arch]
        return own or [ref for ref in refs if not _arch(ref.file)] or refs
    return refs


def resolve_struct(tag: str, file: str, symbols: Symbols) -> StructRef | None:
    """The definition of *tag* that *file* most likely includes."""
    found = symbols.structs(tag)
    if len(found) <= 1:
        return found[0] if found else None
    visible = [ref for ref in found if ref.file == file or ref.file.endswith(".h")] or found
    arch = _arch(file)

    def rank(ref: StructRef) -> tuple[int, int, int, int, str]:
        return (
            ref.file == file,
            _nearness(file, ref.file) if not ref.file.startswith("include/") else 1,
            ref.file.startswith("include/"),
            (bool(arch) and _arch(ref.file) == arch) or not _arch(ref.file),
            ref.file,
        )

    return max(visible, key=rank)


def resolve_variable(name: str, file: str, symbols: Symbols) -> VariableRef | None:
    """The variable of file scope that *name* in *file* means."""
    found = symbols.variables(name)
    own = [ref for ref in found if ref.file == file]
    if own:
        return max(own, key=lambda ref: ref.defined)
    visible = [ref for ref in found if not ref.static and ref.defined] or [
        ref for ref in found if not ref.static
    ]
    return max(visible, key=lambda ref: _nearness(file, ref.file)) if visible else None


@dataclass(slots=True)
class MemorySymbols:
    """Symbols of files held in memory, in front of a *base* whose copies of them are hidden.

    Serves a whole tree that is being built (no base) and the few changed files of
    a patch on top of a stored tree alike.
    """

    base: Symbols | None = None
    hidden: frozenset[str] = frozenset()
    _own: dict[str, dict[str, list[FunctionRef]]] = field(default_factory=dict)
    _shared: dict[str, list[FunctionRef]] = field(default_factory=dict)
    _structs: dict[str, list[StructRef]] = field(default_factory=dict)
    _variables: dict[str, list[VariableRef]] = field(default_factory=dict)
    _typedefs: dict[str, str] = field(default_factory=dict)

    def add_declarations(
        self, file: str, facts: FileFacts | Head, definers: Mapping[str, str]
    ) -> None:
        """Take in the types and variables of a file.

        *definers* maps a macro that defines a lock to the type it gives it.
        """
        for struct in facts.structs:
            ref = StructRef(struct.tag, file, struct.fields)
            self._structs.setdefault(struct.tag, []).append(ref)
        for name, kind in facts.typedefs.items():
            self._typedefs.setdefault(name, kind)
        for variable in facts.variables:
            self._add_variable(file, variable)
        for definer in facts.definers:
            defined = definers.get(definer.macro)
            if defined is not None and definer.args:
                static = definer.static or "STATIC" in definer.macro
                self._add_variable(file, Variable(definer.args[0], defined, static, True))
            elif definer.macro.startswith("DEFINE_PER_CPU") and len(definer.args) == 2:
                kind = definer.args[0].replace(" *", "*")
                self._add_variable(file, Variable(definer.args[1], kind, definer.static, True))

    def _add_variable(self, file: str, variable: Variable) -> None:
        ref = VariableRef(variable.name, file, variable.type, variable.static, variable.defined)
        self._variables.setdefault(variable.name, []).append(ref)

    def add_function(self, ref: FunctionRef) -> None:
        self._own.setdefault(ref.file, {}).setdefault(ref.name, []).append(ref)
        if is_shared(ref):
            self._shared.setdefault(ref.name, []).append(ref)

    def replace_functions(self, refs: Iterable[FunctionRef]) -> None:
        """Put newer versions of functions (by id) in place of those added before."""
        for ref in refs:
            lists = [self._own[ref.file][ref.name]]
            if is_shared(ref):
                lists.append(self._shared[ref.name])
            for same in lists:
                same[:] = [ref if old.id == ref.id else old for old in same]

    def all_functions(self) -> Iterable[FunctionRef]:
        return (ref for names in self._own.values() for refs in names.values() for ref in refs)

    def all_structs(self) -> Iterable[StructRef]:
        return (ref for refs in self._structs.values() for ref in refs)

    def all_variables(self) -> Iterable[VariableRef]:
        return (ref for refs in self._variables.values() for ref in refs)

    def all_typedefs(self) -> Mapping[str, str]:
        return self._typedefs

    def own(self, name: str, file: str) -> list[FunctionRef]:
        names = self._own.get(file)
        found = names.get(name, []) if names is not None else []
        if found or self.base is None or file in self.hidden:
            return found
        return self.base.own(name, file)

    def shared(self, name: str) -> list[FunctionRef]:
        found = self._shared.get(name, [])
        if self.base is None:
            return found
        return [*found, *(r for r in self.base.shared(name) if r.file not in self.hidden)]

    def structs(self, tag: str) -> list[StructRef]:
        own = self._structs.get(tag, [])
        if self.base is None:
            return own
        return [*own, *(r for r in self.base.structs(tag) if r.file not in self.hidden)]

    def variables(self, name: str) -> list[VariableRef]:
        own = self._variables.get(name, [])
        if self.base is None:
            return own
        return [*own, *(r for r in self.base.variables(name) if r.file not in self.hidden)]

    def typedef(self, name: str) -> str | None:
        known = self._typedefs.get(name)
        return self.base.typedef(name) if known is None and self.base is not None else known


def is_shared(ref: FunctionRef) -> bool:
    """Whether other files can call it."""
    return not ref.static or ref.file.endswith(".h")
