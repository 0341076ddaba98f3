# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of unattended work: what waits, what runs, what became of it."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from reviewbot import config
from reviewbot.errors import ExitStatus, UsageError
from reviewbot.service import show
from reviewbot.service.model import ReviewState
from reviewbot.service.state import queries, reviews
from reviewbot.service.state.model import ReviewRecord, Story
from reviewbot.service.state.store import State
from reviewbot.terminal import ConfigOption, JsonOption, say

app = typer.Typer()
MessageId = Annotated[
    str,
    typer.Argument(metavar="MSGID", help="Message-ID of any mail of the series, or of our reply."),
]


def open_state(settings: config.Config) -> State:
    """The state that the configuration names."""
    return State.open(settings.service.url)


@app.command()
def status(
    msgid: Annotated[
        str | None,
        typer.Argument(
            metavar="[MSGID]", help="All about one mail's series: any of its mails, or our reply."
        ),
    ] = None,
    wanted: Annotated[
        list[ReviewState] | None,
        typer.Option("--state", help="List reviews in this state; may be given again."),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="List at most N reviews.")] = 20,
    as_json: JsonOption = False,
    config_file: ConfigOption = None,
) -> None:
    """Show what is queued, running, done or failed, and why; or one series' whole story.

    Exit status 1 if a source or the series asked for has failed.
    """
    with open_state(config.load(config_file)) as state:
        if msgid is not None:
            _tell(_story(state, msgid), as_json)
            return
        seen = queries.overview(state)
        listed = queries.list_reviews(state, wanted or (), limit)
    now = datetime.now(UTC)
    if as_json:
        value = {"schema": show.SCHEMA, "overview": seen, "reviews": listed}
        say(json.dumps(show.plain(value), indent=2))
    else:
        say(show.overview_text(seen, now))
        _print_reviews(listed, now)
    if any(source.failure is not None for source in seen.sources):
        raise typer.Exit(ExitStatus.FINDINGS)


@app.command()
def retry(msgid: MessageId, config_file: ConfigOption = None) -> None:
    """Review a failed, skipped or superseded series again, from its first step."""
    with open_state(config.load(config_file)) as state:
        review = _review(state, msgid)
        reviews.retry(state, review.id, "asked for on the command line")
    say(f"queued again: v{review.version} {review.title}")


@app.command()
def skip(
    msgid: MessageId,
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason, kept with the review.")],
    config_file: ConfigOption = None,
) -> None:
    """Do not review a series that waits, or end its review."""
    with open_state(config.load(config_file)) as state:
        review = _review(state, msgid)
        reviews.skip(state, review.id, why)
    say(f"skipped: v{review.version} {review.title}")


@app.command()
def forget(msgid: MessageId, config_file: ConfigOption = None) -> None:
    """Remove a series from the state with its mails and reply, as if it had never come.

    If its mails come again they are reviewed again.
    """
    with open_state(config.load(config_file)) as state:
        review = _review(state, msgid)
        reviews.forget(state, review.id)
    say(f"forgotten: v{review.version} {review.title}")


def _story(state: State, msgid: str) -> Story:
    bare = msgid.strip().removeprefix("<").removesuffix(">")
    found = queries.story(state, bare)
    if found is None:
        raise UsageError(f"no mail <{bare}> was seen: see reviewbot status for those that were")
    return found


def _review(state: State, msgid: str) -> ReviewRecord:
    found = _story(state, msgid)
    if found.review is None:
        raise UsageError(
            f"<{found.message.message_id}> belongs to no review: {found.message.reason.value}"
        )
    return found.review


def _tell(found: Story, as_json: bool) -> None:
    if as_json:
        value = {"schema": show.SCHEMA, "story": found}
        say(json.dumps(show.plain(value), indent=2))
    else:
        say(show.story_text(found, datetime.now(UTC)))
    if found.review is not None and found.review.state is ReviewState.FAILED:
        raise typer.Exit(ExitStatus.FINDINGS)


def _print_reviews(listed: tuple[ReviewRecord, ...], now: datetime) -> None:
    if not listed:
        return
    table = Table("id", "list", "state", "verdict", "age", "series", "why", box=None)
    for review in listed:
        line = show.row(review, now)
        cells = (str(line.id), line.list, line.state, line.verdict, line.age, line.title, line.why)
        table.add_row(*(cell.replace("[", r"\[") for cell in cells))
    console = Console(width=None if sys.stdout.isatty() else 200)
    with console.capture() as text:
        console.print(table)
    say("\n" + text.get().rstrip("\n"))
