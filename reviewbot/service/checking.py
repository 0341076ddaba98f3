# SPDX-License-Identifier: GPL-2.0-or-later
"""Reviews told to a patchwork server: pending while they are under way, then the result.

In a thread of its own: no review waits for the server, and what it does not take is
tried again later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from urllib.parse import quote

from reviewbot.config import Config
from reviewbot.errors import ReviewbotError
from reviewbot.service.log import Event, Observer
from reviewbot.service.model import CheckFate
from reviewbot.service.patchwork_check import Outcome, Server, post_checks, server_of
from reviewbot.service.state import checks, reviews
from reviewbot.service.state.model import CheckRecord
from reviewbot.service.state.store import State, StateError

_FATES = {
    Outcome.POSTED: CheckFate.POSTED,
    Outcome.THERE: CheckFate.POSTED,
    Outcome.NO_PATCH: CheckFate.UNKNOWN,
}


class Checker:
    """Posts the checks of the lists that ``patchwork.lists`` names."""

    def __init__(self, config: Config, state: State, observer: Observer) -> None:
        """Raises :class:`ConfigError` if lists are named and the server is not."""
        self._config = config
        self._lists = frozenset(config.patchwork.lists)
        self._server = server_of(config) if self._lists else None
        self._state = state
        self._observer = observer
        self._turn = threading.Lock()

    def round(self, go_on: Callable[[], bool]) -> None:
        """Post all that is due now.  Raises :class:`StateError`."""
        if self._server is None:
            return
        with self._turn:
            checks.announce(self._state, self._lists)
            checks.retract(self._state)
            while go_on() and (taken := checks.take(self._state)):
                if not self._post(self._server, taken):
                    return  # the rest would have to wait for it as well

    def _post(self, server: Server, taken: tuple[CheckRecord, ...]) -> bool:
        """Post the checks of one review; whether the server took them."""
        number = taken[0].review
        try:
            link = self._link(number)
            outcomes = post_checks(server, [one.check for one in taken], link)
        except StateError:
            raise
        except ReviewbotError as error:
            for one in taken:
                checks.settle(self._state, one, CheckFate.WAITING, str(error))
            self._observer.event(Event.CHECK_FAILED, review=number, reason=str(error))
            return False
        for one, outcome in zip(taken, outcomes, strict=True):
            checks.settle(self._state, one, _FATES[outcome], outcome.value)
        told = ", ".join(f"{one.check.patch} {one.check.state}" for one in taken)
        self._observer.event(Event.CHECKED, review=number, patches=told)
        return True

    def _link(self, review: int) -> str:
        """Where a check leads: the review's page, if others can see it."""
        base = self._config.service.public_url.rstrip("/")
        if base:
            return f"{base}/review/{review}"
        head = reviews.get(self._state, review).head
        return self._config.patchwork.linkmask.replace("%s", quote(head, safe="@"))
