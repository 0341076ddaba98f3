# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that look at a tree without a series: ``audit`` and ``explain``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from reviewbot import config
from reviewbot.audit import Wanted, explain_in_series, explain_in_tree, find_hazards
from reviewbot.errors import UsageError
from reviewbot.locking.model import HazardKind
from reviewbot.report.audit import Audit, render_audit
from reviewbot.report.explain import render_explanation
from reviewbot.report.jsonout import dump
from reviewbot.report.sarif import sarif
from reviewbot.terminal import (
    ConfigOption,
    JsonOption,
    SarifOption,
    TreeOption,
    options_for,
    options_of,
    progress_bars,
    say,
    series_of,
    write_file,
)

RevOption = Annotated[str, typer.Option(metavar="REV", help="Revision of the tree.")]


def audit(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH...]", help="Files or directories of the tree. Default: all of it."
        ),
    ] = None,
    tree: TreeOption = None,
    rev: RevOption = "HEAD",
    kinds: Annotated[
        list[HazardKind] | None,
        typer.Option(
            "--kind", metavar="KIND", help="Only this kind of hazard; may be given several times."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="REV", help="Only hazards that functions changed after REV are part of."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, help="List at most N hazards; 0 lists all.")
    ] = 50,
    sarif_file: SarifOption = None,
    as_json: JsonOption = False,
    config_file: ConfigOption = None,
) -> None:
    """List the hazards of a tree or a subsystem, those with the least to doubt first.

    Exit status: 1 if there are hazards, 0 if there are none. Examples:

        reviewbot audit --tree ~/linux drivers/usb net/bluetooth/hci_core.c

        reviewbot audit --tree ~/linux --kind lock-order-inversion --kind flush-cycle

        reviewbot audit --tree ~/linux --since v6.12 --sarif new.sarif --limit 0
    """
    settings = config.load(config_file)
    wanted = Wanted(
        rev=rev, paths=tuple(paths or ()), kinds=tuple(kinds or ()), since=since, limit=limit
    )
    with progress_bars() as progress:
        result = find_hazards(wanted, replace(options_of(settings, tree), progress=progress))
    _show(result, sarif_file, as_json)
    raise typer.Exit(result.exit_status)


def _show(result: Audit, sarif_file: Path | None, as_json: bool) -> None:
    if sarif_file is not None:
        write_file(sarif_file, sarif(result).encode())
    if as_json:
        say(dump(result.to_dict()), nl=False)
    elif sarif_file is None:
        say(render_audit(result), nl=False)
    else:
        say(f"{len(result.hazards)} of {result.found} hazards: {sarif_file}")


def explain(
    identity: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Id of a hazard as an audit or a review prints it, or its start."
        ),
    ],
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH...]", help="Where to look for it; needed if it was never reported here."
        ),
    ] = None,
    tree: TreeOption = None,
    rev: RevOption = "HEAD",
    series: Annotated[
        str | None,
        typer.Option(
            metavar="SERIES", help="Look in the tree after this series, else in that before it."
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="REV", help="With --series: apply here, whatever the series says."),
    ] = None,
    as_json: JsonOption = False,
    config_file: ConfigOption = None,
) -> None:
    """Show one hazard step by step, with the source around each step of its chains.

    What an audit or a review of this tree reported is found by its id alone. A hazard of a
    review is in the tree that the review applied the series to (name its base as --rev), or, if
    the series brings it in, in the tree after (name the series again). Examples:

        reviewbot explain lock-order-inversion-1733 --tree ~/linux

        reviewbot explain 1733a83a9717 --tree ~/linux --rev v6.12 virt/kvm

        reviewbot explain 1733a83a9717 --tree ~/linux --series series.mbox
    """
    settings = config.load(config_file)
    if series is not None and (paths or rev != "HEAD"):
        raise UsageError("--series decides on the tree: leave PATH and --rev out, --base is free")
    if base is not None and series is None:
        raise UsageError("--base goes with --series; --rev names the tree to look in")
    with progress_bars() as progress:
        options = replace(options_of(settings, tree), progress=progress, base=base)
        if series is None:
            result = explain_in_tree(identity, rev, paths or (), options)
        else:
            opened = series_of(settings, series)
            result = explain_in_series(identity, opened, options_for(settings, options, opened))
    say(dump(result.to_dict()) if as_json else render_explanation(result), nl=False)
