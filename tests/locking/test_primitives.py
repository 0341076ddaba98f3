# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of the kernel's locking calls, and a user's additions to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from reviewbot.errors import ConfigError
from reviewbot.locking.primitives import (
    KINDS,
    NONE,
    RESULT,
    Primitive,
    Role,
    builtin,
    with_extra,
)
from tests.locking.support import Kernel, facts_of_text

ENTRIES = sorted(builtin().values(), key=lambda entry: entry.name)
_WORD = re.compile(rb"\w+")


def _names(words: dict[str, set[bytes]], entry: Primitive) -> bool:
    return entry.name.encode() in words.get(entry.header, ())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_makes_sense(entry: Primitive) -> None:
    assert entry.name.isidentifier()
    assert entry.header.endswith(".h")
    assert entry.mode in ("read", "write")
    assert entry.irq in ("", "off", "bh")
    assert entry.arg >= 0 or entry.arg in (NONE, RESULT)
    takes_object = entry.role not in (Role.SLEEP, Role.QUEUE_ALLOC, Role.CALL, Role.OPAQUE)
    has_object = entry.arg != NONE or bool(entry.object) or (entry.here and not entry.calls)
    assert has_object == takes_object
    if entry.acquires or entry.role is Role.RELEASE:
        assert entry.lock in KINDS
    if entry.role in (Role.WAIT, Role.SIGNAL, Role.REGISTER, Role.QUEUE, Role.QUEUE_ALLOC):
        assert entry.what or entry.lock
    if entry.role is Role.REGISTER:
        assert (
            max(entry.function, entry.thread, entry.table) >= 0
            or entry.here
            or entry.what == "unordered"
        )
    if entry.role is Role.QUEUE:
        assert entry.queue >= 0 or entry.queue_object
    if entry.nested:
        assert entry.acquires
    assert entry.role is not Role.CALL or entry.function >= 0 or entry.calls
    assert all(member.startswith("struct ") and "." in member for member in entry.calls)
    assert entry.to_dict()["role"] == entry.role.value


def test_what_is_taken_can_be_given_back() -> None:
    released = {(entry.lock, entry.object) for entry in ENTRIES if entry.role is Role.RELEASE}
    taken = {(entry.lock, entry.object) for entry in ENTRIES if entry.acquires}
    assert taken == released


def test_what_is_waited_for_can_be_registered() -> None:
    registered = {entry.what for entry in ENTRIES if entry.role is Role.REGISTER}
    signalled = {entry.what for entry in ENTRIES if entry.role is Role.SIGNAL}
    waited = {entry.what for entry in ENTRIES if entry.role is Role.WAIT and entry.what}
    no_handler = {"srcu-gp", "rcu-gp", "rcu-tasks-gp", "workqueue", "vfree", "dma-free"}
    assert waited <= registered | signalled | no_handler


@pytest.mark.parametrize(
    ("name", "waits"),
    [
        ("mutex_lock", True),
        ("mutex_lock_interruptible", True),
        ("mutex_trylock", False),
        ("atomic_dec_and_mutex_lock", True),
        ("mutex_unlock", False),
        ("srcu_read_lock", False),
        ("rcu_read_lock", False),
        ("local_irq_save", False),
        ("synchronize_srcu", True),
        ("cancel_work_sync", True),
        ("schedule_work", False),
        ("INIT_WORK", False),
        ("lockdep_assert_held", False),
        ("msleep", True),
        ("complete", False),
    ],
)
def test_which_calls_wait(name: str, waits: bool) -> None:
    assert builtin()[name].waits == waits


@pytest.mark.parametrize(
    "name",
    [
        "cancel_work",
        "disable_irq_nosync",
        "cancel_delayed_work",
        "queue_work",
        "call_srcu",
        "del_timer",
    ],
)
def test_what_waits_for_nothing_has_no_entry_that_waits(name: str) -> None:
    entry = builtin().get(name)
    assert entry is None or not entry.waits


@pytest.mark.kernel
def test_the_header_of_the_real_kernel_declares_each(kernel_tree: Path) -> None:
    """Names that 6.12 has no more, or not yet, are in none of its headers."""
    include = kernel_tree / "include"
    words = {
        str(path.relative_to(include)): set(_WORD.findall(path.read_bytes()))
        for path in include.rglob("*.h")
    }
    missing = [entry for entry in ENTRIES if not _names(words, entry)]
    other = {name for known in words.values() for name in known}
    assert [entry.name for entry in missing if entry.name.encode() in other] == []
    assert len(missing) < len(ENTRIES) / 20


# ---- a user's entries ----

MINE: dict[str, Any] = {
    "names": ["frob_enter"],
    "role": "acquire",
    "lock": "mutex",
    "arg": 1,
    "header": "frob.h",
}


def test_an_extra_entry_is_used() -> None:
    table = with_extra([MINE, {**MINE, "names": ["frob_exit"], "role": "release"}], "config.toml")
    assert table["frob_enter"].lock == "mutex"
    assert table["mutex_lock"] == builtin()["mutex_lock"]
    assert len(table) == len(builtin()) + 2
    assert "frob_enter" in table.flow_names
    text = "void f(void)\n{\n\tfrob_enter(1, &a);\n}\n"
    assert not facts_of_text(text).functions[0].flows
    assert "frob_enter" not in builtin()


def test_an_extra_entry_wins_over_the_built_in() -> None:
    table = with_extra([{**MINE, "names": ["mutex_lock"], "lock": "semaphore"}], "config.toml")
    assert table["mutex_lock"].lock == "semaphore"
    assert builtin()["mutex_lock"].lock == "mutex"


def test_keys_with_a_dash() -> None:
    table = with_extra(
        [
            {
                "names": ["frob_queue"],
                "role": "queue",
                "what": "work",
                "arg": 0,
                "queue-object": "frob_wq",
            },
            {
                "names": ["frob_alloc"],
                "role": "queue-alloc",
                "what": "workqueue",
                "fixed-flags": "WQ_UNBOUND",
            },
            {
                "names": ["frob_run"],
                "role": "register",
                "what": "kthread",
                "arg": "result",
                "function": 0,
            },
        ],
        "config.toml",
    )
    assert table["frob_queue"].queue_object == "frob_wq"
    assert table["frob_alloc"].fixed_flags == "WQ_UNBOUND"
    assert table["frob_run"].arg == RESULT


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"colour": "red"}, "colour"),
        ({"names": "frob_enter"}, "names"),
        ({"names": []}, "names"),
        ({"names": [7]}, "names"),
        ({"names": ["not a name"]}, "names"),
        ({"role": "acquires"}, "acquires"),
        ({"role": 3}, "role"),
        ({"arg": "first"}, "arg"),
        ({"arg": 1.5}, "arg"),
        ({"arg": True}, "arg"),
        ({"arg": -3}, "arg"),
        ({"nested": "yes"}, "nested"),
        ({"mode": "sideways"}, "mode"),
        ({"lock": "padlock"}, "lock"),
        ({"lock": 1}, "lock"),
        ({"function": "f"}, "function"),
    ],
)
def test_a_bad_entry_names_file_and_key(change: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_extra([{**MINE, **change}], "my/config.toml")
    assert "my/config.toml" in str(caught.value)
    assert key in str(caught.value)


@pytest.mark.parametrize("key", ["names", "role"])
def test_a_missing_key_is_named(key: str) -> None:
    entry = {name: value for name, value in MINE.items() if name != key}
    with pytest.raises(ConfigError, match=key):
        with_extra([entry], "config.toml")


def test_an_entry_about_nothing_makes_no_sense() -> None:
    entry = {name: value for name, value in MINE.items() if name != "arg"}
    with pytest.raises(ConfigError, match=r"arg|object"):
        with_extra([entry], "config.toml")


def test_wrappers_need_no_entry() -> None:
    kernel = Kernel(
        {
            "f.c": "struct d { struct mutex m; };\n"
            "void enter(struct d *d)\n{\n\tmutex_lock(&d->m);\n}\n"
        }
    )
    assert kernel.effects("f.c", "enter") is not None
