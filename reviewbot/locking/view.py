# SPDX-License-Identifier: GPL-2.0-or-later
"""One tree as the hazard search sees it: a stored graph, and files that differ from it.

A patch's tree shares all but a few files with the tree it applies to, so only
those are linked again, on top of the store.  A file that calls a wrapper whose
effects the patch changed is linked again too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from reviewbot.locking.effects import Walk
from reviewbot.locking.facts import FileFacts
from reviewbot.locking.graph import Arrays, Graph, build_arrays
from reviewbot.locking.link import Linker
from reviewbot.locking.linked import LinkedFunction, Queue, Queueing, Registration
from reviewbot.locking.places import directory_of, related
from reviewbot.locking.primitives import Primitives, definer_types
from reviewbot.locking.rows import CONTEXTS, Ids, Numbering, Rows, collect_file, columns_of
from reviewbot.locking.source import split_directives, without_comments
from reviewbot.locking.store import Store
from reviewbot.locking.symbols import FunctionRef, MemorySymbols, is_shared
from reviewbot.locking.wrappers import ROUNDS, function_refs, summarize_file

MAX_RELINKED = 64
"""Files linked again because a wrapper they call changed."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A file that differs from the stored tree: its blob and facts."""

    blob: str
    facts: FileFacts


@dataclass(slots=True)
class Overlay:
    """Files linked on top of a store."""

    files: dict[str, Changed | None]
    symbols: MemorySymbols
    refs: dict[int, FunctionRef] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    details: dict[int, LinkedFunction] = field(default_factory=dict)
    registrations: list[Registration] = field(default_factory=list)
    queueings: list[tuple[Queueing, str]] = field(default_factory=list)
    queues: list[tuple[Queue, str]] = field(default_factory=list)
    replaced: dict[int, int] = field(default_factory=dict)
    arrays: Arrays | None = None
    callables: dict[str, int] = field(default_factory=dict)
    nodes: dict[str, int] = field(default_factory=dict)
    directories: dict[str, int] = field(default_factory=dict)
    locks: int = 0
    unknown: int = 0


class _Known(Mapping[str, int]):
    """A store's numbers by name, asked for one at a time."""

    def __init__(self, ask: Callable[[str], int | None]) -> None:
        self._ask = ask
        self._cache: dict[str, int | None] = {}

    def __getitem__(self, name: str) -> int:
        number = self.get(name)
        if number is None:
            raise KeyError(name)
        return number

    def get(self, name: str, default: int | None = None) -> int | None:  # type: ignore[override]
        if name not in self._cache:
            self._cache[name] = self._ask(name)
        number = self._cache[name]
        return default if number is None else number

    def __iter__(self) -> Iterator[str]:
        return iter(self._cache)

    def __len__(self) -> int:
        return len(self._cache)


def build_overlay(
    store: Store, files: Mapping[str, Changed | None], primitives: Primitives
) -> tuple[Overlay, frozenset[str]]:
    """Link *files* (None: removed) on top of *store*.

    Also returns other files of the store that call a function whose effects on
    locks are now different; they have to be in *files* for a true picture.
    """
    overlay = Overlay(dict(files), MemorySymbols(store, frozenset(files)))
    present = {path: changed for path, changed in files.items() if changed is not None}
    first = store.arrays.callables
    starts: dict[str, int] = {}
    definers = definer_types(primitives)
    for path, changed in present.items():
        starts[path] = first
        overlay.symbols.add_declarations(path, changed.facts, definers)
        for ref, end in function_refs(path, changed.facts, first):
            overlay.symbols.add_function(ref)
            overlay.refs[ref.id] = ref
            overlay.ends[ref.id] = end
        first += len(changed.facts.functions)
    walks = _summarize(overlay, present, starts, primitives)
    _replace(overlay, store, files)
    _link(overlay, store, present, starts, first, primitives, walks)
    return overlay, _stale_callers(overlay, store, files)


def _summarize(
    overlay: Overlay,
    present: Mapping[str, Changed],
    starts: Mapping[str, int],
    primitives: Primitives,
) -> Mapping[int, Walk]:
    """Find what calls of the files' functions do; the walks of them that still hold."""
    walks: dict[int, Walk] = {}

    def keep(number: int, walk: Walk | None) -> None:
        if walk is not None:
            walks[number] = walk
        else:
            walks.pop(number, None)

    changed: frozenset[str] | None = None
    for _ in range(ROUNDS):
        linker = Linker.of(overlay.symbols, primitives)
        new: list[FunctionRef] = []
        for path, file in present.items():
            numbers = {n: starts[path] + n for n in range(len(file.facts.functions))}
            found = summarize_file(linker, path, file.facts, numbers, changed, keep)
            for number, effects in found:
                ref = overlay.refs[number]
                if effects != ref.effects:
                    new.append(msgspec.structs.replace(ref, effects=effects))
        overlay.symbols.replace_functions(new)
        overlay.refs.update((ref.id, ref) for ref in new)
        # within a file, callers have followed already; what is in the table they know from there
        changed = frozenset(ref.name for ref in new if is_shared(ref)) - primitives.names
        if not changed:
            return walks
    return {}


def _replace(overlay: Overlay, store: Store, files: Iterable[str]) -> None:
    """Point the store's functions of changed files at their new versions."""
    fresh: dict[tuple[str, str], list[int]] = {}
    moved: dict[str, int] = {}
    for ref in overlay.refs.values():
        fresh.setdefault((ref.file, ref.name), []).append(ref.id)
        if not ref.static:
            moved.setdefault(ref.name, ref.id)
    for path in files:
        for old in store.functions_in(path):
            same = fresh.get((old.file, old.name), [])
            if same:
                overlay.replaced[old.id] = same.pop(0) if len(same) > 1 else same[0]
            else:
                overlay.replaced[old.id] = moved.get(old.name, -1) if is_shared(old) else -1


def _link(
    overlay: Overlay,
    store: Store,
    present: Mapping[str, Changed],
    starts: Mapping[str, int],
    first: int,
    primitives: Primitives,
    walks: Mapping[int, Walk],
) -> None:
    numbering = Numbering(
        first, store.arrays.nodes, _Known(store.callable_number), _Known(store.node_number)
    )
    rows = Rows()
    linker = Linker.of(overlay.symbols, primitives)
    for path, file in present.items():
        numbers = {n: starts[path] + n for n in range(len(file.facts.functions))}
        linked = linker.link(path, file.facts, numbers, walks.get)
        collect_file(linked, numbering, rows)
        overlay.details.update((function.id, function) for function in linked.functions)
        overlay.registrations.extend(linked.registrations)
        overlay.queueings.extend((q, path) for q in linked.queueings)
        overlay.queues.extend((q, path) for q in linked.queues)
        overlay.locks += linked.locks
        overlay.unknown += linked.unknown
    overlay.callables, overlay.nodes = numbering.new, numbering.new_nodes
    known = store.directories()
    place = np.full(first, -1, np.int32)
    for path, file in present.items():
        number = known.setdefault(directory_of(path), len(known))
        place[starts[path] : starts[path] + len(file.facts.functions)] = number
    overlay.directories = known
    overlay.arrays = build_arrays(columns_of(rows), numbering.callables, numbering.nodes, place)


def _stale_callers(overlay: Overlay, store: Store, files: Iterable[str]) -> frozenset[str]:
    graph = Graph(store.arrays, None, {})
    out = {
        file
        for ref in overlay.refs.values()
        if is_shared(ref) and not store.shared(ref.name)
        for file in store.callers_of_undefined(ref.name)
        if file not in overlay.files
    }
    for path in files:
        for old in store.functions_in(path):
            new = overlay.refs.get(overlay.replaced.get(old.id, -1))
            if old.effects == (new.effects if new is not None else None):
                continue
            callers, _ = graph.callers(np.array([old.id], np.int32))
            for number in np.unique(callers).tolist():
                ref = store.function(number)
                if ref is not None and ref.file not in overlay.files:
                    out.add(ref.file)
                if len(out) >= MAX_RELINKED:
                    return frozenset(out)
    return frozenset(out)


class View:
    """A tree to ask about locks."""

    def __init__(
        self, store: Store, overlay: Overlay | None, read: Callable[[str], bytes | None]
    ) -> None:
        """*read* gives the text of a path of this tree, None if it is not in it."""
        self.store = store
        self.overlay = overlay
        self._read = read
        self._lines: dict[str, list[str]] = {}
        self._directives: dict[str, list[str]] = {}
        self._refs: dict[int, FunctionRef | None] = {}
        self._details: dict[int, LinkedFunction | None] = {}
        self._handlers: dict[str, list[Registration]] = {}
        self._roles: dict[int, list[Registration]] = {}
        if overlay is None:
            self.graph = Graph(store.arrays, None, {})
        else:
            self.graph = Graph(store.arrays, overlay.arrays, overlay.replaced)

    # names and numbers

    def function(self, number: int) -> FunctionRef | None:
        """The function of that number; None for a virtual callee."""
        if self.overlay is not None and number in self.overlay.refs:
            return self.overlay.refs[number]
        if number not in self._refs:
            self._refs[number] = self.store.function(number)
        return self._refs[number]

    def callable_name(self, number: int) -> str:
        ref = self.function(number)
        if ref is not None:
            return ref.name
        if self.overlay is not None:
            for name, own in self.overlay.callables.items():
                if own == number:
                    return name
        return self.store.callable_name(number) or ""

    def callable_number(self, virtual: str) -> int | None:
        """The number of a virtual callee; None if nothing calls it or stands there."""
        number = self.store.callable_number(virtual)
        if number is None and self.overlay is not None:
            number = self.overlay.callables.get(virtual)
        return number

    def detail(self, number: int) -> LinkedFunction | None:
        if self.overlay is not None and number in self.overlay.refs:
            return self.overlay.details.get(number)
        if number not in self._details:
            self._details[number] = self.store.detail(number)
        return self._details[number]

    def node(self, name: str) -> int | None:
        number = self.store.node_number(name)
        if number is None and self.overlay is not None:
            number = self.overlay.nodes.get(name)
        return number

    def node_name(self, number: int) -> str:
        if number < self.store.arrays.nodes:
            return self.store.node_name(number)
        if self.overlay is not None:
            for name, own in self.overlay.nodes.items():
                if own == number:
                    return name
        return ""

    def functions_in(self, path: str) -> list[FunctionRef]:
        """Functions of a file, as they are in this tree."""
        if self.overlay is not None and path in self.overlay.files:
            return [ref for ref in self.overlay.refs.values() if ref.file == path]
        return list(self.store.functions_in(path))

    def files(self) -> set[str]:
        """Paths of the kernel sources of this tree."""
        own = self.overlay.files if self.overlay is not None else {}
        out = self.store.blobs().keys() - own.keys()
        return out | {path for path, changed in own.items() if changed is not None}

    def active(self) -> list[tuple[str, int]]:
        """(file, number) of every function that locks, waits, or runs as a handler."""
        own, hidden = self._own()
        out = [(file, number) for file, number in self.store.active() if file not in hidden]
        if own is not None:
            numbers = {*own.details, *(entry.function for entry in own.registrations)}
            out.extend((own.refs[n].file, n) for n in sorted(numbers) if n in own.refs)
        return out

    def directories(self, paths: Iterable[str]) -> Ids:
        """Numbers of the directories that files stand in, and of those that belong to them."""
        known = self.overlay.directories if self.overlay is not None else self.store.directories()
        own = {directory_of(path) for path in paths}
        found = {
            number
            for directory, number in known.items()
            if any(related(directory, other) for other in own)
        }
        return np.array(sorted(found), np.int32)

    # handlers and queues

    def registrations(self, node: str) -> list[Registration]:
        """Handlers of a work item, timer or other object."""
        if node not in self._handlers:
            own, hidden = self._own()
            stored = [r for r in self.store.registrations(node) if r.file not in hidden]
            mine = [r for r in own.registrations if r.node == node] if own is not None else []
            self._handlers[node] = [*stored, *mine]
        return self._handlers[node]

    def registered(self, number: int) -> list[Registration]:
        """What a function is the handler of."""
        if number not in self._roles:
            own, hidden = self._own()
            old = [number]
            if own is not None:
                old.extend(o for o, new in own.replaced.items() if new == number)
            stored = [r for o in old for r in self.store.registered(o) if r.file not in hidden]
            mine = [r for r in own.registrations if r.function == number] if own is not None else []
            self._roles[number] = [*stored, *mine]
        return self._roles[number]

    def runs_as(self, function: int) -> list[str]:
        """What a function is the handler of, and the queues that work is put on."""
        nodes = [r.node for r in self.registered(function) if r.node not in CONTEXTS]
        return [*nodes, *(queue for node in nodes for queue in self.queues_of(node))]

    def called_by(self, number: int) -> list[FunctionRef]:
        """The functions that a function may call, or that stand behind a member."""
        _, callees = self.graph.callees(np.array([number], np.int32))
        return [ref for n in callees.tolist() if (ref := self.function(n)) is not None]

    def callers_of(self, number: int) -> list[FunctionRef]:
        """The functions that may call a function, or a member."""
        callers, _ = self.graph.callers(np.array([number], np.int32))
        return [ref for n in callers.tolist() if (ref := self.function(n)) is not None]

    def tables_of(self, function: int) -> list[str]:
        """Virtual callees (``ops struct x.field``) that may be this function."""
        callers, _ = self.graph.callers(np.array([function], np.int32))
        names = (self.callable_name(n) for n in callers.tolist() if self.function(n) is None)
        return sorted(set(names))

    def queues_of(self, work: str) -> list[str]:
        """Workqueues a work item is put on."""
        own, hidden = self._own()
        out = [queue for queue, file in self.store.queues_of(work) if file not in hidden]
        if own is not None:
            out.extend(q.queue for q, _ in own.queueings if q.work == work)
        return list(dict.fromkeys(out))

    def flags_of(self, queue: str) -> list[str]:
        """Flags a workqueue is allocated with, one entry an allocation."""
        own, hidden = self._own()
        out = [flags for flags, file in self.store.flags_of(queue) if file not in hidden]
        if own is not None:
            out.extend(q.flags for q, _ in own.queues if q.node == queue)
        return list(dict.fromkeys(out))

    def _own(self) -> tuple[Overlay | None, frozenset[str]]:
        return self.overlay, frozenset(
            self.overlay.files
        ) if self.overlay is not None else frozenset()

    # source lines

    def call_line(self, caller: int, callee: str) -> int:
        """Line of the first call of *callee* in a function; its first line if none is found."""
        ref = self.function(caller)
        if ref is None:
            return 0
        name = callee.rsplit(".", 1)[-1]
        call = re.compile(rf"\b{re.escape(name)}\s*\(")
        mention = re.compile(rf"\b{re.escape(name)}\b")
        _, *body = self.body_of(ref) or [""]  # the first line is the declaration
        for pattern in (call, mention):
            for number, line in enumerate(body, ref.line + 1):
                if pattern.search(line):
                    return number
        return ref.line

    def end_of(self, ref: FunctionRef) -> int:
        """Last line of a function."""
        if self.overlay is not None and ref.id in self.overlay.ends:
            return self.overlay.ends[ref.id]
        return self.store.end_of(ref.id)

    def text_of(self, function: int) -> str:
        """A function as it is written, without comments; empty for what is none."""
        ref = self.function(function) if function >= 0 else None
        return "\n".join(self.body_of(ref)) if ref is not None else ""

    def body_of(self, ref: FunctionRef) -> list[str]:
        """The lines of a function, without comments.

        Those of a function that a macro defines stand in the macro, as directives that are
        else left out.
        """
        span = slice(ref.line - 1, self.end_of(ref))
        own = self.lines(ref.file)[span]
        if ref.macro or any(map(str.strip, own)):
            return own
        if ref.file not in self._directives:
            text = without_comments(self._read(ref.file) or b"")
            self._directives[ref.file] = text.decode("latin-1").split("\n")
        return self._directives[ref.file][span]

    def source(self, path: str) -> list[str]:
        """The lines of a file as they are."""
        return (self._read(path) or b"").decode("utf-8", "surrogateescape").split("\n")

    def lines(self, path: str) -> list[str]:
        """The lines of a file without comments."""
        if path not in self._lines:
            text = self._read(path) or b""
            code, _ = split_directives(without_comments(text))
            self._lines[path] = code.decode("latin-1").split("\n")
        return self._lines[path]
