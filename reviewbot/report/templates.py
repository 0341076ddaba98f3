# SPDX-License-Identifier: GPL-2.0-or-later
"""The program's own templates, from the wheel or from a checkout.

Only files of the program are templates.  Text from a mail is a value in one,
never a template itself.
"""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path

import jinja2
from markupsafe import Markup

from reviewbot.report.layout import fact, wrap

_BREAKS = re.compile(r"(?<=[_/(])(?=\w)|(?<=[.:])(?=\w{2})")


def template_directory() -> Path:
    """Where the templates are: in the package once installed, at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "templates"
    return installed if installed.is_dir() else package.parent / "templates"


@cache
def environment() -> jinja2.Environment:
    """Jinja as the mail templates need it: plain text, and an unknown name is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_directory()),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - plain text: escapes would be seen by the reader
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["prose"] = _prose
    made.filters["fact"] = _fact
    return made


@cache
def html_environment() -> jinja2.Environment:
    """Jinja for pages: whatever a value holds, it is text and never markup."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_directory()),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["soft"] = _soft
    return made


@cache
def style() -> tuple[str, str]:
    """The pages' style sheet, and its source expression for a Content-Security-Policy (CSP3)."""
    text = (template_directory() / "review.css").read_text(encoding="utf-8")
    return text, f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _soft(text: str) -> Markup:
    """The text with places where a line may be broken: after ``.``, ``_`` and the like."""
    return Markup("<wbr>").join(_BREAKS.split(text))


def _prose(text: str) -> str:
    return "".join(f"{line}\n" for line in wrap(text))


def _fact(text: str, label: str) -> str:
    return "\n".join(fact(label, text))
