# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that macros define are functions."""

from __future__ import annotations

import pytest

from reviewbot.locking.facts import Function
from reviewbot.locking.model import HazardKind
from reviewbot.locking.pasted import MAX_GIVEN, MAX_USES
from tests.locking.scenario import one
from tests.locking.support import Lab, facts_of_text, kinds, of_kind

SHOW = """\
#define SHOW(name, what)				\\
static ssize_t name##_show(struct dev *d, char *buf)	\\
{							\\
	mutex_lock(&d->lock);				\\
	emit(buf, #what, d->what);			\\
	mutex_unlock(&d->lock);				\\
	return 0;					\\
}
"""


def functions(text: str) -> list[Function]:
    return [f for f in facts_of_text(text).functions if not f.macro]


@pytest.mark.parametrize(
    ("uses", "names"),
    [
        ("\nSHOW(size, len);\nSHOW(count, n)\n", ["size_show", "count_show"]),
        ("\nSHOW(size,\n     len);\n", ["size_show"]),
        ("\nSHOW(size);\n", []),
        ("\nint f(void)\n{\nSHOW(size, len);\n}\n", ["f"]),
        ("\nHIDE(size, len);\n", []),
        (f"\nSHOW(size, {'x' * MAX_GIVEN});\n", []),
    ],
)
def test_a_use_at_file_scope_is_a_function(uses: str, names: list[str]) -> None:
    assert [f.name for f in functions(SHOW + uses)] == names


def test_there_is_an_end_to_it() -> None:
    uses = "".join(f"SHOW(size_{n}, len);\n" for n in range(MAX_USES + 1))
    assert len(functions(f"{SHOW}\n{uses}")) == MAX_USES


def test_it_stands_where_the_macro_does() -> None:
    (function,) = functions("\n\n" + SHOW + "\nSHOW(size, len);\n")
    assert (function.line, function.end) == (4, 10)
    assert {event.line for f in function.flows for b in f.blocks for event in b.events} == {6, 7, 8}
    assert "emit" in function.calls.split()


@pytest.mark.parametrize(
    "macro",
    [
        "#define SHOW(name, what) static int name##_show(void) { return what; }\n",
        "#define SHOW(name, ...)\\\nstatic int name##_show(void)\\\n{\\\n\treturn 0;\\\n}\n",
        "#define SHOW(name, what)\\\nstatic int show(void)\\\n{\\\n\treturn what;\\\n}\n",
    ],
)
def test_other_macros_are_left_alone(macro: str) -> None:
    assert functions(f"{macro}\nSHOW(size, len);\n") == []


def test_what_a_macro_defines_is_part_of_a_hazard(lab: Lab) -> None:
    text = SHOW + "\nSHOW(size, dead);\nvoid dev_read(struct dev *d)\n{\n@@\n}\n"
    bad = "\tmutex_lock(&d->lock);\n\tsize_show(d, 0);\n\tmutex_unlock(&d->lock);"
    good = "\tsize_show(d, 0);"
    comparison = lab.review(*(one(text.replace("@@", body)) for body in (good, bad)))
    hazard = of_kind(comparison, HazardKind.RECURSIVE_LOCK)
    assert [(site.function, site.via) for site in hazard.sites] == [("dev_read", "size_show")]


def test_what_a_macro_defines_is_asked_for_constants(lab: Lab) -> None:
    macro = SHOW.replace("char *buf", "bool wait")
    for call in ("\tmutex_lock(&d->lock);", "\tmutex_unlock(&d->lock);"):
        macro = macro.replace(call, f"\tif (wait)\\\n\t{call}")
    text = macro + "\nSHOW(size, dead);\nvoid dev_read(struct dev *d)\n{\n@@\n}\n"
    body = "\tmutex_lock(&d->lock);\n\tsize_show(d, %s);\n\tmutex_unlock(&d->lock);"
    good = one(text.replace("@@", "\tsize_show(d, true);"))
    for given, found in (("true", True), ("false", False)):
        comparison = lab.review(good, one(text.replace("@@", body % given)))
        assert (HazardKind.RECURSIVE_LOCK.value in kinds(comparison)) == found


def test_a_macro_that_changes_changes_what_it_defines(lab: Lab) -> None:
    """The text of the function is the macro's, and so are the lines of a proof."""
    text = SHOW.replace("emit(buf, #what, d->what);", "@@")
    text += "\nSHOW(size, dead);\nstatic void take(struct dev *d)\n{\n"
    text += "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);\n}\n"
    text = "static void take(struct dev *d);\n" + text
    comparison = lab.review(*(one(text.replace("@@", call)) for call in ("work();", "take(d);")))
    (site,) = of_kind(comparison, HazardKind.RECURSIVE_LOCK).sites
    assert (site.function, site.via) == ("size_show", "take")
    assert site.after is not None
    lines = one(text)["drivers/dev/core.c"].split("\n")
    assert "@@" in lines[site.after.chain[1].line - 1]
