# SPDX-License-Identifier: GPL-2.0-or-later
"""The page in a real browser: wide and narrow, light and dark, by mouse and by keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reviewbot.report.page import render_page
from tests.support.browser import CONTRAST, DESKTOP, PHONE, Tab, chromium

from .pages import PAGES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.chromium
browser = pytest.fixture(scope="module")(chromium)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every page as a file."""
    for name, review in PAGES.items():
        (tmp_path / f"{name}.html").write_text(render_page(review()), encoding="utf-8")
    return tmp_path


def unfold(page: Page) -> None:
    """Open all that folds."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_page_fits_and_can_be_read(
    browser: Browser, folder: Path, size: tuple[int, int], dark: bool
) -> None:
    for path in sorted(folder.glob("*.html")):
        tab = Tab(browser, path.as_uri(), size, dark)
        with tab as page:
            unfold(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], path.name
            assert page.evaluate(CONTRAST) == [], path.name
        assert tab.complaints == [], path.name
        assert [url for url in tab.requests if not url.startswith("data:")] == [path.as_uri()]


def test_light_and_dark_are_two(browser: Browser, folder: Path) -> None:
    papers = set()
    for dark in (False, True):
        with Tab(browser, (folder / "clean.html").as_uri(), DESKTOP, dark) as page:
            papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(papers) == 2


def test_a_step_unfolds_to_its_source_by_mouse_and_by_keyboard(
    browser: Browser, folder: Path
) -> None:
    with Tab(browser, (folder / "removed.html").as_uri(), PHONE, dark=False) as page:
        first, second = page.locator("details").nth(0), page.locator("details").nth(1)
        assert not first.locator(".here").is_visible()
        first.locator("summary").click()
        assert first.locator(".here").is_visible()
        second.locator("summary").focus()
        page.keyboard.press("Enter")
        assert second.locator(".here").is_visible()
        page.keyboard.press("Enter")
        assert not second.locator(".here").is_visible()


def test_nothing_is_drawn_outside_of_the_drawing(browser: Browser, folder: Path) -> None:
    """The widths counted in characters hold with the fonts that there are."""
    measure = """() => [...document.querySelectorAll("svg")].map((svg) => {
      const frame = svg.getBoundingClientRect();
      return [...svg.querySelectorAll("text, rect, path")].filter((one) => {
        const box = one.getBoundingClientRect();
        return box.left < frame.left - 1 || box.right > frame.right + 1
          || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
      }).length;
    })"""
    for name in ("removed", "partially-removed", "introduced"):
        with Tab(browser, (folder / f"{name}.html").as_uri(), DESKTOP, dark=False) as page:
            assert page.evaluate(measure) == [0, 0], name
            frames = page.locator("svg").all()
            boxes: list[Any] = [frame.bounding_box() for frame in frames]
            assert boxes[0]["y"] == boxes[1]["y"]


def test_the_page_needs_no_script_and_runs_none(browser: Browser, folder: Path) -> None:
    path = folder / "removed.html"
    text = path.read_text(encoding="utf-8")
    evil = "<script>document.title = 'run'</script><p id=e style='color: red' onclick='x'>e</p>"
    path.write_text(text.replace("<main", f"{evil}<main"), encoding="utf-8")
    tab = Tab(browser, path.as_uri(), DESKTOP, dark=False)
    with tab as page:
        assert page.title() != "run"
        red = page.evaluate("getComputedStyle(document.getElementById('e')).color")
        assert red != "rgb(255, 0, 0)"
    # Inline script and inline style: the policy refuses both, and says so.
    assert len(tab.complaints) >= 2
    assert all("Content Security Policy" in complaint for complaint in tab.complaints)


def test_on_paper_everything_is_unfolded(browser: Browser, folder: Path) -> None:
    with Tab(browser, (folder / "removed.html").as_uri(), DESKTOP, dark=True) as page:
        meant = page.locator(".here").all()
        assert len(meant) > 2
        assert not any(line.is_visible() for line in meant)
        page.emulate_media(media="print")
        assert all(line.is_visible() for line in meant)
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
