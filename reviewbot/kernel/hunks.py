# SPDX-License-Identifier: GPL-2.0-or-later
"""Hunks of a diff that git could read: find one, or leave out those already present.

A series posted again often overlaps with what the tree has: the first of its
changes went in with an earlier version.  git takes a patch whole or not at all;
:func:`without_present` makes the patch that is left, with proof per hunk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, PatchedFile, PatchSet

from reviewbot.kernel.model import PresentHunk

MAX_PARSED = 4 << 20
"""Characters of a diff; a larger one is not looked into."""
MAX_WORK = 20_000_000
"""Hunks times lines of one file, which bounds the search for them to seconds."""


@dataclass(frozen=True, slots=True)
class Reduced:
    """A diff without the hunks a tree has already."""

    diff: str
    present: tuple[PresentHunk, ...]
    """What was left out."""
    numbers: dict[tuple[str, int], int]
    """(path, hunk number in :attr:`diff`) to the number in the posted diff."""


def hunk_at(diff: str, path: str, line: int | None) -> str:
    """The text of the hunk of ``path`` whose old side starts at ``line``.

    Empty if there is none, or if the diff is too large or cannot be parsed.
    """
    for file in _parse(diff):
        if file.path == path:
            for hunk in file:
                if hunk.source_start == line:
                    return str(hunk)
    return ""


def without_present(diff: str, preimage: Callable[[str], str | None]) -> Reduced | None:
    """Leave out the hunks whose result stands in the tree already.

    ``preimage`` gives a file's text in the tree, None if there is no such file.
    A hunk is present if its new side is found at exactly one place and its old
    side at none; it is still to do if it is the other way about.  None if any
    hunk of an edited file is neither, if no hunk is present or none is left, or if
    there is too much to search.
    """
    kept: list[str] = []
    present: list[PresentHunk] = []
    numbers: dict[tuple[str, int], int] = {}
    for file in _parse(diff):
        if not _is_plain_edit(file):
            kept.append(str(file))
            continue
        text = preimage(file.path)
        if text is None:
            return None
        done = _present_hunks(file, text.split("\n"))
        if done is None:
            return None
        present += (PresentHunk(file.path, number) for number in done)
        left = [number for number in range(1, len(file) + 1) if number not in done]
        numbers |= {(file.path, new): old for new, old in enumerate(left, 1)}
        if left:
            file[:] = [file[number - 1] for number in left]
            kept.append(str(file))
    if not present or not kept:
        return None
    return Reduced("".join(kept), tuple(present), numbers)


def _parse(diff: str) -> Sequence[PatchedFile]:
    if len(diff) > MAX_PARSED:
        return ()
    try:
        return PatchSet(diff)
    except UnidiffParseError:
        return ()


def _is_plain_edit(file: PatchedFile) -> bool:
    """Whether only the contents of an existing file change."""
    moved = file.source_file.partition("/")[2] != file.target_file.partition("/")[2]
    modes = any(line.startswith(("old mode", "new mode")) for line in file.patch_info or ())
    return file.is_modified_file and not moved and not modes and not file.is_binary_file


def _present_hunks(file: PatchedFile, lines: list[str]) -> set[int] | None:
    """Numbers of the hunks that are present; None if one is neither present nor to do."""
    if len(file) * len(lines) > MAX_WORK:
        return None
    done = set()
    for number, hunk in enumerate(file, 1):
        old, new = _side(hunk, added=False), _side(hunk, added=True)
        places = _count(lines, old), _count(lines, new)
        if places[0] == 0 and places[1] == 1:
            done.add(number)
        elif places[0] == 0 or places[1] > 0:
            return None
    return done


def _side(hunk: Hunk, *, added: bool) -> list[str]:
    return [
        line.value.removesuffix("\n")
        for line in hunk
        if line.is_context or (line.is_added if added else line.is_removed)
    ]


def _count(lines: list[str], block: list[str]) -> int:
    """At how many places ``block`` stands in ``lines``."""
    if not block:
        return 0
    size = len(block)
    return sum(
        1
        for start, line in enumerate(lines)
        if line == block[0] and lines[start : start + size] == block
    )
