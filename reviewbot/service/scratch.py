# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a service keeps what is only for the moment, so that a killed one's is found.

``TMPDIR/reviewbot-service-ID`` is the temporary directory of all that the service with
that name starts.  It goes with the service, or when the next one finds it left.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from reviewbot.errors import ServiceError

_PREFIX = "reviewbot-service-"


@contextmanager
def scratch(name: str, alive: Collection[str]) -> Iterator[Path]:
    """Have ``TMPDIR`` lead to a directory of our own; remove those of services not ``alive``.

    Raises :class:`ServiceError` if none can be made.
    """
    own = Path(tempfile.gettempdir()) / f"{_PREFIX}{name}"
    sweep(own.parent, alive)
    try:
        own.mkdir(mode=0o700)
    except OSError as error:
        raise ServiceError(f"{own} cannot be made ({error.strerror}): set TMPDIR") from error
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = str(own)
    try:
        yield own
    finally:
        _restore(*before)
        shutil.rmtree(own, ignore_errors=True)


def sweep(top: Path, alive: Collection[str]) -> None:
    """Remove what services that have died left in a directory."""
    for left in top.glob(f"{_PREFIX}*"):
        if left.name.removeprefix(_PREFIX) not in alive:
            shutil.rmtree(left, ignore_errors=True)


def _restore(variable: str | None, directory: str | None) -> None:
    tempfile.tempdir = directory
    if variable is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = variable
