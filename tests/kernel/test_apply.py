# SPDX-License-Identifier: GPL-2.0-or-later
"""Series applied to real trees: what goes on, how, and what is said when it does not."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reviewbot.errors import TreeError
from reviewbot.kernel.apply import apply_series
from reviewbot.kernel.check import ApplyLimits
from reviewbot.kernel.git import GitError
from reviewbot.kernel.model import Application, ApplyState, Offset, PresentHunk
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.series.model import Damage, DamageKind, Patch, Series
from reviewbot.series.open import open_series
from tests.kernel.conftest import numbered_lines
from tests.kernel.support import (
    Checkout,
    make_base,
    make_patch,
    make_series,
    mbox_diff,
    temporary_left,
)

Apply = Callable[..., Application]
V2_BLOB = "bf21a6850f72"


@pytest.fixture
def scratch(numbered: Checkout) -> Iterator[Scratch]:
    with Repository.open(numbered.path) as opened, Scratch(opened) as made:
        yield made


@pytest.fixture
def apply(numbered: Checkout, scratch: Scratch) -> Apply:
    """Apply diffs, or a series, to the checkout's HEAD."""

    def run(*diffs: str | Patch | Series, limits: ApplyLimits | None = None) -> Application:
        series = diffs[0] if isinstance(diffs[0], Series) else make_series(*diffs)  # type: ignore[arg-type]
        base = make_base(numbered.blob("HEAD^{tree}"))
        return apply_series(scratch, base, series, limits)

    return run


def read(scratch: Scratch, tree: str | None, path: str) -> str:
    assert tree is not None
    return scratch.read_blob(scratch.lookup(tree, [path])[path]).decode()


def state_and_reason(result: Application) -> tuple[ApplyState, str]:
    assert result.failed is not None
    assert result.failed.tree is None
    assert result.failed.failure is not None
    assert result.state is result.failed.state
    return result.state, result.failed.failure.reason


# ---- what goes on ----


def test_a_tree_after_every_patch(numbered: Checkout, scratch: Scratch, apply: Apply) -> None:
    one = numbered.edit("dir/lines.c", ("line 5\n", "five\n"))
    numbered.commit({"dir/lines.c": numbered_lines().replace("line 5\n", "five\n")})
    two = numbered.edit("dir/lines.c", ("line 50\n", "fifty\n"))
    numbered.git("reset", "-q", "--hard", "HEAD~1")
    result = apply(one, two)
    assert result.state is ApplyState.APPLIED
    assert [patch.state for patch in result.patches] == [ApplyState.APPLIED] * 2
    first, second = (read(scratch, patch.tree, "dir/lines.c") for patch in result.patches)
    assert first == numbered_lines().replace("line 5\n", "five\n")
    assert second == first.replace("line 50\n", "fifty\n")
    assert [patch.diff for patch in result.patches] == [one, two]
    assert not any(p.three_way or p.offsets or p.repaired or p.already for p in result.patches)


def test_new_deleted_moved_and_executable_files(
    numbered: Checkout, scratch: Scratch, apply: Apply
) -> None:
    numbered.write({"new/file.c": "int n;\n"})
    numbered.git("rm", "-q", "other.c")
    numbered.git("mv", "dir/lines.c", "dir/moved.c")
    (numbered.path / "new" / "file.c").chmod(0o755)
    numbered.git("add", "-A")
    diff = numbered.git("diff", "--cached", "-M", "HEAD")
    assert "rename to" in diff
    result = apply(diff)
    assert result.state is ApplyState.APPLIED
    modes = {e.path: e.mode for e in scratch.list_tree(result.patches[0].tree or "")}
    assert modes == {"new/file.c": "100755", "dir/moved.c": "100644"}


def test_offsets_are_told_with_file_and_hunk(numbered: Checkout, apply: Apply) -> None:
    lines = ("line 10\n", "ten\n"), ("line 50\n", "fifty\n")
    diff = numbered.edit("dir/lines.c", *lines).replace(
        numbered.blob("HEAD:dir/lines.c"), "1234567" + "0" * 33
    )
    text = numbered_lines().replace("line 1\n", "line 0\nline 1\n")
    numbered.commit({"dir/lines.c": text.replace("line 30\n", "")})
    assert apply(diff).patches[0].offsets == (Offset("dir/lines.c", 1, 1),)
    numbered.commit({"dir/lines.c": "top\n" * 4 + text})
    result = apply(diff)
    assert result.patches[0].offsets == (Offset("dir/lines.c", 1, 5), Offset("dir/lines.c", 2, 5))
    assert not result.patches[0].three_way


def test_a_merge_from_known_pre_images(numbered: Checkout, scratch: Scratch, apply: Apply) -> None:
    diff = numbered.edit("dir/lines.c", ("line 30\n", "thirty\n"))
    text = numbered_lines().replace("line 27\n", "another 27\n")
    numbered.commit({"dir/lines.c": text})
    result = apply(diff)
    assert result.state is ApplyState.APPLIED
    assert result.patches[0].three_way
    merged = read(scratch, result.patches[0].tree, "dir/lines.c")
    assert merged == text.replace("line 30\n", "thirty\n")


def test_non_utf8_text_goes_through(checkout: Checkout) -> None:
    (checkout.path / "latin1.c").write_bytes(b"/* M\xfcller */\nint a;\n")
    checkout.commit({})
    (checkout.path / "latin1.c").write_bytes(b"/* M\xfcller */\nint \xe4;\n")
    diff = checkout.git("diff")
    checkout.git("checkout", "-q", "-f")
    with Repository.open(checkout.path) as opened, Scratch(opened) as scratch:
        tree = opened.tree_of(opened.resolve("HEAD"))
        result = apply_series(scratch, make_base(tree), make_series(diff))
        (change,) = scratch.diff_trees(tree, result.patches[0].tree or "")
        assert scratch.read_blob(change.after or "") == b"/* M\xfcller */\nint \xe4;\n"


# ---- already applied ----


@pytest.mark.parametrize("known", [True, False])
def test_wholly_already_applied(numbered: Checkout, apply: Apply, known: bool) -> None:
    diff = numbered.edit("dir/lines.c", ("line 5\n", "five\n"), ("line 50\n", "fifty\n"))
    if not known:
        diff = diff.replace(numbered.blob("HEAD:dir/lines.c"), "1234567" + "0" * 33)
    text = numbered_lines().replace("line 5\n", "five\n").replace("line 50\n", "fifty\n")
    numbered.commit({"dir/lines.c": text})
    result = apply(diff)
    assert result.state is ApplyState.ALREADY_APPLIED
    assert result.patches[0].state is ApplyState.ALREADY_APPLIED
    assert result.patches[0].tree == numbered.blob("HEAD^{tree}")


def test_the_first_patch_is_there_and_the_second_goes_on(numbered: Checkout, apply: Apply) -> None:
    one = numbered.edit("dir/lines.c", ("line 5\n", "five\n"))
    two = numbered.edit("other.c", ("int", "long"))
    numbered.commit({"dir/lines.c": numbered_lines().replace("line 5\n", "five\n")})
    result = apply(one, two)
    assert result.state is ApplyState.APPLIED
    states = [patch.state for patch in result.patches]
    assert states == [ApplyState.ALREADY_APPLIED, ApplyState.APPLIED]


def test_some_hunks_are_there(numbered: Checkout, scratch: Scratch, apply: Apply) -> None:
    edits = [(f"line {number}\n", f"changed {number}\n") for number in (5, 30, 55)]
    diff = numbered.edit("dir/lines.c", *edits)
    diff = diff.replace(numbered.blob("HEAD:dir/lines.c"), "1234567" + "0" * 33)
    text = "top\n" + numbered_lines().replace(*edits[1])
    numbered.commit({"dir/lines.c": text})
    result = apply(diff)
    assert result.state is ApplyState.APPLIED
    (patch,) = result.patches
    assert patch.already == (PresentHunk("dir/lines.c", 2),)
    assert patch.offsets == (Offset("dir/lines.c", 1, 1), Offset("dir/lines.c", 3, 1))
    assert "changed 30" not in patch.diff
    expected = text.replace(*edits[0]).replace(*edits[2])
    assert read(scratch, patch.tree, "dir/lines.c") == expected
    assert patch.to_dict()["already"] == [{"path": "dir/lines.c", "hunk": 2}]


# ---- conflicts ----


def test_a_conflict_names_the_hunk(numbered: Checkout, apply: Apply) -> None:
    diff = numbered.edit("dir/lines.c", ("line 5\n", "five\n"), ("line 50\n", "fifty\n"))
    diff = diff.replace(numbered.blob("HEAD:dir/lines.c"), "1234567" + "0" * 33)
    other = numbered.edit("other.c", ("int", "long"))
    numbered.commit({"dir/lines.c": numbered_lines().replace("line 50\n", "something else\n")})
    result = apply(other, diff, other)
    state, reason = state_and_reason(result)
    assert (state, reason) == (
        ApplyState.CONFLICT,
        "git apply: patch failed: dir/lines.c:47",
    )
    assert [patch.state for patch in result.patches] == [ApplyState.APPLIED, ApplyState.CONFLICT]
    failure = result.patches[1].failure
    assert failure is not None
    assert failure.path == "dir/lines.c"
    assert failure.hunk.startswith("@@ -47,7 +47,7 @@")
    assert "-line 50\n+fifty\n" in failure.hunk


def test_a_merge_that_conflicts_leaves_no_markers(
    numbered: Checkout, scratch: Scratch, apply: Apply
) -> None:
    """Here the pre-image is known, so git would write conflict stages and status 1."""
    diff = numbered.edit("dir/lines.c", ("line 30\n", "thirty\n"))
    numbered.commit({"dir/lines.c": numbered_lines().replace("line 30\n", "dreißig\n")})
    result = apply(diff)
    state, reason = state_and_reason(result)
    assert (state, reason) == (ApplyState.CONFLICT, "git apply: patch failed: dir/lines.c:27")
    # The next series on the same scratch starts afresh.
    assert apply(numbered.edit("other.c", ("int", "long"))).state is ApplyState.APPLIED


def test_files_that_are_not_there_or_there_already(numbered: Checkout, apply: Apply) -> None:
    diff = numbered.edit("other.c", ("int", "long"))
    numbered.write({"new.c": "int n;\n"})
    numbered.git("add", "-A")
    new = numbered.git("diff", "--cached")
    numbered.git("reset", "-q", "--hard")
    numbered.git("rm", "-q", "other.c")
    numbered.commit({"new.c": "int something_else;\n"})
    state, reason = state_and_reason(apply(diff))
    assert state is ApplyState.CONFLICT
    assert "does not exist in index" in reason
    state, reason = state_and_reason(apply(new))
    assert state is ApplyState.CONFLICT
    assert "new.c" in reason


def test_a_file_that_the_clone_lacks_is_the_trees_fault(numbered: Checkout, apply: Apply) -> None:
    diff = numbered.edit("other.c", ("int", "long"))
    blob = numbered.blob("HEAD:other.c")
    (numbered.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(TreeError, match=f"object {blob} is missing"):
        apply(diff)


def test_a_disk_that_cannot_be_written_is_the_machines_fault(
    numbered: Checkout, scratch: Scratch, apply: Apply
) -> None:
    diff = numbered.edit("other.c", ("int", "long"))
    numbered.write({"other.c": "long other;\n"})
    blob = numbered.git("hash-object", "other.c")
    (scratch.git_dir / "objects" / blob[:2]).write_text("in the way")
    with pytest.raises(GitError, match="git apply could not work: unable to create"):
        apply(diff)


def test_the_lock_of_a_killed_git_is_not_in_the_way(
    numbered: Checkout, scratch: Scratch, apply: Apply
) -> None:
    (scratch.git_dir / "reviewbot.index.lock").write_text("")
    assert apply(numbered.edit("other.c", ("int", "long"))).state is ApplyState.APPLIED


# ---- holes ----


def test_a_series_stops_at_a_hole(numbered: Checkout, apply: Apply) -> None:
    diff = numbered.edit("other.c", ("int", "long"))
    series = make_series(make_patch(diff, 1), make_patch(diff, 3), missing=(2,))
    result = apply(series)
    assert [(p.index, p.state) for p in result.patches] == [
        (1, ApplyState.APPLIED),
        (3, ApplyState.MISSING_PATCH),
    ]
    reason = "patch 2/3 did not arrive; nothing from it on was tried"
    assert state_and_reason(result) == (ApplyState.MISSING_PATCH, reason)


@pytest.mark.parametrize(("there", "missing"), [((2, 3), 1), ((1, 2), 3)])
def test_a_hole_at_either_end(
    numbered: Checkout, apply: Apply, there: tuple[int, ...], missing: int
) -> None:
    diffs = numbered.edit("other.c", ("int", "long")), numbered.edit("dir/lines.c", ("l", "L"))
    patches = [make_patch(diff, index) for diff, index in zip(diffs, there, strict=True)]
    result = apply(make_series(*patches, missing=(missing,)))
    state, reason = state_and_reason(result)
    assert state is ApplyState.MISSING_PATCH
    assert reason.startswith(f"patch {missing}/3 did not arrive")
    assert len(result.patches) == (1 if missing == 1 else 3)


# ---- refused ----


HOSTILE = {
    "dotdot": "--- a/../x\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n",
    "git": "diff --git a/.git/hooks/x b/.git/hooks/x\nnew file mode 100755\n"
    "--- /dev/null\n+++ b/.git/hooks/x\n@@ -0,0 +1 @@\n+x\n",
    "symlink": "diff --git a/l b/l\nnew file mode 120000\nindex 0000000..1234567\n"
    "--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline at end of file\n",
    "submodule": "diff --git a/s b/s\nnew file mode 160000\nindex 0000000..1234567\n"
    f"--- /dev/null\n+++ b/s\n@@ -0,0 +1 @@\n+Subproject commit {'1' * 40}\n",
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_diffs_are_refused(numbered: Checkout, apply: Apply, name: str) -> None:
    before = numbered.state()
    state, reason = state_and_reason(apply(HOSTILE[name], HOSTILE[name]))
    assert state is ApplyState.REFUSED
    assert reason
    assert numbered.state() == before


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_git_and_the_tree_check_hold_without_our_scan(
    numbered: Checkout, apply: Apply, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line of defence holds alone."""
    monkeypatch.setattr("reviewbot.kernel.apply.refusal", lambda diff, limits: None)
    before = numbered.state()
    result = apply(HOSTILE[name])
    assert result.state in (ApplyState.REFUSED, ApplyState.CONFLICT)
    assert result.patches[0].tree is None
    assert numbered.state() == before


def test_a_link_without_its_mode_in_the_diff(checkout: Checkout) -> None:
    """The header names no mode: only the tree that comes out shows the link."""
    (checkout.path / "link").symlink_to("a.c")
    checkout.commit({"a.c": "int a;\n"})
    diff = "--- a/link\n+++ b/link\n@@ -1 +1 @@\n-a.c\n\\ No newline at end of file\n"
    diff += "+/etc/passwd\n\\ No newline at end of file\n"
    with Repository.open(checkout.path) as opened, Scratch(opened) as scratch:
        base = make_base(opened.tree_of(opened.resolve("HEAD")))
        state, reason = state_and_reason(apply_series(scratch, base, make_series(diff)))
    assert state is ApplyState.REFUSED
    assert "symbolic link" in reason


def test_limits_refuse(numbered: Checkout, apply: Apply) -> None:
    diff = numbered.edit("other.c", ("int", "long"))
    state, reason = state_and_reason(apply(diff, limits=ApplyLimits(bytes=10)))
    assert (state, reason) == (ApplyState.REFUSED, "the diff is larger than 10 bytes")
    state, reason = state_and_reason(apply(diff, limits=ApplyLimits(seconds=0.0)))
    assert state is ApplyState.REFUSED
    assert "did not end within 0 seconds" in reason
    assert len(temporary_left()) == 2
    assert apply(diff).state is ApplyState.APPLIED


def test_git_attributes_of_a_patch_change_nothing(
    numbered: Checkout, scratch: Scratch, apply: Apply
) -> None:
    """merge=union would resolve any conflict silently, eol would rewrite the file."""
    diff = numbered.edit("dir/lines.c", ("line 30\n", "thirty\n"))
    changed = numbered_lines().replace("line 30\n", "dreißig\n")
    numbered.commit({"dir/lines.c": changed, ".gitattributes": "* merge=union eol=crlf text\n"})
    assert apply(diff).state is ApplyState.CONFLICT
    plain = numbered.edit("other.c", ("int", "long"))
    assert read(scratch, apply(plain).patches[0].tree, "other.c") == "long other;\n"


# ---- damage ----


def strip_leading(diff: str) -> str:
    """A web archive's doing: context lines lose their first blank and indentation."""
    lines = diff.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("@@"))
    return "\n".join(lines[:start] + [line.strip() for line in lines[start:]]) + "\n"


@pytest.mark.parametrize("flagged", [True, False])
def test_a_damaged_patch_is_repaired_on_the_tree_before_it(
    numbered: Checkout, scratch: Scratch, apply: Apply, flagged: bool
) -> None:
    code = "int f(void)\n{\n\tint a = 1;\n\tint b = 2;\n\n\tif (a)\n\t\tb = 3;\n\treturn b;\n}\n"
    numbered.commit({"code.c": code})
    first = numbered.edit("code.c", ("int a = 1;", "int a = 4;"))
    numbered.commit({"code.c": code.replace("int a = 1;", "int a = 4;")})
    second = numbered.edit("code.c", ("\t\tb = 3;\n", ""))
    numbered.git("reset", "-q", "--hard", "HEAD~1")
    damage = Damage((DamageKind.LEADING_SPACE_LOST,)) if flagged else None
    damaged = make_patch(strip_leading(second), 2, damage)
    result = apply(make_series(make_patch(first, 1), damaged))
    assert result.state is ApplyState.APPLIED
    (_, patch) = result.patches
    assert patch.repaired
    assert patch.repair_proof
    assert patch.diff != damaged.diff
    expected = code.replace("int a = 1;", "int a = 4;").replace("\t\tb = 3;\n", "")
    assert read(scratch, patch.tree, "code.c") == expected


def test_a_hopeless_patch_is_refused(numbered: Checkout, apply: Apply) -> None:
    damage = Damage((DamageKind.LEADING_SPACE_LOST,))
    diff = strip_leading(numbered.edit("dir/lines.c", ("line 30\n", "thirty\n")))
    diff = diff.replace("line 2", "nothing of the sort 2")
    state, reason = state_and_reason(apply(make_patch(diff, 1, damage)))
    assert state is ApplyState.REFUSED
    assert reason


@pytest.mark.parametrize("diff", ["", "hello\n", "diff --git a/x b/x\n", "@@ -1 +1 @@\n-a\n+b\n"])
def test_what_is_no_diff_is_refused(apply: Apply, diff: str) -> None:
    state, reason = state_and_reason(apply(diff))
    assert state is ApplyState.REFUSED
    assert reason


ODD_HEADERS = ("@@ -1,99999 +1 @@\n", "@@ -8 +9 @@\n", f"@@ -{'9' * 5000} +1 @@\n")


@given(st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_diffs_never_crash(numbered: Checkout, apply: Apply, data: st.DataObject) -> None:
    diff = numbered.edit("dir/lines.c", ("line 5\n", "five\n"), ("line 50\n", "fifty\n"))
    lines = diff.splitlines(True)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(lines) - 1))
        lines[place] = data.draw(
            st.sampled_from(
                ["", lines[place] * 2, lines[place][1:], "@@ -1,99999 +1 @@\n", "@@ -8 +9 @@\n"]
            )
            | st.text(max_size=30)
        )
    result = apply("".join(lines))
    for patch in result.patches:
        assert (patch.tree is None) == (patch.failure is not None)


# ---- at once ----


def apply_in_a_child(arguments: tuple[Path, str, str]) -> dict[str, object]:
    path, tree, diff = arguments
    with Repository.open(path) as opened, Scratch(opened) as scratch:
        return apply_series(scratch, make_base(tree), make_series(diff)).to_dict()


def test_two_at_once_equal_one_after_the_other(numbered: Checkout) -> None:
    tree = numbered.blob("HEAD^{tree}")
    diffs = [numbered.edit("dir/lines.c", (f"line {n}\n", f"new {n}\n")) for n in range(10, 18)]
    before = numbered.state()
    jobs = [(numbered.path, tree, diff) for diff in diffs]
    alone = [apply_in_a_child(job) for job in jobs]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        together = pool.map(apply_in_a_child, jobs, chunksize=1)
    assert together == alone
    assert numbered.state() == before


# ---- the seed on a real kernel ----


@pytest.mark.kernel
def test_the_seed_goes_on_with_offsets(kernel: tuple[Repository, Scratch], seed: Path) -> None:
    repository, scratch = kernel
    series = make_series(mbox_diff(seed / "seed-v2.mbox"))
    tree = repository.tree_of(repository.resolve("v6.12"))
    result = apply_series(scratch, make_base(tree), series)
    assert result.state is ApplyState.APPLIED
    (patch,) = result.patches
    path = "virt/kvm/eventfd.c"
    assert patch.offsets == (Offset(path, 1, 1), Offset(path, 2, 1), Offset(path, 3, -50))
    assert not patch.three_way
    (change,) = scratch.diff_trees(tree, patch.tree or "")
    assert change.path == path
    assert (change.after or "").startswith(V2_BLOB)


@pytest.mark.kernel
def test_the_seed_twice_is_already_applied(kernel: tuple[Repository, Scratch], seed: Path) -> None:
    repository, scratch = kernel
    series = make_series(mbox_diff(seed / "seed-v2.mbox"))
    tree = repository.tree_of(repository.resolve("v6.12"))
    first = apply_series(scratch, make_base(tree), series)
    again = apply_series(scratch, make_base(first.patches[0].tree or ""), series)
    assert again.state is ApplyState.ALREADY_APPLIED
    assert again.patches[0].tree == first.patches[0].tree


@pytest.mark.kernel
def test_v2_goes_on_top_of_v1(kernel: tuple[Repository, Scratch], seed: Path) -> None:
    repository, scratch = kernel
    tree = repository.tree_of(repository.resolve("v6.12"))
    one = apply_series(scratch, make_base(tree), make_series(mbox_diff(seed / "seed-v1.mbox")))
    assert one.state is ApplyState.APPLIED
    two = make_series(mbox_diff(seed / "seed-v2.mbox"))
    result = apply_series(scratch, make_base(one.patches[0].tree or ""), two)
    assert result.state is ApplyState.APPLIED
    (patch,) = result.patches
    assert [hunk.hunk for hunk in patch.already] == [1, 2]
    assert [(offset.hunk) for offset in patch.offsets] == [3]
    path = "virt/kvm/eventfd.c"
    assert scratch.lookup(patch.tree or "", [path])[path].startswith(V2_BLOB)


@pytest.mark.kernel
def test_the_revert_of_v2_goes_on(kernel: tuple[Repository, Scratch], seed: Path) -> None:
    repository, scratch = kernel
    tree = repository.tree_of(repository.resolve("v6.12"))
    v2 = make_series(mbox_diff(seed / "seed-v2.mbox"))
    fixed = apply_series(scratch, make_base(tree), v2)
    after = fixed.patches[0].tree or ""
    revert = make_series(
        scratch.git("diff-tree", "-p", "--full-index", after, tree).stdout.decode()
    )
    result = apply_series(scratch, make_base(after), revert)
    assert result.state is ApplyState.APPLIED
    assert result.patches[0].tree == tree


@pytest.mark.kernel
def test_the_seed_as_given_is_repaired(
    kernel: tuple[Repository, Scratch], sample_patches: Path
) -> None:
    """The web archive's text goes on like the mail it was."""
    repository, scratch = kernel
    series = open_series(str(sample_patches / "seed-as-given.txt"))
    tree = repository.tree_of(repository.resolve("v6.12"))
    result = apply_series(scratch, make_base(tree), series)
    assert result.state is ApplyState.APPLIED
    (patch,) = result.patches
    assert patch.repaired
    assert patch.repair_proof
    posted = make_series(mbox_diff(sample_patches / "seed-v2.mbox"))
    wanted = apply_series(scratch, make_base(tree), posted)
    path = "virt/kvm/eventfd.c"
    lines, right = (
        read(scratch, each.patches[0].tree, path).splitlines() for each in (result, wanted)
    )
    # Two blanks after a full stop, in a comment, cannot be known from the tree.
    assert [line.replace(".  ", ". ") for line in lines] == [
        line.replace(".  ", ". ") for line in right
    ]
