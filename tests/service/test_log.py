# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import io
import json
import threading
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from reviewbot.locking.model import Verdict
from reviewbot.report.clean import is_hidden
from reviewbot.service.log import Event, Log, LogForm, Several, silent

NOON = datetime(2026, 11, 22, 12, 0, 0, 5000, tzinfo=UTC)


def written(form: LogForm, name: Event, **fields: object) -> str:
    stream = io.StringIO()
    Log(stream, form, lambda: NOON).event(name, **fields)
    return stream.getvalue()


def test_a_line_of_text_says_when_what_and_with_what() -> None:
    line = written(
        LogForm.TEXT,
        Event.REVIEWED,
        title='KVM: fix a "lock" order',
        verdict=Verdict.REMOVED,
        seconds=1.23456,
        whole=True,
        reason="",
        base=None,
    )
    assert line == (
        "2026-11-22T12:00:00.005Z review.done"
        ' title="KVM: fix a \\"lock\\" order" verdict=removed seconds=1.235 whole=true\n'
    )


def test_json_holds_the_same_with_its_types() -> None:
    line = written(LogForm.JSON, Event.STEP, step="apply", seconds=0.5, count=3)
    assert json.loads(line) == {
        "time": "2026-11-22T12:00:00.005Z",
        "event": "step.done",
        "step": "apply",
        "seconds": 0.5,
        "count": 3,
    }


@given(st.text(max_size=2000), st.sampled_from(LogForm))
def test_no_strangers_text_makes_a_second_line_or_moves_the_cursor(
    text: str, form: LogForm
) -> None:
    line = written(form, Event.MESSAGE, subject=text, more="end")
    assert line.count("\n") == 1
    assert not any(map(is_hidden, line[:-1]))
    assert len(line) < 6000
    if form is LogForm.JSON:
        assert json.loads(line)["more"] == "end"
    else:
        assert line.endswith(" more=end\n")


def test_lines_of_several_threads_do_not_mix() -> None:
    stream = io.StringIO()
    log = Several(silent(), Log(stream, LogForm.JSON))

    def write(number: int) -> None:
        for _ in range(50):
            log.event(Event.STEP, number=number, text="x" * 200)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [json.loads(line)["number"] for line in stream.getvalue().splitlines()]
    assert sorted(numbers) == sorted([0, 1, 2, 3] * 50)


def test_a_stream_that_has_gone_away_stops_nothing() -> None:
    stream = io.StringIO()
    log = Log(stream)
    stream.close()
    log.event(Event.STOPPED)
