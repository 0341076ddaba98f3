# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of every kind become one mboxrd."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.errors import UsageError
from reviewbot.series import mailbox
from reviewbot.series.errors import TooBig
from reviewbot.series.open import open_series
from reviewbot.series.source import classify
from tests.support import mails


def read(path: Path) -> bytes:
    return mailbox.read_thread(classify(str(path)))


def test_an_mbox_is_taken_as_it_is(seed: Path) -> None:
    assert read(seed / "seed-v2.mbox") == (seed / "seed-v2.mbox").read_bytes()


def test_one_message(seed: Path, tmp_path: Path) -> None:
    eml = tmp_path / "v2.eml"
    eml.write_bytes((seed / "seed-v2.mbox").read_bytes().partition(b"\n")[2])
    assert open_series(str(eml)).patches == open_series(str(seed / "seed-v2.mbox")).patches


def test_from_in_a_body_begins_no_new_message() -> None:
    eml = b"From: a@example.org\nSubject: x\n\nFrom mboxrd@z Thu Jan  1 00:00:00 1970\nmore\n"
    mbox = mailbox.to_mbox(eml, "x")
    assert mbox.count(b"\nFrom mboxrd") == 0
    assert b"\n>From mboxrd" in mbox


def test_crlf_line_ends(seed: Path, tmp_path: Path) -> None:
    dos = tmp_path / "dos.mbox"
    dos.write_bytes((seed / "seed-v2.mbox").read_bytes().replace(b"\n", b"\r\n"))
    assert open_series(str(dos)).patches == open_series(str(seed / "seed-v2.mbox")).patches


def test_crlf_in_a_web_archives_text(seed: Path, tmp_path: Path) -> None:
    dos = tmp_path / "dos.txt"
    dos.write_bytes((seed / "seed-as-given.txt").read_bytes().replace(b"\n", b"\r\n"))
    assert open_series(str(dos)).patches == open_series(str(seed / "seed-as-given.txt")).patches


def test_standard_input(seed: Path) -> None:
    raw = (seed / "seed-v2.mbox").read_bytes()
    assert open_series("-", stdin=io.BytesIO(raw)).version == 2
    with pytest.raises(UsageError, match="standard input"):
        open_series("-")


def test_a_maildir(tmp_path: Path) -> None:
    posted = mails.Author(tmp_path / "author").series(subjects=("one", "two"))
    for folder, name, mail in (("cur", "2:2,S", posted[1]), ("new", "1", posted[0])):
        path = tmp_path / "Maildir" / folder / name
        path.parent.mkdir(parents=True)
        path.write_bytes(mail)
    series = open_series(str(tmp_path / "Maildir"))
    assert [patch.subject for patch in series.patches] == ["one", "two"]


def test_an_empty_maildir(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(UsageError, match="no mail"):
        read(tmp_path)


@pytest.mark.parametrize("raw", [b"", b"hello\n", b"\x7fELF\0\0", b"KVM: irqfd: a title\n\ntext\n"])
def test_what_is_no_mail(raw: bytes) -> None:
    with pytest.raises(UsageError, match="neither mail nor a patch"):
        mailbox.to_mbox(raw, "x")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    source = classify(str(tmp_path / "x"))
    (tmp_path / "x").unlink()
    with pytest.raises(UsageError, match="No such file"):
        mailbox.read_thread(source)


def test_a_file_that_is_too_big(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "MAX_FILE", 10)
    (tmp_path / "x").write_bytes(b"x" * 11)
    with pytest.raises(TooBig):
        read(tmp_path / "x")


def test_the_seed_as_given(seed: Path) -> None:
    series = open_series(str(seed / "seed-as-given.txt"))
    assert (series.version, series.expected, len(series.patches)) == (2, 1, 1)
    assert series.subject.startswith("KVM: irqfd: fix deadlock")
    patch = series.patches[0]
    assert patch.damage is not None
    assert patch.patch_id is None
    assert patch.envelope.message_id == series.message_id == ""
    assert patch.envelope.date == "Mon Mar 23 2026 - 02:47:41 EST"
    # Nobody can be mailed: the archive hid the address.
    assert (patch.author.name, patch.author.address) == ("Sonam Sanju", "")
    assert patch.trailers[0].value == "Sonam Sanju <sonam.sanju@xxxxxxxxx>"
    assert patch.message.startswith("irqfd_resampler_shutdown() and kvm_irqfd_assign() both call")
    assert "v2:" not in patch.message
    assert patch.diff.startswith("diff --git ")
    assert patch.diff.rstrip().endswith("/*")


def test_a_bare_diff(tmp_path: Path) -> None:
    diff = tmp_path / "x.diff"
    diff.write_text("--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a\n+b\n")
    series = open_series(str(diff))
    assert series.patches[0].diff == diff.read_text()
    assert series.patches[0].paths == ("x.c",)


def test_no_header_can_be_smuggled_in_from_an_archives_text() -> None:
    head = "x\x0bBcc: v@example.org\n\nFrom: a\x85Bcc: w@example.org\n"
    text = f"{head}\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n"
    made = mailbox.to_mbox(text.encode(), "x").partition(b"\n\n")[0].decode()
    assert [line.partition(":")[0] for line in made.splitlines()[1:]] == [
        "From",
        "Subject",
        "Content-Type",
        "Content-Transfer-Encoding",
    ]


@given(st.binary(max_size=400))
def test_anything_is_mail_or_a_usage_error(raw: bytes) -> None:
    try:
        mbox = mailbox.to_mbox(raw, "x")
    except UsageError:
        return
    assert mbox.startswith(b"From ")
