# SPDX-License-Identifier: GPL-2.0-or-later
"""Transports without a network of their own: a directory, and a sendmail command."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from urllib.parse import quote

from reviewbot.report.clean import one_line
from reviewbot.service.model import Fate
from reviewbot.service.posting.parcel import Answers, Lost, Parcel, Proceed, Withheld, all_of

_SECONDS = 300.0
_EX_USAGE, _EX_TEMPFAIL, _EX_MAX = 64, 75, 78
"""Exit statuses of mail programs (sysexits.h)."""


class Directory:
    """A file for each mail, named after its Message-ID; nobody gets any."""

    reaches_people = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def holds(self, message_id: str) -> bool | None:
        """A file is there whole or not at all."""
        return self._file(message_id).exists()

    def send(self, parcel: Parcel, proceed: Proceed) -> Answers:
        """Write the file."""
        if why := proceed({}):
            raise Withheld(why)
        file = self._file(parcel.message_id)
        part = file.with_suffix(f".{os.getpid()}.part")
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as opened:
                opened.write(parcel.mail)
                opened.flush()
                os.fsync(opened.fileno())
            part.replace(file)
        except OSError as error:
            part.unlink(missing_ok=True)
            return all_of(parcel.recipients, Fate.DEFERRED, f"{file}: {error.strerror}")
        return all_of(parcel.recipients, Fate.TAKEN, f"written to {file}")

    def _file(self, message_id: str) -> Path:
        return self._path / f"{quote(message_id, safe='@+=')[:200]}.eml"


class Sendmail:
    """A command that takes a mail as sendmail(8) does."""

    reaches_people = True

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command

    def holds(self, message_id: str) -> bool | None:
        """Its queue is its own."""
        return None

    def send(self, parcel: Parcel, proceed: Proceed) -> Answers:
        """Run it once: what it says counts for everybody."""
        if why := proceed({}):
            raise Withheld(why)
        envelope = ("-i", "-f", parcel.sender or "<>", "--", *parcel.recipients)
        name = Path(self._command[0]).name
        try:
            done = subprocess.run(
                (*self._command, *envelope),
                input=parcel.mail,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Lost(f"{name} did not end in {_SECONDS:.0f} seconds", {}) from error
        except OSError as error:
            return all_of(parcel.recipients, Fate.DEFERRED, f"{name}: {error.strerror}")
        said = one_line(f"{name}: {done.stderr[:2000].decode('utf-8', 'replace')}", 200)
        if done.returncode == 0:
            return all_of(parcel.recipients, Fate.TAKEN, name)
        if done.returncode == _EX_TEMPFAIL:
            return all_of(parcel.recipients, Fate.DEFERRED, said)
        if _EX_USAGE <= done.returncode <= _EX_MAX:
            return all_of(parcel.recipients, Fate.REFUSED, said)
        raise Lost(f"{said} (status {done.returncode})", {})
