# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of one file without looking at any other.

Which functions there are and whom they call, how a call's receiver is typed, what is
declared, and for the few functions that matter to locking their flow graph.  Facts are
read by :mod:`reviewbot.locking.reading` and kept by blob id; resolving names across
files is :mod:`reviewbot.locking.link`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from functools import lru_cache

import msgspec

from reviewbot.locking.body import Flow, Local
from reviewbot.locking.declarations import Definer, Initialiser, Struct, Variable
from reviewbot.locking.pointers import Handed

VERSION = 14
"""Of the meaning and form of facts; a cache of another version is not read."""
_LOCK_WORD = re.compile(
    r"(?:^|_)(?:try|un|raw_?|spin|read_|write_)?lock(?:ed)?(?:_|$)|mutex|_acquire$|_release$|^(?:scoped_(?:cond_)?)?guard$"
)


class IndirectCall(msgspec.Struct, frozen=True, array_like=True):
    """A call through a pointer in a struct: ``dev->ops->open(…)``."""

    type: str
    """Declared type of the first word, or empty if this function does not declare it."""
    chain: str


class FieldSet(msgspec.Struct, frozen=True, array_like=True):
    """``x->ops.open = function`` in a function body."""

    type: str
    chain: str
    function: str
    """A function of the file, ``$n`` for the parameter n, or a member: ``attr->open``."""
    source: str = ""
    """Declared type of the first word of such a member."""


class Function(msgspec.Struct, frozen=True, array_like=True):
    """One function (or function-like macro)."""

    name: str
    static: bool
    line: int
    end: int
    returns: str
    """Type of the result for functions that return a pointer to a struct, else empty.

    Of a function that returns a lock which is a member of something, the way there:
    ``struct foo*->a.lock``; or the function that it hands on the result of: ``f()``.
    """
    macro: bool
    params: tuple[tuple[str, str], ...]
    """(name, type) in order; read only for functions with flows."""
    calls: str
    """Names called, each once, separated by blanks."""
    refs: str
    """Functions of this file that are mentioned but not called: callbacks handed on."""
    indirect: tuple[IndirectCall, ...]
    sets: tuple[FieldSet, ...]
    hands: tuple[Handed, ...]
    annotations: tuple[str, ...]
    """``__must_hold(x)`` and its kin, as written."""
    flows: tuple[Flow, ...] = ()
    locals: dict[str, Local] = {}
    opaque: bool = False
    """Worth a flow, but its text makes none."""
    allocates: str = ""
    """Names called with a flag that lets them sleep (``GFP_KERNEL``), separated by blanks."""


class FileFacts(msgspec.Struct, frozen=True, array_like=True):
    """Everything read from one file."""

    functions: tuple[Function, ...]
    structs: tuple[Struct, ...]
    typedefs: dict[str, str]
    variables: tuple[Variable, ...]
    definers: tuple[Definer, ...]
    initialisers: tuple[Initialiser, ...]
    errors: int
    """Functions with a flow whose syntax tree has an error node."""


class HeadFunction(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of a :class:`Function`: what other files see of it."""

    name: str
    static: bool
    line: int
    end: int
    returns: str
    macro: bool


class Head(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of :class:`FileFacts`: what other files see of one.

    Packed facts can be read as one; their other fields are passed over.
    """

    functions: tuple[HeadFunction, ...]
    structs: tuple[Struct, ...]
    typedefs: dict[str, str]
    variables: tuple[Variable, ...]
    definers: tuple[Definer, ...]


def called_as(name: str) -> str:
    """The word by which a callee is looked for: ``guard`` for all of ``~guard(mutex)``'s kind."""
    return name.lstrip("~").partition("(")[0] if "(" in name else name


def callees(function: Function) -> set[str]:
    """Every name a function calls (:func:`called_as`), those of its scopes' ends included."""
    names = set(function.calls.split())
    for flow in function.flows:
        for block in flow.blocks:
            names.update(called_as(event.name) for event in block.events if "(" in event.name)
    return names


def lacks_flow(facts: FileFacts, wrappers: AbstractSet[str]) -> bool:
    """Whether a function calls one of *wrappers* and was read without a flow.

    Which names are wrappers is known only when a tree has been linked, and the table of
    primitives may have other entries than when the file was read; such a file gets the
    flows that it lacks (:func:`add_flows`).
    """
    return any(is_poor(function, wrappers) for function in facts.functions)


def is_poor(function: Function, names: AbstractSet[str]) -> bool:
    return (
        not function.flows and not function.opaque and not names.isdisjoint(function.calls.split())
    )


def worth_a_flow(names: AbstractSet[str], vocabulary: AbstractSet[str]) -> bool:
    """Whether a function that makes these calls can hold, wait for or register anything."""
    return not names.isdisjoint(vocabulary) or any(map(speaks_of_locks, names))


@lru_cache(1 << 16)
def speaks_of_locks(name: str) -> bool:
    """Whether a function of this name may be a lock's or a wrapper of one."""
    return _LOCK_WORD.search(name) is not None
