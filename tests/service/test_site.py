# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages of ``reviewbot serve`` over HTTP, and in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import requests

from reviewbot.report.page import render_page
from reviewbot.service.metrics import Metrics
from reviewbot.service.model import Step
from reviewbot.service.site import site
from reviewbot.service.state import mail, progress, queries, reviews
from reviewbot.service.state.store import State
from reviewbot.service.web import Server
from tests.report.pages import PAGES
from tests.service.support import START, HandClock, group, outcome, received
from tests.support.browser import CONTRAST, DESKTOP, PHONE, Tab, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

browser = pytest.fixture(scope="module")(chromium)


def reviewed(state: State, key: str, page: bytes = b"") -> int:
    """A series that was reviewed, and its number."""
    name = f"{key}@example.org"
    mail.take_in(state, "kvm", "c", [received(name)])
    title = f"{key}: " + "a_long_name_without_an_end" * 4
    record = reviews.collect(state, group(key, name, title=title), START, "kvm", "a@example.org")
    reviews.queue(state, record.id, f"print-{key}", "whole", "kvm")
    if page:
        progress.begin(state, record.id, Step.FETCH, "m1")
        made = replace(outcome(f"reply-{key}@example.org"), page=page)
        assert progress.finish(state, record.id, made)
    return record.id


@pytest.fixture
def server(state: State, clock: HandClock) -> Iterator[Server]:
    metrics = Metrics(lambda: queries.overview(state), clock, 60.0)
    with Server("127.0.0.1:0", site(state, metrics)) as running:
        yield running


def url(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def test_a_finished_review_is_a_page(state: State, server: Server) -> None:
    page = render_page(PAGES["removed"]()).encode()
    done = reviewed(state, "done", page)
    found = requests.get(url(server, f"/review/{done}"), timeout=20)
    assert found.content == page
    assert "default-src 'none'" in found.headers["Content-Security-Policy"]
    assert "script-src" not in found.headers["Content-Security-Policy"]
    for path in ("/", "/series/done@example.org"):
        assert f'href="/review/{done}"' in requests.get(url(server, path), timeout=20).text


def test_before_that_it_is_what_is_known(state: State, server: Server) -> None:
    waiting = reviewed(state, "waiting")
    found = requests.get(url(server, f"/review/{waiting}"), timeout=20)
    assert (found.status_code, "collecting -&gt; queued" in found.text) == (200, True)
    assert "/review/" not in requests.get(url(server, "/"), timeout=20).text
    for number in ("999999", "0", "x", "1" * 30):
        assert requests.get(url(server, f"/review/{number}"), timeout=20).status_code == 404


def test_the_style_sheet_is_none_of_a_page_s_text(server: Server) -> None:
    text = requests.get(url(server, "/"), timeout=20).text
    sheet = text.partition("<style>")[2].partition("</style>")[0]
    assert "&#3" not in sheet
    assert '"' in sheet


@pytest.mark.chromium
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_page_fits_and_can_be_read(
    browser: Browser, state: State, server: Server, size: tuple[int, int], dark: bool
) -> None:
    done = reviewed(state, "done", render_page(PAGES["removed"]()).encode())
    reviewed(state, "waiting")
    for path in ("/", f"/review/{done}", "/series/done@example.org"):
        tab = Tab(browser, url(server, path), size, dark)
        with tab as page:
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], path
            assert page.evaluate(CONTRAST) == [], path
        assert tab.complaints == [], path
        assert {one for one in tab.requests if not one.startswith("data:")} == {url(server, path)}
