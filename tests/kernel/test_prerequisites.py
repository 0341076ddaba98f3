# SPDX-License-Identifier: GPL-2.0-or-later
"""Prerequisites on a base: taken whole, or left out and told."""

from __future__ import annotations

import pytest

from reviewbot.kernel.check import ApplyLimits
from reviewbot.kernel.model import PrerequisiteState
from reviewbot.kernel.prerequisites import apply_prerequisites, find_in_base
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.series.model import Finding, Patch, Prerequisite, Reference, ReferenceKind
from tests.kernel.support import Checkout, make_base, make_patch

FILE = "dir/lines.c"


def named(*patches: Patch, finding: Finding = Finding.FOUND, value: str = "") -> Prerequisite:
    reference = Reference(ReferenceKind.PATCH_ID, value or "1" * 40)
    return Prerequisite(reference, finding, patches, subject="below", message_id="b@example.org")


def line(checkout: Checkout, number: int, text: str) -> Patch:
    return make_patch(checkout.edit(FILE, (f"line {number}\n", f"{text}\n")))


def put(
    checkout: Checkout, *wanted: Prerequisite
) -> tuple[str, list[tuple[PrerequisiteState, int, str]]]:
    """The file with the prerequisites on it, and what became of each."""
    with Repository.open(checkout.path) as repository, Scratch(repository) as scratch:
        base = make_base(checkout.blob("HEAD^{tree}"), checkout.blob("HEAD"))
        tree, results = apply_prerequisites(scratch, base, wanted, ApplyLimits())
        found = find_in_base(repository, base, results, [line(checkout, 3, "own")])
        text = scratch.read_blob(scratch.lookup(tree, [FILE])[FILE]).decode()
    return text, [(each.state, each.patches, each.note) for each in found]


def test_they_are_put_on_in_order(numbered: Checkout) -> None:
    first = line(numbered, 5, "first")
    second = make_patch(first.diff.replace("line 5", "first").replace("+first", "+second"), 2)
    text, results = put(numbered, named(first), named(second))
    assert "\nsecond\n" in text
    assert results == [(PrerequisiteState.APPLIED, 1, "")] * 2


def test_what_the_base_has_is_recognised(numbered: Checkout) -> None:
    patch = line(numbered, 5, "there")
    numbered.commit({FILE: (numbered.path / FILE).read_text().replace("line 5\n", "there\n")})
    assert put(numbered, named(patch))[1] == [(PrerequisiteState.IN_BASE, 0, "")]


def test_one_that_does_not_apply_is_left_out_whole(numbered: Checkout) -> None:
    good, bad = line(numbered, 5, "good"), line(numbered, 40, "bad")
    bad = make_patch(bad.diff.replace("line 4", "line x").replace("line 3", "line y"), 2)
    text, results = put(numbered, named(good, bad), named(line(numbered, 9, "other")))
    assert "good" not in text
    assert "other" in text
    reason = f"patch 2: git apply: patch failed: {FILE}:37"
    assert results == [
        (PrerequisiteState.CONFLICT, 0, reason),
        (PrerequisiteState.APPLIED, 1, ""),
    ]


@pytest.mark.parametrize(
    ("finding", "state"),
    [
        (Finding.NOT_FOUND, PrerequisiteState.NOT_FOUND),
        (Finding.UNREACHABLE, PrerequisiteState.NOT_FOUND),
        (Finding.IN_SERIES, PrerequisiteState.IN_SERIES),
    ],
)
def test_what_was_not_found_is_told(
    numbered: Checkout, finding: Finding, state: PrerequisiteState
) -> None:
    assert put(numbered, named(finding=finding))[1] == [(state, 0, "")]


def test_a_patch_that_nobody_posted_may_be_a_commit_of_the_base(numbered: Checkout) -> None:
    text = (numbered.path / FILE).read_text()
    commit = numbered.commit({FILE: text.replace("line 9\n", "done\n"), "other.c": "int new;\n"})
    said = numbered.git("patch-id", "--stable", data=numbered.git("show", commit))
    numbered.commit({FILE: text})
    lost = named(finding=Finding.NOT_FOUND, value=said.split()[0])
    note = f"commit {commit[:12]}"
    assert put(numbered, lost)[1] == [(PrerequisiteState.IN_BASE, 0, note)]
