# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from reviewbot.errors import ServiceError
from reviewbot.service.scratch import scratch, sweep

_KILLED = """
import os, signal
from reviewbot.service.scratch import scratch
with scratch("killed") as own:
    (own / "left").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""

_SWEEP = """
import pathlib, sys
from reviewbot.service.scratch import sweep
sweep(pathlib.Path(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_is_temporary_is_made_there_and_goes_with_it(top: Path) -> None:
    with scratch("one") as own:
        assert Path(tempfile.mkdtemp()).parent == own
        assert os.environ["TMPDIR"] == str(own)
    assert list(top.iterdir()) == []
    assert os.environ["TMPDIR"] == str(top)


def test_it_goes_when_work_ends_with_an_error(top: Path) -> None:
    with pytest.raises(OSError, match="the work's own"), scratch("one"):
        raise OSError("the work's own")
    assert list(top.iterdir()) == []


def test_what_a_killed_service_left_goes_with_the_next(top: Path) -> None:
    subprocess.run([sys.executable, "-c", _KILLED], check=False, timeout=60)
    assert (top / "reviewbot-service-killed" / "left").is_dir()
    sweep(top)
    assert list(top.iterdir()) == []


def test_another_service_that_lives_keeps_its_own(top: Path) -> None:
    """Even one with a state of its own, of which we know nothing."""
    with scratch("one") as own:
        subprocess.run([sys.executable, "-c", _SWEEP, str(top)], check=True, timeout=60)
        assert own.is_dir()


def test_a_name_that_is_taken_is_a_sentence(top: Path) -> None:
    (top / "reviewbot-service-one").write_text("")
    with pytest.raises(ServiceError, match="reviewbot-service-one cannot be made"), scratch("one"):
        pass
