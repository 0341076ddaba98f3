# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a reply stands once it is delivered: right below the mail it answers.

Read as people do: in public-inbox's pages and feed, and in a Maildir with notmuch,
whose threads mutt and Emacs show.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support import mails
from tests.support.program import Kernel, run
from tests.support.public_inbox import PublicInbox, available

OTHER = (
    b"From: Somebody <somebody@example.org>\nTo: kvm@lists.example.org\n"
    b"Subject: Re: lunch\nMessage-ID: <lunch@example.org>\n"
    b"Date: Mon, 23 Mar 2026 12:00:00 +0000\n\nToday?\n"
)


@pytest.fixture
def posted(kernel: Kernel, sample_patches: Path, tmp_path: Path) -> tuple[bytes, ...]:
    """Both versions of the seed, what we say to the second, and a mail of others."""
    versions = [
        (sample_patches / name).read_bytes().partition(b"\n")[2]
        for name in ("seed-v1.mbox", "seed-v2.mbox")
    ]
    out = tmp_path / "reply.eml"
    series = sample_patches / "seed-v2.mbox"
    assert run("review", series, "--tree", kernel.path, "--out", out).status == 0
    return (*versions, out.read_bytes(), OTHER)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[PublicInbox]:
    if not available():
        pytest.skip("Debian's public-inbox is not installed")
    with PublicInbox(tmp_path / "archive", ["kvm"]) as server:
        yield server


@pytest.mark.public_inbox
def test_in_the_archive_it_answers_the_patch(
    archive: PublicInbox, posted: tuple[bytes, ...]
) -> None:
    _, patch, reply, _ = map(mails.message_id, posted)
    for mail in posted:
        archive.deliver("kvm", mail)
    url = f"{archive.url('kvm')}/{patch}"
    page = requests.get(f"{url}/t/", timeout=30).text
    assert f"{reply}/" in page
    assert "lunch" not in page
    feed = requests.get(f"{url}/t.atom", timeout=30).text
    (entry,) = [
        each for each in feed.split("<entry>") if f'href="{archive.url("kvm")}/{reply}/"' in each
    ]
    (parent,) = re.findall(r"<thr:in-reply-to[^>]*href=\"([^\"]*)\"", entry)
    assert parent.rstrip("/").endswith(f"/{patch}")


def test_in_a_maildir_it_stands_below_the_patch(posted: tuple[bytes, ...], tmp_path: Path) -> None:
    notmuch = shutil.which("notmuch")
    if notmuch is None:
        pytest.skip("Debian's notmuch is not installed")
    _, patch, reply, _ = map(mails.message_id, posted)
    folder = tmp_path / "Maildir"
    for name in ("new", "cur", "tmp"):
        (folder / name).mkdir(parents=True)
    for number, mail in enumerate(reversed(posted)):
        (folder / "new" / f"{number}.host").write_bytes(mail)
    config = tmp_path / "notmuch.conf"
    config.write_text(f"[database]\npath={folder}\n[user]\nname=x\nprimary_email=x@example.org\n")

    def ask(*args: str) -> str:
        env = os.environ | {"NOTMUCH_CONFIG": str(config)}
        return subprocess.run(
            [notmuch, *args], env=env, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    ask("new", "--quiet")
    shown = json.loads(
        ask("show", "--format=json", "--body=false", f"id:{reply}", "or", f"id:{patch}")
    )
    assert reply in answers(shown, patch)
    together = ask("search", "--output=messages", f"thread:{{id:{patch}}}").split()
    assert f"id:{reply}" in together
    assert "id:lunch@example.org" not in together


def answers(forest: Any, parent: str) -> set[str]:
    """Ids of the messages right below one, in the nested lists that notmuch shows."""
    found: set[str] = set()
    for node in forest:
        if len(node) == 2 and isinstance(node[1], list) and not isinstance(node[0], list):
            message, below = node
            if message is not None and message["id"] == parent:
                found |= {child[0]["id"] for child in below if child[0] is not None}
            found |= answers(below, parent)
        elif isinstance(node, list):
            found |= answers(node, parent)
    return found
