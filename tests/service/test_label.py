# SPDX-License-Identifier: GPL-2.0-or-later
"""Subjects as they are on the lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.service.label import read_label

Row = tuple[int, int, int, bool, str]


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("[PATCH] net: fix it", (1, 1, 1, False, "patch")),
        ("[PATCH 2/7] net: fix it", (1, 2, 7, True, "patch")),
        ("[PATCH net-next v3 2/7] net: fix it", (3, 2, 7, True, "patch net-next")),
        ("[PATCH v2 00/12] cover", (2, 0, 12, True, "patch")),
        ("[PATCHv2 1/3] glued", (2, 1, 3, True, "patch")),
        ("[PATCH1/8] glued", (1, 1, 8, True, "patch")),
        ("[PATCH v21/3] glued", (2, 1, 3, True, "patch")),
        ("[PATCH-v2 1/3] glued", (2, 1, 3, True, "patch")),
        ("[RFCv3 PATCH 1/2] glued", (3, 1, 2, True, "rfc patch")),
        ("[PATCH V3, 1/3] capital", (3, 1, 3, True, "patch")),
        ("[PATCH v3,1/3] comma", (3, 1, 3, True, "patch")),
        ("[PATCH 1 / 3] spaced", (1, 1, 3, True, "patch")),
        ("[PATCH 3 of 4] mercurial", (1, 3, 4, True, "patch")),
        ("[v3 PATCH 1/2] first", (3, 1, 2, True, "patch")),
        ("[RFC PATCH] alone", (1, 1, 1, False, "rfc patch")),
        ("[PATCH/RFC 0/2] both", (1, 0, 2, True, "patch rfc")),
        ("[RFC v2 1/3] no patch", (2, 1, 3, True, "rfc")),
        ("[RFC][PATCH v2 1/2] two brackets", (2, 1, 2, True, "rfc patch")),
        ("[PATCH] [net-next] two brackets", (1, 1, 1, False, "patch net-next")),
        ("[PATCH [v2] 01/12] nested", (2, 1, 12, True, "patch")),
        ("[PATCH RESEND v2 3/4] again", (2, 3, 4, True, "patch resend")),
        ("[PATCH v2.1 3/4] a half version", (2, 3, 4, True, "patch")),
        ("[PATCH 6.1 012/345] stable", (1, 12, 345, True, "patch 6.1")),
        ("[PATCH 5/3] more than there are", (1, 5, 3, True, "patch")),
        ("[PULL 01/25] pulled", (1, 1, 25, True, "pull")),
        ("[kvm-unit-tests PATCH v2 0/2] other", (2, 0, 2, True, "kvm-unit-tests patch")),
        ("  [PATCH\n 1/2]   folded\n line", (1, 1, 2, True, "patch")),
    ],
)
def test_label(subject: str, expected: Row) -> None:
    label = read_label(subject)
    assert label is not None
    words = " ".join(label.words)
    assert (label.version, label.counter, label.total, label.numbered, words) == expected
    assert not label.reply
    assert label.title == " ".join(subject.rsplit("]", 1)[1].split())


@pytest.mark.parametrize(
    "subject",
    [
        "Re: [PATCH] x",
        "RE: [PATCH] x",
        "Aw: [PATCH] x",
        "Re: Re[2]: [PATCH] x",
        "Fwd: [PATCH] x",
        "VS: [PATCH] x",
    ],
)
def test_reply(subject: str) -> None:
    label = read_label(subject)
    assert label is not None
    assert label.reply
    assert label.title == "x"


def test_brackets_behind_the_first_word_belong_to_the_title() -> None:
    label = read_label("[PATCH] x86: fix [1/2] of it")
    assert label is not None
    assert (label.title, label.numbered) == ("x86: fix [1/2] of it", False)


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "patch 1/2",
        "net: fix it",
        "[tip: locking/core] locking: fix it",
        "[syzbot] [kvm?] INFO: task hung",
        "[ANNOUNCE] v6.12-rt1",
        "[PATCH without an end",
        "FAILED: patch \"[PATCH] x\" failed to apply to 6.1-stable tree",
    ],
)  # fmt: skip
def test_no_label(subject: str) -> None:
    assert read_label(subject) is None


@given(st.text(alphabet="[]PATCHvof 0123/,:Re", max_size=60))
def test_any_brackets(subject: str) -> None:
    label = read_label(subject)
    assert label is None or (0 <= label.counter <= 9999 and 0 <= label.version <= 999)
