#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Send many letters to a server that fails at random, by senders that die at random.

    bench/once.py [COUNT [DATABASE]]

Exit status 1 if a recipient got a letter twice, or a letter's state is not what
the server has.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.service.posting import chaos


def main() -> None:
    """Entry point."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as root:
        database = sys.argv[2] if len(sys.argv) > 2 else f"sqlite:///{root}/state.sqlite"
        began = time.monotonic()
        figures = chaos.run(database, count, seed=1)
        seconds = time.monotonic() - began
    states = ", ".join(f"{number} {state}" for state, number in sorted(figures.states.items()))
    print(f"{count} letters in {seconds:.0f} s: {states}")
    print(f"{figures.faults} faults of the server, {figures.deaths} senders killed")
    print(f"{figures.delivered} deliveries, {figures.twice} twice, {len(figures.wrong)} wrong")
    for line in figures.wrong[:20]:
        print(line)
    sys.exit(bool(figures.twice or figures.wrong))


if __name__ == "__main__":
    main()
