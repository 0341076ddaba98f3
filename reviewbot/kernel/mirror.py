# SPDX-License-Identifier: GPL-2.0-or-later
"""What the configured remotes have and the user's tree has not, in a repository of our own.

A mirror is bare, borrows the tree's objects (``objects/info/alternates``), and
fetches each ``[remote.NAME]`` into ``refs/remotes/NAME/*``, with tags.  So only what
is new comes over the network, and the tree is never written.  The tree's references
stand in it as ``refs/borrowed/*``, which is what git negotiates and checks against:
git's own way to ask an alternate would run in the user's repository and obey its
configuration.

One process at a time works on a mirror (a lock file beside it); readers need no lock,
as references move only when their objects are there.  A mirror holds nothing that
cannot be fetched again: one that is damaged, or that borrowed what the tree has since
thrown away, is made anew.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from reviewbot.config_service import RemoteConfig
from reviewbot.errors import ConfigError, ServiceError, TreeError
from reviewbot.kernel import git
from reviewbot.kernel.locate import Located, locate

FETCH_SECONDS = 900.0
"""Wall time of one fetch of a remote; the first one of a kernel fork takes minutes."""
COMMIT_SECONDS = 120.0
"""Wall time for one commit by its id, per remote, and for the lock before it."""
RECENT_SECONDS = 300.0
"""How long a fetched remote is not fetched again for the sake of one commit."""
CHECK_SECONDS = 120.0
"""Wall time to see whether all that the mirror names is there."""
MAX_BORROWED = 2_000
"""References of the tree that git gets to know; enough to find common history."""
MAX_COMMITS = 500
"""Single commits kept by reference; over that they go, and are fetched when asked for."""
MAX_PACKS = 30

_BORROWED = "refs/borrowed/"
_COMMITS = "refs/commits/"
_REMOTES = "refs/remotes/"
_TAGS = "refs/tags/"
_NAME = re.compile(r"[A-Za-z0-9](?:[\w-]|\.(?!\.|lock$))*(?<!\.)", re.ASCII)
_OID = re.compile(r"[0-9a-f]{40}")
_SCHEMES = frozenset({"https", "http", "git", "ssh", "file"})
_REFUSES_IDS = "does not allow request for unadvertised object"
_ABSENT = re.compile(r"not our ref|[Cc]ould ?n[o']t find remote ref|unadvertised object")
_DAMAGE = re.compile(
    r"bad object|missing (?:blob|tree|commit|necessary)|is corrupt|unable to read|not a git repo"
    r"|did not send all necessary objects|object file .* is empty|inflate|packfile .* (?:cannot|is)"
    r"|loose object|[Ff]ailed to traverse|bad tree|unable to find [0-9a-f]{40}"
)
_SETTINGS = {
    "core.alternateRefsCommand": "true",  # or git runs for-each-ref in the user's repository
    "core.compression": "-1",
    "core.fsync": "committed,reference",  # unlike a scratch repository's, this one's stay
    "credential.helper": "",
    "fetch.unpackLimit": "1",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
}
_FETCH = (
    *("fetch", "--quiet", "--force", "--no-write-fetch-head", "--no-auto-maintenance"),
    "--no-recurse-submodules",
)


class MirrorError(ServiceError):
    """The mirror cannot be made or is in use for too long."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One remote that was asked for something."""

    remote: str
    error: str = ""
    """Why it did not give it, one clause; empty if it did."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """The configured remotes, as far as they were fetched for one tree."""

    root: Path
    """Directory of all mirrors."""
    tree: Path
    """The user's repository."""
    remotes: Mapping[str, RemoteConfig]

    def __post_init__(self) -> None:
        for name in self.remotes:
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"[remote.{name}] is no name for a git remote: use letters, digits, - and _"
                )

    @property
    def git_dir(self) -> Path:
        """Where the mirror is; another tree has another one."""
        digest = sha256(os.fsencode(os.path.realpath(self.tree.expanduser()))).hexdigest()
        return self.root / f"{self.tree.name or 'tree'}-{digest[:12]}"

    def prepare(self) -> None:
        """Make the mirror if it is not there, so that it can be borrowed from.

        Raises :class:`MirrorError` if its directory cannot be written.
        """
        if not (self.git_dir / "HEAD").is_file():
            with self._alone(COMMIT_SECONDS):
                self._mend(locate(self.tree.expanduser()))

    def refresh(self, *, every: bool = False) -> tuple[Fetched, ...]:
        """Fetch the remotes whose interval is over, or with ``every`` all of them.

        Nothing is fetched, and nothing returned, while another process does it.
        A remote that fails is told as such and does not keep the others waiting;
        it is due again at the next call.
        """
        due = [name for name in self.remotes if every or self._is_due(name)]
        if not due:
            return ()
        try:
            with self._alone(0):
                self._mend(locate(self.tree.expanduser()))
                done = tuple(self._refresh(name) for name in due)
                self._tidy()
                return done
        except _BusyError:
            return ()

    def fetch_commit(self, commit: str) -> tuple[Fetched, ...]:
        """Ask the remotes for a commit by its full id, up to the first that has it.

        A remote that gives no commits by their id is fetched whole and looked into.
        The last answer has no error if the commit is there now.
        """
        if not _OID.fullmatch(commit):
            return (Fetched("", "a shortened id cannot be asked for"),)
        asked = []
        with self._alone(COMMIT_SECONDS):
            located = locate(self.tree.expanduser())
            self._mend(located)
            for name in self.remotes:
                asked.append(self._fetch_commit(name, commit, bool(located.shallow)))
                if not asked[-1].error:
                    break
        return tuple(asked)

    def beside(self, tree: Located) -> Located:
        """The tree's references and objects together with the mirror's.

        Where both have a name, remote branches are the mirror's, which are newer, and
        all else is the tree's.  A mirror that cannot be read is left out.
        """
        try:
            mine = locate(self.git_dir)
        except TreeError:
            return tree
        remote = {name: oid for name, oid in mine.refs.items() if name.startswith(_REMOTES)}
        tags = {name: oid for name, oid in mine.refs.items() if name.startswith(_TAGS)}
        shallow = dict.fromkeys((tree.shallow + mine.shallow).split())
        return replace(
            tree,
            refs={**tags, **tree.refs, **remote},
            shallow="".join(f"{oid}\n" for oid in shallow),
            more=(mine.objects,),
        )

    # ---- under the lock ----

    @contextmanager
    def _alone(self, seconds: float) -> Iterator[None]:
        """Hold the mirror's lock, which the system takes back from a process that dies."""
        path = self.git_dir.with_name(f"{self.git_dir.name}.lock")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            file = path.open("w")
        except OSError as error:
            raise MirrorError(
                f"the mirror {path} cannot be made ({error.strerror}): set service.state to a"
                " directory that can be written"
            ) from error
        with file:
            end = time.monotonic() + seconds
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        raise _BusyError(
                            f"the mirror {self.git_dir} is being fetched: try again later"
                        ) from None
                    time.sleep(0.1)
            yield

    def _mend(self, tree: Located) -> None:
        """Make the mirror, or make it anew if it is damaged or was made for another tree."""
        self._drop_leftovers()
        if not (self._fits(tree) and self._lend(tree)):
            shutil.rmtree(self.git_dir, ignore_errors=True)
            try:
                git.make_repository(self.git_dir, tree.objects)
                (self.git_dir / "shallow").write_text(tree.shallow)
                (self.git_dir / "borrowed-shallow").write_text(tree.shallow)
            except OSError as error:
                raise MirrorError(
                    f"the mirror {self.git_dir} cannot be made ({error.strerror}): is there room"
                    " in service.state?"
                ) from error
            self._lend(tree)

    def _drop_leftovers(self) -> None:
        """Remove what a killed git left: its lock files and half-written packs."""
        for pattern in ("*.lock", "refs/**/*.lock", "objects/pack/tmp_*"):
            for path in self.git_dir.glob(pattern):
                with suppress(OSError):
                    path.unlink()

    def _fits(self, tree: Located) -> bool:
        """Whether the mirror is whole, and borrows from this tree as it is now."""
        alternates = self.git_dir / "objects" / "info" / "alternates"
        try:
            locate(self.git_dir)
            borrowed = (self.git_dir / "borrowed-shallow").read_text()
            return borrowed == tree.shallow and alternates.read_bytes() == (
                os.fsencode(tree.objects) + b"\n"
            )
        except (OSError, TreeError):
            return False

    def _lend(self, tree: Located) -> bool:
        """Let git know the tree's references; False if the mirror is found to be damaged.

        When they have moved, so may have what the mirror borrowed: all that it has
        itself must still be whole down to what the tree has.
        """
        refs = locate(self.git_dir).refs
        before = {name: oid for name, oid in refs.items() if name.startswith(_BORROWED)}
        wanted = {f"{_BORROWED}{oid}": oid for oid in self._present(tree)}
        if before == wanted:
            return True
        lines = [f"delete {name}\n" for name in before if name not in wanted]
        lines += [f"create {name} {oid}\n" for name, oid in wanted.items() if name not in before]
        try:
            git.run(self.git_dir, ["update-ref", "--stdin"], data="".join(lines).encode())
            self._walk()
        except git.LimitError:
            return True  # not found to be damaged
        except git.GitError:
            return False
        return True

    def _present(self, tree: Located) -> list[str]:
        """Ids of the tree's references that are really there, branches first."""
        names = sorted(tree.refs, key=lambda name: name.startswith(_TAGS))
        oids = list(islice(dict.fromkeys(tree.refs[name] for name in names), MAX_BORROWED))
        data = "".join(f"{oid}\n" for oid in oids).encode()
        done = git.run(self.git_dir, ["cat-file", "--batch-check=%(objectname)"], data=data)
        return [oid for oid in done.stdout.decode().splitlines() if _OID.fullmatch(oid)]

    def _walk(self) -> None:
        """Raise :class:`git.GitError` if an object below our references is missing."""
        own = (f"--glob={kind}*" for kind in (_REMOTES, _TAGS, _COMMITS))
        args = ["rev-list", "--objects", "--quiet", *own, "--not", f"--glob={_BORROWED}*"]
        git.run(self.git_dir, args, limits=git.Limits(seconds=CHECK_SECONDS))

    def _is_due(self, name: str, interval: float | None = None) -> bool:
        try:
            age = time.time() - self._stamp(name).stat().st_mtime
        except OSError:
            return True
        # A clock that was set back makes all due.
        return not 0 <= age < (self.remotes[name].interval if interval is None else interval)

    def _stamp(self, name: str) -> Path:
        """A file whose time is that of the remote's last good fetch."""
        return self.git_dir / f"fetched-{name}"

    def _refresh(self, name: str) -> Fetched:
        refspec = f"+refs/heads/*:{_REMOTES}{name}/*"
        # Tags named by --tags are safe from --prune, so one remote leaves another's alone.
        done = self._fetch(name, ["--prune", "--tags"], refspec, FETCH_SECONDS)
        if done.error and _DAMAGE.search(done.error):
            shutil.rmtree(self.git_dir, ignore_errors=True)
            self._mend(locate(self.tree.expanduser()))
            done = self._fetch(name, ["--prune", "--tags"], refspec, FETCH_SECONDS)
        if not done.error:
            self._stamp(name).touch()
        return done

    def _fetch_commit(self, name: str, commit: str, shallow: bool) -> Fetched:
        # On a shallow tree the history below the commit is not there to build on.
        depth = ["--depth=1"] if shallow else []
        refspec = f"{commit}:{_COMMITS}{commit}"
        done = self._fetch(name, [*depth, "--no-tags"], refspec, COMMIT_SECONDS)
        if _REFUSES_IDS in done.error:
            # Anybody can name a commit that is nowhere: that makes no fetch each time.
            whole = self._refresh(name) if self._is_due(name, RECENT_SECONDS) else Fetched(name)
            why = whole.error or "gives no commits by their id, and what was fetched lacks it"
            return Fetched(name, "" if self._has(commit) else why)
        if done.error and _ABSENT.search(done.error):
            return Fetched(name, "does not have it")
        return done

    def _has(self, commit: str) -> bool:
        done = git.run(self.git_dir, ["cat-file", "-e", f"{commit}^{{tree}}"], accept=(0, 1, 128))
        return done.status == 0

    def _fetch(self, name: str, options: list[str], refspec: str, seconds: float) -> Fetched:
        url = self.remotes[name].url
        scheme = urlsplit(url).scheme
        allowed = {scheme} & _SCHEMES
        if scheme == "http":  # may send us to its better self, never the other way about
            allowed.add("https")
        settings = {**_SETTINGS, **{f"protocol.{each}.allow": "always" for each in allowed}}
        args = [*_FETCH, *options, "--", url, refspec]
        limits = git.Limits(seconds=seconds, output=16 << 20)
        try:
            git.run(self.git_dir, args, limits=limits, settings=settings)
        except git.LimitError:
            return Fetched(name, f"did not answer within {seconds:g} seconds")
        except git.GitError as error:
            return Fetched(name, _first_line(error))
        return Fetched(name)

    def _tidy(self) -> None:
        """Keep the number of packs and of single commits in bounds."""
        if len(list((self.git_dir / "objects" / "pack").glob("*.pack"))) > MAX_PACKS:
            args = ["repack", "--geometric=2", "-d", "-l", "-q"]
            with suppress(git.GitError):  # it works as it is, only slower
                git.run(self.git_dir, args, limits=git.Limits(seconds=FETCH_SECONDS))
        single = [name for name in locate(self.git_dir).refs if name.startswith(_COMMITS)]
        if len(single) > MAX_COMMITS:
            data = "".join(f"delete {name}\n" for name in single).encode()
            git.run(self.git_dir, ["update-ref", "--stdin"], data=data)


class _BusyError(MirrorError):
    """Another process holds the lock."""


def _first_line(error: git.GitError) -> str:
    """What git or the remote complained about first, else how git ended."""
    for line in error.stderr.splitlines():
        kind, _, rest = line.partition(": ")
        if kind in ("fatal", "error", "remote error"):
            return "".join(char for char in rest if char.isprintable())[:200].rstrip(".")
    return str(error)
