# SPDX-License-Identifier: GPL-2.0-or-later
"""The messages of an mbox, one after the other, none larger than is wanted.

All kinds are read (RFC 4155, appendix A, and
https://www.loc.gov/preservation/digital/formats/fdd/fdd000383.shtml): mboxrd and mboxo,
whose ``From `` lines are escaped, and mboxcl2, which counts bytes instead.
:mod:`mailbox` does not do: it reads the whole file to find the messages in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from reviewbot.service.model import FailureKind
from reviewbot.service.sources.errors import SourceError
from reviewbot.service.sources.tray import MAX_MESSAGE

_LINE = 1 << 16
_SEPARATOR = re.compile(rb"From \S+ .*\d\d:\d\d.*\d{4}\s*$")
_ESCAPED = re.compile(rb"^>(>*From )", re.MULTILINE)
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,15})[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of the file, its separator left out."""

    start: int
    end: int
    raw: bytes | None
    """None if it is too big."""
    last: bool
    """Whether the file ends with it."""


def entries(file: BinaryIO, name: str, offset: int = 0) -> Iterator[Entry]:
    """The messages of an mbox from an offset on; ``name`` is what errors call it.

    Raises SourceError if it is no mbox.
    """
    reader = _Reader(file, offset)
    line = reader.line()
    while line and not line.strip():
        line = reader.line()
    if line and not _SEPARATOR.match(line):
        if offset == 0:
            raise SourceError(
                f"{name} is no mbox: its first line is not like 'From a@b Thu Jan  1 …'.",
                FailureKind.GARBAGE,
            )
        # The message before has grown since it was given.
        line = _to_separator(reader, _Text())
    while line:
        start = reader.at - len(line)
        text = _Text()
        line = _message(reader, text)
        yield Entry(start, reader.at - len(line), text.raw, last=not line)


def _message(reader: _Reader, text: _Text) -> bytes:
    """Read one message; the separator after it, empty at the end of the file."""
    head = bytearray()
    while line := reader.line():
        text.add(line)
        if not line.strip():
            break
        head += line if len(head) < MAX_MESSAGE else b""
    length = _LENGTH.search(head)
    if length and int(length[1]) and reader.ends_at(reader.at + int(length[1])):
        text.counted = True
        reader.take(int(length[1]), text)
    return _to_separator(reader, text)


def _to_separator(reader: _Reader, text: _Text) -> bytes:
    """Read on up to the next separator, which is returned; empty at the end of the file."""
    blank = whole = True
    while line := reader.line():
        if blank and _SEPARATOR.match(line):
            return line
        text.add(line)
        blank = whole and line in (b"\n", b"\r\n")
        whole = line.endswith(b"\n")
    return b""


class _Reader:
    """Lines of a file, and where the last one ended."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._size = file.seek(0, os.SEEK_END)
        file.seek(offset)
        self._file = file
        self.at = offset

    def line(self) -> bytes:
        """The next line, or a part of one that is very long; empty at the end."""
        line = self._file.readline(_LINE)
        self.at += len(line)
        return line

    def ends_at(self, offset: int) -> bool:
        """Whether a message can end there: a separator follows, or nothing."""
        if offset > self._size:
            return False
        self._file.seek(offset - 1)
        before, after = self._file.read(1), self._file.read(7)
        self._file.seek(self.at)
        return before == b"\n" and (
            after.lstrip(b"\r\n")[:5] == b"From " or after in (b"", b"\n", b"\r\n")
        )

    def take(self, size: int, text: _Text) -> None:
        """Bytes that are known not to hold a separator."""
        while size > 0 and (chunk := self._file.read(min(size, _LINE))):
            size -= len(chunk)
            self.at += len(chunk)
            text.add(chunk)


class _Text:
    """A message as it is read; no more of it is kept than is wanted."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._size = 0
        self.counted = False
        """Whether its lines are not escaped."""

    def add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= MAX_MESSAGE + _LINE:
            self._kept += part

    @property
    def raw(self) -> bytes | None:
        """The message as it was sent; None if it is too big."""
        text = bytes(self._kept)
        # The empty line before a separator belongs to the mbox.
        for end in (b"\r\n\r\n", b"\n\n"):
            if text.endswith(end):
                text = text[: -len(end) // 2]
                break
        raw = text if self.counted else _ESCAPED.sub(rb"\1", text)
        return raw if self._size <= MAX_MESSAGE + _LINE and len(raw) <= MAX_MESSAGE else None
