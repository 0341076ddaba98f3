# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of locks: one spelling for an argument, and a callee's names in a caller's words.

Locks are named by the expression in the source, with pointers that are set once
replaced by what they are set to: ``irqfd->kvm->irq_lock`` rather than
``kvm->irq_lock``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from reviewbot.locking.body import Local

WORDS = re.compile(r"@?[A-Za-z_]\w*")
_WRAPPED = re.compile(r"^\(&?(\w+)\)(?=->|\.|$)")
_CAST = re.compile(r"^\((?:const )?(?:struct |union )?\w+ ?\**\)(?=[\w(&*])")


def lock_expression(argument: str, locals_: Mapping[str, Local]) -> str:
    """One name for a lock argument: no ``&``, casts or outer parentheses, aliases followed."""
    text = argument
    for _ in range(8):
        if text.startswith("&"):
            text = text[1:]
        elif text.startswith("(") and text.endswith(")") and _balanced(text[1:-1]):
            text = text[1:-1]
        elif (wrapped := _WRAPPED.match(text)) is not None:
            text = wrapped[1] + text[wrapped.end() :]  # a macro's (x)->lock
        elif (cast := _CAST.match(text)) is not None:
            text = text[cast.end() :]
        else:
            break
    for _ in range(4):
        match = WORDS.match(text)
        local = locals_.get(match[0]) if match is not None else None
        if match is None or local is None or not local.alias or "(" in local.alias:
            break
        alias = local.alias
        rest = text[match.end() :]
        if alias == "NULL" or alias[:1].isdigit() or (WORDS.fullmatch(alias) and alias == match[0]):
            break
        if alias.startswith("&"):
            text = alias[1:] + ("." + rest[2:] if rest.startswith("->") else rest)
            if rest and not rest.startswith(("->", "[")):
                break
        elif local.type.endswith("*") and _typed_path(alias, locals_):
            text = alias + rest
        else:
            break
    return text


def _typed_path(alias: str, locals_: Mapping[str, Local]) -> bool:
    """Whether *alias* is ``a->b.c`` from something whose type is known."""
    root = WORDS.match(alias)
    if root is None or re.fullmatch(r"[\w.>\-\[\]]+", alias) is None:
        return False
    local = locals_.get(root[0])
    if local is None:
        return True
    number = root[0] == alias and not local.type.endswith("*")  # a handler's unsigned long
    return not number and local.type.rstrip("*") not in ("", "void")


def _balanced(text: str) -> bool:
    depth = 0
    for char in text:
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth < 0:
                return False
    return depth == 0


def substitute(lock: str, args: tuple[str, ...], locals_: Mapping[str, Local]) -> str:
    """A callee's ``$n…`` in terms of the caller's arguments; empty if it cannot be said.

    What a macro calls ``$name…`` is the caller's own.
    """
    if not lock.startswith("$"):
        return lock
    if not lock[1:2].isdigit():
        return lock_expression(lock[1:], locals_)
    digits = re.match(r"\$(\d+)", lock)
    if digits is None or int(digits[1]) >= len(args):
        return ""
    argument, rest = args[int(digits[1])], lock[digits.end() :]
    if not argument:
        return ""
    if WORDS.fullmatch(argument):
        return lock_expression(argument + rest, locals_)
    base = lock_expression(argument, locals_)
    if not rest:
        return base
    if argument.startswith("&") and rest.startswith("->"):
        return base + "." + rest[2:]
    return base + rest
