# SPDX-License-Identifier: GPL-2.0-or-later
"""Who runs later, and as what: handlers of work, timers and interrupts, and what queues them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from reviewbot.locking import frameworks
from reviewbot.locking.classes import UNKNOWN
from reviewbot.locking.declarations import Definer
from reviewbot.locking.effects import Effects, Point
from reviewbot.locking.facts import FieldSet, FileFacts, Function
from reviewbot.locking.linked import (
    OPS,
    POINTER,
    RAW_CONTEXT,
    Queue,
    Queueing,
    Registration,
    context_node,
    node_name,
)
from reviewbot.locking.names import substitute
from reviewbot.locking.naming import FileNames
from reviewbot.locking.primitives import NONE, RESULT, Primitive, Role
from reviewbot.locking.summary import queue_of

REGISTERING = frozenset({Role.REGISTER, Role.SIGNAL, Role.QUEUE, Role.QUEUE_ALLOC})
"""Roles of the calls that :meth:`Registrations.note` takes in."""
_MEMBER = re.compile(r"\s*(?:->|\.)\s*")
_LAST_MEMBER = re.compile(rf"{_MEMBER.pattern}\w+$")


class Registrations:
    """Collects what one file registers and queues."""

    def __init__(
        self, names: FileNames, facts: FileFacts, lookup: Callable[[str], Effects | None]
    ) -> None:
        self._names = names
        self._facts = facts
        self._lookup = lookup
        self._handlers: dict[Registration, None] = {}
        self._pointers: set[str] = set()
        self._queueings: dict[Queueing, None] = {}
        self._queues: dict[Queue, None] = {}

    def handlers(self) -> tuple[Registration, ...]:
        return tuple(self._handlers)

    def queueings(self) -> tuple[Queueing, ...]:
        return tuple(self._queueings)

    def queues(self) -> tuple[Queue, ...]:
        return tuple(self._queues)

    def _add(self, node: str, what: str, function: int, line: int) -> None:
        self._handlers[Registration(node, what, function, line, self._names.file)] = None

    def note(self, function: Function, point: Point, primitive: Primitive) -> None:
        """Take in a call of the table that registers or queues something."""
        if primitive.role is Role.QUEUE_ALLOC:
            self._note_queue(function, point, primitive)
        elif primitive.role is Role.QUEUE:
            self._note_queueing(function, point, primitive)
        else:
            classes = list(self._classes(function, point, primitive))
            for node in [node_name(primitive.what, cls) for cls in classes] or [""]:
                self._note_handlers(node, function, point, primitive)

    def pointed_to(self, cls: str, function: Function, line: int) -> None:
        """Note that a class is of pointers: what they point to is a lock of another class."""
        node = f"{POINTER} {cls}"
        if node not in self._pointers:
            self._pointers.add(node)
            self._add(node, POINTER, self._names.callees(function.name)[0], line)

    def _classes(self, function: Function, point: Point, primitive: Primitive) -> Iterator[str]:
        if primitive.arg == RESULT:
            yield from self._names.result_classes(function, point.result)
        elif cls := self._names.object(function, point, primitive)[0].cls:
            yield cls

    def _note_handlers(
        self, node: str, function: Function, point: Point, primitive: Primitive
    ) -> None:
        """Note the handlers of *node*; of an object that is not known, where they run."""
        if node and 0 <= primitive.table < len(point.args):
            member = frameworks.argument(primitive.name, primitive.table)
            for handler in self._members(point.args[primitive.table].lstrip("&")):
                self._add(node, primitive.what, handler, point.line)
                self.called_back(member, handler)
            return
        if node and primitive.function == primitive.thread == NONE:  # what it does to it itself
            self._add(node, primitive.what, self._names.callees(function.name)[0], point.line)
        for position, what in (
            (primitive.function, primitive.what),
            (primitive.thread, f"{primitive.what}-thread"),
        ):
            if position != NONE and position < len(point.args):
                runs_in = frameworks.RUNS_IN.get(what)
                shown = node or (runs_in and context_node(runs_in))
                for handler in self._names.handlers(point.args[position], function):
                    if shown:
                        self._add(shown, what, handler, point.line)

    def _note_queueing(self, function: Function, point: Point, primitive: Primitive) -> None:
        place, _ = self._names.object(function, point, primitive)
        queue = queue_of(primitive, point.args)
        target, _ = self._names.place(queue, function) if queue else (UNKNOWN, "")
        if place.cls and target.cls:
            self._queue(target.cls, node_name(primitive.what, place.cls))

    def _queue(self, queue: str, work: str) -> None:
        self._queueings[Queueing(node_name("workqueue", queue), work)] = None

    def called(self, function: Function, point: Point) -> None:
        """Take in a call of a function that queues what it is handed."""
        effects = self._lookup(point.name)
        for queued in effects.queues if effects is not None else ():
            classes = []
            for side in (queued.queue, queued.work):
                expression = substitute(side, point.args, function.locals)
                place, _ = self._names.place(expression, function) if expression else (UNKNOWN, "")
                classes.append(place.cls)
            if all(classes):
                self._queue(classes[0], node_name("work", classes[1]))

    def _note_queue(self, function: Function, point: Point, primitive: Primitive) -> None:
        if not point.result or point.result.startswith("@"):
            return
        flags = [primitive.fixed_flags] if primitive.fixed_flags else []
        if 0 <= primitive.flags < len(point.args) and point.args[primitive.flags] != "0":
            flags.append(point.args[primitive.flags])
        for cls in self._names.result_classes(function, point.result):
            self._queues[Queue(node_name("workqueue", cls), "|".join(flags))] = None

    def _members(self, table: str) -> Iterable[int]:
        """The functions of a table of this file, be it written down or filled in."""
        for entry in self._facts.initialisers:
            if entry.variable == table:
                yield from self._names.handler(entry.value)
        member = re.escape(_MEMBER.split(table)[-1])
        filled = re.compile(rf"\b{member}{_MEMBER.pattern}\w+$")
        for function in self._facts.functions:
            for assigned in function.sets:
                if filled.search(assigned.chain):
                    yield from self._names.functions(assigned.function)
        for definer in self._facts.definers:
            if definer.args and table in (definer.args[0], f"{definer.args[0]}_fops"):
                yield from self._named_after(definer)

    def _named_after(self, definer: Definer) -> Iterable[int]:
        """The functions of this file that ``DEVICE_ATTR_RW(name)`` and its kin stand for."""
        for argument in definer.args:
            for suffix in ("", "_show", "_store"):
                for ref in self._names.symbols.own(argument + suffix, self._names.file):
                    yield ref.id

    def at_file_scope(self) -> None:
        """Take in ``DECLARE_WORK(name, handler)`` and ``DEVICE_ATTR_RW(name)``."""
        for definer in self._facts.definers:
            primitive = self._names.primitives.get(definer.macro)
            if primitive is None or primitive.role is not Role.REGISTER:
                continue
            if primitive.here:
                node = node_name(primitive.what, self._names.file)
                for handler in self._named_after(definer):
                    self._add(node, primitive.what, handler, 0)
                continue
            if max(primitive.arg, primitive.function) >= len(definer.args):
                continue
            place = self._names.classifier.place(definer.args[primitive.arg], {}, "")
            for handler in self._names.handler(definer.args[primitive.function]):
                if place.cls:
                    self._add(node_name(primitive.what, place.cls), primitive.what, handler, 0)

    # members of tables

    def called_back(self, member: str, function: int) -> None:
        """Note what a framework holds when it calls *member*, and where that runs."""
        for entry in frameworks.builtin().of(member):
            nodes = [cls for name in entry.held for cls in self._taken_by(name)]
            if entry.context is not frameworks.Running.UNKNOWN and (
                not nodes or entry.context is not frameworks.Running.ATOMIC
            ):
                nodes.append(context_node(entry.context))
            if entry.raw:
                nodes.append(RAW_CONTEXT)
            for node in nodes:
                self._add(node, OPS + member, function, 0)

    def stands(self, member: str, variable: str, target: int) -> None:
        """Note whose handler the initialiser of a variable of this file makes of a function."""
        if entry := _handled(member):
            place = self._names.classifier.place(variable, {}, "")
            self._handler_of(entry, place.cls if variable else "", target, 0)

    def handles(self, member: str, assigned: FieldSet, setter: Function, target: int) -> None:
        """Note whose handler ``x->timer.function = target`` makes of a function."""
        entry = _handled(member)
        if entry is None:
            return
        classifier = self._names.classifier
        expression = _LAST_MEMBER.sub("", assigned.chain)
        if assigned.type:
            cls = classifier.owner_of(expression, setter.locals, assigned.type)
        else:
            cls = classifier.place(expression, setter.locals, setter.name).cls
        self._handler_of(entry, cls, target, setter.line)

    def _handler_of(self, entry: frameworks.Callback, cls: str, target: int, line: int) -> None:
        owner = self._names.file if entry.here else cls
        if owner:
            self._add(node_name(entry.object, owner), entry.object, target, line)

    def _taken_by(self, name: str) -> tuple[str, ...]:
        """The classes a function of the kernel leaves locked; a class stands for itself."""
        if not name.isidentifier():
            return (name,)
        effects = self._lookup(name)
        taken = effects.acquires if effects is not None else ()
        found = (e.cls or e.lock.removeprefix("=") for e in taken if e.cls or e.lock[:1] == "=")
        return tuple(dict.fromkeys(found)) or (() if taken else (name,))


def _handled(member: str) -> frameworks.Callback | None:
    """What says that a function which stands in a member is its owner's handler."""
    return next((entry for entry in frameworks.builtin().of(member) if entry.object), None)
