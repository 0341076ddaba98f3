# SPDX-License-Identifier: GPL-2.0-or-later
"""Unified diffs as text: files, hunks and blob ids, also where white space was lost.

unidiff and git refuse a damaged diff as a whole.  This reader keeps what it can
tell: where each file and hunk begins (those lines survive every mail path seen)
and whether a hunk's lines add up to the counts of its ``@@`` line.  The format
is git's, Documentation/diff-generate-patch.txt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reviewbot.series.model import BlobChange

HUNK_HEADER = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)$")
_INDEX = re.compile(r"^index ([0-9a-f]{4,64})\.\.([0-9a-f]{4,64})(?: \d+)?\s*$")
_GIT_HEADER = "diff --git "
_SIGNATURE = ("-- ", "--")
_C_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "r": "\r"}
_QUOTED = re.compile(r'\\([0-7]{3}|[nrt"\\])')


@dataclass(frozen=True, slots=True)
class Hunk:
    """One hunk as it stands in the mail."""

    old_start: int
    old_count: int
    new_start: int
    new_count: int
    section: str
    """What follows the second ``@@``: the enclosing function, as git saw it."""
    lines: tuple[str, ...]
    intact: bool
    """Every line has a valid first character and the counts add up."""


@dataclass(frozen=True, slots=True)
class FileDiff:
    """The part of a diff that is about one file."""

    header: tuple[str, ...]
    old: str | None
    """Path before, None for a new file."""
    new: str | None
    """Path after, None for a deleted file."""
    before: str
    """Abbreviated blob id before, empty without an ``index`` line."""
    after: str
    hunks: tuple[Hunk, ...]

    @property
    def path(self) -> str:
        """The path after the change, or the deleted one."""
        return self.new or self.old or ""


def parse(diff: str) -> tuple[FileDiff, ...]:
    """Split a diff into files and hunks, damaged or not."""
    lines = diff.split("\n")
    files: list[FileDiff] = []
    at = 0
    while at < len(lines):
        if _starts_file(lines, at):
            file, at = _read_file(lines, at)
            files.append(file)
        else:
            at += 1
    return tuple(files)


def extract(text: str) -> str:
    """The diff within a mail's text: from its first header to the end of its last hunk.

    Empty if there is none.  Signature and mailing list footer are left out where
    the hunks' counts, or a signature line, tell where the diff ends.
    """
    lines = text.split("\n")
    start = next((at for at in range(len(lines)) if _starts_file(lines, at)), None)
    if start is None:
        return ""
    at, end, binary, intact = start, start, False, True
    while at < len(lines):
        binary = binary or lines[at].startswith("GIT binary patch")
        if HUNK_HEADER.match(lines[at]):
            hunk, at = _read_hunk(lines, at)
            end, intact = at, hunk.intact
        else:
            if _starts_file(lines, at):
                end, intact = at + 1, False
            at += 1
    if binary or not intact:
        end = _before_signature(lines, end if intact else start)
    return "\n".join(lines[start:end]).rstrip("\n") + "\n"


def blob_changes(files: Sequence[FileDiff]) -> tuple[BlobChange, ...]:
    """Path and blob ids of every file, ids empty where the diff has no ``index`` line."""
    return tuple(BlobChange(file.path, file.before, file.after) for file in files if file.path)


def _starts_file(lines: Sequence[str], at: int) -> bool:
    return lines[at].startswith(_GIT_HEADER) or _is_old_name(lines, at)


def _is_old_name(lines: Sequence[str], at: int) -> bool:
    """``---`` counts as a file's name only with ``+++`` below: it also ends a message."""
    return lines[at].startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")


def _read_file(lines: Sequence[str], at: int) -> tuple[FileDiff, int]:
    start, named = at, False
    while at < len(lines):
        if HUNK_HEADER.match(lines[at]):
            break
        if at > start and lines[at].startswith(_GIT_HEADER):
            break
        if _is_old_name(lines, at):
            if named:
                break
            named = True
        at += 1
    header = _join_wrapped_header(lines[start:at])
    hunks: list[Hunk] = []
    while at < len(lines) and HUNK_HEADER.match(lines[at]):
        hunk, at = _read_hunk(lines, at)
        hunks.append(hunk)
    old, new = _paths(header)
    index = next((match for line in header if (match := _INDEX.match(line))), None)
    before, after = index.groups() if index else ("", "")
    if not hunks:
        header = tuple(line for line in header if line not in _SIGNATURE)
    return FileDiff(header, old, new, before, after, tuple(hunks)), at


def _join_wrapped_header(header: Sequence[str]) -> tuple[str, ...]:
    """Undo a mailer's line break between the two paths of ``diff --git``."""
    if len(header) > 1 and header[0].count(" ") == 2 and header[1].startswith("b/"):
        return (f"{header[0].rstrip()} {header[1]}", *header[2:])
    return tuple(header)


def _read_hunk(lines: Sequence[str], at: int) -> tuple[Hunk, int]:
    match = HUNK_HEADER.match(lines[at])
    if match is None:
        raise ValueError("not a hunk header")
    old_start, old_count, new_start, new_count, section = match.groups()
    old, new = int(old_count or 1), int(new_count or 1)
    body_start = at + 1
    end = _counted_end(lines, body_start, old, new)
    intact = end is not None
    if end is None:
        end = _boundary(lines, body_start)
    body = tuple(lines[body_start:end])
    return Hunk(int(old_start), old, int(new_start), new, section, body, intact), end


def _counted_end(lines: Sequence[str], at: int, old: int, new: int) -> int | None:
    """Where the hunk ends by its counts; None if its lines do not add up.

    As git does, an empty line passes for an empty context line: mailers strip
    trailing blanks.
    """
    while old > 0 or new > 0:
        if at >= len(lines):
            return None
        mark = lines[at][:1]
        if mark in ("", " "):
            old, new = old - 1, new - 1
        elif mark == "-":
            old -= 1
        elif mark == "+":
            new -= 1
        elif not lines[at].startswith("\\ "):
            return None
        at += 1
    if old < 0 or new < 0:
        return None
    if at < len(lines) and lines[at].startswith("\\ "):
        at += 1
    return None if _has_left_over(lines, at) else at


def _has_left_over(lines: Sequence[str], at: int) -> bool:
    """Whether text stands where only a next hunk, a next file or the mail's end may.

    It would be the rest of a wrapped line, or lines more than the counts say; git
    would read on as if nothing were there.
    """
    if at >= len(lines):
        return False
    boundary = _boundary(lines, at)
    if boundary < len(lines) and HUNK_HEADER.match(lines[boundary]):
        return boundary > at
    line = lines[at]
    ended = not line.strip() or line in _SIGNATURE or line.startswith("__")
    return not ended and boundary > at


def _boundary(lines: Sequence[str], at: int) -> int:
    while at < len(lines) and not (HUNK_HEADER.match(lines[at]) or _starts_file(lines, at)):
        at += 1
    return at


def _before_signature(lines: Sequence[str], start: int) -> int:
    for at in range(len(lines) - 1, start, -1):
        if lines[at] in _SIGNATURE:
            return at
    return len(lines)


def _paths(header: Sequence[str]) -> tuple[str | None, str | None]:
    """Old and new path; ``---``/``+++`` win, as they cannot be misread at a blank."""
    old = _named(header, "--- ") or _named(header, "rename from ") or _named(header, "copy from ")
    new = _named(header, "+++ ") or _named(header, "rename to ") or _named(header, "copy to ")
    if (old is None or new is None) and header and header[0].startswith(_GIT_HEADER):
        old, new = _git_paths(header[0])
        if any(line.startswith("new file mode ") for line in header):
            old = "/dev/null"
        if any(line.startswith("deleted file mode ") for line in header):
            new = "/dev/null"
    return (
        None if old in (None, "/dev/null") else old,
        None if new in (None, "/dev/null") else new,
    )


def _named(header: Sequence[str], key: str) -> str | None:
    """The path a header line names, without ``a/``, quotes and a trailing time stamp."""
    line = next((line for line in header if line.startswith(key)), None)
    if line is None:
        return None
    name = _unquote(line[len(key) :].split("\t", 1)[0].rstrip())
    return _strip_prefix(name) if key in ("--- ", "+++ ") else name


def _git_paths(line: str) -> tuple[str | None, str | None]:
    """Both paths of ``diff --git a/x b/x``, which may hold blanks when they are equal."""
    rest = line[len(_GIT_HEADER) :].rstrip()
    half = len(rest) // 2
    if rest[half : half + 1] == " " and _strip_prefix(rest[:half]) == _strip_prefix(
        rest[half + 1 :]
    ):
        old, new = rest[:half], rest[half + 1 :]
    else:
        old, _, new = rest.partition(" ")
    return _strip_prefix(_unquote(old)), _strip_prefix(_unquote(new))


def _strip_prefix(name: str) -> str:
    return name[2:] if name[1:2] == "/" and name[:1].isalpha() else name


def _unquote(name: str) -> str:
    """Undo git's quoting of unusual paths (core.quotePath): octal bytes are UTF-8."""
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name
    octets = _QUOTED.sub(
        lambda match: chr(int(match[1], 8) & 0xFF) if match[1].isdigit() else _C_ESCAPES[match[1]],
        name[1:-1],
    )
    return octets.encode("latin-1", "replace").decode("utf-8", "replace")
