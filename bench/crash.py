# SPDX-License-Identifier: GPL-2.0-or-later
"""Kill the service at every step boundary and at random moments: is anything lost or done twice?

    python -m bench.crash [--threads N] [--rounds N] [--kills N] [--seed N] [--dir DIR] [--json]

A list of N generated threads, of every shape, is served by public-inbox on loopback.
`reviewbot serve` follows it and is ended with SIGKILL: in each round once before or
after every transaction on a mail's way to its reply, then at N random moments.  The
threads arrive meanwhile, a few before each of its lives.  Then it may finish, and the
state must hold each series' review once, with the verdict that the thread was made
for, its hazards and its reply once, and every mail.  Exit status 1 if it does not.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.support.deadly import FAULTS
from tests.support.program import Kernel, sample_files
from tests.support.public_inbox import PublicInbox
from tests.support.storm import LISTS, Storm
from tests.support.threads import Thread, threads

SAMPLE = Path(__file__).resolve().parent.parent / "sample_patches"
SHORTEST, LONGEST = 0.2, 4.0
"""Seconds of a life before a random kill, counted from its start or from when it works."""
_REACHED = 60.0
"""Seconds in which a step boundary comes; if it does not the service is killed as it is."""


@dataclass
class Figures:
    """What was done, and what came of it."""

    threads: int = 0
    mails: int = 0
    at_boundaries: int = 0
    not_reached: int = 0
    at_random: int = 0
    while_starting: int = 0
    """Of those at random: kills before the service had said that it works."""
    series: int = 0
    reviews_done: int = 0
    replies: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def crash(
    root: Path, given: Sequence[Thread], faults: Sequence[str], kills: int, seed: int
) -> Figures:
    """Kill a service that follows these threads, then let it finish and judge."""
    began = time.monotonic()
    choose = random.Random(seed)  # noqa: S311 - the same moments each time
    kernel = Kernel.make(root / "linux", sample_files(SAMPLE))
    figures = Figures(threads=len(given), mails=sum(len(each.mails) for each in given))
    with PublicInbox(root / "inbox", LISTS) as inbox:
        storm = Storm(root / "storm", kernel.path, inbox)
        waves = _waves(given, len(faults) + max(1, kills // 2))
        for fault in faults:
            storm.post(next(waves, ()), seed)
            _kill_there(storm, fault, figures)
        for _ in range(kills):
            storm.post(next(waves, ()), seed)
            _kill_soon(storm, choose, figures)
        for wave in waves:
            storm.post(wave, seed)
        storm.finish(120 + 10 * len(given))
    seen = storm.overview()
    figures.series = len(list(storm.versions))
    figures.reviews_done = sum(seen.verdicts.values())
    figures.replies = sum(seen.outbox.values())
    figures.wrong = storm.judge()
    figures.seconds = round(time.monotonic() - began)
    return figures


def _waves(given: Sequence[Thread], count: int) -> Iterator[Sequence[Thread]]:
    """The threads in so many parts of about one size, none of them empty."""
    size = -(-len(given) // count)
    return (given[at : at + size] for at in range(0, len(given), size))


def _kill_there(storm: Storm, fault: str, figures: Figures) -> None:
    """Let the service die at a boundary."""
    process = storm.start(fault=fault)
    try:
        process.wait(_REACHED)
    except subprocess.TimeoutExpired:
        figures.not_reached += 1
    figures.at_boundaries += 1
    process.kill()
    process.wait()


def _kill_soon(storm: Storm, choose: random.Random, figures: Figures) -> None:
    """Kill the service a moment after its start, or after it has begun to work."""
    process = storm.start()
    if choose.random() < 0.7:
        storm.says("service.started", process, _REACHED)
    time.sleep(choose.uniform(SHORTEST, LONGEST))
    figures.at_random += 1
    figures.while_starting += not storm.says("service.started", process, 0)
    if process.poll() is not None:
        status = process.returncode
        raise SystemExit(f"the service ended by itself ({status}):\n{storm.log()[-4000:]}")
    process.kill()
    process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=200, metavar="N")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="over all boundaries")
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="at random moments")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="work there, and keep it")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    given = threads(options.threads, options.seed, sample_files(SAMPLE))
    with tempfile.TemporaryDirectory(prefix="reviewbot-crash-") as own:
        root = options.dir or Path(own)
        figures = crash(root, given, FAULTS * options.rounds, options.kills, options.seed)
    if options.json:
        print(json.dumps({"schema": "reviewbot.crash/1", **asdict(figures)}, indent=1))
    else:
        for name, value in asdict(figures).items():
            if name != "wrong":
                print(f"{name.replace('_', ' '):20} {value}")
        print("\n".join(figures.wrong) or "each series once, each reply once, nothing lost")
    return 1 if figures.wrong or figures.not_reached else 0


if __name__ == "__main__":
    sys.exit(main())
