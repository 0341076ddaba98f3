# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reviewbot import schema
from reviewbot.errors import ConfigError
from reviewbot.schema import key

FILE = Path("/etc/thing.toml")


@dataclass(frozen=True, slots=True)
class Inner:
    name: str = field(metadata=key("Which one.", None, "first"))
    weight: float = field(default=0.5, metadata=key("How much."))


@dataclass(frozen=True, slots=True)
class Outer:
    on: bool = field(default=True, metadata=key("Whether."))
    words: tuple[str, ...] = field(default=("a", "b"), metadata=key("What to say."))
    word: str | None = field(default=None, metadata=key("Perhaps one.", None, "w"))
    inner: Inner = field(default=Inner("i"), metadata=key("One."))
    many: tuple[Inner, ...] = field(default=(), metadata=key("Some."))


def parse(text: str) -> Outer:
    return schema.parse(Outer, text.encode(), FILE)


def test_every_kind_of_value_is_read() -> None:
    text = (
        'on = false\nwords = ["x"]\nword = "w"\ninner.name = "j"\n[[many]]\nname = "m"\nweight = 2'
    )
    assert parse(text) == Outer(False, ("x",), "w", Inner("j"), (Inner("m", 2.0),))
    assert parse("") == Outer()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("on = 1", "on must be true or false, not 1"),
        ("words = 'a'", 'words must be an array, not "a"'),
        ("words = ['a', 1]", "words[2] must be a string, not 1"),
        ("inner = {}", "inner.name is missing"),
        ("[[many]]\nname = 'm'\n[[many]]\nweight = 1", "many[2].name is missing"),
        ("[[many]]\nnam = 'm'", "many[1].nam is not a known key; did you mean many[1].name?"),
        (f"on = '{'y' * 99}'", f'on must be true or false, not "{"y" * 57}..."'),
    ],
)
def test_errors_name_the_key(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value) == f"{FILE}: {message}"


def test_commented_shows_every_key_with_its_default() -> None:
    assert schema.commented(Outer) == (
        "# Whether.\n#on = true\n\n"
        '# What to say.\n#words = ["a", "b"]\n\n'
        '# Perhaps one.\n#word = "w"\n\n'
        '# One.\n[inner]\n# Which one.\n#name = "first"\n# How much.\n#weight = 0.5\n\n'
        '# Some.\n#[[many]]\n# Which one.\n#name = "first"\n# How much.\n#weight = 0.5\n'
    )


def test_an_unknown_home_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="write the path in full"):
        schema.expand(Path("~no-such-user-here/linux"))
