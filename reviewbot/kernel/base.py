# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose the commit a series is tried on, and say why.

An explicit option wins; then ``base-commit:`` if the tree has it; then the newest
branch or tag whose files are the pre-image blobs of the patches' ``index`` lines;
then HEAD.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reviewbot.errors import TreeError
from reviewbot.kernel.model import Base, BaseHow
from reviewbot.kernel.repository import Repository
from reviewbot.series.model import Series

MAX_CANDIDATES = 4_000
"""Branches and tags compared, newest first."""
MAX_QUERIES = 40_000
"""(candidate, path) pairs asked for, about 10 µs to 100 µs each."""
MAX_PATHS = 200
"""Files compared on each candidate; more say nothing new."""

_COMMIT = re.compile(r"[0-9a-f]{7,40}")


def choose_base(repo: Repository, series: Series, option: str | None) -> Base:
    """The commit to apply ``series`` to; ``option`` is the user's own choice.

    Raises :class:`TreeError` if the option names no commit, or if nothing else
    decides and HEAD names none.
    """
    if option is not None:
        return _base(repo, repo.resolve(option), BaseHow.OPTION, f"{option} was asked for")
    notes = []
    if series.base_commit is not None:
        commit = _given(repo, series.base_commit)
        if commit is not None:
            return _base(repo, commit, BaseHow.BASE_COMMIT, "the series names it" + _prereq(series))
        notes.append("base-commit given but not in this tree")
    wanted = _preimages(series)
    if not wanted:
        notes.append("no pre-image blobs to compare")
    else:
        commit, note = _by_blobs(repo, wanted)
        notes.append(note)
        if commit is not None:
            return _base(repo, commit, BaseHow.BLOBS, "; ".join(notes) + _prereq(series))
    notes.append("used HEAD")
    return _base(repo, _head(repo), BaseHow.HEAD, "; ".join(notes) + _prereq(series))


def _base(repo: Repository, commit: str, how: BaseHow, why: str) -> Base:
    return Base(
        commit=commit,
        tree=repo.tree_of(commit),
        describe=repo.describe(commit),
        how=how,
        why=why,
    )


def _prereq(series: Series) -> str:
    count = len(series.prerequisites)
    if count == 0:
        return ""
    return f"; {count} prerequisite patch{'es' if count > 1 else ''} not applied"


def _given(repo: Repository, value: str) -> str | None:
    """The commit a ``base-commit:`` line names, if it is an id and the tree has it."""
    if not _COMMIT.fullmatch(value):
        return None  # b4 reads "v6.12-rc1" as commit 6: anything but a real id is noise
    try:
        return repo.resolve(value)
    except TreeError:
        return None


def _head(repo: Repository) -> str:
    try:
        return repo.resolve("HEAD")
    except TreeError as error:
        message = f"HEAD of {repo.path} names no commit: choose a base with --base"
        raise TreeError(message) from error


def _preimages(series: Series) -> dict[str, str]:
    """Path to abbreviated pre-image id, of files as the series first meets them.

    A later patch's pre-image is an earlier one's result.  Files that the series
    makes have none, and neither have ``index`` lines that git shortened too far.
    """
    first: dict[str, str] = {}
    for patch in sorted(series.patches, key=lambda patch: patch.index):
        for change in patch.blobs:
            first.setdefault(change.path, change.before)
    usable = {
        path: oid
        for path, oid in first.items()
        if _COMMIT.fullmatch(oid) and oid.strip("0") and path.isprintable()
    }
    return dict(list(usable.items())[:MAX_PATHS])


def _by_blobs(repo: Repository, wanted: dict[str, str]) -> tuple[str | None, str]:
    """The newest tip where every pre-image blob is in place, and a note either way."""
    total = len(wanted)
    known = repo.find_blob_prefixes(wanted.values())
    head = _try_head(repo)
    commits = _candidates(repo, head, total)
    if len(known) < len(set(wanted.values())):
        # Some blob is in no commit of this repository: no tip can match whole.
        commits = commits[:1] if head else []
    matches = _count_matches(repo, commits, wanted)
    for commit in commits:
        if matches[commit] == total:
            return commit, f"{total} of {total} pre-image blobs match"
    if head is None or matches.get(head, 0) == 0:
        return None, "pre-image blobs differ"
    return None, f"{matches[head]} of {total} pre-image blobs match"


def _try_head(repo: Repository) -> str | None:
    try:
        return repo.resolve("HEAD")
    except TreeError:
        return None


def _candidates(repo: Repository, head: str | None, files: int) -> list[str]:
    """HEAD first, then the tips, newest first, within the caps."""
    commits = dict.fromkeys(([head] if head else []) + [tip.commit for tip in repo.tips])
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
