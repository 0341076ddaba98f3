# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: parses, calls, prints.

Exit status: 0 a verdict without findings, 1 hazards remain or were introduced,
2 usage or configuration, 3 not reviewable or does not apply, 4 a service failed.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from reviewbot import __version__, config, doctor
from reviewbot.cli_audit import RevOption, audit, explain
from reviewbot.cli_mail import lint_mail
from reviewbot.errors import ExitStatus, ReviewbotError, UsageError
from reviewbot.kernel.locate import locate
from reviewbot.kernel.repository import Repository
from reviewbot.locking import frameworks, inspect
from reviewbot.locking.inspect import LockReport
from reviewbot.locking.reading import read_facts
from reviewbot.locking.show import facts_text, facts_to_dict, lock_text
from reviewbot.locking.sightings import remember
from reviewbot.locking.trees import consult, prepare
from reviewbot.locking.view import View
from reviewbot.report.jsonout import dump
from reviewbot.report.page import render_page
from reviewbot.report.reply import checked, render_reply, render_text
from reviewbot.report.sarif import review_sarif
from reviewbot.review import known_of, review_range, review_series
from reviewbot.terminal import (
    BaseOption,
    ConfigOption,
    JsonOption,
    LoreOption,
    SarifOption,
    TreeOption,
    options_for,
    options_of,
    print_table,
    progress_bars,
    say,
    series_of,
    tree_of,
    write_file,
)
from reviewbot.wiring import index_settings, sender_of

LATER = {
    "b4-check": "reviewbot.cli_faces",
    "patchwork-check": "reviewbot.cli_faces",
    "poll": "reviewbot.cli_service",
    "serve": "reviewbot.cli_service",
    "replay": "reviewbot.cli_service",
    "status": "reviewbot.cli_service",
    "retry": "reviewbot.cli_service",
    "skip": "reviewbot.cli_service",
    "forget": "reviewbot.cli_service",
    "outbox": "reviewbot.cli_outbox",
    "send": "reviewbot.cli_outbox",
    "stop-sending": "reviewbot.cli_outbox",
    "mute": "reviewbot.cli_outbox",
    "false-positives": "reviewbot.cli_talk",
    "unmute": "reviewbot.cli_talk",
}
"""Commands whose module is loaded when they are asked for: the databases that unattended
work needs take longer to load than a warm review takes in all."""


class _Commands(TyperGroup):
    """The program's commands, those of :data:`LATER` among them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of ``--help``."""
        return [*super().list_commands(ctx), *LATER]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; loads its module if need be."""
        if cmd_name not in LATER:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(LATER[cmd_name])
        return typer.main.get_group(module.app).get_command(ctx, cmd_name)


app = typer.Typer(
    name="reviewbot",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Say whether a kernel patch series removes a deadlock pattern, with the proof.",
    epilog="Exit status: 0 verdict without findings, 1 hazards remain or were introduced,"
    " 2 usage or configuration, 3 not reviewable or does not apply, 4 a service failed: try again.",
)


@app.callback(invoke_without_command=True)
def common(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Say whether a kernel patch series removes a deadlock pattern, with the proof."""
    if version:
        say(f"reviewbot {__version__}")
        raise typer.Exit


@app.command()
def review(
    series: Annotated[
        str | None,
        typer.Argument(
            metavar="[SERIES]",
            help="Message-id, lore or patch.msgid.link URL, mbox, .eml, saved text or Maildir;"
            " - reads standard input.",
        ),
    ] = None,
    tree: TreeOption = None,
    range_: Annotated[
        str | None,
        typer.Option("--range", metavar="A..B", help="Review commits of the tree instead."),
    ] = None,
    base: BaseOption = None,
    lore: LoreOption = None,
    no_prerequisites: Annotated[
        bool,
        typer.Option(
            "--no-prerequisites", help="Do not look for what the series is built on, nor apply it."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the reply as a mail, ready for sendmail -t."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page with the lock graph and the source."),
    ] = None,
    sarif_file: SarifOption = None,
    as_json: JsonOption = False,
    stats: Annotated[
        bool, typer.Option("--stats", help="Say on standard error what was looked at.")
    ] = False,
    config_file: ConfigOption = None,
) -> None:
    """Review a patch series: apply it beside the tree, compare the locking before and after.

    The reply is printed, never sent. Examples:

        reviewbot review 20260323064248.1660757-1-x@example.org --tree ~/linux

        reviewbot review series.mbox --tree ~/linux --base v6.12 --json

        reviewbot review --range origin/master..HEAD --tree ~/linux
    """
    settings = config.load(config_file)
    if (series is None) == (range_ is None):
        raise UsageError("name a SERIES or a --range, one of the two: see reviewbot review --help")
    with progress_bars() as progress:
        options = replace(options_of(settings, tree), base=base, progress=progress)
        if range_ is not None:
            result = review_range(range_, options)
        else:
            locate(options.tree)  # a wrong --tree is said before the network is asked
            opened = series_of(settings, series or "", lore)
            options = options_for(
                settings, options, opened, server=lore, prerequisites=not no_prerequisites
            )
            result = review_series(opened, options)
    remember(settings.cache, map(known_of, result.hazards))
    sender = sender_of(settings)
    faces: tuple[tuple[Path | None, Callable[[], bytes]], ...] = (
        (out, lambda: checked(render_reply(result, sender))),
        (html, lambda: render_page(result).encode()),
        (sarif_file, lambda: review_sarif(result).encode()),
    )
    for path, face in faces:
        if path is not None:
            write_file(path, face())
    written = [str(path) for path, _ in faces if path is not None]
    if as_json:
        say(dump(result.to_dict()))
    elif written:
        say(f"{result.verdict.value}: {', '.join(written)}")
    else:
        say(render_text(result, sender), nl=False)
    if stats:
        typer.echo(json.dumps(result.stats.to_dict()), err=True)
    raise typer.Exit(result.exit_status)


app.command()(audit)
app.command()(explain)
app.command()(lint_mail)


@app.command()
def facts(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A C or header file.")],
    as_json: JsonOption = False,
    config_file: ConfigOption = None,
) -> None:
    """Show what is read from one file: functions, locks held at each call, declarations."""
    settings = index_settings(config.load(config_file))
    try:
        text = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    found = read_facts(text, settings.primitives.flow_names)
    if as_json:
        say(json.dumps(facts_to_dict(str(file), found), indent=2))
    else:
        say(facts_text(str(file), found, settings.primitives))


@app.command()
def graph(
    lock: Annotated[
        str,
        typer.Option(
            metavar="CLASS", help="Lock class, such as 'struct kvm.lock', or part of one."
        ),
    ],
    tree: TreeOption = None,
    rev: RevOption = "HEAD",
    as_json: JsonOption = False,
    config_file: ConfigOption = None,
) -> None:
    """Show who takes a lock, and what is waited for while it is held."""
    settings = config.load(config_file)

    def ask(views: Sequence[View]) -> tuple[LockReport | None, list[str]]:
        found = inspect.report(views[0], lock)
        alike = [] if found is not None else views[0].store.search_nodes(lock)
        if len(alike) == 1:
            found = inspect.report(views[0], alike[0])
        return found, alike

    with progress_bars() as progress, Repository.open(tree_of(settings, tree)) as repository:
        wanted = [repository.tree_of(repository.resolve(rev))]
        found, alike = consult(repository, index_settings(settings), progress, wanted, ask)
    if found is None:
        hint = f"; did you mean one of: {', '.join(alike[:8])}?" if alike else ""
        raise UsageError(f"no lock class {lock!r} in {rev}{hint}")
    say(json.dumps(found.to_dict(), indent=2) if as_json else lock_text(found), nl=as_json)


@app.command("index")
def index_command(
    tree: TreeOption = None,
    rev: RevOption = "HEAD",
    as_json: JsonOption = False,
    config_file: ConfigOption = None,
) -> None:
    """Read a whole tree into the cache, so that the first review of it is quick."""
    settings = config.load(config_file)
    with progress_bars() as progress, Repository.open(tree_of(settings, tree)) as repository:
        commit = repository.resolve(rev)
        wanted = repository.tree_of(commit)
        found = prepare(repository, index_settings(settings), wanted, progress)
    if as_json:
        say(json.dumps({"commit": commit, **found.to_dict()}, indent=2))
        return
    drift = f"; {found.changed} files differ from the stored {found.stored[:12]}"
    say(
        f"{rev}: {found.files} files, {found.functions} functions, {found.locks} lock arguments,"
        f" {found.unknown} of unknown class{drift if found.changed else ''}"
    )


@app.command()
def primitives(
    callbacks: Annotated[
        bool,
        typer.Option("--frameworks", help="List what frameworks hold when they call back instead."),
    ] = False,
    as_json: JsonOption = False,
    config_file: ConfigOption = None,
) -> None:
    """List the locking calls that the checker knows by name, yours included."""
    if callbacks:
        known = list(frameworks.builtin().members())
        rows = [
            (member, ", ".join(entry.held), entry.context.value, entry.source)
            for member, entry in known
        ]
        values = [{"member": member, **entry.to_dict()} for member, entry in known]
        _print_table(("member", "held", "context", "source"), rows, values, as_json)
        return
    table = list(index_settings(config.load(config_file)).primitives.values())
    calls = [
        (e.name, e.role.value, e.lock or e.what, str(e.arg) if e.arg >= 0 else e.object, e.header)
        for e in table
    ]
    head = ("name", "role", "lock or what", "argument", "header")
    _print_table(head, calls, [entry.to_dict() for entry in table], as_json)


def _print_table(
    head: tuple[str, ...],
    rows: Iterable[tuple[str, ...]],
    values: list[dict[str, Any]],
    as_json: bool,
) -> None:
    """Print a table, or the values it is made of."""
    if as_json:
        say(json.dumps(values, indent=2))
        return
    print_table(head, rows)


@app.command()
def init(config_file: ConfigOption = None) -> None:
    """Write a commented configuration file; never overwrites one."""
    path = config_file or config.default_path()
    config.write_default(path)
    say(f"wrote {path}")


@app.command("doctor")
def doctor_command(
    tree: TreeOption = None, as_json: JsonOption = False, config_file: ConfigOption = None
) -> None:
    """Check git, the tree, the cache and the way to lore."""
    results = []
    for check in doctor.checks(config.load(config_file), tree):
        results.append(check)
        if not as_json:
            mark = {True: "ok  ", False: "FAIL", None: "note"}[check.ok]
            say(f"{mark}  {check.name}: {check.detail}")
            if check.ok is not True and check.advice:
                say(f"      {check.advice}")
    if as_json:
        say(json.dumps([check.to_dict() for check in results], indent=2))
    if any(check.ok is False for check in results):
        raise typer.Exit(ExitStatus.USAGE)


def main() -> None:
    """Run the program; every error becomes one sentence and its exit status."""
    _end_on_signals()
    try:
        sys.exit(app(standalone_mode=False))
    except ReviewbotError as error:
        _die(str(error), error.exit_status)
    except TyperException as error:
        message = _mistake(error)
        if not message:  # no command: the help has been shown
            sys.exit(ExitStatus.USAGE)
        _die(message, ExitStatus.USAGE)
    except (KeyboardInterrupt, typer.Abort):
        _die("stopped", 130)
    except Exception as error:
        if os.environ.get("REVIEWBOT_DEBUG"):
            raise
        what = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        _die(
            f"internal error ({what}); please report it, REVIEWBOT_DEBUG=1 shows where",
            ExitStatus.SERVICE,
        )


def _mistake(error: TyperException) -> str:
    """What is wrong with the command line, in one sentence; empty if nothing is."""
    context = getattr(error, "ctx", None)
    message = getattr(error, "format_message", error.__str__)().rstrip(".")
    if not message:
        return ""
    command = getattr(context, "command_path", "reviewbot")
    return f"{message}; see {command} --help"


def _end_on_signals() -> None:
    """Let SIGTERM and SIGHUP unwind like an exception, so that every directory goes."""
    owner = os.getpid()

    def end(number: int, _frame: object) -> None:
        if os.getpid() != owner:  # a forked worker has nothing of its own to clear
            os._exit(128 + number)
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def _die(message: str, status: int) -> None:
    typer.echo(f"reviewbot: {message}", err=True)
    sys.exit(status)
