# SPDX-License-Identifier: GPL-2.0-or-later
"""Take a step of a review in a process of its own, with limits; see :mod:`._step`.

The process has a session, a directory and an environment of its own and is gone,
with its files, when :func:`take` returns.  A git that it leaves behind ends by
itself: its pipes are closed, and it has limits of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec

from reviewbot.confine import environment
from reviewbot.service._protocol import Answer, Request
from reviewbot.service.failures import StepError, says_full
from reviewbot.service.model import FailureKind

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")
_LAST_WORDS = 4000
"""Bytes of what a process said on standard error that are looked at."""
_POLL = 0.2
_BY_SIGNAL = {
    signal.SIGXCPU: (FailureKind.TIMEOUT, "used up its processor time"),
    signal.SIGXFSZ: (FailureKind.CRASHED, "wrote more than it may"),
    signal.SIGKILL: (FailureKind.OUT_OF_MEMORY, "was killed, most likely for want of memory"),
}


class Leave(BaseException):
    """The service ends: leave the step as it is, for whoever takes it up again.

    No Exception, so that nobody takes it for a failure of the step.
    """


def take(request: Request, leave: threading.Event | None = None) -> bytes:
    """What the step makes.

    Raises :class:`StepError` for a step that failed, died, hung or answered
    nonsense, and :class:`Leave` as soon as ``leave`` is set.
    """
    try:
        with tempfile.TemporaryDirectory(
            prefix="reviewbot-step-", ignore_cleanup_errors=True
        ) as folder:
            answer = _ask(request, Path(folder), leave or threading.Event())
    except OSError as error:
        kind = FailureKind.DISK_FULL if says_full(str(error)) else FailureKind.INTERNAL
        raise StepError(kind, f"No process for the task {request.task}: {error}.") from error
    if answer.failure is not None:
        raise StepError(answer.failure, answer.reason)
    return answer.product


def _ask(request: Request, home: Path, leave: threading.Event) -> Answer:
    """Run the process once.  Files, not pipes: the size limit then bounds its answer too."""
    (home / "empty").mkdir()
    (home / "tmp").mkdir()
    asked, out, log = home / "request", home / "answer", home / "log"
    asked.write_bytes(msgspec.msgpack.encode(request))
    lifeline, held = os.pipe()
    try:
        with asked.open("rb") as stdin, out.open("wb") as stdout, log.open("wb") as stderr:
            child = subprocess.Popen(
                [sys.executable, "-I", "-m", "reviewbot.service._step", str(lifeline)],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=home / "empty",
                env=_environment(request, home),
                pass_fds=(lifeline,),
                start_new_session=True,
            )
        status = _wait(child, request, leave)
    finally:
        os.close(lifeline)
        os.close(held)
    if status != 0:
        raise _died(request, status, _last_words(log))
    try:
        return msgspec.msgpack.decode(out.read_bytes(), type=Answer)
    except msgspec.DecodeError:
        raise _failed(request, FailureKind.CRASHED, "gave an answer that cannot be read") from None


def _environment(request: Request, home: Path) -> dict[str, str]:
    env = environment(home)
    if request.network:
        names = (*_PROXIES, *(name.upper() for name in _PROXIES))
        env |= {name: os.environ[name] for name in names if name in os.environ}
    return env


def _wait(child: subprocess.Popen[bytes], request: Request, leave: threading.Event) -> int:
    deadline = time.monotonic() + request.limits.seconds
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return child.wait(timeout=_POLL)
            if leave.is_set():
                raise Leave
            if time.monotonic() >= deadline:
                seconds = f"{request.limits.seconds:g}"
                raise _failed(
                    request, FailureKind.TIMEOUT, f"did not finish within {seconds} seconds"
                )
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


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
