# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading trees and blobs out of a private repository and what it borrows from.

Bulk reads go through persistent ``git cat-file --batch`` children, pipelined.
Paths are ``str`` with bytes outside UTF-8 surrogate-escaped; ids are full hex.
"""

from __future__ import annotations

import fcntl
import re
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from reviewbot.errors import TreeError
from reviewbot.kernel import git
from reviewbot.kernel.model import TreeChange, TreeEntry

# Requests under way at once. 41 bytes each: even the 4 KiB pipe that Linux gives
# a user with many pipes takes them all, so writing never blocks and no feeding
# thread is needed.
_IN_FLIGHT = 64
_PIPE_SIZE = 1 << 20
_PATHS_PER_CALL = 256  # of 4 KiB at most: half of what Linux takes as arguments
_MAX_OBJECT = 256 << 20

_OID = re.compile(r"[0-9a-f]{40}")
_MAX_PATH = 4096
_PREFIX = re.compile(r"[0-9a-f]{4,40}")
_ENTRY = re.compile(rb"(\d{6}) (?:blob|commit) ([0-9a-f]{40})\t([^\0]+)\0")
_CHANGE = re.compile(rb":(\d{6}) (\d{6}) ([0-9a-f]{40}) ([0-9a-f]{40}) [A-Z]\d*\0([^\0]+)\0")
_ABSENT_MODE = "000000"


class BatchReader:
    """One ``git cat-file --batch`` child that answers for object contents."""

    def __init__(self, git_dir: Path) -> None:
        self._child: subprocess.Popen[bytes] = git.start(git_dir, ["cat-file", "--batch"])
        assert self._child.stdin and self._child.stdout  # noqa: S101 - made by start()
        self._requests = self._child.stdin
        self._answers = self._child.stdout
        with suppress(OSError):  # only fewer task switches; an unprivileged user may be refused
            fcntl.fcntl(self._answers.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_SIZE)

    def contents(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """(name, contents) of each object, in order.

        Raises :class:`TreeError` for a missing object and
        :class:`git.GitError` if the child died.
        """
        waiting: deque[str] = deque()
        source = iter(names)
        while True:
            if len(waiting) <= _IN_FLIGHT // 2:
                fresh = list(islice(source, _IN_FLIGHT - len(waiting)))
                if fresh:
                    self._ask(fresh)
                    waiting.extend(fresh)
            if not waiting:
                return
            yield waiting[0], self._answer(waiting[0])
            waiting.popleft()

    def _ask(self, names: Sequence[str]) -> None:
        for name in names:
            if not _OID.fullmatch(name):
                raise TreeError(f"{name[:80]!r} is not a full object id")
        try:
            self._requests.write(("\n".join(names) + "\n").encode())
            self._requests.flush()
        except BrokenPipeError as error:
            raise git.GitError("git cat-file ended before its time") from error

    def _answer(self, name: str) -> bytes:
        header = self._answers.readline()
        words = header.split()
        if len(words) != 3:
            if words[-1:] == [b"missing"]:
                raise TreeError(f"object {name} is missing: is the tree a partial or broken clone?")
            raise git.GitError(f"git cat-file gave no answer for object {name}")
        size = int(words[2])
        if size > _MAX_OBJECT:
            raise TreeError(f"object {name} has {size} bytes, more than {_MAX_OBJECT}")
        data = self._answers.read(size + 1)
        if len(data) != size + 1:
            raise git.GitError(f"git cat-file broke off within object {name}")
        return data[:-1]

    def close(self) -> None:
        git.stop(self._child)


class ObjectStore:
    """The readable side of a private repository. Not thread safe; one per process is."""

    def __init__(self, git_dir: Path) -> None:
        self.git_dir = git_dir
        self._idle: list[BatchReader] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every child."""
        while self._idle:
            self._idle.pop().close()

    def git(self, *args: str, data: bytes = b"", accept: Sequence[int] = (0,)) -> git.Completed:
        """Run git on this repository with the default limits (:func:`git.run`)."""
        return git.run(self.git_dir, args, data=data, accept=accept)

    def tree_of(self, commit: str) -> str:
        """The tree id of a commit (or tag, or tree) given by its full id.

        Raises :class:`TreeError` if there is no such object.
        """
        ((tree, _),) = self.peel([f"{_full(commit)}^{{tree}}"])
        if tree is None:
            raise TreeError(f"object {commit} is missing or is no commit: is the clone whole?")
        return tree

    def list_tree(self, tree: str) -> Iterator[TreeEntry]:
        """Every file below a tree (a tree's or commit's full id), in git's order."""
        for mode, oid, path in _ENTRY.findall(self.git("ls-tree", "-r", "-z", _full(tree)).stdout):
            yield TreeEntry(_path(path), mode.decode(), oid.decode())

    def lookup(self, tree: str, paths: Iterable[str]) -> dict[str, str]:
        """The blob ids of those ``paths`` that are files in a tree."""
        wanted = {path for path in paths if _can_be_in_a_tree(path)}
        found = {}
        ordered = sorted(wanted)
        for start in range(0, len(ordered), _PATHS_PER_CALL):
            names = ordered[start : start + _PATHS_PER_CALL]
            done = self.git("ls-tree", "-z", _full(tree), "--", *names)
            for _, oid, path in _ENTRY.findall(done.stdout):
                if (name := _path(path)) in wanted:
                    found[name] = oid.decode()
        return found

    def diff_trees(self, before: str, after: str) -> tuple[TreeChange, ...]:
        """The paths that differ between two trees; a rename is a removal and an addition."""
        done = self.git("diff-tree", "-r", "-z", "--no-renames", _full(before), _full(after))
        return tuple(
            TreeChange(
                path=_path(path),
                before=_present(old, mode_old),
                after=_present(new, mode_new),
                mode_before=_present(mode_old, mode_old),
                mode_after=_present(mode_new, mode_new),
            )
            for mode_old, mode_new, old, new, path in _CHANGE.findall(done.stdout)
        )

    def read_blob(self, oid: str) -> bytes:
        """One object's contents. Raises :class:`TreeError` if it is missing."""
        ((_, data),) = self.read_blobs([oid])
        return data

    def read_blobs(self, oids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """(id, contents) of many objects in the order asked for, pipelined.

        Several of these may be under way at once; each has its own child.
        """
        reader = self._idle.pop() if self._idle else BatchReader(self.git_dir)
        whole = False
        try:
            yield from reader.contents(oids)
            whole = True
        finally:
            # Half read, its pipe still holds answers nobody wants.
            if whole:
                self._idle.append(reader)
            else:
                reader.close()

    def find_blob_prefixes(self, prefixes: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The full ids of the blobs here that each abbreviated id may stand for.

        Prefixes of no blob are left out, as are those with fewer than four digits
        and those that are no hex.
        """
        usable = sorted({text for text in prefixes if _PREFIX.fullmatch(text)})
        candidates: list[str] = []
        for start in range(0, len(usable), _PATHS_PER_CALL):
            some = usable[start : start + _PATHS_PER_CALL]
            done = self.git("rev-parse", *(f"--disambiguate={prefix}" for prefix in some))
            candidates += done.stdout.decode().split()
        blobs = [
            oid
            for oid, kind in zip(candidates, self.object_types(candidates), strict=True)
            if kind == "blob"
        ]
        matches = {text: tuple(oid for oid in blobs if oid.startswith(text)) for text in usable}
        return {text: tuple(dict.fromkeys(found)) for text, found in matches.items() if found}

    def object_types(self, names: Sequence[str]) -> list[str | None]:
        """For each object name its type, or None where it names nothing.

        A name is anything git-rev-parse(1) takes, on one line.
        """
        return [kind for _, kind in self.peel(names)]

    def peel(self, names: Sequence[str]) -> list[tuple[str | None, str | None]]:
        """For each object name its full id and type, (None, None) where it names nothing.

        Raises :class:`TreeError` if a name has a line break in it.
        """
        if any("\n" in name for name in names):
            raise TreeError("an object name cannot hold a line break")
        if not names:
            return []
        data = "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")
        done = self.git("cat-file", "--batch-check=%(objectname) %(objecttype)", data=data)
        found: list[tuple[str | None, str | None]] = []
        for line in done.stdout.decode("utf-8", "surrogateescape").splitlines():
            oid, _, kind = line.partition(" ")
            known = _OID.fullmatch(oid) and kind in ("blob", "tree", "commit", "tag")
            found.append((oid, kind) if known else (None, None))
        return found


def _full(oid: str) -> str:
    """The id itself if it is one, so that no option or path gets in its place."""
    if not _OID.fullmatch(oid):
        raise TreeError(f"{oid[:80]!r} is not a full object id")
    return oid


def _can_be_in_a_tree(path: str) -> bool:
    """Whether git takes a path for what it says: it would normalise .., or refuse it."""
    parts = path.split("/")
    return "\0" not in path and len(path) <= _MAX_PATH and not {"", ".", ".."} & set(parts)


def _path(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _present(value: bytes, mode: bytes) -> str | None:
    """git's id or mode as text, None on the side where the file is absent."""
    return None if mode.decode() == _ABSENT_MODE else value.decode()
