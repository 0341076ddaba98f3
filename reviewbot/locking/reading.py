# SPDX-License-Identifier: GPL-2.0-or-later
"""From a file's text to its facts: a pure function, so facts can be kept by blob id."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

import msgspec

from reviewbot.locking.body import read_body
from reviewbot.locking.declarations import (
    aggregates,
    definers,
    initialisers,
    power_tables,
    spell_type,
    variables,
)
from reviewbot.locking.facts import (
    FieldSet,
    FileFacts,
    Function,
    IndirectCall,
    is_poor,
    worth_a_flow,
)
from reviewbot.locking.macros import (
    NO_FLOW,
    BodyFlow,
    callers_among,
    flow_of_macro,
    guards,
    macro_functions,
)
from reviewbot.locking.mentions import calls_in, declared_types, parameters
from reviewbot.locking.pasted import Pasted, pasted
from reviewbot.locking.pointers import (
    Handed,
    call_around,
    handed_on,
    kept,
    may_take_functions,
    pointers_among,
)
from reviewbot.locking.source import (
    Cut,
    Lines,
    Macro,
    cut_functions,
    split_directives,
    without_attributes,
    without_comments,
)

_PICKED = re.compile(rb"\b([A-Za-z_]\w*+)[ \t]*+=[ \t]*+&?([A-Za-z_]\w*+)[ \t]*+;")
_HANDED_ON = re.compile(rb"[,(=&?:{][ \t\n]*+([A-Za-z_]\w*+)[ \t\n]*+(?=[,;)}?:])")
_SETS = re.compile(
    rb"\b([A-Za-z_]\w*(?:\[[^\]\n]{0,40}\])?(?:\s*(?:->|\.)\s*\w+)+)\s*=\s*&?([A-Za-z_]\w*)\s*;"
)
_WORD = re.compile(rb"[A-Za-z_]\w*")
_ANNOTATION = re.compile(
    rb"\b(__must_hold|__acquires|__releases|__must_hold_shared|__cond_acquires)\s*"
    rb"\(((?:[^()]|\([^()]*\))*)\)"
)
_SLEEPING_FLAG = re.compile(rb"[,(]\s*GFP_(?:KERNEL|USER|HIGHUSER|NOFS|NOIO)\w*+\s*(?=[,)|])")
_RETURNS = re.compile(rb"\b((?:struct|union)\s+\w+|\w+_t)\s*(\*+)\s*$")
_GIVES = re.compile(rb"\breturn\s++([^;]{1,200}+);")
_MEMBER = re.compile(rb"&?\s*([A-Za-z_]\w*)\s*((?:\s*(?:->|\.)\s*\w+(?:\[[^\]]*\])?)+|\([^()]*\))")
"""``&x->a.lock``, and ``f(x)``."""
_LOCK_TYPE = re.compile(r"lock|mutex|sem|srcu|work|timer")


def read_facts(text: bytes, vocabulary: AbstractSet[str]) -> FileFacts:
    """The facts of one C or header file.

    *vocabulary* names the calls that make a function's flow worth keeping; a call
    whose name speaks of locks counts too, since it may be a wrapper.
    """
    clean = without_comments(text)
    code, macros = split_directives(clean)
    lines = Lines(text)
    parts = _parts(clean, code, macros)
    local_names = frozenset(cut.name.encode("latin-1") for part in parts for cut in part.cuts)
    functions: list[Function] = []
    errors = 0
    for part in parts:
        own = Lines(part.code)
        for cut in part.cuts:
            function, bad = _function(part.code, cut, own, local_names, vocabulary)
            functions.append(function)
            errors += bad
    _add_kept(code, parts[0].cuts, functions)
    texts = [without_attributes(part.code) for part in parts]
    plain = b"\n".join(texts)
    outside = b"\n".join(_outside(text, part.cuts) for text, part in zip(texts, parts, strict=True))
    functions.extend(macro_functions(clean, macros, lines, vocabulary))
    functions.extend(guards(code, lines))
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


def add_flows(facts: FileFacts, text: bytes, names: AbstractSet[str]) -> FileFacts:
    """*facts*, which were read from *text*, with the flows of what calls one of *names*."""
    clean = without_comments(text)
    code, macros = split_directives(clean)
    lines = Lines(text)
    functions = list(facts.functions)
    errors = facts.errors
    sources: list[tuple[bytes, Cut | Macro, Lines]] = []
    for part in _parts(clean, code, macros):
        own = Lines(part.code)
        sources.extend((part.code, cut, own) for cut in part.cuts)
    sources.extend((clean, macro, lines) for macro in callers_among(clean, macros))
    for place, (whole, source, own) in enumerate(sources):
        if not is_poor(functions[place], names):
            continue
        flow = (
            _flow_of(whole, source, own)
            if isinstance(source, Cut)
            else flow_of_macro(whole, source, own)
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


def _parts(clean: bytes, code: bytes, macros: Iterable[Macro]) -> list[Pasted]:
    """The file's own functions, and those that its macros define."""
    cuts = tuple(cut_functions(code))
    return [Pasted(code, cuts), *pasted(clean, code, cuts, macros)]


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
    """One function, and the errors in the syntax tree of its flow."""
    body = code[cut.body : cut.end]
    calls, indirect = calls_in(body)
    refs = local_names.intersection(_HANDED_ON.findall(body))
    if refs:
        picked = (match for match in _PICKED.finditer(body) if match[2] in refs)
        calls |= {match[2] for match in picked if match[1] in calls}
    set_to = [match for match in _SETS.finditer(body) if match[2] in refs] if refs else []
    types = declared_types(code[cut.params[0] : cut.end]) if indirect or set_to else {}
    names = {call.decode("latin-1") for call in calls}
    flow = _flow_of(code, cut, lines) if worth_a_flow(names, vocabulary) else NO_FLOW
    function = Function(
        name=cut.name,
        static=cut.static,
        line=lines.at(cut.head),
        end=lines.at(cut.end - 1),
        returns=_returns(code, cut),
        macro=False,
        params=flow.params,
        calls=" ".join(sorted(names)),
        refs=b" ".join(sorted(refs)).decode("latin-1"),
        indirect=tuple(_through(chain, types) for chain in sorted(indirect)),
        sets=tuple(_set(match, types) for match in set_to),
        hands=_hands(code, cut, body, refs),
        annotations=_annotations(code[cut.head : cut.body]),
        flows=flow.flows,
        locals=dict(flow.locals),
        opaque=flow.opaque,
        allocates=" ".join(sorted(_allocating(body))),
    )
    return function, flow.errors


def _allocating(body: bytes) -> set[str]:
    """The callees that are given a flag with which they may sleep."""
    if b"GFP_" not in body:
        return set()
    calls = (call_around(body, match.start()) for match in _SLEEPING_FLAG.finditer(body))
    names = (call[0].decode("latin-1") for call in calls if call is not None)
    return {name for name in names if name.isidentifier()}


def _through(chain: bytes, types: Mapping[bytes, str]) -> IndirectCall:
    root = chain.split(b"[")[0].split(b"-")[0].split(b".")[0]
    return IndirectCall(types.get(root, ""), chain.decode("latin-1"))


def _set(match: re.Match[bytes], types: Mapping[bytes, str]) -> FieldSet:
    chain = b"".join(match[1].split())
    root = _WORD.match(chain)
    kind = types.get(root[0], "") if root else ""
    return FieldSet(kind, chain.decode("latin-1"), match[2].decode("latin-1"))


def _returns(code: bytes, cut: Cut) -> str:
    """Type of the result if it is a pointer to a struct, or the way to a lock; else empty."""
    before = code[cut.head : cut.params[0] - 1].rsplit(cut.name.encode("latin-1"), 1)[0]
    match = _RETURNS.search(before)
    if match is None:
        return ""
    kind = spell_type(match[1]) + match[2].decode()
    return (_LOCK_TYPE.search(kind) and _way_to_lock(code, cut)) or kind


def _way_to_lock(code: bytes, cut: Cut) -> str:
    """What the one ``return`` of a function says of the lock that it returns."""
    given = {match[1] for match in _GIVES.finditer(code, cut.body, cut.end)} - {b"NULL"}
    if len(given) != 1:
        return ""
    way = _MEMBER.fullmatch(given.pop())
    if way is None:
        return ""
    root, path = way[1].decode("latin-1"), b"".join(way[2].split()).decode("latin-1")
    if path.startswith("("):
        return f"{root}()"
    kind = declared_types(code[cut.params[0] : cut.end]).get(way[1], "")
    return f"{kind}->{path.lstrip('->.')}" if kind.startswith("struct ") and path else ""


def _annotations(head: bytes) -> tuple[str, ...]:
    if b"__" not in head:
        return ()
    return tuple(
        f"{match[1].decode()} {' '.join(match[2].decode('latin-1').split())}"
        for match in _ANNOTATION.finditer(head)
    )


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
        types = declared_types(code[cut.params[0] : cut.end])
        roots = [_WORD.match(text) for text in (chain, source)]
        kinds = [types.get(root[0], "") if root is not None else "" for root in roots]
        what = own.get(source) or source.decode("latin-1")
        entry = FieldSet(kinds[0], chain.decode("latin-1"), what, kinds[1])
        functions[place] = msgspec.structs.replace(
            functions[place], sets=(*functions[place].sets, entry)
        )


def _flow_of(code: bytes, cut: Cut, lines: Lines) -> BodyFlow:
    params = parameters(code[cut.params[0] : cut.params[1]])
    body = read_body(code[cut.body : cut.end], lines.at(cut.body), params)
    return BodyFlow(params, body.flows, body.locals, not body.flows, min(body.errors, 1))
