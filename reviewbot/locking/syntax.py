# SPDX-License-Identifier: GPL-2.0-or-later
"""What the builder asks of tree-sitter's nodes, and which calls have a meaning of their own."""

from __future__ import annotations

import re

import tree_sitter

TRANSPARENT = frozenset(
    {"likely", "unlikely", "WARN_ON", "WARN_ON_ONCE", "WARN", "WARN_ONCE", "BUG_ON", "READ_ONCE"}
)
_WARNS = re.compile(r"^(?:\w+_)?WARN(?:_ON)?(?:_ONCE)?$")
_DEREFERENCES = frozenset(
    {"rcu_access_pointer", "rcu_dereference", "rcu_dereference_bh", "rcu_dereference_bh_check",
     "rcu_dereference_check", "rcu_dereference_protected", "rcu_dereference_raw",
     "rcu_dereference_rtnl", "rcu_dereference_sched", "rtnl_dereference", "srcu_dereference",
     "srcu_dereference_check"}
)  # fmt: skip
"""Of linux/rcupdate.h and its kin; what is named like them may take another pointer's place."""
STORES = frozenset({"rcu_assign_pointer", "smp_store_release", "WRITE_ONCE"})
"""Calls that assign their second argument to the first."""


def hands_on(name: str, count: int) -> int:
    """Which of *count* arguments is the value of a call of *name*; -1 if none is."""
    if name in TRANSPARENT or name in _DEREFERENCES:
        return 0 if count else -1
    if name == "__cond_lock":  # linux/compiler_types.h: what the condition says of a lock
        return count - 1
    if _WARNS.match(name) and count:  # drm_WARN(dev, condition, …), GEM_WARN_ON(condition)
        return min(1, count - 1)
    return -1


SILENT = frozenset(
    {"ARRAY_SIZE", "BIT", "BUG_ON", "ERR_CAST", "ERR_PTR", "GENMASK", "IS_ENABLED", "IS_ERR",
     "IS_ERR_OR_NULL", "IS_ERR_VALUE", "PTR_ERR", "PTR_ERR_OR_ZERO", "READ_ONCE", "WARN_ON",
     "WARN_ON_ONCE", "WRITE_ONCE", "__typeof__", "container_of", "cpu_to_le32", "defined",
     "dev_dbg", "dev_err", "dev_info", "dev_warn", "le32_to_cpu", "likely", "list_empty",
     "list_entry", "max", "max_t", "min", "min_t", "offsetof", "pr_debug", "pr_err", "pr_info",
     "pr_warn", "sizeof", "test_bit", "typeof", "unlikely"}
)  # fmt: skip
ERRORS = {"PTR_ERR": "~", "ERR_PTR": "~", "ERR_CAST": "~", "PTR_ERR_OR_ZERO": "?"}
"""Calls that turn an error pointer into a number or back: how the signs of the two go together."""
ERROR_TESTS = {"IS_ERR": "<0", "IS_ERR_VALUE": "<0", "PTR_ERR_OR_ZERO": "<0"}
NO_RETURN = frozenset(
    {"BUG", "panic", "do_exit", "unreachable", "__builtin_unreachable", "make_task_dead"}
)
LEAVES = frozenset(
    {"identifier", "number_literal", "string_literal", "char_literal", "true", "false", "null",
     "field_identifier", "type_descriptor", "sizeof_expression", "concatenated_string", "comment"}
)  # fmt: skip
ASSIGNING = frozenset({"assignment_expression", "update_expression", "comma_expression"})


def bare(node: tree_sitter.Node) -> tree_sitter.Node:
    """The expression without parentheses and casts."""
    while node.type in ("parenthesized_expression", "cast_expression") and node.named_children:
        inner = node.named_children[-1]
        if inner.type == "compound_statement":
            break
        node = inner
    return node


def arms(node: tree_sitter.Node) -> tuple[tree_sitter.Node, ...]:
    """Both values of ``c ? a : b``, or nothing."""
    if node.type != "conditional_expression":
        return ()
    fields = (node.child_by_field_name("consequence"), node.child_by_field_name("alternative"))
    return tuple(arm for arm in fields if arm is not None)


def has_both(node: tree_sitter.Node) -> bool:
    return len(arms(node)) == 2


def is_choice(node: tree_sitter.Node) -> bool:
    """``!a``, ``a && b`` and ``a || b``."""
    if node.type not in ("unary_expression", "binary_expression"):
        return False
    operator = node.child_by_field_name("operator")
    return operator is not None and operator.type in ("!", "&&", "||")


def is_boolean(node: tree_sitter.Node) -> bool:
    """A choice or a comparison."""
    if is_choice(node):
        return True
    operator = node.child_by_field_name("operator") if node.type == "binary_expression" else None
    return operator is not None and operator.type in ("==", "!=", "<", ">", "<=", ">=")


def pointer(function: tree_sitter.Node) -> tree_sitter.Node:
    """``x->run`` for ``(x->run)`` and ``(*x->run)`` in front of arguments."""
    while function.type in ("parenthesized_expression", "pointer_expression"):
        inner = function.named_children
        if len(inner) != 1:
            break
        function = inner[0]
    return function


def one_type(text: str) -> str:
    words = text.replace("*", " ").split()
    if words and words[0] in ("struct", "union"):
        return "struct " + words[1] if len(words) > 1 and words[1] != "{" else ""
    return words[0] if words else ""


def declared(node: tree_sitter.Node | None) -> tuple[tree_sitter.Node | None, int]:
    """The identifier a declarator names, and how many pointers deep it is."""
    stars = 0
    while node is not None and node.type != "identifier":
        if node.type == "pointer_declarator":
            stars += 1
        node = node.child_by_field_name("declarator")
    return node, stars
