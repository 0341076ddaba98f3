# SPDX-License-Identifier: GPL-2.0-or-later
"""Look for hazards from very many functions: a directory at a time, in several processes.

What is worked out about a directory is dropped with it, so memory stays as flat
over a whole kernel as over one subsystem.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reviewbot.kernel.objects import ObjectStore
from reviewbot.locking.audit import Sighting, by_directory, look
from reviewbot.locking.index import Progress, Settings, fan_out
from reviewbot.locking.store import Store
from reviewbot.locking.view import Overlay, View

TASK = 300
"""Functions in one task of a process, as far as directories can be put together so."""
STAGE = "looking for hazards"

_Task = tuple[tuple[str, tuple[int, ...]], ...]


def sweep(
    view: View,
    objects: ObjectStore,
    functions: Iterable[tuple[str, int]],
    settings: Settings,
    progress: Progress,
    callers: bool = False,
) -> Iterator[Sighting]:
    """The hazards that *functions*, (file, number) each, are part of.

    *objects* holds the tree's text; *callers* as in :func:`reviewbot.locking.audit.look`.
    """
    tasks = _tasks(by_directory(functions))
    total = sum(map(_size, tasks))
    setup = _Setup(view.store.place, view.overlay, objects.git_dir, callers)
    if len(tasks) > 1:
        results = fan_out(settings, _look, tasks, _set_up, setup)
    else:
        results = (_search(view, task, callers) for task in tasks)
    done = 0
    progress(STAGE, done, total)
    for task, found in zip(tasks, results, strict=True):
        yield from found
        done += _size(task)
        progress(STAGE, done, total)


def _tasks(directories: Mapping[str, list[int]]) -> list[_Task]:
    """Directories put together to tasks of a size, the largest first."""
    tasks: list[_Task] = []
    part: _Task = ()
    for directory in sorted(directories, key=lambda name: (-len(directories[name]), name)):
        part = (*part, (directory, tuple(directories[directory])))
        if _size(part) >= TASK:
            tasks.append(part)
            part = ()
    return [*tasks, part] if part else tasks


def _size(task: _Task) -> int:
    return sum(len(numbers) for _, numbers in task)


def _search(view: View, task: _Task, callers: bool) -> list[Sighting]:
    return [s for directory, numbers in task for s in look(view, directory, numbers, callers)]


@dataclass(frozen=True, slots=True)
class _Setup:
    """What a process needs to see the same tree through files that it opens itself."""

    place: Path
    overlay: Overlay | None
    git_dir: Path
    callers: bool


@dataclass(frozen=True, slots=True)
class _Worker:
    setup: _Setup
    store: Store
    objects: ObjectStore

    def read(self, path: str) -> bytes | None:
        """The text of a file of the tree."""
        own = self.setup.overlay.files if self.setup.overlay is not None else {}
        entry = own[path] if path in own else self.store.file(path)
        return self.objects.read_blob(entry.blob) if entry is not None else None


_worker: _Worker | None = None


def _set_up(setup: _Setup) -> None:
    global _worker  # noqa: PLW0603 - a pool's worker keeps its files open between tasks
    _worker = _Worker(setup, Store(setup.place), ObjectStore(setup.git_dir))


def _look(task: _Task) -> list[Sighting]:
    assert _worker is not None  # noqa: S101 - set by the pool's initialiser
    view = View(_worker.store, _worker.setup.overlay, _worker.read)
    return _search(view, task, _worker.setup.callers)
