# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benches that edit a real kernel share: where locks are taken, and trees with an edit."""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reviewbot.kernel import git
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.locking.facts import Function
from reviewbot.locking.index import sources

DIRECTORIES = ("drivers/", "fs/", "net/", "sound/", "kernel/", "block/", "mm/", "virt/", "arch/")
PAIRS = {
    "mutex_lock": "mutex_unlock",
    "spin_lock": "spin_unlock",
    "spin_lock_irq": "spin_unlock_irq",
    "spin_lock_bh": "spin_unlock_bh",
    "spin_lock_irqsave": "spin_unlock_irqrestore",
    "down_read": "up_read",
    "down_write": "up_write",
    "srcu_read_lock": "srcu_read_unlock",
}
_LINE = re.compile(r"^(\t+)(?:\w+ = )?(\w+)\((.*)\);$")


@dataclass(frozen=True)
class Call:
    """A call that is a line of its own."""

    row: int
    """0-based, in the file."""
    indent: str
    name: str
    args: str

    @property
    def lock(self) -> str:
        """The lock argument, without the flags of the irqsave variants."""
        return self.args.split(",")[0].strip()


@dataclass(frozen=True)
class Source:
    """A file being looked at, and how its locks are called."""

    path: str
    lines: tuple[str, ...]
    classify: Callable[[str, Function], str]

    def calls(self, function: Function) -> list[Call]:
        """The calls that fill a line each, in a function."""
        out: list[Call] = []
        for row in range(function.line - 1, min(function.end, len(self.lines))):
            match = _LINE.match(self.lines[row])
            if match is not None and match[3].count("(") == match[3].count(")"):
                out.append(Call(row, match[1], match[2], match[3]))
        return out

    def body(self, function: Function) -> str:
        return "\n".join(self.lines[function.line - 1 : function.end])

    def without(self, row: int) -> str:
        return "\n".join((*self.lines[:row], *self.lines[row + 1 :]))

    def with_lines(self, changed: dict[int, str]) -> str:
        return "\n".join(changed.get(row, line) for row, line in enumerate(self.lines))


class Index:
    """Writes trees that differ from one tree in a single file."""

    def __init__(self, scratch: Scratch, tree: str) -> None:
        self._scratch = scratch
        self._run("read-tree", tree)

    def tree_with(self, path: str, text: str) -> str:
        """The tree with *path* replaced."""
        before = self._run("ls-files", "-s", "--", path).split()[:2]
        blob = self._run("hash-object", "-w", "--stdin", data=text.encode("latin-1"))
        self._run("update-index", "--cacheinfo", f"100644,{blob},{path}")
        tree = self._run("write-tree")
        self._run("update-index", "--cacheinfo", f"{before[0]},{before[1]},{path}")
        return tree

    def _run(self, *args: str, data: bytes = b"") -> str:
        done = git.run(self._scratch.git_dir, list(args), data=data, index=self._scratch.index)
        return done.stdout.decode().strip()


def takers(repository: Repository, tree: str, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """(path, text) of the source files that take locks, in an order of *chance*."""
    files = {
        path: blob
        for path, blob in sources(repository, tree).items()
        if path.endswith(".c") and path.startswith(DIRECTORIES) and "/selftest" not in path
    }
    paths = sorted(files)
    chance.shuffle(paths)
    for path in paths:
        text = repository.read_blob(files[path])
        if any(word in text for word in (b"_lock(", b"down_write(", b"down_read(")):
            yield path, text


def options_of(doc: str | None, kinds: Iterable[str], count: int) -> argparse.Namespace:
    """The command line of such a bench; without ``--kind`` all of *kinds* are meant."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tree", type=Path, required=True, metavar="DIR")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/reviewbot").expanduser())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--kind", action="append", choices=sorted(kinds))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.kind = options.kind or list(kinds)
    return options
