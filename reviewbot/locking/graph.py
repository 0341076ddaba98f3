# SPDX-License-Identifier: GPL-2.0-or-later
"""The lock graph of a tree: who calls whom, who blocks on what, who holds what meanwhile.

Everything is arrays of numbers, so a walk over the call graph of a whole kernel
is a few numpy gathers a level.  A graph is either that of a stored tree or that
tree with some files replaced (:class:`Graph` with an overlay): a patch touches a
handful of files, and the rest is shared and never walked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reviewbot.locking.rows import CONTEXT, Columns, Ids

FEW_CANDIDATES = 2
"""Functions behind one (struct, field) up to which each may be meant by any call."""
FEW_CALLERS = 3
"""Calls of one (struct, field) up to which all that stands in it is known to be called there."""
MAX_REACHED = 200_000
"""Callables after which a walk stops."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of int32 columns with an index on one of them.

    ``starts[k] … starts[k + 1]`` are the rows whose key column is *k*.
    """

    columns: tuple[Ids, ...]
    starts: NDArray[np.int64]

    @classmethod
    def build(cls, columns: Iterable[Ids], key: int, size: int) -> Table:
        """Sort the rows by column *key*, whose values are below *size*."""
        columns = tuple(columns)
        order = np.argsort(columns[key], kind="stable")
        counts = np.bincount(columns[key], minlength=size) if len(columns[key]) else np.zeros(size)
        starts = np.zeros(size + 1, np.int64)
        np.cumsum(counts[:size], out=starts[1:])
        return cls(tuple(np.ascontiguousarray(c[order], np.int32) for c in columns), starts)

    def rows(self, keys: Ids) -> tuple[Ids, ...]:
        """The columns of all rows whose key is in *keys*."""
        keys = keys[(keys >= 0) & (keys < len(self.starts) - 1)]
        begin = self.starts[keys]
        counts = self.starts[keys + 1] - begin
        total = int(counts.sum())
        if total == 0:
            return tuple(np.empty(0, np.int32) for _ in self.columns)
        offsets = np.repeat(begin - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
        index = offsets + np.arange(total)
        return tuple(column[index] for column in self.columns)


@dataclass(frozen=True, slots=True)
class Arrays:
    """A tree's graph.

    ``down``/``up``: (caller, callee, source), keyed by caller or callee; the row stands as
    long as the function *source* does, which is the caller or one of the table's file.
    ``actions``/``actors``: (function, node, flags), keyed by function or node.
    ``holds``/``held_into``: (node, function, target, flags), keyed by node or target; the
    target is a callable, or ``-1 - node`` for blocking on a node right there.
    ``releases``: (node, function, callee), keyed by node.
    """

    callables: int
    nodes: int
    place: Ids
    """Directory number of each callable, -1 for virtual ones."""
    down: Table
    up: Table
    actions: Table
    actors: Table
    holds: Table
    held_into: Table
    held_onto: Table
    """The holds that block on a node in the function itself, keyed by that node."""
    releases: Table


def build_arrays(rows: Columns, callables: int, nodes: int, place: Ids) -> Arrays:
    """Index collected rows; *place* gives the directory numbers of the first callables.

    Those behind them are virtual and stand nowhere.
    """
    caller, callee, source = rows.calls
    actions, holds = rows.actions, rows.holds
    into = holds[2] >= 0
    onto = tuple(column[~into] for column in holds)
    onto = (onto[0], onto[1], -1 - onto[2], onto[3])
    places = np.full(callables, -1, np.int32)
    places[: len(place)] = place
    return Arrays(
        callables,
        nodes,
        places,
        down=Table.build((caller, callee, source), 0, callables),
        up=Table.build((caller, callee, source), 1, callables),
        actions=Table.build(actions, 0, callables),
        actors=Table.build(actions, 1, nodes),
        holds=Table.build(holds, 0, nodes),
        held_into=Table.build(tuple(column[into] for column in holds), 2, callables),
        held_onto=Table.build(onto, 2, nodes),
        releases=Table.build(rows.releases, 0, nodes),
    )


@dataclass(frozen=True, slots=True)
class Reach:
    """Callables reached in a walk, nearest first, each with the step that led there."""

    hop: dict[int, int]
    """Callable to the neighbour it was reached from; a seed maps to itself."""
    distance: dict[int, int]

    def path(self, number: int) -> list[int]:
        """From *number* back to the seed."""
        out = [number]
        while self.hop[out[-1]] != out[-1]:
            out.append(self.hop[out[-1]])
        return out

    def ids(self) -> Ids:
        return np.fromiter(self.hop, np.int32, len(self.hop))


class Graph:
    """A stored tree's arrays, with an overlay for files that differ.

    *replaced* maps a function of the stored tree that stands in a changed file to
    its number in the overlay, or to -1 if it is gone.
    """

    def __init__(self, base: Arrays, extra: Arrays | None, replaced: Mapping[int, int]) -> None:
        self._base = base
        self._extra = extra
        self._replaced = dict(replaced)
        self._formerly: dict[int, list[int]] = {}
        for old, new in self._replaced.items():
            if new >= 0:
                self._formerly.setdefault(new, []).append(old)
        size = extra.callables if extra is not None else base.callables
        self._redirect: Ids = np.arange(size, dtype=np.int32)
        self._dead = np.zeros(size, bool)
        if self._replaced:
            old_ids = np.fromiter(self._replaced, np.int32, len(self._replaced))
            self._redirect[old_ids] = np.fromiter(
                self._replaced.values(), np.int32, len(self._replaced)
            )
            self._dead[old_ids] = True
        self.callables = size
        self._place: Ids = np.full(size, -1, np.int32)
        self._place[: base.callables] = base.place
        if extra is not None:
            own = extra.place
            self._place[base.callables :] = own[base.callables :]
        self._fan: Ids | None = None

    def place_of(self, number: int) -> int:
        """Directory number of a callable, -1 for a virtual one."""
        return int(self._place[number])

    def candidates_of(self, virtual: int) -> int:
        """How many functions a call through a struct may lead to."""
        if self._fan is None:
            self._fan = self._candidates()
        return int(self._fan[virtual])

    def is_wide(self, virtual: int) -> bool:
        """Whether that is more than can all be meant."""
        return self.candidates_of(virtual) > FEW_CANDIDATES

    def _wide(self, callers: Ids) -> NDArray[np.bool_]:
        """Which of *callers* are virtual with more candidates than can all be meant."""
        if self._fan is None:
            self._fan = self._candidates()
        return self._fan[callers] > FEW_CANDIDATES

    def _callers_of(self, numbers: Ids) -> Ids:
        """How many functions call each of *numbers*."""
        count = np.zeros(len(numbers), np.int64)
        for arrays in (self._base, self._extra):
            if arrays is not None:
                known = numbers < arrays.callables
                at = numbers[known]
                count[known] += arrays.up.starts[at + 1] - arrays.up.starts[at]
        return count.astype(np.int32)

    def _candidates(self) -> Ids:
        """How many functions stand behind each virtual callee; 0 for functions."""
        fan = np.zeros(self.callables, np.int64)
        fan[: self._base.callables] = np.diff(self._base.down.starts)
        gone = np.flatnonzero(self._dead)
        if len(gone):
            sources = self._base.down.columns[2]
            rows = np.flatnonzero(self._dead[sources])
            fan -= np.bincount(self._base.down.columns[0][rows], minlength=self.callables)
        if self._extra is not None:
            fan += np.diff(self._extra.down.starts)
        return np.where(self._place < 0, fan, 0).astype(np.int32)

    def callees(self, numbers: Ids) -> tuple[Ids, Ids]:
        """(caller, callee) pairs going down from *numbers*."""
        caller, callee, source = self._base.down.rows(numbers[~self._dead[numbers]])
        callee = self._redirect[callee]
        keep = (callee >= 0) & ~self._dead[source]
        caller, callee = caller[keep], callee[keep]
        if self._extra is not None:
            more = self._extra.down.rows(numbers)
            caller, callee = np.concatenate((caller, more[0])), np.concatenate((callee, more[1]))
        return caller, callee

    def callers(self, numbers: Ids) -> tuple[Ids, Ids]:
        """(caller, callee) pairs going up from *numbers*."""
        known = self._with_former(numbers)
        caller, callee, source = self._base.up.rows(known)
        keep = ~self._dead[source]
        caller, callee = caller[keep], self._redirect[callee[keep]]
        if self._extra is not None:
            more = self._extra.up.rows(numbers)
            caller, callee = np.concatenate((caller, more[0])), np.concatenate((callee, more[1]))
        return caller, callee

    def _with_former(self, numbers: Ids) -> Ids:
        """Living numbers, and the stored numbers that were redirected to them."""
        if not self._formerly:
            return numbers
        former = [old for n in numbers.tolist() for old in self._formerly.get(n, ())]
        return np.concatenate((numbers, np.array(former, np.int32))) if former else numbers

    def actions_of(self, numbers: Ids) -> tuple[Ids, Ids, Ids]:
        """(function, node, flags) of what *numbers* do themselves."""
        function, node, flags = self._base.actions.rows(numbers[~self._dead[numbers]])
        if self._extra is not None:
            more = self._extra.actions.rows(numbers)
            function, node, flags = (
                np.concatenate(pair) for pair in zip((function, node, flags), more, strict=True)
            )
        return function, node, flags

    def actors_on(self, node: int) -> tuple[Ids, Ids]:
        """(function, flags) of every function that takes or waits for *node* itself."""
        key = np.array([node], np.int32)
        function, _, flags = self._base.actors.rows(key)
        keep = ~self._dead[function]
        function, flags = function[keep], flags[keep]
        if self._extra is not None:
            more = self._extra.actors.rows(key)
            function, flags = np.concatenate((function, more[0])), np.concatenate((flags, more[2]))
        return function, flags

    def holds_of(self, node: int) -> tuple[Ids, Ids, Ids]:
        """(function, target, flags) of what happens while *node* is held."""
        key = np.array([node], np.int32)
        _, function, target, flags = self._living(self._base.holds.rows(key), target_column=2)
        if self._extra is not None:
            more = self._extra.holds.rows(key)
            function, target, flags = (
                np.concatenate(pair)
                for pair in zip((function, target, flags), more[1:], strict=True)
            )
        return np.maximum(function, CONTEXT), target, flags

    def held_into(self, numbers: Ids) -> tuple[Ids, Ids, Ids, Ids]:
        """(node, function, target, flags): calls of *numbers* with something held."""
        known = self._with_former(numbers)
        rows = self._living(self._base.held_into.rows(known), target_column=2)
        return self._joined(rows, "held_into", numbers)

    def held_onto(self, node: int) -> tuple[Ids, Ids, Ids, Ids]:
        """(node held, function, node, flags): functions that block on *node* holding something."""
        key = np.array([node], np.int32)
        rows = self._living(self._base.held_onto.rows(key), target_column=None)
        return self._joined(rows, "held_onto", key)

    def _joined(self, rows: tuple[Ids, ...], table: str, keys: Ids) -> tuple[Ids, Ids, Ids, Ids]:
        if self._extra is not None:
            more = getattr(self._extra, table).rows(keys)
            rows = tuple(np.concatenate(pair) for pair in zip(rows, more, strict=True))
        node, function, target, flags = rows
        return node, np.maximum(function, CONTEXT), target, flags

    def _living(self, rows: tuple[Ids, ...], target_column: int | None) -> tuple[Ids, ...]:
        """Rows whose function still stands, with targets redirected."""
        function = rows[1]
        keep = ~self._dead[np.where(function < 0, -2 - function, function)]
        if target_column is not None:
            target = rows[target_column]
            redirected = np.where(target >= 0, self._redirect[np.maximum(target, 0)], target)
            gone = (target >= 0) & (redirected < 0)
            keep &= ~gone
            rows = (*rows[:target_column], redirected, *rows[target_column + 1 :])
        return tuple(column[keep] for column in rows)

    def released_at(self, node: int) -> frozenset[tuple[int, int]]:
        """(function, callee) pairs where *node*, held by a caller, is released meanwhile.

        Instead of a callee it may be ``-1 - n``: the function blocks on node n itself.
        """
        key = np.array([node], np.int32)
        _, function, callee = self._base.releases.rows(key)
        keep = ~self._dead[function]
        onto = np.where(callee >= 0, self._redirect[np.maximum(callee, 0)], callee)
        pairs = set(zip(function[keep].tolist(), onto[keep].tolist(), strict=True))
        if self._extra is not None:
            _, function, callee = self._extra.releases.rows(key)
            pairs.update(zip(function.tolist(), callee.tolist(), strict=True))
        return frozenset(pairs)

    def reach_down(
        self,
        seeds: Iterable[int],
        depth: int,
        home: Ids,
        barred: frozenset[tuple[int, int]] = frozenset(),
    ) -> Reach:
        """Callables that *seeds* may run, within *depth* calls, none of them a *barred* one.

        A call through a struct with many candidates is followed only to those in one
        of the directories *home*: the others belong to somebody else's objects.
        """
        return self._reach(seeds, depth, home, down=True, barred=barred)

    def reach_up(self, seeds: Iterable[int], depth: int, home: Ids) -> Reach:
        """Callables that may run one of *seeds*, within *depth* calls.

        What stands in a table is run by who calls through it, where that is said in
        few places; otherwise *home* decides as in :meth:`reach_down`.
        """
        return self._reach(seeds, depth, home, down=False)

    def _reach(
        self,
        seeds: Iterable[int],
        depth: int,
        home: Ids,
        down: bool,
        barred: frozenset[tuple[int, int]] = frozenset(),
    ) -> Reach:
        hop = {int(seed): int(seed) for seed in seeds}
        distance = dict.fromkeys(hop, 0)
        frontier = np.fromiter(hop, np.int32, len(hop))
        seen = np.zeros(self.callables, bool)
        seen[frontier] = True
        for level in range(1, depth + 1):
            found: list[Ids] = []
            while len(frontier) and len(hop) < MAX_REACHED:
                origin, frontier = self._spread(frontier, seen, home, down, barred)
                for number, source in zip(frontier.tolist(), origin.tolist(), strict=True):
                    hop[number] = source
                    distance[number] = level
                found.append(frontier)
                frontier = frontier[self._place[frontier] < 0]  # a struct's member is no call
            if not found:
                break
            frontier = np.concatenate(found)
            frontier = frontier[self._place[frontier] >= 0]
        return Reach(hop, distance)

    def _spread(
        self,
        frontier: Ids,
        seen: NDArray[np.bool_],
        home: Ids,
        down: bool,
        barred: frozenset[tuple[int, int]],
    ) -> tuple[Ids, Ids]:
        """(origin, neighbour) one step from *frontier*, each neighbour once; marks them *seen*."""
        caller, callee = self.callees(frontier) if down else self.callers(frontier)
        origin, found = (caller, callee) if down else (callee, caller)
        meant = ~self._wide(caller) | np.isin(self._place[callee], home)
        meant |= (self._place[caller] < 0) & (self._place[callee] < 0)  # set from another member
        if not down:
            meant |= self._callers_of(caller) <= FEW_CALLERS
        for one, other in barred:
            meant &= (caller != one) | (callee != other)
        fresh = ~seen[found] & meant
        found, first = np.unique(found[fresh], return_index=True)
        seen[found] = True
        return origin[fresh][first], found


def rows_of(*columns: Ids) -> Iterator[tuple[int, ...]]:
    """Rows of parallel columns as Python integers."""
    return zip(*(column.tolist() for column in columns), strict=True)
