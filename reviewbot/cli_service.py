# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of unattended work: what waits, what runs, what became of it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from reviewbot import config
from reviewbot.cli_state import open_state, review_of, story_of
from reviewbot.errors import ConfigError, ExitStatus, UsageError
from reviewbot.service import show
from reviewbot.service.log import Log, LogForm, Several
from reviewbot.service.metrics import Metrics
from reviewbot.service.model import ReviewState
from reviewbot.service.replay import read_saved, scratch
from reviewbot.service.serve import Service
from reviewbot.service.site import site
from reviewbot.service.sources.open import open_source
from reviewbot.service.state import queries, reviews
from reviewbot.service.state.model import ReviewRecord, Story
from reviewbot.service.state.store import State
from reviewbot.service.web import Server
from reviewbot.terminal import ConfigOption, JsonOption, print_table, say, write_file

app = typer.Typer()
MessageId = Annotated[
    str,
    typer.Argument(metavar="MSGID", help="Message-ID of any mail of the series, or of our reply."),
]


@app.command()
def poll(config_file: ConfigOption = None) -> None:
    """Look for new mail once, review what is whole, put the replies into the outbox.

    For cron or a timer; nothing is sent. The log goes to standard error.
    """
    with _service(config.load(config_file)) as (service, _, _):
        if _until_signalled(service, service.run_once):
            raise typer.Exit(ExitStatus.SERVICE)


@app.command()
def serve(config_file: ConfigOption = None) -> None:
    """Stay: look for new mail on schedule and review it, with status pages on loopback.

    Replies go out as far as the configuration lets them; see reviewbot send. SIGTERM or
    Ctrl-C ends it; what is under way is taken up again at the next start.
    """
    settings = config.load(config_file)
    with _service(settings) as (service, state, metrics), ExitStack() as stack:
        if settings.service.listen:
            stack.enter_context(Server(settings.service.listen, site(state, metrics)))
        _until_signalled(service, service.run)


@app.command()
def replay(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Saved mail: single mails, mboxes, Maildirs.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the replies there, one file each."),
    ] = None,
    as_json: JsonOption = False,
    config_file: ConfigOption = None,
) -> None:
    """Run saved mail through all that poll does, and tell what would have been said.

    The state is made for this and thrown away. The same mail gives the same replies.
    """
    settings = config.load(config_file)
    saved = read_saved(directory)
    with scratch(settings, saved, _log(settings)) as (service, state):
        if _until_signalled(service, service.run_once):
            raise typer.Exit(ExitStatus.SERVICE)
        letters = queries.letters(state)
        listed = queries.list_reviews(state, limit=len(saved.arrivals))
        mails = {letter.message_id: queries.letter(state, letter.message_id) for letter in letters}
    if out is not None:
        _write_all(out, mails)
    if as_json:
        value = {"schema": show.SCHEMA, "reviews": listed, "outbox": letters}
        say(json.dumps(show.plain(value), indent=2))
        return
    _print_reviews(listed, datetime.now(UTC))
    replies = "1 reply" if len(letters) == 1 else f"{len(letters)} replies"
    say(f"{len(saved.arrivals)} mails, {len(listed)} series, {replies}")


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

    Exit status 1 if the state cannot be written, or a source or the series asked for has failed.
    """
    with open_state(config.load(config_file)) as state:
        if msgid is not None:
            _tell(story_of(state, msgid), as_json)
            return
        trouble = state.probe()
        seen = queries.overview(state)
        listed = queries.list_reviews(state, wanted or (), limit)
    now = datetime.now(UTC)
    if as_json:
        value = {"schema": show.SCHEMA, "trouble": trouble, "overview": seen, "reviews": listed}
        say(json.dumps(show.plain(value), indent=2))
    else:
        facts = show.overview_facts(seen, now)
        say(show.as_text([("state", trouble), *facts] if trouble else facts))
        _print_reviews(listed, now)
    if trouble or any(source.failure is not None for source in seen.sources):
        raise typer.Exit(ExitStatus.FINDINGS)


@app.command()
def retry(msgid: MessageId, config_file: ConfigOption = None) -> None:
    """Review a failed, skipped or superseded series again, from its first step."""
    with open_state(config.load(config_file)) as state:
        review = review_of(state, msgid)
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
        review = review_of(state, msgid)
        reviews.skip(state, review.id, why)
    say(f"skipped: v{review.version} {review.title}")


@app.command()
def forget(msgid: MessageId, config_file: ConfigOption = None) -> None:
    """Remove a series from the state with its mails and reply, as if it had never come.

    If its mails come again they are reviewed again.
    """
    with open_state(config.load(config_file)) as state:
        review = review_of(state, msgid)
        reviews.forget(state, review.id)
    say(f"forgotten: v{review.version} {review.title}")


def _until_signalled(service: Service, work: Callable[[], None]) -> bool:
    """Work until it is over or a signal says so; whether one did."""
    signals: list[int] = []

    def end(number: int, _frame: object) -> None:
        signals.append(number)
        service.stop()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        work()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return bool(signals)


def _write_all(directory: Path, mails: Mapping[str, bytes | None]) -> None:
    """One file a reply, named after its Message-ID."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{directory} cannot be made: {error.strerror}") from error
    for message_id, mail in mails.items():
        name = sha256(message_id.encode()).hexdigest()[:24]
        write_file(directory / f"{name}.eml", mail or b"")


def _log(settings: config.Config) -> Log:
    return Log(sys.stderr, LogForm(settings.service.log))


@contextmanager
def _service(settings: config.Config) -> Iterator[tuple[Service, State, Metrics]]:
    """The service that the configuration describes, ended by a signal."""
    if not settings.source:
        raise ConfigError(
            "no [source]: say in the configuration where new mail is (reviewbot init)"
        )
    if not settings.list:
        raise ConfigError("no [list]: say in the configuration whose series are reviewed")
    if settings.post.bounces and settings.post.bounces not in settings.source:
        raise ConfigError(
            f"post.bounces names no source: write [source.{settings.post.bounces}], or clear it"
        )
    contact = settings.sender.contact
    with ExitStack() as stack:
        sources = [
            open_source(name, own, settings.service.state, contact)
            for name, own in settings.source.items()
        ]
        state = stack.enter_context(open_state(settings))
        stall = settings.service.stall
        metrics = Metrics(
            lambda: queries.overview(state), state.clock, stall, lambda: state.trouble
        )
        service = Service(settings, state, sources, Several(_log(settings), metrics))
        yield service, state, metrics


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
    lines = (show.row(review, now) for review in listed)
    rows = (
        (str(one.id), one.list, one.state, one.verdict, one.age, one.title, one.why)
        for one in lines
    )
    say("")
    print_table(("id", "list", "state", "verdict", "age", "series", "why"), rows)
