# SPDX-License-Identifier: GPL-2.0-or-later
"""From a git tree to a stored lock graph: the rim of this room.

Facts are made once a blob, in parallel, and kept; linking a tree reads them back.
Stopping at any moment loses at most the batch in flight.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing.pool import Pool
from pathlib import Path

import msgspec

from reviewbot.kernel.objects import ObjectStore
from reviewbot.locking import facts as facts_module
from reviewbot.locking import store as store_module
from reviewbot.locking.cache import FactsCache, pack
from reviewbot.locking.facts import FileFacts, read_facts
from reviewbot.locking.flow import Effects
from reviewbot.locking.graph import CONTEXT, Numbering, Rows, build_arrays, collect_file
from reviewbot.locking.link import (
    LinkedFile,
    Linker,
    Queue,
    Queueing,
    Registration,
)
from reviewbot.locking.primitives import Primitives, Role
from reviewbot.locking.store import Content, FileEntry, Store, StoreError
from reviewbot.locking.symbols import (
    Classifier,
    FunctionRef,
    MemorySymbols,
    StructRef,
    Symbols,
    VariableRef,
)

LEFT_ASIDE = ("tools/", "Documentation/", "samples/", "scripts/")
"""Directories of a kernel tree that hold no kernel code."""
_GENERATED = "/asic_reg/"
_CHUNK = 160
_ROUNDS = 4
_KEEP_STORES = 8

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and the total."""


def quiet(stage: str, done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where facts and stores are kept, and what the checker knows of the kernel's calls."""

    cache: Path
    primitives: Primitives
    workers: int = field(default_factory=lambda: max(1, os.cpu_count() or 1))

    @property
    def fingerprint(self) -> str:
        """Names the version of facts and stores; another one is never read."""
        table = msgspec.json.encode([entry.to_dict() for entry in self.primitives.values()])
        code = f"{facts_module.VERSION}.{store_module.FORMAT}".encode()
        return sha256(code + table).hexdigest()[:12]

    @property
    def facts_path(self) -> Path:
        return self.cache / f"facts-{self.fingerprint}.sqlite"

    def store_path(self, tree: str) -> Path:
        return self.cache / "trees" / f"{tree}-{self.fingerprint}"


def sources(objects: ObjectStore, tree: str) -> dict[str, str]:
    """Path to blob id of the C and header files that are kernel code."""
    return {
        entry.path: entry.blob
        for entry in objects.list_tree(tree)
        if is_source(entry.path) and entry.mode.startswith("100")
    }


def is_source(path: str) -> bool:
    """Whether the checker reads this file."""
    return (
        path.endswith((".c", ".h")) and not path.startswith(LEFT_ASIDE) and _GENERATED not in path
    )


def definer_types(primitives: Primitives) -> dict[str, str]:
    """Macros that define an object at file scope, with the type they give it."""
    types = dict(_DEFINERS)
    for name, entry in primitives.items():
        if entry.role is Role.REGISTER and name.startswith(("DECLARE_", "DEFINE_")):
            types[name] = "struct work_struct"
    return types


_DEFINERS = {
    "DEFINE_MUTEX": "struct mutex", "DEFINE_SPINLOCK": "spinlock_t", "DEFINE_RWLOCK": "rwlock_t",
    "DEFINE_RAW_SPINLOCK": "raw_spinlock_t", "DECLARE_RWSEM": "struct rw_semaphore",
    "DEFINE_SEMAPHORE": "struct semaphore", "DEFINE_SRCU": "struct srcu_struct",
    "DEFINE_STATIC_SRCU": "struct srcu_struct", "DEFINE_STATIC_PERCPU_RWSEM":
    "struct percpu_rw_semaphore", "DEFINE_PERCPU_RWSEM": "struct percpu_rw_semaphore",
    "DECLARE_COMPLETION": "struct completion", "DEFINE_TIMER": "struct timer_list",
    "DECLARE_TASKLET": "struct tasklet_struct", "DEFINE_SEQLOCK": "seqlock_t",
    "DEFINE_RT_MUTEX": "struct rt_mutex", "BLOCKING_NOTIFIER_HEAD": "struct blocking_notifier_head",
    "RAW_NOTIFIER_HEAD": "struct raw_notifier_head", "ATOMIC_NOTIFIER_HEAD":
    "struct atomic_notifier_head", "SRCU_NOTIFIER_HEAD": "struct srcu_notifier_head",
    "DEFINE_WW_CLASS": "struct ww_class", "DEFINE_IDR": "struct idr", "DEFINE_IDA": "struct ida",
    "DEFINE_XARRAY": "struct xarray", "DECLARE_WAIT_QUEUE_HEAD": "wait_queue_head_t",
}  # fmt: skip


def ensure_facts(
    objects: ObjectStore, blobs: Iterable[str], settings: Settings, progress: Progress = quiet
) -> None:
    """Make the facts of *blobs* that the cache lacks."""
    with FactsCache(settings.facts_path) as cache:
        wanted = list(dict.fromkeys(blobs))
        known = cache.known(wanted)
        missing = [blob for blob in wanted if blob not in known]
        if not missing:
            return
        if len(missing) <= _CHUNK:
            _set_up_facts(objects.git_dir, settings.primitives.flow_names)
            cache.put(_make_facts(missing))
            return
        chunks = [missing[n : n + _CHUNK] for n in range(0, len(missing), _CHUNK)]
        done = 0
        progress("reading source", 0, len(missing))
        vocabulary = settings.primitives.flow_names
        with _pool(settings, _set_up_facts, objects.git_dir, vocabulary) as pool:
            for entries in pool.imap_unordered(_make_facts, chunks):
                cache.put(entries)
                done += len(entries)
                progress("reading source", done, len(missing))


def _pool(settings: Settings, initialise: Callable[..., None], *args: object) -> Pool:
    context = multiprocessing.get_context("fork")
    return context.Pool(settings.workers, initialise, args)


@dataclass(slots=True)
class _FactsWorker:
    objects: ObjectStore
    vocabulary: frozenset[str]


_facts_worker: _FactsWorker | None = None


def _set_up_facts(git_dir: Path, vocabulary: frozenset[str]) -> None:
    global _facts_worker  # noqa: PLW0603 - a pool's worker keeps its reader between tasks
    _facts_worker = _FactsWorker(ObjectStore(git_dir), vocabulary)


def _make_facts(blobs: list[str]) -> list[tuple[str, bytes]]:
    assert _facts_worker is not None  # noqa: S101 - set by the pool's initialiser
    return [
        (blob, pack(read_facts(text, _facts_worker.vocabulary)))
        for blob, text in _facts_worker.objects.read_blobs(blobs)
    ]


def facts_of(
    objects: ObjectStore, blobs: Iterable[str], settings: Settings
) -> dict[str, FileFacts]:
    """Facts of a few blobs, from the cache or made now."""
    wanted = list(dict.fromkeys(blobs))
    ensure_facts(objects, wanted, settings)
    with FactsCache(settings.facts_path) as cache:
        found = cache.get(wanted)
    for blob, text in objects.read_blobs([blob for blob in wanted if blob not in found]):
        found[blob] = read_facts(text, settings.primitives.flow_names)  # the entry was damaged
    return found


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


def stores(settings: Settings) -> list[str]:
    """Trees that have a store of this version, the one used last first."""
    folder = settings.cache / "trees"
    if not folder.is_dir():
        return []
    suffix = f"-{settings.fingerprint}"
    found = [p for p in folder.iterdir() if p.name.endswith(suffix)]
    found.sort(key=lambda p: p.stat().st_mtime, reverse=True)
    return [p.name.removesuffix(suffix) for p in found]


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
        self._chunks: list[tuple[FileEntry, ...]] = []

    def run(self) -> None:
        self._declare()
        self._find_wrappers()
        self._link()

    def _facts(self) -> Iterator[tuple[str, str, FileFacts]]:
        """(path, blob, facts) of every file, a batch at a time."""
        paths = list(self._blobs)
        with FactsCache(self._settings.facts_path) as cache:
            for start in range(0, len(paths), _CHUNK):
                part = paths[start : start + _CHUNK]
                found = cache.get([self._blobs[path] for path in part])
                for path in part:
                    blob = self._blobs[path]
                    facts = found.get(blob)
                    if facts is None:
                        text = self._objects.read_blob(blob)
                        facts = read_facts(text, self._settings.primitives.flow_names)
                        cache.put([(blob, pack(facts))])
                    yield path, blob, facts
                self._progress("collecting names", min(start + _CHUNK, len(paths)), len(paths))

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
            number += entry.count
        self._chunks = [
            tuple(self._entries[n : n + _CHUNK]) for n in range(0, len(self._entries), _CHUNK)
        ]

    def _find_wrappers(self) -> None:
        """Summaries of all functions, in rounds: a wrapper of a wrapper takes one more."""
        changed: frozenset[str] | None = None
        for round_ in range(_ROUNDS):
            stage = f"finding lock wrappers {round_ + 1}/{_ROUNDS}"
            tasks = [_Task(chunk, changed) for chunk in self._chunks]
            updates: dict[int, Effects | None] = {}
            for packed in self._map(_summaries, tasks, stage):
                updates.update(
                    msgspec.msgpack.decode(packed, type=list[tuple[int, Effects | None]])
                )
            names = self._apply(updates)
            if not names:
                return
            changed = names

    def _apply(self, updates: Mapping[int, Effects | None]) -> frozenset[str]:
        new: list[FunctionRef] = []
        for ref in list(self._symbols.all_functions()):
            if ref.id in updates and updates[ref.id] != ref.effects:
                new.append(msgspec.structs.replace(ref, effects=updates[ref.id]))
        self._symbols.replace_functions(new)
        return frozenset(ref.name for ref in new)

    def _map(
        self, work: Callable[[_Task], bytes], tasks: list[_Task], stage: str
    ) -> Iterator[bytes]:
        """Run *work* over *tasks* in processes that see the symbols as they are now."""
        self._progress(stage, 0, len(tasks))
        if len(tasks) == 1:
            _set_up_link(self._symbols, self._settings)
            yield work(tasks[0])
            return
        with _pool(self._settings, _set_up_link, self._symbols, self._settings) as pool:
            for done, result in enumerate(pool.imap(work, tasks), 1):
                self._progress(stage, done, len(tasks))
                yield result

    def _link(self) -> None:
        numbering = Numbering(sum(entry.count for entry in self._entries), 0, {}, {})
        ops_from = numbering.callables
        rows = Rows()
        details: dict[int, bytes] = {}
        registrations: list[Registration] = []
        queueings: list[tuple[Queueing, str]] = []
        queues: list[tuple[Queue, str]] = []
        locks = unknown = 0
        tasks = [_Task(chunk, None) for chunk in self._chunks]
        for packed in self._map(_links, tasks, "linking"):
            for part in msgspec.msgpack.decode(packed, type=list[_Linked]):
                path, linked = part.path, part.linked
                collect_file(linked, numbering, rows)
                details.update(part.details)
                registrations.extend(linked.registrations)
                queueings.extend((q, path) for q in linked.queueings)
                queues.extend((q, path) for q in linked.queues)
                locks += linked.locks
                unknown += linked.unknown
        add_queue_holds(queueings, registrations, numbering, rows)
        arrays = build_arrays(rows, numbering.callables, numbering.nodes, ops_from)
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
            arrays=arrays,
        )
        about = {"tree": self._tree, "locks": locks, "unknown": unknown}
        store_module.write(self._settings.store_path(self._tree), content, about)


def add_queue_holds(
    queueings: Iterable[tuple[Queueing, str]],
    registrations: Iterable[Registration],
    numbering: Numbering,
    rows: Rows,
) -> None:
    """A workqueue is done when the handlers of the work items put on it are."""
    handlers: dict[str, list[int]] = {}
    for registration in registrations:
        handlers.setdefault(registration.node, []).append(registration.function)
    for queueing in dict.fromkeys(queueing for queueing, _ in queueings):
        for handler in handlers.get(queueing.work, ()):
            rows.holds.append((numbering.node(queueing.queue), CONTEXT, handler, 0))


def function_refs(path: str, facts: FileFacts, first: int) -> Iterator[tuple[FunctionRef, int]]:
    """A reference, still without effects, and the last line of each function of a file."""
    for place, function in enumerate(facts.functions):
        ref = FunctionRef(
            first + place,
            function.name,
            path,
            function.line,
            function.static,
            function.macro,
            function.returns,
            None,
        )
        yield ref, function.end


class _Task(msgspec.Struct, frozen=True):
    """A chunk of files; with *changed*, only functions that call one of these names."""

    chunk: tuple[FileEntry, ...]
    changed: frozenset[str] | None


class _Linked(msgspec.Struct, frozen=True, array_like=True):
    path: str
    linked: LinkedFile
    details: dict[int, bytes]


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


def _summaries(task: _Task) -> bytes:
    assert _link_worker is not None  # noqa: S101 - set by the pool's initialiser
    linker = Linker.of(_link_worker.symbols, _link_worker.settings.primitives)
    out: list[tuple[int, Effects | None]] = []
    for entry, facts in _chunk_facts(task.chunk):
        refs = {place: entry.first + place for place in range(entry.count)}
        out.extend(summarize_file(linker, entry.path, facts, refs, task.changed))
    return msgspec.msgpack.encode(out)


def summarize_file(
    linker: Linker,
    path: str,
    facts: FileFacts,
    numbers: Mapping[int, int],
    changed: frozenset[str] | None,
) -> list[tuple[int, Effects | None]]:
    """(number, effects) of a file's functions that have a flow.

    With *changed*, only of those that call one of these names.  Wrappers of the
    file's own wrappers are followed within the file.
    """
    classifier = Classifier(path, linker.symbols)
    own: dict[str, Effects | None] = {}
    out: dict[int, Effects | None] = {}
    symbols = linker.symbols
    pending: frozenset[str] | None = changed
    for _ in range(_ROUNDS):
        local = Linker(_FileFirst(symbols, path, own), linker.primitives, linker.table)
        lookup = local.lookup(path)
        news: set[str] = set()
        for place, function in enumerate(facts.functions):
            if not function.flows:
                continue
            if pending is not None and pending.isdisjoint(function.calls.split()):
                continue
            effects = local.summarize(function, lookup, classifier)
            number = numbers[place]
            if number not in out or out[number] != effects:
                out[number] = effects
                if effects is not None or own.get(function.name) is not None:
                    own[function.name] = effects
                    news.add(function.name)
        if not news:
            break
        pending = frozenset(news)
    return list(out.items())


@dataclass(frozen=True, slots=True)
class _FileFirst:
    """Symbols with newer effects for the functions of one file."""

    base: Symbols
    file: str
    effects: Mapping[str, Effects | None]

    def own(self, name: str, file: str) -> list[FunctionRef]:
        found = self.base.own(name, file)
        if file != self.file or name not in self.effects:
            return found
        new = self.effects[name]
        return [msgspec.structs.replace(ref, effects=new) for ref in found]

    def shared(self, name: str) -> list[FunctionRef]:
        return self.base.shared(name)

    def structs(self, tag: str) -> list[StructRef]:
        return self.base.structs(tag)

    def variables(self, name: str) -> list[VariableRef]:
        return self.base.variables(name)

    def typedef(self, name: str) -> str | None:
        return self.base.typedef(name)


def _links(task: _Task) -> bytes:
    assert _link_worker is not None  # noqa: S101 - set by the pool's initialiser
    linker = Linker.of(_link_worker.symbols, _link_worker.settings.primitives)
    out: list[_Linked] = []
    for entry, facts in _chunk_facts(task.chunk):
        numbers = {place: entry.first + place for place in range(entry.count)}
        linked = linker.link(entry.path, facts, numbers)
        details = {
            function.id: msgspec.msgpack.encode(function)
            for function in linked.functions
            if function.uses or function.actions or function.imbalances
        }
        out.append(_Linked(entry.path, linked, details))
    return msgspec.msgpack.encode(out)
