# SPDX-License-Identifier: GPL-2.0-or-later
"""New mail listened to: what asks us for something, in a thread that is ours, is kept."""

from __future__ import annotations

from reviewbot.service.model import Reason
from reviewbot.service.state import talk
from reviewbot.service.state.model import Received
from reviewbot.service.state.store import State
from reviewbot.service.talk.commands import hear
from reviewbot.service.talk.signature import author_in

_PROGRAMS = frozenset({Reason.BOT, Reason.OWN, Reason.HINT})
NEAREST = 20
"""References looked up, the nearest first; a thread that is ours has us among them."""


def overhear(state: State, message: Received, raw: bytes) -> bool:
    """Keep a message's commands until its author is known; whether it has any.

    Other programs give none, and neither do we in a copy of our own mail.
    """
    post = message.post
    if post is None or not post.references or message.decision.reason in _PROGRAMS:
        return False
    heard = hear(raw)
    if heard is None:
        return False
    nearest = dict.fromkeys((post.in_reply_to, *reversed(post.references[-NEAREST:])))
    about = talk.answered(state, filter(None, nearest))
    if about is None:
        return False
    return talk.take_down(state, post.message_id, about, author_in(raw), heard, raw)
