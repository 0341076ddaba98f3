# SPDX-License-Identifier: GPL-2.0-or-later
"""Which tree a series was tried on, and what came of applying it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class BaseHow(StrEnum):
    """What decided the base."""

    OPTION = "option"
    BASE_COMMIT = "base-commit"
    BLOBS = "blobs"
    BRANCH = "branch"
    """The one that the list's patches go to, as configured."""
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class Base:
    """The commit a series is applied to."""

    commit: str
    """Full object id of the commit."""
    tree: str
    """Full object id of its tree."""
    describe: str
    """A short name for people: a tag, branch or abbreviated id."""
    how: BaseHow
    why: str
    """One clause for the report, such as "14 of 14 pre-image blobs match"."""

    def to_dict(self) -> dict[str, Any]:
        """The ``base`` member of ``reviewbot.review/1``."""
        return {
            "commit": self.commit,
            "tree": self.tree,
            "describe": self.describe,
            "how": self.how.value,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file of a tree."""

    path: str
    """From the top, with slashes; bytes that are no UTF-8 are surrogate-escaped."""
    mode: str
    """Six octal digits: 100644, 100755, 120000 (symlink) or 160000 (submodule)."""
    blob: str
    """Full object id."""


@dataclass(frozen=True, slots=True)
class TreeChange:
    """One path that differs between two trees; None stands for "no such file"."""

    path: str
    before: str | None
    """Blob id."""
    after: str | None
    mode_before: str | None
    mode_after: str | None


class ApplyState(StrEnum):
    """How a patch, or the series as a whole, went on."""

    APPLIED = "applied"
    ALREADY_APPLIED = "already-applied"
    CONFLICT = "conflict"
    MISSING_PATCH = "missing-patch"
    """A hole in the series before this patch: it was not tried."""
    REFUSED = "refused"
    """The diff names a forbidden path or mode, is corrupt, or its repair is ambiguous."""


@dataclass(frozen=True, slots=True)
class HunkFailure:
    """The hunk that did not go on."""

    path: str
    hunk: str
    """The hunk's text with its ``@@`` line, empty when git names only the file."""
    reason: str
    """git's words, or ours."""

    def to_dict(self) -> dict[str, Any]:
        return {"path": self.path, "hunk": self.hunk, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Offset:
    """A hunk that went on ``lines`` away from where it said."""

    path: str
    hunk: int
    """1-based number of the hunk within its file."""
    lines: int

    def to_dict(self) -> dict[str, Any]:
        return {"path": self.path, "hunk": self.hunk, "lines": self.lines}


@dataclass(frozen=True, slots=True)
class PresentHunk:
    """A hunk whose change the tree had already: it was left out, the others went on."""

    path: str
    hunk: int
    """1-based number of the hunk within its file."""

    def to_dict(self) -> dict[str, Any]:
        return {"path": self.path, "hunk": self.hunk}


@dataclass(frozen=True, slots=True)
class PatchApplication:
    """What came of one patch."""

    index: int
    subject: str
    state: ApplyState
    tree: str | None
    """Tree after this patch; None unless the state is applied or already applied."""
    diff: str = ""
    """The diff that git took: the patch's own, or the repaired one."""
    offsets: tuple[Offset, ...] = ()
    three_way: bool = False
    repaired: bool = False
    repair_proof: str = ""
    """What proves a white-space repair, one clause; empty if there was none."""
    failure: HunkFailure | None = None
    already: tuple[PresentHunk, ...] = ()
    """Hunks left out because the tree had them, while the rest of the patch went on."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "subject": self.subject,
            "state": self.state.value,
            "tree": self.tree,
            "offsets": [offset.to_dict() for offset in self.offsets],
            "three_way": self.three_way,
            "repaired": self.repaired,
            "repair_proof": self.repair_proof,
            "failure": self.failure.to_dict() if self.failure else None,
            "already": [hunk.to_dict() for hunk in self.already],
        }


@dataclass(frozen=True, slots=True)
class Application:
    """What came of the series: one entry a patch tried, in order."""

    state: ApplyState
    patches: tuple[PatchApplication, ...]

    @property
    def failed(self) -> PatchApplication | None:
        """The first patch that did not go on."""
        for patch in self.patches:
            if patch.state is not ApplyState.APPLIED:
                return patch
        return None

    def to_dict(self) -> dict[str, Any]:
        """The ``application`` member of ``reviewbot.review/1``."""
        return {
            "state": self.state.value,
            "patches": [patch.to_dict() for patch in self.patches],
        }
