# SPDX-License-Identifier: GPL-2.0-or-later
"""A range of commits as the mails its author would post, without posting them.

The mails have no cover letter and no thread: the author wants the verdict before
there is either.  ``git format-patch`` runs on the private repository, so the
author's ``format.*``, ``diff.*`` and textconv configuration has no say.
"""

from __future__ import annotations

from dataclasses import dataclass

from reviewbot.errors import TreeError, UsageError
from reviewbot.kernel import git
from reviewbot.kernel.repository import Repository

MAX_COMMITS = 500
MAX_MBOX = 64 << 20

_FORMAT = (
    *("format-patch", "--stdout", "--numbered", "--subject-prefix=PATCH", "--no-signature"),
    "--pretty=mboxrd",  # a message may have a line that starts with "From "
    *("--no-cover-letter", "--no-thread", "--no-attach", "--no-notes", "--no-base"),
    *("--no-to", "--no-cc", "--full-index", "--binary", "--unified=3", "--no-color"),
    *("--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/"),
)


@dataclass(frozen=True, slots=True)
class RangePatches:
    """The commits of a range, oldest first, and their mails."""

    revisions: str
    """The range as asked for."""
    base: str
    """Full id of the commit below the oldest: where the patches apply."""
    commits: tuple[str, ...]
    """Full ids, in the order of the mails."""
    mbox: bytes
    """An mboxrd with one mail a commit, as ``git format-patch`` writes them."""


def range_patches(repo: Repository, revisions: str) -> RangePatches:
    """The commits of ``A..B`` as an mbox; an empty side stands for HEAD.

    Raises :class:`UsageError` for anything but ``A..B``, an empty range, one with
    merges or down to a root commit, and one of more than ``MAX_COMMITS``;
    :class:`TreeError` if a side names no commit.
    """
    since, dots, until = revisions.partition("..")
    if not dots or until.startswith(".") or ".." in until:
        raise UsageError(f"{revisions[:80]!r} is not a range: write it as A..B")
    tip = repo.resolve(until or "HEAD")
    span = f"{repo.resolve(since or 'HEAD')}..{tip}"
    listed = repo.git("rev-list", "--parents", f"--max-count={MAX_COMMITS + 1}", span, "--")
    rows = [line.split() for line in listed.stdout.decode().splitlines()]
    if not rows:
        raise UsageError(f"{revisions} holds no commits in {repo.path}: nothing to review")
    if len(rows) > MAX_COMMITS:
        raise UsageError(f"{revisions} holds more than {MAX_COMMITS} commits: name a shorter range")
    for commit, *parents in rows:
        if len(parents) > 1:
            raise UsageError(
                f"{revisions} holds the merge {commit[:12]}, which is no patch: rebase it,"
                " or name a range without merges"
            )
    # Without merges the range is one line of commits, so the last row is the oldest.
    oldest, *parents = rows[-1]
    if not parents:
        raise UsageError(f"{revisions} goes down to {oldest[:12]}, which has no commit below it")
    limits = git.Limits(output=MAX_MBOX)
    try:
        mails = git.run(repo.git_dir, [*_FORMAT, span, "--"], limits=limits)
    except git.LimitError as error:
        raise UsageError(f"the patches of {revisions} are too large to review: {error}") from error
    except git.GitError as error:
        raise TreeError(f"cannot write the patches of {revisions}: {error}") from error
    return RangePatches(
        revisions=revisions,
        base=parents[0],
        commits=tuple(row[0] for row in reversed(rows)),
        mbox=mails.stdout,
    )
