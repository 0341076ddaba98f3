# SPDX-License-Identifier: GPL-2.0-or-later
"""The archive's copy of a mail: what everybody can read is what was said."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from hashlib import sha256

from reviewbot.series.errors import NotFound
from reviewbot.service.headers import Headers
from reviewbot.service.sources.mboxes import entries
from reviewbot.service.talk.signature import author_in

Thread = Callable[[str], bytes]
"""Given a Message-ID, the mboxrd of its thread in the archive; raises NotFound and
ServiceError as :func:`~reviewbot.series.fetch.fetch_thread`."""


def differs(raw: bytes, message_id: str, thread: Thread) -> str:
    """Why the archive does not bear a mail out, one clause; empty if it does.

    Raises :class:`~reviewbot.series.errors.NotFound` if the archive lacks it so far, and
    :class:`~reviewbot.errors.ServiceError`.
    """
    wanted = _print(raw)
    found = [_print(mail) for mail in _messages(thread(message_id)) if _is(mail, message_id)]
    if not found:
        raise NotFound(f"The archive's thread of {message_id} is without that mail.")
    return "" if wanted in found else "the archive's copy has another author or text"


def _messages(mbox: bytes) -> Iterator[bytes]:
    file = io.BytesIO(mbox.replace(b"\r\n", b"\n"))
    found = entries(file, "the archive's answer")
    return (entry.raw for entry in found if entry.raw is not None)


def _is(mail: bytes, message_id: str) -> bool:
    headers = Headers(mail.partition(b"\n\n")[0] + b"\n\n")
    return headers.message_ids("message-id") == (message_id,)


def _print(mail: bytes) -> tuple[str, str]:
    """Who wrote a mail, and a hash of its body; mboxes add and take empty lines at the end."""
    body = mail.replace(b"\r\n", b"\n").partition(b"\n\n")[2].rstrip(b"\n")
    return author_in(mail), sha256(body).hexdigest()
