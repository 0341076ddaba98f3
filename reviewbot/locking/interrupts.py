# SPDX-License-Identifier: GPL-2.0-or-later
"""Locks that an interrupt handler takes, and that others take without keeping it out.

If the interrupt comes on the CPU that holds the lock, the handler spins for ever:
who holds it cannot go on to release it.  lockdep calls these states ``SOFTIRQ-ON-W``
and ``IN-SOFTIRQ-W`` (Documentation/locking/lockdep-design.rst).  Both halves are
proved: the way from a registered handler to the lock, and that the function which
takes it bare runs with interrupts on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

import numpy as np

from reviewbot.locking.classes import LOCAL_OBJECT
from reviewbot.locking.edges import Edges
from reviewbot.locking.families import one_family
from reviewbot.locking.frameworks import RUNS_IN, Running
from reviewbot.locking.graph import FEW_CALLERS, rows_of
from reviewbot.locking.legs import Finding, Leg
from reviewbot.locking.linked import OPS, Action, LinkedFunction, Registration, context_node
from reviewbot.locking.model import HazardKind
from reviewbot.locking.places import directory_of, related
from reviewbot.locking.primitives import ATOMIC, SLEEPING, SPINNING
from reviewbot.locking.rows import (
    BH_OFF,
    CONTEXT,
    CONTEXTS,
    IN_ATOMIC,
    IRQ_OFF,
    SLEEPS,
    Ids,
    masked,
    sleeps,
)
from reviewbot.locking.view import View

_MASK = {Running.HARDIRQ: IRQ_OFF, Running.SOFTIRQ: BH_OFF}
_BH_QUEUES = frozenset({"workqueue system_bh_wq", "workqueue system_bh_highpri_wq"})
_NOT_BETWEEN = {
    Running.HARDIRQ: frozenset({Running.HARDIRQ}),
    Running.SOFTIRQ: frozenset({Running.HARDIRQ, Running.SOFTIRQ}),
}
"""Where an interrupt does not come in between."""
_CONTEXTS = {context_node(context): context for context in Running}
_HRTIMERS = frozenset({"hrtimer", f"{OPS}struct hrtimer.function"})
_MODE = re.compile(r"\bHRTIMER_MODE_(\w+)")
_HARDIRQ = context_node(Running.HARDIRQ)
MAX_WAYS, MAX_OWNERS = 4, 48
"""Interrupts, and owners of a lock, that are looked at for a hazard of two locks."""
MIN_CAREFUL = 4
"""Functions that all take a lock with interrupts off for one that does not to be at fault."""


def contexts(view: View, function: int) -> frozenset[Running]:
    """In which contexts *function* is called back; empty if nothing says so."""
    found = (_runs_in(view, registration) for registration in view.registered(function))
    return frozenset(context for context in found if context is not None)


def _runs_in(view: View, registration: Registration) -> Running | None:
    """Where a callback runs, as its framework says or its object's kind.

    Work on a queue of softirqs does in one of them, and so does an hrtimer whose file
    has none but soft ones.
    """
    what = registration.what
    queues = view.queues_of(registration.node) if what == "work" else ()
    if any(q in _BH_QUEUES or "WQ_BH" in "|".join(view.flags_of(q)) for q in queues):
        return Running.SOFTIRQ
    if what in _HRTIMERS and _is_soft(view, registration.function):
        return Running.SOFTIRQ
    return _CONTEXTS.get(registration.node) or RUNS_IN.get(what)


def _is_soft(view: View, function: int) -> bool:
    """Whether the file of an hrtimer's function has none but soft ones."""
    ref = view.function(function)
    modes = _MODE.findall("\n".join(view.lines(ref.file))) if ref is not None else ()
    return bool(modes) and all("SOFT" in mode for mode in modes)


def inversions(edges: Edges, function: int) -> Iterator[Finding]:
    """Locks that *function* takes in a task, open to a handler that comes to wait for them."""
    detail = edges.view.detail(function)
    if detail is None:
        return
    seen: set[str] = set()
    for number, action in enumerate(detail.actions):
        if action.kind not in SPINNING or not action.blocks or action.node in seen:
            continue
        if action.node.endswith("()"):  # whatever lock a function returns is no class
            continue
        closed = _closed(edges.view, detail, number, action)
        closing, careful = _interrupter(edges, function, action, closed), 0
        if not closing and edges.limits.asked and not closed & IRQ_OFF:
            others = _keep_out(edges, function, action.node)
            if others and _may_be_open(edges, function):
                closing = (Leg(_HARDIRQ, action.node, CONTEXT, others[:1]),)
                careful = len(others)
        if closing:
            seen.add(action.node)
            leg = Leg(action.node, closing[0].held, function, ())
            classes = tuple(dict.fromkeys((action.node, *(way.held for way in closing))))
            spot = edges.spot(function)
            yield Finding(
                HazardKind.LOCK_ORDER_INVERSION, classes, spot, "", leg, closing,
                interrupted=action, careful=careful,
            )  # fmt: skip


def _keep_out(edges: Edges, function: int, name: str) -> tuple[int, ...]:
    """Others who take a lock with interrupts off, those of *function*'s file first.

    Nobody if they are too few to tell, or if somebody else takes it with interrupts on.
    """
    node = edges.view.node(name)
    if node is None:
        return ()
    takers = set(edges.view.graph.actors_on(node)[0].tolist()) - {function}
    if not MIN_CAREFUL <= len(takers) <= MAX_OWNERS:
        return ()
    bare = {taker for taker in takers if _takes_bare(edges.view, taker, name, IRQ_OFF)}
    careful = takers - bare
    if len(careful) < MIN_CAREFUL or any(runs_open(edges, taker, IRQ_OFF) for taker in bare):
        return ()
    home = edges.spot(function)[0]
    return tuple(sorted(careful, key=lambda taker: (edges.spot(taker)[0] != home, taker)))


def _may_be_open(edges: Edges, function: int) -> bool:
    """Whether a function runs with interrupts on, or one of its file calls it so from irq_work."""
    callers = _open_callers(edges, np.array([function], np.int32), IRQ_OFF)
    home = edges.spot(function)[0]
    own = (number for number in (function, *callers) if edges.spot(number)[0] == home)
    if any(_runs_in_thread(edges.view, number) for number in own):
        return True
    return Running.HARDIRQ not in contexts(edges.view, function) and runs_open(
        edges, function, IRQ_OFF
    )


def _runs_in_thread(view: View, function: int) -> bool:
    """Whether *function* is irq_work that a thread runs on PREEMPT_RT."""
    roles = view.registered(function)
    lines = (view.lines(role.file)[role.line - 1 : role.line] for role in roles)
    hard = any("HARD" in line for found in lines for line in found)
    return bool(roles) and not hard and all(role.what == "irq-work" for role in roles)


def owner_interrupted(
    edges: Edges, leg: Leg, back: Mapping[int, list[Leg]]
) -> tuple[Leg, Leg] | None:
    """Who has the lock that *leg* waits for, and the interrupt that waits for what *leg* holds.

    The one has interrupts on, the other comes in: neither gives back what it has.
    """
    node, action = edges.view.node(leg.target), edges.action(leg)
    if node is None or action is None or action.kind not in SPINNING or not _spins(edges, leg):
        return None
    ways = [
        way
        for legs in back.values()
        for way in legs
        if _comes_in(edges, way, leg.holder) and beside(edges, way.holder, leg.holder)
    ]
    takers = edges.view.graph.actors_on(node)[0].tolist()
    owners = [owner for owner in takers if beside(edges, owner, leg.holder)]
    for way in sorted(ways, key=edges.cost)[:MAX_WAYS]:
        context = context_of(edges.view, way)
        for owner in owners[:MAX_OWNERS]:
            if context is not None and _takes_open(edges, owner, leg.target, context):
                return Leg(leg.target, way.held, owner, ()), way
    return None


def _comes_in(edges: Edges, way: Leg, function: int) -> bool:
    """Whether a leg is an interrupt's that is near enough, and may be one of *function*'s."""
    return (
        context_of(edges.view, way) in _MASK
        and edges.cost(way) <= edges.limits.interrupt
        and _is_ours(edges, way, function)
    )


def _takes_open(edges: Edges, function: int, node: str, context: Running) -> bool:
    """Whether *function* is known to take a lock where interrupts of *context* are on."""
    if contexts(edges.view, function) & _NOT_BETWEEN[context]:
        return False
    mask = _MASK[context]
    return _takes_bare(edges.view, function, node, mask) and runs_open(edges, function, mask)


def _takes_bare(view: View, function: int, node: str, mask: int) -> bool:
    """Whether *function* takes a lock without keeping out the interrupts of *mask* itself."""
    detail = view.detail(function)
    return detail is not None and any(
        action.node == node and action.blocks and not _closed(view, detail, number, action) & mask
        for number, action in enumerate(detail.actions)
    )


def _closed(view: View, detail: LinkedFunction, number: int, action: Action) -> int:
    """What cannot come in between once *action* has taken its lock."""
    closed = masked(action.kind, action.irq)
    for use in detail.uses:
        if use.action == number:
            for taken in use.held:
                closed |= masked(taken.kind, taken.irq)
                if taken.entry and not _lets_sleep(view, taken.node, taken.kind):
                    closed |= IRQ_OFF | BH_OFF  # how the caller took it is not known here
    return closed


def _interrupter(edges: Edges, function: int, action: Action, closed: int) -> tuple[Leg, ...]:
    """The way in which an interrupt that is not kept out comes to take the same lock.

    Or one whose owner waits for it, and then that wait too, if somebody speaks of such things.
    """
    node = edges.view.node(action.node)
    if closed & IRQ_OFF or node is None:
        return ()
    own = contexts(edges.view, function)
    held = edges.leading_to(node, writers_only=action.mode == "read")
    direct: Iterable[tuple[Leg, ...]] = ((way,) for legs in held.values() for way in legs)
    for found in (direct, _by_an_owner(edges, held, function) if edges.limits.asked else ()):
        own_lock = Leg(action.node, "", function, ())
        ways = [
            way
            for way in found
            if _comes_in(edges, way[0], function)
            and one_family(edges.view, action.node, own_lock, way[0])
        ]
        for way in sorted(ways, key=lambda way: _foreign(edges, way[0], function)):
            context = context_of(edges.view, way[0])
            if context is None or closed & _MASK[context]:
                continue
            if own & _NOT_BETWEEN[context] and not _called_open(edges, function, _MASK[context]):
                continue
            together = _in_one_file(edges, way[0], function)
            if runs_open(edges, function, _MASK[context], softirqs=together):
                return way
    return ()


def _foreign(edges: Edges, way: Leg, function: int) -> tuple[bool, int, str]:
    """How little a handler has to do with a function: the one of its own file is the one meant."""
    return not _in_one_file(edges, way, function), edges.cost(way), way.held


def _called_open(edges: Edges, function: int, mask: int) -> bool:
    """Whether a handler is called by tasks, too, with the interrupts of *mask* on.

    Most who do have that one interrupt disabled, so somebody has to speak of it.
    """
    if not edges.limits.asked:
        return False
    callers = _open_callers(edges, np.array([function], np.int32), mask)
    return any(
        not contexts(edges.view, caller) & {Running.HARDIRQ, Running.SOFTIRQ}
        and runs_open(edges, caller, mask)
        for caller in callers
    )


def _by_an_owner(
    edges: Edges, held: Mapping[int, list[Leg]], function: int
) -> Iterator[tuple[Leg, Leg]]:
    """Who waits for a spinlock whose owner, with another one held, takes the first.

    All in one subsystem: what a driver does below its lock is not *function*'s business.
    """
    for other, legs in list(held.items())[:MAX_OWNERS]:
        own = (leg for leg in legs if _spins(edges, leg) and beside(edges, leg.holder, function))
        first = min(own, key=edges.cost, default=None)
        if first is not None and edges.cost(first) <= edges.limits.interrupt:
            for ways in edges.leading_to(other, writers_only=False).values():
                yield from ((way, first) for way in ways if beside(edges, way.holder, function))


def beside(edges: Edges, one: int, other: int) -> bool:
    """Whether two functions stand in one subsystem."""
    return related(*(directory_of(edges.spot(number)[0]) for number in (one, other)))


def _spins(edges: Edges, leg: Leg) -> bool:
    taken = edges.taken(leg)
    return taken is not None and taken.kind in SPINNING


def _in_one_file(edges: Edges, way: Leg, function: int) -> bool:
    """Whether handler and function are one driver's: its timer and its interrupt share a device.

    Two of a subsystem, each with an object of the same class, hardly meet.
    """
    return edges.spot(way.path[0])[0] == edges.spot(function)[0]


def _is_ours(edges: Edges, way: Leg, function: int) -> bool:
    """Whether a handler is one of the code that *function* belongs to.

    Of an object it is; a call through a struct may take it anywhere, one with many
    candidates too far to be believed unasked.
    """
    if not edges.limits.asked and _is_nameless(edges.view, way):
        return edges.spot(way.path[0])[0] == edges.spot(function)[0]
    if not edges.through_ops(way):
        return True
    graph = edges.view.graph
    if not edges.limits.asked and any(
        edges.view.function(number) is None and graph.is_wide(number) for number in way.path
    ):
        return False
    return beside(edges, way.path[0], function)


def _is_nameless(view: View, way: Leg) -> bool:
    """Whether a leg's handler is registered for an object that is not known."""
    if LOCAL_OBJECT in way.held or way.held.endswith("()"):  # a number may be any interrupt's
        return True
    roles = (r.what for r in view.registered(way.path[0]) if r.node == way.held)
    return way.held in CONTEXTS and any(not what.startswith(OPS) for what in roles)


def context_of(view: View, way: Leg) -> Running | None:
    """In which context the handler at the start of a leg runs."""
    if way.function != CONTEXT:
        return None
    roles = (r for r in view.registered(way.path[0]) if r.node == way.held)
    return next((_runs_in(view, role) for role in roles), None)


def runs_open(edges: Edges, function: int, mask: int, softirqs: bool = False) -> bool:
    """Whether *function* is known to run with the interrupts of *mask* on.

    It is if it, or what calls it with these interrupts on, is called back where it may
    sleep, or sleeps itself.  With *softirqs*, it also is in a softirq of its own file, which
    is open to hard interrupts.
    """
    level = np.array([function], np.int32)
    seen = {function}
    for _ in range(edges.limits.up + 1):
        if any(_is_open(edges.view, number, mask) for number in level.tolist()):
            return True
        up = _open_callers(edges, level, mask) - seen
        if softirqs and mask == IRQ_OFF and _in_softirq(edges, function, up):
            return True
        up = {f for f in up if not contexts(edges.view, f) & {Running.HARDIRQ, Running.SOFTIRQ}}
        if not up:
            return False
        softirqs = False  # further up it is not said with which interrupts on
        seen |= up
        level = np.array(sorted(up), np.int32)
    return False


def _in_softirq(edges: Edges, function: int, callers: AbstractSet[int]) -> bool:
    """Whether *function* or one of its *callers* in its file is the handler of a softirq."""
    home = edges.spot(function)[0]
    return any(
        Running.SOFTIRQ in contexts(edges.view, number) and edges.spot(number)[0] == home
        for number in (function, *callers)
    )


def _open_callers(edges: Edges, level: Ids, mask: int) -> set[int]:
    """Functions that call one of *level* with the interrupts of *mask* on.

    Those that call through a struct too, if few functions stand there, or if all who call
    what stands there are known to run so.
    """
    graph = edges.view.graph
    caller, callee = graph.callers(level)
    _, holder, target, flags = graph.held_into(level)
    closed = {
        (f, t)
        for f, t, bits in rows_of(holder, target, flags)
        if bits & (mask | IN_ATOMIC) and f >= 0
    }
    found = {f for f, t in rows_of(caller, callee) if (f, t) not in closed}
    members = {f for f in found if edges.view.function(f) is None}
    narrow = [member for member in sorted(members) if not graph.is_wide(member)]
    found -= members
    for member in members.difference(narrow):
        users = set(graph.callers(np.array([member], np.int32))[0].tolist())
        if len(users) <= FEW_CALLERS and all(
            (user, member) not in closed and _is_open(edges.view, user, mask) for user in users
        ):
            found |= users
    return found | _open_callers(edges, np.array(narrow, np.int32), mask) if narrow else found


def _is_open(view: View, function: int, mask: int) -> bool:
    if Running.PROCESS in contexts(view, function):
        return True
    if _holds_what_sleeps(view, function) or _turns_on(view, function, mask):
        return True
    _, _, flags = view.graph.actions_of(np.array([function], np.int32))
    return bool((flags & SLEEPS).any()) and not _only_in_atomic(view, function)


def _holds_what_sleeps(view: View, function: int) -> bool:
    """Whether *function* holds a lock that only a task can take: a mutex, a semaphore."""
    detail = view.detail(function)
    held = {t.node: t.kind for use in (detail.uses if detail is not None else ()) for t in use.held}
    return any(_lets_sleep(view, node, kind) for node, kind in held.items())


def _lets_sleep(view: View, name: str, kind: str) -> bool:
    """Whether only a task can hold a lock; an assertion that it is held does not say its kind."""
    if kind != "lock":
        return kind in SLEEPING
    node = view.node(name)
    return node is not None and bool((view.graph.actors_on(node)[1] & SLEEPS).any())


def _turns_on(view: View, function: int, mask: int) -> bool:
    """Whether *function* turns interrupts off and on again, whoever calls it.

    ``spin_unlock_irq()`` may only be called by who was called with them on.
    """
    detail = view.detail(function)
    actions = detail.actions if detail is not None else ()
    return mask == IRQ_OFF and any(a.call.endswith("_lock_irq") for a in actions)


def _only_in_atomic(view: View, function: int) -> bool:
    """Whether all that may sleep in a function does so where nothing may: no proof then."""
    detail = view.detail(function)
    if detail is None:
        return True
    guarded = {use.action for use in detail.uses for taken in use.held if taken.kind in ATOMIC}
    return all(number in guarded for number, action in enumerate(detail.actions) if sleeps(action))
