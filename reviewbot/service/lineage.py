# SPDX-License-Identifier: GPL-2.0-or-later
"""Which versions are of one series: what a newer one supersedes, and what it borrows.

Only one person's versions are.  A change-id (b4 prep) settles it; without one the title
of the cover letter or first patch counts, and the thread that v2 was posted to, unless
the person has two series of that title in hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from reviewbot.service.model import Group, Post
from reviewbot.service.versions import Member, Version

Rank = tuple[int, bool]

_LEVELS = 50
"""Mails above a patch in which the one it replaces is looked for."""


def lineage(versions: Sequence[Version], known: Mapping[str, Post]) -> Iterator[Group]:
    """The versions as groups, with what is older of the same series."""
    index = _Index(versions)
    older: dict[Version, list[Version]] = {}
    for version in sorted(versions, key=lambda version: version.rank):
        direct = index.older(version)
        further = [more for one in direct for more in older[one]]
        older[version] = list(dict.fromkeys((*direct, *further)))
    keys = _keys(versions)
    for version in versions:
        borrowed = index.added_to(version) or _borrowed(version, older[version], older, known)
        present = {number for lender in borrowed for number in lender.numbers}
        yield Group(
            key=keys[version],
            head=version.ids[0],
            title=version.title,
            version=version.version,
            expected=version.expected,
            messages=version.ids,
            missing=tuple(number for number in version.missing if number not in present),
            change_id=version.change_id,
            supersedes=tuple(sorted(keys[one] for one in older[version])),
            borrowed=tuple(message for lender in borrowed for message in lender.ids),
        )


def _keys(versions: Iterable[Version]) -> dict[Version, str]:
    """Each version's key; further series sent in one run are told apart by their place."""
    shared: dict[str, list[Version]] = {}
    for version in sorted(versions, key=lambda one: (one.members[0].serial, one.ids)):
        shared.setdefault(version.key, []).append(version)
    return {
        version: f"{key}-{place}" if place else key
        for key, some in shared.items()
        for place, version in enumerate(some)
    }


class _Index:
    """Versions by what may tell that they are of one series."""

    def __init__(self, versions: Iterable[Version]) -> None:
        self._by_change: dict[str, list[Version]] = {}
        self._by_title: dict[tuple[str, str], dict[Rank, list[Version]]] = {}
        self._by_message: dict[str, Version] = {}
        for version in versions:
            if version.change_id:
                self._by_change.setdefault(version.change_id, []).append(version)
            for name in _signatures(version):
                self._by_title.setdefault(name, {}).setdefault(version.rank, []).append(version)
            self._by_message.update(dict.fromkeys(version.ids, version))

    def older(self, version: Version) -> list[Version]:
        """The versions that *version* is known to continue, by its strongest witness."""
        thread = self._above(version)
        titled = self._titled(version)
        if titled is None:
            titled = [one for one in thread if one.title.lower() == version.title.lower()]
        same = (*self._by_change.get(version.change_id, ()), *titled)
        return _before(version, same) or _before(version, thread)

    def added_to(self, version: Version) -> list[Version]:
        """The series that a ``[PATCH 4/3]`` was posted in reply to: it is its fourth patch."""
        first = version.members[0]
        return [
            one
            for one in self._above(version)
            if first.adds
            and (one.version, one.expected) == (version.version, first.label.total)
            and not version.people.isdisjoint(one.people)
        ][-1:]

    def _above(self, version: Version) -> list[Version]:
        """Versions in whose thread *version* was posted."""
        refs = dict.fromkeys(ref for member in version.members for ref in member.post.references)
        found = (self._by_message[ref] for ref in refs if ref in self._by_message)
        return [one for one in dict.fromkeys(found) if one is not version]

    def _titled(self, version: Version) -> list[Version] | None:
        """Versions of that title up to this one; None if two of them have the same number."""
        found: dict[Rank, Version] = {}
        for name in _signatures(version):
            for rank, some in self._by_title[name].items():
                if rank <= version.rank and {*some, found.get(rank, some[0])} != {some[0]}:
                    return None
                found[rank] = some[0]
        return list(found.values())


def _signatures(version: Version) -> Iterator[tuple[str, str]]:
    return ((version.title.lower(), person) for person in version.people)


def _before(version: Version, others: Iterable[Version]) -> list[Version]:
    """Those of *others* that may be older versions of the same person's series."""
    return [
        one
        for one in dict.fromkeys(others)
        if one.rank < version.rank
        and not version.people.isdisjoint(one.people)
        and not (version.change_id and one.change_id and version.change_id != one.change_id)
    ]


def _borrowed(
    version: Version,
    older: Sequence[Version],
    all_older: Mapping[Version, list[Version]],
    known: Mapping[str, Post],
) -> list[Version]:
    """The older versions that lend what *version* lacks, the nearest first.

    b4's rule for a partial reroll (LoreMailbox.partial_reroll): every patch of it answers
    the patch of the same number in the version before.
    """
    before = [one for one in older if one.version == version.version - 1]
    if not version.missing or 0 in version.numbers or len(before) != 1:
        return []
    lender = before[0]
    if not all(_replaces(member, lender, known) for member in version.members):
        return []
    return [lender, *_borrowed(lender, all_older[lender], all_older, known)]


def _replaces(member: Member, lender: Version, known: Mapping[str, Post]) -> bool:
    """Whether a patch answers, at some level, the *lender*'s patch of its number."""
    target = lender.numbers.get(member.counter)
    above = member.post.in_reply_to
    for _ in range(_LEVELS):
        if target is not None and above == target.id:
            return lender.expected == member.total
        if above not in known:
            return False
        above = known[above].in_reply_to
    return False
