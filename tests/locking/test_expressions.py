# SPDX-License-Identifier: GPL-2.0-or-later
"""Equal expressions are equal strings, and arguments are told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.locking.expressions import constant, split_arguments, tight


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", "a"),
        (" a -> b . c ", "a->b.c"),
        ("a\n\t + b", "a+b"),
        ("unsigned long", "unsigned long"),
        ("sizeof ( struct kvm )", "sizeof(struct kvm)"),
        ("& a [ i ]", "&a[i]"),
    ],
)
def test_tight(text: str, expected: str) -> None:
    assert tight(text) == expected


@given(st.text(alphabet="ab_1 \t\n->.&*()[]+=", max_size=40))
def test_tight_once_is_tight(text: str) -> None:
    once = tight(text)
    assert tight(once) == once
    assert "".join(once.split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "0"),
        ("NULL", "0"),
        ("false", "0"),
        ("0UL", "0"),
        ("1", "1"),
        ("-1", "-"),
        ("true", "1"),
        ("-EINVAL", "-"),
        ("42", "1"),
        ("00", ""),
        ("x", ""),
        ("-x", ""),
        ("EINVAL", ""),
        ("", ""),
    ],
)
def test_constant(text: str, expected: str) -> None:
    assert constant(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("  ", ()),
        ("a", ("a",)),
        ("a, b", ("a", "b")),
        ("f(a, b), c[d, e], {x, y}", ("f(a,b)", "c[d,e]", "{x,y}")),
        ("struct kvm *, x", ("struct kvm*", "x")),
        ("a +\n b", ("a+b",)),
        ("a, " + "x" * 500, ("a", "")),
    ],
)
def test_split_arguments(text: str, expected: tuple[str, ...]) -> None:
    assert split_arguments(text) == expected
