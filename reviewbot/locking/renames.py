# SPDX-License-Identifier: GPL-2.0-or-later
"""Locks that a series gives another name: their hazards are as they were.

A hazard is known by its classes.  If one goes and one of the same kind comes in the same
functions, and what the old one is named after is gone from the tree while the names of
the new one were not there before, it is one hazard.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reviewbot.locking.legs import Spot
from reviewbot.locking.linked import OPS
from reviewbot.locking.model import ChangeState, Hazard, Site
from reviewbot.locking.view import View


def settled(hazards: Sequence[Hazard], before: View, after: View) -> list[Hazard]:
    """*hazards*, with those that only changed their name between the two trees remaining."""
    gone = {h.id: h for h in hazards if h.state is ChangeState.REMOVED}
    out: list[Hazard] = []
    for hazard in hazards:
        old = None
        if hazard.state is ChangeState.INTRODUCED:
            old = next((h for h in gone.values() if _is_renamed(h, hazard, before, after)), None)
        if old is not None:
            del gone[old.id]
            hazard = _joined(old, hazard)  # noqa: PLW2901 - under its new name
        out.append(hazard)
    return [h for h in out if h.state is not ChangeState.REMOVED or h.id in gone]


def _is_renamed(old: Hazard, new: Hazard, before: View, after: View) -> bool:
    if old.kind is not new.kind or len(old.classes) != len(new.classes):
        return False
    was, now = set(old.classes) - set(new.classes), set(new.classes) - set(old.classes)
    if not now or _functions(old.sites) != _functions(new.sites):
        return False
    return not any(_is_used(after, name) for name in was) and not any(
        _is_used(before, name) for name in now
    )


def _functions(sites: Iterable[Site]) -> set[Spot]:
    return {(site.file, site.function) for site in sites}


def _is_used(view: View, name: str) -> bool:
    """Whether anybody takes, waits for or handles what is called *name* in a tree.

    That the table of frameworks has it held around a callback is no use of it.
    """
    node = view.node(name)
    if node is None:
        return False
    handlers = (r for r in view.registrations(name) if not r.what.startswith(OPS))
    return len(view.graph.actors_on(node)[0]) > 0 or any(handlers)


def _joined(old: Hazard, new: Hazard) -> Hazard:
    first = {(site.file, site.function): site.before for site in old.sites}
    sites = tuple(
        replace(
            site,
            state=ChangeState.REMAINING,
            before=first[site.file, site.function],
            patch=None,
        )
        for site in new.sites
    )
    return replace(new, state=ChangeState.REMAINING, sites=sites, patch=None)
