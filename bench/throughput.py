# SPDX-License-Identifier: GPL-2.0-or-later
"""How many series an hour, at which cost: a day of mail through `reviewbot poll`.

    python -m bench.throughput [--series N] [--tree DIR [--cache DIR]] [--workers N]… [--seed N]
                               [--json]

Generated threads of every shape, with N series among them, are served by public-inbox
on loopback; one pass of the program takes them in and reviews them, once for each
number of workers.  Without --tree they are for the sample tree, which is read at the
start; with it for that kernel, whose cache should be warm (`reviewbot index`).
Everything is counted: the program's start, the clone of the list, the children.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.processes import run
from reviewbot.kernel.repository import Repository
from reviewbot.service.model import ReviewState
from tests.support.patches import EVENTFD, IRQCHIP, Files
from tests.support.program import PROGRAM, Kernel, environment, sample_files
from tests.support.public_inbox import PublicInbox
from tests.support.storm import LISTS, Storm
from tests.support.threads import SHAPES, Thread, threads

SAMPLE = Path(__file__).resolve().parent.parent / "sample_patches"


@dataclass(frozen=True)
class Row:
    """One pass."""

    workers: int
    mails: int
    series: int
    """Versions that came."""
    reviewed: int
    failed: int
    wall: float
    cpu: float
    peak: float
    """MiB of all processes."""

    def text(self) -> str:
        each = max(1, self.reviewed)
        return (
            f"{self.workers} workers: {self.mails} mails, {self.series} series, {self.reviewed}"
            f" reviewed, {self.failed} failed in {self.wall:.0f} s:"
            f" {3600 * each / self.wall:.0f} an hour; each {self.wall / each:.2f} s,"
            f" {self.cpu / each:.2f} s CPU; peak {self.peak:.0f} MB"
        )


def of_series(count: int, seed: int, files: Files) -> list[Thread]:
    """Threads with so many series among them."""
    found: list[Thread] = []
    missing = count
    for thread in threads(count * 2 + len(SHAPES), seed, files):
        if missing <= 0:
            break
        found.append(thread)
        missing -= len(thread.versions)
    return found


def measure(storm: Storm, given: Sequence[Thread], workers: int) -> Row:
    """One pass over all mail."""
    command = [str(PROGRAM), "poll", "--config", str(storm.config)]
    done = run(command, environment(**storm.home), 24 * 3600)
    if done.status:
        raise SystemExit(f"reviewbot poll ended with {done.status}")
    seen = storm.overview()
    return Row(
        workers=workers,
        mails=sum(seen.messages.values()),
        series=sum(len(thread.versions) for thread in given),
        reviewed=seen.reviews.get(ReviewState.DONE, 0),
        failed=seen.reviews.get(ReviewState.FAILED, 0),
        wall=round(done.wall, 1),
        cpu=round(done.cpu, 1),
        peak=round(done.peak),
    )


def files_of(tree: Path) -> Files:
    """What the generated patches change."""
    with Repository.open(tree) as repository:
        root = repository.tree_of(repository.resolve("HEAD"))
        wanted = {EVENTFD, IRQCHIP}
        found = {entry.path: entry.blob for entry in repository.list_tree(root)}
        return {path: repository.read_blob(found[path]).decode() for path in sorted(wanted)}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--series", type=int, default=1000, metavar="N")
    parser.add_argument("--tree", type=Path, metavar="DIR")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="a warm one, for --tree")
    parser.add_argument("--workers", type=int, action="append", metavar="N", help="1 and 2")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    files = files_of(options.tree) if options.tree else sample_files(SAMPLE)
    given = of_series(options.series, options.seed, files)
    rows = []
    with tempfile.TemporaryDirectory(prefix="reviewbot-throughput-") as name:
        root = Path(name)
        tree = options.tree or Kernel.make(root / "linux", files).path
        with PublicInbox(root / "inbox", LISTS) as inbox:
            for workers in options.workers or (1, 2):
                own = {"workers": str(workers)}
                storm = Storm(root / str(workers), tree.resolve(), inbox, own, options.cache)
                if not rows:
                    storm.post(given, options.seed)
                rows.append(measure(storm, given, workers))
                if not options.json:
                    print(rows[-1].text(), flush=True)
    if options.json:
        print(json.dumps({"schema": "reviewbot.throughput/1", "cpus": os.cpu_count(),
                          "rows": [asdict(row) for row in rows]}, indent=1))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
