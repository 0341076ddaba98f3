# SPDX-License-Identifier: GPL-2.0-or-later
"""Types that msgspec may decode into from several threads.

msgspec (0.22) keeps what it learns of a class on the class, and shows it to other
threads before it is whole: two that decode into the same class for the first time at
the same moment bring the process down with SIGSEGV.  So a class is learnt by one
thread at a time, before anybody decodes into it.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")
_learning = threading.Lock()
_learnt: set[Any] = set()


def learnt(kind: type[_T]) -> type[_T]:
    """The same class, as ``type=`` for msgspec: safe in any thread from now on."""
    if kind not in _learnt:
        with _learning:
            msgspec.msgpack.Decoder(kind)
            _learnt.add(kind)
    return kind
