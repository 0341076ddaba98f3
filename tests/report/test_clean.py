# SPDX-License-Identifier: GPL-2.0-or-later
"""Strangers' text: visible, bounded, on one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.report.clean import ELISION, QUOTE_LIMIT, is_hidden, one_line, prose, quoted, visible

NASTY = st.text(st.characters(categories=["L", "N", "P", "Z", "C", "S"]), max_size=400)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\r\nBcc: x@example.org", "a Bcc: x@example.org"),
        ("right\u202eleft", "right<U+202E>left"),
        ("nul\0", "nul<U+0000>"),
        ("escape\x1b[2J", "escape<U+001B>[2J"),
        ("lone \ud800 surrogate", "lone <U+D800> surrogate"),
        ("latin\udce4 byte", "latin<E4> byte"),
        ("replaced \ufffd before", "replaced \ufffd before"),
        ("soft\u00adhyphen \ufeffmark", "soft<U+00AD>hyphen <U+FEFF>mark"),
        ("क्\u200dष stays", "क्\u200dष stays"),
        ("Zoë 山田", "Zoë 山田"),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_a_long_text_is_cut_and_says_so() -> None:
    assert one_line("word " * 1000, 40) == "word word word word word word word w ..."
    assert len(one_line("\u202e" * 1000, 40)) <= 40


@given(NASTY, st.integers(5, 80))
def test_one_line_is_bounded_and_visible(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert not any(map(is_hidden, line))
    assert line == " ".join(line.split())


@pytest.mark.parametrize(
    "text", ["Reviewed-by: A <a@example.org>", "reviewed-BY : A", "x Acked-by: B", "-by:-by::"]
)
def test_prose_has_no_tag(text: str) -> None:
    assert "by:" not in prose(text).lower().replace(" ", "")[:-1]


@given(NASTY)
def test_a_quote_is_one_line_with_its_mark(text: str) -> None:
    line = quoted(text)
    assert line == ">" or line.startswith("> ")
    assert len(line) <= len("> ") + QUOTE_LIMIT + len(f" {ELISION}")
    assert not any(is_hidden(char) for char in line if char != "\t")


def test_tabs_stay_in_a_quote() -> None:
    assert quoted("+\tmutex_lock(&a);  ") == "> +\tmutex_lock(&a);"
    assert quoted(" ") == ">"
    assert visible("\tx\x07") == "\tx<U+0007>"
