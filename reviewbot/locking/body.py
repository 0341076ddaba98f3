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

from dataclasses import dataclass

import tree_sitter
import tree_sitter_c

from reviewbot.locking.blocks import (
    AROUND,
    BRANCH,
    GOTO,
    RETURN,
    STOP,
    SWITCH,
    VOID,
    Block,
    Event,
    Flow,
    Local,
    compact,
)  # fmt: skip
from reviewbot.locking.drafting import PREFIX, Scope
from reviewbot.locking.expressions import split_arguments, tight
from reviewbot.locking.palatable import palatable, variants
from reviewbot.locking.syntax import arms, declared, has_both, is_boolean, one_type
from reviewbot.locking.values import Values

__all__ = [
    "AROUND", "BRANCH", "GOTO", "RETURN", "STOP", "SWITCH", "VOID", "Block", "Body", "Event",
    "Flow", "Local", "read_body",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Body:
    """What a function's body amounts to."""

    flows: tuple[Flow, ...]
    locals: dict[str, Local]
    errors: int
    """Syntax errors tree-sitter recovered from."""


_LANGUAGE = tree_sitter.Language(tree_sitter_c.language())
_PARSER = tree_sitter.Parser(_LANGUAGE)
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
        tree = _PARSER.parse(PREFIX + source.code)
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


class _Builder(Values):
    """Statements to blocks, one function."""

    def build(self, compound: tree_sitter.Node) -> Flow:
        self._statement(compound)
        self._finish(RETURN, VOID, line=self._row(compound.end_point.row))
        for block, label, scopes, counts in self._gotos:
            self._resolve_goto(block, label, scopes, counts)
        for draft in self._blocks:
            if draft.jump == BRANCH and not self._around.isdisjoint(draft.targets):
                draft.labels = tuple(AROUND if t in self._around else "" for t in draft.targets)
        return Flow(compact(self._blocks))

    def known_locals(self) -> dict[str, Local]:
        """Parameters and locals, with the alias of each pointer that is set once."""
        out: dict[str, Local] = {}
        for name, local in self._locals.items():
            once = self._assigned.get(name, 0) == 1 and local.param < 0
            once = once and name not in self._escaped
            out[name] = Local(local.type, local.param, self._aliases.get(name, "") if once else "")
        return out

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
        self._scopes.append(Scope())
        for child in node.named_children:
            self._statement(child)
        self._leave(len(self._scopes) - 1, self._row(node.end_point.row))
        self._scopes.pop()

    def _on_expression(self, node: tree_sitter.Node) -> None:
        for child in node.named_children:
            self._expression(child, "")

    def _on_declaration(self, node: tree_sitter.Node) -> None:
        kind = node.child_by_field_name("type")
        base = one_type(self._text(kind)) if kind is not None else ""
        for child in node.children_by_field_name("declarator"):
            value = None
            declarator: tree_sitter.Node | None = child
            if child.type == "init_declarator":
                value = child.child_by_field_name("value")
                declarator = child.child_by_field_name("declarator")
            name, stars = declared(declarator)
            if name is None:
                if value is not None:
                    self._expression(value, "")
                continue
            text = self._text(name)
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
        if (node.type == "conditional_expression" and has_both(node)) or is_boolean(node):
            ways = arms(node)
            then, otherwise = self._new(), self._new()
            self._branch(node.child_by_field_name("condition") if ways else node, then, otherwise)
            for block, arm, text in zip((then, otherwise), ways or (None, None), "10", strict=True):
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
        offset = node.start_byte - len(PREFIX)
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
        """A ``for_each`` loop sets one of its arguments, often the first."""
        line = self._row(condition.start_point.row)
        for argument in split_arguments(self._text(condition).strip()[1:-1]):
            if argument in self._locals:
                self._note_assignment(argument, (), line)

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
        self._scopes.append(Scope())
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
        self._scopes.append(Scope())
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
