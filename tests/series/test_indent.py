# SPDX-License-Identifier: GPL-2.0-or-later
"""The indentation of C, asked line by line about code in kernel style."""

from __future__ import annotations

from pathlib import Path

import pytest

from reviewbot.series._indent import Indenter, space, width

KERNEL_STYLE = (Path(__file__).parent.parent / "data" / "series" / "kernel-style.c").read_text()


def wrong(source: str) -> list[str]:
    """Lines whose indentation is told otherwise than it is."""
    indenter = Indenter()
    found = []
    for number, line in enumerate(source.split("\n"), 1):
        text = line.strip()
        if text:
            told = indenter.indent(text)
            true = line[: len(line) - len(line.lstrip())]
            if told != true:
                found.append(f"{number}: {line!r} told {told!r}")
        indenter.feed(line)
    return found


def test_kernel_style() -> None:
    assert wrong(KERNEL_STYLE) == []


def test_a_function_begins_afresh_after_nonsense() -> None:
    found = wrong('int f((({ [ = "\nint g(void)\n{\n\treturn 0;\n}\n\nint h(void)\n{\n\tg();\n}\n')
    assert [line.partition(":")[0] for line in found] == ["2", "3"]


@pytest.mark.kernel
@pytest.mark.parametrize(
    "name", ["virt/kvm/eventfd.c", "kernel/rcu/srcutree.c", "kernel/workqueue.c"]
)
def test_most_lines_of_real_files(kernel_tree: Path, name: str) -> None:
    """Not all: continuation lines are a matter of taste."""
    source = (kernel_tree / name).read_text()
    lines = sum(bool(line.strip()) for line in source.split("\n"))
    assert len(wrong(source)) < 0.06 * lines


@pytest.mark.parametrize(("text", "columns"), [("", 0), ("\t", 8), ("\t  ", 10), ("   \t", 8)])
def test_columns(text: str, columns: int) -> None:
    assert width(text) == columns
    assert width(space(columns)) == columns
