# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from reviewbot.locking.model import Verdict
from reviewbot.service.log import Event
from reviewbot.service.metrics import Metrics
from reviewbot.service.model import FailureKind, OutboxState, Reason, ReviewState, Step
from reviewbot.service.state.model import Overview, SourceRecord
from reviewbot.service.state.store import StateError

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SEEN = Overview(
    reviews={ReviewState.QUEUED: 3, ReviewState.RUNNING: 1, ReviewState.DONE: 7},
    verdicts={Verdict.REMOVED: 2, Verdict.CLEAN: 5},
    failures={FailureKind.TIMEOUT: 1},
    messages={Reason.OURS: 20, Reason.NOT_A_PATCH: 100},
    outbox={OutboxState.WAITING: 2},
    oldest=NOON - timedelta(seconds=90),
    sources=(
        SourceRecord("kvm", last_good=NOON),
        SourceRecord("xfs", failure=FailureKind.THROTTLED, reason="429", failures=2),
    ),
    machines=2,
)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed


def values(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Sample name and label values to the figure."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_scrape_shows_what_the_state_holds() -> None:
    found = values(Metrics(lambda: SEEN, Clock(), 1800))
    assert found["reviewbot_state_up",] == 1
    assert found["reviewbot_queue_depth",] == 4
    assert found["reviewbot_queue_oldest_seconds",] == 90
    assert found["reviewbot_reviews", "done"] == 7
    assert found["reviewbot_reviews", "failed"] == 0, "an alert needs a series to look at"
    assert found["reviewbot_verdicts", "removed"] == 2
    assert found["reviewbot_failures", "timeout"] == 1
    assert found["reviewbot_messages", "no patch"] == 100
    assert found["reviewbot_mails", "waiting"] == 2
    assert found["reviewbot_source_up", "kvm"] == 1
    assert found["reviewbot_source_up", "xfs"] == 0
    assert found["reviewbot_source_last_good_timestamp_seconds", "kvm"] == NOON.timestamp()
    assert ("reviewbot_source_last_good_timestamp_seconds", "xfs") not in found


def test_steps_and_events_of_this_machine_are_counted() -> None:
    metrics = Metrics(lambda: SEEN, Clock(), 1800)
    metrics.event(Event.STEP, step=Step.CHECK, seconds=1.5)
    metrics.event(Event.STEP, step=Step.CHECK, seconds=0.3)
    metrics.event(Event.REVIEW_FAILED, kind=FailureKind.TIMEOUT)
    found = values(metrics)
    assert found["reviewbot_step_seconds_count", "check"] == 2
    assert found["reviewbot_step_seconds_sum", "check"] == 1.8
    assert found["reviewbot_step_seconds_bucket", "1.0", "check"] == 1
    assert found["reviewbot_events_total", "review.failed"] == 1


def test_a_state_that_cannot_be_read_is_a_figure_too() -> None:
    def down() -> Overview:
        raise StateError("The database is away.", FailureKind.UNREACHABLE)

    found = values(Metrics(down, Clock(), 1800))
    assert found["reviewbot_state_up",] == 0
    assert ("reviewbot_queue_depth",) not in found


def test_a_clock_that_jumps_back_makes_no_negative_age() -> None:
    later = replace(SEEN, oldest=NOON + timedelta(hours=1))
    assert values(Metrics(lambda: later, Clock(), 1800))["reviewbot_queue_oldest_seconds",] == 0


def test_health_fails_when_polling_stalls_and_mends_with_a_good_poll() -> None:
    clock = Clock()
    metrics = Metrics(lambda: SEEN, clock, 1800)
    assert metrics.health().good, "a service that has just begun is not stalled"
    clock.passed = 1801
    metrics.event(Event.POLL_FAILED, source="kvm")
    assert not metrics.health().good
    assert "no good poll for 1801 s" in metrics.health().reason
    metrics.event(Event.POLLED, source="kvm")
    assert metrics.health().good
