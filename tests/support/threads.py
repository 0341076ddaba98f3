# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads as they come to a list, of every shape, and what is to become of them.

The same seed gives the same bytes.  Patches apply to the sample tree (but for those
that must not), so the whole way of a series can be tried on them::

    for thread in threads(200, seed=1, files=sample_files(...)):
        inject(thread.mails)
"""

from __future__ import annotations

import base64
import quopri
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from itertools import cycle, islice
from random import Random

from reviewbot.locking.model import Verdict
from reviewbot.service.model import Reason
from tests.support.patches import VERDICTS, Change, Files, changes

LIST = "kvm@lists.example.org"
OTHER_LIST = "linux-kernel@lists.example.org"
OWN = "reviewbot@example.org"
BOT = "build-bot@example.org"
_START = datetime(2026, 9, 1, 8, 0, tzinfo=UTC)


class Fate(StrEnum):
    """What becomes of a series version."""

    REVIEWED = "reviewed"
    OLDER = "reviewed, unless the newer version was there first"
    NEVER = "never reviewed"


@dataclass(frozen=True)
class Version:
    """One version of a series, and what is to become of it."""

    head: str
    number: int
    messages: tuple[str, ...]
    """Ids: cover letter first, then patches by number."""
    fate: Fate
    verdict: Verdict | None = None
    """What the review says of it; None if nothing is said here."""
    whole: bool = True
    """Whether it is reviewed without waiting."""
    reason: Reason | None = None
    """Why it is never reviewed."""
    older: tuple[str, ...] = ()
    """Heads of the older versions."""


@dataclass(frozen=True)
class Thread:
    """Mails in their order of arrival, and what is to become of them."""

    shape: str
    mails: tuple[bytes, ...]
    versions: tuple[Version, ...]
    ignored: tuple[tuple[str, Reason], ...] = ()
    """Ids of mails that are no part of a series, and why."""


def threads(count: int, seed: int, files: Files) -> tuple[Thread, ...]:
    """*count* threads; every shape comes round before one comes again."""
    shapes = islice(cycle(SHAPES.items()), count)
    return tuple(
        make(_Author(number, seed, files, shape)) for number, (shape, make) in enumerate(shapes)
    )


def arrivals(given: Sequence[Thread], seed: int) -> Iterator[bytes]:
    """The mails of all threads mixed, each thread's in its own order."""
    random = Random(seed)  # noqa: S311 - the same every time is what is wanted
    waiting = [list(reversed(thread.mails)) for thread in given]
    while waiting:
        at = random.randrange(len(waiting))
        yield waiting[at].pop()
        if not waiting[at]:
            waiting.pop(at)


@dataclass
class _Mail:
    """One mail before it is written."""

    id: str
    subject: str
    body: str
    sender: str
    parent: str = ""
    references: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    encoding: str = "8bit"
    to: str = f"{LIST}, {OTHER_LIST}"
    list_id: str = LIST.replace("@", ".")
    when: datetime = _START

    def raw(self) -> bytes:
        head = [
            f"From: {self.sender}",
            f"To: {self.to}",
            f"Subject: {self.subject}",
            f"Date: {format_datetime(self.when)}",
            f"Message-ID: <{self.id}>",
            f"List-Id: <{self.list_id}>",
            *self.extra,
        ]
        if self.parent:
            references = "".join(f"\n\t<{ref}>" for ref in (*self.references, self.parent))
            head += [f"In-Reply-To: <{self.parent}>", f"References:{references}"]
        head += [
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=UTF-8",
            f"Content-Transfer-Encoding: {self.encoding}",
        ]
        body = self.body.encode()
        if self.encoding == "base64":
            body = base64.encodebytes(body)
        elif self.encoding == "quoted-printable":
            body = quopri.encodestring(body)
        return "\n".join(head).encode() + b"\n\n" + body


@dataclass
class _Series:
    """The mails of one version, in order: cover letter (if any) first."""

    mails: list[_Mail]
    version: int
    verdict: Verdict | None

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(mail.id for mail in self.mails)

    def expect(self, fate: Fate = Fate.REVIEWED, *older: _Series, **more: object) -> Version:
        return Version(
            self.ids[0],
            self.version,
            self.ids,
            fate,
            self.verdict,
            older=tuple(sorted(one.ids[0] for one in older)),
            **more,  # type: ignore[arg-type]
        )


@dataclass
class _Author:
    """A person with a tree, who posts series."""

    number: int
    seed: int
    files: Files
    shape: str
    runs: int = 0
    made: int = 0
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(f"{self.seed} {self.number}")  # noqa: S311 - as above
        self.name = self.random.choice(_NAMES)
        self.address = f"author{self.number}@example.org"
        self.title = f"KVM: {self.shape} {self.number}"
        self.now = _START + timedelta(minutes=self.number)

    @property
    def sender(self) -> str:
        return f"{self.name} <{self.address}>"

    def changes(self, count: int, verdict: Verdict | None = None) -> tuple[list[Change], Verdict]:
        """*count* changes, all but one of them without meaning for locks."""
        verdict = verdict or self.random.choice(VERDICTS)
        at = self.random.randrange(count)
        made = [changes(verdict if n == at else Verdict.CLEAN, self._tag()) for n in range(count)]
        return made, verdict

    def _tag(self) -> str:
        self.made += 1
        return f"{self.number:04d}{self.made:02d}"

    def series(
        self,
        count: int = 3,
        *,
        version: int = 1,
        cover: bool = True,
        style: str = "[PATCH{v} {n}/{m}]",
        parent: str = "",
        threaded: str = "shallow",
        ids: str = "git",
        verdict: Verdict | None = None,
        of: Sequence[Change] = (),
        **more: object,
    ) -> _Series:
        """A version of *count* patches; *of* gives the changes of the one before."""
        made, verdict = (list(of), verdict) if of else self.changes(count, verdict)
        self.runs += 1
        run = self._ids(ids, version, cover)
        v = f" v{version}" if version > 1 else ""
        mails: list[_Mail] = []
        files = self.files
        for n in range(0 if cover else 1, count + 1):
            if n:
                change = made[n - 1]
                title, body = (
                    change.title,
                    f"{change.message}\n\nSigned-off-by: {self.sender}\n---\n",
                )
                body += change.diff(files) + "-- \n2.39.5\n\n"
                files = change.after(files)
            else:
                title, body = (
                    self.title,
                    f"What it is all about.\n\nVersion {version}.\n\n-- \n2.39.5\n",
                )
            mail = _Mail(run(n), f"{style.format(v=v, n=n, m=count)} {title}", body, self.sender)
            mail = replace(mail, when=self.now, **more)  # type: ignore[arg-type]
            self.now += timedelta(seconds=1)
            self._attach(mail, mails, parent, threaded)
            mails.append(mail)
        return _Series(mails, version, verdict)

    def _attach(self, mail: _Mail, before: list[_Mail], parent: str, threaded: str) -> None:
        if threaded == "none":
            return
        if not before:
            mail.parent = parent
        elif threaded == "deep":
            mail.parent = before[-1].id
            mail.references = tuple(filter(None, (parent, *(one.id for one in before[:-1]))))
        else:
            mail.parent = before[0].id
            mail.references = tuple(filter(None, (parent,)))

    def _ids(self, kind: str, version: int, cover: bool) -> Callable[[int], str]:
        stamp = f"{self.now:%Y%m%d%H%M%S}"
        if kind == "b4":
            slug = f"{stamp[:8]}-{self.shape.replace(' ', '-')}-{self.number}-v{version}"
            return lambda n: f"{slug}-{n}-{self.runs:012x}@example.org"
        if kind == "own":
            return lambda n: f"{stamp}{n}x{self.number}.{self.runs}@mua.example.org"
        if kind == "apart":
            return lambda n: f"{stamp}.{9000 + 10 * self.runs + n}-1-{self.address}"
        return lambda n: f"{stamp}.{9000 + self.runs}-{n + cover}-{self.address}"

    def lone(self, *, version: int = 1, subject: str = "[PATCH{v}]", **more: object) -> _Series:
        """A single patch without a number."""
        more = {**more, "version": version, "cover": False, "style": subject}
        return self.series(1, **more)  # type: ignore[arg-type]

    def answer(self, to: _Mail, text: str, name: str = "reviewer") -> _Mail:
        self.made += 1
        return _Mail(
            f"answer-{self.number}-{self.made}@example.org",
            f"Re: {to.subject}",
            text,
            f"R E Viewer <{name}@example.org>",
            to.id,
            tuple(filter(None, (*to.references, to.parent))),
            when=self.now,
        )


_NAMES = (
    "A U Thor",
    '"Ample, Robin"',
    "Robin Ample (TI)",
    "=?utf-8?q?J=C3=B6rg_=C5=81ukasz?=",
    "王 小明",
)


def _thread(author: _Author, mails: Sequence[_Mail], *versions: Version) -> Thread:
    return Thread(author.shape, tuple(mail.raw() for mail in mails), versions)


# ---- shapes ----


def _lone(author: _Author) -> Thread:
    one = author.lone()
    return _thread(author, one.mails, one.expect())


def _with_cover(author: _Author) -> Thread:
    one = author.series(author.random.randint(2, 4))
    return _thread(author, one.mails, one.expect())


def _without_cover(author: _Author) -> Thread:
    one = author.series(2, cover=False)
    return _thread(author, one.mails, one.expect())


def _cover_last(author: _Author) -> Thread:
    one = author.series(3, ids=author.random.choice(["git", "own"]))
    return _thread(author, [*one.mails[1:], one.mails[0]], one.expect())


def _first_last(author: _Author) -> Thread:
    one = author.series(3, cover=False)
    return _thread(author, [*one.mails[1:], one.mails[0]], one.expect())


def _shuffled(author: _Author) -> Thread:
    one = author.series(4, threaded=author.random.choice(["shallow", "deep"]))
    mails = list(one.mails)
    author.random.shuffle(mails)
    return _thread(author, mails, one.expect())


def _second_version(author: _Author) -> Thread:
    old = author.series(2)
    new = author.series(3, version=2, parent=old.ids[0])
    mails = [*old.mails, author.answer(old.mails[1], "> +int\nWhy?\n"), *new.mails]
    found = _thread(author, mails, old.expect(Fate.OLDER), new.expect(Fate.REVIEWED, old))
    return replace(found, ignored=((mails[3].id, Reason.NOT_A_PATCH),))


def _late_older(author: _Author) -> Thread:
    old = author.series(2)
    new = author.series(2, version=3, parent=old.ids[0])
    mails = [*new.mails, *old.mails]
    return _thread(author, mails, old.expect(Fate.OLDER), new.expect(Fate.REVIEWED, old))


def _new_thread(author: _Author) -> Thread:
    old = author.series(2)
    new = author.series(2, version=2)
    mails = [*old.mails, *new.mails]
    return _thread(author, mails, old.expect(Fate.OLDER), new.expect(Fate.REVIEWED, old))


def _retitled(author: _Author) -> Thread:
    old = author.series(2, ids="b4")
    author.title = f"KVM: now named otherwise {author.number}"
    new = author.series(2, version=2, ids="b4")
    for series in (old, new):
        series.mails[0].body += f"\nchange-id: 20260901-retitled-{author.number}-0123456789ab\n"
    mails = [*old.mails, *new.mails]
    return _thread(author, mails, old.expect(Fate.OLDER), new.expect(Fate.REVIEWED, old))


def _glued(author: _Author) -> Thread:
    old = author.series(2, style="[PATCH{n}/{m}]")
    new = author.series(3, version=2, style="[PATCHv2 {n}/{m}]", parent=old.ids[0])
    mails = [*old.mails, *new.mails]
    return _thread(author, mails, old.expect(Fate.OLDER), new.expect(Fate.REVIEWED, old))


def _several_lists(author: _Author) -> Thread:
    one = author.series(2)
    footer = "_______________\nlinux-kernel mailing list\n"
    copies = [
        replace(m, list_id=OTHER_LIST.replace("@", "."), body=m.body + footer) for m in one.mails
    ]
    mails = [mail for pair in zip(one.mails, copies, strict=True) for mail in pair]
    return _thread(author, mails, one.expect())


def _relayed(author: _Author) -> Thread:
    relay = f"devnull+author{author.number}.example.org@kernel.org"
    one = author.series(
        2,
        ids="b4",
        sender=f"{author.name} via B4 Relay <{relay}>",
        extra=(f"Reply-To: {author.address}", f"X-Original-From: {author.sender}"),
    )
    return _thread(author, one.mails, one.expect())


def _unthreaded(author: _Author) -> Thread:
    one = author.series(3, threaded="none")
    return _thread(author, one.mails, one.expect())


def _broken(author: _Author) -> Thread:
    """Each mail sent on its own, without references."""
    one = author.series(3, threaded="none", ids="apart", cover=author.random.random() < 0.5)
    return _thread(author, one.mails, one.expect())


def _twins(author: _Author) -> Thread:
    """Two series of one author with equal titles at once."""
    one, other = author.series(2), author.series(2)
    mails = [mail for pair in zip(one.mails, other.mails, strict=True) for mail in pair]
    return _thread(author, mails, one.expect(), other.expect())


def _partial_reroll(author: _Author) -> Thread:
    """v2 of one patch, in reply to v1's."""
    made, verdict = author.changes(3, Verdict.CLEAN)
    old = author.series(3, of=made, verdict=verdict)
    again = author.series(3, version=2, of=made, verdict=verdict, threaded="none")
    patch = again.mails[2]
    patch.parent, patch.references = old.ids[2], (old.ids[0],)
    patch.body = patch.body.replace("not counted so far", "not counted before")
    new = _Series([patch], 2, verdict)
    mails = [*old.mails, patch]
    return _thread(
        author, mails, old.expect(Fate.OLDER), new.expect(Fate.REVIEWED, old, whole=False)
    )


def _never_came(author: _Author) -> Thread:
    one = author.series(3)
    head = _only(one, one.mails[:1])
    return _thread(
        author, head.mails, head.expect(Fate.NEVER, whole=False, reason=Reason.NO_PATCHES)
    )


def _hole(author: _Author) -> Thread:
    one = author.series(3)
    rest = _only(one, [mail for at, mail in enumerate(one.mails) if at != 2])
    return _thread(author, rest.mails, rest.expect(whole=False))


def _follow_up(author: _Author) -> Thread:
    """``[PATCH 3/2]``: one more, thought of later."""
    one = author.series(2)
    more = author.series(1, cover=False, style="[PATCH 3/2]", parent=one.ids[0])
    more.verdict = None  # that of all three
    return _thread(author, [*one.mails, *more.mails], one.expect(), more.expect(whole=False))


def _rfc(author: _Author) -> Thread:
    one = author.series(2, style="[RFC PATCH{v} {n}/{m}]")
    return _thread(author, one.mails, one.expect())


def _encoded(author: _Author) -> Thread:
    one = author.series(2, encoding=author.random.choice(["base64", "quoted-printable"]))
    return _thread(author, one.mails, one.expect())


def _resend(author: _Author) -> Thread:
    """Posted once more, unchanged: reviewed once."""
    made, verdict = author.changes(2)
    old = author.series(2, of=made, verdict=verdict)
    new = author.series(2, of=made, verdict=verdict, style="[PATCH RESEND{v} {n}/{m}]")
    expected = new.expect(Fate.NEVER, old, reason=Reason.RESEND)
    return _thread(author, [*old.mails, *new.mails], old.expect(), expected)


def _ignored(author: _Author, mail: _Mail, reason: Reason) -> Thread:
    return Thread(author.shape, (mail.raw(),), (), ((mail.id, reason),))


def _not_ours(reason: Reason, **change: object) -> Callable[[_Author], Thread]:
    """A patch that is left alone because of what *change* makes of it."""

    def make(author: _Author) -> Thread:
        (mail,) = author.lone(**change).mails
        return _ignored(author, mail, reason)

    return make


def _pull_request(author: _Author) -> Thread:
    text = "The following changes since commit 0123456789abcdef0123456789abcdef01234567:\n"
    mail = _Mail(f"pull{author.number}@example.org", "[GIT PULL] KVM fixes", text, author.sender)
    return _ignored(author, mail, Reason.PULL_REQUEST)


def _talk(author: _Author) -> Thread:
    mail = _Mail(f"talk{author.number}@example.org", "KVM: a question", "How?\n", author.sender)
    return _ignored(author, mail, Reason.NOT_A_PATCH)


def _diff_in_reply(author: _Author) -> Thread:
    one = author.series(2)
    reply = author.answer(one.mails[1], one.mails[1].body)
    found = _thread(author, [*one.mails, reply], one.expect())
    return replace(found, ignored=((reply.id, Reason.REPLY),))


def _backport(author: _Author) -> Thread:
    (mail,) = author.lone().mails
    mail.body = f"commit {'0123456789' * 4} upstream.\n\n{mail.body}"
    return _ignored(author, mail, Reason.STABLE)


def _of_elsewhere(reason: Reason, path: str) -> Callable[[_Author], Thread]:
    """A patch whose only file is another one: known when the series is due."""

    def make(author: _Author) -> Thread:
        one = author.lone(verdict=Verdict.CLEAN)
        mail = one.mails[0]
        mail.body = mail.body.replace("virt/kvm/irqchip.c", path)
        return _thread(author, [mail], one.expect(Fate.NEVER, reason=reason))

    return make


def _only(series: _Series, mails: list[_Mail]) -> _Series:
    """The same series with only some of its mails."""
    return replace(series, mails=mails, verdict=None)


SHAPES: dict[str, Callable[[_Author], Thread]] = {
    "a lone patch": _lone,
    "cover letter": _with_cover,
    "no cover letter": _without_cover,
    "cover letter last": _cover_last,
    "patch 1 last": _first_last,
    "any order": _shuffled,
    "v2 in reply to v1": _second_version,
    "v1 after v3": _late_older,
    "v2 in a new thread": _new_thread,
    "v2 retitled": _retitled,
    "glued prefixes": _glued,
    "several lists": _several_lists,
    "B4 Relay": _relayed,
    "no threading": _unthreaded,
    "broken thread": _broken,
    "twins": _twins,
    "partial reroll": _partial_reroll,
    "patches never come": _never_came,
    "a patch never comes": _hole,
    "one patch too many": _follow_up,
    "RFC": _rfc,
    "encoded": _encoded,
    "resend": _resend,
    "pull request": _pull_request,
    "talk": _talk,
    "diff in a reply": _diff_in_reply,
    "backport": _backport,
    "stable review": _not_ours(Reason.STABLE, extra=("X-stable: review",)),
    "stable subject": _not_ours(Reason.STABLE, subject="[PATCH 6.1 012/345]"),
    "another project": _not_ours(Reason.OTHER_PROJECT, subject="[kvm-unit-tests PATCH{v}]"),
    "a bot": _not_ours(Reason.BOT, sender=f"Build Bot <{BOT}>"),
    "automatic": _not_ours(Reason.BOT, extra=("Auto-Submitted: auto-generated",)),
    "hint": _not_ours(Reason.HINT, extra=("X-Patchwork-Hint: ignore",)),
    "ourselves": _not_ours(Reason.OWN, sender=f"reviewbot <{OWN}>"),
    "no list": _not_ours(Reason.NO_LIST, to="else@example.org", list_id="else.example.org"),
    "not in the tree": _of_elsewhere(Reason.NOT_IN_TREE, "hw/misc/irqchip.c"),
    "no source": _of_elsewhere(Reason.NO_SOURCE, "Makefile"),
}
