# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of posting: what waits, who decides, what goes out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from reviewbot import config
from reviewbot.cli_state import open_state
from reviewbot.errors import ExitStatus, UsageError
from reviewbot.report.clean import one_line, visible
from reviewbot.service import show
from reviewbot.service.log import Log, LogForm
from reviewbot.service.model import AddressState, OutboxState
from reviewbot.service.posting.open import open_office
from reviewbot.service.posting.postman import Postman
from reviewbot.service.state import addresses, outbox, queries, quiet, sending
from reviewbot.service.state.model import Letter
from reviewbot.service.state.store import State
from reviewbot.terminal import ConfigOption, JsonOption, print_table, say

SCHEMA = "reviewbot.outbox/1"
app = typer.Typer()
box = typer.Typer()
app.add_typer(box, name="outbox")
Number = Annotated[int, typer.Argument(metavar="ID", help="The letter's number.")]
Numbers = Annotated[list[int], typer.Argument(metavar="ID...", help="The letters' numbers.")]
WhyOption = Annotated[str, typer.Option(metavar="TEXT", help="The reason, kept with it.")]
_OVER = frozenset({OutboxState.SENT, OutboxState.REJECTED, OutboxState.KEPT})
"""What needs nobody's eye any more."""


@box.callback(invoke_without_command=True)
def outbox_command(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all", help="List what is sent, rejected or kept as well.")
    ] = False,
    as_json: JsonOption = False,
    config_file: ConfigOption = None,
) -> None:
    """List the replies that wait or are on their way, and why. Exit status 1 if one is in doubt."""
    if context.invoked_subcommand is not None:
        return
    with open_state(config.load(config_file)) as state:
        listed = [one for one in queries.letters(state) if every or one.state not in _OVER]
        stop = outbox.stopped(state)
        verdicts = dict(queries.verdicts(state))
    if as_json:
        value = {"schema": SCHEMA, "stopped": stop, "letters": listed}
        say(json.dumps(show.plain(value), indent=2))
    else:
        _print(listed, verdicts)
        say(stop or ("1 letter" if len(listed) == 1 else f"{len(listed)} letters"))
    if any(letter.state is OutboxState.IN_DOUBT for letter in listed):
        raise typer.Exit(ExitStatus.FINDINGS)


@box.command("show")
def show_command(
    number: Number,
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the mail alone, byte for byte.")
    ] = False,
    as_json: JsonOption = False,
    config_file: ConfigOption = None,
) -> None:
    """Show a reply as it would go out, or went, and what became of it at each recipient."""
    with open_state(config.load(config_file)) as state:
        letter, mail = outbox.get(state, number), outbox.mail_of(state, number)
        deliveries = outbox.deliveries_of(state, number)
        events = queries.letter_events(state, letter.message_id)
    if raw:
        sys.stdout.buffer.write(mail)
        return
    text = mail.decode("utf-8", "replace")
    if as_json:
        value = {"letter": letter, "deliveries": deliveries, "events": events, "mail": text}
        say(json.dumps(show.plain({"schema": SCHEMA, **value}), indent=2))
        return
    say(f"letter {letter.id}, {letter.state}: {one_line(letter.reason)}")
    for one in deliveries:
        say(f"  {one.address}: {one.fate}{f', {one_line(one.said)}' if one.said else ''}")
    for event in events:
        say(f"{event.at:%Y-%m-%dT%H:%M:%SZ}  {event.after}: {one_line(event.reason)}")
    say("")
    say("\n".join(map(visible, text.split("\n"))), nl=False)


@box.command()
def approve(
    numbers: Numbers,
    why: WhyOption = "approved on the command line",
    config_file: ConfigOption = None,
) -> None:
    """Let replies go out. One in doubt goes out again: look for it in the archive first."""
    _decide(outbox.approve, "approved", numbers, why, config_file)


@box.command()
def reject(
    numbers: Numbers,
    why: WhyOption = "rejected on the command line",
    config_file: ConfigOption = None,
) -> None:
    """See that replies do not go out (any more)."""
    _decide(outbox.reject, "rejected", numbers, why, config_file)


def _decide(
    decide: Callable[[State, int, str], Letter],
    done: str,
    numbers: list[int],
    why: str,
    config_file: Path | None,
) -> None:
    with open_state(config.load(config_file)) as state:
        for number in numbers:
            letter = decide(state, number, why)
            say(f"{done}: {letter.id} {one_line(letter.subject)}")


@app.command()
def send(
    numbers: Annotated[
        list[int] | None,
        typer.Argument(metavar="[ID...]", help="Only these; now, if they were put off."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent; send nothing.")
    ] = False,
    as_json: JsonOption = False,
    config_file: ConfigOption = None,
) -> None:
    """Send the approved replies that the configuration lets go out, as serve does.

    Exit status 1 if one of them was not sent.
    """
    settings = config.load(config_file)
    office = open_office(settings)
    with open_state(settings) as state:
        if dry_run:
            _preview(state, numbers, office.terms, as_json)
            return
        log = Log(sys.stderr, LogForm(settings.service.log))
        postman = Postman(state, office, log)
        postman.look_after()
        letters = [postman.post(number) for number in numbers or sending.due(state)]
    if as_json:
        say(json.dumps(show.plain({"schema": SCHEMA, "letters": letters}), indent=2))
    for letter in () if as_json else letters:
        say(f"{letter.id} {letter.state}: {one_line(letter.reason)}")
    if any(letter.state is not OutboxState.SENT for letter in letters):
        raise typer.Exit(ExitStatus.FINDINGS)


@app.command("stop-sending")
def stop_sending(
    resume: Annotated[bool, typer.Option("--resume", help="Send again.")] = False,
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason, shown to all.")] = "",
    config_file: ConfigOption = None,
) -> None:
    """Have every process on every machine send nothing more, at once.

    A reply whose text is on its way already cannot be called back.
    """
    with open_state(config.load(config_file)) as state:
        outbox.throw(state, not resume, why)
        say(outbox.stopped(state) or "sending goes on")


@app.command()
def mute(
    wanted: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ADDRESS...]", help="Who gets no more mail; without: list all."),
    ] = None,
    why: WhyOption = "",
    undo: Annotated[
        bool, typer.Option("--undo", help="Let them have mail again, dead ones included.")
    ] = False,
    as_json: JsonOption = False,
    config_file: ConfigOption = None,
) -> None:
    """Send an address no more mail, or list those that get none and why."""
    with open_state(config.load(config_file)) as state:
        for address in wanted or ():
            say(_mute(state, address, why, undo))
        silent = () if wanted else addresses.silent(state)
    if as_json and not wanted:
        say(json.dumps(show.plain({"schema": SCHEMA, "silent": silent}), indent=2))
        return
    for record in silent:
        say(f"{record.address}  {record.state} {record.at:%Y-%m-%d}: {record.reason}")


def _mute(state: State, address: str, why: str, undo: bool) -> str:
    if "@" not in address:
        raise UsageError(f"{address!r} is no address: give one such as kim@example.org")
    if undo:
        done = addresses.restore(state, address, why)
        return f"{address} gets mail again" if done else f"{address} was not muted"
    reason = why or "muted on the command line"
    done = addresses.silence(state, address, AddressState.MUTED, reason)
    return f"{address} gets no more mail" if done else f"{address} gets none already"


def _preview(state: State, numbers: list[int] | None, terms: sending.Terms, as_json: bool) -> None:
    told = []
    for number in numbers or sending.due(state):
        letter = outbox.get(state, number)
        silent = quiet.is_silent(state, letter.list, letter.review)
        why = outbox.stopped(state) or terms.hold(letter) or silent
        if letter.state is not OutboxState.APPROVED:
            why = f"it is {letter.state}"
        left_out = {address: terms.bar(address) for address in letter.recipients}
        told.append({"id": letter.id, "held": why, "left_out": left_out})
        if as_json:
            continue
        say(f"{letter.id} {'would not be sent: ' + why if why else 'would be sent'}")
        for address, barred in left_out.items():
            say(f"  {one_line(address)}{f': left out, {barred}' if barred else ''}")
    if as_json:
        say(json.dumps({"schema": SCHEMA, "would_send": told}, indent=2))


def _print(listed: list[Letter], verdicts: dict[int, str]) -> None:
    if not listed:
        return
    rows = (
        (
            *(str(letter.id), letter.list, letter.state.value),
            verdicts.get(letter.review, "") if letter.review is not None else "",
            *(_people(letter), one_line(letter.subject, 60), "; ".join(_why(letter))),
        )
        for letter in listed
    )
    print_table(("id", "list", "state", "verdict", "to", "subject", "why"), rows)


def _people(letter: Letter) -> str:
    first, *others = letter.recipients or ("nobody",)
    return one_line(first, 60) + (f" and {len(others)} more" if others else "")


def _why(letter: Letter) -> Iterator[str]:
    yield one_line(letter.reason, 160)
    if letter.next_try is not None:
        yield f"next try in {show.span(letter.next_try - datetime.now(UTC))}"
