# SPDX-License-Identifier: GPL-2.0-or-later
"""Make wrong code out of right code on a real kernel, and see whether it is told.

    bench/mutants.py --tree DIR [--cache DIR] [--seed N] [--count N] [--kind KIND] [--json]

Each mutant is an edit of one function of one file, written as a tree of its own
beside the repository.  It counts as told if the comparison of the tree with the
mutant reports a hazard of the right kind on the right class as introduced, and the
comparison the other way round reports it as removed.

Where a mutant is made is decided by the text of the function, and by plain facts
about the tree: who is registered as a handler, which locks a function takes with
calls of its own.  Whether the checker would find anything there is never asked.

unlock   a release that stands right before a ``return`` is dropped; the function takes the
         lock once, before it, and releases it somewhere else too
order    the two lines that take two locks are swapped, where another function takes both in the
         same order and none takes them in the other
wait     a wait that follows the release of a spinlock is moved before it
cancel   a work item is cancelled under the lock that its handler takes in its own text
"""

from __future__ import annotations

import collections
import json
import random
import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise

from bench.edits import PAIRS, Call, Index, Source, options_of, takers
from reviewbot.errors import ReviewbotError
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.locking.classes import Classifier
from reviewbot.locking.compare import compare
from reviewbot.locking.facts import Function
from reviewbot.locking.index import Settings
from reviewbot.locking.model import ChangeState, Comparison, HazardKind
from reviewbot.locking.names import lock_expression
from reviewbot.locking.primitives import builtin
from reviewbot.locking.reading import read_facts
from reviewbot.locking.trees import Trees
from reviewbot.locking.view import View

WAITS = (
    "synchronize_rcu", "synchronize_net", "synchronize_srcu", "cancel_work_sync", "flush_work",
    "cancel_delayed_work_sync", "flush_workqueue", "destroy_workqueue", "mutex_lock",
    "timer_shutdown_sync", "wait_for_completion", "free_irq",
)  # fmt: skip
_MAX_LINES = 400
_PER_FILE = 2


@dataclass(frozen=True)
class Mutant:
    """One edit: line numbers are 1-based."""

    kind: str
    path: str
    function: str
    line: int
    classes: tuple[str, ...]
    """Classes of which the hazard has to name one."""
    text: str
    """The whole file, changed."""


@dataclass(frozen=True)
class Result:
    """What was said of a mutant."""

    kind: str
    path: str
    function: str
    line: int
    classes: tuple[str, ...]
    introduced: bool
    removed: bool
    said: tuple[str, ...]
    seconds: float


WANTED = {
    "unlock": {HazardKind.LOCK_IMBALANCE, HazardKind.RECURSIVE_LOCK},
    "order": {HazardKind.LOCK_ORDER_INVERSION},
    "wait": {HazardKind.SLEEP_IN_ATOMIC},
    "cancel": {HazardKind.FLUSH_CYCLE},
}


# ---- where to cut ----


def drop_unlock(source: Source, function: Function, view: View) -> Iterator[Mutant]:
    """A release right before a return, in a function that releases the lock elsewhere too."""
    calls = source.calls(function)
    for lock, unlock in PAIRS.items():
        taken = [c for c in calls if c.name == lock]
        for given in (c for c in calls if c.name == unlock):
            same = [c for c in taken if c.lock == given.lock]
            others = [c for c in calls if c.name == unlock and c.lock == given.lock]
            before, after = source.lines[given.row - 1].strip(), source.lines[given.row + 1].strip()
            mentions = len(
                re.findall(rf"\b{lock}\({re.escape(given.lock)}\b", source.body(function))
            )
            if len(same) != 1 or mentions != 1 or len(others) < 2 or same[0].row > given.row:
                continue
            if same[0].indent != "\t" or not after.startswith("return"):
                continue
            cls = source.classify(given.lock, function)
            if cls and before.endswith((";", "{")) and given.indent != "\t":
                yield _mutant(
                    source, "unlock", function, given.row, (cls,), source.without(given.row)
                )


def swap_order(source: Source, function: Function, view: View) -> Iterator[Mutant]:
    """Two locks taken one right after the other, as another function takes them too."""
    calls = source.calls(function)
    takers = ("mutex_lock", "spin_lock", "down_read", "down_write")
    for first, second in pairwise(calls):
        if second.row != first.row + 1 or not {first.name, second.name} <= set(takers):
            continue
        if (first.name == "spin_lock") != (second.name == "spin_lock"):
            continue  # a mutex under a spinlock would be wrong for another reason
        outer, inner = (source.classify(c.lock, function) for c in (first, second))
        if not outer or not inner or outer == inner or "down_read" in (first.name, second.name):
            continue
        if _taken_together(view, outer, inner, function.name):
            row = {first.row: source.lines[second.row], second.row: source.lines[first.row]}
            yield _mutant(
                source, "order", function, first.row, (outer, inner), source.with_lines(row)
            )


def _taken_together(view: View, outer: str, inner: str, but: str) -> bool:
    """Whether another function takes both, always *outer* first."""
    return _takes_inside(view, inner, outer, but) and not _takes_inside(view, outer, inner, but)


def _takes_inside(view: View, lock: str, held: str, but: str) -> bool:
    """Whether a function other than *but* takes *lock* itself while it holds *held*."""
    node = view.node(lock)
    if node is None:
        return False
    functions, _ = view.graph.actors_on(node)
    for number in set(functions.tolist()):
        detail, ref = view.detail(number), view.function(number)
        if detail is None or ref is None or ref.name == but:
            continue
        for use in detail.uses:
            action = detail.actions[use.action] if use.action >= 0 else None
            inside = any(t.node == held and not t.nested for t in use.held)
            if action is not None and action.node == lock and action.blocks and inside:
                return True
    return False


def move_wait(source: Source, function: Function, view: View) -> Iterator[Mutant]:
    """A wait that follows the release of a spinlock within a few lines of the same block."""
    calls = source.calls(function)
    releases = {PAIRS[name] for name in PAIRS if name.startswith("spin_lock")}
    for given in (c for c in calls if c.name in releases):
        locks = [c for c in calls if c.lock == given.lock and PAIRS.get(c.name) == given.name]
        if not any(c.row < given.row and c.indent == given.indent for c in locks):
            continue
        for wait in (c for c in calls if c.name in WAITS and c.indent == given.indent):
            between = source.lines[given.row + 1 : wait.row]
            if not 0 < wait.row - given.row <= 6 or not all(_same_block(b, given) for b in between):
                continue
            lines = list(source.lines)
            lines.insert(given.row, lines.pop(wait.row))
            cls = source.classify(given.lock, function)
            if cls:
                yield _mutant(source, "wait", function, given.row, (cls,), "\n".join(lines))
            break


def _same_block(line: str, call: Call) -> bool:
    if not line.strip():
        return True
    plain = line.startswith(call.indent) and not line.startswith(call.indent + "\t")
    return plain and line.rstrip().endswith(";") and not line.strip().startswith(
        ("return", "goto", "break", "continue", "if", "for", "while", "spin_", "else")
    )  # fmt: skip


def cancel_under_lock(source: Source, function: Function, view: View) -> Iterator[Mutant]:
    """The work of an object whose handler takes the lock of the same object in its own text."""
    for call in source.calls(function):
        match = re.fullmatch(r"&(.*(?:->|\.))(\w+)", call.args)
        if call.name != "mutex_lock" or match is None:
            continue
        cls = source.classify(call.lock, function)
        owner = cls.rpartition(".")[0]
        for work, delayed in _works_of(view, owner):
            if work.rpartition(".")[2] in source.body(function):
                continue
            if not _handler_takes(view, f"work {work}", cls):
                continue
            if any(
                r.function == _number(view, source, function)
                for r in view.registrations(f"work {work}")
            ):
                continue
            name = "cancel_delayed_work_sync" if delayed else "cancel_work_sync"
            field = work[len(owner) + 1 :]
            lines = list(source.lines)
            lines.insert(call.row + 1, f"{call.indent}{name}(&{match[1]}{field});")
            yield _mutant(
                source, "cancel", function, call.row, (cls, f"work {work}"), "\n".join(lines)
            )
            break


def _number(view: View, source: Source, function: Function) -> int:
    return next((r.id for r in view.functions_in(source.path) if r.line == function.line), -1)


def _works_of(view: View, owner: str) -> Iterator[tuple[str, bool]]:
    """(class, whether delayed) of the work items that are fields of a struct."""
    if not owner.startswith("struct ") or "." in owner or "(" in owner:
        return
    for ref in view.store.structs(owner):
        for name, kind in ref.fields.items():
            if kind in ("struct work_struct", "struct delayed_work"):
                yield f"{owner}.{name}", kind == "struct delayed_work"


def _handler_takes(view: View, work: str, cls: str) -> bool:
    """Whether a handler of *work* takes *cls* with a call of its own."""
    for registration in view.registrations(work):
        detail = view.detail(registration.function)
        if detail is not None and any(
            a.node == cls and a.blocks and a.call == "mutex_lock" for a in detail.actions
        ):
            return True
    return False


def _mutant(
    source: Source,
    kind: str,
    function: Function,
    row: int,
    classes: tuple[str, ...],
    text: str,
) -> Mutant:
    return Mutant(kind, source.path, function.name, row + 1, classes, text)


KINDS = {
    "unlock": drop_unlock,
    "order": swap_order,
    "wait": move_wait,
    "cancel": cancel_under_lock,
}
"""What can be done to a function, by name."""


# ---- choosing ----


def mutants(
    repository: Repository, view: View, tree: str, kinds: Iterable[str], count: int, seed: int
) -> list[Mutant]:
    """*count* mutants, as many of each kind as there are sites for, in an order fixed by *seed*."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    share = {kind: count // len(KINDS) for kind in kinds}
    out: dict[str, list[Mutant]] = {kind: [] for kind in kinds}
    for path, text in takers(repository, tree, chance):
        open_ = [kind for kind in out if len(out[kind]) < share[kind]]
        if not open_:
            break
        for mutant in _in_file(view, path, text, open_, chance):
            if len(out[mutant.kind]) < share[mutant.kind]:
                out[mutant.kind].append(mutant)
    return [mutant for some in out.values() for mutant in some]


def _in_file(
    view: View,
    path: str,
    raw: bytes,
    kinds: list[str],
    chance: random.Random,
) -> list[Mutant]:
    text = raw.decode("latin-1")
    classifier = Classifier(path, view.store)
    facts = read_facts(raw, builtin().flow_names)

    def classify(lock: str, function: Function) -> str:
        expression = lock_expression("".join(lock.split()), function.locals)
        return classifier.place(expression, function.locals, function.name).cls

    source = Source(path, tuple(text.split("\n")), classify)
    found: list[Mutant] = []
    for kind in kinds:
        some = [
            mutant
            for function in map(classifier.vetted, facts.functions)
            if function.flows and not function.macro and function.end - function.line < _MAX_LINES
            for mutant in KINDS[kind](source, function, view)
        ]
        chance.shuffle(some)
        found.extend(some[:_PER_FILE])
    return found


# ---- judging ----


def judge(mutant: Mutant, scratch: Scratch, tree: str, settings: Settings, index: Index) -> Result:
    """Compare the tree with the mutant, both ways."""
    started = time.monotonic()
    changed = index.tree_with(mutant.path, mutant.text)
    with Trees(scratch, settings) as opened:
        views = opened.views(tree, [changed])
        there = compare(views, [mutant.path], "")
        back = compare(views[::-1], [mutant.path], "")
    return Result(
        mutant.kind, mutant.path, mutant.function, mutant.line, mutant.classes,
        _told(there, mutant, ChangeState.INTRODUCED), _told(back, mutant, ChangeState.REMOVED),
        tuple(f"{h.state.value} {h.kind.value} {' -> '.join(h.classes)}" for h in there.hazards),
        round(time.monotonic() - started, 2),
    )  # fmt: skip


def _told(comparison: Comparison, mutant: Mutant, state: ChangeState) -> bool:
    return any(
        hazard.kind in WANTED[mutant.kind]
        and any(site.state is state for site in hazard.sites)
        and not set(mutant.classes).isdisjoint(hazard.classes)
        for hazard in comparison.hazards
    )


def summary(results: list[Result]) -> str:
    """A line a kind, and what was missed."""
    out = ["kind        n  introduced  removed again"]
    groups: dict[str, list[Result]] = collections.defaultdict(list)
    for result in results:
        groups[result.kind].append(result)
    for kind, some in [*sorted(groups.items()), ("all", results)]:
        there, back = sum(r.introduced for r in some), sum(r.removed for r in some)
        if some:
            out.append(
                f"{kind:8}{len(some):5}{there:6} {there / len(some):5.0%}"
                f"{back:8} {back / len(some):5.0%}"
            )
    missed = [r for r in results if not (r.introduced and r.removed)]
    if missed:
        out.append("\nmissed:")
    for r in missed:
        out.append(f"{r.kind:8}{r.path}:{r.line} {r.function}() {', '.join(r.classes)}")
        out.extend(f"        said: {said}" for said in r.said[:3])
    return "\n".join(out)


def main() -> int:
    """Run the bench; exit status 0."""
    options = options_of(__doc__, KINDS, 300)
    settings = Settings(options.cache, builtin())
    results: list[Result] = []
    with Repository.open(options.tree) as repository, Scratch(repository) as scratch:
        tree = repository.tree_of(repository.resolve("HEAD"))
        with Trees(repository, settings) as opened:
            (view,) = opened.views(tree, [])
            chosen = mutants(repository, view, tree, options.kind, options.count, options.seed)
        index = Index(scratch, tree)
        for mutant in chosen:
            try:
                results.append(judge(mutant, scratch, tree, settings, index))
            except ReviewbotError as error:
                print(f"{mutant.path}: {error}", file=sys.stderr)
                continue
            if not options.json:
                _print(results[-1])
    found = [asdict(r) for r in results]
    print(json.dumps(found, indent=1) if options.json else "\n" + summary(results))
    return 0


def _print(result: Result) -> None:
    mark = "ok " if result.introduced and result.removed else "-- "
    where = f"{result.path}:{result.line} {result.function}()"
    print(f"{mark}{result.kind:8}{where:90} {result.seconds:6.2f}s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
