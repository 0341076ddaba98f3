# SPDX-License-Identifier: GPL-2.0-or-later
"""Find a repository's objects and references by reading plain files.

git is not asked, because git run inside a repository obeys that repository's
configuration.  Known layouts (gitrepository-layout(5)): a checkout with a
``.git`` directory or file, a linked worktree with its ``commondir``, a bare
repository.  The reference files are read as a snapshot; reftable and SHA-256
repositories are told apart and refused with a clear sentence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reviewbot.errors import TreeError

MAX_SMALL = 1 << 16
MAX_PACKED_REFS = 256 << 20
MAX_LOOSE_REFS = 200_000
MAX_SYMREF_DEPTH = 5

_OID = re.compile(r"[0-9a-f]{40}\b")
_PACKED = re.compile(r"^([0-9a-f]{40}) (refs/.+)$", re.MULTILINE)
# git-check-ref-format(1), a little stricter.
_REF = re.compile(r"refs(?:/(?!\.)[^\x00-\x20\x7f~^:?*\[\\/]+(?<!\.lock)(?<!\.))+")
_SHA256 = re.compile(r"^\s*objectformat\s*=\s*\"?sha256", re.MULTILINE | re.IGNORECASE)
_PSEUDO_REFS = ("ORIG_HEAD", "FETCH_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD")


@dataclass(frozen=True, slots=True)
class Located:
    """Where a repository keeps its objects, and what its references were."""

    objects: Path
    """Absolute path of the object directory; may have alternates of its own."""
    refs: dict[str, str]
    """Full reference name to object id; symbolic references are followed."""
    head: str | None
    """What HEAD says: a reference name (born or not) or an object id."""
    pseudo: dict[str, str]
    """FETCH_HEAD and its like to the first object id in them."""
    shallow: str
    """The ``shallow`` file: commits whose parents were not fetched, one id a line."""
    more: tuple[Path, ...] = ()
    """Object directories beside :attr:`objects`."""


def locate(path: Path) -> Located:
    """Read the layout and references of the repository at ``path``.

    ``path`` is the top of a checkout, a linked worktree, a bare repository or a
    ``.git`` directory; parent directories are not searched.

    Raises :class:`TreeError` if it is none of these, or of a kind git 2.39 or
    this program cannot read.
    """
    git_dir = _git_dir(path)
    common = git_dir
    if (git_dir / "commondir").is_file():
        common = git_dir / _read(git_dir / "commondir").strip()
    objects = Path(os.path.realpath(common / "objects"))
    if not objects.is_dir() or b"\n" in os.fsencode(objects):
        raise TreeError(f"{path} has no usable object directory ({objects}): is the clone whole?")
    if (common / "reftable").is_dir():
        raise TreeError(f"{path} keeps its references as reftable, which is not supported yet")
    if _SHA256.search(_read(common / "config")):
        raise TreeError(f"{path} is a SHA-256 repository; only SHA-1 ones are supported")
    refs = _references(common)
    head = _read(git_dir / "HEAD").strip().removeprefix("ref:").strip()
    pseudo = {}
    for name in _PSEUDO_REFS:
        if found := _OID.match(_read(git_dir / name)):
            pseudo[name] = found[0]
    return Located(
        objects=objects,
        refs=refs,
        head=head if _REF.fullmatch(head) or _OID.fullmatch(head) else None,
        pseudo=pseudo,
        shallow="".join(f"{oid}\n" for oid in _OID.findall(_read(common / "shallow", 1 << 24))),
    )


def _git_dir(path: Path) -> Path:
    """The git directory of a checkout, worktree or bare repository."""
    if not path.exists():
        raise TreeError(f"{path} does not exist: name the top of a kernel checkout")
    dotgit = path / ".git"
    candidates = [dotgit, path]
    if dotgit.is_file():
        text = _read(dotgit)
        if not text.startswith("gitdir:"):
            raise TreeError(f"{dotgit} is a file that names no git directory")
        candidates = [path / text.removeprefix("gitdir:").strip()]
    for candidate in candidates:
        if (candidate / "HEAD").is_file() and (
            (candidate / "objects").is_dir() or (candidate / "commondir").is_file()
        ):
            return candidate
    raise TreeError(f"{path} is not a git repository: name the top of a kernel checkout")


def _read(path: Path, limit: int = MAX_SMALL) -> str:
    """A small regular file's text; empty if there is none."""
    if not path.is_file():  # also keeps a named pipe from blocking us
        return ""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise TreeError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > limit:
        raise TreeError(f"{path} is larger than {limit} bytes")
    return data.decode("utf-8", "surrogateescape")


def _references(common: Path) -> dict[str, str]:
    """Every reference with the object id it ends at, loose ones over packed ones."""
    raw = {
        found[2]: found[1]
        for found in _PACKED.finditer(_read(common / "packed-refs", MAX_PACKED_REFS))
        if _REF.fullmatch(found[2])
    }
    raw.update(_loose(common))
    refs = {}
    for name in raw:
        if oid := _follow(raw, name):
            refs[name] = oid
    return refs


def _loose(common: Path) -> Iterator[tuple[str, str]]:
    """Loose reference files: their name, and an object id or another name."""
    count = 0
    for folder, _, files in os.walk(common / "refs"):
        for file in files:
            path = Path(folder, file)
            name = path.relative_to(common).as_posix()
            if not _REF.fullmatch(name):
                continue  # a lock file, or nothing git would accept
            count += 1
            if count > MAX_LOOSE_REFS:
                raise TreeError(f"{common} has more than {MAX_LOOSE_REFS} loose references")
            yield name, _read(path).strip()


def _follow(raw: dict[str, str], name: str) -> str | None:
    """The object id a reference ends at; None for a broken or endless one."""
    for _ in range(MAX_SYMREF_DEPTH):
        value = raw.get(name, "")
        if _OID.fullmatch(value):
            return value
        if not value.startswith("ref:"):
            return None
        name = value.removeprefix("ref:").strip()
    return None
