# SPDX-License-Identifier: GPL-2.0-or-later
"""git towards a server that may be down, slow, throttling or lying.

On top of :mod:`reviewbot.kernel.git`'s environment: only the protocol of the
address is allowed, there are no credentials, and every failure is a SourceError.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from reviewbot.kernel import git
from reviewbot.series.http import retry_after, user_agent
from reviewbot.service.model import FailureKind
from reviewbot.service.sources.errors import SourceError

SCHEMES = ("https", "http", "git", "file")
"""What an address may begin with."""

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
# git hides the headers of a refusal; its trace, which goes to standard error, does not.
_TRACE = {"GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1"}
_WAIT = re.compile(r"<= Recv header: retry-after: *(.+)", re.IGNORECASE)
_PAGE = re.compile(r"<= Recv header: content-type: *text/html", re.IGNORECASE)
_SAID = re.compile(r"^(?:fatal|error): (.*)", re.MULTILINE)

_KINDS = (
    (re.compile(r"Operation too slow|timed out"), FailureKind.TIMEOUT),
    (re.compile(r"returned error: (?:429|503)"), FailureKind.THROTTLED),
    (re.compile(r"No space left on device|Disk quota exceeded"), FailureKind.DISK_FULL),
    (re.compile(r"signal 25|File too large"), FailureKind.GARBAGE),
    (
        re.compile(r"is this a git repository|remote ref HEAD|protocol error|bad line length"),
        FailureKind.GARBAGE,
    ),
    (re.compile(r"pack signature mismatch|pack is corrupted|inflate"), FailureKind.GARBAGE),
)
_WORDS = {
    FailureKind.THROTTLED: "{url} limits requests ({said}): it is asked again later.",
    FailureKind.DISK_FULL: "The disk of {path} is full ({said}): make room.",
    FailureKind.GARBAGE: "{url} sends something that git cannot read ({said}): check the address.",
    FailureKind.UNREACHABLE: "{url} cannot be fetched ({said}): check the address and the network.",
    FailureKind.TIMEOUT: "{url} did not finish in time: it is asked again later.",
}


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one fetch may cost."""

    seconds: float = 1800.0
    """A gigabyte of archive comes with the first fetch."""
    stall: int = 60
    """Seconds at under a kilobyte each after which HTTP gives up."""
    pack: int = 8 << 30
    """Bytes of one pack."""


def ask(
    git_dir: Path, args: Sequence[str], url: str, *, limits: FetchLimits, contact: str = ""
) -> str:
    """Run a git command that talks to ``url``; what it printed.

    Raises :class:`~reviewbot.kernel.git.GitError` with git's words in ``stderr``, of which
    :func:`failure` makes a SourceError: some refusals mean something to the caller.
    """
    scheme = urlsplit(url).scheme
    config = {
        f"protocol.{scheme}.allow": "always",
        "http.userAgent": f"git/2 {user_agent(contact)}",
        "http.lowSpeedLimit": "1024",
        "http.lowSpeedTime": str(limits.stall),
        "core.fsync": "committed",
        "core.compression": "-1",
        # What came as small packs and loose objects becomes one pack now and then.
        "maintenance.auto": "true",
        "gc.auto": "6700",
        "gc.autoDetach": "false",
        "gc.bigPackThreshold": "256m",
    }
    words = [word for key, value in config.items() for word in ("-c", f"{key}={value}")]
    proxies = {
        n: os.environ[n] for name in _PROXIES for n in (name, name.upper()) if n in os.environ
    }
    done = git.run(
        git_dir,
        [*words, *args],
        limits=git.Limits(seconds=limits.seconds, file_size=limits.pack),
        extra=_TRACE | proxies,
    )
    return done.stdout.decode("utf-8", "replace")


def said(error: Exception) -> str:
    """git's own words for why it failed, fit for a log: on one line, and bounded."""
    found = _SAID.findall(getattr(error, "stderr", ""))
    words = found[-1] if found else str(error)
    return "".join(char for char in words if char.isprintable())[:200]


def is_page(error: git.GitError) -> bool:
    """Whether the server answered with a web page, such as a check for robots."""
    return bool(_PAGE.search(error.stderr))


def failure(error: git.GitError, url: str, git_dir: Path) -> SourceError:
    """The SourceError that a failed :func:`ask` stands for."""
    kind, words = FailureKind.UNREACHABLE, said(error)
    if isinstance(error, git.LimitError):
        kind = FailureKind.TIMEOUT
    elif is_page(error) and "returned error" not in words:
        kind, words = FailureKind.GARBAGE, "a web page"
    else:
        kind = next((kind for form, kind in _KINDS if form.search(error.stderr)), kind)
    wait = _WAIT.search(error.stderr)
    return SourceError(
        _WORDS[kind].format(url=url, said=words, path=git_dir),
        kind,
        retry_after(wait[1]) if wait and kind is FailureKind.THROTTLED else None,
    )
