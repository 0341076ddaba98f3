# SPDX-License-Identifier: GPL-2.0-or-later
"""The state's database: opened, migrated, and used in transactions.

SQLite runs in WAL mode with foreign keys, and a writing transaction takes the
write lock at once, so that what it read still holds when it writes.  With
PostgreSQL several machines may share one state; the functions of this room
decide races by compare-and-set, never by what they read before.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import alembic.command
import alembic.config
import alembic.util
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from reviewbot.errors import ConfigError, ServiceError
from reviewbot.service.clock import Clock, SystemClock
from reviewbot.service.model import FailureKind
from reviewbot.service.state.model import Subject
from reviewbot.service.state.tables import events, switches

Connection = sa.Connection

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 60
_POOL = 20
"""Connections kept; each thread of the service needs one at a time."""
_MIGRATION_LOCK = 0x7265766965770001
"""PostgreSQL's advisory lock for migrations: any number that others do not use."""
_FULL = ("database or disk is full", "No space left", "could not extend file")
_READING = "reviewbot_reading"


class StateError(ServiceError):
    """The state's database cannot be used at the moment."""

    def __init__(self, message: str, kind: FailureKind) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Trouble:
    """Since when the state could not be written, and why."""

    since: float
    """On the clock's monotonic scale."""
    reason: str


class State:
    """An open state.  Close it, or use it with ``with``; safe to share between threads."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        """Use :meth:`open`."""
        self._engine = engine
        self.clock = clock
        self.shown = engine.url.render_as_string(hide_password=True)
        self.trouble: Trouble | None = None
        """In memory alone, as it is about the state's own disk; None after a good write."""

    @classmethod
    def open(cls, url: str, clock: Clock | None = None) -> Self:
        """Open the database at ``sqlite:///PATH`` or ``postgresql://…`` and bring it up to date.

        Raises :class:`ConfigError` for an address that is none or a database of a
        newer program, :class:`StateError` if it cannot be reached or written.
        """
        state = cls(_engine(url), clock or SystemClock())
        try:
            state._migrate()
        except BaseException:
            state.close()
            raise
        return state

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is all or nothing.  Raises :class:`StateError`."""
        try:
            with self._transaction(self._engine) as connection:
                yield connection
        except StateError as error:
            since = self.trouble.since if self.trouble else self.clock.monotonic()
            self.trouble = Trouble(since, str(error))
            raise
        self.trouble = None

    def probe(self) -> str:
        """Why the state cannot be written now; empty if it can."""
        try:
            with self.write() as connection:
                connection.execute(switches.update().values(name=switches.c.name))
        except StateError as error:
            return str(error)
        return ""

    def read(self) -> AbstractContextManager[Connection]:
        """A transaction that only reads and keeps nobody from writing."""
        return self._transaction(self._engine.execution_options(**{_READING: True}))

    @contextmanager
    def _transaction(self, engine: sa.Engine) -> Iterator[Connection]:
        try:
            with engine.begin() as connection:
                yield connection
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            raise self._failed(error) from error

    def _failed(self, error: sa.exc.SQLAlchemyError) -> StateError:
        said = str(getattr(error, "orig", error)).strip().partition("\n")[0]
        if any(words in said for words in _FULL):
            return StateError(
                f"The disk of the state {self.shown} is full ({said}): make room.",
                FailureKind.DISK_FULL,
            )
        return StateError(
            f"The state {self.shown} cannot be used ({said}): see that the database is up.",
            FailureKind.UNREACHABLE,
        )

    def _migrate(self) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        try:
            with self.write() as connection:
                if connection.dialect.name == "postgresql":
                    lock = sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)
                    connection.execute(sa.select(lock))
                config.attributes["connection"] = connection
                alembic.command.upgrade(config, "head")
        except alembic.util.CommandError as error:
            raise ConfigError(
                f"The state {self.shown} was written by a newer reviewbot ({error}): upgrade"
                " this one, or name another database."
            ) from error


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise ConfigError(
            f"{url!r} is no database: give sqlite:///PATH or postgresql://…"
        ) from None
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        return sa.create_engine(
            parsed, pool_pre_ping=True, connect_args={"connect_timeout": 10}, pool_size=_POOL
        )
    if parsed.drivername != "sqlite" or not parsed.database:
        raise ConfigError(f"{url!r} is no database: give sqlite:///PATH or postgresql://…")
    try:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{parsed.database} cannot be made: {error.strerror}") from error
    engine = sa.create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS}, pool_size=_POOL)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says
    connection.execute("PRAGMA foreign_keys=ON")
    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            # SQLite does not wait for others that open a new file at the same moment.
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get(_READING)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def add(connection: Connection, table: sa.Table, **values: Any) -> bool:
    """Insert a row unless one of its unique keys is taken; whether it was inserted."""
    insert: Callable[[sa.Table], Any] = (
        postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    )
    # Not rowcount: psycopg's is -1 for what SQLAlchemy inserts.
    inserted = insert(table).values(**values).on_conflict_do_nothing().returning(sa.literal(1))
    return connection.execute(inserted).first() is not None


def note(
    state: State,
    connection: Connection,
    subject: tuple[Subject, object],
    before: StrEnum | None,
    after: StrEnum,
    reason: str,
) -> None:
    """Write a change of state down, in the transaction that makes it."""
    connection.execute(
        events.insert().values(
            at=state.clock.now(),
            kind=subject[0],
            subject=str(subject[1]),
            before=before.value if before is not None else "",
            after=after.value,
            reason=reason,
        )
    )
