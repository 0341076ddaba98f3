# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.kernel.maintainers import Section, maintainers_of, read_maintainers
from reviewbot.series.addresses import read_addresses

TEXT = """\
List of maintainers
===================

	M: *Mail* patches to: FullName <address@domain>
	F: *Files* and directories wildcard patterns.

FROB CORE
M:	Ann Author <ann@example.org>
M:	"Kim, the Second" <kim@example.org>
R:	Rob Reader <rob@example.org>
L:	frob@example.org
S:	Maintained
F:	drivers/frob/
F:	include/linux/frob*.h
X:	drivers/frob/old/

FROB QUUX DRIVER
M:	Quentin <quentin@example.org> (moderated)
F:	drivers/frob/quux.c
F:	drivers/*/quux/
F:	drivers/net/quux/*
N:	[^a-z]quux
N:	(not closed
K:	frob_quux

THE REST
M:	Everybody <all@example.org>
F:	*
F:	*/
"""


def who(*paths: str) -> list[str]:
    found = [person.address for person in maintainers_of(read_maintainers(TEXT), paths)]
    return [address.partition("@")[0] for address in found]


def test_sections_are_read() -> None:
    first, second, rest = read_maintainers(TEXT)
    assert first.title == "FROB CORE"
    assert [(one.name, one.address) for one in first.maintainers] == [
        ("Ann Author", "ann@example.org"),
        ("Kim, the Second", "kim@example.org"),
    ]
    assert (first.files, first.excluded) == (
        ("drivers/frob/", "include/linux/frob*.h"),
        ("drivers/frob/old/",),
    )
    assert second.names == ("[^a-z]quux", "(not closed")
    assert rest.files == ("*", "*/")


@pytest.mark.parametrize(
    ("path", "people"),
    [
        ("drivers/frob/frob.c", "ann kim all"),
        ("drivers/frob/deep/down/frob.c", "ann kim all"),
        ("drivers/frob/old/frob.c", "all"),  # X: wins
        ("drivers/frob/quux.c", "ann kim quentin all"),
        ("drivers/frobber/core.c", "all"),
        ("include/linux/frob_types.h", "ann kim all"),
        ("include/linux/frob/types.h", "all"),  # another level
        ("drivers/usb/quux/deep/a.c", "quentin all"),
        ("drivers/net/quux/a.c", "quentin all"),
        ("lib/test_quux.c", "quentin all"),  # N:
        ("lib/aquux.c", "all"),
        ("README", "all"),
    ],
)
def test_who_maintains_a_path(path: str, people: str) -> None:
    assert who(path) == people.split()


def test_each_is_named_once_for_many_paths() -> None:
    assert who("drivers/frob/a.c", "drivers/frob/b.c") == ["ann", "kim", "all"]
    assert who() == []


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    assert (
        maintainers_of(read_maintainers(f"A\nM:\ta@example.org\nF:\t{text}"), ["a/b"]) is not None
    )
    assert all(isinstance(section, Section) for section in read_maintainers(text))


@pytest.mark.kernel
def test_the_real_file_is_read_as_get_maintainer_reads_it(kernel_tree: Path) -> None:
    """Against the kernel's own script, for paths all over the tree."""
    git = ["git", "-c", "safe.directory=*", "-C", str(kernel_tree)]
    text = subprocess.check_output([*git, "show", "HEAD:MAINTAINERS"]).decode()
    sections = read_maintainers(text)
    assert sum(len(section.maintainers) for section in sections) == text.count("\nM:\t")
    assert sum(len(section.files) for section in sections) == text.count("\nF:\t")
    names = subprocess.check_output([*git, "ls-tree", "-r", "--name-only", "HEAD"]).decode().split()
    sources = [name for name in names if name.endswith((".c", ".h"))]
    everywhere = {
        one for section in sections if section.title == "THE REST" for one in section.maintainers
    }
    for path in sources[:: len(sources) // 12]:
        # The script leaves out who looks after everything, and gives people's newest address alone.
        own = set(maintainers_of(sections, [path])) - everywhere
        contacts = "".join(f"{person.name} <{person.address}>\n" for person in own)
        newest = subprocess.check_output(
            [*git, "check-mailmap", "--stdin"], input=contacts.encode()
        )
        assert people(newest.decode()) == get_maintainer(kernel_tree, path), path


def people(text: str) -> set[str]:
    return {person.name or person.address for person in read_addresses(text.splitlines())}


def get_maintainer(tree: Path, path: str) -> set[str]:
    switches = "--no-git --no-git-fallback --no-r --no-l --no-rolestats --no-keywords --no-s"
    command = ["perl", "scripts/get_maintainer.pl", *switches.split(), "-f", path]
    said = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout
    return people(said)
