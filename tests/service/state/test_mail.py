# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import threading
from datetime import timedelta

import msgspec
import pytest

from reviewbot.service.model import Decision, FailureKind, Reason
from reviewbot.service.state import mail, queries, reviews
from reviewbot.service.state.model import Failure, Received, SourceState
from reviewbot.service.state.store import State
from reviewbot.service.state.tables import messages
from tests.service.support import START, HandClock, group, post, received

NOT_OURS = Decision(False, Reason.NO_LIST)


def test_a_batch_and_its_cursor_are_stored_together(state: State) -> None:
    one, two = received("1@example.org"), received("2@example.org", number=2)
    assert mail.take_in(state, "kvm", "c1", [one, two]) == (one, two)
    assert mail.source(state, "kvm").cursor == "c1"
    found = queries.story(state, "2@example.org")
    assert found is not None
    assert found.message.source == "kvm"
    assert found.message.received == START
    assert found.message.subject.startswith("[PATCH 2/1]")


def test_a_batch_that_breaks_leaves_neither_mail_nor_cursor(state: State) -> None:
    def batch() -> list[Received]:
        raise RuntimeError("read error")

    mail.take_in(state, "kvm", "c1", [])
    with pytest.raises(RuntimeError):
        mail.take_in(state, "kvm", "c2", (m for n in "ab" for m in [received(n), *batch()]))
    assert mail.source(state, "kvm").cursor == "c1"
    assert queries.story(state, "a") is None


def test_a_message_that_came_before_is_no_news(state: State) -> None:
    one = received("1@example.org")
    mail.take_in(state, "kvm", "c1", [one])
    assert mail.take_in(state, "other", "d1", [one]) == ()
    found = queries.story(state, "1@example.org")
    assert found is not None
    assert found.message.source == "kvm"


def test_a_message_that_counts_only_on_the_second_list_is_news_then(state: State) -> None:
    first = received("1@example.org", NOT_OURS)
    again = received("1@example.org")
    assert mail.take_in(state, "kvm", "c1", [first]) == (first,)
    assert mail.take_in(state, "net", "d1", [again]) == (again,)
    assert mail.take_in(state, "kvm", "c2", [first]) == ()
    found = queries.story(state, "1@example.org")
    assert found is not None
    assert found.message.ours
    assert found.message.source == "net"


def test_hostile_text_is_stored_readably(state: State) -> None:
    bad = received("1@example.org", subject="nul \0 and \ud800 half")
    readable = Received("2@example.org", "\0", Decision(False, Reason.UNREADABLE, "\udfff"))
    mail.take_in(state, "kvm", "c1", [readable])
    with pytest.raises(UnicodeEncodeError):  # a Post has no such text: read_post sees to it
        mail.take_in(state, "kvm", "c2", [bad])
    found = queries.story(state, "2@example.org")
    assert found is not None
    assert found.message.where == "\N{REPLACEMENT CHARACTER}"
    assert found.message.detail == "?"


def test_what_the_archive_takes_back_loses_its_text(state: State) -> None:
    mail.take_in(state, "kvm", "c1", [received("1@example.org"), received("2@example.org")])
    review = reviews.collect(
        state, group("k", "1@example.org", "2@example.org"), START, "kvm", "ann@example.org"
    )
    mail.take_in(state, "kvm", "c2", [], removed=["1@example.org", "never@example.org"])
    assert len(mail.texts(state, review.parts)) == 1
    found = queries.story(state, "1@example.org")
    assert found is not None
    assert found.message.removed
    assert found.message.reason is Reason.REMOVED
    mail.take_in(state, "kvm", "c3", [received("1@example.org")])
    found = queries.story(state, "1@example.org")
    assert found is not None
    assert not found.message.ours


def test_a_source_fails_and_mends(state: State, clock: HandClock) -> None:
    later = START + timedelta(seconds=60)
    for _ in range(2):
        mail.source_failed(state, "kvm", Failure(FailureKind.THROTTLED, "HTTP 429"), later)
    source = mail.source(state, "kvm")
    assert (source.state, source.failure, source.failures, source.next_try, source.cursor) == (
        *(SourceState.FAILING, FailureKind.THROTTLED, 2, later),
        None,
    )
    clock.forward(60)
    mail.take_in(state, "kvm", "c1", [])
    source = mail.source(state, "kvm")
    assert (source.state, source.failures, source.reason) == (SourceState.GOOD, 0, "")
    assert source.last_good == later
    assert mail.all_sources(state) == (source,)


def test_neighbours_are_found_by_author_thread_and_change_id(state: State) -> None:
    other = post("x").author.__class__("Bob", "Bob@example.org")
    batch = [
        received("same-author"),
        received("in-thread", author=other, references=("root", "mid")),
        received("root", author=other),
        received("same-change", author=other, change_id="frob-1"),
        received("stranger", author=other),
        received("not-ours", Decision(False, Reason.BOT)),
    ]
    mail.take_in(state, "kvm", "c1", batch)
    near = mail.neighbourhood(
        state,
        [post("new", references=("root",), in_reply_to="root", change_id="frob-1")],
        START - timedelta(days=1),
    )
    assert [found.message_id for found in near] == [
        *("same-author", "in-thread", "root", "same-change")
    ]
    assert near[0] == batch[0].post
    assert mail.neighbourhood(state, [post("new")], START + timedelta(seconds=1)) == ()


def test_many_values_fit_into_queries(state: State) -> None:
    ids = [f"{number}@example.org" for number in range(1200)]
    mail.take_in(state, "kvm", "c1", [received(one, patch_id=one) for one in ids])
    assert mail.records(state, [*ids, "unknown"]).keys() == set(ids)


def test_what_an_older_program_kept_of_a_mail_can_be_read(state: State) -> None:
    new = post("old@example.org")
    mail.take_in(state, "kvm", "c1", [received("old@example.org")])
    old = {**msgspec.to_builtins(new), "base_commit": "a" * 40, "prerequisites": ["b" * 40]}
    with state.write() as connection:
        connection.execute(messages.update().values(post=msgspec.json.encode(old)))
    assert mail.posts(state, ["old@example.org"]) == (new,)


def test_texts_go_when_nobody_needs_them(state: State, clock: HandClock) -> None:
    mail.take_in(state, "kvm", "c1", [received("open@example.org"), received("loose@example.org")])
    review = reviews.collect(state, group("k", "open@example.org"), START, "kvm", "a")
    clock.forward(1000)
    assert mail.prune(state, clock.now()) == 1
    assert len(mail.texts(state, review.parts)) == 1
    reviews.skip(state, review.id, "unwanted")
    clock.forward(1)
    assert mail.prune(state, clock.now()) == 1
    assert mail.texts(state, review.parts) == ()
    assert len(mail.posts(state, review.parts)) == 1


def test_two_that_take_in_at_once_store_each_message_once(state: State) -> None:
    batch = [received(f"{number}@example.org") for number in range(40)]
    fresh: list[int] = []
    gate = threading.Barrier(4)

    def take(name: str) -> None:
        gate.wait()
        fresh.append(len(mail.take_in(state, name, "c", batch)))

    threads = [threading.Thread(target=take, args=(f"source{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(fresh) == 40
    assert len(mail.records(state, [one.message_id for one in batch])) == 40
