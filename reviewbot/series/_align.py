# SPDX-License-Identifier: GPL-2.0-or-later
"""Find where a white-space damaged hunk belongs in the file it changes.

The counts of the ``@@`` line survive every mail path seen, so a hunk covers
exactly ``old_count`` consecutive lines of the pre-image, and each of them must
be accounted for: as a context or removed line equal but for white space, or as
a blank context line that vanished.  A line's first character only suggests its
role, for a context line may itself begin with ``+`` or ``-`` once its leading
blank is gone; which reading is meant follows from the pre-image and the counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from reviewbot.series.diffs import Hunk

_MAX_STATES = 256
"""Readings of one hunk kept side by side; real hunks need one or two."""
_MAX_STEPS = 2_000_000
"""Work allowed on one file, against a hunk built to match everywhere."""
_MAX_PIECES = 3
"""Pieces one line may have been wrapped into."""


class Role(Enum):
    """What a line of a hunk is."""

    CONTEXT = " "
    REMOVED = "-"
    ADDED = "+"
    NOTE = "\\"
    """``\\ No newline at end of file``."""


@dataclass(frozen=True, slots=True)
class Op:
    """One line of the repaired hunk."""

    role: Role
    old: int
    """0-based line of the pre-image; for an added line, the one it comes before."""
    text: str
    """The line as mailed, without its first character; empty if it had vanished."""


@dataclass(frozen=True, slots=True)
class Placement:
    """One place and reading of a hunk that fits."""

    start: int
    """0-based line of the pre-image where the hunk begins."""
    ops: tuple[Op, ...]
    cost: int
    """Lines that had to be put back, joined or left over."""


class TooComplexError(Exception):
    """The hunk matches in so many ways that the search was given up."""


@dataclass(frozen=True, slots=True)
class _State:
    """How far a reading got; ``path`` is a linked list of its lines, last first."""

    old: int
    removed: int
    added: int
    cost: int
    path: tuple[Op, object] | None


def normal(line: str) -> str:
    """A line but for white space: what survives any mail path."""
    return " ".join(line.split())


class Preimage:
    """A file's lines and an index of them, made once for all hunks of the file."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        if self.lines and not self.lines[-1]:
            self.lines.pop()
        self.normal = [normal(line) for line in self.lines]
        self.where: dict[str, list[int]] = {}
        for at, line in enumerate(self.normal):
            self.where.setdefault(line, []).append(at)
        self._steps = _MAX_STEPS

    def placements(self, hunk: Hunk, *, last: bool) -> list[Placement]:
        """Every place the hunk fits, the least costly readings of each.

        Only the ``last`` hunk of a diff may be followed by text of the mail.
        Raises TooComplexError if there are too many to tell apart.
        """
        found = self._fits(hunk, last)
        if not found and hunk.lines and self._is_heading(f"{hunk.section} {hunk.lines[0]}"):
            # The @@ line itself was wrapped within the function's name it shows.
            found = self._fits(replace(hunk, lines=hunk.lines[1:]), last)
        return found

    def _fits(self, hunk: Hunk, last: bool) -> list[Placement]:
        return [fit for start in self._starts(hunk) for fit in self._readings(hunk, start, last)]

    def _is_heading(self, text: str) -> bool:
        wanted = normal(text)
        return any(line.startswith(wanted) for line in self.normal)

    def _starts(self, hunk: Hunk) -> Sequence[int]:
        last = len(self.lines) - hunk.old_count
        if hunk.old_count == 0:
            return [hunk.old_start] if 0 <= hunk.old_start <= len(self.lines) else []
        blanks = 0
        for line in hunk.lines:
            if not line.strip():
                blanks += 1
            elif not line.startswith("+"):
                break
        else:
            return range(last + 1)
        hits = self.where.get(normal(line), []) + (
            self.where.get(normal(line[1:]), []) if line.startswith("-") else []
        )
        starts = {hit - skip for hit in hits for skip in range(blanks + 4)}
        return sorted(at for at in starts if 0 <= at <= last) or range(last + 1)

    def _readings(self, hunk: Hunk, start: int, last: bool) -> list[Placement]:
        """The least costly readings of the hunk at one place, at most a few."""
        frontiers: list[dict[tuple[int, int, int], list[_State]]] = [
            {} for _ in range(len(hunk.lines) + 1)
        ]
        frontiers[0] = {(start, 0, 0): [_State(start, 0, 0, 0, None)]}
        done: list[_State] = []
        for at, frontier in enumerate(frontiers):
            if len(frontier) > _MAX_STATES:
                raise TooComplexError
            queue = [state for states in frontier.values() for state in states]
            while queue:
                state = queue.pop()
                self._steps -= 1
                if self._steps < 0:
                    raise TooComplexError
                if _is_complete(hunk, state, start) and _may_end(hunk.lines[at:], last):
                    left = sum(bool(line.strip()) for line in hunk.lines[at:])
                    done.append(replace(state, cost=state.cost + left))
                elif state.old < start + hunk.old_count and not self.normal[state.old]:
                    queue.append(_advance(state, Role.CONTEXT, "", cost=1))
                if at < len(hunk.lines):
                    for width, successor in self._successors(hunk, start, at, state):
                        _remember(frontiers[at + width], successor)
        if not done:
            return []
        least = min(state.cost for state in done)
        return [
            Placement(start, _unroll(state), state.cost) for state in done if state.cost == least
        ]

    def _successors(
        self, hunk: Hunk, start: int, at: int, state: _State
    ) -> list[tuple[int, _State]]:
        """Readings of the next line, alone or joined with those it was wrapped into."""
        line = hunk.lines[at]
        if line.startswith("\\ "):
            return [(1, _advance(state, Role.NOTE, line[1:]))]
        expected = self.normal[state.old] if state.old < start + hunk.old_count else None
        found: list[tuple[int, _State]] = []
        joined = line
        for pieces in range(1, min(_MAX_PIECES, len(hunk.lines) - at) + 1):
            if pieces > 1:
                piece = hunk.lines[at + pieces - 1]
                if not piece.strip() or piece[0] in "+-\\" or not joined.strip():
                    break
                joined = f"{joined.rstrip()} {piece.lstrip()}"
            cost = pieces - 1
            if expected is not None and normal(joined) == expected:
                found.append((pieces, _advance(state, Role.CONTEXT, joined, cost)))
            if expected is not None and line[:1] == "-" and normal(joined[1:]) == expected:
                found.append((pieces, _advance(state, Role.REMOVED, joined[1:], cost)))
            if line[:1] == "+" and state.added < hunk.new_count:
                found.append((pieces, _advance(state, Role.ADDED, joined[1:], cost)))
        return found


def _is_complete(hunk: Hunk, state: _State, start: int) -> bool:
    """The counts of the ``@@`` line are used up."""
    context = state.old - start - state.removed
    return state.old - start == hunk.old_count and context + state.added == hunk.new_count


def _may_end(rest: Sequence[str], last: bool) -> bool:
    """Whether what follows can be no part of the hunk: blank, or the mail's own end."""
    if not last:
        return not any(line.strip() for line in rest)
    return not rest or not rest[0].strip("-") or rest[0][:1] not in "+-\\"


def _advance(state: _State, role: Role, text: str, cost: int = 0) -> _State:
    return _State(
        old=state.old + (role in (Role.CONTEXT, Role.REMOVED)),
        removed=state.removed + (role is Role.REMOVED),
        added=state.added + (role is Role.ADDED),
        cost=state.cost + cost,
        path=(Op(role, state.old, text), state.path),
    )


def _remember(frontier: dict[tuple[int, int, int], list[_State]], state: _State) -> None:
    """Keep the cheapest readings that reach one point; two are enough to see a tie."""
    key = (state.old, state.removed, state.added)
    states = frontier.setdefault(key, [])
    states.append(state)
    states.sort(key=lambda known: known.cost)
    del states[2:]


def _unroll(state: _State) -> tuple[Op, ...]:
    ops: list[Op] = []
    link: object = state.path
    while isinstance(link, tuple):
        ops.append(link[0])
        link = link[1]
    return tuple(reversed(ops))
