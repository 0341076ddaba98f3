# SPDX-License-Identifier: GPL-2.0-or-later
"""Rewriting a body for the grammar keeps every offset, and its conditions go both ways."""

from __future__ import annotations

import pytest
from hypothesis import given

from reviewbot.locking.palatable import palatable, variants
from tests.locking.strategies import TEXTS


@given(TEXTS)
def test_nothing_moves(text: bytes) -> None:
    for one in (palatable(text).code, *variants(text)):
        assert len(one) == len(text)
        assert [n for n, c in enumerate(one) if c == 0x0A] == [
            n for n, c in enumerate(text) if c == 0x0A
        ]


@given(TEXTS)
def test_what_was_rewritten_is_where_it_is_said(text: bytes) -> None:
    done = palatable(text)
    for place in done.loops | done.scoped:
        assert done.code[place : place + 5] == b"while"
    assert not done.loops & done.scoped


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        (b"list_for_each_entry(a, b, c) { }", True),
        (b"for_each_online_cpu(cpu)\n\tf(cpu);", True),
        (b"xa_for_each (x, i, e)\n{", True),
        (b"x_foreach(a) f();", True),
        (b"for_all_cpus(cpu)\n\tf(cpu);", True),
        (b"for_next(x);", False),
        (b"bus_for_each_dev(a, b);", False),
        (b"if (device_for_each_child(a, b, c))", False),
        (b"f(for_each_x(a), b)", False),
        (b"x = my_for_each;", False),
    ],
)
def test_loops(text: bytes, loop: bool) -> None:
    assert bool(palatable(text).loops) == loop


def test_scoped_guards() -> None:
    done = palatable(
        b"scoped_guard(mutex, &a) { f(); } scoped_cond_guard (mutex_intr, return -EINTR, &b) g();"
    )
    assert len(done.scoped) == 2
    assert b"return" not in done.code


@pytest.mark.parametrize(
    ("text", "both"),
    [
        (b"f();", [b"f();"]),
        (b"#ifdef A\nf();\n#endif\n", [b"f();", b""]),
        (b"#ifndef A\nf();\n#endif\n", [b"", b"f();"]),
        (b"#if defined(A) && !B\nf();\n#else\ng();\n#endif\n", [b"f();", b"g();"]),
        (b"#if !A\nf();\n#endif\n", [b"", b"f();"]),
        (b"#if 0\nf();\n#else\ng();\n#endif\n", [b"g();"]),
        (b"#ifdef A\n#ifdef B\nf();\n#endif\n#else\ng();\n#endif\n", [b"f();", b"g();"]),
        (b"#ifdef A\nf();\n#elif B\ng();\n#else\nh();\n#endif\n", [b"f();", b"h();"]),
        (b"#ifdef A \\\n B\nf();\n#endif\n", [b"f();", b""]),
        (b"#endif\n#else\nf();\n", [b"f();"]),
    ],
)
def test_conditions(text: bytes, both: list[bytes]) -> None:
    assert [b" ".join(one.split()) for one in variants(text)] == both
