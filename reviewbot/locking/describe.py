# SPDX-License-Identifier: GPL-2.0-or-later
"""Put a finding into words: its chains step by step, the scenario, what it takes.

lockdep's vocabulary (Documentation/locking/lockdep-design.rst): who holds what,
who waits for what, and the order in which that does not end.
"""

from __future__ import annotations

from dataclasses import replace

from reviewbot.locking.hazards import Finder
from reviewbot.locking.legs import Finding, Leg
from reviewbot.locking.linked import OPS, Action, Taken
from reviewbot.locking.model import Chain, Evidence, HazardKind, Scenario, ScenarioRow, Step
from reviewbot.locking.rows import CONTEXT

_WORDS = {
    "work": "work item", "irq": "interrupt handler of", "timer": "timer", "hrtimer": "timer",
    "napi": "NAPI poll of",
    "urb": "completion of urb", "rcu-callback": "RCU callback of",
    "sysfs": "a user of the sysfs files of", "debugfs": "a user of the debugfs files of",
    "proc": "a user of the proc files of",
}  # fmt: skip
"""Beginnings of the names of nodes, as prose has them."""
_STATES = {"irq-off": "interrupts", "bh-off": "softirqs", "preempt-off": "preemption"}
"""What is off in a state of the processor."""


class Describer:
    """Words for the findings of one tree."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._view = finder.view

    # chains

    def evidence(self, finding: Finding) -> Evidence:
        """Both sides of a finding, step by step."""
        if finding.imbalance:
            steps = self._balance(finding)
        elif finding.interrupted:
            steps = self._interrupted(finding, finding.interrupted)
        else:
            steps = self._steps(finding.leg)
        closing = tuple(self.chain(leg) for leg in finding.closing)
        if finding.careful:
            closing = tuple(replace(chain, context="with interrupts off") for chain in closing)
        at = next((s.line for s in steps[1:] if s.function == finding.site[1]), 0)
        return Evidence(line=at or (steps[0].line if steps else 0), chain=steps, closing=closing)

    def _balance(self, finding: Finding) -> tuple[Step, ...]:
        """Where the lock is taken, and the way out that leaves it as the others do not."""
        file, function = finding.site
        slip = finding.imbalance
        assert slip is not None  # noqa: S101 - asked by the caller
        ref = self._view.function(finding.leg.function)
        end = slip.leaves or (self._view.end_of(ref) if ref is not None else 0)
        if slip.taken:
            taken = Step(function, file, slip.taken, slip.call, slip.node)
            return taken, Step(function, file, end, "return", slip.node)
        return (Step(function, file, end, "unlock", slip.node),)

    def _interrupted(self, finding: Finding, action: Action) -> tuple[Step, ...]:
        """Where the lock is taken, and who comes in between."""
        file, function = finding.site
        return _let_in(function, file, action, finding.closing[0].held)

    def _open(self, leg: Leg) -> Action | None:
        """How a leg that ends in an interrupt takes what it holds."""
        detail = self._view.detail(leg.function) if not leg.path else None
        actions = detail.actions if detail is not None else ()
        return next((a for a in actions if a.node == leg.held and a.blocks), None)

    def chain(self, leg: Leg) -> Chain:
        """One leg: in which context, and the calls from holding to blocking."""
        return Chain(self._context(leg), self._steps(leg))

    def _context(self, leg: Leg) -> str:
        if leg.function == CONTEXT:
            member = self._member(leg)
            if member and not leg.held.endswith(" context"):
                return f"task in {member}, called with {leg.held} held"
            return f"{leg.held}, {member}" if member else self.context_name(leg.held)
        taken = self._finder.taken(leg)
        if taken is not None and taken.kind == "srcu":
            return f"SRCU reader of {leg.held}"
        return "task"

    def _member(self, leg: Leg) -> str:
        """The table's member through which a framework calls the handler of a leg."""
        for registration in self._view.registered(leg.path[0]) if leg.path else ():
            if registration.node == leg.held and registration.what.startswith(OPS):
                return registration.what.removeprefix(OPS)
        return ""

    def _by_framework(self, leg: Leg) -> bool:
        """Whether what a leg holds is a lock that a framework took."""
        return (
            leg.function == CONTEXT
            and bool(self._member(leg))
            and not leg.held.endswith(" context")
        )

    def context_name(self, node: str) -> str:
        """``work item struct x.y``, with the queue it runs on and its flags where known."""
        what, _, name = node.partition(" ")
        text = f"{_WORDS.get(what, what)} {name}".rstrip()
        if what == "work":
            queues = [self._queue(queue) for queue in self._view.queues_of(node)[:2]]
            if queues:
                text += " on " + " or ".join(queues)
        return text

    def _queue(self, queue: str) -> str:
        flags = self._view.flags_of(queue)
        name = queue.removeprefix("workqueue ")
        if not flags:
            return name
        return f"{name} ({', '.join(f or 'no flags, bound' for f in flags)})"

    def _steps(self, leg: Leg) -> tuple[Step, ...]:
        steps: list[Step] = []
        path = list(leg.path)
        if self._by_framework(leg):
            ref = self._view.function(path[0])
            if ref is not None:
                entry = "called with it held"
                steps.append(Step(ref.name, ref.file, ref.line, entry, leg.held, self._member(leg)))
        if leg.function != CONTEXT:
            use, taken = self._finder.use(leg), self._finder.taken(leg)
            ref = self._view.function(leg.function)
            if ref is None:
                return ()
            if taken is not None:
                steps.append(Step(ref.name, ref.file, taken.line, self._took(taken), leg.held))
            elif (action := self._open(leg)) is not None:
                steps.extend(_let_in(ref.name, ref.file, action, leg.target))
            if path and use is not None:
                steps.append(self._call(leg.function, path, 0, use.line))
        for place in range(len(path) - 1):
            if self._view.function(path[place]) is not None:
                steps.append(self._call(path[place], path, place + 1, 0))
        last = self._last(leg)
        if last is not None:
            steps.append(last)
        return tuple(steps)

    @staticmethod
    def _took(taken: Taken) -> str:
        return f"held on entry ({taken.call})" if taken.entry else taken.call

    def _call(self, caller: int, path: list[int], place: int, line: int) -> Step:
        """The step in which *caller* calls ``path[place]``, through a table if need be."""
        ref = self._view.function(caller)
        assert ref is not None  # noqa: S101 - virtual callees make no step of their own
        indirect = ""
        callee = self._view.callable_name(path[place])
        shown = callee
        if self._view.function(path[place]) is None:
            indirect = callee
            real = (n for n in path[place:] if self._view.function(n) is not None)
            shown = self._view.callable_name(next(real, path[place])).removeprefix(OPS)
        field = callee.rsplit(".", 1)[-1] if indirect else callee
        number = line or self._view.call_line(caller, field)
        return Step(ref.name, ref.file, number, shown, "", indirect)

    def _last(self, leg: Leg) -> Step | None:
        action = self._finder.action(leg)
        actor = leg.path[-1] if leg.path else leg.function
        ref = self._view.function(actor) if actor >= 0 else None
        if action is None or ref is None:
            return None
        line = action.line or self._view.call_line(actor, action.call)
        return Step(ref.name, ref.file, line, action.call, leg.target)

    # scenario

    def scenario(self, finding: Finding) -> Scenario:
        """The order of events that does not end, a column a context."""
        kind = finding.kind
        held = finding.leg.held
        if finding.interrupted:
            way, *others = finding.closing
            rows = [ScenarioRow(0, f"lock({held})")]
            rows += [ScenarioRow(1, self._take_text(other)) for other in others]
            rows += [ScenarioRow(0, "<Interrupt>"), ScenarioRow(0, f"  lock({way.target})")]
            rows += [ScenarioRow(1, self._wait_text(other)) for other in others]
            return Scenario(("CPU0", "CPU1")[: 1 + len(others)], tuple(rows))
        wait = self._wait_text(finding.leg)
        take = self._take_text(finding.leg)
        if kind is HazardKind.WORKER_POOL_CYCLE:
            closing = finding.closing[0]
            return Scenario(
                ("CPU0", "kworker", "kworker pool"),
                (
                    ScenarioRow(0, take),
                    ScenarioRow(1, f"{self._runs(closing)}:"),
                    ScenarioRow(1, f"lock({held}) waits"),
                    ScenarioRow(0, wait),
                    ScenarioRow(2, f"process_srcu() for {finding.leg.target} finds no free worker"),
                ),
            )
        if not finding.closing:
            rows = [ScenarioRow(0, take)]
            if kind is HazardKind.LOCK_IMBALANCE:
                rows.append(ScenarioRow(0, "return, still held or not held at all"))
            else:
                rows.append(ScenarioRow(0, wait))
            return Scenario(("CPU0",), tuple(rows))
        ways = list(enumerate(finding.closing, 1))
        rows = [
            ScenarioRow(0, take),
            *(ScenarioRow(column, self._take_text(way)) for column, way in ways),
            *(ScenarioRow(column, self._wait_text(way)) for column, way in ways),
            ScenarioRow(0, wait),
        ]
        return Scenario(("CPU0", *(self._where(way, column) for column, way in ways)), tuple(rows))

    def _where(self, way: Leg, column: int) -> str:
        """The heading of what closes a cycle: another CPU, or the handler that runs."""
        lock = way.function != CONTEXT or self._by_framework(way)
        return f"CPU{column}" if lock else self._runs(way)

    def _runs(self, leg: Leg) -> str:
        ref = self._view.function(leg.path[0]) if leg.path else None
        return f"{ref.name}()" if ref is not None else leg.held

    def _take_text(self, leg: Leg) -> str:
        if self._by_framework(leg):
            return f"lock({leg.held})"
        if leg.function == CONTEXT:
            return f"{self._runs(leg)} runs"
        taken = self._finder.taken(leg)
        if taken is not None and taken.kind in ("srcu", "rcu"):
            return f"{taken.call}({leg.held})" if taken.kind == "srcu" else _called(taken.call)
        word = "rlock" if taken is not None and taken.mode == "read" else "lock"
        return f"{word}({leg.held})"

    def _wait_text(self, leg: Leg) -> str:
        action = self._finder.action(leg)
        if action is None:
            return "<Interrupt>" if self._open(leg) is not None else f"wait({leg.target})"
        if not action.what:
            word = "rlock" if action.mode == "read" else "lock"
            return f"{word}({leg.target})"
        name = leg.target if action.what.endswith("-gp") else leg.target.partition(" ")[2]
        return f"{action.call}({name})"

    # prose

    def summary(self, finding: Finding) -> str:
        """What the hazard is, in a sentence or two."""
        leg = finding.leg
        function = f"{finding.site[1]}()"
        call = self._call_name(leg)
        through = f" through {finding.via}()" if finding.via else ""
        held, target = leg.held, leg.target
        if finding.interrupted and len(finding.closing) > 1:
            way, other = finding.closing
            return (
                f"{function} takes {held} with interrupts on: {self.context_name(way.held)} may"
                f" come in and wait for {way.target}, whose holder waits for {other.target}."
            )
        if finding.careful:
            return (
                f"{function} takes {held} with interrupts on; the {finding.careful} other functions"
                " that take it keep them out, since one that takes it as well would never get it."
            )
        if finding.interrupted:
            return (
                f"{function} takes {held} with interrupts on that take it too:"
                f" {self.context_name(target)} may come in on the same CPU and never get it."
            )
        if finding.kind is HazardKind.WORKER_POOL_CYCLE:
            work = finding.closing[0]
            return (
                f"{function} holds {held} over {call} on {target}{through}. The grace period ends"
                f" only when a kworker runs process_srcu(), and {self.context_name(work.held)}"
                f" blocks a kworker on {held}."
            )
        if finding.kind is HazardKind.GRACE_PERIOD_CYCLE:
            return (
                f"{function} holds {held} over a wait that includes a grace period of SRCU domain"
                f" {target}, and a reader of it takes {held}: neither can end before the other."
            )
        if finding.kind is HazardKind.GRACE_PERIOD_IN_READER:
            return (
                f"{function} waits in {call}{through} for a grace period of {target} inside a"
                " reader of it, which the grace period waits for."
            )
        if finding.kind is HazardKind.FLUSH_CYCLE:
            if held == target:
                return f"{function} waits{through} for {target} from within its own handler."
            ends = self._round_about(finding) or f"{self._ender(target)} takes {held}"
            return (
                f"{function} holds {held} over {call}{through}, which waits for"
                f" {self.context_name(target)}; {ends}."
            )
        if finding.kind is HazardKind.RECURSIVE_LOCK:
            name = held if held == target else f"{held}, to which {target} points,"
            return f"{function} takes {name} while it holds it already{through}."
        if finding.on_rt:
            where = self._while(leg)
            if leg.function == CONTEXT:
                where = "in a callback that is made under a raw spinlock or with interrupts off"
            return (
                f"{function} takes {target}{through} {where}: on PREEMPT_RT that is a lock that"
                " sleeps, and nothing may sleep there."
            )
        if finding.kind is HazardKind.SLEEP_IN_ATOMIC and leg.function == CONTEXT:
            where = self.context_name(held)
            return f"{function} runs as {where}, and reaches {self._sleep(leg)}, which may sleep."
        if finding.kind is HazardKind.SLEEP_IN_ATOMIC:
            slept = self._sleep(leg)
            return f"{function} reaches {slept}{through}, which may sleep, {self._while(leg)}."
        if finding.kind is HazardKind.LOCK_IMBALANCE:
            return f"{function} leaves {held} in another state on one way out than on the others."
        back = self._round_about(finding) or f"{held} is taken while {target} is held"
        return f"{function} takes {target} while it holds {held}{through}; elsewhere {back}."

    def _sleep(self, leg: Leg) -> str:
        """What a leg ends in, with the lock if it is one."""
        lock = f" of {leg.target}" if self._finder.takes_lock(leg) else ""
        return f"{self._call_name(leg)}{lock}"

    def _while(self, leg: Leg) -> str:
        """What a leg holds; of a state of the processor, by which call it is in it."""
        taken = self._finder.taken(leg)
        if taken is None or taken.kind not in _STATES:
            return f"while it holds {leg.held}"
        return f"with {_STATES[taken.kind]} off since {_called(taken.call)}"

    def _round_about(self, finding: Finding) -> str:
        """How a cycle of three leads back to where it began; empty if there are but two."""
        if len(finding.closing) < 2:
            return ""
        return " and ".join(
            f"{self.context_name(leg.held)} leads to {self.context_name(leg.target)}"
            for leg in finding.closing
        )

    @staticmethod
    def _ender(target: str) -> str:
        """Who brings about what is waited for."""
        return "who completes it" if target.startswith("completion ") else "the handler"

    def _call_name(self, leg: Leg) -> str:
        action = self._finder.action(leg)
        return _called(action.call) if action is not None else "a wait"


def _called(name: str) -> str:
    """``f()``; what is written with its argument, as ``guard(mutex)``, is a call already."""
    return name if name.endswith(")") else f"{name}()"


def _let_in(function: str, file: str, action: Action, who: str) -> tuple[Step, Step]:
    """Where a lock is taken with interrupts on, and who comes in."""
    return (
        Step(function, file, action.line, action.call, action.node),
        Step(function, file, action.line, "interrupt", who),
    )
