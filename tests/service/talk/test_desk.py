# SPDX-License-Identifier: GPL-2.0-or-later
"""What the configuration means for commands, on a real repository."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reviewbot import config
from reviewbot.errors import ConfigError
from reviewbot.service.plan import plan_of
from reviewbot.service.state import mail, reviews
from reviewbot.service.state.model import ReviewRecord
from reviewbot.service.state.store import State
from reviewbot.service.talk.answer import Desk
from reviewbot.service.talk.desk import desk_of
from tests.service.support import START, group, received
from tests.service.talk.letters import Names
from tests.service.world import FILE, World

MAINTAINERS = (
    "FROB\nM:\tMax <Max@Example.org>\nF:\tdrivers/frob/\n\nNET\nM:\tn@example.org\nF:\tnet/\n"
)


def desk(world: World, state: State, **talk: str) -> Desk:
    text = world.config_file.read_text()
    keys = "".join(f"{key} = {value}\n" for key, value in talk.items())
    settings = config.parse(f"{text}[talk]\n{keys}".encode(), world.config_file)
    return desk_of(settings, state, plan_of(settings).setup, Names())


def touching(state: State, *paths: str, list_: str = "kvm") -> ReviewRecord:
    mail.take_in(state, "kvm", "c", [received("k-1@example.org", paths=paths)])
    return reviews.collect(state, group("k", "k-1@example.org"), START, list_, "ann@example.org")


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World.make(tmp_path)
    made.kernel.commit({"MAINTAINERS": MAINTAINERS}, "add maintainers")
    return made


def test_who_maintains_what_a_series_touches(world: World) -> None:
    with world.state() as state:
        asked = desk(world, state)
        record = touching(state, FILE, "lib/frob.c")
        assert asked.maintainers(record) == {"max@example.org"}
        assert record.base == ""


def test_the_base_is_what_counts(world: World) -> None:
    base = world.kernel.git("rev-parse", "HEAD").strip()
    world.kernel.commit({"MAINTAINERS": MAINTAINERS.replace("Max@", "mallory@")}, "take over")
    with world.state() as state:
        record = touching(state, FILE)
        asked = desk(world, state)
        assert asked.maintainers(record) == {"mallory@example.org"}
        assert asked.maintainers(replace(record, base=base)) == {"max@example.org"}


def test_a_tree_without_the_file_has_no_maintainers(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    with world.state() as state:
        assert desk(world, state).maintainers(touching(state, FILE)) == frozenset()


def test_a_list_that_is_gone(world: World) -> None:
    with world.state() as state, pytest.raises(ConfigError, match=r"\[list.old\]"):
        desk(world, state).maintainers(touching(state, FILE, list_="old"))


def test_the_rest_is_as_configured(world: World) -> None:
    with world.state() as state:
        plain = desk(world, state)
        assert (plain.people, plain.thread) == (frozenset(), None)
        assert (plain.limits.retests, plain.limits.share, plain.limits.least) == (5, 0.2, 3)
        own = desk(world, state, people='["Kim@Example.org"]', retests="1", days="0.5")
        assert own.people == {"kim@example.org"}
        assert own.limits.retests == 1
        assert own.patience.total_seconds() == 43_200
        for key, value in (("people", '["kim"]'), ("false_positives", "1.5"), ("seconds", "0")):
            with pytest.raises(ConfigError, match=f"talk.{key}"):
                desk(world, state, **{key: value})
