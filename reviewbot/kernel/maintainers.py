# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's MAINTAINERS file: who looks after which path.

Sections and patterns mean what the file's own preamble says, and what
``scripts/get_maintainer.pl`` makes of them.  Only ``M:`` is read as a person: a
designated reviewer (``R:``) has no say.  ``K:`` looks into contents and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from reviewbot.series.addresses import read_addresses
from reviewbot.series.model import Identity

_FIELD = re.compile(r"([A-Z]):\s+(\S.*?)\s*")
_MAX_PATTERN = 300
"""Characters of a pattern; the longest of 6.12 has 99."""


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the file."""

    title: str
    maintainers: tuple[Identity, ...] = ()
    """``M:``"""
    files: tuple[str, ...] = ()
    """``F:``, as written."""
    excluded: tuple[str, ...] = ()
    """``X:``; wins over ``files``."""
    names: tuple[str, ...] = ()
    """``N:``, regular expressions found anywhere in a path."""

    def covers(self, path: str) -> bool:
        """Whether a file is looked after by this section's people."""
        if any(_matches(pattern, path) for pattern in self.excluded):
            return False
        if any(_matches(pattern, path) for pattern in self.files):
            return True
        return any(found.search(path) for found in map(_name, self.names) if found)


def read_maintainers(text: str) -> tuple[Section, ...]:
    """The sections of a MAINTAINERS file, in its order."""
    return tuple(_section(title, fields) for title, fields in _blocks(text.splitlines()) if fields)


def maintainers_of(sections: Iterable[Section], paths: Iterable[str]) -> tuple[Identity, ...]:
    """Everybody who maintains one of these paths, each once."""
    wanted = tuple(paths)
    found = (
        person
        for section in sections
        if any(map(section.covers, wanted))
        for person in section.maintainers
    )
    return tuple(dict.fromkeys(found))


def _blocks(lines: Iterable[str]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each line that is no field, and the fields that follow it before the next one."""
    title, fields = "", list[tuple[str, str]]()
    for line in lines:
        if field := _FIELD.fullmatch(line):
            fields.append((field[1], field[2]))
        elif line.strip():
            yield title, fields
            title, fields = line.strip(), []
    yield title, fields


def _section(title: str, fields: list[tuple[str, str]]) -> Section:
    def of(letter: str) -> tuple[str, ...]:
        return tuple(value for name, value in fields if name == letter)

    people = tuple(person for person in read_addresses(of("M")) if "@" in person.address)
    return Section(title, people, of("F"), of("X"), of("N"))


def _matches(pattern: str, path: str) -> bool:
    found = _path(pattern).match(path)
    # As in get_maintainer.pl: a pattern without the last slash keeps to its own level.
    return found is not None and (pattern.endswith("/") or path.count("/") == pattern.count("/"))


@lru_cache(maxsize=20_000)
def _path(pattern: str) -> re.Pattern[str]:
    """``*`` and ``?`` stand for anything, slashes included; the levels are counted after that."""
    quoted = re.escape(pattern[:_MAX_PATTERN]).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(quoted)


@lru_cache(maxsize=2_000)
def _name(pattern: str) -> re.Pattern[str] | None:
    """Perl's expressions, as far as Python has them too."""
    try:
        return re.compile(pattern[:_MAX_PATTERN])
    except re.error:
        return None
