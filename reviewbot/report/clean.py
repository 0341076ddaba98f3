# SPDX-License-Identifier: GPL-2.0-or-later
"""Strangers' text made fit to print: visible, bounded, and on one line.

A subject, a name or a path may hold line breaks (header injection), control
characters (terminal escapes) or bidirectional overrides (text that reads
otherwise than it is, CVE-2021-42574).  They are shown as ``<U+202E>`` rather
than dropped, so that a reader sees that something was there.
"""

from __future__ import annotations

import re
import unicodedata

ELISION = "[ ... ]"
"""What stands for text left out, as on the kernel's lists."""

QUOTE_LIMIT = 200
"""Columns after which a quoted line is cut; a kernel line has 80 to 100."""

_JOINERS = "\u200c\u200d"
"""Zero-width (non-)joiners: names in several scripts need them."""
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_TAG_COLON = re.compile(
    r"(?i)(-by|\b(?:closes|link|buglink|fixes|change-id|base-commit))\s*:(?!//)"
)
_AT = re.compile(r"(?<=\S)@(?=\S*\.\S)")


def is_hidden(char: str) -> bool:
    """Whether a character cannot be seen or changes how others are seen."""
    return char not in _JOINERS and unicodedata.category(char) in _HIDDEN


def visible(text: str) -> str:
    """The text with every hidden character but tab written out as ``<U+....>``.

    A byte that was no UTF-8 (decoded with "surrogateescape") is shown as ``<E4>``.
    """
    if text.isprintable():
        return text
    return "".join(_shown(char) if char != "\t" and is_hidden(char) else char for char in text)


def _shown(char: str) -> str:
    code = ord(char)
    return f"<{code - 0xDC00:02X}>" if 0xDC80 <= code <= 0xDCFF else f"<U+{code:04X}>"


def one_line(text: str, limit: int = 300) -> str:
    """The text on one line, visible, and of at most ``limit`` characters."""
    # Cut before the work, and again after it: escapes make text longer.
    flat = visible(" ".join(text[: 4 * limit].split()))
    if len(flat) <= limit and len(text) <= 4 * limit:
        return flat
    return flat[: max(0, limit - 4)].rstrip() + " ..."


def prose(text: str, limit: int = 300) -> str:
    """One line that no tool takes for a tag.

    ``Reviewed-by: …`` in a subject would be counted by patchwork and b4 when
    wrapping put it first on a line of our mail; without its colon it is only
    words.  b4 takes any ``word: …`` with an address for a tag, so an address
    reads "a at example.org"; a link is not touched.  The cut comes first: an
    ellipsis must not make a colon.
    """
    words = _TAG_COLON.sub(r"\1", one_line(text, limit)).split(" ")
    return " ".join(word if "://" in word else _AT.sub(" at ", word) for word in words)


def quoted(line: str) -> str:
    """One line of somebody's text as a quote, never wrapped, trailing blanks cut."""
    text = visible(line.rstrip()[: QUOTE_LIMIT * 2])
    if len(text) > QUOTE_LIMIT:
        text = f"{text[:QUOTE_LIMIT]} {ELISION}"
    return f"> {text}".rstrip()
