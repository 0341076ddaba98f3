# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked about commands, from the configuration."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache

from reviewbot.config import Config
from reviewbot.kernel.maintainers import Section, maintainers_of, read_maintainers
from reviewbot.kernel.repository import Repository
from reviewbot.series.addresses import canonical
from reviewbot.service._protocol import Setup
from reviewbot.service.archive import archive_of
from reviewbot.service.state import mail
from reviewbot.service.state.model import ReviewRecord
from reviewbot.service.state.store import State
from reviewbot.service.state.talk import Limits
from reviewbot.service.talk.answer import Desk
from reviewbot.service.talk.copy import Thread
from reviewbot.service.talk.signature import Resolve, resolver

_FILE = "MAINTAINERS"


def desk_of(
    config: Config, state: State, setup: Callable[[str], Setup], resolve: Resolve | None = None
) -> Desk:
    """The desk that a configuration describes; ``setup`` is what a list's reviews need.

    ``resolve`` stands for the system's name service.
    """
    own = config.talk
    return Desk(
        people=frozenset(map(canonical, own.people)),
        maintainers=_Maintainers(state, setup),
        resolve=resolve or resolver(own.seconds),
        thread=_thread(config),
        limits=Limits(own.retests, own.false_positives, own.false_positives_least),
        patience=timedelta(days=own.days),
    )


def _thread(config: Config) -> Thread | None:
    server = config.service.archive
    return archive_of(config, server).thread if server else None


class _Maintainers:
    """Who maintains what a series touches, as its base has it: it cannot vote its author in."""

    def __init__(self, state: State, setup: Callable[[str], Setup]) -> None:
        self._state = state
        self._setup = setup

    def __call__(self, record: ReviewRecord) -> frozenset[str]:
        """Raises ConfigError for a list that is gone, TreeError and GitError for a tree."""
        posts = mail.posts(self._state, record.parts)
        paths = dict.fromkeys(path for post in posts for path in post.paths)
        people = maintainers_of(self._sections(record), paths)
        return frozenset(canonical(person.address) for person in people)

    def _sections(self, record: ReviewRecord) -> tuple[Section, ...]:
        options = self._setup(record.list).options()
        with Repository.open(options.tree, options.mirror) as repository:
            tree = repository.tree_of(record.base or repository.resolve("HEAD"))
            found = repository.lookup(tree, [_FILE]).get(_FILE)
            return _parsed(repository.read_blob(found)) if found is not None else ()


@lru_cache(maxsize=2)
def _parsed(text: bytes) -> tuple[Section, ...]:
    """Reading the file takes longer than all else that is asked about a command."""
    return read_maintainers(text.decode("utf-8", "replace"))
