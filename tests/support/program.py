# SPDX-License-Identifier: GPL-2.0-or-later
"""The installed program, run as a user runs it, and kernels to run it on."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).parent / "reviewbot"
SECONDS = 120.0
"""What no run on a small tree comes near to: over it, the program hangs."""
LOCK = "struct kvm.irqfds.resampler_lock"
DOMAIN = "struct kvm.irq_srcu"
SITES = (
    ("irqfd_resampler_shutdown", ""),
    ("irqfd_resampler_shutdown", "kvm_unregister_irq_ack_notifier"),
    ("kvm_irqfd_assign", ""),
)
"""The seed's sites: a function, and the callee through which it waits."""


@dataclass(frozen=True)
class Ran:
    """A run of the program that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.out)
        return loaded

    @property
    def first(self) -> str:
        return self.out.partition("\n")[0]

    @property
    def prose(self) -> str:
        """The output with its lines joined: where a paragraph is broken does not matter."""
        return " ".join(self.out.split())


def environment(**extra: str) -> dict[str, str]:
    """This test's environment; a program that strays off loopback meets a closed port."""
    closed = "http://127.0.0.1:1"
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        **{"HTTP_PROXY": closed, "HTTPS_PROXY": closed, "NO_PROXY": "127.0.0.1"},
        **{"LC_ALL": "C.UTF-8", "TERM": "dumb", "COLUMNS": "100"},
        **extra,
    }


def start(
    *args: str | Path,
    stdin: int = subprocess.DEVNULL,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """The program, running."""
    return subprocess.Popen(
        [str(PROGRAM), *map(str, args)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=env or environment(),
    )


def finish(
    child: subprocess.Popen[bytes], data: bytes | None = None, seconds: float = SECONDS
) -> Ran:
    """Wait for a started program; it may not take longer than ``seconds``."""
    try:
        out, err = child.communicate(data, timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise
    return Ran(child.returncode, out.decode(), err.decode())


def run(
    *args: str | Path,
    data: bytes = b"",
    seconds: float = SECONDS,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Ran:
    """Run the program to its end; nothing of it may be left in TMPDIR."""
    ran = finish(start(*args, stdin=subprocess.PIPE, cwd=cwd, env=env), data, seconds)
    left = sorted(path.name for path in Path(os.environ["TMPDIR"]).iterdir())
    assert not left, f"left behind: {left}"
    return ran


def complaint(ran: Ran, status: int) -> str:
    """The one sentence on standard error of a run that failed with ``status``."""
    assert ran.status == status, (ran.status, ran.err)
    assert ran.out == ""
    assert ran.err.startswith("reviewbot: ")
    assert ran.err.count("\n") == 1, ran.err
    assert ran.err.endswith("\n")
    assert "Traceback" not in ran.err
    assert "internal error" not in ran.err
    return ran.err.removeprefix("reviewbot: ").rstrip("\n")


def sites(review: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """(function, callee) of the only hazard's sites, and what became of each."""
    (hazard,) = review["hazards"]
    return {(site["function"], site["via"]): site["state"] for site in hazard["sites"]}


@dataclass(frozen=True)
class Kernel:
    """A small kernel in a git repository, with plain git."""

    path: Path

    @classmethod
    def make(cls, path: Path, files: Mapping[str, str]) -> Kernel:
        """A repository with these files in its first commit, on ``master``."""
        path.mkdir(parents=True)
        kernel = cls(path)
        kernel.git("init", "-q", "-b", "master", "--template=")
        kernel.commit(files, "start")
        return kernel

    def git(self, *args: str | Path, data: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *map(str, args)],
            cwd=self.path,
            env={**os.environ, **_IDENTITY},
            input=data,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def commit(self, files: Mapping[str, str], message: str) -> str:
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def edit(self, name: str, message: str, change: Callable[[str], str]) -> str:
        """Commit a change of one file's text."""
        before = (self.path / name).read_text()
        after = change(before)
        assert after != before, f"nothing to change in {name}"
        return self.commit({name: after}, message)

    def branch(self, name: str, start_at: str) -> None:
        self.git("checkout", "-q", "-b", name, start_at)

    def am(self, mbox: Path) -> None:
        """Commit the patches of a mailbox."""
        self.git("am", "-q", "--patch-format=mboxrd", mbox)

    def mails(self, *options: str) -> bytes:
        """What ``git format-patch`` makes of the options."""
        options = ("--stdout", "--thread=shallow", "--to=list@example.org", *options)
        return self.git("format-patch", *options).encode()

    def state(self) -> tuple[object, ...]:
        """All that a reader must leave alone: files of ``.git``, the index, references, status.

        But for the times of objects: a git that makes an object which its alternate has
        already "freshens" that one's for gc (git-gc(1)), and no setting keeps it from it.
        """
        directory = self.path / ".git"
        found = sorted(path for path in directory.rglob("*") if path.is_file())
        digests = {str(path): sha256(path.read_bytes()).hexdigest() for path in found}
        outside = [path for path in found if directory / "objects" not in path.parents]
        times = {str(path): path.stat().st_mtime_ns for path in outside}
        status = self.git("--no-optional-locks", "status", "--porcelain=v2", "--ignored")
        return digests, times, status, self.git("for-each-ref"), self.git("count-objects", "-v")


@contextmanager
def only_one(cache: Path) -> Iterator[None]:
    """Keep two workers from indexing one kernel into one cache at the same time."""
    with (cache / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (
        ("NAME", "A U Thor"),
        ("EMAIL", "author@example.org"),
        ("DATE", "2026-03-01T12:00:00+0000"),
    )
}


def sample_files(sample_patches: Path) -> dict[str, str]:
    """The sample tree: path and text."""
    top = sample_patches / "tree"
    return {
        str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()
    }


def renamed(text: str) -> str:
    """Another subsystem's text: every name of the seed's is gone, the primitives stay."""
    return re.sub(r"\w+", lambda word: _rename(word[0]), text)


def _rename(word: str) -> str:
    if word in _KEPT:
        return word
    for old, new in _STEMS.items():
        word = word.replace(old, new)
    return word


_KEPT = frozenset({"spin_lock_irq", "spin_unlock_irq"})
_STEMS = {
    "resampler_lock": "roster",  # neither "lock" nor "srcu" is left in a name
    "irq_srcu": "walkers",
    "irqfd": "bell",
    "IRQFD": "BELL",
    "eventfd": "chime",
    "resampler": "choir",
    "RESAMPLE": "CHOIR",
    "resample": "choir",
    "irqchip": "tower",
    "kvm": "hub",
    "KVM": "HUB",
    "irq": "rope",
    "IRQ": "ROPE",
    "shutdown": "retire",
    "assign": "hang",
    "unregister": "forget",
}


def seeded(path: Path, sample_patches: Path) -> Kernel:
    """The sample tree on ``master``; on ``v1`` and ``v2`` with the seed; ``revert`` of v2."""
    kernel = Kernel.make(path, sample_files(sample_patches))
    kernel.git("tag", "sample-6.12")
    for version in ("v1", "v2"):
        kernel.branch(version, "master")
        kernel.am(sample_patches / f"seed-{version}.mbox")
    kernel.branch("revert", "v2")
    kernel.git("revert", "--no-edit", "HEAD")
    kernel.git("checkout", "-q", "master")
    return kernel
