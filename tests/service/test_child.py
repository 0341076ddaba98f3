# SPDX-License-Identifier: GPL-2.0-or-later
"""Tasks that fail, eat memory, hang, die, lie, or outlive the service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from reviewbot.kernel.check import ApplyLimits
from reviewbot.report.reply import Sender
from reviewbot.service import child
from reviewbot.service._protocol import ChildLimits, Request, Setup, Task, encode
from reviewbot.service.failures import StepError
from reviewbot.service.model import FailureKind, Step
from tests.service.support import START
from tests.support.program import Kernel

_PYTHON = sys.executable
SENDER = Sender("bot", "bot@example.org", "us", "us@example.org", "write", "example.org")


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    """Index a small tree."""
    kernel = Kernel.make(tmp_path / "linux", {"a.c": "int a;\n"})
    setup = Setup(str(kernel.path), str(tmp_path / "cache"), ApplyLimits(), SENDER)
    return Request(Task.INDEX, setup, ChildLimits(seconds=60, memory=2 << 30), START)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A program that runs instead of the task's; write it."""
    program = tmp_path / "python"
    monkeypatch.setattr(child.sys, "executable", str(program))
    program.write_text(f"#!{_PYTHON}\n")
    program.chmod(0o755)
    return program


def failure(request: Request) -> tuple[FailureKind, str]:
    with pytest.raises(StepError) as caught:
        child.take(request)
    return caught.value.kind, str(caught.value)


def become(program: Path, code: str) -> None:
    program.write_text(f"{program.read_text()}import os, resource, signal, sys, time\n{code}\n")


def test_a_task_is_done(request_: Request) -> None:
    assert b"functions" in child.take(request_)


def test_a_wrong_request_has_its_reason(request_: Request) -> None:
    gone = replace(request_, setup=replace(request_.setup, tree="/nowhere"))
    kind, reason = failure(gone)
    assert kind is FailureKind.TREE
    assert reason.startswith("/nowhere ")


def test_what_the_steps_before_made_must_be_there(request_: Request) -> None:
    kind, reason = failure(replace(request_, task=Task.APPLY))
    assert kind is FailureKind.INTERNAL
    assert "KeyError" in reason
    nonsense = replace(request_, task=Task.BASE, made={Step.FETCH: encode("what?")})
    assert failure(nonsense)[0] is FailureKind.INTERNAL


def test_one_that_eats_memory(request_: Request, stand_in: Path) -> None:
    become(
        stand_in,
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 28,) * 2)\nx = bytearray(1 << 29)",
    )
    assert failure(request_) == (FailureKind.OUT_OF_MEMORY, "The task index ran out of memory.")


def test_one_that_hangs_with_children_of_its_own(request_: Request, stand_in: Path) -> None:
    become(
        stand_in,
        "pid = os.fork()\nopen('../../pid', 'w').write(str(pid or os.getpid()))\ntime.sleep(1000)",
    )
    kind, reason = failure(replace(request_, limits=ChildLimits(seconds=1.0)))
    assert (kind, reason) == (
        FailureKind.TIMEOUT,
        "The task index did not finish within 1 seconds.",
    )
    # Whoever wrote last: both are of the session that was ended.
    pid = int((Path(os.environ["TMPDIR"]) / "pid").read_text())
    (Path(os.environ["TMPDIR"]) / "pid").unlink()
    assert is_gone(pid)


def is_gone(pid: int) -> bool:
    """Whether a process ends, or is a zombie that nobody has waited for."""
    for _ in range(100):
        try:
            if ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", FailureKind.CRASHED, "was ended by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", FailureKind.OUT_OF_MEMORY, "want of memory"),
        ("os.kill(os.getpid(), signal.SIGXCPU)", FailureKind.TIMEOUT, "processor time"),
        ("raise ValueError('odd \\x1b[31m')", FailureKind.INTERNAL, "broke (ValueError: odd [31m)"),
        ("raise OSError(28, 'No space left on device')", FailureKind.DISK_FULL, "no room"),
        ("print('nonsense')", FailureKind.CRASHED, "cannot be read"),
        ("sys.exit(3)", FailureKind.INTERNAL, "broke (without a word)"),
    ],
)
def test_one_that_dies(
    request_: Request, stand_in: Path, code: str, kind: FailureKind, words: str
) -> None:
    become(stand_in, code)
    found, reason = failure(request_)
    assert found is kind
    assert words in reason


def test_one_is_left_when_the_service_ends(request_: Request, stand_in: Path) -> None:
    become(stand_in, "time.sleep(1000)")
    leave = threading.Event()
    threading.Timer(0.3, leave.set).start()
    with pytest.raises(child.Leave):
        child.take(request_, leave)


def test_one_goes_with_a_service_that_is_killed(request_: Request, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    # The request never comes, so the task waits for it until its service has gone.
    os.mkfifo(asked)
    service = subprocess.Popen(
        [sys.executable, "-c", _SERVICE, str(asked)], stdout=subprocess.PIPE, text=True
    )
    assert service.stdout is not None
    pid = int(service.stdout.readline())
    service.send_signal(signal.SIGKILL)
    service.wait()
    assert is_gone(pid)
    service.stdout.close()


_SERVICE = """
import os, subprocess, sys, tempfile, time
lifeline, held = os.pipe()
home = tempfile.mkdtemp()
stdin = os.open(sys.argv[1], os.O_RDWR)
task = subprocess.Popen(
    [sys.executable, "-I", "-m", "reviewbot.service._step", str(lifeline)],
    stdin=stdin, env={"HOME": home}, pass_fds=(lifeline,), start_new_session=True,
)
print(task.pid, flush=True)
time.sleep(1000)
"""
