# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that the processes of tasks are forked from.

Run as ``python -I -m reviewbot.service._nursery CONTROL``.  It has imported all that
a task needs, which takes longer than most tasks do, and has not seen a stranger's
byte: each task is a fork of it, with limits of its own (:mod:`._step`).

CONTROL is a socket; each message on it is a task's directory, with two open files:
the task's lifeline, and a line on which its process id and then its exit status are
told.  When CONTROL ends the service has gone, and this process goes, too.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from reviewbot.locking import frameworks, primitives
from reviewbot.report.templates import environment
from reviewbot.service import _step

_MESSAGE = 4096


def main() -> None:
    """Entry point of the process."""
    control = socket.socket(fileno=int(sys.argv[1]))
    _warm_up()
    lines: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(_told_of_ends(), selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is control:
                    _begin(control, lines)
                else:
                    os.read(key.fd, _MESSAGE)
            _tell_ends(lines)


def _warm_up() -> None:
    """Have everything read once that forks would read again."""
    primitives.builtin()
    frameworks.builtin()
    environment().get_template("reply.txt.j2")
    gc.collect()
    gc.freeze()  # or a fork's first collection would copy all of it


def _told_of_ends() -> int:
    """A file that can be read when a child has ended."""
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    return told


def _begin(control: socket.socket, lines: dict[int, socket.socket]) -> None:
    home, files, _, _ = socket.recv_fds(control, _MESSAGE, 2)
    if not home:
        sys.exit(0)
    lifeline, line = files[0], socket.socket(fileno=files[1])
    pid = os.fork()
    if pid == 0:
        for ours in (control, line, *lines.values()):
            ours.close()
        _grow_up(Path(os.fsdecode(home)), lifeline)
    os.close(lifeline)
    lines[pid] = line
    _tell(line, pid)


def _grow_up(home: Path, lifeline: int) -> NoReturn:
    """In the fork: a session of its own, then the task."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        log = os.open(home / "log", os.O_WRONLY | os.O_CREAT, 0o600)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number, file in enumerate((nothing, nothing, log)):
            os.dup2(file, number)
        _step.run(home, lifeline)
        status = 0
    finally:
        if status:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(status)


def _tell_ends(lines: dict[int, socket.socket]) -> None:
    while lines:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with lines.pop(pid) as line:
            _tell(line, os.waitstatus_to_exitcode(status))


def _tell(line: socket.socket, number: int) -> None:
    try:
        line.send(str(number).encode())
    except OSError:
        return  # whoever asked does not listen any more


if __name__ == "__main__":
    main()
