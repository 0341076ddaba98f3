# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from base64 import encodebytes
from quopri import encodestring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.service.talk.commands import (
    MAX_COMMANDS,
    MAX_REASON,
    Command,
    Heard,
    Verb,
    hear,
    listen,
    read_command,
)

STOP, RETEST = Command(Verb.STOP), Command(Verb.RETEST)
QUOTED = """\
On Sun, Nov 22, 2026 at 12:00:00PM +0000, reviewbot wrote:
> This series introduces a lock order inversion.
> [ ... ]
"""
PROSE = "The lock is never taken there, as the device is gone.\n"


def wrong(reason: str) -> Command:
    return Command(Verb.FALSE_POSITIVE, reason)


# Each a mail's text, and what it asks for.
ASKING = {
    "below the quote": (f"{QUOTED}\n{PROSE}\n#reviewbot stop\n", (STOP,)),
    "with a reason": (
        f"{QUOTED}{PROSE}#reviewbot false-positive: both run on one queue\n",
        (wrong("both run on one queue"),),
    ),
    "above the signature": (f"{PROSE}#reviewbot retest  \n-- \nAnn\n#reviewbot stop\n", (RETEST,)),
    "two": (f"{PROSE}#reviewbot stop\n#reviewbot retest\n", (STOP, RETEST)),
    "twice the same": (f"{PROSE}#reviewbot stop\n#reviewbot stop\n", (STOP,)),
    "before the mail it answers": (
        f"{PROSE}#reviewbot stop\n\n-----Original Message-----\n#reviewbot retest\n",
        (STOP,),
    ),
    "before Outlook's header": (
        f"{PROSE}#reviewbot stop\n\nFrom: bot <bot@example.org>\n#reviewbot retest\n",
        (STOP,),
    ),
    "in German": (f"Am Sonntag schrieb bot:\n> x\n{PROSE}#reviewbot stop\n", (STOP,)),
}
SILENT = {
    "nothing": PROSE,
    "quoted": f"{PROSE}> #reviewbot stop\n",
    "quoted twice": f"{PROSE}> > #reviewbot stop\n>> #reviewbot stop\n",
    "quoted with initials": f"{PROSE}AB> #reviewbot stop\n",
    "quoted with bars": f"{PROSE}| #reviewbot stop\n",
    "indented": f"{PROSE}You can write\n    #reviewbot stop\n",
    "in a sentence": f"{PROSE}Write #reviewbot stop to make it stop.\n",
    "with more on the line": f"{PROSE}#reviewbot stop it now\n",
    "in the signature": f"{PROSE}-- \nAnn\n#reviewbot stop\n",
    "in a stripped signature": f"{PROSE}--\nAnn\n#reviewbot stop\n",
    "in a patch": f"{PROSE}--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n+#reviewbot stop\n #reviewbot stop\n",
    "in our own reply quoted back": f"{QUOTED}> #reviewbot stop\n{PROSE}",
    "in a forwarded mail": f"{PROSE}---------- Forwarded message ---------\n#reviewbot stop\n",
    "unknown": f"{PROSE}#reviewbot merge\n",
    "another's": f"{PROSE}#syz fix: foo\n#regzbot stop\n",
    "in capitals": f"{PROSE}#reviewbot STOP\n#Reviewbot stop\n",
    "without the reason": f"{PROSE}#reviewbot false-positive:\n#reviewbot false-positive\n",
    "with a reason too many": f"{PROSE}#reviewbot stop: please\n",
    "with two spaces": f"{PROSE}#reviewbot  stop\n",
    "with a reason that is a book": f"{PROSE}#reviewbot false-positive: {'x' * (MAX_REASON + 1)}\n",
}
REFUSED = {
    "alone": "#reviewbot stop\n",
    "with a quote alone": f"{QUOTED}#reviewbot stop\n",
    "with a signature alone": "#reviewbot stop\n-- \nAnn Author, a person of many words\n",
    "with a tag alone": "Acked-by: Ann of Example <ann@example.org>\n#reviewbot stop\n",
    "with two words": "Please stop.\n#reviewbot stop\n",
    "a thousand": PROSE + "".join(f"#reviewbot false-positive: {n}\n" for n in range(1000)),
}


@pytest.mark.parametrize("case", ASKING)
def test_what_asks(case: str) -> None:
    text, commands = ASKING[case]
    assert listen(text) == Heard(commands)


@pytest.mark.parametrize("case", SILENT)
def test_what_asks_for_nothing(case: str) -> None:
    assert listen(SILENT[case]) is None


@pytest.mark.parametrize("case", REFUSED)
def test_what_asks_in_vain(case: str) -> None:
    heard = listen(REFUSED[case])
    assert heard is not None
    assert heard.commands == ()
    assert heard.objection


def mail(encoding: str, body: bytes, kind: str = "text/plain; charset=utf-8") -> bytes:
    head = f"From: a@example.org\nContent-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n"
    return head.encode() + body


TEXT = f"{PROSE}#reviewbot false-positive: größer als nötig\n"


@pytest.mark.parametrize(
    "raw",
    [
        mail("8bit", TEXT.encode()),
        mail("base64", encodebytes(TEXT.encode())),
        mail("quoted-printable", encodestring(TEXT.encode())),
        mail("8bit", TEXT.encode("latin-1"), "text/plain; charset=iso-8859-1"),
        mail(
            "8bit",
            f"--b\nContent-Type: text/plain\n\n{TEXT}\n--b\n\nfooter\n--b--\n".encode(),
            "multipart/mixed; boundary=b",
        ),
    ],
)
def test_however_a_mail_is_encoded(raw: bytes) -> None:
    assert hear(raw) == Heard((wrong("größer als nötig"),))


def test_html_asks_for_nothing() -> None:
    assert hear(mail("8bit", TEXT.encode(), "text/html")) is None
    assert hear(mail("base64", b"#reviewbot is no base64 \xff", "text/plain")) is None
    assert hear(b"") is None


LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=60)


@given(LINES)
def test_a_reason_comes_back_as_one_printable_line(reason: str) -> None:
    found = read_command(f"#reviewbot false-positive: {reason}")
    if found is not None:
        assert found.reason.isprintable()
        assert 0 < len(found.reason) <= MAX_REASON
        assert read_command(f"#reviewbot false-positive: {found.reason}") == found


@given(LINES)
def test_nothing_around_a_command_is_accepted(other: str) -> None:
    assert read_command(f"#reviewbot stop{other}") in (None, STOP)
    assert (read_command(f"#reviewbot stop{other}") == STOP) == (not other.strip(" \t"))
    assert (read_command(f"{other}#reviewbot stop") == STOP) == (not other)


@given(st.lists(st.sampled_from([*ASKING["two"][0].split("\n"), "> q", "-- ", QUOTED]) | LINES))
def test_any_text_is_listened_to(lines: list[str]) -> None:
    text = "\n".join(lines)
    heard = listen(text)
    if heard is not None:
        assert len(heard.commands) <= MAX_COMMANDS
        assert bool(heard.commands) != bool(heard.objection)
    quoted = "\n".join(f"> {line}" for line in lines)
    assert listen(f"{PROSE}\n{quoted}") is None


@given(st.binary(max_size=300))
def test_any_bytes_are_listened_to(body: bytes) -> None:
    for encoding in ("8bit", "base64", "quoted-printable"):
        hear(mail(encoding, b"#reviewbot stop\n" + body))
