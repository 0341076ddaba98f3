# SPDX-License-Identifier: GPL-2.0-or-later
"""Views of git trees: pick the nearest store, link what differs from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from reviewbot.errors import ServiceError, TreeError
from reviewbot.kernel.objects import ObjectStore
from reviewbot.locking.build import open_store, without_collector
from reviewbot.locking.facts import FileFacts, lacks_flow
from reviewbot.locking.index import (
    Progress,
    Settings,
    facts_of,
    is_file,
    is_source,
    quiet,
    sources,
    stores,
)
from reviewbot.locking.store import Store, StoreError
from reviewbot.locking.view import Changed, Overlay, View, build_overlay
from reviewbot.locking.wrappers import wrapper_names

MAX_OVERLAY = 1500
"""Files by which a stored tree may differ and still serve; beyond, a new store is built."""
_CANDIDATES = 4
_ATTEMPTS = 2
_RELINK_ROUNDS = 3


T = TypeVar("T")


def consult(
    objects: ObjectStore,
    settings: Settings,
    progress: Progress,
    trees: Sequence[str],
    ask: Callable[[Sequence[View]], T],
) -> T:
    """What *ask* says of the views of *trees*; a store that turns out damaged is built again.

    Raises :class:`ServiceError` if the new one is no better.
    """
    for _ in range(_ATTEMPTS):
        try:
            with Trees(objects, settings, progress) as opened:
                return ask(opened.views(trees[0], trees[1:]))
        except StoreError as error:
            error.discard()
            failed = error
    raise ServiceError(f"{failed}; check the disk that holds the cache") from failed


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a tree is ready to be reviewed with."""

    tree: str
    stored: str
    """The tree whose store it stands on; itself if it has one of its own."""
    changed: int
    """Files by which the two differ; they are linked with each review."""
    files: int
    functions: int
    locks: int
    """Lock arguments seen in the stored tree."""
    unknown: int
    """Of those, without a class."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def prepare(
    objects: ObjectStore, settings: Settings, tree: str, progress: Progress = quiet
) -> Prepared:
    """Read what the cache lacks for a review of *tree*.

    A tree that differs from a stored one in a few files (:data:`MAX_OVERLAY`) needs no
    store of its own: after a pull only what it changed is read.  Raises like :func:`consult`.
    """

    def ask(views: Sequence[View]) -> Prepared:
        store, overlay = views[0].store, views[0].overlay
        files, functions = store.size()
        changed = 0
        for path, file in overlay.files.items() if overlay is not None else ():
            old = store.file(path)
            changed += (file and file.blob) != (old and old.blob)
            files += (file is not None) - (old is not None)
            functions += len(file.facts.functions) if file is not None else 0
            functions -= old.count if old is not None else 0
        about = store.about
        return Prepared(
            tree, about["tree"], changed, files, functions, about["locks"], about["unknown"]
        )

    return consult(objects, settings, progress, [tree], ask)


class Views(Sequence[View]):
    """Views of trees, each made when it is asked for; the first and the last are kept."""

    def __init__(self, trees: Sequence[str], make: Callable[[str], View]) -> None:
        self._trees = trees
        self._make = make
        self._ends: dict[int, View] = {}

    def __len__(self) -> int:
        return len(self._trees)

    @overload
    def __getitem__(self, index: int) -> View: ...

    @overload
    def __getitem__(self, index: slice) -> list[View]: ...

    def __getitem__(self, index: int | slice) -> View | list[View]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        if number in self._ends:
            return self._ends[number]
        view = self._make(self._trees[number])
        if number in (0, len(self) - 1):
            self._ends[number] = view
        return view


class Trees:
    """Opens views of trees of one repository.  Use with ``with``."""

    def __init__(
        self, objects: ObjectStore, settings: Settings, progress: Progress = quiet
    ) -> None:
        self._objects = objects
        self._settings = settings
        self._progress = progress
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def views(self, base: str, others: Sequence[str]) -> Views:
        """A view of the tree *base* and of each of *others*, which differ from it by patches."""
        store, drift = self._store(base)

        def make(tree: str) -> View:
            changed = dict(drift)
            if tree != base:
                changed.update(self._difference(base, tree))
            return self._view(store, tree, changed)

        return Views([base, *others], make)

    def _store(self, tree: str) -> tuple[Store, dict[str, str | None]]:
        """A store to stand on, and how the files of *tree* differ from it."""
        known = stores(self._settings)
        for candidate in known[:_CANDIDATES] if tree not in known else ():
            try:
                store = Store(self._settings.store_path(candidate))
            except StoreError:
                continue
            drift = self._drift(store, candidate, tree)
            if len(drift) <= min(MAX_OVERLAY, store.size()[0] // 4):
                self._stack.callback(store.close)
                return store, drift
            store.close()
        store = open_store(self._objects, tree, self._settings, self._progress)
        self._stack.callback(store.close)
        return store, {}

    def _drift(self, store: Store, stored: str, tree: str) -> dict[str, str | None]:
        """Path to blob id of the sources by which *tree* differs from a stored one."""
        try:
            return self._difference(self._objects.tree_of(stored), tree)
        except TreeError:  # it is of another repository
            old, new = store.blobs(), sources(self._objects, tree)
            drift: dict[str, str | None] = dict(new.items() - old.items())
            return drift | dict.fromkeys(old.keys() - new.keys())

    def _difference(self, old: str, new: str) -> dict[str, str | None]:
        return {
            change.path: change.after if is_file(change.mode_after) else None
            for change in self._objects.diff_trees(old, new)
            if is_source(change.path)
        }

    def _view(self, store: Store, tree: str, changed: dict[str, str | None]) -> View:
        with without_collector():
            overlay = self._overlay(store, changed) if changed else None
        return View(store, overlay, self._reader(tree))

    def _overlay(self, store: Store, changed: dict[str, str | None]) -> Overlay:
        wanted = dict(changed)
        wrappers = store.wrappers()
        facts: dict[str, FileFacts] = {}
        for _ in range(_RELINK_ROUNDS):
            blobs = [
                blob
                for blob in wanted.values()
                if blob is not None and (blob not in facts or lacks_flow(facts[blob], wrappers))
            ]
            facts.update(facts_of(self._objects, blobs, self._settings, wrappers, self._progress))
            files = {
                path: Changed(blob, facts[blob]) if blob is not None else None
                for path, blob in wanted.items()
            }
            overlay, stale = build_overlay(store, files, self._settings.primitives)
            wrappers |= wrapper_names(overlay.refs.values())
            if not stale and not any(lacks_flow(read, wrappers) for read in facts.values()):
                break
            for path in stale:
                entry = store.file(path)
                if entry is not None:
                    wanted[path] = entry.blob
        return overlay

    def _reader(self, tree: str) -> Callable[[str], bytes | None]:
        def read(path: str) -> bytes | None:
            blob = self._objects.lookup(tree, [path]).get(path)
            return self._objects.read_blob(blob) if blob is not None else None

        return read
