# SPDX-License-Identifier: GPL-2.0-or-later
"""The program, made to die at a place.

``python -m tests.support.deadly FAULT ARGUMENT…`` is ``reviewbot ARGUMENT…`` with
FAULT, which is ``MODULE.FUNCTION:WHEN:N``: before or after the Nth call of that
function the process kills itself.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

from dbos import DBOS

from reviewbot.cli import main
from reviewbot.service.model import Step

FAULTS = (
    "state.mail.take_in:before:1",
    "state.mail.take_in:after:1",
    "state.reviews.collect:before:1",
    "state.reviews.collect:after:1",
    "state.reviews.queue:before:1",
    "state.reviews.queue:after:1",
    "DBOS.enqueue_workflow:before:1",
    "state.progress.submitted:before:1",
    "state.progress.begin:before:1",
    "state.progress.begin:after:1",
    "state.progress.keep:before:1",
    *["state.progress.keep:after:1"] * (len(Step) - 1),
    "state.progress.finish:before:1",
    "state.progress.finish:after:1",
)
"""Every place between two transactions on a mail's way to its reply."""


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


if __name__ == "__main__":
    arm(sys.argv.pop(1))
    main()
