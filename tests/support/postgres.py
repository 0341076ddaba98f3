# SPDX-License-Identifier: GPL-2.0-or-later
"""A PostgreSQL of one's own: Debian's, on a private socket, without TCP.

Recipe: initdb(1) and postgres(1), version 15.  The server refuses to run as
root, so root hands it to the ``postgres`` user that Debian's package makes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

_START_SECONDS = 60.0
_OWNER = "postgres"


def _bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def available() -> bool:
    """Whether Debian's PostgreSQL server is installed."""
    return _bin() is not None


class Postgres:
    """A server with as many empty databases as asked for.  A context manager."""

    def __init__(self) -> None:
        programs = _bin()
        assert programs is not None
        self._bin = programs
        # Not below pytest's directories: those are root's alone, and too long for a socket.
        self._root = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._server: subprocess.Popen[bytes] | None = None
        self._databases = 0
        if os.geteuid() == 0:
            shutil.chown(self._root, _OWNER, _OWNER)
        options = ("-A", "trust", "-U", _OWNER, "-E", "UTF8", "--locale=C.UTF-8", "-N")
        self._run("initdb", *options, "-D", str(self._root / "data"))

    def _command(self, program: str, *args: str) -> list[str]:
        as_owner = ["runuser", "-u", _OWNER, "--"] if os.geteuid() == 0 else []
        return [*as_owner, str(self._bin / program), *args]

    def _run(self, program: str, *args: str) -> None:
        done = subprocess.run(
            self._command(program, *args), cwd="/", capture_output=True, check=False
        )
        assert done.returncode == 0, (program, done.stderr.decode())

    def start(self) -> None:
        """Start the server, or start it again."""
        settings = (
            "listen_addresses=",
            f"unix_socket_directories={self._root}",
            "fsync=off",
            "shared_buffers=16MB",
            "max_connections=200",
        )
        options = [part for setting in settings for part in ("-c", setting)]
        with (self._root.parent / f"{self._root.name}.log").open("ab") as log:
            self._server = subprocess.Popen(
                self._command("postgres", "-D", str(self._root / "data"), *options),
                cwd="/",
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not (self._root / ".s.PGSQL.5432").exists() or not self._ready():
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            assert self._server.poll() is None, "PostgreSQL ended"
            time.sleep(0.05)

    def _ready(self) -> bool:
        command = self._command("pg_isready", "-q", "-h", str(self._root))
        return subprocess.run(command, cwd="/", check=False).returncode == 0

    def stop(self) -> None:
        """End the server at once; what was committed stays."""
        pid = int((self._root / "data" / "postmaster.pid").read_text().split("\n")[0])
        os.kill(pid, signal.SIGQUIT)
        assert self._server is not None
        self._server.wait()

    def database(self) -> str:
        """The address of a new, empty database."""
        self._databases += 1
        name = f"test{self._databases}"
        self._run("createdb", "-h", str(self._root), "-U", _OWNER, name)
        return f"postgresql://{_OWNER}@/{name}?host={self._root}"

    def __enter__(self) -> Postgres:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None and self._server.poll() is None:
            self.stop()
        shutil.rmtree(self._root)
        self._root.with_name(f"{self._root.name}.log").unlink()
