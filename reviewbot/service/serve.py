# SPDX-License-Identifier: GPL-2.0-or-later
"""The service: follow the sources, group what comes, have it reviewed.

Every source has a thread of its own, so that one that is slow or down holds up no
other.  The main thread groups and queues; one thread shows that the process lives
and takes over from those that do not; DBOS's carry the reviews out.  All of them
may die at any moment: the state knows how far things are.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from reviewbot.config import Config
from reviewbot.errors import ReviewbotError, ServiceError
from reviewbot.service.branch import Branch
from reviewbot.service.checking import Checker
from reviewbot.service.child import Leave, Nursery
from reviewbot.service.collect import advance
from reviewbot.service.log import Event, Observer
from reviewbot.service.model import Source
from reviewbot.service.plan import Paths, plan_of, scope_of
from reviewbot.service.poll import FIRST_DELAY, is_due, poll
from reviewbot.service.posting.bouncebox import read_bounces
from reviewbot.service.posting.open import open_office
from reviewbot.service.posting.postman import Postman
from reviewbot.service.scratch import scratch, sweep
from reviewbot.service.state import mail, progress, reviews
from reviewbot.service.state.store import State
from reviewbot.service.steps import Steps
from reviewbot.service.talk.answer import answer_all
from reviewbot.service.talk.desk import desk_of
from reviewbot.service.watch import BEAT, SILENCE, Watch
from reviewbot.service.work import Work

_TIDY = 3600.0
_DEADLINES = 10.0
"""Seconds between two looks for series whose time is up."""
_TICK = 1.0
_POST = 5.0
"""Seconds between two looks for letters that may be sent."""
_WAIT = 30.0
"""Seconds that a source is asked to wait for news at once, so that it notices the end."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How quick the service is about things, in seconds."""

    queue: float = 1.0
    """Between two looks of DBOS for work."""
    mend: float = 60.0
    """Between two looks for reviews whose workflow is lost, and at the trees."""
    retry: float = FIRST_DELAY
    """Before what failed for a while is tried again; each time twice as long."""
    beat: float = BEAT
    silence: float = SILENCE
    grace: float = 20.0
    """For steps under way when the service ends; they are taken again if that is too short."""


class Service:
    """The parts put together.  Use once: :meth:`run` or :meth:`run_once`."""

    def __init__(
        self,
        config: Config,
        state: State,
        sources: Sequence[Source],
        observer: Observer,
        pace: Pace | None = None,
    ) -> None:
        """Raises :class:`ConfigError` if a list has no tree."""
        self._config = config
        self._state = state
        self._sources = sources
        self._observer = observer
        self._pace = pace or Pace()
        self._paths = Paths(config)
        self._plan = replace(plan_of(config), first_delay=self._pace.retry)
        self._desk = desk_of(config, state, self._plan.setup)
        self._watch = Watch(state, self._pace.silence)
        self._nursery = Nursery()
        self._steps = Steps(state, self._plan, self._watch.id, observer, self._nursery)
        self._work = Work(
            state,
            config.service.work_url,
            self._steps,
            self._watch,
            observer,
            workers=config.service.workers,
            interval=self._pace.queue,
        )
        setups = {(s.tree, s.branch): s for s in map(self._plan.setup, config.list)}
        self._branches = [
            Branch(setup, self._plan.limits.memory, state.clock, observer)
            for setup in setups.values()
        ]
        self._checker = Checker(config, state, observer)
        self._stop = threading.Event()
        self._news = threading.Event()
        self._dead = ""
        """Name of the part that died."""

    def stop(self) -> None:
        """Have :meth:`run` or :meth:`run_once` come to its end; safe in a signal handler."""
        self._stop.set()
        self._news.set()

    def run(self) -> None:
        """Work until :meth:`stop`.

        Raises :class:`ReviewbotError` for what makes work impossible from the start, or
        if a part of the service dies.
        """
        postman = Postman(self._state, open_office(self._config), self._observer)
        with self._running():
            for source in self._sources:
                self._start(self._follow, source)
            self._start(self._post, postman)
            self._begin()
            self._start(self._refresh)
            self._start(self._answer)
            self._start(self._check)
            self._attend()

    def run_once(self) -> None:
        """Poll every source once and carry out all reviews that are due; raises as :meth:`run`."""
        with self._running():
            for source in self._sources:
                self._try(self._poll, source)
            self._try(answer_all, self._state, self._desk, self._observer)
            self._begin()
            self._group()
            self._start(self._check)
            self._work.mend()
            while not self._stop.is_set() and self._is_busy():
                self._news.wait(_TICK / 4)
            self._try(self._checker.round, self._goes_on)

    @contextmanager
    def _running(self) -> Iterator[None]:
        self._watch.join()
        with scratch(self._watch.id):
            try:
                yield
            finally:
                self._end()
        if self._dead:
            raise ServiceError(
                f"A part of the service ({self._dead}) has died, see above for what of: start it"
                " again, nothing is lost."
            )

    def _begin(self) -> None:
        """Let reviews be carried out, once the trees have been read."""
        self._tend()
        self._work.start()
        self._start(self._show_life)
        self._observer.event(Event.STARTED, sources=len(self._sources))

    # ---- the main thread ----

    def _attend(self) -> None:
        every = _Every(self._state.clock.monotonic)
        while not self._stop.is_set():
            if self._news.is_set() or every("deadlines", _DEADLINES):
                self._news.clear()
                self._try(self._group)
            self._try(self._work.submit)
            if every("mend", self._pace.mend):
                self._try(self._work.mend)
            if every("tidy", _TIDY):
                self._try(self._tidy)
            self._news.wait(_TICK)

    def _group(self) -> None:
        self._paths.refresh()
        done = advance(
            self._state,
            lambda source: scope_of(self._config, self._paths, source),
            self._observer,
            self._config.service.wait,
        )
        for record in reviews.some(self._state, done.ended):
            if record.fingerprint is not None:
                self._work.cancel(record)

    def _is_busy(self) -> bool:
        self._work.submit()
        return bool(progress.under_way(self._state))

    def _tidy(self) -> None:
        before = self._state.clock.now() - timedelta(days=self._config.service.keep_days)
        mail.prune(self._state, before)
        self._work.tidy(before)

    def _end(self) -> None:
        self.stop()
        self._try(self._work.stop, self._pace.grace)
        self._nursery.close()
        for source in self._sources:
            source.close()
        self._observer.event(Event.STOPPED)

    # ---- the other threads ----

    def _follow(self, source: Source) -> None:
        """Poll one source on schedule, and as soon as it says that there is news."""
        interval = self._config.service.interval
        while not self._stop.is_set():
            news = self._try(self._poll, source)
            if news:
                self._news.set()
            self._await(source, interval)

    def _await(self, source: Source, seconds: float) -> None:
        monotonic = self._state.clock.monotonic
        end = monotonic() + seconds
        while not self._stop.is_set() and (left := end - monotonic()) > 0:
            if not self._try(is_due, self._state, source.name):
                self._stop.wait(min(left, _TICK))
            elif not source.wait(min(left, _WAIT)):
                self._stop.wait(min(left, _WAIT))
            else:
                return

    def _poll(self, source: Source) -> int:
        if not is_due(self._state, source.name):
            return 0
        limit = self._config.service.batch
        if source.name == self._config.post.bounces:
            read_bounces(self._state, source, self._observer, limit=limit, go_on=self._goes_on)
            return 0
        return poll(
            self._state,
            source,
            scope_of(self._config, self._paths, source.name),
            self._observer,
            limit=limit,
            go_on=self._goes_on,
            first_delay=self._pace.retry,
        )

    def _goes_on(self) -> bool:
        return not self._stop.is_set()

    def _post(self, postman: Postman) -> None:
        """Send what may be sent; a letter under way when the service ends is in doubt."""
        while not self._stop.is_set():
            self._try(postman.round, self._goes_on)
            self._stop.wait(_POST)

    def _show_life(self) -> None:
        while not self._stop.is_set():
            if self._try(self._work.keep_up):
                sweep(Path(tempfile.gettempdir()).parent)
            self._stop.wait(self._pace.beat)

    def _answer(self) -> None:
        """Look at what was asked for; name service and archive take their time."""
        while not self._stop.wait(_DEADLINES):
            self._try(answer_all, self._state, self._desk, self._observer)

    def _check(self) -> None:
        """Show a patchwork server what is under way and what came of it."""
        while not self._stop.is_set():
            self._try(self._checker.round, self._goes_on)
            self._stop.wait(_POST)

    def _refresh(self) -> None:
        while not self._stop.wait(self._pace.mend):
            self._tend()

    def _tend(self) -> None:
        """Fetch the lists' branches, and read those that have moved."""
        for branch in self._branches:
            self._try(branch.fetch)
            try:
                self._try(branch.read, self._nursery, self._stop)
            except Leave:
                return

    def _start(self, work: Callable[..., None], *args: object) -> None:
        name = work.__name__.lstrip("_")
        threading.Thread(target=self._do, args=(work, *args), daemon=True, name=name).start()

    def _do(self, work: Callable[..., None], *args: object) -> None:
        """Work that goes on as long as the service; should it die, so does the service.

        A service that lacks a part is worse than one that is started again.
        """
        try:
            work(*args)
        finally:
            if not self._stop.is_set():
                self._dead = threading.current_thread().name
                self.stop()

    def _try(self, work: Callable[..., int | bytes | None], *args: object) -> int | bytes | None:
        """Do something that may fail for now; it will be tried again."""
        try:
            return work(*args)
        except ReviewbotError as error:
            self._observer.event(Event.TROUBLE, reason=str(error))
            return None


class _Every:
    """Whether it is time again, by the clock that nobody sets."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._last: dict[str, float] = {}

    def __call__(self, what: str, seconds: float) -> bool:
        now = self._monotonic()
        if what in self._last and now - self._last[what] < seconds:
            return False
        self._last[what] = now
        return True
