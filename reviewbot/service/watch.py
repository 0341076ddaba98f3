# SPDX-License-Identifier: GPL-2.0-or-later
"""Which processes carry out reviews, and which of them have died.

Where two run on one host, the system knows at once whether the other lives.
Elsewhere a process is dead when its beat has stood still for a while on the
watcher's own monotonic clock; one that was only slow finds itself off the list
and joins again, though its work has gone to others.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from reviewbot.service.state import machines
from reviewbot.service.state.model import Machine
from reviewbot.service.state.store import State

BEAT = 5.0
"""Seconds between two beats."""
SILENCE = 60.0
"""Seconds without a beat after which a process of another host is taken for dead."""
_START_TIME = 19
"""Index of starttime among the fields after the name in /proc/PID/stat (proc(5), field 22)."""


@dataclass(frozen=True, slots=True)
class Self:
    """How this process is known to the others."""

    id: str
    host: str
    pid: int
    birth: str

    @property
    def mark(self) -> str:
        """The same in one line, for :func:`is_gone`."""
        return f"{self.id} {self.host} {self.pid} {self.birth}"


def is_gone(mark: str) -> bool:
    """Whether a process of this host has ended; of another host's nobody can tell."""
    _, host, pid, birth = mark.split(" ")
    return host == _host() and _birth(int(pid)) != birth


def identify() -> Self:
    """This process, under a name that no other ever has."""
    pid = os.getpid()
    name = socket.gethostname() or "host"
    return Self(f"{name}-{pid}-{token_hex(4)}", _host(), pid, _birth(pid))


def _host() -> str:
    """Boot and process-id namespace: who shares both can see each other's processes."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"


def _birth(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty if there is none with this pid."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[_START_TIME]


class Watch:
    """Keeps this process on the list, and finds the dead on it."""

    def __init__(self, state: State, silence: float = SILENCE) -> None:
        self._state = state
        self._silence = silence
        self._me = identify()
        self._heard: dict[str, tuple[int, float]] = {}
        """By process, its last new beat and when that was heard."""

    @property
    def id(self) -> str:
        """Name of this process."""
        return self._me.id

    def join(self) -> None:
        """Get on the list."""
        me = self._me
        machines.join(self._state, me.id, me.host, me.pid, me.birth)

    def beat(self) -> None:
        """Show that this process lives."""
        if not machines.beat(self._state, self.id):
            self.join()

    def dead(self, working: frozenset[str]) -> tuple[str, ...]:
        """Processes that have died and whose work is to be taken over.

        ``working`` are those that have work; who has some and is not on the list is dead.
        """
        others = machines.others(self._state, self.id)
        listed = {other.id for other in others}
        unlisted = working - listed - {self.id}
        return (*sorted(unlisted), *(other.id for other in others if self._is_dead(other)))

    def bury(self, machine: str) -> None:
        """Take one off the list whose work has been taken over."""
        machines.leave(self._state, machine)
        self._heard.pop(machine, None)

    def leave(self) -> None:
        """Say that this process ends; what it leaves undone is for others at once."""
        machines.resign(self._state, self.id)

    def _is_dead(self, other: Machine) -> bool:
        if other.beat == machines.RESIGNED:
            return True
        if other.host == self._me.host:
            return _birth(other.pid) != other.birth
        now = self._state.clock.monotonic()
        beat, heard = self._heard.get(other.id, (-1, now))
        if other.beat != beat:
            self._heard[other.id] = (other.beat, now)
            return False
        return now - heard >= self._silence
