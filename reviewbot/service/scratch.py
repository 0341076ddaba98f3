# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a service keeps what is only for the moment, so that a killed one's is found.

``TMPDIR/reviewbot-service-ID`` is the temporary directory of all that the service with
that name starts.  It goes with the service, or when another one finds it left: the
service, and whatever it has started, holds a lock on the file beside it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from reviewbot.errors import ServiceError

_PREFIX = "reviewbot-service-"
_LOCK = ".lock"


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Have ``TMPDIR`` lead to a directory of our own; remove those of services that died.

    Raises :class:`ServiceError` if none can be made.
    """
    top = Path(tempfile.gettempdir())
    sweep(top)
    own = top / f"{_PREFIX}{name}"
    with _hold(own), _leading_to(own):
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)
            _lock_of(own).unlink(missing_ok=True)


def sweep(top: Path) -> None:
    """Remove what services that have died left in a directory."""
    for path in top.glob(f"{_PREFIX}*{_LOCK}"):
        with suppress(OSError), path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.with_name(path.name.removesuffix(_LOCK)), ignore_errors=True)
            path.unlink()


def _lock_of(directory: Path) -> Path:
    return directory.with_name(directory.name + _LOCK)


def _hold(directory: Path) -> TextIO:
    """Make a directory, and hold its lock until the file that is returned is closed."""
    try:
        lock = _lock_of(directory).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        directory.mkdir(mode=0o700)
    except OSError as error:
        raise ServiceError(f"{directory} cannot be made ({error.strerror}): set TMPDIR") from error
    return lock


@contextmanager
def _leading_to(directory: Path) -> Iterator[None]:
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = str(directory)
    try:
        yield
    finally:
        _restore(*before)


def _restore(variable: str | None, directory: str | None) -> None:
    tempfile.tempdir = directory
    if variable is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = variable
