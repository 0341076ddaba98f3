# SPDX-License-Identifier: GPL-2.0-or-later
"""public-inbox archives over git: a real public-inbox, its editor's tools, and bad lines."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from reviewbot.service.model import FailureKind
from reviewbot.service.sources import tray
from reviewbot.service.sources._remote import FetchLimits
from reviewbot.service.sources.epochs import EpochSource
from reviewbot.service.sources.errors import SourceError
from tests.service.sources.support import drain, failing, mail, mails, numbers
from tests.support import faults
from tests.support.badline import BadLine
from tests.support.public_inbox import PublicInbox, available

pytestmark = [
    pytest.mark.public_inbox,
    pytest.mark.skipif(not available(), reason="needs Debian's public-inbox"),
]


class List:
    """A list with ten mails, and a source that follows it."""

    def __init__(self, root: Path, inbox: PublicInbox) -> None:
        self.inbox = inbox
        self.state = root / "state"
        self.url = inbox.on_disk("kvm")
        self.source = self.open()

    def open(self, since: date | None = None, limits: FetchLimits | None = None) -> EpochSource:
        return EpochSource("kvm", self.url, self.state, since=since, limits=limits or FetchLimits())

    def add(self, *wanted: bytes, rotate: int = 0) -> None:
        self.inbox.add("kvm", wanted, rotate=rotate)

    def forget(self) -> None:
        """Lose the copies."""
        shutil.rmtree(self.state)


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> PublicInbox:
    """The archive that each test has a copy of."""
    inbox = PublicInbox(tmp_path_factory.mktemp("ten") / "inbox", ("kvm",))
    inbox.add("kvm", mails(0, 10))
    return inbox


@pytest.fixture
def archive(tmp_path: Path, ten: PublicInbox) -> Iterator[List]:
    """On disk."""
    made = List(tmp_path, ten.copy(tmp_path / "inbox"))
    yield made
    made.source.close()


@pytest.fixture
def served(archive: List) -> Iterator[List]:
    """On a server."""
    with archive.inbox:
        archive.url = archive.inbox.url("kvm")
        archive.source = archive.open()
        yield archive


def test_all_messages_come_once_and_in_order(served: List) -> None:
    batches = drain(served.source, limit=4)
    assert [numbers(batch) for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    (again,) = drain(served.source, batches[-1].cursor)
    assert (again.arrivals, again.cursor) == ((), batches[-1].cursor)
    served.add(mail(10))
    assert numbers(*drain(served.source, again.cursor)) == [10]


def test_a_message_is_as_it_was_sent(served: List) -> None:
    first = served.source.fetch(None, 1).arrivals[0]
    assert first.raw == mail(0)
    assert first.where.startswith(f"{served.url}/0 ")


def test_a_batch_that_ends_with_the_archive_says_so(archive: List) -> None:
    assert [batch.more for batch in drain(archive.source, limit=5)] == [True, False]


def test_a_restart_goes_on_from_the_cursor(archive: List) -> None:
    first = archive.source.fetch(None, 4)
    archive.source.close()
    assert numbers(*drain(archive.open(), first.cursor)) == [4, 5, 6, 7, 8, 9]
    # A batch that was fetched but never stored comes again from the same process, too.
    archive.source.fetch(first.cursor, 3)
    assert numbers(archive.source.fetch(first.cursor, 3)) == [4, 5, 6]


def test_a_full_epoch_is_followed_by_the_next(served: List) -> None:
    (batch,) = drain(served.source)
    served.add(*mails(10, 16, "x" * 3000), rotate=8000)
    assert served.inbox.epoch("kvm", 1).is_dir()
    # It is looked for when the first epoch stays as it is; what that got at last is not lost.
    last = drain(served.source, batch.cursor, 2)
    rest = drain(served.source, last[-1].cursor, 2)
    assert 10 in numbers(*last)
    assert numbers(*last, *rest) == list(range(10, 16))
    assert msgspec.json.decode(rest[-1].cursor)["epoch"] >= 1
    assert numbers(*drain(served.open())) == list(range(16))


def test_an_archive_on_disk(archive: List) -> None:
    archive.add(*mails(10, 14, "x" * 3000), rotate=8000)
    assert numbers(*drain(archive.source)) == list(range(14))


def test_a_list_without_mail(tmp_path: Path) -> None:
    with PublicInbox(tmp_path / "inbox", ("kvm",)) as inbox:
        source = EpochSource("kvm", inbox.url("kvm"), tmp_path / "state")
        (empty,) = drain(source)
        assert empty.arrivals == ()
        inbox.add("kvm", [mail(0)])
        assert numbers(*drain(source, empty.cursor)) == [0]


# ---- taken back, edited, purged ----


def test_a_message_taken_back_is_told(archive: List) -> None:
    (batch,) = drain(archive.source)
    archive.inbox.remove(mail(3))
    (after,) = drain(archive.source, batch.cursor)
    assert (after.arrivals, after.removed) == ((), ("3@example.org",))


def test_a_purged_message_rewrites_history(served: List) -> None:
    (batch,) = drain(served.source)
    served.inbox.purge("kvm", mail(6))
    served.add(mail(10))
    (after,) = drain(served.source, batch.cursor)
    assert numbers(after) == [7, 8, 9, 10]
    assert after.removed == ("6@example.org",)
    assert "was rewritten" in after.notices[0]
    (quiet,) = drain(served.source, after.cursor)
    assert (quiet.arrivals, quiet.removed, quiet.notices) == ((), (), ())


def test_a_purge_is_noticed_without_the_copy(archive: List) -> None:
    (batch,) = drain(archive.source)
    archive.inbox.purge("kvm", mail(6))
    archive.source.close()
    archive.forget()
    assert numbers(*drain(archive.open(), batch.cursor)) == [0, 1, 2, 3, 4, 5, 7, 8, 9]


def test_an_edited_message_is_not_taken_back(archive: List) -> None:
    (batch,) = drain(archive.source)
    archive.inbox.edit("kvm", "6@example.org", "Hello", "Goodbye")
    (after,) = drain(archive.source, batch.cursor)
    assert numbers(after) == [6, 7, 8, 9]
    assert b"Goodbye." in after.arrivals[0].raw
    assert after.removed == ()


def test_a_history_cut_short(archive: List) -> None:
    (batch,) = drain(archive.source)
    git_dir = archive.inbox.epoch("kvm", 0)
    subprocess.run(["git", "update-ref", "refs/heads/master", "master~3"], cwd=git_dir, check=True)
    (after,) = drain(archive.source, batch.cursor)
    assert (after.arrivals, len(after.removed)) == ((), 3)
    (quiet,) = drain(archive.source, after.cursor)
    assert quiet.notices == ()


# ---- limits ----


def test_since_limits_the_first_fetch(served: List) -> None:
    served.add(mail(10, day="05 Mar 2026"), mail(11, day="06 Mar 2026"))
    source = served.open(since=date(2026, 3, 5))
    batches = drain(source)
    assert numbers(*batches) == [10, 11]
    count = ["git", "rev-list", "--count", "epoch"]
    assert subprocess.check_output(count, cwd=served.state / "0.git") == b"2\n"
    served.add(mail(12, day="07 Mar 2026"))
    assert numbers(*drain(source, batches[-1].cursor)) == [12]


def test_since_passes_over_epochs_that_are_older(served: List) -> None:
    served.add(*mails(10, 14, "x" * 3000), mail(14, day="05 Mar 2026"), rotate=8000)
    assert numbers(*drain(served.open(since=date(2026, 3, 5)))) == [14]
    assert numbers(*drain(served.open(since=date(2030, 1, 1)))) == []


def test_since_on_a_server_that_cannot_cut(archive: List) -> None:
    archive.add(mail(10, day="05 Mar 2026"))
    git_dir = archive.inbox.epoch("kvm", 0)
    subprocess.run(["git", "update-server-info"], cwd=git_dir, check=True)
    (git_dir.parent / "0").symlink_to(git_dir)
    with faults.serving_files(git_dir.parent) as archive.url:  # HTTP without git behind it
        assert numbers(*drain(archive.open(since=date(2026, 3, 5)))) == [10]


def test_a_message_that_is_too_big_is_counted(
    archive: List, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reviewbot.service.sources._epoch.MAX_MESSAGE", 5000)
    archive.add(mail(10, "x" * 5000), mail(11))
    (batch,) = drain(archive.source)
    assert numbers(batch) == [*range(10), 11]
    assert len(batch.skipped) == 1


def test_a_batch_ends_when_it_is_heavy(archive: List, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tray, "MAX_BATCH", 2 * len(mail(0)))
    assert [len(batch.arrivals) for batch in drain(archive.source)] == [2] * 5


def test_cursors_that_are_not_ours(archive: List) -> None:
    for cursor in (
        "",
        "{}",
        "nonsense",
        '{"type":"imap","folder":"x","validity":1,"uid":2}',
        "\ud800",
    ):
        assert numbers(archive.source.fetch(cursor, 2)) == [0, 1]
    unknown = '{"type":"public-inbox","epoch":0,"commit":"%s"}' % ("1" * 40)
    batch = archive.source.fetch(unknown, 2)
    assert numbers(batch) == [0, 1]
    assert "was rewritten" in batch.notices[0]


# ---- our own copy ----


def truncate_pack(git_dir: Path) -> None:
    for pack in git_dir.glob("objects/pack/*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(pack.read_bytes()[:200])
    for loose in git_dir.glob("objects/??/*"):
        loose.chmod(0o600)
        loose.write_bytes(b"")


def lose_objects(git_dir: Path) -> None:
    shutil.rmtree(git_dir / "objects")


def spoil_ref(git_dir: Path) -> None:
    (git_dir / "refs" / "heads" / "epoch").write_text("1" * 40 + "\n")


@pytest.mark.parametrize("damage", [truncate_pack, lose_objects, spoil_ref])
def test_a_damaged_copy_is_made_anew(archive: List, damage: Callable[[Path], None]) -> None:
    first = archive.source.fetch(None, 4)
    archive.source.close()
    damage(archive.state / "0.git")
    source = archive.open()
    with failing(FailureKind.TREE, "damaged", str(archive.state)):
        drain(source, first.cursor)
    assert numbers(*drain(source, first.cursor)) == [4, 5, 6, 7, 8, 9]


def test_a_copy_that_is_gone_is_made_anew(archive: List) -> None:
    first = archive.source.fetch(None, 4)
    archive.forget()
    assert numbers(*drain(archive.open(), first.cursor)) == [4, 5, 6, 7, 8, 9]


def test_what_a_killed_fetch_left_is_no_hindrance(archive: List) -> None:
    (batch,) = drain(archive.source)
    git_dir = archive.state / "0.git"
    (git_dir / "refs" / "heads" / "epoch.lock").touch()
    (git_dir / "objects" / "pack" / "tmp_pack_abc").touch()
    archive.add(mail(10))
    assert numbers(*drain(archive.source, batch.cursor)) == [10]
    assert not (git_dir / "objects" / "pack" / "tmp_pack_abc").exists()


def test_two_processes_do_not_share_a_copy(archive: List) -> None:
    archive.source.fetch(None, 1)
    program = (
        "import fcntl, os, sys\n"
        f"fd = os.open({str(archive.state / 'busy')!r}, os.O_RDWR)\n"
        "fcntl.flock(fd, fcntl.LOCK_EX)\nprint('locked', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        ["python3", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout and other.stdin
        assert other.stdout.readline() == b"locked\n"
        with failing(FailureKind.TREE, "Another process"):
            archive.source.fetch(None, 1)
        other.stdin.close()
    assert numbers(archive.source.fetch(None, 1)) == [0]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk(archive: List, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=True, timeout=60
    )
    try:
        archive.state = disk / "state"
        source = archive.open()
        first = source.fetch(None, 4)
        archive.add(mail(10, os.urandom(200_000).hex()))
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(60_000))
        with failing(FailureKind.DISK_FULL):
            drain(archive.open(), first.cursor)
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True, timeout=60)
        assert numbers(*drain(archive.open(), first.cursor)) == list(range(4, 11))
    finally:
        subprocess.run(["umount", "-l", disk], check=True, timeout=60)


# ---- servers that fail ----

PAGE = b"<!doctype html><title>Making sure you are not a bot!</title>"
FAULTS = {
    "429": (faults.status(429, Retry_After="77"), FailureKind.THROTTLED, "error: 429"),
    "503": (faults.status(503), FailureKind.THROTTLED, "error: 503"),
    "500": (faults.status(500), FailureKind.UNREACHABLE, "error: 500"),
    "404": (faults.status(404), FailureKind.UNREACHABLE, "not found"),
    "page": (faults.status(200, PAGE, Content_Type="text/html"), FailureKind.GARBAGE, "a web page"),
    "text": (faults.status(200, b"Hello\nworld\n"), FailureKind.GARBAGE, "cannot read"),
    "hanging": (faults.hang, FailureKind.TIMEOUT, "in time"),
    "trickling": (faults.trickle_body, FailureKind.TIMEOUT, "in time"),
    "cut": (faults.reset, FailureKind.UNREACHABLE, "cannot be fetched"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_server_is_one_sentence(archive: List, fault: str) -> None:
    answer, kind, words = FAULTS[fault]
    limits = FetchLimits(seconds=1.0 if kind is FailureKind.TIMEOUT else 60.0)
    first = archive.source.fetch(None, 4)
    archive.source.close()
    good = archive.url
    with faults.serving(answer) as server:
        archive.url = server.url
        for cursor in (first.cursor, None):
            with failing(kind, words, server.url) as caught:
                drain(archive.open(limits=limits), cursor)
            assert caught.value.retry_after == (77 if fault == "429" else None)
    archive.url = good
    assert numbers(*drain(archive.open(), first.cursor)) == [4, 5, 6, 7, 8, 9]


def test_a_server_that_is_down(archive: List) -> None:
    first = archive.source.fetch(None, 4)
    archive.source.close()
    archive.url = archive.inbox.url("kvm")  # nobody has started it
    with failing(FailureKind.UNREACHABLE, "Failed to connect"):
        drain(archive.open(), first.cursor)


@pytest.mark.parametrize("cut", [300, 1500, 2500])
def test_a_line_that_is_cut(served: List, cut: int) -> None:
    """git tells a half answer from none at all only sometimes."""
    served.add(mail(10, os.urandom(50_000).hex()))
    with BadLine(urlsplit(served.url).port or 0, cut=cut) as line:
        source = EpochSource("kvm", f"http://127.0.0.1:{line.port}/kvm", served.state)
        with pytest.raises(SourceError) as caught:
            drain(source)
        assert caught.value.kind in (FailureKind.UNREACHABLE, FailureKind.GARBAGE)
        line.cut = None
        assert numbers(*drain(source)) == list(range(11))


def test_more_than_the_disk_is_meant_for(served: List) -> None:
    served.add(mail(10, os.urandom(200_000).hex()))
    with failing(FailureKind.GARBAGE):
        drain(served.open(limits=FetchLimits(pack=50_000)))


def test_a_proxy_is_heeded(archive: List, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.url = "http://lore.example.org/kvm"
    with faults.serving(faults.status(429)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with failing(FailureKind.THROTTLED):
            drain(archive.open())
        ((path, headers),) = proxy.requests
    assert path.startswith("http://lore.example.org/kvm/0/info/refs")
    assert headers["User-Agent"].startswith("git/2 reviewbot/")
