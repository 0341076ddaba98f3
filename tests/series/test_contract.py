# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetch and assembly against a real public-inbox-httpd, compared with the real b4."""

from __future__ import annotations

from pathlib import Path

import pytest

from reviewbot.series.errors import NoPatches, NotFound
from reviewbot.series.model import Series
from reviewbot.series.open import open_series
from tests.series.conftest import SEED_V1, SEED_V2, Archive
from tests.support import mails
from tests.support.public_inbox import b4_am

pytestmark = pytest.mark.public_inbox


def opened(archive: Archive, message_id: str) -> Series:
    return open_series(message_id, lore=archive.url)


@pytest.mark.parametrize(
    ("thread", "at"),
    [
        ("seed", 1),
        ("three", 0),
        ("three", 1),
        ("three", 3),
        ("three", 4),
        ("holed", 0),
        ("holed", 1),
        ("glued", 0),
        ("glued", 2),
        ("foreign", 0),
        ("encoded", 0),
        ("rerolled", 2),
    ],
)
def test_our_mbox_is_what_b4_prints(archive: Archive, thread: str, at: int, tmp_path: Path) -> None:
    message_id = archive.id(thread, at)
    ours = opened(archive, message_id)
    assert ours.mbox == b4_am(archive.url, message_id, tmp_path)
    assert ours.mbox.count(b"\nMessage-Id: ") == len(ours.patches) > 0


def test_v1_is_v1_although_v2_is_in_the_thread(archive: Archive, tmp_path: Path) -> None:
    v1 = opened(archive, SEED_V1)
    assert (v1.version, v1.newer_versions, v1.message_id) == (1, (2,), SEED_V1)
    assert v1.mbox == b4_am(archive.url, SEED_V1, tmp_path, "-v1")
    assert v1.mbox != b4_am(archive.url, SEED_V1, tmp_path)


def test_v2_of_the_seed(archive: Archive) -> None:
    v2 = opened(archive, SEED_V2)
    assert (v2.version, v2.newer_versions, v2.expected, v2.missing) == (2, (), 1, ())
    patch = v2.patches[0]
    assert patch.paths == ("virt/kvm/eventfd.c",)
    assert (patch.blobs[0].before, patch.blobs[0].after) == ("0e8b8a2c5b79", "8ae9f81f8bb3")
    assert patch.envelope.references == (SEED_V1,)
    assert patch.damage is None
    assert patch.patch_id


def test_a_series_with_a_cover_letter(archive: Archive) -> None:
    series = opened(archive, archive.id("three"))
    assert [patch.index for patch in series.patches] == [1, 2, 3]
    assert series.cover is not None
    assert series.head.message_id == archive.id("three")
    assert len(series.base_commit or "") == 40
    assert "BLURB HERE" in series.cover_text
    # What a reviewer said in the thread is not the author's trailer.
    names = [trailer.name for patch in series.patches for trailer in patch.trailers]
    assert names == ["Signed-off-by"] * 3
    assert b"Reviewed-by" not in series.mbox


def test_a_review_names_the_series_it_answers(archive: Archive) -> None:
    review = opened(archive, archive.id("three", 4))
    assert review.mbox == opened(archive, archive.id("three")).mbox
    assert review.message_id == "review-of-two@example.org"


def test_a_hole_is_told(archive: Archive) -> None:
    series = opened(archive, archive.id("holed"))
    assert (series.expected, series.missing) == (3, (2,))
    assert [patch.index for patch in series.patches] == [1, 3]


def test_a_glued_prefix_is_version_two(archive: Archive) -> None:
    series = opened(archive, archive.id("glued"))
    assert (series.version, series.expected, series.missing) == (2, 3, ())
    assert series.subject == "glue: one"


def test_names_beyond_ascii(archive: Archive) -> None:
    patch = opened(archive, archive.id("foreign")).patches[0]
    assert patch.author.name == patch.envelope.author.name == "Jörg Łukasz 王"
    assert patch.subject == "naïve: grüß"


def test_a_patch_in_base64(archive: Archive) -> None:
    patch = opened(archive, archive.id("encoded")).patches[0]
    assert patch.author.name == "Jörg"
    assert patch.diff.startswith("diff --git a/frob.c")


def test_a_patch_posted_again_alone(archive: Archive) -> None:
    series = opened(archive, archive.id("rerolled", 2))
    assert [(patch.index, patch.from_version) for patch in series.patches] == [(1, 1), (2, None)]


def test_replies_alone_are_no_series(archive: Archive) -> None:
    with pytest.raises(NoPatches, match=r"lone-reply-1@example\.org") as caught:
        opened(archive, "lone-reply-1@example.org")
    assert caught.value.exit_status == 3


def test_an_unknown_message(archive: Archive) -> None:
    with pytest.raises(NotFound, match=r"no message nobody@example\.org") as caught:
        opened(archive, "nobody@example.org")
    assert caught.value.exit_status == 3


def test_a_mail_on_two_lists_comes_once(archive: Archive, tmp_path: Path) -> None:
    message_id = archive.id("three")
    series = open_series(message_id, lore=archive.all_url)
    assert [patch.index for patch in series.patches] == [1, 2, 3]
    assert series.expected == 3
    assert series.mbox == b4_am(archive.all_url, message_id, tmp_path)


def test_an_archive_url(archive: Archive) -> None:
    by_url = open_series(f"{archive.url}/{SEED_V2}/T/#u", lore=archive.url)
    assert by_url.mbox == opened(archive, SEED_V2).mbox


def test_the_thread_from_a_file_is_the_same(archive: Archive, tmp_path: Path) -> None:
    mbox = tmp_path / "three.mbox"
    mbox.write_bytes(mails.join(*archive.threads["three"]))
    assert open_series(str(mbox)).patches == opened(archive, archive.id("three")).patches
