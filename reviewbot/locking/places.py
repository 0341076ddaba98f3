# SPDX-License-Identifier: GPL-2.0-or-later
"""What belongs together in a kernel tree, judged by where it stands."""

from __future__ import annotations

DRIVER_DEPTH = 4
"""Directories in common that make two deep ones parts of one driver."""


def directory_of(path: str) -> str:
    """The directory a file stands in."""
    return path.rpartition("/")[0]


def related(one: str, other: str) -> bool:
    """Whether two directories hold one driver or subsystem.

    They do if they are the same, one lies in the other, or both lie deep down in a third.
    """
    if one == other:
        return True
    left, right = one.split("/"), other.split("/")
    common = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        common += 1
    return common >= 2 and common >= min(len(left), len(right), DRIVER_DEPTH)


def machine_of(path: str) -> str:
    """The architecture whose code a file is; empty for what all of them share."""
    parts = path.split("/", 2)
    return parts[1] if parts[0] == "arch" else ""
