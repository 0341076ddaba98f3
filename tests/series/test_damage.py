# SPDX-License-Identifier: GPL-2.0-or-later
"""Damage done to real diffs, undone, and compared with what git makes of the intact ones."""

from __future__ import annotations

import difflib
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from hashlib import sha1
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewbot.errors import DamagedPatch
from reviewbot.series import diffs
from reviewbot.series.damage import Repair, detect, repair
from reviewbot.series.model import DamageKind
from tests.series.test_indent import KERNEL_STYLE

PATH = "virt/kvm/eventfd.c"


def git_apply(diff: str, files: dict[str, str]) -> dict[str, str]:
    """What git makes of the files; raises CalledProcessError if it refuses the diff."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        subprocess.run(
            ["git", "apply", "-"],
            input=diff.encode(),
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": folder},
            capture_output=True,
            check=True,
        )
        found = (path for path in Path(folder).rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_text() for path in found}


def blob(text: str) -> str:
    data = text.encode()
    return sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()[:12]


def changed(line: str) -> bool:
    return line[:1] in ("+", "-") and not line.startswith(("+++ ", "--- "))


# ---- mail paths that damage, as seen in the wild ----


def squeeze(diff: str) -> str:
    """A web archive: every run of blanks is one, those at line ends are none."""
    return "\n".join(re.sub(r"[ \t]+", " ", line).strip() for line in diff.split("\n"))


def squeeze_and_drop_blank_lines(diff: str) -> str:
    return "".join(f"{line}\n" for line in squeeze(diff).split("\n") if line)


def strip(diff: str) -> str:
    """All leading blanks gone, also behind + and -."""
    return "\n".join(
        line[0] + line[1:].lstrip() if changed(line) else line.lstrip() for line in diff.split("\n")
    )


def strip_line_starts(diff: str) -> str:
    return "\n".join(line.lstrip() for line in diff.split("\n"))


def expand(diff: str) -> str:
    """A terminal's copy: tab stops counted with the first character."""
    return diff.expandtabs(8)


def expand_text(diff: str) -> str:
    return "\n".join(line[:1] + line[1:].expandtabs(8) for line in diff.split("\n"))


def expand_to_four(diff: str) -> str:
    return "\n".join(line[:1] + line[1:].expandtabs(4) for line in diff.split("\n"))


def wrap(diff: str, columns: int = 40) -> str:
    """A mail client that breaks long lines at a blank."""
    out = []
    for line in diff.split("\n"):
        rest = line
        while len(rest) > columns and not rest.startswith(("--- ", "+++ ")):
            at = rest.rfind(" ", 0, columns)
            if at <= 0 or not rest[:at].strip(" +-\t"):
                break
            out.append(rest[:at])
            rest = rest[at + 1 :]
        out.append(rest)
    return "\n".join(out)


PATHS: list[tuple[Callable[[str], str], DamageKind]] = [
    (squeeze, DamageKind.LEADING_SPACE_LOST),
    (squeeze_and_drop_blank_lines, DamageKind.LEADING_SPACE_LOST),
    (strip, DamageKind.LEADING_SPACE_LOST),
    (strip_line_starts, DamageKind.LEADING_SPACE_LOST),
    (expand, DamageKind.TABS_EXPANDED),
    (expand_text, DamageKind.TABS_EXPANDED),
    (expand_to_four, DamageKind.TABS_EXPANDED),
    (wrap, DamageKind.LINES_WRAPPED),
]
ids = [path.__name__ for path, _ in PATHS]


# ---- the seed ----


def preimage_of(diff: str) -> str:
    """A file that a diff applies to: its old lines where it says, unlike lines elsewhere."""
    lines: list[str] = []
    for hunk in diffs.parse(diff)[0].hunks:
        while len(lines) < hunk.old_start - 1:
            lines.append(f"/* line {len(lines)} */")
        lines += [line[1:] for line in hunk.lines if line[:1] != "+"]
    return "".join(f"{line}\n" for line in lines)


@pytest.fixture(scope="session")
def given_diff(seed: Path) -> str:
    return diffs.extract((seed / "seed-as-given.txt").read_text())


@pytest.fixture(scope="session")
def posted_diff(seed: Path) -> str:
    return diffs.extract((seed / "seed-v2.mbox").read_text())


def test_the_seed_is_recognised(given_diff: str, posted_diff: str) -> None:
    damage = detect(given_diff)
    assert damage is not None
    assert damage.kinds == (DamageKind.LEADING_SPACE_LOST,)
    assert detect(posted_diff) is None


def test_the_seed_is_repaired(given_diff: str, posted_diff: str) -> None:
    before = preimage_of(posted_diff)
    repaired = repair(given_diff, {PATH: before}.get)
    assert repaired.kinds == (DamageKind.LEADING_SPACE_LOST,)
    assert repaired.proof == (
        "all 34 context and removed lines were found at one place, in order; "
        "white space of added lines was rebuilt"
    )
    # The archive squeezed two blanks after a full stop, which nothing else tells.
    assert git_apply(repaired.diff, {PATH: before}) == git_apply(
        posted_diff.replace(".  ", ". "), {PATH: before}
    )


def test_the_seed_on_its_own_base_is_proved_by_the_blob(given_diff: str, posted_diff: str) -> None:
    before = preimage_of(posted_diff)
    after = git_apply(posted_diff, {PATH: before})[PATH]
    index = f"index {blob(before)}..{blob(after)} 100644"
    damaged = re.sub(r"^index .*$", index, given_diff, flags=re.MULTILINE)
    repaired = repair(damaged, {PATH: before}.get)
    assert repaired.proof == f"post-image blob {blob(after)} reproduced"
    assert git_apply(repaired.diff, {PATH: before})[PATH] == after


def test_a_blob_that_does_not_come_out_is_not_claimed(given_diff: str, posted_diff: str) -> None:
    before = preimage_of(posted_diff)
    index = f"index {blob(before)}..{'0' * 11}1 100644"
    damaged = re.sub(r"^index .*$", index, given_diff, flags=re.MULTILINE)
    assert "reproduced" not in repair(damaged, {PATH: before}.get).proof


@pytest.mark.kernel
def test_the_seed_on_debians_tree(kernel_tree: Path, given_diff: str, posted_diff: str) -> None:
    before = (kernel_tree / PATH).read_text()
    assert blob(before) == "c9c9ccdb0e7e"
    after = git_apply(repair(given_diff, {PATH: before}.get).diff, {PATH: before})[PATH]
    posted = git_apply(posted_diff, {PATH: before})[PATH]
    assert blob(posted) == "bf21a6850f72"
    assert after.split() == posted.split()
    assert after == posted.replace("_lock.  Holding", "_lock. Holding").replace(
        "live.  Moving", "live. Moving"
    )


# ---- every mail path ----


def unified(before: str, after: str, name: str = "frob.c") -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(lines)


EDITED = (
    KERNEL_STYLE.replace("\tint ret = a_function", "\tbool last = false;\n\tint ret = a_function")
    .replace(
        "\t\tret = 3;\n",
        "\t\tret = 3;\n\n\tif (last && a_condition_that_is_long(frob)) {\n\t\tret = 9;\n\t}\n",
    )
    .replace("\t\tret++;\n", "\t\tret += 2;\n\t\t/*\n\t\t * Twice as fast.\n\t\t */\n")
    .replace(
        "\tmutex_unlock(&frob_lock);\n\treturn ret;\n",
        "\tmutex_unlock(&frob_lock);\n\n\treturn ret;\n",
    )
)


@pytest.mark.parametrize(("path", "kind"), PATHS, ids=ids)
def test_every_mail_path(path: Callable[[str], str], kind: DamageKind) -> None:
    diff = unified(KERNEL_STYLE, EDITED)
    damaged = path(diff)
    with pytest.raises(subprocess.CalledProcessError):
        git_apply(damaged, {"frob.c": KERNEL_STYLE})
    repaired = repair(diffs.extract(damaged), {"frob.c": KERNEL_STYLE}.get)
    assert kind in repaired.kinds
    assert git_apply(repaired.diff, {"frob.c": KERNEL_STYLE}) == {"frob.c": EDITED}


def test_an_intact_diff_comes_out_as_it_was() -> None:
    diff = unified(KERNEL_STYLE, EDITED)
    assert detect(diff) is None
    assert repair(diff, {"frob.c": KERNEL_STYLE}.get) == Repair(
        diff, (), repair(diff, {"frob.c": KERNEL_STYLE}.get).proof
    )


def test_a_moved_line_is_indented_for_its_new_place() -> None:
    block = "\tif (a) {\n\t\tlock();\n{inside}\t}\n{below}\treturn 0;\n"
    inside, below = "\t\tmoved(one,\n\t\t      two);\n", "\tmoved(one,\n\t      two);\n"
    before = "int f(void)\n{\n" + block.replace("{inside}", inside).replace("{below}", "") + "}\n"
    after = "int f(void)\n{\n" + block.replace("{inside}", "").replace("{below}", below) + "}\n"
    for path in (squeeze, strip):
        repaired = repair(path(unified(before, after)), {"frob.c": before}.get)
        assert git_apply(repaired.diff, {"frob.c": before}) == {"frob.c": after}


def test_several_files_and_a_new_one() -> None:
    new = "int f(void)\n{\n\treturn 0;\n}\n"
    diff = unified(KERNEL_STYLE, EDITED, "a.c") + unified(KERNEL_STYLE, EDITED, "b.c")
    added = "".join(f"+{line}" for line in new.splitlines(keepends=True))
    diff += f"--- /dev/null\n+++ b/new.c\n@@ -0,0 +1,4 @@\n{added}"
    files = {"a.c": KERNEL_STYLE, "b.c": KERNEL_STYLE}
    repaired = repair(squeeze(diff), files.get)
    assert git_apply(repaired.diff, files) == {"a.c": EDITED, "b.c": EDITED, "new.c": new}


def test_a_new_file_alone_is_recognised() -> None:
    diff = "--- /dev/null\n+++ b/new.c\n@@ -0,0 +1,4 @@\n+int f(void)\n+{\n+return 0;\n+}\n"
    damage = detect(diff)
    assert damage is not None
    assert "+\treturn 0;\n" in repair(diff, dict[str, str]().get).diff


def test_what_is_not_damaged() -> None:
    """Space-indented scripts and empty context lines without their blank are common."""
    assert detect(unified("a:\n    b\n    c\n", "a:\n    b\n    d\n", "x.py")) is None
    assert detect("--- a/x.c\n+++ b/x.c\n@@ -1,3 +1,3 @@\n int a;\n\n-int b;\n+int c;\n") is None


# ---- refusals ----

TWICE = "int f(void)\n{\n\ta();\n\tb();\n}\n\nint g(void)\n{\n\ta();\n\tb();\n}\n"
HUNK = "--- a/frob.c\n+++ b/frob.c\n@@ -{at},3 +{at},3 @@{section}\n{{\n-a();\n+c();\nb();\n"


def test_two_places_are_refused() -> None:
    with pytest.raises(DamagedPatch, match=r"hunk at line 20 of frob.c .* 2 places") as caught:
        repair(HUNK.format(at=20, section=""), {"frob.c": TWICE}.get)
    assert caught.value.exit_status == 3


@pytest.mark.parametrize(("at", "section"), [(8, ""), (20, " int g(void)")])
def test_the_line_or_the_function_decides(at: int, section: str) -> None:
    repaired = repair(HUNK.format(at=at, section=section), {"frob.c": TWICE}.get)
    after = git_apply(repaired.diff.replace(f"-{at},3 +{at},3", "-8,3 +8,3"), {"frob.c": TWICE})
    assert after["frob.c"] == TWICE[:37].replace("c()", "a()") + TWICE[37:].replace("a()", "c()")


def test_a_line_that_could_be_added_or_context_is_refused() -> None:
    before = "int x[] = {\n+ 1,\n+ 1,\n};\n"
    diff = "--- a/x.c\n+++ b/x.c\n@@ -1,4 +1,5 @@\nint x[] = {\n+ 1,\n+ 1,\n+ 1,\n};\n"
    with pytest.raises(DamagedPatch, match="read in two ways"):
        repair(diff, {"x.c": before}.get)


@pytest.mark.parametrize(
    ("diff", "words"),
    [
        ("--- a/no.c\n+++ b/no.c\n@@ -1 +1 @@\n-a\n+b\n", "no.c, which is not in the tree"),
        (
            "--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\nint q;\n-a\n+b\n",
            "not in that file in this order",
        ),
        ("--- a/x.c\n+++ b/x.c\n@@ -1,9 +1,9 @@\nint a;\n", "not in that file in this order"),
    ],
)
def test_what_does_not_fit_is_refused(diff: str, words: str) -> None:
    with pytest.raises(DamagedPatch, match=words):
        repair(diff, {"x.c": "int a;\nint b;\n"}.get)


def test_hunks_out_of_order_are_refused() -> None:
    before = "".join(f"line{n}\n" for n in range(30))
    diff = "--- a/x.c\n+++ b/x.c\n"
    for at in (20, 5):
        diff += f"@@ -{at},2 +{at},2 @@\nline{at - 1}\n-line{at}\n+new{at}\n"
    with pytest.raises(DamagedPatch, match="before the hunk above"):
        repair(diff, {"x.c": before}.get)


def test_white_space_with_a_meaning_is_refused() -> None:
    before = "def f():\n    if a:\n        b()\n    return 1\n"
    diff = squeeze(unified(before, before.replace("b()", "c()"), "x.py"))
    with pytest.raises(DamagedPatch, match="has a meaning"):
        repair(diff, {"x.py": before}.get)


def test_a_hunk_made_to_match_everywhere_ends() -> None:
    before = "x\n" * 20_000
    body = "x\n" * 300 + "-x\n" * 300 + "+x\n" * 300
    with pytest.raises(DamagedPatch):
        repair(f"--- a/x.c\n+++ b/x.c\n@@ -9,600 +9,600 @@\n{body}", {"x.c": before}.get)


# ---- never a wrong token ----

_LINES = KERNEL_STYLE.split("\n")[:-1]
_POOL = [
    "\tret = 7;",
    "\tmutex_lock(&frob_lock);",
    "",
    "\t\tbreak;",
    "/* why */",
    "- odd",
    "+ odd",
    "\tgoto out;",
]


@st.composite
def edits(draw: st.DrawFn) -> str:
    """The source with lines added, removed and doubled."""
    lines = list(_LINES)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.integers(0, 2)):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, draw(st.sampled_from(_POOL)))
            case _:
                lines[at : at + 1] = [lines[at], draw(st.sampled_from(_LINES))]
    return "".join(f"{line}\n" for line in lines)


@settings(max_examples=150)
@given(before=edits(), after=edits(), path=st.sampled_from([path for path, _ in PATHS]))
def test_a_repair_is_never_wrong(before: str, after: str, path: Callable[[str], str]) -> None:
    diff = unified(before, after)
    damaged = diffs.extract(path(diff))
    if not diff or not damaged.strip():
        return
    try:
        repaired = repair(damaged, {"frob.c": before}.get)
    except DamagedPatch as refusal:
        assert "\n" not in str(refusal)
        return
    got = git_apply(repaired.diff, {"frob.c": before})["frob.c"]
    assert words(got) == words(after)


def words(text: str) -> Sequence[str]:
    return text.split()
