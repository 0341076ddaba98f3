# SPDX-License-Identifier: GPL-2.0-or-later
"""False positives as a text file that people can review and keep in git.

TOML, one ``[[false-positive]]`` after the other in the order of list and hazard, so that
a change is a change of few lines.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from reviewbot.errors import UsageError
from reviewbot.locking.model import HazardKind, hazard_id
from reviewbot.service.talk.model import FalsePositive

MAX_FILE = 16 << 20
_HEADER = """\
# Hazards that people said are none; reviewbot does not report them on that list again.
# Read with: reviewbot false-positives --import FILE
"""


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    list: str
    kind: HazardKind
    classes: tuple[str, ...]
    reason: str
    person: str
    at: datetime
    role: str = ""
    message_id: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True, rename={"entries": "false-positive"}):
    entries: tuple[_Entry, ...] = ()


def written(marks: Iterable[FalsePositive]) -> str:
    """The file that holds these."""
    in_order = sorted(marks, key=lambda mark: (mark.list, mark.hazard))
    return _HEADER + "".join(map(_entry, in_order))


def _entry(mark: FalsePositive) -> str:
    classes = "".join(f"    {_quoted(name)},\n" for name in mark.classes)
    return (
        f"\n[[false-positive]]  # {mark.hazard}\n"
        f"list = {_quoted(mark.list)}\n"
        f"kind = {_quoted(mark.kind.value)}\n"
        f"classes = [\n{classes}]\n"
        f"reason = {_quoted(mark.reason)}\n"
        f"person = {_quoted(mark.person)}\n"
        f"role = {_quoted(mark.role)}\n"
        f"message_id = {_quoted(mark.message_id)}\n"
        f"at = {mark.at.isoformat()}\n"
    )


def _quoted(text: str) -> str:
    """A basic string of TOML: JSON's escapes are among those it knows, but for DEL."""
    printable = (
        text.encode("utf-8", "replace").decode().replace("\x7f", "\N{REPLACEMENT CHARACTER}")
    )
    return msgspec.json.encode(printable).decode()


def read(data: bytes, name: str) -> tuple[FalsePositive, ...]:
    """What a file holds; ``name`` is for messages.  Raises :class:`UsageError`."""
    if len(data) > MAX_FILE:
        raise UsageError(f"{name} is larger than {MAX_FILE >> 20} MiB: is it the right file?")
    try:
        found: dict[str, Any] = tomllib.loads(data.decode())
        entries = msgspec.convert(found, _File).entries
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{name} is no file of false positives ({error}): mend it.") from error
    if naive := next((each for each in entries if each.at.tzinfo is None), None):
        raise UsageError(f"{name}: at = {naive.at} has no time zone: put Z behind it.")
    marks = (
        FalsePositive(
            hazard=hazard_id(each.kind, each.classes),
            **{field: getattr(each, field) for field in _Entry.__struct_fields__},
        )
        for each in entries
    )
    return tuple({(mark.list, mark.hazard): mark for mark in marks}.values())
