# SPDX-License-Identifier: GPL-2.0-or-later
"""Find what a series is built on in the archive, in the order to apply it.

A series that is named (by message-id or change-id) brings its own prerequisites
with it, a few levels deep.  ``prerequisite-patch-id:`` lines name every patch down
to the base (git-format-patch(1)), so those are taken one by one and no deeper.
Everything here was said by strangers: what is looked up, and how long, is bounded.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from reviewbot.errors import ReviewbotError, ServiceError
from reviewbot.series.assemble import AssembleLimits, assemble
from reviewbot.series.errors import NotFound
from reviewbot.series.fetch import FetchLimits, fetch_thread, search
from reviewbot.series.model import Finding, Patch, Prerequisite, Reference, ReferenceKind, Series

MAX_NAMED = 200
"""References of one series that are looked at."""
MAX_HITS = 5
"""Messages of one search whose threads are fetched."""

_ID = re.compile(rb"^message-id:\s*<([!-;=?-~]{1,900})>", re.MULTILINE | re.IGNORECASE)
_FROM = re.compile(rb"^From mboxrd@z .*\n", re.MULTILINE)
_VERSION = re.compile(r":v?(\d+)$")


@dataclass(frozen=True, slots=True)
class PrerequisiteLimits:
    """How far the search for prerequisites goes, and what it may cost."""

    depth: int = 3
    """Levels of prerequisites of prerequisites."""
    series: int = 10
    """Threads fetched."""
    seconds: float = 120.0
    max_bytes: int = 64 * 1024 * 1024
    """Of everything fetched, unpacked."""
    fetch: FetchLimits = field(default_factory=FetchLimits)
    assemble: AssembleLimits = field(default_factory=AssembleLimits)


def find_prerequisites(
    series: Series, *, server: str, limits: PrerequisiteLimits | None = None, contact: str = ""
) -> tuple[Prerequisite, ...]:
    """What ``series`` says it is built on, each with what was found, deepest first.

    ``server`` is the public-inbox archive to look in; no other is asked, whatever
    address a series gives.  An archive that fails is a finding, not an error.
    """
    if not series.depends_on:
        return ()
    return tuple(_Archive(series, server, limits or PrerequisiteLimits(), contact).below(series))


class _SpentError(Exception):
    """A limit was reached; its text is the clause that says which."""


class _MissingError(Exception):
    """It is not there; its text is the clause that says so."""


class _Archive:
    """One search: what it has met so far, and what it may still cost."""

    def __init__(
        self, series: Series, server: str, limits: PrerequisiteLimits, contact: str
    ) -> None:
        self._server = server
        self._limits = limits
        self._contact = contact
        self._end = time.monotonic() + limits.seconds
        self._bytes = limits.max_bytes
        self._threads = limits.series
        self._own = _by_patch_id(series)
        self._known: dict[str, Patch] = dict(self._own)
        """Patches by their patch-id: of the series, and of what was found below it."""
        self._pool: dict[str, tuple[Series, Patch]] = {}
        """Patches of threads that were fetched for another patch of theirs."""
        self._met = _names(series)

    def below(self, series: Series, depth: int = 1) -> Iterator[Prerequisite]:
        """The prerequisites of a series that is ``depth`` - 1 levels down itself."""
        named = series.depends_on[:MAX_NAMED]
        # Series first: they bring the patches that patch-ids beside them name again.
        for reference in named:
            if reference.kind is not ReferenceKind.PATCH_ID:
                yield from self._series(reference, depth)
        for reference in named:
            if reference.kind is ReferenceKind.PATCH_ID:
                yield from self._patch(reference)

    def _series(self, reference: Reference, depth: int) -> Iterator[Prerequisite]:
        if reference.value in self._met:
            return  # named twice, or the end of a circle
        try:
            if depth > self._limits.depth:
                raise _SpentError(f"more than {self._limits.depth} levels deep")
            found = self._named(reference)
        except (_SpentError, _MissingError, ReviewbotError) as trouble:
            self._met.add(reference.value)
            yield _lacking(reference, trouble)
            return
        known = _names(found) & self._met
        self._met |= {reference.value} | _names(found)
        if known:
            return
        yield from self.below(found, depth + 1)
        patches = tuple(each for each in found.patches if each.patch_id not in self._known)
        self._known |= _by_patch_id(found)
        yield _found(reference, found, patches)

    def _patch(self, reference: Reference) -> Iterator[Prerequisite]:
        if reference.value in self._own:
            number = self._own[reference.value].index
            note = f"it is patch {number} of the series itself"
            yield Prerequisite(reference, Finding.IN_SERIES, note=note)
        if reference.value in self._known:
            return
        try:
            source, patch = self._pool.get(reference.value) or self._search_patch(reference.value)
        except (_SpentError, _MissingError, ReviewbotError) as trouble:
            yield _lacking(reference, trouble)
            return
        self._known[reference.value] = patch
        yield replace(_found(reference, source, (patch,)), subject=patch.subject)

    def _named(self, reference: Reference) -> Series:
        """The series of a message-id or change-id, whole."""
        if reference.kind is ReferenceKind.MESSAGE_ID:
            found = self._fetch(reference.value)
        else:
            found = self._search_change(reference.value)
        if found.missing:
            raise _MissingError(f"patch {found.missing[0]}/{found.expected} of it did not arrive")
        return found

    def _search_change(self, value: str) -> Series:
        """The version that is named, else the newest that the search shows."""
        version = _VERSION.search(value)
        change = _VERSION.sub("", value)
        best: Series | None = None
        for message_id in self._search(f'nq:"change-id {change}"'):
            found = self._fetch(message_id)
            if found.change_id != change:
                continue  # it only speaks of it
            if version is not None and found.version == int(version[1]):
                return found
            if version is None and (best is None or found.version > best.version):
                best = found
        if best is None:
            raise _MissingError("not in the archive")
        return best

    def _search_patch(self, patch_id: str) -> tuple[Series, Patch]:
        for message_id in self._search(f"patchid:{patch_id}"):
            found = self._fetch(message_id)
            for each, patch in _by_patch_id(found).items():
                self._pool.setdefault(each, (found, patch))
            if patch_id in self._pool:  # what the server says is not enough
                return self._pool[patch_id]
        raise _MissingError("not in the archive")

    def _search(self, query: str) -> Iterator[str]:
        """Message-ids of what matches, each thread's once."""
        raw = search(query, server=self._server, limits=self._budget(), contact=self._contact)
        self._bytes -= len(raw)
        heads = (mail.partition(b"\n\n")[0] for mail in _FROM.split(raw)[1:])
        hits = (found[1].decode() for head in heads if (found := _ID.search(head)))
        return islice(dict.fromkeys(hits), MAX_HITS)

    def _fetch(self, message_id: str) -> Series:
        if self._threads <= 0:
            raise _SpentError(f"more than {self._limits.series} series to fetch")
        self._threads -= 1
        limits = self._budget()
        raw = fetch_thread(message_id, server=self._server, limits=limits, contact=self._contact)
        self._bytes -= len(raw)
        found = assemble(raw, wanted=message_id, source=message_id, limits=self._limits.assemble)
        return replace(found, mbox=b"")  # nobody reads it, and it would travel far

    def _budget(self) -> FetchLimits:
        """What the next request may cost."""
        seconds, fetch = self._end - time.monotonic(), self._limits.fetch
        if seconds <= 0:
            raise _SpentError(f"not found within {self._limits.seconds:g} seconds")
        if self._bytes <= 0:
            raise _SpentError(f"more than {self._limits.max_bytes >> 20} MiB to read")
        return replace(
            fetch,
            deadline=min(fetch.deadline, seconds),
            max_bytes=min(fetch.max_bytes, self._bytes),
        )


def _names(series: Series) -> set[str]:
    """All by which a reference could mean this series."""
    ids = {series.message_id, series.head.message_id}
    ids |= {patch.envelope.message_id for patch in series.patches}
    if series.change_id:
        ids |= {series.change_id, f"{series.change_id}:v{series.version}"}
    return ids - {""}


def _by_patch_id(series: Series) -> dict[str, Patch]:
    return {patch.patch_id: patch for patch in series.patches if patch.patch_id}


def _lacking(reference: Reference, trouble: Exception) -> Prerequisite:
    if isinstance(trouble, NotFound):
        return Prerequisite(reference, Finding.NOT_FOUND, note="not in the archive")
    finding = Finding.UNREACHABLE if isinstance(trouble, ServiceError) else Finding.NOT_FOUND
    return Prerequisite(reference, finding, note=str(trouble).rstrip("."))


def _found(reference: Reference, source: Series, patches: tuple[Patch, ...]) -> Prerequisite:
    return Prerequisite(
        reference,
        Finding.FOUND,
        patches,
        subject=source.subject,
        message_id=source.head.message_id,
    )
