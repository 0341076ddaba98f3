# SPDX-License-Identifier: GPL-2.0-or-later
"""The units are whole, hardened, and start commands that the program has."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.program import run

UNITS = Path(__file__).parents[1] / "contrib" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
HARDENED = ("ProtectSystem=strict", "PrivateTmp=yes", "NoNewPrivileges=yes", "MemoryMax=")


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_unit_starts_what_the_program_has_and_is_hardened(unit: Path) -> None:
    text = unit.read_text()
    assert all(setting in text for setting in HARDENED)
    command = re.search(r"^ExecStart=/usr/bin/reviewbot (\w+)", text, re.MULTILINE)
    assert command is not None
    assert run(command[1], "--help").status == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/usr/bin/reviewbot", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
