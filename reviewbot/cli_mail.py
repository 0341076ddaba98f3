# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands about mail: ``lint-mail``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from reviewbot.errors import ExitStatus, UsageError
from reviewbot.report.etiquette import LETTER_LIMIT, SCHEMA, Outcome, lint
from reviewbot.report.letter import Situation, Voice, read_letter
from reviewbot.terminal import JsonOption, say


class Speaker(StrEnum):
    """Whom the rules are asked of."""

    PERSON = "person"
    BOT = "bot"
    REVIEWBOT = "reviewbot"

    @property
    def voice(self) -> Voice:
        return Voice[self.name]


def lint_mail(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The mail; - reads standard input.")],
    parent: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The mail that it answers, for the rules about answers."),
    ] = None,
    speaker: Annotated[
        Speaker | None,
        typer.Option(
            "--as",
            metavar="WHO",
            help="Whose mail it is: person, bot or reviewbot. Default: what its headers say.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a mail against the manners of kernel lists, rule by rule.

    Exit status: 0 if it keeps them, 1 if it breaks one, 2 if it cannot be read. Examples:

        reviewbot lint-mail reply.eml

        reviewbot lint-mail reply.eml --parent patch.eml --as person
    """
    letter = read_letter(_read(file))
    voice = speaker.voice if speaker else letter.voice
    situation = Situation(
        voice=voice,
        parent=read_letter(_read(str(parent))) if parent else None,
        now=datetime.now(UTC),
    )
    outcomes = lint(letter, situation)
    broken = any(outcome.broken for outcome in outcomes)
    if as_json:
        rules = [outcome.to_dict() for outcome in outcomes]
        as_whom = Speaker[voice.name].value
        say(
            json.dumps(
                {"schema": SCHEMA, "as": as_whom, "ok": not broken, "rules": rules}, indent=2
            )
        )
    else:
        say("\n".join(_lines(voice, outcomes)))
    raise typer.Exit(ExitStatus.FINDINGS if broken else ExitStatus.OK)


def _read(file: str) -> bytes:
    """The bytes of a mail that the command line names."""
    try:
        with sys.stdin.buffer if file == "-" else Path(file).open("rb") as opened:
            data = opened.read(LETTER_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    if len(data) > LETTER_LIMIT:
        raise UsageError(f"{file} is larger than {LETTER_LIMIT} bytes: is it one mail?")
    return data


def _lines(voice: Voice, outcomes: Iterable[Outcome]) -> Iterator[str]:
    asked = {
        Voice.PERSON: "a person's mail; --as bot asks for what a program owes",
        Voice.BOT: "a program's mail",
        Voice.REVIEWBOT: "reviewbot's own mail",
    }
    yield f"Checked as {asked[voice]}."
    for outcome in outcomes:
        mark = "    " if outcome.skipped else "FAIL" if outcome.broken else "ok  "
        yield f"{mark}  {outcome.rule.name:<16} {outcome.skipped or outcome.rule.says}"
        yield from (f"      {what}" for what in outcome.broken)
        if outcome.broken:
            yield f"      see {outcome.rule.source}"
