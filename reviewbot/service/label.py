# SPDX-License-Identifier: GPL-2.0-or-later
"""What the brackets of a subject say, as people write them.

``[PATCH net-next v3 2/7]`` is git's form; ``[PATCHv2 1/3]``, ``[PATCH1/8]``,
``[RFC][PATCH 1 / 2]`` and ``[foo PATCH 3 of 4]`` are on the lists every day.
"""

from __future__ import annotations

import re

from liblore.utils import strip_reply_prefixes

from reviewbot.service.model import Label

MAX_SUBJECT = 1000
"""Characters read of a subject; RFC 5322, 2.1.1, gives a line 998."""

_GLUED = re.compile(r"(?i)(patch|rfc|resend|v\d{1,3}(?=\d/))[-_]?(?=v?\d)")
_SPACED = re.compile(r"(?<=\d)\s?(?:/|\bof\b)\s?(?=\d)")
_COUNTER = re.compile(r"(\d{1,4})/(\d{1,4})")
_VERSION = re.compile(r"(?i)v(\d{1,3})(?:\.\d{1,3})?")
_BETWEEN_WORDS = re.compile(r"[\s,;:]+|(?<=[a-z])/(?=[a-z])")
_MARKS = frozenset({"rfc", "rft", "pull"})
"""Words that make a patch's brackets of what has no ``PATCH``, as ``[RFC v2 1/3]``."""


def read_label(subject: str) -> Label | None:
    """The label of a decoded subject; None if its brackets are not those of a patch."""
    text = " ".join(subject[:MAX_SUBJECT].split())
    rest, reply = strip_reply_prefixes(text)
    words: list[str] = []
    while rest.startswith("[") and (end := _closing(rest)):
        inside = rest[1:end].replace("[", " ").replace("]", " ").lower()
        inside = _SPACED.sub("/", _GLUED.sub(r"\1 ", inside))
        words += filter(None, _BETWEEN_WORDS.split(inside))
        rest = rest[end + 1 :].lstrip()
    counters = [found for word in words if (found := _COUNTER.fullmatch(word))]
    versions = [found for word in words if (found := _VERSION.fullmatch(word))]
    others = [word for word in words if not (_COUNTER.fullmatch(word) or _VERSION.fullmatch(word))]
    if not (counters or any(word in _MARKS or word.startswith("patch") for word in others)):
        return None
    return Label(
        version=int(versions[-1][1]) if versions else 1,
        counter=int(counters[-1][1]) if counters else 1,
        total=int(counters[-1][2]) if counters else 1,
        numbered=bool(counters),
        words=tuple(dict.fromkeys(others)),
        title=rest,
        reply=reply,
    )


def _closing(text: str) -> int:
    """Where the bracket that opens *text* closes; 0 if it does not."""
    depth = 0
    for at, char in enumerate(text):
        depth += (char == "[") - (char == "]")
        if depth == 0:
            return at
    return 0
