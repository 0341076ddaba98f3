# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import alembic.autogenerate
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext

from reviewbot.errors import ConfigError
from reviewbot.service.metrics import Metrics
from reviewbot.service.model import FailureKind
from reviewbot.service.state import machines, mail, queries
from reviewbot.service.state.store import State, StateError
from reviewbot.service.state.tables import metadata
from tests.service.support import HandClock, received


def test_the_migrations_make_the_tables(state: State) -> None:
    with state.write() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": False})
        assert alembic.autogenerate.compare_metadata(context, metadata) == []


def test_opening_again_finds_what_was_stored(database: str) -> None:
    with State.open(database) as first:
        mail.take_in(first, "kvm", "c1", [received("1@example.org")])
    with State.open(database) as second:
        assert mail.source(second, "kvm").cursor == "c1"


def test_many_that_open_a_new_state_at_once(database: str) -> None:
    gate = threading.Barrier(4)

    def use(number: int) -> None:
        gate.wait()
        with State.open(database) as state:
            mail.take_in(state, f"source{number}", "c1", [])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(use, range(4))) == [None] * 4
    with State.open(database) as state:
        assert len(mail.all_sources(state)) == 4


def test_a_state_of_a_newer_program_is_left_alone(database: str) -> None:
    with State.open(database) as state, state.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="was written by a newer reviewbot"):
        State.open(database)


def test_reading_waits_for_no_writer(state: State) -> None:
    with state.write() as writing:
        writing.execute(sa.text("UPDATE sources SET reason = ''"))
        assert mail.all_sources(state) == ()


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "nonsense", "postgresql+foo://x/y"])
def test_what_is_no_database(url: str) -> None:
    with pytest.raises(ConfigError, match="is no database"):
        State.open(url)


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be used") as caught:
        State.open(f"postgresql://bot:secret@/reviewbot?host={tmp_path}")
    assert caught.value.kind is FailureKind.UNREACHABLE
    assert "secret" not in str(caught.value)


def test_a_full_disk_is_called_so(tmp_path: Path) -> None:
    with State.open(f"sqlite:///{tmp_path}/state.sqlite") as state:
        with state.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        with pytest.raises(StateError, match="is full") as caught, state.write() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 1}")
            connection.exec_driver_sql("CREATE TABLE big AS SELECT zeroblob(1000000)")
    assert caught.value.kind is FailureKind.DISK_FULL


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        State.open(f"sqlite:///{tmp_path}/file/state.sqlite")


def test_machines_come_beat_and_go(state: State, clock: HandClock) -> None:
    machines.join(state, "m1", "host", 10, "5")
    machines.join(state, "m2", "host", 11, "6")
    assert machines.beat(state, "m2")
    (other,) = machines.others(state, "m1")
    assert (other.id, other.pid, other.birth, other.beat) == ("m2", 11, "6", 1)
    machines.leave(state, "m2")
    assert not machines.beat(state, "m2")
    assert machines.others(state, "m1") == ()


def test_a_full_disk_of_the_state_is_seen_without_it(tmp_path: Path, clock: HandClock) -> None:
    with State.open(f"sqlite:///{tmp_path}/state.sqlite", clock) as state:
        metrics = Metrics(lambda: queries.overview(state), clock, 1e6, lambda: state.trouble)
        assert metrics.health().good
        with state.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        ids = [f"{number}@example.org" for number in range(500)]
        for seconds in (0, 30):
            clock.forward(seconds)
            with pytest.raises(StateError, match="is full"):
                mail.take_in(state, "kvm", "c", [received(one) for one in ids])
        assert metrics.health().reason.startswith(
            "the state could not be written for 30 s: The disk"
        )
        assert not metrics.health().good
        assert b"reviewbot_state_unwritable_seconds 30.0" in metrics.render()
        with state.read() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1000000")
        assert state.probe() == ""
        assert metrics.health().good
        assert b"reviewbot_state_unwritable_seconds 0.0" in metrics.render()
