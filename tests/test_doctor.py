# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import jinja2
import pytest

from reviewbot import doctor
from reviewbot.config import Config, LoreConfig
from reviewbot.doctor import Check


@contextmanager
def server(status: int) -> Iterator[tuple[str, list[str]]]:
    """A loopback server that answers every HEAD with ``status``; its URL and the agents seen."""
    agents: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            agents.append(self.headers["User-Agent"])
            self.send_response(status, "all\x1b[31mred")
            self.send_header("Location", "https://lore.example.org/")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}/all", agents
        finally:
            httpd.shutdown()
            thread.join()


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def git_on_path(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Make ``git`` on PATH a shell script."""
    directory.mkdir()
    program = directory / "git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory))


def commit_all(tree: Path) -> None:
    git = ["git", "-C", str(tree), "-c", "user.name=n", "-c", "user.email=n@example.org"]
    subprocess.run([*git, "init", "-q", "-b", "master"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "all"], check=True)


@pytest.fixture
def sample(tmp_path: Path, sample_patches: Path) -> Path:
    tree = tmp_path / "linux"
    shutil.copytree(sample_patches / "tree", tree)
    commit_all(tree)
    return tree


def test_everything_is_looked_at_and_nothing_is_left(sample: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with server(200) as (url, _):
        config = replace(Config(), cache=tmp_path / "cache", lore=LoreConfig(url=url))
        found = list(doctor.checks(config, sample))
    assert [check.name for check in found] == [
        "git",
        "b4",
        "C parser",
        "templates",
        "kernel tree",
        "cache",
        "lore",
    ]
    assert [check for check in found if check.ok is not True or check.advice] == []
    assert sorted(tmp_path.rglob("*")) == before


def test_the_named_tree_wins_over_the_configured_one(sample: Path, tmp_path: Path) -> None:
    lore = LoreConfig(url=f"http://127.0.0.1:{closed_port()}/")
    config = replace(Config(), tree=tmp_path / "missing", lore=lore)

    def tree_check(*tree: Path) -> Check:
        return next(c for c in doctor.checks(config, *tree) if c.name == "kernel tree")

    assert tree_check().ok is False
    assert tree_check(sample).ok is True


def test_checks_are_plain_data() -> None:
    check = Check("git", None, "so", "do")
    assert check.to_dict() == {"name": "git", "ok": None, "detail": "so", "advice": "do"}


@pytest.mark.parametrize(
    ("script", "ok", "detail"),
    [
        ("echo git version 2.36.0", True, "2.36.0"),
        ("echo git version 2.33.9", False, "2.33.9"),
        ("echo git version 3.0-rc1", True, "3.0-rc1"),
        ("echo 'git version 2.47.1 (Apple Git-154)'", True, "2.47.1"),
        ("echo hello", False, "says no version: 'hello'"),
        ("exit 3", False, "does not run: Command '['git', 'version']' returned non-zero"),
    ],
)
def test_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, ok: bool, detail: str
) -> None:
    git_on_path(tmp_path / "bin", monkeypatch, script)
    check = doctor.check_git()
    assert check.ok is ok
    assert check.detail.startswith(detail)
    assert bool(check.advice) is not ok


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check = doctor.check_git()
    assert check.ok is False
    assert check.advice == "install git 2.36 or newer"


def test_a_package_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError(f"no {name} here")

    monkeypatch.setattr("importlib.import_module", broken)
    assert doctor.check_b4().detail == "cannot be imported: no b4 here"
    assert doctor.check_b4().ok is False
    assert doctor.check_parser().detail == "does not load: no tree_sitter here"
    assert doctor.check_parser().ok is False


@pytest.mark.parametrize("templates", [{}, {"reply.txt.j2": "{% if %}"}])
def test_missing_or_broken_templates(
    monkeypatch: pytest.MonkeyPatch, templates: dict[str, str]
) -> None:
    broken = jinja2.Environment(loader=jinja2.DictLoader(templates), autoescape=True)
    monkeypatch.setattr(doctor, "environment", lambda: broken)
    check = doctor.check_templates()
    assert check.ok is False
    assert check.detail.startswith(("TemplateNotFound: ", "TemplateSyntaxError: "))


def test_a_kernel_tree(sample: Path) -> None:
    check = doctor.check_tree(sample)
    assert check == Check("kernel tree", True, f"{sample} at master, Linux 6.12")


def test_no_tree_is_only_advice() -> None:
    check = doctor.check_tree(None)
    assert check.ok is None
    assert "--tree" in check.advice


def test_what_is_no_kernel_tree(tmp_path: Path) -> None:
    assert "does not exist" in doctor.check_tree(tmp_path / "missing").detail
    assert "is not a git repository" in doctor.check_tree(tmp_path).detail
    empty = tmp_path / "empty"
    empty.mkdir()
    commit_all(empty)
    check = doctor.check_tree(empty)
    assert check.ok is False
    assert check.detail.endswith("holds no kernel")


def test_a_makefile_without_a_version_is_no_kernel(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("all:\n\ttrue\n")
    commit_all(tmp_path)
    assert doctor.check_tree(tmp_path).ok is False


@pytest.mark.kernel
def test_a_real_kernel(kernel_tree: Path) -> None:
    check = doctor.check_tree(kernel_tree)
    assert check.ok is True
    assert "Linux 6.12" in check.detail


@pytest.mark.parametrize(
    ("makefile", "version"),
    [
        ("VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\n", "6.12.117"),
        ("VERSION = 7\nPATCHLEVEL = 0\nSUBLEVEL = 0\nEXTRAVERSION = -rc3\n", "7.0"),
        ("VERSION=6\nPATCHLEVEL=1\n\nx:\n\tVERSION = 9\nVERSION = 8\n", "6.1"),
        ("VERSION = 6\n", None),
        ("VERSION = $(shell cat v)\nPATCHLEVEL = 12\n", None),
        ("", None),
    ],
)
def test_kernel_version(makefile: str, version: str | None) -> None:
    assert doctor.kernel_version(makefile) == version


def test_cache_size(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "facts").write_bytes(b"x" * 1500)
    (tmp_path / "link").symlink_to("/nowhere")
    check = doctor.check_cache(tmp_path)
    assert check.ok is True
    assert check.detail == f"{tmp_path}, 1.5 kB"


def test_a_cache_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    check = doctor.check_cache(tmp_path / "a" / "b")
    assert check.ok is True
    assert not (tmp_path / "a").exists()


def test_a_cache_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for cache in (tmp_path / "file", tmp_path / "file" / "below"):
        check = doctor.check_cache(cache)
        assert check.ok is False
        assert check.advice


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_a_cache_on_a_file_system_that_takes_no_files() -> None:
    assert doctor.check_cache(Path("/proc/self")).ok is False


@pytest.mark.parametrize(
    ("status", "ok"), [(200, True), (302, True), (429, None), (503, None), (404, False)]
)
def test_lore(status: int, ok: bool | None) -> None:
    with server(status) as (url, agents):
        check = doctor.check_lore(url)
    assert check.ok is ok
    assert check.detail == f"{url} answers {status}"
    (agent,) = agents
    assert agent.startswith("reviewbot/")


def test_unreachable_lore_is_only_advice() -> None:
    check = doctor.check_lore(f"http://127.0.0.1:{closed_port()}/all")
    assert check.ok is None
    assert "is not reached: ConnectionError" in check.detail
    assert check.advice


def test_a_senseless_address_is_only_advice() -> None:
    assert doctor.check_lore("http://").ok is None
