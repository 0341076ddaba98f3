# SPDX-License-Identifier: GPL-2.0-or-later
"""The guards of conftest.py do guard: each is run in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(tmp_path: Path, conftest: Path, test: str, **env: str) -> str:
    """The outcome lines of a small test file under our conftest.py."""
    (tmp_path / "conftest.py").write_text(conftest.read_text())
    (tmp_path / "test_it.py").write_text(test)
    environ = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", "-p", "no:xdist", "."],
        cwd=tmp_path,
        env=environ | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout


@pytest.fixture
def conftest(repository_root: Path) -> Path:
    return repository_root / "tests" / "conftest.py"


LEFT_BEHIND = "import tempfile\ndef test_it(): tempfile.mkdtemp(prefix='reviewbot-')\n"
MODULE_SKIP = "import pytest\npytest.skip('no such package', allow_module_level=True)\n"
SKIP = "import pytest\ndef test_it(): pytest.skip('no such package')\n"
XFAIL = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n"
CONNECT = """
import socket
def test_it():
    with socket.socket(socket.{family}, socket.{kind}) as sock:
        sock.settimeout(1)
        sock.{call}
"""
LOOK_UP = "import socket\ndef test_it(): socket.create_connection(('lore.example.org', 443))\n"


def test_a_directory_left_behind_is_an_error(tmp_path: Path, conftest: Path) -> None:
    assert "left behind in TMPDIR: reviewbot-" in run(tmp_path, conftest, LEFT_BEHIND)


@pytest.mark.parametrize(
    ("family", "kind", "call"),
    [
        ("AF_INET", "SOCK_STREAM", "connect(('192.0.2.1', 80))"),
        ("AF_INET", "SOCK_STREAM", "connect_ex(('192.0.2.1', 80))"),
        ("AF_INET6", "SOCK_STREAM", "connect(('2001:db8::1', 80))"),
        ("AF_INET", "SOCK_DGRAM", "sendto(b'', ('192.0.2.1', 53))"),
    ],
)
def test_reaching_out_is_a_failure(
    tmp_path: Path, conftest: Path, family: str, kind: str, call: str
) -> None:
    test = CONNECT.format(family=family, kind=kind, call=call)
    assert "only loopback is allowed" in run(tmp_path, conftest, test)


def test_looking_up_a_name_is_a_failure(tmp_path: Path, conftest: Path) -> None:
    assert "only loopback is allowed" in run(tmp_path, conftest, LOOK_UP)


@pytest.mark.parametrize("test", [SKIP, MODULE_SKIP])
def test_a_skip_fails_in_ci_only(tmp_path: Path, conftest: Path, test: str) -> None:
    assert "1 skipped" in run(tmp_path, conftest, test)
    output = run(tmp_path, conftest, test, CI="true")
    assert "skipped, which is not accepted in CI: Skipped: no such package" in output
    assert "1 skipped" not in output


def test_an_expected_failure_is_no_skip(tmp_path: Path, conftest: Path) -> None:
    assert "1 xfailed" in run(tmp_path, conftest, XFAIL, CI="true")
