# SPDX-License-Identifier: GPL-2.0-or-later
"""Apply a series to a tree in a scratch repository: a tree after every patch.

``git apply --cached`` on a private index, nothing is ever checked out.  Each
patch is tried in this order until one holds:

1. with ``--3way``, git's own order: a merge from the pre-image blobs if they are
   known, else by context, with offsets;
2. by context only, where the merge conflicts but every hunk finds its place;
3. reversed: it goes off cleanly, so the tree has it already;
4. without the hunks that the tree has already (:mod:`reviewbot.kernel.hunks`).

A series with a hole is applied up to the hole and not past it: what comes after
was written on top of what is missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Protocol

from reviewbot.errors import DamagedPatch
from reviewbot.kernel import git
from reviewbot.kernel.check import ApplyLimits, forbidden_change, refusal, shown_path
from reviewbot.kernel.hunks import hunk_at, without_present
from reviewbot.kernel.model import (
    Application,
    ApplyState,
    Base,
    HunkFailure,
    Offset,
    PatchApplication,
    PresentHunk,
)
from reviewbot.kernel.repository import Scratch
from reviewbot.series.damage import repair
from reviewbot.series.model import Patch, Series

# What git apply says with --verbose and LC_ALL=C (apply.c of git 2.30 to 2.51).
_CHECKING = re.compile(r"^Checking patch (?:.* => )?(.+)\.\.\.$")
_HUNK_AT = re.compile(r"^Hunk #(\d+) succeeded at \d+ \(offset (-?\d+) lines?\)\.$")
_MERGED = re.compile(r"^Applied patch to '(.+)' cleanly\.$")
_PATCH_FAILED = re.compile(r"^error: patch failed: (.+):(\d+)$", re.MULTILINE)
_PATH_FAILED = re.compile(r"^error: (.+?): (.+)$", re.MULTILINE)
_CORRUPT = re.compile(
    r"^(?:error|fatal): (?:corrupt (?:binary )?patch|patch fragment without header"
    r"|No valid patches|patch with only garbage|git diff header lacks|new file \S+ depends"
    r"|unrecognized (?:input|binary patch)|git apply: bad git-diff)",
    re.MULTILINE,
)
# The machine's trouble, not the patch's: with status 128 only, which paths never start.
_TROUBLE = re.compile(
    r"^(?:error|fatal): (?:[Uu]nable to (?:write|create)|insufficient permission|write error"
    r"|file write error|cannot (?:fork|create)|failed to (?:write|flush))",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One run of git apply on the index."""

    status: int
    said: str

    @property
    def applied(self) -> bool:
        return self.status == 0


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A diff that went on, or why it did not."""

    diff: str
    said: str = ""
    already: tuple[PresentHunk, ...] = ()
    numbers: dict[tuple[str, int], int] | None = None
    reversed: bool = False
    failure: HunkFailure | None = None
    state: ApplyState = ApplyState.APPLIED

    @property
    def corrupt(self) -> bool:
        """Whether git could not even read the diff."""
        return self.state is ApplyState.REFUSED and _CORRUPT.search(self.said) is not None


class _Run(Protocol):
    """Runs ``git apply --cached OPTIONS`` on a fresh index."""

    def __call__(self, diff: str, *options: str) -> _Attempt: ...


def apply_series(
    scratch: Scratch, base: Base, series: Series, limits: ApplyLimits | None = None
) -> Application:
    """Apply the patches in order, up to the first that does not go on.

    What goes wrong with a patch is a state, not an error.  Raises
    :class:`git.GitError` if git itself fails and :class:`TreeError` if the tree
    lacks an object it names (a partial clone).
    """
    limits = limits or ApplyLimits()
    done: list[PatchApplication] = []
    tree = base.tree
    for patch in sorted(series.patches, key=lambda patch: patch.index):
        holes = [index for index in series.missing if index < patch.index]
        if holes:
            done.append(_behind_hole(patch.index, patch.subject, holes[0], series.expected))
            return Application(ApplyState.MISSING_PATCH, tuple(done))
        result = apply_patch(scratch, tree, patch, limits)
        done.append(result)
        if result.tree is None:
            return Application(result.state, tuple(done))
        tree = result.tree
    if series.missing:
        last = series.missing[0]
        done.append(_behind_hole(last, "", last, series.expected))
        return Application(ApplyState.MISSING_PATCH, tuple(done))
    nothing_new = done and all(each.state is ApplyState.ALREADY_APPLIED for each in done)
    state = ApplyState.ALREADY_APPLIED if nothing_new else ApplyState.APPLIED
    return Application(state, tuple(done))


def apply_patch(scratch: Scratch, tree: str, patch: Patch, limits: ApplyLimits) -> PatchApplication:
    """Apply one patch to a tree of the scratch repository; see :func:`apply_series`."""
    diff, fixed = patch.diff, None

    def preimage(path: str) -> str | None:
        return _text(scratch, tree, path)

    try:
        if patch.damage is not None and refusal(diff, limits) is None:
            fixed = repair(diff, preimage)
        outcome = _apply_diff(scratch, tree, fixed.diff if fixed else diff, limits)
        if outcome.corrupt and fixed is None:
            fixed = repair(diff, preimage)
            outcome = _apply_diff(scratch, tree, fixed.diff, limits)
    except (DamagedPatch, git.LimitError) as error:
        outcome = _refused(diff, HunkFailure(path="", hunk="", reason=str(error)))
    result = PatchApplication(
        index=patch.index,
        subject=patch.subject,
        state=outcome.state,
        tree=None,
        diff=_encodable(outcome.diff),
        repaired=fixed is not None,
        repair_proof=fixed.proof if fixed else "",
        failure=outcome.failure,
    )
    if outcome.failure is not None:
        return result
    return _with_tree(scratch, tree, patch, outcome, result)


def _behind_hole(index: int, subject: str, hole: int, expected: int) -> PatchApplication:
    reason = f"patch {hole}/{expected} did not arrive; nothing from it on was tried"
    return PatchApplication(
        index=index,
        subject=subject,
        state=ApplyState.MISSING_PATCH,
        tree=None,
        failure=HunkFailure(path="", hunk="", reason=reason),
    )


def _with_tree(
    scratch: Scratch, before: str, patch: Patch, outcome: _Outcome, result: PatchApplication
) -> PatchApplication:
    """Complete the record of a patch that is in the index (or was in the tree before)."""
    tree = before if outcome.reversed else _write_tree(scratch)
    changes = scratch.diff_trees(before, tree)
    for change in changes:
        if reason := forbidden_change(change):
            failure = HunkFailure(path=shown_path(change.path), hunk="", reason=reason)
            return replace(result, state=ApplyState.REFUSED, failure=failure)
    return replace(
        result,
        state=ApplyState.APPLIED if changes else ApplyState.ALREADY_APPLIED,
        tree=tree,
        offsets=_offsets(outcome),
        three_way=_merged(patch, outcome.said, {c.path: c.before or "" for c in changes}),
        already=outcome.already,
    )


def _apply_diff(scratch: Scratch, tree: str, diff: str, limits: ApplyLimits) -> _Outcome:
    """Try the ways in the module's order; the index holds the result if one works."""
    if failure := refusal(diff, limits):
        return _refused(diff, failure)
    run = _runner(scratch, tree, limits)
    merged = run(diff, "--3way")
    if merged.applied:
        return _Outcome(diff, merged.said)
    if merged.status == 128 or _CORRUPT.search(merged.said):
        failure = HunkFailure(path="", hunk="", reason=_first_error(merged.said))
        return _Outcome(diff, merged.said, failure=failure, state=ApplyState.REFUSED)
    return _without_merge(scratch, tree, diff, run)


def _without_merge(scratch: Scratch, tree: str, diff: str, run: _Run) -> _Outcome:
    """The ways left when git's own does not hold: by context, reversed, in part."""
    direct = run(diff)
    if direct.applied:
        return _Outcome(diff, direct.said)
    if run(diff, "--check", "--reverse").applied:
        return _Outcome(diff, reversed=True)
    reduced = without_present(diff, lambda path: _text(scratch, tree, path))
    if reduced is not None:
        rest = run(reduced.diff)
        if rest.applied:
            return _Outcome(reduced.diff, rest.said, reduced.present, reduced.numbers)
    failure = _conflict(diff, direct.said)
    return _Outcome(diff, direct.said, failure=failure, state=ApplyState.CONFLICT)


def _refused(diff: str, failure: HunkFailure) -> _Outcome:
    return _Outcome(diff, failure=failure, state=ApplyState.REFUSED)


def _runner(scratch: Scratch, tree: str, limits: ApplyLimits) -> _Run:
    """A function that runs ``git apply --cached OPTIONS`` on an index equal to ``tree``."""
    bounds = git.Limits(
        seconds=limits.seconds,
        cpu=max(1, round(limits.seconds)),
        memory=limits.memory,
        file_size=limits.file_size,
        output=64 << 20,
    )

    def run(diff: str, *options: str) -> _Attempt:
        if scratch.indexed != tree:
            scratch.forget_index()  # a killed git leaves its lock, and conflicts their stages
            git.run(scratch.git_dir, ["read-tree", tree], index=scratch.index, limits=bounds)
        scratch.indexed = ""  # until what comes out has been written as a tree
        done = git.run(
            scratch.git_dir,
            ["apply", "--cached", "--verbose", "--whitespace=nowarn", *options, "-"],
            data=diff.encode("utf-8", "surrogateescape"),
            index=scratch.index,
            limits=bounds,
            accept=(0, 1, 128),
        )
        if done.status == 128 and _TROUBLE.search(done.stderr):
            said = _first_error(done.stderr)
            raise git.GitError(f"git apply could not work: {said}", done.status, done.stderr)
        return _Attempt(done.status, done.stderr)

    return run


def _write_tree(scratch: Scratch) -> str:
    done = git.run(scratch.git_dir, ["write-tree"], index=scratch.index)
    scratch.indexed = done.stdout.decode().strip()
    return scratch.indexed


def _text(scratch: Scratch, tree: str, path: str) -> str | None:
    """A file's text in a tree; None if there is no such file."""
    blob = scratch.lookup(tree, [path]).get(path)
    if blob is None:
        return None
    return scratch.read_blob(blob).decode("utf-8", "surrogateescape")


def _offsets(outcome: _Outcome) -> tuple[Offset, ...]:
    """git's "succeeded at" lines, with the hunk numbers of the posted diff."""
    path = ""
    found = []
    for line in outcome.said.splitlines():
        if checking := _CHECKING.match(line):
            path = checking[1]
        elif hunk := _HUNK_AT.match(line):
            number = int(hunk[1])
            if outcome.numbers is not None:
                number = outcome.numbers.get((path, number), number)
            found.append(Offset(path, number, int(hunk[2])))
    return tuple(found)


def _merged(patch: Patch, said: str, before: dict[str, str]) -> bool:
    """Whether a real three-way merge took place.

    git says the same when the file is its own pre-image blob; that is no merge.
    """
    old = {change.path: change.before for change in patch.blobs}
    for line in said.splitlines():
        if merged := _MERGED.match(line):
            path = merged[1]
            prefix = old.get(path, "")
            if path in before and not (prefix and before[path].startswith(prefix)):
                return True
    return False


def _conflict(diff: str, said: str) -> HunkFailure:
    """Which hunk git stumbled over, from what it said when applying by context."""
    if found := _PATCH_FAILED.search(said):
        path, line = found[1], int(found[2])
        reason = f"git apply: patch failed: {path}:{line}"
        return HunkFailure(shown_path(path), _encodable(hunk_at(diff, path, line)), reason)
    reason = _first_error(said)
    path = found[1] if (found := _PATH_FAILED.search(said)) else ""
    return HunkFailure(shown_path(path), "", f"git apply: {reason}")


def _encodable(text: str) -> str:
    """A diff without what a repair took over from a file that is no UTF-8.

    Results are handed on between processes, in UTF-8.
    """
    return text.encode("utf-8", "replace").decode()


def _first_error(said: str) -> str:
    """The first line in which git complains, without its "error:"."""
    for line in said.splitlines():
        kind, _, rest = line.partition(": ")
        if kind in ("error", "fatal"):
            return rest
    return "git apply failed without a word"
