# SPDX-License-Identifier: GPL-2.0-or-later
"""Mailboxes over IMAP: a real Dovecot, public-inbox's read-only server, and bad lines."""

from __future__ import annotations

import re
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from reviewbot.service.model import FailureKind
from reviewbot.service.sources import imap
from reviewbot.service.sources.account import Account, parse_account
from reviewbot.service.sources.imap import ImapSource
from tests.service.sources.support import drain, failing, mail, mails, numbers
from tests.support import dovecot, public_inbox
from tests.support.badline import BadLine
from tests.support.dovecot import Dovecot
from tests.support.public_inbox import PublicInbox

_NO_DOVECOT = "needs Debian's dovecot-imapd, and root"


def account(port: int, user: str = "bot%40example.org@", **settings: Any) -> Account:
    """The user's account without TLS, unless the settings say otherwise."""
    given: dict[str, Any] = {
        "url": f"imap://{user}127.0.0.1:{port}",
        "tls": False,
        "ca_file": None,
        "password_file": None,
        "password_command": (),
    }
    return parse_account("[source.x]", **given | settings)


class Mailbox:
    """A mailbox of its own on a server that other tests use as well."""

    def __init__(self, server: Dovecot, folder: str) -> None:
        self.server = server
        self.folder = folder
        server.create(folder)

    def open(self, port: int = 0, **settings: Any) -> ImapSource:
        keys = {key: settings.pop(key) for key in ("since", "seconds") if key in settings}
        settings.setdefault("password_file", self.server.password_file)
        return ImapSource(
            "x",
            account(port or self.server.port, **settings),
            settings.get("folder", self.folder),
            **keys,
        )

    def append(self, *wanted: bytes) -> None:
        self.server.append(wanted, self.folder)


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    if not dovecot.available():
        pytest.skip(_NO_DOVECOT)
    with Dovecot() as made:
        yield made


@pytest.fixture
def box(server: Dovecot, request: pytest.FixtureRequest) -> Mailbox:
    """Ten mails."""
    made = Mailbox(server, re.sub(r"\W", "_", request.node.name))
    made.append(*mails(0, 10))
    return made


pytestmark = pytest.mark.dovecot


def test_all_messages_come_once_and_in_order(box: Mailbox) -> None:
    source = box.open()
    batches = drain(source, limit=4)
    assert [numbers(batch) for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    (again,) = drain(source, batches[-1].cursor)
    assert (again.arrivals, again.cursor) == ((), batches[-1].cursor)
    box.append(mail(10))
    assert numbers(*drain(source, again.cursor)) == [10]


def test_a_message_is_as_it_was_sent(box: Mailbox) -> None:
    first = box.open().fetch(None, 1).arrivals[0]
    assert (first.raw, first.where) == (mail(0), f"{box.folder}/;UID=1")


def test_nothing_is_marked(box: Mailbox) -> None:
    drain(box.open())
    assert box.server.unseen(box.folder) == 10


def test_a_restart_goes_on_from_the_cursor(box: Mailbox) -> None:
    first = box.open().fetch(None, 4)
    assert numbers(*drain(box.open(), first.cursor)) == [4, 5, 6, 7, 8, 9]
    assert numbers(*drain(box.open(), "nonsense")) == list(range(10))


def test_expunged_messages_leave_holes(box: Mailbox) -> None:
    box.server.expunge("1:3,6:8", box.folder)
    assert [numbers(batch) for batch in drain(box.open(), limit=2)] == [[3, 4], [8, 9]]
    source = box.open()
    (batch,) = drain(source)
    box.server.expunge("1:*", box.folder)
    (empty,) = drain(source, batch.cursor)
    assert (empty.arrivals, empty.cursor) == ((), batch.cursor)


def test_many_holes_are_jumped_over(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    ask = imap.messages

    def counted(*args: Any) -> Any:
        asked.append(args[1:])
        return ask(*args)

    monkeypatch.setattr(imap, "messages", counted)
    box.append(*mails(10, 60))
    box.server.expunge("1:59", box.folder)
    assert numbers(*drain(box.open(), limit=1)) == [59]
    assert len(asked) < 10


def test_a_mailbox_made_anew_is_read_anew(box: Mailbox) -> None:
    source = box.open()
    (batch,) = drain(source)
    box.server.delete(box.folder)
    box.server.create(box.folder)
    box.append(mail(20))
    (after,) = drain(source, batch.cursor)
    assert numbers(after) == [20]
    assert "made anew" in after.notices[0]


def test_another_folder_is_read_from_its_start(box: Mailbox) -> None:
    (batch,) = drain(box.open())
    other = Mailbox(box.server, f"{box.folder}_other")
    other.append(mail(30))
    (after,) = drain(other.open(), batch.cursor)
    assert (numbers(after), after.notices) == ([30], ())


def test_since_is_a_day_of_delivery(box: Mailbox) -> None:
    assert numbers(*drain(box.open(since=date(2020, 1, 1)))) == list(range(10))
    assert numbers(*drain(box.open(since=date(2999, 1, 1)), limit=3)) == []


def test_a_message_that_is_too_big_is_counted(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "MAX_MESSAGE", 5000)
    box.append(mail(10, "x" * 5000), mail(11))
    (batch,) = drain(box.open())
    assert numbers(batch) == [*range(10), 11]
    assert batch.skipped == (f"{box.folder}/;UID=11",)


def test_large_messages_are_asked_for_a_few_at_once(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "_AT_ONCE", 500)
    assert numbers(*drain(box.open(), limit=7)) == list(range(10))


# ---- TLS and passwords ----


def test_tls_from_the_start_and_later(box: Mailbox) -> None:
    for scheme, port in (("imaps", box.server.tls_port), ("imap", box.server.port)):
        url = f"{scheme}://bot%40example.org@127.0.0.1:{port}"
        source = box.open(url=url, tls=True, ca_file=box.server.ca_file)
        assert numbers(*drain(source, limit=4)) == list(range(10))
        source.close()


def test_a_certificate_is_checked(box: Mailbox) -> None:
    for scheme, port in (("imaps", box.server.tls_port), ("imap", box.server.port)):
        source = box.open(url=f"{scheme}://bot%40example.org@127.0.0.1:{port}", tls=True)
        with failing(FailureKind.UNREACHABLE, "CERTIFICATE_VERIFY_FAILED"):
            source.fetch(None, 10)


def test_a_name_that_the_certificate_does_not_have(box: Mailbox) -> None:
    url = f"imaps://bot%40example.org@localhost:{box.server.tls_port}"
    with failing(FailureKind.UNREACHABLE, "CERTIFICATE_VERIFY_FAILED"):
        box.open(url=url, tls=True, ca_file=box.server.ca_file).fetch(None, 10)


def test_starttls_is_not_left_out(box: Mailbox) -> None:
    with (
        BadLine(box.server.port, change=lambda said: said.replace(b" STARTTLS", b"")) as line,
        failing(FailureKind.UNREACHABLE, "TLS"),
    ):
        box.open(line.port, tls=True, ca_file=box.server.ca_file).fetch(None, 10)


def test_passwords_from_elsewhere(box: Mailbox, home: Path) -> None:
    command = ("cat", str(box.server.password_file))
    source = box.open(password_file=None, password_command=command)
    assert len(source.fetch(None, 3).arrivals) == 3
    netrc = home / ".netrc"
    quoted = dovecot.PASSWORD.replace('"', '\\"')
    netrc.write_text(f'machine 127.0.0.1 login {dovecot.USER} password "{quoted}"\n')
    netrc.chmod(0o600)
    assert len(box.open(password_file=None).fetch(None, 3).arrivals) == 3


def test_a_wrong_password(box: Mailbox, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong\n")
    with failing(FailureKind.UNREACHABLE, "Authentication failed", "bot@example.org") as caught:
        box.open(password_file=wrong).fetch(None, 10)
    assert "wrong\n" not in str(caught.value)


def test_a_folder_that_is_not_there(box: Mailbox) -> None:
    box.folder = "nowhere"
    with failing(FailureKind.UNREACHABLE, "nowhere"):
        box.open().fetch(None, 10)


# ---- news ----


def test_idle_tells_of_news(box: Mailbox) -> None:
    source = box.open()
    (batch,) = drain(source)
    timer = threading.Timer(0.3, box.append, [mail(10)])
    timer.start()
    assert source.wait(60)
    timer.join()
    assert numbers(*drain(source, batch.cursor)) == [10]
    source.close()


def test_news_before_idle_are_told(box: Mailbox) -> None:
    source = box.open()
    drain(source)
    box.append(mail(10))
    assert source.wait(60)
    source.close()


def test_no_news_are_no_news(box: Mailbox) -> None:
    source = box.open()
    drain(source)
    assert not source.wait(0.2)
    source.close()


def test_waiting_ends_when_the_source_is_closed(box: Mailbox) -> None:
    source = box.open()
    drain(source)
    timer = threading.Timer(0.3, source.close)
    timer.start()
    started = time.monotonic()
    assert not source.wait(600)
    assert time.monotonic() - started < 300
    timer.join()


def test_a_server_without_idle_cannot_tell(box: Mailbox) -> None:
    with BadLine(box.server.port, change=lambda said: said.replace(b" IDLE", b"")) as line:
        source = box.open(line.port)
        drain(source)
        assert not source.wait(60)
        source.close()


def test_a_connection_is_kept_and_made_again(box: Mailbox) -> None:
    with BadLine(box.server.port) as line:
        source = box.open(line.port)
        batches = drain(source, limit=4)
        assert line.connections == 1
        line.drop()
        box.append(mail(10))
        assert numbers(*drain(source, batches[-1].cursor)) == [10]
        assert line.connections == 2
        source.close()


# ---- servers that fail ----


def test_a_server_that_is_down(box: Mailbox) -> None:
    port = public_inbox.free_port()
    with failing(FailureKind.UNREACHABLE, "Connection refused"):
        box.open(port).fetch(None, 10)
    assert not box.open(port).wait(60)


def test_a_wrong_uid_validity(box: Mailbox) -> None:
    """A server that says something else each time: all is read again, and nothing lost."""
    (batch,) = drain(box.open())

    def lie(said: bytes) -> bytes:
        return re.sub(rb"UIDVALIDITY \d+", b"UIDVALIDITY 7", said)

    with BadLine(box.server.port, change=lie) as line:
        (lied,) = drain(box.open(line.port), batch.cursor)
    assert numbers(lied) == list(range(10))
    assert "made anew" in lied.notices[0]
    assert numbers(*drain(box.open(), lied.cursor)) == list(range(10))


@pytest.mark.parametrize("said", [b"UIDVALIDITY 0", b"UIDVALIDITY x", b"NOTHING 1"])
def test_no_uid_validity(box: Mailbox, said: bytes) -> None:
    def change(text: bytes) -> bytes:
        return re.sub(rb"UIDVALIDITY \d+", said, text)

    with (
        BadLine(box.server.port, change=change) as line,
        failing(FailureKind.GARBAGE, "UIDVALIDITY"),
    ):
        box.open(line.port).fetch(None, 10)


def test_uids_that_go_back(box: Mailbox) -> None:
    (batch,) = drain(box.open())

    def lie(said: bytes) -> bytes:
        return re.sub(rb"UIDNEXT \d+", b"UIDNEXT 6", said)

    with BadLine(box.server.port, change=lie) as line:
        (back,) = drain(box.open(line.port), batch.cursor)
    assert back.arrivals == ()
    assert "went back" in back.notices[0]
    assert numbers(*drain(box.open(), back.cursor)) == [5, 6, 7, 8, 9]


def test_a_size_that_is_a_lie(box: Mailbox) -> None:
    """A message that is larger than it was said to be is not read to its end."""
    box.append(mail(10, "x" * 100_000))

    def lie(said: bytes) -> bytes:
        return re.sub(rb"RFC822.SIZE \d+", b"RFC822.SIZE 10", said)

    with (
        BadLine(box.server.port, change=lie) as line,
        failing(FailureKind.GARBAGE, "more than was asked for"),
    ):
        drain(box.open(line.port))


@pytest.mark.parametrize("cut", [10, 400, 1200, 2500])
def test_a_line_that_is_cut(box: Mailbox, cut: int) -> None:
    box.append(mail(10, "x" * 10_000))
    with BadLine(box.server.port, cut=cut) as line, failing(FailureKind.UNREACHABLE):
        drain(box.open(line.port))


def test_a_line_that_is_too_slow(box: Mailbox) -> None:
    with BadLine(box.server.port, pause=0.05) as line, failing(FailureKind.TIMEOUT, "in time"):
        box.open(line.port, seconds=1.0).fetch(None, 10)


def test_a_slow_line_gets_on(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """With half of the time gone a batch ends with what it has."""
    monkeypatch.setattr(imap, "_AT_ONCE", 1)
    monkeypatch.setattr(imap.ImapSource, "_has_time", _once())
    assert numbers(drain(box.open())[0]) == [0]


def _once() -> Callable[..., bool]:
    answers = iter([True, False, False])
    return lambda *_: next(answers, True)


def test_too_many_connections(tmp_path: Path) -> None:
    if not dovecot.available():
        pytest.skip(_NO_DOVECOT)
    with Dovecot(connections=1) as strict:
        source = ImapSource("x", account(strict.port, password_file=strict.password_file), "INBOX")
        with strict.client(), failing(FailureKind.THROTTLED, "fewer connections"):
            source.fetch(None, 10)
        source.close()


GREETING = b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hello\r\n"
GARBAGE = {
    "page": b"HTTP/1.0 400 Bad Request\r\n\r\n<html>no</html>\r\n",
    "binary": bytes(range(256)) * 4,
    "no end of line": b"* OK hello",
    "endless line": b"* OK " + b"x" * (9 << 20) + b"\r\n",
    "empty": b"",
    "refusal": b"* BYE too many connections from your address\r\n",
    "huge literal": GREETING + b"* FETCH {99999999999}\r\n",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_server_of_another_kind(kind: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    with saying(GARBAGE[kind]) as port:
        source = ImapSource(
            "x", account(port, password_file=tmp_path / "password"), "INBOX", seconds=20
        )
        expected = {
            "page": FailureKind.GARBAGE,
            "binary": FailureKind.GARBAGE,
            "no end of line": FailureKind.UNREACHABLE,
            "endless line": FailureKind.GARBAGE,
            "empty": FailureKind.UNREACHABLE,
            "refusal": FailureKind.THROTTLED,
            "huge literal": FailureKind.GARBAGE,
        }
        with failing(expected[kind]):
            source.fetch(None, 10)


def test_a_server_that_says_nothing() -> None:
    with saying(None) as port, failing(FailureKind.TIMEOUT):
        ImapSource("x", account(port), "INBOX", seconds=0.5).fetch(None, 10)


@contextmanager
def saying(words: bytes | None) -> Iterator[int]:
    """A port where somebody says this and hangs up; None: who waits instead."""
    ended = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if words is None:
                ended.wait(60)
                return
            try:
                self.request.settimeout(0.3)
                self.request.sendall(words)
                self.request.recv(1000)  # else what was said may get lost
            except OSError:
                return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        ended.set()
        server.shutdown()


# ---- public-inbox's server ----


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublicInbox]:
    """A list whose first mailbox is full after its tenth mail."""
    if not public_inbox.available():
        pytest.skip("needs Debian's public-inbox")
    root = tmp_path_factory.mktemp("imapd")
    inbox = PublicInbox(root / "inbox", ("kvm",), imap=True, first_article=49_991)
    inbox.add("kvm", mails(0, 10))
    with inbox:
        yield inbox


@pytest.mark.public_inbox
def test_a_list_that_grows_into_another_mailbox(archive: PublicInbox) -> None:
    folder = archive.folder("kvm")
    source = ImapSource("x", account(archive.imap_port, user=""), folder)
    batches = drain(source, limit=4)
    assert numbers(*batches) == list(range(10))
    assert batches[0].arrivals[0].raw == mail(0)
    archive.add("kvm", mails(10, 13))
    after = drain(source, batches[-1].cursor)
    assert numbers(*after) == [10, 11, 12]
    assert after[-1].arrivals[-1].where == f"{folder.removesuffix('0')}1/;UID=50003"
    assert numbers(*drain(source, after[-1].cursor)) == []
    restarted = ImapSource("x", account(archive.imap_port, user=""), folder, since=date(2026, 3, 1))
    assert numbers(*drain(restarted)) == list(range(13))
    source.close()
    restarted.close()
