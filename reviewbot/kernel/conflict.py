# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a series does not apply to its base, and where it does.

git names the hunk.  This finds the commit below the base that last touched what
the hunk wanted, and the nearest branch or tag on which the series goes on.  Both
only help a reader: when time is up or history is missing they are left out.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from reviewbot.kernel import git
from reviewbot.kernel.apply import apply_series
from reviewbot.kernel.base import MAX_PATHS, MAX_QUERIES, preimages
from reviewbot.kernel.check import ApplyLimits
from reviewbot.kernel.model import Application, ApplyState, Base, BaseHow, Conflict, HunkFailure
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.series.model import Series

MAX_TRIES = 8
"""Different states of the files that the series is tried on."""
TRY_SECONDS = 30.0
"""After which no further state is tried."""
HISTORY = git.Limits(seconds=10.0, output=16 << 20)

_HUNK = re.compile(r"@@ -(\d+)")
_BLAMED = re.compile(r"([0-9a-f]{40}) \d+ (\d+)")
_WORDS = re.compile(r"\w")


def explain_conflict(
    repository: Repository,
    scratch: Scratch,
    base: Base,
    series: Series,
    application: Application,
    limits: ApplyLimits,
) -> Conflict | None:
    """More about the hunk that stopped a series; None if none did.

    Raises :class:`~reviewbot.errors.TreeError` if the tree lacks objects.
    """
    failed = next((p for p in application.patches if p.state is ApplyState.CONFLICT), None)
    if failed is None or failed.failure is None or not failed.failure.path:
        return None
    found = Conflict(path=failed.failure.path)
    try:
        commit = _last_change(repository, base, failed.failure)
        if commit:
            subject = repository.git("log", "-1", "--format=%s", commit).stdout
            text = subject.decode("utf-8", "replace").strip()
            found = replace(found, commit=commit, subject=text)
    except git.GitError:  # history that is too long for its time, or cut off
        pass
    return _nearest(repository, scratch, base, series, limits, found)


# ---- who changed it ----


def _last_change(repository: Repository, base: Base, failure: HunkFailure) -> str:
    """The commit that last touched the lines which a hunk wanted; empty if none is known."""
    blob = repository.lookup(base.tree, [failure.path]).get(failure.path)
    wanted = _old_side(failure.hunk)
    if blob is None or not wanted:
        return _newest(repository, base, failure.path)
    have = repository.read_blob(blob).decode("utf-8", "surrogateescape").split("\n")
    place = _place(have, wanted, failure.hunk)
    if place is not None:
        strange = [
            number
            for number, line in enumerate(have[place : place + len(wanted)], place + 1)
            if line not in wanted
        ]
        if strange and (commit := _blame(repository, base, failure.path, strange)):
            return commit
    # The lines are gone and nothing has come in their place: who took the last of them?
    gone = [line for line in wanted if line not in have and _WORDS.search(line)]
    if gone:
        return _newest(repository, base, failure.path, f"-S{max(gone, key=len)}")
    return ""


def _old_side(hunk: str) -> list[str]:
    return [line[1:] for line in hunk.splitlines()[1:] if line[:1] in (" ", "-")]


def _place(have: Sequence[str], wanted: Sequence[str], hunk: str) -> int | None:
    """Where in a file most of a hunk's lines still stand together, counted from 0.

    Every line votes for the place at which it would be right; where votes are equal
    the place that the hunk names is nearer.
    """
    said = int(found[1]) - 1 if (found := _HUNK.match(hunk)) else 0
    offsets: dict[str, list[int]] = {}
    for offset, line in enumerate(wanted):
        if _WORDS.search(line):
            offsets.setdefault(line, []).append(offset)
    votes = Counter(
        number - offset for number, line in enumerate(have) for offset in offsets.get(line, ())
    )
    if not votes:
        return None
    place = min(votes, key=lambda at: (-votes[at], abs(at - said)))
    return max(0, place)


def _blame(repository: Repository, base: Base, path: str, lines: Sequence[int]) -> str:
    """The newest of the commits that the lines are from; empty at history's end."""
    span = f"{lines[0]},{lines[-1]}"
    args = ["blame", "--porcelain", "-L", span, base.commit, "--", path]
    said = git.run(repository.git_dir, args, limits=HISTORY).stdout.decode("utf-8", "replace")
    times: dict[str, int] = {}
    blamed = set()
    for part in re.split(r"^(?=[0-9a-f]{40} )", said, flags=re.MULTILINE):
        if (head := _BLAMED.match(part)) is None:
            continue
        commit, number = head[1], int(head[2])
        # What is known of a commit stands at the first of its lines.
        about = dict(line.partition(" ")[::2] for line in part.splitlines()[1:-1])
        if "committer-time" in about and "boundary" not in about:
            times[commit] = int(about["committer-time"])
        if number in lines:
            blamed.add(commit)
    return max(blamed & times.keys(), key=times.__getitem__, default="")


def _newest(repository: Repository, base: Base, path: str, *options: str) -> str:
    """The newest commit that changed a path; never the first of all, which brought the tree."""
    args = ["log", "-1", "--format=%H %P", *options, base.commit, "--", path]
    said = git.run(repository.git_dir, args, limits=HISTORY).stdout.decode().split()
    return said[0] if len(said) > 1 else ""


# ---- where it does apply ----


def _nearest(
    repository: Repository,
    scratch: Scratch,
    base: Base,
    series: Series,
    limits: ApplyLimits,
    found: Conflict,
) -> Conflict:
    """The conflict with the best tip on which the series applies, if one is found in time."""
    end = time.monotonic() + TRY_SECONDS
    for tried, commit in enumerate(_states(repository, base, series), 1):
        name = repository.describe(commit)
        there = Base(commit, repository.tree_of(commit), name, BaseHow.BLOBS, "")
        done = apply_series(scratch, there, series, limits)
        found = replace(found, tried=tried)
        if done.state is ApplyState.APPLIED:
            return replace(found, applies_to=name, applies_commit=commit)
        if time.monotonic() > end:
            break
    return found


def _states(repository: Repository, base: Base, series: Series) -> Sequence[str]:
    """A commit for each state of the series' files, those most like what it wants first.

    Whether a series applies depends on these files alone, so one tip for each state,
    the newest, is enough; and how many pre-image blobs it has costs nothing to know.
    """
    wanted = preimages(sorted(series.patches, key=lambda patch: patch.index))
    paths = list(dict.fromkeys([*wanted, *_paths(series)]))[:MAX_PATHS]
    commits = list(dict.fromkeys([base.commit, *(tip.commit for tip in repository.tips)]))
    commits = commits[: max(1, MAX_QUERIES // max(1, len(paths)))]
    names = [f"{commit}:{path}" for commit in commits for path in paths]
    blobs = [oid or "" for oid, _ in repository.peel(names)]
    states: dict[tuple[str, ...], str] = {}
    for number, commit in enumerate(commits):
        state = tuple(blobs[number * len(paths) : (number + 1) * len(paths)])
        states.setdefault(state, commit)

    def matches(state: tuple[str, ...]) -> int:
        pairs = zip(paths, state, strict=True)
        return sum(path in wanted and oid.startswith(wanted[path]) for path, oid in pairs)

    best = sorted(states, key=matches, reverse=True)
    return [states[each] for each in best if states[each] != base.commit][:MAX_TRIES]


def _paths(series: Series) -> Iterator[str]:
    return (path for patch in series.patches for path in patch.paths if path.isprintable())
