# SPDX-License-Identifier: GPL-2.0-or-later
"""The manners of a kernel list as code: a mail that breaks a rule is not sent.

The linter reads the bytes that would go out and knows nothing of how they were
made.  It never raises: what it cannot read breaks a rule.  Some rules ask for
the mail answered, some are for programs only, some for our own replies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reviewbot.report.letter import Letter, Situation, Voice, read_letter
from reviewbot.report.norms import form, text, thread

SCHEMA = "reviewbot.lint/1"
LETTER_LIMIT = 16 * 1024 * 1024
"""Bytes of a mail that are worth a look; lists take a few hundred thousand."""

Check = Callable[[Letter, Situation], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A named norm, where it comes from, and its check."""

    name: str
    says: str
    """The norm, in a few words."""
    source: str
    broken: Check
    """Yields what breaks the rule, a phrase each."""
    voice: Voice = Voice.PERSON
    """The first speaker of whom this is asked."""
    answer: bool = False
    """Whether the mail answered has to be known."""
    plain: bool = False
    """Whether it is about the text, which only a mail of one plain part has."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one rule."""

    rule: Rule
    broken: tuple[str, ...] = ()
    skipped: str = ""
    """Why the rule was not checked; empty if it was."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "rule": self.rule.name,
            "says": self.rule.says,
            "source": self.rule.source,
            "ok": None if self.skipped else not self.broken,
            "broken": list(self.broken),
            "skipped": self.skipped,
        }


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule and what broke it."""

    rule: str
    what: str


def check(message: bytes, situation: Situation | None = None) -> tuple[Violation, ...]:
    """Every rule that a mail breaks, in the order of :data:`RULES`; by default as our own."""
    return tuple(
        Violation(outcome.rule.name, what)
        for outcome in lint(read_letter(message), situation or Situation())
        for what in outcome.broken
    )


def lint(letter: Letter, situation: Situation) -> tuple[Outcome, ...]:
    """What comes of every rule for one mail."""
    return tuple(_outcome(rule, letter, situation) for rule in RULES)


def _outcome(rule: Rule, letter: Letter, situation: Situation) -> Outcome:
    if rule.voice > situation.voice:
        asked = "a program" if rule.voice is Voice.BOT else "reviewbot"
        return Outcome(rule, skipped=f"asked of {asked} only")
    if rule.answer and situation.parent is None:
        return Outcome(rule, skipped="needs the mail answered")
    if rule.plain and letter.kind != "text/plain":
        return Outcome(rule, skipped="there is no plain text")
    return Outcome(rule, tuple(rule.broken(letter, situation)))


_ETIQUETTE = "https://subspace.kernel.org/etiquette.html"
_SUBMITTING = "Documentation/process/submitting-patches.rst"
_CLIENTS = "Documentation/process/email-clients.rst"
_TRIMMED = f"{_SUBMITTING}, Use trimmed interleaved replies in email discussions"
_NETIQUETTE = "https://people.kernel.org/tglx/notes-about-netiquette-qw89"
_BOT, _OWN = Voice.BOT, Voice.REVIEWBOT

RULES: Sequence[Rule] = (
    Rule("single-part", "one part of plain text", _ETIQUETTE, form.single_part),
    Rule("no-html", "no HTML", _ETIQUETTE, form.no_html),
    Rule(
        "no-attachment",
        "nothing attached",
        f"{_SUBMITTING}, No MIME, no links, no compression, no attachments",
        form.no_attachment,
    ),
    Rule("utf-8", "text in UTF-8", _ETIQUETTE, form.utf8, plain=True),
    Rule("8bit", "no base64, no quoted-printable", _CLIENTS, form.eight_bit),
    Rule("no-format-flowed", "lines are not joined", f"{_CLIENTS}; RFC 3676", form.not_flowed),
    Rule("headers", "each header that must be there, once", "RFC 5322, 3.6", form.headers_once),
    Rule("no-bcc", "no Bcc", "RFC 5322, 3.6.3", form.no_bcc),
    Rule("own-headers", "no header but our own", "RFC 5322, 3.6", form.known_headers, _OWN),
    Rule("addresses", "addresses that can be read", "RFC 5322, 3.4", form.addresses),
    Rule("recipients", "everybody once, and no crowd", "RFC 5321, 4.5.3.1.8", form.recipients),
    Rule("subject", "Re: once", "RFC 5322, 3.6.5", form.subject),
    Rule("threading", "References end in In-Reply-To", "RFC 5322, 3.6.4", form.threading),
    Rule("message-id", "one id, of the own domain", "RFC 5322, 3.6.4", form.own_id),
    Rule("date", "a date with its zone, not to come", "RFC 5322, 3.6.1", form.date),
    Rule(
        "auto-submitted",
        "a program says that it is one",
        "RFC 3834, 3.1.7 and 5",
        form.auto_submitted,
        _BOT,
    ),
    Rule(
        "patchwork-hint",
        "patchwork is told to leave it alone",
        "patchwork, docs/usage/headers.rst",
        form.patchwork_hint,
        _BOT,
    ),
    Rule(
        "prose-width",
        "72 columns; quotes, chains and addresses as long as they are",
        f"{_SUBMITTING}, The canonical patch format; {_NETIQUETTE}",
        text.width,
        plain=True,
    ),
    Rule("quotes", 'quotes start with "> "', _TRIMMED, text.quotes, plain=True),
    Rule("whole-quotes", "quoted lines are not wrapped", _CLIENTS, text.whole_quotes, plain=True),
    Rule("trimmed", "quotes are cut to what is answered", _TRIMMED, text.trimmed, plain=True),
    Rule("interleaved", "no answer on top of a quote", _TRIMMED, text.interleaved, plain=True),
    Rule(
        "not-empty",
        "something is said",
        "an empty report is the operator's: github.com/kernelci/kernelci-pipeline/issues/1583",
        text.says_something,
        plain=True,
    ),
    Rule(
        "verdict-first",
        "the first line is the verdict",
        "an empty or broken report is the operator's, see not-empty",
        text.verdict_first,
        _OWN,
    ),
    Rule(
        "no-human-tag",
        "no tag of a person; Reported-by only suggested",
        f"{_SUBMITTING}, Reviewer's statement of oversight; Using Reported-by",
        text.no_tags,
        _BOT,
        plain=True,
    ),
    Rule(
        "no-trailer",
        "no line that b4 would take for a trailer",
        "b4, LoreMessage.find_trailers()",
        text.no_trailers,
        _BOT,
        plain=True,
    ),
    Rule(
        "footer",
        'one "-- " footer: who runs it, how to stop it',
        "RFC 3676, 4.3; https://korg.wiki.kernel.org/userdoc/pwbot",
        text.footer,
        _BOT,
        plain=True,
    ),
    Rule(
        "disclosure",
        "the text says that a bot wrote it",
        "Documentation/process/researcher-guidelines.rst",
        text.disclosed,
        _BOT,
        plain=True,
    ),
    Rule(
        "length",
        f"{text.HAZARD_LINES} lines for each hazard",
        _NETIQUETTE,
        text.short,
        _OWN,
        plain=True,
    ),
    Rule(
        "characters",
        "no control or bidirectional characters",
        "CVE-2021-42574; RFC 5322, 2.2; RFC 2047, 5",
        form.characters,
    ),
    Rule("line-length", "at most 998 bytes a line", "RFC 5322, 2.1.1", form.line_bytes),
    Rule(
        "transport",
        "nothing that mail programs act on",
        "RFC 5321, 4.5.2; RFC 4155",
        form.transport,
    ),
    Rule(
        "references-kept",
        "References of the mail answered, and its id",
        "RFC 5322, 3.6.4",
        thread.references,
        answer=True,
    ),
    Rule("subject-kept", "the subject answered", "RFC 5322, 3.6.5", thread.subject, answer=True),
    Rule("date-after", "not before the mail answered", "RFC 5322, 3.6.1", thread.date, answer=True),
    Rule("cc-kept", "nobody is dropped from Cc", _NETIQUETTE, thread.cc_kept, answer=True),
    Rule(
        "answerable",
        "no answer to programs, or to stable reviews",
        "RFC 3834, 2; Documentation/process/stable-kernel-rules.rst",
        thread.answerable,
        answer=True,
    ),
)
