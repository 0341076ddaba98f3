# SPDX-License-Identifier: GPL-2.0-or-later
"""Lock classes: what an expression that names a lock comes to, as lockdep would name it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from reviewbot.locking.blocks import USER
from reviewbot.locking.body import Local
from reviewbot.locking.facts import Function
from reviewbot.locking.symbols import (
    StructRef,
    Symbols,
    resolve_function,
    resolve_struct,
    resolve_variable,
)


class Place(msgspec.Struct, frozen=True, array_like=True):
    """What an expression that names an object comes to."""

    cls: str
    """The class, or empty if it cannot be said here."""
    param: str
    """``$n…`` if the expression starts at a parameter, else empty."""
    type: str
    """Type of the object, as far as known."""


UNKNOWN = Place("", "", "")
LOCAL_OBJECT = "on stack"
CURRENT = "struct task_struct*"
"""Type of ``current``, a macro of each architecture (asm/current.h)."""
CONTAINERS = frozenset(
    f"struct {tag}"
    for tag in (
        "xarray", "idr", "ida", "sk_buff_head", "lockref", "klist", "rhashtable",
        "wait_queue_head", "swait_queue_head", "atomic_notifier_head",
        "blocking_notifier_head", "srcu_notifier_head", "percpu_counter", "ratelimit_state",
    )
)  # fmt: skip
"""Types of include/linux that bring a lock of their own.

It is one class for each place that such an object is declared at, as lockdep has it for
each that initialises one: queues of different drivers have nothing to do with each other.
"""


class Classifier:
    """Gives expressions of one file their lock class."""

    def __init__(self, file: str, symbols: Symbols) -> None:
        self._file = file
        self._symbols = symbols
        self._structs: dict[str, StructRef | None] = {}
        self._cache: dict[tuple[str, int], Place] = {}
        self._vetted: dict[int, tuple[Function, Function]] = {}
        """By identity, with the original so that the identity stays its own."""

    def vetted(self, function: Function) -> Function:
        """*function* without the aliases that lose a type.

        ``struct foo *f = dev->private`` says more by the type it declares than by the
        ``void *`` it is read from; such a local keeps its own name.
        """
        known = self._vetted.get(id(function))
        if known is None:
            known = self._vetted[id(function)] = function, self._vet(function)
        return known[1]

    def _vet(self, function: Function) -> Function:
        lost = {
            name: msgspec.structs.replace(local, alias="")
            for name, local in function.locals.items()
            if local.alias and _PATH.match(local.alias) and not self._same(local, function.locals)
        }
        if not lost:
            return function
        return msgspec.structs.replace(function, locals={**function.locals, **lost})

    def _same(self, local: Local, locals_: Mapping[str, Local]) -> bool:
        """Whether what a pointer is set to is declared to be of its type."""
        declared = self._tag(local.type)
        return not declared or self._tag(self.type_of(local.alias, locals_)) == declared

    def place(self, expression: str, locals_: Mapping[str, Local], function: str) -> Place:
        """The class of *expression*, which names a lock or other object (no ``&``)."""
        if expression.startswith("="):
            return Place(expression[1:], "", "")
        key = (expression, id(locals_))
        if key not in self._cache:
            self._cache[key] = self._place(expression, locals_, function)
        return self._cache[key]

    def _place(self, expression: str, locals_: Mapping[str, Local], function: str) -> Place:
        root, path = split_path(expression)
        if root is None:
            return UNKNOWN
        if root.endswith(")"):
            kind = self._call_type(root, locals_)
            if not path:
                return self._given(root.split("(", 1)[0], kind)
            return self._typed(kind, path, "")
        local = locals_.get(root)
        if local is None:
            found = self._global(root, path)
            own = found is not UNKNOWN or USER not in locals_
            return found if own else Place("", f"${expression}", "")
        param = f"${local.param}{expression[len(root) :]}" if local.param >= 0 else ""
        if not path:
            if local.param >= 0:
                return Place("", param, local.type)
            if not local.type.endswith("*"):
                return Place(f"{root} in {function}() ({LOCAL_OBJECT})", "", local.type)
            callee, opening, rest = local.alias.partition("(")
            if opening and not rest.endswith(")"):  # a member of what a call returns
                return self._place(local.alias, {**locals_, root: _NO_ALIAS}, function)
            return self._given(callee, local.type) if opening else UNKNOWN
        return self._typed(local.type, path, param)

    def _given(self, function: str, kind: str) -> Place:
        """What a function returns: the lock that it always does, or else some lock of its own."""
        if way := self._way(function):
            return self._typed(*way, "")
        return Place(f"{function}()", "", kind) if function.isidentifier() else UNKNOWN

    def _global(self, root: str, path: tuple[str, ...]) -> Place:
        if root == "current" and path:
            return self._typed(CURRENT, path, "")
        ref = resolve_variable(root, self._file, self._symbols)
        if ref is None:
            return UNKNOWN
        if not path:
            name = f"{ref.file}:{ref.name}" if ref.static else ref.name
            return Place(name, "", ref.type)
        place = self._typed(ref.type, path, "")
        if self._tag(ref.type) in CONTAINERS and not ref.type.endswith("*"):
            name = f"{ref.file}:{ref.name}" if ref.static else ref.name
            return Place(".".join((name, *path)), "", place.type)
        if place.cls.startswith("anonymous "):  # a struct without a tag has but this object
            name = f"{ref.file}:{ref.name}" if ref.static else ref.name
            return Place(f"{name}.{place.cls.partition('.')[2]}", "", place.type)
        return place

    def _call_type(self, root: str, locals_: Mapping[str, Local]) -> str:
        """Type of ``f(x)``: what f returns, or what a transparent macro is given."""
        name, _, rest = root.partition("(")
        arguments = rest[:-1]
        if name in _CONTAINER_OF:
            parts = arguments.split(",")
            if len(parts) >= 2:
                tag = parts[1].strip()
                if not tag.startswith("struct "):
                    tag = self._symbols.typedef(tag) or f"struct {tag}"
                return tag + "*"
        if name in _TRANSPARENT:
            inner = arguments.split(",")[0].lstrip("&*")
            if name in ("per_cpu", "this_cpu_read", "get_cpu_var", "__get_cpu_var"):
                return self.type_of(inner, locals_) + "*"
            kind = self.type_of(inner, locals_)
            return kind if kind.endswith("*") else kind + "*"
        if way := self._way(name):
            return self._walk(*way)[1] + "*"
        return self._returns(name)

    def _returns(self, name: str) -> str:
        refs = resolve_function(name, self._file, self._symbols)
        return next((ref.returns for ref in refs if ref.returns), "")

    def _way(self, name: str) -> tuple[str, tuple[str, ...]] | None:
        """From what type, through which members, a function comes to the lock that it returns."""
        for _ in range(_HANDED_ON):
            returns = self._returns(name)
            kind, arrow, path = returns.partition("->")
            if arrow:
                return kind, split_path(f"_->{path}")[1]
            if not returns.endswith("()"):
                return None
            name = returns[:-2]
        return None

    def type_of(self, expression: str, locals_: Mapping[str, Local]) -> str:
        """Declared type of an expression without ``&``; empty if unknown."""
        root, path = split_path(expression)
        if root is None:
            return ""
        if root.endswith(")"):
            kind = self._call_type(root, locals_)
        elif (local := locals_.get(root)) is not None:
            kind = local.type
        elif root == "current":
            kind = CURRENT
        else:
            ref = resolve_variable(root, self._file, self._symbols)
            kind = ref.type if ref is not None else ""
        return self._walk(kind, path)[1] if path else kind

    def owner_of(self, expression: str, locals_: Mapping[str, Local], root_type: str) -> str:
        """``struct x.field`` for ``a->b.field``: the struct type that declares the last field."""
        root, path = split_path(expression)
        if root is None or not path:
            return ""
        kind = root_type or self.type_of(root, locals_)
        if not kind:
            return ""
        return self._walk(kind, path)[0]

    def _typed(self, kind: str, path: tuple[str, ...], param: str) -> Place:
        name, type_ = self._walk(kind, path)
        return Place(name, param, type_)

    def _walk(self, kind: str, path: tuple[str, ...]) -> tuple[str, str]:
        """(``struct x.a.b``, type of the last field) for a path from an object of *kind*."""
        tag = self._tag(kind)
        if not tag:
            return "", ""
        struct = self._struct(tag)
        prefix = ""
        type_ = ""
        owner = ""
        for place, name in enumerate(path):
            prefix = f"{prefix}.{name}" if prefix else name
            type_ = struct.fields.get(prefix, "") if struct is not None else ""
            if place == len(path) - 1:
                break
            if type_.startswith("void*"):
                return "", ""
            inner = self._tag(type_)
            if inner:
                own = inner in CONTAINERS and not type_.endswith("*")
                owner = f"{owner or self._class_tag(tag, struct)}.{prefix}" if own else ""
                tag, struct, prefix = inner, self._struct(inner), ""
        if tag in CONTAINERS and not owner:
            return "", type_  # whose it is, only the caller knows
        return f"{owner or self._class_tag(tag, struct)}.{prefix}", type_

    def _tag(self, kind: str) -> str:
        """The struct tag a type comes to through typedefs and pointers."""
        for _ in range(4):
            kind = kind.rstrip("*")
            if kind.startswith(("struct ", "typedef ", "anonymous ")):
                return kind
            target = self._symbols.typedef(kind) if kind else None
            if target is None:
                return ""
            kind = target
        return ""

    def _struct(self, tag: str) -> StructRef | None:
        if tag not in self._structs:
            self._structs[tag] = resolve_struct(tag, self._file, self._symbols)
        return self._structs[tag]

    def _class_tag(self, tag: str, struct: StructRef | None) -> str:
        """The tag, with its file where the tree has several structs of that name."""
        if tag.startswith("typedef "):
            tag = tag.removeprefix("typedef ")
        if struct is not None and len(self._symbols.structs(struct.tag)) > 1:
            files = {ref.file for ref in self._symbols.structs(struct.tag)}
            if len(files) > 1:
                return f"{tag} ({struct.file})"
        return tag


_PATH = re.compile(r"\w+(?:\[[^\]]*\])?(?:->|\.)[\w.>\-\[\]]+$")
_NO_ALIAS = Local("", -1, "")
_HANDED_ON = 4
"""Functions that hand on a lock, each from the next."""
_CONTAINER_OF = frozenset(
    {"container_of", "list_entry", "list_first_entry", "list_last_entry", "rb_entry", "hlist_entry",
     "list_first_entry_or_null", "from_timer", "timer_container_of", "container_of_const"}
)  # fmt: skip
_TRANSPARENT = frozenset(
    {"per_cpu_ptr", "this_cpu_ptr", "raw_cpu_ptr", "get_cpu_ptr", "rcu_dereference", "READ_ONCE",
     "rcu_dereference_protected", "rcu_dereference_raw", "rcu_access_pointer", "per_cpu",
     "this_cpu_read", "get_cpu_var", "__get_cpu_var", "srcu_dereference", "rtnl_dereference",
     "rcu_dereference_check", "rcu_dereference_rtnl", "rcu_dereference_bh", "WARN_ON"}
)  # fmt: skip


def split_path(expression: str) -> tuple[str | None, tuple[str, ...]]:
    """``a->b[i].c`` as its first word (or call) and the fields behind it."""
    text = expression.lstrip("&*")
    end = _root_end(text)
    if end == 0:
        return None, ()
    root, rest = text[:end], text[end:]
    fields: list[str] = []
    while rest:
        if rest.startswith("["):
            close = _closing(rest, "[", "]")
            if close < 0:
                return None, ()
            rest = rest[close + 1 :]
        elif rest.startswith("->"):
            rest, word = _take_word(rest[2:])
            fields.append(word)
        elif rest.startswith("."):
            rest, word = _take_word(rest[1:])
            fields.append(word)
        else:
            return None, ()
        if fields and not fields[-1]:
            return None, ()
    return root, tuple(fields)


def _root_end(text: str) -> int:
    """Length of the word at the start of *text*, with its call parentheses if it has any."""
    end = 0
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    if end and end < len(text) and text[end] == "(":
        close = _closing(text[end:], "(", ")")
        return end + close + 1 if close > 0 else 0
    return end


def _closing(text: str, opening: str, closing: str) -> int:
    depth = 0
    for place, char in enumerate(text):
        if char == opening:
            depth += 1
        elif char == closing:
            depth -= 1
            if depth == 0:
                return place
    return -1


def _take_word(text: str) -> tuple[str, str]:
    end = 0
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return text[end:], text[:end]
