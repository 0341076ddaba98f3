# SPDX-License-Identifier: GPL-2.0-or-later
"""Saved mail through everything, in a state that is thrown away: what would be sent?

The date is the newest of the mails', standing still, so that the same mail gives
the same replies to the byte.  No network is used, whatever the configuration names:
what servers have today is not what they had.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from reviewbot.config import Config
from reviewbot.config_faces import PatchworkConfig
from reviewbot.config_service import SourceConfig
from reviewbot.errors import UsageError
from reviewbot.series.mailbox import MAX_FILE, to_mbox
from reviewbot.service.headers import Headers
from reviewbot.service.log import Observer
from reviewbot.service.model import Arrival, Batch
from reviewbot.service.serve import Pace, Service
from reviewbot.service.sources.mboxes import entries
from reviewbot.service.state.store import State

NAME = "replay"
_MAX_FILES = 100_000
_PACE = Pace(queue=0.1)
"""Nobody else uses the database: it may be asked often."""


class Saved:
    """A :class:`~reviewbot.service.model.Source` of mail that is all there."""

    name = NAME

    def __init__(self, arrivals: tuple[Arrival, ...]) -> None:
        self.arrivals = arrivals

    def fetch(self, cursor: str | None, limit: int) -> Batch:
        """The next messages; the cursor is their number."""
        begin = int(cursor or 0)
        end = begin + limit
        return Batch(self.arrivals[begin:end], str(end), end < len(self.arrivals))

    def wait(self, seconds: float) -> bool:
        """There is never more."""
        return False

    def close(self) -> None:
        """Nothing is open."""


class StoppedClock:
    """A clock at one date; the time that passes is the machine's."""

    def __init__(self, date: datetime) -> None:
        self._date = date

    def now(self) -> datetime:
        """That date."""
        return self._date

    def monotonic(self) -> float:
        """Seconds, as :func:`time.monotonic` has them."""
        return time.monotonic()


def read_saved(directory: Path) -> Saved:
    """All mail below *directory*: single mails, mboxes and Maildirs, by file name.

    Raises :class:`UsageError` if there is none, or too much.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is no directory: name one with saved mail")
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    if len(files) > _MAX_FILES:
        raise UsageError(f"{directory} holds more than {_MAX_FILES} files: name a smaller one")
    arrivals = tuple(mail for path in files for mail in _mails(path, directory))
    if not arrivals:
        raise UsageError(
            f"{directory} holds no mail: name a directory of mails, mboxes or Maildirs"
        )
    return Saved(arrivals)


def _mails(path: Path, top: Path) -> Iterator[Arrival]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(raw) > MAX_FILE:
        raise UsageError(f"{path} is larger than {MAX_FILE // 2**20} MiB: split it")
    try:
        mbox = to_mbox(raw, str(path))
    except UsageError:
        return  # an index, a lock file, a picture: no mail
    for number, entry in enumerate(entries(io.BytesIO(mbox), str(path)), 1):
        if entry.raw is not None:
            yield Arrival(entry.raw, f"{path.relative_to(top)}:{number}")


def _date(mail: bytes) -> int:
    """When it says it was written, in seconds since 1970; 0 if it does not."""
    return Headers(mail.partition(b"\n\n")[0]).date()


@contextmanager
def scratch(config: Config, saved: Saved, observer: Observer) -> Iterator[tuple[Service, State]]:
    """A service on *saved* alone, with a state that is gone afterwards, and no network.

    A step that fails is not tried again: that would be later, and it never gets later.
    """
    with tempfile.TemporaryDirectory(prefix="reviewbot-replay-") as folder:
        own = replace(config.service, state=Path(folder), database="", wait=0.0, attempts=1)
        own = replace(own, archive="")
        only = {NAME: SourceConfig(kind="mbox")}
        settings = replace(config, service=own, source=only, remote={}, patchwork=PatchworkConfig())
        newest = max(_date(arrival.raw) for arrival in saved.arrivals)
        clock = StoppedClock(datetime.fromtimestamp(newest, UTC))
        with State.open(own.url, clock) as state:
            yield Service(settings, state, [saved], observer, _PACE), state
