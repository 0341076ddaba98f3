# SPDX-License-Identifier: GPL-2.0-or-later
"""Running git as a child that cannot be talked into anything.

Every git of this program, but for the one that :func:`user_settings` asks, runs on
a private bare repository made by :func:`private_repository`, never with the user's
repository as its git directory: that one's configuration (aliases, filters,
fsmonitor, hooks, includes, promisor remotes) is therefore not even read.  Its
objects are reached through ``objects/info/alternates``, which holds data only.

The environment is built from nothing, so an inherited ``GIT_*`` variable
(``GIT_DIR``, ``GIT_EXTERNAL_DIFF``, ``GIT_CONFIG_PARAMETERS``, …) has no effect.
"""

from __future__ import annotations

import os
import resource
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from reviewbot.errors import ConfigError, ServiceError

PREFIX = "reviewbot-"
"""How every temporary directory of this room begins."""

_CHUNK = 1 << 16
_ASK_SECONDS = 10.0
_BY_LIMIT = (-signal.SIGXCPU, -signal.SIGXFSZ, -signal.SIGKILL)
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES_UPPER = ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

# Given as GIT_CONFIG_COUNT/KEY/VALUE: these win over every configuration file.
_CONFIG: Mapping[str, str] = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.pager": "cat",
    "core.quotePath": "false",
    "core.protectHFS": "true",  # refuse other systems' spellings of .git as well
    "core.protectNTFS": "true",
    "core.logAllRefUpdates": "false",
    "core.compression": "0",  # scratch objects live for seconds
    "core.fsync": "none",
    # Each step of a series reads the index and writes it: what it changes is written apart
    # from the rest, which is never joined again and is a third smaller in this form.
    "core.splitIndex": "true",
    "splitIndex.maxPercentChange": "100",
    "splitIndex.sharedIndexExpire": "never",
    "index.version": "4",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "safe.directory": "*",
}

# git maps whole packs by default (5 GB for a kernel clone); a child with a limit
# on its address space has to use small windows instead.
_SMALL_WINDOWS: Mapping[str, str] = {
    "core.packedGitWindowSize": "32m",
    "core.packedGitLimit": "512m",
}

# The highest of all attribute files: no path is filtered, converted, or merged
# by anything but git's own text merge, whatever a patched .gitattributes says.
_ATTRIBUTES = "* -text -eol -filter -ident -working-tree-encoding merge=text !diff\n"


class GitError(ServiceError):
    """git failed, ran too long or said too much.

    ``status`` is its exit status (negative: killed by that signal), ``stderr``
    what it wrote there.
    """

    def __init__(self, message: str, status: int = -1, stderr: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.stderr = stderr


class LimitError(GitError):
    """git was stopped because it passed one of its :class:`Limits`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one git child may use up."""

    seconds: float = 120.0
    """Wall time."""
    output: int = 256 << 20
    """Bytes on its standard output; a tenth of that on standard error."""
    cpu: int | None = None
    """Seconds of processor time (RLIMIT_CPU)."""
    memory: int | None = None
    """Bytes of address space (RLIMIT_AS), mapped packs included."""
    file_size: int | None = None
    """Bytes of any one file it writes (RLIMIT_FSIZE)."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A git child that ended in time."""

    status: int
    stdout: bytes
    stderr: str


def user_settings(section: str) -> Mapping[str, str]:
    """A section of the user's own ``git config --global``, names in lower case; of several
    values the last one counts.  No repository's is read.

    Raises :class:`ConfigError` if git cannot be asked.
    """
    pattern = rf"^{section}\.[a-z]+$"
    command = ("git", "config", "--global", "-z", "--get-regexp", pattern)
    try:
        done = subprocess.run(command, capture_output=True, timeout=_ASK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"git config cannot be asked for {section}.*: {error}") from error
    entries = done.stdout.decode("utf-8", "replace").split("\0")
    pairs = (entry.partition("\n") for entry in entries if entry)
    return {name.removeprefix(f"{section}."): value for name, _, value in pairs}


def environment(
    git_dir: Path,
    index: Path | None = None,
    *,
    small: bool = False,
    settings: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The whole environment of a git child working on ``git_dir``.

    With ``small`` packs are mapped in small windows, as RLIMIT_AS needs.  ``settings``
    are configuration values that win over this module's; with them the user's proxy
    is known, since only what talks to a remote has any.
    """
    names = _INHERITED if settings is None else (*_INHERITED, *_PROXIES, *_PROXIES_UPPER)
    env = {name: os.environ[name] for name in names if name in os.environ}
    config = {**_CONFIG, **(_SMALL_WINDOWS if small else {}), **(settings or {})}
    env |= {
        "HOME": str(git_dir),
        "LC_ALL": "C",
        "GIT_DIR": str(git_dir),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_COUNT": str(len(config)),
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_ADVICE": "0",
    }
    for number, (key, value) in enumerate(config.items()):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    if index is not None:
        env["GIT_INDEX_FILE"] = str(index)
    return env


def run(
    git_dir: Path,
    args: Sequence[str],
    *,
    data: bytes = b"",
    index: Path | None = None,
    limits: Limits | None = None,
    accept: Sequence[int] = (0,),
    settings: Mapping[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
) -> Completed:
    """Run ``git ARGS`` on a private repository and wait for its end.

    ``data`` is its standard input, ``index`` its index file, ``accept`` the exit
    statuses that are answers rather than failures, ``settings`` as :func:`environment`
    has them, ``extra`` more environment.

    Raises :class:`GitError` for any other status, and its kind :class:`LimitError`
    when a limit is passed; the child is dead by then.
    """
    limits = limits or Limits()
    child = start(git_dir, args, index=index, limits=limits, settings=settings, extra=extra)
    try:
        stdout, stderr = _exchange(child, data, limits, args[0])
    finally:
        stop(child)
    done = Completed(child.returncode, stdout, stderr.decode("utf-8", "replace"))
    if done.status in _BY_LIMIT:
        raise LimitError(f"git {args[0]} passed its limit of time or size", done.status)
    if done.status not in accept:
        lines = done.stderr.strip().splitlines()
        said = lines[0] if lines else "without a word"
        how = f"with status {done.status}" if done.status >= 0 else f"by signal {-done.status}"
        raise GitError(f"git {args[0]} ended {how}: {said}", done.status, done.stderr)
    return done


def start(
    git_dir: Path,
    args: Sequence[str],
    *,
    index: Path | None = None,
    limits: Limits | None = None,
    settings: Mapping[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``git ARGS`` with three pipes; the caller must :func:`stop` it."""
    limits = limits or Limits()
    try:
        child = subprocess.Popen(
            ["git", *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=git_dir,
            env=environment(git_dir, index, small=limits.memory is not None, settings=settings)
            | dict(extra or {}),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise GitError("git is not installed or not on PATH: install git 2.36 or later") from error
    # From outside instead of preexec_fn: safe with threads, and Python can vfork.
    # A stranger's bytes come through standard input, so not before the limits hold.
    for kind, value in (
        (resource.RLIMIT_CPU, limits.cpu),
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_FSIZE, limits.file_size),
    ):
        if value is not None:
            with suppress(ProcessLookupError):
                resource.prlimit(child.pid, kind, (value, value))
    return child


def stop(child: subprocess.Popen[bytes]) -> None:
    """End a child and its process group, close its pipes, and reap it."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
    child.wait()


def _exchange(
    child: subprocess.Popen[bytes], data: bytes, limits: Limits, name: str
) -> tuple[bytes, bytes]:
    """Feed standard input while collecting the outputs, within time and size."""
    assert child.stdin and child.stdout and child.stderr  # noqa: S101 - made by start()
    deadline = time.monotonic() + limits.seconds
    caps = {child.stdout.fileno(): limits.output, child.stderr.fileno(): limits.output // 10}
    texts = {fd: bytearray() for fd in caps}
    rest = memoryview(data)
    with selectors.DefaultSelector() as selector, _process(child) as process:
        for fd in (*caps, process):
            selector.register(fd, selectors.EVENT_READ)
        if data:
            os.set_blocking(child.stdin.fileno(), False)
            selector.register(child.stdin, selectors.EVENT_WRITE)
        else:
            child.stdin.close()
        while selector.get_map():
            left = deadline - time.monotonic()
            ready = selector.select(left) if left > 0 else ()  # who always has more is late, too
            if not ready:
                raise LimitError(f"git {name} did not end within {limits.seconds:g} seconds")
            for key, _ in ready:
                if key.fileobj is child.stdin:
                    rest = _feed(key.fd, rest)
                    if not rest:
                        selector.unregister(child.stdin)
                        child.stdin.close()
                elif key.fd == process or not (chunk := os.read(key.fd, _CHUNK)):
                    selector.unregister(key.fd)
                else:
                    texts[key.fd] += chunk
                    if len(texts[key.fd]) > caps[key.fd]:
                        raise LimitError(f"git {name} wrote more than {caps[key.fd]} bytes")
    child.wait()
    out, err = texts.values()
    return bytes(out), bytes(err)


@contextmanager
def _process(child: subprocess.Popen[bytes]) -> Iterator[int]:
    """A descriptor that can be read once *child* has ended: ``Popen.wait()`` with a
    timeout would sleep between its looks, for longer than most of our commands run."""
    descriptor = os.pidfd_open(child.pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _feed(fd: int, rest: memoryview) -> memoryview:
    """Write what the pipe takes; a child that stopped reading needs no more."""
    try:
        return rest[os.write(fd, rest[:_CHUNK]) :]
    except BrokenPipeError:
        return rest[:0]


@contextmanager
def private_repository(*objects: Path) -> Iterator[Path]:
    """An empty bare repository in a temporary directory that also reads ``objects``.

    ``objects`` are other repositories' object directories.  The directory honours
    ``TMPDIR`` and is gone afterwards, also after an exception or SIGTERM.

    Raises :class:`ServiceError` if no temporary directory can be made.
    """
    with private_directory() as directory:
        git_dir = directory / "git"
        make_repository(git_dir, *objects)
        yield git_dir


def make_repository(git_dir: Path, *objects: Path) -> None:
    """Make an empty bare repository that also reads ``objects``; nothing may be there yet."""
    git_dir.mkdir()
    init = ["init", "--quiet", "--bare", "--template=", "--object-format=sha1"]
    run(git_dir, [*init, "--initial-branch=none", str(git_dir)])
    info = git_dir / "info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text(_ATTRIBUTES)
    alternates = git_dir / "objects" / "info" / "alternates"
    alternates.write_bytes(b"".join(os.fsencode(each) + b"\n" for each in objects))


@contextmanager
def private_directory() -> Iterator[Path]:
    """A temporary directory of our own, removed whatever happens short of SIGKILL."""
    where = os.environ.get("TMPDIR") or None  # tempfile would remember the first one
    try:
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
    except OSError as error:
        place = where or tempfile.gettempdir()
        message = f"cannot make a temporary directory in {place}: {error.strerror}; set TMPDIR"
        raise ServiceError(message) from error
    try:
        with _unwind_on_signals():
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _unwind_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack, so that ``finally`` clauses run.

    Only where nobody else handles them: a program with its own handlers, or a
    thread that may not set any, keeps what it has.
    """

    def unwind(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    ours: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(each) == signal.SIG_DFL:
                signal.signal(each, unwind)
                ours.append(each)
    try:
        yield
    finally:
        for each in ours:
            if signal.getsignal(each) is unwind:
                signal.signal(each, signal.SIG_DFL)
