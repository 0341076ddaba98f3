# SPDX-License-Identifier: GPL-2.0-or-later
"""A review as one HTML page that needs nothing but itself.

No script, no font, no picture from elsewhere: it can be kept, sent or served, and reads the
same in ten years.  Its Content-Security-Policy forbids all of these, so that a stranger's
text could do nothing even if it got past the escaping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reviewbot.locking.model import ChangeState, Hazard
from reviewbot.report.clean import one_line
from reviewbot.report.facts import numbered
from reviewbot.report.headers import archive_link, is_message_id
from reviewbot.report.headline import TITLES, headline
from reviewbot.report.inline import FileDiff, file_diffs
from reviewbot.report.model import Review
from reviewbot.report.picture import Picture, picture
from reviewbot.report.proof import cycle_line, short
from reviewbot.report.templates import html_environment, style
from reviewbot.report.view import view
from reviewbot.report.witness import (
    STATES,
    ContextView,
    PassageView,
    Sources,
    contexts,
    line_of_diff,
    witnesses,
)
from reviewbot.series.model import Series

HAZARDS_SHOWN = 20
PATCHES_SHOWN = 40

_ORDER = (ChangeState.INTRODUCED, ChangeState.REMAINING, ChangeState.REMOVED)


@dataclass(frozen=True, slots=True)
class SeriesView:
    """What was posted, and by whom."""

    subject: str
    author: str
    message_id: str
    link: str
    """Where the archive has it; empty where it was never mailed."""
    version: int
    patches: tuple[tuple[str, str], ...]
    """(``2/3``, subject) of each."""
    more: int


@dataclass(frozen=True, slots=True)
class HazardView:
    """All that the page shows of one hazard."""

    id: str
    kind: str
    grade: str
    state: ChangeState
    word: str
    cycle: str
    summary: str
    condition: str
    before: Picture | None
    after: Picture | None
    """None where nothing of the cycle has changed."""
    columns: tuple[str, ...]
    rows: tuple[tuple[int, str], ...]
    """The scenario: (column, event), one after the other."""
    passages: tuple[PassageView, ...]
    more_sites: int
    contexts: tuple[ContextView, ...]
    more_contexts: int


def render_page(review: Review) -> str:
    """The page, to be encoded as UTF-8."""
    css, digest = style()
    shown = view(review)
    hazards = sorted(review.hazards, key=lambda hazard: _ORDER.index(hazard.state))
    diffs, sources = file_diffs(review.application), Sources.of(review.excerpts)
    return (
        html_environment()
        .get_template("review.html.j2")
        .render(
            css=Markup(css),  # noqa: S704 - the program's own file
            digest=digest,
            title=TITLES[review.verdict],
            headline=headline(shown),
            review=shown,
            failed_hunk=tuple(map(line_of_diff, shown.failure.quote if shown.failure else ())),
            series=_series(review.series),
            hazards=[
                _hazard(hazard, review.series, diffs, sources) for hazard in hazards[:HAZARDS_SHOWN]
            ],
            more_hazards=max(0, len(hazards) - HAZARDS_SHOWN),
        )
    )


def _series(series: Series) -> SeriesView:
    posted = bool(series.cover or series.patches)
    author = series.head.author if posted else None
    return SeriesView(
        subject=one_line(series.subject),
        author=one_line(author.name or author.address) if author is not None else "",
        message_id=one_line(series.message_id),
        link=archive_link(series.message_id) if is_message_id(series.message_id) else "",
        version=series.version,
        patches=tuple(
            (numbered(patch.index, series), one_line(patch.subject, 160))
            for patch in series.patches[:PATCHES_SHOWN]
        ),
        more=max(0, len(series.patches) - PATCHES_SHOWN),
    )


def _hazard(
    hazard: Hazard, series: Series, diffs: Sequence[FileDiff], sources: Sources
) -> HazardView:
    found, more_sites = witnesses(hazard, series, diffs, sources)
    closing, more_contexts = contexts(hazard, sources)
    changed = any(edge.before != edge.after for edge in hazard.edges)
    patch = f" with patch {numbered(hazard.patch, series)}" if hazard.patch is not None else ""
    return HazardView(
        id=hazard.id,
        kind=hazard.kind.value,
        grade=hazard.grade.value,
        state=hazard.state,
        word=f"{STATES[hazard.state]}{patch}",
        cycle=cycle_line(hazard.kind, hazard.classes),
        summary=one_line(hazard.summary, 1200),
        condition=one_line(hazard.condition, 1200),
        before=picture(hazard.edges, after=False) if hazard.edges else None,
        after=picture(hazard.edges, after=True) if changed else None,
        columns=tuple(short(column, 120) for column in hazard.scenario.columns),
        rows=tuple((row.column, short(row.text, 200)) for row in hazard.scenario.rows),
        passages=found,
        more_sites=more_sites,
        contexts=closing,
        more_contexts=more_contexts,
    )
