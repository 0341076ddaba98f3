# SPDX-License-Identifier: GPL-2.0-or-later
"""What a path knows of the conditions it has passed.

A piece of knowledge is a pair:

=================  =====================================================================
``("x", "-0")``    the signs ``x`` can have (:mod:`reviewbot.locking.effects`)
``("x=", "C")``    ``x`` is the constant ``C``
``("c", "T")``     the condition ``c`` is true (``F``: false), for one that says nothing
                   about a sign: ``flags&F_WAIT``, ``x==C``
=================  =====================================================================

A condition is the key of a branch (:class:`reviewbot.locking.body.Block`): ``x``
(is it non-zero), ``x<0``, ``x>0``, ``x==C`` or ``x&C``, where x is any text.  Names in
capitals are constants; two of different names have different values, and as flags
they have no bit in common.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from reviewbot.locking.effects import ANY, Fact
from reviewbot.locking.expressions import ZERO, constant

Knowledge = frozenset[Fact]
NOTHING: Knowledge = frozenset()

_FLAG_TEST = re.compile(r"^([^&|=<>!()]+(?:->|\.)?[^&|=<>!()]*)&(?!&)\(?([A-Z_0-9|]+)\)?$")
_CONSTANT = re.compile(r"^(?:-?\d\w*|-E[A-Z0-9]+|\(?_*[A-Z][A-Z0-9_]*(?:\|_*[A-Z][A-Z0-9_]*)*\)?)$")
_UPPER = re.compile(r"[A-Z_0-9]+")


_WANTED = {"?": "-+", "<": "-", ">": "+"}


class Test(NamedTuple):
    """A condition taken apart."""

    base: str
    op: str
    """``?`` non-zero, ``<`` or ``>`` than zero, ``==`` or ``&``."""
    operand: str


@lru_cache(maxsize=1 << 14)
def parse(key: str) -> Test:
    """The parts of a condition."""
    if key.endswith("<0"):
        return Test(key[:-2], "<", "0")
    if key.endswith(">0") and not key.endswith("->0"):
        return Test(key[:-2], ">", "0")
    if "==" in key:
        base, _, operand = key.rpartition("==")
        return Test(base, "==", operand)
    flags = _FLAG_TEST.match(key)
    if flags is not None:
        return Test(flags[1], "&", flags[2])
    return Test(key, "?", "")


@lru_cache(maxsize=1 << 14)
def base_of(key: str) -> str:
    """The expression that a piece of knowledge or a condition is about."""
    return key[:-1] if key.endswith("=") else parse(key).base


@lru_cache(maxsize=1 << 14)
def bases_of(known: Knowledge) -> frozenset[str]:
    """All expressions of which something is known."""
    return frozenset(base_of(key) for key, _ in known)


@lru_cache(maxsize=1 << 14)
def is_constant(text: str) -> bool:
    """Whether *text* is a number or a name in capitals (or several, or'ed)."""
    return bool(text) and _CONSTANT.match(text) is not None and text != "NULL"


def signs_of_constant(text: str) -> str:
    """Signs of a constant; of a name in capitals nothing is known."""
    sign = constant(text)
    return "+" if sign == "1" else sign or ANY


def value(known: Knowledge, base: str) -> tuple[str, str]:
    """(signs, constant or empty) known of an expression."""
    signs, const = ANY, ""
    for key, what in known:
        if key == base and what not in ("T", "F"):
            signs = what
        elif key == base + "=":
            const = what
    return signs, const


@lru_cache(maxsize=1 << 14)
def decide(known: Knowledge, key: str) -> bool | None:
    """Whether a condition is known to be true or false."""
    if not known:
        return None
    test = parse(key)
    answer = _by_value(test, *value(known, test.base))
    if answer is not None:
        return answer
    if (key, "T") in known:
        return True
    return False if (key, "F") in known else None


def _by_value(test: Test, signs: str, const: str) -> bool | None:
    if test.op in _WANTED:
        inside = [sign in _WANTED[test.op] for sign in signs]
        return True if all(inside) else False if not any(inside) else None
    if test.op == "==":
        if test.operand in ZERO:
            return False if "0" not in signs else True if signs == "0" else None
        if const:
            same = const == test.operand
            return same if same or is_constant(test.operand) or not test.operand else None
        other = signs_of_constant(test.operand)
        return False if not set(other) & set(signs) else None
    if const:
        return bool(set(_UPPER.findall(const)) & set(_UPPER.findall(test.operand)))
    return False if signs == "0" else None


@lru_cache(maxsize=1 << 14)
def learn(known: Knowledge, key: str, answer: bool) -> Knowledge | None:
    """What is known once a condition has come out as *answer*; None if it cannot."""
    test = parse(key)
    wanted = _WANTED.get(test.op, "0" if test.operand in ZERO else "")
    if wanted:
        return narrow(known, test.base, "".join(s for s in ANY if (s in wanted) is answer))
    before = decide(known, key)
    if before is not None:
        return known if before is answer else None
    if test.op == "==" and answer and is_constant(test.operand):
        narrowed = narrow(known, test.base, signs_of_constant(test.operand))
        return None if narrowed is None else narrowed | {(test.base + "=", test.operand)}
    return known | {(key, "T" if answer else "F")}


def narrow(known: Knowledge, base: str, signs: str) -> Knowledge | None:
    """Knowing besides that *base* has one of *signs*; None if it has none of them."""
    before, _ = value(known, base)
    after = "".join(sign for sign in before if sign in signs)
    if not after:
        return None
    if after == before:
        return known
    return frozenset(f for f in known if f[0] != base or f[1] in ("T", "F")) | {(base, after)}


def assign(known: Knowledge, target: str, what: tuple[str, ...]) -> Knowledge:
    """Knowledge of *target* after an assignment (:class:`reviewbot.locking.body.Event`)."""
    if not what:
        return known
    new = _assigned(known, what)
    return known | {(target + end, text) for end, text in new} if new else known


def _assigned(known: Knowledge, what: tuple[str, ...]) -> list[tuple[str, str]]:
    mark, text = what[0][:1], what[0][1:]
    out: list[tuple[str, str]] = []
    if mark in ("=", "~", "?"):
        if mark == "=" and is_constant(text):
            return [("=", text)]
        signs, const = value(known, text)
        if mark == "~" and signs == "-+":
            signs = "-"  # what becomes an error pointer, or comes from one, is an error code
        if mark == "?":
            signs = "".join(s for s in "-0" if s in signs.replace("+", "0"))
        if signs != ANY:
            out.append(("", signs))
        if const and mark == "=":
            out.append(("=", const))
        return out
    out.append(("", "+" if what[0] == "1" else what[0]))
    if len(what) > 1:
        out.append(("=", what[1]))
    return out


def holds(known: Knowledge, fact: Fact) -> bool | None:
    """Whether *fact* follows from what is known, contradicts it, or neither."""
    key, what = fact
    if key.endswith("="):
        return decide(known, f"{key[:-1]}=={what}")
    if what in ("T", "F"):
        answer = decide(known, key)
        return None if answer is None else answer is (what == "T")
    inside = [sign in what for sign in value(known, key)[0]]
    return True if all(inside) else False if not any(inside) else None


def suppose(known: Knowledge, fact: Fact, true: bool) -> Knowledge | None:
    """Knowledge with *fact* (or its opposite) added; None if that cannot be."""
    key, what = fact
    if key.endswith("="):
        return learn(known, f"{key[:-1]}=={what}", true)
    if what in ("T", "F"):
        return learn(known, key, (what == "T") is true)
    return narrow(known, key, "".join(s for s in ANY if (s in what) is true))


def about(fact: Fact, old: str, new: str) -> Fact:
    """The same of another expression: its key begins with *new* where it began with *old*."""
    key, what = fact
    return (new + key[len(old) :], what) if base_of(key).startswith(old) else fact
