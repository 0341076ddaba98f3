# SPDX-License-Identifier: GPL-2.0-or-later
"""Which messages make one version of a series, and which versions make one series.

Threads lie: versions share one, series are posted in reply to series, patches come
without threading, late, or never.  So several witnesses are asked what belongs
together, among the messages of one author with one version and one ``/m`` of ``n/m``:

- one run of ``git send-email`` or ``b4 send`` gives ids that differ by a counter;
- patches answer their cover letter, their first patch, or the one before;
- what has no tie at all belongs together where its numbers do.

The result depends on the set of messages and never on their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from reviewbot.service.lineage import lineage
from reviewbot.service.model import Group, Post
from reviewbot.service.versions import Member, Version, member_of


def groups(posts: Iterable[Post]) -> tuple[Group, ...]:
    """The series versions that *posts* are the messages of.

    *posts* are those that are ours; give with new ones all that may belong to them: of
    the same author, or of the same thread.  A message that comes twice counts once, and
    one without a label not at all.
    """
    known = {post.message_id: post for post in sorted(posts, key=lambda post: post.message_id)}
    buckets: dict[tuple[object, ...], list[Member]] = {}
    for member in filter(None, map(member_of, known.values())):
        buckets.setdefault(member.bucket, []).append(member)
    versions = [
        Version(sorted(members, key=lambda member: member.counter), known)
        for bucket in buckets.values()
        for members in _gathered(bucket, known)
    ]
    return tuple(sorted(lineage(versions, known), key=lambda group: group.key))


def due_at(group: Group, last_arrival: datetime, wait: float) -> datetime:
    """When a version is to be reviewed, unless more of it comes.

    At once if it is whole, else *wait* seconds after its last mail.  One that borrows
    from an older version may yet turn out to be posted as a whole.
    """
    complete = group.whole and not group.borrowed
    return last_arrival if complete else last_arrival + timedelta(seconds=wait)


def is_due(group: Group, last_arrival: datetime, wait: float, now: datetime) -> bool:
    """Whether there is no more waiting for the rest of a version.

    A clock that was put back makes it wait for twice as long at most.
    """
    ahead = last_arrival - now > timedelta(seconds=wait)
    return ahead or now >= due_at(group, last_arrival, wait)


def fingerprint(group: Group, posts: Iterable[Post]) -> str:
    """What is reviewed, in 40 hexadecimal digits: its message-ids and patch-ids.

    The same for every list that the series was posted to, and every order of arrival.
    """
    ids = {post.message_id: post.patch_id for post in posts}
    wanted = (*group.messages, *group.borrowed)
    text = "\0".join(f"{message} {ids.get(message, '')}" for message in wanted)
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:40]


def _gathered(bucket: Sequence[Member], known: Mapping[str, Post]) -> Iterator[list[Member]]:
    """The members of a bucket, by series."""
    tied: list[list[Member]] = []
    loose: list[Member] = []
    for members in _tied(bucket):
        if len(members) == 1 and members[0].is_loose(known):
            loose += members
        else:
            tied += _without_doubles(members)
    layers = _layers(loose)
    if len(tied) == len(layers) == 1 and _completes(layers[0], tied[0]):
        tied, layers = [tied[0] + layers[0]], []
    yield from (*tied, *layers)


def _tied(bucket: Sequence[Member]) -> list[list[Member]]:
    """The members that some tie holds together."""
    leader = {member.id: member.id for member in bucket}

    def lead(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for first, *others in _ties(bucket):
        for other in others:
            leader[lead(other.id)] = lead(first.id)
    found: dict[str, list[Member]] = {}
    for member in bucket:
        found.setdefault(lead(member.id), []).append(member)
    return list(found.values())


def _ties(bucket: Sequence[Member]) -> Iterator[list[Member]]:
    """Members of one run; a patch and what it answers; patches that answer one other mail."""
    own = {member.id: member for member in bucket}
    runs: dict[str, list[Member]] = {}
    siblings: dict[str, list[Member]] = {}
    for member in bucket:
        if member.run:
            runs.setdefault(member.run, []).append(member)
        above = [own[ref] for ref in member.post.references if ref in own]
        yield from ([p, member] for p in above[-1:] if p.counter < member.counter)
        if member.counter and member.post.in_reply_to and not above:
            siblings.setdefault(member.post.in_reply_to, []).append(member)
    yield from runs.values()
    for members in siblings.values():
        if len({member.counter for member in members}) == len(members):  # else two series
            yield members


def _without_doubles(members: list[Member]) -> list[list[Member]]:
    """Members none of which has another's number: by run, then by the order of sending."""
    if len({member.counter for member in members}) == len(members):
        return [members]
    runs: dict[str, list[Member]] = {}
    for member in members:
        runs.setdefault(member.run, []).append(member)
    return [layer for run in runs.values() for layer in _layers(run)]


def _layers(members: Iterable[Member]) -> list[list[Member]]:
    """Members in the order they were sent, a new layer wherever a number comes again."""
    layers: list[list[Member]] = []
    numbers: set[int] = set()
    for member in sorted(members, key=lambda member: (member.run, member.serial, member.id)):
        if not layers or member.counter in numbers:
            layers.append([])
            numbers = set()
        layers[-1].append(member)
        numbers.add(member.counter)
    return layers


def _completes(layer: Sequence[Member], tied: Sequence[Member]) -> bool:
    """Whether loose patches, posted late and on their own, are what a series lacks.

    A cover letter or first patch without ties begins a series of its own.
    """
    counts = Counter(member.counter for member in (*layer, *tied))
    return min(member.counter for member in layer) > 1 and max(counts.values()) == 1
