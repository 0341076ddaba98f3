# SPDX-License-Identifier: GPL-2.0-or-later
"""The branch that a list's patches go to: fetched on schedule, read whenever it moves.

A kernel takes longer to read than a review may: what a pull brings is in the cache
before a review asks for it, as far as that can be helped.
"""

from __future__ import annotations

import threading
import time

from reviewbot.kernel.base import tip_of
from reviewbot.kernel.repository import Repository
from reviewbot.service._protocol import ChildLimits, Request, Setup, Task
from reviewbot.service.child import Nursery
from reviewbot.service.clock import Clock
from reviewbot.service.failures import StepError
from reviewbot.service.log import Event, Observer
from reviewbot.service.model import PASSING

READ_SECONDS = 4 * 3600.0
"""Wall time for reading a whole tree."""


class Branch:
    """One branch of one tree.  For one thread at a time."""

    def __init__(self, setup: Setup, memory: int, clock: Clock, observer: Observer) -> None:
        """``memory`` is the address space for reading it, in bytes."""
        self._setup = setup
        self._options = setup.options()
        self._limits = ChildLimits(seconds=READ_SECONDS, memory=memory)
        self._clock = clock
        self._observer = observer
        self._seen = ""
        """The commit that was read last, or that cannot be read."""

    def fetch(self) -> None:
        """Fetch the remotes that are due.  Raises :class:`ServiceError`, :class:`TreeError`."""
        mirror = self._options.mirror
        for fetched in mirror.refresh() if mirror is not None else ():
            name = Event.FETCH_FAILED if fetched.error else Event.FETCHED
            self._observer.event(name, remote=fetched.remote, reason=fetched.error)

    def read(self, nursery: Nursery, leave: threading.Event) -> None:
        """Read into the cache what it lacks of the branch, if that has moved.

        Raises what :meth:`Nursery.take` does, and :class:`TreeError`.
        """
        with Repository.open(self._options.tree, self._options.mirror) as repository:
            tip, as_asked = tip_of(repository, self._options.branch)
        if tip == self._seen:
            return
        if not as_asked:
            why = f"{self._setup.tree} has no {self._options.branch}: HEAD is read instead"
            self._observer.event(Event.TROUBLE, reason=why)
        began = time.monotonic()
        request = Request(Task.INDEX, self._setup, self._limits, self._clock.now())
        try:
            nursery.take(request, leave)
        except StepError as error:
            if error.kind not in PASSING:
                self._seen = tip  # or it would be tried for ever
            raise
        self._seen = tip
        seconds = time.monotonic() - began
        self._observer.event(Event.READ, tree=self._setup.tree, commit=tip, seconds=seconds)
