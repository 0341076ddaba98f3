# SPDX-License-Identifier: GPL-2.0-or-later
"""Locks of one field that lockdep keeps apart by who makes the object.

``sock_lock_init()`` (net/core/sock.c) gives the lock of a socket a key for each family,
and families with several protocols (Bluetooth) one for each of these.  A source file that
has the functions of a protocol's sockets works on those; any other may be given any.
"""

from __future__ import annotations

import numpy as np

from reviewbot.locking.legs import Leg
from reviewbot.locking.linked import OPS
from reviewbot.locking.view import View

MADE_WITH = {"struct sock.sk_lock": f"{OPS}struct proto_ops.release"}
"""The member that a file with a family of such locks fills in."""


def one_family(view: View, node: str, leg: Leg, closing: Leg) -> bool:
    """Whether both legs of a cycle may mean the same family of the locks *node*."""
    member = MADE_WITH.get(node)
    if member is None:
        return True
    files = {_file_with(view, node, way) for way in (leg, closing)}
    return len(files & _owners(view, member)) < len(files) or len(files) == 1


def _file_with(view: View, node: str, leg: Leg) -> str:
    """The file that has a leg's lock in its hands, held or taken."""
    own = leg.held == node and leg.function >= 0
    at = leg.function if own or not leg.path else leg.path[-1]
    ref = view.function(at) if at >= 0 else None
    return ref.file if ref is not None else ""


def _owners(view: View, member: str) -> set[str]:
    number = view.callable_number(member)
    if number is None:
        return set()
    _, functions = view.graph.callees(np.array([number], np.int32))
    refs = (view.function(function) for function in functions.tolist())
    return {ref.file for ref in refs if ref is not None}
