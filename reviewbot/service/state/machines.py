# SPDX-License-Identifier: GPL-2.0-or-later
"""The processes that share the work, and how each learns that another has died.

A process counts its ``beat`` up; whoever watches measures on its own monotonic
clock how long the count has stood still.  No two clocks are ever compared.
"""

from __future__ import annotations

from reviewbot.service.state.model import Machine
from reviewbot.service.state.rows import machine
from reviewbot.service.state.store import State, add
from reviewbot.service.state.tables import machines

RESIGNED = -1
"""The last beat of a process that ends in good order."""


def join(state: State, id_: str, host: str, pid: int, birth: str) -> None:
    """Show up among those that work."""
    now = state.clock.now()
    with state.write() as connection:
        add(
            connection,
            machines,
            id=id_,
            host=host,
            pid=pid,
            birth=birth,
            beat=0,
            started=now,
            seen=now,
        )


def beat(state: State, id_: str) -> bool:
    """Show that a process lives; False if others took it for dead and took its work."""
    with state.write() as connection:
        done = connection.execute(
            machines.update()
            .where(machines.c.id == id_)
            .values(beat=machines.c.beat + 1, seen=state.clock.now())
        )
        return bool(done.rowcount)


def others(state: State, id_: str) -> tuple[Machine, ...]:
    """The other processes that were not seen leaving."""
    with state.read() as connection:
        query = machines.select().where(machines.c.id != id_).order_by(machines.c.id)
        return tuple(map(machine, connection.execute(query)))


def resign(state: State, id_: str) -> None:
    """Show that a process ends."""
    with state.write() as connection:
        connection.execute(machines.update().where(machines.c.id == id_).values(beat=RESIGNED))


def leave(state: State, id_: str) -> None:
    """Take a process that has died off the list."""
    with state.write() as connection:
        connection.execute(machines.delete().where(machines.c.id == id_))
