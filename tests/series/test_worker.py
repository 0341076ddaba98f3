# SPDX-License-Identifier: GPL-2.0-or-later
"""What the confined process cannot do any more."""

from __future__ import annotations

import subprocess
import sys

import pytest

CONFINE = """
import resource, socket, subprocess, os
from reviewbot.series._protocol import AssembleLimits
from reviewbot.series._worker import confine
confine(AssembleLimits(seconds=7.5, memory=10**9, max_reply=12345))
"""


def confined(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-c", CONFINE + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "code",
    [
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.getaddrinfo('localhost', 80)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
        "subprocess.run(['true'])",
        "subprocess.run('git version; true', shell=True)",
        "os.system('true')",
        "os.execv('/bin/true', ['true'])",
    ],
)
def test_no_network_and_no_programs(code: str) -> None:
    done = confined(code)
    assert done.returncode == 1
    assert "PermissionError: a process that reads strangers' mail" in done.stderr


def test_git_still_runs() -> None:
    assert "git version" in confined("subprocess.run(['git', 'version'])").stdout


def test_limits_are_set() -> None:
    done = confined(
        "for kind in ('AS', 'CPU', 'FSIZE', 'CORE'):\n"
        "    print(*resource.getrlimit(getattr(resource, 'RLIMIT_' + kind)))"
    )
    assert done.stdout.split("\n")[:4] == [
        "1000000000 1000000000",
        "8 9",
        "12345 12345",
        "0 0",
    ]
