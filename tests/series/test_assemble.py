# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads of every shape through the child process, and what it does not let through."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reviewbot.errors import ReviewbotError, UsageError
from reviewbot.series.assemble import AssembleLimits, assemble
from reviewbot.series.errors import NoPatches, SuspiciousText, TooBig, Unreadable, WorkerError
from reviewbot.series.model import Reference, ReferenceKind, Series
from tests.series.conftest import SEED_V1, SEED_V2
from tests.support import mails

DIFF = "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a\n+b\n"


def mail(
    subject: str,
    msgid: str,
    body: str = f"Explain.\n---\n{DIFF}",
    *,
    parent: str = "",
    sender: str = "A U Thor <author@example.org>",
    extra: str = "",
    day: int = 1,
) -> bytes:
    """A patch mail as its parts."""
    threading = f"In-Reply-To: <{parent}>\nReferences: <{parent}>\n" if parent else ""
    return (
        f"From: {sender}\nSubject: {subject}\nMessage-ID: <{msgid}>\n"
        f"Date: Sun, {day:02d} Mar 2026 12:00:00 +0000\n{threading}{extra}\n{body}"
    ).encode()


def assembled(
    *posted: bytes, wanted: str | None = None, limits: AssembleLimits | None = None
) -> Series:
    return assemble(
        mails.join(*posted), wanted=wanted, source="x.mbox", limits=limits or AssembleLimits()
    )


# ---- which version ----


@pytest.fixture(scope="session")
def both(seed: Path) -> bytes:
    return (seed / "seed-v1.mbox").read_bytes() + (seed / "seed-v2.mbox").read_bytes()


@pytest.mark.parametrize(
    ("wanted", "version", "newer"), [(SEED_V1, 1, (2,)), (SEED_V2, 2, ()), (None, 2, ())]
)
def test_versions_of_one_thread(
    both: bytes, wanted: str | None, version: int, newer: tuple[int, ...]
) -> None:
    series = assemble(both, wanted=wanted, source="x")
    assert (series.version, series.newer_versions) == (version, newer)


def test_a_reply_to_v1_is_about_v1(seed: Path, both: bytes) -> None:
    v1 = (seed / "seed-v1.mbox").read_bytes().partition(b"\n")[2]
    reply = mails.reply(v1, "Why?", "why@example.org")
    answer = mails.reply(reply, "Because.", "because@example.org")
    for wanted in ("why@example.org", "because@example.org"):
        raw = both + mails.join(reply, answer)
        assert assemble(raw, wanted=wanted, source="x").version == 1


def test_a_thread_that_a_patch_answers() -> None:
    report = mail(
        "BUG: it hangs", "bug@example.org", "It hangs.\n", sender="U Ser <user@example.org>"
    )
    fix = mail("[PATCH] fix the hang", "fix@example.org", parent="bug@example.org")
    assert assembled(report, fix, wanted="bug@example.org").subject == "fix the hang"


def test_a_partial_reroll_says_where_each_patch_is_from() -> None:
    first = [mail(f"[PATCH {n}/2] part {n}", f"v1-{n}@example.org") for n in (1, 2)]
    again = mail("[PATCH v2 2/2] part 2", "v2-2@example.org", parent="v1-2@example.org")
    # Sent as one thread, as git send-email does.
    first[1] = first[1].replace(b"\n\n", b"\nIn-Reply-To: <v1-1@example.org>\n\n", 1)
    series = assembled(*first, again, wanted="v2-2@example.org")
    assert [(patch.index, patch.from_version) for patch in series.patches] == [(1, 1), (2, None)]


def test_a_wanted_message_that_is_not_there(both: bytes) -> None:
    with pytest.raises(NoPatches, match=r"nobody@example\.org is not in the mail from x"):
        assemble(both, wanted="nobody@example.org", source="x")


@pytest.mark.parametrize(
    "posted",
    [
        mail("[GIT PULL] frob for 7.0", "pull@example.org", "Please pull.\n"),
        mail("[PATCH 0/2] a cover alone", "cover@example.org", " 1 file changed, 1 insertion(+)\n"),
        mail("Re: [PATCH] x", "re@example.org"),
        mail("[PATCH] x", "html@example.org", "<p>hi", extra="Content-Type: text/html\n"),
    ],
    ids=["pull", "cover", "reply-with-diff", "html"],
)
def test_what_is_no_series(posted: bytes) -> None:
    for wanted in (None, mails.message_id(posted)):
        with pytest.raises(NoPatches) as caught:
            assembled(posted, wanted=wanted)
        assert caught.value.exit_status == 3


# ---- a mailbox without a message named ----


def test_unrelated_series_are_named() -> None:
    one, two = (mail(f"[PATCH] frob: {n}", f"{n}@example.org") for n in ("one", "two"))
    with pytest.raises(UsageError, match=r"2 unrelated series \(frob: one; frob: two\)"):
        assembled(one, two)
    assert assembled(one, two, wanted="two@example.org").subject == "frob: two"


def test_versions_in_threads_of_their_own() -> None:
    one = mail("[PATCH] frob: one", "v1@example.org")
    two = mail("[PATCH v2] frob: one", "v2@example.org", day=2)
    series = assembled(two, one)
    assert (series.version, series.newer_versions) == (2, ())


def test_commits_as_format_patch_prints_them(tmp_path: Path) -> None:
    author = mails.Author(tmp_path / "author")
    author.commit("frob: one")
    author.commit("frob: two", "From the heart.\n\nbase-commit: v6.12-rc1")
    raw = author.git("format-patch", "--stdout", f"{author.base}..HEAD")
    series = assemble(raw, wanted=None, source="HEAD~2..HEAD")
    assert [patch.subject for patch in series.patches] == ["frob: one", "frob: two"]
    assert series.message_id == ""
    assert all(patch.envelope.message_id == "" for patch in series.patches)
    assert (series.base_commit, series.cover) == (None, None)
    assert assemble(raw, wanted=None, source="HEAD~2..HEAD") == series


def test_a_hole_in_commits_is_a_hole(tmp_path: Path) -> None:
    author = mails.Author(tmp_path / "author")
    posted = author.series(subjects=("one", "two", "three"))
    series = assembled(posted[0], posted[2])
    assert (series.expected, series.missing) == (3, (2,))


# ---- what a patch says ----


@pytest.mark.parametrize(
    ("line", "commit"),
    [
        ("base-commit: v6.12-rc1", None),
        ("base-commit: 0123456", "0123456"),
        (f"base-commit: {'a1' * 20}", "a1" * 20),
        (f"base-commit: {'a1' * 20}b", None),
        ("base-commit: 012345", None),
        ("base-commit: deadbeef (next-20260101)", None),
        ("base-commit: DEADBEEF", None),
        ("> base-commit: 0123456", None),
    ],
)
def test_a_base_commit_is_a_whole_object_id(line: str, commit: str | None) -> None:
    posted = mail("[PATCH] x", "x@example.org", f"Explain.\n---\n{DIFF}-- \n2.40\n\n{line}\n")
    assert assembled(posted).base_commit == commit


def test_trailers_below_a_cover_letter() -> None:
    below = f"change-id: 20260101-frob-12ab\nprerequisite-patch-id: {'1f' * 20}\n"
    cover = mail("[PATCH 0/1] all", "0@example.org", f"All.\n\n{below}prerequisite-patch-id: no\n")
    patch = mail("[PATCH 1/1] one", "1@example.org", parent="0@example.org")
    series = assembled(cover, patch, wanted="1@example.org")
    assert series.change_id == "20260101-frob-12ab"
    assert series.depends_on == (Reference(ReferenceKind.PATCH_ID, "1f" * 20),)
    assert (series.subject, series.message_id) == ("all", "1@example.org")
    assert series.head.message_id == "0@example.org"


def test_an_in_body_author_wins() -> None:
    message = 'Explain.\n\nFixes: 0123456789ab ("x")'
    body = f"From: Real One <real@example.org>\n\n{message}\n---\nnote\n{DIFF}"
    patch = assembled(mail("[PATCH] x", "x@example.org", body)).patches[0]
    assert (patch.author.address, patch.envelope.author.address) == (
        "real@example.org",
        "author@example.org",
    )
    assert patch.message == message
    assert [(trailer.name, trailer.value) for trailer in patch.trailers] == [
        ("Fixes", '0123456789ab ("x")')
    ]


def test_people_and_ancestors() -> None:
    extra = (
        "To: =?utf-8?q?J=C3=B6rg?= <j@example.org>, list@example.org\n"
        'Cc: "Doe, Jane" <jane@example.org>, hidden@xxxxxxxx.xxx, undisclosed:;, JANE@example.org\n'
        "Reply-To: else@example.org\n"
        "References: <a@x>\n\t<b@x> <x@example.org>\nIn-Reply-To: <c@x>\n"
    )
    envelope = assembled(mail("[PATCH] x", "x@example.org", extra=extra)).patches[0].envelope
    assert [(who.name, who.address) for who in envelope.to] == [
        ("Jörg", "j@example.org"),
        ("", "list@example.org"),
    ]
    assert [(who.name, who.address) for who in envelope.cc] == [("Doe, Jane", "jane@example.org")]
    assert [who.address for who in envelope.reply_to] == ["else@example.org"]
    assert envelope.references == ("a@x", "b@x", "c@x")


def test_the_diff_ends_where_its_counts_say() -> None:
    footer = "_______________\nfrob mailing list\n"
    patch = assembled(mail("[PATCH] x", "x@example.org", f"E.\n---\n{DIFF}{footer}")).patches[0]
    assert patch.diff == DIFF
    assert patch.damage is None
    assert (patch.blobs[0].path, patch.blobs[0].before, patch.blobs[0].after) == ("x.c", "", "")


@pytest.mark.parametrize("octet", ["=1B", "=07", "=E2=80=AE", "=C2=85", "=7F"])
def test_nothing_in_a_header_can_steer_a_terminal(octet: str) -> None:
    series = assembled(
        mail(
            f"[PATCH] =?utf-8?q?a_{octet}[31m_b?=",
            "x@example.org",
            sender=f"=?utf-8?q?A{octet}B?= <a@example.org>",
        )
    )
    texts = [series.subject, series.head.subject, series.head.author.name]
    texts += [series.patches[0].subject, series.patches[0].author.name]
    assert all(text and text.isprintable() for text in texts)


@pytest.mark.parametrize("octet", ["=0A", "=0D", "=0D=0A"])
def test_a_header_that_hides_a_line_end_adds_no_header(octet: str) -> None:
    posted = mail(f"[PATCH] =?utf-8?q?a{octet}Bcc:_v=40example.org?=", "x@example.org")
    try:
        series = assembled(posted)
    except Unreadable:
        return
    assert series.subject.isprintable()
    assert not re.search(rb"^Bcc", series.mbox, re.MULTILINE)


# ---- limits and hostile mail ----


def test_a_counter_bomb_among_replies_does_not_stop_the_review(both: bytes) -> None:
    bomb = mail("[PATCH v2 1/9999] boo", "bomb@example.org", parent=SEED_V1)
    series = assemble(both + mails.join(bomb), wanted=SEED_V2, source="x")
    assert (series.expected, series.missing) == (1, ())


@pytest.mark.parametrize("counter", ["1/9999", "9999/1", "1/501"])
def test_a_counter_bomb_is_refused(counter: str) -> None:
    with pytest.raises(TooBig, match="500 patches"):
        assembled(mail(f"[PATCH {counter}] x", "x@example.org"), wanted="x@example.org")


def test_a_version_bomb_is_refused() -> None:
    with pytest.raises((TooBig, Unreadable)):
        assembled(mail(f"[PATCH v{'9' * 900}] x", "x@example.org"))


@pytest.mark.parametrize(
    ("limits", "kind"),
    [
        (AssembleLimits(max_bytes=100), TooBig),
        (AssembleLimits(max_messages=1), TooBig),
        (AssembleLimits(max_message=100), TooBig),
        (AssembleLimits(max_header=50), TooBig),
        (AssembleLimits(seconds=0.01), WorkerError),
        (AssembleLimits(max_reply=100), WorkerError),
        (AssembleLimits(memory=60_000_000), (TooBig, WorkerError)),
    ],
)
def test_limits_are_kept(both: bytes, limits: AssembleLimits, kind: type[ReviewbotError]) -> None:
    with pytest.raises(kind) as caught:
        assemble(both, wanted=SEED_V2, source="x", limits=limits)
    assert "\n" not in str(caught.value)


def test_invisible_control_characters() -> None:
    body = f"Explain.\n---\n{DIFF.replace('+b', '+b' + chr(0x202E) + 'c')}"
    with pytest.raises(SuspiciousText, match=r"Patch 1 \(x\)"):
        assembled(mail("[PATCH] x", "x@example.org", body))


def test_the_child_has_nothing_of_the_user(
    both: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration, a PYTHONPATH and a .b4-config here would make it fail."""
    (tmp_path / "b4.py").write_text("raise SystemExit('imported')")
    (tmp_path / ".b4-config").write_text("[b4]\n\tmidmask = http://nowhere.example.org/%s\n")
    (tmp_path / ".gitconfig").write_text("[core\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert assemble(both, wanted=SEED_V2, source="x").version == 2


def _replace_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """Put a program in the child's place, to see what the parent makes of it."""
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{code}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("exit 3", "failed (exit status 3)"),
        ("echo 'Some: trouble' >&2; exit 1", "failed (Some: trouble)"),
        ("kill -SEGV $$", "ended by SIGSEGV"),
        ("echo nonsense", "cannot be read"),
        ('echo \'{"series": {"version": "x"}}\'', "cannot be read"),
        ("echo '{}'", "answered with nothing"),
        ('echo \'{"failure": {"kind": "Nonsense", "message": "x"}}\'', "reported Nonsense"),
    ],
)
def test_a_child_that_dies_or_talks_nonsense(
    code: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _replace_worker(monkeypatch, tmp_path, code)
    with pytest.raises(WorkerError, match=re.escape(message)) as caught:
        assemble(b"x", wanted=None, source="x")
    assert caught.value.exit_status == 4


def test_a_child_that_hangs_is_ended_with_its_children(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _replace_worker(monkeypatch, tmp_path, f"sleep 300 & echo $! > {tmp_path}/pid; wait")
    with pytest.raises(WorkerError, match="within 1 seconds"):
        assemble(b"x", wanted=None, source="x", limits=AssembleLimits(seconds=1.0))
    grandchild = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 20
    while _runs(grandchild) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _runs(grandchild)


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_threads_are_read_or_refused(both: bytes, data: st.DataObject) -> None:
    """About one in seventy makes email or b4 raise something odd: always a typed error."""
    raw = bytearray(both)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 30))] = data.draw(
            st.sampled_from(
                [b"", b"\n", b"\0", b"\xff", b"=?utf-8?b?", b"Content-Type: x", b"[0/", b"<"]
            )
        )
    try:
        series = assemble(bytes(raw), wanted=None, source="x")
    except ReviewbotError as error:
        assert "\n" not in str(error)
    else:
        assert series.patches


def test_nothing_is_left_behind_in_the_temporary_directory(both: bytes) -> None:
    temporary = Path(os.environ["TMPDIR"])
    before = set(temporary.iterdir())
    with pytest.raises(NoPatches):
        assemble(both, wanted="nobody@example.org", source="x")
    assert set(temporary.iterdir()) == before


@pytest.mark.parametrize("wanted", ["c@example.org", "p2@example.org"])
def test_mail_that_is_known_to_be_one_series_needs_no_threading(wanted: str) -> None:
    posted = mails.join(
        mail("[PATCH 0/2] a: cover", "c@example.org", "Words.\n\n a | 2 +-\n"),
        mail("[PATCH 1/2] a: one", "p1@example.org"),
        mail("[PATCH 2/2] a: two", "p2@example.org", parent="elsewhere@example.org"),
    )
    series = assemble(posted, wanted=wanted, source="x", together=True)
    assert [patch.subject for patch in series.patches] == ["a: one", "a: two"]
    assert series.cover is not None
