# SPDX-License-Identifier: GPL-2.0-or-later
"""From messages to reviews: group what came, and queue what has stopped growing.

Works from the state alone, so a crash between two mails or two lines loses
nothing: what is not yet in a review is grouped at the next pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from reviewbot.service.decide import Earlier, Scope, decide_series
from reviewbot.service.log import Event, Observer
from reviewbot.service.model import Group, Post, Reason, ReviewState
from reviewbot.service.state import mail, reviews
from reviewbot.service.state.model import MessageRecord, ReviewRecord
from reviewbot.service.state.quiet import is_stopped
from reviewbot.service.state.store import State
from reviewbot.service.threads import fingerprint, groups, is_due

HORIZON = timedelta(days=90)
"""How far back the older versions of a series are looked for."""

_ACCEPTED = frozenset(
    {ReviewState.QUEUED, ReviewState.RUNNING, ReviewState.DONE, ReviewState.FAILED}
)

ScopeOf = Callable[[str], Scope]
"""Given a source's name, all that a decision about its mail may depend on."""


@dataclass(frozen=True, slots=True)
class Advance:
    """What became of the series that were waiting."""

    queued: tuple[int, ...] = ()
    ended: tuple[int, ...] = ()
    """Reviews that a newer version has ended before they began."""


@dataclass(frozen=True, slots=True)
class _Pass:
    """What one pass works on."""

    state: State
    scope_of: ScopeOf
    observer: Observer
    wait: float
    now: datetime
    posts: Mapping[str, Post]
    records: Mapping[str, MessageRecord]


def advance(state: State, scope_of: ScopeOf, observer: Observer, wait: float) -> Advance:
    """One pass over all messages that are not yet in a review that has begun.

    ``wait`` is how many seconds a series may take to arrive whole.  Raises
    :class:`~reviewbot.service.state.store.StateError`, and what ``scope_of`` raises.
    """
    waiting = mail.open_posts(state)
    now = state.clock.now()
    near = (*mail.neighbourhood(state, waiting, now - HORIZON), *waiting)
    posts = {post.message_id: post for post in near}
    this = _Pass(state, scope_of, observer, wait, now, posts, mail.records(state, posts))
    found = groups(posts.values())
    by_group = _reviews_of(this, found)
    _drop_bereft(this, by_group)
    outdated = _supersede(this, found, by_group)
    queued = _queue(this, found, by_group)
    # Only a version that will be reviewed ends those before it: a resend does not.
    return Advance(queued, (*outdated, *_supersede(this, found, by_group)))


def _reviews_of(this: _Pass, found: Sequence[Group]) -> dict[str, ReviewRecord]:
    """By group, the review it is; new and growing ones are brought up to date."""
    owners = _owners(this)
    by_group: dict[str, ReviewRecord] = {}
    growing = []
    for group in found:
        mine = [owners[number] for number in _review_numbers(this, group) if number in owners]
        if mine:
            # A message is reviewed once: what comes after that joins and changes nothing.
            by_group[group.key] = mine[0]
            reviews.adopt(this.state, mine[0].id, group.messages)
        else:
            growing.append(group)
    taken = {
        record.key: record
        for record in reviews.by_key(this.state, [g.key for g in growing])
        if record.state is not ReviewState.COLLECTING
    }
    named: dict[str, Group] = {}
    for group in growing:
        other = taken.get(group.key)
        if other is not None and other.head == group.head:
            by_group[group.key] = other  # another service has begun it since we looked
            reviews.adopt(this.state, other.id, group.messages)
        else:
            named[group.key] = group if other is None else _renamed(group)
    members = [message for group in named.values() for message in group.messages]
    reviews.regroup(this.state, [group.key for group in named.values()], members)
    for key, group in named.items():
        first = this.records[group.messages[0]]
        arrived = max(this.records[message].received for message in group.messages)
        author = this.posts[group.head].author.address
        older = {by_group[old].key for old in group.supersedes if old in by_group}
        known = replace(group, supersedes=tuple(sorted({*group.supersedes, *older})))
        by_group[key] = reviews.collect(this.state, known, arrived, first.list, author)
    return by_group


def _owners(this: _Pass) -> dict[int, ReviewRecord]:
    """Reviews that do not grow any more and have some of the messages."""
    numbers = {record.review for record in this.records.values() if record.review is not None}
    found = reviews.some(this.state, numbers)
    return {each.id: each for each in found if each.state is not ReviewState.COLLECTING}


def _review_numbers(this: _Pass, group: Group) -> Iterable[int]:
    numbers = (this.records[message].review for message in group.messages)
    return dict.fromkeys(number for number in numbers if number is not None)


def _renamed(group: Group) -> Group:
    """The same under another key, as another series had this one long ago."""
    digest = sha256(group.head.encode("utf-8", "replace")).hexdigest()[:8]
    return replace(group, key=f"{group.key}-{digest}")


def _drop_bereft(this: _Pass, by_group: Mapping[str, ReviewRecord]) -> None:
    """End what still collects and has no mails any more: they were taken back."""
    kept = {record.id for record in by_group.values()}
    for record in reviews.in_state(this.state, ReviewState.COLLECTING):
        if record.id not in kept:
            _decline(this, record, Reason.REMOVED)


def _supersede(
    this: _Pass, found: Sequence[Group], by_group: Mapping[str, ReviewRecord]
) -> tuple[int, ...]:
    """End what waits for a version of which a newer one is, or will be, reviewed."""
    ended: list[int] = []
    for group in found:
        older = [by_group[key].key for key in group.supersedes if key in by_group]
        newer = reviews.get(this.state, by_group[group.key].id) if older else None
        if newer is None or newer.state not in _ACCEPTED:
            continue
        for review in reviews.supersede(this.state, older, newer):
            this.observer.event(Event.ENDED, review=review, by=newer.id)
            ended.append(review)
    return tuple(ended)


def _queue(
    this: _Pass, found: Sequence[Group], by_group: Mapping[str, ReviewRecord]
) -> tuple[int, ...]:
    """Queue, or decline, what has stopped growing, in the order it came."""
    queued: list[int] = []
    by_arrival = sorted(found, key=lambda group: (by_group[group.key].arrived, group.key))
    for group in by_arrival:
        record = reviews.get(this.state, by_group[group.key].id)
        due = record.state is ReviewState.COLLECTING and is_due(
            group, record.arrived, this.wait, this.now
        )
        if due and _queue_one(this, group, record):
            queued.append(record.id)
    return tuple(queued)


def _queue_one(this: _Pass, group: Group, record: ReviewRecord) -> bool:
    members = [this.posts[message] for message in (*group.messages, *group.borrowed)]
    scope = this.scope_of(this.records[group.messages[0]].source)
    scope = replace(scope, earlier=_earlier(this, record))
    if stopped := is_stopped(this.state, record):
        _decline(this, record, stopped)
        return False
    decision = decide_series(members, scope)
    if not decision.ours:
        reason = f"{decision.reason}: {decision.detail}" if decision.detail else decision.reason
        _decline(this, record, reason)
        return False
    name = fingerprint(group, members)
    missing = ", ".join(map(str, group.missing))
    reason = f"patch {missing} did not come in time" if missing else "it is whole"
    if reviews.queue(this.state, record.id, name, reason, decision.list):
        head = {"review": record.id, "head": record.head}
        this.observer.event(Event.QUEUED, **head, workflow=f"{name}.1", reason=reason)
        return True
    return False


def _decline(this: _Pass, record: ReviewRecord, reason: str) -> None:
    reviews.skip(this.state, record.id, reason)
    this.observer.event(Event.ENDED, review=record.id, head=record.head, reason=reason)


def _earlier(this: _Pass, record: ReviewRecord) -> tuple[Earlier, ...]:
    """What was queued before of the same author."""
    known = reviews.of_author(this.state, record.author, this.now - HORIZON)
    return tuple(
        Earlier(
            each.version,
            each.head,
            frozenset(
                post.patch_id for post in mail.posts(this.state, each.parts) if post.patch_id
            ),
        )
        for each in known
        if each.id != record.id
    )
