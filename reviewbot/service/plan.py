# SPDX-License-Identifier: GPL-2.0-or-later
"""What the configuration means for unattended work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from reviewbot.config import Config
from reviewbot.errors import ConfigError
from reviewbot.kernel.check import ApplyLimits
from reviewbot.kernel.repository import Repository
from reviewbot.report.reply import Sender
from reviewbot.service._protocol import ChildLimits, Setup
from reviewbot.service.collect import ScopeOf
from reviewbot.service.decide import Scope
from reviewbot.service.steps import Plan


def database(config: Config) -> str:
    """Address of the state."""
    return config.service.database or f"sqlite:///{config.service.state}/state.sqlite"


def work_database(config: Config) -> str:
    """Address of DBOS's part: a file of its own, or a schema beside the state's tables."""
    return config.service.database if _is_shared(config) else f"sqlite:///{_work_file(config)}"


def _is_shared(config: Config) -> bool:
    return config.service.database.startswith("postgresql:")


def _work_file(config: Config) -> Path:
    return config.service.state / "work.sqlite"


def mirrors(config: Config) -> Path:
    """Directory of what is fetched from the configured remotes."""
    return config.service.state / "mirrors"


def plan_of(config: Config) -> Plan:
    """How reviews are carried out.

    Raises :class:`ConfigError` if there is a list without a kernel tree.
    """
    setups = {name: _setup(config, name) for name in config.list}

    def setup(name: str) -> Setup:
        if name not in setups:
            raise ConfigError(
                f"[list.{name}] is no longer in the configuration: put it back, or"
                " reviewbot skip the series"
            )
        return setups[name]

    service = config.service
    return Plan(
        setup=setup,
        limits=ChildLimits(seconds=service.review_seconds, memory=service.review_memory),
        attempts=service.attempts,
        archive=service.archive,
        contact=config.sender.contact,
    )


def _setup(config: Config, name: str) -> Setup:
    own = config.list[name]
    tree = own.tree or config.tree
    if tree is None:
        raise ConfigError(f"[list.{name}] has no tree: set it there, or 'tree' above all tables")
    limits, sender = config.limits, config.sender
    return Setup(
        tree=str(tree.expanduser()),
        cache=str(config.cache),
        limits=ApplyLimits(
            bytes=limits.patch_bytes,
            files=limits.patch_files,
            hunks=limits.patch_hunks,
            seconds=limits.seconds,
            memory=limits.memory_bytes,
        ),
        sender=Sender(
            name=sender.name,
            address=sender.address,
            operator=sender.operator,
            contact=sender.contact,
            stop=sender.stop,
            domain=sender.domain,
        ),
        branch=own.branch,
        mirror=str(mirrors(config)) if config.remote else "",
        remotes=dict(config.remote),
        primitives=tuple(dict(table.entries) for table in config.primitives),
        where=config.primitives[0].where if config.primitives else "",
    )


@dataclass(slots=True)
class Scopes:
    """What decisions about a source's mail may depend on; opens the trees when asked."""

    config: Config
    _open: dict[Path, tuple[Repository, str]] = field(default_factory=dict)

    def of(self, source: str) -> Scope:
        """The scope of a source's mail."""
        known = self.config.source.get(source)
        return Scope(
            lists=self.config.list,
            forced=known.list if known is not None else "",
            own=self.config.sender.address,
            bots=self.config.service.bots,
            in_tree=self._has,
        )

    def close(self) -> None:
        """Close the trees; the next question opens them as they are then."""
        for repository, _ in self._open.values():
            repository.close()
        self._open.clear()

    def _has(self, path: str) -> bool:
        return any(self._tree_has(tree, path) for tree in self._trees())

    def _trees(self) -> Iterator[Path]:
        trees = (own.tree or self.config.tree for own in self.config.list.values())
        yield from dict.fromkeys(tree for tree in trees if tree is not None)

    def _tree_has(self, tree: Path, path: str) -> bool:
        if tree not in self._open:
            repository = Repository.open(tree)
            self._open[tree] = repository, repository.tree_of(repository.resolve("HEAD"))
        repository, root = self._open[tree]
        return repository.lookup(root, [path]).get(path) is not None


@contextmanager
def scopes(config: Config) -> Iterator[ScopeOf]:
    """Scopes whose trees are open as long as the block runs."""
    opened = Scopes(config)
    try:
        yield opened.of
    finally:
        opened.close()
