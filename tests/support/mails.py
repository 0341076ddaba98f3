# SPDX-License-Identifier: GPL-2.0-or-later
"""Patch mail as git makes it: real commits through the real ``git format-patch``."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

SEPARATOR = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n"
_FILE = """\
#include <linux/mutex.h>

static DEFINE_MUTEX(frob_lock);

int frob_open(struct frob *frob)
{
	mutex_lock(&frob_lock);
	frob->users++;
	mutex_unlock(&frob_lock);
	return 0;
}
"""


class Author:
    """A repository in a directory of its own, and the mail of its commits."""

    def __init__(self, root: Path, name: str = "A U Thor") -> None:
        self.root = root
        root.mkdir(parents=True)
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": "author@example.org",
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": "author@example.org",
            "GIT_AUTHOR_DATE": "2026-03-01T12:00:00+0000",
            "GIT_COMMITTER_DATE": "2026-03-01T12:00:00+0000",
            "LC_ALL": "C.UTF-8",
        }
        self.git("init", "-q", "-b", "main")
        (root / "frob.c").write_text(_FILE)
        self.git("add", "frob.c")
        self.git("commit", "-q", "-m", "frob: start")
        self.base = self.git("rev-parse", "HEAD").decode().strip()

    def git(self, *args: str) -> bytes:
        done = subprocess.run(
            ["git", *args], cwd=self.root, env=self._env, capture_output=True, check=True
        )
        return done.stdout

    def commit(self, subject: str, body: str = "Explain it.") -> None:
        """One more commit: a function that nobody has written before."""
        name = re.sub(r"\W+", "_", subject.lower()).strip("_")
        path = self.root / "frob.c"
        path.write_text(
            f"{path.read_text()}\nvoid {name}(void)\n{{\n\tmutex_lock(&frob_lock);\n}}\n"
        )
        self.git("commit", "-qas", "-m", f"{subject}\n\n{body}")

    def series(self, *options: str, subjects: Sequence[str] = ()) -> list[bytes]:
        """Commits for the subjects, as mails without mbox separators, cover letter first."""
        for subject in subjects:
            self.commit(subject)
        mbox = self.git(
            *("format-patch", "--stdout", "--thread=shallow", "--to=list@example.org"),
            *options,
            f"{self.base}..HEAD",
        )
        return split(mbox)


def split(mbox: bytes) -> list[bytes]:
    """Messages of git's mbox, separators gone."""
    return re.split(rb"^From [0-9a-f]{40} .*\n", mbox, flags=re.MULTILINE)[1:]


def join(*mails: bytes) -> bytes:
    """An mboxrd."""
    return b"".join(SEPARATOR + mail.rstrip(b"\n") + b"\n\n" for mail in mails)


def message_id(mail: bytes) -> str:
    """The id in a mail's header, without brackets."""
    match = re.search(rb"^Message-ID: *<([^>]+)>", mail, re.MULTILINE | re.IGNORECASE)
    if match is None:
        raise ValueError("mail without Message-ID")
    return match[1].decode()


def reply(
    to: bytes, text: str, msgid: str, sender: str = "R E Viewer <reviewer@example.org>"
) -> bytes:
    """An answer to a mail, as a person would write it."""
    parent = message_id(to)
    subject = re.search(rb"^Subject: (.*)$", to, re.MULTILINE)
    title = subject[1].decode() if subject else ""
    return (
        f"From: {sender}\nTo: author@example.org\nSubject: Re: {title}\n"
        f"Date: Mon, 02 Mar 2026 12:00:00 +0000\nMessage-ID: <{msgid}>\n"
        f"In-Reply-To: <{parent}>\nReferences: <{parent}>\n\n{text}\n"
    ).encode()
