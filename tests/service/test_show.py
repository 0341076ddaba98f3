# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from reviewbot.locking.model import ChangeState, HazardKind, Verdict
from reviewbot.service import show
from reviewbot.service.model import FailureKind, OutboxState, Reason, ReviewState, Step
from reviewbot.service.state.model import (
    Event,
    HazardRecord,
    Letter,
    MessageRecord,
    Overview,
    ReviewRecord,
    SourceRecord,
    Story,
    Subject,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
REVIEW = ReviewRecord(
    id=7,
    key="k",
    fingerprint="f",
    list="kvm",
    title="KVM: do not hold the lock over a grace period",
    author="a@example.org",
    version=2,
    expected=1,
    head="v2@example.org",
    change_id="",
    parts=("v2@example.org",),
    supersedes=(),
    superseded_by=None,
    state=ReviewState.RUNNING,
    step=Step.APPLY,
    verdict=None,
    reason="",
    failure=None,
    attempts=0,
    round=1,
    machine="m",
    arrived=NOW - timedelta(minutes=5),
    queued=NOW,
    next_try=None,
    started=NOW,
    ended=None,
    base="0123456789ab",
    seconds={"fetch": 0.5},
)
MESSAGE = MessageRecord(
    message_id="v2@example.org",
    source="kvm",
    where="commit 1",
    list="kvm",
    received=NOW - timedelta(minutes=5),
    subject="[PATCH v2] KVM: do\x1b[31m not",
    author="a@example.org",
    ours=True,
    reason=Reason.OURS,
    detail="",
    removed=False,
    review=7,
)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "now"), (0, "now"), (59, "59 s"), (60, "1 min"), (7300, "2 h"), (900_000, "10 d")],
)
def test_a_span_is_said_in_its_largest_unit(seconds: int, said: str) -> None:
    assert show.span(timedelta(seconds=seconds)) == said


def test_a_review_that_runs_names_its_step() -> None:
    line = show.row(REVIEW, NOW)
    assert (line.state, line.age, line.verdict) == ("running: apply", "5 min", "")
    assert line.title.startswith("v2 KVM: do not hold")


def test_the_overview_says_what_fails_and_when_it_is_tried_again() -> None:
    failing = SourceRecord(
        "xfs",
        last_good=NOW - timedelta(hours=2),
        failure=FailureKind.THROTTLED,
        reason="the server said 429",
        failures=3,
        next_try=NOW + timedelta(minutes=10),
    )
    seen = Overview(
        reviews={ReviewState.QUEUED: 2},
        verdicts={Verdict.CLEAN: 1},
        oldest=NOW - timedelta(minutes=7),
        seconds={Step.CHECK: 1.25},
        sources=(failing, SourceRecord("kvm", last_good=NOW)),
    )
    text = show.as_text(show.overview_facts(seen, NOW))
    assert "reviews   2 queued, the oldest for 7 min" in text
    assert "steps     check 1.2 s" in text
    assert (
        "xfs: failing 3 times (throttled), last good poll 2 h ago, next try in 10 min:"
        " the server said 429" in text
    )
    assert "kvm: good, last good poll now" in text


def test_a_story_tells_everything_and_no_stranger_moves_the_cursor() -> None:
    story = Story(
        MESSAGE,
        REVIEW,
        messages=(MESSAGE,),
        hazards=(
            HazardRecord(
                "flush-cycle-1", HazardKind.FLUSH_CYCLE, ("struct a.b",), ChangeState.REMOVED, 1
            ),
        ),
        letters=(
            Letter(
                1, "r@example.org", 7, "kvm", "Re: x", ("a@example.org",), OutboxState.WAITING, NOW
            ),
        ),
        events=(Event(NOW, Subject.REVIEW, "7", "queued", "running", "by m"),),
    )
    text = show.story_text(story, NOW)
    assert "\x1b" not in text
    assert "review    7, running: apply" in text
    assert "hazard    flush-cycle-1 removed with patch 1: struct a.b" in text
    assert "reply     <r@example.org> waiting" in text
    assert "2026-11-22T12:00:00Z  review queued -> running: by m" in text


def test_a_message_that_is_not_ours_has_a_short_story() -> None:
    text = show.story_text(Story(MESSAGE, None), NOW)
    assert text.endswith("decision  ours")


def test_json_takes_every_record() -> None:
    plain = show.plain({"overview": Overview(sources=(SourceRecord("x"),)), "review": REVIEW})
    assert json.loads(json.dumps(plain))["review"]["state"] == "running"
    assert plain["overview"]["sources"][0]["name"] == "x"
