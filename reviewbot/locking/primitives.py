# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own locking calls as data: reads ``primitives.toml``.

The table says what each call does; nothing else in the program knows the name
of a kernel function.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, TypeVar, overload

from reviewbot.errors import ConfigError

T = TypeVar("T")


class Role(StrEnum):
    """What a call does (``primitives.toml`` explains each)."""

    ACQUIRE = "acquire"
    ACQUIRE_TRY = "acquire-try"
    ACQUIRE_TRY_ZERO = "acquire-try-zero"
    ACQUIRE_ZERO = "acquire-zero"
    RELEASE = "release"
    HELD = "held"
    WAIT = "wait"
    SLEEP = "sleep"
    SIGNAL = "signal"
    REGISTER = "register"
    QUEUE = "queue"
    QUEUE_ALLOC = "queue-alloc"
    CALL = "call"
    OPAQUE = "opaque"


RESULT = -2
"""Stands for "the variable that gets the result" where an argument number is expected."""
NONE = -1

BIT = "bit-lock"
"""The kind of lock that is a bit of what it locks: a folio, a buffer."""
FREEZE = "freeze-protection"
"""What keeps a file system from being frozen: a percpu rwsem that its writers take to read."""
SIGNALS = frozenset({"semaphore", BIT})
"""Kinds of lock that others than their owner may give back."""
SLEEPING = frozenset({"mutex", "rwsem", "percpu-rwsem", "ww-mutex", FREEZE}) | SIGNALS
"""Kinds of lock whose blocking acquisition may sleep."""
KINDS = (
    "mutex", "rwsem", "percpu-rwsem", "semaphore", "ww-mutex", "bit-lock", "spinlock",
    "raw-spinlock", "hwspinlock", "raw-hwspinlock", "local-lock", "rwlock", "srcu", "rcu",
    "irq-off", "bh-off", "preempt-off", "freeze-protection",
)  # fmt: skip
READERS = frozenset({"srcu", "rcu"})
"""Read-side critical sections: entering waits for nobody, a grace period waits for the exit."""
CPU_STATES = frozenset({"irq-off", "bh-off", "preempt-off"})
"""States of the processor, not locks: nobody waits for them."""
RCU = "rcu_read_lock"
"""What lockdep calls the readers of plain RCU, of all flavours here: nothing in one may sleep."""
LOCAL = "local-lock"
"""The kind of lock that is one of each processor: but on PREEMPT_RT nobody waits for it."""
SPINNING = frozenset({"spinlock", "rwlock", "raw-spinlock", "hwspinlock"})
SLEEPING_ON_RT = frozenset({"spinlock", "rwlock", LOCAL})
"""Kinds of lock that do not sleep but on PREEMPT_RT: Documentation/locking/locktypes.rst."""
RAW = frozenset({"raw-spinlock", "irq-off", "preempt-off"})
"""Contexts in which nothing may sleep on PREEMPT_RT either."""
ATOMIC = SPINNING | CPU_STATES | {"rcu"}
"""Contexts in which nothing may sleep."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """One call of the table."""

    name: str
    role: Role
    header: str
    lock: str = ""
    what: str = ""
    arg: int = NONE
    object: str = ""
    below: str = ""
    mode: str = "write"
    irq: str = ""
    function: int = NONE
    table: int = NONE
    here: bool = False
    follow: bool = False
    thread: int = NONE
    queue: int = NONE
    queue_object: str = ""
    flags: int = NONE
    fixed_flags: str = ""
    nested: bool = False
    blocks: bool = False
    drops: int = NONE
    calls: tuple[str, ...] = ()
    unless: str = ""
    given: str = ""

    @property
    def acquires(self) -> bool:
        return self.role in (
            Role.ACQUIRE, Role.ACQUIRE_TRY, Role.ACQUIRE_TRY_ZERO, Role.ACQUIRE_ZERO,
        )  # fmt: skip

    @property
    def waits(self) -> bool:
        """Whether a context can block in this call."""
        if self.role in (Role.WAIT, Role.SLEEP):
            return True
        if self.lock in READERS or self.lock in CPU_STATES:
            return False
        return self.role in (Role.ACQUIRE, Role.ACQUIRE_ZERO) or self.blocks

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "role": self.role.value,
            "lock": self.lock,
            "what": self.what,
            "argument": self.arg if self.arg >= 0 else None,
            "object": self.object,
            "mode": self.mode,
            "header": self.header,
        }


class Primitives(Mapping[str, Primitive]):
    """The table by name, with the few sets the rest of the room asks for."""

    def __init__(self, entries: Iterable[Primitive]) -> None:
        self._by_name = {entry.name: entry for entry in entries}
        self.names = frozenset(self._by_name)
        self.flow_names = frozenset(
            entry.name
            for entry in self._by_name.values()
            if (entry.role not in (Role.SLEEP, Role.OPAQUE) or entry.drops >= 0)
            and not (entry.role is Role.WAIT and entry.object)
        )
        """Calls whose order within a function matters; the others only need the call graph."""

    def __getitem__(self, name: str) -> Primitive:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @overload
    def get(self, name: str, default: None = None, /) -> Primitive | None: ...

    @overload
    def get(self, name: str, default: Primitive | T, /) -> Primitive | T: ...

    def get(self, name: str, default: Primitive | T | None = None, /) -> Primitive | T | None:
        """As of any mapping, but without an exception for each name that is none."""
        return self._by_name.get(name, default)

    def __iter__(self) -> Any:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


def definer_types(primitives: Primitives) -> dict[str, str]:
    """Macros that define an object at file scope, with the type they give it."""
    types = dict(_DEFINERS)
    for name, entry in primitives.items():
        if entry.role is Role.REGISTER and name.startswith(("DECLARE_", "DEFINE_")):
            types[name] = "struct work_struct"
    return types


_DEFINERS = {
    "DEFINE_MUTEX": "struct mutex", "DEFINE_SPINLOCK": "spinlock_t", "DEFINE_RWLOCK": "rwlock_t",
    "DEFINE_RAW_SPINLOCK": "raw_spinlock_t", "DECLARE_RWSEM": "struct rw_semaphore",
    "DEFINE_SEMAPHORE": "struct semaphore", "DEFINE_SRCU": "struct srcu_struct",
    "DEFINE_STATIC_SRCU": "struct srcu_struct", "DEFINE_STATIC_PERCPU_RWSEM":
    "struct percpu_rw_semaphore", "DEFINE_PERCPU_RWSEM": "struct percpu_rw_semaphore",
    "DECLARE_COMPLETION": "struct completion", "DEFINE_TIMER": "struct timer_list",
    "DECLARE_TASKLET": "struct tasklet_struct", "DEFINE_SEQLOCK": "seqlock_t",
    "DEFINE_RT_MUTEX": "struct rt_mutex", "BLOCKING_NOTIFIER_HEAD": "struct blocking_notifier_head",
    "RAW_NOTIFIER_HEAD": "struct raw_notifier_head", "ATOMIC_NOTIFIER_HEAD":
    "struct atomic_notifier_head", "SRCU_NOTIFIER_HEAD": "struct srcu_notifier_head",
    "DEFINE_WW_CLASS": "struct ww_class", "DEFINE_IDR": "struct idr", "DEFINE_IDA": "struct ida",
    "DEFINE_XARRAY": "struct xarray", "DECLARE_WAIT_QUEUE_HEAD": "wait_queue_head_t",
}  # fmt: skip

_KEYS = {
    "names": list, "role": str, "header": str, "lock": str, "what": str, "arg": (int, str),
    "object": str, "below": str, "mode": str, "irq": str, "function": int, "thread": int,
    "table": int, "here": bool, "follow": bool, "queue": int, "queue-object": str, "flags": int,
    "fixed-flags": str, "nested": bool, "blocks": bool, "drops": int, "calls": list,
    "unless": str, "given": str,
}  # fmt: skip


def _entries(table: Mapping[str, Any], where: str) -> Iterable[Primitive]:
    for key, value in table.items():
        kind = _KEYS.get(key)
        if kind is None:
            raise ConfigError(
                f"{where}: unknown key {key!r} in a primitive; known are {', '.join(_KEYS)}"
            )
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):  # type: ignore[arg-type]
            raise ConfigError(f"{where}: {key!r} of a primitive has the wrong type")
    try:
        role = Role(table["role"])
        names = table["names"]
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{where}: a primitive needs names and a known role ({error})") from error
    _check(table, names, role, where)
    rest = {
        key.replace("-", "_"): value
        for key, value in table.items()
        if key not in ("names", "role", "header", "arg", "calls")
    }
    rest["calls"] = tuple(f"struct {member}" for member in table.get("calls", ()))
    arg = table.get("arg", NONE)
    place = RESULT if arg == "result" else arg
    if not isinstance(place, int) or (arg != "result" and place < NONE):
        raise ConfigError(f'{where}: arg is a position or "result", not {arg!r}')
    for name in names:
        yield Primitive(name=name, role=role, header=table.get("header", ""), arg=place, **rest)


_ABOUT_NOTHING = frozenset({Role.SLEEP, Role.QUEUE_ALLOC, Role.CALL, Role.OPAQUE})


def _check(table: Mapping[str, Any], names: list[Any], role: Role, where: str) -> None:
    """Refuse an entry that could never mean anything."""
    if not names or not all(isinstance(n, str) and n.isidentifier() for n in names):
        raise ConfigError(f"{where}: 'names' of a primitive are C identifiers, at least one")
    for key, allowed in (("mode", ("read", "write")), ("lock", KINDS)):
        if table.get(key, allowed[0]) not in allowed:
            raise ConfigError(f"{where}: {key!r} of a primitive is one of {', '.join(allowed)}")
    if role is Role.CALL and not {"function", "calls"} & table.keys():
        raise ConfigError(f"{where}: a primitive that calls needs a 'function' or 'calls'")
    if role not in _ABOUT_NOTHING and not {"arg", "object", "here"} & table.keys():
        raise ConfigError(
            f"{where}: a primitive that is no sleep needs an 'arg', an 'object' or 'here'"
        )


@cache
def builtin() -> Primitives:
    """The table that ships with the program."""
    text = resources.files("reviewbot.locking").joinpath("primitives.toml").read_text("utf-8")
    tables = tomllib.loads(text)["primitive"]
    return Primitives(entry for table in tables for entry in _entries(table, "primitives.toml"))


def with_extra(tables: Iterable[Mapping[str, Any]], where: str) -> Primitives:
    """The built-in table with a user's entries; theirs win.

    Raises :class:`ConfigError` for an entry that makes no sense, naming *where*.
    """
    extra = [entry for table in tables for entry in _entries(table, where)]
    return Primitives([*builtin().values(), *extra])


CPU_OBJECTS = frozenset(entry.object for entry in builtin().values() if entry.lock in CPU_STATES)
"""The names by which :data:`CPU_STATES` are known."""
