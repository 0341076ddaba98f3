# SPDX-License-Identifier: GPL-2.0-or-later
"""A mail thread becomes a Series, in a child process with limits.

See :mod:`reviewbot.series._worker` for what happens in there.  The child gets
an empty working directory, a private HOME and none of the user's git or b4
configuration; whatever becomes of it, its files and processes are gone when
:func:`assemble` returns.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from reviewbot.confine import environment
from reviewbot.errors import NotReviewable, ReviewbotError, UsageError
from reviewbot.series._protocol import AssembleLimits, Failure, Reply, Request
from reviewbot.series.errors import NoPatches, SuspiciousText, TooBig, Unreadable, WorkerError
from reviewbot.series.model import Series
from reviewbot.typed import learnt

__all__ = ["DEFAULT_LIMITS", "AssembleLimits", "assemble"]

DEFAULT_LIMITS = AssembleLimits()
_FAILURES: dict[str, type[ReviewbotError]] = {
    kind.__name__: kind
    for kind in (NoPatches, NotReviewable, SuspiciousText, TooBig, Unreadable, UsageError)
}


def assemble(
    raw: bytes,
    *,
    wanted: str | None,
    source: str,
    limits: AssembleLimits = DEFAULT_LIMITS,
    together: bool = False,
) -> Series:
    """The series in an mboxrd.

    ``wanted`` is the message-id of a patch, of a cover letter, or of a reply to
    one: the version it belongs to is returned.  None stands for the newest
    version of the only series in there.  ``source`` is where the mail came from,
    for messages and the reproduce line.  ``together`` says that the mail is one series,
    whatever its threading says.

    Raises NoPatches, TooBig, Unreadable or SuspiciousText for what was posted,
    UsageError for a mailbox of several series, WorkerError if the child dies.
    """
    if len(raw) > limits.max_bytes:
        raise TooBig(
            f"The mail from {source} is larger than {limits.max_bytes // 1024} KiB: give only "
            "the series' own thread."
        )
    request = msgspec.json.encode(Request(wanted, source, limits, together)).decode()
    with tempfile.TemporaryDirectory(prefix="reviewbot-mail-") as folder:
        reply = _ask(request, raw, Path(folder), source, limits)
    if reply.series is not None:
        return reply.series
    if reply.failure is not None:
        raise _error(reply.failure, source)
    raise _failed(source, "answered with nothing")


def _ask(request: str, raw: bytes, home: Path, source: str, limits: AssembleLimits) -> Reply:
    """Run the child once.  Files, not pipes: the size limit then bounds its answer too."""
    (home / "empty").mkdir()
    (home / "tmp").mkdir()
    mail, out, log = home / "mail", home / "reply", home / "log"
    mail.write_bytes(raw)
    command = [sys.executable, "-I", "-m", "reviewbot.series._worker", request]
    with mail.open("rb") as stdin, out.open("wb") as stdout, log.open("wb") as stderr:
        child = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=home / "empty",
            env=environment(home),
            start_new_session=True,
        )
        try:
            status = child.wait(timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            raise _failed(source, f"did not finish within {limits.seconds:g} seconds") from None
        finally:
            # Its whole session: git may still run when Python is gone.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if status != 0:
        raise _failed(source, _why(status, log))
    try:
        return msgspec.json.decode(out.read_bytes(), type=learnt(Reply))
    except msgspec.DecodeError:
        raise _failed(source, "gave an answer that cannot be read") from None


def _why(status: int, log: Path) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}, so a limit was hit"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 1000))
        lines = file.read().decode("utf-8", "replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), f"exit status {status}")
    return "failed (" + "".join(char for char in last if char.isprintable())[:200] + ")"


def _failed(source: str, what: str) -> WorkerError:
    return WorkerError(
        f"The process that parses the mail from {source} {what}: try again, or give fewer messages."
    )


def _error(failure: Failure, source: str) -> ReviewbotError:
    kind = _FAILURES.get(failure.kind)
    return kind(failure.message) if kind else _failed(source, f"reported {failure.kind}")
