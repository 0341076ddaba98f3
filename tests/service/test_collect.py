# SPDX-License-Identifier: GPL-2.0-or-later
"""From mail that comes to reviews that wait, without carrying any out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from reviewbot.config_service import ListConfig
from reviewbot.service import poll
from reviewbot.service.collect import Advance, advance
from reviewbot.service.decide import Scope
from reviewbot.service.log import Event
from reviewbot.service.model import Arrival, Batch, FailureKind, Reason, ReviewState
from reviewbot.service.sources.errors import SourceError
from reviewbot.service.state import mail, queries, reviews
from reviewbot.service.state.model import ReviewRecord, SourceState
from reviewbot.service.state.store import State
from tests.service.support import HandClock, Heard

WAIT = 600.0
DIFF = """\
---
 foo/bar.c | 1 +
 1 file changed, 1 insertion(+)

diff --git a/foo/bar.c b/foo/bar.c
index 0123456..789abcd 100644
--- a/foo/bar.c
+++ b/foo/bar.c
@@ -1,2 +1,3 @@
 int a;
+int {name};
 int b;
"""


@dataclass
class Line:
    """A source that gives what it is told to, one batch at a time."""

    name: str = "kvm"
    batches: list[Batch | SourceError] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)

    def fetch(self, cursor: str | None, limit: int) -> Batch:
        self.asked.append(cursor)
        found = self.batches.pop(0) if self.batches else Batch((), cursor or "0")
        if isinstance(found, SourceError):
            raise found
        return found

    def wait(self, seconds: float) -> bool:
        return False

    def close(self) -> None:
        pass


def written(message_id: str, subject: str, **given: str) -> bytes:
    """A patch mail; no diff for a cover letter."""
    headers = {
        "From": "Ann Author <ann@example.org>",
        "To": "kvm@example.org",
        "Date": "Sun, 22 Nov 2026 12:00:00 +0000",
        "Message-ID": f"<{message_id}>",
        "Subject": subject,
    }
    name = given.pop("adds", message_id.partition("@")[0].replace("-", "_"))
    headers |= {key.replace("_", "-"): value for key, value in given.items()}
    head = "".join(f"{key}: {value}\n" for key, value in headers.items())
    body = "Why.\n" + ("" if " 0/" in subject else DIFF.format(name=name))
    return f"{head}\n{body}".encode()


@dataclass
class Desk:
    """One list, and the passes over what it has."""

    state: State
    heard: Heard
    scope: Scope

    def come(self, *mails: bytes, source: str = "kvm") -> Advance:
        """Mails arrive and a pass is made."""
        arrivals = tuple(Arrival(raw, f"{number}") for number, raw in enumerate(mails))
        self.poll(Line(source, [Batch(arrivals, "x")]))
        return self.look()

    def poll(self, source: Line) -> int:
        return poll.poll(self.state, source, self.scope, self.heard, limit=10, go_on=lambda: True)

    def look(self) -> Advance:
        return advance(self.state, lambda _: self.scope, self.heard, WAIT)

    def states(self) -> list[ReviewState]:
        return [record.state for record in reversed(queries.list_reviews(self.state))]

    def only(self) -> ReviewRecord:
        (record,) = queries.list_reviews(self.state)
        return record


@pytest.fixture
def desk(state: State) -> Desk:
    lists = {"kvm": ListConfig(address="kvm@example.org")}
    return Desk(state, Heard(), Scope(lists=lists, own="bot@example.org"))


SERIES = [
    written("s-0@example.org", "[PATCH 0/2] frob: two things"),
    written("s-1@example.org", "[PATCH 1/2] frob: one", References="<s-0@example.org>"),
    written("s-2@example.org", "[PATCH 2/2] frob: other", References="<s-0@example.org>"),
]


def test_a_whole_series_is_queued_at_once(desk: Desk) -> None:
    (review,) = desk.come(*SERIES).queued
    record = reviews.get(desk.state, review)
    assert (record.state, record.list, record.head) == (
        *(ReviewState.QUEUED, "kvm"),
        "s-0@example.org",
    )
    assert record.parts == ("s-0@example.org", "s-1@example.org", "s-2@example.org")
    assert len(mail.texts(desk.state, record.parts)) == 3
    assert desk.heard.of(Event.QUEUED)[0]["workflow"] == record.workflow
    assert desk.look() == Advance()


def test_a_series_waits_for_its_rest_until_its_deadline(desk: Desk, clock: HandClock) -> None:
    assert desk.come(*SERIES[:2]).queued == ()
    assert desk.states() == [ReviewState.COLLECTING]
    clock.forward(WAIT - 1)
    assert desk.look().queued == ()
    clock.forward(1)
    assert len(desk.look().queued) == 1
    assert desk.only().reason == "patch 2 did not come in time"


def test_the_rest_may_come_in_any_order_and_one_by_one(desk: Desk) -> None:
    for last, each in enumerate(reversed(SERIES), 1):
        assert len(desk.come(each).queued) == (last == 3)
    assert desk.only().head == "s-0@example.org"


def test_what_comes_after_the_deadline_is_not_reviewed_again(desk: Desk, clock: HandClock) -> None:
    desk.come(*SERIES[:2])
    clock.forward(WAIT)
    desk.look()
    before = desk.only()
    assert desk.come(SERIES[2]).queued == ()
    assert desk.only() == before
    story = queries.story(desk.state, "s-2@example.org")
    assert story is not None
    assert story.review == before


def test_a_crash_between_mail_and_series_loses_nothing(desk: Desk) -> None:
    desk.poll(Line(batches=[Batch((Arrival(SERIES[0], "0"), Arrival(SERIES[1], "1")), "x")]))
    desk.poll(Line(batches=[Batch((Arrival(SERIES[2], "2"),), "y")]))
    assert len(desk.look().queued) == 1


def test_two_services_that_look_at_once_make_one_review(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrivals = tuple(Arrival(raw, f"{number}") for number, raw in enumerate(SERIES))
    desk.poll(Line(batches=[Batch(arrivals, "x")]))
    waiting = mail.open_posts(desk.state)
    records = mail.records(desk.state, [post.message_id for post in waiting])
    desk.look()
    monkeypatch.setattr(mail, "open_posts", lambda _: waiting)  # as the other one has read them
    monkeypatch.setattr(mail, "records", lambda *_: records)
    assert desk.look() == Advance()
    assert desk.only().state is ReviewState.QUEUED


def test_a_newer_version_ends_the_older(desk: Desk) -> None:
    desk.come(written("a@example.org", "[PATCH] frob: do it"))
    done = desk.come(
        written("b@example.org", "[PATCH v2] frob: do it", In_Reply_To="<a@example.org>")
    )
    assert desk.states() == [ReviewState.SUPERSEDED, ReviewState.QUEUED]
    assert len(done.queued) == len(done.ended) == 1
    newer = reviews.get(desk.state, done.queued[0])
    old = reviews.get(desk.state, done.ended[0])
    assert newer.supersedes == (old.key,)
    assert old.superseded_by == newer.id


def test_an_older_version_that_comes_late_is_not_reviewed(desk: Desk) -> None:
    desk.come(written("b@example.org", "[PATCH v2] frob: do it"))
    assert desk.come(written("a@example.org", "[PATCH] frob: do it")).queued == ()
    assert sorted(desk.states()) == [ReviewState.QUEUED, ReviewState.SUPERSEDED]


def test_the_same_title_years_later_is_another_series(desk: Desk, clock: HandClock) -> None:
    desk.come(written("a@example.org", "[PATCH] frob: fix typo"))
    clock.forward(timedelta(days=400).total_seconds())
    done = desk.come(written("b@example.org", "[PATCH] frob: fix typo"))
    assert len(done.queued) == 1
    assert len(queries.list_reviews(desk.state)) == 2


def test_the_same_mail_from_two_lists_is_one(desk: Desk) -> None:
    desk.come(*SERIES)
    assert desk.come(*SERIES, source="net").queued == ()
    assert len(queries.list_reviews(desk.state)) == 1


def test_a_series_that_is_declined_says_why(desk: Desk) -> None:
    desk.scope = Scope(lists={"kvm": ListConfig(address="kvm@example.org", paths=("mm",))})
    assert desk.come(*SERIES).queued == ()
    record = desk.only()
    assert record.state is ReviewState.SKIPPED
    assert record.reason == f"{Reason.PATHS}: foo/bar.c"
    assert desk.heard.of(Event.ENDED)[0]["head"] == "s-0@example.org"


def test_a_resend_is_not_reviewed(desk: Desk) -> None:
    desk.come(written("a@example.org", "[PATCH] frob: do it", adds="x"))
    assert desk.come(written("b@example.org", "[PATCH RESEND] frob: do it", adds="x")).queued == ()
    assert sorted(desk.states()) == [ReviewState.QUEUED, ReviewState.SKIPPED]


def test_what_is_taken_back_while_it_collects_is_not_waited_for(
    desk: Desk, clock: HandClock
) -> None:
    desk.come(*SERIES[:2])
    desk.poll(Line(batches=[Batch((), "y", removed=("s-0@example.org", "s-1@example.org"))]))
    clock.forward(WAIT)
    assert desk.look().queued == ()
    assert desk.states() == [ReviewState.SKIPPED]


def test_unreadable_mail_is_remembered_as_such(desk: Desk) -> None:
    desk.come(b"no mail at all", written("ok@example.org", "[PATCH] frob: fine"))
    (told,) = desk.heard.of(Event.MESSAGE)
    assert told["where"] == "0"
    assert queries.overview(desk.state).messages[Reason.UNREADABLE] == 1
    assert len(queries.list_reviews(desk.state)) == 1


def test_replies_are_seen_and_not_kept(desk: Desk) -> None:
    desk.come(written("r@example.org", "Re: [PATCH] frob: do it"))
    story = queries.story(desk.state, "r@example.org")
    assert story is not None
    assert story.message.reason is Reason.REPLY
    assert mail.texts(desk.state, ["r@example.org"]) == ()


def test_batches_are_fetched_as_long_as_there_are_more(desk: Desk) -> None:
    one, two, three = (Arrival(raw, str(at)) for at, raw in enumerate(SERIES))
    line = Line(batches=[Batch((one,), "1", more=True), Batch((two, three), "3")])
    assert desk.poll(line) == 3
    assert line.asked == [None, "1"]


def test_a_source_that_fails_is_left_alone_for_longer_and_longer(
    desk: Desk, clock: HandClock
) -> None:
    def down(retry_after: float | None = None) -> SourceError:
        return SourceError("it is down", FailureKind.UNREACHABLE, retry_after)

    def delay(failure: SourceError) -> float:
        one = Arrival(SERIES[0], "0")
        line = Line(batches=[Batch((one,), "1", more=True), failure])
        desk.poll(line)
        source = mail.source(desk.state, "kvm")
        assert (source.cursor, source.state) == ("1", SourceState.FAILING)
        assert source.next_try is not None
        assert not poll.is_due(desk.state, "kvm")
        clock.jump((source.next_try - clock.now()).total_seconds())
        assert poll.is_due(desk.state, "kvm")
        return (source.next_try - source.failed).total_seconds() if source.failed else 0.0

    # Each poll stores a batch first, which is a good poll: the count starts again.
    assert delay(down()) == poll.FIRST_DELAY
    assert delay(down(retry_after=7200.0)) == 7200.0
    for _ in range(3):
        desk.poll(Line(batches=[down()]))
    assert mail.source(desk.state, "kvm").failures == 4
    clock.jump(-10 * 86400)
    assert poll.is_due(desk.state, "kvm"), "a clock that was set back stops nobody"
    desk.poll(Line())
    assert mail.source(desk.state, "kvm").state is SourceState.GOOD
    assert [told["kind"] for told in desk.heard.of(Event.POLL_FAILED)] == [
        FailureKind.UNREACHABLE
    ] * 5


def test_a_clock_set_back_holds_up_no_series(desk: Desk, clock: HandClock) -> None:
    clock.jump(86400.0)
    desk.come(*SERIES[:2])
    clock.jump(-86400.0)
    for _ in range(2):
        desk.look()
        clock.forward(WAIT)
    assert len(desk.look().queued) + desk.states().count(ReviewState.QUEUED) >= 1
