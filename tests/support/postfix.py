# SPDX-License-Identifier: GPL-2.0-or-later
"""A real mail server: Debian's Postfix on loopback, which delivers into a Maildir.

Everything of it is in a directory of its own; mail to anywhere but the one
domain is refused, and nothing can leave: there is no SMTP client in its master.cf.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from tests.support.public_inbox import free_port
from tests.support.sink import make_certificate

_START_SECONDS = 60.0
_MAIN = """\
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
maillog_file = {root}/log
maillog_file_prefixes = {root}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example.org
mydestination =
mynetworks = 127.0.0.0/8
default_transport = error:nothing leaves this machine
relay_transport = error:nothing leaves this machine
alias_maps =
alias_database =
virtual_mailbox_domains = example.org
virtual_mailbox_base = {mail}
virtual_mailbox_maps = inline:{{ {{ {user} = ./ }} }}
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_peername_lookup = no
smtpd_reject_unlisted_recipient = yes
"""
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


def available() -> bool:
    """Whether Postfix is installed, and may be started."""
    return os.geteuid() == 0 and shutil.which("postfix") is not None


class Postfix:
    """A running server for one user's mail.  A context manager."""

    def __init__(self, user: str, mail: Path) -> None:
        """``mail`` is the Maildir, which ``nobody`` owns."""
        self.port = free_port()
        self._user, self._mail = user, mail

    def __enter__(self) -> Postfix:
        self._root = Path(tempfile.mkdtemp(prefix="postfix-", dir="/tmp"))
        self._root.chmod(0o755)
        self.ca_file = make_certificate(self._root / "tls")
        nobody, postfix = pwd.getpwnam("nobody"), pwd.getpwnam("postfix")
        (self._root / "queue").mkdir()
        (self._root / "data").mkdir()
        os.chown(self._root / "data", postfix.pw_uid, postfix.pw_gid)
        main = _MAIN.format(
            root=self._root,
            mail=self._mail,
            user=self._user,
            uid=nobody.pw_uid,
            gid=nobody.pw_gid,
            certificate=self.ca_file,
            key=self.ca_file.with_name("key.pem"),
        )
        (self._root / "main.cf").write_text(main)
        (self._root / "master.cf").write_text(_MASTER.format(port=self.port))
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def log(self) -> str:
        """What the server has written down."""
        file = self._root / "log"
        return file.read_text() if file.exists() else ""

    def _run(self, command: str) -> subprocess.CompletedProcess[bytes]:
        words = ["postfix", "-c", str(self._root), command]
        return subprocess.run(words, capture_output=True, timeout=60, check=False)

    def _start(self) -> None:
        done = self._run("start")
        end = time.monotonic() + _START_SECONDS
        while done.returncode == 0 and time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as probe:
                    if probe.recv(3) == b"220":
                        return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"postfix did not start: {done.stderr!r} {self.log()}")

    def _stop(self) -> None:
        self._run("stop")
        shutil.rmtree(self._root, ignore_errors=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
