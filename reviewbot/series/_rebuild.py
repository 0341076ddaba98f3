# SPDX-License-Identifier: GPL-2.0-or-later
"""Give the lines of a damaged hunk their white space back.

Context and removed lines take the pre-image's.  Added lines stand nowhere else,
so theirs is rebuilt: as mailed where the mail path left it alone, by undoing
the tab expansion that the other lines show, or from the block structure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

from reviewbot.series._align import Op, Placement, Preimage, Role, normal
from reviewbot.series._indent import Indenter, space, width
from reviewbot.series.diffs import FileDiff

_C_LIKE = frozenset({".c", ".h", ".cc", ".cpp", ".dts", ".dtsi", ".S"})
"""Files whose white space between lines has no meaning and that nest with braces."""
_EXPANSIONS = ((8, 0), (8, 1), (4, 0), (4, 1), (2, 0))
"""Tab widths seen, and whether tab stops were counted from the ``+`` or after it."""


class LostIndentError(Exception):
    """Lost indentation has meaning in this kind of file and cannot be known."""


class Fate(Enum):
    """What the mail path did to the white space after ``+`` and ``-``."""

    KEPT = "kept"
    EXPANDED = "expanded"
    SQUEEZED = "squeezed"
    """A run became one blank: whether there was any can still be told."""
    STRIPPED = "stripped"


@dataclass(frozen=True, slots=True)
class Model:
    """How to read an added line's indentation."""

    fate: Fate
    tab: int = 8
    offset: int = 0


@dataclass(frozen=True, slots=True)
class PostImage:
    """A file after the change."""

    lines: tuple[str, ...]
    hunks: tuple[tuple[str, ...], ...]
    """The hunks' lines as a diff shows them, first characters included."""


def lead(line: str) -> str:
    """A line's leading white space."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def learn(placements: Iterable[Placement], pre: Preimage) -> Model:
    """Tell from lines whose true white space is known what happened to the rest."""
    pairs: list[tuple[str, str]] = []
    added: list[str] = []
    bare = False
    for placement in placements:
        for op in placement.ops:
            if op.role is Role.ADDED:
                added.append(lead(op.text))
            elif op.role is Role.NOTE or not op.text.strip():
                continue
            else:
                true = lead(pre.lines[op.old])
                mailed = lead(op.text)
                if op.role is Role.CONTEXT:
                    if not mailed:
                        bare = True
                        continue
                    mailed = mailed[1:]
                pairs.append((mailed, true))
    return _judge([pair for pair in pairs if pair[1]], added, bare)


def _judge(pairs: Sequence[tuple[str, str]], added: Sequence[str], bare: bool) -> Model:
    if pairs and all(mailed == true for mailed, true in pairs):
        return Model(Fate.KEPT)
    for tab, offset in _EXPANSIONS:
        if pairs and all(_expand(true, tab, offset) == mailed for mailed, true in pairs):
            return Model(Fate.EXPANDED, tab, offset)
    if any("\t" in mailed for mailed in added):
        return Model(Fate.KEPT)
    if not pairs and not bare and any(len(mailed) > 1 for mailed in added):
        return Model(Fate.EXPANDED)
    if any(mailed for mailed, _ in pairs) or (not pairs and any(added)):
        return Model(Fate.SQUEEZED)
    return Model(Fate.STRIPPED) if pairs or bare or added else Model(Fate.KEPT)


def _expand(true: str, tab: int, offset: int) -> str:
    return (" " * offset + true).expandtabs(tab)[offset:]


class Rebuilder:
    """Rebuild one file's hunks, in order."""

    def __init__(self, file: FileDiff, pre: Preimage, model: Model) -> None:
        self._pre = pre
        self._model = model
        self._braces = PurePosixPath(file.path).suffix in _C_LIKE
        self._indenter = Indenter()
        self._post: list[str] = []
        self._old = 0
        self._moved: tuple[int, int] | None = None
        """Pre-image line that the last added line was moved from, and its shift in columns."""

    def run(self, placements: Sequence[Placement]) -> PostImage:
        """The whole file after the change, and the hunks that make it.

        Raises LostIndentError if an added line cannot be indented with certainty enough.
        """
        hunks: list[tuple[str, ...]] = []
        for placement in placements:
            self._copy_until(placement.start)
            removed = {normal(op.text): op.old for op in placement.ops if op.role is Role.REMOVED}
            hunks.append(tuple(self._line(op, removed) for op in placement.ops))
        self._copy_until(len(self._pre.lines))
        return PostImage(tuple(self._post), tuple(hunks))

    def _copy_until(self, old: int) -> None:
        for line in self._pre.lines[self._old : old]:
            self._emit(line)
        self._old = old

    def _emit(self, line: str) -> None:
        self._post.append(line)
        if self._needs_structure:
            self._indenter.feed(line)

    @property
    def _needs_structure(self) -> bool:
        return self._model.fate in (Fate.SQUEEZED, Fate.STRIPPED)

    def _line(self, op: Op, removed: dict[str, int]) -> str:
        if op.role is Role.NOTE:
            return f"\\{op.text}"
        if op.role is Role.ADDED:
            line = self._added(op.text, removed)
            self._emit(line)
            return f"+{line}"
        line = self._pre.lines[op.old]
        self._old = op.old + 1
        if op.role is Role.CONTEXT:
            self._moved = None
            self._emit(line)
        return f"{op.role.value}{line}"

    def _added(self, mailed: str, removed: dict[str, int]) -> str:
        if self._model.fate is Fate.KEPT:
            return mailed
        text = self._inner(mailed.strip(), removed)
        if not text:
            return ""
        if self._model.fate is Fate.EXPANDED:
            return self._unexpanded(lead(mailed)) + text
        return self._structural(mailed, text, removed) + text

    def _inner(self, text: str, removed: dict[str, int]) -> str:
        """The text as the pre-image spells it, where the same line stands there."""
        key = normal(text)
        if key in removed:
            return self._pre.lines[removed[key]].strip()
        spellings = {self._pre.lines[at].strip() for at in self._pre.where.get(key, [])}
        return spellings.pop() if len(spellings) == 1 else text

    def _unexpanded(self, mailed: str) -> str:
        tab, offset = self._model.tab, self._model.offset
        tabs = 0
        while len(_expand("\t" * (tabs + 1), tab, offset)) <= len(mailed):
            tabs += 1
        return "\t" * tabs + " " * (len(mailed) - len(_expand("\t" * tabs, tab, offset)))

    def _structural(self, mailed: str, text: str, removed: dict[str, int]) -> str:
        if self._model.fate is Fate.SQUEEZED and not lead(mailed):
            self._moved = None
            return ""
        if not self._braces:
            return self._twin_indent(text)
        indent = self._indenter.indent(text)
        origin = removed.get(normal(text))
        if origin is None:
            self._moved = None
        else:
            before = self._moved
            true = width(lead(self._pre.lines[origin]))
            if before is not None and before[0] == origin - 1 and self._continues():
                indent = space(max(0, true + before[1]))
            self._moved = (origin, width(indent) - true)
        if not indent and self._model.fate is Fate.SQUEEZED:
            return " "
        return indent

    def _continues(self) -> bool:
        """The next line belongs to a statement or comment begun above."""
        state = self._indenter
        return state.statement is not None or state.comment is not None

    def _twin_indent(self, text: str) -> str:
        """Where white space has a meaning, only an equal line of the file can tell."""
        indents = {lead(self._pre.lines[at]) for at in self._pre.where.get(normal(text), [])}
        if len(indents) != 1:
            raise LostIndentError
        return indents.pop()
