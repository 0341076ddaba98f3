# SPDX-License-Identifier: GPL-2.0-or-later
"""What the process of a step is asked and answers, and what the steps make.

All of it goes through files and the state as MessagePack: nothing in it is ever
imported, called or unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from reviewbot.config_service import RemoteConfig
from reviewbot.kernel.check import ApplyLimits
from reviewbot.kernel.mirror import Mirror
from reviewbot.kernel.model import Application
from reviewbot.locking.index import Settings
from reviewbot.locking.primitives import with_extra
from reviewbot.report.envelope import Policy
from reviewbot.report.reply import Sender
from reviewbot.review import Options
from reviewbot.series.model import Prerequisite, Series
from reviewbot.service.failures import StaleProduct
from reviewbot.service.model import FailureKind, Step
from reviewbot.typed import learnt

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Setup:
    """What every review for one list needs beside its series."""

    tree: str
    cache: str
    limits: ApplyLimits
    sender: Sender
    branch: str = ""
    mirror: str = ""
    """Directory of the mirrors; empty if no remotes are configured."""
    remotes: dict[str, RemoteConfig] = field(default_factory=dict)
    primitives: tuple[Mapping[str, Any], ...] = ()
    """The configuration's own locking calls, as they stand there."""
    where: str = ""
    """Where they stand, for messages."""
    policy: Policy = field(default_factory=Policy)
    """Who gets the replies to this list's series."""
    checked: bool = False
    """Whether a patchwork server is to show what is said of each patch."""

    def options(self, prerequisites: tuple[Prerequisite, ...] = ()) -> Options:
        """The same as a review wants it."""
        tree = Path(self.tree)
        mirror = Mirror(Path(self.mirror), tree, self.remotes) if self.remotes else None
        return Options(
            tree=tree,
            settings=Settings(Path(self.cache), with_extra(self.primitives, self.where)),
            branch=self.branch,
            prerequisites=prerequisites,
            mirror=mirror,
            limits=self.limits,
        )


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What the process of one step may use up."""

    seconds: float = 300.0
    """Wall time, and rounded up processor time of each of its processes."""
    memory: int = 4 << 30
    """Bytes of address space."""
    file_size: int = 4 << 30
    """Bytes of any one file: a kernel's facts are among them."""


class Task(StrEnum):
    """What is done in a process of its own."""

    INDEX = "index"
    """No step of a review: read the tree into the cache before the first one."""
    BASE = Step.BASE.value
    APPLY = Step.APPLY.value
    CHECK = Step.CHECK.value
    RENDER = Step.RENDER.value


@dataclass(frozen=True, slots=True)
class Request:
    """One task to do."""

    task: Task
    setup: Setup
    limits: ChildLimits
    date: datetime
    """That of the reply, should this task write it."""
    made: dict[Step, bytes] = field(default_factory=dict)
    """What the steps before it have made."""
    before: bytes = b""
    """The result of the review of the newest older version, if there was one."""
    silent: tuple[str, ...] = ()
    """Addresses that get no mail."""
    suppressed: dict[str, str] = field(default_factory=dict)
    """By id, the hazards that people say are none, and why."""
    network: bool = False
    """Whether a base may be fetched; every other step has no network."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the step has made, or why it has not."""

    product: bytes = b""
    failure: FailureKind | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What FETCH makes."""

    series: Series
    prerequisites: tuple[Prerequisite, ...] = ()


@dataclass(frozen=True, slots=True)
class Tried:
    """What APPLY makes."""

    application: Application
    harmless: str = ""
    """Why no check is needed, one clause; empty if one is."""


def encode(value: object) -> bytes:
    """A product as bytes.

    A file that is no UTF-8 may have left half a surrogate pair in a diff; it is
    replaced, as such a product is for reading only.
    """
    try:
        return msgspec.msgpack.encode(value)
    except UnicodeEncodeError:
        return msgspec.msgpack.encode(_readable(msgspec.to_builtins(value)))


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    if isinstance(value, dict):
        return {_readable(key): _readable(item) for key, item in value.items()}
    return value


def decode(data: bytes, kind: type[_T]) -> _T:
    """A product from its bytes.  Raises :class:`StaleProduct`."""
    try:
        return msgspec.msgpack.decode(data, type=learnt(kind))
    except msgspec.DecodeError as error:
        raise StaleProduct(f"it was made by another reviewbot ({error})") from error
