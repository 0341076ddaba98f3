# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of a series through the rooms, without the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reviewbot.config_service import RemoteConfig
from reviewbot.errors import ExitStatus, TreeError, UsageError
from reviewbot.kernel.mirror import Mirror
from reviewbot.kernel.model import Application, ApplyState, Base, BaseHow, PrerequisiteState
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.locking.index import Settings
from reviewbot.locking.model import ChangeState, HazardKind, Verdict
from reviewbot.locking.primitives import builtin
from reviewbot.report.model import Review
from reviewbot.review import (
    Options,
    applied,
    review_on,
    review_range,
    review_series,
    settle_base,
)
from reviewbot.series.assemble import assemble
from reviewbot.series.model import Finding, Prerequisite, Reference, ReferenceKind, Series
from tests.support.program import DOMAIN, LOCK, SITES, Kernel

FILE = "virt/kvm/eventfd.c"
Edit = tuple[str, str, Callable[[str], str]]
"""A path, a commit message and a change of the file's text."""


@pytest.fixture(scope="module")
def options(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Options:
    """The kernel, and one cache for this module."""
    cache = tmp_path_factory.mktemp("cache")
    return Options(tree=kernel.path, settings=Settings(cache, builtin(), workers=1))


@pytest.fixture
def author(kernel: Kernel, tmp_path: Path) -> Kernel:
    """A clone of the kernel to write a series in."""
    kernel.git("clone", "-q", kernel.path, tmp_path / "author")
    return Kernel(tmp_path / "author")


def series_of(author: Kernel, *edits: Edit, start: str = "master") -> Series:
    """A commit for each edit, on top of ``start``, as the series its author would post."""
    author.git("checkout", "-q", "-B", "topic", f"origin/{start}")
    for path, message, change in edits:
        author.edit(path, message, change)
    return assemble(author.mails("--full-index", f"origin/{start}..topic"), wanted=None, source="x")


def seed(sample_patches: Path, name: str) -> Series:
    return assemble((sample_patches / name).read_bytes(), wanted=None, source=name)


def swap(old: str, new: str) -> Callable[[str], str]:
    """Replace the one place where a text occurs."""

    def change(text: str) -> str:
        assert text.count(old) == 1, text.count(old)
        return text.replace(old, new)

    return change


def append(line: str) -> Callable[[str], str]:
    return lambda text: f"{text}{line}\n"


def states(review: Review) -> dict[tuple[str, str], ChangeState]:
    (hazard,) = review.hazards
    return {(site.function, site.via): site.state for site in hazard.sites}


# A way to wait under the mutex, put in and taken out again.
WAIT = "\tlist_del_rcu(&resampler->link);\n\tsynchronize_srcu(&kvm->irq_srcu);\n"
NEW = f"""
void kvm_irqfd_forget(struct kvm *kvm, struct kvm_kernel_irqfd_resampler *resampler)
{{
	mutex_lock(&kvm->irqfds.resampler_lock);
{WAIT}	mutex_unlock(&kvm->irqfds.resampler_lock);
}}"""
ADD: Edit = (FILE, "KVM: irqfd: forget a resampler", append(NEW))
AWAY: Edit = (FILE, "KVM: irqfd: take that back", lambda text: text.replace(f"{NEW}\n", ""))
QUIET: Edit = (
    "virt/kvm/irqchip.c",
    "KVM: irqchip: start low",
    swap("\treturn init_srcu", "\tkvm->irq_level[0] = 0;\n\treturn init_srcu"),
)


def test_the_seed_is_removed(options: Options, sample_patches: Path) -> None:
    review = review_series(seed(sample_patches, "seed-v2.mbox"), options)
    assert review.verdict is Verdict.REMOVED
    assert review.exit_status is ExitStatus.OK
    assert states(review) == dict.fromkeys(SITES, ChangeState.REMOVED)
    (hazard,) = review.hazards
    assert hazard.kind is HazardKind.WORKER_POOL_CYCLE
    assert hazard.classes[:2] == (LOCK, DOMAIN)
    assert review.base is not None
    assert review.base.how is BaseHow.HEAD
    assert review.stats.files == 13


def test_a_base_option_wins(options: Options, kernel: Kernel, sample_patches: Path) -> None:
    review = review_series(seed(sample_patches, "seed-v2.mbox"), replace(options, base="v1"))
    assert review.base is not None
    assert review.base.commit == kernel.git("rev-parse", "v1").strip()
    assert states(review) == {("kvm_irqfd_assign", ""): ChangeState.REMOVED}


def test_each_site_knows_its_patch(options: Options, author: Kernel) -> None:
    review = review_series(series_of(author, QUIET, ADD), options)
    assert review.verdict is Verdict.INTRODUCED
    assert review.exit_status is ExitStatus.FINDINGS
    new = [
        (site.function, site.patch)
        for hazard in review.hazards
        for site in hazard.sites
        if site.state is ChangeState.INTRODUCED
    ]
    assert new == [("kvm_irqfd_forget", 2)]


def test_what_a_later_patch_takes_back_is_not_held_against_a_series(
    options: Options, author: Kernel
) -> None:
    review = review_series(series_of(author, ADD, QUIET, AWAY), options)
    assert review.verdict is Verdict.CLEAN
    assert review.exit_status is ExitStatus.OK
    assert review.application is not None
    assert [patch.state for patch in review.application.patches] == [ApplyState.APPLIED] * 3


def test_a_quiet_change_is_clean(options: Options, author: Kernel) -> None:
    review = review_series(series_of(author, QUIET), options)
    assert (review.verdict, review.hazards) == (Verdict.CLEAN, ())
    assert review.stats.changed_functions == 1


@pytest.mark.parametrize("path", ["Documentation/locking.rst", "tools/lib/lock.c", "Makefile"])
def test_what_is_no_kernel_source_needs_no_index(
    options: Options, author: Kernel, tmp_path: Path, path: str
) -> None:
    author.git("checkout", "-q", "-B", "topic", "origin/master")
    text = "int lock(void)\n{\n\tmutex_lock(&a);\n\tmutex_lock(&a);\n}\n"
    author.commit({path: text}, "docs: explain the locks")
    series = assemble(author.mails("origin/master..topic"), wanted=None, source="x")
    cache = tmp_path / "cache"
    options = replace(options, settings=Settings(cache, builtin(), workers=1))
    review = review_series(series, options)
    assert (review.verdict, review.hazards) == (Verdict.CLEAN, ())
    assert review.reason == "it changes no kernel C source"
    assert not cache.exists()


def beside_the_point(message: str) -> Edit:
    """A change of a hazard's function that does nothing about the hazard."""
    sync = "\t\tsynchronize_srcu_expedited(&kvm->irq_srcu);\n\n"
    return FILE, f"KVM: irqfd: {message}", swap(sync, f"{sync}\t\tkvm->irq_level[0] = 0;\n")


def test_a_claim_that_does_not_hold_is_told(options: Options, author: Kernel) -> None:
    series = series_of(author, beside_the_point("fix a deadlock in kvm_irqfd_assign()"))
    review = review_series(series, options)
    assert review.verdict is Verdict.NOT_REMOVED
    assert review.exit_status is ExitStatus.FINDINGS
    assert [hazard.state for hazard in review.hazards] == [ChangeState.REMAINING]


def test_what_was_there_before_is_no_finding_without_a_claim(
    options: Options, author: Kernel
) -> None:
    review = review_series(series_of(author, beside_the_point("tidy")), options)
    assert (review.verdict, review.exit_status) == (Verdict.CLEAN, ExitStatus.OK)


def test_the_cover_letter_may_make_the_claim(options: Options, author: Kernel) -> None:
    series = series_of(author, beside_the_point("tidy"))
    claimed = replace(series, cover_text="This fixes a lockdep splat in kvm_irqfd_assign().")
    assert review_series(claimed, options).verdict is Verdict.NOT_REMOVED


def test_a_conflict_in_a_later_patch_stops_the_series(options: Options, author: Kernel) -> None:
    series = series_of(author, QUIET, ADD, AWAY)
    stale = replace(series.patches[1], diff=series.patches[1].diff.replace("destroy_work", "end_w"))
    review = review_series(
        replace(series, patches=(series.patches[0], stale, series.patches[2])), options
    )
    assert review.verdict is Verdict.DOES_NOT_APPLY
    assert review.exit_status is ExitStatus.NOT_REVIEWABLE
    assert review.reason.startswith("patch 2 of 3 does not apply: ")
    assert (review.hazards, review.stats.files) == ((), 0)


def test_a_series_with_a_hole_is_reviewed_up_to_it(options: Options, author: Kernel) -> None:
    series = series_of(author, QUIET, ADD, AWAY)
    holed = replace(series, patches=(series.patches[0], series.patches[2]), missing=(2,))
    review = review_series(holed, options)
    assert review.verdict is Verdict.CLEAN
    assert review.reason.startswith(
        "only patch 1 was looked at, as patch 2 of 3 did not arrive: nothing "
    )
    assert review.application is not None
    assert review.application.state is ApplyState.MISSING_PATCH


def test_what_the_patches_before_the_hole_do_is_told(options: Options, author: Kernel) -> None:
    series = series_of(author, QUIET, ADD, AWAY)
    review = review_series(replace(series, patches=series.patches[:2], missing=(3,)), options)
    whole = review_series(replace(series, patches=series.patches[:2], expected=2), options)
    assert review.hazards == whole.hazards
    assert review.verdict is whole.verdict
    assert review.reason.startswith("only patches 1 to 2 were looked at, as patch 3 of 3 did")


def test_a_series_without_its_first_patch_is_not_reviewed(options: Options, author: Kernel) -> None:
    series = series_of(author, QUIET, ADD)
    review = review_series(replace(series, patches=series.patches[1:], missing=(1,)), options)
    assert review.verdict is Verdict.NOT_REVIEWABLE
    assert review.reason == "patch 1 of 2 did not arrive"


def test_a_refused_patch_says_why(options: Options, author: Kernel) -> None:
    series = series_of(author, QUIET)
    diff = series.patches[0].diff.replace("virt/kvm/irqchip.c", "virt/../../irqchip.c")
    review = review_series(
        replace(series, patches=(replace(series.patches[0], diff=diff),)), options
    )
    assert review.verdict is Verdict.NOT_REVIEWABLE
    assert review.reason.startswith("patch 1 of 1 is refused: ")


def test_already_applied(options: Options, sample_patches: Path) -> None:
    review = review_series(seed(sample_patches, "seed-v2.mbox"), replace(options, base="v2"))
    assert review.verdict is Verdict.DOES_NOT_APPLY
    assert review.reason == "already applied: the tree has these changes"


def test_a_range_is_tried_where_it_starts(options: Options, kernel: Kernel) -> None:
    review = review_range("v2..revert", options)
    assert review.verdict is Verdict.INTRODUCED
    assert states(review) == dict.fromkeys(SITES, ChangeState.INTRODUCED)
    assert review.base is not None
    assert review.base.commit == kernel.git("rev-parse", "v2").strip()
    assert "asked for" not in review.base.why
    assert review.series.source == "v2..revert"


def test_a_range_may_be_tried_elsewhere(options: Options, kernel: Kernel) -> None:
    review = review_range("master..v2", replace(options, base="v1"))
    assert review.base is not None
    assert review.base.commit == kernel.git("rev-parse", "v1").strip()
    assert states(review) == {("kvm_irqfd_assign", ""): ChangeState.REMOVED}


def test_progress_is_told_to_who_asks(options: Options, sample_patches: Path, home: Path) -> None:
    stages: list[str] = []
    fresh = Settings(home / "fresh", builtin(), workers=1)
    asked = replace(options, settings=fresh, progress=lambda stage, *_: stages.append(stage))
    review = review_series(seed(sample_patches, "seed-v1.mbox"), asked)
    assert review.verdict is Verdict.PARTIALLY_REMOVED
    assert stages


def test_the_same_review_twice_is_the_same(options: Options, sample_patches: Path) -> None:
    series = seed(sample_patches, "seed-v1.mbox")
    one, two = (review_series(series, options).to_dict() for _ in range(2))
    for review in (one, two):
        review["stats"].pop("seconds")
    assert one == two


def tried(series: Series, base: Base, options: Options) -> Application:
    """The second step, as a process of its own takes it."""
    with (
        Repository.open(options.tree, options.mirror) as repository,
        Scratch(repository) as scratch,
    ):
        return applied(repository, scratch, series, base, options)


def posted(value: Any) -> Any:
    """A value as another process receives it."""
    return msgspec.json.decode(msgspec.json.encode(value), type=type(value))


@pytest.mark.parametrize("name", ["seed-v1.mbox", "seed-v2.mbox"])
@pytest.mark.parametrize("base", [None, "v2"])
def test_the_steps_apart_give_the_same_review(
    options: Options, sample_patches: Path, name: str, base: str | None
) -> None:
    options = replace(options, base=base)
    series = posted(seed(sample_patches, name))
    settled = posted(settle_base(series, options))
    application = posted(tried(series, settled, options))
    assert (type(settled), type(application)) == (Base, Application)
    apart = posted(review_on(series, settled, options, application)).to_dict()
    whole = review_series(series, options).to_dict()
    for review in (apart, whole):
        review["stats"].pop("seconds")
    assert apart == whole


BELOW: Edit = (
    "virt/kvm/irqchip.c",
    "KVM: irqchip: start high",
    swap("\tkvm->irq_level[0] = 0;", "\tkvm->irq_level[0] = 1;"),
)
"""A change of what QUIET brought."""


def test_steps_with_prerequisites(options: Options, author: Kernel) -> None:
    quiet, upper = series_of(author, QUIET, BELOW).patches
    reference = Reference(ReferenceKind.PATCH_ID, "1" * 40)
    found = Prerequisite(reference, Finding.FOUND, (quiet,), "below", "b@example.org")
    series = posted(replace(series_of(author, ADD), patches=(upper,), depends_on=(reference,)))
    assert review_series(series, options).verdict is Verdict.DOES_NOT_APPLY
    options = replace(options, prerequisites=(posted(found),))
    base = posted(settle_base(series, options))
    application = posted(tried(series, base, options))
    assert application.state is ApplyState.APPLIED
    assert application.start != base.tree
    assert [each.state for each in application.prerequisites] == [PrerequisiteState.APPLIED]
    review = review_on(series, base, options, application)
    assert (review.verdict, review.stats.changed_functions) == (Verdict.CLEAN, 1)


def test_what_a_prerequisite_does_is_not_the_series_merit(
    options: Options, author: Kernel, sample_patches: Path
) -> None:
    fix = seed(sample_patches, "seed-v2.mbox").patches
    reference = Reference(ReferenceKind.MESSAGE_ID, "fix@example.org")
    options = replace(options, prerequisites=(Prerequisite(reference, Finding.FOUND, fix),))
    assert review_series(series_of(author, QUIET), options).hazards == ()


def test_a_conflict_goes_through_the_steps(options: Options, author: Kernel) -> None:
    series = posted(series_of(author, QUIET, BELOW))
    series = replace(series, patches=series.patches[1:], expected=1)
    author.git("branch", "with-quiet", "topic~1")
    options = replace(options, tree=author.path, base="origin/master")
    base = settle_base(series, options)
    application = posted(tried(series, base, options))
    review = review_on(series, base, options, application)
    assert review.verdict is Verdict.DOES_NOT_APPLY
    assert application.conflict is not None
    assert application.conflict.path == "virt/kvm/irqchip.c"
    assert application.conflict.applies_to == "with-quiet"


def test_a_lists_branch_may_be_a_remotes(options: Options, author: Kernel, tmp_path: Path) -> None:
    series = series_of(author, QUIET, BELOW)
    upper = replace(series, patches=series.patches[1:], expected=1)
    author.git("branch", "next", "topic~1")
    mirror = Mirror(tmp_path / "state", options.tree, {"kvm": RemoteConfig(author.path.as_uri())})
    assert [each.error for each in mirror.refresh()] == [""]
    options = replace(options, branch="kvm/next", mirror=mirror)
    base = posted(settle_base(upper, options))
    assert (base.describe, base.how) == ("kvm/next", BaseHow.BLOBS)
    application = posted(tried(upper, base, options))
    assert review_on(upper, base, options, application).verdict is Verdict.CLEAN
    other = replace(upper, patches=(replace(upper.patches[0], blobs=()),))
    assert settle_base(other, options).how is BaseHow.BRANCH


def test_what_is_not_there_is_an_error(options: Options, sample_patches: Path) -> None:
    series = seed(sample_patches, "seed-v2.mbox")
    with pytest.raises(TreeError, match="/nowhere/linux does not exist"):
        review_series(series, replace(options, tree=Path("/nowhere/linux")))
    with pytest.raises(TreeError, match=r"'v9\.99' names no commit"):
        review_series(series, replace(options, base="v9.99"))
    with pytest.raises(UsageError, match="is not a range"):
        review_range("v2", options)
