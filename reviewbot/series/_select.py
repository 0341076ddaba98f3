# SPDX-License-Identifier: GPL-2.0-or-later
"""Which messages of a mailbox make the series that was asked for.

Runs in the child process only.  Threads lie: versions share a thread, series
are posted in reply to series, and patches come without threading at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from hashlib import sha256

import b4
import liblore.series
import liblore.utils

from reviewbot.errors import UsageError
from reviewbot.series._protocol import AssembleLimits, Request
from reviewbot.series.errors import NoPatches, TooBig

SYNTHETIC = "synthetic.reviewbot.invalid"
"""Domain of the ids given to messages that have none (RFC 6761: never a real one)."""
_CHANGE_ID = re.compile(r"^change-id:\s+(\S+)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Choice:
    """One version of a series as b4 sees it."""

    series: b4.LoreSeries
    newer: tuple[int, ...]


def messages(raw: bytes, request: Request) -> list[EmailMessage]:
    """The mailbox's messages within the limits, one of each Message-ID.

    What is over a limit is left out, lest a stranger's bulky reply keep a series
    from being read.  Raises TooBig if nothing else is left or it was the one wanted.
    """
    limits = request.limits
    chunks = [chunk for chunk in liblore.utils.split_mbox_as_bytes(raw) if chunk.strip()]
    if len(raw) > limits.max_bytes or len(chunks) > limits.max_messages:
        raise TooBig(
            f"The mail from {request.source} is over the limit of {limits.max_messages} messages "
            f"or {limits.max_bytes // 1024} KiB: give only the series' own thread."
        )
    kept: dict[str, EmailMessage] = {}
    dropped: set[str] = set()
    for chunk in chunks:
        head = chunk.partition(b"\n\n")[0]
        if len(chunk) > limits.max_message or len(head) > limits.max_header:
            dropped |= {match.decode("ascii", "replace") for match in _ids(head)}
            continue
        message = liblore.utils.parse_message(chunk)
        msgid = liblore.utils.get_clean_msgid(message)
        if msgid is None:
            msgid = f"{sha256(chunk).hexdigest()[:32]}@{SYNTHETIC}"
            del message["Message-ID"]
            message["Message-ID"] = f"<{msgid}>"
        if not _counters_fit(message, limits):
            dropped.add(msgid)
        elif msgid in kept:
            # The same mail through two lists: the copy of the one less likely to mangle it.
            kept[msgid] = liblore.utils.get_preferred_duplicate(kept[msgid], message)
        else:
            kept[msgid] = message
    if dropped and (not kept or request.wanted in dropped):
        raise TooBig(
            f"The mail from {request.source} is over a limit: {limits.max_patches} patches, "
            f"{limits.max_message // 1024} KiB a message or {limits.max_header // 1024} KiB of "
            "headers; it is not read."
        )
    return list(kept.values())


def _ids(head: bytes) -> list[bytes]:
    return re.findall(rb"^message-id:\s*<([^>\s]{1,900})>", head, re.MULTILINE | re.IGNORECASE)


def _counters_fit(message: EmailMessage, limits: AssembleLimits) -> bool:
    """Whether ``n/m`` and ``vN`` are believable: b4 makes a list of that length."""
    subject = b4.LoreSubject(message.get("Subject", ""))
    return max(subject.counter, subject.expected) <= limits.max_patches and subject.revision < 1000


def choose(found: Sequence[EmailMessage], request: Request) -> Choice:
    """The version of the series that was asked for, else the newest.

    Raises NoPatches if there is none, UsageError for a mailbox of several series.
    """
    wanted = request.wanted
    if wanted is None:
        thread = _one_series(found, request)
    else:
        if all(liblore.utils.get_clean_msgid(message) != wanted for message in found):
            raise NoPatches(
                f"The message {wanted} is not in the mail from {request.source}: check the "
                "Message-ID."
            )
        thread = list(found)
        if not request.together:
            thread = b4.get_strict_thread(thread, _root(found, wanted)) or []
    mailbox = b4.LoreMailbox()
    for message in thread:
        mailbox.add_message(message)
    revision = mailbox.get_latest_revision() if wanted is None else _revision_of(mailbox, wanted)
    series = None
    if revision is not None:
        series = mailbox.get_series(revision, codereview_trailers=False)
    if series is None or not any(series.patches[1:]):
        raise _nothing(wanted, request)
    newer = tuple(sorted(other for other in mailbox.series if other > series.revision))
    return Choice(series, newer)


def _root(found: Sequence[EmailMessage], wanted: str) -> str:
    """The cover letter of a patch that answers one, else the message itself.

    b4 takes a ``1/1`` in reply to its cover letter for a stray patch, and drops the cover.
    """
    by_id = {liblore.utils.get_clean_msgid(message): message for message in found}
    parent = liblore.utils.get_clean_msgid(by_id[wanted], "In-Reply-To")
    if parent is None or parent not in by_id:
        return wanted
    above = b4.LoreSubject(by_id[parent].get("Subject", ""))
    below = b4.LoreSubject(by_id[wanted].get("Subject", ""))
    is_cover = above.counter == 0 and not above.counters_inferred and not above.reply
    same = (above.revision, above.expected) == (below.revision, below.expected)
    return parent if is_cover and same and not below.reply else wanted


def _nothing(wanted: str | None, request: Request) -> NoPatches:
    if wanted is None:
        return NoPatches(f"There is no patch in the mail from {request.source}.")
    return NoPatches(
        f"The message {wanted} is neither a patch nor part of a series' thread: give the "
        "Message-ID of a patch or cover letter."
    )


def _revision_of(mailbox: b4.LoreMailbox, wanted: str) -> int | None:
    """The version a message belongs to, answers, or is answered with.

    b4 itself always takes the newest version of the thread.
    """
    placed = {
        patch.msgid: revision
        for revision, series in mailbox.series.items()
        for patch in series.patches
        if patch is not None
    }
    placed |= {cover.msgid: revision for revision, cover in mailbox.covers.items()}
    queue, seen = [wanted], set[str]()
    while queue:
        msgid = queue.pop(0)
        if msgid in placed:
            return placed[msgid]
        message = mailbox.msgid_map.get(msgid)
        if msgid in seen or message is None:
            continue
        seen.add(msgid)
        queue += [ref for ref in (message.in_reply_to, *reversed(message.references)) if ref]
    answers = [
        revision
        for msgid, revision in placed.items()
        if wanted in mailbox.msgid_map[msgid].references
    ]
    return max(answers, default=None)


def _one_series(found: Sequence[EmailMessage], request: Request) -> list[EmailMessage]:
    """All messages, provided that they are about one series."""
    groups: list[_Group] = []
    rest: list[EmailMessage] = []
    for thread in liblore.series.group_by_thread(found):
        group = _Group.of(thread)
        if group is None:
            rest += thread
            continue
        for other in [known for known in groups if known.same_series(group)]:
            groups.remove(other)
            group = other.joined(group)
        groups.append(group)
    if not groups:
        raise _nothing(None, request)
    if len(groups) > 1:
        titles = "; ".join(group.title[:60] for group in groups[:5])
        raise UsageError(
            f"{request.source} holds {len(groups)} unrelated series ({titles}): give a mailbox "
            "with one of them."
        )
    chosen = {id(message) for message in (*groups[0].messages, *rest)}
    return [message for message in found if id(message) in chosen]


@dataclass(frozen=True, slots=True)
class _Group:
    """Threads that belong to one series."""

    messages: tuple[EmailMessage, ...]
    title: str
    titles: frozenset[str]
    """Titles of cover letters, else of first patches."""
    change_ids: frozenset[str]
    numbers: frozenset[tuple[str, int, int, int]]
    """(author, version, expected, counter) of every numbered patch."""

    @classmethod
    def of(cls, thread: Iterable[EmailMessage]) -> _Group | None:
        """None for a thread without patches."""
        heads: dict[str, None] = {}
        change_ids: set[str] = set()
        numbers: set[tuple[str, int, int, int]] = set()
        patches = 0
        thread = tuple(thread)
        for message in thread:
            posted = b4.LoreMessage(message)
            if posted.reply:
                continue
            patches += posted.has_diff
            if posted.counter < 2 and (posted.has_diff or posted.has_diffstat):
                heads[posted.subject] = None
                change_ids |= set(_CHANGE_ID.findall(posted.body)[:1])
            if not posted.counters_inferred:
                numbers.add((posted.fromemail, posted.revision, posted.expected, posted.counter))
        if not patches:
            return None
        title = next(iter(heads), b4.LoreMessage(thread[0]).subject)
        return cls(thread, title, frozenset(heads), frozenset(change_ids), frozenset(numbers))

    def same_series(self, other: _Group) -> bool:
        """Versions of one series, or its patches posted without threading."""
        if self.titles & other.titles or self.change_ids & other.change_ids:
            return True
        mine = {number[:3] for number in self.numbers}
        theirs = {number[:3] for number in other.numbers}
        return bool(mine & theirs) and not self.numbers & other.numbers

    def joined(self, other: _Group) -> _Group:
        return _Group(
            (*self.messages, *other.messages),
            self.title,
            self.titles | other.titles,
            self.change_ids | other.change_ids,
            self.numbers | other.numbers,
        )
