# SPDX-License-Identifier: GPL-2.0-or-later
"""What a pattern may hold, so that every Python that is supported reads it alike."""

import importlib
import pkgutil
import re

import reviewbot

_POSSESSIVE_GROUP = re.compile(r"(?<!\\)(?:\\\\)*\)(?:[*+?]|\{[\d,]+\})\+")


def _patterns() -> dict[str, str]:
    found = {}
    for module in pkgutil.walk_packages(reviewbot.__path__, "reviewbot."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                text = value.pattern
                found[f"{module.name}.{name}"] = text if isinstance(text, str) else text.decode()
    return found


def test_no_group_is_repeated_possessively() -> None:
    # Until 3.11.5 such a group may match what it must not, or not what it must (CPython's
    # gh-106052), and Debian 12 has 3.11.2: no comment was blanked there.  A single character's
    # repetition is right everywhere, and so is an atomic group.
    patterns = _patterns()
    assert len(patterns) > 200
    assert [name for name, text in patterns.items() if _POSSESSIVE_GROUP.search(text)] == []


def test_such_a_group_would_be_seen() -> None:
    assert _POSSESSIVE_GROUP.search(r"a(?:\*(?!/)[^*]*+)*+b")
    assert _POSSESSIVE_GROUP.search(r"(?:a|b){1,4}+")
    assert not _POSSESSIVE_GROUP.search(r"\(a\)*+ [)]x*+ (?>(?:a|b)*)")
