# SPDX-License-Identifier: GPL-2.0-or-later
"""Change code of a real kernel without changing what it does, and see that nothing is told.

    bench/refactorings.py --tree DIR [--cache DIR] [--seed N] [--count N] [--kind KIND] [--json]

Each change is made to one function of one file and written as a tree of its own beside
the repository.  It is compared with the tree as it is, both ways, once as a series that
says nothing of itself and once as one that says it mends a deadlock.  Whatever is said
to come or to go is wrong.

alias    a lock is taken and released by a pointer to it
assert   what holds a lock asserts that it does, and prints something
goto     a release and the return behind it move to a label at the end
guard    a lock that is released right before each return becomes a guard()
helper   what stands between a lock and its release moves to a function, with both
invert   what follows an early return moves into the block of the opposite condition
rename   a lock of the file has another name
scoped   what stands between a lock and its release becomes a scoped_guard()
wrap     a static function calls itself by another name
"""

from __future__ import annotations

import collections
import json
import random
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from bench.edits import PAIRS, Call, Index, Source, options_of, takers
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.locking.compare import compare
from reviewbot.locking.facts import Function
from reviewbot.locking.index import Settings
from reviewbot.locking.model import Verdict
from reviewbot.locking.primitives import builtin
from reviewbot.locking.reading import read_facts
from reviewbot.locking.trees import Trees

GUARDS = {
    "mutex_lock": "mutex",
    "spin_lock": "spinlock",
    "spin_lock_irq": "spinlock_irq",
    "spin_lock_bh": "spinlock_bh",
    "spin_lock_irqsave": "spinlock_irqsave",
    "down_read": "rwsem_read",
    "down_write": "rwsem_write",
}
"""The guards of linux/cleanup.h's users, by what they take."""
TYPES = {
    "mutex_lock": "struct mutex",
    "spin_lock": "spinlock_t",
    "spin_lock_irq": "spinlock_t",
    "spin_lock_bh": "spinlock_t",
    "spin_lock_irqsave": "spinlock_t",
    "down_read": "struct rw_semaphore",
    "down_write": "struct rw_semaphore",
}
"""What they take."""
CLAIMS = ("", "fix a possible deadlock")
QUIET = (Verdict.CLEAN, Verdict.NOT_REMOVED)
_MAX_LINES = 300
_MAX_REGION = 40
_LEAVES = re.compile(r"\b(?:return|goto|break|continue|case|default)\b|^\w+:|#", re.M)
_HEAD = re.compile(r"static ((?:inline )?(?:void|int|bool) )(\w+)\(([^()]+)\)\s*\{")
_NAME = re.compile(r"(\w+)$")
_EARLY = re.compile(r"^\tif \((.+)\)\n\t\t(return[^;\n]*;)\n", re.M)
_DECLARED = re.compile(
    r"^static (?:(?:struct mutex|spinlock_t|struct rw_semaphore)\s+(\w+);"
    r"|DEFINE_(?:MUTEX|SPINLOCK)\((\w+)\);)",
    re.M,
)


@dataclass(frozen=True)
class Change:
    """One change, and what was said of it."""

    kind: str
    path: str
    function: str
    said: tuple[str, ...]
    """What came or went, for each way that it was compared; empty if nothing did."""


@dataclass(frozen=True)
class Region:
    """A lock and its release in one block, and the lines between them, which do not leave it."""

    lock: Call
    release: Call
    lines: tuple[str, ...]


def regions(source: Source, function: Function) -> Iterator[Region]:
    """The locked regions of a function."""
    calls = source.calls(function)
    for lock in (call for call in calls if call.name in GUARDS):
        release = next((c for c in calls if c.row > lock.row and _ends(c, lock)), None)
        if release is None:
            continue
        lines = source.lines[lock.row + 1 : release.row]
        text = "\n".join(lines)
        inside = all(not line or line.startswith(lock.indent) for line in lines)
        again = re.search(rf"\b(?:{lock.name}|{release.name})\b", text)
        if inside and 0 < len(lines) <= _MAX_REGION and not (again or _LEAVES.search(text)):
            yield Region(lock, release, lines)


def _ends(call: Call, lock: Call) -> bool:
    return (call.name, call.lock, call.indent) == (PAIRS[lock.name], lock.lock, lock.indent)


# ---- what to change ----


def to_alias(source: Source, function: Function) -> Iterator[list[str]]:
    for region in regions(source, function):
        lock, release = region.lock, region.release
        pointer = f"{lock.indent}{TYPES[lock.name]} *own_lock = {lock.lock};"
        taken = source.lines[lock.row].replace(lock.lock, "own_lock", 1)
        given = source.lines[release.row].replace(lock.lock, "own_lock", 1)
        yield [
            *source.lines[: lock.row], pointer, taken, *region.lines, given,
            *source.lines[release.row + 1 :],
        ]  # fmt: skip


def to_assert(source: Source, function: Function) -> Iterator[list[str]]:
    for region in regions(source, function):
        at, indent = region.lock.row + 1, region.lock.indent
        new = [f"{indent}lockdep_assert_held({region.lock.lock});", f'{indent}pr_debug("here\\n");']
        yield [*source.lines[:at], *new, *source.lines[at:]]


def to_scoped(source: Source, function: Function) -> Iterator[list[str]]:
    for region in regions(source, function):
        lock = region.lock
        new = [
            f"{lock.indent}scoped_guard({GUARDS[lock.name]}, {lock.lock}) {{",
            *(f"\t{line}" if line else line for line in region.lines),
            f"{lock.indent}}}",
        ]
        yield [*source.lines[: lock.row], *new, *source.lines[region.release.row + 1 :]]


def to_guard(source: Source, function: Function) -> Iterator[list[str]]:
    """One lock of a kind in the function, released on the line before each return and the end."""
    calls, body = source.calls(function), source.body(function)
    for lock in (call for call in calls if call.name in GUARDS and call.indent == "\t"):
        releases = [c for c in calls if c.name == PAIRS[lock.name] and c.lock == lock.lock]
        if len(re.findall(rf"\b{lock.name}\b", body)) != 1:
            continue
        if len(re.findall(rf"\b{PAIRS[lock.name]}\b", body)) != len(releases):
            continue
        ends = {
            row
            for row in range(lock.row + 1, function.end)
            if source.lines[row].strip().startswith("return") or row == function.end - 1
        }
        last = source.lines[function.end - 2].strip()
        if last.startswith("return"):
            ends.discard(function.end - 1)
        jumps = "goto" in "\n".join(source.lines[function.line - 1 : lock.row])
        if jumps or {call.row + 1 for call in releases} != ends:
            continue
        gone = {call.row for call in releases}
        lines = [line for row, line in enumerate(source.lines) if row not in gone]
        lines[lock.row] = f"\tguard({GUARDS[lock.name]})({lock.lock});"
        yield lines


def to_goto(source: Source, function: Function) -> Iterator[list[str]]:
    """Where a function that returns something releases a lock in a block of its own."""
    start, end = function.line - 1, function.end - 1
    if "own_" in source.body(function) or not source.lines[end - 1].startswith("\treturn "):
        return
    top = next((row for row in range(start, end) if source.lines[row] == "{"), end)
    for call in source.calls(function):
        given = re.fullmatch(r"\t\t+return (.+);", source.lines[call.row + 1])
        if call.name not in PAIRS.values() or call.row < top or given is None:
            continue
        if not source.lines[call.row + 2].strip().startswith("}"):
            continue
        jump = [f"{call.indent}own_result = {given[1]};", f"{call.indent}goto own_out;"]
        tail = ["own_out:", f"\t{call.name}({call.args});", "\treturn own_result;"]
        yield [
            *source.lines[: top + 1], "\tint own_result;", *source.lines[top + 1 : call.row], *jump,
            *source.lines[call.row + 2 : end], *tail, *source.lines[end:],
        ]  # fmt: skip


def to_helper(source: Source, function: Function) -> Iterator[list[str]]:
    """Regions that name parameters only, and set nothing."""
    kinds = dict(function.params)
    for region in regions(source, function):
        lock, release = region.lock, region.release
        text = "\n".join((lock.args, *region.lines))
        words = set(re.findall(r"\b[A-Za-z_]\w*\b", text))
        given = [name for name in kinds if name in words]
        if not given or words & (function.locals.keys() - kinds.keys()) or "=" in text:
            continue
        if "{" in text or lock.args != lock.lock:
            continue
        name = f"__locked_{function.name}"
        new = [
            f"static void {name}({', '.join(f'{kinds[own]} {own}' for own in given)})",
            "{",
            f"\t{lock.name}({lock.args});",
            *region.lines,
            f"\t{release.name}({release.args});",
            "}",
        ]
        call = f"{lock.indent}{name}({', '.join(given)});"
        start = function.line - 1
        yield [
            *source.lines[:start], *new, *source.lines[start : lock.row], call,
            *source.lines[release.row + 1 :],
        ]  # fmt: skip


def to_inverted(source: Source, function: Function) -> Iterator[list[str]]:
    body = source.body(function)
    for early in _EARLY.finditer(body):
        rest = body[early.end() : body.rindex("}")]
        if re.search(r"^(?:\w+:|#)|^\t(?:case|default)\b", rest, re.M):
            continue
        deeper = [f"\t{line}" if line else line for line in rest.rstrip("\n").split("\n")]
        new = [
            *body[: early.start()].split("\n")[:-1], f"\tif (!({early[1]})) {{", *deeper, "\t}",
            f"\t{early[2]}", "}",
        ]  # fmt: skip
        yield [*source.lines[: function.line - 1], *new, *source.lines[function.end :]]


def to_renamed(source: Source, function: Function) -> Iterator[list[str]]:
    """Locks of file scope by a name that the file has for nothing else."""
    text = "\n".join(source.lines)
    taken = {call.lock.lstrip("&") for call in source.calls(function)}
    for name in sorted({match[1] or match[2] for match in _DECLARED.finditer(text)} & taken):
        if not re.search(rf"(?:\.|->|struct ){name}\b", text):
            yield re.sub(rf"\b{name}\b", "own_lock", text).split("\n")


def to_wrapper(source: Source, function: Function) -> Iterator[list[str]]:
    """Static functions that take a lock themselves."""
    start, body = function.line - 1, source.body(function)
    head = _HEAD.match(body)
    if head is None or not any(f"{name}(" in body for name in PAIRS):
        return
    names = [_NAME.search(given.strip()) for given in head[3].split(",")]
    if head[3].strip() == "void" or not all(names):
        return
    given = ", ".join(name[1] for name in names if name)
    result = "" if "void" in head[1] else "return "
    new = [
        *body.replace(f"{head[2]}(", f"__plain_{head[2]}(", 1).split("\n"),
        "",
        f"static {head[1]}{head[2]}({' '.join(head[3].split())})",
        "{",
        f"\t{result}__plain_{head[2]}({given});",
        "}",
    ]
    yield [*source.lines[:start], *new, *source.lines[function.end :]]


KINDS: dict[str, Callable[[Source, Function], Iterator[list[str]]]] = {
    "alias": to_alias,
    "assert": to_assert,
    "goto": to_goto,
    "guard": to_guard,
    "helper": to_helper,
    "invert": to_inverted,
    "rename": to_renamed,
    "scoped": to_scoped,
    "wrap": to_wrapper,
}


# ---- choosing, and judging ----


def changes(
    repository: Repository, tree: str, kinds: list[str], count: int, seed: int
) -> Iterator[tuple[str, str, str, list[str]]]:
    """(kind, path, function, lines) of *count* changes, in an order fixed by *seed*."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    left = dict.fromkeys(kinds, count // len(kinds))
    for path, raw in takers(repository, tree, chance):
        source = Source(path, tuple(raw.decode("latin-1").split("\n")), lambda *_: "")
        functions = [
            function
            for function in read_facts(raw, builtin().flow_names).functions
            if function.flows and not function.macro and function.end - function.line < _MAX_LINES
        ]
        for kind in (kind for kind in kinds if left[kind] > 0):
            some = [(f.name, lines) for f in functions for lines in KINDS[kind](source, f)]
            if some:
                left[kind] -= 1
                yield kind, path, *chance.choice(some)
        if not any(left.values()):
            return


def said(scratch: Scratch, tree: str, changed: str, path: str, settings: Settings) -> Iterator[str]:
    """What is wrongly said to come or go, one way or the other."""
    with Trees(scratch, settings) as opened:
        views = opened.views(tree, [changed])
        for way, pair in (("there", views), ("back", views[::-1])):
            for claim in CLAIMS:
                found = compare(pair, [path], claim)
                if found.verdict not in QUIET:
                    kinds = ", ".join(
                        f"{h.state.value} {h.kind.value} {' -> '.join(h.classes)}"
                        for h in found.hazards
                    )
                    yield f"{way}, {claim or 'no claim'}: {found.verdict.value}: {kinds}"


def summary(results: list[Change]) -> str:
    """A line a kind."""
    groups: dict[str, list[Change]] = collections.defaultdict(list)
    for result in results:
        groups[result.kind].append(result)
    out = ["kind        n  wrong"]
    for kind, some in [*sorted(groups.items()), ("all", results)]:
        out.append(f"{kind:8}{len(some):5}{sum(bool(r.said) for r in some):7}")
    return "\n".join(out)


def main() -> int:
    """Run the bench; exit status 0."""
    options = options_of(__doc__, KINDS, 150)
    settings = Settings(options.cache, builtin())
    results: list[Change] = []
    with Repository.open(options.tree) as repository, Scratch(repository) as scratch:
        tree = repository.tree_of(repository.resolve("HEAD"))
        index = Index(scratch, tree)
        chosen = list(changes(repository, tree, options.kind, options.count, options.seed))
        for kind, path, function, lines in chosen:
            changed = index.tree_with(path, "\n".join(lines))
            wrong = tuple(said(scratch, tree, changed, path, settings))
            results.append(Change(kind, path, function, wrong))
            if not options.json:
                print(f"{'-- ' if wrong else 'ok '}{kind:8}{path} {function}()", flush=True)
                for line in wrong:
                    print(f"        {line}", flush=True)
    found = [asdict(result) for result in results]
    print(json.dumps(found, indent=1) if options.json else "\n" + summary(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
