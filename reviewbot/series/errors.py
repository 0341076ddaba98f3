# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong between a name on the command line and a Series."""

from __future__ import annotations

from reviewbot.errors import NotReviewable, ServiceError


class NotFound(NotReviewable):
    """The public-inbox server does not have the message."""


class TooBig(NotReviewable):
    """A thread, a message or a header is over its limit: trying again will not help."""


class NoPatches(NotReviewable):
    """There is mail, but no patch series in it, or not the one asked for."""


class Unreadable(NotReviewable):
    """Mail that b4, git or the email parser cannot make sense of."""


class SuspiciousText(NotReviewable):
    """Invisible Unicode control characters in a patch: it may not be what it looks like."""


class UnreachableError(ServiceError):
    """No connection to the server, or it broke."""


class FetchTimeoutError(ServiceError):
    """The server did not finish before the deadline."""


class ThrottledError(ServiceError):
    """The server asks for fewer requests (HTTP 429 or 503), or for a longer wait than we have."""


class ServerError(ServiceError):
    """The server answered with an error or with a redirect that must not be followed."""


class GarbledAnswerError(ServiceError):
    """The answer is not a gzipped mailbox: a web page, or cut short."""


class WorkerError(ServiceError):
    """The child process that parses mail died, hung or answered nonsense."""
