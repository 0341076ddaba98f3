# SPDX-License-Identifier: GPL-2.0-or-later
"""A served list, the program that follows it, and whether it did all that it should.

The list is a public-inbox on loopback with generated threads, the program is the
installed one with a configuration file, as a user has it.  It may be killed at any
moment; :meth:`Storm.judge` says what of the threads' fates did not come true.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from reviewbot.service.model import ENDED, ReviewState
from reviewbot.service.post import read_post
from reviewbot.service.state import queries
from reviewbot.service.state.model import Overview, ReviewRecord, Subject
from reviewbot.service.state.store import State
from reviewbot.service.state.tables import events, hazards, messages, outbox
from tests.support.program import PROGRAM, environment
from tests.support.public_inbox import PublicInbox
from tests.support.threads import BOT, LIST, OTHER_LIST, OWN, Fate, Thread, Version, arrivals

LISTS = ("kvm", "linux-kernel")
_ROOT = Path(__file__).resolve().parents[2]
_OTHER = f"List-Id: <{OTHER_LIST.replace('@', '.')}>".encode()


@dataclass
class Storm:
    """One list, one tree, one state, and one program at a time."""

    root: Path
    tree: Path
    inbox: PublicInbox
    service: Mapping[str, str] = field(default_factory=dict)
    """Keys of the configuration's ``[service]``, beside those that are always there."""
    cache: Path | None = None
    posted: list[Thread] = field(default_factory=list)
    _heard: int = 0

    def __post_init__(self) -> None:
        (self.root / "tmp").mkdir(parents=True)
        keys = {"interval": "1", "wait": "60", "workers": "2", "listen": '""', **self.service}
        lines = [
            f'tree = "{self.tree}"',
            f'cache = "{self.cache or self.root / "cache"}"',
            f'[sender]\naddress = "{OWN}"',
            f'[service]\nstate = "{self.root}/state"\nbots = ["{BOT}"]',
            *(f"{key} = {value}" for key, value in keys.items()),
            *(
                f'[source.{name}]\nkind = "public-inbox"\nurl = "{self.inbox.url(name)}"'
                for name in LISTS
            ),
            f'[list.kvm]\naddress = "{LIST}"',
        ]
        self.config.write_text("\n".join(lines) + "\n")

    @property
    def config(self) -> Path:
        return self.root / "config.toml"

    @property
    def home(self) -> dict[str, str]:
        """Variables that keep the program out of its user's home."""
        temporary = str(self.root / "tmp")
        return {"HOME": str(self.root), "TMPDIR": temporary, "GIT_CONFIG_GLOBAL": os.devnull}

    # ---- the list ----

    def post(self, threads: Sequence[Thread], seed: int) -> None:
        """Let threads arrive, mixed, in one go."""
        mails: dict[str, list[bytes]] = {name: [] for name in LISTS}
        for raw in arrivals(threads, seed):
            mails["linux-kernel" if _OTHER in raw else "kvm"].append(raw)
        for name, new in mails.items():
            if new:
                self.inbox.add(name, new)
        self.posted += threads

    @property
    def versions(self) -> Iterator[Version]:
        """What came of series, of all versions."""
        return (version for thread in self.posted for version in thread.versions)

    # ---- the program ----

    def start(self, command: str = "serve", fault: str = "") -> subprocess.Popen[bytes]:
        """The program at work; with a fault it dies there (:mod:`tests.support.deadly`)."""
        deadly = [sys.executable, "-m", "tests.support.deadly", fault]
        program = deadly if fault else [str(PROGRAM)]
        env = environment(**self.home)
        self._heard = len(self.log())
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(
                [*program, command, "--config", str(self.config)],
                cwd=_ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def log(self) -> str:
        """What the program has said, in all its lives."""
        file = self.root / "log"
        return file.read_text() if file.exists() else ""

    def says(self, event: str, process: subprocess.Popen[bytes], seconds: float) -> bool:
        """Whether the program that was started last says this before it ends or time is up."""
        end = time.monotonic() + seconds
        while event not in self.log()[self._heard :]:
            if process.poll() is not None or time.monotonic() >= end:
                return False
            time.sleep(0.02)
        return True

    def finish(self, seconds: float) -> None:
        """Start the program once more, let it do the rest, and end it as systemd does."""
        process = self.start()
        end = time.monotonic() + seconds
        try:
            # A program that has only just begun to start has no handler for SIGTERM yet.
            while not (self.says("service.started", process, 0) and self.done()):
                assert process.poll() is None, self.log()[-4000:]
                assert time.monotonic() < end, self.log()[-4000:]
                time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, self.log()[-4000:]
        finally:
            process.kill()
            process.wait()

    # ---- what became of it ----

    def state(self) -> State:
        return State.open(f"sqlite:///{self.root}/state/state.sqlite")

    def overview(self) -> Overview:
        with self.state() as state:
            return queries.overview(state)

    def done(self) -> bool:
        """Whether all mail was seen and no series is still on its way."""
        seen = self.overview()
        wanted = len({read_post(raw).message_id for each in self.posted for raw in each.mails})
        on_its_way = sum(count for kind, count in seen.reviews.items() if kind not in ENDED)
        return sum(seen.messages.values()) == wanted and not on_its_way

    def judge(self) -> list[str]:
        """What is not as it must be, one sentence each."""
        with self.state() as state:
            every = queries.list_reviews(state, limit=1_000_000)
            found = [*self._fates(state, every), *_once(state, every), *self._told()]
        left = [path.name for path in (self.root / "tmp").iterdir()]
        return [*found, *(f"left behind: {name}" for name in left)]

    def _fates(self, state: State, every: Sequence[ReviewRecord]) -> Iterator[str]:
        by_head: dict[str, list[ReviewRecord]] = {}
        for record in every:
            by_head.setdefault(record.head, []).append(record)
        for thread in self.posted:
            for version in thread.versions:
                found = by_head.get(version.head, [])
                if wrong := _wrong(version, found):
                    yield f"{thread.shape}, v{version.number} <{version.head}>: {wrong}"
        yield from self._mails(state)

    def _mails(self, state: State) -> Iterator[str]:
        """What was lost, or taken for something else."""
        with state.read() as connection:
            query = sa.select(messages.c.message_id, messages.c.reason)
            seen = {row[0]: row[1] for row in connection.execute(query)}
        for thread in self.posted:
            ids = {read_post(raw).message_id for raw in thread.mails}
            yield from (f"{thread.shape}: <{id_}> is lost" for id_ in ids - set(seen))
            for id_, reason in thread.ignored:
                if seen.get(id_) is not reason:
                    yield f"{thread.shape}: <{id_}> is {seen.get(id_)}, not {reason}"

    def _told(self) -> Iterator[str]:
        """A review of whose end the log tells twice."""
        lines = (line.split()[1:3] for line in self.log().splitlines())
        told = Counter(line[1] for line in lines if line[:1] == ["review.done"])
        yield from (f"{review} is told as done {n} times" for review, n in told.items() if n > 1)


def _wrong(version: Version, found: Sequence[ReviewRecord]) -> str:
    """What is wrong with the reviews of a version, empty if nothing is."""
    states = [record.state for record in found]
    if version.fate is Fate.NEVER:
        good = all(state is ReviewState.SKIPPED for state in states)
        good = good and all(each.reason.startswith(str(version.reason)) for each in found)
        return "" if good else f"{states} ({[each.reason for each in found]})"
    allowed = {ReviewState.DONE}
    if version.fate is Fate.OLDER:
        allowed.add(ReviewState.SUPERSEDED)
    if len(found) != 1 or found[0].state not in allowed:
        return f"{states} ({[each.reason for each in found]})"
    (record,) = found
    told = record.state is ReviewState.DONE and version.verdict is not None
    return f"verdict {record.verdict}" if told and record.verdict is not version.verdict else ""


def _once(state: State, every: Sequence[ReviewRecord]) -> Iterator[str]:
    """Whether each review ended once, with its hazards and its reply once."""
    with state.read() as connection:
        ends = _count(connection, events.c.subject, events.c.kind == Subject.REVIEW,
                      events.c.after == ReviewState.DONE.value)  # fmt: skip
        rows = _count(connection, hazards.c.review)
        letters = _count(connection, outbox.c.review)
    for record in every:
        if record.state is not ReviewState.DONE:
            continue
        result: dict[str, Any] = json.loads(queries.result_text(state, record.id) or b"{}")
        answered = bool(result) and "no reply" not in record.reason
        wanted = (1, len(result.get("hazards", ())), int(answered))
        found = (ends[str(record.id)], rows[record.id], letters[record.id])
        if found != wanted:
            yield f"review {record.id}: (ends, hazards, replies) are {found}, not {wanted}"


def _count(connection: sa.Connection, column: Any, *where: Any) -> Counter[Any]:
    query = sa.select(column, sa.func.count()).where(*where).group_by(column)
    return Counter({row[0]: row[1] for row in connection.execute(query)})
