# SPDX-License-Identifier: GPL-2.0-or-later
"""Recognise and undo white-space damage to a diff.

Web archives strip leading blanks, mail clients turn tabs into spaces or wrap
long lines (Documentation/process/email-clients.rst).  No tool applies such a
patch.  Context and removed lines stand in the tree with their true white space,
so a damaged hunk can be realigned with it; the counts of the ``@@`` lines and
the blob ids of the ``index`` line tell whether the result is right.  A hunk
that fits in two places, or in one place in two ways, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from itertools import pairwise
from pathlib import PurePosixPath

from reviewbot.errors import DamagedPatch
from reviewbot.series._align import Placement, Preimage, Role, TooComplexError, normal
from reviewbot.series._rebuild import (
    LostIndentError,
    PostImage,
    Rebuilder,
    lead,
    learn,
)
from reviewbot.series.diffs import FileDiff, Hunk, parse
from reviewbot.series.model import Damage, DamageKind

_TAB_INDENTED = frozenset({".c", ".h", ".S", ".dts", ".dtsi"})
"""Kernel files that are indented with tabs, always."""
_SENTENCE_END = re.compile(r"(?<=[a-z)])\. (?=[A-Z])")
_FUNCTION_LINE = re.compile(r"^[A-Za-z_$]")


@dataclass(frozen=True, slots=True)
class Repair:
    """A repaired diff and what vouches for it."""

    diff: str
    kinds: tuple[DamageKind, ...]
    proof: str
    """One clause for the report."""


def detect(diff: str) -> Damage | None:
    """What a mail path did to this diff, judged by the diff alone; None if nothing."""
    kinds: list[DamageKind] = []
    files = parse(diff)
    hunks = [hunk for file in files for hunk in file.hunks]
    broken = [hunk for hunk in hunks if not hunk.intact]
    if broken:
        lines = [line for hunk in broken for line in hunk.lines if line.strip()]
        if any(line[0] in " \t" for line in lines):
            kinds.append(DamageKind.LINES_WRAPPED)
        else:
            kinds.append(DamageKind.LEADING_SPACE_LOST)
    elif any(_new_lines_lost_space(file) for file in files):
        kinds.append(DamageKind.LEADING_SPACE_LOST)
    if DamageKind.LEADING_SPACE_LOST not in kinds and _tabs_expanded(files):
        kinds.append(DamageKind.TABS_EXPANDED)
    return Damage(tuple(kinds)) if kinds else None


def _new_lines_lost_space(file: FileDiff) -> bool:
    """A new file shows no context: look at what follows an opening brace."""
    if file.old is not None or PurePosixPath(file.path).suffix not in _TAB_INDENTED:
        return False
    lines = [line[1:] for hunk in file.hunks for line in hunk.lines if line[1:].strip()]
    inside = [after for before, after in pairwise(lines) if before.rstrip().endswith("{")]
    inside = [line for line in inside if line.strip()[0] not in "}#"]
    return bool(inside) and all(len(lead(line)) < 2 and "\t" not in lead(line) for line in inside)


def _tabs_expanded(files: Sequence[FileDiff]) -> bool:
    lines = [
        line[1:]
        for file in files
        if PurePosixPath(file.path).suffix in _TAB_INDENTED
        for hunk in file.hunks
        for line in hunk.lines
        if line[:1] in (" ", "+", "-")
    ]
    return any(line.startswith("    ") for line in lines) and not any(
        "\t" in line for line in lines
    )


def repair(diff: str, preimage: Callable[[str], str | None]) -> Repair:
    """Realign a damaged diff with the files it changes.

    ``preimage`` gives a file's text by path, None if there is no such file.
    Raises DamagedPatch, naming the hunk, when it fits nowhere or in several ways.
    """
    damage = detect(diff)
    found: dict[str, str] = {}
    out: list[str] = []
    proofs: list[str] = []
    matched = 0
    files = parse(diff)
    for file in files:
        out += file.header
        if not file.hunks:
            continue
        text = _text_before(file, preimage, found)
        pre = Preimage(text)
        placements = _place(file, pre, last=file is files[-1])
        post, proof = _verify(file, text, _rebuild(file, pre, placements))
        found[file.path] = "".join(f"{line}\n" for line in post.lines)
        for hunk, body in zip(file.hunks, post.hunks, strict=True):
            out += (_header(hunk), *body)
        if proof:
            proofs.append(proof)
        else:
            matched += sum(hunk.old_count for hunk in file.hunks)
    if matched or not proofs:
        proofs.append(
            f"all {matched} context and removed lines were found at one place, in order; "
            "white space of added lines was rebuilt"
        )
    kinds = damage.kinds if damage else ()
    return Repair("".join(f"{line}\n" for line in out), kinds, "; ".join(proofs))


def _text_before(
    file: FileDiff, preimage: Callable[[str], str | None], found: dict[str, str]
) -> str:
    if file.old is None:
        return ""
    text = found.get(file.old)
    if text is None:
        text = preimage(file.old)
    if text is None:
        raise DamagedPatch(
            f"The white-space damaged patch changes {file.old}, which is not in the tree: "
            "name the base it was made for."
        )
    return text


def _place(file: FileDiff, pre: Preimage, *, last: bool) -> list[Placement]:
    """The one place of every hunk, in ascending order."""
    candidates: list[list[Placement]] = []
    for at, hunk in enumerate(file.hunks):
        try:
            fits = pre.placements(hunk, last=last and at == len(file.hunks) - 1)
        except TooComplexError:
            raise _refusal(file, hunk, "it matches in too many ways") from None
        if not fits:
            raise _refusal(file, hunk, "its lines are not in that file in this order")
        candidates.append(fits)
    _keep_ascending(file.hunks, candidates)
    chosen: list[Placement] = []
    for hunk, fits in zip(file.hunks, candidates, strict=True):
        if not fits:
            raise _refusal(file, hunk, "it only fits before the hunk above it")
        chosen.append(_choose(file, hunk, pre, fits))
    return chosen


def _refusal(file: FileDiff, hunk: Hunk, why: str) -> DamagedPatch:
    return DamagedPatch(
        f"The white-space damaged hunk at line {hunk.old_start} of {file.path} cannot be "
        f"repaired, because {why}: ask for the patch as it was mailed."
    )


def _keep_ascending(hunks: Sequence[Hunk], candidates: list[list[Placement]]) -> None:
    """Drop places that would put a hunk before the one above it."""
    floor = 0
    for at, hunk in enumerate(hunks):
        candidates[at] = [fit for fit in candidates[at] if fit.start >= floor]
        if candidates[at]:
            floor = min(fit.start for fit in candidates[at]) + hunk.old_count
    ceiling: int | None = None
    for at in range(len(hunks) - 1, -1, -1):
        if ceiling is not None:
            top = ceiling
            candidates[at] = [
                fit for fit in candidates[at] if fit.start + hunks[at].old_count <= top
            ]
        if candidates[at]:
            ceiling = max(fit.start for fit in candidates[at])


def _choose(file: FileDiff, hunk: Hunk, pre: Preimage, fits: Sequence[Placement]) -> Placement:
    """One placement, or a refusal.

    Of several places, the one at the stated line wins, as with git; else the one
    within the function that the ``@@`` line names.
    """
    readings = _distinct(_cheapest_of_overlapping(hunk, fits))
    if len(readings) > 1 and len({fit.start for fit in readings}) > 1:
        stated = [fit for fit in readings if fit.start == hunk.old_start - 1]
        in_section = [fit for fit in readings if _section_matches(hunk.section, pre, fit.start)]
        readings = stated or in_section
        starts = sorted({fit.start + 1 for fit in readings or fits})
        if len(starts) > 1:
            places = ", ".join(map(str, starts[:5]))
            raise _refusal(file, hunk, f"it fits at {len(starts)} places (lines {places})")
    if len(readings) > 1:
        raise _refusal(file, hunk, "it can be read in two ways")
    return readings[0]


def _cheapest_of_overlapping(hunk: Hunk, fits: Sequence[Placement]) -> list[Placement]:
    """Drop a reading that needs more loss than another of the same stretch of lines."""
    return [
        fit
        for fit in fits
        if not any(
            other.cost < fit.cost and abs(other.start - fit.start) < hunk.old_count
            for other in fits
        )
    ]


def _distinct(fits: Sequence[Placement]) -> list[Placement]:
    """One placement, the least costly, of each that says the same.

    Placements say the same when they give every line that is not blank the same
    role and place: where a vanished blank line stood does not change the code.
    """
    by_meaning: dict[tuple[tuple[str, int, str], ...], Placement] = {}
    for fit in sorted(fits, key=lambda fit: fit.cost):
        meaning = tuple(
            (op.role.value, -1 if op.role is Role.ADDED else op.old, normal(op.text))
            for op in fit.ops
            if op.text.strip()
        )
        by_meaning.setdefault(meaning, fit)
    return list(by_meaning.values())


def _section_matches(section: str, pre: Preimage, start: int) -> bool:
    """Whether git would show this heading for a hunk at ``start`` (gitattributes(5), xfuncname)."""
    wanted = normal(section)
    if not wanted:
        return False
    for line in reversed(pre.lines[:start]):
        if _FUNCTION_LINE.match(line):
            return normal(line[:80]).startswith(wanted) or wanted.startswith(normal(line[:80]))
    return False


def _rebuild(file: FileDiff, pre: Preimage, placements: Sequence[Placement]) -> PostImage:
    model = learn(placements, pre)
    try:
        return Rebuilder(file, pre, model).run(placements)
    except LostIndentError:
        raise DamagedPatch(
            f"The patch to {file.path} lost white space that has a meaning in such a file: "
            "ask for the patch as it was mailed."
        ) from None


def _header(hunk: Hunk) -> str:
    section = f" {hunk.section}" if hunk.section else ""
    return f"@@ -{hunk.old_start},{hunk.old_count} +{hunk.new_start},{hunk.new_count} @@{section}"


def _verify(file: FileDiff, text: str, post: PostImage) -> tuple[PostImage, str]:
    """Compare with the ``index`` line's blobs where the tree has the very pre-image.

    Archives also squeeze the two blanks some authors type after a sentence; that
    spelling is tried too, since the blob id tells which is right.
    """
    if not file.after or not file.before or not _blob(text).startswith(file.before):
        return post, ""
    for variant in (post, _two_blanks(post)):
        if _blob("".join(f"{line}\n" for line in variant.lines)).startswith(file.after):
            return variant, f"post-image blob {file.after} reproduced"
    return post, ""


def _two_blanks(post: PostImage) -> PostImage:
    added = {line[1:] for hunk in post.hunks for line in hunk if line.startswith("+")}
    return PostImage(
        tuple(_SENTENCE_END.sub(".  ", line) if line in added else line for line in post.lines),
        tuple(
            tuple(_SENTENCE_END.sub(".  ", line) if line[:1] == "+" else line for line in hunk)
            for hunk in post.hunks
        ),
    )


def _blob(text: str) -> str:
    """git's object id for a file's content."""
    data = text.encode("utf-8", "surrogateescape")
    return sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()
