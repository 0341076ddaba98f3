# SPDX-License-Identifier: GPL-2.0-or-later
"""Statements to blocks: order of calls, conditions, locals, and both sides of ``#ifdef``.

What is held where is :mod:`tests.locking.test_flow`'s matter.
"""

from __future__ import annotations

import pytest
from hypothesis import given

from reviewbot.locking.body import (
    BRANCH,
    GOTO,
    RETURN,
    STOP,
    SWITCH,
    Block,
    Body,
    read_body,
)
from reviewbot.locking.source import split_directives, without_comments
from tests.locking.strategies import TEXTS

PARAMS = (("dev", "struct dev*"), ("flags", "int"))


def body_of(statements: str) -> Body:
    return read_body(f"{{\n{statements}\n}}".encode(), 10, PARAMS)


def blocks_of(statements: str) -> tuple[Block, ...]:
    (flow,) = body_of(statements).flows
    return flow.blocks


def calls(statements: str) -> list[str]:
    """Names of all calls, block by block."""
    return [event.name for block in blocks_of(statements) for event in block.events]


def test_calls_come_in_the_order_they_are_made() -> None:
    assert calls("x = f(g(a), h(i(b))); j(x);") == ["g", "i", "h", "f", "j"]


def test_an_event_has_line_arguments_and_result() -> None:
    (block,) = blocks_of('\tret = f(&dev->lock,\n\t\t a ? 1 : 2, "    ");\n\tif (ret) return;')[:1]
    event = block.events[0]
    assert (event.line, event.name, event.result) == (11, "f", "ret")
    assert event.args[0] == "&dev->lock"
    assert len(event.args) == 3


@pytest.mark.parametrize("change", ["n = 1", "n++", "--n", "n += 2", "n = f(x)"])
def test_an_argument_may_change_a_variable(change: str) -> None:
    events = blocks_of(f"g({change}); if (n) return;")[0].events
    assert [event.result for event in events] == ["n", ""]
    assert events[-1].name == "g"


def test_a_macro_may_be_given_statements() -> None:
    """The first one ends the call as tree-sitter sees it, with a bracket made up."""
    code = "LOOP(\n\tn.count++;\n\tif (n.count <= 0)\n\t\treturn;\n,\n\tgo();\n);"
    first = blocks_of(code)[0].events
    assert [(event.name, event.result) for event in first] == [("=", "n.count"), ("LOOP", "")]


def test_a_call_through_a_pointer_is_spelled_by_the_pointer() -> None:
    assert calls("dev->ops->open(dev); (*cb)(1); (dev -> ops . x) ( 2 );") == [
        "dev->ops->open",
        "cb",
        "dev->ops.x",
    ]


def test_a_branch_names_its_condition() -> None:
    first = blocks_of("if (flags & F) f(); else g();")[0]
    assert (first.jump, first.key) == (BRANCH, "flags&F")
    then, other = first.targets
    blocks = blocks_of("if (flags & F) f(); else g();")
    assert [event.name for event in blocks[then].events] == ["f"]
    assert [event.name for event in blocks[other].events] == ["g"]


@pytest.mark.parametrize(
    "condition",
    ["x", "(x)", "!!x", "x != 0", "x != NULL", "likely(x)", "WARN_ON_ONCE(x)", "x != false"],
)
def test_one_condition_in_many_spellings(condition: str) -> None:
    blocks = blocks_of(f"if ({condition}) f(); else g();")
    first = blocks[0]
    assert first.key == "x"
    assert [event.name for event in blocks[first.targets[0]].events] == ["f"]


@pytest.mark.parametrize("condition", ["!x", "x == 0", "x == NULL", "unlikely(!x)"])
def test_a_negated_condition_swaps_the_targets(condition: str) -> None:
    blocks = blocks_of(f"if ({condition}) f(); else g();")
    first = blocks[0]
    assert first.key == "x"
    assert [event.name for event in blocks[first.targets[1]].events] == ["f"]


def test_short_circuits_are_branches() -> None:
    blocks = blocks_of("if (a && b() || c()) f();")
    keys = [block.key for block in blocks if block.jump == BRANCH]
    assert len(keys) == 3
    assert keys[0] == "a"


def test_constants_decide() -> None:
    assert calls("if (0) f(); else g(); if (1) h(); while (0) i();") == ["g", "h"]


def test_a_switch_lists_its_labels() -> None:
    blocks = blocks_of(
        "switch (dev->mode) { case A: f(); break; case B: case C: g(); default: h(); }"
    )
    first = blocks[0]
    assert (first.jump, first.key) == (SWITCH, "dev->mode")
    assert first.labels == ("A", "B", "C", "")
    no_default = blocks_of("switch (x) { case A: f(); } g();")[0]
    assert no_default.labels == ("A", "")


def test_what_is_returned() -> None:
    returned = {
        block.key
        for block in blocks_of(
            "if (a) return -EINVAL; if (b) return 0; if (c) return flags; return f();"
        )
        if block.jump == RETURN
    }
    assert {"0", "-EINVAL", "flags"} < returned
    assert any(key.startswith("@") for key in returned)


def test_the_end_of_the_function_is_a_return() -> None:
    (block,) = blocks_of("f();\n\n")
    assert (block.jump, block.line) == (RETURN, 14)


def test_nothing_runs_behind_a_stop() -> None:
    blocks = blocks_of('f(); panic("x"); g();')
    assert calls('f(); panic("x"); g();') == ["f", "panic"]
    assert blocks[0].jump == STOP


def test_a_goto_nowhere_stops() -> None:
    assert calls("f(); goto gone; g();") == ["f"]


def test_unreachable_code_is_left_out() -> None:
    assert calls("return; f();") == []
    assert calls("goto out; f(); out: g();") == ["g"]


def test_every_target_is_a_block() -> None:
    blocks = blocks_of(
        "for (;;) { if (a) break; if (b) continue; if (c) goto out; f(); } out: g();"
    )
    for block in blocks:
        assert all(0 <= target < len(blocks) for target in block.targets)
        assert len(block.targets) == {GOTO: 1, BRANCH: 2, RETURN: 0, STOP: 0}[block.jump]


def test_for_each_is_a_loop_that_sets_its_variable() -> None:
    blocks = blocks_of("list_for_each_entry(item, &dev->list, node) f(item); g();")
    branch = next(block for block in blocks if block.jump == BRANCH)
    assert branch.key == ""
    assert "f" in calls("for_each_online_cpu(cpu)\n\tf(cpu);")


def test_a_for_each_function_is_a_call() -> None:
    assert "device_for_each_child" in calls("device_for_each_child(dev, NULL, fn);")


def test_locals_and_parameters() -> None:
    locals_ = body_of(
        "struct kvm *kvm = dev->kvm; spinlock_t l; struct a x, *y, **z[2]; bool "
        "b; int i = 0; i = 2;"
    ).locals
    assert {name: (local.type, local.param) for name, local in locals_.items()} == {
        "dev": ("struct dev*", 0),
        "flags": ("int", 1),
        "kvm": ("struct kvm*", -1),
        "l": ("spinlock_t", -1),
        "x": ("struct a", -1),
        "y": ("struct a*", -1),
        "z": ("struct a**", -1),
        "b": ("bool", -1),
        "i": ("int", -1),
    }


@pytest.mark.parametrize(
    ("statements", "alias"),
    [
        ("struct kvm *k = dev->kvm;", "dev->kvm"),
        ("struct kvm *k; k = dev->kvm;", "dev->kvm"),
        ("struct kvm *k = container_of(dev, struct kvm, dev);", None),
        ("struct kvm *k = dev->kvm; k = dev->other;", ""),
        ("struct kvm *k = dev->kvm; k++;", ""),
        ("struct kvm *k; list_for_each_entry(k, &dev->list, l) f(k);", ""),
        ("struct kvm *k = NULL; if (x) k = dev->kvm;", "dev->kvm"),
        ("struct kvm *k = rcu_dereference(dev->kvm);", "dev->kvm"),
        ("struct kvm *k = rcu_dereference_protected_kvm(dev, 1);", None),
        ("struct kvm *k = &dev->inner;", "&dev->inner"),
        ("struct kvm *k = xchg(&dev->kvm, NULL);", "dev->kvm"),
        (
            "struct kvm *k; k = xchg_relaxed(&(per_cpu(kvms, cpu).kvm), NULL);",
            "per_cpu(kvms,cpu).kvm",
        ),
    ],
)
def test_a_pointer_that_is_set_once_is_an_alias(statements: str, alias: str | None) -> None:
    local = body_of(statements).locals["k"]
    if alias is None:
        assert local.alias.startswith(("container_of(dev,", "rcu_dereference_protected_kvm(dev,"))
    else:
        assert local.alias == alias


def test_a_parameter_is_no_alias() -> None:
    assert body_of("dev = dev->parent;").locals["dev"].alias == ""


def test_a_pointer_whose_address_is_taken_is_no_alias() -> None:
    assert body_of("struct kvm *k = dev->kvm; next(&k); f(k);").locals["k"].alias == ""


# ---- the preprocessor ----


def names_by_flow(statements: str) -> list[set[str]]:
    return [
        {event.name for block in flow.blocks for event in block.events}
        for flow in body_of(statements).flows
    ]


def test_ifdef_is_read_both_ways() -> None:
    assert names_by_flow("#ifdef A\nf();\n#else\ng();\n#endif\nh();") == [{"f", "h"}, {"g", "h"}]


def test_ifdefs_go_together() -> None:
    assert names_by_flow("#ifdef A\nf();\n#endif\ng();\n#ifndef A\nh();\n#endif") == [
        {"f", "g"},
        {"g", "h"},
    ]


def test_ifdef_without_a_difference_is_one_flow() -> None:
    assert len(names_by_flow("#ifdef A\n#endif\nf();")) == 1


def test_elif_and_nesting() -> None:
    text = (
        "#if defined(A)\nf();\n#elif defined(B)\ng();\n#else\n#ifdef C\nx();\n"
        "#else\nh();\n#endif\n#endif"
    )
    assert names_by_flow(text) == [{"f"}, {"h"}]


def test_if_0_and_if_1() -> None:
    assert names_by_flow("#if 0\nf();\n#else\ng();\n#endif\n#if 1\nh();\n#endif") == [{"g", "h"}]


def test_lines_stay_true_behind_a_directive() -> None:
    flows = body_of("#ifdef A\n\tf();\n#endif\n\tg();").flows
    assert {e.line for flow in flows for b in flow.blocks for e in b.events if e.name == "g"} == {
        14
    }


# ---- anything goes ----


@given(TEXTS)
def test_reading_any_text_gives_a_body(text: bytes) -> None:
    code = split_directives(without_comments(text))[0]
    body = read_body(b"{" + code + b"}", 1, PARAMS)
    for flow in body.flows:
        for block in flow.blocks:
            assert all(0 <= target < len(flow.blocks) for target in block.targets)


@pytest.mark.parametrize("depth", [200, 3000])
@pytest.mark.parametrize(
    ("opening", "closing"),
    [("f(", ")"), ("if (a) {", "}"), ("(", ")"), ("!", ""), ("a ? b : ", "")],
)
def test_deep_nesting_is_survived(opening: str, closing: str, depth: int) -> None:
    inner = "x" if "{" not in opening else "f();"
    body = body_of(
        f"y = {opening * depth}{inner}{closing * depth};"
        if "{" not in opening
        else opening * depth + inner + closing * depth
    )
    assert len(body.flows) + body.errors >= 1
