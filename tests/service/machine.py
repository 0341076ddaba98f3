# SPDX-License-Identifier: GPL-2.0-or-later
"""A service in a process of its own, which a test may kill wherever it likes.

``machine.py CONFIG serve|once``.  ``FAULT`` in the environment is ``MODULE.FUNCTION:WHEN:N``:
before or after the Nth call of that function the process kills itself.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from dbos import DBOS

from reviewbot import config
from reviewbot.service.log import Log
from reviewbot.service.serve import Pace, Service
from reviewbot.service.state.store import State
from tests.service.folder import Folder

PACE = Pace(queue=0.1, beat=0.5, silence=4.0, grace=5.0)


def arm(fault: str) -> None:
    """Have this process die at a place."""
    place, when, count = fault.split(":")
    name, _, function = place.rpartition(".")
    module: Any = DBOS if name == "DBOS" else importlib.import_module(f"reviewbot.service.{name}")
    real = getattr(module, function)
    left = int(count)

    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(module, function, deadly)


def main() -> None:
    """Entry point."""
    settings = config.load(Path(sys.argv[1]))
    if fault := os.environ.get("FAULT"):
        arm(fault)
    sources = [Folder(name, own.path) for name, own in settings.source.items() if own.path]
    with State.open(settings.service.url) as state:
        service = Service(settings, state, sources, Log(sys.stderr), PACE)
        signal.signal(signal.SIGTERM, lambda *_: service.stop())
        if sys.argv[2] == "once":
            service.run_once()
        else:
            service.run()


if __name__ == "__main__":
    main()
