# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``git patch-id --stable`` says of a diff, without a process for it.

A service asks of every patch on a list whether it was there before.  git's answer
never changes (git-patch-id(1)), and a test holds this one to it.
"""

from __future__ import annotations

import re
from hashlib import sha1

_HUNK = re.compile(r"@@ -[0-9]+(?:,([0-9]{1,9}))? \+[0-9]+(?:,([0-9]{1,9}))?")
_COMMIT = re.compile(r"(?:commit |From )?[0-9a-f]{40}")
_NO_NEWLINE = re.compile(r"\\ .{10}")
_HEADER = -1
"""Number of lines to come while a file's header is read.  It can come of a hunk with a line
too many, too: what git makes of such a patch is part of its id."""
_LETTER = re.compile(r"[A-Za-z]")
_BLANKS = str.maketrans("", "", " \t\r")


def patch_id(diff: str) -> str:
    """40 hexadecimal digits; empty for a binary diff or one without a ``diff`` line.

    White space and line numbers do not count, nor does the order of the files.
    """
    total = 0
    digest = sha1(usedforsecurity=False)
    begun = False
    before = after = _HEADER  # lines of the hunk still to come
    for line in diff.split("\n"):
        if _NO_NEWLINE.match(line) or not (begun or line.startswith("diff ")):
            continue
        begun = True
        if _COMMIT.match(line):
            break
        if before == _HEADER:
            if line.startswith("index "):
                continue
            if line.startswith(("GIT binary patch", "Binary files")):
                return ""
            if line.startswith("--- "):
                before = after = 1
            elif not _LETTER.match(line):
                break
        elif before == after == 0:
            if hunk := _HUNK.match(line):
                before, after = int(hunk[1] or 1), int(hunk[2] or 1)
                continue
            if not line.startswith("diff "):
                break
            total += int.from_bytes(digest.digest(), "little")
            digest = sha1(usedforsecurity=False)
            before = after = _HEADER
        before -= line.startswith(("-", " "))
        after -= line.startswith(("+", " "))
        digest.update(line.translate(_BLANKS).encode("utf-8", "surrogateescape"))
    if not begun:
        return ""
    total += int.from_bytes(digest.digest(), "little")
    return (total % (1 << 160)).to_bytes(20, "little").hex()
