# SPDX-License-Identifier: GPL-2.0-or-later
"""One step of one review: what it works on, what it leaves, what becomes of its failure.

A step begins with what those before it left in the state, and leaves its own
product there.  So it may be taken by any machine, and again after a crash.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from reviewbot.errors import ReviewbotError
from reviewbot.kernel.model import Base
from reviewbot.locking.model import Verdict
from reviewbot.report.check import Check, CheckState
from reviewbot.report.model import Review
from reviewbot.service._protocol import (
    ChildLimits,
    Fetched,
    Request,
    Setup,
    Task,
    Tried,
    decode,
    encode,
)
from reviewbot.service.archive import Archive
from reviewbot.service.child import Leave, Nursery
from reviewbot.service.failures import StaleProduct, StepError, failure_of
from reviewbot.service.gather import gather
from reviewbot.service.log import Event, Observer
from reviewbot.service.model import PASSING, FailureKind, ReviewState, Step
from reviewbot.service.state import addresses, mail, progress, queries, quiet, reviews
from reviewbot.service.state.model import Failure, Outcome, ReviewRecord
from reviewbot.service.state.store import State, StateError

FIRST_DELAY = 30.0
"""Seconds before a step that failed for a while is tried again; each time twice as long."""
MAX_DELAY = 3600.0

_MADE: Mapping[Step, type[object]] = {
    Step.FETCH: Fetched,
    Step.BASE: Base,
    Step.APPLY: Tried,
    Step.CHECK: Review,
}
_NEEDS: Mapping[Step, tuple[Step, ...]] = {
    Step.BASE: (Step.FETCH,),
    Step.APPLY: (Step.FETCH, Step.BASE),
    Step.CHECK: (Step.FETCH, Step.BASE, Step.APPLY),
    Step.RENDER: (Step.CHECK,),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How reviews are carried out, from the configuration."""

    setup: Callable[[str], Setup]
    """Given a list's name; raises ConfigError if it has no tree."""
    limits: ChildLimits
    attempts: int = 10
    """Tries of a step that fails for a while."""
    archive: Archive | None = None
    """Where patches that did not arrive, and what a series is built on, are asked for."""
    first_delay: float = FIRST_DELAY


class Steps:
    """Takes steps; safe to share between threads."""

    def __init__(
        self, state: State, plan: Plan, machine: str, observer: Observer, nursery: Nursery
    ) -> None:
        self._nursery = nursery
        self._state = state
        self._plan = plan
        self._machine = machine
        self._observer = observer
        self.leave = threading.Event()
        """Set when the service ends: steps under way are left as they are."""

    def take(self, review: int, step: Step) -> bool:
        """Take a step; False if the review's workflow ends with it.

        Raises :class:`StateError` if the state is out of reach, and
        :class:`~reviewbot.service.child.Leave` when the service ends.
        """
        if self.leave.is_set():
            raise Leave
        if not progress.begin(self._state, review, step, self._machine):
            return False
        record = reviews.get(self._state, review)
        began = time.monotonic()
        try:
            if step is Step.OUTBOX:
                return self._finish(record)
            if progress.product(self._state, review, step) is None:
                product = self._make(record, step)
                seconds = time.monotonic() - began
                progress.keep(self._state, review, step, product, seconds)
                self._tell(Event.STEP, record, step=step, seconds=seconds)
        except StateError:
            raise
        except StaleProduct as error:
            if progress.redo(self._state, review, str(error)):
                self._tell(Event.RESUBMITTED, record, reason=str(error))
            return False
        except ReviewbotError as error:
            self._failed(record, step, failure_of(error))
            return False
        return True

    def _make(self, record: ReviewRecord, step: Step) -> bytes:
        if step is Step.FETCH:
            return encode(self._gather(record))
        if step in (Step.CHECK, Step.RENDER) and (harmless := self._harmless(record)):
            return encode(self._clean(record, harmless)) if step is Step.RENDER else b""
        made = {need: self._product(record, need) for need in _NEEDS[step]}
        for need, product in made.items():
            decode(product, _MADE[need])
        setup = self._plan.setup(record.list)
        request = Request(
            task=Task(step.value),
            setup=setup,
            limits=self._plan.limits,
            date=self._state.clock.now(),
            made=made,
            before=self._before(record) if step is Step.RENDER else b"",
            suppressed=self._suppressed(record) if step is Step.RENDER else {},
            silent=self._silent() if step is Step.RENDER else (),
            network=step is Step.BASE and bool(setup.remotes),
        )
        return self._nursery.take(request, self.leave)

    def _clean(self, record: ReviewRecord, harmless: str) -> Outcome:
        """What is said of a series that was not checked, as it needs no check."""
        found: tuple[Check, ...] = ()
        if self._plan.setup(record.list).checked:
            series = decode(self._product(record, Step.FETCH), Fetched).series
            found = tuple(
                Check(patch.index, patch.envelope.message_id, CheckState.SUCCESS, harmless)
                for patch in series.patches
            )
        return Outcome(Verdict.CLEAN, harmless, (), checks=found)

    def _silent(self) -> tuple[str, ...]:
        return tuple(record.address for record in addresses.silent(self._state))

    def _before(self, record: ReviewRecord) -> bytes:
        """The result of the newest older version's review, empty if there is none."""
        older = reviews.by_key(self._state, record.supersedes)
        done = [each for each in older if each.state is ReviewState.DONE]
        newest = max(done, key=lambda each: (each.version, each.id), default=None)
        return queries.result_text(self._state, newest.id) if newest is not None else b""

    def _suppressed(self, record: ReviewRecord) -> dict[str, str]:
        return {each.hazard: each.reason for each in quiet.marked(self._state, record.list)}

    def _gather(self, record: ReviewRecord) -> Fetched:
        mails = mail.texts(self._state, record.parts)
        if not mails:
            raise StepError(
                FailureKind.UNREADABLE,
                f"The mails of <{record.head}> were taken back or are no longer kept.",
            )
        return gather(mails, record.head, self._plan.archive)

    def _product(self, record: ReviewRecord, step: Step) -> bytes:
        found = progress.product(self._state, record.id, step)
        if found is None:
            raise StepError(
                FailureKind.INTERNAL, f"What the step {step} made of <{record.head}> is gone."
            )
        return found

    def _harmless(self, record: ReviewRecord) -> str:
        return decode(self._product(record, Step.APPLY), Tried).harmless

    def _finish(self, record: ReviewRecord) -> bool:
        outcome = decode(self._product(record, Step.RENDER), Outcome)
        if progress.finish(self._state, record.id, outcome):
            seconds = sum(record.seconds.values())
            self._tell(
                Event.REVIEWED,
                record,
                head=record.head,
                verdict=outcome.verdict,
                reason=outcome.reason,
                seconds=seconds,
            )
        return True

    def _failed(self, record: ReviewRecord, step: Step, failure: Failure) -> None:
        """Put the review off if its failure may pass, else end it."""
        told = {"step": step, "kind": failure.kind, "reason": failure.reason}
        if failure.kind in PASSING and record.attempts + 1 < self._plan.attempts:
            delay = min(MAX_DELAY, self._plan.first_delay * 2**record.attempts)
            next_try = self._state.clock.now() + timedelta(seconds=delay)
            if progress.put_off(self._state, record.id, failure, next_try):
                self._tell(Event.STEP_FAILED, record, next_try=next_try, **told)
        elif progress.fail(self._state, record.id, failure):
            self._tell(Event.REVIEW_FAILED, record, **told)

    def _tell(self, name: Event, record: ReviewRecord, **fields: object) -> None:
        self._observer.event(name, review=record.id, **fields)
