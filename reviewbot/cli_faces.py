# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that tell a review where others look: ``b4-check`` and ``patchwork-check``."""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import replace
from email.parser import BytesHeaderParser
from email.policy import compat32
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from reviewbot import config
from reviewbot.config_faces import PatchworkConfig
from reviewbot.errors import NotReviewable, ReviewbotError, ServiceError, TreeError
from reviewbot.kernel.repository import Repository
from reviewbot.locking.sightings import remember
from reviewbot.report.check import b4_entry, check_of_series, checks
from reviewbot.report.clean import one_line
from reviewbot.report.facts import numbered
from reviewbot.report.headers import is_message_id
from reviewbot.report.model import Review
from reviewbot.report.reply import render_text
from reviewbot.review import known_of, review_series
from reviewbot.series.assemble import assemble
from reviewbot.series.errors import NoPatches, NotFound
from reviewbot.series.fetch import fetch_thread
from reviewbot.series.model import Series
from reviewbot.series.open import open_series
from reviewbot.service.patchwork_check import post_checks, server_of
from reviewbot.terminal import (
    BaseOption,
    ConfigOption,
    JsonOption,
    LoreOption,
    TreeOption,
    options_for,
    options_of,
    progress_bars,
    say,
    series_of,
    tree_of,
)
from reviewbot.wiring import sender_of, series_limits

app = typer.Typer()
_MAX_TRACKING = 16 * 1024 * 1024


class _TrackedSeries(msgspec.Struct, rename="kebab"):
    base_commit: str = ""


class _Tracking(msgspec.Struct):
    series: _TrackedSeries


@app.command("b4-check")
def b4_check(
    tree: TreeOption = None,
    base: BaseOption = None,
    lore: LoreOption = None,
    config_file: ConfigOption = None,
) -> None:
    """Review the patch on standard input for b4, which reads the answer.

    The rest of its series is fetched by the patch's message-id, for a patch is judged as part
    of it; a cover letter stands for the whole series. Once in the kernel tree:

        git config b4.review-perpatch-check-cmd 'reviewbot b4-check --tree .'

    Prints a JSON array as "b4 review" wants it. Exit status: 0, whatever the verdict.
    """
    try:
        settings = config.load(config_file)
        limit = series_limits(settings).assemble.max_bytes
        mail = sys.stdin.buffer.read(limit + 1)  # what is over it is refused when it is read
        base = base or _tracked_base(tree_of(settings, tree))
        entry = _b4_entry(mail, settings, tree, base, lore)
    except (ServiceError, NotReviewable) as error:
        entry = b4_entry("warn", f"no verdict: {one_line(str(error))}")
    except ReviewbotError as error:
        entry = b4_entry("fail", f"no verdict: {one_line(str(error))}")
    say(json.dumps([entry], indent=2))


def _tracked_base(tree: Path) -> str | None:
    """What b4 applied the series to, if it runs this and the tree has that commit.

    Under review the series is at HEAD, so HEAD is no base.  The file is b4's own
    (``B4_TRACKING_FILE``, docs/maintainer/review.rst).
    """
    try:
        with Path(os.environ.get("B4_TRACKING_FILE") or os.devnull).open("rb") as file:
            tracked = msgspec.json.decode(file.read(_MAX_TRACKING), type=_Tracking)
        with Repository.open(tree) as repository:
            return repository.resolve(tracked.series.base_commit)
    except (OSError, msgspec.DecodeError, TreeError):
        return None


def _b4_entry(
    mail: bytes, settings: config.Config, tree: Path | None, base: str | None, lore: str | None
) -> dict[str, Any]:
    headers = BytesHeaderParser(policy=compat32).parsebytes(mail)
    message_id = str(headers.get("Message-ID", "")).strip(" \t\r\n<>")
    series, alone = _series_of(mail, message_id, settings, lore)
    result = _review(series, settings, tree, base, lore)
    found = {check.message_id: check for check in checks(result)}
    check = found.get(message_id) or check_of_series(result)
    text, _, _ = render_text(result, sender_of(settings)).partition("\n-- \n")
    if alone:
        check = replace(check, description=f"{check.description} (without the rest of its series)")
        text = f"{alone}\n\n{text}"
    return check.b4_entry(text)


def _series_of(
    mail: bytes, message_id: str, settings: config.Config, lore: str | None
) -> tuple[Series, str]:
    """The series that a mail is part of; if it cannot be had the patch alone, and why."""
    limits = series_limits(settings)
    try:
        own = open_series("-", stdin=io.BytesIO(mail), limits=limits)
    except NoPatches:  # a cover letter
        own = None
    if own is not None and not own.missing:
        return own, ""
    try:
        if not is_message_id(message_id):
            raise NotFound("The mail has no Message-ID to find the rest of its series by.")
        thread = fetch_thread(
            message_id,
            server=lore or settings.lore.url,
            limits=limits.fetch,
            contact=settings.sender.contact,
        )
        whole = assemble(thread, wanted=message_id, source=message_id, limits=limits.assemble)
    except (ServiceError, NotFound) as error:
        if own is None:
            raise
        patch = replace(own.patches[0], index=1)
        return replace(own, expected=1, missing=(), patches=(patch,)), one_line(str(error))
    return whole, ""


@app.command("patchwork-check")
def patchwork_check(
    series: Annotated[
        str,
        typer.Argument(
            metavar="SERIES", help="As for reviewbot review; its patches must be on the server."
        ),
    ],
    tree: TreeOption = None,
    base: BaseOption = None,
    lore: LoreOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the checks, ask and post nothing.")
    ] = False,
    as_json: JsonOption = False,
    config_file: ConfigOption = None,
) -> None:
    """Review a series and show the result beside each of its patches on a patchwork server.

    The server, the project and the token are [patchwork] of the configuration. A check that
    is there already is not posted again. Exit status: that of reviewbot review. Example:

        reviewbot patchwork-check 20260323064248.1660757-1-x@example.org --tree ~/linux --dry-run
    """
    settings = config.load(config_file)
    server = None if dry_run else server_of(settings)  # said before anything takes long
    opened = series_of(settings, series, lore)
    result = _review(opened, settings, tree, base, lore)
    found = checks(result)
    link = _link(settings.patchwork, result)
    outcomes = post_checks(server, found, link) if server else ["not posted"] * len(found)
    told = list(zip(found, map(str, outcomes), strict=True))
    if as_json:
        values = [{**one.to_dict(), "target_url": link, "outcome": done} for one, done in told]
        say(json.dumps(values, indent=2))
    for one, done in told if not as_json else ():
        say(f"{numbered(one.patch, opened)} {one.state.value}, {done}: {one.description}")
    raise typer.Exit(result.exit_status)


def _review(
    series: Series, settings: config.Config, tree: Path | None, base: str | None, lore: str | None
) -> Review:
    """The review, remembered for ``explain`` as one on the command line is."""
    with progress_bars() as progress:
        options = replace(options_of(settings, tree), base=base, progress=progress)
        result = review_series(series, options_for(settings, options, series, server=lore))
    remember(settings.cache, map(known_of, result.hazards))
    return result


def _link(own: PatchworkConfig, result: Review) -> str:
    message_id = result.series.message_id
    if not is_message_id(message_id):
        return ""
    return own.linkmask.replace("%s", quote(message_id, safe="@"))
