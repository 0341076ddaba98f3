# SPDX-License-Identifier: GPL-2.0-or-later
"""The program's templates, found in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from reviewbot.report import templates


def test_the_checkout_has_the_reply() -> None:
    assert (templates.template_directory() / "reply.txt.j2").is_file()


def test_the_wheel_keeps_them_in_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "reviewbot"
    (installed / "templates").mkdir(parents=True)
    monkeypatch.setattr(templates, "__file__", str(installed / "report" / "templates.py"))
    assert templates.template_directory() == installed / "templates"


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        templates.environment().from_string("{{ nothing }}").render()
