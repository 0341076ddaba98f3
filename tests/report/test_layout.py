# SPDX-License-Identifier: GPL-2.0-or-later
"""Paragraphs, facts, chains and scenarios in columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.locking.model import Step
from reviewbot.report.clean import ELISION
from reviewbot.report.layout import (
    CHAIN_LIMIT,
    PROSE_WIDTH,
    chain_lines,
    columns,
    fact,
    scenario_lines,
    step_line,
    trace_lines,
    wrap,
)

WORDS = st.lists(st.text("abc_.()>-山é", min_size=1, max_size=90), max_size=40)


@given(WORDS)
def test_wrap_keeps_every_word_and_the_width(words: list[str]) -> None:
    lines = wrap(" ".join(words))
    assert " ".join(lines).split() == words
    for line in lines:
        assert columns(line) <= PROSE_WIDTH or len(line.split()) == 1


def test_wide_characters_count_two_columns() -> None:
    lines = wrap("待機 " * 40)
    assert max(map(columns, lines)) <= PROSE_WIDTH
    assert max(map(len, lines)) < PROSE_WIDTH


def test_a_lock_class_is_one_word() -> None:
    text = "x " * 33 + "struct frob.gate_lock is held"
    assert wrap(text)[1] == "struct frob.gate_lock is held"


def test_a_word_longer_than_a_mail_line_is_cut() -> None:
    (line,) = wrap("待" * 5000)
    assert len(line.encode()) < 400


@pytest.mark.parametrize("word", [">", ">quote", ".", "From"])
def test_prose_never_starts_like_something_else(word: str) -> None:
    lines = wrap(f"{'a' * 71} {word} {'b' * 71}")
    assert not any(line == "." or line.startswith((">", "From ")) for line in lines)
    assert any(line.split()[:1] == [word] for line in lines)


def test_fact_hangs_under_its_text() -> None:
    lines = fact("Base", "word " * 30)
    assert lines[0].startswith("Base:     word")
    assert all(line.startswith("          word") for line in lines[1:])
    assert len(lines) > 1


def test_step_line_is_lockdep_like() -> None:
    step = Step("f", "a/b.c", 12, "mutex_lock", "struct s.l")
    assert step_line(step) == "f (a/b.c:12) mutex_lock [struct s.l]"
    hop = Step("f", "a/b.c", 12, "ops->stop", indirect="ops struct s_ops.stop")
    assert step_line(hop) == "f (a/b.c:12) ops->stop, by ops struct s_ops.stop"


@given(st.integers(0, 40))
def test_a_long_chain_keeps_its_ends(count: int) -> None:
    steps = [Step(f"f{number}", "a.c", number, "call") for number in range(count)]
    lines = chain_lines(steps)
    assert len(lines) == min(count, CHAIN_LIMIT)
    if count:
        assert lines[0] == "  f0 (a.c:0) call"
        assert lines[-1] == f"  f{count - 1} (a.c:{count - 1}) call"
    assert (f"  {ELISION}" in lines) == (count > CHAIN_LIMIT)


def test_scenario_of_two_contexts() -> None:
    rows = [(0, "lock(a.b);"), (1, "lock(c.d);"), (1, "lock(a.b);"), (0, "lock(c.d);")]
    assert scenario_lines(["CPU0", "CPU1"], rows) == (
        "  CPU0         CPU1",
        "  ----         ----",
        "  lock(a.b);",
        "               lock(c.d);",
        "               lock(a.b);",
        "  lock(c.d);",
    )


def test_a_scenario_reaches_into_columns_where_nothing_stands() -> None:
    rows = [(0, "lock(frob.gate_lock)"), (1, "lock(frob.gate_lock) waits"), (0, "x" * 60)]
    assert scenario_lines(["CPU0", "frob_drain()"], rows) == (
        "  CPU0                                        frob_drain()",
        "  ----                                        ----",
        "  lock(frob.gate_lock)",
        "                                              lock(frob.gate_lock) waits",
        "  " + "x" * 60,
    )


def test_scenario_breaks_a_long_name_within_its_column() -> None:
    name = "lock(frob_device.port_table.entry_mutation_lock);"
    lines = scenario_lines(["task", "kworker", "softirq"], [(0, name), (1, name), (2, name)])
    assert max(map(columns, lines)) <= PROSE_WIDTH
    assert "".join(line.strip() for line in lines[2:]) == name * 3


def test_a_trace_names_a_function_where_it_does_not_follow() -> None:
    steps = [
        Step("f", "a.c", 1, "mutex_lock", "struct s.l"),
        Step("f", "a.c", 2, "g"),
        Step("g", "b.c", 3, "ops->stop", indirect="ops struct s_ops.stop"),
        Step("h", "c.c", 4, "flush_work", "struct s.w"),
    ]
    assert trace_lines(steps, "f", limit=8) == (
        "  a.c:1: mutex_lock [struct s.l]",
        "  a.c:2: g",
        "  b.c:3: ops->stop, by ops struct s_ops.stop",
        "  c.c:4: h() calls flush_work [struct s.w]",
    )
    assert trace_lines(steps, limit=8)[0] == "  a.c:1: f() calls mutex_lock [struct s.l]"
    assert trace_lines(steps, "f", limit=3) == (
        "  a.c:1: mutex_lock [struct s.l]",
        f"  {ELISION}",
        "  c.c:4: h() calls flush_work [struct s.w]",
    )


@given(
    st.lists(st.text("ab c._(山", max_size=60), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(-1, 5), st.text("ab c._(山", max_size=120)), max_size=6),
)
def test_scenario_fits_and_loses_nothing(headers: list[str], rows: list[tuple[int, str]]) -> None:
    lines = scenario_lines(headers, rows)
    assert bool(lines) == bool(rows)
    assert all(columns(line) <= PROSE_WIDTH for line in lines)
    said = "".join(text for _, text in rows)
    shown = "".join(lines)
    for char in "abc._(山":
        assert shown.count(char) == (said + "".join(headers)).count(char) * bool(rows)


def test_no_columns_or_rows_is_no_scenario() -> None:
    assert scenario_lines([], [(0, "x")]) == ()
    assert scenario_lines(["CPU0"], []) == ()
