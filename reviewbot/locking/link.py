# SPDX-License-Identifier: GPL-2.0-or-later
"""From one file's facts and the tree's names to what the lock graph is made of.

Here expressions get their class and calls their callees.  Still one file at a
time and without I/O: a whole tree is linked by doing this for every file, a
patch by doing it again for the files it changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

from reviewbot.locking.classes import Classifier
from reviewbot.locking.composed import member
from reviewbot.locking.facts import FileFacts, Function
from reviewbot.locking.flow import Effects, Held, Point, Walk, lock_expression, substitute, walk
from reviewbot.locking.imbalance import Imbalance, imbalances
from reviewbot.locking.linked import (
    ALLOCATION,
    OPS,
    Action,
    LinkedFile,
    LinkedFunction,
    Taken,
    Target,
    Use,
    argument_node,
    node_name,
)
from reviewbot.locking.naming import FileNames
from reviewbot.locking.primitives import SLEEPING, Primitive, Primitives, Role
from reviewbot.locking.registrations import REGISTERING, Registrations
from reviewbot.locking.summary import summarize, table_effects
from reviewbot.locking.symbols import Symbols, resolve_function
from reviewbot.locking.tables import Tables

_CALLBACK_TAKER = re.compile(
    r"each|iterate|_iter$|walk|apply_to|traverse|stop_machine|on_one_cpu|_[mu]c_(?:un)?sync$"
)
_MAY_SLEEP = re.compile(r"^GFP_(?:KERNEL|USER|HIGHUSER|NOFS|NOIO)\b(?!.*GFP_ATOMIC)")
"""An argument that says that the call may sleep (include/linux/gfp_types.h)."""
_SIMPLE = re.compile(r"&?[A-Za-z_]\w*$")


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
        self._facts = facts
        self._ids = ids
        self._lookup = linker.lookup(file)
        self._names = FileNames(file, linker.symbols, linker.primitives)
        self._registrations = Registrations(self._names, facts, self._lookup)
        self._tables = Tables(self._names, facts, self._registrations)
        self._locks = 0
        self._unknown = 0

    def link(self) -> LinkedFile:
        functions = tuple(
            self._function(self._names.classifier.vetted(function), self._ids[place])
            for place, function in enumerate(self._facts.functions)
        )
        self._registrations.at_file_scope()
        ops = tuple(dict.fromkeys(self._tables.entries()))
        return LinkedFile(
            functions,
            self._registrations.handlers(),
            self._registrations.queueings(),
            self._registrations.queues(),
            ops,
            self._locks,
            self._unknown,
            self._names.undefined(),
        )

    # functions

    def _function(self, function: Function, own_id: int) -> LinkedFunction:
        calls: dict[Target, None] = {}
        actions: dict[Action, int] = {}
        for name in function.calls.split():
            primitive = self._primitives.get(name)
            if primitive is not None:
                calls.update(dict.fromkeys(self._members(primitive)))
                if not primitive.follow:
                    continue
            calls.update(dict.fromkeys(t for t in self._names.callees(name) if t != own_id))
        for call in function.indirect:
            owner = self._names.classifier.owner_of(call.chain, function.locals, call.type)
            if owner:
                calls[OPS + owner] = None
        for handed in function.hands if not function.flows else ():
            if _CALLBACK_TAKER.search(handed.callee):
                calls.update(dict.fromkeys(self._names.functions(handed.function)))
        uses: tuple[Use, ...] = ()
        found: tuple[Imbalance, ...] = ()
        capped = False
        if function.flows:
            result = self._walk_of(own_id) or self._linker.walk(
                function, self._lookup, self._names.classifier
            )
            capped = result.capped
            uses = tuple(self._uses(function, result.points, calls, actions))
            slips = imbalances(function, result, lambda lock: self._names.place(lock, function))
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
        if not self._names.file.startswith("mm/"):  # the sanitizers allocate below kfree(), too
            self._allocations(function, met, actions)

    def _allocations(
        self, function: Function, met: AbstractSet[str], actions: dict[Action, int]
    ) -> None:
        """Add the calls that are handed a flag with which they may sleep."""
        for name in function.allocates.split():
            primitive = self._primitives.get(name)
            known = primitive is not None and primitive.role is not Role.OPAQUE
            keeps = "gfp" in name  # mapping_set_gfp_mask() and its kin: no allocation
            if not (known or keeps or name in met):
                sleep = Action(ALLOCATION, "alloc", "", "write", 0, name, "", False, "", True)
                actions.setdefault(sleep, len(actions))

    def _plain_action(self, primitive: Primitive, actions: dict[Action, int]) -> None:
        if self._is_excepted(primitive):
            return
        what = primitive.what or ("" if primitive.lock else "sleep")
        action = Action(
            primitive.object, what, primitive.lock, primitive.mode, 0, primitive.name, "", False,
            "", True,
        )  # fmt: skip
        actions.setdefault(action, len(actions))

    def _is_excepted(self, primitive: Primitive) -> bool:
        """Whether a call does not sleep in this file: by what it calls, or does not."""
        given = primitive.given
        if given and not any(name.endswith(given) for name in self._called_names):
            return True  # devm_pm_runtime_enable() enables, too
        return bool(primitive.unless) and primitive.unless in self._called_names

    @cached_property
    def _called_names(self) -> frozenset[str]:
        return frozenset(n for function in self._facts.functions for n in function.calls.split())

    def _uses(
        self,
        function: Function,
        points: Iterable[Point],
        calls: dict[Target, None],
        actions: dict[Action, int],
    ) -> Iterable[Use]:
        for point in points:
            primitive = self._primitives.get(point.name)
            new: dict[int, frozenset[str]] = {}  # actions, with what they give back meanwhile
            targets: tuple[Target, ...] = ()
            if primitive is not None:
                targets = self._run_by(point, primitive)
                calls.update(dict.fromkeys(targets))
                action = self._primitive(function, point, primitive)
                if action is not None:
                    new[actions.setdefault(action, len(actions))] = frozenset()
                if primitive.role is Role.OPAQUE and _may_sleep(point):
                    new[actions.setdefault(_sleep(point), len(actions))] = frozenset()
            if primitive is None or primitive.follow:
                self._registrations.called(function, point)
                for action, given in self._called(function, point):
                    new.setdefault(actions.setdefault(action, len(actions)), given)
                targets = (*targets, *self._targets(function, point))
                calls.update(dict.fromkeys(targets))
            held = self._held_over(function, point)
            released = tuple(
                place.cls
                for lock in point.released
                if (place := self._names.place(lock, function)[0]).cls
            )
            if not held and not released and not any(new.values()):
                continue
            for index, gone in new.items():
                left = tuple(taken for taken in held if taken.node not in gone)
                yield Use(
                    point.line, point.name, (), index, left, (*released, *sorted(gone)), point.args
                )
            # by what is held here; who hands over what to run is seen where that is done
            targets = (*targets, *self._handed_in(function, point))
            if targets:
                yield Use(point.line, point.name, targets, -1, held, released, point.args)

    def _held_over(self, function: Function, point: Point) -> tuple[Taken, ...]:
        """What is held while a call blocks: not what it gives back meanwhile."""
        effects = self._lookup(point.name) if point.held else None
        if effects is None:
            return tuple(self._taken(function, point.held))
        dropped, released = (
            {substitute(lock, point.args, function.locals) for lock in locks}
            for locks in (effects.drops, [effect.lock for effect in effects.releases])
        )
        held = (lock for lock in point.held if not (dropped | released).intersection(lock.kept))
        classes = {self._names.place(lock, function)[0].cls for lock in dropped}
        return tuple(t for t in self._taken(function, held) if t.node not in classes)

    def _run_by(self, point: Point, primitive: Primitive) -> tuple[Target, ...]:
        """What a call of the table runs before it returns: a function handed to it, members."""
        targets = self._members(primitive)
        if primitive.role is Role.CALL and 0 <= primitive.function < len(point.args):
            targets.extend(self._names.handler(point.args[primitive.function]))
        return tuple(targets)

    def _handed_in(self, function: Function, point: Point) -> Iterable[Target]:
        """What a function runs by calling one of its own parameters."""
        local = function.locals.get(point.name)
        if local is not None and local.param >= 0:
            yield OPS + argument_node(function, self._names.file, local.param)

    def _members(self, primitive: Primitive) -> list[Target]:
        """The members that a call of the table may run: of any table, or of this file's."""
        if not primitive.here:
            return [OPS + member for member in primitive.calls]
        return [
            number
            for entry in self._facts.initialisers
            if f"{entry.tag}.{entry.field}" in primitive.calls
            for number in self._names.functions(entry.value)
        ]

    def _taken(self, function: Function, held: Iterable[Held]) -> Iterable[Taken]:
        for lock in held:
            place, expression = self._names.place(lock.lock, function)
            # a member that the struct does not declare was named for an object of another type
            cls = (place.type and place.cls) or lock.cls or place.cls
            if cls:
                yield Taken(
                    cls, lock.kind, lock.mode, lock.line, lock.call, lock.irq, lock.nested,
                    lock.entry, place.param or expression, lock.unsure,
                )  # fmt: skip

    def _primitive(self, function: Function, point: Point, primitive: Primitive) -> Action | None:
        """The action of a primitive's call; notes registrations and queueings on the way."""
        if primitive.role in REGISTERING:
            self._registrations.note(function, point, primitive)
            return None
        if primitive.role is Role.SLEEP:
            return None if self._is_excepted(primitive) else _sleep(point)
        if not (primitive.acquires or primitive.role is Role.WAIT):
            return None
        place, expression = self._names.object(function, point, primitive)
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
        if primitive.acquires and place.type.endswith("*"):
            self._registrations.pointed_to(place.cls, function, point.line)
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

    def _called(self, function: Function, point: Point) -> Iterable[tuple[Action, frozenset[str]]]:
        """What a call does to an object it is handed, and whether its arguments let it sleep.

        Each with the classes of the caller's that are given back meanwhile.
        """
        if _may_sleep(point):
            yield _sleep(point), frozenset()
        effects = self._lookup(point.name)
        if effects is None:
            return
        for touch in effects.touches:
            expression = substitute(touch.lock, point.args, function.locals)
            if not expression:
                continue
            place, instance = self._names.place(expression, function)
            if place.cls:
                names = (substitute(lock, point.args, function.locals) for lock in touch.released)
                gone = {self._names.place(name, function)[0].cls for name in names if name}
                action = Action(
                    node_name(touch.what, place.cls), touch.what, touch.kind, touch.mode,
                    point.line, point.name, touch.irq, False, place.param or instance, True,
                )  # fmt: skip
                yield action, frozenset(gone - {""})

    def _composed(self, function: Function, point: Point) -> Iterable[Target]:
        """The members that the arguments of a macro say it calls."""
        effects = self._lookup(point.name)
        for run in effects.runs if effects is not None else ():
            owner = member(run, point.args, function, self._names.classifier)
            if owner:
                yield OPS + owner

    def _targets(self, function: Function, point: Point) -> tuple[Target, ...]:
        name = point.name
        targets: list[Target] = []
        if "->" in name or "." in name:
            root = re.match(r"\w+", name)
            local = function.locals.get(root[0]) if root else None
            kind = local.type if local is not None else ""
            owner = self._names.classifier.owner_of(name, function.locals, kind)
            if owner:
                targets.append(OPS + owner)
        else:
            targets.extend(self._names.callees(name))
            targets.extend(self._composed(function, point))
        if _CALLBACK_TAKER.search(name):
            for argument in point.args:
                if _SIMPLE.match(argument) and argument not in function.locals:
                    targets.extend(self._names.handler(argument))
        return tuple(targets)
