# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks beside patches on a patchwork server, each posted once.

``POST /api/1.2/patches/ID/checks/`` (patchwork, docs/api/rest).  A server that breaks off
may have taken the check all the same, so every try begins by asking which checks are there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec
import requests

from reviewbot.config import Config
from reviewbot.config_faces import PatchworkConfig
from reviewbot.errors import ConfigError, ServiceError
from reviewbot.report.check import Check
from reviewbot.series.http import (
    WIRE_ERRORS,
    TooLongError,
    Watchdog,
    chunks,
    reason,
    retry_after,
    session,
    user_agent,
)
from reviewbot.typed import learnt

_API = "api/1.2"
_MAX_ANSWER = 4 * 1024 * 1024
_MAX_PAGES = 10
_FIRST_DELAY = 0.5
"""Seconds before the second try; each further one waits twice as long."""
_BUSY = frozenset({429, 500, 502, 503, 504})


class PatchworkError(ServiceError):
    """The server is down, busy, or answers what no patchwork does: later it may work."""


class PatchworkRefused(ConfigError):
    """The server does not let this account post: asking again does not help."""


class Outcome(StrEnum):
    """What became of one check."""

    POSTED = "posted"
    THERE = "there already"
    NO_PATCH = "no such patch there"


@dataclass(frozen=True, slots=True)
class Server:
    """Where checks go, from the configuration."""

    url: str
    project: str
    token: str
    context: str
    deadline: float = 60.0
    """Seconds for all checks of one series."""
    retries: int = 3
    contact: str = ""


def server_of(config: Config) -> Server:
    """The server that the configuration names; raises :class:`ConfigError` if a part lacks."""
    own = config.patchwork
    for name in ("url", "project", "token_file"):
        if not getattr(own, name):
            raise ConfigError(f"patchwork.{name} is not configured: nothing can be posted")
    return Server(
        url=own.url,
        project=own.project,
        token=_token(own),
        context=own.context,
        deadline=own.deadline,
        retries=own.retries,
        contact=config.sender.contact,
    )


def _token(own: PatchworkConfig) -> str:
    """The token, which is a header's value: one word of ASCII."""
    path = own.token_file or Path()
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"patchwork.token_file: {path} cannot be read as a token") from error
    if not token or not token.isprintable() or " " in token:
        raise ConfigError(f"patchwork.token_file: {path} does not hold one token")
    return token


class _Patch(msgspec.Struct):
    id: int


class _Posted(msgspec.Struct):
    """A check as the server shows it (its user and date are of no matter here)."""

    id: int
    state: str
    context: str
    description: str | None = None
    target_url: str | None = None


_T = TypeVar("_T", _Patch, _Posted)


class _PassingError(Exception):
    """A failure that may pass; ``wait`` is what the server asks for, in seconds."""

    def __init__(self, error: PatchworkError, wait: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait = wait


def post_checks(
    server: Server,
    found: Iterable[Check],
    target_url: str = "",
    sleep: Callable[[float], None] = time.sleep,
) -> list[Outcome]:
    """Post each check that is not there yet, beside the patch of its message-id.

    Raises PatchworkError, or PatchworkRefused if the account may not post checks.
    """
    with Watchdog(server.deadline) as watchdog, session(watchdog) as http:
        http.headers["Accept-Encoding"] = "identity"
        http.headers["User-Agent"] = user_agent(server.contact)
        http.headers["Authorization"] = f"Token {server.token}"
        visit = _Visit(server, http, watchdog, sleep)
        return [visit.settle(check, target_url) for check in found]


class _Visit:
    """One connection to the server, for the checks of one series."""

    def __init__(
        self,
        server: Server,
        http: requests.Session,
        watchdog: Watchdog,
        sleep: Callable[[float], None],
    ) -> None:
        self._server = server
        self._http = http
        self._watchdog = watchdog
        self._sleep = sleep
        self._base = f"{server.url.rstrip('/')}/{_API}/"

    def settle(self, check: Check, target_url: str) -> Outcome:
        """See to it that one check is there."""
        for attempt in range(self._server.retries + 1):
            try:
                return self._once(check, target_url)
            except _PassingError as failure:
                delay = failure.wait or _FIRST_DELAY * 2**attempt
                if attempt == self._server.retries or delay >= self._watchdog.remaining:
                    raise failure.error from failure
                self._sleep(delay)
        raise AssertionError("the last attempt either returns or raises")

    def _once(self, check: Check, target_url: str) -> Outcome:
        query = {"project": self._server.project, "msgid": check.message_id}
        patch = next(self._list("patches/", query, _Patch), None) if check.message_id else None
        if patch is None:
            return Outcome.NO_PATCH
        wanted = {
            "state": check.state.value,
            "context": self._server.context,
            "description": check.description,
            "target_url": target_url,
        }
        path = f"patches/{patch.id}/checks/"
        there = self._list(path, {"context": self._server.context}, _Posted)
        own = [one for one in there if one.context == self._server.context]
        # Only the newest counts: what was said before and is so again is said again.
        newest = max(own, key=lambda one: one.id, default=None)
        if newest is not None and _same(newest, wanted):
            return Outcome.THERE
        self._ask("POST", urljoin(self._base, path), json={k: v for k, v in wanted.items() if v})
        return Outcome.POSTED

    def _list(self, path: str, query: dict[str, str], kind: type[_T]) -> Iterator[_T]:
        """All entries of a list, page by page."""
        url: str | None = urljoin(self._base, path)
        for _ in range(_MAX_PAGES):
            if url is None:
                return
            answer, body = self._ask("GET", url, params=query)
            try:
                yield from msgspec.json.decode(body, type=learnt(list[kind]))  # type: ignore[valid-type]
            except msgspec.DecodeError as error:
                raise PatchworkError(
                    f"{url} answers with something that is no list of patchwork's: check the"
                    " server's address."
                ) from error
            url, query = self._next(answer, url), {}

    def _next(self, answer: requests.Response, url: str) -> str | None:
        """The next page (RFC 8288); the token goes to no other server."""
        link = answer.links.get("next", {}).get("url")
        if not link:
            return None
        there, here = urlsplit(urljoin(url, link)), urlsplit(self._base)
        if there.hostname != here.hostname:
            raise PatchworkError(f"{url} sends on to another server: check the server's address.")
        # Behind a proxy a server may take itself for http.
        return there._replace(scheme=here.scheme, netloc=here.netloc, fragment="").geturl()

    def _ask(self, method: str, url: str, **more: Any) -> tuple[requests.Response, bytes]:
        timeout = max(0.05, self._watchdog.remaining)
        try:
            with self._http.request(
                method, url, timeout=timeout, allow_redirects=False, stream=True, **more
            ) as answer:
                self._judge(answer, url)
                return answer, _body(answer, url)
        except WIRE_ERRORS as error:
            why = "in time" if self._watchdog.expired else f"({reason(error)})"
            raise _PassingError(
                PatchworkError(f"{url} does not answer {why}: try again later.")
            ) from error

    def _judge(self, answer: requests.Response, url: str) -> None:
        status = answer.status_code
        if status in (401, 403):
            raise PatchworkRefused(
                f"{url} refuses the token (HTTP {status}): patchwork.token_file must hold that of"
                " an account with the right to add checks."
            )
        if status in _BUSY:
            busy = PatchworkError(f"{url} is busy or broken (HTTP {status}): try again later.")
            raise _PassingError(busy, retry_after(answer.headers.get("Retry-After", "")))
        if status not in (200, 201):
            raise PatchworkError(
                f"{url} answers with HTTP status {status}: check patchwork.url and"
                " patchwork.project."
            )


def _same(there: _Posted, wanted: dict[str, str]) -> bool:
    return (
        there.state == wanted["state"]
        and (there.description or "") == wanted["description"]
        and (there.target_url or "") == wanted["target_url"]
    )


def _body(answer: requests.Response, url: str) -> bytes:
    try:
        return b"".join(chunks(answer, _MAX_ANSWER))
    except TooLongError as error:
        raise PatchworkError(
            f"{url} answers with more than {_MAX_ANSWER >> 20} MiB: check the server's address."
        ) from error
