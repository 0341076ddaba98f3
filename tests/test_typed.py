# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads that decode into one class for the first time at the same moment."""

from __future__ import annotations

import subprocess
import sys

_RACE = """
import sys, threading
from dataclasses import dataclass
import msgspec
from reviewbot.typed import learnt

sys.setswitchinterval(1e-6)
for number in range(100):
    @dataclass
    class Inner:
        name: str | None
        parts: tuple[str, ...]

    @dataclass
    class Outer:
        one: Inner
        many: tuple[Inner, ...]

    Outer.__annotations__ = {"one": Inner, "many": tuple[Inner, ...]}
    inner = Inner("a", ("b",))
    data = msgspec.msgpack.encode(Outer(inner, (inner, inner)))
    together = threading.Barrier(4)

    def work():
        together.wait()
        assert msgspec.msgpack.decode(data, type=learnt(Outer)).one == inner

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


def test_nobody_sees_a_class_half_learnt() -> None:
    # A process of its own: what goes wrong here ends it.
    done = subprocess.run([sys.executable, "-c", _RACE], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
