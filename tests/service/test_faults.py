# SPDX-License-Identifier: GPL-2.0-or-later
"""What the service stands on goes away while it works, and comes back."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reviewbot.service.clock import SystemClock
from reviewbot.service.metrics import Metrics
from reviewbot.service.model import FailureKind
from reviewbot.service.state import queries
from reviewbot.service.state.model import Overview, SourceState
from tests.service.test_work import all_done, check_once, ends, until
from tests.service.world import World
from tests.support.postgres import Postgres

YEARS = 10 * 365 * 86400


@contextmanager
def serving(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """A service, which must not end before it is told to."""
    service = world.start("serve")
    try:
        yield service
        service.terminate()
        assert ends(service, world) == 0
    finally:
        service.kill()
        service.wait()


def set_to(clock: Path, seconds: int) -> None:
    """How wrong the clock is, in one piece: the service reads it whenever it likes."""
    new = clock.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(clock)


@contextmanager
def again_and_again(trouble: Callable[[], object]) -> Iterator[None]:
    """Meanwhile somebody does this, as often as possible."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.05):
            trouble()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    """A directory on a disk of its own."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs root, and leave to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all the room there is."""
    file = disk / "filler"
    with file.open("wb", buffering=0) as out:
        for size in (65536, 512):
            try:
                while out.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return file


def overview(world: World) -> Overview:
    with world.state() as state:
        return queries.overview(state)


def metrics(world: World) -> str:
    """What a scrape says of the state."""
    seen = overview(world)
    return Metrics(lambda: seen, SystemClock(), 60.0).render().decode()


def source_is(world: World, wanted: SourceState) -> Callable[[], bool]:
    def found() -> bool:
        states = {each.name: each.state for each in overview(world).sources}
        return states.get("other") is wanted

    return found


def test_of_two_sources_one_is_down_for_a_while(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    down = world.other / "down"
    down.touch()
    with serving(world) as service:
        until(lambda: "poll.failed" in world.log(), world, service)
        world.post(world.series(1))
        world.post(world.series(2), world.other)
        until(all_done(world, 1), world, service)
        (failing,) = [each for each in overview(world).sources if each.name == "other"]
        assert failing.failure is not None
        assert failing.failure is FailureKind.UNREACHABLE
        assert 'reviewbot_source_up{source="other"} 0.0' in metrics(world)
        assert 'reviewbot_source_up{source="list"} 1.0' in metrics(world)
        down.unlink()
        until(all_done(world, 2), world, service)
        until(source_is(world, SourceState.GOOD), world, service)
        assert 'reviewbot_source_up{source="other"} 1.0' in metrics(world)
    check_once(world, 2)


def test_the_cache_is_deleted_all_the_time(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    with serving(world) as service:
        with again_and_again(lambda: shutil.rmtree(tmp_path / "cache", ignore_errors=True)):
            for number in range(4):
                world.post(world.series(number))
            time.sleep(5)
        until(all_done(world, 4), world, service)
    check_once(world, 4)


def test_the_kernel_is_repacked_and_grows_all_the_time(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    posted = [world.series(number) for number in range(4)]

    def pull() -> None:
        world.kernel.git("commit", "-q", "--allow-empty", "-m", "pulled")
        world.kernel.git("gc", "-q", "--prune=now")
        world.kernel.git("repack", "-q", "-a", "-d", "-f")

    with serving(world) as service, again_and_again(pull):
        for mails in posted:
            world.post(mails)
        until(all_done(world, 4), world, service)
    check_once(world, 4)


def test_the_date_jumps_years(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    clock = tmp_path / "clock"
    down = world.other / "down"
    with serving(world) as service:
        for number, wrong in enumerate((0, YEARS, -YEARS)):
            set_to(clock, wrong)
            down.touch()  # what is put off now is due years from now, or was years ago
            until(source_is(world, SourceState.FAILING), world, service)
            world.post(world.series(number))
            until(all_done(world, number + 1), world, service)
            set_to(clock, 0)
            down.unlink()
            until(source_is(world, SourceState.GOOD), world, service)
    check_once(world, 3)


def test_the_disk_of_the_state_is_full_for_a_while(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    with small_disk(tmp_path / "state", "16m"), serving(world) as service:
        world.post(world.series(0))
        until(all_done(world, 1), world, service)
        filler = fill(tmp_path / "state")
        for number in (1, 2):
            world.post(world.series(number))
        until(lambda: "is full" in world.log(), world, service)
        with world.state() as state:
            assert "is full" in state.probe()
        filler.unlink()
        until(all_done(world, 3), world, service)
        with world.state() as state:
            assert state.probe() == ""
        check_once(world, 3)


def test_the_disk_of_the_cache_is_full_for_a_while(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    with small_disk(tmp_path / "cache", "16m"), serving(world) as service:
        until(lambda: "tree.read" in world.log(), world, service)
        filler = fill(tmp_path / "cache")
        world.post(world.series(0))
        until(lambda: "step.failed" in world.log(), world, service)
        (waiting,) = world.reviews()
        assert waiting.failure is FailureKind.DISK_FULL
        assert str(tmp_path / "cache") in waiting.reason
        filler.unlink()
        until(all_done(world, 1), world, service)
        check_once(world, 1)


@pytest.mark.postgres
def test_postgresql_is_away_for_a_while(tmp_path: Path, postgres_server: Postgres) -> None:
    world = World.make(tmp_path, postgres_server.database())
    with serving(world) as service:
        for number in range(2):
            world.post(world.series(number))
        until(lambda: "step.done" in world.log(), world, service)
        postgres_server.stop()
        try:
            world.post(world.series(2))
            until(lambda: "service.trouble" in world.log(), world, service)
            time.sleep(3)
        finally:
            postgres_server.start()
        until(all_done(world, 3), world, service)
    check_once(world, 3)
