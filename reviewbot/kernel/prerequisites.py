# SPDX-License-Identifier: GPL-2.0-or-later
"""Put what a series is built on below it, as far as it was found and goes on.

Each prerequisite is taken whole or not at all.  One that is in the way of the others
is left out and reported: whether the series needs it shows when the series is tried.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from reviewbot.kernel import git
from reviewbot.kernel.apply import apply_patch
from reviewbot.kernel.check import ApplyLimits
from reviewbot.kernel.model import (
    ApplyState,
    Base,
    PrerequisiteResult,
    PrerequisiteState,
)
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.series.model import Finding, Patch, Prerequisite, ReferenceKind

MAX_COMMITS = 500
"""Commits below the base whose patch-ids are looked at for one that nobody has posted."""
HISTORY = git.Limits(seconds=15.0, output=64 << 20)

_PATCH_ID = re.compile(r"([0-9a-f]{40}) ([0-9a-f]{40})")


def apply_prerequisites(
    scratch: Scratch, base: Base, prerequisites: Sequence[Prerequisite], limits: ApplyLimits
) -> tuple[str, tuple[PrerequisiteResult, ...]]:
    """The base's tree with the prerequisites on it, and what became of each.

    Raises as :func:`~reviewbot.kernel.apply.apply_series`.
    """
    tree, results = base.tree, []
    for each in prerequisites:
        after, result = _apply(scratch, tree, each, limits)
        tree = after or tree
        results.append(result)
    return tree, tuple(results)


def find_in_base(
    repository: Repository,
    base: Base,
    results: Sequence[PrerequisiteResult],
    patches: Sequence[Patch],
) -> tuple[PrerequisiteResult, ...]:
    """Look among the base's newest commits for the patch-ids that were not found elsewhere.

    ``patches`` are the series' own: a commit below it is looked for in the files and
    directories that they change.
    """
    wanted = {each.reference.value for each in results if _is_lost(each)}
    if not wanted:
        return tuple(results)
    found = _patch_ids(repository, base.commit, patches)
    return tuple(
        replace(each, state=PrerequisiteState.IN_BASE, note=f"commit {commit[:12]}")
        if _is_lost(each) and (commit := found.get(each.reference.value))
        else each
        for each in results
    )


def _is_lost(result: PrerequisiteResult) -> bool:
    lost = result.state is PrerequisiteState.NOT_FOUND
    return lost and result.reference.kind is ReferenceKind.PATCH_ID


def _apply(
    scratch: Scratch, tree: str, wanted: Prerequisite, limits: ApplyLimits
) -> tuple[str | None, PrerequisiteResult]:
    """The tree with one prerequisite, None if nothing of it was taken."""
    result = PrerequisiteResult(
        wanted.reference,
        PrerequisiteState.NOT_FOUND,
        subject=wanted.subject,
        message_id=wanted.message_id,
        note=wanted.note,
    )
    if wanted.finding is Finding.IN_SERIES:
        return None, replace(result, state=PrerequisiteState.IN_SERIES)
    if wanted.finding is not Finding.FOUND:
        return None, result
    applied = 0
    for patch in wanted.patches:
        done = apply_patch(scratch, tree, patch, limits)
        if done.tree is None:
            reason = done.failure.reason if done.failure else done.state.value
            which = f"patch {patch.index}: " if len(wanted.patches) > 1 else ""
            state = PrerequisiteState.CONFLICT
            return None, replace(result, state=state, note=f"{which}{reason}")
        applied += done.state is ApplyState.APPLIED
        tree = done.tree
    state = PrerequisiteState.APPLIED if applied else PrerequisiteState.IN_BASE
    return tree, replace(result, state=state, patches=applied)


def _patch_ids(repository: Repository, commit: str, patches: Sequence[Patch]) -> dict[str, str]:
    """Patch-id to commit, of the newest commits around what the patches change."""
    folders = {path.rpartition("/")[0] for patch in patches for path in patch.paths}
    folders.discard("")
    log = ["log", "-p", "--full-diff", "--no-merges", "--no-ext-diff", "--no-textconv"]
    log += [f"--max-count={MAX_COMMITS}", commit, "--", *sorted(folders)[:50]]
    try:
        text = git.run(repository.git_dir, log, limits=HISTORY).stdout
        said = git.run(repository.git_dir, ["patch-id", "--stable"], data=text, limits=HISTORY)
    except git.GitError:  # too much history, or a shallow clone's end: then it is not known
        return {}
    return dict(_PATCH_ID.findall(said.stdout.decode()))
