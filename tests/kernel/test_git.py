# SPDX-License-Identifier: GPL-2.0-or-later
"""git as a child: its environment, its limits, and its temporary directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reviewbot.errors import ServiceError
from reviewbot.kernel import git
from tests.kernel.support import Checkout, temporary_left


@pytest.fixture
def private(numbered: Checkout) -> Iterator[Path]:
    with git.private_repository(numbered.path / ".git" / "objects") as git_dir:
        yield git_dir


def shell(command: str) -> list[str]:
    """git arguments that run a command: an alias that we, not a repository, define."""
    return ["-c", f"alias.x=!{command}", "x"]


def test_inherited_git_variables_have_no_effect(
    private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "ran"
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {marker}")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.bare'='nonsense'")
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    done = git.run(private, ["rev-parse", "--git-dir"])
    assert Path(done.stdout.decode().strip()).resolve() == private.resolve()
    assert not marker.exists()
    assert not (tmp_path / "trace").exists()


def test_user_configuration_is_not_read(private: Path, home: Path) -> None:
    (home / ".gitconfig").write_text("[user]\n\tname = From Home\n")
    done = git.run(private, ["config", "--get", "user.name"], accept=(0, 1))
    assert (done.status, done.stdout) == (1, b"")
    hooks = git.run(private, ["config", "--get", "core.hooksPath"])
    assert hooks.stdout == b"/dev/null\n"


def test_borrowed_objects_are_read_and_new_ones_stay_private(
    private: Path, numbered: Checkout
) -> None:
    before = numbered.state()
    blob = numbered.blob("HEAD:other.c")
    assert git.run(private, ["cat-file", "blob", blob]).stdout == b"int other;\n"
    git.run(private, ["hash-object", "-w", "--stdin"], data=b"new")
    assert numbered.state() == before


def test_a_large_input_and_output_do_not_block_each_other(private: Path) -> None:
    data = os.urandom(3 << 20)
    oid = git.run(private, ["hash-object", "-w", "--stdin"], data=data).stdout.decode().strip()
    asked = git.run(private, ["cat-file", "--batch"], data=f"{oid}\n".encode() * 3)
    assert asked.stdout.count(data) == 3


def test_a_failure_carries_status_and_words(private: Path) -> None:
    with pytest.raises(git.GitError, match=r"git rev-parse ended with status 128: fatal: ") as info:
        git.run(private, ["rev-parse", "--verify", "nothing"])
    assert info.value.status == 128
    assert "fatal" in info.value.stderr
    assert git.run(private, ["rev-parse", "--verify", "nothing"], accept=(128,)).status == 128


def test_a_child_past_its_time_is_killed_with_its_own_children(
    private: Path, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    limits = git.Limits(seconds=1)
    with pytest.raises(git.LimitError, match="did not end within 1 seconds"):
        git.run(private, shell(f"echo $$ > {pid_file}; sleep 60; true"), limits=limits)
    pid = int(pid_file.read_text())
    for _ in range(100):
        if not is_running(pid):
            break
        time.sleep(0.1)
    assert not is_running(pid)


def test_a_child_that_closes_its_outputs_and_sleeps_is_killed(private: Path) -> None:
    limits = git.Limits(seconds=1)
    with pytest.raises(git.LimitError, match="did not end"):
        git.run(private, shell("exec 1>&- 2>&-; sleep 60"), limits=limits)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_too_much_output_is_cut_off(private: Path) -> None:
    with pytest.raises(git.LimitError, match="wrote more than 1048576 bytes"):
        git.run(private, shell("yes"), limits=git.Limits(output=1 << 20))


def test_too_large_a_file_is_a_limit(private: Path) -> None:
    limits = git.Limits(file_size=1 << 20)
    with pytest.raises(git.LimitError, match="limit of time or size"):
        git.run(private, ["hash-object", "-w", "--stdin"], data=bytes(4 << 20), limits=limits)


def test_memory_is_limited(private: Path) -> None:
    limits = git.Limits(memory=48 << 20)
    with pytest.raises(git.GitError, match="hash-object ended"):
        git.run(private, ["hash-object", "--stdin"], data=bytes(64 << 20), limits=limits)
    git.run(private, ["hash-object", "--stdin"], data=bytes(64 << 20))


def test_stop_leaves_no_zombie(private: Path) -> None:
    child = git.start(private, ["cat-file", "--batch"])
    git.stop(child)
    assert child.returncode is not None
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)


def test_no_temporary_directory_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/nonexistent/here")
    with pytest.raises(ServiceError, match="/nonexistent/here"), git.private_directory():
        pass


def test_git_missing_is_one_sentence_and_leaves_nothing(
    numbered: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(git.GitError, match="git is not installed"),
        git.private_repository(numbered.path / ".git" / "objects"),
    ):
        pass
    assert temporary_left() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, GeneratorExit])
def test_the_directory_goes_with_any_exception(error: type[BaseException]) -> None:
    with pytest.raises(error), git.private_directory() as directory:
        (directory / "file").write_text("x")
        raise error
    assert not directory.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_directory_goes_with_a_signal(numbered: Checkout, number: signal.Signals) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from reviewbot.kernel.repository import Repository, Scratch\n"
        "with Repository.open(Path(sys.argv[1])) as repo, Scratch(repo):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    arguments = [sys.executable, "-c", program, str(numbered.path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        assert len(temporary_left()) == 2
        child.send_signal(number)
        child.communicate(timeout=60)
    assert child.returncode != 0
    assert temporary_left() == []


def test_signal_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with git.private_directory():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
