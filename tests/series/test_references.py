# SPDX-License-Identifier: GPL-2.0-or-later
"""The words in which series name what they are built on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.series.model import Reference, ReferenceKind
from reviewbot.series.references import references

ID = "20260101-frob-v1-0-1234@example.org"
PATCH = "1f" * 20


@pytest.mark.parametrize(
    ("line", "kind", "value"),
    [
        (f"prerequisite-patch-id: {PATCH}", "patch-id", PATCH),
        (f"Prerequisite-Patch-Id:\t{PATCH}  ", "patch-id", PATCH),
        ("prerequisite-change-id: 20260101-frob-12ab:v3", "change-id", "20260101-frob-12ab:v3"),
        ("prerequisite-change-id: 20260101-frob-12ab", "change-id", "20260101-frob-12ab"),
        (f"prerequisite-message-id: <{ID}>", "message-id", ID),
        (f"prerequisite-message-id: {ID}", "message-id", ID),
        (f"Depends-on: <{ID}>", "message-id", ID),
        (f'Based-on: <{ID}> ("frob: poll")', "message-id", ID),
        (f"Depends-on: https://lore.kernel.org/r/{ID}", "message-id", ID),
        (f"Depends-on: https://lore.kernel.org/all/{ID}/T/#u", "message-id", ID),
        (f"Depends-on: frob rework (https://patch.msgid.link/{ID})", "message-id", ID),
        ("Depends-on: change-id:20260101-frob-12ab:v2", "change-id", "20260101-frob-12ab:v2"),
    ],
)
def test_what_names_a_series(line: str, kind: str, value: str) -> None:
    body = f"Words.\r\n---\r\n{line}\r\nmore\r\n"
    assert list(references([body])) == [Reference(ReferenceKind(kind), value)]


@pytest.mark.parametrize(
    "line",
    [
        f"> Depends-on: <{ID}>",
        f" prerequisite-patch-id: {PATCH}",
        f"prerequisite-patch-id: {PATCH[:39]}",
        f"prerequisite-patch-id: {PATCH}0",
        "prerequisite-change-id: two words",
        "Depends-on: the series by Robin",
        'Depends-on: 0123456789ab ("frob: start")',
        "Depends-on: https://example.org/bugs/12",
        "Depends-on:",
        "prerequisite-message-id: <../../etc/passwd>",
        f"+Depends-on: <{ID}>",
    ],
)
def test_what_names_none(line: str) -> None:
    assert list(references([line])) == []


def test_they_come_in_order() -> None:
    bodies = [f"Based-on: <{ID}>\nprerequisite-patch-id: {PATCH}", "Depends-on: <b@example.org>"]
    assert [each.value for each in references(bodies)] == [ID, PATCH, "b@example.org"]


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)))))
def test_any_text_is_read(bodies: list[str]) -> None:
    lines = [f"Depends-on: {body}" for body in bodies]
    assert all(each.value.isprintable() for each in references(lines))
