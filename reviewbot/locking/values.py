# SPDX-License-Identifier: GPL-2.0-or-later
"""Expressions as events and jumps: calls in their order, assignments, conditions."""

from __future__ import annotations

import re

import tree_sitter

from reviewbot.locking.blocks import BRANCH, STOP, Event
from reviewbot.locking.drafting import Drafting
from reviewbot.locking.expressions import (
    MAX_ARGUMENT,
    ZERO,
    constant,
    is_flags,
    is_literal,
    split_arguments,
    tight,
)
from reviewbot.locking.syntax import (
    ASSIGNING,
    ERROR_TESTS,
    ERRORS,
    LEAVES,
    SILENT,
    STORES,
    arms,
    bare,
    hands_on,
    has_both,
    is_choice,
    pointer,
)  # fmt: skip

_ACTS = re.compile(r"[(={;]|\+\+|--")
"""What an expression must have in its text to call or to change anything."""
_SWAPPED = re.compile(r"xchg(?:_relaxed|_acquire|_release)?\(")
"""Calls that give what their first argument points to, and put something else there."""


class Values(Drafting):
    """Takes in expressions; what statements are is left to a subclass."""

    # expressions

    def _expressions(self, node: tree_sitter.Node) -> None:
        """Events of any node, in the order of its children."""
        if not self._has("(", node) and node.type not in ASSIGNING:
            return
        self._expression(node, "")

    def _has(self, text: str, node: tree_sitter.Node) -> bool:
        return self._code.find(text, node.start_byte, node.end_byte) >= 0

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
            kind == "binary_expression" and self._has("&&", node)
        ):
            self._optional(node)
        elif kind == "compound_statement":
            self._statement(node)
        elif kind in ("parenthesized_expression", "cast_expression") and result:
            for child in node.named_children:
                if child.type != "type_descriptor":
                    self._expression(child, result)
        elif kind not in LEAVES:
            if kind.endswith("_statement") or kind == "declaration":
                self._statement(node)
                return
            for child in node.named_children:
                if child.child_count:
                    self._expression(child, "")

    def _optional(self, node: tree_sitter.Node) -> None:
        """``a ? b : c`` and ``a && b`` as values: the later parts may not run."""
        if not self._has("(", node):
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
        if value.type == "call_expression" and self._callee(value) not in SILENT:
            self._count_assignment(target, value)
            self._call(value, target)
            return
        if target.isidentifier() and (has_both(value) or is_choice(value)):
            self._assign_either(target, value, line)
            return
        known: tuple[str, ...] = ()
        if value.type == "assignment_expression":
            self._expression(value, "")
            inner = value.child_by_field_name("left")
            if inner is not None:
                known = self._known(inner)
        elif value.type not in LEAVES:
            self._expressions(value)
        self._count_assignment(target, value)
        self._note_assignment(target, known or self._known(value), line, counted=True)

    def _assign_either(self, target: str, value: tree_sitter.Node, line: int) -> None:
        """``x = c ? a : b`` and ``x = a && !b``: one assignment on each way."""
        ways = arms(value)
        then, otherwise, after = self._new(), self._new(), self._new()
        self._branch(value.child_by_field_name("condition") if ways else value, then, otherwise)
        for block, arm, text in zip((then, otherwise), ways or (None, None), "10", strict=True):
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
            how = ERRORS.get(self._callee(value))
            arguments = value.child_by_field_name("arguments")
            inner = tight(self._text(arguments)[1:-1]) if arguments is not None else ""
            if how and inner.isidentifier():
                return (how + inner,)
            return (sign,) if sign else ()
        if sign:
            plain = text == "0" or (sign != "0" and not is_literal(text))
            return (sign,) if plain else (sign, text)
        return (f"={text}",) if text.isidentifier() or is_flags(text) else ()

    def _not_zero(self, value: tree_sitter.Node) -> tree_sitter.Node:
        """``f(x)`` for ``f(x) != 0``: zero or not is all that is asked of it."""
        if value.type != "binary_expression":
            return value
        operator, right = value.child_by_field_name("operator"), value.child_by_field_name("right")
        left = value.child_by_field_name("left")
        if operator is None or operator.type != "!=":
            return value
        zero = right is not None and tight(self._text(right)) in ZERO
        return left if zero and left is not None else value

    def _count_assignment(self, target: str, value: tree_sitter.Node) -> None:
        """Note what a local may point to; with NULL it points nowhere."""
        if target in self._locals and self._text(value) != "NULL":
            self._assigned[target] = self._assigned.get(target, 0) + 1
            text = tight(self._text(value))
            if swapped := _SWAPPED.match(text):
                place = split_arguments(text[swapped.end() : -1])[0].removeprefix("&")
                text = place[1:-1] if place.startswith("(") else place
            self._aliases[target] = text[:MAX_ARGUMENT]

    def _note_assignment(
        self, target: str, known: tuple[str, ...], line: int, counted: bool = False
    ) -> None:
        if not counted and target in self._locals:
            self._assigned[target] = self._assigned.get(target, 0) + 2
        self._blocks[self._at].events.append(Event(line, "=", known, target))

    def _callee(self, node: tree_sitter.Node) -> str:
        name = self._callees.get(node.id)
        if name is None:
            function = node.child_by_field_name("function")
            name = tight(self._text(pointer(function))) if function is not None else ""
            self._callees[node.id] = name
        return name

    def _call(self, node: tree_sitter.Node, result: str) -> None:
        function = node.child_by_field_name("function")
        arguments = node.child_by_field_name("arguments")
        if function is None or arguments is None:
            return
        function = pointer(function)
        name = self._callee(node)
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
        if name in STORES and arguments.named_child_count == 2:
            target, value = arguments.named_children
            self._assign(tight(self._text(target)).removeprefix("&"), value)
            return
        text = self._text(arguments)
        inner = text[1:-1]
        if _ACTS.search(text, 1) is not None:  # the ")" may be one that the grammar made up
            for child in arguments.named_children:
                if child.child_count:
                    self._expression(child, "")
        if function.type == "call_expression" and name.startswith(("guard(", "class(", "CLASS(")):
            args = split_arguments(inner)
            if name.startswith("guard("):
                self._guard(name, args, line)
            else:
                kind = name[name.index("(") + 1 : -1].split(",")[0]
                self._guard(f"class({kind})", args, line, result)
            return
        if function.child_count and function.type != "field_expression":
            self._expression(function, "")
        if name in SILENT:
            if result:
                self._note_assignment(result, (), line, counted=True)
            return
        args = split_arguments(inner)
        self._escaped.update(arg[1:] for arg in args if arg.startswith("&"))
        self._emit(line, name, args, result)

    def _value(self, node: tree_sitter.Node) -> str:
        """Run the events of a returned expression; what is known of its value."""
        node = bare(node)
        if node.type == "call_expression" and self._callee(node) not in SILENT:
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
        """The expression that a value comes from: x in ``likely(x)`` and ``({ …; x; })``."""
        while True:
            node = bare(node)
            inner = self._inside(node) or self._result(node)
            if inner is None:
                return node
            node = inner

    def _inside(self, node: tree_sitter.Node) -> tree_sitter.Node | None:
        """The argument whose value a call only hands on."""
        if node.type != "call_expression":
            return None
        arguments = node.child_by_field_name("arguments")
        if arguments is None:
            return None
        place = hands_on(self._callee(node), arguments.named_child_count)
        return arguments.named_children[place] if place >= 0 else None

    def _result(self, node: tree_sitter.Node) -> tree_sitter.Node | None:
        """Run a statement expression up to its last part, which is its value."""
        if node.type != "parenthesized_expression" or not node.named_children:
            return None
        compound = node.named_children[-1]
        inner = compound.named_children
        if compound.type != "compound_statement" or not inner:
            return None
        if inner[-1].type != "expression_statement" or not inner[-1].named_children:
            return None
        for statement in inner[:-1]:
            self._statement(statement)
        return inner[-1].named_children[0]

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
        inside = self._inside(node)
        if inside is not None:
            self._branch(inside, then, otherwise)
            return
        if first is not None and (name in ERROR_TESTS or name == "IS_ERR_OR_NULL"):
            key = self._asked(first)
            if name == "IS_ERR_OR_NULL":
                self._finish(BRANCH, key and key + ">0", (otherwise, then))
            else:
                self._finish(BRANCH, key and key + ERROR_TESTS[name], (then, otherwise))
            return
        self._finish(BRANCH, self._asked(node), (then, otherwise))

    def _asked(self, node: tree_sitter.Node) -> str:
        """Run the events of an operand of a condition; its name there."""
        node = self._last(node)
        if node.type == "call_expression" and self._callee(node) not in SILENT:
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
            if symbol == "==" and bare(left).type != "assignment_expression":
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
