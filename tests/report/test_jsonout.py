# SPDX-License-Identifier: GPL-2.0-or-later
"""Every dump is what docs/review.schema.json says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reviewbot.kernel.model import ApplyState, BaseHow
from reviewbot.locking.model import ChangeState, Grade, HazardKind, Verdict
from reviewbot.report.jsonout import dump
from reviewbot.report.model import SCHEMA
from reviewbot.series.model import DamageKind

from . import builders
from .builders import GOLDEN

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "review.schema.json").read_text())
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


def broken(value: Any, schema: dict[str, Any], at: str = "$") -> list[str]:
    """Where a value is not what a schema says, for the keywords that ours uses.

    A member that the schema does not name is one that somebody forgot to describe.
    """
    if "$ref" in schema:
        return broken(value, DOCUMENT["$defs"][schema["$ref"].rpartition("/")[2]], at)
    if "anyOf" in schema:
        tried = [broken(value, option, at) for option in schema["anyOf"]]
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
        found += broken(item, schema["items"], f"{at}[{number}]")
    if "properties" in schema:
        known = schema["properties"]
        found += [f"{at}: no {key}" for key in schema["required"] if key not in value]
        found += [f"{at}: unknown {key}" for key in value if key not in known]
        for key in known.keys() & value.keys():
            found += broken(value[key], known[key], f"{at}.{key}")
    return found


def keywords(schema: dict[str, Any]) -> set[str]:
    """Every keyword in use below the top."""
    used = set(schema)
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    inner += [schema["items"]] if "items" in schema else []
    return used.union(*map(keywords, inner))


@pytest.mark.parametrize("name", GOLDEN)
def test_every_dump_fits_the_schema(name: str) -> None:
    text = dump(GOLDEN[name]().to_dict())
    assert broken(json.loads(text), DOCUMENT) == []
    assert text.endswith("}\n")


def test_the_check_knows_every_keyword_of_the_schema() -> None:
    used = set().union(*map(keywords, DOCUMENT["$defs"].values()))
    assert used <= CHECKED


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "reviewbot.review/2"),
        (("verdict",), "fine"),
        (("hazards", 0, "patch"), "1"),
        (("hazards", 0, "sites", 0, "before", "line"), -1),
        (("application", "patches", 0, "three_way"), 0),
        (("base", "commit"), "v6.12"),
        (("base", "extra"), 1),
    ],
)
def test_the_check_can_fail(path: tuple[Any, ...], value: Any) -> None:
    whole = json.loads(dump(builders.removed().to_dict()))
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert len(broken(whole, DOCUMENT)) == 1


def test_a_missing_key_is_seen() -> None:
    whole = json.loads(dump(builders.removed().to_dict()))
    del whole["stats"]["seconds"]
    assert broken(whole, DOCUMENT) == ["$.stats: no seconds"]


def test_the_schema_has_every_word_of_the_program() -> None:
    defs = DOCUMENT["$defs"]
    assert DOCUMENT["properties"]["schema"]["const"] == SCHEMA
    assert set(DOCUMENT["properties"]["verdict"]["enum"]) == set(Verdict)
    assert set(defs["apply_state"]["enum"]) == set(ApplyState)
    assert set(defs["change"]["enum"]) == set(ChangeState)
    assert set(defs["hazard"]["properties"]["kind"]["enum"]) == set(HazardKind)
    assert set(defs["hazard"]["properties"]["grade"]["enum"]) == set(Grade)
    assert set(defs["base"]["properties"]["how"]["enum"]) == set(BaseHow)
    assert set(defs["posted"]["properties"]["damage"]["items"]["enum"]) == set(DamageKind)


def test_text_is_readable_and_always_utf_8() -> None:
    text = dump(replace(builders.clean(), reason="Zoë \ud800 山").to_dict())
    assert '"reason": "Zoë \\ud800 山"' in text
    assert json.loads(text.encode())["reason"] == "Zoë \ud800 山"
