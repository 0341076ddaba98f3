# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark that kills the service all the time, in small."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.crash import crash
from tests.support import public_inbox
from tests.support.deadly import FAULTS
from tests.support.program import sample_files
from tests.support.threads import threads

pytestmark = [
    pytest.mark.public_inbox,
    pytest.mark.skipif(not public_inbox.available(), reason="needs Debian's public-inbox"),
]
_PLACES = (
    "state.mail.take_in:after:1",
    "state.reviews.queue:after:1",
    "state.progress.keep:after:2",
    "state.progress.finish:after:1",
)


def test_a_program_that_is_killed_all_the_time_does_everything_once(
    tmp_path: Path, sample_patches: Path
) -> None:
    given = threads(12, 3, sample_files(sample_patches))
    figures = crash(tmp_path, given, _PLACES, kills=6, seed=3)
    assert figures.wrong == []
    assert (figures.at_boundaries, figures.at_random) == (4, 6)
    assert figures.not_reached <= 1, "a life may have nothing left to do at the last place"
    assert figures.reviews_done >= len(given)
    assert figures.replies > 0


def test_every_step_boundary_is_a_place_to_die_at() -> None:
    assert {place.rpartition(":")[0] for place in _PLACES} <= {
        fault.rpartition(":")[0] for fault in FAULTS
    }
