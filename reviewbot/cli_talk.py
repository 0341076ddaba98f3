# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands about what people told us: false positives, and lists muted for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from reviewbot import config
from reviewbot.cli_state import open_state, review_of
from reviewbot.errors import UsageError
from reviewbot.service.show import plain
from reviewbot.service.state import quiet
from reviewbot.service.talk import record
from reviewbot.service.talk.model import FalsePositive
from reviewbot.terminal import ConfigOption, JsonOption, print_table, say, write_file

SCHEMA = "reviewbot.false-positives/1"
app = typer.Typer()


@app.command("false-positives")
def false_positives(
    list_: Annotated[
        str, typer.Option("--list", metavar="NAME", help="Only those of this list.")
    ] = "",
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all to a text file, to review and keep in git."),
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option(
            "--import", metavar="FILE", help="Have exactly what this file says; the rest goes."
        ),
    ] = None,
    as_json: JsonOption = False,
    config_file: ConfigOption = None,
) -> None:
    """List the hazards that people said are none, which are not reported on their lists again.

    They come from replies with a line '#reviewbot false-positive: REASON'.
    """
    if sum(map(bool, (import_, export, list_))) > 1:
        raise UsageError("give one of --import, --export and --list: a file holds all lists")
    with open_state(config.load(config_file)) as state:
        if import_ is not None:
            added, dropped = quiet.replace_marks(state, _read(import_))
            say(f"{added} added, {dropped} dropped")
            return
        found = quiet.marked(state, list_)
    if export is not None:
        write_file(export, record.written(found).encode())
        say(f"{len(found)} false positives: {export}")
    elif as_json:
        say(json.dumps({"schema": SCHEMA, "false_positives": plain(found)}, indent=2))
    else:
        _print(found)


@app.command()
def unmute(
    what: Annotated[
        str,
        typer.Argument(
            metavar="LIST|MSGID", help="Name of the [list], or Message-ID of a mail of the series."
        ),
    ],
    why: Annotated[
        str, typer.Option(metavar="TEXT", help="The reason, kept with it.")
    ] = "asked for on the command line",
    config_file: ConfigOption = None,
) -> None:
    """Mail replies again to a list, or about a series.

    A list is muted for its false positives; what was wrong before does not count again. About
    a series somebody has asked us to stop.
    """
    with open_state(config.load(config_file)) as state:
        if "@" in what:
            quiet.resume(state, review_of(state, what).id, why)
        else:
            quiet.unmute(state, what, why)
    say(f"unmuted: {what}")


def _read(path: Path) -> tuple[FalsePositive, ...]:
    try:
        with path.open("rb") as file:
            data = file.read(record.MAX_FILE + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    return record.read(data, str(path))


def _print(found: tuple[FalsePositive, ...]) -> None:
    if not found:
        say("none")
        return
    rows = (
        (
            *(mark.list, mark.hazard, ", ".join(mark.classes)),
            *(mark.at.date().isoformat(), mark.person, mark.reason),
        )
        for mark in found
    )
    print_table(("list", "hazard", "classes", "day", "person", "reason"), rows)
