# SPDX-License-Identifier: GPL-2.0-or-later
"""From b4's LoreSeries to ours.  Runs in the child process only."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from email.message import EmailMessage

import b4

from reviewbot.series import damage, diffs
from reviewbot.series._protocol import Request
from reviewbot.series._select import SYNTHETIC, Choice
from reviewbot.series.addresses import canonical, read_addresses
from reviewbot.series.errors import SuspiciousText, Unreadable
from reviewbot.series.model import Envelope, Identity, Patch, Series, Trailer
from reviewbot.series.references import references
from reviewbot.series.source import is_message_id

_MAX_ITEMS = 1000
"""Recipients, references, trailers or prerequisites taken from one mail."""
_BASE_COMMIT = re.compile(r"^base-commit:[ \t]+([0-9a-f]{7,40})[ \t]*$", re.MULTILINE)
"""b4 reads ``v6.12-rc1`` as commit ``6``: only a whole object id is one."""
_CHANGE_ID = re.compile(r"^change-id:[ \t]+([\w.@+/-]{1,200})[ \t]*$", re.MULTILINE)
_PREFIX = re.compile(r"^(?:\[[^]]*\]\s*)+")
_PATCH_BREAK = re.compile(r"^(?:---[ \t]*$|diff -|Index: |--- \S)", re.MULTILINE)
"""Where a commit message ends, as git-mailinfo decides it (mailinfo.c, patchbreak())."""
_REFERENCE = re.compile(r"<([^<>\s]+)>")
_ADDRESS = re.compile(r"[^\s<>@,;:\"()\[\]\\]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]{2,}")
_HIDDEN_DOMAIN = re.compile(r"(?:[xX]{2,}\.?)+|.*\.invalid", re.IGNORECASE)
"""Domains that archives put in place of real ones, and our own placeholders."""


def series(choice: Choice, request: Request) -> Series:
    """Everything about one version of a series that later rooms need.

    Raises SuspiciousText for hidden control characters, Unreadable for a patch
    without a diff that could be read.
    """
    chosen = choice.series
    posted = [lmsg for lmsg in chosen.patches if lmsg is not None]
    bodies = [lmsg.body for lmsg in posted]
    base = next(_findall(_BASE_COMMIT, bodies), None)
    change = next(_findall(_CHANGE_ID, bodies), None)
    depends_on = tuple(dict.fromkeys(references(map(_encodable, bodies))))[:_MAX_ITEMS]
    cover = chosen.patches[0]
    patches: list[Patch] = []
    mails: list[EmailMessage] = []
    for index, lmsg in enumerate(chosen.patches[1:], 1):
        if lmsg is not None:
            patch, mail = _patch(index, lmsg, chosen.revision)
            patches.append(patch)
            mails.append(mail)
    mbox = io.BytesIO()
    b4.save_git_am_mbox(mails, mbox)
    head = _envelope(cover) if cover is not None else patches[0].envelope
    return Series(
        message_id=request.wanted or head.message_id,
        subject=_line(cover.subject) if cover is not None else patches[0].subject,
        version=chosen.revision,
        expected=chosen.expected,
        patches=tuple(patches),
        missing=tuple(at for at, lmsg in enumerate(chosen.patches) if at and lmsg is None),
        cover=head if cover is not None else None,
        cover_text=_text(cover.body.rsplit("\n-- \n", 1)[0]) if cover is not None else "",
        base_commit=base,
        change_id=change,
        depends_on=depends_on,
        newer_versions=choice.newer,
        mbox=mbox.getvalue(),
        source=request.source,
    )


def _findall(pattern: re.Pattern[str], bodies: Iterable[str]) -> Iterator[str]:
    for body in bodies:
        yield from pattern.findall(body.replace("\r", ""))


def _patch(index: int, lmsg: b4.LoreMessage, revision: int) -> tuple[Patch, EmailMessage]:
    try:
        mail = lmsg.get_am_message(add_trailers=False)
    except SystemExit:
        raise SuspiciousText(
            f"Patch {index} ({_line(lmsg.subject)}) holds invisible Unicode control characters: "
            "look at it by hand."
        ) from None
    # get_am_message() has put what git-mailinfo made of the mail into lmsg.body.
    body = _encodable(lmsg.body)
    diff = diffs.extract(body)
    if not diff:
        raise Unreadable(
            f"Patch {index} ({_line(lmsg.subject)}) has no unified diff that can be read: ask for "
            "it as plain text."
        )
    author = next(iter(_identities([str(mail["From"])], valid_only=False)), Identity("", ""))
    brk = _PATCH_BREAK.search(body)
    spoilt = damage.detect(diff)
    origin = lmsg.reroll_from_revision
    patch = Patch(
        index=index,
        envelope=_envelope(lmsg),
        subject=_PREFIX.sub("", _line(str(mail["Subject"]))),
        author=author,
        message=_text(body[: brk.start()] if brk else body).strip("\n"),
        diff=diff,
        trailers=_trailers(body),
        blobs=diffs.blob_changes(diffs.parse(diff)),
        patch_id=b4.LoreMessage.get_patch_id(diff) if spoilt is None else None,
        damage=spoilt,
        from_version=origin if origin not in (None, revision) else None,
    )
    return patch, mail


def _trailers(body: str) -> tuple[Trailer, ...]:
    """The patch's own trailers: what others said in the thread is not taken over."""
    found = b4.LoreMessage.get_body_parts(body)[2]
    return tuple(Trailer(_line(each.name), _line(each.value)) for each in found[:_MAX_ITEMS])


def _envelope(lmsg: b4.LoreMessage) -> Envelope:
    message = lmsg.msg
    synthetic = lmsg.msgid.endswith(f"@{SYNTHETIC}") or not is_message_id(lmsg.msgid)
    author = next(iter(_identities(_raw(message, "from"), valid_only=False)), None)
    return Envelope(
        message_id="" if synthetic else lmsg.msgid,
        subject=_line(lmsg.full_subject),
        author=author or Identity("", ""),
        date=_line(b4.LoreMessage.clean_header(message.get("Date", "")))[:100],
        to=_identities(_raw(message, "to")),
        cc=_identities(_raw(message, "cc")),
        reply_to=_identities(_raw(message, "reply-to")),
        original_from=_identities(_raw(message, "x-original-from")),
        references=_references(message, lmsg.msgid),
    )


def _raw(message: EmailMessage, wanted: str) -> list[str]:
    """Values of a header as mailed: what email's own parser makes of names loses some."""
    return [
        str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        for name, value in message.raw_items()
        if name.lower() == wanted
    ]


def _identities(values: Iterable[str], *, valid_only: bool = True) -> tuple[Identity, ...]:
    """People in address headers, each address once; what cannot be mailed has no address."""
    found: dict[str, Identity] = {}
    for person in read_addresses(values)[:_MAX_ITEMS]:
        address = person.address
        usable = bool(_ADDRESS.fullmatch(address)) and len(address) <= 254
        if usable and _HIDDEN_DOMAIN.fullmatch(address.rpartition("@")[2]):
            usable = False
        if usable or not valid_only:
            identity = Identity(_line(person.name), address if usable else "")
            found.setdefault(canonical(address), identity)
    return tuple(found.values())


def _references(message: EmailMessage, own: str) -> tuple[str, ...]:
    """Ancestors, oldest first: References, then In-Reply-To if it is not in there."""
    found: list[str] = []
    for header in ("references", "in-reply-to"):
        for value in _raw(message, header):
            found += _REFERENCE.findall(value)
    known = dict.fromkeys(ref for ref in found if ref != own and is_message_id(ref))
    return tuple(known)[-_MAX_ITEMS:]


def _line(text: str) -> str:
    """Text of a header: one line, nothing that a terminal or a mail header would act on."""
    joined = " ".join(_encodable(text).split())
    return "".join(char for char in joined if char.isprintable())


def _text(text: str) -> str:
    """Text of a body: as mailed, without control characters but tab and newline."""
    return "".join(
        char for char in _encodable(text) if char in "\n\t" or (char >= " " and char != "\x7f")
    )


def _encodable(text: str) -> str:
    """Bytes that were no text to begin with become replacement characters."""
    return text.encode("utf-8", "replace").decode("utf-8")
