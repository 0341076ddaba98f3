# SPDX-License-Identifier: GPL-2.0-or-later
"""Series memory: what the review of v3 has to say to who read that of v2.

A review lists what its series brings, removes or claims to remove, and no more; so
what was new in v2 and is not listed for v3 is gone, while what was there before v2 is
gone only if v3 removes it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from reviewbot.locking.model import ChangeState, Hazard, Verdict
from reviewbot.report.model import Gone, Review, Since

_UNCOMPARED = frozenset({Verdict.DOES_NOT_APPLY, Verdict.NOT_REVIEWABLE})


class OldSite(msgspec.Struct, frozen=True):
    """One of a hazard's sites."""

    function: str
    via: str
    state: ChangeState


class OldHazard(msgspec.Struct, frozen=True):
    """A hazard as the older version's review had it."""

    id: str
    state: ChangeState
    patch: int | None = None
    sites: tuple[OldSite, ...] = ()


class OldPatch(msgspec.Struct, frozen=True):
    """A patch of the older version."""

    index: int
    subject: str


class OldSeries(msgspec.Struct, frozen=True):
    """What is remembered of the older version itself."""

    version: int
    patches: tuple[OldPatch, ...] = ()


class Memory(msgspec.Struct, frozen=True):
    """The review of an older version, as ``reviewbot.review/1`` keeps it."""

    series: OldSeries
    verdict: Verdict
    reason: str
    hazards: tuple[OldHazard, ...] = ()


def recall(result: Mapping[str, Any], suppressed: Collection[str] = ()) -> Memory:
    """The memory in a stored review, without the hazards that are known to be none.

    Raises :class:`msgspec.ValidationError` if it is none.
    """
    memory = msgspec.convert(result, Memory)
    kept = tuple(hazard for hazard in memory.hazards if hazard.id not in suppressed)
    return msgspec.structs.replace(memory, hazards=kept)


def since(memory: Memory, review: Review) -> Since | None:
    """What became of the older version's hazards; None if one of the two was not compared."""
    if memory.verdict in _UNCOMPARED or review.verdict in _UNCOMPARED:
        return None
    now = {hazard.id: hazard for hazard in review.hazards}
    before = {old.id: old for old in memory.hazards if old.state is not ChangeState.REMOVED}
    gone = {old.id: _patch_of(old, now.get(old.id), memory, review) for old in before.values()
            if _is_gone(old, now.get(old.id))}  # fmt: skip
    return Since(
        version=memory.series.version,
        gone=tuple(Gone(hazard, patch) for hazard, patch in gone.items()),
        remaining=tuple(hazard for hazard in before if hazard not in gone),
        new=tuple(
            hazard.id
            for hazard in review.hazards
            if hazard.state is not ChangeState.REMOVED and hazard.id not in before
        ),
    )


def tells_nothing_new(memory: Memory, review: Review) -> bool:
    """Whether the reply to the older version has said all that this one would."""
    if memory.verdict is not review.verdict:
        return False
    if review.verdict in _UNCOMPARED:
        return memory.reason == review.reason
    return {_old_sites(old) for old in memory.hazards} == {_sites(one) for one in review.hazards}


def _is_gone(old: OldHazard, now: Hazard | None) -> bool:
    if now is None:
        return old.state is ChangeState.INTRODUCED
    return now.state is ChangeState.REMOVED


def _patch_of(old: OldHazard, now: Hazard | None, memory: Memory, review: Review) -> int | None:
    """The patch that removes a hazard, else the one that brought it in and is now different."""
    if now is not None:
        return now.patch
    titles = {patch.index: patch.subject for patch in memory.series.patches}
    culprit = titles.get(old.patch or 0)
    return next((p.index for p in review.series.patches if p.subject == culprit), None)


def _old_sites(old: OldHazard) -> tuple[object, ...]:
    return old.id, old.state, frozenset((s.function, s.via, s.state) for s in old.sites)


def _sites(hazard: Hazard) -> tuple[object, ...]:
    return hazard.id, hazard.state, frozenset((s.function, s.via, s.state) for s in hazard.sites)
