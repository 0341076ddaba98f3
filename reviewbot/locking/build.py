# SPDX-License-Identifier: GPL-2.0-or-later
"""Link a whole tree: names first, then lock wrappers in rounds, then the graph.

The work on files runs in processes that inherit the tables by fork, so memory does
not grow with their number.  They answer in arrays and packed bytes; what is left
to this process is numbering and writing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from reviewbot.kernel.objects import ObjectStore
from reviewbot.locking import store as store_module
from reviewbot.locking.cache import FactsCache, pack
from reviewbot.locking.facts import FileFacts, lacks_flow, read_facts
from reviewbot.locking.flow import Effects
from reviewbot.locking.graph import (
    Columns,
    Ids,
    Numbering,
    Rows,
    build_arrays,
    collect_file,
    columns_of,
    concatenate,
)
from reviewbot.locking.index import (
    CHUNK,
    Progress,
    Settings,
    definer_types,
    ensure_facts,
    fan_out,
    quiet,
    read_blobs,
    sources,
)
from reviewbot.locking.link import Linker, Queue, Queueing, Registration
from reviewbot.locking.places import directory_of
from reviewbot.locking.store import Content, FileEntry, Store, StoreError
from reviewbot.locking.symbols import FunctionRef, MemorySymbols, is_shared
from reviewbot.locking.wrappers import ROUNDS, function_refs, summarize_file, wrapper_names

_KEEP_STORES = 8
_LOCAL = 1 << 30
"""Callables from here on are numbered by a chunk for itself."""


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
    files = sources(objects, tree)
    ensure_facts(objects, files.values(), settings, progress)
    _Build(objects, tree, files, settings, progress).run()
    store_module.prune(settings.cache / "trees", _KEEP_STORES)


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
        self._ends: dict[int, int] = {}
        self._wrappers: frozenset[str] = frozenset()
        self._callers: dict[str, list[int]] = {}

    def run(self) -> None:
        self._declare()
        self._find_wrappers()
        self._link()

    def _facts(self) -> Iterator[tuple[str, str, FileFacts]]:
        """(path, blob, facts) of every file, a batch at a time."""
        paths = list(self._blobs)
        with FactsCache(self._settings.facts_path) as cache:
            for start in range(0, len(paths), CHUNK):
                part = paths[start : start + CHUNK]
                found = cache.get([self._blobs[path] for path in part])
                for path in part:
                    blob = self._blobs[path]
                    facts = found.get(blob)
                    if facts is None:
                        text = self._objects.read_blob(blob)
                        facts = read_facts(text, self._settings.primitives.flow_names)
                        cache.put([(blob, pack(facts))])
                    yield path, blob, facts
                self._progress("collecting names", min(start + CHUNK, len(paths)), len(paths))

    def _declare(self) -> None:
        """Number the functions and take in every declaration."""
        definers = definer_types(self._settings.primitives)
        number = 0
        for path, blob, facts in self._facts():
            entry = FileEntry(path, blob, number, len(facts.functions))
            self._entries.append(entry)
            self._symbols.add_declarations(path, facts, definers)
            for ref, end in function_refs(path, facts, number):
                self._symbols.add_function(ref)
                self._ends[ref.id] = end
            for name in {name for f in facts.functions for name in f.calls.split()}:
                self._callers.setdefault(name, []).append(len(self._entries) - 1)
            number += entry.count

    def _tasks(self, names: frozenset[str] | None) -> list[_Task]:
        """The files that call one of *names*, in chunks; all files for None."""
        entries = self._entries
        if names is not None:
            callers = {number for name in names for number in self._callers.get(name, ())}
            entries = [self._entries[number] for number in sorted(callers)]
        chunks = [tuple(entries[n : n + CHUNK]) for n in range(0, len(entries), CHUNK)]
        return [_Task(chunk, names) for chunk in chunks]

    def _find_wrappers(self) -> None:
        """Summaries of all functions, in rounds: a wrapper of a wrapper takes one more."""
        changed: frozenset[str] | None = None
        for round_ in range(ROUNDS):
            stage = f"finding lock wrappers {round_ + 1}"
            updates: dict[int, Effects | None] = {}
            for packed in self._map(_summaries, self._tasks(changed), stage):
                updates.update(
                    msgspec.msgpack.decode(packed, type=list[tuple[int, Effects | None]])
                )
            known = self._wrappers
            changed = self._apply(updates)
            if not changed:
                return
            self._feed(self._wrappers - known)

    def _apply(self, updates: Mapping[int, Effects | None]) -> frozenset[str]:
        """Take in new summaries; the names by which callers see a change."""
        new: list[FunctionRef] = []
        for ref in list(self._symbols.all_functions()):
            if ref.id in updates and updates[ref.id] != ref.effects:
                new.append(msgspec.structs.replace(ref, effects=updates[ref.id]))
        self._symbols.replace_functions(new)
        changed = wrapper_names(new)
        self._wrappers |= changed
        return changed | {ref.name for ref in new if is_shared(ref)}

    def _feed(self, wrappers: frozenset[str]) -> None:
        """Read files again that call a wrapper from a function without a flow."""
        poor: list[str] = []
        for packed in self._map(_poor, self._tasks(wrappers), "looking for callers"):
            poor.extend(msgspec.msgpack.decode(packed, type=list[str]))
        if poor:
            vocabulary = self._settings.primitives.flow_names | self._wrappers
            with FactsCache(self._settings.facts_path) as cache:
                read_blobs(self._objects, poor, vocabulary, cache, self._settings, self._progress)

    def _map(
        self, work: Callable[[_Task], bytes], tasks: list[_Task], stage: str
    ) -> Iterator[bytes]:
        """Run *work* over *tasks* in processes that see the symbols as they are now."""
        self._progress(stage, 0, len(tasks))
        if len(tasks) <= 1:
            _set_up_link(self._symbols, self._settings)
            yield from map(work, tasks)
            return
        results = fan_out(self._settings, work, tasks, _set_up_link, self._symbols, self._settings)
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
        for packed in self._map(_links, self._tasks(None), "linking"):
            part = msgspec.msgpack.decode(packed, type=_Linked)
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
        )
        about = {"tree": self._tree, "locks": locks, "unknown": unknown}
        store_module.write(self._settings.store_path(self._tree), content, about)


class _Task(msgspec.Struct, frozen=True):
    """A chunk of files; with *changed*, only functions that call one of these names."""

    chunk: tuple[FileEntry, ...]
    changed: frozenset[str] | None


class _Linked(msgspec.Struct, frozen=True, array_like=True):
    """A linked chunk; its virtual callables and nodes are numbered from 0 (see _LOCAL)."""

    calls: bytes
    actions: bytes
    holds: bytes
    releases: bytes
    callables: list[str]
    nodes: list[str]
    details: dict[int, bytes]
    registrations: list[Registration]
    queueings: list[tuple[Queueing, str]]
    queues: list[tuple[Queue, str]]
    locks: int
    unknown: int
    undefined: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Arrays:
    """A chunk's rows with the tree's numbers."""

    columns: Columns

    @classmethod
    def of(cls, part: _Linked, numbering: Numbering) -> _Arrays:
        callables = np.array([numbering.callable(name) for name in part.callables], np.int32)
        nodes = np.array([numbering.node(name) for name in part.nodes], np.int32)

        def callable_(column: Ids) -> Ids:
            local = column >= _LOCAL
            column[local] = callables[column[local] - _LOCAL]
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


@dataclass(slots=True)
class _LinkWorker:
    symbols: MemorySymbols
    settings: Settings
    cache: FactsCache


_link_worker: _LinkWorker | None = None


def _set_up_link(symbols: MemorySymbols, settings: Settings) -> None:
    global _link_worker  # noqa: PLW0603 - a pool's worker keeps its cache open between tasks
    _link_worker = _LinkWorker(symbols, settings, FactsCache(settings.facts_path))


def _chunk_facts(chunk: Iterable[FileEntry]) -> Iterator[tuple[FileEntry, FileFacts]]:
    assert _link_worker is not None  # noqa: S101 - set by the pool's initialiser
    entries = list(chunk)
    found = _link_worker.cache.get([entry.blob for entry in entries])
    for entry in entries:
        facts = found.get(entry.blob)
        if facts is not None:
            yield entry, facts


def _poor(task: _Task) -> bytes:
    wrappers = task.changed or frozenset()
    return msgspec.msgpack.encode(
        [entry.blob for entry, facts in _chunk_facts(task.chunk) if lacks_flow(facts, wrappers)]
    )


def _summaries(task: _Task) -> bytes:
    assert _link_worker is not None  # noqa: S101 - set by the pool's initialiser
    linker = Linker.of(_link_worker.symbols, _link_worker.settings.primitives)
    out: list[tuple[int, Effects | None]] = []
    for entry, facts in _chunk_facts(task.chunk):
        refs = {place: entry.first + place for place in range(entry.count)}
        out.extend(summarize_file(linker, entry.path, facts, refs, task.changed))
    return msgspec.msgpack.encode(out)


def _links(task: _Task) -> bytes:
    assert _link_worker is not None  # noqa: S101 - set by the pool's initialiser
    linker = Linker.of(_link_worker.symbols, _link_worker.settings.primitives)
    numbering = Numbering(_LOCAL, 0, {}, {})
    rows = Rows()
    details: dict[int, bytes] = {}
    registrations: list[Registration] = []
    queueings: list[tuple[Queueing, str]] = []
    queues: list[tuple[Queue, str]] = []
    undefined: list[tuple[str, str]] = []
    locks = unknown = 0
    for entry, facts in _chunk_facts(task.chunk):
        numbers = {place: entry.first + place for place in range(entry.count)}
        linked = linker.link(entry.path, facts, numbers)
        collect_file(linked, numbering, rows)
        for function in linked.functions:
            if function.uses or function.actions or function.imbalances:
                details[function.id] = msgspec.msgpack.encode(function)
        registrations.extend(linked.registrations)
        queueings.extend((q, entry.path) for q in linked.queueings)
        queues.extend((q, entry.path) for q in linked.queues)
        locks += linked.locks
        unknown += linked.unknown
        undefined.extend((name, entry.path) for name in linked.undefined)
    columns = columns_of(rows)
    return msgspec.msgpack.encode(
        _Linked(
            _pack(columns.calls), _pack(columns.actions), _pack(columns.holds),
            _pack(columns.releases), list(numbering.new), list(numbering.new_nodes), details,
            registrations, queueings, queues, locks, unknown, undefined,
        )
    )  # fmt: skip


def _pack(columns: tuple[Ids, ...]) -> bytes:
    return np.concatenate(columns).tobytes()
