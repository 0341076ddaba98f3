# SPDX-License-Identifier: GPL-2.0-or-later
"""What the names in one file stand for: functions, locks and the objects of calls."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewbot.locking.blocks import Event
from reviewbot.locking.classes import UNKNOWN, Classifier, Place
from reviewbot.locking.effects import Point
from reviewbot.locking.facts import Function
from reviewbot.locking.names import lock_expression
from reviewbot.locking.primitives import Primitive, Primitives
from reviewbot.locking.summary import argument_of
from reviewbot.locking.symbols import Symbols, resolve_function

_CAST = re.compile(r"^\((?:\w+ ?\**)\)")


class FileNames:
    """Looks up the names of one file; keeps what it has found."""

    def __init__(self, file: str, symbols: Symbols, primitives: Primitives) -> None:
        self.file = file
        self.symbols = symbols
        self.primitives = primitives
        self.classifier = Classifier(file, symbols)
        self._resolved: dict[str, tuple[int, ...]] = {}

    def callees(self, name: str) -> tuple[int, ...]:
        """The functions and macros that a call of *name* may mean."""
        if name not in self._resolved:
            refs = resolve_function(name, self.file, self.symbols)
            self._resolved[name] = tuple(ref.id for ref in refs)
        return self._resolved[name]

    def undefined(self) -> tuple[str, ...]:
        """Callees looked up that no file defines."""
        return tuple(name for name, found in self._resolved.items() if not found and name.islower())

    def functions(self, name: str) -> tuple[int, ...]:
        """The functions that *name* may mean where no macro can stand."""
        refs = resolve_function(name, self.file, self.symbols)
        return tuple(ref.id for ref in refs if not ref.macro)

    def handler(self, argument: str) -> tuple[int, ...]:
        """The function an argument names, if it names one of this file or a global one."""
        name = _CAST.sub("", argument).lstrip("&")
        return self.callees(name) if name.isidentifier() else ()

    def handlers(self, argument: str, function: Function) -> Iterator[int]:
        """The functions an argument of a call may be: of a local, all that it is set to."""
        name = _CAST.sub("", argument).lstrip("&")
        if name not in function.locals:
            yield from self.handler(argument)
            return
        for assigned in _assignments(function):
            if assigned.result == name and assigned.args:
                yield from self.handler(assigned.args[0].removeprefix("="))

    def place(self, argument: str, function: Function) -> tuple[Place, str]:
        """Class of an argument, and the expression it was resolved from."""
        expression = (
            argument if argument.startswith("=") else lock_expression(argument, function.locals)
        )
        if not expression:
            return UNKNOWN, ""
        return self.classifier.place(expression, function.locals, function.name), expression

    def object(self, function: Function, point: Point, primitive: Primitive) -> tuple[Place, str]:
        """What a primitive's call is about, and the expression that says so."""
        if primitive.here:
            return Place(self.file, "", ""), ""
        return self.place(argument_of(primitive, point.args, point.result), function)

    def result_classes(self, function: Function, variable: str) -> Iterator[str]:
        """The class of what a call's result is kept in.

        ``task = kthread_run(…); dev->task = task;`` is about ``dev->task``.
        """
        for expression in dict.fromkeys((*_copies(function, variable), variable)):
            place, _ = self.place(expression, function)
            if place.cls:
                yield place.cls


def _copies(function: Function, variable: str) -> Iterator[str]:
    """What a variable is assigned to."""
    wanted = (f"={variable}",)
    return (event.result for event in _assignments(function) if event.args == wanted)


def _assignments(function: Function) -> Iterator[Event]:
    blocks = (block for flow in function.flows for block in flow.blocks)
    return (event for block in blocks for event in block.events if event.name == "=")
