# SPDX-License-Identifier: GPL-2.0-or-later
"""From one file's facts and the tree's names to what the lock graph is made of.

Here expressions get their class and calls their callees.  Still one file at a
time and without I/O: a whole tree is linked by doing this for every file, a
patch by doing it again for the files it changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from reviewbot.locking import frameworks
from reviewbot.locking.body import Local
from reviewbot.locking.declarations import Definer
from reviewbot.locking.facts import FieldSet, FileFacts, Function
from reviewbot.locking.flow import (
    Effects,
    Held,
    Point,
    Walk,
    lock_expression,
    substitute,
    walk,
)
from reviewbot.locking.imbalance import Imbalance, imbalances
from reviewbot.locking.linked import (
    OPS,
    Action,
    LinkedFile,
    LinkedFunction,
    OpsEntry,
    Queue,
    Queueing,
    Registration,
    Taken,
    Target,
    Use,
    argument_node,
    context_node,
    node_name,
)
from reviewbot.locking.primitives import NONE, SLEEPING, Primitive, Primitives, Role
from reviewbot.locking.summary import argument_of, summarize, table_effects
from reviewbot.locking.symbols import (
    UNKNOWN,
    Classifier,
    FunctionRef,
    Place,
    Symbols,
    resolve_function,
)

_CALLBACK_TAKER = re.compile(r"each|iterate|_iter$|walk|apply_to|traverse|stop_machine|on_one_cpu")
_MAY_SLEEP = re.compile(r"^GFP_(?:KERNEL|USER|HIGHUSER|NOFS|NOIO)\b(?!.*GFP_ATOMIC)")
"""An argument that says that the call may sleep (include/linux/gfp_types.h)."""
_CAST = re.compile(r"^\((?:\w+ ?\**)\)")
_SIMPLE = re.compile(r"&?[A-Za-z_]\w*$")
_LAST_MEMBER = re.compile(r"\s*(?:->|\.)\s*\w+$")


def _may_sleep(point: Point) -> bool:
    """Whether the arguments of a call let it sleep."""
    return any(_MAY_SLEEP.search(argument) for argument in point.args)


def _sleep(point: Point) -> Action:
    """The action of a call that may sleep, and waits for no lock."""
    return Action("", "sleep", "", "write", point.line, point.name, "", False, "", True)


@dataclass(frozen=True, slots=True)
class Linker:
    """Links the files of one tree; *symbols* and *primitives* are the same for all."""

    symbols: Symbols
    primitives: Primitives
    table: Mapping[str, Effects]

    @classmethod
    def of(cls, symbols: Symbols, primitives: Primitives) -> Linker:
        return cls(symbols, primitives, table_effects(primitives))

    def lookup(self, file: str) -> Callable[[str], Effects | None]:
        """Effects of a callee named in *file*: a primitive's, or a wrapper's summary."""
        cache: dict[str, Effects | None] = {}

        def effects(name: str) -> Effects | None:
            if name not in cache:
                found = self.table.get(name)
                if found is None and name not in self.primitives:
                    found = self._wrapper(name, file)
                cache[name] = found
            return cache[name]

        return effects

    def _wrapper(self, name: str, file: str) -> Effects | None:
        if name.startswith("~guard("):
            name = _GUARD_VARIANT.sub(")", name)
        for ref in resolve_function(name, file, self.symbols):
            if ref.effects is not None:
                return ref.effects
        return None

    def walk(
        self,
        function: Function,
        lookup: Callable[[str], Effects | None],
        classifier: Classifier,
    ) -> Walk:
        """Walk *function* with what its callees are known to do (:meth:`lookup`)."""

        def class_of(lock: str) -> str:
            return classifier.place(lock, function.locals, function.name).cls

        return walk(function, lookup, class_of, _entry(function))

    def effects_of(
        self,
        function: Function,
        walked: Walk,
        lookup: Callable[[str], Effects | None],
        classifier: Classifier,
    ) -> Effects | None:
        """The effects of calling *function*, from the walk of it with *lookup*."""
        return summarize(
            function,
            walked,
            lambda lock: classifier.place(lock, function.locals, function.name),
            self.primitives,
            lookup,
        )

    def link(
        self,
        file: str,
        facts: FileFacts,
        ids: Mapping[int, int],
        walk_of: Callable[[int], Walk | None] = lambda _: None,
    ) -> LinkedFile:
        """Everything the graph needs from *file*; ``ids[n]`` numbers ``facts.functions[n]``.

        *walk_of* gives the walk of a function by number if it is at hand.
        """
        return _FileLinker(self, file, facts, ids, walk_of).link()


_GUARD_VARIANT = re.compile(r"_(?:try|intr|kill)\)$")


def _entry(function: Function) -> tuple[Held, ...]:
    """What ``__must_hold()`` says is held on entry."""
    out: list[Held] = []
    for annotation in function.annotations:
        word, _, lock = annotation.partition(" ")
        if word == "__must_hold" and lock:
            expression = lock_expression(lock.replace(" ", ""), function.locals)
            out.append(Held(expression, "lock", "write", function.line, word, entry=True))
    return tuple(out)


class _FileLinker:
    """One file being linked."""

    def __init__(
        self,
        linker: Linker,
        file: str,
        facts: FileFacts,
        ids: Mapping[int, int],
        walk_of: Callable[[int], Walk | None],
    ) -> None:
        self._linker = linker
        self._walk_of = walk_of
        self._primitives = linker.primitives
        self._symbols = linker.symbols
        self._file = file
        self._facts = facts
        self._ids = ids
        self._classifier = Classifier(file, linker.symbols)
        self._lookup = linker.lookup(file)
        self._resolved: dict[str, tuple[int, ...]] = {}
        self._registrations: list[Registration] = []
        self._queueings: list[Queueing] = []
        self._queues: list[Queue] = []
        self._locks = 0
        self._unknown = 0

    def link(self) -> LinkedFile:
        functions = tuple(
            self._function(self._classifier.vetted(function), self._ids[place])
            for place, function in enumerate(self._facts.functions)
        )
        self._static_registrations()
        ops = tuple(dict.fromkeys(self._ops()))
        return LinkedFile(
            functions,
            tuple(dict.fromkeys(self._registrations)),
            tuple(dict.fromkeys(self._queueings)),
            tuple(dict.fromkeys(self._queues)),
            ops,
            self._locks,
            self._unknown,
            tuple(name for name, found in self._resolved.items() if not found and name.islower()),
        )

    # functions

    def _function(self, function: Function, own_id: int) -> LinkedFunction:
        calls: dict[Target, None] = {}
        actions: dict[Action, int] = {}
        for name in function.calls.split():
            primitive = self._primitives.get(name)
            if primitive is not None:
                calls.update((OPS + member, None) for member in primitive.calls)
                if not primitive.follow:
                    continue
            calls.update(dict.fromkeys(t for t in self._callees(name) if t != own_id))
        for call in function.indirect:
            owner = self._classifier.owner_of(call.chain, function.locals, call.type)
            if owner:
                calls[OPS + owner] = None
        for handed in function.hands if not function.flows else ():
            if _CALLBACK_TAKER.search(handed.callee):
                calls.update(dict.fromkeys(self._own_or_global(handed.function)))
        uses: tuple[Use, ...] = ()
        found: tuple[Imbalance, ...] = ()
        capped = False
        if function.flows:
            result = self._walk_of(own_id) or self._linker.walk(
                function, self._lookup, self._classifier
            )
            capped = result.capped
            uses = tuple(self._uses(function, result.points, calls, actions))
            slips = imbalances(function, result, lambda lock: self._place(lock, function))
            found = tuple(dict.fromkeys(slips))
        self._plain_actions(function, actions)
        return LinkedFunction(own_id, tuple(calls), tuple(actions), uses, found, capped)

    def _plain_actions(self, function: Function, actions: dict[Action, int]) -> None:
        """Add the waits that need no argument to be told, where the walk did not meet them."""
        met = {action.call for action in actions}
        for name in function.calls.split():
            primitive = self._primitives.get(name)
            if primitive is None or name in met:
                continue
            if primitive.role is Role.SLEEP or (
                primitive.role is Role.WAIT and primitive.object and not function.flows
            ):
                self._plain_action(primitive, actions)

    def _plain_action(self, primitive: Primitive, actions: dict[Action, int]) -> None:
        what = primitive.what or ("" if primitive.lock else "sleep")
        action = Action(
            primitive.object, what, primitive.lock, primitive.mode, 0, primitive.name, "", False,
            "", True,
        )  # fmt: skip
        actions.setdefault(action, len(actions))

    def _callees(self, name: str) -> tuple[int, ...]:
        if name not in self._resolved:
            refs = resolve_function(name, self._file, self._symbols)
            self._resolved[name] = tuple(ref.id for ref in refs)
        return self._resolved[name]

    def _place(self, argument: str, function: Function) -> tuple[Place, str]:
        """Class of an argument, and the expression it was resolved from."""
        expression = (
            argument if argument.startswith("=") else lock_expression(argument, function.locals)
        )
        if not expression:
            return UNKNOWN, ""
        return self._classifier.place(expression, function.locals, function.name), expression

    def _uses(
        self,
        function: Function,
        points: Iterable[Point],
        calls: dict[Target, None],
        actions: dict[Action, int],
    ) -> Iterable[Use]:
        for point in points:
            primitive = self._primitives.get(point.name)
            new: list[int] = []
            targets: tuple[Target, ...] = ()
            if primitive is not None:
                targets = self._run_by(point, primitive)
                calls.update(dict.fromkeys(targets))
                action = self._primitive(function, point, primitive)
                if action is not None:
                    new.append(actions.setdefault(action, len(actions)))
                if primitive.role is Role.OPAQUE and _may_sleep(point):
                    new.append(actions.setdefault(_sleep(point), len(actions)))
            if primitive is None or primitive.follow:
                for action in self._called(function, point):
                    new.append(actions.setdefault(action, len(actions)))
                targets = (*targets, *self._targets(function, point))
                calls.update(dict.fromkeys(targets))
            held = self._held_over(function, point)
            released = tuple(
                place.cls
                for lock in point.released
                if (place := self._place(lock, function)[0]).cls
            )
            if not held and not released:
                continue
            for index in new:
                yield Use(point.line, point.name, (), index, held, released, point.args)
            if targets:
                yield Use(point.line, point.name, targets, -1, held, released, point.args)

    def _held_over(self, function: Function, point: Point) -> tuple[Taken, ...]:
        """What is held while a call blocks: not what it gives back meanwhile."""
        held = tuple(self._taken(function, point.held))
        effects = self._lookup(point.name) if held else None
        if effects is None or not effects.drops:
            return held
        given = (substitute(lock, point.args, function.locals) for lock in effects.drops)
        dropped = {self._place(lock, function)[0].cls for lock in given}
        return tuple(taken for taken in held if taken.node not in dropped)

    def _run_by(self, point: Point, primitive: Primitive) -> tuple[Target, ...]:
        """What a call of the table runs before it returns: a function handed to it, members."""
        targets: list[Target] = [OPS + member for member in primitive.calls]
        if primitive.role is Role.CALL and primitive.function < len(point.args):
            targets.extend(self._handler(point.args[primitive.function]))
        return tuple(targets)

    def _taken(self, function: Function, held: Iterable[Held]) -> Iterable[Taken]:
        for lock in held:
            place, expression = self._place(lock.lock, function)
            cls = place.cls or lock.cls
            if cls:
                yield Taken(
                    cls, lock.kind, lock.mode, lock.line, lock.call, lock.irq, lock.nested,
                    lock.entry, place.param or expression, lock.unsure,
                )  # fmt: skip

    def _primitive(self, function: Function, point: Point, primitive: Primitive) -> Action | None:
        """The action of a primitive's call; notes registrations and queueings on the way."""
        if primitive.role in (Role.REGISTER, Role.QUEUE, Role.QUEUE_ALLOC):
            self._note(function, point, primitive)
            return None
        if primitive.role is Role.SLEEP:
            return _sleep(point)
        if not (primitive.acquires or primitive.role is Role.WAIT):
            return None
        place, expression = self._object(function, point, primitive)
        self._locks += 1
        if not place.cls:
            if not place.param:
                self._unknown += 1
            if not primitive.waits or (not primitive.what and primitive.lock not in SLEEPING):
                return None
            return Action(
                "", primitive.what or "sleep", primitive.lock, primitive.mode, point.line,
                primitive.name, primitive.irq, primitive.nested, "", True,
            )  # fmt: skip
        return Action(
            node_name(primitive.what, place.cls),
            primitive.what,
            primitive.lock,
            primitive.mode,
            point.line,
            primitive.name,
            primitive.irq,
            primitive.nested,
            place.param or expression,
            primitive.waits,
        )

    def _object(self, function: Function, point: Point, primitive: Primitive) -> tuple[Place, str]:
        """What a primitive's call is about, and the expression that says so."""
        if primitive.here:
            return Place(self._file, "", ""), ""
        return self._place(argument_of(primitive, point.args, point.result), function)

    def _called(self, function: Function, point: Point) -> Iterable[Action]:
        """What a call does to an object it is handed, and whether its arguments let it sleep."""
        if _may_sleep(point):
            yield _sleep(point)
        effects = self._lookup(point.name)
        if effects is None:
            return
        for touch in effects.touches:
            expression = substitute(touch.lock, point.args, function.locals)
            if not expression:
                continue
            place, instance = self._place(expression, function)
            if place.cls:
                yield Action(
                    node_name(touch.what, place.cls), touch.what, touch.kind, touch.mode,
                    point.line, point.name, touch.irq, False, place.param or instance, True,
                )  # fmt: skip

    def _targets(self, function: Function, point: Point) -> tuple[Target, ...]:
        name = point.name
        targets: list[Target] = []
        if "->" in name or "." in name:
            root = re.match(r"\w+", name)
            local = function.locals.get(root[0]) if root else None
            kind = local.type if local is not None else ""
            owner = self._classifier.owner_of(name, function.locals, kind)
            if owner:
                targets.append(OPS + owner)
        else:
            targets.extend(self._callees(name))
        if _CALLBACK_TAKER.search(name):
            for argument in point.args:
                if _SIMPLE.match(argument):
                    targets.extend(self._handler(argument))
        return tuple(targets)

    def _handler(self, argument: str) -> tuple[int, ...]:
        """The function an argument names, if it names one of this file or a global one."""
        name = _CAST.sub("", argument).lstrip("&")
        return self._callees(name) if name.isidentifier() else ()

    # registrations

    def _note(self, function: Function, point: Point, primitive: Primitive) -> None:
        if primitive.role is Role.QUEUE_ALLOC:
            self._note_queue(function, point, primitive)
            return
        place, _ = self._object(function, point, primitive)
        if not place.cls:
            return
        node = node_name(primitive.what, place.cls)
        if 0 <= primitive.table < len(point.args):
            for handler in self._members(point.args[primitive.table].lstrip("&")):
                self._registrations.append(
                    Registration(node, primitive.what, handler, point.line, self._file)
                )
            return
        if primitive.role is Role.QUEUE:
            queue = f"={primitive.queue_object}" if primitive.queue_object else ""
            if not queue and 0 <= primitive.queue < len(point.args):
                queue = point.args[primitive.queue]
            target, _ = self._place(queue, function) if queue else (UNKNOWN, "")
            if target.cls:
                self._queueings.append(Queueing(node_name("workqueue", target.cls), node))
            return
        if primitive.function == primitive.thread == NONE:  # says something of the object itself
            own = self._callees(function.name)[0]
            self._registrations.append(
                Registration(node, primitive.what, own, point.line, self._file)
            )
        for position, what in (
            (primitive.function, primitive.what),
            (primitive.thread, f"{primitive.what}-thread"),
        ):
            if position != NONE and position < len(point.args):
                for handler in self._handler(point.args[position]):
                    self._registrations.append(
                        Registration(node, what, handler, point.line, self._file)
                    )

    def _note_queue(self, function: Function, point: Point, primitive: Primitive) -> None:
        if not point.result or point.result.startswith("@"):
            return
        place, _ = self._place(point.result, function)
        if not place.cls:
            return
        flags = [primitive.fixed_flags] if primitive.fixed_flags else []
        if 0 <= primitive.flags < len(point.args) and point.args[primitive.flags] != "0":
            flags.append(point.args[primitive.flags])
        self._queues.append(Queue(node_name("workqueue", place.cls), "|".join(flags)))

    def _members(self, table: str) -> Iterable[int]:
        """The functions of a table of this file."""
        for entry in self._facts.initialisers:
            if entry.variable == table:
                yield from self._handler(entry.value)
        for definer in self._facts.definers:
            if definer.args and table in (definer.args[0], f"{definer.args[0]}_fops"):
                yield from self._named_after(definer)

    def _named_after(self, definer: Definer) -> Iterable[int]:
        """The functions of this file that ``DEVICE_ATTR_RW(name)`` and its kin stand for."""
        for argument in definer.args:
            for suffix in ("", "_show", "_store"):
                for ref in self._symbols.own(argument + suffix, self._file):
                    yield ref.id

    def _static_registrations(self) -> None:
        """``DECLARE_WORK(name, handler)`` and ``DEVICE_ATTR_RW(name)`` at file scope."""
        for definer in self._facts.definers:
            primitive = self._primitives.get(definer.macro)
            if primitive is None or primitive.role is not Role.REGISTER:
                continue
            if primitive.here:
                node = node_name(primitive.what, self._file)
                for handler in self._named_after(definer):
                    self._registrations.append(
                        Registration(node, primitive.what, handler, 0, self._file)
                    )
                continue
            if max(primitive.arg, primitive.function) >= len(definer.args):
                continue
            place = self._classifier.place(definer.args[primitive.arg], {}, "")
            for handler in self._handler(definer.args[primitive.function]):
                if place.cls:
                    node = node_name(primitive.what, place.cls)
                    self._registrations.append(
                        Registration(node, primitive.what, handler, 0, self._file)
                    )

    # ops tables

    def _ops(self) -> Iterable[OpsEntry]:
        for entry in self._facts.initialisers:
            functions = self._own_or_global(entry.value)
            if functions:
                owner = self._owner(entry.tag, entry.field)
                for number in functions:
                    self._called_back(owner, number)
                    yield OpsEntry(owner, number)
        for place, function in enumerate(self._facts.functions):
            for assigned in function.sets:
                owner = self._classifier.owner_of(assigned.chain, function.locals, assigned.type)
                if not owner:
                    continue
                if (other := self._elsewhere(assigned, function, place)) and other != owner:
                    yield OpsEntry(owner, OPS + other)
                for target in self._own_or_global(assigned.function):
                    self._called_back(owner, target)
                    self._handles(owner, assigned, function, target)
                    yield OpsEntry(owner, target)
            yield from self._handed(function, place)

    def _elsewhere(self, assigned: FieldSet, function: Function, place: int) -> str:
        """The argument or the other member that a member is set to; empty for a function."""
        if assigned.function.startswith("$"):
            return argument_node(self._own_ref(function, place), assigned.function[1:])
        if assigned.function.isidentifier():
            return ""
        return self._classifier.owner_of(assigned.function, function.locals, assigned.source)

    def _handed(self, function: Function, place: int) -> Iterable[OpsEntry]:
        """Functions that are given to callees, which keep them for others to call."""
        for handed in function.hands:
            if handed.callee in self._primitives:
                continue
            for ref in resolve_function(handed.callee, self._file, self._symbols):
                if ref.macro:
                    continue
                node = argument_node(ref, handed.position)
                if handed.function.startswith("$"):
                    own = self._own_ref(function, place)
                    yield OpsEntry(node, OPS + argument_node(own, handed.function[1:]))
                for target in self._own_or_global(handed.function):
                    yield OpsEntry(node, target)

    def _own_ref(self, function: Function, place: int) -> FunctionRef:
        return FunctionRef(
            self._ids[place], function.name, self._file, function.line, function.static,
            function.macro, function.returns, None,
        )  # fmt: skip

    def _called_back(self, member: str, function: int) -> None:
        """Note what a framework holds when it calls *member*, and where that runs."""
        for entry in frameworks.builtin().of(member):
            nodes = [cls for name in entry.held for cls in self._taken_by(name)]
            for node in (*nodes, context_node(entry.context)):
                self._registrations.append(
                    Registration(node, OPS + member, function, 0, self._file)
                )

    def _handles(self, member: str, assigned: FieldSet, setter: Function, target: int) -> None:
        """Note whose handler ``x->timer.function = target`` makes of a function."""
        what = next((e.object for e in frameworks.builtin().of(member) if e.object), "")
        if not what:
            return
        expression = _LAST_MEMBER.sub("", assigned.chain)
        if assigned.type:
            cls = self._classifier.owner_of(expression, setter.locals, assigned.type)
        else:
            cls = self._classifier.place(expression, setter.locals, setter.name).cls
        if cls:
            node = node_name(what, cls)
            self._registrations.append(Registration(node, what, target, setter.line, self._file))

    def _taken_by(self, name: str) -> tuple[str, ...]:
        """The classes a function of the kernel leaves locked; a class stands for itself."""
        if not name.isidentifier():
            return (name,)
        effects = self._lookup(name)
        taken = effects.acquires if effects is not None else ()
        found = (e.cls or e.lock.removeprefix("=") for e in taken if e.cls or e.lock[:1] == "=")
        return tuple(dict.fromkeys(found)) or (() if taken else (name,))

    def _own_or_global(self, name: str) -> tuple[int, ...]:
        refs = resolve_function(name, self._file, self._symbols)
        return tuple(ref.id for ref in refs if not ref.macro)

    def _owner(self, tag: str, field: str) -> str:
        local = {"_": Local(f"{tag}*", -1, "")}
        return self._classifier.owner_of(f"_->{field}", local, f"{tag}*")
