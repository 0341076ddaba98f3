# SPDX-License-Identifier: GPL-2.0-or-later
"""What a series says it is built on, in the words that are in use for it.

- ``prerequisite-patch-id:`` of git-format-patch(1), ``--base``
- ``prerequisite-change-id: ID[:vN]`` and ``prerequisite-message-id:`` of b4
- ``Depends-on:`` and ``Based-on:`` with a message-id, an archive's address of a
  message, or ``change-id:ID[:vN]``; what else people write there names no series
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from reviewbot.series.model import Reference, ReferenceKind
from reviewbot.series.source import message_id_in

_TRAILER = re.compile(
    r"^(prerequisite-(?:patch|change|message)-id|depends-on|based-on):[ \t]+(\S.*?)[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_PATCH_ID = re.compile(r"[0-9a-f]{40}")
_CHANGE_ID = re.compile(r"[\w.@+/-]{1,200}(?::v?\d{1,4})?", re.ASCII)
_LONGEST = 2_000
"""Characters of a value that are looked at; a message-id has fewer than 1,000."""


def references(bodies: Iterable[str]) -> Iterator[Reference]:
    """The references in the bodies of the cover letter and the patches, in order."""
    for body in bodies:
        for name, value in _TRAILER.findall(body.replace("\r", "")):
            found = _reference(name.lower(), value[:_LONGEST])
            if found is not None:
                yield found


def _reference(name: str, value: str) -> Reference | None:
    if name == "prerequisite-patch-id":
        return _if_whole(ReferenceKind.PATCH_ID, _PATCH_ID, value)
    if name == "prerequisite-change-id":
        return _if_whole(ReferenceKind.CHANGE_ID, _CHANGE_ID, value)
    if value.lower().startswith("change-id:"):
        return _if_whole(ReferenceKind.CHANGE_ID, _CHANGE_ID, value.partition(":")[2].strip())
    message_id = message_id_in(value)
    return Reference(ReferenceKind.MESSAGE_ID, message_id) if message_id else None


def _if_whole(kind: ReferenceKind, pattern: re.Pattern[str], value: str) -> Reference | None:
    return Reference(kind, value) if pattern.fullmatch(value) else None
