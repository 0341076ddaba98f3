# SPDX-License-Identifier: GPL-2.0-or-later
"""What is ours, table by table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reviewbot.config_service import ListConfig
from reviewbot.series.model import Identity
from reviewbot.service.decide import Earlier, Scope, decide, decide_series, lists_of
from reviewbot.service.label import read_label
from reviewbot.service.model import Decision, Post, Reason

TREE = frozenset({"drivers/frob/gate.c", "drivers/frob", "drivers", "lib", "include/linux/frob.h"})
SCOPE = Scope(
    lists={
        "frob": ListConfig(address="linux-frob@lists.example.org"),
        "net": ListConfig(
            address="netdev.lists.example.org", rfc=False, paths=("net", "include/net/")
        ),
    },
    own="reviewbot@example.org",
    bots=("build-bot@example.org", "syz*@robots.example.org"),
    in_tree=TREE.__contains__,
)


def post(subject: str = "[PATCH] frob: fix it", **more: Any) -> Post:
    """A patch to the frob list."""
    made = Post(
        message_id="1@example.org",
        subject=subject,
        label=read_label(subject),
        author=Identity("Robin Ample", "robin@example.org"),
        date=0,
        in_reply_to="",
        references=(),
        lists=("linux-frob@lists.example.org",),
        diff=True,
        paths=("drivers/frob/gate.c",),
        created=(),
        patch_id="1" * 40,
        change_id="",
        marks=(),
    )
    return replace(made, **more)


def who(address: str) -> Identity:
    return Identity("", address)


@pytest.mark.parametrize(
    ("given", "reason", "detail"),
    [
        (post(), Reason.OURS, ""),
        (post("[PATCH v2 2/3] frob: fix it"), Reason.OURS, ""),
        (post("[RFC PATCH] frob: what of it"), Reason.OURS, ""),
        (post("[PATCH RESEND] frob: fix it"), Reason.OURS, ""),
        (post("[PATCH 0/3] frob: fixes", diff=False), Reason.COVER, ""),
        (post("frob: a question", diff=False), Reason.NOT_A_PATCH, ""),
        (post("[PATCH] frob: attached", diff=False), Reason.NOT_A_PATCH, ""),
        (post("[tip: locking/core] frob: fix it"), Reason.NOT_A_PATCH, ""),
        (post("Re: [PATCH] frob: fix it"), Reason.REPLY, ""),
        (post("Re: [PATCH] frob: fix it", diff=False), Reason.NOT_A_PATCH, ""),
        (post("[GIT PULL] frob fixes", diff=False), Reason.PULL_REQUEST, ""),
        (post("[GIT PULL 01/25] frob: fix it"), Reason.PULL_REQUEST, ""),
        (post("[PULL 01/25] frob: fix it"), Reason.PULL_REQUEST, ""),
        (post("Pull request for frob"), Reason.PULL_REQUEST, ""),
        (post("[PATCH 0/3] frob", marks=("body: pull request",)), Reason.PULL_REQUEST, ""),
        (post("[PATCH 6.1 012/345] frob: fix it"), Reason.STABLE, "6.1"),
        (post("[PATCH 5.15.y] frob: fix it"), Reason.STABLE, "5.15.y"),
        (post("[PATCH AUTOSEL 6.12 3/7] frob: fix it"), Reason.STABLE, "autosel"),
        (post("[PATCH stable] frob: fix it"), Reason.STABLE, "stable"),
        (post(marks=("x-stable: review",)), Reason.STABLE, "x-stable: review"),
        (post(marks=("x-kerneltest-branch: x",)), Reason.STABLE, "x-kerneltest-branch: x"),
        (
            post(marks=("body: commit 012345 upstream",)),
            Reason.STABLE,
            "body: commit 012345 upstream",
        ),
        (post("[PATCH xfstests] generic: test it"), Reason.OTHER_PROJECT, "xfstests"),
        (post("[kvm-unit-tests PATCH 1/2] x86: it"), Reason.OTHER_PROJECT, "kvm-unit-tests"),
        (post("[PATCH] btrfs-progs: fix it"), Reason.OTHER_PROJECT, "btrfs-progs"),
        (post("[PATCH 1/2] Btrfs-Progs: fix it"), Reason.OTHER_PROJECT, "btrfs-progs"),
        (post("[PATCH] xen: fix it"), Reason.OURS, ""),
        (post("[PATCH] e2fsprogs is no prefix"), Reason.OURS, ""),
        (post(author=who("Build-Bot@example.org")), Reason.BOT, "build-bot@example.org"),
        (
            post(author=who("syzbot+1@robots.example.org")),
            Reason.BOT,
            "syzbot+1@robots.example.org",
        ),
        (
            post(marks=("auto-submitted: auto-replied; x",)),
            Reason.BOT,
            "auto-submitted: auto-replied; x",
        ),
        (post(marks=("auto-submitted: no",)), Reason.OURS, ""),
        (post(marks=("x-patchwork-hint: ignore",)), Reason.HINT, "x-patchwork-hint: ignore"),
        (post(author=who("ReviewBot@example.org")), Reason.OWN, ""),
        (post(author=who("")), Reason.OURS, ""),
        (post(lists=("else@lists.example.org",)), Reason.NO_LIST, ""),
        (post("[RFC PATCH] net: it", lists=("netdev@lists.example.org",)), Reason.RFC, "net"),
        (post("[RFT 1/2] net: it", lists=("netdev@lists.example.org",)), Reason.RFC, "net"),
    ],
)
def test_a_message(given: Post, reason: Reason, detail: str) -> None:
    decision = decide(given, SCOPE)
    assert (decision.reason, decision.detail) == (reason, detail)
    assert decision.ours == (reason in (Reason.OURS, Reason.COVER))


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        (("linux-frob@lists.example.org",), ("frob",)),
        (("linux-frob.lists.example.org",), ("frob",)),
        (("netdev@lists.example.org",), ("net",)),
        (("netdev.lists.example.org", "linux-frob@lists.example.org"), ("frob", "net")),
        (("notnetdev@lists.example.org", "netdev@lists.example.org.evil.example.org"), ()),
    ],
)
def test_lists_are_told_by_id_or_address(lists: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert lists_of(post(lists=lists), SCOPE) == expected


def test_a_source_may_say_the_list() -> None:
    forced = replace(SCOPE, forced="frob")
    assert decide(post(lists=()), forced) == Decision(True, Reason.OURS, list="frob")


def test_an_rfc_goes_to_the_list_that_takes_it() -> None:
    both = ("netdev@lists.example.org", "linux-frob@lists.example.org")
    assert decide(post("[RFC PATCH] frob: it", lists=both), SCOPE).list == "frob"
    only = replace(SCOPE, lists={"net": SCOPE.lists["net"], "frob": SCOPE.lists["frob"]})
    assert decide(post("[PATCH] frob: it", lists=both), only).list == "net"
    assert decide(post("[RFC PATCH] frob: it", lists=both), only).list == "frob"


# ---- series ----


def patch(number: int, *paths: str, **more: Any) -> Post:
    given_: dict[str, Any] = {"paths": paths, "patch_id": str(number) * 40, **more}
    return post(f"[PATCH {number}/3] frob: fix it", **given_)


COVER = post("[PATCH 0/3] frob: fixes", diff=False, paths=(), patch_id="")
NET = ("netdev@lists.example.org",)


@pytest.mark.parametrize(
    ("posts", "reason"),
    [
        ([COVER, patch(1, "drivers/frob/gate.c")], Reason.OURS),
        ([COVER], Reason.NO_PATCHES),
        ([patch(1, "Documentation/frob.rst", "drivers/frob/Makefile")], Reason.NO_SOURCE),
        ([patch(1, "Documentation/frob.rst"), patch(2, "include/linux/frob.h")], Reason.OURS),
        ([patch(1, "common/rc", "src/frob.c")], Reason.NOT_IN_TREE),
        ([patch(1, "lib/ext/frob.c", created=("lib/ext/frob.c",))], Reason.NOT_IN_TREE),
        ([patch(1, "top.c", created=("top.c",))], Reason.NOT_IN_TREE),
        ([patch(1, "drivers/frob/new.c", created=("drivers/frob/new.c",))], Reason.OURS),
        ([patch(1, "drivers/frob/a/new.c", created=("drivers/frob/a/new.c",))], Reason.OURS),
        (
            [
                patch(1, "drivers/frob/new.c", created=("drivers/frob/new.c",)),
                patch(2, "drivers/frob/new.c"),
            ],
            Reason.OURS,
        ),
        ([patch(1, "drivers/frob/gate.c", lists=NET)], Reason.PATHS),
        ([patch(1, "drivers/frob/gate.c", lists=())], Reason.NO_LIST),
    ],
)
def test_a_series(posts: list[Post], reason: Reason) -> None:
    decision = decide_series(posts, SCOPE)
    assert decision.reason is reason
    assert decision.ours == (reason is Reason.OURS)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("net/core/dev.c", True),
        ("include/net/sock.h", True),
        ("drivers/net/dev.c", False),
        ("network/dev.c", False),
    ],
)
def test_configured_paths(path: str, asked: bool) -> None:
    everything = replace(SCOPE, in_tree=bool)
    found = decide_series(
        [patch(1, "drivers/frob/gate.c", lists=NET), patch(2, path, lists=NET)], everything
    )
    assert found.ours == asked
    assert found.list == ("net" if asked else "")


def test_the_first_list_that_asks_for_it() -> None:
    turned = replace(SCOPE, lists=dict(reversed(list(SCOPE.lists.items()))))
    both = (*NET, "linux-frob@lists.example.org")
    assert decide_series([patch(1, "drivers/frob/gate.c", lists=both)], turned).list == "frob"


def again(subject: str, *numbers: int) -> list[Post]:
    return [
        replace(patch(number, "drivers/frob/gate.c"), subject=subject, label=read_label(subject))
        for number in numbers
    ]


@pytest.mark.parametrize(
    ("posts", "reason"),
    [
        (again("[PATCH RESEND v2 1/2] x", 1, 2), Reason.RESEND),
        (again("[RESEND PATCH v2 1/2] x", 2, 1), Reason.RESEND),
        (again("[PATCH v2 1/2] x", 1, 2), Reason.RESEND),
        (again("[PATCH REPOST v3 1/2] x", 1, 2), Reason.RESEND),
        (again("[PATCH v3 1/2] x", 1, 2), Reason.OURS),
        (again("[PATCH RESEND v2 1/2] x", 1, 3), Reason.OURS),
        (again("[PATCH RESEND v2 1/2] x", 1), Reason.OURS),
        ([replace(one, patch_id="") for one in again("[PATCH RESEND v2 1/2] x", 1)], Reason.OURS),
    ],
)
def test_posted_again(posts: list[Post], reason: Reason) -> None:
    earlier = Earlier(2, "0@example.org", frozenset({"1" * 40, "2" * 40}))
    decision = decide_series(posts, replace(SCOPE, earlier=(earlier,)))
    assert decision.reason is reason
    assert decision.detail == ("as 0@example.org" if reason is Reason.RESEND else "")
