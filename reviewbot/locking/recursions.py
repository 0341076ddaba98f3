# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a lock that is taken while one of its class is held is that very lock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from reviewbot.locking.beliefs import Beliefs
from reviewbot.locking.instances import other_object, points_to, runs_members, same_object
from reviewbot.locking.legs import Leg
from reviewbot.locking.linked import OPS, POINTER
from reviewbot.locking.places import directory_of, related
from reviewbot.locking.primitives import LOCAL, SIGNALS, builtin
from reviewbot.locking.rows import CONTEXT, NESTED, READ
from reviewbot.locking.symbols import FunctionRef

MAX_NEAR = 6
"""Cost of plain calls after which a lock of the same class may well be another."""
_OWNED = frozenset({"drivers/clk/clk.c:prepare_lock", "drivers/clk/clk.c:enable_lock"})
"""Locks that their owner may take again: clk_prepare_lock() and clk_enable_lock() ask."""
_FAULT = f"{OPS}struct vm_operations_struct."
_ASKS_WHO = re.compile(r"[!=]=\s*current(?:_work\(\))?(?!\w|->)|\bcurrent(?:_work\(\))?\s*[!=]=")
"""linux/workqueue.h: current_work(); the thread itself is ``current``."""


@dataclass(slots=True)
class Recursions(Beliefs):
    """Ways of one tree that lead from a lock to itself."""

    def taken_again(self, leg: Leg, held: int, target: int) -> bool:
        """Whether the lock that a leg takes is the one it holds, and not only read both times."""
        return (
            (not held & target & READ or bool(self.queue_of_readers(leg)))
            and not (held | target) & NESTED
            and self.kind_of(leg) not in SIGNALS | {LOCAL}
            and leg.held not in _OWNED
            and not self._only_regains(leg)
            and not self._comes_round(leg)
            and (
                self._comes_by(leg)
                or self._comes_back(leg)
                or self._comes_near(leg)
                or self._asks_its_framework(leg)
            )
        )

    def points_back(self, leg: Leg) -> bool:
        """Whether a leg ends in a pointer that its own file sets to the lock it holds."""
        taken = self.taken(leg)
        return (
            self.limits.asked
            and taken is not None
            and taken.kind == self.kind_of(leg)
            and not taken.nested
            and self.cost(leg) <= self.limits.cycle
            and bool(self.view.registrations(f"{POINTER} {leg.target}"))
            and points_to(self.view, leg.target, leg.held, self.spot(leg.holder)[0])
        )

    def asks_who_runs(self, leg: Leg) -> bool:
        """Whether a function on the way asks if it is the handler itself that would wait for it."""
        return any(_ASKS_WHO.search(self.view.text_of(number)) is not None for number in leg.path)

    def _only_regains(self, leg: Leg) -> bool:
        """Whether a leg ends in a wait that gives the lock back, and then takes it again."""
        action = self.action(leg)
        primitive = builtin().get(action.call) if action is not None else None
        return primitive is not None and primitive.drops >= 0

    def _comes_round(self, leg: Leg) -> bool:
        """Whether it is one call that takes the lock twice, the second time round a loop.

        Such loops remember that they hold it, in ways that are not all understood.
        """
        taken, action = self.taken(leg), self.action(leg)
        if leg.path or taken is None or action is None:
            return False
        if taken.line != action.line:
            return False
        text = self.view.lines(self.spot(leg.function)[0])[action.line - 1]
        return text.count(f"{action.call}(") <= 1

    def _comes_by(self, leg: Leg) -> bool:
        """Whether plain calls come to take the very lock that is held."""
        return (
            not self.through_ops(leg)
            and self.cost(leg) <= self.limits.cycle
            and same_object(self.view, leg)
        )

    def _comes_back(self, leg: Leg) -> bool:
        """Whether a call that runs a member comes back to the file that holds the lock.

        What a driver asks of its framework under its own lock, and its callback takes
        that lock: the same one, unless the driver handles two objects at once; to its
        directory, or by an inline of its header, if somebody speaks of such things.  A
        lock that is a variable is the same wherever a callback of its own file takes it;
        another file's callback that calls back into this one would lock up on its first run,
        so that takes somebody who speaks of it.  A fault on user memory comes back to the
        file system whose file is mapped there.  A function that comes back to itself asks
        the next object in a row, as a video pipeline is started: else there were no end to it.
        """
        variable = not leg.held.startswith("struct ")
        way = (leg.holder, *leg.calls)
        if not variable and len(set(way)) < len(way):
            return False
        if (leg.function < 0 and not variable) or self.cost(leg) > self.limits.back:
            return False
        actor = self.view.function(leg.path[-1]) if leg.path else None
        if actor is None or not self._runs_back(leg):
            return False
        home = self.spot(leg.holder)[0]
        if any(self.view.callable_name(number).startswith(_FAULT) for number in leg.path):
            return related(directory_of(actor.file), directory_of(home))
        called = self._called_back(leg)
        if not self.limits.asked:
            return home == (called.file if called and variable else actor.file)
        by_another = called is not None and (variable or actor.file.endswith(".h"))
        files = (actor.file, called.file) if called and by_another else (actor.file,)
        return directory_of(home) in map(directory_of, files)

    def _runs_back(self, leg: Leg) -> bool:
        """Whether a leg goes through a member, be it one of the tables that a primitive runs."""
        return self.through_ops(leg) or (self.limits.asked and runs_members(self.view, leg))

    def _asks_its_framework(self, leg: Leg) -> bool:
        """Whether a callback calls into the framework that runs it, for the lock it is run under.

        The framework's own functions are not for its callbacks; of another object they
        may be, so this is believed only if somebody speaks of such things.
        """
        if not self.limits.asked or leg.function != CONTEXT:
            return False
        actor = self.view.function(leg.path[-1])
        if actor is None or self.cost(leg) > self.limits.interrupt or self._meets_another(leg):
            return False
        members = {r.what for r in self.view.registered(leg.path[0]) if r.node == leg.held}
        numbers = (self.view.callable_number(member) for member in members)
        callers = (ref for n in numbers if n is not None for ref in self.view.callers_of(n))
        framework = {directory_of(ref.file) for ref in callers}
        own = directory_of(self.spot(leg.holder)[0])
        return directory_of(actor.file) in framework - {own} and self._belongs(leg.held, framework)

    def _belongs(self, lock: str, directories: set[str]) -> bool:
        """Whether a lock is mostly taken in some directories: it is theirs, and not only used."""
        node = self.view.node(lock)
        if node is None:
            return False
        takers = {self.spot(actor)[0] for actor in self.view.graph.actors_on(node)[0].tolist()}
        own = {file for file in takers if directory_of(file) in directories}
        return 2 * len(own) >= len({file for file in takers if not file.endswith(".h")})

    def _comes_near(self, leg: Leg) -> bool:
        """Whether plain calls close by come to take the lock, maybe of another object.

        How a function finds the object that its caller has is not always to be followed;
        of locks that nobody nests this is believed if somebody speaks of such things.
        """
        node = self.view.node(leg.held)
        if not self.limits.asked or node is None or leg.function < 0 or not leg.path:
            return False
        if self.through_ops(leg) or self.cost(leg) > MAX_NEAR:
            return False
        home = directory_of(self.spot(leg.holder)[0])
        if any(directory_of(self.spot(number)[0]) != home for number in leg.path):
            return False
        nested = (self.view.graph.actors_on(node)[1] & NESTED).any()
        return not nested and not other_object(self.view, leg)

    def _called_back(self, leg: Leg) -> FunctionRef | None:
        """What the last call through a struct on a leg runs."""
        refs = list(map(self.view.function, leg.path))
        return next((ref for before, ref in reversed([*pairwise(refs)]) if before is None), None)
