# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of an audit through the house, and of a question about one hazard.

Like :mod:`reviewbot.review` it decides nothing itself: the repository gives the
tree, :mod:`reviewbot.locking` the hazards, and :mod:`reviewbot.report` prints them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from reviewbot.errors import NotReviewable, UsageError
from reviewbot.kernel.model import ApplyState
from reviewbot.kernel.objects import ObjectStore
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.locking.audit import Standing, again, merge, tell, within
from reviewbot.locking.compare import changed_functions, compare
from reviewbot.locking.index import is_source
from reviewbot.locking.model import HazardKind
from reviewbot.locking.sightings import Known, matches, recall, remember
from reviewbot.locking.sweep import sweep
from reviewbot.locking.trees import consult
from reviewbot.locking.view import View
from reviewbot.report.audit import Audit
from reviewbot.report.explain import Explanation, explanation
from reviewbot.review import Options, applied, base_of, changed_trees
from reviewbot.series.model import Series

_SHOWN_IDS = 6
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a tree to audit."""

    rev: str = "HEAD"
    paths: tuple[str, ...] = ()
    """Files and directories of the tree; all of it if there are none."""
    kinds: tuple[HazardKind, ...] = ()
    """All if there are none."""
    since: str | None = None
    """Only hazards that functions changed after this revision are part of."""
    limit: int = 0
    """Hazards listed; 0 for all."""


def find_hazards(wanted: Wanted, options: Options) -> Audit:
    """List the hazards of a tree or a part of it, those with the least to doubt first.

    Raises :class:`~reviewbot.errors.TreeError` for a revision that is not there and
    :class:`UsageError` for a path without kernel source.
    """
    started = time.monotonic()
    paths = _scope(wanted.paths)
    with Repository.open(options.tree, options.mirror) as repository:
        commit = repository.resolve(wanted.rev)
        since = repository.resolve(wanted.since) if wanted.since is not None else None
        trees = _Pair(repository.tree_of(commit), repository.tree_of(since) if since else None)

        def ask(views: Sequence[View]) -> Audit:
            (view,) = views
            _check_paths(view, paths, wanted.rev)
            functions = _functions(view, repository, trees, paths, options)
            found = sweep(
                view, repository, functions, options.settings, options.progress, since is not None
            )
            hazards = merge(found, wanted.kinds)
            remember(options.settings.cache, map(_known, hazards))
            files, _ = view.store.size()
            return Audit(
                rev=wanted.rev,
                commit=commit,
                describe=repository.describe(commit),
                paths=paths,
                kinds=wanted.kinds,
                since=since,
                counts=dict(Counter(hazard.first.kind for hazard in hazards)),
                hazards=tuple(tell(view, hazards[: wanted.limit or None])),
                files=files,
                functions=len(functions),
                seconds=time.monotonic() - started,
            )

        return consult(repository, options.settings, options.progress, [trees.now], ask)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Tree ids."""

    now: str
    then: str | None


def _scope(paths: Iterable[str]) -> tuple[str, ...]:
    """Paths as git has them; none at all if one of them is the whole tree."""
    plain: list[str] = []
    for path in paths:
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if path.startswith("/") or ".." in parts:
            raise UsageError(f"{path} is no path inside the tree: name it as git does, drivers/usb")
        plain.append("/".join(parts))
    return () if "" in plain else tuple(plain)


def _check_paths(view: View, paths: Sequence[str], rev: str) -> None:
    files = view.files()
    for path in paths:
        if not any(within(file, [path]) for file in files):
            raise UsageError(f"no C source of the kernel in {path} at {rev}")


def _functions(
    view: View, objects: ObjectStore, trees: _Pair, paths: Sequence[str], options: Options
) -> list[tuple[str, int]]:
    """(file, number) of the functions to start from."""
    if trees.then is None:
        return [(file, number) for file, number in view.active() if within(file, paths)]
    files = {
        change.path
        for change in objects.diff_trees(trees.then, trees.now)
        if is_source(change.path) and within(change.path, paths)
    }
    if not files:
        return []
    changed = consult(
        objects,
        options.settings,
        options.progress,
        [trees.then],
        lambda views: changed_functions([*views, view], frozenset(files)),
    )
    return [
        (ref.file, ref.id)
        for path in sorted({path for path, _ in changed})
        for ref in view.functions_in(path)
        if (path, ref.name) in changed and within(path, paths)
    ]


def _known(hazard: Standing) -> Known:
    return Known(hazard.first.kind, hazard.first.classes, hazard.spots)


def explain_in_tree(identity: str, rev: str, paths: Iterable[str], options: Options) -> Explanation:
    """One hazard of a tree, step by step.

    It is looked for where it was last seen, else, if *paths* are named, in all of these.
    Raises :class:`UsageError` if the id is not known, not unique or not in the tree.
    """
    scope = _scope(paths)
    with Repository.open(options.tree, options.mirror) as repository:
        commit = repository.resolve(rev)

        def ask(views: Sequence[View]) -> Explanation:
            (view,) = views
            _check_paths(view, scope, rev)
            hazard = _find(view, repository, identity, scope, options)
            if hazard is None:
                raise UsageError(_absent(identity, rev, scope))
            return explanation(tell(view, [hazard])[0], repository.describe(commit), view.source)

        tree = repository.tree_of(commit)
        return consult(repository, options.settings, options.progress, [tree], ask)


def explain_in_series(identity: str, series: Series, options: Options) -> Explanation:
    """One hazard of a review, in the tree after the series, or before it if it is gone there."""
    with Repository.open(options.tree, options.mirror) as repository:
        base = base_of(series, repository, options)
        with Scratch(repository) as scratch:
            application = applied(repository, scratch, series, base, options)
            if application.state is not ApplyState.APPLIED:
                raise NotReviewable(
                    "the series does not apply, so there is nothing to explain: see reviewbot"
                    " review"
                )
            trees, files = changed_trees(scratch, base, application)

            def ask(views: Sequence[View]) -> Explanation:
                hazards = compare(views, files, series.words).hazards
                one = _only(identity, {h.id: h for h in hazards if matches(h.id, identity)})
                if one is None:
                    raise UsageError(f"the review of this series has no hazard {identity!r}")
                spots = [(site.file, site.function) for site in one.sites]
                for view, where in ((views[-1], "after"), (views[0], "before")):
                    found = again(view, one.kind, one.classes, spots)
                    if found is not None:
                        about = f"{base.describe}, {where} the series"
                        return explanation(tell(view, [found])[0], about, view.source)
                raise UsageError(f"{one.id} comes and goes within the series")

            return consult(scratch, options.settings, options.progress, trees, ask)


def _find(
    view: View, objects: ObjectStore, identity: str, scope: Sequence[str], options: Options
) -> Standing | None:
    known = {entry.id: entry for entry in recall(options.settings.cache, identity)}
    seen = _only(identity, known)
    if seen is not None:
        found = again(view, seen.kind, seen.classes, seen.spots, scope)
        if found is not None:
            return found
    if not scope:
        return None
    functions = [(file, number) for file, number in view.active() if within(file, scope)]
    swept = merge(sweep(view, objects, functions, options.settings, options.progress))
    return _only(identity, {h.id: h for h in swept if matches(h.id, identity)})


def _only(identity: str, found: Mapping[str, T]) -> T | None:
    """The one hazard that is meant, by its id; None if there is none."""
    if identity in found:
        return found[identity]
    if len(found) > 1:
        some = ", ".join(sorted(found)[:_SHOWN_IDS])
        raise UsageError(f"{identity!r} may mean {len(found)} hazards: {some} ...")
    return next(iter(found.values()), None)


def _absent(identity: str, rev: str, scope: Sequence[str]) -> str:
    if scope:
        return f"no hazard {identity!r} under {' '.join(scope)} at {rev}"
    return (
        f"no hazard {identity!r} is known at {rev}: name the files it is in, explain ID PATH...,"
        " or the --rev or --series it was reported for"
    )
