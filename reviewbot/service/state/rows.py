# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows as records, and which columns make them."""

from __future__ import annotations

from typing import Any

from reviewbot.service.state.model import (
    Event,
    HazardRecord,
    Letter,
    Machine,
    MessageRecord,
    ReviewRecord,
    SourceRecord,
)
from reviewbot.service.state.tables import outbox, reviews

REVIEW = [column for column in reviews.c if column.name not in ("result", "page", "submitted")]


LETTER = [column for column in outbox.c if column.name not in ("mail", "began")]


def review_record(row: Any) -> ReviewRecord:
    """A row of :data:`REVIEW` as a record."""
    values = dict(row._mapping)
    lists = {name: tuple(values[name]) for name in ("parts", "supersedes")}
    return ReviewRecord(**{**values, **lists})


def source_record(row: Any) -> SourceRecord:
    """A row of ``sources`` as a record."""
    return SourceRecord(**row._mapping)


def message_record(row: Any) -> MessageRecord:
    """A row of ``messages`` as a record."""
    return MessageRecord(
        message_id=row.message_id,
        source=row.source,
        where=row.place,
        list=row.list,
        received=row.received,
        subject=row.subject,
        author=row.author,
        ours=row.ours,
        reason=row.reason,
        detail=row.detail,
        removed=row.removed,
        review=row.review,
    )


def hazard_record(row: Any) -> HazardRecord:
    """A row of ``hazards`` as a record."""
    classes = tuple(row.classes)
    return HazardRecord(row.hazard, row.kind, classes, row.state, row.patch, row.letter)


def letter(row: Any) -> Letter:
    """A row of :data:`LETTER` as a record."""
    values = dict(row._mapping)
    return Letter(**{**values, "recipients": tuple(values["recipients"])})


def event(row: Any) -> Event:
    """A row of ``events`` as a record."""
    return Event(row.at, row.kind, row.subject, row.before, row.after, row.reason)


def machine(row: Any) -> Machine:
    """A row of ``machines`` as a record."""
    return Machine(row.id, row.host, row.pid, row.birth, row.beat, row.seen)
