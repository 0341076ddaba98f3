# SPDX-License-Identifier: GPL-2.0-or-later
"""A service in a process of its own, which a test may kill wherever it likes.

``machine.py CONFIG serve|once``; with ``FAULT`` in the environment it dies there
(:mod:`tests.support.deadly`).  A file ``clock`` beside CONFIG says by how many seconds the
date is wrong.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path

from reviewbot import config
from reviewbot.service.clock import SystemClock
from reviewbot.service.log import Log
from reviewbot.service.serve import Pace, Service
from reviewbot.service.state.store import State
from tests.service.folder import Folder
from tests.support.deadly import arm

PACE = Pace(queue=0.1, mend=1.0, retry=0.5, beat=0.5, silence=4.0, grace=5.0)


class Skewed(SystemClock):
    """A clock that somebody sets while it runs."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        wrong = float(self._file.read_text()) if self._file.exists() else 0.0
        return super().now() + timedelta(seconds=wrong)


def main() -> None:
    """Entry point."""
    settings = config.load(Path(sys.argv[1]))
    if fault := os.environ.get("FAULT"):
        arm(fault)
    sources = [Folder(name, own.path) for name, own in settings.source.items() if own.path]
    clock = Skewed(Path(sys.argv[1]).with_name("clock"))
    with State.open(settings.service.url, clock) as state:
        service = Service(settings, state, sources, Log(sys.stderr), PACE)
        signal.signal(signal.SIGTERM, lambda *_: service.stop())
        if sys.argv[2] == "once":
            service.run_once()
        else:
            service.run()


if __name__ == "__main__":
    main()
