# SPDX-License-Identifier: GPL-2.0-or-later
"""Blocks under construction: where a function's next call goes, and what leaves a scope."""

from __future__ import annotations

from dataclasses import dataclass, field

import tree_sitter

from reviewbot.locking.blocks import GOTO, STOP, Draft, Event, Local
from reviewbot.locking.palatable import Palatable
from reviewbot.locking.syntax import NO_RETURN

PREFIX = b"void f(void)"
"""What stands before a body so that it parses as a function."""


@dataclass(slots=True)
class Scope:
    """A brace scope: the guards to release when it is left, last taken first."""

    guards: list[Event] = field(default_factory=list)


class Drafting:
    """The blocks of one function, one of them the current one."""

    def __init__(
        self,
        source: Palatable,
        first_line: int,
        locals_: dict[str, Local],
    ) -> None:
        self._code = (PREFIX + source.code).decode("latin-1")  # a character a byte
        self._line = first_line
        self._locals = dict(locals_)
        self._source = source
        self._blocks: list[Draft] = [Draft()]
        self._at = 0
        self._scopes: list[Scope] = []
        self._breaks: list[tuple[int, int]] = []
        self._continues: list[tuple[int, int]] = []
        self._labels: dict[str, tuple[int, tuple[Scope, ...], tuple[int, ...]]] = {}
        self._gotos: list[tuple[int, str, tuple[Scope, ...], tuple[int, ...]]] = []
        self._temporaries = 0
        self._around: set[int] = set()
        self._assigned: dict[str, int] = {}
        self._aliases: dict[str, str] = {}
        self._escaped: set[str] = set()
        self._callees: dict[int, str] = {}

    # blocks

    def _new(self) -> int:
        self._blocks.append(Draft())
        return len(self._blocks) - 1

    def _finish(
        self, jump: int, key: str = "", targets: tuple[int, ...] = (), line: int = 0
    ) -> None:
        draft = self._blocks[self._at]
        draft.jump, draft.key, draft.targets, draft.line = jump, key, list(targets), line

    def _go(self, target: int) -> None:
        self._finish(GOTO, "", (target,))

    def _emit(self, line: int, name: str, args: tuple[str, ...] = (), result: str = "") -> None:
        self._blocks[self._at].events.append(Event(line, name, args, result))
        if name in NO_RETURN:
            self._finish(STOP)
            self._at = self._new()

    def _row(self, row: int) -> int:
        return self._line + row

    def _text(self, node: tree_sitter.Node) -> str:
        return self._code[node.start_byte : node.end_byte]

    # scopes

    def _leave(self, depth: int, line: int) -> None:
        """Release the guards of all scopes above *depth*, without closing the scopes."""
        for scope in reversed(self._scopes[depth:]):
            for guard in reversed(scope.guards):
                self._emit(line, "~" + guard.name, guard.args)

    def _guard(self, name: str, args: tuple[str, ...], line: int, result: str = "") -> None:
        self._emit(line, name, args, result)
        if self._scopes:
            self._scopes[-1].guards.append(Event(line, name, args, ""))

    def _resolve_goto(
        self, block: int, label: str, scopes: tuple[Scope, ...], counts: tuple[int, ...]
    ) -> None:
        draft = self._blocks[block]
        if label not in self._labels:
            draft.jump = STOP
            return
        target, kept, before = self._labels[label]
        for scope, count in reversed(list(zip(scopes, counts, strict=True))):
            stays = next((n for s, n in zip(kept, before, strict=True) if s is scope), 0)
            if stays < count:  # left, or jumped back in over its declaration
                for guard in reversed(scope.guards[stays:count]):
                    draft.events.append(Event(guard.line, "~" + guard.name, guard.args, ""))
        draft.jump, draft.targets = GOTO, [target]

    def _statement(self, node: tree_sitter.Node) -> None:
        """Take in a statement; a value may hold some: ``({ … })``."""
        raise NotImplementedError
