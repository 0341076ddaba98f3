# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks values against JSON schemas, as far as ours go."""

from __future__ import annotations

import re
from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
CHECKED = {
    *("$ref", "anyOf", "type", "enum", "const", "pattern", "minimum"),
    *("properties", "required", "items", "description"),
}


def is_type(value: Any, names: str | list[str]) -> bool:
    names = [names] if isinstance(names, str) else names
    if isinstance(value, bool):  # an int to Python, not to JSON
        return "boolean" in names
    return any(isinstance(value, TYPES[name]) for name in names)


def broken(value: Any, document: dict[str, Any]) -> list[str]:
    """Where a value is not what a schema says, for the keywords that ours use.

    A member that the schema does not name is one that somebody forgot to describe.
    """
    return _broken(value, document, document.get("$defs", {}), "$")


def _broken(value: Any, schema: dict[str, Any], defs: dict[str, Any], at: str) -> list[str]:
    if "$ref" in schema:
        return _broken(value, defs[schema["$ref"].rpartition("/")[2]], defs, at)
    if "anyOf" in schema:
        tried = [_broken(value, option, defs, at) for option in schema["anyOf"]]
        return min(tried, key=len)
    found = []
    if "type" in schema and not is_type(value, schema["type"]):
        return [f"{at}: {value!r} is no {schema['type']}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: {value!r} is not in the enum")
    if "const" in schema and value != schema["const"]:
        found.append(f"{at}: {value!r} is not {schema['const']!r}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{at}: {value!r} does not match")
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{at}: {value!r} is too small")
    for number, item in enumerate(value if "items" in schema else ()):
        found += _broken(item, schema["items"], defs, f"{at}[{number}]")
    if "properties" in schema:
        known = schema["properties"]
        found += [f"{at}: no {key}" for key in schema.get("required", ()) if key not in value]
        found += [f"{at}: unknown {key}" for key in value if key not in known]
        for key in known.keys() & value.keys():
            found += _broken(value[key], known[key], defs, f"{at}.{key}")
    return found


def keywords(schema: dict[str, Any]) -> set[str]:
    """Every keyword in use below the top."""
    used = set(schema)
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    inner += [schema["items"]] if "items" in schema else []
    return used.union(*map(keywords, inner))
