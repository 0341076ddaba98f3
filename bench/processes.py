# SPDX-License-Identifier: GPL-2.0-or-later
"""What a command and all that it starts use up: time, processor, memory.

Memory is the sum of the proportional set sizes (proc_pid_smaps_rollup(5)), looked at
ten times a second: what processes share counts once.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_EVERY = 0.1
_PARENT, _SESSION = 1, 3
"""Fields after the name in /proc/PID/stat (proc_pid_stat(5))."""


@dataclass(frozen=True)
class Run:
    """A command that has ended."""

    wall: float
    cpu: float
    peak: float
    """MiB, children included."""
    out: str
    status: int


def run(command: Sequence[str], env: Mapping[str, str], seconds: float = 3600) -> Run:
    """Run a command with these variables; its children's time and memory are counted."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdout=out,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        peak = 0.0
        while child.poll() is None:
            peak = max(peak, sum(map(_memory, _family(child.pid))) / 1024)
            if time.perf_counter() - start > seconds:
                os.killpg(child.pid, 9)
            time.sleep(_EVERY)
        wall = time.perf_counter() - start
        out.seek(0)
        text = out.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, peak, text, child.returncode)


def _family(first: int) -> Iterator[int]:
    """A process, its session, and all that descend from them, in sessions of their own or not."""
    known = {first}
    for pid, (parent, session) in sorted(_processes()):  # parents have lower numbers, mostly
        if pid == first or parent in known or session in known:
            known.add(pid)
            yield pid


def _processes() -> Iterator[tuple[int, tuple[int, int]]]:
    """Process id, and the ids of the parent and of the session."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        yield int(stat.parent.name), (int(fields[_PARENT]), int(fields[_SESSION]))


def _memory(pid: int) -> int:
    """KiB of one process, 0 if it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
