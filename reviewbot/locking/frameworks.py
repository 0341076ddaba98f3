# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel's frameworks hold when they call back: reads ``frameworks.toml``.

A driver's ``ndo_stop`` runs under RTNL and its ``remove`` with the device locked;
neither can be seen in the driver.  The table says so, each entry with its source.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

from reviewbot.errors import ConfigError


class Running(StrEnum):
    """In which context code runs, as far as interrupts go."""

    PROCESS = "process"
    """A task that may sleep; softirqs and interrupts may come in between."""
    SOFTIRQ = "softirq"
    HARDIRQ = "hardirq"
    ATOMIC = "atomic"
    """With a spinlock held: nothing may sleep there, though no interrupt need have come in."""
    UNKNOWN = "unknown"
    """Now so, now otherwise: nothing follows but what is held."""


RUNS_IN = {
    "irq": Running.HARDIRQ, "irq-work": Running.HARDIRQ, "hrtimer": Running.HARDIRQ,
    "timer": Running.SOFTIRQ,
    "tasklet": Running.SOFTIRQ, "napi": Running.SOFTIRQ, "rcu-callback": Running.SOFTIRQ,
    "urb": Running.SOFTIRQ, "work": Running.PROCESS, "kthread": Running.PROCESS,
    "irq-thread": Running.PROCESS, "sysfs": Running.PROCESS, "sysfs-class": Running.PROCESS,
    "debugfs": Running.PROCESS, "proc": Running.PROCESS, "seq-file": Running.PROCESS,
}  # fmt: skip
"""Where the handlers of an object run."""


@dataclass(frozen=True, slots=True)
class Callback:
    """How one member of a table is called."""

    held: tuple[str, ...]
    """The kernel functions that take what is held meanwhile, or lock classes."""
    context: Running
    source: str
    object: str = ""
    """What kind of object the member's owner is, if the callback is the handler of it alone."""
    here: bool = False
    """Whether all objects of this kind in a source file are one, as in ``primitives.toml``."""
    many: str = ""
    """A class of what is held that has many locks, as that of a directory has."""
    raw: bool = False
    """Whether nothing may sleep there on PREEMPT_RT either."""

    def to_dict(self) -> dict[str, Any]:
        return {"held": list(self.held), "context": self.context.value, "source": self.source}


class Frameworks:
    """The table by (struct, member)."""

    def __init__(self, tables: Iterable[Mapping[str, Any]], where: str) -> None:
        """Raises :class:`ConfigError` for an entry that makes no sense, naming *where*."""
        self._named: dict[str, list[Callback]] = {}
        for table in tables:
            self._add(table, where)

    def _add(self, table: Mapping[str, Any], where: str) -> None:
        unknown = table.keys() - _KEYS
        if unknown:
            raise ConfigError(f"{where}: unknown key {min(unknown)!r} in a framework")
        try:
            context = Running(table["context"])
            if "functions" in table:
                places = list(table["arguments"])
                members = [argument(name, place) for name in table["functions"] for place in places]
            else:
                members = [f"struct {table['struct']}.{field}" for field in table["fields"]]
        except (KeyError, ValueError) as error:
            raise ConfigError(
                f"{where}: a framework needs struct and fields, or functions and arguments,"
                f" and a known context ({error})"
            ) from error
        entry = Callback(
            tuple(table.get("held", ())), context, table["source"], table.get("object", ""),
            table.get("here", False), table.get("many", ""), table.get("raw", False),
        )  # fmt: skip
        for member in members:
            self._named.setdefault(member, []).append(entry)

    def of(self, member: str) -> tuple[Callback, ...]:
        """How ``struct x.field`` or an :func:`argument` is called; empty if nothing says so.

        Of two structs of one name, ``struct x (header).field``, the kernel's own is meant.
        """
        member = _OF_THE_KERNEL.sub("", member)
        tag, _, field = member.rpartition(".")
        keys = (member, f"{tag}.*", f"struct *.{field}")
        return tuple(entry for key in keys for entry in self._named.get(key, ()))

    def members(self) -> Iterator[tuple[str, Callback]]:
        """Every (``struct x.field``, how it is called); the field is ``*`` for all."""
        for member, entries in self._named.items():
            for entry in entries:
                yield member, entry


_OF_THE_KERNEL = re.compile(r" \(include/[\w./-]+\)")
_KEYS = frozenset(
    {"struct", "fields", "functions", "arguments", "held", "context", "source", "object", "here",
     "many", "raw"}
)  # fmt: skip


def argument(function: str, position: str | int) -> str:
    """What stands for a function that is handed to *function* as one of its arguments."""
    return f"argument {position} of {function}()"


@cache
def builtin() -> Frameworks:
    """The table that ships with the program."""
    return Frameworks(tomllib.loads(text())["framework"], "frameworks.toml")


@cache
def is_atomic(member: str) -> bool:
    """Whether what is held when a member is called keeps it from sleeping."""
    return any(entry.context is Running.ATOMIC for entry in builtin().of(member))


@cache
def text() -> str:
    """The table as it is written."""
    return resources.files("reviewbot.locking").joinpath("frameworks.toml").read_text("utf-8")
