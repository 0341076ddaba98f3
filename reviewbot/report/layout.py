# SPDX-License-Identifier: GPL-2.0-or-later
"""Text in columns: paragraphs, labelled facts, lock chains and scenarios.

Widths are those a terminal shows (wide characters count two), in columns.
Prose and scenarios have 72 (Documentation/process/submitting-patches.rst).  All
functions are pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from reviewbot.locking.model import Step
from reviewbot.report.clean import ELISION, prose

PROSE_WIDTH = 72
CHAIN_LIMIT = 8
"""Steps of a chain that are printed; the JSON has all."""

LINE_LIMIT = 240
"""Characters of a line that is not wrapped: 998 bytes (RFC 5322, 2.1.1) whatever they are."""

_LABEL_WIDTH = 10
_GAP = 3
_NARROWEST = 6
_TITLE = 16
"""Columns of a longer heading that is wrapped rather than given room."""
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


def trace_lines(steps: Sequence[Step], function: str = "", *, limit: int) -> tuple[str, ...]:
    """A chain below a heading that names its first function, one step a line.

    ``file:line: what [lock]``: where control is follows from the heading and from
    the call before.  Where it does not, as after a call through a struct, the
    function is named.  Of more than ``limit`` steps the middle is left out.
    """
    kept = list(enumerate(steps))
    if len(kept) > limit:
        head = limit // 2
        kept = [*kept[:head], *kept[len(kept) - (limit - head - 1) :]]
    lines: list[str] = []
    known, last = {function}, -1
    for number, step in kept:
        if number != last + 1:
            lines.append(f"  {ELISION}")
            known = set()
        called = step.what if step.function in known else f"{step.function}() calls {step.what}"
        lock = f" [{step.lock}]" if step.lock else ""
        indirect = f", by {step.indirect}" if step.indirect else ""
        place = f"{step.file}:{step.line}: {called}{lock}{indirect}"
        lines.append(f"  {prose(place, LINE_LIMIT)}")
        known, last = {step.function, step.what}, number
    return tuple(lines)


def scenario_lines(
    headers: Sequence[str], rows: Iterable[tuple[int, str]], *, width: int = PROSE_WIDTH
) -> tuple[str, ...]:
    """Contexts side by side, one event a row, as in "Possible unsafe locking scenario".

    ``rows`` are (0-based column, text); a column that is not there means the
    last.  Nothing stands right of a row's text, so it may reach into the columns
    there; what is too long for that is wrapped.
    """
    last = len(headers) - 1
    cells = [(min(max(column, 0), last), text) for column, text in rows] if headers else []
    if not cells:
        return ()
    starts = _starts(headers, cells, width)
    rooms = [
        (starts[number + 1] - _GAP if number < last else width) - start
        for number, start in enumerate(starts)
    ]
    titles = [_cell(title, room) for title, room in zip(headers, rooms, strict=True)]
    rules = [["-" * min(4, max(map(columns, title)))] for title in titles]
    lines = [*_row(titles, starts), *_row(rules, starts)]
    for column, text in cells:
        lines += (" " * starts[column] + line for line in _cell(text, width - starts[column]))
    return tuple(lines)


def _starts(
    headers: Sequence[str], cells: Sequence[tuple[int, str]], width: int
) -> tuple[int, ...]:
    """Where columns begin: right of what stands left, or as far left as they need."""
    needs = [
        max(columns(text) for text in (header, *(text for at, text in cells if at == column)))
        for column, header in enumerate(headers)
    ]
    starts = [2]
    for column in range(1, len(headers)):
        title = min(columns(headers[column - 1]), _TITLE)
        nearest = starts[-1] + max(title, _NARROWEST) + _GAP
        natural = starts[-1] + needs[column - 1] + _GAP
        fitting = max(nearest, min(natural, width - needs[column]))
        after = len(headers) - column - 1
        starts.append(min(fitting, width - _NARROWEST - after * (_NARROWEST + _GAP)))
    return tuple(starts)


def _row(cells: Sequence[Sequence[str]], starts: Sequence[int]) -> list[str]:
    lines = []
    for number in range(max(map(len, cells))):
        line = ""
        for cell, start in zip(cells, starts, strict=True):
            if number < len(cell):
                line += " " * (start - columns(line)) + cell[number]
        lines.append(line)
    return lines


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
