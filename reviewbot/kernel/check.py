# SPDX-License-Identifier: GPL-2.0-or-later
"""What a stranger's diff may not name: refused before git sees it.

git has checks of its own (``verify_path``), so this is the first of three: this
scan of the header lines, git's, and :func:`forbidden_change` on the tree that
came out, which does not depend on how the diff was read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from reviewbot.kernel.model import HunkFailure, TreeChange


@dataclass(frozen=True, slots=True)
class ApplyLimits:
    """How large a patch may be, and what applying one may cost."""

    bytes: int = 16 << 20
    """Of one patch's diff."""
    files: int = 5_000
    hunks: int = 50_000
    binary: int = 1 << 20
    """Bytes of one binary file's contents."""
    seconds: float = 60.0
    """Wall and processor time of one git child."""
    memory: int = 4 << 30
    """Address space of one git child, in bytes."""
    file_size: int = 512 << 20
    """Of any file a git child writes, in bytes."""


PLAIN_MODES = ("100644", "100755")

# Within hunks every line starts with a space, +, - or \, so these only match headers
# (or, in a damaged diff, text that looks like one: refusing that is safe).
_NAMING = re.compile(
    r"^(?:(?P<what>rename from|rename to|copy from|copy to) (?P<name>.*)"
    r"|(?P<git>diff --git) (?P<names>.*)"
    r"|--- (?P<old>.*)\n\+\+\+ (?P<new>.*)\n@@ )",
    re.MULTILINE,
)
_MODE = re.compile(
    r"^(?:old mode|new mode|new file mode|deleted file mode|index [0-9a-f]+\.\.[0-9a-f]+)"
    r" (\d+)\s*$",
    re.MULTILINE,
)
_BINARY = re.compile(r"^(?:literal|delta) (\d+)\s*$", re.MULTILINE)
_HUNK = re.compile(r"^@@ -", re.MULTILINE)
_ABSURD = re.compile(r"^@@ -[^@\n]*\d{10}", re.MULTILINE)
_ESCAPE = re.compile(r'\\([0-7]{3}|[abtnvfr"\\])')
_LETTERS = {"a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}
_SHORT_NAME = re.compile(r"git~\d+")


def refusal(diff: str, limits: ApplyLimits) -> HunkFailure | None:
    """Why a diff must not be handed to git; None if nothing speaks against it."""
    if reason := _no_text(diff) or _too_large(diff, limits):
        return HunkFailure(path="", hunk="", reason=reason)
    for path in _named_paths(diff):
        if reason := forbidden_path(path):
            return HunkFailure(path=shown_path(path), hunk="", reason=reason)
    for found in _MODE.finditer(diff):
        if not found[1].startswith("100"):
            return HunkFailure(path="", hunk="", reason=_mode_reason(found[1]))
    return None


def forbidden_path(path: str) -> str | None:
    """Why a path must not be touched: it leaves the tree or names git's own files.

    ``path`` is relative to the top of the tree, unquoted.  The forms of ``.git``
    are those that git's ``protectHFS`` and ``protectNTFS`` know.
    """
    if any(ord(char) < 32 or ord(char) == 127 for char in path):
        return "the path holds a control character"
    if path.startswith("/"):
        return "the path is absolute"
    if "\\" in path:
        return "the path holds a backslash"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "the path has an empty, . or .. component"
        if _is_git(part):
            return "the path names git's own directory"
    return None


def forbidden_change(change: TreeChange) -> str | None:
    """Why a change between two trees is not one a patch may make."""
    for mode in (change.mode_before, change.mode_after):
        if mode is not None and mode not in PLAIN_MODES:
            return _mode_reason(mode)
    return forbidden_path(change.path)


def _no_text(diff: str) -> str | None:
    if "\0" in diff:
        return "the diff holds a NUL character"
    try:
        diff.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "the diff holds characters that are no text"
    return "a hunk's line numbers have ten digits or more" if _ABSURD.search(diff) else None


def _too_large(diff: str, limits: ApplyLimits) -> str | None:
    if len(diff.encode("utf-8", "surrogateescape")) > limits.bytes:
        return f"the diff is larger than {limits.bytes} bytes"
    if diff.count("\ndiff --git ") + 1 > limits.files:
        return f"the diff changes more than {limits.files} files"
    if sum(1 for _ in _HUNK.finditer(diff)) > limits.hunks:
        return f"the diff has more than {limits.hunks} hunks"
    if any(int(found[1][:18]) > limits.binary for found in _BINARY.finditer(diff)):
        return f"the diff holds a binary file larger than {limits.binary} bytes"
    return None


def _named_paths(diff: str) -> Iterator[str]:
    """Every path the header lines name, without the ``a/`` or ``b/`` before it."""
    for found in _NAMING.finditer(diff):
        if found["what"]:
            yield _unquote(found["name"])
        elif found["git"]:
            # Where one name ends and the next begins is not certain when they hold
            # spaces; components are what matters, and those are the same.
            for name in re.findall(r'"(?:[^"\\]|\\.)*"|\S+', found["names"]):
                yield _strip(_unquote(name))
        else:
            for name in (found["old"], found["new"]):
                if (path := _unquote(name.partition("\t")[0])) != "/dev/null":
                    yield _strip(path)


def _strip(path: str) -> str:
    """What ``-p1`` leaves; a path of one component stays as it is."""
    first, slash, rest = path.partition("/")
    return rest if slash and first else path


def _unquote(name: str) -> str:
    """Undo git's C-style quoting (core.quotePath)."""
    name = name.rstrip("\r")
    if len(name) < 2 or not name.startswith('"') or not name.endswith('"'):
        return name

    def letter(found: re.Match[str]) -> str:
        code = found[1]
        return chr(int(code, 8)) if code.isdigit() else _LETTERS.get(code, code)

    return _ESCAPE.sub(letter, name[1:-1])


def _is_git(part: str) -> bool:
    """Whether some file system takes this component for ``.git``."""
    visible = "".join(char for char in part if unicodedata.category(char) != "Cf")
    plain = visible.casefold().partition(":")[0].rstrip(" .")
    return plain == ".git" or _SHORT_NAME.fullmatch(plain) is not None


def _mode_reason(mode: str) -> str:
    kind = {"120000": "a symbolic link", "160000": "a submodule"}.get(mode, f"mode {mode}")
    return f"the patch makes or changes {kind}; only plain files are reviewed"


def shown_path(path: str) -> str:
    """A path fit for a report: no control characters, of bounded length."""
    return "".join(char if char.isprintable() else "?" for char in path)[:200]
