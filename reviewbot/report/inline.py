# SPDX-License-Identifier: GPL-2.0-or-later
"""Which hunk of the series a finding belongs under, and what of it to quote.

Evidence names lines of the tree before the series and of the tree after it.
A hunk of patch n names lines between patch n-1 and patch n, and went on
``offset`` lines from where it says.  So a base line is carried forward through
the earlier patches, and a final line back through the later ones.  A place
counts only if its text names the call; after a 3-way merge, when no line
fits, the hunk of the same function is taken, or none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk as UnidiffHunk
from unidiff.patch import PatchedFile, PatchSet

from reviewbot.kernel.model import Application, PatchApplication
from reviewbot.locking.model import ChangeState, Evidence, Hazard, Site
from reviewbot.report.clean import ELISION, quoted

QUOTE_LINES = 20
"""Lines of one hunk that are quoted at most."""


@dataclass(frozen=True, slots=True)
class HunkLine:
    """One line of a hunk and where it stands in the trees around its patch."""

    mark: str
    """A space, ``-``, ``+`` or ``\\``."""
    text: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class Hunk:
    """One hunk, its line numbers those of the trees (offset included)."""

    header: str
    before: range
    after: range
    lines: tuple[HunkLine, ...]


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What one patch does to one file."""

    patch: int
    paths: frozenset[str]
    title: str
    """The line that names the file in the patch, for the quote."""
    hunks: tuple[Hunk, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """Sites that share a hunk, and the quote they stand under (empty: no hunk)."""

    patch: int | None
    path: str
    title: str
    quote: tuple[str, ...]
    sites: tuple[Site, ...]


@dataclass(frozen=True, slots=True)
class _Spot:
    file: FileDiff
    hunk: Hunk
    focus: frozenset[int]


def file_diffs(application: Application | None) -> tuple[FileDiff, ...]:
    """Every file of every patch, in order; a diff unidiff cannot read is left out."""
    if application is None:
        return ()
    found: list[FileDiff] = []
    for patch in application.patches:
        try:
            files = PatchSet(patch.diff)
        except (UnidiffParseError, ValueError):
            continue  # no quote is better than a wrong one
        found += [_file_diff(patch, file) for file in files]
    return tuple(found)


def passages(
    hazard: Hazard, diffs: Sequence[FileDiff], limit: int = QUOTE_LINES
) -> tuple[Passage, ...]:
    """The hazard's sites under the hunks they concern, the worst first.

    ``limit`` is the number of lines of one hunk that are quoted at most.
    """
    spots: dict[tuple[int, str, str], tuple[_Spot | None, list[Site]]] = {}
    for site in hazard.sites:
        spot = _locate(hazard, site, diffs)
        nowhere = (-len(spots), "", "")
        key = (spot.file.patch, spot.file.title, spot.hunk.header) if spot else nowhere
        held, sites = spots.setdefault(key, (spot, []))
        sites.append(site)
        if held and spot:
            spots[key] = (replace(held, focus=held.focus | spot.focus), sites)
    made = [_passage(spot, sites, limit) for spot, sites in spots.values()]
    return tuple(sorted(made, key=lambda passage: min(map(_severity, passage.sites))))


def trimmed(lines: Sequence[str], keep: Iterable[int], limit: int = QUOTE_LINES) -> tuple[str, ...]:
    """Quote the kept lines and their neighbours, ``[ ... ]`` for what is left out."""
    wanted = set(keep)
    chosen: set[int] = set()
    for context in (2, 1, 0):
        chosen = {
            near
            for line in wanted
            for near in range(line - context, line + context + 1)
            if 0 <= near < len(lines)
        }
        if len(chosen) <= limit:
            break
    shown = _closed(sorted(chosen)[:limit], len(lines), 3 if limit >= QUOTE_LINES else 1)
    quote: list[str] = []
    end = -1
    for number in shown:
        if number != end + 1:
            quote.append(ELISION)
        quote.append(quoted(lines[number]))
        end = number
    if end < len(lines) - 1:
        quote.append(ELISION)
    return tuple(quote)


def _closed(numbers: Sequence[int], total: int, gap: int) -> list[int]:
    """The numbers and the gaps between them that are too short to be worth leaving out."""
    closed: list[int] = []
    for start, end in pairwise((-1, *numbers, total)):
        if end - start - 1 <= gap:
            closed += range(start + 1, end)
        closed.append(end)
    return closed[:-1]


def carry(line: int, hunks: Sequence[Hunk], *, forward: bool) -> int | None:
    """Where a line is on the other side of one patch; None if the patch removed it."""
    moved = 0
    for hunk in hunks:
        here, there = (hunk.before, hunk.after) if forward else (hunk.after, hunk.before)
        if line < here.start:
            break
        if line in here:
            sides = ((at.before, at.after) for at in hunk.lines)
            pairs = sides if forward else ((new, old) for old, new in sides)
            return next((found for known, found in pairs if known == line), None)
        moved = there.stop - here.stop
    return line + moved


def _file_diff(patch: PatchApplication, file: PatchedFile) -> FileDiff:
    sides = ((file.source_file or "", "a/"), (file.target_file or "", "b/"))
    paths = frozenset(name.removeprefix(side) for name, side in sides) - {"/dev/null"}
    info = [line for line in str(file.patch_info or "").splitlines() if line.startswith("diff ")]
    title = info[-1] if info else f"+++ {file.target_file}"
    return FileDiff(patch=patch.index, paths=paths, title=title, hunks=_hunks(patch, file, paths))


def _hunks(patch: PatchApplication, file: PatchedFile, paths: frozenset[str]) -> tuple[Hunk, ...]:
    """The hunks at the places where git put them.

    An offset is counted from the line where the hunk says that its result
    starts, and named by the number it was posted under.  The old side is where
    the hunks before it put it: where one was left out because the tree had it,
    that is not where the hunk says.
    """
    present = {hunk.hunk for hunk in patch.already if hunk.path in paths}
    posted = (number for number in count(1) if number not in present)
    shifts = {offset.hunk: offset.lines for offset in patch.offsets if offset.path in paths}
    hunks: list[Hunk] = []
    grown = 0
    for number, hunk in zip(posted, file, strict=False):
        after = shifts.get(number, 0)
        start = hunk.target_start + (hunk.target_length == 0) - grown
        before = after + start - hunk.source_start - (hunk.source_length == 0)
        hunks.append(_hunk(hunk, before, after))
        grown += hunk.target_length - hunk.source_length
    return tuple(hunks)


def _hunk(hunk: UnidiffHunk, before: int, after: int) -> Hunk:
    """A hunk whose sides stand so many lines from where it says."""

    def span(start: int, length: int) -> range:
        # "@@ -5,0 +6,2 @@": nothing is there, *after* line 5.
        start += length == 0
        return range(start, start + length)

    sides = f"@@ -{hunk.source_start},{hunk.source_length} +{hunk.target_start},"
    return Hunk(
        header=f"{sides}{hunk.target_length} @@ {hunk.section_header}".rstrip(),
        before=span(hunk.source_start + before, hunk.source_length),
        after=span(hunk.target_start + after, hunk.target_length),
        lines=tuple(
            HunkLine(
                mark=line.line_type,
                text=line.value.rstrip("\r\n"),
                before=None if line.source_line_no is None else line.source_line_no + before,
                after=None if line.target_line_no is None else line.target_line_no + after,
            )
            for line in hunk
        ),
    )


def _carried(
    line: int, diffs: Sequence[FileDiff], target: FileDiff, *, forward: bool
) -> int | None:
    """A line of the first (or last) tree as the target patch sees it."""
    at: int | None = line
    for diff in diffs if forward else reversed(diffs):
        done = diff.patch >= target.patch if forward else diff.patch <= target.patch
        if done or at is None:
            break
        if diff.paths & target.paths:
            at = carry(at, diff.hunks, forward=forward)
    return at


def _locate(hazard: Hazard, site: Site, diffs: Sequence[FileDiff]) -> _Spot | None:
    """The hunk for a site: by line, else by the function's name."""
    candidates = [diff for diff in diffs if site.file in diff.paths]
    if site.patch is not None:
        candidates = [diff for diff in candidates if diff.patch == site.patch]
    best: tuple[int, _Spot] | None = None
    for diff in candidates:
        marks = _marks(site, diffs, diff)
        for hunk in diff.hunks:
            found = {
                number: weight
                for number, line in enumerate(hunk.lines)
                for weight in (_weight(line, marks),)
                if weight
            }
            score = sum(found.values())
            if score and (best is None or score > best[0]):
                focus = frozenset(found) | _related(hazard, site, hunk)
                best = (score, _Spot(diff, hunk, focus))
    if best is not None:
        return best[1]
    return None if site.patch is None else _by_function(hazard, site, candidates)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A line that evidence names, on one side of a patch."""

    after: bool
    line: int
    what: str
    weight: int


def _marks(site: Site, diffs: Sequence[FileDiff], target: FileDiff) -> tuple[_Mark, ...]:
    marks = []
    for evidence, after in ((site.before, False), (site.after, True)):
        for line, what in _own_lines(site, evidence):
            at = _carried(line, diffs, target, forward=not after)
            if at is not None:
                # The blocking call decides between two hunks of one function.
                weight = 4 if evidence is not None and line == evidence.line else 1
                marks.append(_Mark(after=after, line=at, what=what, weight=weight))
    return tuple(marks)


def _own_lines(site: Site, evidence: Evidence | None) -> set[tuple[int, str]]:
    """The lines of the site's own function that its chain names, and the calls there."""
    if evidence is None:
        return set()
    return {
        (step.line, step.what)
        for step in evidence.chain
        if step.function == site.function and step.file == site.file
    }


def _weight(line: HunkLine, marks: Iterable[_Mark]) -> int:
    return max(
        (
            mark.weight
            for mark in marks
            if mark.line == (line.after if mark.after else line.before)
            and _mentions(line.text, _words(mark.what)[:1])
        ),
        default=0,
    )


def _related(hazard: Hazard, site: Site, hunk: Hunk) -> frozenset[int]:
    """Changed lines that name the lock or the call: where it was moved to or from."""
    names = [words[-1] for words in map(_words, hazard.classes) if words]
    for evidence in (site.before, site.after):
        names += [what for line, what in _own_lines(site, evidence)]
    return frozenset(
        number
        for number, line in enumerate(hunk.lines)
        if line.mark in "+-" and _is_code(line.text) and _mentions(line.text, names)
    )


def _by_function(hazard: Hazard, site: Site, candidates: Iterable[FileDiff]) -> _Spot | None:
    """The hunk of the site's function that says most about the hazard, if one does."""
    best: _Spot | None = None
    for diff in candidates:
        for hunk in diff.hunks:
            texts = (hunk.header, *(line.text for line in hunk.lines if line.text[:1].strip()))
            if not any(_mentions(text, (site.function,)) for text in texts):
                continue
            focus = _related(hazard, site, hunk)
            if focus and (best is None or len(focus) > len(best.focus)):
                best = _Spot(diff, hunk, focus)
    return best


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _mentions(text: str, names: Iterable[str]) -> bool:
    present = set(_words(text))
    return any(name in present for name in names)


def _is_code(text: str) -> bool:
    """Not a comment's line: comments name locks too, but change nothing."""
    return not text.lstrip().startswith(("*", "/*", "//"))


def _severity(site: Site) -> int:
    order = (ChangeState.INTRODUCED, ChangeState.REMAINING, ChangeState.REMOVED)
    return order.index(site.state)


def _passage(spot: _Spot | None, sites: list[Site], limit: int) -> Passage:
    ordered = tuple(sorted(sites, key=_severity))
    if spot is None:
        return Passage(None, ordered[0].file, "", (), ordered)
    lines = [line.mark + line.text for line in spot.hunk.lines]
    told = sorted(spot.focus, key=lambda number: (lines[number][:1] not in "+-", number))
    quote = (quoted(spot.hunk.header), *trimmed(lines, told[:limit], limit))
    return Passage(spot.file.patch, ordered[0].file, spot.file.title, quote, ordered)
