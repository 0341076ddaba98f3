# SPDX-License-Identifier: GPL-2.0-or-later
"""What a path knows: signs, constants, flags, and how a branch adds to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.locking.effects import ANY
from reviewbot.locking.known import (
    NOTHING,
    Knowledge,
    assign,
    decide,
    holds,
    is_constant,
    learn,
    narrow,
    suppose,
    value,
)


def path(*steps: tuple[str, bool]) -> Knowledge | None:
    known: Knowledge | None = NOTHING
    for key, answer in steps:
        if known is not None:
            known = learn(known, key, answer)
    return known


@pytest.mark.parametrize(
    ("steps", "asked", "expected"),
    [
        ([("x", True)], "x", True),
        ([("x", False)], "x<0", False),
        ([("x<0", False)], "x", None),
        ([("x<0", False), ("x", True)], "x>0", True),
        ([("x>0", False), ("x<0", False)], "x", False),
        ([("x==3", True)], "x", True),
        ([("x==3", True)], "x==4", False),
        ([("x==MODE_A", True)], "x==MODE_B", False),
        ([("x==MODE_A", True)], "x&MODE_A", True),
        ([("x==MODE_A", False)], "x==MODE_A", False),
        ([("x==MODE_A", False)], "x==MODE_B", None),
        ([("x&F_ONE", True)], "x&F_TWO", None),
        ([("x&F_ONE", True)], "x&F_ONE", True),
        ([("x", False)], "x&F_ONE", False),
        ([("x==-EAGAIN", True)], "x<0", True),
        ([("x<0", False)], "x==-EAGAIN", False),
        ([("busy(x)", True)], "busy(x)", True),
        ([("a<b", True)], "a<b", True),
        ([("x==y", True)], "x==z", None),
        ([("x", False)], "x==0", True),
    ],
)
def test_what_follows(steps: list[tuple[str, bool]], asked: str, expected: bool | None) -> None:
    known = path(*steps)
    assert known is not None
    assert decide(known, asked) is expected


@pytest.mark.parametrize(
    "steps",
    [
        [("x", True), ("x", False)],
        [("x<0", True), ("x>0", True)],
        [("x<0", True), ("x", False)],
        [("x==MODE_A", True), ("x==MODE_B", True)],
        [("x==3", True), ("x", False)],
        [("x&F_ONE", True), ("x&F_ONE", False)],
        [("x", False), ("x&F_ONE", True)],
    ],
)
def test_what_cannot_be(steps: list[tuple[str, bool]]) -> None:
    assert path(*steps) is None


@pytest.mark.parametrize(
    ("what", "signs", "constant"),
    [
        (("0",), "0", ""),
        (("-", "-EIO"), "-", "-EIO"),
        (("1", "5"), "+", "5"),
        (("=MODE_A|MODE_B",), ANY, "MODE_A|MODE_B"),
        (("=err",), "-", ""),
        (("~ptr",), "-", ""),
        (("?ptr",), "-0", ""),
        (("=other",), ANY, ""),
        ((), ANY, ""),
    ],
)
def test_assignments(what: tuple[str, ...], signs: str, constant: str) -> None:
    before: Knowledge = frozenset({("err", "-"), ("ptr", "-+")})
    assert value(assign(before, "x", what), "x") == (signs, constant)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("X_EXCL", True), ("__GFP_WAIT", True), ("A|B", True), ("3", True), ("-EIO", True),
     ("0x1f", True), ("flags", False), ("NULL", False), ("", False), ("f(X)", False)],
)  # fmt: skip
def test_constants(text: str, expected: bool) -> None:
    assert is_constant(text) is expected


KEYS = st.sampled_from(["x", "x<0", "x>0", "x==MODE_A", "x==MODE_B", "x==3", "x&F_ONE", "y"])
STEPS = st.lists(st.tuples(KEYS, st.booleans()), max_size=5)


@given(STEPS, KEYS)
def test_a_branch_goes_one_way_at_least(steps: list[tuple[str, bool]], key: str) -> None:
    known = path(*steps)
    if known is None:
        return
    ways = [answer for answer in (True, False) if learn(known, key, answer) is not None]
    answer = decide(known, key)
    assert ways == [True, False] if answer is None else [answer]


@given(STEPS, KEYS, st.booleans())
def test_what_was_learned_is_known(steps: list[tuple[str, bool]], key: str, answer: bool) -> None:
    known = path(*steps)
    after = learn(known, key, answer) if known is not None else None
    if after is not None:
        assert decide(after, key) is answer


@given(st.sampled_from(["-", "0", "+", "-0", "-+", "0+"]), st.sampled_from(["-", "0", "+"]))
def test_a_fact_holds_or_its_opposite_can_be_supposed(signs: str, one: str) -> None:
    known = narrow(NOTHING, "x", signs)
    assert known is not None
    told = holds(known, ("x", one))
    assert (suppose(known, ("x", one), True) is None) is (told is False)
    assert (suppose(known, ("x", one), False) is None) is (told is True)
