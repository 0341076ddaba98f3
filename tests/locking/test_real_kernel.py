# SPDX-License-Identifier: GPL-2.0-or-later
"""The seed's series on Debian's 6.12, as posted and with every name of it another.

Everything here shares one index of the kernel, which takes minutes to make.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reviewbot.kernel.apply import apply_series
from reviewbot.kernel.base import choose_base
from reviewbot.kernel.model import ApplyState, Base, BaseHow
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.locking import frameworks
from reviewbot.locking.compare import compare
from reviewbot.locking.index import Settings, is_source
from reviewbot.locking.model import ChangeState, Comparison, Grade, Hazard, HazardKind, Verdict
from reviewbot.locking.primitives import builtin
from reviewbot.locking.trees import Trees
from reviewbot.series.model import Series
from reviewbot.series.open import open_series
from tests.support.program import only_one

pytestmark = [pytest.mark.kernel, pytest.mark.xdist_group("kernel-index")]

LOCK, DOMAIN = "struct kvm.irqfds.resampler_lock", "struct kvm.irq_srcu"
FILE = "virt/kvm/eventfd.c"
SITES = {
    ("irqfd_resampler_shutdown", ""),
    ("irqfd_resampler_shutdown", "kvm_unregister_irq_ack_notifier"),
    ("kvm_irqfd_assign", ""),
}
NAMES = {
    "resampler_lock": "coupler_mutex",
    "irq_srcu": "route_gate",
    "kvm_irqfd_assign": "kvm_bell_bind",
    "irqfd_resampler_shutdown": "bell_coupler_close",
    "irqfd_shutdown": "bell_close",
    "kvm_unregister_irq_ack_notifier": "kvm_drop_ack_watcher",
    "irqfd_cleanup_wq": "bell_closing_wq",
    "kvm_kernel_irqfd": "kvm_kernel_bell",
    "irqfds": "bells",
}
NEW_FILE = "virt/kvm/bell.c"
_WORDS = re.compile(r"\b(" + "|".join(NAMES) + r")\b")


def other_names(text: str) -> str:
    return _WORDS.sub(lambda match: NAMES[match[1]], text).replace(FILE, NEW_FILE)


@dataclass
class Desk:
    """A repository opened for review, and the shared index."""

    scratch: Scratch
    base: Base
    settings: Settings
    cache: Path

    def series(self, path: Path) -> Series:
        return open_series(str(path))

    def after(self, base: Base, series: Series) -> str:
        """The tree after the whole series."""
        done = apply_series(self.scratch, base, series)
        assert done.state is ApplyState.APPLIED
        tree = done.patches[-1].tree
        assert tree is not None
        return tree

    def on(self, tree: str) -> Base:
        return replace(self.base, tree=tree, how=BaseHow.OPTION)

    def compare(self, before: str, *after: str) -> Comparison:
        files = {
            change.path
            for change in self.scratch.diff_trees(before, after[-1])
            if is_source(change.path)
        }
        with only_one(self.cache), Trees(self.scratch, self.settings) as trees:
            return compare(trees.views(before, after), files, "KVM: fix deadlock in irqfd")

    def review(self, series: Series, base: Base | None = None) -> Comparison:
        base = base or self.base
        return self.compare(base.tree, self.after(base, series))


@pytest.fixture(scope="module")
def desk(kernel_tree: Path, shared_cache: Path, sample_patches: Path) -> Iterator[Desk]:
    series = open_series(str(sample_patches / "seed-v2.mbox"))
    with Repository.open(kernel_tree) as repository, Scratch(repository) as scratch:
        base = choose_base(repository, series, "v6.12")
        yield Desk(scratch, base, Settings(shared_cache, builtin()), shared_cache)


def the_hazard(comparison: Comparison) -> Hazard:
    (hazard,) = comparison.hazards
    assert hazard.kind is HazardKind.WORKER_POOL_CYCLE
    assert hazard.grade is Grade.CONDITIONAL
    return hazard


def sites(hazard: Hazard) -> dict[tuple[str, str], str]:
    return {(site.function, site.via): site.state.value for site in hazard.sites}


def test_the_kernel_has_what_frameworks_are_said_to_call(desk: Desk) -> None:
    with Trees(desk.scratch, desk.settings) as trees:
        (view,) = trees.views(desk.base.tree, [])
        for member, entry in frameworks.builtin().members():
            if member.startswith("argument "):
                assert view.store.shared(member.split()[-1].removesuffix("()")), member
                continue
            tag, _, field = member.rpartition(".")
            fields = {name for ref in view.store.structs(tag) for name in ref.fields}
            assert fields or tag == "struct *", member
            assert field == "*" or field in fields or tag == "struct *", member
            for held in entry.held:
                taken = [r for r in view.store.shared(held) if r.effects and r.effects.acquires]
                assert taken or held in builtin() or view.node(held) is not None, (member, held)


def test_v2_removes_all_three_sites(desk: Desk, sample_patches: Path) -> None:
    comparison = desk.review(desk.series(sample_patches / "seed-v2.mbox"))
    hazard = the_hazard(comparison)
    assert comparison.verdict is Verdict.REMOVED
    assert hazard.classes == (LOCK, DOMAIN)
    assert sites(hazard) == dict.fromkeys(SITES, "removed")
    assert {site.file for site in hazard.sites} == {FILE}
    assert "irqfd_cleanup_wq" in hazard.condition or "irqfd_cleanup_wq" in hazard.summary
    for site in hazard.sites:
        assert site.before is not None
        (closing,) = site.before.closing
        assert closing.context.startswith("work item struct kvm_kernel_irqfd.shutdown")
        assert [step.function for step in closing.steps] == [
            "irqfd_shutdown",
            "irqfd_resampler_shutdown",
        ]
        assert site.before.chain[-1].lock == DOMAIN
        assert site.before.chain[-1].what.startswith("synchronize_srcu")


def test_the_seed_as_given_says_the_same(desk: Desk, sample_patches: Path) -> None:
    given = desk.review(desk.series(sample_patches / "seed-as-given.txt"))
    posted = desk.review(desk.series(sample_patches / "seed-v2.mbox"))
    assert given.verdict is posted.verdict
    assert given.hazards == posted.hazards


def test_v1_leaves_a_site(desk: Desk, sample_patches: Path) -> None:
    comparison = desk.review(desk.series(sample_patches / "seed-v1.mbox"))
    assert comparison.verdict is Verdict.PARTIALLY_REMOVED
    expected = dict.fromkeys(SITES, "removed") | {("kvm_irqfd_assign", ""): "remaining"}
    assert sites(the_hazard(comparison)) == expected


def test_v2_on_top_of_v1_removes_the_last_site(desk: Desk, sample_patches: Path) -> None:
    v1 = desk.on(desk.after(desk.base, desk.series(sample_patches / "seed-v1.mbox")))
    comparison = desk.review(desk.series(sample_patches / "seed-v2.mbox"), v1)
    assert comparison.verdict is Verdict.REMOVED
    assert sites(the_hazard(comparison)) == {("kvm_irqfd_assign", ""): "removed"}


def test_the_revert_introduces_all_three(desk: Desk, sample_patches: Path) -> None:
    after = desk.after(desk.base, desk.series(sample_patches / "seed-v2.mbox"))
    comparison = desk.compare(after, desk.base.tree)
    assert comparison.verdict is Verdict.INTRODUCED
    hazard = the_hazard(comparison)
    assert hazard.state is ChangeState.INTRODUCED
    assert sites(hazard) == dict.fromkeys(SITES, "introduced")


def test_v1_then_v2_as_one_series(desk: Desk, sample_patches: Path) -> None:
    """Each site is told by the patch that removed it."""
    v1 = desk.after(desk.base, desk.series(sample_patches / "seed-v1.mbox"))
    v2 = desk.after(desk.base, desk.series(sample_patches / "seed-v2.mbox"))
    hazard = the_hazard(desk.compare(desk.base.tree, v1, v2))
    assert {(site.function, site.via): site.patch for site in hazard.sites} == {
        ("irqfd_resampler_shutdown", ""): 1,
        ("irqfd_resampler_shutdown", "kvm_unregister_irq_ack_notifier"): 1,
        ("kvm_irqfd_assign", ""): 2,
    }


def test_v2_where_it_is_already(desk: Desk, sample_patches: Path) -> None:
    series = desk.series(sample_patches / "seed-v2.mbox")
    done = apply_series(desk.scratch, desk.on(desk.after(desk.base, series)), series)
    assert done.state is ApplyState.ALREADY_APPLIED


def test_the_kernel_against_itself_is_clean(desk: Desk) -> None:
    comparison = desk.compare(desk.base.tree, desk.base.tree)
    assert (comparison.verdict, comparison.hazards) == (Verdict.CLEAN, ())


# ---- every name another ----


def _git(git_dir: Path, *args: str, data: bytes = b"", ok: tuple[int, ...] = (0,)) -> bytes:
    done = subprocess.run(
        ["git", "--git-dir", str(git_dir), *args],
        input=data,
        capture_output=True,
        check=False,
        env={**os.environ, "GIT_INDEX_FILE": str(git_dir / "other-index")},
    )
    assert done.returncode in ok, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def renamed(kernel_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernel with the seed's file, functions, lock and SRCU domain renamed throughout.

    A bare repository that borrows the kernel's objects: only what changes is written.
    """
    git_dir = tmp_path_factory.mktemp("renamed") / "linux.git"
    subprocess.run(["git", "init", "-q", "--bare", str(git_dir)], check=True, capture_output=True)
    objects = kernel_tree / ".git" / "objects"
    (git_dir / "objects" / "info" / "alternates").write_text(f"{objects}\n")
    head = subprocess.run(
        ["git", "-C", str(kernel_tree), "rev-parse", "v6.12^{commit}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    _git(git_dir, "read-tree", head)
    words = [option for name in NAMES for option in ("-e", name)]
    found = _git(git_dir, "grep", "-l", "-w", "-z", *words, head, "--", "*.c", "*.h", ok=(0, 1))
    lines: list[str] = []
    for entry in found.decode().split("\0"):
        if not entry:
            continue
        path = entry.partition(":")[2]
        text = _git(git_dir, "cat-file", "blob", f"{head}:{path}").decode("latin-1")
        data = other_names(text).encode("latin-1")
        blob = _git(git_dir, "hash-object", "-w", "--stdin", data=data).decode().strip()
        if path == FILE:
            lines.append(f"0 {'0' * 40}\t{FILE}")
            path = NEW_FILE
        lines.append(f"100644 {blob}\t{path}")
    assert any(NEW_FILE in line for line in lines)
    _git(git_dir, "update-index", "--index-info", data=("\n".join(lines) + "\n").encode())
    tree = _git(git_dir, "write-tree").decode().strip()
    who = ["-c", "user.name=A U Thor", "-c", "user.email=author@example.org"]
    commit = _git(git_dir, *who, "commit-tree", "-m", "other names", tree).decode().strip()
    _git(git_dir, "update-ref", "refs/heads/master", commit)
    _git(git_dir, "symbolic-ref", "HEAD", "refs/heads/master")
    return git_dir


@pytest.fixture(scope="module")
def other_desk(
    renamed: Path, desk: Desk, shared_cache: Path, sample_patches: Path
) -> Iterator[Desk]:
    desk.compare(desk.base.tree, desk.base.tree)  # the store that this tree is near to
    series = open_series(str(sample_patches / "seed-v2.mbox"))
    with Repository.open(renamed) as repository, Scratch(repository) as scratch:
        base = choose_base(repository, series, "master")
        yield Desk(scratch, base, Settings(shared_cache, builtin()), shared_cache)


def other_series(tmp_path: Path, mbox: Path) -> Path:
    path = tmp_path / mbox.name
    path.write_text(other_names(mbox.read_text()))
    return path


def test_no_name_of_the_seed_is_left(renamed: Path) -> None:
    words = [option for name in NAMES for option in ("-e", name)]
    assert _git(renamed, "grep", "-l", "-w", *words, "master", "--", "*.c", "*.h", ok=(0, 1)) == b""


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_other_names_same_verdict(
    desk: Desk, other_desk: Desk, sample_patches: Path, tmp_path: Path, version: str
) -> None:
    mbox = sample_patches / f"seed-{version}.mbox"
    plain = desk.review(desk.series(mbox))
    other = other_desk.review(other_desk.series(other_series(tmp_path, mbox)))
    assert other.verdict is plain.verdict
    before, after = the_hazard(plain), the_hazard(other)
    assert after.classes == tuple(other_names(name) for name in before.classes)
    assert after.state is before.state
    assert {(s.file, s.function, s.via, s.state) for s in after.sites} == {
        (NEW_FILE, other_names(s.function), other_names(s.via), s.state) for s in before.sites
    }
    assert after.summary == other_names(before.summary)
    assert after.condition == other_names(before.condition)


def test_other_names_reverted(other_desk: Desk, sample_patches: Path, tmp_path: Path) -> None:
    series = other_desk.series(other_series(tmp_path, sample_patches / "seed-v2.mbox"))
    comparison = other_desk.compare(other_desk.after(other_desk.base, series), other_desk.base.tree)
    assert comparison.verdict is Verdict.INTRODUCED
    assert sites(the_hazard(comparison)) == {
        (other_names(function), other_names(via)): "introduced" for function, via in SITES
    }
