# SPDX-License-Identifier: GPL-2.0-or-later
"""A small kernel, a list with series for it, and services that review them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from reviewbot import config
from reviewbot.service.state import queries
from reviewbot.service.state.model import Letter, ReviewRecord
from reviewbot.service.state.store import State
from tests.support.mails import split
from tests.support.program import Kernel, environment

FILE = "drivers/frob/frob.c"
_TEXT = """\
#include <linux/mutex.h>

static DEFINE_MUTEX(frob_lock);
static DEFINE_MUTEX(frob_list_lock);

void frob_open(struct frob *frob)
{
	mutex_lock(&frob_lock);
	mutex_lock(&frob_list_lock);
	frob->users++;
	mutex_unlock(&frob_list_lock);
	mutex_unlock(&frob_lock);
}
"""
_INVERTED = """
void frob_{number}(struct frob *frob)
{{
	mutex_lock(&frob_list_lock);
	mutex_lock(&frob_lock);
	frob->users--;
	mutex_unlock(&frob_lock);
	mutex_unlock(&frob_list_lock);
}}
"""
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class World:
    """One list, one kernel, one state."""

    root: Path
    database: str
    kernel: Kernel

    @classmethod
    def make(cls, root: Path, database: str = "", **service: str) -> World:
        """A world with an empty list; ``service`` are more keys of its configuration."""
        world = cls(root, database, Kernel.make(root / "linux", {FILE: _TEXT}))
        world.mail.mkdir()
        world.other.mkdir()
        keys = {"interval": "0.5", "workers": "2", "listen": '""', **service}
        lines = [
            f'tree = "{world.kernel.path}"',
            f'cache = "{root}/cache"',
            "[service]",
            f'state = "{root}/state"',
            f'database = "{database}"',
            *(f"{key} = {value}" for key, value in keys.items()),
            "[source.list]",
            'kind = "maildir"',
            f'path = "{world.mail}"',
            "[source.other]",
            'kind = "maildir"',
            f'path = "{world.other}"',
            "[list.kvm]",
            'address = "kvm@example.org"',
        ]
        world.config_file.write_text("\n".join(lines) + "\n")
        return world

    @property
    def mail(self) -> Path:
        """Where the list's mails are, one a file."""
        return self.root / "mail"

    @property
    def other(self) -> Path:
        """The same of a second source."""
        return self.root / "other"

    @property
    def config_file(self) -> Path:
        return self.root / "config.toml"

    def series(self, number: int, version: int = 1, patches: int = 1) -> list[bytes]:
        """A series by an author of its own; every patch inverts a lock order."""
        author = self.root / f"author-{number}-{version}"
        self.kernel.git("clone", "-q", self.kernel.path, author)
        repository = Kernel(author)
        for patch in range(patches):
            text = _INVERTED.format(number=f"{number}_{version}_{patch}")
            repository.edit(FILE, f"frob: close {number}, {patch}", lambda old, new=text: old + new)
        options = ["--full-index", f"-v{version}", "--to=kvm@example.org"]
        if patches > 1:
            options += ["--cover-letter"]
        mbox = repository.git(
            "format-patch", "--stdout", "--thread=shallow", *options, "origin/master.."
        )
        person = f"Author {number} <author{number}@example.org>"
        mbox = mbox.replace("A U Thor <author@example.org>", person)
        return split(mbox.replace("*** SUBJECT HERE ***", f"frob: close {number}").encode())

    def post(self, mails: list[bytes], folder: Path | None = None) -> None:
        """Let mails arrive, in this order."""
        folder = folder or self.mail
        start = len(list(folder.glob("*.eml")))
        for number, mail in enumerate(mails, start):
            file = folder / f"{number:06}"
            file.write_bytes(mail)
            file.rename(file.with_suffix(".eml"))

    def start(self, how: str, fault: str = "") -> subprocess.Popen[bytes]:
        """A service on this world, in a process of its own."""
        env = environment(FAULT=fault, PYTHONPATH=str(_ROOT))
        command = [sys.executable, "-m", "tests.service.machine", str(self.config_file), how]
        log = (self.root / "log").open("ab")
        with log:
            return subprocess.Popen(command, cwd=_ROOT, env=env, stdout=log, stderr=log)

    def log(self) -> str:
        """What all services have said."""
        file = self.root / "log"
        return file.read_text() if file.exists() else ""

    def reviews(self) -> tuple[ReviewRecord, ...]:
        """All reviews, in the order of their making."""
        with self.state() as state:
            return tuple(reversed(queries.list_reviews(state, limit=10_000)))

    def letters(self) -> tuple[Letter, ...]:
        """The outbox."""
        with self.state() as state:
            return queries.letters(state)

    def state(self) -> State:
        """The state, opened."""
        return State.open(config.load(self.config_file).service.url)
