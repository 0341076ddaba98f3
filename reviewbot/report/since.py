# SPDX-License-Identifier: GPL-2.0-or-later
"""What became of an older version's hazards, in one sentence."""

from __future__ import annotations

from reviewbot.report.facts import listed, numbered
from reviewbot.report.model import Since
from reviewbot.series.model import Series


def sentence(since: Since, series: Series) -> str:
    """ "Since v2: 2 of its 3 lock patterns are gone (patch 1/5 and 4/5), 1 remains."; empty if
    neither version has any."""
    said = [_of_old(since, series)] if since.gone or since.remaining else []
    if since.new:
        count = len(since.new)
        what = "" if said else f" lock pattern{'s' if count > 1 else ''}"
        said.append(f"{count}{what} {_is(count)} new")
    return f"Since v{since.version}: {', '.join(said)}." if said else ""


def _of_old(since: Since, series: Series) -> str:
    gone, left = len(since.gone), len(since.remaining)
    total = gone + left
    patterns = "lock pattern" if total == 1 else f"{total} lock patterns"
    if not gone:
        return f"its {patterns} remain{'s' if total == 1 else ''}"
    by = _by(since, series)
    if not left:
        return f"its {patterns} {_is(total)} gone{by}"
    return f"{gone} of its {patterns} {_is(gone)} gone{by}, {left} remain{'s' if left == 1 else ''}"


def _by(since: Since, series: Series) -> str:
    patches = sorted({gone.patch for gone in since.gone if gone.patch is not None})
    names = listed([numbered(index, series) for index in patches])
    return f" (patch {names})" if patches else ""


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
