# SPDX-License-Identifier: GPL-2.0-or-later
"""A lore of one's own: Debian's public-inbox on loopback, and b4 pointed at it.

Recipe: public-inbox-init(1), public-inbox-mda(1), public-inbox-extindex(1),
public-inbox-httpd(1) and public-inbox-imapd(1), version 1.9.  ``-W0`` keeps a daemon
to one process.
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
_SEPARATOR = b"\0mail\0"
# What public-inbox-watch(1) does for every mail, without a process for each: 4 ms instead of 300.
# An epoch that holds rotate_bytes is followed by another one.
_ADD = r"""
use PublicInbox::Config;
use PublicInbox::Eml;
use PublicInbox::InboxWritable;
my ($name, $rotate) = @ARGV;
my $inbox = PublicInbox::InboxWritable->new(PublicInbox::Config->new->lookup_name($name));
my $importer = $inbox->importer(0);
$importer->{rotate_bytes} = $rotate if $rotate;
binmode STDIN; my $all = do { local $/; <STDIN> };
$importer->add(PublicInbox::Eml->new($_)) or die "not added" for split /\0mail\0/, $all;
$importer->done;
"""
_START_SECONDS = 60.0


def available() -> bool:
    """Whether Debian's public-inbox is installed."""
    return all(shutil.which(f"public-inbox-{tool}") for tool in ("init", "mda", "httpd"))


class PublicInbox:
    """A public-inbox server with a few lists, over HTTP and IMAP.  A context manager."""

    def __init__(
        self, root: Path, lists: Iterable[str], *, imap: bool = False, first_article: int = 1
    ) -> None:
        self._root = root
        self._port = free_port()
        self.imap_port = free_port() if imap else 0
        self._daemons: list[subprocess.Popen[bytes]] = []
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
                *("--skip-artnum", str(first_article - 1)),
                *("--ng", self.folder(name).rpartition(".")[0]),
                *("-c", f"listid={name}.{DOMAIN}", name, str(root / name), self.url(name)),
                f"{name}@{DOMAIN}",
            )
        # Without this public-inbox-mda wants SpamAssassin.
        config = ("git", "config", "-f", str(root / "config"))
        self._run(*config, "publicinboxmda.spamcheck", "none")

    def copy(self, root: Path) -> PublicInbox:
        """One with the same mail, for a test that changes it."""
        made = PublicInbox(root, ())
        shutil.copytree(self._root, root, dirs_exist_ok=True)
        config = (self._root / "config").read_text().replace(f"{self._root}/", f"{root}/")
        (root / "config").write_text(config.replace(f":{self._port}/", f":{made._port}/"))
        return made

    def on_disk(self, name: str) -> str:
        """Where a list is without a server."""
        return (self._root / name).as_uri()

    def url(self, name: str) -> str:
        """Where a list is served; ``all`` is the external index over every list."""
        return f"http://127.0.0.1:{self._port}/{name}"

    def folder(self, name: str) -> str:
        """A list's first IMAP mailbox: each holds 50,000 messages."""
        return f"org.example.{name}.0"

    def epoch(self, name: str, number: int) -> Path:
        """The bare repository of an epoch."""
        return self._root / name / "git" / f"{number}.git"

    def add(self, name: str, mails: Iterable[bytes], *, rotate: int = 0) -> None:
        """Put many messages into a list; an epoch of ``rotate`` bytes gets a successor."""
        everything = _SEPARATOR.join(mails)
        self._run("perl", "-we", _ADD, name, str(rotate), mail=everything)

    def remove(self, mail: bytes) -> None:
        """Take a message back as a moderator does: its history stays."""
        self._run("public-inbox-learn", "rm", "--all", mail=mail)

    def purge(self, name: str, mail: bytes) -> None:
        """Erase a message from a list's history, which rewrites it."""
        self._run("public-inbox-purge", str(self._root / name), mail=mail)

    def edit(self, name: str, message_id: str, old: str, new: str) -> None:
        """Change a message where it stands, which rewrites the history as well."""
        editor = f"perl -pi -e 's/{old}/{new}/'"
        self._run("public-inbox-edit", "-m", message_id, str(self._root / name), GIT_EDITOR=editor)

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
        try:
            self._start("public-inbox-httpd", f"http://127.0.0.1:{self._port}", self._port)
            if self.imap_port:
                address = f"imap://127.0.0.1:{self.imap_port}"
                self._start("public-inbox-imapd", address, self.imap_port)
        except BaseException:
            self._stop()
            raise
        return self

    def _start(self, program: str, address: str, port: int) -> None:
        log = self._root / f"{program}.log"
        with log.open("wb") as out:
            daemon = subprocess.Popen(
                [program, "-W0", "-l", address],
                env=self._env,
                cwd=self._root / "empty",
                stdout=out,
                stderr=out,
            )
        self._daemons.append(daemon)
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and daemon.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{program} did not start: {log.read_text()}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        for daemon in self._daemons:
            daemon.terminate()
            try:
                daemon.wait(timeout=30)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()


def free_port() -> int:
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
