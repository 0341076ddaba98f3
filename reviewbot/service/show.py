# SPDX-License-Identifier: GPL-2.0-or-later
"""The state for people: what ``reviewbot status`` and the status page say.

Pure: records in, text or rows out.  Everything that a stranger wrote goes through
:func:`~reviewbot.report.clean.one_line` on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from reviewbot.report.clean import one_line
from reviewbot.service.model import ReviewState
from reviewbot.service.state.model import Overview, ReviewRecord, SourceRecord, Story
from reviewbot.service.talk.model import CommandRecord, Share

SCHEMA = "reviewbot.status/1"
_TITLE = 60


@dataclass(frozen=True, slots=True)
class Row:
    """One line about a review."""

    id: int
    list: str
    state: str
    verdict: str
    age: str
    """Since its last mail came."""
    title: str
    why: str


def row(review: ReviewRecord, now: datetime) -> Row:
    """A review on one line."""
    state = review.state.value
    if review.state is ReviewState.RUNNING and review.step is not None:
        state = f"{state}: {review.step.value}"
    return Row(
        id=review.id,
        list=review.list,
        state=state,
        verdict=review.verdict.value if review.verdict is not None else "",
        age=span(now - review.arrived),
        title=one_line(f"v{review.version} {review.title}", _TITLE),
        why=one_line(review.reason, 160),
    )


def span(length: timedelta) -> str:
    """A length of time in its largest unit: ``3 h``; "now" if it is over already."""
    seconds = int(length.total_seconds())
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= unit:
            return f"{seconds // unit} {name}"
    return "now"


Fact = tuple[str, str]
"""A label of one word, and what is to be said."""


def as_text(facts: Iterable[Fact]) -> str:
    """Facts for a terminal, one a line."""
    return "\n".join(f"{label:<10}{said}" for label, said in facts)


def overview_facts(seen: Overview, now: datetime) -> Iterator[Fact]:
    """The service in a few lines."""
    age = span(now - seen.oldest) if seen.oldest is not None else "now"
    waiting = f", the oldest for {age}" if age != "now" else ""
    yield "reviews", f"{_counts(seen.reviews) or 'none yet'}{waiting}"
    yield "verdicts", _counts(seen.verdicts) or "none yet"
    if seen.failures:
        yield "failures", _counts(seen.failures)
    yield "messages", _counts(seen.messages) or "none yet"
    yield "outbox", _counts(seen.outbox) or "empty"
    if seen.seconds:
        yield "steps", ", ".join(f"{step} {mean:.1f} s" for step, mean in seen.seconds.items())
    if seen.checks:
        trouble = f"; {one_line(seen.check_trouble)}" if seen.check_trouble else ""
        yield "checks", f"{_counts(seen.checks)}{trouble}"
    for share in seen.shares:
        yield "list", share_text(share)
    for source in seen.sources:
        yield "source", source_text(source, now)


def share_text(share: Share) -> str:
    """How often a list was told what is none, in one line."""
    muted = f"; muted: {one_line(share.muted)}" if share.muted else ""
    return (
        f"{share.list}: {share.false_positives} false positives in {share.posted} hazards posted"
        f" ({share.rate:.0%}){muted}"
    )


def source_text(source: SourceRecord, now: datetime) -> str:
    """How following one source goes, in one line."""
    good = f"last good poll {_ago(source.last_good, now)}"
    if source.failure is None:
        return f"{source.name}: {source.state.value}, {good}"
    again = ""
    if source.next_try is not None:
        again = f", next try {'in ' if source.next_try > now else ''}{span(source.next_try - now)}"
    return (
        f"{source.name}: {source.state.value} {source.failures} times ({source.failure.value}),"
        f" {good}{again}: {one_line(source.reason)}"
    )


def story_facts(story: Story, now: datetime) -> Iterator[Fact]:
    """Everything known about one message and its series but what happened to it when."""
    message, review = story.message, story.review
    yield "message", f"<{one_line(message.message_id)}>"
    yield "subject", one_line(message.subject)
    yield "from", one_line(message.author)
    yield "received", f"{_date(message.received)} from {message.source}, {one_line(message.where)}"
    detail = f": {one_line(message.detail)}" if message.detail else ""
    yield "decision", f"{message.reason.value}{detail}"
    if review is None:
        return
    shown = row(review, now)
    verdict = f", {shown.verdict}" if shown.verdict else ""
    yield "review", f"{shown.id}, {shown.state}{verdict}: {shown.why}"
    yield "series", f"{shown.title}, {len(story.messages)} mails for {review.expected} patches"
    if review.base:
        yield "base", review.base
    for hazard in story.hazards:
        patch = f" with patch {hazard.patch}" if hazard.patch is not None else ""
        yield "hazard", f"{hazard.hazard} {hazard.state.value}{patch}: {', '.join(hazard.classes)}"
    for letter in story.letters:
        yield "reply", f"<{letter.message_id}> {letter.state.value}"
    for command in story.commands:
        yield "command", f"<{one_line(command.message_id)}> {_command(command)}"


def _command(command: CommandRecord) -> str:
    """Who asked for what, and what became of it."""
    verbs = ", ".join(one.verb.value for one in command.commands) or "nothing that counts"
    became = f"{command.state.value}: {one_line(command.reason)}".removesuffix(": ")
    return f"{one_line(command.author)} asked for {verbs}; {became}"


def story_events(story: Story) -> Iterator[Fact]:
    """What happened to a series, each with its date."""
    for event in story.events:
        reason = f": {one_line(event.reason)}" if event.reason else ""
        change = f"{event.before} -> {event.after}" if event.before else event.after
        yield _date(event.at), f"{event.kind.value} {change}{reason}"


def story_text(story: Story, now: datetime) -> str:
    """Everything known about one message and its series."""
    events = (f"{date}  {said}" for date, said in story_events(story))
    return "\n".join([as_text(story_facts(story, now)), *events])


def plain(value: Any) -> Any:
    """A record as JSON takes it: enums as their values, dates as ISO 8601 in UTC."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return _date(value)
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return plain(asdict(value)) if hasattr(value, "__dataclass_fields__") else value


def _counts(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{number} {kind.value}" for kind, number in counts.items() if number)


def _ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "never"
    age = span(now - moment)
    return age if age == "now" else f"{age} ago"


def _date(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
