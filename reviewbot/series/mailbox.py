# SPDX-License-Identifier: GPL-2.0-or-later
"""Mail from files: mbox, one message, Maildir, or the text of a web archive's page.

Whatever it was, it comes out as one mboxrd.  A web archive's text (a subject,
``From:`` and ``Date:`` with blank lines between, the body) is made into a
message without a Message-ID: it has none to reply to.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from reviewbot.errors import UsageError
from reviewbot.series.errors import TooBig
from reviewbot.series.source import Source, SourceKind

MAX_FILE = 64 * 1024 * 1024
"""Bytes of mail read from a file, a Maildir or standard input."""
_MAX_MAILDIR = 5000
_SEPARATOR = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n"
_FROM_LINE = re.compile(rb"From \S+.*\d\d:\d\d:\d\d.*\d{4}")
_ESCAPABLE = re.compile(rb"^(>*From )", re.MULTILINE)
_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")
_MAIL_HEADERS = re.compile(rb"^(from|subject|message-id)[ \t]*:", re.MULTILINE | re.IGNORECASE)
_DIFF = re.compile(r"^(diff --git |--- \S|\+\+\+ \S|@@ -\d)", re.MULTILINE)
_ARCHIVE_FIELD = re.compile(r"^(From|Date|Message-ID|To|Cc):\s*(\S.*)$", re.IGNORECASE)
_ARCHIVE_HEAD = 20
"""Lines at the top of an archive's text in which its fields are looked for."""


def read_thread(source: Source, stdin: BinaryIO | None = None) -> bytes:
    """The mail a file, Maildir or standard input holds, as an mboxrd with LF line ends.

    Raises UsageError if it cannot be read or holds no mail, TooBig over MAX_FILE.
    """
    if source.kind is SourceKind.MAILDIR:
        return _read_maildir(Path(source.value))
    if source.kind is SourceKind.STDIN:
        if stdin is None:
            raise UsageError("There is no standard input to read: give a file instead of -.")
        return to_mbox(_bounded(stdin, "standard input"), "standard input")
    try:
        with Path(source.value).open("rb") as file:
            raw = _bounded(file, source.value)
    except OSError as error:
        raise UsageError(
            f"{source.value} cannot be read ({error.strerror}): check the path."
        ) from error
    return to_mbox(raw, source.value)


def to_mbox(raw: bytes, name: str) -> bytes:
    """Recognise what ``raw`` is and make an mboxrd of it; ``name`` is for messages."""
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    if b"\r\n" in raw[:4096]:
        raw = raw.replace(b"\r\n", b"\n")
    if _FROM_LINE.match(raw):
        return raw
    if _is_message(raw):
        return mbox_entry(raw)
    text = raw.decode("utf-8", "replace")
    if "\0" not in text and _DIFF.search(text):
        return mbox_entry(_from_archive_text(text))
    raise UsageError(
        f"{name} is neither mail nor a patch: give an mbox, a message, a Maildir or a patch's text."
    )


def _bounded(file: BinaryIO, name: str) -> bytes:
    raw = file.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise TooBig(f"{name} is larger than {MAX_FILE // 2**20} MiB: give only the series' mail.")
    return raw


def _read_maildir(path: Path) -> bytes:
    """Messages of ``new/`` and ``cur/`` in the order of their file names."""
    out = bytearray()
    try:
        files = sorted(
            entry
            for folder in ("cur", "new")
            if (path / folder).is_dir()
            for entry in (path / folder).iterdir()
            if entry.is_file()
        )
        if len(files) > _MAX_MAILDIR:
            raise TooBig(
                f"{path} holds more than {_MAX_MAILDIR} messages: give a Maildir with one thread."
            )
        for file in files:
            with file.open("rb") as stream:
                raw = stream.read(MAX_FILE - len(out) + 1)
            if len(out) + len(raw) > MAX_FILE:
                raise TooBig(f"{path} holds more than {MAX_FILE // 2**20} MiB of mail.")
            if b"\r\n" in raw[:4096]:
                raw = raw.replace(b"\r\n", b"\n")
            out += mbox_entry(raw)
    except OSError as error:
        raise UsageError(
            f"{error.filename} cannot be read ({error.strerror}): check the Maildir."
        ) from error
    if not out:
        raise UsageError(f"The Maildir {path} holds no mail: name one with a patch series.")
    return bytes(out)


def _is_message(raw: bytes) -> bool:
    """A block of headers, one of them a mail's, then a blank line (RFC 5322, 2.1)."""
    head = raw.partition(b"\n\n")[0]
    lines = head.split(b"\n")
    return bool(_MAIL_HEADERS.search(head)) and all(
        _HEADER.match(line) or (at > 0 and line[:1] in (b" ", b"\t"))
        for at, line in enumerate(lines)
    )


def mbox_entry(raw: bytes) -> bytes:
    """One message with its separator, ``From `` lines of the body escaped (mboxrd)."""
    head, blank, body = raw.partition(b"\n\n")
    body = _ESCAPABLE.sub(rb">\1", body)
    return _SEPARATOR + head + blank + body.rstrip(b"\n") + b"\n\n"


def _from_archive_text(text: str) -> bytes:
    """Make a message of what a web archive shows."""
    lines = text.replace("\r", "").split("\n")
    first = next((at for at, line in enumerate(lines) if line.strip()), 0)
    fields: dict[str, str] = {}
    subject = "(no subject)"
    if not _DIFF.match(lines[first]):
        subject = _one_line(lines[first].removeprefix("Subject:"))
        first += 1
        for at in range(first, min(first + _ARCHIVE_HEAD, len(lines))):
            match = _ARCHIVE_FIELD.match(lines[at].strip())
            if match:
                fields.setdefault(match[1].lower(), _one_line(match[2]))
                first = at + 1
            elif lines[at].strip():
                break
    head = [f"From: {_mailbox(fields.get('from', ''))}", f"Subject: {subject}"]
    head += [f"Date: {fields['date']}"] if "date" in fields else []
    if re.fullmatch(r"<[^<>\s@]+@[^<>\s@]+>", fields.get("message-id", "")):
        head.append(f"Message-ID: {fields['message-id']}")
    head += ["Content-Type: text/plain; charset=UTF-8", "Content-Transfer-Encoding: 8bit"]
    body = "\n".join(lines[first:]).lstrip("\n")
    return ("\n".join(head) + "\n\n" + body).encode("utf-8", "replace")


def _one_line(text: str) -> str:
    """One header's worth of text: no control characters, bounded (RFC 5322, 2.1.1)."""
    return "".join(char for char in text if char.isprintable()).strip()[:900]


def _mailbox(text: str) -> str:
    """``From:`` as shown; a bare name gets an address that cannot be mailed (RFC 6761)."""
    if re.search(r"\S@\S", text):
        return text
    name = text.replace('"', "").replace("\\", "").replace("<", "").replace(">", "")
    return f'"{name.strip() or "unknown"}" <unknown@archive.invalid>'
