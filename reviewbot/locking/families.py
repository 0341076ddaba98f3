# SPDX-License-Identifier: GPL-2.0-or-later
"""Locks of one field that lockdep keeps apart by who makes the object.

``sock_lock_init()`` (net/core/sock.c) gives the lock of a socket a key for each family,
and families with several protocols (Bluetooth) one for each of these.  A source file that
has the functions of a protocol's sockets works on those; any other may be given any.
"""

from __future__ import annotations

from reviewbot.locking.legs import Leg
from reviewbot.locking.linked import OPS
from reviewbot.locking.places import directory_of
from reviewbot.locking.view import View

_FAMILY = f"{OPS}struct proto_ops.release"
MADE_WITH = {
    f"struct sock.{lock}": _FAMILY
    for lock in (
        "sk_lock", "sk_callback_lock", "sk_receive_queue.lock", "sk_write_queue.lock",
        "sk_error_queue.lock",
    )
}  # fmt: skip
"""The member that a file with a family of such locks fills in."""


def one_family(view: View, node: str, leg: Leg, closing: Leg) -> bool:
    """Whether both legs of a cycle may mean the same family of the locks *node*."""
    member = MADE_WITH.get(node)
    if member is None:
        return True
    owners = _owners(view, member)
    one, other = (_family(view, node, way, owners) for way in (leg, closing))
    return not one or not other or not one.isdisjoint(other)


def _family(view: View, node: str, leg: Leg, owners: set[str]) -> set[str]:
    """The files whose family of locks a leg has in its hands, by the last to say so."""
    own = leg.held == node and leg.function >= 0
    way = [leg.function] if own else [*reversed(leg.path), leg.function]
    refs = (view.function(number) for number in way if number >= 0)
    families = (_families(ref.file, owners) for ref in refs if ref is not None)
    return next(filter(None, families), set())


def _families(file: str, owners: set[str]) -> set[str]:
    """The files of whose families a file may be given locks; empty if of any.

    What stands beside protocols is what they have in common.  The transports of IPv4
    are those of IPv6, too.
    """
    if file in owners:
        return {file}
    own = directory_of(file)
    homes = _INET if own in _INET else {own}
    return {owner for owner in owners if directory_of(owner) in homes}


_INET = {"net/ipv4", "net/ipv6"}


def _owners(view: View, member: str) -> set[str]:
    number = view.callable_number(member)
    return {ref.file for ref in view.called_by(number)} if number is not None else set()
