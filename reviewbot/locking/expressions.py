# SPDX-License-Identifier: GPL-2.0-or-later
"""Expressions of C source in one spelling, so that equal ones are equal strings."""

from __future__ import annotations

import re

MAX_ARGUMENT = 160
"""Characters of an argument or condition that are kept; a longer argument becomes empty."""

_BESIDE_OPERATOR = re.compile(r"(?<=\W) | (?=\W)")
_NONZERO = re.compile(r"^(?:true|0*[1-9]\d*|IRQ_HANDLED|IRQ_WAKE_THREAD)$")
_NEGATIVE = re.compile(r"^(?:-E[A-Z0-9]+|-[1-9]\d*|ERR_PTR\(.*\)|PTR_ERR\(.*\)|ERR_CAST\(.*\))$")
_LITERAL = re.compile(r"^-?(?:0x[0-9a-fA-F]+|\d+)[uUlL]*$|^-E[A-Z0-9]+$")
_FLAGS = re.compile(r"^_*[A-Z][A-Z0-9_]*(?:\|_*[A-Z][A-Z0-9_]*)*$")
ZERO = frozenset({"0", "false", "NULL", "0L", "0UL", "0U", "IRQ_NONE"})


def constant(text: str) -> str:
    """``0`` for a false constant, ``-`` for an error code, ``1`` for a true one, else empty."""
    if text in ZERO:
        return "0"
    if _NEGATIVE.match(text):
        return "-"
    return "1" if _NONZERO.match(text) else ""


def is_literal(text: str) -> bool:
    """Whether *text* is a number or a named error code."""
    return _LITERAL.match(text) is not None


def is_flags(text: str) -> bool:
    """Whether *text* is a name in capitals, or several or'ed."""
    return _FLAGS.match(text) is not None


def tight(text: str) -> str:
    """An expression in one spelling: no white space but between words."""
    if " " not in text and "\t" not in text and "\n" not in text:
        return text
    words = text.split()
    return words[0] if len(words) == 1 else _BESIDE_OPERATOR.sub("", " ".join(words))


def split_arguments(text: str) -> tuple[str, ...]:
    """Arguments of a call in one spelling; very long ones become empty."""
    if not text.strip():
        return ()
    parts = text.split(",") if _BRACKET.search(text) is None else _outer_commas(text)
    return tuple(one if len(one := tight(part)) <= MAX_ARGUMENT else "" for part in parts)


def _outer_commas(text: str) -> list[str]:
    """What stands between the commas outside of any brackets."""
    parts: list[str] = []
    depth = start = 0
    for match in _ARGUMENT_MARK.finditer(text):
        mark = match[0]
        if mark == ",":
            if depth == 0:
                parts.append(text[start : match.start()])
                start = match.end()
        elif mark in "([{":
            depth += 1
        else:
            depth -= 1
    parts.append(text[start:])
    return parts


_BRACKET = re.compile(r"[()\[\]{}]")
_ARGUMENT_MARK = re.compile(r"[,()\[\]{}]")
