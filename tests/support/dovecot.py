# SPDX-License-Identifier: GPL-2.0-or-later
"""A real IMAP server: Debian's Dovecot 2.3 on loopback, with one user and a certificate.

It is started by root, as it is on any server, and serves mail as ``nobody``; everything
of it is in a directory of its own.
"""

from __future__ import annotations

import imaplib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from tests.support.public_inbox import free_port

USER = "bot@example.org"
PASSWORD = 'p"ass wörd'
_START_SECONDS = 60.0
_CONFIG = """\
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{root}/cert.pem
ssl_key = <{root}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:{root}/mail
first_valid_uid = 1
mail_max_userip_connections = {connections}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {root}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={root}/mail
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
"""


def available() -> bool:
    """Whether Dovecot is installed, and may be started."""
    return os.geteuid() == 0 and bool(shutil.which("dovecot") and shutil.which("openssl"))


class Dovecot:
    """A running server with an empty INBOX.  A context manager."""

    def __init__(self, *, connections: int = 50) -> None:
        self.port = free_port()
        self.tls_port = free_port()
        self._connections = connections
        self._daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Dovecot:
        # Not in pytest's own directory, which the user that serves mail cannot enter.
        self._root = Path(tempfile.mkdtemp(prefix="dovecot-", dir="/tmp"))
        self._root.chmod(0o755)
        nobody = pwd.getpwnam("nobody")
        (self._root / "mail").mkdir()
        os.chown(self._root / "mail", nobody.pw_uid, nobody.pw_gid)
        (self._root / "users").write_text(f"{USER}:{PASSWORD}\n")
        (self._root / "users").chmod(0o644)
        _certificate(self._root)
        (self._root / "dovecot.conf").write_text(
            _CONFIG.format(
                root=self._root,
                port=self.port,
                tls_port=self.tls_port,
                uid=nobody.pw_uid,
                gid=nobody.pw_gid,
                connections=self._connections,
            )
        )
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    @property
    def ca_file(self) -> Path:
        """What its certificate is checked against; nobody else trusts it."""
        return self._root / "cert.pem"

    @property
    def password_file(self) -> Path:
        path = self._root / "password"
        path.write_text(f"{PASSWORD}\n")
        return path

    def client(self) -> imaplib.IMAP4:
        """Somebody else who is logged in: the user's mail program."""
        client = imaplib.IMAP4("127.0.0.1", self.port, 30)
        client.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
        return client

    def append(self, mails: Iterable[bytes], folder: str = "INBOX") -> None:
        """Deliver messages."""
        with self.client() as client:
            for mail in mails:
                _ok(client.append(folder, "", "", mail.replace(b"\n", b"\r\n")))

    def create(self, folder: str) -> None:
        """Make a mailbox; made again it has another UIDVALIDITY."""
        with self.client() as client:
            _ok(client.create(folder))

    def delete(self, folder: str) -> None:
        with self.client() as client:
            _ok(client.delete(folder))

    def expunge(self, uids: str, folder: str = "INBOX") -> None:
        """Remove messages for good."""
        with self.client() as client:
            _ok(client.select(folder))
            _ok(client.uid("STORE", uids, "+FLAGS.SILENT", r"(\Deleted)"))
            _ok(client.expunge())

    def unseen(self, folder: str = "INBOX") -> int:
        """How many messages nobody has read."""
        with self.client() as client:
            _ok(client.select(folder, readonly=True))
            return len(_ok(client.search(None, "UNSEEN"))[0].split())

    def _start(self) -> None:
        config = str(self._root / "dovecot.conf")
        with (self._root / "out").open("wb") as out:
            self._daemon = subprocess.Popen(
                ["dovecot", "-F", "-c", config], stdout=out, stderr=out, cwd=self._root
            )
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self._daemon.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    if probe.recv(4) == b"* OK":
                        return
            except OSError:
                time.sleep(0.05)
        said = [path.read_text() for path in (self._root / "out", self._root / "log")]
        raise RuntimeError(f"dovecot did not start: {said}")

    def _stop(self) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            try:
                self._daemon.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
                self._daemon.wait()
        shutil.rmtree(self._root, ignore_errors=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()


def _ok(answer: tuple[str, list[bytes]]) -> list[bytes]:
    status, data = answer
    assert status == "OK", data
    return data


def _certificate(root: Path) -> None:
    """A certificate for 127.0.0.1 that is its own authority."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(root / "key.pem"), "-out", str(root / "cert.pem")),
        ],
        capture_output=True,
        check=True,
    )
