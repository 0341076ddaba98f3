# SPDX-License-Identifier: GPL-2.0-or-later
"""What a series' name on the command line means: a message, a file or standard input."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reviewbot.errors import UsageError

_MESSAGE_ID = re.compile(r"[!-;=?A-~]+@[!-;=?A-~]+")
"""Printable ASCII without angle brackets, one ``@`` (RFC 5322, 3.6.4, read generously)."""
_MAX_MESSAGE_ID = 900
"""RFC 5322, 2.1.1: a header line has at most 998 octets."""


class SourceKind(StrEnum):
    """Where a series is to be read from."""

    MESSAGE_ID = "message-id"
    FILE = "file"
    MAILDIR = "maildir"
    STDIN = "stdin"


@dataclass(frozen=True, slots=True)
class Source:
    """A series' name, understood."""

    kind: SourceKind
    value: str
    """The bare message-id, or the path as given; ``-`` for standard input."""


def is_message_id(text: str) -> bool:
    """Whether ``text`` is a message-id without angle brackets."""
    return len(text) <= _MAX_MESSAGE_ID and bool(_MESSAGE_ID.fullmatch(text))


def classify(spec: str) -> Source:
    """Tell what ``spec`` names.

    A path that exists wins; then ``-``, URLs of public-inbox archives, and
    message-ids with or without angle brackets.  Raises UsageError for the rest.
    """
    if spec == "-":
        return Source(SourceKind.STDIN, spec)
    path = Path(spec)
    if spec and _exists(path):
        return _local(spec, path)
    if re.match(r"https?://", spec, re.IGNORECASE):
        return Source(SourceKind.MESSAGE_ID, _from_url(spec))
    bare = spec.strip().removeprefix("id:").removeprefix("<").removesuffix(">")
    if is_message_id(bare) and "/" not in bare:
        return Source(SourceKind.MESSAGE_ID, bare)
    raise UsageError(
        f"{spec!r} is neither a file here nor a message-id: give an mbox, a Maildir, - for "
        "standard input, or the Message-ID or archive URL of a patch."
    )


def message_id_in(text: str) -> str | None:
    """The first message-id in a line of text: bare, in angle brackets, or in an address."""
    for word in text.split():
        bare = word.strip("()[],;").removeprefix("id:")
        if re.match(r"https?://", bare, re.IGNORECASE):
            try:
                return _from_url(bare)
            except UsageError:
                continue
        bare = bare.removeprefix("<").removesuffix(">")
        if is_message_id(bare) and "/" not in bare:
            return bare
    return None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for any file, or below a directory closed to us
        return False


def _local(spec: str, path: Path) -> Source:
    if not path.is_dir():
        return Source(SourceKind.FILE, spec)
    if (path / "cur").is_dir() or (path / "new").is_dir():
        return Source(SourceKind.MAILDIR, spec)
    raise UsageError(
        f"{spec!r} is a directory without cur/ or new/: give a Maildir or a mailbox file."
    )


def _from_url(url: str) -> str:
    """The message-id in ``https://HOST[/LIST]/MSGID/…`` (public-inbox, lore, patch.msgid.link)."""
    try:
        path = urlsplit(url).path
    except ValueError:
        path = ""
    for part in path.split("/"):
        bare = unquote(part, errors="replace").removeprefix("<").removesuffix(">")
        if is_message_id(bare):
            return bare
    raise UsageError(
        f"There is no message-id in the URL {url!r}: give the address of a message, such as "
        "https://lore.kernel.org/r/MESSAGE-ID."
    )
