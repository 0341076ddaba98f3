# SPDX-License-Identifier: GPL-2.0-or-later
"""What a review needs on this machine, looked at one by one.

Each check is a function that looks at one thing and tells what it found; none of
them raises, changes anything or waits long.  Printing is the caller's.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
import requests

from reviewbot import __version__
from reviewbot.config import Config
from reviewbot.errors import ReviewbotError
from reviewbot.kernel.repository import Repository
from reviewbot.report.templates import environment

GIT_MINIMUM = (2, 36)
"""``git apply --cached --3way`` (git 2.32) and ``GIT_CONFIG_COUNT`` (2.31), with some room."""

_TIMEOUT = 10.0
_VERSION_LINE = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL)[ \t]*=[ \t]*(\d+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found."""

    name: str
    ok: bool | None
    """None: a review may do without it."""
    detail: str
    advice: str = ""
    """What to do about it; empty if there is nothing to do."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ok": self.ok,
            "detail": self.detail,
            "advice": self.advice,
        }


def checks(config: Config, tree: Path | None = None) -> Iterator[Check]:
    """Look at everything; ``tree`` is looked at instead of the configured one.

    Lazy, so that a caller can show each as it comes.
    """
    yield check_git()
    yield check_b4()
    yield check_parser()
    yield check_templates()
    yield check_tree(tree or config.tree)
    yield check_cache(config.cache)
    yield check_lore(config.lore.url)


def check_git() -> Check:
    """git is on PATH and new enough."""
    wanted = ".".join(map(str, GIT_MINIMUM))
    advice = f"install git {wanted} or newer"
    try:
        done = subprocess.run(
            ["git", "version"], capture_output=True, text=True, timeout=_TIMEOUT, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Check("git", False, f"does not run: {error}", advice)
    found = re.match(r"git version (\d+)\.(\d+)\S*", done.stdout)
    if not found:
        return Check("git", False, f"says no version: {done.stdout.strip()[:80]!r}", advice)
    new_enough = (int(found[1]), int(found[2])) >= GIT_MINIMUM
    detail = found[0].removeprefix("git version ")
    return Check("git", new_enough, detail, "" if new_enough else advice)


def check_b4() -> Check:
    """b4 can be imported; its exact version matters in bug reports."""
    try:
        importlib.import_module("b4")
        return Check("b4", True, metadata.version("b4"))
    except ImportError as error:
        return Check("b4", False, f"cannot be imported: {error}", "install reviewbot again")


def check_parser() -> Check:
    """tree-sitter and its C grammar load and fit each other."""
    try:
        tree_sitter = importlib.import_module("tree_sitter")
        grammar = importlib.import_module("tree_sitter_c")
        parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
        broken = parser.parse(b"int zero(void)\n{\n\treturn 0;\n}\n").root_node.has_error
    except (ImportError, ValueError) as error:  # ValueError: the grammar's ABI is not supported
        return Check("C parser", False, f"does not load: {error}", "install reviewbot again")
    if broken:
        return Check("C parser", False, "cannot read C", "install reviewbot again")
    return Check("C parser", True, f"tree-sitter-c {metadata.version('tree-sitter-c')}")


def check_templates() -> Check:
    """The reply's template is there and is valid."""
    try:
        environment().get_template("reply.txt.j2")
    except jinja2.TemplateError as error:
        detail = f"{type(error).__name__}: {error}"
        return Check("templates", False, detail, "install reviewbot again")
    return Check("templates", True, "found")


def check_tree(tree: Path | None) -> Check:
    """The kernel tree is a git repository with a kernel at its HEAD."""
    name = "kernel tree"
    if tree is None:
        return Check(name, None, "none is configured", "give --tree, or set tree in the file")
    try:
        with Repository.open(tree) as repository:
            commit = repository.resolve("HEAD")
            files = repository.lookup(repository.tree_of(commit), ["Makefile"])
            makefile = repository.read_blob(files["Makefile"]) if files else b""
            where = f"{tree} at {repository.describe(commit)}"
    except ReviewbotError as error:
        return Check(name, False, str(error), "give --tree, or set tree in the file")
    version = kernel_version(makefile.decode("utf-8", "replace"))
    if version is None:
        return Check(name, False, f"{where} holds no kernel", "name the top of a kernel checkout")
    return Check(name, True, f"{where}, Linux {version}")


def kernel_version(makefile: str) -> str | None:
    """The version in the text of a kernel's top Makefile, such as ``6.12.3``; else None."""
    numbers: dict[str, str] = {}
    for name, number in _VERSION_LINE.findall(makefile):
        numbers.setdefault(name, number)
    if "VERSION" not in numbers or "PATCHLEVEL" not in numbers:
        return None
    version = f"{numbers['VERSION']}.{numbers['PATCHLEVEL']}"
    return version if numbers.get("SUBLEVEL", "0") == "0" else f"{version}.{numbers['SUBLEVEL']}"


def check_cache(cache: Path) -> Check:
    """The cache directory can be written, or made; nothing is left in it."""
    advice = "set cache in the configuration to a directory that can be written"
    try:
        if cache.exists():
            with tempfile.TemporaryFile(dir=cache) as file:
                file.write(b"reviewbot")
            return Check("cache", True, f"{cache}, {_size(_bytes_below(cache))}")
        above = next(path for path in cache.absolute().parents if path.exists())
    except OSError as error:
        return Check("cache", False, f"{cache}: {error.strerror}", advice)
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        return Check("cache", False, f"{cache} cannot be made below {above}", advice)
    return Check("cache", True, f"{cache}, not there yet")


def _bytes_below(directory: Path) -> int:
    """Bytes of all files below; those that go away meanwhile are left out."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(Path(folder, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _size(count: int) -> str:
    for unit, power in (("GB", 9), ("MB", 6), ("kB", 3)):
        if count >= 10**power:
            return f"{count / 10**power:.1f} {unit}"
    return f"{count} bytes"


def check_lore(url: str) -> Check:
    """The public-inbox server answers. A review of files needs none."""
    name = "lore"
    advice = "mail in files and --range need no server"
    try:
        response = requests.head(
            url,
            timeout=_TIMEOUT,
            allow_redirects=False,
            headers={"User-Agent": f"reviewbot/{__version__}"},
        )
    except (requests.RequestException, ValueError) as error:  # ValueError: not a usable address
        return Check(name, None, f"{url} is not reached: {type(error).__name__}", advice)
    status = f"{url} answers {response.status_code}"  # its words are a stranger's
    if response.status_code in (429, 503):
        return Check(name, None, status, "the server is busy; try again later")
    if response.status_code >= 400:
        return Check(name, False, status, "set lore.url in the configuration, or give --lore")
    return Check(name, True, status)
