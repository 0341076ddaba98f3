# SPDX-License-Identifier: GPL-2.0-or-later
"""A lore of one's own: Debian's public-inbox on loopback, and b4 pointed at it.

Recipe: public-inbox-init(1), public-inbox-mda(1), public-inbox-extindex(1) and
public-inbox-httpd(1), version 1.9.  ``-W0`` keeps the daemon to one process.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

DOMAIN = "lists.example.org"
_START_SECONDS = 60.0


def available() -> bool:
    """Whether Debian's public-inbox is installed."""
    return all(shutil.which(f"public-inbox-{tool}") for tool in ("init", "mda", "httpd"))


class PublicInbox:
    """A public-inbox server with a few lists.  A context manager."""

    def __init__(self, root: Path, lists: Iterable[str]) -> None:
        self._root = root
        self._port = _free_port()
        self._daemon: subprocess.Popen[bytes] | None = None
        (root / "empty").mkdir(parents=True)
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "PI_CONFIG": str(root / "config"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "LC_ALL": "C.UTF-8",
        }
        for name in lists:
            self._run(
                *("public-inbox-init", "-V2", "-j1", "-L", "basic"),
                *("-c", f"listid={name}.{DOMAIN}", name, str(root / name), self.url(name)),
                f"{name}@{DOMAIN}",
            )
        # Without this public-inbox-mda wants SpamAssassin.
        config = ("git", "config", "-f", str(root / "config"))
        self._run(*config, "publicinboxmda.spamcheck", "none")

    def url(self, name: str) -> str:
        """Where a list is served; ``all`` is the external index over every list."""
        return f"http://127.0.0.1:{self._port}/{name}"

    def deliver(self, name: str, mail: bytes) -> None:
        """Put one message (no mbox separator) into a list."""
        self._run(
            "public-inbox-mda", "--no-precheck", mail=mail, ORIGINAL_RECIPIENT=f"{name}@{DOMAIN}"
        )

    def index_all(self) -> None:
        """Build what ``/all`` serves; again after every further delivery."""
        config = self._root / "config"
        if "[extindex" not in config.read_text():
            with config.open("a") as file:
                file.write(
                    f'[extindex "all"]\n\ttopdir = {self._root}/all\n\turl = {self.url("all")}\n'
                )
        self._run("public-inbox-extindex", "--all", "-j1", "-L", "full", str(self._root / "all"))

    def _run(self, *command: str, mail: bytes = b"", **env: str) -> None:
        done = subprocess.run(
            command,
            input=mail,
            env=self._env | env,
            cwd=self._root / "empty",
            capture_output=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]}: {done.stderr.decode('utf-8', 'replace')}")

    def __enter__(self) -> PublicInbox:
        log = self._root / "httpd.log"
        with log.open("wb") as out:
            self._daemon = subprocess.Popen(
                ["public-inbox-httpd", "-W0", "-l", f"http://127.0.0.1:{self._port}"],
                env=self._env,
                cwd=self._root / "empty",
                stdout=out,
                stderr=out,
            )
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self._daemon.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return self
        self._stop()
        raise RuntimeError(f"public-inbox-httpd did not start: {log.read_text()}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            try:
                self._daemon.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
                self._daemon.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def b4_am(server: str, message_id: str, home: Path, *options: str) -> bytes:
    """What ``b4 -q am -T -o - MESSAGE-ID`` prints, with a home and a directory of its own."""
    cwd = home / "b4-cwd"
    cwd.mkdir(parents=True, exist_ok=True)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "b4-cache"),
        "XDG_CONFIG_HOME": str(home / "b4-config"),
        "XDG_DATA_HOME": str(home / "b4-data"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CEILING_DIRECTORIES": str(home),
        "LC_ALL": "C.UTF-8",
    }
    b4 = str(Path(sysconfig.get_path("scripts")) / "b4")
    settings = (f"b4.midmask={server}/%s", "b4.attestation-policy=off")
    command = [b4, "-q", "-n", "--no-stdin"]
    command += [word for setting in settings for word in ("-c", setting)]
    command += ["am", "-T", "-o", "-", *options, message_id]
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, timeout=120, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"b4: {done.stderr.decode('utf-8', 'replace')}")
    return done.stdout
