# SPDX-License-Identifier: GPL-2.0-or-later
"""Link a whole tree: names first, then lock wrappers in rounds, then the graph.

The work on files is done in other processes (:mod:`reviewbot.locking.chunks`); what is
left to this one is numbering and writing.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from reviewbot.kernel.objects import ObjectStore
from reviewbot.locking import store as store_module
from reviewbot.locking.cache import FactsCache
from reviewbot.locking.chunks import (
    LOCAL,
    Linked,
    Summarized,
    Task,
    Worker,
    fed,
    likely_summaries,
    links,
    set_up,
    summaries,
    work_here,
)
from reviewbot.locking.effects import Effects
from reviewbot.locking.facts import called_as
from reviewbot.locking.graph import build_arrays
from reviewbot.locking.index import (
    CHUNK,
    Progress,
    Settings,
    fan_out,
    name_key,
    quiet,
    read_heads,
    sources,
)
from reviewbot.locking.linked import Queue, Queueing, Registration
from reviewbot.locking.places import directory_of
from reviewbot.locking.primitives import definer_types
from reviewbot.locking.rows import Columns, Ids, Numbering, Rows, columns_of, concatenate
from reviewbot.locking.store import Content, FileEntry, Store, StoreError
from reviewbot.locking.symbols import FunctionRef, MemorySymbols, is_shared
from reviewbot.locking.wrappers import ROUNDS, function_refs, is_likely, wrapper_names

R = TypeVar("R")
_KEEP_STORES = 3


def open_store(
    objects: ObjectStore, tree: str, settings: Settings, progress: Progress = quiet
) -> Store:
    """The stored graph of *tree*, built if it is not there or not whole."""
    place = settings.store_path(tree)
    try:
        return Store(place)
    except StoreError:
        build_store(objects, tree, settings, progress)
        return Store(place)


def build_store(
    objects: ObjectStore, tree: str, settings: Settings, progress: Progress = quiet
) -> None:
    """Link a whole tree and write its store."""
    with without_collector():
        _Build(objects, tree, sources(objects, tree), settings, progress).run()
    store_module.prune(settings.cache / "trees", _KEEP_STORES)


@contextmanager
def without_collector() -> Iterator[None]:
    """No cyclic garbage collection, where a great many objects are made and none in a cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Build:
    """One tree being linked."""

    def __init__(
        self,
        objects: ObjectStore,
        tree: str,
        files: Mapping[str, str],
        settings: Settings,
        progress: Progress,
    ) -> None:
        self._objects = objects
        self._tree = tree
        self._settings = settings
        self._progress = progress
        self._symbols = MemorySymbols()
        self._entries: list[FileEntry] = []
        self._blobs = dict(sorted(files.items()))
        self._refs: list[FunctionRef] = []
        """By number."""
        self._ends: dict[int, int] = {}
        self._callees = Callees()
        self._walks: dict[int, bytes] = {}
        self._stale: frozenset[str] = frozenset()
        self._wrappers: frozenset[str] = frozenset()
        self._likely: set[int] = set()
        """Numbers of the files with functions that look like wrappers."""
        self._shared: list[tuple[str, int]] = []
        """(name, number of its file) of the functions that other files can call."""

    def run(self) -> None:
        self._declare()
        self._find_wrappers()
        self._link()

    def _declare(self) -> None:
        """Number the functions and take in every declaration."""
        definers = definer_types(self._settings.primitives)
        number = 0
        blobs = list(self._blobs.values())
        read = read_heads(self._objects, blobs, self._settings, self._progress)
        for path, (blob, head, called) in zip(self._blobs, read, strict=True):
            entry = FileEntry(path, blob, number, len(head.functions))
            place = len(self._entries)
            self._entries.append(entry)
            if any(is_likely(path, function.name) for function in head.functions):
                self._likely.add(place)
            self._callees.add(called)
            self._symbols.add_declarations(path, head, definers)
            for ref, end in function_refs(path, head, number):
                self._symbols.add_function(ref)
                self._refs.append(ref)
                if is_shared(ref):
                    self._shared.append((ref.name, place))
                self._ends[ref.id] = end
            number += entry.count
        self._callees.index()

    def _tasks(self, numbers: Iterable[int], names: frozenset[str] | None = None) -> list[Task]:
        """Files in chunks; with *names*, only functions that call one of these are meant."""
        entries = [self._entries[number] for number in sorted(numbers)]
        # the files of one directory go to several workers: some have most of the locks
        count = max(1, -(-len(entries) // CHUNK))
        return [Task(tuple(entries[n::count]), names) for n in range(count) if entries]

    def _find_wrappers(self) -> None:
        """Summaries of all functions, callees before callers as far as that is cheap to say.

        First come the functions that look like wrappers, then the files that others call;
        when the rest is walked, it is known what its callees do, and little is walked again.
        """
        everything = frozenset(range(len(self._entries)))
        called = self._callees.called(self._shared)
        self._summarize("finding lock wrappers", self._likely, self._likely, likely=True)
        self._summarize("walking what others call", called, called)
        self._summarize("walking the rest", everything - called, everything)

    def _summarize(
        self, stage: str, first: AbstractSet[int], among: AbstractSet[int], likely: bool = False
    ) -> None:
        """Summaries of the files *first*, then in rounds of the callers *among* what has changed.

        A wrapper of a wrapper takes one more round.
        """
        self._stale = frozenset()
        tasks = self._tasks(first)
        for round_ in range(ROUNDS):
            updates: dict[int, Effects | None] = {}
            work = likely_summaries if likely else summaries
            for packed in self._map(work, tasks, f"{stage} {round_ + 1}"):
                part = msgspec.msgpack.decode(packed, type=Summarized)
                updates.update(part.effects)
                self._walks.update(part.walks)
                for number in part.gone:
                    self._walks.pop(number, None)
            new = self._apply(updates)
            wrappers = wrapper_names(new) - self._table
            changed = wrappers | {ref.name for ref in new if is_shared(ref)} - self._table
            if not changed:
                return
            self._feed(wrappers - self._wrappers)
            self._wrappers |= wrappers
            tasks = self._tasks(among & frozenset(self._callees.files(changed)), changed)
        self._stale = frozenset(map(called_as, changed))

    @property
    def _table(self) -> frozenset[str]:
        """What the kernel's own locking calls do is in the table, not in their bodies."""
        return self._settings.primitives.names

    def _apply(self, updates: Mapping[int, Effects | None]) -> list[FunctionRef]:
        """Take in new summaries; the functions that have changed."""
        new = [
            msgspec.structs.replace(self._refs[number], effects=effects)
            for number, effects in sorted(updates.items(), key=itemgetter(0))
            if effects != self._refs[number].effects
        ]
        self._symbols.replace_functions(new)
        for ref in new:
            self._refs[ref.id] = ref
        return new

    def _feed(self, wrappers: frozenset[str]) -> None:
        """Get the flows of functions that call a wrapper and were read without one."""
        if not wrappers:
            return
        tasks = self._tasks(self._callees.files(wrappers), wrappers)
        with FactsCache(self._settings.facts_path) as cache:
            for made in self._map(fed, tasks, "reading callers of wrappers"):
                cache.put(made)

    def _map(self, work: Callable[[Task], R], tasks: list[Task], stage: str) -> Iterator[R]:
        """Run *work* over *tasks* in processes that see what is known by now."""
        self._progress(stage, 0, len(tasks))
        worker = Worker(
            self._objects.git_dir, self._symbols, self._settings, self._walks, self._stale
        )
        if len(tasks) > 1:
            results = fan_out(self._settings, work, tasks, set_up, worker)
        else:
            results = work_here(work, tasks, worker)
        for done, result in enumerate(results, 1):
            self._progress(stage, done, len(tasks))
            yield result

    def _link(self) -> None:
        numbering = Numbering(sum(entry.count for entry in self._entries), 0, {}, {})
        parts: list[_Arrays] = []
        details: dict[int, bytes] = {}
        registrations: list[Registration] = []
        queueings: list[tuple[Queueing, str]] = []
        queues: list[tuple[Queue, str]] = []
        undefined: list[tuple[str, str]] = []
        locks = unknown = 0
        for packed in self._map(links, self._tasks(range(len(self._entries))), "linking"):
            part = msgspec.msgpack.decode(packed, type=Linked)
            parts.append(_Arrays.of(part, numbering))
            details.update(part.details)
            registrations.extend(part.registrations)
            queueings.extend(part.queueings)
            queues.extend(part.queues)
            locks += part.locks
            unknown += part.unknown
            undefined.extend(part.undefined)
        columns = concatenate([part.columns for part in parts] or [columns_of(Rows())])
        directories: dict[str, int] = {}
        place = np.fromiter(
            (
                directories.setdefault(directory_of(entry.path), len(directories))
                for entry in self._entries
                for _ in range(entry.count)
            ),
            np.int32,
        )
        arrays = build_arrays(columns, numbering.callables, numbering.nodes, place)
        content = Content(
            files=tuple(self._entries),
            symbols=self._symbols,
            details=details,
            ends=self._ends,
            callables=numbering.new,
            nodes=numbering.new_nodes,
            registrations=tuple(registrations),
            queueings=tuple(queueings),
            queues=tuple(queues),
            undefined=tuple(undefined),
            arrays=arrays,
            directories=directories,
            wrappers=wrapper_names(self._refs) - self._table,
        )
        about = {"tree": self._tree, "locks": locks, "unknown": unknown}
        store_module.write(self._settings.store_path(self._tree), content, about)


class Callees:
    """Which files call a name: pairs of a name's key and a file's number, sorted."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.uint32]] = []
        self._keys = np.empty(0, np.uint32)
        self._files = np.empty(0, np.int64)

    def add(self, keys: NDArray[np.uint32]) -> None:
        """Take in the names that the next file calls."""
        self._parts.append(keys)

    def index(self) -> None:
        """Make what was added searchable."""
        lengths = [len(part) for part in self._parts]
        keys = np.concatenate(self._parts or [self._keys])
        order = np.argsort(keys, kind="stable")
        self._keys, self._files = keys[order], np.repeat(np.arange(len(lengths)), lengths)[order]
        self._parts = []

    def called(self, functions: Sequence[tuple[str, int]]) -> frozenset[int]:
        """Numbers of the files with one of *functions* (name, file) that another file calls."""
        keys = np.fromiter((name_key(called_as(name)) for name, _ in functions), np.uint32)
        own = np.fromiter((file for _, file in functions), np.int64)
        first = np.searchsorted(self._keys, keys, "left")
        calls = np.searchsorted(self._keys, keys, "right") - first
        once = calls == 1
        calls[once] -= self._files[first[once]] == own[once]
        return frozenset(own[calls > 0].tolist())

    def files(self, names: Iterable[str]) -> list[int]:
        """Numbers of the files that call one of *names*, in order; a few more may be among them."""
        keys = np.unique(np.fromiter((name_key(called_as(name)) for name in names), np.uint32))
        first = np.searchsorted(self._keys, keys, "left")
        last = np.searchsorted(self._keys, keys, "right")
        found = [self._files[a:b] for a, b in zip(first, last, strict=True)]
        numbers: list[int] = np.unique(np.concatenate([*found, self._files[:0]])).tolist()
        return numbers


@dataclass(frozen=True, slots=True)
class _Arrays:
    """A chunk's rows with the tree's numbers."""

    columns: Columns

    @classmethod
    def of(cls, part: Linked, numbering: Numbering) -> _Arrays:
        callables = np.array([numbering.callable(name) for name in part.callables], np.int32)
        nodes = np.array([numbering.node(name) for name in part.nodes], np.int32)

        def callable_(column: Ids) -> Ids:
            local = column >= LOCAL
            column[local] = callables[column[local] - LOCAL]
            return column

        calls = _unpack(part.calls, 3)
        actions = _unpack(part.actions, 3)
        holds = _unpack(part.holds, 4)
        releases = _unpack(part.releases, 3)

        def onto(column: Ids) -> Ids:
            own = column < 0
            column[own] = -1 - nodes[-1 - column[own]]
            return column

        return cls(
            Columns(
                calls=(callable_(calls[0]), callable_(calls[1]), calls[2]),
                actions=(actions[0], nodes[actions[1]], actions[2]),
                holds=(nodes[holds[0]], holds[1], callable_(onto(holds[2])), holds[3]),
                releases=(nodes[releases[0]], releases[1], callable_(onto(releases[2]))),
            )
        )


def _unpack(data: bytes, width: int) -> tuple[Ids, ...]:
    table = np.frombuffer(data, np.int32).reshape(width, -1)
    return tuple(np.array(column) for column in table)
