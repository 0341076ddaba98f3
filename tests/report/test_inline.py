# SPDX-License-Identifier: GPL-2.0-or-later
"""Findings to hunks: with offsets as git reports them, through series, and not at all."""

from __future__ import annotations

import difflib
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.kernel.model import Application, ApplyState, Offset, PatchApplication, PresentHunk
from reviewbot.locking.model import ChangeState, Site
from reviewbot.report.inline import (
    QUOTE_LINES,
    FileDiff,
    Passage,
    carry,
    file_diffs,
    passages,
    trimmed,
)

from . import builders
from .builders import GATE, GATE_PATH, all_gate_sites, gate_hazard, gate_site, patch_text

GIT_OFFSET = re.compile(r"Hunk #(\d+) succeeded at \d+ \(offset (-?\d+) lines?\)")


def application(*diffs: str, offsets: tuple[Offset, ...] = ()) -> Application:
    patches = tuple(
        PatchApplication(number, "subject", ApplyState.APPLIED, "0" * 40, diff, offsets)
        for number, diff in enumerate(diffs, 1)
    )
    return Application(ApplyState.APPLIED, patches)


def quotes(sites: tuple[Site, ...], *diffs: str, **more: tuple[Offset, ...]) -> tuple[Passage, ...]:
    hazard = gate_hazard(ChangeState.REMOVED, sites, 1)
    return passages(hazard, file_diffs(application(*diffs, **more)))


def git_offsets(directory: Path, source: str, diff: str) -> tuple[Offset, ...]:
    """Apply for real, and read what git says about its offsets."""
    (directory / GATE_PATH).parent.mkdir(parents=True)
    (directory / GATE_PATH).write_text(source)
    done = subprocess.run(
        ["git", "apply", "--verbose", "-"],
        input=diff,
        cwd=directory,
        text=True,
        capture_output=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(directory), "GIT_CEILING_DIRECTORIES": "/"},
    )
    found = GIT_OFFSET.findall(done.stderr)
    return tuple(Offset(GATE_PATH, int(hunk), int(lines)) for hunk, lines in found)


def test_hunks_at_gits_offsets_carry_the_sites(tmp_path: Path) -> None:
    source = builders.shifted(GATE)
    offsets = git_offsets(tmp_path, source, patch_text("both"))
    assert offsets == builders.SHIFTS
    sites = all_gate_sites(ChangeState.REMOVED, source, 1)
    close, opened = quotes(sites, patch_text("both"), offsets=offsets)
    assert [site.via for site in close.sites] == ["", "frob_line_put"]
    assert close.quote[0].startswith("> @@ -58,13 +59,22 @@ static void frob_gate_close(")
    assert ">  \t\tsynchronize_srcu(&frob->ports_srcu);" in close.quote
    assert "> -\tmutex_unlock(&frob->gate_lock);" in close.quote
    assert [site.function for site in opened.sites] == ["frob_gate_open"]
    assert "> -\tsynchronize_srcu(&frob->ports_srcu);" in opened.quote
    # Both sides of every hunk are where git left them.
    diffs = file_diffs(application(patch_text("both"), offsets=offsets))
    before, after = source.split("\n"), (tmp_path / GATE_PATH).read_text().split("\n")
    for line in [line for hunk in diffs[0].hunks for line in hunk.lines]:
        assert line.before is None or before[line.before - 1] == line.text
        assert line.after is None or after[line.after - 1] == line.text


def test_a_hunk_that_was_left_out_moves_nothing(tmp_path: Path) -> None:
    """The tree has hunk 2 already; git put hunk 3, now its second, where it belongs."""
    whole = patch_text("both")
    first, second, third = re.split(r"(?m)^(?=@@ )", whole)[1:]
    head = whole[: whole.index("@@ ")]
    (tmp_path / "have").mkdir()
    git_offsets(tmp_path / "have", GATE, head + second)
    source = (tmp_path / "have" / GATE_PATH).read_text()
    (tmp_path / "tree").mkdir()
    found = git_offsets(tmp_path / "tree", source, head + first + third)
    after = (tmp_path / "tree" / GATE_PATH).read_text().split("\n")
    numbers = {1: 1, 2: 3}
    offsets = tuple(replace(offset, hunk=numbers[offset.hunk]) for offset in found)
    patch = PatchApplication(
        1,
        "subject",
        ApplyState.APPLIED,
        "0" * 40,
        head + first + third,
        offsets,
        already=(PresentHunk(GATE_PATH, 2),),
    )
    (diff,) = file_diffs(Application(ApplyState.APPLIED, (patch,)))
    for line in [line for hunk in diff.hunks for line in hunk.lines]:
        assert line.before is None or source.split("\n")[line.before - 1] == line.text
        assert line.after is None or after[line.after - 1] == line.text


def test_wrong_lines_fall_back_to_the_function() -> None:
    """As after a 3-way merge, when nothing is known about where hunks went."""
    moved = "\n" * 500 + GATE
    site = gate_site("frob_gate_open", ChangeState.REMOVED, moved, number=1)
    (passage,) = quotes((site,), patch_text("both"))
    assert "frob_gate_open(" in passage.quote[0]
    assert "> -\tsynchronize_srcu(&frob->ports_srcu);" in passage.quote


def test_a_line_that_names_another_call_is_not_the_place() -> None:
    """Evidence of line 61 must not land on whatever is at 61 of another text."""
    diff = patch_text("both").replace("synchronize_srcu(&frob->ports_srcu)", "other(frob)")
    diff = diff.replace("gate_lock", "lock").replace("frob_gate_open", "else_open")
    site = gate_site("frob_gate_open", ChangeState.REMOVED, GATE, number=1)
    (passage,) = quotes((site,), diff)
    assert passage.quote == ()
    assert passage.patch is None


def test_another_file_or_no_diff_means_no_quote() -> None:
    site = gate_site("frob_gate_open", ChangeState.REMOVED, GATE, number=1)
    (passage,) = quotes((site,), patch_text("poll-2"))
    assert passage.quote == ()
    (passage,) = passages(gate_hazard(ChangeState.REMOVED, [site], 1), file_diffs(None))
    assert passage.sites == (site,)


@pytest.mark.parametrize(
    "diff",
    ["", "no diff", "--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n a\n", "@@ -1 +1 @@\n-a\n+b\n", "\0"],
)
def test_what_unidiff_cannot_read_is_left_out(diff: str) -> None:
    assert file_diffs(application(diff)) == ()


@given(st.text(st.sampled_from("+-@ \\/ab,0123456789\n\r\x0b\u2028"), max_size=200))
def test_no_diff_is_too_strange(text: str) -> None:
    prefix = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n"
    for diff in (text, prefix + text):
        assert isinstance(file_diffs(application(diff)), tuple)


def test_a_line_is_carried_through_the_patches_around() -> None:
    hazard = builders.poll_hazard()
    diffs = file_diffs(builders.introduced().application)
    (passage,) = passages(hazard, diffs)
    assert passage.patch == 2
    assert "> +\tmutex_unlock(&frob->conf_lock);" in passage.quote


def test_without_a_patch_number_the_line_alone_decides() -> None:
    site = replace(builders.poll_hazard().sites[0], patch=None)
    hazard = replace(builders.poll_hazard(), sites=(site,))
    (passage,) = passages(hazard, file_diffs(builders.introduced().application))
    assert passage.patch == 2


def test_a_site_no_hunk_touches_stands_alone_and_first() -> None:
    gone = all_gate_sites(ChangeState.REMOVED, GATE, 1)[:2]
    left = gate_site("frob_gate_open", ChangeState.REMAINING, GATE)
    first, second = quotes((*gone, left), patch_text("close-only"))
    assert (first.sites, first.quote) == ((left,), ())
    assert second.sites == gone


LINES = st.lists(st.integers(0, 10_000), unique=True, max_size=40)


@given(LINES, LINES, st.integers(0, 3))
def test_every_kept_line_is_carried_both_ways(
    before: list[int], added: list[int], context: int
) -> None:
    """Against difflib: a line that is in both files is where the other file has it."""
    after = [number for number in before if number % 3] + [n + 20_000 for n in added]
    after.sort(key=lambda number: number % 10_007)
    old, new = [f"{number}\n" for number in before], [f"{number}\n" for number in after]
    text = "".join(difflib.unified_diff(old, new, "a/x", "b/x", n=context))
    hunks = tuple(hunk for diff in diffs_of(text) for hunk in diff.hunks)
    kept = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    pairs = {block.a + at + 1: block.b + at + 1 for block in kept for at in range(block.size)}
    for number in range(1, len(old) + 1):
        assert carry(number, hunks, forward=True) == pairs.get(number)
    for number in range(1, len(new) + 1):
        back = {there: here for here, there in pairs.items()}
        assert carry(number, hunks, forward=False) == back.get(number)


def diffs_of(text: str) -> tuple[FileDiff, ...]:
    return file_diffs(application(text)) if text else ()


@given(st.integers(0, 120), st.sets(st.integers(0, 119), max_size=40))
def test_a_trimmed_quote_is_short_and_in_order(count: int, keep: set[int]) -> None:
    lines = [f" line {number};" for number in range(count)]
    quote = trimmed(lines, {number for number in keep if number < count})
    shown = [line for line in quote if line != "[ ... ]"]
    # Short gaps are closed, so a quote may be a little longer than its limit.
    assert len(shown) <= QUOTE_LINES * 4 + 3
    numbers = [int(line.split()[2].rstrip(";")) for line in shown]
    assert numbers == sorted(set(numbers))
    assert all(f"> {lines[number]}" == line for number, line in zip(numbers, shown, strict=True))
    assert "[ ... ]\n[ ... ]" not in "\n".join(quote)
