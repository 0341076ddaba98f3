# SPDX-License-Identifier: GPL-2.0-or-later
"""What a reply asks of us: lines such as ``#reviewbot stop``, and nothing that looks like one.

A command is metadata in a mail for people ("No email should ever be sent to the list
with the main purpose of communicating with the bot",
Documentation/process/maintainer-netdev.rst), so a mail without other content has none.
It stands on a line of its own from the first column on, where no quote, diff or indented
example can put it, and above the signature and whatever mail follows unquoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from reviewbot.series.errors import TooBig
from reviewbot.service.body import text_of
from reviewbot.service.headers import Headers, one_line

MAX_COMMANDS = 3
"""In one mail: there are three to give."""
MAX_REASON = 300
"""Characters of a reason."""
MAX_TEXT = 256 * 1024
"""Characters of a mail in which commands are looked for: people write less."""
MIN_WORDS = 3
"""Words to people that a mail has to have besides its commands."""

_COMMAND = re.compile(
    r"#reviewbot (?:(?P<plain>stop|retest)|(?P<reasoned>false-positive): (?P<reason>\S.*?))[ \t]*"
)
_END = re.compile(
    r"-- ?$"  # RFC 3676, 4.3, and what editors that strip lines leave of it
    r"|-{2,}[ \t]*(?:original message|forwarded message|forwarded by)"
    r"|begin forwarded message:"
    r"|_{20,}$"
    r"|from:[ \t].*@",
    re.IGNORECASE,
)
"""Where the words of the person who writes end."""
_QUOTE = re.compile(r"[ \t]*(?:[>|]|\w{1,4}>)")
_ATTRIBUTION = re.compile(r".{0,200}\b(?:wrote|writes|schrieb|a écrit)[ \t]*:[ \t]*$")
_WORD = re.compile(r"\w*[^\W\d_]\w*")
_TRAILER = re.compile(r"[A-Z][\w-]*-by: ")
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What ``base64`` and ``email`` raise for what is malformed."""


class Verb(StrEnum):
    """What can be asked for."""

    FALSE_POSITIVE = "false-positive"
    STOP = "stop"
    RETEST = "retest"


@dataclass(frozen=True, slots=True)
class Command:
    """One thing asked for."""

    verb: Verb
    reason: str = ""
    """Given with ``false-positive`` only: one line that can be printed."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The commands in one mail, each once, or why none of them counts."""

    commands: tuple[Command, ...]
    objection: str = ""


def hear(raw: bytes) -> Heard | None:
    """What a mail (RFC 5322, LF line ends) asks for; None for nothing, as nearly always."""
    if b"reviewbot" not in raw and b"base64" not in raw.lower():
        return None
    block, _, body = raw.partition(b"\n\n")
    try:
        return listen(text_of(Headers(block + b"\n\n"), body))
    except (TooBig, *_MALFORMED):
        return None


def listen(text: str) -> Heard | None:
    """The same for a mail's plain text."""
    own = tuple(_own_lines(text[:MAX_TEXT]))
    commands = tuple(dict.fromkeys(filter(None, map(read_command, own))))
    if not commands:
        return None
    if len(commands) > MAX_COMMANDS:
        return Heard((), f"more than {MAX_COMMANDS} commands in one mail")
    if _words(own) < MIN_WORDS:
        return Heard((), "a mail to the bot alone, without a word to people")
    return Heard(commands)


def read_command(line: str) -> Command | None:
    """The command that a line is; None if it is none or has anything else on it."""
    found = _COMMAND.fullmatch(line)
    if found is None:
        return None
    if found["plain"]:
        return Command(Verb(found["plain"]))
    reason = one_line(found["reason"]).strip()
    return Command(Verb(found["reasoned"]), reason) if 0 < len(reason) <= MAX_REASON else None


def _own_lines(text: str) -> Iterator[str]:
    """The lines that the writer of the mail wrote for it."""
    for line in text.split("\n"):
        if _END.match(line):
            return
        if not _QUOTE.match(line):
            yield line


def _words(lines: tuple[str, ...]) -> int:
    """How much there is to read for people."""
    return sum(
        len(_WORD.findall(line))
        for line in lines
        if not (line.startswith("#") or _TRAILER.match(line) or _ATTRIBUTION.match(line))
    )
