# SPDX-License-Identifier: GPL-2.0-or-later
"""From a git tree to a stored lock graph: the rim of this room.

Facts are made once a blob, in parallel, and kept; linking a tree reads them back.
Stopping at any moment loses at most the batch in flight.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from reviewbot.errors import ServiceError
from reviewbot.kernel.objects import ObjectStore
from reviewbot.locking import facts as facts_module
from reviewbot.locking import frameworks
from reviewbot.locking import store as store_module
from reviewbot.locking.cache import FactsCache, decode_head, head_of, pack
from reviewbot.locking.facts import FileFacts, Head, callees, lacks_flow
from reviewbot.locking.primitives import Primitives
from reviewbot.locking.reading import add_flows, read_facts

LEFT_ASIDE = ("tools/", "Documentation/", "samples/", "scripts/")
"""Directories of a kernel tree that hold no kernel code."""
_GENERATED = "/asic_reg/"
T = TypeVar("T")
R = TypeVar("R")
CHUNK = 160

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
        """Names the version of stores; another one is never read."""
        table = msgspec.json.encode(list(self.primitives.values()))
        code = f"{facts_module.VERSION}.{store_module.FORMAT}.{frameworks.text()}".encode()
        return sha256(code + table).hexdigest()[:12]

    @property
    def facts_path(self) -> Path:
        """The facts of this version: they do not depend on the table of primitives."""
        return self.cache / f"facts-{facts_module.VERSION}.sqlite"

    def store_path(self, tree: str) -> Path:
        return self.cache / "trees" / f"{tree}-{self.fingerprint}"


def sources(objects: ObjectStore, tree: str) -> dict[str, str]:
    """Path to blob id of the C and header files that are kernel code."""
    return {
        entry.path: entry.blob
        for entry in objects.list_tree(tree)
        if is_source(entry.path) and is_file(entry.mode)
    }


def is_file(mode: str | None) -> bool:
    """Whether git's mode is that of a regular file: no link, and not absent."""
    return mode is not None and mode.startswith("100")


def is_source(path: str) -> bool:
    """Whether the checker reads this file."""
    return (
        path.endswith((".c", ".h")) and not path.startswith(LEFT_ASIDE) and _GENERATED not in path
    )


class FileHead(NamedTuple):
    """What a tree's names are made of: one file's."""

    blob: str
    head: Head
    callees: NDArray[np.uint32]
    """:func:`name_key` of every name that is called."""


def read_heads(
    objects: ObjectStore, blobs: Sequence[str], settings: Settings, progress: Progress = quiet
) -> Iterator[FileHead]:
    """The heads of *blobs*, in order; makes and stores the facts that the cache lacks.

    Facts are stored as they are made, so that an interrupted run keeps them.
    """
    chunks = [blobs[n : n + CHUNK] for n in range(0, len(blobs), CHUNK)]
    done = 0
    progress(READING, 0, len(blobs))
    with FactsCache(settings.facts_path) as cache:
        if len(chunks) > 1:
            results = fan_out(settings, _read, chunks, _set_up_reader, objects.git_dir, settings)
        else:
            names = settings.primitives.flow_names
            results = (_read_chunk(objects, cache, chunk, names) for chunk in chunks)
        for read in results:
            cache.put(read.made)
            for blob, head, callees in read.heads:
                yield FileHead(blob, decode_head(head), np.frombuffer(callees, np.uint32))
            done += len(read.heads)
            progress(READING, done, len(blobs))


READING = "reading source"


def name_key(name: str) -> int:
    """A number to look up a callee's name by; two names may share one."""
    return zlib.crc32(name.encode())


def fan_out(
    settings: Settings,
    work: Callable[[T], R],
    tasks: Iterable[T],
    initialise: Callable[..., None],
    *args: object,
) -> Iterator[R]:
    """Results of *work* on each of *tasks*, in order, made in forked processes.

    Only a few results wait to be taken, so memory does not grow with the number of
    tasks.  Raises :class:`ServiceError` if a process is killed.
    """
    context = multiprocessing.get_context("fork")
    start = (initialise, args)
    with ProcessPoolExecutor(settings.workers, context, _begin, start) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(work, task))
                if len(waiting) > 3 * settings.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise ServiceError(
                "a process that reads the tree was killed (out of memory?): run the command again,"
                " what it has read is kept"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin(initialise: Callable[..., None], args: tuple[object, ...]) -> None:
    """Start a worker: it ends when told to, and with its parent at the latest.

    Handlers that unwind would only end a task, and the executor would send that
    back as its result; an interrupt from the terminal is the parent's business.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # What is inherited would be walked, and copied by the walk, at every collection; what
    # a worker makes itself has no cycles and is freed by counting.
    gc.freeze()
    gc.disable()
    initialise(*args)


_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(slots=True)
class _Reader:
    objects: ObjectStore
    cache: FactsCache
    vocabulary: frozenset[str]


_reader: _Reader | None = None


def _set_up_reader(git_dir: Path, settings: Settings) -> None:
    global _reader  # noqa: PLW0603 - a pool's worker keeps its files open between tasks
    vocabulary = settings.primitives.flow_names
    _reader = _Reader(ObjectStore(git_dir), FactsCache(settings.facts_path), vocabulary)


class _Read(NamedTuple):
    """A chunk of files, read."""

    made: list[tuple[str, bytes]]
    """Packed facts that are not in the cache yet, by blob."""
    heads: list[tuple[str, bytes, bytes]]


def _read(blobs: Sequence[str]) -> _Read:
    assert _reader is not None  # noqa: S101 - set by the pool's initialiser
    return _read_chunk(_reader.objects, _reader.cache, blobs, _reader.vocabulary)


def _read_chunk(
    objects: ObjectStore, cache: FactsCache, blobs: Sequence[str], vocabulary: frozenset[str]
) -> _Read:
    found, made = complete_facts(objects, cache, blobs, vocabulary)
    return _Read(made, [(blob, head_of(found[blob]), _callees(found[blob])) for blob in blobs])


def _callees(facts: FileFacts) -> bytes:
    names = {name for function in facts.functions for name in callees(function)}
    return np.fromiter(map(name_key, names), np.uint32, len(names)).tobytes()


def complete_facts(
    objects: ObjectStore, cache: FactsCache, blobs: Iterable[str], names: frozenset[str]
) -> tuple[dict[str, FileFacts], list[tuple[str, bytes]]]:
    """Facts of *blobs* with flows of what calls *names*, and those that the cache lacks, packed."""
    wanted = list(dict.fromkeys(blobs))
    found = cache.get(wanted)
    poor = [blob for blob in wanted if blob not in found or lacks_flow(found[blob], names)]
    made: list[tuple[str, bytes]] = []
    for blob, text in objects.read_blobs(poor):
        known = found.get(blob)
        facts = read_facts(text, names) if known is None else add_flows(known, text, names)
        found[blob] = facts
        made.append((blob, pack(facts)))
    return found, made


def facts_of(
    objects: ObjectStore,
    blobs: Sequence[str],
    settings: Settings,
    wrappers: frozenset[str],
    progress: Progress = quiet,
) -> dict[str, FileFacts]:
    """Facts of a few blobs, from the cache or made now, with flows of what calls *wrappers*."""
    if len(blobs) > CHUNK:  # worth several processes
        deque(read_heads(objects, blobs, settings, progress), maxlen=0)
    names = settings.primitives.flow_names | wrappers
    with FactsCache(settings.facts_path) as cache:
        found, made = complete_facts(objects, cache, blobs, names)
        cache.put(made)
    return found


def stores(settings: Settings) -> list[str]:
    """Trees that have a store of this version, the one used last first."""
    folder = settings.cache / "trees"
    if not folder.is_dir():
        return []
    suffix = f"-{settings.fingerprint}"
    found = [p for p in folder.iterdir() if p.name.endswith(suffix)]
    found.sort(key=lambda p: p.stat().st_mtime, reverse=True)
    return [p.name.removesuffix(suffix) for p in found]
