# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens, one line an event, for a journal or a log collector.

Text is ``time name key=value …`` (logfmt); JSON is one object a line.  Values may
be strangers': what cannot be seen is written out, and nothing makes a second line.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol, TextIO

from reviewbot.report.clean import one_line

_BARE = re.compile(r"[^\s\"=]+")
_LIMIT = 500
"""Characters of one value; what is longer is cut."""


class LogForm(StrEnum):
    """How an event is written."""

    TEXT = "text"
    JSON = "json"


class Event(StrEnum):
    """What can happen."""

    STARTED = "service.started"
    STOPPED = "service.stopped"
    POLLED = "poll.done"
    POLL_FAILED = "poll.failed"
    NOTICE = "poll.notice"
    """What a source has to say of itself, such as that its history was rewritten."""
    MESSAGE = "message.unread"
    """One that is too big, or cannot be read."""
    QUEUED = "review.queued"
    STEP = "step.done"
    STEP_FAILED = "step.failed"
    REVIEWED = "review.done"
    REVIEW_FAILED = "review.failed"
    ENDED = "review.ended"
    TAKEN_OVER = "review.taken-over"
    RESUBMITTED = "review.resubmitted"
    TROUBLE = "service.trouble"
    """With what the service itself stands on, such as its database."""
    MAIL = "mail.changed"
    """A letter of ours on its way out."""
    MAIL_DOUBT = "mail.doubt"
    BOUNCED = "mail.bounced"
    FETCHED = "tree.fetched"
    FETCH_FAILED = "tree.failed"
    READ = "tree.read"
    CHECKED = "check.posted"
    CHECK_FAILED = "check.failed"
    OBEYED = "command.obeyed"
    IGNORED = "command.ignored"


class Observer(Protocol):
    """Who is told of events; must be callable from any thread and never fail."""

    def event(self, name: Event, **fields: Any) -> None:
        """Take note of one event; fields are text, numbers or enums."""


class Log:
    """An :class:`Observer` that writes lines to a stream."""

    def __init__(
        self,
        stream: TextIO,
        form: LogForm = LogForm.TEXT,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._stream = stream
        self._form = form
        self._now = now
        self._lock = threading.Lock()

    def event(self, name: Event, **fields: Any) -> None:
        """Write one line; a stream that has gone away is no reason to stop working."""
        when = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        kept = {key: _value(value) for key, value in fields.items() if value not in (None, "")}
        if self._form is LogForm.JSON:
            line = json.dumps({"time": when, "event": name.value, **kept}, ensure_ascii=False)
        else:
            line = " ".join([when, name.value, *(f"{k}={_text(v)}" for k, v in kept.items())])
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                return


class Several:
    """An :class:`Observer` that tells others."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def event(self, name: Event, **fields: Any) -> None:
        """Tell each in turn."""
        for observer in self._observers:
            observer.event(name, **fields)


def silent() -> Observer:
    """An observer that looks away."""
    return Several()


def _value(value: Any) -> str | int | float | bool:
    if isinstance(value, bool | int):
        return value
    return round(value, 3) if isinstance(value, float) else one_line(str(value), _LIMIT)


def _text(value: str | float) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)
