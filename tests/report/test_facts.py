# SPDX-License-Identifier: GPL-2.0-or-later
"""The facts above the findings, and the command that makes them again."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest

from reviewbot.kernel.model import (
    Application,
    ApplyState,
    BaseHow,
    Offset,
    PrerequisiteResult,
    PrerequisiteState,
    PresentHunk,
)
from reviewbot.report.facts import facts, listed, missing, reproduce
from reviewbot.series.model import Reference, ReferenceKind, Series

from . import builders


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (["a", "b", "c", "d", "e", "f"], "a, b, c, d and 2 more"),
    ],
)
def test_listed(words: list[str], text: str) -> None:
    assert listed(words) == text


@pytest.mark.parametrize(
    ("holes", "text"), [((), ""), ((2,), "patch 2/3"), ((1, 3), "patches 1/3 and 3/3")]
)
def test_missing(holes: tuple[int, ...], text: str) -> None:
    assert missing(builders.three(missing=holes)) == text


def test_offsets_name_each_file_once_and_are_capped() -> None:
    series = builders.single(builders.patch_text("both"))
    offsets = tuple(Offset(f"f{number // 3}.c", number, number - 5) for number in range(10))
    review = replace(
        builders.removed(), series=series, application=builders.applied(series, offsets=offsets)
    )
    assert dict(facts(review))["Offsets"] == (
        "f0.c, hunk 0 -5, hunk 1 -4, hunk 2 -3, f1.c, hunk 3 -2, hunk 4 -1, hunk 5 +0 lines, "
        "and 4 more hunks"
    )


def result(state: PrerequisiteState, note: str = "", **more: Any) -> PrerequisiteResult:
    reference = Reference(ReferenceKind.PATCH_ID, "1f" * 20)
    return PrerequisiteResult(reference, state, note=note, **more)


def built_on(*results: PrerequisiteResult) -> list[str]:
    series = builders.three(depends_on=tuple(each.reference for each in results))
    application = replace(builders.applied(series), prerequisites=results)
    review = replace(builders.clean(), series=series, application=application)
    return [text for label, text in facts(review) if label == "Built on"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            result(
                PrerequisiteState.APPLIED, patches=2, subject="a: b", message_id="m@example.org"
            ),
            'patch "a: b" (https://lore.kernel.org/r/m@example.org): 2 patches applied first',
        ),
        (
            result(PrerequisiteState.IN_BASE, "commit 0123456789ab"),
            "patch-id 1f1f1f1f1f1f: in the base already: commit 0123456789ab",
        ),
        (
            result(PrerequisiteState.IN_SERIES, "it is patch 1 of the series itself"),
            "patch-id 1f1f1f1f1f1f: it is patch 1 of the series itself",
        ),
        (
            result(PrerequisiteState.NOT_FOUND, "not in the archive"),
            "patch-id 1f1f1f1f1f1f: not found: not in the archive",
        ),
        (
            result(PrerequisiteState.CONFLICT, "it fails", subject="s", message_id="m"),
            'patch "s" (https://lore.kernel.org/r/m): left out, as it does not apply: it fails',
        ),
    ],
)
def test_each_prerequisite_is_told(given: PrerequisiteResult, text: str) -> None:
    assert built_on(given) == [text]


def test_many_prerequisites_are_counted() -> None:
    many = [result(PrerequisiteState.NOT_FOUND)] * 7 + [result(PrerequisiteState.APPLIED)] * 2
    told = built_on(*many)
    assert len(told) == 7
    assert told[-1] == "3 more prerequisites: 1 not found and 2 applied"


def test_prerequisites_that_nobody_looked_for_are_told() -> None:
    series = builders.three(depends_on=(result(PrerequisiteState.APPLIED).reference,))
    review = replace(builders.clean(), series=series)
    assert dict(facts(review))["Built on"] == "1 prerequisite, not applied"


def test_what_was_there_already_is_said() -> None:
    series = builders.three()
    first, second, third = builders.applied(series).patches
    there = replace(first, state=ApplyState.ALREADY_APPLIED)
    part = replace(second, already=(PresentHunk("a.c", 1), PresentHunk("a.c", 3)))
    application = Application(ApplyState.APPLIED, (there, part, third))
    found = dict(facts(replace(builders.clean(), application=application)))
    assert found["Applied"] == "2 of 3 patches"
    assert found["Present"] == "patch 1/3 in the base already"
    assert found["Left out"] == "hunk 1 of a.c and hunk 3 of a.c, which the tree has already"


def test_a_patch_of_an_earlier_version_is_named() -> None:
    patches = builders.three().patches
    series = builders.three(version=2, patches=(replace(patches[0], from_version=1), *patches[1:]))
    fact = dict(facts(replace(builders.clean(), series=series)))["Reused"]
    assert fact == "patch 1/3 is that of v1, as it was not posted again"


def test_a_base_without_a_name_is_its_commit() -> None:
    base = replace(builders.base(BaseHow.HEAD, "used HEAD"), describe=builders.COMMIT[:12])
    fact = dict(facts(replace(builders.clean(), base=base)))["Base"]
    assert fact == "commit 0f1e2d3c4b5a, HEAD of the tree: used HEAD"


@pytest.mark.parametrize(
    ("message_id", "source", "words"),
    [
        ("a@example.org", "a@example.org", ["a@example.org"]),
        ("a@example.org", "", ["a@example.org"]),
        ("a@example.org", "-", ["a@example.org"]),
        ("", "origin/master..HEAD", ["--range", "origin/master..HEAD"]),
        ("", "v6.12...topic", ["--range", "v6.12...topic"]),
        ("", "../mails/series.mbox", ["../mails/series.mbox"]),
        ("", "a/../mails/v1..v2.txt", ["a/../mails/v1..v2.txt"]),
        ("", "a file; rm -rf ~", ["a file; rm -rf ~"]),
        ("", "x" * 500, ["SERIES"]),
    ],
)
def test_reproduce_is_one_safe_command(message_id: str, source: str, words: list[str]) -> None:
    series = Series(message_id, "s", 1, 0, (), source=source)
    line = reproduce(replace(builders.not_reviewable(), series=series))
    assert shlex.split(line) == ["reviewbot", "review", *words, "--tree", "linux"]


def test_reproduce_names_the_base() -> None:
    assert reproduce(builders.clean()).endswith("--tree linux --base 0f1e2d3c4b5a")
