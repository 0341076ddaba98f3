# SPDX-License-Identifier: GPL-2.0-or-later
"""What every test has: a private home, no network but loopback, and nothing left behind.

In CI (``CI`` is set) a skipped test is a failed one: what CI does not run, nobody runs.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.support.program import Kernel, seeded

# Read before the fixtures below give tests a home of their own.
_CACHE_HOME = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
_KERNEL_CACHE = Path(os.environ.get("REVIEWBOT_KERNEL_CACHE") or _CACHE_HOME / "reviewbot-kernel")
_KERNEL_TREE = os.environ.get("REVIEWBOT_KERNEL_TREE")
_IN_CI = bool(os.environ.get("CI"))

# The machine is shared: how long an example takes says nothing about the code.
hypothesis.settings.register_profile("reviewbot", deadline=None, print_blob=True)
hypothesis.settings.load_profile("reviewbot")


# ---- the same under nohup and as a shell's background job ----


def pytest_configure() -> None:
    """Let what a test starts be interrupted, though this process ignores such signals.

    A child inherits what is ignored, but has the default where its parent has a handler.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


# ---- in CI, a skip is a failure ----


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if _IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: skipped, which is not accepted in CI: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report


# ---- a private home and nothing left behind ----


def _give_home(patch: pytest.MonkeyPatch, home: Path) -> Path:
    """Point everything that looks for a user's files at ``home``; returns its TMPDIR."""
    for name in list(os.environ):
        if name.startswith(("GIT_", "XDG_", "B4_", "REVIEWBOT_", "PI_")):
            patch.delenv(name)
    patch.setenv("HOME", str(home))
    for kind in ("config", "cache", "data", "state"):
        patch.setenv(f"XDG_{kind.upper()}_HOME", str(home / kind))
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    temporary = home / "tmp"
    temporary.mkdir(parents=True)
    patch.setenv("TMPDIR", str(temporary))
    patch.setattr(tempfile, "tempdir", None)  # tempfile remembers the first answer
    return temporary


@pytest.fixture(scope="session", autouse=True)
def _session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home for what session fixtures start, which outlives each test's own."""
    with pytest.MonkeyPatch.context() as patch:
        _give_home(patch, tmp_path_factory.mktemp("home"))
        yield


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """This test's home directory; no ``reviewbot-*`` may be left in its TMPDIR."""
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("home")
        temporary = _give_home(patch, directory)
        yield directory
        left = sorted(path.name for path in temporary.glob("reviewbot-*"))
        assert not left, f"left behind in TMPDIR: {', '.join(left)}"


# ---- no network but loopback ----


def _is_local(host: object) -> bool:
    if not isinstance(host, str) or host in ("", "localhost"):
        return True  # None and "" are wildcard addresses to bind to, bytes do not occur
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _refuse(host: object) -> None:
    if not _is_local(host):
        pytest.fail(f"the test wants to reach {host!r}: only loopback is allowed")


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    """``method`` of a socket, with an address as its last argument, for loopback only."""

    def checked(sock: socket.socket, *args: Any) -> Any:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and isinstance(args[-1], tuple):
            _refuse(args[-1][0])
        return method(sock, *args)

    return checked


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    """Fail a test that connects or looks up a name outside this machine."""
    look_up = socket.getaddrinfo

    def local_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse(host)
        return look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", local_look_up)
        yield


# ---- shared inputs ----


@pytest.fixture(scope="session")
def kernel_tree() -> Path:
    """Debian's 6.12 as a git checkout (.ci/kernel-tree): for reading only."""
    if _KERNEL_TREE:
        tree = Path(_KERNEL_TREE)
        if not tree.is_dir():
            pytest.fail(f"REVIEWBOT_KERNEL_TREE names {tree}, which is not there")
        return tree
    tree = _KERNEL_CACHE / "linux-6.12"
    if not (tree / ".git" / "reviewbot-complete").exists():
        pytest.skip(f"no kernel tree at {tree}: make kernel")
    return tree


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reviewbot cache directory for the whole run, one for all xdist workers.

    A kernel's facts take long to gather; tests that review it share them, as runs
    of the program do.
    """
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    cache = base / "shared-cache"
    cache.mkdir(exist_ok=True)
    return cache


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """The checkout that these tests are in."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def sample_patches(repository_root: Path) -> Path:
    """The folder with the seed's series and the sample tree."""
    return repository_root / "sample_patches"


@pytest.fixture(scope="module")
def v1(sample_patches: Path) -> Path:
    """The seed's first version."""
    return sample_patches / "seed-v1.mbox"


@pytest.fixture(scope="module")
def v2(sample_patches: Path) -> Path:
    """The seed's second version, which was taken."""
    return sample_patches / "seed-v2.mbox"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, sample_patches: Path) -> Iterator[Kernel]:
    """The sample tree with the seed's branches; what reviews it must leave it as it is."""
    made = seeded(tmp_path_factory.mktemp("kernel") / "linux", sample_patches)
    before = made.state()
    yield made
    assert made.state() == before
