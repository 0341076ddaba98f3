# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages of ``reviewbot serve``: how it goes, one series' story, metrics, health."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote

from markupsafe import Markup

from reviewbot import __version__
from reviewbot.report.clean import visible
from reviewbot.report.templates import html_environment, style
from reviewbot.service import show
from reviewbot.service.metrics import CONTENT_TYPE, Metrics
from reviewbot.service.state import queries
from reviewbot.service.state.model import Story
from reviewbot.service.state.store import State
from reviewbot.service.web import Page, Pages, text

_LATEST = 100
"""Reviews on the first page."""


def site(state: State, metrics: Metrics) -> Pages:
    """What each path shows."""
    return {
        r"/": lambda: _overview(state, metrics),
        r"/review/([0-9]{1,9})": lambda number: _review(state, int(number)),
        r"/series/(\S{1,2700})": lambda msgid: _series(state, unquote(msgid, errors="replace")),
        r"/status\.json": lambda: _json(state),
        r"/metrics": lambda: Page(metrics.render(), CONTENT_TYPE),
        r"/healthz": lambda: _health(metrics),
    }


def _overview(state: State, metrics: Metrics) -> Page:
    now = state.clock.now()
    rows = [
        (show.row(review, now), f"/series/{quote(review.head, safe='@')}", path_of(review.id))
        for review in queries.list_reviews(state, limit=_LATEST)
    ]
    facts = show.overview_facts(queries.overview(state), now)
    return _page(title="reviewbot", facts=list(facts), rows=rows, health=metrics.health())


def path_of(review: int) -> str:
    """Where a review is shown."""
    return f"/review/{review}"


def _review(state: State, number: int) -> Page:
    """The review as its page shows it; without one, what is known of it."""
    if page := queries.page(state, number):
        return Page(page)
    head = queries.head(state, number)
    if not head:
        return text("There is no such review (any more).", HTTPStatus.NOT_FOUND)
    return _series(state, head)


def _series(state: State, msgid: str) -> Page:
    story = queries.story(state, msgid)
    if story is None:
        return text("No mail with this Message-ID was seen.", HTTPStatus.NOT_FOUND)
    title = story.review.title if story.review is not None else story.message.subject
    return _page(
        title=visible(title),
        facts=list(show.story_facts(story, state.clock.now())),
        events=list(show.story_events(story)),
        review=_link(story),
        letters=list(_letters(state, story)),
    )


def _link(story: Story) -> str:
    """Where the finished review is shown; empty before it is done, or without a check."""
    return path_of(story.review.id) if story.review is not None and story.review.base else ""


def _letters(state: State, story: Story) -> Iterator[dict[str, str]]:
    for letter in story.letters:
        mail = queries.letter(state, letter.message_id) or b""
        shown = "\n".join(map(visible, mail.decode("utf-8", "replace").split("\n")))
        yield {"state": letter.state.value, "mail": shown}


def _json(state: State) -> Page:
    listed = queries.list_reviews(state, limit=_LATEST)
    value = {"schema": show.SCHEMA, "overview": queries.overview(state), "reviews": listed}
    return Page(json.dumps(show.plain(value)).encode(), "application/json")


def _health(metrics: Metrics) -> Page:
    health = metrics.health()
    return text(health.reason, HTTPStatus.OK if health.good else HTTPStatus.SERVICE_UNAVAILABLE)


def _page(**values: Any) -> Page:
    blank: dict[str, Any] = {"rows": [], "events": [], "letters": [], "review": "", "health": None}
    css = Markup(style()[0])  # noqa: S704 - the program's own file
    made = html_environment().get_template("status.html.j2")
    return Page(made.render(**blank | values, css=css, version=__version__).encode())
