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
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec

from reviewbot.errors import ServiceError
from reviewbot.kernel.objects import ObjectStore
from reviewbot.locking import facts as facts_module
from reviewbot.locking import frameworks
from reviewbot.locking import store as store_module
from reviewbot.locking.cache import FactsCache, pack
from reviewbot.locking.facts import FileFacts, lacks_flow, read_facts
from reviewbot.locking.primitives import Primitives, Role

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
        """Names the version of facts and stores; another one is never read."""
        table = msgspec.json.encode(list(self.primitives.values()))
        code = f"{facts_module.VERSION}.{store_module.FORMAT}.{frameworks.text()}".encode()
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
        if missing:
            vocabulary = settings.primitives.flow_names
            read_blobs(objects, missing, vocabulary, cache, settings, progress)


def read_blobs(
    objects: ObjectStore,
    blobs: list[str],
    vocabulary: frozenset[str],
    cache: FactsCache,
    settings: Settings,
    progress: Progress,
) -> None:
    """Make and store the facts of *blobs*, in parallel if there are many."""
    if len(blobs) <= CHUNK:
        cache.put(
            (blob, pack(read_facts(text, vocabulary))) for blob, text in objects.read_blobs(blobs)
        )
        return
    chunks = [blobs[n : n + CHUNK] for n in range(0, len(blobs), CHUNK)]
    done = 0
    progress("reading source", 0, len(blobs))
    for entries in fan_out(
        settings, _make_facts, chunks, _set_up_facts, objects.git_dir, vocabulary
    ):
        cache.put(entries)
        done += len(entries)
        progress("reading source", done, len(blobs))


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
    objects: ObjectStore, blobs: Iterable[str], settings: Settings, wrappers: frozenset[str]
) -> dict[str, FileFacts]:
    """Facts of a few blobs, from the cache or made now, with flows of what calls *wrappers*."""
    wanted = list(dict.fromkeys(blobs))
    vocabulary = settings.primitives.flow_names | wrappers
    with FactsCache(settings.facts_path) as cache:
        found = cache.get(wanted)
        poor = [b for b in wanted if b not in found or lacks_flow(found[b], wrappers)]
        new: list[tuple[str, bytes]] = []
        for blob, text in objects.read_blobs(poor):
            found[blob] = read_facts(text, vocabulary)
            new.append((blob, pack(found[blob])))
        cache.put(new)
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
