# SPDX-License-Identifier: GPL-2.0-or-later
"""Address headers as they are really written, and as nobody should write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.series.addresses import canonical, domain_of, is_relay, mailbox, read_addresses


@pytest.mark.parametrize(
    ("value", "people"),
    [
        ("robin@example.org", [("", "robin@example.org")]),
        ('"Ample, Robin" <robin@example.org>', [("Ample, Robin", "robin@example.org")]),
        ("Robin Ample (TI) <robin@example.org>", [("Robin Ample (TI)", "robin@example.org")]),
        (
            "a@example.org, Robin (TI, frob) <robin@example.org>",
            [("", "a@example.org"), ("Robin (TI, frob)", "robin@example.org")],
        ),
        ("=?utf-8?q?Ample=2C_Zo=C3=AB?= <z@example.org>", [("Ample, Zoë", "z@example.org")]),
        ("=?utf-8?b?Wm/Dqw==?= =?utf-8?q?_A?= <z@example.org>", [("Zoë A", "z@example.org")]),
        (
            "=?utf-8?q?kim=40example=2Eorg=2C?= <robin@example.org>",
            [("kim@example.org,", "robin@example.org")],
        ),
        ('"kim@example.org" <robin@example.org>', [("kim@example.org", "robin@example.org")]),
        ('"R. \\"Rob\\" Ample" <r@example.org>', [('R. "Rob" Ample', "r@example.org")]),
        ("robin@example.org (Robin Ample)", [("Robin Ample", "robin@example.org")]),
        ("frob: a@example.org, b@example.org;", [("", "a@example.org"), ("", "b@example.org")]),
        ("=?no-such?q?x?= <robin@example.org>", [("=?no-such?q?x?=", "robin@example.org")]),
        ("undisclosed-recipients:;", []),
        ("", []),
    ],
)
def test_a_name_never_costs_its_recipient(value: str, people: list[tuple[str, str]]) -> None:
    assert [(one.name, one.address) for one in read_addresses([value])] == people


def test_an_encoded_word_is_no_address() -> None:
    (one,) = read_addresses(["=?utf-8?q?kim=40example=2Eorg?="])
    assert one.address == "=?utf-8?q?kim=40example=2Eorg?="


@pytest.mark.parametrize("piece", ["(", "<", '"', "@", "[", ":;", "a <a@b.c> (", "=?utf-8?q?"])
def test_a_bomb_ends(piece: str) -> None:
    assert len(read_addresses([piece * 200_000])) < 70_000


@given(st.text(max_size=300))
def test_whatever_is_written_is_read(value: str) -> None:
    for one in read_addresses([value]):
        assert one.address


@given(st.text(max_size=80))
def test_two_spellings_of_an_address_are_one(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)
    assert mailbox(mailbox(text)) == mailbox(text)


def test_addresses_are_compared_parsed() -> None:
    assert canonical("Robin@Example.ORG.") == canonical("robin@example.org")
    assert canonical("xrobin@example.org") != canonical("robin@example.org")
    assert mailbox("Robin+kernel@example.org") == mailbox("robin@example.org")
    assert mailbox("+odd@example.org") == "+odd@example.org"
    assert domain_of("a@b@Example.org") == "example.org"


def test_the_relay_is_known_by_its_mailbox() -> None:
    assert is_relay("devnull+robin.example.org@kernel.org")
    assert not is_relay("xdevnull+robin.example.org@kernel.org")
    assert not is_relay("devnull+robin@kernel.org.example.org")
