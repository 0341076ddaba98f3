# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import subprocess
import sys

from reviewbot.service import watch
from reviewbot.service.state import machines
from reviewbot.service.state.store import State
from reviewbot.service.watch import Watch
from tests.service.support import HandClock

NOBODY: frozenset[str] = frozenset()


def far(state: State, name: str) -> None:
    """A process on another host."""
    machines.join(state, name, "another host", 1, "1")


def near(state: State, name: str, pid: int) -> None:
    """A process on this host, as it would show itself."""
    machines.join(state, name, watch._host(), pid, watch._birth(pid))


def test_one_that_beats_lives_and_one_that_stops_dies(state: State, clock: HandClock) -> None:
    me = Watch(state, silence=60.0)
    far(state, "far")
    for _ in range(5):
        assert me.dead(NOBODY) == ()
        clock.forward(50)
        machines.beat(state, "far")
    assert me.dead(NOBODY) == ()
    clock.forward(59)
    assert me.dead(NOBODY) == ()
    clock.forward(1)
    assert me.dead(NOBODY) == ("far",)
    me.bury("far")
    assert me.dead(NOBODY) == ()


def test_a_clock_that_jumps_kills_nobody(state: State, clock: HandClock) -> None:
    me = Watch(state, silence=60.0)
    far(state, "far")
    assert me.dead(NOBODY) == ()
    clock.jump(86400)
    assert me.dead(NOBODY) == ()


def test_one_on_this_host_is_seen_to_die(state: State) -> None:
    me = Watch(state)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    near(state, "near", process.pid)
    assert me.dead(NOBODY) == ()
    process.kill()
    process.wait()
    assert me.dead(NOBODY) == ("near",)


def test_another_process_with_its_number_is_not_it(state: State) -> None:
    machines.join(state, "old", watch._host(), 1, "before the last boot")
    assert Watch(state).dead(NOBODY) == ("old",)


def test_one_that_ends_in_good_order_leaves_its_work_at_once(state: State) -> None:
    me, other = Watch(state), Watch(state)
    me.join()
    other.join()
    assert me.dead(NOBODY) == ()
    other.leave()
    assert me.dead(NOBODY) == (other.id,)


def test_work_of_one_that_is_not_on_the_list_is_taken_over(state: State) -> None:
    me = Watch(state)
    me.join()
    assert me.dead(frozenset({me.id, "unknown"})) == ("unknown",)


def test_one_that_was_taken_for_dead_joins_again(state: State) -> None:
    me = Watch(state)
    me.join()
    machines.leave(state, me.id)
    me.beat()
    assert machines.beat(state, me.id)
