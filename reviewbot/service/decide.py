# SPDX-License-Identifier: GPL-2.0-or-later
"""What is ours to review, and why the rest is not.

A message is judged as it comes (:func:`decide`), by what it alone can tell.  What only
all patches together can tell, such as whether a configured path is touched, is asked when
the series is due (:func:`decide_series`).  Both are pure: one rule is one function, and
the first that objects is the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import PurePosixPath

from reviewbot.config_service import ListConfig
from reviewbot.locking.index import is_source
from reviewbot.service.model import Decision, Label, Post, Reason
from reviewbot.service.projects import OTHER_PROJECTS, OWN_PREFIXES


@dataclass(frozen=True, slots=True)
class Earlier:
    """A series version that was reviewed, or is going to be."""

    version: int
    head: str
    """Message-id of its cover letter, else of its first patch."""
    patch_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Scope:
    """All that a decision may depend on beside the mail itself."""

    lists: Mapping[str, ListConfig]
    """The configured lists; where several match, the first one's rules count."""
    forced: str = ""
    """Name of the list that all mail of this source belongs to; empty: told by the mail."""
    own: str = ""
    """Our own address."""
    bots: Collection[str] = ()
    """Addresses of known programs, ``*`` standing for anything."""
    in_tree: Callable[[str], bool] = bool
    """Whether the tree has a file or directory; by default it has all."""
    earlier: Sequence[Earlier] = ()
    """What is known of the same author."""


Rule = Callable[[Post, Label, Scope], Decision | None]


def decide(post: Post, scope: Scope) -> Decision:
    """Whether a message may be part of a series to review."""
    if objection := _automatic(post) or _personal(post, scope):
        return objection
    if post.label is None:
        return _no(Reason.PULL_REQUEST if _is_pull_request(post) else Reason.NOT_A_PATCH)
    for rule in _RULES:
        if objection := rule(post, post.label, scope):
            return objection
    return _of_lists(post, post.label, scope)


def decide_series(posts: Sequence[Post], scope: Scope) -> Decision:
    """Whether a series is to be reviewed, whose messages :func:`decide` took for ours.

    *posts* are its cover letter and patches, as far as they came.
    """
    patches = [post for post in posts if post.diff]
    if not patches:
        return _no(Reason.NO_PATCHES)
    paths = tuple(dict.fromkeys(chain.from_iterable(post.paths for post in patches)))
    if not any(map(is_source, paths)):
        return _no(Reason.NO_SOURCE, _shortened(paths))
    if not _belongs(patches, scope):
        return _no(Reason.NOT_IN_TREE, _shortened(paths))
    if again := _again(patches, scope):
        return again
    lists = [
        name
        for post in posts
        for name in lists_of(post, scope)
        if post.label is None or _takes(scope.lists[name], post.label)
    ]
    if not lists:
        return _no(Reason.NO_LIST)
    asking = [name for name in scope.lists if name in lists and _wants(scope.lists[name], paths)]
    if not asking:
        return _no(Reason.PATHS, _shortened(paths))
    return Decision(True, Reason.OURS, list=asking[0])


def lists_of(post: Post, scope: Scope) -> tuple[str, ...]:
    """The configured lists that a message was sent to, in the configuration's order.

    An address and its List-Id are the same: ``kvm@vger.kernel.org`` is known to
    RFC 2919 as ``kvm.vger.kernel.org``.
    """
    if scope.forced:
        return (scope.forced,) if scope.forced in scope.lists else ()
    seen = {name.replace("@", ".") for name in post.lists}
    return tuple(
        name
        for name, config in scope.lists.items()
        if config.address.lower().replace("@", ".") in seen
    )


# ---- what the headers say ----


def _automatic(post: Post) -> Decision | None:
    """Mail that asks programs to leave it alone, or that a program wrote."""
    for mark in post.marks:
        name, _, value = mark.partition(": ")
        if name == "auto-submitted" and value.split(";")[0].strip() != "no":
            return _no(Reason.BOT, mark)  # RFC 3834, 2
        if name == "x-patchwork-hint" and value == "ignore":
            return _no(Reason.HINT, mark)  # patchwork's docs/usage/headers.rst
        if name.startswith(("x-stable", "x-kerneltest-")):
            return _no(Reason.STABLE, mark)  # stable review mails, 6.x-rc announcements
    return None


def _personal(post: Post, scope: Scope) -> Decision | None:
    address = post.author.address.lower()
    if address and address == scope.own.lower():
        return _no(Reason.OWN)
    if any(fnmatchcase(address, pattern.lower()) for pattern in scope.bots):
        return _no(Reason.BOT, address)
    return None


# ---- what subject and body say ----


def _is_pull_request(post: Post) -> bool:
    return "body: pull request" in post.marks or bool(_PULL.match(post.subject))


def _pull_request(post: Post, label: Label, scope: Scope) -> Decision | None:
    """git-request-pull(1), or its commits posted one by one (``[GIT PULL 01/25]``)."""
    return _no(Reason.PULL_REQUEST) if "pull" in label.words or _is_pull_request(post) else None


def _reply(post: Post, label: Label, scope: Scope) -> Decision | None:
    """``Re:`` with a diff is a proposal in a discussion, in no state to be applied."""
    if not label.reply:
        return None
    return _no(Reason.REPLY if post.diff else Reason.NOT_A_PATCH)


def _without_diff(post: Post, label: Label, scope: Scope) -> Decision | None:
    return _no(Reason.NOT_A_PATCH) if label.counter and not post.diff else None


def _stable(post: Post, label: Label, scope: Scope) -> Decision | None:
    """Backports (stable-kernel-rules.rst): their base is another tree, their review done."""
    words = [word for word in label.words if _STABLE.fullmatch(word)]
    words += [mark for mark in post.marks if mark.startswith("body: ") and "commit" in mark]
    return _no(Reason.STABLE, words[0]) if words else None


def _other_project(post: Post, label: Label, scope: Scope) -> Decision | None:
    names = [word for word in label.words if word in OTHER_PROJECTS]
    prefix = label.title.partition(":")[0].lower()
    names += [prefix] if prefix in OWN_PREFIXES else []
    return _no(Reason.OTHER_PROJECT, names[0]) if names else None


def _of_lists(post: Post, label: Label, scope: Scope) -> Decision:
    """Ours, if a list that it was sent to takes such mail."""
    names = lists_of(post, scope)
    if not names:
        return _no(Reason.NO_LIST)
    taking = [name for name in names if _takes(scope.lists[name], label)]
    if not taking:
        return _no(Reason.RFC, names[0])
    return Decision(True, Reason.OURS if label.counter else Reason.COVER, list=taking[0])


def _takes(config: ListConfig, label: Label) -> bool:
    return config.rfc or _RFC.isdisjoint(label.words)


_RULES: tuple[Rule, ...] = (_pull_request, _reply, _without_diff, _stable, _other_project)
_PULL = re.compile(r"(?i)\s*(?:\[[^]]*\bpull\b[^]]*\]|git pull\b|pull request\b)")
_STABLE = re.compile(r"\d{1,2}\.\d{1,3}(?:[.-].*)?|linux-\d.*|autosel.*|.*stable.*|lts|backport")
_RFC = frozenset({"rfc", "rft"})


# ---- what all patches together say ----


def _belongs(patches: Sequence[Post], scope: Scope) -> bool:
    """Whether a series is for this tree: some file that it changes is there.

    One that only adds files has to put them into or below a directory of the tree; those
    at its top do not count, for ``lib/`` and ``include/`` are in many a project.
    """
    created = {path for post in patches for path in post.created}
    changed = {path for post in patches for path in post.paths} - created
    if changed:
        return any(map(scope.in_tree, changed))
    return any(scope.in_tree(str(parent)) for path in created for parent in _parents(path))


def _parents(path: str) -> Iterator[PurePosixPath]:
    """The directory that a file is in, and those above that are not at the top."""
    own, *above = PurePosixPath(path).parents
    yield from (parent for parent in above if parent.parent.name)
    if own.name:
        yield own


def _again(patches: Sequence[Post], scope: Scope) -> Decision | None:
    """The same patches as before (submitting-patches.rst: RESEND means "unchanged")."""
    ids = frozenset(post.patch_id for post in patches)
    labels = [post.label for post in patches if post.label is not None]
    resent = any(label.resent for label in labels)
    version = max((label.version for label in labels), default=1)
    for earlier in scope.earlier:
        same = "" not in ids and ids == earlier.patch_ids
        if same and (resent or version == earlier.version):
            return _no(Reason.RESEND, f"as {earlier.head}")
    return None


def _wants(config: ListConfig, paths: Sequence[str]) -> bool:
    """Whether a list's configuration asks for one of *paths*: a file, or a directory above."""
    if not config.paths:
        return True
    tops = [top.strip("/") for top in config.paths]
    return any(path == top or path.startswith(f"{top}/") for path in paths for top in tops)


def _shortened(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (" …" if len(paths) > 3 else "")


def _no(reason: Reason, detail: str = "") -> Decision:
    return Decision(False, reason, detail)
