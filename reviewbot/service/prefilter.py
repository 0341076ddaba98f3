# SPDX-License-Identifier: GPL-2.0-or-later
"""Who gets a full review: a series that touches a function which holds or waits.

Asked in the review's own process once the series has been applied.  Nothing that the
comparison would report is left out: each of its hazards runs through a function that
the series changes, and that function holds or takes something, is the handler of
something, or blocks on what it did not block on in the other tree.
"""

from __future__ import annotations

from collections.abc import Sequence

from reviewbot.locking.compare import touched_functions
from reviewbot.locking.hazards import Finder
from reviewbot.locking.history import numbers, volatile
from reviewbot.locking.view import View


def touches_locks(views: Sequence[View], files: frozenset[str]) -> bool:
    """Whether a series may have to do with locking.

    *views* are the trees before it and after each of its patches, *files* the sources
    that it changes, as for :func:`reviewbot.locking.compare.compare`.
    """
    changed = touched_functions(views, files)
    ends = (views[0], views[-1])
    found = [numbers(view, changed) for view in ends]
    for view, own in zip(ends, found, strict=True):
        if any(_holds_or_waits(view, number) for some in own.values() for number in some):
            return True
    homes = {path for path, _ in changed}
    finders = [Finder(view, view.directories(homes)) for view in ends]
    return any(volatile(finders, found, changed).values())


def _holds_or_waits(view: View, function: int) -> bool:
    detail = view.detail(function)
    if detail is not None and (detail.actions or detail.uses or detail.imbalances):
        return True
    return bool(view.runs_as(function))
