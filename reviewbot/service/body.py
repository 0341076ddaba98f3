# SPDX-License-Identifier: GPL-2.0-or-later
"""The text of a stranger's mail, decoded in one pass and without recursion to speak of.

The ``email`` package asks every line of a message whether it ends one of the parts
around it, so that a few thousand nested parts keep it busy for minutes.  Here a
message is split at its own boundary only, and few parts are looked into.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from quopri import decodestring

from reviewbot.service.headers import MAX_VALUE, Headers, as_text

MAX_PARTS = 50
MAX_DEPTH = 3
"""Parts within parts: a signed mail through a list that adds a footer has three."""

_PARAMETER = r"\b{}\s?=\s?(?:\"([^\"]{{1,200}})\"|([^\s;\"]{{1,200}}))"
_BOUNDARY = re.compile(_PARAMETER.format("boundary"), re.IGNORECASE)
_CHARSET = re.compile(_PARAMETER.format("charset"), re.IGNORECASE)
_PATCH_TYPES = ("text/plain", "text/x-patch", "text/x-diff")


def text_of(headers: Headers, body: bytes) -> str:
    """The plain text in a message, patches attached as text included, with LF line ends.

    Raises ValueError for base64 that is none.
    """
    text = "\n".join(_texts(headers, body, MAX_DEPTH))
    return text.replace("\r\n", "\n")


def _texts(headers: Headers, body: bytes, depth: int) -> Iterator[str]:
    kind = headers.raw("content-type")[:MAX_VALUE]
    plain = kind.lower().lstrip()
    if plain.startswith("multipart/") and depth:
        for part in _parts(body, _parameter(_BOUNDARY, kind)):
            block, _, rest = part.partition(b"\n\n")
            yield from _texts(Headers(block + b"\n\n"), rest, depth - 1)
    elif not plain or plain.startswith(_PATCH_TYPES):
        data = _transferred(body, headers.raw("content-transfer-encoding"))
        yield as_text(data, _parameter(_CHARSET, kind))


def _parameter(pattern: re.Pattern[str], value: str) -> str:
    found = pattern.search(value)
    return (found[1] or found[2]) if found else ""


def _parts(body: bytes, boundary: str) -> Iterator[bytes]:
    """What stands between lines of a boundary (RFC 2046, 5.1.1)."""
    if not boundary:
        return
    line = b"\n--" + boundary.encode("utf-8", "replace")
    for piece in (b"\n" + body).split(line, MAX_PARTS + 1)[1 : MAX_PARTS + 1]:
        if piece.startswith(b"--"):
            return
        end, _, part = piece.partition(b"\n")
        if not end.strip():
            # A part without headers starts with the blank line that ends them.
            yield b"\n" + part if part.startswith(b"\n") else part


def _transferred(body: bytes, encoding: str) -> bytes:
    """The body as it was before it was made fit for transport (RFC 2045, 6)."""
    name = encoding.strip().lower()
    if name == "quoted-printable":
        return decodestring(body)
    if name == "base64":
        return b64decode(body + b"===")  # what lost its end on the way still counts
    return body
