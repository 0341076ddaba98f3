# SPDX-License-Identifier: GPL-2.0-or-later
"""Real, small git repositories for the tests of the kernel room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reviewbot.kernel.repository import Repository, Scratch
from tests.kernel.support import Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """An empty checkout at ``tmp_path/user``."""
    return Checkout.make(tmp_path / "user")


@pytest.fixture
def numbered(checkout: Checkout) -> Checkout:
    """A checkout with one commit: ``dir/lines.c`` holds ``line 1`` to ``line 60``."""
    checkout.commit({"dir/lines.c": numbered_lines(), "other.c": "int other;\n"})
    return checkout


@pytest.fixture(scope="session")
def seed(sample_patches: Path) -> Path:
    """The folder with the seed's mboxes."""
    return sample_patches


@pytest.fixture
def kernel(kernel_tree: Path) -> Iterator[tuple[Repository, Scratch]]:
    """Debian's 6.12, opened, and a scratch repository beside it."""
    with Repository.open(kernel_tree) as repository, Scratch(repository) as scratch:
        yield repository, scratch


def numbered_lines() -> str:
    return "".join(f"line {number}\n" for number in range(1, 61))
