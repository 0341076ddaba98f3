# SPDX-License-Identifier: GPL-2.0-or-later
"""Reviews as durable workflows, on DBOS.

One workflow carries out one round of one review, named after the series'
fingerprint and the round; it takes the steps in order.  What a step makes is in
the state, so a workflow holds nothing but "taken" and "over", and one that is
lost is started again where it was.

DBOS hands each queued workflow to one process and knows which has it.  A
process that has died (:mod:`reviewbot.service.watch`) has its workflows put back into
the queue.  Two that come to work on one review all the same, because one was
only slow, end it once: the last step is one transaction.

The application version is fixed, so that an upgraded program goes on with the
workflows of the old one; a workflow that does not fit any more is started anew.
DBOS opens no port, asks no server, and speaks through our log.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, SetWorkflowID, StepOptions, WorkflowStatus, error

from reviewbot.errors import ConfigError
from reviewbot.service.failures import says_full
from reviewbot.service.log import Event, Observer
from reviewbot.service.model import FailureKind, Step
from reviewbot.service.state import progress
from reviewbot.service.state.model import Failure, ReviewRecord
from reviewbot.service.state.store import State, StateError
from reviewbot.service.steps import Steps
from reviewbot.service.watch import Watch

APPLICATION = "reviewbot"
VERSION = "1"
QUEUE = "reviews"
SCHEMA = "dbos"
RECOVERIES = 50
"""How often a workflow is taken over before it is given up: its step kills the service."""
_IN_PLACE = 5
"""Tries of a step while the state cannot be reached, one second apart, then two, four …"""
_ACTIVE = ("PENDING", "ENQUEUED", "DELAYED")
_GIVEN_UP = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
_ENDED = ["SUCCESS", "ERROR", "CANCELLED", _GIVEN_UP]
_MANY = 500


class Work:
    """The queue of reviews and the threads that carry them out.

    One at a time in a process, and started once: DBOS is global.
    """

    def __init__(
        self,
        state: State,
        database: str,
        steps: Steps,
        watch: Watch,
        observer: Observer,
        *,
        workers: int,
        interval: float = 1.0,
    ) -> None:
        """``database`` is where DBOS keeps its part; every ``interval`` seconds it looks there
        for work.  Where several share a database, the ``workers`` of the last one to start
        hold for each of them."""
        self._state = state
        self._steps = steps
        self._watch = watch
        self._observer = observer
        self._workers = workers
        self._interval = interval
        self._config = _config(database, watch.id, workers)
        self._in_hand: set[int] = set()
        """Reviews whose workflow runs in this process."""
        self._missed: set[str] = set()
        """Workflows that should run here and did not when last looked at."""
        self._workflow = _workflow(steps, self._in_hand)

    def start(self) -> None:
        """Begin; this process is on the list of those that work."""
        _speak_through(self._observer)
        DBOS(config=self._config)
        named = DBOS.workflow(name="review", max_recovery_attempts=RECOVERIES)
        self._workflow = named(self._workflow)
        with _reachable():
            DBOS.launch()
            DBOS.register_queue(
                QUEUE,
                worker_concurrency=self._workers,
                polling_interval_sec=self._interval,
                on_conflict="always_update",
            )

    def stop(self, seconds: float = 0.0) -> None:
        """End: steps under way have ``seconds`` left, then they are for whoever comes next."""
        timer = threading.Timer(seconds, self._steps.leave.set)
        timer.start()
        DBOS.destroy(workflow_completion_timeout_sec=int(seconds) + 10, destroy_registry=True)
        timer.cancel()
        self._steps.leave.set()
        self._watch.leave()

    def submit(self) -> int:
        """Start the workflows of queued reviews whose time has come; how many."""
        due = progress.waiting(self._state)
        for record in due:
            # In this order: a workflow that is started twice is the same workflow.
            with _reachable(), SetWorkflowID(record.workflow):
                DBOS.enqueue_workflow(QUEUE, self._workflow, record.id)
            progress.submitted(self._state, record)
        return len(due)

    def cancel(self, record: ReviewRecord) -> None:
        """Take a review's workflow out of the queue."""
        with _reachable():
            DBOS.cancel_workflow(record.workflow)

    def keep_up(self) -> int:
        """Show that this process lives, and take over what dead ones have left; how many died."""
        self._watch.beat()
        with _reachable():
            pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        working = frozenset(each.executor_id for each in pending if each.executor_id)
        dead = self._watch.dead(working)
        for machine in dead:
            # DBOS has no public name for this outside its paid service.
            with _reachable():
                taken = DBOS._recover_pending_workflows([machine])
            self._watch.bury(machine)
            self._observer.event(Event.TAKEN_OVER, machine=machine, reviews=len(taken))
        return len(dead)

    def mend(self) -> int:
        """Start again what should be under way and is not; how many reviews that were.

        A workflow may be lost with DBOS's database, end early when the state was out
        of reach at the wrong moment, or be dropped by DBOS when it was its own
        database, which it then takes for under way as long as this process lives.
        """
        return sum(map(self._mend, progress.under_way(self._state)))

    def _mend(self, record: ReviewRecord) -> bool:
        with _reachable():
            status = DBOS.get_workflow_status(record.workflow)
        if status is not None and status.status == _GIVEN_UP:
            return progress.fail(self._state, record.id, _DEADLY)
        if status is None:
            reason = "its workflow is gone"
        elif status.status not in _ACTIVE:
            reason = "its workflow ended early"
        elif self._is_dropped(record, status):
            reason = "its workflow was dropped"
            self.cancel(record)
        else:
            return False
        if not progress.resubmit(self._state, record, reason):
            return False
        self._observer.event(Event.RESUBMITTED, review=record.id, reason=reason)
        return True

    def _is_dropped(self, record: ReviewRecord, status: WorkflowStatus) -> bool:
        """Whether a workflow of this process has not run at two looks in a row.

        At one it may be about to start, or to say how it ended.
        """
        here = status.status == "PENDING" and status.executor_id == self._watch.id
        if not here or record.id in self._in_hand:
            self._missed.discard(record.workflow)
            return False
        if record.workflow not in self._missed:
            self._missed.add(record.workflow)
            return False
        self._missed.discard(record.workflow)
        return True

    def tidy(self, before: datetime) -> int:
        """Remove workflows that ended before then from DBOS's database; how many."""
        with _reachable():
            old = DBOS.list_workflows(
                status=_ENDED,
                completed_before=before.isoformat(),
                load_input=False,
                load_output=False,
                limit=_MANY,
            )
            DBOS.delete_workflows([each.workflow_id for each in old])
        return len(old)


@contextmanager
def _reachable() -> Iterator[None]:
    """Take DBOS's trouble with its database for ours with the state."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, error.DBOSException) as trouble:
        said = str(getattr(trouble, "orig", trouble)).strip().partition("\n")[0]
        kind = FailureKind.DISK_FULL if says_full(said) else FailureKind.UNREACHABLE
        raise StateError(
            f"The database of the workflows cannot be used ({said}): see that it is up.", kind
        ) from trouble


_DEADLY = Failure(
    FailureKind.CRASHED,
    f"Its review was taken over {RECOVERIES} times, as the service died each time: see its log,"
    " then reviewbot retry.",
)


def _workflow(steps: Steps, in_hand: set[int]) -> Callable[[int], str]:
    """The workflow: a review's steps in order, up to one that ends it."""

    def review(number: int) -> str:
        in_hand.add(number)
        try:
            return run(number)
        finally:
            in_hand.discard(number)

    def run(number: int) -> str:
        for step in Step:
            options = StepOptions(
                name=step.value,
                retries_allowed=True,
                max_attempts=_IN_PLACE,
                should_retry=lambda error: isinstance(error, StateError),
            )
            if not DBOS.run_step(options, steps.take, number, step):
                return step.value
        return ""

    return review


def _config(database: str, executor: str, workers: int) -> DBOSConfig:
    """DBOS on this database, and on nothing else.

    Raises :class:`ConfigError` if the environment has DBOS do more.
    """
    if found := [name for name in os.environ if name.startswith("DBOS_")]:
        raise ConfigError(f"{found[0]} is set in the environment: unset it, DBOS obeys no one else")
    url = sa.make_url(database)
    if url.drivername == "sqlite" and url.database:
        with closing(sqlite3.connect(url.database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")  # the file remembers
    return DBOSConfig(
        name=APPLICATION,
        system_database_url=database,
        dbos_system_schema=SCHEMA,
        sys_db_pool_size=workers + 8,
        application_version=VERSION,
        executor_id=executor,
        log_level="WARNING",
        enable_otlp=False,
        use_listen_notify=False,
        notification_listener_polling_interval_sec=5.0,  # nothing is waited for
        scheduler_polling_interval_sec=3600.0,  # nothing is scheduled
    )


class _Teller(logging.Handler):
    """What DBOS has to say, as events."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(logging.WARNING)
        self._observer = observer

    def emit(self, record: logging.LogRecord) -> None:
        error = f": {record.exc_info[1]}" if record.exc_info and record.exc_info[1] else ""
        said = f"{record.getMessage()}{error}".split("\n")[0]
        self._observer.event(Event.TROUBLE, reason=f"DBOS: {said}")


def _speak_through(observer: Observer) -> None:
    """Have DBOS's messages told as events; it prints nothing if it has a handler already."""
    logger = logging.getLogger("dbos")
    logger.handlers = [_Teller(observer)]
    logger.propagate = False
