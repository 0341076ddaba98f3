# SPDX-License-Identifier: GPL-2.0-or-later
"""``pytest tests/report --update-golden`` writes the golden mails anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/data/golden anew from what the program makes now; read the diff",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, bytes], None]:
    """Compare bytes with a golden file, or write the file with --update-golden."""

    def compare(name: str, made: bytes) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden", default=False):
            path.write_bytes(made)
        assert made.decode() == path.read_bytes().decode()

    return compare
