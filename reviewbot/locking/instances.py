# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether two lock expressions name one object, for the self-deadlock of one lock.

A lock class stands for many locks; taking one of a class while another of it is
held is what trees and lists do all the time.  So the object is followed through
the calls: the lock that is taken must come from the very expression that is held.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from reviewbot.locking.body import Local
from reviewbot.locking.expressions import split_arguments
from reviewbot.locking.flow import substitute
from reviewbot.locking.legs import Leg
from reviewbot.locking.linked import Action
from reviewbot.locking.mentions import parameters
from reviewbot.locking.primitives import Role, builtin
from reviewbot.locking.source import matching_paren
from reviewbot.locking.view import View


def same_object(view: View, leg: Leg) -> bool:
    """Whether *leg*, which holds and takes the same class, does so with the same lock."""
    if leg.function < 0:  # a framework holds it: the same one only if there is just one
        return _one("", "", leg.held)
    return any(_one(held, taken, leg.held) for held, taken in _pairs(view, leg))


def other_object(view: View, leg: Leg) -> bool:
    """Whether a leg is known to take the lock of another object than that whose lock it holds."""
    return any(held and taken and held != taken for held, taken in _pairs(view, leg))


def _pairs(view: View, leg: Leg) -> Iterator[tuple[str, str]]:
    """What a leg holds and what it takes, in the words of its function; empty if unknown."""
    detail = view.detail(leg.function)
    if detail is None:
        return
    actor = view.detail(leg.path[-1]) if leg.path else detail
    if actor is None:
        return
    taking = [a for a in actor.actions if a.node == leg.target and a.blocks and not a.nested]
    for use in detail.uses:
        for taken in use.held:
            if taken.node != leg.held or taken.unsure:
                continue
            if any(_faults(action) for action in taking):
                yield taken.instance, _USER_MEMORY
                continue
            if not leg.path:
                action = detail.actions[use.action] if use.action >= 0 else None
                if action is not None and action in taking:
                    yield taken.instance, action.instance
                continue
            held = _rooted(view, leg.function, taken.instance)
            for action in taking:
                yield held, _in_terms_of(view, leg, action.instance, use.args, use.call)


def named_at(view: View, leg: Leg, instance: str) -> tuple[int, str]:
    """Who names the lock at the end of a leg, and how: no wrapper, but who calls it."""
    way = (leg.holder, *leg.calls)
    for caller, callee in reversed([*pairwise(way)]):
        ref = view.function(callee)
        if ref is None or ref.effects is None or not ref.effects.acquires:
            return callee, instance
        instance = substitute(instance, _arguments(view, caller, ref.name), {})
    return leg.holder, instance


def runs_members(view: View, leg: Leg) -> bool:
    """Whether a call on a leg runs a function of the file's tables, as waking a line does.

    Such a function is a callee that its caller does not call by its name.  Resuming a device
    does not count: who holds a lock that this takes has resumed it already.
    """
    for caller, callee in pairwise((leg.holder, *leg.calls)):
        refs = (view.function(caller), view.function(callee))
        if all(ref is not None and not ref.macro for ref in refs):
            name = view.callable_name(callee)
            if re.search(rf"\b{name}\b", view.text_of(caller)) is None:
                return not any(_POWER in table for table in view.tables_of(callee))
    return False


def is_pointed_to(view: View, cls: str, files: Iterable[str]) -> bool:
    """Whether one of *files* hands the address of a lock of this class to somebody to keep."""
    field = re.escape(re.split(r"[.:]", cls)[-1])
    given = re.compile(rf"(?:(\w+)\s*\([^();]*?[(,]?|=)\s*&[\w.>\[\]-]*?\b{field}\s*[,);]")
    for file in files:
        for match in given.finditer("\n".join(view.lines(file))):
            name = match[1]
            if name is None or not (name in builtin() or _INITIALISES.search(name)):
                return True
    return False


def points_to(view: View, pointer: str, cls: str, file: str) -> bool:
    """Whether *file* points the locks of class *pointer* to those of *cls*: ``q->lock = &d->l``."""
    field, kept = (re.escape(re.split(r"[.:]", name)[-1]) for name in (pointer, cls))
    setting = re.compile(rf"\b{field}\s*=\s*&[\w.>\[\]-]*\b{kept}\s*;")
    return setting.search("\n".join(view.lines(file))) is not None


def _faults(action: Action) -> bool:
    """Whether an action takes a lock of user memory since it touches that memory."""
    entry = builtin().get(action.call)
    return entry is not None and entry.role is Role.WAIT and entry.object == _MMAP_LOCK


_MMAP_LOCK = "struct mm_struct.mmap_lock"
_USER_MEMORY = "current->mm->mmap_lock"
"""The lock that a fault on user memory takes (mm/memory.c, lock_mm_and_find_vma())."""
_POWER = "struct dev_pm_ops."
_INITIALISES = re.compile(r"lock_init$|^mutex_init$|^init_rwsem$|^lockdep_")


def _one(held: str, taken: str, node: str) -> bool:
    if (
        not node.startswith("struct ")
        and "." not in node.rsplit("/", 1)[-1].rsplit(":", maxsplit=1)[-1]
    ):
        return "on stack" not in node and not node.endswith(
            "()"
        )  # a lock of file scope: there is only one
    return bool(held) and held == taken


def _in_terms_of(view: View, leg: Leg, instance: str, args: tuple[str, ...], call: str) -> str:
    """The lock the actor takes, in the words of the function at the start of the leg."""
    instance = _rooted(view, leg.path[-1], instance)
    for caller, callee in reversed(list(pairwise(leg.path))):
        if not instance.startswith("$"):
            return ""
        given = _arguments(view, caller, view.callable_name(callee))
        locals_ = _parameters(view, caller)
        instance = substitute(instance, given, locals_)
        instance = _rooted(view, caller, _as_parameter(instance, locals_))
    first = view.function(leg.path[0])
    if not instance.startswith("$") or first is None or first.name != call:
        return ""
    locals_ = _parameters(view, leg.function)
    instance = _as_parameter(substitute(instance, args, locals_), locals_)
    return _rooted(view, leg.function, instance)


def _rooted(view: View, function: int, instance: str) -> str:
    """A lock below a local that is set once, by an accessor, named by what that is given.

    ``priv->lock`` after ``priv = netdev_priv(dev)`` is ``$0@netdev_priv->lock`` where
    *dev* is the first parameter: whoever asks the same of the same gets the same.
    """
    root = re.match(r"[A-Za-z_]\w*", instance)
    if root is None:
        return instance
    text = view.text_of(function)
    values = re.findall(rf"(?<![\w.>]){root[0]}\s*=(?!=)\s*([^;,]+)", text)
    got = _ACCESSOR.match(values[0]) if len(values) == 1 else None
    if got is None:
        return instance
    owner = _as_parameter(got[2], _parameters(view, function))
    return f"{owner}@{got[1]}{instance[root.end() :]}"


_ACCESSOR = re.compile(
    r"((?:\w*_)?(?:to_\w+|priv|drvdata|clientdata|intfdata|devdata|get_data)|[A-Z][A-Z0-9]*_[ID])"
    r"\s*\(\s*&?([A-Za-z_][\w.>-]*)\s*\)$"
)
"""``dev_get_drvdata(dev)`` and its kin: finds, and neither makes nor counts."""


def _as_parameter(expression: str, locals_: dict[str, Local]) -> str:
    root = re.match(r"\w+", expression)
    local = locals_.get(root[0]) if root is not None else None
    if root is None or local is None:
        return expression
    return f"${local.param}{expression[root.end() :]}"


def _parameters(view: View, number: int) -> dict[str, Local]:
    """Names of a function's parameters, and its pointers that are set just once."""
    text = view.text_of(number)
    opening = text.find("(")
    if opening < 0:
        return {}
    close = matching_paren(text.encode("latin-1"), opening)
    names = parameters(text[opening + 1 : close].encode("latin-1"))
    return {name: Local(kind, place, "") for place, (name, kind) in enumerate(names) if name}


def _arguments(view: View, caller: int, callee: str) -> tuple[str, ...]:
    """Arguments of the first call of *callee* in a function."""
    text = view.text_of(caller)
    body = text.find("{")
    match = re.compile(rf"\b{re.escape(callee.rsplit('.', 1)[-1])}\s*\(").search(text, max(body, 0))
    if match is None:
        return ()
    close = matching_paren(text.encode("latin-1"), match.end() - 1)
    return split_arguments(text[match.end() : close]) if close > 0 else ()
