# SPDX-License-Identifier: GPL-2.0-or-later
"""What a file declares outside its functions: types, variables, initialisers.

A type is spelled ``struct kvm``, ``spinlock_t`` and so on, with one ``*`` for
each level of pointer and no white space before it; ``()`` is a pointer to
function.  Fields of anonymous members are flattened into dotted paths
(``irqfds.resampler_lock``), so a lock class can be looked up by its whole path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

# Patterns start with a literal byte (a line end, or the first letter of a word with a lookbehind
# behind it) because the search for one is many times faster than trying everywhere.
_AGGREGATE = re.compile(rb"(?:s(?<!\ws)truct|u(?<!\wu)nion)\s*+(\w++)?\s*+\{")
_TYPEDEF_BEFORE = re.compile(rb"\btypedef\s+$")
_MAX_NESTING = 16
_STOP = re.compile(rb"[;{}]")
_BRACE = re.compile(rb"[{}]")
_TYPEDEF = re.compile(rb"\ntypedef\s+(?:const\s+)?((?:struct|union)\s+\w+)\s*(\**)\s*(\w+)\s*;")
_FIELD = re.compile(
    rb"^(?:(?:const|volatile|unsigned|signed)\s+)*((?:struct|union|enum)\s+\w+|\w+)(?:\s+const)?"
    rb"\s*([\s*]*)(.*)$",
    re.S,
)
_DECLARATOR = re.compile(
    rb"((?>(?:[\s*]|\bconst\b)*))\b(\w+)\s*((?:\[[^\]]*\]\s*)*)(?::[^,]*)?$", re.S
)
_VARIABLE = re.compile(
    rb"\n((?>(?:(?:static|extern|const|volatile)[ \t]++)*))((?:struct|union)\s+\w+|\w+_t)\s++"
    rb"(?:const\s++)?((?>(?:[\w*,\s]|\[[^\]\n]*\]){1,400}))(?:=(?!=)|;)"
)
_INITIALISER = re.compile(
    rb"s(?<!\ws)truct\s+(\w+)\s+(\w+)\s*(?:\[[^\]]*\]\s*)*=\s*(?:\([^)]*\)\s*)?\{"
)
_DESIGNATED = re.compile(
    rb"\.\s*(\w+(?:\s*\.\s*\w+)*)\s*=\s*(?:\{|&?\s*([A-Za-z_]\w*)\s*(?=[,}\n]))|[{}]"
)
"""A member's value, or the braces in which members of members stand."""
_DEFINER = re.compile(
    rb"\n[ \t]*+(static[ \t]++|extern[ \t]++)?"
    rb"((?:DEFINE|DECLARE)_\w++|\w*NOTIFIER_HEAD|\w*ATTR(?:_\w++)?)[ \t]*+"
    rb"\(([^;{}()]*+(?:\([^()]*+\)[^;{}()]*+)*)\)"
)

_PLAIN = frozenset(
    b"int char long short bool void float double unsigned signed u8 u16 u32 u64 s8 s16 s32 s64 __u8"
    b" __u16 __u32 __u64 __s8 __s16 __s32 __s64 __be16 __be32 __be64 __le16 __le32 __le64 size_t"
    b" ssize_t uint uint8_t uint16_t uint32_t uint64_t int8_t int16_t int32_t int64_t loff_t gfp_t"
    b" dma_addr_t phys_addr_t resource_size_t pid_t uid_t gid_t dev_t umode_t ulong ushort enum"
    b" sector_t blk_status_t netdev_features_t __wsum __sum16 uintptr_t ktime_t atomic_t atomic64_t"
    b" refcount_t atomic_long_t DECLARE_BITMAP cpumask_t acpi_handle cpumask_var_t".split()
)


class Struct(msgspec.Struct, frozen=True, array_like=True):
    """A struct or union: its tag (or typedef name) and the fields that can matter."""

    tag: str
    """``struct kvm``; ``typedef foo_t`` for an untagged one with that typedef name."""
    fields: dict[str, str]
    """Dotted path to type; plain integers are left out."""


class Variable(msgspec.Struct, frozen=True, array_like=True):
    """A variable of file scope."""

    name: str
    type: str
    static: bool
    defined: bool
    """False for ``extern`` declarations."""


class Definer(msgspec.Struct, frozen=True, array_like=True):
    """An upper-case macro at file scope, such as ``DEFINE_MUTEX(name)``."""

    macro: str
    args: tuple[str, ...]
    static: bool


class Initialiser(msgspec.Struct, frozen=True, array_like=True):
    """``.field = function`` in the initialiser of a variable of a struct type."""

    tag: str
    field: str
    value: str
    variable: str


def aggregates(code: bytes) -> tuple[tuple[Struct, ...], dict[str, str], tuple[Variable, ...]]:
    """Structs, typedefs and variables that are declared together with a struct body."""
    structs: list[Struct] = []
    typedefs: dict[str, str] = {}
    variables: list[Variable] = []
    previous = 0
    while (match := _AGGREGATE.search(code, previous)) is not None:
        end = _matching_brace(code, match.end() - 1)
        if end < 0:
            break
        previous = end
        typedef = _TYPEDEF_BEFORE.search(code, max(0, match.start() - 80), match.start())
        fields: dict[str, str] = {}
        tag = f"struct {match[1].decode('latin-1')}" if match[1] else ""
        _fields(code, match.end(), end, fields, structs)
        tail_end = code.find(b";", end)
        tail = code[end + 1 : tail_end if tail_end >= 0 else end + 1]
        names = list(_declarators(tail.split(b"=")[0])) if len(tail) < 400 else []
        if not tag and names:
            tag = f"typedef {names[0][0]}" if typedef else f"anonymous {names[0][0]}"
        if tag:
            structs.append(Struct(tag, fields))
        if typedef:
            typedefs.update((name, tag + stars) for name, stars in names)
        elif names:
            lead = code[code.rfind(b"\n", 0, match.start()) + 1 : match.start()]
            static = b"static" in lead.split()
            variables.extend(Variable(name, tag + stars, static, True) for name, stars in names)
    for match in _TYPEDEF.finditer(b"\n" + code):
        aggregate = b" ".join(match[1].replace(b"union", b"struct", 1).split()).decode("latin-1")
        typedefs[match[3].decode("latin-1")] = aggregate + match[2].decode()
    return tuple(structs), typedefs, tuple(variables)


def _matching_brace(code: bytes, opening: int) -> int:
    depth = 0
    for match in _BRACE.finditer(code, opening):
        depth += 1 if match[0] == b"{" else -1
        if depth == 0:
            return match.start()
    return -1


def _fields(
    code: bytes,
    start: int,
    end: int,
    out: dict[str, str],
    structs: list[Struct],
    depth: int = 0,
) -> None:
    """Collect the fields between *start* and *end*, descending into nested bodies."""
    position = start
    while (match := _STOP.search(code, position, end)) is not None:
        text = code[position : match.start()]
        if match[0] == b";":
            _field(text, out)
            position = match.end()
            continue
        if match[0] == b"}":
            position = match.end()
            continue
        close = _matching_brace(code, match.start())
        if close < 0 or close > end or depth > _MAX_NESTING:
            return
        semicolon = code.find(b";", close, end)
        if semicolon < 0:
            return
        words = text.split()
        names = list(_declarators(code[close + 1 : semicolon]))
        if words and words[-1] != b"{" and (b"struct" in words or b"union" in words):
            tagged = words[-1] not in (b"struct", b"union")
            inner: dict[str, str] = {}
            _fields(code, match.end(), close, inner, structs, depth + 1)
            if tagged:
                tag = f"struct {words[-1].decode('latin-1')}"
                structs.append(Struct(tag, inner))
                out.update((name, tag + stars) for name, stars in names)
            if not tagged or not names:
                for lead in [name + "." for name, _ in names] or [""]:
                    out.update((lead + path, kind) for path, kind in inner.items())
        position = semicolon + 1


def _field(text: bytes, out: dict[str, str]) -> None:
    if b"(" in text:
        pointer = re.search(rb"\(\s*\*+\s*(?:const\s+)?(\w+)\s*(?:\[[^\]]*\])?\s*\)\s*\(", text)
        if pointer is not None:
            out[pointer[1].decode("latin-1")] = "()"
            return
    text = b"\n".join(line for line in text.split(b"\n") if not line.lstrip().startswith(b"#"))
    match = _FIELD.match(text.strip())
    if match is None or match[1] in _PLAIN or match[1].startswith(b"enum"):
        return
    base = spell_type(match[1])
    for name, stars in _declarators(match[2] + match[3]):
        out[name] = base + stars


def _declarators(text: bytes) -> Iterator[tuple[str, str]]:
    """Names and pointer stars of ``*a, b[4], c:3``; arrays count as their element."""
    for part in text.split(b","):
        match = _DECLARATOR.match(part)
        if match is not None and not match[2][:1].isdigit():
            yield match[2].decode("latin-1"), "*" * match[1].count(b"*")


def spell_type(text: bytes) -> str:
    """One spelling for a type name: single blanks, ``union`` read as ``struct``."""
    words = text.split()
    if words and words[0] == b"union":
        words[0] = b"struct"
    return b" ".join(words).decode("latin-1")


def variables(outside: bytes) -> Iterator[Variable]:
    """Variables of struct or ``_t`` types declared at file scope."""
    for match in _VARIABLE.finditer(b"\n" + outside):
        specifiers = match[1].split()
        base = spell_type(match[2])
        if b"(" in match[3]:
            continue
        for name, stars in _declarators(match[3]):
            yield Variable(name, base + stars, b"static" in specifiers, b"extern" not in specifiers)


def definers(outside: bytes) -> Iterator[Definer]:
    """``DEFINE_MUTEX(name)`` and its kin at file scope."""
    for match in _DEFINER.finditer(b"\n" + outside):
        args = tuple(" ".join(a.decode("latin-1").split()) for a in match[3].split(b","))
        yield Definer(match[2].decode("latin-1"), args, b"static" in (match[1] or b""))


def initialisers(code: bytes) -> Iterator[Initialiser]:
    """Designated initialisers whose value may be a function or another table."""
    for match in _INITIALISER.finditer(code):
        end = _matching_brace(code, match.end() - 1)
        if end < 0:
            break
        tag = f"struct {match[1].decode('latin-1')}"
        variable = match[2].decode("latin-1")
        within: list[bytes] = []
        for entry in _DESIGNATED.finditer(code, match.end(), end + 1):
            name, value = entry[1] or b"", entry[2]
            if value is not None:
                if not value.isupper() and value not in _NOT_A_FUNCTION:
                    path = b".".join(part for part in (*within, name) if part)
                    field = path.replace(b" ", b"").decode("latin-1")
                    yield Initialiser(tag, field, value.decode("latin-1"), variable)
            elif entry[0] != b"}":
                within.append(name)
            elif within:
                within.pop()


def power_tables(code: bytes) -> Iterator[Initialiser]:
    """What ``SET_RUNTIME_PM_OPS(suspend, resume, idle)`` and its kin fill in (linux/pm.h)."""
    for match in _PM_OPS.finditer(code) if b"PM_OPS" in code else ():
        values = [" ".join(part.decode("latin-1").split()) for part in match[2].split(b",")]
        variable = values.pop(0) if match[1].startswith(_NAMES_A_TABLE) else ""
        for member, value in zip(_power_members(match[1]), values, strict=False):
            if value.isidentifier() and value != "NULL":
                yield Initialiser("struct dev_pm_ops", member, value, variable)


_PM_OPS = re.compile(rb"\b(\w*PM_OPS)\s*\(([^()]*)\)")
_NAMES_A_TABLE = (b"DEFINE_", b"EXPORT_", b"SIMPLE_", b"UNIVERSAL_")


def _power_members(macro: bytes) -> tuple[str, ...]:
    if b"RUNTIME" in macro:
        return "runtime_suspend", "runtime_resume", "runtime_idle"
    if b"LATE_" in macro:
        return "suspend_late", "resume_early"
    return ("suspend_noirq", "resume_noirq") if b"NOIRQ_" in macro else ("suspend", "resume")


_NOT_A_FUNCTION = frozenset({b"true", b"false", b"sizeof", b"THIS_MODULE"})
