# SPDX-License-Identifier: GPL-2.0-or-later
"""The cycle of a hazard as a drawing: where each box, line and word goes.

A cycle is a ladder: its places stand below each other, each waits for the next, and the
last line goes back up beside them.  That is as wide as a phone, reads in one order, and is
the same on every machine: widths are counted in characters of a fixed-width font.
Units are CSS pixels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from reviewbot.locking.model import Edge, Node
from reviewbot.locking.primitives import SLEEPING, SPINNING
from reviewbot.report.clean import one_line

WIDTH = 344
_LEFT, _RIGHT = 1, 306
"""Sides of the boxes; the way back is to the right of them."""
_LANE = 328
_STEM = 24
"""Where the lines between boxes are."""
_TEXT = 40
"""Where the words beside these lines start."""
_NAME_CHARS = 36
_LABEL_CHARS = 34
_CAPTION, _LINE, _PADDING = 16, 17, 8
_ROUND, _HEAD = 8, 5
_LABELS = 5
"""Functions named beside one line; the others are counted."""
_NAME_LINES = 3
_LOCKS = SLEEPING | SPINNING | {"lock"}
_PIECE = re.compile(r".+?(?:[\s_/:>(]+|\.(?![chS]\b)|$)")
"""What of a name stays together: up to a mark, but not before the suffix of a file."""


class Mark(StrEnum):
    """How a line or a word differs between the two trees."""

    SAME = "same"
    GONE = "gone"
    NEW = "new"
    ABSENT = "absent"
    """Of the other tree alone: drawn as a trace."""


@dataclass(frozen=True, slots=True)
class Words:
    """One line of text at its baseline."""

    x: int
    y: int
    text: str
    mark: Mark = Mark.SAME
    prose: bool = False
    """A rule of the kernel, not the name of a function."""


@dataclass(frozen=True, slots=True)
class Box:
    """A place on the cycle."""

    x: int
    y: int
    width: int
    height: int
    round: int
    caption: Words
    name: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Arrow:
    """A line with its head, as SVG path data, and the words beside it."""

    line: str
    head: str
    mark: Mark
    words: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing of one tree's cycle."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    told: tuple[str, ...]
    """The same in words, a sentence a line, for who cannot see it."""


def picture(edges: Sequence[Edge], *, after: bool) -> Picture:
    """Draw the cycle as it is before or after the series; *edges* must not be empty."""
    nodes = [edge.source for edge in edges]
    closed = edges[-1].target == nodes[0]
    if not closed:
        nodes.append(edges[-1].target)
    boxes: list[Box] = []
    arrows: list[Arrow] = []
    y = 1
    for number, node in enumerate(nodes):
        box = _box(node, y)
        boxes.append(box)
        y = box.y + box.height
        if number < len(edges):
            words = _labels(edges[number], y, after)
            # As far as the longer of both, so that the same places stand beside each other.
            rows = max(len(words), len(_labels(edges[number], y, not after)))
            end = y + rows * _LINE + _PADDING + _HEAD
            back = number == len(edges) - 1 and closed
            shape = _back(y, end, boxes[0]) if back else _down(y, end + _HEAD)
            arrows.append(Arrow(*shape, mark(edges[number], after), words))
            y = end + (_ROUND if back else _HEAD)
    return Picture(
        WIDTH, y + 1, tuple(boxes), tuple(arrows), tuple(_told(edge, after) for edge in edges)
    )


def mark(edge: Edge, after: bool) -> Mark:
    """How an edge is to be drawn in one of the trees."""
    here, there = (edge.after, edge.before) if after else (edge.before, edge.after)
    if here and there:
        return Mark.SAME
    if not here:
        return Mark.ABSENT
    return Mark.NEW if after else Mark.GONE


def _box(node: Node, y: int) -> Box:
    lines = broken(one_line(node.name, 200), _NAME_CHARS)[:_NAME_LINES]
    top = y + _PADDING + _CAPTION - 4
    return Box(
        x=_LEFT,
        y=y,
        width=_RIGHT - _LEFT,
        height=2 * _PADDING + _CAPTION + len(lines) * _LINE,
        # A lock is held, and has corners; what runs or passes has none.
        round=3 if node.what in _LOCKS else 16,
        caption=Words(_LEFT + 14, top, one_line(node.what, 60)),
        name=tuple(
            Words(_LEFT + 14, top + (row + 1) * _LINE, line) for row, line in enumerate(lines)
        ),
    )


def _labels(edge: Edge, y: int, after: bool) -> tuple[Words, ...]:
    """What makes an edge in this tree, first what makes it in this tree alone."""
    here, there = (edge.after, edge.before) if after else (edge.before, edge.after)
    if not here:
        gone = Words(_TEXT, y + _LINE + _HEAD, "no longer", Mark.GONE, prose=True)
        return (gone if after else replace(gone, text="not yet", mark=Mark.ABSENT),)
    only = Mark.NEW if after else Mark.GONE
    names = [(one_line(name, 200), Mark.SAME if name in there else only) for name in here]
    names.sort(key=lambda entry: entry[1] is Mark.SAME)
    lines = [
        (line, how, " " in name)
        for name, how in names[:_LABELS]
        for line in broken(f"{_SIGN[how]}{name}", _LABEL_CHARS)
    ]
    if len(names) > _LABELS:
        lines.append((f"and {len(names) - _LABELS} more", Mark.SAME, True))
    return tuple(Words(_TEXT, y + row * _LINE + _HEAD, *line) for row, line in enumerate(lines, 1))


_SIGN = {Mark.SAME: "", Mark.GONE: "\N{MINUS SIGN} ", Mark.NEW: "+ "}


def _told(edge: Edge, after: bool) -> str:
    here = edge.after if after else edge.before
    ends = [f"{node.what} {node.name}" for node in (edge.source, edge.target)]
    by = ", ".join(here[:_LABELS]) if here else "no longer" if after else "not yet"
    return one_line(f"{ends[0]} waits for {ends[1]}: {by}.", 600)


def _down(top: int, bottom: int) -> tuple[str, str]:
    return f"M{_STEM} {top}V{bottom - _HEAD}", _pointing(_STEM, bottom, down=True)


def _back(top: int, bottom: int, first: Box) -> tuple[str, str]:
    """From below the last box round the right of all to the side of the first."""
    goal, r = first.y + first.height // 2, _ROUND
    line = (
        f"M{_STEM} {top}V{bottom}q0 {r} {r} {r}H{_LANE - r}q{r} 0 {r} {-r}V{goal + r}"
        f"q0 {-r} {-r} {-r}H{_RIGHT + _HEAD}"
    )
    return line, _pointing(_RIGHT, goal, down=False)


def _pointing(x: int, y: int, *, down: bool) -> str:
    """An arrow's head with its tip at a point."""
    h, w = 2 * _HEAD, _HEAD
    return f"M{x} {y}l{-w} {-h}h{2 * w}z" if down else f"M{x} {y}l{h} {-w}v{2 * w}z"


def broken(text: str, width: int) -> list[str]:
    """A name on lines of so many characters, broken after ``.``, ``_`` and the like."""
    lines = [""]
    for piece in _PIECE.findall(text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        while len(piece.rstrip()) > width:
            lines[-1:] = [piece[:width], ""]
            piece = piece[width:]  # noqa: PLW2901 - the rest of it
        lines[-1] += piece
    return [line.rstrip() for line in lines if line.strip()] or [""]
