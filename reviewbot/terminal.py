# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands share: options, what the configuration makes of them, and the terminal."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from reviewbot import config
from reviewbot.errors import UsageError
from reviewbot.locking import index
from reviewbot.report.clean import one_line
from reviewbot.review import Options
from reviewbot.series.model import Prerequisite, Series
from reviewbot.series.open import open_series
from reviewbot.series.prerequisites import PrerequisiteLimits, find_prerequisites
from reviewbot.wiring import apply_limits, index_settings, mirror_of, series_limits

TreeOption = Annotated[
    Path | None,
    typer.Option(
        "--tree", "-t", metavar="DIR",
        help="Kernel git repository; only read. Default: 'tree' of the configuration.",
    ),
]  # fmt: skip
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Configuration file to use instead of yours."),
]
BaseOption = Annotated[
    str | None, typer.Option("--base", metavar="REV", help="Apply here, whatever the series says.")
]
LoreOption = Annotated[
    str | None,
    typer.Option("--lore", metavar="URL", help="Public-inbox server for message-ids."),
]
SarifOption = Annotated[
    Path | None,
    typer.Option("--sarif", metavar="FILE", help="Write the findings as SARIF 2.1.0."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def write_file(path: Path, data: bytes) -> None:
    """Write a file that the command line names; raises :class:`UsageError` if that fails."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def tree_of(settings: config.Config, tree: Path | None) -> Path:
    """The kernel repository: the option, else the configuration's."""
    chosen = tree or settings.tree
    if chosen is None:
        raise UsageError(
            "no kernel tree: give --tree DIR, or set 'tree' in the configuration (reviewbot init)"
        )
    return chosen


def options_of(settings: config.Config, tree: Path | None) -> Options:
    """What a review or an audit needs, with the limits of the configuration."""
    return Options(
        tree=tree_of(settings, tree),
        settings=index_settings(settings),
        limits=apply_limits(settings),
        mirror=mirror_of(settings, tree_of(settings, tree)),
    )


def options_for(
    settings: config.Config,
    options: Options,
    series: Series,
    *,
    server: str | None = None,
    prerequisites: bool = True,
) -> Options:
    """The options with what they owe to the series: its list's branch, what it is built on.

    ``server`` is the archive that prerequisites are looked for in, if not the configured one.
    """
    limits = series_limits(settings)
    wanted = PrerequisiteLimits(fetch=limits.fetch, assemble=limits.assemble)
    found: tuple[Prerequisite, ...] = ()
    if prerequisites:
        found = find_prerequisites(
            series,
            server=server or settings.lore.url,
            limits=wanted,
            contact=settings.sender.contact,
        )
    return replace(options, branch=_branch_of(settings, series), prerequisites=found)


def _branch_of(settings: config.Config, series: Series) -> str:
    """The branch of the first list that the series was sent to; empty if none is configured."""
    sent = {each.address.lower().replace("@", ".") for each in (*series.head.to, *series.head.cc)}
    lists = settings.list.values()
    return next((each.branch for each in lists if each.address.replace("@", ".") in sent), "")


def series_of(settings: config.Config, source: str, lore: str | None = None) -> Series:
    """The series that the command line names; ``-`` is standard input."""
    return open_series(
        source,
        lore=lore or settings.lore.url,
        limits=series_limits(settings),
        stdin=sys.stdin.buffer,
        contact=settings.sender.contact,
    )


@contextmanager
def progress_bars() -> Iterator[index.Progress]:
    """Bars on standard error while it is a terminal; nothing otherwise."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield index.quiet
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done)

        yield show


def print_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print rows below their head, whatever they hold on one line each."""
    table = Table(*head, box=None)
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 200)
    with console.capture() as text:
        console.print(table)
    say(text.get().rstrip("\n"))


def say(text: str, nl: bool = True) -> None:
    """Print; a reader that goes away (``| head``) ends the program as it does others."""
    try:
        typer.echo(text, nl=nl)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
