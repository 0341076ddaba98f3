# SPDX-License-Identifier: GPL-2.0-or-later
"""What frameworks hold: the table makes sense, and 6.12 has what it names."""

from __future__ import annotations

import re
from typing import Any

import pytest

from reviewbot.errors import ConfigError
from reviewbot.locking.frameworks import Callback, Frameworks, Running, builtin

_ARGUMENT = re.compile(r"argument (\d+) of (\w+)\(\)")
ENTRIES = sorted(builtin().members(), key=lambda entry: (entry[0], entry[1].context))
GOOD: dict[str, Any] = {
    "struct": "ops", "fields": ["open"], "held": ["big_lock"], "context": "process",
    "source": "fs/x.c",
}  # fmt: skip


@pytest.mark.parametrize(("member", "entry"), ENTRIES, ids=lambda value: str(value)[:60])
def test_every_entry_makes_sense(member: str, entry: Callback) -> None:
    if argument := _ARGUMENT.fullmatch(member):
        assert argument[1].isdigit() and argument[2].isidentifier()
    else:
        tag, _, field = member.removeprefix("struct ").partition(".")
        assert member.startswith("struct ") and (tag.isidentifier() or tag == "*")
        assert field == "*" or field.isidentifier()
    assert "/" in entry.source
    for held in entry.held:
        assert held.isidentifier() or held.startswith("struct ") or ".c:" in held
    if any(held.isidentifier() for held in entry.held):  # a class may be a spinlock's
        assert entry.context in (Running.PROCESS, Running.UNKNOWN)


def test_a_member_is_looked_up_by_name_and_by_all() -> None:
    table = Frameworks([GOOD, {**GOOD, "fields": ["*"], "held": ["other_lock"]}], "here")
    assert [entry.held for entry in table.of("struct ops.open")] == [("big_lock",), ("other_lock",)]
    assert [entry.held for entry in table.of("struct ops.read")] == [("other_lock",)]
    assert table.of("struct else.open") == ()


def test_an_entry_may_be_for_the_members_of_any_struct() -> None:
    table = Frameworks([{**GOOD, "struct": "*"}, {**GOOD, "object": "timer", "held": []}], "here")
    assert [entry.object for entry in table.of("struct ops.open")] == ["timer", ""]
    assert [entry.held for entry in table.of("struct else.open")] == [("big_lock",)]
    assert table.of("struct else.read") == ()


def test_of_two_structs_of_a_name_the_one_of_the_kernel_is_meant() -> None:
    table = Frameworks([GOOD], "somewhere.toml")
    plain = f"struct {GOOD['struct']}"
    field = GOOD["fields"][0]
    assert table.of(f"{plain} (include/linux/x-y.h).{field}") == table.of(f"{plain}.{field}") != ()
    assert table.of(f"{plain} (drivers/x/x.h).{field}") == ()


def test_an_entry_may_be_for_what_is_handed_to_a_function() -> None:
    entry = {**GOOD, "functions": ["on_event"], "arguments": [1, 2]}
    table = Frameworks([{k: v for k, v in entry.items() if k not in ("struct", "fields")}], "here")
    assert [member for member, _ in table.members()] == [
        "argument 1 of on_event()",
        "argument 2 of on_event()",
    ]
    assert table.of("argument 2 of on_event()")[0].held == ("big_lock",)
    assert table.of("argument 3 of on_event()") == ()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"colour": "red"}, "colour"),
        ({"context": "nowhere"}, "nowhere"),
        ({"struct": None}, "struct"),
        ({"fields": None}, "fields"),
        ({"functions": ["take"]}, "arguments"),
    ],
)
def test_an_entry_without_sense_is_refused(change: dict[str, Any], word: str) -> None:
    merged = {**GOOD, **change}
    table = {key: value for key, value in merged.items() if value is not None}
    with pytest.raises(ConfigError, match=word):
        Frameworks([table], "somewhere.toml")
