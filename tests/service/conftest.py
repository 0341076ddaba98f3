# SPDX-License-Identifier: GPL-2.0-or-later
"""Databases and clocks for the service's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reviewbot.service.state.store import State
from tests.service.support import HandClock
from tests.support import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """A PostgreSQL server, started once."""
    if not postgres.available():
        pytest.skip("needs Debian's postgresql")
    with postgres.Postgres() as server:
        yield server


_POSTGRES = pytest.param("postgresql", marks=pytest.mark.postgres)


@pytest.fixture(params=["sqlite", _POSTGRES])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, once in SQLite and once in PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/state.sqlite"
    server: postgres.Postgres = request.getfixturevalue("postgres_server")
    return server.database()


@pytest.fixture
def clock() -> HandClock:
    """A clock that a test sets."""
    return HandClock()


@pytest.fixture
def state(database: str, clock: HandClock) -> Iterator[State]:
    """An empty state."""
    with State.open(database, clock) as opened:
        yield opened
