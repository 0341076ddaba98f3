# SPDX-License-Identifier: GPL-2.0-or-later
"""How much has to come together for a hazard to bite, and what.

A hazard is definite if the contexts it names are enough.  Whatever else it takes is
a condition, and a report says it: that workers run out, that a call through a struct
leads where it may lead, that two objects are one.
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewbot.locking.frameworks import Running
from reviewbot.locking.instances import runs_members, same_object
from reviewbot.locking.interrupts import contexts
from reviewbot.locking.legs import Finding
from reviewbot.locking.linked import OPS
from reviewbot.locking.model import Grade, HazardKind
from reviewbot.locking.references import last_reference
from reviewbot.locking.rows import CONTEXT
from reviewbot.locking.view import View


def grade(view: View, finding: Finding) -> Grade:
    """Whether a hazard needs more than the contexts it names."""
    return Grade.CONDITIONAL if condition(view, finding) else Grade.DEFINITE


def condition(view: View, finding: Finding) -> str:
    """What else has to happen; empty if nothing does."""
    parts = [_workers(view, finding.closing[0].held)] if _is_pool(finding) else []
    if finding.kind is HazardKind.RECURSIVE_LOCK:
        parts.extend(_identity(view, finding))
    for name in dict.fromkeys(filter(None, (last_reference(view, leg) for leg in finding.legs))):
        parts.append(f"The way through {name}() takes that it drops the last reference.")
    if finding.on_rt:
        parts.append("Only on PREEMPT_RT, where a spinlock_t, rwlock_t or local_lock_t sleeps.")
    if finding.careful:
        parts.append("No interrupt that takes the lock is known: only the care of others tells.")
        if Running.HARDIRQ in contexts(view, finding.leg.function):
            parts.append("Only on PREEMPT_RT, where a thread runs irq_work.")
    if finding.readers:
        parts.append(
            f"Readers of {finding.readers} block each other only while a writer waits for it."
        )
    for number in _virtual(view, finding):
        count = view.graph.candidates_of(number)
        if view.graph.is_wide(number):
            member = view.callable_name(number).removeprefix(OPS)
            parts.append(
                f"The call through {member} must be one for this object: {count} functions stand"
                " there."
            )
    return " ".join(dict.fromkeys(parts))


def _identity(view: View, finding: Finding) -> Iterator[str]:
    """What makes the lock that is taken the one that is held."""
    leg = finding.leg
    if leg.target != leg.held:
        yield f"{leg.target} has to point to the same lock, as the file sets it."
    if _is_called_back(view, finding):
        yield "Both are the same lock only if the callback is for the same object."
    elif leg.target == leg.held and not same_object(view, leg):
        yield "Both are the same lock only if they are of the same object."


def _is_pool(finding: Finding) -> bool:
    return finding.kind is HazardKind.WORKER_POOL_CYCLE


def _is_called_back(view: View, finding: Finding) -> bool:
    """Whether what takes a lock again is a callback, which may be for another object."""
    leg = finding.leg
    framework = leg.function == CONTEXT and leg.held.startswith("struct ")
    return framework or bool(_virtual(view, finding)) or runs_members(view, leg)


def _virtual(view: View, finding: Finding) -> list[int]:
    """The calls through a struct that a hazard's proof needs."""
    numbers = [n for leg in finding.legs for n in leg.path]
    return [number for number in dict.fromkeys(numbers) if view.function(number) is None]


def _workers(view: View, work: str) -> str:
    """What it takes for blocked work items to keep a grace period from ending."""
    text = (
        "Holding a mutex over an SRCU grace period is legal in itself. To deadlock it takes"
        " enough blocked work items at once to keep every worker of rcu_gp's pool from running"
        " process_srcu(), and no rescuer or new worker getting there first."
    )
    queues = view.queues_of(work)
    flags = {flag for queue in queues for flag in view.flags_of(queue)}
    names = ", ".join(queue.removeprefix("workqueue ") for queue in queues)
    if queues and flags and all("WQ_UNBOUND" in flag for flag in flags):
        text += (
            f" {names} is unbound and does not share a per-CPU pool with rcu_gp: the cycle is"
            " weaker still."
        )
    elif queues and flags:
        text += f" {names} is bound and shares its per-CPU pool with rcu_gp."
    return text
