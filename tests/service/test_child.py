# SPDX-License-Identifier: GPL-2.0-or-later
"""Tasks that fail, eat memory, hang, die, lie, or outlive the service."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from reviewbot.kernel.check import ApplyLimits
from reviewbot.report.reply import Sender
from reviewbot.service._protocol import ChildLimits, Request, Setup, Task, encode
from reviewbot.service.child import Leave, Nursery
from reviewbot.service.failures import StepError
from reviewbot.service.model import FailureKind, Step
from tests.service.support import START
from tests.support.program import Kernel

SENDER = Sender("bot", "bot@example.org", "us", "us@example.org", "write", "example.org")


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    """Index a small tree."""
    kernel = Kernel.make(tmp_path / "linux", {"a.c": "int a;\n"})
    setup = Setup(str(kernel.path), str(tmp_path / "cache"), ApplyLimits(), SENDER)
    return Request(Task.INDEX, setup, ChildLimits(seconds=60, memory=2 << 30), START)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """The program's own."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Nursery]:
    """A nursery whose tasks do what ``setup.where`` of their requests says."""
    program = tmp_path / "odd.py"
    program.write_text(_ODD.format(path=sys.path))
    made = Nursery([sys.executable, str(program)])
    yield made
    made.close()


_ODD = """
import os, resource, signal, sys, time
sys.path = {path!r}
from reviewbot.service import _nursery, _step

def do(request):
    exec(request.setup.where)

_step._WORK = {{_step.Task.INDEX: do}}
_nursery.main()
"""


def told(request: Request, code: str) -> Request:
    """Have an odd task do this."""
    return replace(request, setup=replace(request.setup, where=code))


def failure(nursery: Nursery, request: Request) -> tuple[FailureKind, str]:
    with pytest.raises(StepError) as caught:
        nursery.take(request)
    return caught.value.kind, str(caught.value)


def test_a_task_is_done(request_: Request, nursery: Nursery) -> None:
    assert b"functions" in nursery.take(request_)


def test_many_tasks_at_once(request_: Request, nursery: Nursery) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(nursery.take, [request_] * 8))
    assert len(set(made)) == 1


def test_a_wrong_request_has_its_reason(request_: Request, nursery: Nursery) -> None:
    gone = replace(request_, setup=replace(request_.setup, tree="/nowhere"))
    kind, reason = failure(nursery, gone)
    assert kind is FailureKind.TREE
    assert reason.startswith("/nowhere ")


def test_what_the_steps_before_made_must_be_there(request_: Request, nursery: Nursery) -> None:
    kind, reason = failure(nursery, replace(request_, task=Task.APPLY))
    assert kind is FailureKind.INTERNAL
    assert "KeyError" in reason
    nonsense = replace(request_, task=Task.BASE, made={Step.FETCH: encode("what?")})
    assert failure(nursery, nonsense)[0] is FailureKind.INTERNAL


def test_one_that_eats_memory(request_: Request, odd: Nursery) -> None:
    greedy = told(request_, "x = bytearray(8 << 30)")
    assert failure(odd, greedy) == (FailureKind.OUT_OF_MEMORY, "it ran out of memory")


def test_one_that_burns_time(request_: Request, odd: Nursery) -> None:
    code = "resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass"
    kind, reason = failure(odd, told(request_, code))
    assert kind is FailureKind.TIMEOUT
    assert reason == "The task index used up its processor time."


def test_one_that_hangs_with_children_of_its_own(
    request_: Request, odd: Nursery, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    code = f"pid = os.fork()\nif pid: open({str(file)!r}, 'w').write(str(pid))\ntime.sleep(1000)"
    hanging = replace(told(request_, code), limits=ChildLimits(seconds=2.0))
    assert failure(odd, hanging) == (
        FailureKind.TIMEOUT,
        "The task index did not finish within 2 seconds.",
    )
    assert is_gone(int(file.read_text()))


def is_gone(pid: int) -> bool:
    """Whether a process ends, or is a zombie that nobody has waited for."""
    for _ in range(100):
        try:
            if ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", FailureKind.CRASHED, "was ended by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", FailureKind.OUT_OF_MEMORY, "want of memory"),
        ("raise ValueError('odd \x1b[31m')", FailureKind.INTERNAL, "broke (ValueError: odd [31m)"),
        ("raise OSError(28, 'No space left on device')", FailureKind.DISK_FULL, "no room"),
        ("open('../answer', 'w').write('?'); os._exit(0)", FailureKind.CRASHED, "cannot be read"),
        ("os._exit(0)", FailureKind.CRASHED, "cannot be read"),
        ("os._exit(3)", FailureKind.INTERNAL, "broke (without a word)"),
        ("os.kill(os.getppid(), signal.SIGKILL); time.sleep(9)", FailureKind.CRASHED, "forked"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", FailureKind.INTERNAL,
         "no network"),
    ],
)  # fmt: skip
def test_one_that_dies(
    request_: Request, odd: Nursery, code: str, kind: FailureKind, words: str
) -> None:
    found, reason = failure(odd, told(request_, code))
    assert found is kind
    assert words in reason
    assert odd.take(told(request_, "pass")), "the next one is well"


def test_it_has_nothing_of_ours(request_: Request, odd: Nursery, tmp_path: Path) -> None:
    file = tmp_path / "seen"
    code = f"open({str(file)!r}, 'w').write(repr((os.getcwd(), os.listdir(), dict(os.environ))))"
    odd.take(told(request_, code))
    where, there, variables = ast.literal_eval(file.read_text())
    assert there == []
    assert variables["HOME"] != os.environ["HOME"]
    assert "HTTP_PROXY" not in variables
    assert not Path(where).exists()


def test_one_is_left_when_the_service_ends(request_: Request, odd: Nursery) -> None:
    leave = threading.Event()
    threading.Timer(1.0, leave.set).start()
    with pytest.raises(Leave):
        odd.take(told(request_, "time.sleep(1000)"), leave)


def test_one_goes_with_a_service_that_is_killed(request_: Request, tmp_path: Path) -> None:
    program, pid = tmp_path / "odd.py", tmp_path / "pid"
    program.write_text(_ODD.format(path=sys.path))
    code = f"open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
    asked = tmp_path / "asked"
    asked.write_bytes(msgspec.msgpack.encode(told(request_, code)))
    service = subprocess.Popen(
        [sys.executable, "-c", _SERVICE, str(program), str(asked)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    while not pid.exists() or not pid.read_text():
        assert service.poll() is None
        time.sleep(0.1)
    service.send_signal(signal.SIGKILL)
    service.wait()
    assert is_gone(int(pid.read_text()))
    temporary = Path(os.environ["TMPDIR"])
    while list(temporary.glob("reviewbot-task-*")):
        time.sleep(0.1)


_SERVICE = """
import pathlib, sys, msgspec
from reviewbot.service._protocol import Request
from reviewbot.service.child import Nursery
asked = pathlib.Path(sys.argv[2]).read_bytes()
Nursery([sys.executable, sys.argv[1]]).take(msgspec.msgpack.decode(asked, type=Request))
"""
