# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration of unattended work: sources of mail, lists, remotes, the service.

Read as part of :class:`reviewbot.config.Config`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from reviewbot.schema import key, positive, xdg


class SourceKind(StrEnum):
    """How new mail is learnt of."""

    PUBLIC_INBOX = "public-inbox"
    IMAP = "imap"
    MAILDIR = "maildir"
    MBOX = "mbox"
    PATCHWORK = "patchwork"


class PostMode(StrEnum):
    """What becomes of the replies to a list's series."""

    OFF = "off"
    """They are kept, and mailed to nobody."""
    MODERATE = "moderate"
    """A person approves each; then it goes to all."""
    AUTHOR = "author"
    """They go to the author, and to the list's volunteers."""
    LIST = "list"
    """They go to all who had the patch, the list among them."""


MAILED = ("introduced", "not-removed", "partially-removed", "removed")
"""Verdicts that are mailed by default; `clean` is good news that nobody asked for."""
_MAILABLE = (*MAILED, "does-not-apply", "not-reviewable")


def _kind(value: str) -> str:
    known = ", ".join(SourceKind)
    return "" if value in list(SourceKind) else f"must be one of {known}"


def _git_url(url: str) -> str:
    parts = urlsplit(url)
    good = parts.scheme in ("https", "http", "git", "ssh", "file") and not url.startswith("-")
    return (
        "" if good or not url else "must be a git address such as https://git.kernel.org/…/kvm.git"
    )


def _archive(url: str) -> str:
    good = not url or urlsplit(url).scheme in ("https", "http")
    return "" if good else "must be an address such as https://lore.kernel.org/all, or empty"


def _public(url: str) -> str:
    good = not url or re.fullmatch(r"https?://[^\s?#]+", url)
    return "" if good else "must be a web address, or empty"


def _list_id(value: str) -> str:
    good = not value or re.fullmatch(r"[\w.+-]+@?[\w.-]+", value, re.ASCII)
    return "" if good else "must be a list's address or List-Id, such as kvm.vger.kernel.org"


def _post(value: str) -> str:
    return "" if value in list(PostMode) else f"must be one of {', '.join(PostMode)}"


def _verdicts(values: tuple[str, ...]) -> str:
    if "clean" in values:
        return "must not name clean, which is never mailed"
    good = all(value in _MAILABLE for value in values)
    return "" if good else f"must be of {', '.join(_MAILABLE)}"


def _people(values: tuple[str, ...]) -> str:
    address = r"[^<>@\s,]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"
    good = all(re.fullmatch(rf"{address}|[^<>]+ <{address}>", value) for value in values)
    return "" if good else "must be addresses such as Kim <kim@example.org>"


def _day(value: str) -> str:
    good = not value or re.fullmatch(r"\d{4}-\d\d-\d\d", value)
    return "" if good else "must be a day such as 2026-11-01"


def _branch(value: str) -> str:
    good = not value or (value.isprintable() and not value.startswith("-") and " " not in value)
    return "" if good else "must be a branch such as kvm/next"


def _loopback_port(value: str) -> str:
    host, _, port = value.rpartition(":")
    good = host and port.isdigit() and 0 < int(port) < 65536
    return "" if not value or good else "must be HOST:PORT, such as 127.0.0.1:8087, or empty"


def _database(value: str) -> str:
    good = not value or value.startswith(("sqlite:///", "postgresql://"))
    return "" if good else "must be sqlite:///PATH or postgresql://…"


def _log(value: str) -> str:
    return "" if value in ("text", "json") else "must be text or json"


def _default_state() -> Path:
    return xdg("XDG_STATE_HOME", ".local/state") / "reviewbot"


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One place where new mail is looked for."""

    kind: str = field(
        default="public-inbox",
        metadata=key("public-inbox, imap, maildir, mbox or patchwork.", _kind),
    )
    url: str = field(
        default="",
        metadata=key(
            "public-inbox: the list's address, as git clones it without the epoch; imap:"
            " imaps://USER@HOST[:PORT], imap:// for STARTTLS, without USER@ as anybody;"
            " patchwork: the server."
        ),
    )
    path: Path | None = field(
        default=None, metadata=key("The Maildir or mbox.", None, "~/Mail/kvm")
    )
    folder: str = field(default="INBOX", metadata=key("imap: the mailbox to follow."))
    project: str = field(default="", metadata=key("patchwork: the project's short name."))
    list: str = field(
        default="",
        metadata=key("Name of the [list] all of this mail belongs to; else by List-Id and To."),
    )
    since: str = field(
        default="", metadata=key("Day before which nothing is fetched; not for mbox.", _day)
    )
    password_file: Path | None = field(
        default=None, metadata=key("imap: file with the password.", None, "~/.imap-password")
    )
    password_command: tuple[str, ...] = field(
        default=(), metadata=key("imap: command that prints the password. Else ~/.netrc is read.")
    )
    ca_file: Path | None = field(
        default=None,
        metadata=key("imap: certificates to trust instead of the system's.", None, "~/ca.pem"),
    )
    tls: bool = field(
        default=True, metadata=key("imap: off is accepted for loopback addresses only.")
    )


@dataclass(frozen=True, slots=True)
class ListConfig:
    """One mailing list whose series are reviewed."""

    address: str = field(
        default="",
        metadata=key("Its address or List-Id, such as kvm.vger.kernel.org.", _list_id),
    )
    tree: Path | None = field(
        default=None, metadata=key("Kernel repository for it; else 'tree' above.", None, "~/linux")
    )
    branch: str = field(
        default="",
        metadata=key("Where its patches go unless they say otherwise, as kvm/next.", _branch),
    )
    paths: tuple[str, ...] = field(
        default=(), metadata=key("Only series that touch one of these paths; empty: all.")
    )
    rfc: bool = field(default=True, metadata=key("Review series marked RFC, too."))
    post: str = field(
        default="off",
        metadata=key(
            "Who gets the replies: off (nobody: they are kept), moderate (all, once a person has"
            " approved it), author (the author and the volunteers), list (all).",
            _post,
        ),
    )
    verdicts: tuple[str, ...] = field(
        default=MAILED,
        metadata=key(
            "Verdicts that are mailed. removed and partially-removed go to the author alone unless"
            " the series says that it fixes a lock problem; clean is never mailed.",
            _verdicts,
        ),
    )
    volunteers: tuple[str, ...] = field(
        default=(),
        metadata=key("Who gets, besides the author, what goes to the author alone.", _people),
    )


@dataclass(frozen=True, slots=True)
class RemoteConfig:
    """A git remote that bases are fetched from, into the program's own mirror."""

    url: str = field(
        default="",
        metadata=key("Its address.", _git_url, "https://git.kernel.org/pub/scm/virt/kvm/kvm.git"),
    )
    interval: float = field(default=3600.0, metadata=key("Seconds between two fetches.", positive))


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """Unattended work: poll and serve."""

    state: Path = field(
        default_factory=_default_state,
        metadata=key("Directory of the state; keep and back up.", None, "~/.local/state/reviewbot"),
    )
    database: str = field(
        default="",
        metadata=key("sqlite:///PATH or postgresql://…; empty: SQLite in 'state'.", _database),
    )
    interval: float = field(default=300.0, metadata=key("Seconds between two polls.", positive))
    batch: int = field(default=200, metadata=key("Messages read at once.", positive))
    wait: float = field(
        default=3600.0,
        metadata=key(
            "Seconds that a series may take to arrive whole after its last mail.", positive
        ),
    )
    workers: int = field(default=2, metadata=key("Reviews at the same time.", positive))
    attempts: int = field(
        default=10,
        metadata=key(
            "How often a step that failed for a while is tried; ten times take three hours.",
            positive,
        ),
    )
    review_seconds: float = field(
        default=300.0, metadata=key("Seconds that each step of a review may take.", positive)
    )
    review_memory: int = field(
        default=4 * 1024 * 1024 * 1024,
        metadata=key("Address space of a review's process, in bytes.", positive),
    )
    archive: str = field(
        default="",
        metadata=key(
            "Public-inbox server to ask for patches that did not arrive and for what a series"
            " is built on; empty: none.",
            _archive,
            "https://lore.kernel.org/all",
        ),
    )
    bots: tuple[str, ...] = field(
        default=(
            "lkp@intel.com",
            "syzbot+*@syzkaller.appspotmail.com",
            "tip-bot2@linutronix.de",
            "patchwork-bot+*@kernel.org",
            "bot+*@kernel.org",
        ),
        metadata=key("Authors whose mail is left alone; * stands for anything."),
    )
    keep_days: int = field(
        default=90, metadata=key("Days that texts of ended reviews' mail are kept.", positive)
    )
    listen: str = field(
        default="127.0.0.1:8087",
        metadata=key("Where status pages and metrics are served; empty: nowhere.", _loopback_port),
    )
    public_url: str = field(
        default="",
        metadata=key(
            "Where others see those pages, for links to /review/ID; empty: nowhere.",
            _public,
            "https://reviewbot.example.org",
        ),
    )
    stall: float = field(
        default=1800.0,
        metadata=key("Seconds without a good poll after which /healthz fails.", positive),
    )
    log: str = field(default="text", metadata=key("Form of the log: text or json.", _log))

    @property
    def url(self) -> str:
        """The address of the state's database."""
        return self.database or f"sqlite:///{self.state / 'state.sqlite'}"

    @property
    def work_url(self) -> str:
        """The address of the workflows' database: PostgreSQL's has a schema for each of both."""
        shared = self.database.startswith("postgresql:")
        return self.database if shared else f"sqlite:///{self.state / 'work.sqlite'}"
