# SPDX-License-Identifier: GPL-2.0-or-later
"""What the configuration means for unattended work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reviewbot.config import Config
from reviewbot.errors import ConfigError
from reviewbot.kernel.repository import Repository
from reviewbot.report.envelope import policy_of
from reviewbot.service._protocol import ChildLimits, Setup
from reviewbot.service.archive import archive_of
from reviewbot.service.decide import Scope
from reviewbot.service.steps import Plan
from reviewbot.wiring import apply_limits, mirrors, sender_of


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
        archive=archive_of(config, service.archive) if service.archive else None,
    )


def _setup(config: Config, name: str) -> Setup:
    own = config.list[name]
    tree = own.tree or config.tree
    if tree is None:
        raise ConfigError(f"[list.{name}] has no tree: set it there, or 'tree' above all tables")
    return Setup(
        tree=str(tree.expanduser()),
        cache=str(config.cache),
        limits=apply_limits(config),
        sender=sender_of(config),
        branch=own.branch,
        mirror=str(mirrors(config)) if config.remote else "",
        remotes=dict(config.remote),
        primitives=tuple(dict(table.entries) for table in config.primitives),
        where=config.primitives[0].where if config.primitives else "",
        checked=name in config.patchwork.lists,
        policy=policy_of(name, config.list, own=(config.sender.address,), bots=config.service.bots),
    )


class Paths:
    """What is in the lists' trees; read again when a tree's HEAD has moved."""

    def __init__(self, config: Config) -> None:
        trees = (own.tree or config.tree for own in config.list.values())
        self._trees = tuple(dict.fromkeys(tree for tree in trees if tree is not None))
        self._known: dict[Path, tuple[str, frozenset[str]]] = {}

    def refresh(self) -> None:
        """Look where the trees are now.  Raises :class:`TreeError` if one is not there."""
        for tree in self._trees:
            with Repository.open(tree) as repository:
                root = repository.tree_of(repository.resolve("HEAD"))
                if self._known.get(tree, ("",))[0] != root:
                    self._known[tree] = root, frozenset(_with_parents(repository, root))

    def has(self, path: str) -> bool:
        """Whether some tree has this file or directory."""
        return any(path in paths for _, paths in self._known.values())


def _with_parents(repository: Repository, root: str) -> Iterator[str]:
    last = ""
    for entry in repository.list_tree(root):
        yield entry.path
        above = entry.path.rpartition("/")[0]
        while above and not last.startswith(f"{above}/"):
            yield above
            above = above.rpartition("/")[0]
        last = entry.path


def scope_of(config: Config, paths: Paths, source: str) -> Scope:
    """What decisions about a source's mail may depend on."""
    known = config.source.get(source)
    return Scope(
        lists=config.list,
        forced=known.list if known is not None else "",
        own=config.sender.address,
        bots=config.service.bots,
        in_tree=paths.has,
    )
