# SPDX-License-Identifier: GPL-2.0-or-later
"""The work on a chunk of a tree's files, done in a process of its own.

A process inherits the tables by fork and answers in arrays and packed bytes, so that
neither memory nor what is left to the parent grows with the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from reviewbot.kernel.objects import ObjectStore
from reviewbot.locking.cache import FactsCache
from reviewbot.locking.effects import Effects, Walk
from reviewbot.locking.facts import FileFacts, callees
from reviewbot.locking.index import Settings, complete_facts
from reviewbot.locking.link import Linker
from reviewbot.locking.linked import Queue, Queueing, Registration
from reviewbot.locking.rows import Ids, Numbering, Rows, collect_file, columns_of
from reviewbot.locking.store import FileEntry
from reviewbot.locking.symbols import MemorySymbols
from reviewbot.locking.wrappers import summarize_file

R = TypeVar("R")
LOCAL = 1 << 30
"""Callables from here on are numbered by a chunk for itself."""


class Task(msgspec.Struct, frozen=True):
    """A chunk of files."""

    chunk: tuple[FileEntry, ...]
    changed: frozenset[str] | None
    """If given, only functions that call one of these names."""


class Summarized(msgspec.Struct, frozen=True, array_like=True):
    """The summaries of a chunk."""

    effects: dict[int, Effects | None]
    walks: dict[int, bytes]
    """Packed walks by function."""
    gone: list[int]
    """Functions whose earlier walk no longer holds."""


class Linked(msgspec.Struct, frozen=True, array_like=True):
    """A linked chunk; its virtual callables and nodes are numbered from 0 (see LOCAL)."""

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
class Worker:
    """What a worker sees: inherited by fork, not copied."""

    git_dir: Path
    symbols: MemorySymbols
    settings: Settings
    walks: Mapping[int, bytes]
    stale: frozenset[str]


_worker: Worker | None = None
_cache: FactsCache | None = None


def set_up(worker: Worker) -> None:
    """Get a process ready for the functions below."""
    global _worker, _cache  # noqa: PLW0603 - kept between a pool's tasks
    _worker = worker
    _cache = FactsCache(worker.settings.facts_path)


def work_here(work: Callable[[Task], R], tasks: Iterable[Task], worker: Worker) -> Iterator[R]:
    """What :func:`fan_out` does, for a task or two that are not worth a process."""
    global _worker, _cache  # noqa: PLW0603 - where the work looks for it
    set_up(worker)
    try:
        yield from map(work, tasks)
    finally:
        _opened()[1].close()
        _worker = _cache = None


def _opened() -> tuple[Worker, FactsCache]:
    assert _worker is not None  # noqa: S101 - set by the pool's initialiser
    assert _cache is not None  # noqa: S101 - set by the pool's initialiser
    return _worker, _cache


def _chunk_facts(chunk: Iterable[FileEntry]) -> Iterator[tuple[FileEntry, FileFacts]]:
    """The facts of a chunk; what has gone from the cache or is damaged is made again."""
    worker, cache = _opened()
    entries = list(chunk)
    found = cache.get([entry.blob for entry in entries])
    missing = [entry.blob for entry in entries if entry.blob not in found]
    if missing:
        with ObjectStore(worker.git_dir) as objects:
            names = worker.settings.primitives.flow_names
            found.update(complete_facts(objects, cache, missing, names)[0])
    for entry in entries:
        yield entry, found[entry.blob]


def fed(task: Task) -> list[tuple[str, bytes]]:
    """Packed facts of the files in which a caller of *changed* had no flow, with the flows."""
    worker, cache = _opened()
    names = worker.settings.primitives.flow_names | (task.changed or frozenset())
    with ObjectStore(worker.git_dir) as objects:
        _, made = complete_facts(objects, cache, [e.blob for e in task.chunk], names)
    return made


def likely_summaries(task: Task) -> bytes:
    """A packed :class:`Summarized` of the functions that look like wrappers."""
    return summaries(task, likely=True)


def summaries(task: Task, likely: bool = False) -> bytes:
    """A packed :class:`Summarized`; with *likely* only of functions that look like wrappers."""
    worker, _ = _opened()
    linker = Linker.of(worker.symbols, worker.settings.primitives)
    out = Summarized({}, {}, [])

    def keep(number: int, walk: Walk | None) -> None:
        if walk is None:
            out.walks.pop(number, None)
            out.gone.append(number)
        else:
            out.walks[number] = msgspec.msgpack.encode(walk)

    for entry, facts in _chunk_facts(task.chunk):
        refs = {place: entry.first + place for place in range(entry.count)}
        found = summarize_file(linker, entry.path, facts, refs, task.changed, keep, likely)
        out.effects.update(found)
    return msgspec.msgpack.encode(out)


def links(task: Task) -> bytes:
    """A packed :class:`Linked`."""
    worker, _ = _opened()
    linker = Linker.of(worker.symbols, worker.settings.primitives)
    numbering = Numbering(LOCAL, 0, {}, {})
    rows = Rows()
    details: dict[int, bytes] = {}
    registrations: list[Registration] = []
    queueings: list[tuple[Queueing, str]] = []
    queues: list[tuple[Queue, str]] = []
    undefined: list[tuple[str, str]] = []
    locks = unknown = 0
    for entry, facts in _chunk_facts(task.chunk):
        numbers = {place: entry.first + place for place in range(entry.count)}
        linked = linker.link(entry.path, facts, numbers, _known_walks(worker, entry, facts))
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
        Linked(
            _pack(columns.calls), _pack(columns.actions), _pack(columns.holds),
            _pack(columns.releases), list(numbering.new), list(numbering.new_nodes), details,
            registrations, queueings, queues, locks, unknown, undefined,
        )
    )  # fmt: skip


def _known_walks(
    worker: Worker, entry: FileEntry, facts: FileFacts
) -> Callable[[int], Walk | None]:
    """The walks of a file's functions that were kept and still hold."""

    def walk_of(number: int) -> Walk | None:
        packed = worker.walks.get(number)
        if packed is None:
            return None
        if worker.stale and not worker.stale.isdisjoint(
            callees(facts.functions[number - entry.first])
        ):
            return None
        return _WALK_DECODER.decode(packed)

    return walk_of


_WALK_DECODER = msgspec.msgpack.Decoder(Walk)


def _pack(columns: tuple[Ids, ...]) -> bytes:
    return np.concatenate(columns).tobytes()
