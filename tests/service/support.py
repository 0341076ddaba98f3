# SPDX-License-Identifier: GPL-2.0-or-later
"""Posts, groups and clocks to test the service with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from reviewbot.locking.model import ChangeState, HazardKind, Verdict
from reviewbot.series.model import Identity
from reviewbot.service.log import Event
from reviewbot.service.model import Decision, Group, Label, Post, Reason
from reviewbot.service.state.model import HazardRecord, Outcome, Received, Reply

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OURS = Decision(True, Reason.OURS, list="kvm")
AUTHOR = Identity("Ann Author", "ann@example.org")


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.date = START
        self.elapsed = 0.0

    def now(self) -> datetime:
        return self.date

    def monotonic(self) -> float:
        return self.elapsed

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.date += timedelta(seconds=seconds)
        self.elapsed += seconds

    def jump(self, seconds: float) -> None:
        """Let somebody set the date."""
        self.date += timedelta(seconds=seconds)


@dataclass
class Heard:
    """Remembers events."""

    events: list[tuple[Event, dict[str, Any]]] = field(default_factory=list)

    def event(self, name: Event, **fields: Any) -> None:
        self.events.append((name, fields))

    def of(self, name: Event) -> list[dict[str, Any]]:
        return [fields for each, fields in self.events if each is name]


def post(message_id: str, **given: Any) -> Post:
    """A post with these parts and plain ones for the rest."""
    number = given.pop("number", 1)
    total = given.pop("total", 1)
    title = given.get("subject", "foo: do not wait under the lock")
    parts: dict[str, Any] = {
        "subject": f"[PATCH {number}/{total}] {title}",
        "label": Label(1, number, total, True, (), title, False),
        "author": AUTHOR,
        "date": 1795000000,
        "in_reply_to": "",
        "references": (),
        "lists": ("kvm.example.org",),
        "diff": number > 0,
        "paths": ("foo/bar.c",) if number else (),
        "created": (),
        "patch_id": f"{number:040x}" if number else "",
        "change_id": "",
        "base_commit": "",
        "prerequisites": (),
        "marks": (),
    }
    return Post(message_id=message_id, **{**parts, **given})


def received(message_id: str, decision: Decision = OURS, **given: Any) -> Received:
    """A message that is ours, unless the decision says otherwise."""
    return Received(
        message_id=message_id,
        where="1:abc",
        decision=decision,
        post=post(message_id, **given),
        raw=f"Message-ID: <{message_id}>\n\ntext\n".encode() if decision.ours else None,
    )


def group(key: str, *messages: str, **given: Any) -> Group:
    """A whole group of these messages, the first its head."""
    parts: dict[str, Any] = {
        "title": "foo: do not wait under the lock",
        "version": 1,
        "expected": len(messages),
        "missing": (),
    }
    return Group(key=key, head=messages[0], messages=messages, **{**parts, **given})


HAZARD = HazardRecord(
    "worker-pool-cycle-0123456789ab",
    HazardKind.WORKER_POOL_CYCLE,
    ("struct foo.lock", "struct foo.srcu"),
    ChangeState.REMOVED,
    2,
)


def outcome(message_id: str = "reply-1@example.org", mail: bytes = b"From: bot\n\n") -> Outcome:
    """A finished review with one hazard and a reply."""
    return Outcome(
        verdict=Verdict.REMOVED,
        reason="patch 2 removes it",
        base="0" * 40,
        result=b'{"schema": "reviewbot.review/1"}',
        hazards=(HAZARD,),
        replies=(Reply(message_id, "Re: [PATCH] foo", ("kvm@example.org",), mail),),
    )
