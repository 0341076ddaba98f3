# SPDX-License-Identifier: GPL-2.0-or-later
"""What a reader must know to judge a report: the base, and how the series went on.

Each fact is a label and a sentence, in the order they are printed.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from reviewbot.kernel.model import (
    ApplyState,
    Base,
    BaseHow,
    PatchApplication,
    PrerequisiteResult,
    PrerequisiteState,
)
from reviewbot.report.clean import one_line, prose
from reviewbot.report.headers import archive_link
from reviewbot.report.model import Review
from reviewbot.series.model import ReferenceKind, Series

Fact = tuple[str, str]
"""A label and what it says."""

_HOW = {
    BaseHow.OPTION: "by --base",
    BaseHow.BASE_COMMIT: "by the base-commit trailer",
    BaseHow.BLOBS: "by blobs",
    BaseHow.BRANCH: "the list's branch",
    BaseHow.HEAD: "HEAD of the tree",
}
_SHOWN_OFFSETS = 6
_SHOWN_PREREQUISITES = 6
_SOURCE_LIMIT = 200
_RANGE = re.compile(r"[^/\s.][^\s]*[^/\s.]\.{2,3}[^/\s.][^\s]*")


def facts(review: Review) -> tuple[Fact, ...]:
    """All facts about one review."""
    return (
        *_about_base(review),
        *_about_prerequisites(review),
        *_about_patches(review),
        *_about_series(review.series),
    )


def numbered(index: int, series: Series) -> str:
    """``2/3``, as the subject of that patch has it."""
    return f"{index}/{max(series.expected, index)}"


def missing(series: Series) -> str:
    """The patches that did not arrive: "patch 2/3", "patches 2/4 and 3/4", or nothing."""
    if not series.missing:
        return ""
    numbers = listed([numbered(index, series) for index in series.missing], limit=8)
    return f"patch{'es' if len(series.missing) > 1 else ''} {numbers}"


def listed(words: Sequence[str], limit: int = 4) -> str:
    """``a, b and c``; what is above the limit is counted."""
    shown = list(words[:limit])
    if len(words) > limit:
        shown.append(f"{len(words) - limit} more")
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def short_id(commit: str) -> str:
    """An object id as the kernel's documentation wants it quoted: 12 digits."""
    return commit[:12]


def reproduce(review: Review) -> str:
    """The command that makes this report again, quoted for a shell."""
    series = review.series
    # The source may be named by a stranger: on one line, then quoted.
    # A message-id is what others can fetch, and says nothing of the operator's disk.
    source = one_line(series.message_id or series.source, _SOURCE_LIMIT)
    ranged = not series.message_id and _RANGE.fullmatch(source) and not _has_suffix(source)
    quoted = shlex.quote(source)
    words = [
        "reviewbot review",
        "--range" if ranged else "",
        # What is too long for a line of mail would be cut: then it is the reader's to name.
        quoted if len(quoted) < _SOURCE_LIMIT else "SERIES",
        "--tree linux",
        f"--base {shlex.quote(one_line(short_id(review.base.commit)))}" if review.base else "",
    ]
    return " ".join(filter(None, words))


def _has_suffix(source: str) -> bool:
    return PurePath(source).suffix in {".mbox", ".eml", ".patch", ".txt"}


def _about_base(review: Review) -> Iterator[Fact]:
    if review.base is not None:
        yield "Base", f"{_base_name(review.base)}, {_HOW[review.base.how]}{_why(review.base)}"


def _base_name(base: Base) -> str:
    name, commit = prose(base.describe, 80), short_id(base.commit)
    return f"commit {commit}" if not name or commit.startswith(name) else f"{name} ({commit})"


def _why(base: Base) -> str:
    return f": {prose(base.why)}" if base.why else ""


def _about_prerequisites(review: Review) -> Iterator[Fact]:
    results = review.application.prerequisites if review.application else ()
    for result in results[:_SHOWN_PREREQUISITES]:
        yield "Built on", f"{_prerequisite(result)}: {_outcome(result)}"
    if more := results[_SHOWN_PREREQUISITES:]:
        told = Counter(result.state.value.replace("-", " ") for result in more)
        each = listed([f"{count} {state}" for state, count in told.items()])
        yield "Built on", f"{len(more)} more prerequisites: {each}"
    if (named := len(review.series.depends_on)) and not results:
        yield "Built on", f"{named} prerequisite{'s' if named > 1 else ''}, not applied"


def _prerequisite(result: PrerequisiteResult) -> str:
    """Its subject and message-id, else what the series calls it."""
    kind, value = result.reference.kind, result.reference.value
    if result.message_id:
        what = "patch" if kind is ReferenceKind.PATCH_ID else "series"
        return f'{what} "{prose(result.subject, 120)}" ({archive_link(result.message_id)})'
    if kind is ReferenceKind.MESSAGE_ID:
        return archive_link(value)
    return (
        f"{kind.value} {short_id(value) if kind is ReferenceKind.PATCH_ID else prose(value, 120)}"
    )


def _outcome(result: PrerequisiteResult) -> str:
    note = f": {prose(result.note, 200)}" if result.note else ""
    match result.state:
        case PrerequisiteState.APPLIED:
            return f"{result.patches} patch{'es' if result.patches > 1 else ''} applied first"
        case PrerequisiteState.IN_BASE:
            return f"in the base already{note}"
        case PrerequisiteState.IN_SERIES:
            return prose(result.note, 200) or "in the series itself"
        case PrerequisiteState.NOT_FOUND:
            return f"not found{note}"
        case PrerequisiteState.CONFLICT:
            return f"left out, as it does not apply{note}"


def _about_patches(review: Review) -> Iterator[Fact]:
    if review.application is None:
        return
    series, patches = review.series, review.application.patches
    applied = [patch for patch in patches if patch.state is ApplyState.APPLIED]
    if review.application.state is not ApplyState.ALREADY_APPLIED:
        yield "Applied", _applied(len(applied), series)
    present = [numbered(one.index, series) for one in patches if _was_there(one)]
    if present and len(present) < max(series.expected, len(patches)):
        yield "Present", f"patch {listed(present)} in the base already"
    for patch in patches:
        which = f"patch {numbered(patch.index, series)}"
        if patch.offsets:
            where = "" if series.expected == 1 else f"{which}: "
            yield "Offsets", f"{where}{_offsets(patch)}"
        if patch.already:
            yield "Left out", _left_out(patch)
        if patch.three_way:
            yield "Merged", f"{which} went on by a 3-way merge"
        if patch.repaired:
            yield "Repaired", _repaired(patch, series, which)


def _applied(count: int, series: Series) -> str:
    total = max(series.expected, len(series.patches))
    if total == 1:
        return "patch 1/1" if count else "nothing"
    return f"all {total} patches" if count == total else f"{count or 'none'} of {total} patches"


def _offsets(patch: PatchApplication) -> str:
    words, path = [], ""
    for offset in patch.offsets[:_SHOWN_OFFSETS]:
        name = f"{prose(offset.path)}, " if offset.path != path else ""
        words.append(f"{name}hunk {offset.hunk} {offset.lines:+d}")
        path = offset.path
    more = len(patch.offsets) - len(words)
    return f"{', '.join(words)} lines{f', and {more} more hunks' if more else ''}"


def _was_there(patch: PatchApplication) -> bool:
    return patch.state is ApplyState.ALREADY_APPLIED


def _left_out(patch: PatchApplication) -> str:
    hunks = [f"hunk {hunk.hunk} of {prose(hunk.path)}" for hunk in patch.already]
    return f"{listed(hunks)}, which the tree has already"


def _repaired(patch: PatchApplication, series: Series, which: str) -> str:
    damage = next((known.damage for known in series.patches if known.index == patch.index), None)
    kinds = listed([kind.value for kind in damage.kinds]) if damage else "white space damaged"
    proof = f"; proof: {prose(patch.repair_proof)}" if patch.repair_proof else ""
    return f"{which}, {kinds} on its way{proof}"


def _about_series(series: Series) -> Iterator[Fact]:
    if series.missing:
        yield "Missing", missing(series)
    for patch in series.patches:
        if patch.from_version is not None:
            which = f"patch {numbered(patch.index, series)}"
            yield "Reused", f"{which} is that of v{patch.from_version}, as it was not posted again"
    if series.newer_versions:
        newer = listed([f"v{version}" for version in series.newer_versions])
        exist = "exist" if len(series.newer_versions) > 1 else "exists"
        yield "Newer", f"{newer} of this series {exist}; this report is about v{series.version}"
