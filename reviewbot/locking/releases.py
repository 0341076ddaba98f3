# SPDX-License-Identifier: GPL-2.0-or-later
"""Who gives a lock back, as far as that can be said without following every path.

A function that keeps a lock may mean to, and one that is not seen to take what it gives
back may do so by a wrapper that is not understood.  What is said of such a function is
worth no more than what is known of those that it calls and that call it.
"""

from __future__ import annotations

import re

from reviewbot.locking.legs import Finding, Spot
from reviewbot.locking.model import HazardKind
from reviewbot.locking.symbols import FunctionRef
from reviewbot.locking.view import View

_RELEASE = r"(?:unlock|release|up|up_read|up_write|put|end|exit)"


def is_out_of_sight(finding: Finding, there: View, elsewhere: View) -> bool:
    """Whether a function only seems not to hold *elsewhere* what a finding has it hold.

    It gives the lock back there and is not seen to take it: by a wrapper that is not understood.
    """
    if finding.kind is HazardKind.LOCK_IMBALANCE or finding.leg.function < 0:
        return False
    held, site = finding.leg.held, finding.site
    return _gives_back(elsewhere, site, held) and not _gives_back(there, site, held)


def is_in_doubt(finding: Finding, view: View) -> bool:
    """Whether a function calls what may leave a lock or not, so that nothing was told of it."""
    return any(
        _names_field(name, finding.leg.held)
        for ref in view.functions_in(finding.site[0])
        if ref.name == finding.site[1]
        for callee in view.called_by(ref.id)
        for name in (callee.effects.doubts if callee.effects is not None else ())
    )


def ends_for(view: View, caller: int, function: int, cls: str) -> bool:
    """Whether *caller* gives back what *function* leaves held: itself, or by another callee."""
    field = re.escape(re.split(r"[.:]", cls)[-1])
    release = re.compile(rf"\b\w*{_RELEASE}\w*\s*\([^;]*\b{field}\b")
    if release.search(view.text_of(caller)) is not None:
        return True
    others = (ref for ref in view.called_by(caller) if ref.id != function)
    return any(_releases(ref, cls) for ref in others)


def _gives_back(view: View, spot: Spot, cls: str) -> bool:
    """Whether a function may give back a lock of a class that its callers hold."""
    refs = (ref for ref in view.functions_in(spot[0]) if ref.name == spot[1])
    return any(_releases(ref, cls) for ref in refs)


def _releases(ref: FunctionRef, cls: str) -> bool:
    if ref.effects is None:
        return False
    names = {effect.cls or effect.lock for effect in ref.effects.releases}
    return any(_names_field(name, cls) for name in names.union(ref.effects.doubts))


def _names_field(name: str, cls: str) -> bool:
    """Whether an expression may name a lock of a class, as far as the last field says."""
    return re.split(r"[=.>:]", name)[-1] == re.split(r"[.:]", cls)[-1]
