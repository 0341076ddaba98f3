# SPDX-License-Identifier: GPL-2.0-or-later
"""Which tree a series was tried on, and what came of applying it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reviewbot.series.model import Reference


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


class PrerequisiteState(StrEnum):
    """What became of something that a series is built on."""

    APPLIED = "applied"
    IN_BASE = "in-base"
    """The base has it already."""
    IN_SERIES = "in-series"
    """It is a patch of the series itself."""
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    """It does not apply, so none of it was taken."""


@dataclass(frozen=True, slots=True)
class PrerequisiteResult:
    """A prerequisite and what became of it."""

    reference: Reference
    state: PrerequisiteState
    patches: int = 0
    """How many of its patches went on."""
    subject: str = ""
    message_id: str = ""
    note: str = ""
    """Why it did not go on, or where it was found, one clause."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "reference": self.reference.to_dict(),
            "state": self.state.value,
            "patches": self.patches,
            "subject": self.subject,
            "message_id": self.message_id,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Conflict:
    """Where a patch met the base, who changed the base there, and where it does apply."""

    path: str
    commit: str = ""
    """Full id of the commit below the base that last touched the lines; empty if not known."""
    subject: str = ""
    """Of that commit."""
    applies_to: str = ""
    """A tag or branch on which the whole series applies; empty if none was found."""
    applies_commit: str = ""
    """Full id of the commit it stands for."""
    tried: int = 0
    """States of the files that it was tried on to find that one."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "commit": self.commit or None,
            "subject": self.subject,
            "applies_to": self.applies_to or None,
            "applies_commit": self.applies_commit or None,
            "tried": self.tried,
        }


@dataclass(frozen=True, slots=True)
class Application:
    """What came of the series: one entry a patch tried, in order."""

    state: ApplyState
    patches: tuple[PatchApplication, ...]
    start: str = ""
    """The tree that the series was put on: the base's, with the prerequisites."""
    prerequisites: tuple[PrerequisiteResult, ...] = ()
    conflict: Conflict | None = None
    """More about the conflict that stopped the series, if one did."""

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
            "prerequisites": [each.to_dict() for each in self.prerequisites],
            "conflict": self.conflict.to_dict() if self.conflict else None,
        }
