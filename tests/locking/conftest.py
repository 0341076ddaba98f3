# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories for small kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.locking.scenarios import SCENARIOS
from tests.locking.support import Lab, Reviews


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A repository of small kernels with an empty cache."""
    return Lab.make(tmp_path)


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Reviews:
    """What the checker says of each scenario."""
    lab = Lab.make(tmp_path_factory.mktemp("scenarios"))
    return Reviews(lab, {name: (case.good, case.bad) for name, case in SCENARIOS.items()})
