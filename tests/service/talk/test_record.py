# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.errors import UsageError
from reviewbot.locking.model import HazardKind, hazard_id
from reviewbot.service.state import quiet
from reviewbot.service.state.store import State
from reviewbot.service.talk.model import FalsePositive
from reviewbot.service.talk.record import read, written

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=30)


def mark(list_: str = "kvm", *classes: str, reason: str = "never at once") -> FalsePositive:
    classes = classes or ("struct foo.lock", "struct foo.srcu")
    kind = HazardKind.WORKER_POOL_CYCLE
    name = hazard_id(kind, classes)
    person, role = "ann@example.org", "author of the series"
    return FalsePositive(list_, name, kind, classes, reason, person, role, "1@example.org", AT)


def test_what_is_written_is_for_people() -> None:
    text = written([mark("net"), mark("kvm", reason='a "quoted" reason')])
    assert text.splitlines()[3:14] == [
        f"[[false-positive]]  # {mark().hazard}",
        'list = "kvm"',
        'kind = "worker-pool-cycle"',
        "classes = [",
        '    "struct foo.lock",',
        '    "struct foo.srcu",',
        "]",
        'reason = "a \\"quoted\\" reason"',
        'person = "ann@example.org"',
        'role = "author of the series"',
        'message_id = "1@example.org"',
    ]
    assert text.count("[[false-positive]]") == 2
    assert read(written([]).encode(), "none") == ()


@given(st.lists(st.builds(lambda a, b, c: mark(a, b, c, reason=c), TEXT, TEXT, TEXT), max_size=4))
def test_what_is_written_can_be_read(marks: list[FalsePositive]) -> None:
    each = {(one.list, one.hazard): one for one in marks}.values()
    assert sorted(read(written(each).encode(), "f"), key=repr) == sorted(each, key=repr)


@pytest.mark.parametrize(
    "text",
    [
        "[[false-positive]]\nlist = 1",
        "[[false-positiv]]\n",
        "[[false-positive]]\nlist = ",
        written([mark()]).replace("worker-pool", "pool"),
        written([mark()]).replace("person", "persons"),
        written([mark()]).replace("+00:00", ""),
        "\udcff",
    ],
)
def test_what_is_wrong_is_said(text: str) -> None:
    with pytest.raises(UsageError, match=r"^marks\.toml"):
        read(text.encode("utf-8", "surrogateescape"), "marks.toml")


def test_a_file_is_the_whole_truth(state: State) -> None:
    first, second = mark("kvm"), mark("net")
    assert quiet.replace_marks(state, [first, second]) == (2, 0)
    better = replace(second, reason="one queue runs both")
    third = mark("mm")
    assert quiet.replace_marks(state, [better, third]) == (1, 1)
    assert set(quiet.marked(state)) == {better, third}
