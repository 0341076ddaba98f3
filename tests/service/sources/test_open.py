# SPDX-License-Identifier: GPL-2.0-or-later
"""From the configuration's tables to sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reviewbot import config
from reviewbot.config_service import SourceConfig
from reviewbot.errors import ConfigError
from reviewbot.service.sources.epochs import EpochSource
from reviewbot.service.sources.imap import ImapSource
from reviewbot.service.sources.maildir import MaildirSource
from reviewbot.service.sources.mbox import MboxSource
from reviewbot.service.sources.open import open_source
from reviewbot.service.sources.patchwork import PatchworkSource
from tests.service.sources.support import drain, mail, numbers

GOOD = {
    "public-inbox": ({"url": "https://lore.example.org/kvm"}, EpochSource),
    "imap": ({"url": "imaps://bot@imap.example.org"}, ImapSource),
    "maildir": ({"path": Path("~/Mail/kvm")}, MaildirSource),
    "mbox": ({"path": Path("/var/mail/bot")}, MboxSource),
    "patchwork": ({"url": "https://pw.example.org", "project": "kvm"}, PatchworkSource),
}


def opened(tmp_path: Path, kind: str, **keys: Any) -> object:
    return open_source("kvm", SourceConfig(kind=kind, **keys), tmp_path, "me@example.org")


@pytest.mark.parametrize("kind", GOOD)
def test_each_kind(tmp_path: Path, kind: str) -> None:
    keys, source = GOOD[kind]
    assert isinstance(opened(tmp_path, kind, **keys), source)
    assert list(tmp_path.iterdir()) == []  # nothing is made before it is asked


@pytest.mark.parametrize("kind", GOOD)
def test_each_needed_key(tmp_path: Path, kind: str) -> None:
    keys, _ = GOOD[kind]
    for missing in keys:
        left = {key: value for key, value in keys.items() if key != missing}
        with pytest.raises(ConfigError, match=rf"\[source.kvm\]: .* needs the key {missing}"):
            opened(tmp_path, kind, **left)


WRONG = {
    "path means nothing": ("imap", {"path": Path("x")}),
    "project means nothing": ("public-inbox", {"project": "kvm"}),
    "since means nothing": ("mbox", {"since": "2026-01-01"}),
    "folder means nothing": ("maildir", {"folder": "kvm"}),
    "no day of the calendar": ("maildir", {"since": "2026-02-30"}),
    "must begin with https, http, git, file": ("public-inbox", {"url": "ext::sh -c true"}),
    "must begin with https, http": ("patchwork", {"url": "ftp://pw.example.org"}),
    "url must be like imaps://": ("imap", {"url": "https://imap.example.org"}),
    "take the password out of url": ("imap", {"url": "imaps://bot:secret@imap.example.org"}),
    "loopback address only, not for imap.example.org": (
        "imap",
        {"url": "imap://bot@imap.example.org", "tls": False},
    ),
    "imaps:// is with TLS": ("imap", {"url": "imaps://bot@127.0.0.1", "tls": False}),
    "holds no certificates": ("imap", {"ca_file": Path("/dev/null")}),
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_is_said(tmp_path: Path, words: str) -> None:
    kind, keys = WRONG[words]
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, kind, **(GOOD[kind][0] | keys))
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://", "https://x y", "https://[", "https://x:port/", "\n"])
def test_addresses_that_are_none(tmp_path: Path, url: str) -> None:
    for kind in ("public-inbox", "patchwork", "imap"):
        with pytest.raises(ConfigError):
            opened(
                tmp_path,
                kind,
                **(
                    GOOD[kind][0]
                    | {"url": url.replace("https", "imaps") if kind == "imap" else url}
                ),
            )


@pytest.mark.parametrize("name", ["..", ".x", "a/b", "", "x" * 101, "ü"])
def test_names_that_are_no_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="letters, digits"):
        open_source(name, SourceConfig(kind="mbox", path=tmp_path), tmp_path, "")


def test_from_the_file_to_the_mail(tmp_path: Path) -> None:
    (tmp_path / "box").write_bytes(b"From a@example.org Mon Mar  2 12:00:00 2026\n" + mail(1))
    text = b'[source.mine]\nkind = "mbox"\npath = "box"\n'
    read = config.parse(text, tmp_path / "config.toml")
    (name,) = read.source
    assert numbers(*drain(open_source(name, read.source[name], tmp_path, ""))) == [1]
