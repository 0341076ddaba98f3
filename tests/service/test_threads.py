# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads of every shape, in any order of arrival."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewbot.config_service import ListConfig
from reviewbot.series.model import Identity
from reviewbot.service.decide import Earlier, Scope, decide, decide_series
from reviewbot.service.label import read_label
from reviewbot.service.model import Group, Post, Reason
from reviewbot.service.post import read_post
from reviewbot.service.threads import due_at, fingerprint, groups, is_due
from tests.support.program import sample_files
from tests.support.threads import BOT, LIST, OWN, SHAPES, Fate, Thread, arrivals, threads

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(sample_patches: Path) -> tuple[Thread, ...]:
    return threads(4 * len(SHAPES), 1, sample_files(sample_patches))


@pytest.fixture(scope="module")
def scope(sample_patches: Path) -> Scope:
    files = sample_files(sample_patches)
    tree = {*files, *(str(top) for path in files for top in PurePosixPath(path).parents)}
    return Scope({"kvm": ListConfig(address=LIST)}, "", OWN, (BOT,), tree.__contains__)


def read(mails: Sequence[bytes]) -> list[Post]:
    """The posts in some mails, each once: of two copies the first."""
    found: dict[str, Post] = {}
    for mail in mails:
        post = read_post(mail)
        found.setdefault(post.message_id, post)
    return list(found.values())


def ours(thread: Thread, scope: Scope) -> list[Post]:
    return [post for post in read(thread.mails) if decide(post, scope).ours]


# ---- every shape ----


def test_what_becomes_of_every_thread_when_all_are_mixed(
    made: tuple[Thread, ...], scope: Scope
) -> None:
    posts = {post.message_id: post for post in read(list(arrivals(made, 2)))}
    mine = [post for post in posts.values() if decide(post, scope).ours]
    found = {group.head: group for group in groups(mine)}
    heads = {group.key: head for head, group in found.items()}
    assert len(heads) == len(found)
    expected = {version.head: version for thread in made for version in thread.versions}
    assert found.keys() == expected.keys()
    for head, version in expected.items():
        group = found[head]
        assert group.messages == version.messages
        assert group.version == version.number
        assert tuple(sorted(heads[key] for key in group.supersedes)) == version.older
        assert (group.whole and not group.borrowed) == version.whole
    for thread in made:
        for message, reason in thread.ignored:
            assert decide(posts[message], scope).reason is reason


def test_what_is_decided_of_every_series(made: tuple[Thread, ...], scope: Scope) -> None:
    for thread in made:
        posts = {post.message_id: post for post in read(thread.mails)}
        for version in thread.versions:
            earlier = [
                Earlier(
                    old.number, old.head, frozenset(posts[id_].patch_id for id_ in old.messages[1:])
                )
                for old in thread.versions
                if old.head in version.older
            ]
            messages = [posts[message] for message in version.messages]
            decision = decide_series(messages, replace(scope, earlier=earlier))
            assert decision.ours == (version.fate is not Fate.NEVER)
            assert decision.reason is (version.reason or Reason.OURS)


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_whole_before_it_is(shape: str, made: tuple[Thread, ...], scope: Scope) -> None:
    """Mail by mail, in the order of arrival: never too early, and under one key."""
    for thread in made:
        if thread.shape != shape:
            continue
        version_of = {id_: version for version in thread.versions for id_ in version.messages}
        posts = ours(thread, scope)
        final = {id_: group.key for group in groups(posts) for id_ in group.messages}
        for count in range(1, len(posts)):
            for group in groups(posts[:count]):
                version = version_of[group.messages[0]]
                assert set(group.messages) <= set(version.messages)
                assert group.key == final[group.messages[0]]
                if group.whole and not group.borrowed:
                    assert group.messages == version.messages


@settings(max_examples=60)
@given(st.data())
def test_any_order_of_arrival_gives_the_same(
    made: tuple[Thread, ...], scope: Scope, data: st.DataObject
) -> None:
    picked = data.draw(st.lists(st.sampled_from(made), min_size=1, max_size=4, unique=True))
    posts = [post for thread in picked for post in ours(thread, scope)]
    again = data.draw(st.lists(st.sampled_from(posts), max_size=5)) if posts else []
    order = data.draw(st.permutations([*posts, *again]))
    assert groups(order) == groups(posts)
    for group in groups(posts):
        assert fingerprint(group, order) == fingerprint(group, posts)


# ---- single rules ----


def post(message_id: str, subject: str, parent: str = "", **more: Any) -> Post:
    made = Post(
        message_id=message_id,
        subject=subject,
        label=read_label(subject),
        author=Identity("Robin Ample", "robin@example.org"),
        date=0,
        in_reply_to=parent,
        references=(parent,) if parent else (),
        lists=(),
        diff=True,
        paths=("a.c",),
        created=(),
        patch_id=message_id,
        change_id="",
        marks=(),
    )
    return replace(made, **more)


_RUN = "20260901120000.77-{}-robin@example.org"
_IDS = [*(_RUN.format(n) for n in range(1, 5)), "a@b", "b@b", "c@b", "20260901-x-v2-1-0a@b"]
_SUBJECTS = [
    *("[PATCH] x", "[PATCH v2] x", "[PATCH 0/2] x", "[PATCH 1/2] y", "[PATCH 2/2] z"),
    *("[PATCH v2 0/2] x", "[PATCH v2 1/2] y", "[PATCH v2 2/2] z", "[PATCH 3/2] w"),
    *("[PATCH RESEND 1/2] y", "[PATCH v3 2/2] z", "[PATCH 0/0] x", "talk"),
]


@st.composite
def any_posts(draw: st.DrawFn) -> list[Post]:
    """Posts that refer to each other in ways that nobody would think of."""
    ids = draw(st.lists(st.sampled_from(_IDS), min_size=1, max_size=7, unique=True))
    return [
        post(
            id_,
            draw(st.sampled_from(_SUBJECTS)),
            draw(st.sampled_from(["", "unknown@b", *(other for other in ids if other != id_)])),
            author=Identity(draw(st.sampled_from(["R", "S"])), draw(st.sampled_from(["", "r@b"]))),
            change_id=draw(st.sampled_from(["", "", "one"])),
        )
        for id_ in ids
    ]


@settings(max_examples=200)
@given(any_posts(), st.randoms(use_true_random=False))
def test_every_message_is_in_one_group_whatever_it_says(posts: list[Post], random: Random) -> None:
    found = groups(posts)
    messages = sorted(message for group in found for message in group.messages)
    assert messages == sorted(one.message_id for one in posts if one.label is not None)
    keys = {group.key: group for group in found}
    assert len(keys) == len(found)
    for group in found:
        assert set(group.supersedes) <= keys.keys() - {group.key}
        assert all(keys[old].version <= group.version for old in group.supersedes)
        assert set(group.borrowed).isdisjoint(group.messages)
        assert len(group.messages) + len(group.missing) <= group.expected + 1
    shuffled = list(posts)
    random.shuffle(shuffled)
    assert groups(shuffled) == found


def shapes(posts: Sequence[Post]) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    return sorted((group.messages, group.missing) for group in groups(posts))


def only(posts: Sequence[Post], head: str) -> Group:
    (found,) = (group for group in groups(posts) if group.head == head)
    return found


def test_lone_patches_of_one_run_stay_alone() -> None:
    one = post("20260901120000.77-1-robin@example.org", "[PATCH] a")
    two = post("20260901120000.77-2-robin@example.org", "[PATCH] b", one.message_id)
    assert shapes([one, two]) == [((one.message_id,), ()), ((two.message_id,), ())]


def test_a_series_in_reply_to_another_is_its_own() -> None:
    first = [post("a1", "[PATCH 1/2] a"), post("a2", "[PATCH 2/2] b", "a1")]
    second = [post("b1", "[PATCH 1/2] c", "a1"), post("b2", "[PATCH 2/2] d", "b1")]
    assert shapes([*first, *second]) == [(("a1", "a2"), ()), (("b1", "b2"), ())]


def test_a_rest_that_was_sent_later_joins_its_cover_letter() -> None:
    run = "20260901120000.77-{}-robin@example.org"
    later = "20260901130000.99-{}-robin@example.org"
    head = post(run.format(1), "[PATCH 0/2] all")
    one = post(run.format(2), "[PATCH 1/2] a", head.message_id)
    two = post(later.format(1), "[PATCH 2/2] b", head.message_id)
    assert only([two, one, head], head.message_id).whole


def test_a_lost_patch_may_be_posted_again_on_its_own() -> None:
    known = [post("c", "[PATCH 0/2] all"), post("c1", "[PATCH 1/2] a", "c")]
    assert only([*known, post("x", "[PATCH 2/2] b")], "c").whole
    assert not only([*known, post("x", "[PATCH 2/2] b", "unknown")], "c").whole
    assert not only([*known, post("x", "[PATCH 1/2] b")], "c").whole


def test_two_series_of_one_run_are_told_apart_by_their_numbers() -> None:
    run = "20260901120000.77-{}-robin@example.org"
    posts = [
        post(run.format(at), f"[PATCH {1 + (at - 1) % 2}/2] {at}", run.format(1) if at > 1 else "")
        for at in range(1, 5)
    ]
    ids = [one.message_id for one in posts]
    assert [messages for messages, _ in shapes(posts)] == [tuple(ids[:2]), tuple(ids[2:])]
    assert len({group.key for group in groups(posts)}) == 2


def test_another_author_supersedes_nothing() -> None:
    old = post("a", "[PATCH] frob: fix it")
    alien = Identity("E. Vil", "evil@example.org")
    new = post("b", "[PATCH v9] frob: fix it", "a", author=alien)
    assert only([old, new], "b").supersedes == ()


@pytest.mark.parametrize(
    "author",
    [
        Identity("Robin Ample", "else@example.org"),
        Identity("R. A.", "Robin+kernel@example.org"),
    ],
)
def test_a_person_is_known_by_name_or_address(author: Identity) -> None:
    old = post("a", "[PATCH] frob: fix it")
    new = post("b", "[PATCH v2] frob: fix it", author=author)
    assert only([old, new], "b").supersedes == (only([old, new], "a").key,)


def test_change_ids_settle_it() -> None:
    one = post("a", "[PATCH] same title", change_id="one")
    two = post("b", "[PATCH v2] same title", "a", change_id="two")
    three = post("c", "[PATCH v3] other title", change_id="one")
    found = [one, two, three]
    assert only(found, "b").supersedes == ()
    assert only(found, "c").supersedes == (only(found, "a").key,)


def test_all_older_versions_are_superseded() -> None:
    found = [post("a", "[PATCH] x"), post("b", "[PATCH v2] y", "a"), post("c", "[PATCH v4] z", "b")]
    keys = {head: only(found, head).key for head in "abc"}
    assert only(found, "c").supersedes == tuple(sorted((keys["a"], keys["b"])))


def test_a_title_that_two_series_have_says_nothing() -> None:
    old = [post("a", "[PATCH] cleanup"), post("b", "[PATCH] cleanup")]
    assert only([*old, post("c", "[PATCH v2] cleanup")], "c").supersedes == ()
    threaded = [*old, post("c", "[PATCH v2] cleanup", "b")]
    assert only(threaded, "c").supersedes == (only(threaded, "b").key,)


def test_two_patches_posted_again_borrow_the_rest_of_two_versions() -> None:
    one = [post(f"a{n}", f"[PATCH {n}/3] {n}", "a1" if n > 1 else "") for n in (1, 2, 3)]
    two = post("b2", "[PATCH v2 2/3] 2", "a2")
    three = post("c3", "[PATCH v3 3/3] 3", "a3")
    found = [*one, two, three]
    assert only(found, "b2").borrowed == ("a1", "a2", "a3")
    assert only(found, "b2").missing == ()
    answered = replace(three, in_reply_to="b2", references=("a2", "b2"))
    assert not only([*one, two, answered], "c3").whole


def test_a_patch_in_reply_to_another_number_is_no_reroll() -> None:
    one = [post("a1", "[PATCH 1/2] 1"), post("a2", "[PATCH 2/2] 2", "a1")]
    assert only([*one, post("b2", "[PATCH v2 2/2] 2", "a1")], "b2").missing == (1,)


@pytest.mark.parametrize("subject", ["[PATCH 0/0] x", "[PATCH 1/0] x", "[PATCH 7/3] x"])
def test_counters_that_lie(subject: str) -> None:
    (group,) = groups([post("a", subject)])
    assert group.expected == 1
    assert group.messages == ("a",)


def test_fingerprints_tell_texts_apart() -> None:
    one = post("a", "[PATCH] x")
    (group,) = groups([one])
    changed = replace(one, patch_id="else")
    assert fingerprint(group, [one]) != fingerprint(group, [changed])
    assert fingerprint(group, [replace(one, lists=("x",))]) == fingerprint(group, [one])


# ---- time ----


def test_what_is_whole_is_due_at_once_and_the_rest_at_its_deadline() -> None:
    (whole,) = groups([post("a", "[PATCH] x")])
    (part,) = groups([post("a", "[PATCH 1/2] x")])
    later = NOON + timedelta(seconds=60)
    assert due_at(whole, NOON, 60) == NOON
    assert due_at(part, NOON, 60) == later
    assert is_due(whole, NOON, 60, NOON)
    assert not is_due(part, NOON, 60, later - timedelta(seconds=1))
    assert is_due(part, NOON, 60, later)


@pytest.mark.parametrize(("back", "due"), [(59, False), (61, True)])
def test_a_clock_that_was_put_back(back: int, due: bool) -> None:
    (part,) = groups([post("a", "[PATCH 1/2] x")])
    assert is_due(part, NOON, 60, NOON - timedelta(seconds=back)) == due


def test_a_partial_reroll_waits_lest_the_rest_be_posted_too() -> None:
    old = [post("a1", "[PATCH 1/2] 1"), post("a2", "[PATCH 2/2] 2", "a1")]
    reroll = only([*old, post("b1", "[PATCH v2 1/2] 1", "a1")], "b1")
    assert reroll.whole
    assert not is_due(reroll, NOON, 60, NOON)


def test_many_patches_of_one_title_are_no_bomb() -> None:
    same = [post(f"a{n}", f"[PATCH v{n % 900 + 1}] fix") for n in range(4000)]
    assert len(groups(same)) == len(same)
