# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether two edges that close a cycle are a hazard, or only look like one.

Each question here is a way in which lock classes say more than locks do: two may be one,
know no order, be read by both sides, or be taken by one function that takes either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations, pairwise

from reviewbot.locking import frameworks
from reviewbot.locking.instances import is_pointed_to, named_at
from reviewbot.locking.legs import Leg
from reviewbot.locking.linked import OPS, POINTER
from reviewbot.locking.places import directory_of, machine_of, related
from reviewbot.locking.primitives import BIT, FREEZE, LOCAL, SIGNALS, builtin
from reviewbot.locking.rows import BLOCKS, CONTEXT, READ
from reviewbot.locking.ways import Ways

FILES = frozenset({"debugfs", "proc", "sysfs"})
COMPLETION = "completion"
_NOTIFIER = f"{OPS}struct notifier_block.notifier_call"
_MEMBERS = re.compile(r"(?:->|\.)\w+")
_FAIR = frozenset({"rwsem", "percpu-rwsem"})
"""Kinds of lock whose readers wait for a writer that waits."""


@dataclass(slots=True)
class Beliefs(Ways):
    """Ways of one tree, with what is to be thought of two that lead round."""

    def believed(self, leg: Leg, closing: Leg, readers: str) -> bool:
        """Whether two edges that close a cycle are a hazard."""
        if self.what_of(closing) == "rcu-gp" or self._part(leg, closing):
            return False
        waits = {leg.target.partition(" ")[0], closing.target.partition(" ")[0]}
        weak = bool(readers) or COMPLETION in waits
        if weak and self.cost(leg) + self.cost(closing) > self.limits.weak:
            return False
        if not self.limits.asked and (
            self._may_be_one(leg, closing) or self._one_of_many(leg) or self._one_of_many(closing)
        ):
            return False
        return self.ordered(leg, closing) and self.told(leg, closing)

    def possible(self, *legs: Leg) -> bool:
        """Whether all of some legs may be of one kernel, and of the same objects."""
        return (
            self._one_machine(*legs)
            and not any(map(self._handed_in, legs))
            and not any(map(self._strays, legs))
        )

    def _strays(self, leg: Leg) -> bool:
        """Whether a leg goes through a call that is for objects of somebody else.

        Who asks a framework for something does so of an object of his own, and its table
        is his, or one of those that stand beside the framework: a driver that closes its
        socket does not close one of another protocol's.  A driver with a table of its own
        does not mean that of its neighbours in the directory, nor one with a directory of
        its own those in the directory above.  A core that hands on whatever it is given is
        in no driver's directory; but which chain a notifier is on only its own file knows.
        """
        file = self.spot(leg.holder)[0]
        home = directory_of(file)
        way = [leg.holder, *leg.calls]
        for caller, member, callee in zip(way, way[1:], way[2:], strict=False):
            if self.view.function(member) is not None or not self.view.graph.is_wide(member):
                continue
            same = self.spot(callee)[0] == file
            if self.view.callable_name(member) == _NOTIFIER and not same:
                return True
            if same or home.count("/") < 1:
                continue
            framework, found = (directory_of(self.spot(n)[0]) for n in (caller, callee))
            if not any(related(*pair) for pair in combinations((home, framework, found), 2)):
                return True
            tables = {ref.file for ref in self.view.called_by(member)}
            if found == directory_of(home) and home in map(directory_of, tables):
                return True
            asks = self.spot(caller)[0] != file  # a file that calls members is a core itself
            if found == home and asks and file in tables:
                return True
        return False

    def _handed_in(self, leg: Leg) -> bool:
        """Whether a leg starts with a call of what its function was handed.

        The lists that a walker is for share the class of a lock, and each user hands in
        what suits his own: believed if somebody speaks of it.
        """
        first = self.view.callable_name(leg.path[0]) if leg.path else ""
        return not self.limits.asked and first.startswith(f"{OPS}argument ")

    def _one_machine(self, *legs: Leg) -> bool:
        """Whether a kernel can have all the functions of some legs: it is for one architecture."""
        numbers = {n for leg in legs for n in (leg.function, *leg.path) if n >= 0}
        refs = map(self.view.function, numbers)
        return len({machine_of(ref.file) for ref in refs if ref is not None} - {""}) <= 1

    def _may_be_one(self, leg: Leg, closing: Leg) -> bool:
        """Whether one of two locks of a kind is only pointed to: it may be the other."""
        if self.kind_of(leg) != self.kind_of(closing):
            return False
        files = {self.spot(way.holder)[0] for way in (leg, closing)}
        return any(
            self.view.registrations(f"{POINTER} {pointer}")
            and is_pointed_to(self.view, other, files)
            for pointer, other in ((leg.held, leg.target), (leg.target, leg.held))
        )

    def _one_of_many(self, leg: Leg) -> bool:
        """Whether what a framework holds around a callback is one lock of many of its class."""
        if leg.function != CONTEXT:
            return False
        members = (r.what for r in self.view.registered(leg.path[0]) if r.node == leg.held)
        found = (frameworks.builtin().of(what.removeprefix(OPS)) for what in members)
        return any(entry.many == leg.held for entries in found for entry in entries)

    def _part(self, leg: Leg, closing: Leg) -> bool:
        """Whether both legs go through one function and part there.

        It takes one lock or the other by the kind of what it is given, and who holds one
        of them calls it with that kind: else it would lock itself out.
        """
        if (
            self.what_of(leg)
            or self.what_of(closing)
            or CONTEXT in (leg.function, closing.function)
        ):
            return False
        return any(
            mine == other and after != behind
            for mine, after in pairwise((*leg.path, -1))
            for other, behind in pairwise((*closing.path, -1))
        )

    def told(self, leg: Leg, closing: Leg) -> bool:
        """Whether an order between kinds of lock that know none is broken.

        Semaphores are signals as often as locks, wound/wait mutexes back off, and nobody
        waits for the lock of another processor.  Folios of all file systems are of one class,
        and so is what keeps these from being frozen: an order with one is believed only in
        one subsystem, and if somebody speaks of it.
        """
        between = {self.kind_of(leg), self.kind_of(closing)}
        if LOCAL in between:
            return False
        if not between.isdisjoint({BIT, FREEZE}):
            places = (directory_of(self.spot(way.holder)[0]) for way in (leg, closing))
            if not self.limits.asked or not related(*places):
                return False
        return len(between) > 1 or between.isdisjoint(SIGNALS | {"ww-mutex"})

    def ordered(self, leg: Leg, closing: Leg) -> bool:
        """Whether the classes of a cycle have an order that it can break.

        Those lockdep is told not to validate, the driver core's lock of every device
        first of all, count only where one driver waits for what itself does elsewhere; or
        takes what itself holds elsewhere, if somebody speaks of such things.
        """
        nodes = (leg.held, leg.target)
        unordered = [n for n in nodes if self.view.registrations(f"unordered {n}")]
        if not unordered:
            return True
        if not (self.what_of(leg) or self.what_of(closing)):
            return self.limits.asked and all(self._is_alike(n, leg, closing) for n in unordered)
        if any(self._meets_another(way) for way in (leg, closing)):
            return False
        one, other = (self.spot(way.holder)[0] for way in (leg, closing))
        files = any(node.partition(" ")[0] in FILES for node in (leg.held, leg.target))
        if files and any(way.function == CONTEXT and self.is_lock(way) for way in (leg, closing)):
            return one == other  # a framework has files of its own for each driver's device
        return related(directory_of(one), directory_of(other))

    def _is_alike(self, node: str, leg: Leg, closing: Leg) -> bool:
        """Whether one file both holds *node* and takes it, as a member of the same struct."""
        held, taking = (leg, closing) if leg.held == node else (closing, leg)
        if self._meets_another(held) or self._meets_another(taking):
            return False
        taken, action = self.taken(held), self.action(taking)
        if taken is None or action is None:
            return False
        taker, name = named_at(self.view, taking, action.instance)
        if self.spot(taker)[0] != self.spot(held.holder)[0]:
            return False
        path, other = (_MEMBERS.findall(instance) for instance in (taken.instance, name))
        return path == other and len(path) > 1

    def _meets_another(self, leg: Leg) -> bool:
        """Whether a leg goes through adding or removing an object: a child, not what is held."""
        entries = (builtin().get(self.view.callable_name(number)) for number in leg.path)
        return any(entry is not None and entry.follow for entry in entries)

    def shared(self, leg: Leg, held: int, target: int) -> str:
        """The one lock of an edge that is taken for reading, if its readers queue behind writers.

        lockdep takes that for a cycle (Documentation/locking/lockdep-design.rst, "non-recursive
        reader"); both locks of it read is more than two tasks and a writer can bring about.
        """
        if bool(held & READ) == bool(target & READ) or not self.limits.asked:
            return ""
        taken = self.taken(leg)
        if taken is None:
            return ""
        name, kind = (leg.held, taken.kind) if held & READ else (leg.target, self.kind_of(leg))
        return name if self._is_fair(name, kind) else ""

    def queue_of_readers(self, leg: Leg) -> str:
        """The lock of a leg that reads what it reads already, if a writer may wait in between."""
        asked = self.limits.asked
        return leg.held if asked and self._is_fair(leg.held, self.kind_of(leg)) else ""

    def _is_fair(self, name: str, kind: str) -> bool:
        """Whether a lock has writers, and its readers queue behind them."""
        if kind == FREEZE:
            return True  # freeze_super(), which takes them by number
        node = self.view.node(name)
        if kind not in _FAIR or node is None:
            return False
        flags = self.view.graph.actors_on(node)[1]
        return bool((((flags & BLOCKS) != 0) & ((flags & READ) == 0)).any())

    def kind_of(self, leg: Leg) -> str:
        """The kind of lock that a leg takes; empty for a wait."""
        action = self.action(leg)
        return action.kind if action is not None else ""
