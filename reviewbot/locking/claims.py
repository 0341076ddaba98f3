# SPDX-License-Identifier: GPL-2.0-or-later
"""What a cover letter or commit message says of locking, as far as words tell."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from reviewbot.locking.model import Hazard, HazardKind
from reviewbot.locking.primitives import Role, builtin

_CLAIM = re.compile(
    r"dead-?lock|live-?lock|circular lock|lock(ing)? (order )?inversion|lock(ing)? order|ABBA|AB-BA"
    r"|lockdep|possible recursive|hung task|sleep\w* (function|while|in|inside|under)"
    r"|scheduling while atomic|invalid (wait )?context|missing \w*unlock|unbalanced"
    r"|double \w*unlock|leak\w* \w*lock",
    re.I,
)
_SPEAKS = re.compile(
    r"(?<!c)lock|mutex|\bs?rcu|sleep|atomic|recurs|inver[ts]|\bh[au]ng|PREEMPT_RT", re.I
)
_SPEAKS_OF_RT = re.compile(
    r"PREEMPT_RT|\bRT\b|raw_?\W?spin|sleep|atomic|invalid (wait )?context|wait context", re.I
)
_KINDS = (
    (re.compile(r"recursi|self-?\s?deadlock", re.I), {HazardKind.RECURSIVE_LOCK}),
    (
        re.compile(r"ABBA|AB-BA|circular|inversion|lock(ing)? order", re.I),
        {HazardKind.LOCK_ORDER_INVERSION, HazardKind.FLUSH_CYCLE, HazardKind.GRACE_PERIOD_CYCLE},
    ),
    (re.compile(r"sleep|atomic|invalid (wait )?context", re.I), {HazardKind.SLEEP_IN_ATOMIC}),
    (
        re.compile(r"missing \w*unlock|double \w*unlock|imbalance", re.I),
        {HazardKind.LOCK_IMBALANCE},
    ),
)
"""Words for the kinds of hazard."""
_IDENTIFIER = re.compile(r"[A-Za-z_]\w+")
_LOCKISH = re.compile(r"lock|mutex|sem|rcu|work|timer|wq")
_TABLE = builtin()
_TAKES = frozenset({Role.ACQUIRE, Role.ACQUIRE_ZERO})
_GENERIC = frozenset({"lock", "mutex", "struct", "work", "net", "core", "drivers", "dev", "the"})


def claims_fix(text: str) -> bool:
    """Whether a cover letter or commit message says that it is about a locking hazard."""
    return _CLAIM.search(text) is not None


def speaks_of_locking(text: str) -> bool:
    """Whether a text is of a series that may mend locking, whatever it calls that."""
    return _SPEAKS.search(text) is not None


def speaks_of_rt(text: str) -> bool:
    """Whether a text is of a series that may mend what PREEMPT_RT minds."""
    return _SPEAKS_OF_RT.search(text) is not None


def kinds_spoken_of(claim: str) -> set[HazardKind]:
    """The kinds of hazard that a text names."""
    return {kind for words, kinds in _KINDS if words.search(claim) for kind in kinds}


def names_something(text: str) -> bool:
    """Whether a text has a word that is surely a name in the source."""
    return any("_" in word for word in words_of([text]))


def is_named(hazard: Hazard, text: str) -> bool:
    """Whether a text that names something speaks of *hazard*.

    It has to name one of its functions and, if it names any lock at all, one of its
    classes.
    """
    words = words_of([text])
    functions = {name for site in hazard.sites for name in (site.function, site.via)}
    if functions.isdisjoint(words):
        return False
    speaks_of_locks = any("_" in word and _LOCKISH.search(word) for word in words - functions)
    return not speaks_of_locks or not words_of(hazard.classes).isdisjoint(words - _GENERIC)


def stands_on(hazard: Hazard, words: AbstractSet[str]) -> bool:
    """Whether a lock of *hazard*, or what its sites call to wait, is one of some words."""
    locks = {name.rpartition(".")[2].rpartition(":")[2] for name in hazard.classes}
    return not words.isdisjoint((_waits(hazard) | locks) - _GENERIC)


def _waits(hazard: Hazard) -> set[str]:
    """What the sites of a hazard call to wait, but for the names of locks' own functions."""
    proofs = (proof for site in hazard.sites for proof in (site.before, site.after) if proof)
    calls = {step.what for proof in proofs for step in proof.chain if step.line == proof.line}
    return {call for call in calls if call not in _TABLE or _TABLE[call].role not in _TAKES}


def words_of(lines: Iterable[str]) -> frozenset[str]:
    """The words on some lines that may be identifiers of C."""
    return frozenset(word for line in lines for word in _IDENTIFIER.findall(line))
