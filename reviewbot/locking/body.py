# SPDX-License-Identifier: GPL-2.0-or-later
"""A function body as a flow graph: which calls are made, in which order, on which paths.

The text is made palatable first (loops of the ``for_each`` kind become ``while``,
conditionals of the preprocessor are decided), tree-sitter parses it, and the
statements become basic blocks.  Nothing here knows what a lock is: a flow holds
every call with its arguments, and :mod:`reviewbot.locking.flow` walks it once it
is known what the calls do.

``#ifdef`` is read both ways: one flow with every condition true and, if that
makes a difference, one with every condition false, so that a lock and its
unlock under the same condition are seen together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import msgspec
import tree_sitter
import tree_sitter_c

from reviewbot.locking.expressions import (
    MAX_ARGUMENT,
    ZERO,
    constant,
    is_flags,
    is_literal,
    split_arguments,
    tight,
)
from reviewbot.locking.palatable import Palatable, palatable, variants

VOID = "void"
"""What ``return;`` and the end of a function return."""
AROUND = "around"
GOTO, BRANCH, RETURN, SWITCH, STOP = range(5)


class Event(msgspec.Struct, frozen=True, array_like=True):
    """One call or assignment, in execution order.

    ``name`` is the callee (``mutex_lock``), a call through a pointer as written
    (``dev->ops->open``), ``guard(mutex)`` or, when its scope ends,
    ``~guard(mutex)``; or ``=`` for an assignment of something else to ``result``.
    Its ``args`` then say what is assigned: ``0``, ``-`` (an error code) or ``1`` with
    the constant behind it, ``=x`` for another variable or constant, ``~x`` for what
    has the signs of x (``PTR_ERR(x)``), ``?x`` for ``PTR_ERR_OR_ZERO(x)``, or nothing.
    """

    line: int
    name: str
    args: tuple[str, ...]
    result: str
    """The variable that gets the value, the call as written if a condition tests it, ``@n`` if
    it is returned, or empty."""


class Block(msgspec.Struct, frozen=True, array_like=True):
    """Events, then a jump."""

    events: tuple[Event, ...]
    jump: int
    """GOTO, BRANCH, RETURN, SWITCH or STOP."""
    key: str
    """BRANCH: the condition in one spelling (:mod:`reviewbot.locking.known`); SWITCH: on what;
    RETURN: what is returned, a constant, ``x``, ``~x`` or ``?x`` as in an assignment, ``+`` for
    an address, or empty if it cannot be said."""
    targets: tuple[int, ...]
    """Block numbers; BRANCH: (if true, if false)."""
    labels: tuple[str, ...] = ()
    """SWITCH: the case label of each target; empty for ``default``.  BRANCH: :data:`AROUND` for a
    target that goes around the statement of an ``if`` or loop, else empty; none if both are."""
    line: int = 0
    """RETURN: where it stands."""


class Local(msgspec.Struct, frozen=True, array_like=True):
    """A parameter or local variable."""

    type: str
    param: int
    """0-based position among the parameters, or -1."""
    alias: str
    """The expression a local pointer is set to, if that happens exactly once."""


class Flow(msgspec.Struct, frozen=True, array_like=True):
    """One way through the preprocessor: blocks, the first is the entry."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Body:
    """What a function's body amounts to."""

    flows: tuple[Flow, ...]
    locals: dict[str, Local]
    errors: int
    """Syntax errors tree-sitter recovered from."""


_LANGUAGE = tree_sitter.Language(tree_sitter_c.language())
_PARSER = tree_sitter.Parser(_LANGUAGE)
_PREFIX = b"void f(void)"

_WORD = re.compile(r"[A-Za-z_]\w*")
_TRANSPARENT = frozenset(
    {"likely", "unlikely", "WARN_ON", "WARN_ON_ONCE", "WARN", "WARN_ONCE", "BUG_ON", "READ_ONCE"}
)
_SILENT = frozenset(
    {"ARRAY_SIZE", "BIT", "BUG_ON", "ERR_CAST", "ERR_PTR", "GENMASK", "IS_ENABLED", "IS_ERR",
     "IS_ERR_OR_NULL", "IS_ERR_VALUE", "PTR_ERR", "PTR_ERR_OR_ZERO", "READ_ONCE", "WARN_ON",
     "WARN_ON_ONCE", "WRITE_ONCE", "__typeof__", "container_of", "cpu_to_le32", "defined",
     "dev_dbg", "dev_err", "dev_info", "dev_warn", "le32_to_cpu", "likely", "list_empty",
     "list_entry", "max", "max_t", "min", "min_t", "offsetof", "pr_debug", "pr_err", "pr_info",
     "pr_warn", "sizeof", "test_bit", "typeof", "unlikely"}
)  # fmt: skip
_ERRORS = {"PTR_ERR": "~", "ERR_PTR": "~", "ERR_CAST": "~", "PTR_ERR_OR_ZERO": "?"}
"""Calls that turn an error pointer into a number or back: how the signs of the two go together."""
_ERROR_TESTS = {"IS_ERR": "<0", "IS_ERR_VALUE": "<0", "PTR_ERR_OR_ZERO": "<0"}
_NO_RETURN = frozenset(
    {"BUG", "panic", "do_exit", "unreachable", "__builtin_unreachable", "make_task_dead"}
)
_MAX_BLOCKS = 4000


def read_body(text: bytes, first_line: int, params: tuple[tuple[str, str], ...]) -> Body:
    """The flows and locals of one function.

    *text* runs from the opening to the closing brace, comments already blank;
    *params* are (name, type) pairs.
    """
    locals_: dict[str, Local] = {
        name: Local(kind, place, "") for place, (name, kind) in enumerate(params) if name
    }
    flows: list[Flow] = []
    errors = 0
    for variant in variants(text):
        source = palatable(variant)
        tree = _PARSER.parse(_PREFIX + source.code)
        root = tree.root_node
        if root.has_error:
            errors += 1
        compound = _compound(root)
        if compound is None:
            continue
        builder = _Builder(source, first_line, locals_)
        try:
            flow = builder.build(compound)
        except RecursionError:  # an expression nested a thousand deep is no kernel code
            errors += 1
            continue
        if flow not in flows:
            flows.append(flow)
        locals_ = builder.known_locals()
    return Body(tuple(flows), locals_, errors)


def _compound(root: tree_sitter.Node) -> tree_sitter.Node | None:
    for node in root.named_children:
        if node.type == "function_definition":
            return node.child_by_field_name("body")
    return None


@dataclass(slots=True)
class _Draft:
    """A block under construction."""

    events: list[Event] = field(default_factory=list)
    jump: int = GOTO
    key: str = ""
    targets: list[int] = field(default_factory=list)
    labels: tuple[str, ...] = ()
    line: int = 0


@dataclass(slots=True)
class _Scope:
    """A brace scope: the guards to release when it is left, last taken first."""

    guards: list[Event] = field(default_factory=list)


class _Builder:
    """Statements to blocks, one function."""

    def __init__(
        self,
        source: Palatable,
        first_line: int,
        locals_: dict[str, Local],
    ) -> None:
        self._code = _PREFIX + source.code
        self._line = first_line
        self._locals = dict(locals_)
        self._source = source
        self._blocks: list[_Draft] = [_Draft()]
        self._at = 0
        self._scopes: list[_Scope] = []
        self._breaks: list[tuple[int, int]] = []
        self._continues: list[tuple[int, int]] = []
        self._labels: dict[str, tuple[int, tuple[_Scope, ...], tuple[int, ...]]] = {}
        self._gotos: list[tuple[int, str, tuple[_Scope, ...], tuple[int, ...]]] = []
        self._temporaries = 0
        self._around: set[int] = set()
        self._assigned: dict[str, int] = {}
        self._aliases: dict[str, str] = {}
        self._escaped: set[str] = set()

    def build(self, compound: tree_sitter.Node) -> Flow:
        self._statement(compound)
        self._finish(RETURN, VOID, line=self._row(compound.end_point.row))
        for block, label, scopes, counts in self._gotos:
            self._resolve_goto(block, label, scopes, counts)
        for draft in self._blocks:
            if draft.jump == BRANCH and not self._around.isdisjoint(draft.targets):
                draft.labels = tuple(AROUND if t in self._around else "" for t in draft.targets)
        return Flow(_compact(self._blocks))

    def known_locals(self) -> dict[str, Local]:
        """Parameters and locals, with the alias of each pointer that is set once."""
        out: dict[str, Local] = {}
        for name, local in self._locals.items():
            once = self._assigned.get(name, 0) == 1 and local.param < 0
            once = once and name not in self._escaped
            out[name] = Local(local.type, local.param, self._aliases.get(name, "") if once else "")
        return out

    # blocks

    def _new(self) -> int:
        self._blocks.append(_Draft())
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
        if name in _NO_RETURN:
            self._finish(STOP)
            self._at = self._new()

    def _row(self, row: int) -> int:
        return self._line + row

    def _text(self, node: tree_sitter.Node) -> str:
        return self._code[node.start_byte : node.end_byte].decode("latin-1")

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
        self, block: int, label: str, scopes: tuple[_Scope, ...], counts: tuple[int, ...]
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

    # statements

    def _statement(self, node: tree_sitter.Node) -> None:
        if len(self._blocks) > _MAX_BLOCKS:
            return
        handler = _STATEMENTS.get(node.type)
        if handler is not None:
            handler(self, node)
        elif node.is_named:
            self._expressions(node)

    def _on_compound(self, node: tree_sitter.Node) -> None:
        self._scopes.append(_Scope())
        for child in node.named_children:
            self._statement(child)
        self._leave(len(self._scopes) - 1, self._row(node.end_point.row))
        self._scopes.pop()

    def _on_expression(self, node: tree_sitter.Node) -> None:
        for child in node.named_children:
            self._expression(child, "")

    def _on_declaration(self, node: tree_sitter.Node) -> None:
        kind = node.child_by_field_name("type")
        base = _one_type(self._text(kind)) if kind is not None else ""
        for child in node.children_by_field_name("declarator"):
            value = None
            declarator: tree_sitter.Node | None = child
            if child.type == "init_declarator":
                value = child.child_by_field_name("value")
                declarator = child.child_by_field_name("declarator")
            name, stars = _declared(declarator)
            if name is None:
                if value is not None:
                    self._expression(value, "")
                continue
            text = self._code[name.start_byte : name.end_byte].decode("latin-1")
            if text not in self._locals or self._locals[text].param < 0:
                self._locals[text] = Local(base + "*" * stars, -1, "")
            if value is not None:
                self._assign(text, value)
            elif child.type == "function_declarator" or base.endswith(")"):
                continue

    def _on_return(self, node: tree_sitter.Node) -> None:
        line = self._row(node.start_point.row)
        values = node.named_children
        if values:
            self._return(values[0], line)
        else:
            self._leave(0, line)
            self._finish(RETURN, VOID, line=line)
        self._at = self._new()

    def _return(self, node: tree_sitter.Node, line: int) -> None:
        """Leave with a value; one that depends on a condition makes two ways out."""
        node = self._last(node)
        if (node.type == "conditional_expression" and _has_both(node)) or _is_boolean(node):
            arms = _arms(node)
            then, otherwise = self._new(), self._new()
            self._branch(node.child_by_field_name("condition") if arms else node, then, otherwise)
            for block, arm, text in zip((then, otherwise), arms or (None, None), "10", strict=True):
                self._at = block
                if arm is not None:
                    self._return(arm, line)
                else:
                    self._leave(0, line)
                    self._finish(RETURN, text, line=line)
            return
        key = self._value(node)
        self._leave(0, line)
        self._finish(RETURN, key, line=line)

    def _on_if(self, node: tree_sitter.Node) -> None:
        condition = node.child_by_field_name("condition")
        then, otherwise, after = self._new(), self._new(), self._new()
        self._branch(condition, then, otherwise)
        self._at = then
        consequence = node.child_by_field_name("consequence")
        if consequence is not None:
            self._statement(consequence)
        self._go(after)
        self._at = otherwise
        alternative = node.child_by_field_name("alternative")
        if alternative is None:
            self._around.add(otherwise)
        else:
            if consequence is not None and consequence.type != "goto_statement":
                self._around |= {then, otherwise}
            for child in alternative.named_children:
                self._statement(child)
        self._go(after)
        self._at = after

    def _on_while(self, node: tree_sitter.Node) -> None:
        offset = node.start_byte - len(_PREFIX)
        if offset in self._source.scoped:
            self._scoped_guard(node)
            return
        head, body, after = self._new(), self._new(), self._new()
        self._around.add(after)
        self._go(head)
        self._at = head
        condition = node.child_by_field_name("condition")
        if offset in self._source.loops:
            if condition is not None:
                self._iterated(condition)
            self._finish(BRANCH, "", (body, after))
        else:
            self._branch(condition, body, after)
        self._loop(node.child_by_field_name("body"), body, head, after)

    def _iterated(self, condition: tree_sitter.Node) -> None:
        """A ``for_each`` loop sets its first argument."""
        match = _WORD.search(self._text(condition))
        if match is not None:
            self._note_assignment(match[0], (), self._row(condition.start_point.row))

    def _loop(self, body: tree_sitter.Node | None, start: int, again: int, after: int) -> None:
        depth = len(self._scopes)
        self._breaks.append((after, depth))
        self._continues.append((again, depth))
        self._at = start
        if body is not None:
            self._statement(body)
        self._go(again)
        self._breaks.pop()
        self._continues.pop()
        self._at = after

    def _on_do(self, node: tree_sitter.Node) -> None:
        body, test, after = self._new(), self._new(), self._new()
        self._go(body)
        self._loop(node.child_by_field_name("body"), body, test, after)
        self._at = test
        self._branch(node.child_by_field_name("condition"), body, after)
        self._at = after

    def _on_for(self, node: tree_sitter.Node) -> None:
        initializer = node.child_by_field_name("initializer")
        if initializer is not None:
            self._statement(initializer)
        head, body, step, after = self._new(), self._new(), self._new(), self._new()
        self._around.add(after)
        self._go(head)
        self._at = head
        condition = node.child_by_field_name("condition")
        if condition is not None:
            self._branch(condition, body, after)
        else:
            self._go(body)
        self._loop(node.child_by_field_name("body"), body, step, after)
        self._at = step
        update = node.child_by_field_name("update")
        if update is not None:
            self._expression(update, "")
        self._go(head)
        self._at = after

    def _on_switch(self, node: tree_sitter.Node) -> None:
        condition = node.child_by_field_name("condition")
        key = ""
        if condition is not None:
            self._expressions(condition)
            key = tight(self._text(condition).strip()[1:-1])
        head, after = self._at, self._new()
        body = node.child_by_field_name("body")
        self._breaks.append((after, len(self._scopes)))
        self._scopes.append(_Scope())
        targets: list[int] = []
        labels: list[str] = []
        self._at = self._new()
        for child in body.named_children if body is not None else ():
            if child.type == "case_statement":
                block = self._new()
                self._go(block)
                self._at = block
                value = child.child_by_field_name("value")
                targets.append(block)
                labels.append(tight(self._text(value)) if value is not None else "")
                for inner in child.named_children:
                    if value is None or inner.id != value.id:
                        self._statement(inner)
            else:
                self._statement(child)
        self._leave(len(self._scopes) - 1, self._row(node.end_point.row))
        self._scopes.pop()
        self._breaks.pop()
        self._go(after)
        if "" not in labels:
            targets.append(after)
            labels.append("")
        draft = self._blocks[head]
        draft.jump, draft.key, draft.targets, draft.labels = SWITCH, key, targets, tuple(labels)
        self._at = after

    def _on_case(self, node: tree_sitter.Node) -> None:
        """A case label below another statement (Duff's device): fall through to it."""
        for child in node.named_children:
            self._statement(child)

    def _on_break(self, node: tree_sitter.Node) -> None:
        self._jump_out(self._breaks, node)

    def _on_continue(self, node: tree_sitter.Node) -> None:
        self._jump_out(self._continues, node)

    def _jump_out(self, stack: list[tuple[int, int]], node: tree_sitter.Node) -> None:
        if stack:
            target, depth = stack[-1]
            self._leave(depth, self._row(node.start_point.row))
            self._go(target)
        else:
            self._finish(STOP)
        self._at = self._new()

    def _on_goto(self, node: tree_sitter.Node) -> None:
        label = node.child_by_field_name("label")
        if label is not None:
            scopes = tuple(self._scopes)
            counts = tuple(len(scope.guards) for scope in scopes)
            self._gotos.append((self._at, self._text(label), scopes, counts))
        else:
            self._finish(STOP)
        self._at = self._new()

    def _on_label(self, node: tree_sitter.Node) -> None:
        block = self._new()
        self._go(block)
        self._at = block
        label = node.child_by_field_name("label")
        children = node.named_children
        if label is not None:
            scopes = tuple(self._scopes)
            counts = tuple(len(scope.guards) for scope in scopes)
            self._labels[self._text(label)] = (block, scopes, counts)
            children = [child for child in children if child.id != label.id]
        for child in children:
            self._statement(child)

    def _scoped_guard(self, node: tree_sitter.Node) -> None:
        condition = node.child_by_field_name("condition")
        text = self._text(condition).strip()[1:-1] if condition is not None else ""
        args = split_arguments(text)
        line = self._row(node.start_point.row)
        after = self._new()
        self._breaks.append((after, len(self._scopes)))  # it is a for loop in linux/cleanup.h
        self._continues.append((after, len(self._scopes)))
        self._scopes.append(_Scope())
        self._guard(f"guard({tight(args[0]) if args else ''})", args[1:], line)
        body = node.child_by_field_name("body")
        if body is not None:
            self._statement(body)
        self._leave(len(self._scopes) - 1, self._row(node.end_point.row))
        self._scopes.pop()
        self._breaks.pop()
        self._continues.pop()
        self._go(after)
        self._at = after

    # expressions

    def _expressions(self, node: tree_sitter.Node) -> None:
        """Events of any node, in the order of its children."""
        if b"(" not in self._code[node.start_byte : node.end_byte] and node.type not in _ASSIGNING:
            return
        self._expression(node, "")

    def _expression(self, node: tree_sitter.Node, result: str) -> None:
        kind = node.type
        if kind == "call_expression":
            self._call(node, result)
        elif kind == "assignment_expression":
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            operator = node.child_by_field_name("operator")
            if left is not None and right is not None:
                target = tight(self._text(left))
                if operator is not None and operator.type != "=":
                    self._expressions(right)
                    self._note_assignment(target, (), self._row(node.start_point.row))
                else:
                    self._assign(target, right)
        elif kind == "update_expression":
            argument = node.child_by_field_name("argument")
            if argument is not None:
                text = tight(self._text(argument))
                self._note_assignment(text, (), self._row(node.start_point.row))
        elif kind == "conditional_expression" or (
            kind == "binary_expression"
            and self._code[node.start_byte : node.end_byte].find(b"&&") > 0
        ):
            self._optional(node)
        elif kind == "compound_statement":
            self._statement(node)
        elif kind in ("parenthesized_expression", "cast_expression") and result:
            for child in node.named_children:
                if child.type != "type_descriptor":
                    self._expression(child, result)
        elif kind not in _LEAVES:
            if kind in _STATEMENTS:
                self._statement(node)
                return
            for child in node.named_children:
                if child.child_count:
                    self._expression(child, "")

    def _optional(self, node: tree_sitter.Node) -> None:
        """``a ? b : c`` and ``a && b`` as values: the later parts may not run."""
        if b"(" not in self._code[node.start_byte : node.end_byte]:
            return
        after = self._new()
        if node.type != "conditional_expression":
            self._branch(node, after, after)
            self._at = after
            return
        then, otherwise = self._new(), self._new()
        self._branch(node.child_by_field_name("condition"), then, otherwise)
        for block, arm in ((then, "consequence"), (otherwise, "alternative")):
            self._at = block
            value = node.child_by_field_name(arm)
            if value is not None:
                self._expressions(value)
            self._go(after)
        self._at = after

    def _assign(self, target: str, value: tree_sitter.Node) -> None:
        value = self._last(value)
        line = self._row(value.start_point.row)
        value = self._not_zero(value)
        if value.type == "call_expression" and self._callee(value) not in _SILENT:
            self._count_assignment(target, value)
            self._call(value, target)
            return
        if target.isidentifier() and (_has_both(value) or _is_choice(value)):
            self._assign_either(target, value, line)
            return
        known: tuple[str, ...] = ()
        if value.type == "assignment_expression":
            self._expression(value, "")
            inner = value.child_by_field_name("left")
            if inner is not None:
                known = self._known(inner)
        elif value.type not in _LEAVES:
            self._expressions(value)
        self._count_assignment(target, value)
        self._note_assignment(target, known or self._known(value), line, counted=True)

    def _assign_either(self, target: str, value: tree_sitter.Node, line: int) -> None:
        """``x = c ? a : b`` and ``x = a && !b``: one assignment on each way."""
        arms = _arms(value)
        then, otherwise, after = self._new(), self._new(), self._new()
        self._branch(value.child_by_field_name("condition") if arms else value, then, otherwise)
        for block, arm, text in zip((then, otherwise), arms or (None, None), "10", strict=True):
            self._at = block
            if arm is not None:
                self._assign(target, arm)
            else:
                self._note_assignment(target, (text,), line)
            self._go(after)
        self._at = after

    def _known(self, value: tree_sitter.Node) -> tuple[str, ...]:
        """What can be said of an assigned value."""
        text = tight(self._text(value))
        sign = constant(text)
        if value.type == "call_expression":
            how = _ERRORS.get(self._callee(value))
            arguments = value.child_by_field_name("arguments")
            inner = tight(self._text(arguments)[1:-1]) if arguments is not None else ""
            if how and inner.isidentifier():
                return (how + inner,)
            return (sign,) if sign else ()
        if sign:
            return (sign,) if sign == "0" or not is_literal(text) else (sign, text)
        return (f"={text}",) if text.isidentifier() or is_flags(text) else ()

    def _not_zero(self, value: tree_sitter.Node) -> tree_sitter.Node:
        """``f(x)`` for ``f(x) != 0``: zero or not is all that is asked of it."""
        operator, right = value.child_by_field_name("operator"), value.child_by_field_name("right")
        left = value.child_by_field_name("left")
        if value.type != "binary_expression" or operator is None or operator.type != "!=":
            return value
        zero = right is not None and tight(self._text(right)) in ZERO
        return left if zero and left is not None else value

    def _count_assignment(self, target: str, value: tree_sitter.Node) -> None:
        if target in self._locals:
            self._assigned[target] = self._assigned.get(target, 0) + 1
            self._aliases[target] = tight(self._text(value))[:MAX_ARGUMENT]

    def _note_assignment(
        self, target: str, known: tuple[str, ...], line: int, counted: bool = False
    ) -> None:
        if not counted and target in self._locals:
            self._assigned[target] = self._assigned.get(target, 0) + 2
        self._blocks[self._at].events.append(Event(line, "=", known, target))

    def _callee(self, node: tree_sitter.Node) -> str:
        function = node.child_by_field_name("function")
        return tight(self._text(_pointer(function))) if function is not None else ""

    def _call(self, node: tree_sitter.Node, result: str) -> None:
        function = node.child_by_field_name("function")
        arguments = node.child_by_field_name("arguments")
        if function is None or arguments is None:
            return
        function = _pointer(function)
        name = tight(self._text(function))
        line = self._row(node.start_point.row)
        if name in ("sizeof", "typeof", "__typeof__", "offsetof"):
            return
        if name == "BUG_ON" and arguments.named_child_count == 1:
            stop, go = self._new(), self._new()
            self._branch(arguments.named_children[0], stop, go)
            self._at = stop
            self._finish(STOP)
            self._at = go
            return
        for child in arguments.named_children:
            if child.child_count:
                self._expression(child, "")
        if function.type == "call_expression" and name.startswith(("guard(", "class(", "CLASS(")):
            args = split_arguments(self._text(arguments)[1:-1])
            if name.startswith("guard("):
                self._guard(name, args, line)
            else:
                kind = name[name.index("(") + 1 : -1].split(",")[0]
                self._guard(f"class({kind})", args, line, result)
            return
        if function.child_count and function.type != "field_expression":
            self._expression(function, "")
        if name in _SILENT:
            if result:
                self._note_assignment(result, (), line, counted=True)
            return
        args = split_arguments(self._text(arguments)[1:-1])
        self._escaped.update(arg[1:] for arg in args if arg.startswith("&"))
        self._emit(line, name, args, result)

    def _value(self, node: tree_sitter.Node) -> str:
        """Run the events of a returned expression; what is known of its value."""
        node = _bare(node)
        if node.type == "call_expression" and self._callee(node) not in _SILENT:
            temporary = self._temporary()
            self._call(node, temporary)
            return temporary
        self._expressions(node)
        text = tight(self._text(node))
        if text.startswith("&"):
            return "+"
        known = self._known(node)
        if not known:
            return ""
        return known[0] if known[0][0] in "~?" else known[0][1:] or known[-1]

    def _last(self, node: tree_sitter.Node) -> tree_sitter.Node:
        """The expression that a value comes from: run ``({ …; x; })`` up to its last part."""
        node = _bare(node)
        while node.type == "parenthesized_expression" and node.named_children:
            compound = node.named_children[-1]
            inner = compound.named_children
            if compound.type != "compound_statement" or not inner:
                break
            if inner[-1].type != "expression_statement" or not inner[-1].named_children:
                break
            for statement in inner[:-1]:
                self._statement(statement)
            node = _bare(inner[-1].named_children[0])
        return node

    def _temporary(self) -> str:
        self._temporaries += 1
        return f"@{self._temporaries}"

    # conditions

    def _branch(self, node: tree_sitter.Node | None, then: int, otherwise: int) -> None:
        """Evaluate a condition with its short circuits and jump."""
        if node is None:
            self._finish(BRANCH, "", (then, otherwise))
            return
        kind = node.type
        if kind == "parenthesized_expression" and node.named_child_count == 1:
            inner = node.named_children[0]
            if inner.type != "compound_statement":
                self._branch(inner, then, otherwise)
                return
        if kind == "unary_expression" and node.children and node.children[0].type == "!":
            self._branch(node.child_by_field_name("argument"), otherwise, then)
            return
        if kind == "binary_expression":
            operator = node.child_by_field_name("operator")
            symbol = operator.type if operator is not None else ""
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            if symbol in ("&&", "||") and left is not None and right is not None:
                middle = self._new()
                if symbol == "&&":
                    self._branch(left, middle, otherwise)
                else:
                    self._branch(left, then, middle)
                self._at = middle
                self._branch(right, then, otherwise)
                return
            if left is not None and right is not None:
                self._compare(symbol, left, right, then, otherwise)
                return
        if kind == "call_expression":
            self._test_call(node, then, otherwise)
            return
        if kind == "assignment_expression":
            self._finish(BRANCH, self._asked(node), (then, otherwise))
            return
        self._expressions(node)
        key = tight(self._text(node))
        if key in ZERO:
            self._go(otherwise)
        elif key.isdigit() or key == "true":
            self._go(then)
        else:
            self._finish(BRANCH, key[:MAX_ARGUMENT], (then, otherwise))

    def _test_call(self, node: tree_sitter.Node, then: int, otherwise: int) -> None:
        name = self._callee(node)
        arguments = node.child_by_field_name("arguments")
        first = arguments.named_children[0] if arguments and arguments.named_child_count else None
        if name in _TRANSPARENT and first is not None:
            self._branch(first, then, otherwise)
            return
        if first is not None and (name in _ERROR_TESTS or name == "IS_ERR_OR_NULL"):
            key = self._asked(first)
            if name == "IS_ERR_OR_NULL":
                self._finish(BRANCH, key and key + ">0", (otherwise, then))
            else:
                self._finish(BRANCH, key and key + _ERROR_TESTS[name], (then, otherwise))
            return
        self._finish(BRANCH, self._asked(node), (then, otherwise))

    def _asked(self, node: tree_sitter.Node) -> str:
        """Run the events of an operand of a condition; its name there."""
        node = self._last(node)
        if node.type == "call_expression" and self._callee(node) not in _SILENT:
            result = self._spelled(node) or self._temporary()
            self._call(node, result)
            return result
        if node.type == "assignment_expression":
            self._expression(node, "")
            left = node.child_by_field_name("left")
            return self._spelled(left) if left is not None else ""
        self._expressions(node)
        return self._spelled(node)

    def _spelled(self, node: tree_sitter.Node) -> str:
        text = tight(self._text(node))
        return text if len(text) <= MAX_ARGUMENT else ""

    def _compare(
        self,
        symbol: str,
        left: tree_sitter.Node,
        right: tree_sitter.Node,
        then: int,
        otherwise: int,
    ) -> None:
        """``x == 0``, ``x < 0`` ask for the sign of x; others are keys of their own."""
        value = tight(self._text(right))
        if symbol in ("!=", "<=", ">="):
            symbol = {"!=": "==", "<=": ">", ">=": "<"}[symbol]
            then, otherwise = otherwise, then
        if value in ZERO and symbol in ("==", "<", ">"):
            if symbol == "==" and _bare(left).type != "assignment_expression":
                self._branch(left, otherwise, then)
                return
            key = self._asked(left)
            if symbol == "==":
                then, otherwise = otherwise, then
            elif key:
                key += f"{symbol}0"
            self._finish(BRANCH, key, (then, otherwise))
            return
        asked = self._asked(left)
        self._expressions(right)
        key = f"{asked}{symbol}{value}" if asked else ""
        self._finish(BRANCH, key if len(key) <= MAX_ARGUMENT else "", (then, otherwise))


def _bare(node: tree_sitter.Node) -> tree_sitter.Node:
    """The expression without parentheses and casts."""
    while node.type in ("parenthesized_expression", "cast_expression") and node.named_children:
        inner = node.named_children[-1]
        if inner.type == "compound_statement":
            break
        node = inner
    return node


def _arms(node: tree_sitter.Node) -> tuple[tree_sitter.Node, ...]:
    """Both values of ``c ? a : b``, or nothing."""
    if node.type != "conditional_expression":
        return ()
    fields = (node.child_by_field_name("consequence"), node.child_by_field_name("alternative"))
    return tuple(arm for arm in fields if arm is not None)


def _has_both(node: tree_sitter.Node) -> bool:
    return len(_arms(node)) == 2


def _is_choice(node: tree_sitter.Node) -> bool:
    """``!a``, ``a && b`` and ``a || b``."""
    operator = node.child_by_field_name("operator")
    return operator is not None and operator.type in ("!", "&&", "||")


def _is_boolean(node: tree_sitter.Node) -> bool:
    """A choice or a comparison."""
    operator = node.child_by_field_name("operator")
    compares = operator is not None and operator.type in ("==", "!=", "<", ">", "<=", ">=")
    return _is_choice(node) or (compares and node.type == "binary_expression")


_LEAVES = frozenset(
    {"identifier", "number_literal", "string_literal", "char_literal", "true", "false", "null",
     "field_identifier", "type_descriptor", "sizeof_expression", "concatenated_string", "comment"}
)  # fmt: skip
_ASSIGNING = frozenset({"assignment_expression", "update_expression", "comma_expression"})
_STATEMENTS = {
    "compound_statement": _Builder._on_compound,
    "expression_statement": _Builder._on_expression,
    "declaration": _Builder._on_declaration,
    "return_statement": _Builder._on_return,
    "if_statement": _Builder._on_if,
    "while_statement": _Builder._on_while,
    "do_statement": _Builder._on_do,
    "for_statement": _Builder._on_for,
    "switch_statement": _Builder._on_switch,
    "case_statement": _Builder._on_case,
    "break_statement": _Builder._on_break,
    "continue_statement": _Builder._on_continue,
    "goto_statement": _Builder._on_goto,
    "labeled_statement": _Builder._on_label,
}


def _compact(drafts: list[_Draft]) -> tuple[Block, ...]:
    """The reachable blocks, without the empty ones that only jump on.

    Assignments are kept only where a condition or a returned value asks for the
    variable, or where a pointer changes that a call is given.
    """

    def forward(block: int) -> int:
        seen = set()
        while not drafts[block].events and drafts[block].jump == GOTO and block not in seen:
            seen.add(block)
            block = drafts[block].targets[0]
        return block

    order: list[int] = []
    number: dict[int, int] = {}
    work = [forward(0)]
    while work:
        block = work.pop()
        if block in number:
            continue
        number[block] = len(order)
        order.append(block)
        work.extend(forward(target) for target in reversed(drafts[block].targets))
    asked: set[str] = set()
    for block in order:
        draft = drafts[block]
        if draft.jump != GOTO and draft.key:
            asked.update(_WORD.findall(draft.key))
        for event in draft.events:
            if event.name != "=":
                for argument in event.args:
                    if "->" in argument or argument.isidentifier():
                        asked.update(_WORD.findall(argument)[: None if "[" in argument else 1])
    return tuple(
        Block(
            tuple(
                event
                for event in drafts[block].events
                if event.name != "=" or not asked.isdisjoint(_WORD.findall(event.result))
            ),
            drafts[block].jump,
            drafts[block].key,
            tuple(number[forward(target)] for target in drafts[block].targets),
            drafts[block].labels,
            drafts[block].line,
        )
        for block in order
    )


def _pointer(function: tree_sitter.Node) -> tree_sitter.Node:
    """``x->run`` for ``(x->run)`` and ``(*x->run)`` in front of arguments."""
    while function.type in ("parenthesized_expression", "pointer_expression"):
        inner = function.named_children
        if len(inner) != 1:
            break
        function = inner[0]
    return function


def _one_type(text: str) -> str:
    words = text.replace("*", " ").split()
    if words and words[0] in ("struct", "union"):
        return "struct " + words[1] if len(words) > 1 and words[1] != "{" else ""
    return words[0] if words else ""


def _declared(node: tree_sitter.Node | None) -> tuple[tree_sitter.Node | None, int]:
    """The identifier a declarator names, and how many pointers deep it is."""
    stars = 0
    while node is not None and node.type != "identifier":
        if node.type == "pointer_declarator":
            stars += 1
        node = node.child_by_field_name("declarator")
    return node, stars
