# SPDX-License-Identifier: GPL-2.0-or-later
"""What a name on the command line is taken for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.errors import UsageError
from reviewbot.series.source import Source, SourceKind, classify, is_message_id

ID = "20260323064248.1660757-1-sonam.sanju@intel.com"


@pytest.mark.parametrize(
    "spec",
    [
        ID,
        f"<{ID}>",
        f" <{ID}> ",
        f"id:{ID}",
        f"https://lore.kernel.org/r/{ID}",
        f"https://lore.kernel.org/all/{ID}/",
        f"https://lore.kernel.org/kvm/{ID}/T/#u",
        f"https://lore.kernel.org/kvm/{ID}/t/#m0123456789abcdef",
        f"https://lore.kernel.org/kvm/{ID}/raw",
        f"https://lore.kernel.org/kvm/{ID}/t.mbox.gz",
        f"https://patch.msgid.link/{ID}",
        f"http://127.0.0.1:8080/kvm/{ID}/?x=y",
        f"https://lore.kernel.org/all/{ID.replace('@', '%40')}/",
        f"https://lore.kernel.org/all/%3C{ID}%3E/",
        f"HTTPS://lore.kernel.org/all/{ID}",
    ],
)
def test_message_ids(spec: str) -> None:
    assert classify(spec) == Source(SourceKind.MESSAGE_ID, ID)


def test_an_id_with_a_slash_comes_from_an_url() -> None:
    assert classify(
        "https://lore.kernel.org/all/a%2Fb@example.org/"
    ).value == "a%2Fb@example.org".replace("%2F", "/")


def test_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.mbox").touch()
    Path("box/cur").mkdir(parents=True)
    Path("plain").mkdir()
    assert classify("x.mbox") == Source(SourceKind.FILE, "x.mbox")
    assert classify("box") == Source(SourceKind.MAILDIR, "box")
    assert classify("-") == Source(SourceKind.STDIN, "-")
    with pytest.raises(UsageError, match="Maildir"):
        classify("plain")


def test_an_existing_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(ID).touch()
    assert classify(ID).kind is SourceKind.FILE


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "nothing",
        "no/such@file.mbox",
        "a@b c",
        "a@b\nBcc: x@example.org",
        "@",
        "x" * 5000,
        "x" * 900 + "@example.org",
        "a\0b@example.org\0",
        "https://lore.kernel.org/kvm/",
        "https://lore.kernel.org/all/a%0Ab@example.org/",
        "https://[bad/a@b",
    ],
)
def test_what_is_none_of_these(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        classify(spec)
    assert caught.value.exit_status == 2


@given(st.text(max_size=60))
def test_nothing_but_a_message_id_gets_through(spec: str) -> None:
    try:
        source = classify(spec)
    except UsageError:
        return
    if source.kind is SourceKind.MESSAGE_ID:
        assert is_message_id(source.value)
        assert not set(source.value) & set(" <>\n\r\0")
