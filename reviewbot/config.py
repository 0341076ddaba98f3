# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration: what can be set, and where the file is.

The file is ``$XDG_CONFIG_HOME/reviewbot/config.toml`` (XDG Base Directory
Specification), unless ``--config`` or ``REVIEWBOT_CONFIG`` names another.
Without a file the defaults hold: they mail nobody and name nobody.  How a file
is checked against these dataclasses is the matter of :mod:`reviewbot.schema`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from reviewbot import schema
from reviewbot.config_faces import PatchworkConfig
from reviewbot.config_posting import PostConfig, SmtpConfig
from reviewbot.config_service import ListConfig, RemoteConfig, ServiceConfig, SourceConfig
from reviewbot.config_talk import TalkConfig
from reviewbot.errors import ConfigError, UsageError
from reviewbot.schema import RawTable, key, positive, xdg

ENVIRONMENT = "REVIEWBOT_CONFIG"
"""Environment variable that names a configuration file; ``--config`` wins over it."""

_MAX_BYTES = 1 << 20
_HEADER = """\
# reviewbot's configuration. Every key is shown with its default: remove the # in
# front of one to change it. Relative paths start at this file's directory.

"""


def _not_negative(value: float) -> str:
    return "" if value >= 0 else "must not be below 0"


def _not_empty(text: str) -> str:
    return "" if text.strip() else "must not be empty"


def _server(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or " " in url:
        return "must be the http or https address of a public-inbox server"
    return ""


def _address(address: str) -> str:
    good = re.fullmatch(r"[^\s@<>()\",;:]+@[^\s@<>()\",;:]+", address)
    return "" if good and address.isascii() else "must be one bare address like bot@example.org"


def _contact(contact: str) -> str:
    if re.match(r"https?://\S+$", contact) or not _address(contact):
        return ""
    return "must be an address like bot@example.org or a web page"


def _domain(name: str) -> str:
    label = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
    good = re.fullmatch(rf"{label}(\.{label})*", name)
    return "" if good else "must be a domain name like example.org"


def _default_cache() -> Path:
    return xdg("XDG_CACHE_HOME", ".cache") / "reviewbot"


@dataclass(frozen=True, slots=True)
class LoreConfig:
    """The public-inbox server that message-ids are looked up on."""

    url: str = field(
        default="https://lore.kernel.org/all",
        metadata=key("Address of the archive; a message-id is looked for below it.", _server),
    )
    deadline: float = field(
        default=30.0,
        metadata=key("Seconds that one look-up may take, retries included.", positive),
    )
    max_bytes: int = field(
        default=64 * 1024 * 1024,
        metadata=key("Bytes that one thread may have, unpacked.", positive),
    )
    retries: int = field(
        default=3,
        metadata=key("How often to ask again when the server is busy (429, 503).", _not_negative),
    )


@dataclass(frozen=True, slots=True)
class SenderConfig:
    """Whose name a reply bears."""

    name: str = field(default="reviewbot", metadata=key("Display name in From:.", _not_empty))
    address: str = field(
        default="reviewbot@example.org", metadata=key("Address in From:.", _address)
    )
    domain: str = field(
        default="example.org", metadata=key("Domain of the Message-IDs of replies.", _domain)
    )
    operator: str = field(
        default="an unnamed operator", metadata=key("Who runs this bot.", _not_empty)
    )
    contact: str = field(
        default="reviewbot-owner@example.org",
        metadata=key("Where people reach the operator: an address or a web page.", _contact),
    )
    stop: str = field(
        default="write to reviewbot-owner@example.org",
        metadata=key("How to stop the bot's mails, in a few words.", _not_empty),
    )


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """What applying a stranger's patch may cost; over that it is refused."""

    patch_bytes: int = field(
        default=16 * 1024 * 1024, metadata=key("Bytes of one patch's diff.", positive)
    )
    patch_files: int = field(default=5_000, metadata=key("Files of one patch.", positive))
    patch_hunks: int = field(default=50_000, metadata=key("Hunks of one patch.", positive))
    seconds: float = field(
        default=60.0, metadata=key("Seconds for each git process that applies one.", positive)
    )
    memory_bytes: int = field(
        default=4 * 1024 * 1024 * 1024,
        metadata=key("Address space of each such process, in bytes.", positive),
    )


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be configured."""

    tree: Path | None = field(
        default=None,
        metadata=key("The kernel repository when --tree is not given. Only read.", None, "~/linux"),
    )
    cache: Path = field(
        default_factory=_default_cache,
        metadata=key("What was learnt from sources. Safe to delete.", None, "~/.cache/reviewbot"),
    )
    lore: LoreConfig = field(
        default_factory=LoreConfig, metadata=key("Where message-ids are looked up.")
    )
    sender: SenderConfig = field(
        default_factory=SenderConfig, metadata=key("Whose name a reply bears.")
    )
    limits: LimitsConfig = field(
        default_factory=LimitsConfig, metadata=key("What applying a stranger's patch may cost.")
    )
    patchwork: PatchworkConfig = field(
        default_factory=PatchworkConfig,
        metadata=key("Checks on a patchwork server: reviewbot patchwork-check."),
    )
    service: ServiceConfig = field(
        default_factory=ServiceConfig,
        metadata=key("Unattended work: poll and serve."),
    )
    talk: TalkConfig = field(
        default_factory=TalkConfig, metadata=key("Commands by reply, such as '#reviewbot stop'.")
    )
    post: PostConfig = field(
        default_factory=PostConfig,
        metadata=key("How replies go out; whether they do is each list's 'post'."),
    )
    smtp: SmtpConfig = field(
        default_factory=SmtpConfig, metadata=key("The mail server, for post.transport = smtp.")
    )
    source: Mapping[str, SourceConfig] = field(
        default_factory=lambda: MappingProxyType({}),
        metadata=key("Where new mail is looked for, each under a name of your own."),
    )
    list: Mapping[str, ListConfig] = field(
        default_factory=lambda: MappingProxyType({}),
        metadata=key("The lists whose series are reviewed, each under its name."),
    )
    remote: Mapping[str, RemoteConfig] = field(
        default_factory=lambda: MappingProxyType({}),
        metadata=key("Git remotes that bases are fetched from, each under its name."),
    )
    primitives: tuple[RawTable, ...] = field(
        default=(),
        metadata=key(
            "Locking calls of your own tree; locking/primitives.toml shows and explains the form.",
            None,
            'names = ["my_lock"]\nrole = "acquire"\nlock = "mutex"\narg = 0',
        ),
    )


def default_path() -> Path:
    """Where the configuration is looked for when nobody names a file."""
    return xdg("XDG_CONFIG_HOME", ".config") / "reviewbot" / "config.toml"


def load(path: Path | None = None) -> Config:
    """Read ``path``, else the file ``REVIEWBOT_CONFIG`` names, else the user's, else defaults.

    Raises :class:`ConfigError` if a named file is not there, or any file is unreadable,
    is not TOML, or has an unknown key or a value of the wrong type.
    """
    if path is None and os.environ.get(ENVIRONMENT):
        path = Path(os.environ[ENVIRONMENT])
    named = path is not None
    path = path or default_path()
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        if named:
            raise ConfigError(f"{path} does not exist; reviewbot init can write one") from None
        return Config()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path} is larger than {_MAX_BYTES} bytes: is it the right file?")
    return parse(data, path)


def parse(data: bytes, path: Path) -> Config:
    """Turn the bytes of a configuration file into a :class:`Config`.

    ``path`` is for messages, and its directory is where relative paths start.
    Raises :class:`ConfigError`.
    """
    return schema.parse(Config, data, path)


def commented_default() -> str:
    """The file that ``reviewbot init`` writes: every key, its meaning and its default.

    All keys are commented out, so the file as written changes nothing.
    """
    return _HEADER + schema.commented(Config)


def write_default(path: Path) -> None:
    """Write :func:`commented_default` to a new file, with its directories.

    Raises :class:`UsageError` if the file exists or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(commented_default())
    except OSError as error:
        if isinstance(error, FileExistsError) and path.exists():
            raise UsageError(f"{path} exists already and was left as it is") from None
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
