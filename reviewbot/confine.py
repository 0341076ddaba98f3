# SPDX-License-Identifier: GPL-2.0-or-later
"""What a process that reads strangers' mail gives up, for good, before it does.

Such a process has an empty directory, an environment built from nothing, limits on
memory, time and files, no network, and may run git only.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from pathlib import Path
from typing import Any

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_NETWORK_EVENTS = frozenset(
    {
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.sendmsg",
        "socket.sendto",
    }
)


def environment(home: Path) -> dict[str, str]:
    """Nothing of the user's but the search path, on which git is found."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "GIT_CEILING_DIRECTORIES": str(home),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
    }


def bound(*, memory: int, cpu: int, file_size: int, files: int) -> None:
    """Limit this process and its children: bytes of address space and of any one file
    written, seconds of processor time, open files.

    At its limit of time a process gets SIGXCPU, a second later SIGKILL.
    """
    for kind, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, files),
    ):
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        grace = int(kind == resource.RLIMIT_CPU and most == value)
        resource.setrlimit(kind, (most, most + grace))


def cut_off(*, network: bool = False) -> None:
    """No connection from here on, and no program but git; with ``network`` git may have one.

    A network namespace of one's own has no way out, but making one may be
    forbidden; the audit hook is there in any case and cannot be removed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not network and libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    sys.addaudithook(_refuse)


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    if event in _NETWORK_EVENTS:
        raise PermissionError("a process that reads strangers' mail has no network")
    if event == "subprocess.Popen" and list(args[1])[:1] != ["git"]:
        raise PermissionError("a process that reads strangers' mail runs git only")
    if event in ("os.system", "os.exec", "os.posix_spawn"):
        raise PermissionError("a process that reads strangers' mail runs git only")
