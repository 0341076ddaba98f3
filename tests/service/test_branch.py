# SPDX-License-Identifier: GPL-2.0-or-later
"""A branch is read when it has moved, and only then."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reviewbot.config_service import RemoteConfig
from reviewbot.errors import TreeError
from reviewbot.kernel.check import ApplyLimits
from reviewbot.service._protocol import Request, Setup
from reviewbot.service.branch import Branch
from reviewbot.service.child import Nursery
from reviewbot.service.clock import SystemClock
from reviewbot.service.failures import StepError
from reviewbot.service.log import Event
from reviewbot.service.model import FailureKind
from tests.service.test_child import SENDER
from tests.service.test_collect import Heard
from tests.support.program import Kernel


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel.make(tmp_path / "linux", {"a.c": "int a;\n"})


def setup_of(kernel: Kernel, **more: Any) -> Setup:
    cache = kernel.path.parent / "cache"
    return Setup(str(kernel.path), str(cache), ApplyLimits(), SENDER, **more)


def read(one: Branch, nursery: Nursery) -> None:
    one.read(nursery, threading.Event())


def test_it_is_read_when_it_has_moved(kernel: Kernel, nursery: Nursery) -> None:
    heard = Heard()
    one = Branch(setup_of(kernel), 2 << 30, SystemClock(), heard)
    for _ in range(2):
        read(one, nursery)
    first = kernel.git("rev-parse", "HEAD").strip()
    second = kernel.edit("a.c", "more", lambda old: old + "int b;\n")
    for _ in range(2):
        read(one, nursery)
    assert [told["commit"] for told in heard.of(Event.READ)] == [first, second]


def test_what_a_fetch_brings_is_read(kernel: Kernel, nursery: Nursery) -> None:
    theirs = Kernel(kernel.path.parent / "theirs")
    kernel.git("clone", "-q", kernel.path, theirs.path)
    new = theirs.edit("a.c", "more", lambda old: old + "int b;\n")
    heard = Heard()
    remotes = {"kvm": RemoteConfig(url=theirs.path.as_uri())}
    mirror = str(kernel.path.parent / "mirrors")
    setup = setup_of(kernel, branch="kvm/master", mirror=mirror, remotes=remotes)
    one = Branch(setup, 2 << 30, SystemClock(), heard)
    one.fetch()
    read(one, nursery)
    assert [told["remote"] for told in heard.of(Event.FETCHED)] == ["kvm"]
    assert [told["commit"] for told in heard.of(Event.READ)] == [new]


def test_a_tree_that_is_away_is_looked_for_again(kernel: Kernel, nursery: Nursery) -> None:
    heard = Heard()
    one = Branch(setup_of(kernel), 2 << 30, SystemClock(), heard)
    away = kernel.path.rename(kernel.path.with_name("away"))
    with pytest.raises(TreeError):
        read(one, nursery)
    away.rename(kernel.path)
    read(one, nursery)
    assert len(heard.of(Event.READ)) == 1


def test_where_the_branch_is_not_there_head_is_read(kernel: Kernel, nursery: Nursery) -> None:
    heard = Heard()
    one = Branch(setup_of(kernel, branch="kvm/next"), 2 << 30, SystemClock(), heard)
    for _ in range(2):
        read(one, nursery)
    head = kernel.git("rev-parse", "HEAD").strip()
    assert [told["commit"] for told in heard.of(Event.READ)] == [head]
    (trouble,) = heard.of(Event.TROUBLE)
    assert trouble["reason"].endswith("linux has no kvm/next: HEAD is read instead")


@pytest.mark.parametrize(
    ("kind", "times"), [(FailureKind.DISK_FULL, 2), (FailureKind.OUT_OF_MEMORY, 1)]
)
def test_only_what_may_pass_is_tried_again(kernel: Kernel, kind: FailureKind, times: int) -> None:
    class Failing:
        asked = 0

        def take(self, request: Request, leave: threading.Event) -> bytes:
            self.asked += 1
            raise StepError(kind, "no")

    failing: Any = Failing()
    one = Branch(setup_of(kernel), 2 << 30, SystemClock(), Heard())
    for _ in range(times):
        with pytest.raises(StepError):
            read(one, failing)
    if times == 1:
        read(one, failing)
    assert failing.asked == times
