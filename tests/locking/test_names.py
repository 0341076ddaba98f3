# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of locks: one spelling, aliases followed, a callee's in the caller's words."""

from __future__ import annotations

import pytest

from reviewbot.locking.body import Local
from reviewbot.locking.names import lock_expression, substitute

POINTER = Local("struct kvm*", -1, "r->kvm")


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("&a", "a"),
        ("((&a))", "a"),
        ("(struct mutex *)&a", "a"),
        ("&kvm->lock", "r->kvm->lock"),
        ("kvm", "r->kvm"),
        ("&(kvm->lock)", "r->kvm->lock"),
        ("&other->lock", "other->lock"),
        ("lock", "r->lock"),
        ("here->x", "r->inner.x"),
        ("null->x", "null->x"),
        ("called->x", "called->x"),
        ("plain", "plain"),
        ("card->lock", "card->lock"),
        ("", ""),
    ],
)
def test_lock_expression(argument: str, expected: str) -> None:
    locals_ = {
        "kvm": POINTER,
        "lock": Local("struct mutex*", -1, "&r->lock"),
        "here": Local("struct inner*", -1, "&r->inner"),
        "null": Local("struct kvm*", -1, "NULL"),
        "called": Local("struct kvm*", -1, "get(r)"),
        "r": Local("struct resampler*", 0, ""),
        "card": Local("struct card*", -1, "number"),  # (struct card *)number
        "number": Local("long", 1, ""),
    }
    assert lock_expression(argument, locals_) == expected


@pytest.mark.parametrize(
    ("lock", "args", "expected"),
    [
        ("=event_mutex", (), "=event_mutex"),
        ("$0", ("&a",), "a"),
        ("$1->lock", ("x", "dev"), "dev->lock"),
        ("$0->lock", ("&priv->dev",), "priv->dev.lock"),
        ("$0->lock", ("kvm",), "r->kvm->lock"),
        ("$0->lock", ("here",), "r->inner.lock"),
        ("$2", ("x",), ""),
        ("$0", ("",), ""),
    ],
)
def test_substitute(lock: str, args: tuple[str, ...], expected: str) -> None:
    locals_ = {"kvm": POINTER, "here": Local("struct inner*", -1, "&r->inner")}
    assert substitute(lock, args, locals_) == expected
