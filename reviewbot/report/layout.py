# SPDX-License-Identifier: GPL-2.0-or-later
"""Text in columns: paragraphs, labelled facts, lock chains and scenarios.

Widths are those a terminal shows (wide characters count two), in columns.
Prose has 72 (Documentation/process/submitting-patches.rst); a scenario, like
lockdep's own, may take 76.  All functions are pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from reviewbot.locking.model import Step
from reviewbot.report.clean import ELISION, prose

PROSE_WIDTH = 72
SCENARIO_WIDTH = 76
CHAIN_LIMIT = 8
"""Steps of a chain that are printed; the JSON has all."""

LINE_LIMIT = 240
"""Characters of a line that is not wrapped: 998 bytes (RFC 5322, 2.1.1) whatever they are."""

_LABEL_WIDTH = 10
_GAP = 3
_NARROWEST = 6
_WORD = re.compile(r"\S*\b(?:struct|union) \S+|\S+")
"""A word of prose; a lock class such as ``struct kvm.irq_lock`` is one."""
_WORD_BYTES = 400
"""A longer word is no identifier, and would break the 998 bytes of RFC 5322, 2.1.1."""


def columns(text: str) -> int:
    """Terminal columns that ``text`` takes."""
    return cell_len(text)


def wrap(
    text: str, *, width: int = PROSE_WIDTH, first: str = "", rest: str = ""
) -> tuple[str, ...]:
    """Fill a paragraph; words longer than a line stay whole on a line of their own.

    ``first`` and ``rest`` start the first and the other lines.
    """
    lines: list[str] = []
    line, words = first, 0
    for word in map(_bounded, _WORD.findall(" ".join(text.split()))):
        if words and columns(line) + 1 + columns(word) > width:
            lines.append(line)
            line, words = rest, 0
        if words:
            line += f" {word}"
        else:
            line += f" {word}" if not line and _starts_something(word) else word
        words += 1
    return (*lines, line) if words else ()


def fact(label: str, text: str) -> tuple[str, ...]:
    """``Label:    text``, the text's further lines under its first."""
    return wrap(text, first=f"{label + ':':<{_LABEL_WIDTH}}", rest=" " * _LABEL_WIDTH)


def step_line(step: Step) -> str:
    """``function (file:line) what [lock]``, as lockdep prints a held lock."""
    place = f"{prose(step.function)} ({prose(step.file)}:{step.line}) {prose(step.what)}"
    lock = f" [{prose(step.lock)}]" if step.lock else ""
    indirect = f", by {prose(step.indirect)}" if step.indirect else ""
    return prose(f"{place.rstrip()}{lock}{indirect}", LINE_LIMIT)


def chain_lines(steps: Sequence[Step], *, indent: int = 2) -> tuple[str, ...]:
    """A chain, one step a line; a long one loses its middle, never its ends."""
    shown = [step_line(step) for step in steps]
    if len(shown) > CHAIN_LIMIT:
        head = CHAIN_LIMIT // 2
        shown = [*shown[:head], ELISION, *shown[len(shown) - (CHAIN_LIMIT - head - 1) :]]
    return tuple(" " * indent + line for line in shown)


def scenario_lines(
    headers: Sequence[str], rows: Iterable[tuple[int, str]], *, width: int = SCENARIO_WIDTH
) -> tuple[str, ...]:
    """Contexts side by side, one event a row, as in "Possible unsafe locking scenario".

    ``rows`` are (0-based column, text); a column that is not there means the
    last.  Text that does not fit is wrapped within its column.
    """
    if not headers:
        return ()
    last = len(headers) - 1
    cells = [(min(max(column, 0), last), text) for column, text in rows]
    if not cells:
        return ()
    needs = [
        max(columns(text) for text in (header, *(text for at, text in cells if at == column)))
        for column, header in enumerate(headers)
    ]
    widths = _share(needs, width - 2 - _GAP * last)
    titles = [_cell(header, wide) for header, wide in zip(headers, widths, strict=True)]
    rules = [["-" * min(4, max(map(columns, title)))] for title in titles]
    lines = [*_row(titles, widths), *_row(rules, widths)]
    for column, text in cells:
        blank: list[list[str]] = [[] for _ in widths]
        blank[column] = _cell(text, widths[column])
        lines += _row(blank, widths)
    return tuple(lines)


def _row(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    lines = []
    for number in range(max(map(len, cells))):
        line, at = "", 2
        for cell, width in zip(cells, widths, strict=True):
            if number < len(cell):
                line += " " * (at - columns(line)) + cell[number]
            at += width + _GAP
        lines.append(line)
    return lines


def _share(needs: Sequence[int], space: int) -> list[int]:
    """Give narrow columns what they need, and the wide ones equal parts of the rest."""
    widths = [0] * len(needs)
    left = space
    for done, column in enumerate(sorted(range(len(needs)), key=needs.__getitem__)):
        widths[column] = max(_NARROWEST, min(needs[column], left // (len(needs) - done)))
        left -= widths[column]
    return widths


def _cell(text: str, width: int) -> list[str]:
    """Wrap within a column, further lines two in; what is too long for a line is broken."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line.strip() and columns(line) + 1 + columns(word) <= width:
            line += f" {word}"
            continue
        if line:
            lines.append(line)
        line = f"  {word}" if lines else word
        while columns(line) > width:
            cut = _break(line, width)
            lines.append(line[:cut])
            line = f"  {line[cut:]}"
    return [*lines, line]


def _break(line: str, width: int) -> int:
    """Where to break: after a ``.``, ``(`` or the like, else a ``_``, not near the start."""
    fitting = max(3, next(end for end in range(len(line), -1, -1) if columns(line[:end]) <= width))
    for marks in ("(>:/.", "_"):
        cut = max(line.rfind(mark, 0, fitting) for mark in marks) + 1
        if cut > max(3, fitting // 3):
            return cut
    return fitting


def _bounded(word: str) -> str:
    if len(word.encode("utf-8", "replace")) <= _WORD_BYTES:
        return word
    return f"{word[:60]}...{word[-20:]}"


def _starts_something(word: str) -> bool:
    """Whether a mail program would not take a line that starts so for prose.

    A leading ``>`` would be a quote, a lone ``.`` ends the input of sendmail(8)
    without ``-i``, and ``From `` starts a new mail in an mbox.
    """
    return word.startswith(">") or word in {".", "From"}
