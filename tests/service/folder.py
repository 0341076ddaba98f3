# SPDX-License-Identifier: GPL-2.0-or-later
"""A source that is a folder of mails, read in the order of their names."""

from __future__ import annotations

import time
from pathlib import Path

from reviewbot.service.model import Arrival, Batch, FailureKind
from reviewbot.service.sources.errors import SourceError


class Folder:
    """New mail is what has a later name; a file ``down`` has the source fail."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path

    def fetch(self, cursor: str | None, limit: int) -> Batch:
        if (self._path / "down").exists():
            raise SourceError("the folder is down", FailureKind.UNREACHABLE)
        files = sorted(self._path.glob("*.eml"))
        new = [file for file in files if file.name > (cursor or "")]
        arrivals = tuple(Arrival(file.read_bytes(), file.name) for file in new[:limit])
        last = arrivals[-1].where if arrivals else cursor or ""
        return Batch(arrivals, last, more=len(new) > limit)

    def wait(self, seconds: float) -> bool:
        time.sleep(min(seconds, 0.2))
        return True

    def close(self) -> None:
        pass
