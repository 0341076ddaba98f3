# SPDX-License-Identifier: GPL-2.0-or-later
"""Mails with commands, from their arrival to their effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from reviewbot.errors import TreeError, UsageError
from reviewbot.locking.model import ChangeState, Verdict
from reviewbot.series.errors import NotFound, TooBig, UnreachableError
from reviewbot.series.fetch import fetch_thread
from reviewbot.series.mailbox import mbox_entry
from reviewbot.service.decide import Scope
from reviewbot.service.log import Event
from reviewbot.service.model import AddressState, Arrival, Batch, OutboxState, ReviewState, Step
from reviewbot.service.poll import poll
from reviewbot.service.show import story_text
from reviewbot.service.state import (
    addresses,
    mail,
    progress,
    queries,
    quiet,
    reviews,
    sending,
    talk,
    transitions,
)
from reviewbot.service.state.model import ReviewRecord
from reviewbot.service.state.store import State
from reviewbot.service.state.tables import hazards, outbox
from reviewbot.service.talk.answer import Desk, answer_all
from reviewbot.service.talk.model import CommandRecord, CommandState
from tests.service.support import HAZARD, START, HandClock, group, outcome, received
from tests.service.talk.letters import Names, Server, reply
from tests.support import public_inbox

DAY = 86_400.0


@dataclass
class Line:
    """A source that gives what it is given."""

    arrivals: tuple[Arrival, ...]
    name: str = "kvm"

    def fetch(self, cursor: str | None, limit: int) -> Batch:
        return Batch(self.arrivals, "x")

    def wait(self, seconds: float) -> bool:
        return False

    def close(self) -> None:
        pass


@dataclass
class List:
    """A list with an archive, mail servers, and our replies to its series."""

    state: State
    clock: HandClock
    names: Names = field(default_factory=Names)
    archive: dict[str, bytes] = field(default_factory=dict)
    down: bool = False
    events: list[tuple[Event, str]] = field(default_factory=list)
    servers: dict[str, Server] = field(default_factory=dict)

    def event(self, name: Event, **fields: object) -> None:
        self.events.append((name, str(fields.get("reason", ""))))

    def thread(self, message_id: str) -> bytes:
        if self.down:
            raise UnreachableError("The archive is down.")
        if message_id not in self.archive:
            raise NotFound("no such mail")
        return b"".join(map(mbox_entry, self.archive.values()))

    @property
    def desk(self) -> Desk:
        return Desk(
            people=frozenset({"kim@example.org"}),
            maintainers=lambda record: frozenset({"max@example.org"}),
            resolve=self.names,
            thread=self.thread,
            limits=talk.Limits(retests=2, share=0.2, least=2),
            patience=timedelta(days=2),
        )

    def reviewed(self, key: str = "k", number: int = 1, hazard: str = "h", **given: object) -> int:
        """A series that was reviewed, and our reply ``reply-NUMBER`` to it."""
        one = f"{key}-1@example.org"
        mail.take_in(self.state, "kvm", "c", [received(one)])
        record = reviews.collect(
            self.state, group(key, one, **given), START, "kvm", "ann@example.org"
        )
        reviews.queue(self.state, record.id, f"print-{key}", "whole", "kvm")
        self.finish(record.id, number, hazard)
        return record.id

    def finish(self, review: int, number: int = 1, hazard: str = "h") -> ReviewRecord:
        record = reviews.get(self.state, review)
        progress.submitted(self.state, record)
        progress.begin(self.state, review, Step.FETCH, "m1")
        found = replace(HAZARD, hazard=hazard, state=ChangeState.INTRODUCED)
        made = replace(outcome(f"reply-{number}@example.org"), hazards=(found,))
        assert progress.finish(self.state, review, made)
        with self.state.write() as connection:
            connection.execute(outbox.update().values(state=OutboxState.SENT, attempts=1))
        return reviews.get(self.state, review)

    def signed(self, raw: bytes, domain: str = "example.org") -> bytes:
        """A mail as its author's server sends it."""
        if domain not in self.servers:
            self.servers[domain] = Server.of(domain, self.names)
        return self.servers[domain].sign(raw)

    def archived(self, raw: bytes, message_id: str = "answer-1@example.org") -> bytes:
        self.archive[message_id] = raw
        return raw

    def say(self, *mails: bytes) -> int:
        """Mails arrive by way of a source, and what was asked for is looked at."""
        line = Line(tuple(Arrival(raw, "1") for raw in mails))
        poll(self.state, line, Scope({}), self, limit=10, go_on=lambda: True)
        return answer_all(self.state, self.desk, self)

    def genuine(self, command: str = "#reviewbot stop", number: int = 1, **given: str) -> bytes:
        """A mail that is signed and archived."""
        name = f"answer-{number}@example.org"
        raw = reply(command, message_id=name, **given)  # type: ignore[arg-type]
        return self.archived(self.signed(raw), name)

    def became(self, message_id: str = "answer-1@example.org") -> tuple[CommandState, str]:
        """What became of a mail with commands."""
        found = {one.message_id: one for one in self.commands()}
        return found[message_id].state, found[message_id].reason

    def commands(self) -> tuple[CommandRecord, ...]:
        """Every mail with commands."""
        listed = queries.list_reviews(self.state)
        with self.state.read() as connection:
            return tuple(one for review in listed for one in talk.about(connection, review.id))


@pytest.fixture
def kvm(state: State, clock: HandClock) -> List:
    made = List(state, clock)
    made.reviewed()
    return made


OBEYED, IGNORED, HEARD = CommandState.OBEYED, CommandState.IGNORED, CommandState.HEARD


# ---- who may ----


def test_the_author_stops_us(kvm: List) -> None:
    assert kvm.say(kvm.genuine()) == 1
    assert kvm.became() == (OBEYED, "stop: all series of its author (author of the series)")
    assert kvm.events[-1] == (Event.OBEYED, "stop: all series of its author")
    story = queries.story(kvm.state, "k-1@example.org")
    assert story is not None
    assert "command   <answer-1@example.org> ann@example.org asked for stop; obeyed: stop:" in (
        story_text(story, kvm.clock.now())
    )
    assert "ann@example.org asked us to stop in <answer-1@" in quiet.is_silent(kvm.state, "kvm", 1)
    assert kvm.say(kvm.genuine()) == 0  # the list's second copy
    (silent,) = addresses.silent(kvm.state)
    assert (silent.address, silent.state) == ("ann@example.org", AddressState.OPTED_OUT)
    other = kvm.reviewed("other", 2)
    assert quiet.is_silent(kvm.state, "kvm", other)
    addresses.restore(kvm.state, "ann@example.org", "asked for more")
    assert quiet.is_silent(kvm.state, "kvm", other) == ""


@pytest.mark.parametrize(
    ("author", "role"),
    [
        ("Kim <KIM@Example.org>", "named in the configuration"),
        ("max@example.org", "maintainer of a touched file"),
    ],
)
def test_others_who_may_stop_one_series(kvm: List, author: str, role: str) -> None:
    assert kvm.say(kvm.genuine(author=author)) == 1
    assert kvm.became() == (OBEYED, f"stop: this series ({role})")
    other = kvm.reviewed("other", 2)
    assert quiet.is_silent(kvm.state, "kvm", 1)
    assert quiet.is_silent(kvm.state, "kvm", other) == ""


def test_a_stranger_is_not_even_asked_after(kvm: List) -> None:
    for author in ("Mallory <mallory@example.org>", '"ann@example.org" <m@example.org>', "ann"):
        number = len(kvm.archive) + 1
        kvm.say(kvm.genuine(author=author, number=number))
        state, reason = kvm.became(f"answer-{number}@example.org")
        assert (state, reason) == (IGNORED, "its author may not give commands here")
    assert kvm.names.asked == []
    assert quiet.is_silent(kvm.state, "kvm", 1) == ""
    assert len(queries.letters(kvm.state)) == 1  # nobody got an answer


def test_a_forged_author_has_no_effect(kvm: List) -> None:
    kvm.say(kvm.archived(reply()))
    assert kvm.became() == (IGNORED, "it has no DKIM signature")
    raw = reply(message_id="answer-2@example.org")
    forged = kvm.signed(raw, "mallory.example.org")
    kvm.say(kvm.archived(forged, "answer-2@example.org"))
    state, reason = kvm.became("answer-2@example.org")
    assert (state, reason) == (IGNORED, "its DKIM signature is of another domain than From")
    broken = kvm.genuine(number=3).replace(b"never taken", b"always taken")
    kvm.say(kvm.archived(broken, "answer-3@example.org"))
    state, reason = kvm.became("answer-3@example.org")
    assert (state, reason) == (IGNORED, "its DKIM signature does not verify")
    assert quiet.is_silent(kvm.state, "kvm", 1) == ""


def test_the_archive_has_to_have_the_same_mail(kvm: List) -> None:
    kvm.genuine()
    kvm.archive["answer-1@example.org"] = reply("#reviewbot retest")
    kvm.say(kvm.signed(reply()))
    assert kvm.became() == (IGNORED, "the archive's copy has another author or text")
    assert quiet.is_silent(kvm.state, "kvm", 1) == ""


def test_a_copy_that_a_list_had_changed_does_not_count_for_the_true_one(kvm: List) -> None:
    genuine = kvm.genuine()
    kvm.say(genuine + b"_______\nFrob mailing list\n")
    assert kvm.became() == (IGNORED, "its DKIM signature does not verify")
    asked = len(kvm.names.asked)
    kvm.say(genuine + b"_______\nFrob mailing list\n")
    assert len(kvm.names.asked) == asked  # that copy is known
    kvm.say(genuine)
    assert kvm.became()[0] is OBEYED
    kvm.say(genuine + b"\n")
    assert kvm.became()[0] is OBEYED


def test_without_an_archive_nothing_is_obeyed(kvm: List) -> None:
    raw = kvm.genuine()
    line = Line((Arrival(raw, "1"),))
    poll(kvm.state, line, Scope({}), kvm, limit=10, go_on=lambda: True)

    def ask(name: str) -> bytes | None:
        raise AssertionError("nobody is asked in vain")

    assert answer_all(kvm.state, replace(kvm.desk, thread=None, resolve=ask), kvm) == 0
    assert kvm.became()[0] is IGNORED


# ---- what cannot be checked now ----


@pytest.mark.parametrize("what", ["names", "archive", "not there yet"])
def test_what_is_down_is_asked_again(kvm: List, what: str) -> None:
    raw = kvm.genuine()
    kvm.names.down = what == "names"
    kvm.down = what == "archive"
    kept = kvm.archive.pop("answer-1@example.org") if what == "not there yet" else b""
    assert kvm.say(raw) == 0
    assert kvm.became() == (HEARD, "")
    kvm.names.down = kvm.down = False
    if kept:
        kvm.archive["answer-1@example.org"] = kept
    assert answer_all(kvm.state, kvm.desk, kvm) == 0  # too early
    kvm.clock.forward(60)
    assert answer_all(kvm.state, kvm.desk, kvm) == 1
    assert kvm.became()[0] is OBEYED


def test_no_mail_waits_for_ever(kvm: List) -> None:
    raw = kvm.genuine()
    kvm.archive.clear()
    kvm.say(raw)
    for _ in range(20):
        kvm.clock.forward(4 * 3600)
        answer_all(kvm.state, kvm.desk, kvm)
    state, reason = kvm.became()
    assert (state, reason.partition(":")[0]) == (IGNORED, "it could not be checked in time")


def test_a_tree_that_is_not_there_is_asked_again(kvm: List) -> None:
    def gone(record: ReviewRecord) -> frozenset[str]:
        raise TreeError("The tree is being made anew.")

    line = Line((Arrival(kvm.genuine(author="max@example.org"), "1"),))
    poll(kvm.state, line, Scope({}), kvm, limit=10, go_on=lambda: True)
    assert answer_all(kvm.state, replace(kvm.desk, maintainers=gone), kvm) == 0
    kvm.clock.forward(60)
    assert answer_all(kvm.state, kvm.desk, kvm) == 1


def test_a_thread_that_is_too_big_is_not_asked_again(kvm: List) -> None:
    def huge(message_id: str) -> bytes:
        raise TooBig("The thread is too large.")

    line = Line((Arrival(kvm.genuine(), "1"),))
    poll(kvm.state, line, Scope({}), kvm, limit=10, go_on=lambda: True)
    answer_all(kvm.state, replace(kvm.desk, thread=huge), kvm)
    assert kvm.became() == (IGNORED, "The thread is too large.")


# ---- which mails ----


def test_only_a_thread_of_ours_is_listened_to(kvm: List) -> None:
    elsewhere = reply(to="other@example.org").replace(b"<k-1@example.org>\n ", b"")
    kvm.say(kvm.archived(kvm.signed(elsewhere)))
    assert kvm.commands() == ()
    kvm.say(kvm.genuine(to="k-1@example.org", number=2))  # the patch, not our reply
    assert kvm.became("answer-2@example.org")[0] is OBEYED


def test_what_a_program_says_is_nothing(kvm: List) -> None:
    automatic = reply(more={"Auto-Submitted": "auto-replied"})
    kvm.say(kvm.archived(kvm.signed(automatic)))
    ours = reply(author="reviewbot@example.org")
    line = Line((Arrival(ours, "1"),))
    scope = Scope({}, own="reviewbot@example.org")
    poll(kvm.state, line, scope, kvm, limit=10, go_on=lambda: True)
    assert kvm.commands() == ()


def test_a_thousand_commands_are_none(kvm: List) -> None:
    many = "\n".join(f"#reviewbot false-positive: {number}" for number in range(1000))
    kvm.say(kvm.genuine(many))
    assert kvm.became() == (IGNORED, "more than 3 commands in one mail")
    assert kvm.names.asked == []


def test_a_series_that_was_forgotten(kvm: List) -> None:
    line = Line((Arrival(kvm.genuine(), "1"),))
    poll(kvm.state, line, Scope({}), kvm, limit=10, go_on=lambda: True)
    reviews.forget(kvm.state, 1)
    assert answer_all(kvm.state, kvm.desk, kvm) == 0


# ---- stop ----


def test_after_a_stop_other_versions_and_the_thread_are_left_alone(kvm: List) -> None:
    kvm.say(kvm.genuine(author="max@example.org"))
    version = kvm.reviewed("v2", 2, supersedes=("k",))
    assert quiet.is_silent(kvm.state, "kvm", version)
    letters = queries.letters(kvm.state)
    assert [letter.message_id for letter in letters] == ["reply-1@example.org"]  # none for v2
    assert "no reply, as max@example.org asked us" in reviews.get(kvm.state, version).reason


def test_a_letter_that_waits_does_not_go_out_any_more(kvm: List) -> None:
    with kvm.state.write() as connection:
        connection.execute(outbox.update().values(state=OutboxState.APPROVED, attempts=0))
    kvm.say(kvm.genuine(author="max@example.org"))
    terms = sending.Terms(sending.Budget(9, 9, 9, 9), hold=lambda _: "", bar=lambda _: "")
    said = sending.claim(kvm.state, 1, terms, "m1")
    assert said == "max@example.org asked us to stop in <answer-1@example.org>"


# ---- retest ----


def test_a_retest_is_a_new_round(kvm: List) -> None:
    assert kvm.say(kvm.genuine("#reviewbot retest")) == 1
    record = reviews.get(kvm.state, 1)
    assert (record.state, record.round) == (ReviewState.QUEUED, 2)
    assert kvm.finish(1).state is ReviewState.DONE
    assert len(queries.hazards_of(kvm.state, 1)) == 1  # not those of both rounds
    assert len(queries.letters(kvm.state)) == 1  # the same verdict is not told twice


def test_retests_are_rationed(kvm: List) -> None:
    for number in (1, 2, 3):
        kvm.say(kvm.genuine("#reviewbot retest", number))
        if reviews.get(kvm.state, 1).state is ReviewState.QUEUED:
            kvm.finish(1)
    assert reviews.get(kvm.state, 1).round == 3
    assert "2 were asked for in a day" in kvm.became("answer-3@example.org")[1]
    kvm.clock.forward(DAY + 1)
    kvm.say(kvm.genuine("#reviewbot retest", 4))
    assert reviews.get(kvm.state, 1).state is ReviewState.QUEUED


def test_what_is_under_way_is_not_begun_again(kvm: List) -> None:
    kvm.say(kvm.genuine("#reviewbot retest"), kvm.genuine("#reviewbot retest", 2))
    assert reviews.get(kvm.state, 1).round == 2
    assert "nothing, it is queued" in kvm.became("answer-2@example.org")[1]


# ---- false positives ----

WRONG = "#reviewbot false-positive: both run on one queue"


def test_a_false_positive_is_remembered(kvm: List) -> None:
    kvm.say(kvm.genuine(WRONG))
    (found,) = quiet.marked(kvm.state)
    assert (found.list, found.hazard, found.kind, found.classes) == (
        *("kvm", "h", HAZARD.kind),
        HAZARD.classes,
    )
    assert (found.reason, found.person, found.role, found.message_id, found.at) == (
        *("both run on one queue", "ann@example.org", "author of the series"),
        *("answer-1@example.org", START),
    )
    assert kvm.became()[1].startswith("false-positive: 1 of 1 hazards marked")
    kvm.say(kvm.genuine("#reviewbot false-positive: again", 2))
    assert quiet.marked(kvm.state) == (found,)
    assert quiet.marked(kvm.state, "kvm") == (found,)
    assert quiet.marked(kvm.state, "net") == ()


def test_of_several_letters_the_one_answered_is_meant(kvm: List) -> None:
    first, second = "reply-1@example.org", "reply-2@example.org"
    with kvm.state.write() as connection:
        connection.execute(hazards.update().values(letter=first))
    made = outcome(second)
    with kvm.state.write() as connection:
        record = transitions.fetch(connection, 1)
        reviews.queue_again(kvm.state, connection, record, "retest")
    progress.begin(kvm.state, 1, Step.FETCH, "m1")
    two = tuple(
        replace(HAZARD, hazard=name, state=ChangeState.INTRODUCED, letter=letter)
        for name, letter in (("h", first), ("i", second))
    )
    assert progress.finish(kvm.state, 1, replace(made, verdict=Verdict.INTRODUCED, hazards=two))
    (share,) = queries.overview(kvm.state).shares
    assert share.posted == 1  # the second letter waits
    kvm.say(kvm.genuine(WRONG, 1, to=second))
    assert [one.hazard for one in quiet.marked(kvm.state)] == ["i"]
    kvm.say(kvm.genuine(WRONG, 2, to="k-1@example.org"))
    assert [one.hazard for one in quiet.marked(kvm.state)] == ["h", "i"]


def test_too_many_mute_their_list(kvm: List) -> None:
    for number in range(2, 12):
        kvm.reviewed(f"k{number}", number, f"h{number}")
    kvm.say(kvm.genuine(WRONG))
    kvm.say(kvm.genuine(WRONG, 2, to="reply-2@example.org"))
    (share,) = queries.overview(kvm.state).shares
    assert (share.posted, share.false_positives, share.muted) == (11, 2, "")  # 18 %
    kvm.say(kvm.genuine(WRONG, 3, to="reply-3@example.org"))
    (share,) = queries.overview(kvm.state).shares
    assert share.muted == "3 of 11 hazards posted were false positives, over the limit of 20%"
    assert share.rate == 3 / 11
    assert quiet.is_silent(kvm.state, "kvm", 5).startswith("the list kvm is muted")
    assert quiet.is_silent(kvm.state, "net", 5) == ""


def test_a_list_that_is_unmuted_starts_afresh(kvm: List) -> None:
    for number in (2, 3, 4, 5):
        kvm.reviewed(f"k{number}", number, f"h{number}")
    for number in (1, 2):
        kvm.say(kvm.genuine(WRONG, number, to=f"reply-{number}@example.org"))
    assert quiet.is_silent(kvm.state, "kvm", 5)
    kvm.clock.forward(60)
    quiet.unmute(kvm.state, "kvm", "the model was mended")
    assert quiet.is_silent(kvm.state, "kvm", 5) == ""
    with pytest.raises(UsageError, match="the list kvm is not muted"):
        quiet.unmute(kvm.state, "kvm", "again")
    kvm.clock.forward(60)
    kvm.say(kvm.genuine(WRONG, 3, to="reply-3@example.org"))
    assert quiet.is_silent(kvm.state, "kvm", 5) == ""
    kvm.say(kvm.genuine(WRONG, 4, to="reply-4@example.org"))
    assert quiet.is_silent(kvm.state, "kvm", 5)


# ---- a real archive ----


@pytest.fixture
def lore(tmp_path: Path) -> Iterator[public_inbox.PublicInbox]:
    if not public_inbox.available():
        pytest.skip("needs Debian's public-inbox")
    with public_inbox.PublicInbox(tmp_path / "inbox", ("kvm",)) as server:
        yield server


@pytest.mark.public_inbox
def test_public_inbox_bears_a_mail_out(kvm: List, lore: public_inbox.PublicInbox) -> None:
    escaped = "The lock is never taken there:\nFrom here on the device is gone.\n\n{command}\n\n\n"
    raw = kvm.signed(reply(body=escaped))
    lore.add("kvm", [raw])
    desk = replace(kvm.desk, thread=lambda name: fetch_thread(name, server=lore.url("kvm")))
    second = kvm.signed(reply(message_id="answer-2@example.org"))
    line = Line((Arrival(raw, "1"), Arrival(second, "2")))
    poll(kvm.state, line, Scope({}), kvm, limit=10, go_on=lambda: True)
    assert answer_all(kvm.state, desk, kvm) == 1
    assert kvm.became()[0] is OBEYED
    assert kvm.became("answer-2@example.org") == (HEARD, "")  # not there yet
