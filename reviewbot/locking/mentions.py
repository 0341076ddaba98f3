# SPDX-License-Identifier: GPL-2.0-or-later
"""What a stretch of C mentions, found by patterns: calls, declared types, parameters.

Most functions of a kernel never touch a lock.  Of those only this much is read, without
a syntax tree.
"""

from __future__ import annotations

import re

from reviewbot.locking.declarations import spell_type

# For a text read backwards: from there the search is for "(", which is rare, and not for
# any word.  A field's name is no callee.
_CALL_REVERSED = re.compile(rb"\([ \t]*+(\w*+)(?<=[A-Za-z_])(?![ \t]*+(?:\.|>-))")
_THROUGH_STRUCT = re.compile(rb"(?:->|\.)[ \t]*+([A-Za-z_]\w*+)[ \t]*+\(")
_THROUGH_PARENTHESES = re.compile(rb"\(\*?([A-Za-z_]\w*+(?:(?:->|\.)\w++)+)\)[ \t]*+\(")
_CHAIN_BEFORE = re.compile(rb"[A-Za-z_][\w\].\[>\s-]*$")
_EXPRESSION_END = re.compile(rb"[A-Za-z_]\w*(?:\[[^\]]*\]|\s*(?:->|\.)\s*\w+)*\s*$")
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
_PARAMETER = re.compile(
    rb"((?:struct|union|enum)\s+\w+|\w+)\s*(?:const\s*)?([\s*]*)\b(\w+)\s*(?:\[[^\]]*\]\s*)*$"
)
_QUALIFIER = re.compile(rb"\b(?:const|volatile|register|restrict)\b")


def calls_in(body: bytes) -> tuple[set[bytes], set[bytes]]:
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


def declared_types(text: bytes) -> dict[bytes, str]:
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
    for part in top_level_commas(text):
        match = _PARAMETER.search(_QUALIFIER.sub(b" ", part).strip())
        if match is not None and b"(" not in part:
            out.append(
                (match[3].decode("latin-1"), spell_type(match[1]) + "*" * match[2].count(b"*"))
            )
        else:
            pointer = re.search(rb"\(\s*\*+\s*(\w+)\s*\)", part)
            out.append((pointer[1].decode("latin-1"), "()") if pointer else ("", ""))
    return tuple(out)


def top_level_commas(text: bytes) -> list[bytes]:
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
