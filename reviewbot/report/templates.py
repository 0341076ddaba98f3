# SPDX-License-Identifier: GPL-2.0-or-later
"""The program's own templates, from the wheel or from a checkout.

Only files of the program are templates.  Text from a mail is a value in one,
never a template itself.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

from reviewbot.report.layout import fact, wrap


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


def _prose(text: str) -> str:
    return "\n".join(wrap(text)) + "\n"


def _fact(text: str, label: str) -> str:
    return "\n".join(fact(label, text))
