# SPDX-License-Identifier: GPL-2.0-or-later
"""Macros and scope-based guards, read as if they were functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import NamedTuple

from reviewbot.locking.blocks import USER
from reviewbot.locking.body import Flow, Local, read_body
from reviewbot.locking.declarations import spell_type
from reviewbot.locking.expressions import split_arguments
from reviewbot.locking.facts import Function, speaks_of_locks, worth_a_flow
from reviewbot.locking.mentions import calls_in, top_level_commas
from reviewbot.locking.pointers import handed_on, pointers_named
from reviewbot.locking.source import Lines, Macro, matching_paren

_MAX_MACRO = 4000
"""Bytes of text from which on a macro is no lock wrapper."""
_MACRO_CALL = re.compile(rb"\b[a-z_]\w*\s*\(")
_IS_VALUE = re.compile(
    rb"(?!do\b|for\b|while\b|if\b|switch\b|return\b|goto\b)(?:\w+\s*\(|\(|!)[^;]*$|\(\{"
)
_OPENS_STATEMENT = re.compile(rb"\s*(?:for|while|if|switch)\s*\(")
_CALLED_MEMBER = re.compile(rb"(?:->|\.)[ \t]*+(\w++)[ \t]*+\(")
_VARIADIC = re.compile(rb",\s*##")
_STATEMENT = re.compile(rb"\s*(?:do\b|\(\{|\{)")
_PASTED = re.compile(rb"\w+(?:\s*##\s*\w+)+")
_QUOTED = re.compile(rb"#\s*[A-Za-z_]\w*")
_GENERIC = re.compile(rb"\b_Generic\s*\(")
_FINDS_OBJECT = re.compile(
    rb"\(*\s*(?:container_of(?:_const)?\s*\([^,]*,\s*(struct\s+\w+)\s*,"
    rb"|\(\s*(struct\s+\w+)\s*\*\s*\))"
)
_GUARD_DEFINER = re.compile(
    rb"^[ \t]*(DEFINE_GUARD|DEFINE_LOCK_GUARD_[01]|DEFINE_GUARD_COND|DEFINE_LOCK_GUARD_1_COND"
    rb"|DEFINE_CLASS)[ \t]*\(",
    re.M,
)


class BodyFlow(NamedTuple):
    """What reading a function's body adds to it."""

    params: tuple[tuple[str, str], ...] = ()
    flows: tuple[Flow, ...] = ()
    locals: Mapping[str, Local] = MappingProxyType({})
    opaque: bool = False
    errors: int = 0


NO_FLOW = BodyFlow()


def callers_among(clean: bytes, macros: Iterable[Macro]) -> Iterator[Macro]:
    """The macros that may call something."""
    return (macro for macro in macros if _MACRO_CALL.search(clean, macro.body, macro.end))


def macro_functions(
    clean: bytes, macros: Iterable[Macro], lines: Lines, vocabulary: AbstractSet[str]
) -> Iterator[Function]:
    """The macros that may call something; who uses one above that has a flow has one, too."""
    worth: set[str] = set()
    for macro in callers_among(clean, macros):
        function = _macro_function(clean, macro, lines, vocabulary, worth)
        if function.flows:
            worth.add(macro.name)
        yield function


def _macro_function(
    clean: bytes, macro: Macro, lines: Lines, vocabulary: AbstractSet[str], worth: AbstractSet[str]
) -> Function:
    """A function-like macro, read as a function with untyped parameters.

    *worth* names the macros above that have a flow.
    """
    body = _macro_body(clean, macro)
    calls, _ = calls_in(body)
    names = {call.decode("latin-1") for call in calls} - {macro.name}  # no macro expands itself
    flow = BodyFlow(params=tuple((name, "") for name in macro.params))
    own = pointers_named(macro.params)
    speaks = worth_a_flow(names, vocabulary) or not names.isdisjoint(worth)
    if speaks or _calls_what_it_is_given(body, macro.params):
        flow = flow_of_macro(clean, macro, lines)
    return Function(
        name=macro.name,
        static=True,
        line=lines.at(macro.body),
        end=lines.at(macro.end),
        returns=_macro_type(body),
        macro=True,
        params=flow.params,
        calls=" ".join(sorted(names)),
        refs="",
        indirect=(),
        sets=(),
        hands=tuple(handed_on(body, (), own)) if own else (),
        annotations=(),
        flows=flow.flows,
        locals=dict(flow.locals),
        opaque=flow.opaque,
    )


def _calls_what_it_is_given(body: bytes, params: tuple[str, ...]) -> bool:
    """Whether a macro calls a member of a struct that one of its parameters names."""
    if b"->" not in body:
        return False
    return any(name.decode("latin-1") in params for name in _CALLED_MEMBER.findall(body))


def flow_of_macro(clean: bytes, macro: Macro, lines: Lines) -> BodyFlow:
    params = tuple((name, "") for name in macro.params)
    body_text = _without_pastes(_macro_body(clean, macro))
    if len(body_text) >= _MAX_MACRO or b"#" in body_text or _is_open_ended(body_text):
        return BodyFlow(params, opaque=True)  # what it does depends on its use
    expression = body_text.strip()
    value = b"return " if _IS_VALUE.match(expression) else b""
    end = b" }" if expression.endswith((b";", b"}")) else b"; }"
    text = b"{ " + value + expression + end
    body = read_body(text, lines.at(macro.body), params)
    locals_ = {**body.locals, USER: Local("", -1, "")}
    return BodyFlow(params, body.flows, locals_, not body.flows)


def _macro_body(clean: bytes, macro: Macro) -> bytes:
    body = clean[macro.body : macro.end].replace(b"\\\n", b" \n")
    if b"##" in body:
        body = _VARIADIC.sub(lambda m: m[0][:-2], body)
    return _without_choices(body)


def _without_pastes(body: bytes) -> bytes:
    """A statement in which ``a ## b`` is some name, unless that is a lock's, and ``#a`` a text."""
    if b"#" not in body or _STATEMENT.match(body) is None:
        return body
    if any(speaks_of_locks(pasted.decode("latin-1")) for pasted in _PASTED.findall(body)):
        return body
    return _QUOTED.sub(b'""', _PASTED.sub(b"pasted", body))


def _without_choices(body: bytes) -> bytes:
    """``g(x)`` for ``_Generic((x), struct a *: f, struct b *: g)(x)``: they do one thing."""
    while (match := _GENERIC.search(body)) is not None:
        close = matching_paren(body, match.end() - 1)
        if close < 0:
            break
        last = top_level_commas(body[match.end() : close])[-1]
        chosen = last.rpartition(b":")[2].strip()
        lines = b"\n" * body.count(b"\n", match.start(), close)
        body = body[: match.start()] + lines + chosen + body[close + 1 :]
    return body


def _is_open_ended(body: bytes) -> bool:
    """Whether a macro ends where its user's statement begins, as ``with_foo_lock(x) {`` does."""
    match = _OPENS_STATEMENT.match(body)
    if match is None:
        return False
    close = matching_paren(body, match.end() - 1)
    rest = body[close + 1 :].strip()
    return close < 0 or not rest or rest.endswith(b"else") or _is_open_ended(rest)


def _macro_type(body: bytes) -> str:
    """Type of the object a macro like ``to_foo(x)`` finds; empty for other macros."""
    match = _FINDS_OBJECT.match(body.strip())
    return f"{spell_type(match[1] or match[2])}*" if match is not None else ""


def guards(code: bytes, lines: Lines) -> list[Function]:
    """Scope-based guards (linux/cleanup.h) as pairs of functions ``guard(x)``, ``~guard(x)``."""
    out: list[Function] = []
    if not any(word in code for word in (b"DEFINE_GUARD", b"DEFINE_LOCK_GUARD", b"DEFINE_CLASS")):
        return out
    for match in _GUARD_DEFINER.finditer(code):
        close = matching_paren(code, match.end() - 1)
        if close < 0:
            break
        args = split_arguments(code[match.end() : close].decode("latin-1"))
        if match[1] in (b"DEFINE_GUARD", b"DEFINE_LOCK_GUARD_1") and len(args) >= 4:
            name, lock, unlock = args[0], args[2], args[3]
        elif match[1] == b"DEFINE_LOCK_GUARD_0" and len(args) >= 3:
            name, lock, unlock = args[0], args[1], args[2]
        elif match[1].endswith(b"_COND") and len(args) >= 3:
            # what is guarded runs only if the lock was got
            name, lock, unlock = args[0] + args[1], f"if (!({args[2]})) unreachable()", ""
        else:
            continue
        line = lines.at(match.start())
        for prefix, action in (("", lock), ("~", unlock)):
            if action:
                out.append(_guard_function(f"{prefix}guard({name})", action, line))
    return out


def _guard_function(name: str, action: str, line: int) -> Function:
    text = action.replace("_T->lock", "_T")
    params = (("_T", ""),)
    body = read_body(b"{ " + text.encode("latin-1") + b"; }", line, params)
    calls = sorted({event.name for flow in body.flows for b in flow.blocks for event in b.events})
    return Function(
        name=name,
        static=False,
        line=line,
        end=line,
        returns="",
        macro=True,
        params=params,
        calls=" ".join(call for call in calls if call not in ("=", "unreachable")),
        refs="",
        indirect=(),
        sets=(),
        hands=(),
        annotations=(),
        flows=body.flows,
        locals=body.locals,
    )
