# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures for Prometheus, and whether polling goes on.

What the state knows is read when asked for, so it outlives a restart and is the
same on every machine that shares it; only step times and the age of the last good
poll are this process's own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reviewbot.errors import ReviewbotError
from reviewbot.service.clock import Clock
from reviewbot.service.log import Event
from reviewbot.service.model import CheckFate, FailureKind, OutboxState, ReviewState
from reviewbot.service.state.model import Overview, SourceState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the service does its work, and the reason to give."""

    good: bool
    reason: str


class Metrics:
    """An :class:`~reviewbot.service.log.Observer` that counts, and answers a scrape."""

    def __init__(self, overview: Callable[[], Overview], clock: Clock, stall: float) -> None:
        """``stall`` is the seconds without a good poll after which health fails."""
        self._clock = clock
        self._stall = stall
        self._lock = threading.Lock()
        self._good = clock.monotonic()
        self._registry = CollectorRegistry()
        self._registry.register(_FromState(overview, clock))
        self._steps = Histogram(
            "reviewbot_step_seconds",
            "Wall time of a review's step on this machine.",
            ["step"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._events = Counter(
            "reviewbot_events",
            "What happened on this machine, as the log has it.",
            ["event"],
            registry=self._registry,
        )

    def event(self, name: Event, **fields: Any) -> None:
        """Count an event; a good poll is a sign of life."""
        self._events.labels(name.value).inc()
        if name is Event.STEP and isinstance(fields.get("seconds"), float):
            self._steps.labels(str(fields.get("step", ""))).observe(fields["seconds"])
        if name is Event.POLLED:
            with self._lock:
                self._good = self._clock.monotonic()

    def render(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def health(self) -> Health:
        """Good while some source was polled well lately."""
        with self._lock:
            age = self._clock.monotonic() - self._good
        if age <= self._stall:
            return Health(True, f"last good poll {age:.0f} s ago")
        return Health(False, f"no good poll for {age:.0f} s: see reviewbot status")


class _FromState(Collector):
    """Gauges of what the state holds."""

    def __init__(self, overview: Callable[[], Overview], clock: Clock) -> None:
        self._overview = overview
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        return ()  # or prometheus_client would ask the state while registering

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("reviewbot_state_up", "Whether the state could be read.")
        try:
            seen = self._overview()
        except ReviewbotError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from self._gauges(seen)

    def _gauges(self, seen: Overview) -> Iterable[Metric]:
        now = self._clock.now()
        oldest = (now - seen.oldest).total_seconds() if seen.oldest is not None else 0.0
        yield _gauge("reviewbot_queue_depth", "Reviews queued or running.", seen.depth)
        yield _gauge(
            "reviewbot_queue_oldest_seconds",
            "How long the oldest of them has waited.",
            max(0.0, oldest),
        )
        yield _gauge("reviewbot_machines", "Processes that share the work.", seen.machines)
        yield _by(
            "reviewbot_reviews", "Reviews by state.", "state", _all(ReviewState, seen.reviews)
        )
        yield _by("reviewbot_verdicts", "Reviews done, by verdict.", "verdict", seen.verdicts)
        yield _by(
            "reviewbot_failures",
            "Reviews failed, by kind.",
            "kind",
            _all(FailureKind, seen.failures),
        )
        yield _by("reviewbot_messages", "Messages seen, by decision.", "reason", seen.messages)
        yield _by("reviewbot_mails", "Replies by state.", "state", _all(OutboxState, seen.outbox))
        yield _by("reviewbot_checks", "Checks for patchwork.", "fate", _all(CheckFate, seen.checks))
        yield from _sources(seen)
        yield from _lists(seen)


def _sources(seen: Overview) -> Iterable[Metric]:
    up = GaugeMetricFamily(
        "reviewbot_source_up", "Whether the last poll of a source was good.", labels=["source"]
    )
    good = GaugeMetricFamily(
        "reviewbot_source_last_good_timestamp_seconds",
        "When a source was last polled well.",
        labels=["source"],
    )
    for source in seen.sources:
        up.add_metric([source.name], float(source.state is SourceState.GOOD))
        if source.last_good is not None:
            good.add_metric([source.name], source.last_good.timestamp())
    yield up
    yield good


def _lists(seen: Overview) -> Iterable[Metric]:
    posted = GaugeMetricFamily(
        "reviewbot_list_hazards", "Hazards posted to a list, each once.", labels=["list"]
    )
    wrong = GaugeMetricFamily(
        "reviewbot_list_false_positives",
        "Those of them that people said are none.",
        labels=["list"],
    )
    muted = GaugeMetricFamily(
        "reviewbot_list_muted", "Whether no reply is mailed to a list.", labels=["list"]
    )
    for share in seen.shares:
        posted.add_metric([share.list], share.posted)
        wrong.add_metric([share.list], share.false_positives)
        muted.add_metric([share.list], float(bool(share.muted)))
    yield posted
    yield wrong
    yield muted


def _all(kind: type[StrEnum], counts: Mapping[Any, int]) -> Mapping[StrEnum, int]:
    """Every member, those that did not occur with 0: an alert needs a series to look at."""
    return {member: counts.get(member, 0) for member in kind}


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _by(name: str, meaning: str, label: str, counts: Mapping[Any, int]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=[label])
    for member, count in counts.items():
        family.add_metric([member.value], count)
    return family
