# SPDX-License-Identifier: GPL-2.0-or-later
"""Directories that belong together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.locking.places import directory_of, machine_of, related


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("net/bluetooth", "net/bluetooth", True),
        ("net/bluetooth", "net/bluetooth/hidp", True),
        ("net/bluetooth", "net/mac80211", False),
        ("drivers/net/ethernet/vendor/core", "drivers/net/ethernet/vendor/eth", True),
        ("drivers/net/ethernet/one", "drivers/net/ethernet/two", False),
        ("kernel", "kernel/time", False),
        ("mm", "mm", True),
        ("", "", True),
        ("", "mm", False),
        ("drivers/usb", "drivers/usbip", False),
    ],
)
def test_what_belongs_together(one: str, other: str, together: bool) -> None:
    assert related(one, other) is together


PATHS = st.lists(st.sampled_from("abc"), max_size=6).map("/".join)


@given(PATHS, PATHS)
def test_it_goes_both_ways(one: str, other: str) -> None:
    assert related(one, other) == related(other, one)
    assert related(one, one)


def test_directory_of_a_file() -> None:
    assert directory_of("net/core/dev.c") == "net/core"
    assert directory_of("Makefile") == ""


@pytest.mark.parametrize(
    ("path", "machine"),
    [("arch/x86/kvm/x86.c", "x86"), ("arch/Kconfig", "Kconfig"), ("drivers/arch/x86/a.c", "")],
)
def test_whose_architecture_a_file_is(path: str, machine: str) -> None:
    assert machine_of(path) == machine
