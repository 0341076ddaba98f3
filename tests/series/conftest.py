# SPDX-License-Identifier: GPL-2.0-or-later
"""The seed's mails and an archive full of threads."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import mails
from tests.support.public_inbox import PublicInbox, available

SEED_V1 = "20260323053353.805336-1-sonam.sanju@intel.com"
SEED_V2 = "20260323064248.1660757-1-sonam.sanju@intel.com"


@pytest.fixture(scope="session")
def seed(repository_root: Path) -> Path:
    """The folder with the seed as given, v1 and v2."""
    return repository_root / "tests" / "data" / "seed"


@dataclass(frozen=True)
class Archive:
    """A running public-inbox and the mails in it, by thread."""

    url: str
    all_url: str
    threads: dict[str, list[bytes]]

    def id(self, thread: str, at: int = 0) -> str:
        return mails.message_id(self.threads[thread][at])


def make_threads(root: Path, seed: Path) -> dict[str, list[bytes]]:
    """Every shape of thread that the contract with b4 is tested on."""
    three = mails.Author(root / "three").series(
        *("--cover-letter", "--base=HEAD~3"), subjects=("frob: one", "frob: two", "frob: three")
    )
    holed = mails.Author(root / "holed").series(subjects=("hole: one", "hole: two", "hole: three"))
    glued = mails.Author(root / "glued").series(
        "--subject-prefix=PATCHv2", subjects=("glue: one", "glue: two", "glue: three")
    )
    foreign = mails.Author(root / "foreign", "Jörg Łukasz 王").series(subjects=("naïve: grüß",))
    lonely = mails.Author(root / "lonely").series(subjects=("lone: never delivered",))
    encoded = mails.Author(root / "encoded").series(
        "--subject-prefix=RFC PATCH net-next", subjects=("code: base64",)
    )
    head, _, body = encoded[0].partition(b"\n\n")
    encoded[0] = (
        re.sub(rb"\nContent-T.*", b"", head)
        + b"\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8"
        + b"\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(b"From: =?utf-8?q?J=C3=B6rg?= <j@example.org>\n\n" + body)
    )
    first = mails.Author(root / "first").series(subjects=("again: one", "again: two"))
    again = re.sub(rb"\A(?:\S+: <.*\n)+", b"", first[1]).replace(b"[PATCH 2/2]", b"[PATCH v2 2/2]")
    again = again.replace(b"Date: Sun, 1 Mar", b"Date: Mon, 9 Mar")
    parent = mails.message_id(first[1]).encode()
    again = b"Message-Id: <again@example.org>\nIn-Reply-To: <%b>\n" % parent + again
    trailers = "Reviewed-by: R E Viewer <reviewer@example.org>"
    return {
        "seed": [
            (seed / name).read_bytes().partition(b"\n")[2]
            for name in ("seed-v1.mbox", "seed-v2.mbox")
        ],
        "three": [*three, mails.reply(three[2], trailers, "review-of-two@example.org")],
        "holed": [holed[0], holed[2]],
        "glued": glued,
        "foreign": foreign,
        "encoded": encoded,
        "rerolled": [*first, again],
        "replies": [
            mails.reply(lonely[0], "Why?", "lone-reply-1@example.org"),
            mails.reply(lonely[0], "Indeed.", "lone-reply-2@example.org"),
        ],
    }


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory, seed: Path) -> Iterator[Archive]:
    """A public-inbox that serves all threads, the three-patch one on two lists."""
    if not available():
        pytest.skip("needs Debian's public-inbox (apt-get install public-inbox)")
    root = tmp_path_factory.mktemp("archive")
    threads = make_threads(root / "authors", seed)
    inbox = PublicInbox(root / "inbox", ("frob", "cross"))
    for name, thread in threads.items():
        for mail in thread:
            inbox.deliver("frob", mail)
            if name == "three":
                inbox.deliver("cross", mail)
    inbox.index_all()
    with inbox:
        yield Archive(inbox.url("frob"), inbox.url("all"), threads)
