# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages in a real browser: wide and narrow, light and dark.

``pip install playwright`` drives Debian's ``chromium``; it needs no browser of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
DESKTOP, PHONE = (1200, 900), (390, 844)
# Luminance and contrast as WCAG 2.1 defines them; text is looked at where it is painted.
CONTRAST = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (c) => [0, 1, 2].reduce((sum, i) => {
    const v = c[i] / 255;
    return sum + [.2126, .7152, .0722][i] * (v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  }, 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const box = at.parentElement && at.parentElement.querySelector(":scope > rect");
      if (at.tagName === "text" && box) return rgb(getComputedStyle(box).fill);
      const c = rgb(getComputedStyle(at).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const worst = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || ["STYLE", "TITLE", "title", "desc"].includes(node.tagName)) continue;
    const style = getComputedStyle(node);
    const ink = light(rgb(node.tagName === "text" ? style.fill : style.color));
    const paper = light(behind(node));
    const ratio = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
    if (ratio < 4.5) worst.push(`${node.tagName}.${node.className.baseVal ?? node.className}:`
      + ` ${ratio.toFixed(2)} ${node.textContent.slice(0, 30)}`);
  }
  return worst;
}"""


def chromium() -> Iterator[Browser]:
    """One Chromium for all tests of a worker."""
    api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


class Tab:
    """A page that was opened, and whatever it complained about or asked for."""

    def __init__(self, browser: Browser, url: str, size: tuple[int, int], dark: bool) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        width, height = size
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=True,
        )
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(url)

    def __enter__(self) -> Page:
        return self.page

    def __exit__(self, *_: object) -> None:
        self.context.close()
