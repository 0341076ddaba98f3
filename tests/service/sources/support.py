# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbered mails, and what a source made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reviewbot.service.model import Batch, FailureKind, Source
from reviewbot.service.sources.errors import SourceError


def mail(number: int, text: str = "Hello.", day: str = "02 Mar 2026") -> bytes:
    """A message that says its number in its subject, and is some seconds after the one before."""
    clock = f"12:{number // 60 % 60:02}:{number % 60:02} +0000"
    return (
        f"From: A U Thor <author@example.org>\nTo: kvm@lists.example.org\n"
        f"Subject: mail {number}\nMessage-ID: <{number}@example.org>\n"
        f"Date: {day} {clock}\n\n{text}\n"
    ).encode()


def mails(first: int, after: int, text: str = "Hello.") -> list[bytes]:
    return [mail(number, text) for number in range(first, after)]


def numbers(*batches: Batch) -> list[int]:
    """Which mails came, in their order."""
    found = [re.search(rb"^Subject: mail (\d+)$", a.raw, re.M) for b in batches for a in b.arrivals]
    return [int(match[1]) if match else -1 for match in found]


def drain(source: Source, cursor: str | None = None, limit: int = 100) -> list[Batch]:
    """Batches until there is no more, each within the limit."""
    batches = []
    for _ in range(1000):
        batch = source.fetch(cursor, limit)
        assert len(batch.arrivals) + len(batch.skipped) <= limit
        batches.append(batch)
        cursor = batch.cursor
        if not batch.more:
            return batches
    raise AssertionError("there is always more")


@contextmanager
def failing(kind: FailureKind, *words: str) -> Iterator[pytest.ExceptionInfo[SourceError]]:
    """The body fails with a SourceError of this kind, in one sentence that says the words."""
    with pytest.raises(SourceError) as caught:
        yield caught
    said = str(caught.value)
    assert caught.value.kind is kind, said
    assert "\n" not in said
    assert said.endswith(".")
    for each in words:
        assert each in said
