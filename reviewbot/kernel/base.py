# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose the commit a series is tried on, and say why.

An explicit option wins; then ``base-commit:`` if the tree or a remote has it; then the
newest branch or tag whose files are the pre-image blobs of the patches' ``index``
lines; then the branch that the list's patches go to; then HEAD.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reviewbot.errors import TreeError
from reviewbot.kernel.model import Base, BaseHow
from reviewbot.kernel.repository import Repository
from reviewbot.series.model import Patch, Prerequisite, Series

MAX_CANDIDATES = 4_000
"""Branches and tags compared, newest first."""
MAX_QUERIES = 40_000
"""(candidate, path) pairs asked for, about 10 µs to 100 µs each."""
MAX_PATHS = 200
"""Files compared on each candidate; more say nothing new."""

_COMMIT = re.compile(r"[0-9a-f]{7,40}")


def choose_base(
    repo: Repository,
    series: Series,
    option: str | None,
    branch: str = "",
    prerequisites: Sequence[Prerequisite] = (),
) -> Base:
    """The commit to apply ``series`` to, below its ``prerequisites``.

    ``option`` is the user's own choice, ``branch`` the list's, such as ``kvm/next``.
    Raises :class:`TreeError` if the option names no commit, or if nothing else
    decides and HEAD names none.
    """
    if option is not None:
        return _base(repo, repo.resolve(option), BaseHow.OPTION, f"{option} was asked for")
    notes = []
    if series.base_commit is not None:
        commit, note = _given(repo, series.base_commit)
        if commit is not None:
            return _base(repo, commit, BaseHow.BASE_COMMIT, note)
        notes.append(note)
    ours = _try(repo, branch) if branch else None
    commit, note = _by_preimages(repo, series, prerequisites, ours)
    notes.append(note)
    if commit is not None:
        return _base(repo, commit, BaseHow.BLOBS, "; ".join(notes))
    if ours is not None:
        notes.append(f"used {branch}, where this list's patches go")
        return _base(repo, ours, BaseHow.BRANCH, "; ".join(notes))
    if branch:
        notes.append(f"{branch} is not there")
    notes.append("used HEAD")
    return _base(repo, _head(repo), BaseHow.HEAD, "; ".join(notes))


def tip_of(repo: Repository, branch: str) -> tuple[str, bool]:
    """What a list's series are tried on if nothing else decides: its ``branch``, else HEAD; and
    whether that is what was asked for.  Raises :class:`TreeError` if HEAD names no commit."""
    ours = _try(repo, branch) if branch else None
    return ours or _head(repo), ours is not None or not branch


def _base(repo: Repository, commit: str, how: BaseHow, why: str) -> Base:
    return Base(
        commit=commit,
        tree=repo.tree_of(commit),
        describe=repo.describe(commit),
        how=how,
        why=why,
    )


def _given(repo: Repository, value: str) -> tuple[str | None, str]:
    """The commit a ``base-commit:`` line names, fetched if need be, and a note either way."""
    absent = "base-commit given but not in this tree"
    if not _COMMIT.fullmatch(value):
        return None, absent  # b4 reads "v6.12-rc1" as commit 6: anything but a real id is noise
    if (commit := _try(repo, value)) is not None:
        return commit, "the series names it"
    asked = repo.obtain(value)
    if asked and not asked[-1].error and (commit := _try(repo, value)) is not None:
        return commit, f"the series names it; fetched from {asked[-1].remote}"
    why = ", ".join(f"{each.remote} {each.error}".strip() for each in asked[:3])
    return None, f"{absent} ({why})" if why else absent


def _head(repo: Repository) -> str:
    try:
        return repo.resolve("HEAD")
    except TreeError as error:
        message = f"HEAD of {repo.path} names no commit: choose a base with --base"
        raise TreeError(message) from error


def preimages(patches: Iterable[Patch]) -> dict[str, str]:
    """Path to abbreviated pre-image id, of files as patches in this order first meet them.

    A later patch's pre-image is an earlier one's result.  Files that the patches
    make have none, and neither have ``index`` lines that git shortened too far.
    """
    first: dict[str, str] = {}
    for patch in patches:
        for change in patch.blobs:
            first.setdefault(change.path, change.before)
    usable = {
        path: oid
        for path, oid in first.items()
        if _COMMIT.fullmatch(oid) and oid.strip("0") and path.isprintable()
    }
    return dict(list(usable.items())[:MAX_PATHS])


def _by_preimages(
    repo: Repository, series: Series, prerequisites: Sequence[Prerequisite], first: str | None
) -> tuple[str | None, str]:
    """The newest tip with the series' pre-image blobs, else with those below prerequisites."""
    own = sorted(series.patches, key=lambda patch: patch.index)
    wanted = preimages(own)
    if not wanted:
        return None, "no pre-image blobs to compare"
    commit, note = _by_blobs(repo, wanted, first)
    below = [patch for each in prerequisites for patch in each.patches]
    if commit is None and below:
        commit, other = _by_blobs(repo, preimages([*below, *own]), first)
        note = f"with prerequisites {other}" if commit else note
    return commit, note


def _by_blobs(
    repo: Repository, wanted: dict[str, str], first: str | None
) -> tuple[str | None, str]:
    """The newest tip where every pre-image blob is in place, and a note either way.

    ``first`` and HEAD are preferred to newer ones that match as well.
    """
    total = len(wanted)
    known = repo.find_blob_prefixes(wanted.values())
    head = _try(repo, "HEAD")
    near = list(filter(None, (first, head)))
    commits = _candidates(repo, near, total)
    if len(known) < len(set(wanted.values())):
        # Some blob is in no commit of this repository: no tip can match whole.
        commits = commits[: len(set(near))]
    matches = _count_matches(repo, commits, wanted)
    for commit in commits:
        if matches[commit] == total:
            return commit, f"{total} of {total} pre-image blobs match"
    if not near or matches[near[0]] == 0:
        return None, "pre-image blobs differ"
    return None, f"{matches[near[0]]} of {total} pre-image blobs match"


def _try(repo: Repository, rev: str) -> str | None:
    try:
        return repo.resolve(rev)
    except TreeError:
        return None


def _candidates(repo: Repository, near: Sequence[str], files: int) -> list[str]:
    """The near ones first, then the tips, newest first, within the caps."""
    commits = dict.fromkeys([*near, *(tip.commit for tip in repo.tips)])
    return list(commits)[: min(MAX_CANDIDATES, max(1, MAX_QUERIES // files))]


def _count_matches(
    repo: Repository, commits: Sequence[str], wanted: dict[str, str]
) -> dict[str, int]:
    """For each commit, how many paths hold the wanted blob."""
    pairs = [(commit, path) for commit in commits for path in wanted]
    found = repo.peel([f"{commit}:{path}" for commit, path in pairs])
    counts = dict.fromkeys(commits, 0)
    for (commit, path), (oid, _) in zip(pairs, found, strict=True):
        if oid is not None and oid.startswith(wanted[path]):
            counts[commit] += 1
    return counts
