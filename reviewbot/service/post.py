# SPDX-License-Identifier: GPL-2.0-or-later
"""One mail becomes a Post, in time that grows with its size and no faster.

Thousands of strangers' mails a day are read in the service's own process, so nothing
is left to parsers that take more: headers and body are bounded, cut by hand and decoded
in one pass.  Nothing here judges: that is :mod:`reviewbot.service.decide`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from reviewbot.series import diffs
from reviewbot.series.assemble import AssembleLimits
from reviewbot.series.errors import TooBig, Unreadable
from reviewbot.series.patchid import patch_id
from reviewbot.service.body import text_of
from reviewbot.service.headers import MAX_ITEMS, Headers, one_line
from reviewbot.service.label import read_label
from reviewbot.service.model import Label, Post

DEFAULT_LIMITS = AssembleLimits()
MAX_PATHS = 5000
"""Paths taken from one diff."""
MAX_PATH = 4096
"""Characters of a path, as Linux has them."""
MAX_MARK = 200

_PARSER_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What malformed mail raises out of ``email``, ``base64`` and ``int``."""
_CHANGE_ID = re.compile(r"^change-id:[ \t]+([\w.@+/-]{1,200})[ \t]*$", re.MULTILINE)
_PULL_REQUEST = re.compile(
    r"^(?:The following changes since commit [0-9a-f]{7,40}"
    r"|are available in the [Gg]it repository at)",
    re.MULTILINE,
)
"""git-request-pull(1)."""
_UPSTREAM = re.compile(
    r"^[ \t]*(?:\[ ?Upstream commit [0-9a-f]{12,40} ?\]|commit [0-9a-f]{12,40} upstream)",
    re.MULTILINE | re.IGNORECASE,
)
"""The two forms of Documentation/process/stable-kernel-rules.rst."""
_UPSTREAM_WITHIN = 2000
"""Characters at a body's start that name the commit of a backport."""
_TELLING = ("auto-submitted", "x-patchwork-hint", "x-stable", "x-kerneltest-")
"""Beginnings of the names of headers that are meant for programs."""


def read_post(raw: bytes, limits: AssembleLimits = DEFAULT_LIMITS) -> Post:
    """What the service wants to know of one message, RFC 5322 with LF line ends.

    Raises TooBig over a limit, Unreadable without a Message-ID or for what is no mail.
    """
    block, _, body = raw.partition(b"\n\n")
    if len(raw) > limits.max_message or len(block) > limits.max_header:
        raise TooBig(
            f"The message is over the limit of {limits.max_message // 1024} KiB, or of "
            f"{limits.max_header // 1024} KiB of headers; it is not read."
        )
    try:
        return _read(Headers(block + b"\n\n"), body, limits)
    except _PARSER_ERRORS as trouble:
        raise Unreadable(
            f"The message is malformed ({type(trouble).__name__}); it is not read."
        ) from trouble


def _read(headers: Headers, body: bytes, limits: AssembleLimits) -> Post:
    message_id = next(iter(headers.message_ids("message-id")), "")
    if not message_id:
        raise Unreadable("The message has no Message-ID to know it by; it is not read.")
    subject = headers.text("subject")
    text = text_of(headers, body)
    diff = diffs.extract(text)
    files = diffs.parse(diff)
    paths = [path for file in files for path in (file.old, file.new) if path]
    parents = headers.message_ids("in-reply-to")
    references = dict.fromkeys((*headers.message_ids("references"), *parents))
    references.pop(message_id, None)
    return Post(
        message_id=message_id,
        subject=subject,
        label=_believable(read_label(subject), limits),
        author=headers.author(),
        date=headers.date(),
        in_reply_to=next(iter(parents), next(reversed(references), "")),
        references=tuple(references)[-MAX_ITEMS:],
        lists=headers.lists(),
        diff=bool(diff),
        paths=_bounded(paths),
        created=_bounded(file.new for file in files if not file.old and file.new),
        patch_id=patch_id(diff),
        change_id=_first(_CHANGE_ID, text),
        marks=tuple(_marks(headers, text)),
    )


def _believable(label: Label | None, limits: AssembleLimits) -> Label | None:
    """The label, unless it counts further than a series that would be read goes."""
    if label is not None and max(label.counter, label.total) > limits.max_patches:
        raise TooBig(
            f"The subject counts {label.counter}/{label.total} patches, over the limit of "
            f"{limits.max_patches}; the message is not read."
        )
    return label


def _bounded(paths: Iterable[str]) -> tuple[str, ...]:
    good = (one_line(path) for path in paths if len(path) <= MAX_PATH)
    return tuple(islice(dict.fromkeys(good), MAX_PATHS))


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return one_line(found[1]) if found else ""


def _marks(headers: Headers, text: str) -> Iterator[str]:
    for name in headers.names():
        if name.startswith(_TELLING):
            yield f"{name}: {headers.raw(name)[:MAX_MARK].lower()}"
    if _PULL_REQUEST.search(text):
        yield "body: pull request"
    if found := _UPSTREAM.search(text[:_UPSTREAM_WITHIN]):
        yield f"body: {one_line(found[0]).lower()}"
