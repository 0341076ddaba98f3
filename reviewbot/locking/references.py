# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways that are gone only by who drops the last reference to something."""

from __future__ import annotations

import re
from itertools import pairwise

from reviewbot.locking.legs import Leg
from reviewbot.locking.rows import SLEEP
from reviewbot.locking.view import View

_IS_LAST = re.compile(
    r"(?P<no>!\s*)?\b(?:refcount|atomic(?:64|_long)?|percpu_ref)_(?:dec|sub|put)\w*_(?:test|lock)\w*\("
)
"""Whether a count came to nothing; linux/refcount.h, linux/atomic.h."""
_COUNTS_DOWN = re.compile(
    r"(?P<yes>!\s*)?--\s*\w+(?:(?:->|\.)\w+)+(?P<zero>\s*(?:==\s*0|<=\s*0|<\s*1))?"
)
_HANDS_OVER = re.compile(
    r"\b(?:(?:kref|percpu_ref)_put(?:_\w+)?|\w+_dec_and_(?:\w+_)?lock\w*)\s*\("
)
"""Whoever drops the last reference runs what is handed over, or takes the lock; linux/kref.h,
linux/refcount.h."""
_LEAVES = re.compile(r"\b(?:return|goto)\b")


def last_reference(view: View, leg: Leg) -> str:
    """The function on a leg that goes on only if it drops the last reference; empty if none."""
    for caller, callee in pairwise((leg.function, *leg.path)):
        line = view.call_line(caller, view.callable_name(callee)) if caller >= 0 else 0
        if _asks(view, caller, [line]):
            return view.callable_name(caller)
    actor = leg.path[-1] if leg.path else leg.function
    detail = view.detail(actor)
    actions = detail.actions if detail is not None else ()
    lines = [a.line for a in actions if (a.node or SLEEP) == leg.target and a.blocks]
    return view.callable_name(actor) if _asks(view, actor, lines) else ""


def _asks(view: View, function: int, calls: list[int]) -> bool:
    """Whether a function comes to all these of its lines only with a count at its end."""
    ref = view.function(function) if function >= 0 else None
    if ref is None or not calls or min(calls) < ref.line:
        return False
    lines = view.body_of(ref)
    return all(_is_asked(lines, call - ref.line) for call in calls)


def _is_asked(lines: list[str], call: int) -> bool:
    if call >= len(lines) or _HANDS_OVER.search(lines[call]):
        return call < len(lines)
    return any(_is_behind(lines, test, call) for test in range(call) if "if (" in lines[test])


def _is_behind(lines: list[str], test: int, call: int) -> bool:
    """Whether a call stands in the block for the last reference, or behind one for the others.

    Kernel style indents a block by a tab (Documentation/process/coding-style.rst, 1).
    """
    last = _for_the_last(lines[test])
    if last is None:
        return False
    depth = _depth(lines[test])
    block = [test]
    for number in range(test + 1, len(lines)):
        if lines[number].strip() and _depth(lines[number]) <= depth:
            break
        block.append(number)
    if last:
        return call <= block[-1]
    leaves = any(_LEAVES.search(lines[number]) for number in block)
    return leaves and call > block[-1] and _depth(lines[call]) <= depth


def _for_the_last(line: str) -> bool | None:
    """Whether a condition is true for the last reference, or for all others; None if neither."""
    asked = _IS_LAST.search(line)
    if asked is not None:
        return not asked["no"]
    count = _COUNTS_DOWN.search(line)
    return bool(count["yes"] or count["zero"]) if count is not None else None


def _depth(line: str) -> int:
    wide = line.expandtabs(8)
    return len(wide) - len(wide.lstrip())
