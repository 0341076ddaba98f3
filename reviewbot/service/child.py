# SPDX-License-Identifier: GPL-2.0-or-later
"""Do a task in a process of its own, with limits; see :mod:`._nursery` and :mod:`._step`.

The process has a session, a directory and an environment of its own and is gone,
with its files, when :meth:`Nursery.take` returns.  A git that it leaves behind ends
by itself: its pipes are closed, and it has limits of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from reviewbot.service._protocol import Answer, Request
from reviewbot.service.failures import StepError, says_full
from reviewbot.service.model import FailureKind
from reviewbot.typed import learnt

_COMMAND = (sys.executable, "-I", "-m", "reviewbot.service._nursery")
_START_SECONDS = 120.0
"""For the nursery to begin a task, its own start included."""
_LAST_WORDS = 4000
"""Bytes of what a process said on standard error that are looked at."""
_POLL = 0.2
_BY_SIGNAL = {
    signal.SIGXCPU: (FailureKind.TIMEOUT, "used up its processor time"),
    signal.SIGXFSZ: (FailureKind.CRASHED, "wrote more than it may"),
    signal.SIGKILL: (FailureKind.OUT_OF_MEMORY, "was killed, most likely for want of memory"),
}


class Leave(BaseException):
    """The service ends: leave the task as it is, for whoever takes it up again.

    No Exception, so that nobody takes it for a failure of the task.
    """


class _LostError(Exception):
    """The process that tasks are forked from has died."""


class Nursery:
    """Where tasks are done; safe to share between threads.  Close it at the end."""

    def __init__(self, command: Sequence[str] = _COMMAND) -> None:
        """``command`` is the program that tasks are forked from."""
        self._command = command
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def take(self, request: Request, leave: threading.Event | None = None) -> bytes:
        """What the task makes.

        Raises :class:`StepError` for a task that failed, died, hung or answered
        nonsense, and :class:`Leave` as soon as ``leave`` is set.
        """
        leave = leave or threading.Event()
        try:
            try:
                answer = self._ask(request, leave)
            except _LostError:
                answer = self._ask(request, leave)  # that was none of this task's doing
        except _LostError as error:
            said = "lost the process that it was forked from, twice"
            raise _failed(request, FailureKind.CRASHED, said) from error
        except OSError as error:
            kind = FailureKind.DISK_FULL if says_full(str(error)) else FailureKind.INTERNAL
            raise StepError(kind, f"No process for the task {request.task}: {error}.") from error
        if answer.failure is not None:
            raise StepError(answer.failure, answer.reason)
        return answer.product

    def close(self) -> None:
        """End the nursery; tasks under way go when this process does."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.wait()
        self._process = self._control = None

    def _ask(self, request: Request, leave: threading.Event) -> Answer:
        with tempfile.TemporaryDirectory(
            prefix="reviewbot-task-", ignore_cleanup_errors=True
        ) as home:
            return self._ask_in(Path(home), request, leave)

    def _ask_in(self, home: Path, request: Request, leave: threading.Event) -> Answer:
        for name in ("empty", "tmp"):
            (home / name).mkdir()
        (home / "request").write_bytes(msgspec.msgpack.encode(request))
        lifeline, held = os.pipe()
        try:
            with self._fork(home, lifeline) as line:
                status = _wait(line, request, leave)
        finally:
            os.close(lifeline)
            os.close(held)
        if status != 0:
            raise _died(request, status, _last_words(home / "log"))
        try:
            return msgspec.msgpack.decode((home / "answer").read_bytes(), type=learnt(Answer))
        except (OSError, msgspec.DecodeError):
            said = "gave an answer that cannot be read"
            raise _failed(request, FailureKind.CRASHED, said) from None

    def _fork(self, home: Path, lifeline: int) -> socket.socket:
        """Have a task begun; its end is told on the line."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, self._lock:
            try:
                files = [lifeline, theirs.fileno()]
                socket.send_fds(self._started(), [os.fsencode(home)], files)
            except (BrokenPipeError, ConnectionResetError) as error:
                ours.close()
                self._end()
                raise _LostError from error
        return ours

    def _started(self) -> socket.socket:
        """The way to the nursery, which is started unless it runs."""
        if self._process is not None and self._process.poll() is None and self._control:
            return self._control
        self._end()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*self._command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # a fork has one thread
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # a terminal's Ctrl-C is for the service
            )
        self._control = ours
        return ours


def _wait(line: socket.socket, request: Request, leave: threading.Event) -> int:
    """The exit status of a task, which is over, in time or by force."""
    line.settimeout(_START_SECONDS)
    pid = _number(line)
    deadline = time.monotonic() + request.limits.seconds
    try:
        while True:
            line.settimeout(min(_POLL, max(0.001, deadline - time.monotonic())))
            with contextlib.suppress(TimeoutError):
                return _number(line)
            if leave.is_set():
                raise Leave
            if time.monotonic() >= deadline:
                seconds = f"{request.limits.seconds:g}"
                said = f"did not finish within {seconds} seconds"
                raise _failed(request, FailureKind.TIMEOUT, said)
    finally:
        # Its whole session, for others may still run when it is gone; and its directory
        # may go only after it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        line.settimeout(_START_SECONDS)
        with contextlib.suppress(TimeoutError):
            line.recv(32)


def _number(line: socket.socket) -> int:
    told = line.recv(32)
    if not told:
        raise _LostError
    return int(told)


def _last_words(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LAST_WORDS))
        lines = file.read().decode("utf-8", "replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "without a word")
    return "".join(char for char in last if char.isprintable())[:300]


def _died(request: Request, status: int, said: str) -> StepError:
    """What a process that gave no answer died of."""
    if says_full(said):
        return _failed(request, FailureKind.DISK_FULL, f"found no room on a disk ({said})")
    if said.startswith("MemoryError"):
        return _failed(request, FailureKind.OUT_OF_MEMORY, "ran out of memory")
    if status > 0:
        return _failed(request, FailureKind.INTERNAL, f"broke ({said})")
    number = signal.Signals(-status)
    kind, how = _BY_SIGNAL.get(number, (FailureKind.CRASHED, f"was ended by {number.name}"))
    return _failed(request, kind, how)


def _failed(request: Request, kind: FailureKind, what: str) -> StepError:
    return StepError(kind, f"The task {request.task} {what}.")
