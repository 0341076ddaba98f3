# SPDX-License-Identifier: GPL-2.0-or-later
"""A tree with changed files on top: names, handlers, queues and lines are the changed ones'."""

from __future__ import annotations

import numpy as np
import pytest

from reviewbot.locking.view import View
from tests.locking.scenario import DEV, HANDLER
from tests.locking.support import Files, Lab

FILE = "drivers/dev/core.c"
OTHER = "lib/other.c"
QUEUE = (
    "void dev_start(struct dev *d)\n{\n"
    '\td->wq = alloc_workqueue("x", @@, 0);\n\tqueue_work(d->wq, &d->work);\n'
    "}\n"
)
BEFORE: Files = {
    FILE: DEV + HANDLER + QUEUE.replace("@@", "0"),
    OTHER: "void other(void)\n{\n\twork();\n}\n",
}


def ref_of(view: View, name: str, path: str = FILE) -> int:
    return next(ref.id for ref in view.functions_in(path) if ref.name == name)


def test_what_is_not_changed_is_the_stores(lab: Lab) -> None:
    with lab.views(BEFORE, {**BEFORE, OTHER: "int gone;\n"}) as (first, second):
        assert [r.name for r in first.functions_in(OTHER)] == ["other"]
        assert second.functions_in(OTHER) == []
        assert first.functions_in(FILE) == second.functions_in(FILE)
        number = ref_of(second, "dev_work")
        assert second.function(number) == first.function(number)
        assert second.detail(number) == first.detail(number)
        assert second.callable_name(number) == "dev_work"


def test_new_names_have_numbers_and_numbers_names(lab: Lab) -> None:
    added = (
        "struct brand { struct mutex fresh; };\nvoid new_one(struct brand *b)\n"
        "{\n\tmutex_lock(&b->fresh);\n\tb->ops->run(b);\n"
        "\tmutex_unlock(&b->fresh);\n}\n"
    )
    with lab.views(BEFORE, {**BEFORE, "lib/new.c": added}) as (first, second):
        assert first.node("struct brand.fresh") is None
        node = second.node("struct brand.fresh")
        assert node is not None
        assert second.node_name(node) == "struct brand.fresh"
        assert second.node("struct dev.lock") == first.node("struct dev.lock")
        new = ref_of(second, "new_one", "lib/new.c")
        assert second.callable_name(new) == "new_one"
        assert first.function(new) is None
        assert second.node("no such thing") is None
        assert second.callable_name(10**6) == ""


def test_handlers_and_queues_are_the_changed_ones(lab: Lab) -> None:
    after = {
        **BEFORE,
        FILE: DEV
        + HANDLER.replace("INIT_WORK(&d->work, dev_work)", "INIT_WORK(&d->work, dev_init)")
        + QUEUE.replace("@@", "WQ_UNBOUND").replace(
            "queue_work(d->wq, &d->work)", "schedule_work(&d->work)"
        ),
    }
    with lab.views(BEFORE, after) as (first, second):
        node, queue = "work struct dev.work", "workqueue struct dev.wq"
        assert [r.function for r in first.registrations(node)] == [ref_of(first, "dev_work")]
        assert [r.function for r in second.registrations(node)] == [ref_of(second, "dev_init")]
        assert [r.node for r in second.registered(ref_of(second, "dev_init"))] == [node]
        assert second.registered(ref_of(second, "dev_work")) == []
        assert first.queues_of(node) == [queue]
        assert second.queues_of(node) == ["workqueue system_wq"]
        assert first.flags_of(queue) == [""]
        assert second.flags_of(queue) == ["WQ_UNBOUND"]


def test_a_handler_registered_in_a_file_that_does_not_change(lab: Lab) -> None:
    header = {"include/linux/dev.h": DEV.split("static")[0]}
    start = "void dev_init(struct dev *d)\n{\n\tINIT_WORK(&d->work, dev_work);\n}\n"
    init = {"drivers/dev/init.c": start}
    work = "void dev_work(struct work_struct *work)\n{\n\tcall_%d();\n}\n"
    before = {**header, **init, FILE: work % 1}
    with lab.views(before, {**before, FILE: work % 2}) as (first, second):
        (old,) = first.registrations("work struct dev.work")
        assert old.function == ref_of(first, "dev_work")
        assert [r.node for r in second.registered(ref_of(second, "dev_work"))] == [
            "work struct dev.work"
        ]
        node = second.node("work struct dev.work")
        assert node is not None
        _, targets, _ = second.graph.holds_of(node)
        assert targets.tolist() == [ref_of(second, "dev_work")]


def test_lines_are_without_comments_and_of_the_right_tree(lab: Lab) -> None:
    text = "void f(void)\n{\n\t/* target(); */\n\twork();\n\ttarget();\n}\n"
    with lab.views({OTHER: text}, {OTHER: "\n\n" + text}) as (first, second):
        assert first.call_line(ref_of(first, "f", OTHER), "target") == 5
        assert second.call_line(ref_of(second, "f", OTHER), "target") == 7
        assert first.call_line(ref_of(first, "f", OTHER), "nothing") == 1
        assert first.call_line(10**6, "target") == 0
        assert "target" not in first.lines(OTHER)[2]
        assert first.lines("no/such.c") == [""]
        (ref,) = second.functions_in(OTHER)
        assert second.end_of(ref) == 8


@pytest.mark.parametrize("fresh", [True, False])
def test_directories_have_numbers(lab: Lab, fresh: bool) -> None:
    after = {**BEFORE, "new/place/x.c": "void x(void)\n{\n}\n"}
    versions = (after,) if fresh else (BEFORE, after)
    with lab.views(*versions) as views:
        view = views[-1]
        numbers = view.directories([FILE, "drivers/dev/else.c", OTHER, "new/place/y.c"])
        assert len(set(numbers.tolist())) == 3
        assert all(number >= 0 for number in numbers.tolist())
        assert view.directories(["nowhere/x.c"]).tolist() == []
        assert view.directories([]).dtype == np.int32


def test_files_and_active_functions_are_this_trees(lab: Lab) -> None:
    added = (
        "static DEFINE_MUTEX(m);\nvoid grab(void)\n{\n\tmutex_lock(&m);\n\tmutex_unlock(&m);\n}\n"
    )
    after = {path: text for path, text in BEFORE.items() if path != OTHER}
    with lab.views(BEFORE, {**after, "lib/new.c": added}) as (first, second):
        assert second.files() - first.files() == {"lib/new.c"}
        assert first.files() - second.files() == {OTHER}
        names = [
            {(file, view.callable_name(n)) for file, n in view.active()} for view in (first, second)
        ]
    assert (FILE, "dev_work") in names[0]  # a handler
    assert (OTHER, "other") not in names[0]  # which neither locks nor waits
    assert names[1] - names[0] == {("lib/new.c", "grab")}
    assert names[0] <= names[1]


def test_source_is_as_written(lab: Lab) -> None:
    text = "/* why */\nint x;\t// \xe9\n"
    with lab.views({**BEFORE, OTHER: text}) as (view,):
        assert view.source(OTHER)[:2] == ["/* why */", "int x;\t// \udce9"]
        assert view.source("no/such.c") == [""]
