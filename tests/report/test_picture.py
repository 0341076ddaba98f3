# SPDX-License-Identifier: GPL-2.0-or-later
"""The drawing of a cycle: nothing overlaps, nothing sticks out, both trees line up."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.locking.model import Edge, Node
from reviewbot.report.picture import WIDTH, Mark, Picture, broken, mark, picture

from .pages import CLOSE, OPEN, gate_edges, poll_edges

NAMES = st.text(st.sampled_from("abcxyz_./:( "), min_size=1, max_size=120)
MAKERS = st.lists(NAMES.map(lambda name: f"{name}()"), max_size=8, unique=True).map(tuple)
CHAR = 7.6
"""Pixels of a character at 12.5 px in any of the fonts of review.css, and a little."""


@st.composite
def cycles(draw: st.DrawFn) -> tuple[Edge, ...]:
    """Edges one after the other, back to the first or not."""
    nodes = draw(st.lists(st.builds(Node, st.sampled_from(["mutex", "work item"]), NAMES),
                          min_size=1, max_size=5, unique_by=lambda node: node.name))  # fmt: skip
    ends = [*nodes[1:], draw(st.sampled_from([nodes[0], Node("may sleep", "msleep()")]))]
    return tuple(
        Edge(one, other, draw(MAKERS), draw(MAKERS)) for one, other in zip(nodes, ends, strict=True)
    )


def points(path: str) -> list[tuple[int, int]]:
    """Where the absolute commands of a path lead."""
    x = y = 0
    out = []
    for command, rest in re.findall(r"([MVH])([-\d ]+)", path):
        numbers = [int(number) for number in rest.split()]
        if command == "M":
            x, y = numbers
        elif command == "V":
            y = numbers[0]
        else:
            x = numbers[0]
        out.append((x, y))
    return out


@given(cycles(), st.booleans())
def test_all_is_inside_and_nothing_overlaps(edges: tuple[Edge, ...], after: bool) -> None:
    drawn = picture(edges, after=after)
    assert drawn.width == WIDTH
    bottom = 0
    for box, arrow in zip(drawn.boxes, [*drawn.arrows, None], strict=False):
        assert box.y >= bottom
        bottom = box.y + box.height
        for words in (box.caption, *box.name):
            assert box.y < words.y < bottom
            assert words.x + CHAR * len(words.text) <= box.x + box.width
        for words in arrow.words if arrow else ():
            assert words.y > bottom
            assert words.x + CHAR * len(words.text) < WIDTH - 20
            bottom = words.y
    assert bottom < drawn.height
    for arrow in drawn.arrows:
        for x, y in points(arrow.line):
            assert 0 < x < WIDTH
            assert 0 < y < drawn.height


@given(cycles())
def test_both_trees_stand_side_by_side(edges: tuple[Edge, ...]) -> None:
    before, after = (picture(edges, after=side) for side in (False, True))
    assert before.boxes == after.boxes
    assert before.height == after.height


def marks(drawn: Picture) -> list[Mark]:
    return [arrow.mark for arrow in drawn.arrows]


def labels(drawn: Picture) -> list[str]:
    return [words.text for words in drawn.arrows[0].words]


def test_an_edge_that_goes_is_marked_before_and_missing_after() -> None:
    edges = gate_edges(())
    before, after = (picture(edges, after=side) for side in (False, True))
    assert marks(before) == [Mark.GONE, Mark.SAME, Mark.SAME, Mark.SAME]
    assert labels(before) == [f"\N{MINUS SIGN} {CLOSE}", f"\N{MINUS SIGN} {OPEN}"]
    assert marks(after) == [Mark.ABSENT, Mark.SAME, Mark.SAME, Mark.SAME]
    assert labels(after) == ["no longer"]


def test_an_edge_that_loses_one_function_stays() -> None:
    edges = gate_edges((OPEN,))
    before, after = (picture(edges, after=side) for side in (False, True))
    assert set(marks(before) + marks(after)) == {Mark.SAME}
    assert labels(before) == [f"\N{MINUS SIGN} {CLOSE}", OPEN]
    assert labels(after) == [OPEN]


def test_an_edge_that_comes() -> None:
    before, after = (picture(poll_edges(), after=side) for side in (False, True))
    assert (marks(before)[0], labels(before)) == (Mark.ABSENT, ["not yet"])
    assert (marks(after)[0], labels(after)) == (Mark.NEW, ["+ frob_poll_stop()"])
    assert before.told[0].endswith("waits for work item struct frob.poll_work: not yet.")


def test_many_functions_are_counted() -> None:
    node = Node("mutex", "m")
    edge = Edge(node, node, tuple(f"f{n}()" for n in range(9)), ())
    assert labels(picture([edge], after=False))[-1] == "and 4 more"


def test_one_place_that_waits_for_itself_is_a_loop() -> None:
    node = Node("mutex", "m")
    drawn = picture([Edge(node, node, ("f()",), ("f()",))], after=True)
    assert len(drawn.boxes) == len(drawn.arrows) == 1
    assert points(drawn.arrows[0].line)[-1][0] > drawn.boxes[0].x + drawn.boxes[0].width


def test_an_edge_of_neither_tree_is_absent() -> None:
    node = Node("mutex", "m")
    assert mark(Edge(node, node, (), ()), after=True) is Mark.ABSENT


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("struct kvm.irqfds.resampler_lock", ["struct kvm.irqfds.", "resampler_lock"]),
        ("drivers/frob/gate.c:gate_lock", ["drivers/frob/gate.c:", "gate_lock"]),
        ("x" * 45, ["x" * 20, "x" * 20, "x" * 5]),
        ("", [""]),
    ],
)
def test_names_break_where_a_reader_would(text: str, lines: list[str]) -> None:
    assert broken(text, 20) == lines


@given(st.text(max_size=200), st.integers(5, 60))
def test_a_broken_name_loses_nothing_but_blanks(text: str, width: int) -> None:
    text = " ".join(text.split())
    lines = broken(text, width)
    assert all(len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
