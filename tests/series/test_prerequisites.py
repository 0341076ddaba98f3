# SPDX-License-Identifier: GPL-2.0-or-later
"""Prerequisites looked up in a real archive: every way to name them, circles, and limits."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reviewbot.series import prerequisites as module
from reviewbot.series.assemble import assemble
from reviewbot.series.model import Finding, Prerequisite, Reference, ReferenceKind, Series
from reviewbot.series.prerequisites import PrerequisiteLimits, find_prerequisites
from tests.support import mails
from tests.support.public_inbox import PublicInbox, available

pytestmark = pytest.mark.public_inbox

CHANGE = "20260301-frob-base-1a2b"


class Writer:
    """A stack of series by one author, each on top of the one before."""

    def __init__(self, root: Path) -> None:
        self._author = mails.Author(root)
        self.posted: dict[str, list[bytes]] = {}

    def series(self, name: str, *trailers: str, version: int = 1, patches: int = 2) -> list[bytes]:
        """A cover letter with these trailers and patches on top of what there is."""
        since = self._author.git("rev-parse", "HEAD").decode().strip()
        for number in range(patches):
            self._author.commit(f"{name}: v{version} part {number + 1}")
        options = ["--stdout", "--cover-letter", "--thread=shallow", f"-v{version}"]
        made = mails.split(self._author.git("format-patch", *options, f"{since}..HEAD"))
        text = "\n".join(("Words.", "", *trailers)).encode()
        made[0] = made[0].replace(b"*** SUBJECT HERE ***", name.encode())
        made[0] = made[0].replace(b"*** BLURB HERE ***", text)
        # git names cover letters by the second.
        old, new = mails.message_id(made[0]), f"{name}-{version}@example.org"
        made = [mail.replace(old.encode(), new.encode()) for mail in made]
        self.posted[f"{name} v{version}"] = made
        return made

    def id(self, name: str) -> str:
        return mails.message_id(self.posted[name][0])


def read(thread: list[bytes]) -> Series:
    return assemble(mails.join(*thread), wanted=None, source="test")


def patch_ids(thread: list[bytes]) -> list[str]:
    return [patch.patch_id or "" for patch in read(thread).patches]


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Writer:
    made = Writer(tmp_path_factory.mktemp("writer") / "author")
    made.series("base", f"change-id: {CHANGE}")
    made.series("base", f"change-id: {CHANGE}", version=2)
    made.series("middle", f"Depends-on: <{made.id('base v1')}>")
    made.series("upper", f"prerequisite-message-id: <{made.id('middle v1')}>")
    made.series("top", f"Based-on: https://lore.kernel.org/r/{made.id('upper v1')}")
    made.series("holed", patches=3)
    del made.posted["holed v1"][2]
    made.series("one", "Depends-on: <two-1@example.org>", patches=1)
    made.series("two", "Depends-on: <one-1@example.org>", patches=1)
    return made


@pytest.fixture(scope="module")
def server(writer: Writer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not available():
        pytest.skip("needs Debian's public-inbox (apt-get install public-inbox)")
    inbox = PublicInbox(tmp_path_factory.mktemp("inbox") / "inbox", ("frob",))
    for thread in writer.posted.values():
        for mail in thread:
            inbox.deliver("frob", mail)
    speaks = mails.reply(
        writer.posted["base v1"][0], f"I like change-id: {CHANGE}", "speaks@example.org"
    )
    inbox.deliver("frob", speaks)
    inbox.index_all()
    with inbox:
        yield inbox.url("all")


Find = Callable[..., tuple[Prerequisite, ...]]


@pytest.fixture
def find(server: str) -> Find:
    """What is found for a new series with references."""

    def look(*named: Reference, **limits: float) -> tuple[Prerequisite, ...]:
        return find_prerequisites(
            built_on(*named),
            server=server,
            limits=replace(PrerequisiteLimits(), **limits),  # type: ignore[arg-type]
        )

    return look


def built_on(*named: Reference) -> Series:
    new = mails.split(
        b"From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n"
        b"From: A U Thor <author@example.org>\nDate: Sun, 1 Mar 2026 12:00:00 +0000\n"
        b"Subject: [PATCH] new: it\nMessage-ID: <new@example.org>\n\nWhy.\n---\n"
        b"diff --git a/a.c b/a.c\nindex 1234567..89abcde 100644\n--- a/a.c\n+++ b/a.c\n"
        b"@@ -1 +1 @@\n-int a;\n+int b;\n"
    )
    return replace(read(new), depends_on=named)


def message(value: str) -> Reference:
    return Reference(ReferenceKind.MESSAGE_ID, value)


def change(value: str) -> Reference:
    return Reference(ReferenceKind.CHANGE_ID, value)


def patch(value: str) -> Reference:
    return Reference(ReferenceKind.PATCH_ID, value)


def told(found: tuple[Prerequisite, ...]) -> list[tuple[str, str, int]]:
    """Subject or note, finding and number of patches of each."""
    return [(each.subject or each.note, each.finding.value, len(each.patches)) for each in found]


def test_a_message_id_brings_the_version_it_is_of(find: Find, writer: Writer) -> None:
    (found,) = find(message(writer.id("base v1")))
    assert told((found,)) == [("base", "found", 2)]
    assert [each.subject for each in found.patches] == ["base: v1 part 1", "base: v1 part 2"]
    assert found.message_id == writer.id("base v1")


def test_a_patchs_id_stands_for_its_series(find: Find, writer: Writer) -> None:
    second = mails.message_id(writer.posted["base v1"][2])
    assert told(find(message(second))) == [("base", "found", 2)]


@pytest.mark.parametrize(
    ("name", "version"), [(CHANGE, 2), (f"{CHANGE}:v1", 1), (f"{CHANGE}:2", 2)]
)
def test_a_change_id(find: Find, name: str, version: int) -> None:
    (found,) = find(change(name))
    assert found.patches[0].subject == f"base: v{version} part 1"


def test_a_change_id_of_no_such_version(find: Find) -> None:
    assert told(find(change(f"{CHANGE}:v7"))) == [("not in the archive", "not-found", 0)]


def test_patch_ids_come_one_by_one_from_one_thread(
    find: Find, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    fetch = module.fetch_thread
    monkeypatch.setattr(
        module, "fetch_thread", lambda id_, **more: asked.append(id_) or fetch(id_, **more)
    )
    named = patch_ids(writer.posted["middle v1"])
    found = find(*map(patch, named))
    assert [each.patches[0].patch_id for each in found] == named
    assert [each.subject for each in found] == ["middle: v1 part 1", "middle: v1 part 2"]
    assert len(asked) == 1


def test_patch_ids_beside_their_series_are_not_taken_twice(find: Find, writer: Writer) -> None:
    named = patch_ids(writer.posted["base v2"])
    assert told(find(*map(patch, named), change(CHANGE))) == [("base", "found", 2)]


def test_the_deepest_comes_first(find: Find, writer: Writer) -> None:
    found = find(message(writer.id("upper v1")))
    assert told(found) == [(name, "found", 2) for name in ("base", "middle", "upper")]


def test_there_is_a_deepest(find: Find, writer: Writer) -> None:
    found = find(message(writer.id("top v1")))
    assert told(found) == [
        ("more than 3 levels deep", "not-found", 0),
        *((name, "found", 2) for name in ("middle", "upper", "top")),
    ]


def test_a_circle_ends(find: Find) -> None:
    found = find(message("one-1@example.org"), message("two-1@example.org"))
    assert told(found) == [("two", "found", 1), ("one", "found", 1)]


def test_a_series_that_depends_on_itself(find: Find) -> None:
    assert find(message("new@example.org")) == ()


def test_a_patch_of_the_series_itself(find: Find) -> None:
    own = built_on().patches[0].patch_id
    assert own is not None
    expected = [("it is patch 1 of the series itself", "in-series", 0)]
    assert told(find(patch(own))) == expected


def test_what_is_not_there(find: Find, writer: Writer) -> None:
    found = find(
        message("nobody@example.org"),
        message(writer.id("holed v1")),
        change("20260101-nobody-0000"),
        patch("1" * 40),
    )
    assert told(found) == [
        ("not in the archive", "not-found", 0),
        ("patch 2/3 of it did not arrive", "not-found", 0),
        ("not in the archive", "not-found", 0),
        ("not in the archive", "not-found", 0),
    ]


@pytest.mark.parametrize(
    ("limits", "note"),
    [
        ({"series": 0}, "more than 0 series to fetch"),
        ({"seconds": 0.0}, "not found within 0 seconds"),
        ({"max_bytes": 0}, "more than 0 MiB to read"),
        ({"max_bytes": 1}, r".* is larger than 0 KiB, .*"),
    ],
)
def test_a_search_has_an_end(
    find: Find, writer: Writer, limits: dict[str, float], note: str
) -> None:
    (found,) = find(message(writer.id("base v1")), **limits)
    assert found.finding is Finding.NOT_FOUND
    assert re.fullmatch(note, found.note)


def test_an_archive_that_is_down_is_a_finding() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{probe.getsockname()[1]}"
        limits = replace(PrerequisiteLimits(), fetch=replace(PrerequisiteLimits().fetch, retries=0))
        (found,) = find_prerequisites(
            built_on(message("x@example.org")), server=server, limits=limits
        )
    assert found.finding is Finding.UNREACHABLE
    assert "cannot be read" in found.note
