# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of the state.  Migrations (``migrations/``) make them; this page reads them.

Enums are stored by their names, which stay when a value is worded better; dates
in UTC; what is large and only ever read whole is compressed.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from reviewbot.locking.model import ChangeState, HazardKind, Verdict
from reviewbot.report.check import CheckState
from reviewbot.service.model import (
    AddressState,
    CheckFate,
    FailureKind,
    Fate,
    OutboxState,
    Reason,
    ReviewState,
    Step,
)
from reviewbot.service.state.model import Subject
from reviewbot.service.talk.model import CommandState, ListState, StopKind


class Moment(sa.types.TypeDecorator[datetime]):
    """An aware date, in UTC; SQLite keeps dates without their zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        found: datetime = value
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


class Packed(sa.types.TypeDecorator[bytes]):
    """Bytes, deflated."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return zlib.compress(value) if value is not None else None

    def process_result_value(self, value: Any | None, dialect: Dialect) -> bytes | None:
        return zlib.decompress(value) if value is not None else None


class Words(sa.types.TypeDecorator[str]):
    """A stranger's text: PostgreSQL takes no NUL, and neither takes half a surrogate pair."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _one_of(kind: type[StrEnum]) -> sa.Enum:
    # No CHECK constraint: a new member must not need a migration.
    return sa.Enum(kind, native_enum=False, length=32, validate_strings=True)


def _review(**options: Any) -> sa.Column[Any]:
    key = sa.ForeignKey("reviews.id", ondelete="CASCADE")
    return sa.Column("review", sa.Integer, key, nullable=False, **options)


metadata = sa.MetaData()

sources = sa.Table(
    "sources",
    metadata,
    sa.Column("name", Words, primary_key=True),
    sa.Column("cursor", Words),
    sa.Column("last_good", Moment),
    sa.Column("failure", _one_of(FailureKind)),
    sa.Column("reason", Words, nullable=False, server_default=""),
    sa.Column("failed", Moment),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_try", Moment),
)

reviews = sa.Table(
    "reviews",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", Words, nullable=False, unique=True),
    sa.Column("fingerprint", sa.String(64), index=True),
    sa.Column("list", Words, nullable=False),
    sa.Column("title", Words, nullable=False),
    sa.Column("author", Words, nullable=False, index=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("expected", sa.Integer, nullable=False),
    sa.Column("head", Words, nullable=False),
    sa.Column("change_id", Words, nullable=False, server_default=""),
    sa.Column("parts", sa.JSON, nullable=False),
    sa.Column("supersedes", sa.JSON, nullable=False),
    sa.Column("superseded_by", sa.Integer, sa.ForeignKey("reviews.id", ondelete="SET NULL")),
    sa.Column("state", _one_of(ReviewState), nullable=False, index=True),
    sa.Column("step", _one_of(Step)),
    sa.Column("verdict", _one_of(Verdict)),
    sa.Column("reason", Words, nullable=False, server_default=""),
    sa.Column("failure", _one_of(FailureKind)),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("round", sa.Integer, nullable=False, server_default="0"),
    sa.Column("submitted", sa.Integer, nullable=False, server_default="0"),
    sa.Column("machine", Words),
    sa.Column("arrived", Moment, nullable=False),
    sa.Column("queued", Moment),
    sa.Column("next_try", Moment),
    sa.Column("started", Moment),
    sa.Column("ended", Moment, index=True),
    sa.Column("base", Words, nullable=False, server_default=""),
    sa.Column("seconds", sa.JSON, nullable=False),
    sa.Column("result", Packed),
    sa.Column("page", Packed),
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("message_id", Words, nullable=False, unique=True),
    sa.Column("source", Words, nullable=False),
    sa.Column("place", Words, nullable=False),
    sa.Column("list", Words, nullable=False),
    sa.Column("received", Moment, nullable=False, index=True),
    sa.Column("subject", Words, nullable=False),
    sa.Column("author", Words, nullable=False, index=True),
    sa.Column("root", Words, nullable=False, index=True),
    sa.Column("change_id", Words, nullable=False, server_default="", index=True),
    sa.Column("patch_id", Words, nullable=False, server_default="", index=True),
    sa.Column("ours", sa.Boolean, nullable=False),
    sa.Column("reason", _one_of(Reason), nullable=False),
    sa.Column("detail", Words, nullable=False, server_default=""),
    sa.Column("removed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("review", sa.Integer, sa.ForeignKey("reviews.id", ondelete="SET NULL"), index=True),
    sa.Column("post", Packed),
    sa.Column("raw", Packed),
)

products = sa.Table(
    "products",
    metadata,
    _review(primary_key=True),
    sa.Column("step", _one_of(Step), primary_key=True),
    sa.Column("data", Packed, nullable=False),
)

hazards = sa.Table(
    "hazards",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _review(index=True),
    sa.Column("hazard", sa.String(64), nullable=False, index=True),
    sa.Column("kind", _one_of(HazardKind), nullable=False),
    sa.Column("classes", sa.JSON, nullable=False),
    sa.Column("state", _one_of(ChangeState), nullable=False),
    sa.Column("patch", sa.Integer),
    sa.Column("letter", Words, nullable=False, server_default=""),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("message_id", Words, nullable=False, unique=True),
    # A letter that went out outlives its series, so that it never goes out again.
    sa.Column("review", sa.Integer, sa.ForeignKey("reviews.id", ondelete="SET NULL"), index=True),
    sa.Column("list", Words, nullable=False),
    sa.Column("subject", Words, nullable=False),
    sa.Column("recipients", sa.JSON, nullable=False),
    sa.Column("mail", Packed, nullable=False),
    sa.Column("state", _one_of(OutboxState), nullable=False, index=True),
    sa.Column("reason", Words, nullable=False, server_default=""),
    sa.Column("created", Moment, nullable=False),
    sa.Column("changed", Moment),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_try", Moment),
    sa.Column("asked", sa.Integer, nullable=False, server_default="0"),
    sa.Column("sender", Words, nullable=False, server_default=""),
    sa.Column("began", Moment),
    sa.Index("ix_outbox_list_began", "list", "began"),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column(
        "letter", sa.Integer, sa.ForeignKey("outbox.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("address", Words, primary_key=True),
    sa.Column("fate", _one_of(Fate), nullable=False),
    sa.Column("said", Words, nullable=False, server_default=""),
    sa.Column("at", Moment, nullable=False),
    sa.Index("ix_deliveries_address_at", "address", "at"),
)

addresses = sa.Table(
    "addresses",
    metadata,
    sa.Column("address", Words, primary_key=True),
    sa.Column("state", _one_of(AddressState), nullable=False),
    sa.Column("reason", Words, nullable=False),
    sa.Column("at", Moment, nullable=False),
)

switches = sa.Table(
    "switches",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("thrown", sa.Boolean, nullable=False),
    sa.Column("reason", Words, nullable=False, server_default=""),
    sa.Column("at", Moment),
)

checks = sa.Table(
    "checks",
    metadata,
    _review(primary_key=True),
    sa.Column("message_id", Words, primary_key=True),
    sa.Column("patch", sa.Integer, nullable=False),
    sa.Column("state", _one_of(CheckState), nullable=False),
    sa.Column("description", Words, nullable=False),
    sa.Column("fate", _one_of(CheckFate), nullable=False, index=True),
    sa.Column("reason", Words, nullable=False, server_default=""),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_try", Moment),
)

commands = sa.Table(
    "commands",
    metadata,
    sa.Column("message_id", Words, primary_key=True),
    _review(index=True),
    sa.Column("letter", Words, nullable=False, server_default=""),
    sa.Column("author", Words, nullable=False, index=True),
    sa.Column("commands", sa.JSON, nullable=False),
    sa.Column("state", _one_of(CommandState), nullable=False, index=True),
    sa.Column("reason", Words, nullable=False, server_default=""),
    sa.Column("received", Moment, nullable=False),
    sa.Column("decided", Moment),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_try", Moment),
    sa.Column("raw", Packed),
    sa.Column("digest", sa.String(64), nullable=False),
)

false_positives = sa.Table(
    "false_positives",
    metadata,
    sa.Column("list", Words, primary_key=True),
    sa.Column("hazard", sa.String(64), primary_key=True),
    sa.Column("kind", _one_of(HazardKind), nullable=False),
    sa.Column("classes", sa.JSON, nullable=False),
    sa.Column("reason", Words, nullable=False),
    sa.Column("person", Words, nullable=False),
    sa.Column("role", Words, nullable=False),
    sa.Column("message_id", Words, nullable=False),
    sa.Column("at", Moment, nullable=False),
)

stops = sa.Table(
    "stops",
    metadata,
    sa.Column("kind", _one_of(StopKind), primary_key=True),
    sa.Column("value", Words, primary_key=True),
    sa.Column("person", Words, nullable=False),
    sa.Column("message_id", Words, nullable=False),
    sa.Column("at", Moment, nullable=False),
)

lists = sa.Table(
    "lists",
    metadata,
    sa.Column("name", Words, primary_key=True),
    sa.Column("state", _one_of(ListState), nullable=False),
    sa.Column("reason", Words, nullable=False),
    sa.Column("changed", Moment, nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("kind", _one_of(Subject), nullable=False),
    sa.Column("subject", Words, nullable=False),
    sa.Column("before", sa.String(32), nullable=False),
    sa.Column("after", sa.String(32), nullable=False),
    sa.Column("reason", Words, nullable=False),
    sa.Index("ix_events_subject", "kind", "subject"),
)

machines = sa.Table(
    "machines",
    metadata,
    sa.Column("id", Words, primary_key=True),
    sa.Column("host", Words, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("birth", Words, nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
    sa.Column("started", Moment, nullable=False),
    sa.Column("seen", Moment, nullable=False),
)
