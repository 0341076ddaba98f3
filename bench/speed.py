# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure speed and memory of indexing and reviewing a kernel tree.

    python -m bench.speed --tree DIR [--rev REV] [--only ROW]… [--sample N] [--cache DIR]
                          [--cocci PATH] [--cocci-seconds N] [--json]

Prints for each row the figure, the target and where they stand, from one run on one
machine: an index from nothing, an index after a pull of 500 files, a review of one patch
and of forty, the size of the cache; and what the same run needs to read all blobs and
to parse, with tree-sitter alone, the functions that the index parses.  Beside them
Coccinelle looks for one pattern (a grace period awaited between mutex_lock() and
mutex_unlock()) below PATH.  Everything is made in a temporary directory.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.processes import Run, run
from reviewbot.kernel.repository import Repository
from reviewbot.locking import body
from reviewbot.locking.index import sources
from reviewbot.locking.primitives import builtin
from reviewbot.locking.reading import read_facts

MB = 1 << 20
RULE = """\
@r exists@
expression L, S;
position p;
@@
 mutex_lock(L);
 ... when != mutex_unlock(L)
 \\( synchronize_srcu@p(S) \\| synchronize_srcu_expedited@p(S) \\)
 ... when any
 mutex_unlock(L);
@script:python@
p << r.p;
@@
print(f"{p[0].file}:{p[0].line}")
"""


@dataclass(frozen=True)
class Row:
    """One figure."""

    name: str
    value: float
    unit: str
    target: float | None = None
    note: str = ""

    def text(self) -> str:
        goal = f"{self.target:g} {self.unit}" if self.target is not None else "-"
        stand = ""
        if self.target is not None:
            stand = "reached" if self.value <= self.target else f"{self.value / self.target:.1f} x"
        return f"{self.name:52} {self.value:9.2f} {self.unit:3} {goal:>8} {stand:8} {self.note}"


class _TimedParser:
    """tree-sitter's parser with a clock around it."""

    def __init__(self) -> None:
        self._parser = body._PARSER
        self.seconds = 0.0

    def parse(self, text: bytes) -> object:
        start = time.process_time()
        tree = self._parser.parse(text)
        self.seconds += time.process_time() - start
        return tree


class Bench:
    """The rows, on one tree."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self._options = options
        self._work = work
        self._cache: Path = options.cache or work / "cache"
        self._repository = Repository.open(options.tree)
        self._commit = self._repository.resolve(options.rev)
        self._files = sources(self._repository, self._repository.tree_of(self._commit))
        self._random = random.Random(612)  # noqa: S311 - the same files each time
        self.rows: list[Row] = []

    def add(
        self, name: str, value: float, unit: str, target: float | None = None, note: str = ""
    ) -> None:
        self.rows.append(Row(name, value, unit, target, note))
        if not self._options.json:
            print(self.rows[-1].text(), flush=True)

    def _reviewbot(self, *arguments: str, tree: Path | None = None) -> Run:
        place = str(tree or self._options.tree)
        code = "from reviewbot.cli import main; main()"
        command = [sys.executable, "-c", code, *arguments, "--tree", place]
        done = run(command, {"XDG_CACHE_HOME": str(self._cache)})
        if done.status not in (0, 1):
            raise SystemExit(f"reviewbot {' '.join(arguments)} ended with {done.status}")
        return done

    def cold(self) -> None:
        """Everything from nothing, and what the least of it costs."""
        start = time.perf_counter()
        before = _cpu()
        size = sum(len(text) for _, text in self._repository.read_blobs(self._files.values()))
        wall = time.perf_counter() - start
        self._repository.close()  # so that git's own time is counted
        blobs = _cpu() - before
        self._repository = Repository.open(self._options.tree)
        self.add("reading all blobs, one process", wall, "s", note=f"{size / MB:.0f} MB")
        parse = self._parse_alone()
        self.add("tree-sitter alone on the functions it parses", parse, "s", note="CPU")
        if self._options.cache is None:
            self._cache = self._work / "cold"
        done = self._reviewbot("index", "--rev", self._commit)
        self.add("cold index of the whole tree", done.wall, "s", 60, f"{done.cpu:.0f} s CPU")
        ratio = done.cpu / (parse + blobs)
        self.add("its CPU : parsing and reading blobs alone", ratio, "x", 3)
        self.add("its peak memory, all processes", done.peak, "MB")

    def _parse_alone(self) -> float:
        """CPU seconds of the parser, from every n-th file."""
        paths = sorted(self._files)[:: self._options.sample]
        timed = _TimedParser()
        body._PARSER = timed  # type: ignore[assignment]
        try:
            for _, text in self._repository.read_blobs([self._files[path] for path in paths]):
                read_facts(text, builtin().flow_names)
        finally:
            body._PARSER = timed._parser
        return timed.seconds * self._options.sample

    def disk(self) -> None:
        """What the cache takes."""
        if not self._cache.exists():
            self._reviewbot("index", "--rev", self._commit)
        used = sum(path.stat().st_size for path in self._cache.rglob("*") if path.is_file())
        self.add("cache on disk, one tree", used / MB, "MB", 500)

    def warm(self) -> None:
        """Reviews of patches to files that take mutexes."""
        self._reviewbot("index", "--rev", self._commit)
        for count, target in ((1, 2.0), (40, 10.0)):
            series = self._series(count)
            arguments = ("review", str(series), "--base", self._commit)
            self._reviewbot(*arguments)  # the pages of the store are read once
            done = self._reviewbot(*arguments)
            name = "warm review of a one-file patch" if count == 1 else f"{count}-patch series"
            self.add(name, done.wall, "s", target, f"{done.cpu:.1f} s CPU")
            self.add("  its peak memory", done.peak, "MB", 1024 if count == 1 else None)

    def _texts(self, count: int) -> Iterator[tuple[str, str]]:
        """(path, text) of files that take mutexes, in a fixed random order."""
        paths = sorted(path for path in self._files if path.endswith(".c"))
        self._random.seed(612)
        self._random.shuffle(paths)
        found = 0
        for path in paths:
            data = self._repository.read_blob(self._files[path])
            if found < count and b"\tmutex_unlock(" in data and data.isascii():
                found += 1
                yield path, data.decode()

    def _series(self, count: int) -> Path:
        """A series that takes and gives a lock once more in each of *count* files."""
        mails: list[str] = []
        for number, (path, text) in enumerate(_take(self._texts(count), count), 1):
            lines = text.splitlines(keepends=True)
            place = next(n for n, line in enumerate(lines) if "\tmutex_unlock(" in line)
            line = lines[place]
            again = [line, line.replace("mutex_unlock", "mutex_lock"), line]
            new = lines[:place] + again + lines[place + 1 :]
            diff = "".join(difflib.unified_diff(lines, new, f"a/{path}", f"b/{path}"))
            mails.append(
                f"From {self._commit} Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\n"
                f"Date: Mon, 6 Jan 2025 10:00:{number:02} +0000\n"
                f"Message-ID: <{number}@bench.example>\n"
                f"Subject: [PATCH {number}/{count}] bench: take a lock twice ({number})\n"
                + ("In-Reply-To: <1@bench.example>\n" if number > 1 else "")
                + f"\nBench.\n\nSigned-off-by: A <a@example.org>\n---\ndiff --git a/{path} b/{path}"
                f"\n{diff}--\n2.39.0\n\n"
            )
        place_ = self._work / f"series-{count}.mbox"
        place_.write_text("".join(mails))
        return place_

    def pull(self) -> None:
        """500 files with one more function each, in a clone that borrows the tree's objects."""
        self._reviewbot("index", "--rev", self._commit)
        clone = self._work / "clone.git"
        git = ["git", "-c", "gc.auto=0"]
        source = ["--shared", "--bare", "--quiet", str(self._options.tree), str(clone)]
        subprocess.run([*git, "clone", *source], check=True)
        paths = sorted(path for path in self._files if path.endswith(".c"))
        self._random.seed(500)
        script = [f"commit refs/heads/pulled\ncommitter A <a@example.org> 1 +0000\ndata 2\nx\n"
                  f"from {self._commit}\n".encode()]  # fmt: skip
        for path in self._random.sample(paths, 500):
            text = self._repository.read_blob(self._files[path])
            text += (
                b"\nstatic int bench_added(struct mutex *m)\n{\n\tmutex_lock(m);\n\treturn 0;\n}\n"
            )
            script.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(text), text))
        command = [*git, "--git-dir", str(clone), "fast-import", "--quiet"]
        subprocess.run(command, input=b"".join(script), check=True)
        done = self._reviewbot("index", "--rev", "pulled", tree=clone)
        self.add(
            "index after a pull of 500 changed files", done.wall, "s", 5, f"{done.cpu:.1f} s CPU"
        )

    def cocci(self) -> None:
        """One pattern, by Coccinelle below a directory and by us on the whole tree."""
        spatch = shutil.which("spatch")
        if spatch is None or self._options.cocci is None:
            return
        rule = self._work / "rule.cocci"
        rule.write_text(RULE)
        place = self._options.tree / self._options.cocci
        command = [spatch, "--very-quiet", "--no-includes", "-j", str(os.cpu_count() or 1),
                   "--sp-file", str(rule), "--dir", str(place)]  # fmt: skip
        done = run(command, {}, self._options.cocci_seconds)
        size = sum(path.stat().st_size for path in place.rglob("*.c")) / MB
        ended = "" if done.status == 0 else f"stopped (status {done.status}), "
        note = f"{ended}{len(set(done.out.split()))} places, {size:.1f} MB, {done.cpu:.0f} s CPU"
        self.add(f"spatch, one rule, {self._options.cocci}", done.wall, "s", note=note)


def _take(items: Iterator[tuple[str, str]], count: int) -> Iterator[tuple[str, str]]:
    for _, item in zip(range(count), items, strict=False):
        yield item


def _cpu() -> float:
    """CPU seconds of this process and the children that have ended."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


ROWS: dict[str, Callable[[Bench], None]] = {
    "cold": Bench.cold,
    "disk": Bench.disk,
    "warm": Bench.warm,
    "pull": Bench.pull,
    "cocci": Bench.cocci,
}


@contextmanager
def _work() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="reviewbot-bench-") as name:
        yield Path(name)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tree", type=Path, required=True, metavar="DIR")
    parser.add_argument("--rev", default="HEAD")
    parser.add_argument("--only", action="append", choices=[*ROWS], help="rows to measure")
    parser.add_argument("--sample", type=int, default=10, metavar="N",
                        help="parse every Nth file for the baseline")  # fmt: skip
    parser.add_argument("--cache", type=Path, metavar="DIR",
                        help="keep the cache here (empty for a cold index)")  # fmt: skip
    parser.add_argument("--cocci", metavar="PATH", help="directory of the tree for Coccinelle")
    parser.add_argument("--cocci-seconds", type=float, default=600, metavar="N")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with _work() as work:
        bench = Bench(options, work)
        for name, measure in ROWS.items():
            if not options.only or name in options.only:
                measure(bench)
    if options.json:
        print(json.dumps({"schema": "reviewbot.speed/1", "cpus": os.cpu_count(),
                          "rows": [asdict(row) for row in bench.rows]}, indent=1))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
