# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands about what people told us: false positives, and lists muted for them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from reviewbot import config
from reviewbot.errors import UsageError
from reviewbot.report.clean import one_line
from reviewbot.service.show import plain
from reviewbot.service.state import quiet
from reviewbot.service.state.store import State
from reviewbot.service.talk import record
from reviewbot.service.talk.model import FalsePositive
from reviewbot.terminal import ConfigOption, JsonOption, say, write_file

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
    with State.open(config.load(config_file).service.url) as state:
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
    list_: Annotated[str, typer.Argument(metavar="LIST", help="Name of the [list].")],
    why: Annotated[
        str, typer.Option(metavar="TEXT", help="The reason, kept with the list.")
    ] = "asked for on the command line",
    config_file: ConfigOption = None,
) -> None:
    """Mail replies to a list again that was muted for its false positives.

    What was wrong before does not count again.
    """
    with State.open(config.load(config_file).service.url) as state:
        quiet.unmute(state, list_, why)
    say(f"unmuted: {list_}")


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
    table = Table("list", "hazard", "classes", "day", "person", "reason", box=None)
    for mark in found:
        classes = ", ".join(mark.classes)
        day = mark.at.date().isoformat()
        cells = (mark.list, mark.hazard, classes, day, mark.person, mark.reason)
        table.add_row(*(one_line(cell).replace("[", r"\[") for cell in cells))
    console = Console(width=None if sys.stdout.isatty() else 200)
    with console.capture() as text:
        console.print(table)
    say(text.get(), nl=False)
