# SPDX-License-Identifier: GPL-2.0-or-later
"""One message among others of its kind, and the messages of one series version."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from reviewbot.service.model import Label, Post

_RUNS = (
    re.compile(r"(?P<run>\d{14}\.\d+)-(?P<serial>\d{1,6})-(?P<rest>.+)"),
    re.compile(r"(?:cover|[0-9a-f]{40})\.(?P<run>\d{9,11})\.git\.(?P<rest>.+)"),
    re.compile(r"(?P<run>\d{8}-\S*-v\d+)-(?P<serial>\d{1,6})-(?P<rest>[0-9a-f]+@.+)"),
)
"""Message-ids of git-send-email, of git-format-patch --thread, and of b4."""
_FIRST_OF_RUN = 1
_TAG = re.compile(r"\+[^@]*(?=@)")


@dataclass(frozen=True, slots=True)
class Member:
    """A message with a label."""

    post: Post
    label: Label
    run: str
    """What one run of the sender's tool put into all its ids; empty if not known."""
    serial: int
    """Its place in that run, 0 if not known."""

    @property
    def id(self) -> str:
        return self.post.message_id

    @property
    def adds(self) -> bool:
        """Whether it is a ``[PATCH 4/3]``, one more for a series that is whole without it."""
        return self.label.numbered and self.label.counter > self.label.total

    @property
    def alone(self) -> bool:
        """Whether it is a series of itself."""
        return self.adds or not self.label.numbered

    @property
    def counter(self) -> int:
        return 1 if self.alone else self.label.counter

    @property
    def total(self) -> int:
        return 1 if self.alone else max(1, self.label.total)

    @property
    def bucket(self) -> tuple[object, ...]:
        """What all messages of one version have in common."""
        own = self.id if self.alone else ""
        return author_key(self.post), self.label.version, self.label.resent, self.total, own

    def is_loose(self, known: Mapping[str, Post]) -> bool:
        """Whether nothing speaks of others: it answers none of its version, and is the
        first of its run."""
        answers = self.post.in_reply_to
        return self.serial <= _FIRST_OF_RUN and (not answers or answers in known)


def member_of(post: Post) -> Member | None:
    """None for a message without a label."""
    if post.label is None:
        return None
    return Member(post, post.label, *_run_of(post.message_id))


def _run_of(message_id: str) -> tuple[str, int]:
    """What a tool's run put into an id, and the id's place in it, as far as is known."""
    for form in _RUNS:
        if found := form.fullmatch(message_id):
            parts = found.groupdict()
            return f"{parts['run']} {parts['rest']}", int(parts.get("serial", 0))
    return "", 0


def author_key(post: Post) -> str:
    """The same for all of a person's mails: the address without ``+tag``, else the name."""
    address = _TAG.sub("", post.author.address.lower())
    return address or " ".join(post.author.name.lower().split())


class Version:
    """The messages of one version that have come so far."""

    def __init__(self, members: Sequence[Member], known: Mapping[str, Post]) -> None:
        """*members* by number, none twice."""
        first = members[0]
        self.members = tuple(members)
        self.ids = tuple(member.id for member in members)
        self.numbers = {member.counter: member for member in members}
        self.version = first.label.version
        self.rank = (first.label.version, first.label.resent)
        self.expected = first.total
        self.title = " ".join(first.label.title.split())
        self.change_id = next((m.post.change_id for m in members if m.post.change_id), "")
        names = {" ".join(m.post.author.name.lower().split()) for m in members}
        self.people = frozenset({author_key(first.post), *names} - {""})
        self.cover = self._promised_cover(known)
        self._anchor = self._common(known)

    @property
    def missing(self) -> tuple[int, ...]:
        """Numbers that have not come, 0 for a cover letter that is known to exist."""
        start = 0 if self.cover else 1
        return tuple(n for n in range(start, self.expected + 1) if n not in self.numbers)

    @property
    def key(self) -> str:
        """The same whichever of its messages have come.

        It is so only as far as they tell: by the run that they were sent in, else by the
        mail that all answer.  A version without both is known by its first message.
        """
        parts = (*map(str, self.members[0].bucket), self._anchor)
        return sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:24]

    def _common(self, known: Mapping[str, Post]) -> str:
        """The run that the messages were sent in, else the mail that the rest answers."""
        runs = sorted(member.run for member in self.members if member.run)
        if runs or 0 in self.numbers:
            return runs[0] if runs else self.ids[0]
        last = self.members[-1]
        parent = last.post.in_reply_to
        starts = last.counter == 1 and parent in known
        return last.id if starts or not parent else parent

    def _promised_cover(self, known: Mapping[str, Post]) -> str:
        """Id of a cover letter that must exist and has not come; empty if none.

        Patch 1 was the second mail of its run, or answers what came in the same run, or
        all patches answer one mail that nobody has.
        """
        first = self.numbers.get(1)
        if first is None or 0 in self.numbers or first.alone:
            return ""
        if first.run and first.serial == _FIRST_OF_RUN + 1:
            return f"first of {first.run}"
        parent = first.post.in_reply_to
        if not parent or parent in known:
            return ""
        same_run = bool(first.run) and _run_of(parent)[0] == first.run
        shared = len({member.post.in_reply_to for member in self.members}) == 1
        return parent if same_run or (shared and len(self.members) > 1) else ""
