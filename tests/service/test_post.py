# SPDX-License-Identifier: GPL-2.0-or-later
"""Mails as they come, and mails that mean harm."""

from __future__ import annotations

import base64
import quopri
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewbot.errors import NotReviewable
from reviewbot.series.errors import TooBig, Unreadable
from reviewbot.series.model import Identity
from reviewbot.service.model import Post
from reviewbot.service.post import DEFAULT_LIMITS, read_post
from tests.support.program import sample_files
from tests.support.threads import SHAPES, threads

DIFF = """\
diff --git a/drivers/frob/gate.c b/drivers/frob/gate.c
index 0123456789ab..123456789abc 100644
--- a/drivers/frob/gate.c
+++ b/drivers/frob/gate.c
@@ -1,3 +1,3 @@
 int one;
-int two;
+long two; // Grüße
 int three;
"""
MORE = """\
diff --git a/old.h b/new.h
similarity index 90%
rename from old.h
rename to new.h
diff --git a/made.c b/made.c
new file mode 100644
index 000000000000..0123456789ab
--- /dev/null
+++ b/made.c
@@ -0,0 +1 @@
+int made;
"""


def mail(body: str | bytes = DIFF, **headers: str) -> bytes:
    """A mail; ``List_Id`` stands for ``List-Id``, an empty value for no such header."""
    given_ = {
        "From": "Robin Ample <robin@example.org>",
        "Subject": "[PATCH 1/2] frob: open",
        "Message-ID": "<1@example.org>",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\n" for name, value in given_.items() if value)
    return head.encode() + b"\n" + (body.encode() if isinstance(body, str) else body)


# ---- what is read ----


def test_a_patch() -> None:
    post = read_post(
        mail(
            f"Words.\n\n---\n{DIFF}{MORE}-- \n2.39.5\n\nbase-commit: {'a' * 40}\n"
            f"change-id: 20260901-frob-0123456789ab\nprerequisite-patch-id: {'b' * 40}\n"
            "Depends-on: <0@example.org>\n",
            Date="Tue, 1 Sep 2026 10:00:00 +0200",
            In_Reply_To="<0@example.org>",
            References="<00@example.org>\n\t<0@example.org>",
            To='"A, list" <frob@Lists.example.org>, one@example.org',
            Cc="two@example.org",
            List_Id="Frob <frob.lists.example.org>",
        )
    )
    assert post.message_id == "1@example.org"
    assert post.author == Identity("Robin Ample", "robin@example.org")
    assert post.date == 1788249600
    assert (post.in_reply_to, post.references) == (
        "0@example.org",
        ("00@example.org", "0@example.org"),
    )
    assert post.lists == (
        *("frob.lists.example.org", "frob@lists.example.org"),
        *("one@example.org", "two@example.org"),
    )
    assert post.diff
    assert post.paths == ("drivers/frob/gate.c", "old.h", "new.h", "made.c")
    assert post.created == ("made.c",)
    assert post.change_id == "20260901-frob-0123456789ab"
    assert len(post.patch_id) == 40
    assert post.marks == ()


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [("base64", base64.encodebytes), ("quoted-printable", quopri.encodestring), ("8bit", bytes)],
)
@pytest.mark.parametrize("charset", ["UTF-8", "iso-8859-1"])
def test_a_body_is_decoded(encoding: str, encode: object, charset: str) -> None:
    assert callable(encode)
    made = mail(
        encode(DIFF.encode(charset)),
        Content_Type=f"text/plain; charset={charset}",
        Content_Transfer_Encoding=encoding,
    )
    assert read_post(made).patch_id == read_post(mail()).patch_id


def test_line_ends_within_an_encoded_body() -> None:
    body = base64.encodebytes(DIFF.replace("\n", "\r\n").encode())
    assert (
        read_post(mail(body, Content_Transfer_Encoding="base64")).paths == read_post(mail()).paths
    )


def test_a_signed_mail_through_a_list_with_a_footer() -> None:
    inner = (
        "--in\nContent-Type: text/plain; charset=utf-8\n\nWords.\n---\n" + DIFF + "\n--in\n"
        "Content-Type: application/pgp-signature\n\nxx\n--in--\n"
    )
    body = (
        '--out\nContent-Type: multipart/signed; boundary="in"\n\n' + inner + "--out\n"
        "Content-Type: text/plain\n\n_____\nfooter\n--out--\nepilogue\n"
    )
    post = read_post(mail(body, Content_Type="multipart/mixed; boundary=out"))
    assert post.patch_id == read_post(mail()).patch_id


def test_html_is_no_patch() -> None:
    assert not read_post(mail(DIFF, Content_Type="text/html")).diff


def test_a_quoted_diff_is_none() -> None:
    quoted = "".join(f"> {line}\n" for line in DIFF.splitlines())
    assert not read_post(mail(quoted)).diff


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("robin@example.org", ("", "robin@example.org")),
        ("robin@example.org (Robin Ample)", ("Robin Ample", "robin@example.org")),
        ('"Ample, Robin" <robin@example.org>', ("Ample, Robin", "robin@example.org")),
        ("Ample, Robin (TI) <robin@example.org>", ("Ample, Robin (TI)", "robin@example.org")),
        (r'"Robin \"R\" Ample" <robin@example.org>', ('Robin "R" Ample', "robin@example.org")),
        (
            "=?utf-8?q?J=C3=B6rg_=22=3Cx=3E=22?= =?utf-8?b?IMWB?= <j@example.org>",
            ('Jörg "<x>" Ł', "j@example.org"),
        ),
        ("=?punycode?q?abc?= <j@example.org>", ("abc", "j@example.org")),
        ("王 小明 <w@example.org>", ("王 小明", "w@example.org")),
        ("nobody", ("", "")),
    ],
)
def test_author(header: str, expected: tuple[str, str]) -> None:
    assert read_post(mail(From=header)).author == Identity(*expected)


RELAY = "Robin Ample via B4 Relay <devnull+robin.example.org@kernel.org>"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X_Original_From": "R. A. <robin@example.org>"}, Identity("R. A.", "robin@example.org")),
        ({"Reply_To": "robin@example.org"}, Identity("Robin Ample", "robin@example.org")),
        ({}, Identity("Robin Ample", "devnull+robin.example.org@kernel.org")),
    ],
)
def test_author_behind_a_relay(headers: dict[str, str], expected: Identity) -> None:
    assert read_post(mail(From=RELAY, **headers)).author == expected


@pytest.mark.parametrize(
    ("reply_to", "address"),
    [("robin@example.org, frob@example.org", "robin@example.org"), ("frob@example.org", "")],
)
def test_author_behind_a_list(reply_to: str, address: str) -> None:
    made = mail(
        From="Robin Ample via frob <frob@example.org>", To="frob@example.org", Reply_To=reply_to
    )
    assert read_post(made).author == Identity("Robin Ample", address)


def test_only_a_relay_speaks_for_others() -> None:
    made = mail(X_Original_From="Else <else@example.org>", Reply_To="else@example.org")
    assert read_post(made).author.address == "robin@example.org"


@pytest.mark.parametrize(
    ("headers", "body", "mark"),
    [
        ({"Auto_Submitted": "Auto-Generated"}, DIFF, "auto-submitted: auto-generated"),
        ({"X_Patchwork_Hint": "ignore"}, DIFF, "x-patchwork-hint: ignore"),
        ({"X_Stable": "review"}, DIFF, "x-stable: review"),
        ({"X_KernelTest_Branch": "linux-6.1.y"}, DIFF, "x-kerneltest-branch: linux-6.1.y"),
        ({}, f"commit {'a' * 40} upstream.\n\nWords.\n", f"body: commit {'a' * 40} upstream"),
        ({}, f"[ Upstream commit {'a' * 40} ]\n", f"body: [ upstream commit {'a' * 40} ]"),
        ({}, f"The following changes since commit {'a' * 40}:\n", "body: pull request"),
    ],
)
def test_marks(headers: dict[str, str], body: str, mark: str) -> None:
    assert read_post(mail(body, **headers)).marks == (mark,)


def test_an_upstream_commit_in_the_middle_of_a_text_is_no_mark() -> None:
    text = "words\n" * 400 + f"commit {'a' * 40} upstream\n"
    assert read_post(mail(text)).marks == ()


# ---- what is not ----


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (mail(Message_ID=""), Unreadable),
        (mail(Message_ID="<no address>"), Unreadable),
        (b"", Unreadable),
        (
            mail("=", Content_Transfer_Encoding="base64", Content_Type="text/plain") + b"a",
            Unreadable,
        ),
        (mail(Subject="[PATCH 1/501] endless"), TooBig),
        (mail("x" * (DEFAULT_LIMITS.max_message + 1)), TooBig),
        (mail(X_Long="x" * (DEFAULT_LIMITS.max_header + 1)), TooBig),
        (mail(f"{DIFF}@@ -{'9' * 5000} +1 @@\n"), Unreadable),
    ],
)
def test_one_typed_error(raw: bytes, error: type[NotReviewable]) -> None:
    with pytest.raises(error):
        read_post(raw)


def test_nothing_that_a_terminal_or_a_database_chokes_on_is_kept() -> None:
    post = read_post(
        mail(
            DIFF.replace("gate.c", "ga\x00\x1bte.c"),
            Subject="[PATCH] a\x00b\x1b[31m",
            From="Ro\x00bin <robin@example.org>",
            X_Stable="\x00\x1b",
        )
    )
    for text in (post.subject, post.author.name, *post.paths, *post.marks):
        assert text.isprintable()


HANGS = 60.0
"""Seconds of processor time that no linear reader comes near to, and no quadratic one ends in."""
BOMBS = {
    "nested parts": mail(
        "".join(
            f"--b{n}\nContent-Type: multipart/mixed; boundary=b{n + 1}\n\n" for n in range(60000)
        ),
        Content_Type="multipart/mixed; boundary=b0",
    ),
    "many parts": mail("--b\n\nx\n" * 500_000, Content_Type="multipart/mixed; boundary=b"),
    "encoded words": mail(Subject="=?utf-8?q?" * 10_000),
    "one long address": mail(From="a" * 120_000, To="<" * 1000),
    "recipients": mail(To=", ".join(f"a{n}@b" for n in range(15_000))),
    "references": mail(References=" ".join(f"<{n}@b>" for n in range(15_000))),
    "brackets": mail(Subject="[" * 100_000),
    "folded header": mail(Subject="[PATCH]" + "\n " * 60_000 + "x"),
    "parameters": mail(Content_Type='text/plain; x="' + ";" * 100_000),
    "hunks": mail("@@ -1,9 +1,9 @@\n" * 200_000),
    "files": mail("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n" * 70_000),
    "a hunk without an end": mail(DIFF.replace("-1,3", "-1,99999999") + " x\n" * 1_000_000),
    "blank lines": mail("\n" * 4_000_000),
    "trailers": mail("base-commit: \t" * 250_000),
    "prerequisites": mail("depends-on: x\n" * 250_000),
    "punycode": mail("a-" + "z" * 3_000_000, Content_Type="text/plain; charset=punycode"),
    "long lines": mail("+" * 4_000_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_what_its_size_costs(name: str) -> None:
    started = time.process_time()
    with suppress(NotReviewable):
        read_post(BOMBS[name])
    assert time.process_time() - started < HANGS


@settings(max_examples=200)
@given(st.binary(max_size=2000) | st.text(max_size=500).map(str.encode))
def test_any_bytes(raw: bytes) -> None:
    try:
        post = read_post(raw)
    except NotReviewable:
        return
    assert msgspec.json.decode(msgspec.json.encode(post), type=Post) == post


@pytest.fixture(scope="module")
def real(sample_patches: Path) -> tuple[bytes, ...]:
    made = threads(len(SHAPES), 3, sample_files(sample_patches))
    return tuple(raw for thread in made for raw in thread.mails)


@settings(max_examples=150)
@given(st.data())
def test_mutated_mail(real: tuple[bytes, ...], data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from(real)))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=8))
        if not raw:
            return
    with suppress(NotReviewable):
        post = read_post(bytes(raw))
        assert msgspec.json.decode(msgspec.json.encode(post), type=Post) == post
