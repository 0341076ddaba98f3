# SPDX-License-Identifier: GPL-2.0-or-later
"""The service's state for the commands, and the series in it that a Message-ID names."""

from __future__ import annotations

from reviewbot.config import Config
from reviewbot.errors import UsageError
from reviewbot.service.state import queries
from reviewbot.service.state.model import ReviewRecord, Story
from reviewbot.service.state.store import State


def open_state(settings: Config) -> State:
    """The state that the configuration names."""
    return State.open(settings.service.url)


def story_of(state: State, msgid: str) -> Story:
    """All about a mail's series.  Raises :class:`UsageError` for a mail that never came."""
    bare = msgid.strip().removeprefix("<").removesuffix(">")
    found = queries.story(state, bare)
    if found is None:
        raise UsageError(f"no mail <{bare}> was seen: see reviewbot status for those that were")
    return found


def review_of(state: State, msgid: str) -> ReviewRecord:
    """The review of a mail's series.  Raises :class:`UsageError` for a mail without one."""
    found = story_of(state, msgid)
    if found.review is None:
        raise UsageError(
            f"<{found.message.message_id}> belongs to no review: {found.message.reason.value}"
        )
    return found.review
