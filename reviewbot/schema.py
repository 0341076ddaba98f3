# SPDX-License-Identifier: GPL-2.0-or-later
"""TOML against dataclasses: one source of truth for reading and for documentation.

A frozen dataclass is a table, a field a key.  The field's type says what the key
takes (str, int, float, bool, Path, another dataclass, a tuple of these, a Mapping from
names to one of these, or one of these or None; a RawTable is left to its reader); its
metadata, made by :func:`key`, says what it means and which values it refuses.  A key
that is not in the schema is an error that names the nearest one: nothing in a file is
ever ignored.

What the keys are is the matter of :mod:`reviewbot.config`.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from reviewbot.errors import ConfigError

_T = TypeVar("_T")

Check = Callable[[Any], str]
"""What is wrong with a value of the right type ("must be …"), or an empty string."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table whose keys are known, and checked, by the room that it is meant for."""

    where: str
    """File and key path, such as ``config.toml: primitives[1]``, for that room's errors."""
    entries: Mapping[str, Any]


_EXPECTED = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path in quotes",
    RawTable: "a table",
}


def key(doc: str, check: Check | None = None, example: str = "") -> dict[str, Any]:
    """Metadata of a field: its meaning, a check, and what to show if no default is fixed."""
    return {"doc": doc, "check": check, "example": example}


def expand(path: Path) -> Path:
    """``~`` resolved; raises :class:`ConfigError` for someone without a home directory."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ConfigError(
            f"the home directory in {path} is unknown: set HOME or write the path in full"
        ) from None


def xdg(variable: str, otherwise: str) -> Path:
    """An XDG base directory; the specification says to ignore one that is not absolute."""
    value = Path(os.environ.get(variable, ""))
    return value if value.is_absolute() else expand(Path("~", otherwise))


def positive(value: float) -> str:
    """A check of numbers for :func:`key`."""
    return "" if math.isfinite(value) and value > 0 else "must be above 0"


def parse(kind: type[_T], data: bytes, file: Path) -> _T:
    """Make a ``kind`` of the bytes of a TOML file.

    ``file`` is for messages, and its directory is where relative paths start.
    Raises :class:`ConfigError` with the file and, as far as they are known, the line or
    the key path.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{file}:{line}: not UTF-8, as TOML must be") from None
    try:
        raw = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, and int() for thousands of digits
        raise ConfigError(_syntax_error(str(error), text, file)) from None
    except RecursionError:
        raise ConfigError(f"{file}: arrays or tables are nested too deeply") from None
    return _Reader(kind, file).table(kind, raw, "")


def _syntax_error(message: str, text: str, file: Path) -> str:
    """Put the line first, as compilers do; tomllib says it last, or "at end of document"."""
    found = re.search(r" \(at line (\d+), column \d+\)$", message)
    line = int(found[1]) if found else text.rstrip("\n").count("\n") + 1
    message = re.sub(r" \(at [^()]*\)$", "", message)
    return f"{file}:{line}: not valid TOML: {message[:1].lower()}{message[1:]}"


@dataclass(frozen=True, slots=True)
class _Reader:
    """Checks parsed TOML against the schema; ``at`` is a key path such as ``lore.url``."""

    root: type[Any]
    file: Path

    def fail(self, at: str, problem: str) -> ConfigError:
        return ConfigError(f"{self.file}: {at} {problem}")

    def table(self, kind: type[_T], raw: object, at: str) -> _T:
        """One dataclass from one TOML table."""
        if not isinstance(raw, dict):
            raise self.fail(at, f"must be a table, not {_describe(raw)}")
        known = {entry.name: entry for entry in _entries(kind)}
        for name in raw:
            if name not in known:
                raise self.unknown(name, list(known), at)
        hints = get_type_hints(kind)
        values: dict[str, Any] = {}
        for name, entry in known.items():
            where = f"{at}.{name}" if at else name
            if name in raw:
                values[name] = self.value(hints[name], raw[name], where)
                self.check(entry, values[name], where)
            elif entry.default is MISSING and entry.default_factory is MISSING:
                raise self.fail(where, "is missing")
        return kind(**values)

    def unknown(self, name: str, known: list[str], at: str) -> ConfigError:
        """The error for a key that is not in the schema, with the nearest that is."""
        near = difflib.get_close_matches(name, known, n=1)
        # A good key in the wrong table is as common as a misspelt one.
        elsewhere = [path for path in _paths(self.root) if path.split(".")[-1] == name]
        if near:
            hint = f"did you mean {at}.{near[0]}?" if at else f"did you mean {near[0]}?"
        elif elsewhere:
            hint = f"did you mean {elsewhere[0]}?"
        else:
            hint = f"known keys here are {', '.join(known)}"
        # The name is the file's: quoted, so that no odd character reaches a terminal.
        shown = name if re.fullmatch(r"[\w-]+", name) else ascii(name)
        return self.fail(f"{at}.{shown}" if at else shown, f"is not a known key; {hint}")

    def value(self, wanted: Any, raw: object, at: str) -> Any:
        """One value of the type that the schema wants."""
        if type(raw) is int and not -(2**63) <= raw < 2**63:
            raise self.fail(at, "is beyond the 64 bits that TOML asks for")
        if get_origin(wanted) is UnionType:  # "Path | None": TOML has no null to give
            (wanted,) = (kind for kind in get_args(wanted) if kind is not NoneType)
        if wanted is RawTable and isinstance(raw, dict):
            return RawTable(f"{self.file}: {at}", MappingProxyType(raw))
        if is_dataclass(wanted) and isinstance(wanted, type) and wanted is not RawTable:
            return self.table(wanted, raw, at)
        if get_origin(wanted) is tuple:
            return self.array(get_args(wanted)[0], raw, at)
        if get_origin(wanted) is Mapping:
            return self.named(get_args(wanted)[1], raw, at)
        if wanted is float and type(raw) is int:
            return float(raw)
        if wanted is Path and isinstance(raw, str) and raw:
            return (self.file.parent / expand(Path(self.text(raw, at)))).absolute()
        if type(raw) is not wanted:  # isinstance would let true pass for a whole number
            raise self.fail(at, f"must be {_EXPECTED[wanted]}, not {_describe(raw)}")
        return self.text(raw, at) if isinstance(raw, str) else raw

    def array(self, kind: Any, raw: object, at: str) -> tuple[Any, ...]:
        """A tuple of values of one type; entries are counted from 1 for people."""
        if not isinstance(raw, list):
            raise self.fail(at, f"must be an array, not {_describe(raw)}")
        return tuple(
            self.value(kind, item, f"{at}[{number}]") for number, item in enumerate(raw, 1)
        )

    def named(self, kind: Any, raw: object, at: str) -> Mapping[str, Any]:
        """Tables by names that the user chose, such as ``[list.kvm]``."""
        if not isinstance(raw, dict):
            raise self.fail(at, f"must be a table, not {_describe(raw)}")
        for name in raw:
            if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", name, re.ASCII):
                raise self.fail(f"{at}.{name!a}", "must be letters, digits, dots or dashes")
        return MappingProxyType(
            {name: self.value(kind, item, f"{at}.{name}") for name, item in raw.items()}
        )

    def text(self, text: str, at: str) -> str:
        """Refuse control characters: text goes into mail headers, paths and terminals."""
        if not text.isprintable():
            raise self.fail(at, "must be one line without control characters")
        return text

    def check(self, entry: Field[Any], value: object, at: str) -> None:
        check: Check | None = entry.metadata["check"]
        problem = check(value) if check else ""
        if problem:
            raise self.fail(at, f"{problem}, not {_describe(value)}")


def _describe(raw: object) -> str:
    """A TOML value as its writer would recognise it, short."""
    if isinstance(raw, dict):
        return "a table"
    if isinstance(raw, list):
        return "an array"
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, str):
        return json.dumps(raw if len(raw) <= 60 else raw[:57] + "...")
    return str(raw)


def _entries(kind: type[Any]) -> tuple[Field[Any], ...]:
    return fields(kind)


def _paths(kind: type[Any], prefix: str = "") -> Iterator[str]:
    """Every key below ``kind`` as a dotted path; tables in arrays are left out."""
    hints = get_type_hints(kind)
    for entry in _entries(kind):
        yield prefix + entry.name
        if is_dataclass(hints[entry.name]):
            yield from _paths(hints[entry.name], f"{prefix}{entry.name}.")


def commented(kind: type[Any]) -> str:
    """A TOML file that holds every key of ``kind`` with its meaning, commented out.

    Read back it gives the defaults.  Plain keys come first, as TOML wants.
    """
    plain: list[str] = []
    tables: list[str] = []
    hints = get_type_hints(kind)
    for entry in _entries(kind):
        hint = hints[entry.name]
        repeated, named = get_origin(hint) is tuple, get_origin(hint) is Mapping
        inner = get_args(hint)[-1 if named else 0] if repeated or named else hint
        if is_dataclass(inner) and isinstance(inner, type):
            title = f"#[[{entry.name}]]" if repeated else f"[{entry.name}]"
            title = f"#[{entry.name}.NAME]" if named else title
            tables += ["", f"# {entry.metadata['doc']}", title, *_commented_table(entry, inner)]
        else:
            plain += ["", *_commented(entry)]
    return "\n".join([*plain, *tables]).lstrip("\n") + "\n"


def _commented_table(entry: Field[Any], kind: type[Any]) -> Iterator[str]:
    if kind is RawTable:
        yield from (f"#{line}" for line in entry.metadata["example"].splitlines())
        return
    for inner in _entries(kind):
        yield from _commented(inner)


def _commented(entry: Field[Any]) -> Iterator[str]:
    yield f"# {entry.metadata['doc']}"
    yield f"#{entry.name} = {_toml(entry.metadata['example'] or entry.default)}"


def _toml(value: object) -> str:
    """A default as TOML; JSON's strings are TOML's basic strings."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f"{value:_}" if isinstance(value, int) else str(value)
