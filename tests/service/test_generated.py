# SPDX-License-Identifier: GPL-2.0-or-later
"""The generated threads keep their word, on the whole way of a series."""

from __future__ import annotations

from pathlib import Path

import pytest

from reviewbot.kernel.model import ApplyState
from reviewbot.locking.index import Settings
from reviewbot.locking.model import Verdict
from reviewbot.locking.primitives import builtin
from reviewbot.report.model import Review
from reviewbot.review import Options, review_series
from reviewbot.series.assemble import assemble
from reviewbot.service.model import Post
from reviewbot.service.post import read_post
from reviewbot.service.threads import groups
from tests.support.mails import SEPARATOR, join
from tests.support.patches import VERDICTS, changes
from tests.support.program import Kernel, sample_files
from tests.support.threads import SHAPES, Fate, Thread, threads


@pytest.fixture(scope="module")
def options(kernel: Kernel, shared_cache: Path) -> Options:
    return Options(kernel.path, Settings(shared_cache, builtin()))


@pytest.fixture(scope="module")
def made(sample_patches: Path) -> dict[str, Thread]:
    """One thread of every shape."""
    found = threads(len(SHAPES), 5, sample_files(sample_patches))
    return {thread.shape: thread for thread in found}


def reviewed(raw: bytes, options: Options) -> Review:
    return review_series(assemble(raw, wanted=None, source="test"), options)


@pytest.mark.parametrize("verdict", sorted(set(VERDICTS)))
def test_a_change_alone_has_its_verdict(
    verdict: Verdict, sample_patches: Path, options: Options
) -> None:
    change = changes(verdict, "0a1")
    head = (
        f"From: A <a@example.org>\nSubject: [PATCH] {change.title}\nMessage-ID: <1@example.org>\n"
    )
    text = f"{head}\n{change.message}\n---\n{change.diff(sample_files(sample_patches))}"
    assert reviewed(SEPARATOR + text.encode(), options).verdict is verdict


@pytest.mark.parametrize("shape", SHAPES)
def test_a_group_is_what_is_to_be_assembled(
    shape: str, made: dict[str, Thread], options: Options
) -> None:
    thread = made[shape]
    raws: dict[str, bytes] = {}
    for raw in thread.mails:
        raws.setdefault(read_post(raw).message_id, raw)
    ignored = {message for message, _ in thread.ignored}
    posts: list[Post] = [read_post(raw) for id_, raw in raws.items() if id_ not in ignored]
    found = {group.head: group for group in groups(posts)}
    for version in thread.versions:
        if version.fate is not Fate.REVIEWED:
            continue
        group = found[version.head]
        messages = (*group.borrowed, *group.messages)
        review = reviewed(join(*(raws[message] for message in messages)), options)
        assert review.series.version == version.number
        assert review.verdict is version.verdict or version.verdict is None
        if group.missing:
            assert review.application is not None
            assert review.application.state is ApplyState.MISSING_PATCH
        else:
            assert review.series.missing == ()


def test_the_same_seed_gives_the_same_bytes(sample_patches: Path) -> None:
    files = sample_files(sample_patches)
    one, two = threads(80, 9, files), threads(80, 9, files)
    assert one == two
    ids = [read_post(raw).message_id for thread in one for raw in dict.fromkeys(thread.mails)]
    copies = sum(len(thread.mails) // 2 for thread in one if thread.shape == "several lists")
    assert len(set(ids)) == len(ids) - copies
    assert threads(80, 10, files) != one
