# SPDX-License-Identifier: GPL-2.0-or-later
"""A posted patch series as data: frozen values, no I/O, no judgement.

Everything in here was said by a stranger.  Text is decoded and bounded by the
reader that makes these values (:mod:`reviewbot.series.assemble`), but nothing
of it is to be trusted as a path, a revision or a template.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Identity:
    """A person in a mail header: display name (may be empty) and address."""

    name: str
    address: str

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "address": self.address}


@dataclass(frozen=True, slots=True)
class Trailer:
    """``Name: value`` from the end of a commit message, shown as data only."""

    name: str
    value: str

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value}


@dataclass(frozen=True, slots=True)
class Envelope:
    """The headers of one mail that a reply to it needs (RFC 5322, 3.6)."""

    message_id: str
    """Without angle brackets; empty for a commit that was never mailed."""
    subject: str
    author: Identity
    date: str
    """The ``Date:`` header as sent, or an empty string."""
    to: tuple[Identity, ...] = ()
    cc: tuple[Identity, ...] = ()
    reply_to: tuple[Identity, ...] = ()
    original_from: tuple[Identity, ...] = ()
    """Whom a relay or list that put itself into ``From:`` names as the author."""
    references: tuple[str, ...] = ()
    """Message-ids, oldest first, without this mail's own."""


@dataclass(frozen=True, slots=True)
class BlobChange:
    """One ``index`` line: a path and its abbreviated blob ids before and after.

    An all-zero id stands for "no such file".
    """

    path: str
    before: str
    after: str


class DamageKind(StrEnum):
    """What a mail path did to the white space of a diff."""

    LEADING_SPACE_LOST = "leading white space lost"
    TABS_EXPANDED = "tabs turned into spaces"
    LINES_WRAPPED = "long lines wrapped"


@dataclass(frozen=True, slots=True)
class Damage:
    """How a patch's diff is known to be damaged, before any repair."""

    kinds: tuple[DamageKind, ...]


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch of a series."""

    index: int
    """1-based place in the series."""
    envelope: Envelope
    subject: str
    """First line of the commit message, without ``[PATCH …]``."""
    author: Identity
    """Author of the commit: an in-body ``From:`` wins over the header."""
    message: str
    """Commit message below the subject, without what follows ``---``."""
    diff: str
    """The unified diff, from the first ``diff --git`` (or ``---``) line on."""
    trailers: tuple[Trailer, ...] = ()
    blobs: tuple[BlobChange, ...] = ()
    patch_id: str | None = None
    """``git patch-id --stable`` of the diff; None if git cannot read it."""
    damage: Damage | None = None
    from_version: int | None = None
    """Version this patch was taken from, where only some patches were posted again (b4's
    partial reroll); None for a patch of the series' own version."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths this patch changes, as its ``index``/``diff`` lines name them."""
        return tuple(dict.fromkeys(change.path for change in self.blobs))


class ReferenceKind(StrEnum):
    """By what a series names another one."""

    PATCH_ID = "patch-id"
    """``git patch-id --stable`` of one patch."""
    CHANGE_ID = "change-id"
    """b4's name for all versions of a series; ``:v3`` behind it names one."""
    MESSAGE_ID = "message-id"


@dataclass(frozen=True, slots=True)
class Reference:
    """One thing that a series says it is built on."""

    kind: ReferenceKind
    value: str

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind.value, "value": self.value}


class Finding(StrEnum):
    """What came of looking for a prerequisite."""

    FOUND = "found"
    IN_SERIES = "in-series"
    """It is a patch of the series itself."""
    NOT_FOUND = "not-found"
    UNREACHABLE = "unreachable"
    """The archive could not be read: another try may find it."""


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """What was found for a :class:`Reference`."""

    reference: Reference
    finding: Finding
    patches: tuple[Patch, ...] = ()
    """In order; empty unless found."""
    subject: str = ""
    """Of the cover letter, else of the first patch."""
    message_id: str = ""
    note: str = ""
    """Why it was not found, one clause."""


@dataclass(frozen=True, slots=True)
class Series:
    """One version of a patch series, whole or with holes.

    ``patches`` holds what arrived in order; :attr:`missing` names the rest.
    """

    message_id: str
    """The id the user asked for, or the first patch's (or cover's)."""
    subject: str
    version: int
    expected: int
    patches: tuple[Patch, ...]
    missing: tuple[int, ...] = ()
    """1-based places of patches that did not arrive."""
    cover: Envelope | None = None
    cover_text: str = ""
    base_commit: str | None = None
    change_id: str | None = None
    depends_on: tuple[Reference, ...] = ()
    """What it says it is built on (:mod:`reviewbot.series.references`)."""
    newer_versions: tuple[int, ...] = ()
    """Versions above this one in the same thread."""
    mbox: bytes = b""
    """The series as an mboxrd, the bytes ``b4 -q am -T -o -`` would print."""
    source: str = ""
    """Where it was read from, for the reproduce line: a message-id, path or range."""

    @property
    def words(self) -> str:
        """What the series says about itself: cover letter, subjects and commit messages."""
        messages = [f"{patch.subject}\n{patch.message}" for patch in self.patches]
        return "\n".join([self.subject, self.cover_text, *messages])

    @property
    def head(self) -> Envelope:
        """The mail a verdict on the whole series answers: cover letter, else patch 1."""
        return self.cover if self.cover is not None else self.patches[0].envelope

    def to_dict(self) -> dict[str, Any]:
        """The ``series`` member of ``reviewbot.review/1``."""
        return {
            "message_id": self.message_id,
            "subject": self.subject,
            "version": self.version,
            "expected": self.expected,
            "missing": list(self.missing),
            "newer_versions": list(self.newer_versions),
            "base_commit": self.base_commit,
            "change_id": self.change_id,
            "prerequisites": [
                each.value for each in self.depends_on if each.kind is ReferenceKind.PATCH_ID
            ],
            "depends_on": [each.to_dict() for each in self.depends_on],
            "patches": [
                {
                    "index": patch.index,
                    "message_id": patch.envelope.message_id,
                    "subject": patch.subject,
                    "author": patch.author.to_dict(),
                    "trailers": [trailer.to_dict() for trailer in patch.trailers],
                    "patch_id": patch.patch_id,
                    "damage": list(patch.damage.kinds) if patch.damage else [],
                    "from_version": patch.from_version,
                }
                for patch in self.patches
            ],
        }
