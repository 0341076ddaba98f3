# SPDX-License-Identifier: GPL-2.0-or-later
"""From a file's text to its facts: a pure function, so facts can be kept by blob id.

Facts say what stands in the file and nothing about any other file: which
functions there are and whom they call, how a call's receiver is typed, what is
declared, and for the few functions that matter to locking their flow graph.
Resolving names across files is :mod:`reviewbot.locking.link`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from reviewbot.locking.body import Flow, Local, read_body
from reviewbot.locking.declarations import (
    Definer,
    Initialiser,
    Struct,
    Variable,
    aggregates,
    definers,
    initialisers,
    power_tables,
    spell_type,
    variables,
)
from reviewbot.locking.expressions import split_arguments
from reviewbot.locking.pointers import Handed, handed_on, kept, may_take_functions, pointers_among
from reviewbot.locking.source import (
    Cut,
    Lines,
    Macro,
    cut_functions,
    matching_paren,
    split_directives,
    without_attributes,
    without_comments,
)

VERSION = 7
"""Of the meaning and form of facts; a cache of another version is not read."""


class IndirectCall(msgspec.Struct, frozen=True, array_like=True):
    """A call through a pointer in a struct: ``dev->ops->open(…)``."""

    type: str
    """Declared type of the first word, or empty if this function does not declare it."""
    chain: str


class FieldSet(msgspec.Struct, frozen=True, array_like=True):
    """``x->ops.open = function`` in a function body."""

    type: str
    chain: str
    function: str
    """A function of the file, ``$n`` for the parameter n, or a member: ``attr->open``."""
    source: str = ""
    """Declared type of the first word of such a member."""


class Function(msgspec.Struct, frozen=True, array_like=True):
    """One function (or function-like macro)."""

    name: str
    static: bool
    line: int
    end: int
    returns: str
    """Type of the result for functions that return a pointer to a struct, else empty."""
    macro: bool
    params: tuple[tuple[str, str], ...]
    """(name, type) in order; read only for functions with flows."""
    calls: str
    """Names called, each once, separated by blanks."""
    refs: str
    """Functions of this file that are mentioned but not called: callbacks handed on."""
    indirect: tuple[IndirectCall, ...]
    sets: tuple[FieldSet, ...]
    hands: tuple[Handed, ...]
    annotations: tuple[str, ...]
    """``__must_hold(x)`` and its kin, as written."""
    flows: tuple[Flow, ...] = ()
    locals: dict[str, Local] = {}
    opaque: bool = False
    """Worth a flow, but its text makes none."""


class FileFacts(msgspec.Struct, frozen=True, array_like=True):
    """Everything read from one file."""

    functions: tuple[Function, ...]
    structs: tuple[Struct, ...]
    typedefs: dict[str, str]
    variables: tuple[Variable, ...]
    definers: tuple[Definer, ...]
    initialisers: tuple[Initialiser, ...]
    errors: int
    """Functions with a flow whose syntax tree has an error node."""


class HeadFunction(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of a :class:`Function`: what other files see of it."""

    name: str
    static: bool
    line: int
    end: int
    returns: str
    macro: bool


class Head(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of :class:`FileFacts`: what other files see of one.

    Packed facts can be read as one; their other fields are passed over.
    """

    functions: tuple[HeadFunction, ...]
    structs: tuple[Struct, ...]
    typedefs: dict[str, str]
    variables: tuple[Variable, ...]
    definers: tuple[Definer, ...]


# For a text read backwards: from there the search is for "(", which is rare, and not for
# any word.  A field's name is no callee.
_CALL_REVERSED = re.compile(rb"\([ \t]*+(\w*+)(?<=[A-Za-z_])(?![ \t]*+(?:\.|>-))")
_THROUGH_STRUCT = re.compile(rb"(?:->|\.)[ \t]*+([A-Za-z_]\w*+)[ \t]*+\(")
_THROUGH_PARENTHESES = re.compile(rb"\(\*?([A-Za-z_]\w*+(?:(?:->|\.)\w++)++)\)[ \t]*+\(")
_PICKED = re.compile(rb"\b([A-Za-z_]\w*+)[ \t]*+=[ \t]*+&?([A-Za-z_]\w*+)[ \t]*+;")
_CHAIN_BEFORE = re.compile(rb"[A-Za-z_][\w\].\[>\s-]*$")
_HANDED_ON = re.compile(rb"[,(=&?:{][ \t\n]*+([A-Za-z_]\w*+)[ \t\n]*+(?=[,;)}?:])")
_KEYWORDS = frozenset(
    b"if for while switch return sizeof typeof __typeof__ defined likely unlikely ARRAY_SIZE BUG_ON"
    b" WARN_ON WARN_ON_ONCE offsetof IS_ERR PTR_ERR ERR_PTR min max BIT GENMASK READ_ONCE"
    b" WRITE_ONCE"
    b" container_of list_entry __attribute__ do else case asm dev_err dev_dbg dev_warn dev_info"
    b" pr_err pr_info pr_debug pr_warn printk IS_ENABLED cpu_to_le32 le32_to_cpu cpu_to_be32 memset"
    b" memcpy kfree be32_to_cpu cpu_to_le16 le16_to_cpu min_t max_t ERR_CAST IS_ERR_OR_NULL strcmp"
    b" kmalloc kzalloc sprintf snprintf udelay readl writel ioread32 iowrite32 test_bit set_bit"
    b" clear_bit list_empty list_add_tail list_del INIT_LIST_HEAD list_add FIELD_PREP"
    b" FIELD_GET".split()
)
_DECLARED = re.compile(
    rb"\b((?:struct|union)\s+\w+|\w+_t)\s+(\**)\s*(?:const\s+)?(\w+)((?:\s*(?:=[^;,]{0,200})?,\s*\**\s*\w+)*)"
)
_MORE = re.compile(rb",\s*(\**)\s*(\w+)")
_SETS = re.compile(
    rb"\b([A-Za-z_]\w*(?:\[[^\]\n]{0,40}\])?(?:\s*(?:->|\.)\s*\w+)+)\s*=\s*&?([A-Za-z_]\w*)\s*;"
)
_WORD = re.compile(rb"[A-Za-z_]\w*")
_ANNOTATION = re.compile(
    rb"\b(__must_hold|__acquires|__releases|__must_hold_shared|__cond_acquires)\s*"
    rb"\(((?:[^()]|\([^()]*\))*)\)"
)
_PARAMETER = re.compile(
    rb"((?:struct|union|enum)\s+\w+|\w+)\s*(?:const\s*)?([\s*]*)\b(\w+)\s*(?:\[[^\]]*\]\s*)*$"
)
_QUALIFIER = re.compile(rb"\b(?:const|volatile|register|restrict)\b")
_RETURNS = re.compile(rb"\b((?:struct|union)\s+\w+|\w+_t)\s*(\*+)\s*$")
_LOCK_WORD = re.compile(
    r"(?:^|_)(?:try|un|raw_?|spin|read_|write_)?lock(?:ed)?(?:_|$)|mutex|_acquire$|_release$|^(?:scoped_(?:cond_)?)?guard$"
)
_LOCK_TYPE = re.compile(r"lock|mutex|sem|srcu|work|timer")
_MACRO_CALL = re.compile(rb"\b[a-z_]\w*\s*\(")
_IS_VALUE = re.compile(
    rb"(?!do\b|for\b|while\b|if\b|switch\b|return\b|goto\b)(?:\w+\s*\(|\(|!)[^;]*$|\(\{"
)
_OPENS_STATEMENT = re.compile(rb"\s*(?:for|while|if|switch)\s*\(")
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


def read_facts(text: bytes, vocabulary: AbstractSet[str]) -> FileFacts:
    """The facts of one C or header file.

    *vocabulary* names the calls that make a function's flow worth keeping; a call
    whose name speaks of locks counts too, since it may be a wrapper.
    """
    clean = without_comments(text)
    code, macros = split_directives(clean)
    lines = Lines(text)
    cuts = tuple(cut_functions(code))
    plain = without_attributes(code)
    outside = _outside(plain, cuts)
    local_names = frozenset(cut.name.encode("latin-1") for cut in cuts)
    functions: list[Function] = []
    errors = 0
    for cut in cuts:
        function, bad = _function(code, cut, lines, local_names, vocabulary)
        functions.append(function)
        errors += bad
    _add_kept(code, cuts, functions)
    for macro in _callers_among(clean, macros):
        functions.append(_macro(clean, macro, lines, vocabulary))
    functions.extend(_guards(code, lines))
    structs, typedefs, with_body = aggregates(outside)
    found = (*with_body, *variables(outside))
    return FileFacts(
        tuple(functions),
        structs,
        typedefs,
        tuple(v for v in found if v.defined or _LOCK_TYPE.search(v.type)),
        tuple(definers(outside)),
        (*initialisers(plain), *power_tables(plain)),
        errors,
    )


def _outside(code: bytes, cuts: tuple[Cut, ...]) -> bytes:
    """The text with function bodies blank."""
    pieces: list[bytes] = []
    position = 0
    for cut in cuts:
        pieces.append(code[position : cut.body])
        pieces.append(b";")
        position = cut.end
    pieces.append(code[position:])
    return b"".join(pieces)


def _function(
    code: bytes,
    cut: Cut,
    lines: Lines,
    local_names: frozenset[bytes],
    vocabulary: AbstractSet[str],
) -> tuple[Function, int]:
    body = code[cut.body : cut.end]
    calls, indirect = _calls(body)
    types: dict[bytes, str] | None = None
    receivers: list[IndirectCall] = []
    if indirect:
        types = _declared_types(code[cut.params[0] : cut.end])
        receivers = [
            IndirectCall(types.get(chain.split(b"[")[0].split(b"-")[0].split(b".")[0], ""), text)
            for chain in sorted(indirect)
            for text in (chain.decode("latin-1"),)
        ]
    sets: list[FieldSet] = []
    refs = local_names.intersection(_HANDED_ON.findall(body))
    if refs:
        for match in _SETS.finditer(body):
            if match[2] in refs:
                if types is None:
                    types = _declared_types(code[cut.params[0] : cut.end])
                chain = b"".join(match[1].split())
                root = _WORD.match(chain)
                sets.append(
                    FieldSet(
                        types.get(root[0], "") if root else "",
                        chain.decode("latin-1"),
                        match[2].decode("latin-1"),
                    )
                )
        calls |= {
            match[2] for match in _PICKED.finditer(body) if match[2] in refs and match[1] in calls
        }
    names = {call.decode("latin-1") for call in calls}
    head = code[cut.head : cut.body]
    annotations = (
        tuple(
            f"{m[1].decode()} {' '.join(m[2].decode('latin-1').split())}"
            for m in _ANNOTATION.finditer(head)
        )
        if b"__" in head
        else ()
    )
    body_flow = _NO_FLOW
    if worth_a_flow(names, vocabulary):
        body_flow = _flow_of(code, cut, lines)
    returns = _RETURNS.search(
        code[cut.head : cut.params[0] - 1].rsplit(cut.name.encode("latin-1"), 1)[0]
    )
    function = Function(
        name=cut.name,
        static=cut.static,
        line=lines.at(cut.head),
        end=lines.at(cut.end - 1),
        returns=spell_type(returns[1]) + returns[2].decode() if returns else "",
        macro=False,
        params=body_flow.params,
        calls=" ".join(sorted(names)),
        refs=b" ".join(sorted(refs)).decode("latin-1"),
        indirect=tuple(receivers),
        sets=tuple(sets),
        hands=_hands(code, cut, body, refs),
        annotations=annotations,
        flows=body_flow.flows,
        locals=dict(body_flow.locals),
        opaque=body_flow.opaque,
    )
    return function, body_flow.errors


def _hands(code: bytes, cut: Cut, body: bytes, refs: AbstractSet[bytes]) -> tuple[Handed, ...]:
    """The calls that are given a function of the file, or a parameter that may be one."""
    own = _own_pointers(code, cut)
    return tuple(handed_on(body, refs, own)) if refs or own else ()


def _own_pointers(code: bytes, cut: Cut) -> dict[bytes, str]:
    text = code[cut.params[0] : cut.params[1]]
    return pointers_among(parameters(text)) if may_take_functions(text) else {}


def _add_kept(code: bytes, cuts: tuple[Cut, ...], functions: list[Function]) -> None:
    """Add what the members that the file calls are set to: parameters, other members."""
    members = {
        call.chain.rpartition(">")[2].rpartition(".")[2]
        for function in functions
        for call in function.indirect
    }
    for place, chain, source in kept(code, cuts, sorted(members)):
        cut = cuts[place]
        own = _own_pointers(code, cut)
        if source not in own and not (b"->" in source or b"." in source):
            continue
        types = _declared_types(code[cut.params[0] : cut.end])
        roots = [_WORD.match(text) for text in (chain, source)]
        kinds = [types.get(root[0], "") if root is not None else "" for root in roots]
        what = own.get(source) or source.decode("latin-1")
        entry = FieldSet(kinds[0], chain.decode("latin-1"), what, kinds[1])
        functions[place] = msgspec.structs.replace(
            functions[place], sets=(*functions[place].sets, entry)
        )


class _BodyFlow(NamedTuple):
    """What reading a function's body adds to it."""

    params: tuple[tuple[str, str], ...] = ()
    flows: tuple[Flow, ...] = ()
    locals: Mapping[str, Local] = MappingProxyType({})
    opaque: bool = False
    errors: int = 0


_NO_FLOW = _BodyFlow()


def _flow_of(code: bytes, cut: Cut, lines: Lines) -> _BodyFlow:
    params = parameters(code[cut.params[0] : cut.params[1]])
    body = read_body(code[cut.body : cut.end], lines.at(cut.body), params)
    return _BodyFlow(params, body.flows, body.locals, not body.flows, min(body.errors, 1))


def _flow_of_macro(clean: bytes, macro: Macro, lines: Lines) -> _BodyFlow:
    params = tuple((name, "") for name in macro.params)
    body_text = _macro_body(clean, macro)
    if len(body_text) >= _MAX_MACRO or b"#" in body_text or _is_open_ended(body_text):
        return _BodyFlow(params, opaque=True)  # what it does depends on its use
    expression = body_text.strip()
    value = b"return " if _IS_VALUE.match(expression) else b""
    end = b" }" if expression.endswith((b";", b"}")) else b"; }"
    text = b"{ " + value + expression + end
    body = read_body(text, lines.at(macro.body), params)
    return _BodyFlow(params, body.flows, body.locals, not body.flows)


def _macro_body(clean: bytes, macro: Macro) -> bytes:
    return _without_choices(clean[macro.body : macro.end].replace(b"\\\n", b" \n"))


def _without_choices(body: bytes) -> bytes:
    """``g(x)`` for ``_Generic((x), struct a *: f, struct b *: g)(x)``: they do one thing."""
    while (match := _GENERIC.search(body)) is not None:
        close = matching_paren(body, match.end() - 1)
        if close < 0:
            break
        last = _top_level_commas(body[match.end() : close])[-1]
        chosen = last.rpartition(b":")[2].strip()
        lines = b"\n" * body.count(b"\n", match.start(), close)
        body = body[: match.start()] + lines + chosen + body[close + 1 :]
    return body


_MAX_MACRO = 4000
"""Bytes of text from which on a macro is no lock wrapper."""


def called_as(name: str) -> str:
    """The word by which a callee is looked for: ``guard`` for all of ``~guard(mutex)``'s kind."""
    return name.lstrip("~").partition("(")[0] if "(" in name else name


def callees(function: Function) -> set[str]:
    """Every name a function calls (:func:`called_as`), those of its scopes' ends included."""
    names = set(function.calls.split())
    for flow in function.flows:
        for block in flow.blocks:
            names.update(called_as(event.name) for event in block.events if "(" in event.name)
    return names


def lacks_flow(facts: FileFacts, wrappers: AbstractSet[str]) -> bool:
    """Whether a function calls one of *wrappers* and was read without a flow.

    Which names are wrappers is known only when a tree has been linked, and the table of
    primitives may have other entries than when the file was read; such a file gets the
    flows that it lacks (:func:`add_flows`).
    """
    return any(_is_poor(function, wrappers) for function in facts.functions)


def _is_poor(function: Function, names: AbstractSet[str]) -> bool:
    return (
        not function.flows and not function.opaque and not names.isdisjoint(function.calls.split())
    )


def add_flows(facts: FileFacts, text: bytes, names: AbstractSet[str]) -> FileFacts:
    """*facts*, which were read from *text*, with the flows of what calls one of *names*."""
    clean = without_comments(text)
    code, macros = split_directives(clean)
    lines = Lines(text)
    cuts = tuple(cut_functions(code))
    functions = list(facts.functions)
    errors = facts.errors
    sources: tuple[Cut | Macro, ...] = (*cuts, *_callers_among(clean, macros))
    for place, source in enumerate(sources):
        if not _is_poor(functions[place], names):
            continue
        flow = (
            _flow_of(code, source, lines)
            if isinstance(source, Cut)
            else _flow_of_macro(clean, source, lines)
        )
        errors += flow.errors
        functions[place] = msgspec.structs.replace(
            functions[place],
            params=flow.params,
            flows=flow.flows,
            locals=dict(flow.locals),
            opaque=flow.opaque,
        )
    return msgspec.structs.replace(facts, functions=tuple(functions), errors=errors)


def _callers_among(clean: bytes, macros: Iterable[Macro]) -> Iterator[Macro]:
    """The macros that may call something."""
    return (macro for macro in macros if _MACRO_CALL.search(clean, macro.body, macro.end))


def worth_a_flow(names: AbstractSet[str], vocabulary: AbstractSet[str]) -> bool:
    """Whether a function that makes these calls can hold, wait for or register anything."""
    return not names.isdisjoint(vocabulary) or any(map(speaks_of_locks, names))


@lru_cache(1 << 16)
def speaks_of_locks(name: str) -> bool:
    """Whether a function of this name may be a lock's or a wrapper of one."""
    return _LOCK_WORD.search(name) is not None


def _calls(body: bytes) -> tuple[set[bytes], set[bytes]]:
    """Names called directly, and chains called through a struct."""
    names = {name[::-1] for name in set(_CALL_REVERSED.findall(body[::-1]))} - _KEYWORDS
    indirect: set[bytes] = set()
    for match in _THROUGH_STRUCT.finditer(body):
        before = _CHAIN_BEFORE.search(body, max(0, match.start() - 120), match.start())
        if before is not None:
            chain = _last_expression(before[0])
            indirect.add(chain + match[0][: match[0].index(match[1])].strip() + match[1])
    indirect.update(_THROUGH_PARENTHESES.findall(body))
    return names, indirect


def _last_expression(text: bytes) -> bytes:
    """``a->b[i].c`` at the end of a stretch of words and operators."""
    match = _EXPRESSION_END.search(text)
    return b"".join(match[0].split()) if match else b""


_EXPRESSION_END = re.compile(rb"[A-Za-z_]\w*(?:\[[^\]]*\]|\s*(?:->|\.)\s*\w+)*\s*$")


def _declared_types(text: bytes) -> dict[bytes, str]:
    """Types of the struct-typed parameters and locals declared in a function's text."""
    types: dict[bytes, str] = {}
    for match in _DECLARED.finditer(text):
        base = spell_type(match[1])
        types.setdefault(match[3], base + match[2].decode())
        if match[4]:
            for stars, name in _MORE.findall(match[4]):
                types.setdefault(name, base + stars.decode())
    return types


def parameters(text: bytes) -> tuple[tuple[str, str], ...]:
    """(name, type) of each parameter in a list; unnamed ones get an empty name."""
    out: list[tuple[str, str]] = []
    for part in _top_level_commas(text):
        match = _PARAMETER.search(_QUALIFIER.sub(b" ", part).strip())
        if match is not None and b"(" not in part:
            out.append(
                (match[3].decode("latin-1"), spell_type(match[1]) + "*" * match[2].count(b"*"))
            )
        else:
            pointer = re.search(rb"\(\s*\*+\s*(\w+)\s*\)", part)
            out.append((pointer[1].decode("latin-1"), "()") if pointer else ("", ""))
    return tuple(out)


def _top_level_commas(text: bytes) -> list[bytes]:
    parts: list[bytes] = []
    depth = start = 0
    for match in re.finditer(rb"[,()]", text):
        if match[0] == b",":
            if depth == 0:
                parts.append(text[start : match.start()])
                start = match.end()
        else:
            depth += 1 if match[0] == b"(" else -1
    parts.append(text[start:])
    return parts


def _macro(clean: bytes, macro: Macro, lines: Lines, vocabulary: AbstractSet[str]) -> Function:
    """A function-like macro, read as a function with untyped parameters."""
    calls, _ = _calls(_macro_body(clean, macro))
    names = {call.decode("latin-1") for call in calls} - {macro.name}  # no macro expands itself
    flow = _BodyFlow(params=tuple((name, "") for name in macro.params))
    if worth_a_flow(names, vocabulary):
        flow = _flow_of_macro(clean, macro, lines)
    return Function(
        name=macro.name,
        static=True,
        line=lines.at(macro.body),
        end=lines.at(macro.end),
        returns=_macro_type(_macro_body(clean, macro)),
        macro=True,
        params=flow.params,
        calls=" ".join(sorted(names)),
        refs="",
        indirect=(),
        sets=(),
        hands=(),
        annotations=(),
        flows=flow.flows,
        locals=dict(flow.locals),
        opaque=flow.opaque,
    )


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


def _guards(code: bytes, lines: Lines) -> list[Function]:
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
