# SPDX-License-Identifier: GPL-2.0-or-later
"""The walk against an interpreter of random functions, and against itself in other words.

The interpreter runs the statements as written, with sets of states and no flow
graph, once for every value of the flags: what it says is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reviewbot.locking.flow import Walk
from tests.locking.test_flow import DECLARATIONS, FILE, held_at, kernel_of, ways_out

LOCKS = ("a", "b", "c")
FLAGS = ("x", "y")
"""Parameters of the function: every test of one of them comes out the same."""


# ---- random functions ----


@dataclass(frozen=True)
class Do:
    """``lock``, ``unlock``, ``probe``, ``break``, ``continue``, ``return`` or ``goto``."""

    what: str
    lock: str = ""


@dataclass(frozen=True)
class If:
    """On a flag, a trylock or something unknown (empty)."""

    on: str
    then: Block
    other: Block


@dataclass(frozen=True)
class Loop:
    """``while``, ``do``, ``for`` without an end, or ``for_each``."""

    how: str
    body: Block


@dataclass(frozen=True)
class Guard:
    """A block with a guard, or a ``scoped_guard``."""

    how: str
    lock: str
    body: Block


@dataclass(frozen=True)
class Switch:
    """Arms with a break or without; the last one is the default if there is one."""

    arms: tuple[tuple[Block, bool], ...]
    default: bool


Statement = Do | If | Loop | Guard | Switch
Block = tuple[Statement, ...]

_SIMPLE = st.one_of(
    st.builds(Do, st.sampled_from(["lock", "unlock"]), st.sampled_from(LOCKS)),
    st.just(Do("probe")),
    st.just(Do("probe")),
    st.builds(Do, st.sampled_from(["break", "continue", "return", "goto"])),
)


def _compound(inner: st.SearchStrategy[Statement]) -> st.SearchStrategy[Statement]:
    block = st.lists(inner, max_size=4).map(tuple)
    conditions = st.sampled_from(["", "", *FLAGS, *FLAGS, *(f"try {lock}" for lock in LOCKS)])
    return st.one_of(
        st.builds(If, conditions, block, block),
        st.builds(Loop, st.sampled_from(["while", "do", "for", "each"]), block),
        st.builds(Guard, st.just("guard"), st.sampled_from(LOCKS), block),
        st.builds(
            Switch,
            st.lists(st.tuples(block, st.booleans()), min_size=1, max_size=3).map(tuple),
            st.booleans(),
        ),
    )


STATEMENTS = st.recursive(_SIMPLE, _compound, max_leaves=12)
FUNCTIONS = st.lists(STATEMENTS, min_size=1, max_size=6).map(tuple)


# ---- as C ----


@dataclass
class Printer:
    """Writes a function; *mirrored* swaps the arms of every if and negates its test."""

    mirrored: bool = False
    probes: int = 0
    tests: int = 0
    lines: list[str] = field(default_factory=list)

    def function(self, block: Block) -> str:
        self.block(_numbered(block), False, 1)
        body = "\n".join(self.lines)
        return f"void f(bool x, bool y)\n{{\n{body}\nout:\n\tp0();\n}}\n"

    def add(self, depth: int, text: str) -> None:
        self.lines.append("\t" * depth + text)

    def block(self, block: Iterable[Numbered], in_loop: bool, depth: int) -> None:
        for item in block:
            self.statement(item, in_loop, depth)

    def statement(self, item: Numbered, in_loop: bool, depth: int) -> None:
        statement, number = item.statement, item.number
        if isinstance(statement, Do):
            self.add(depth, _simple(statement, number, in_loop))
        elif isinstance(statement, If):
            self.if_(statement.on, number, item.parts, in_loop, depth)
        elif isinstance(statement, Loop):
            head, tail = _LOOPS[statement.how]
            self.add(depth, head.format(number))
            self.block(item.parts[0], True, depth + 1)
            self.add(depth, tail.format(number))
        elif isinstance(statement, Guard):
            self.add(depth, "{")
            self.add(depth + 1, f"guard(mutex)(&{statement.lock});")
            self.block(item.parts[0], in_loop, depth + 1)
            self.add(depth, "}")
        else:
            self.switch(statement, number, item.parts, in_loop, depth)

    def if_(
        self,
        on: str,
        number: int,
        parts: tuple[tuple[Numbered, ...], ...],
        in_loop: bool,
        depth: int,
    ) -> None:
        test = on if on in FLAGS else f"t{number}()"
        if on.startswith("try "):
            test = f"mutex_trylock(&{on[4:]})"
        then, other = parts
        if self.mirrored:
            test, then, other = f"!{test}", other, then
        self.add(depth, f"if ({test}) {{")
        self.block(then, in_loop, depth + 1)
        self.add(depth, "} else {")
        self.block(other, in_loop, depth + 1)
        self.add(depth, "}")

    def switch(
        self,
        statement: Switch,
        number: int,
        parts: tuple[tuple[Numbered, ...], ...],
        in_loop: bool,
        depth: int,
    ) -> None:
        self.add(depth, f"switch (k{number}()) {{")
        for place, (_, stops) in enumerate(statement.arms):
            last = place == len(statement.arms) - 1
            self.add(depth, "default:" if last and statement.default else f"case {place}:")
            # a break among the arm's statements would leave the switch: written as a return
            self.block(parts[place], False, depth + 1)
            self.add(depth + 1, "break;" if stops else "fallthrough;")
        self.add(depth, "}")


@dataclass(frozen=True)
class Numbered:
    """A statement with its number in the function, which is the same mirrored or not."""

    statement: Statement
    number: int
    parts: tuple[tuple[Numbered, ...], ...] = ()


def _numbered(block: Block) -> tuple[Numbered, ...]:
    counter = iter(range(1, 10_000))

    def number(statements: Block) -> tuple[Numbered, ...]:
        return tuple(one(statement) for statement in statements)

    def one(statement: Statement) -> Numbered:
        own = next(counter)
        if isinstance(statement, If):
            return Numbered(statement, own, (number(statement.then), number(statement.other)))
        if isinstance(statement, Loop | Guard):
            return Numbered(statement, own, (number(statement.body),))
        if isinstance(statement, Switch):
            return Numbered(statement, own, tuple(number(arm) for arm, _ in statement.arms))
        return Numbered(statement, own)

    return number(block)


_LOOPS = {
    "while": ("while (w{}()) {{", "}}"),
    "do": ("do {{", "}} while (w{}());"),
    "for": ("for (;;) {{", "}}"),
    "each": ("list_for_each_entry(e, &h{}, l) {{", "}}"),
}


def _simple(statement: Do, number: int, in_loop: bool) -> str:
    what = _meaning(statement.what, in_loop)
    return {
        "lock": f"mutex_lock(&{statement.lock});",
        "unlock": f"mutex_unlock(&{statement.lock});",
        "probe": f"p{number}();",
        "break": "break;",
        "continue": "continue;",
        "return": "return;",
        "goto": "goto out;",
    }[what]


def _meaning(what: str, in_loop: bool) -> str:
    """Outside of loops there is nothing to break out of: it is a return."""
    return "return" if what in ("break", "continue") and not in_loop else what


# ---- the interpreter ----

Held = tuple[tuple[str, int, bool], ...]
"""(lock, statement that took it, whether it is the caller's)."""
State = tuple[Held, frozenset[str]]


@dataclass
class Machine:
    """Runs a function with given flags on sets of (held, released) states."""

    flags: dict[str, bool]
    probes: dict[str, set[str]] = field(default_factory=dict)
    exits: set[State] = field(default_factory=set)
    out: set[State] = field(default_factory=set)
    breaks: list[set[State]] = field(default_factory=list)
    continues: list[set[State]] = field(default_factory=list)
    guards: list[tuple[str, int]] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)

    def run(self, block: Block) -> None:
        left = self.block(_numbered(block), {((), frozenset())}, False) | self.out
        self.probe("p0", left)
        self.exits |= left

    def probe(self, name: str, states: set[State]) -> None:
        for held, _ in states:
            self.probes.setdefault(name, set()).update(lock for lock, _, _ in held)

    def block(self, block: tuple[Numbered, ...], states: set[State], in_loop: bool) -> set[State]:
        for item in block:
            if not states:
                return states
            states = self.statement(item, states, in_loop)
        return states

    def statement(self, item: Numbered, states: set[State], in_loop: bool) -> set[State]:
        statement = item.statement
        if isinstance(statement, Do):
            return self.simple(statement, item.number, states, in_loop)
        if isinstance(statement, If):
            return self.if_(statement.on, item, states, in_loop)
        if isinstance(statement, Loop):
            return self.loop(statement.how, item.parts[0], states)
        if isinstance(statement, Guard):
            taken = {_lock(state, statement.lock, item.number) for state in states}
            self.guards.append((statement.lock, item.number))
            after = self.block(item.parts[0], taken, in_loop)
            self.guards.pop()
            return {_unlock(state, statement.lock) for state in after}
        return self.switch(statement, item, states)

    def simple(self, statement: Do, number: int, states: set[State], in_loop: bool) -> set[State]:
        what = _meaning(statement.what, in_loop)
        if what == "lock":
            return {_lock(state, statement.lock, number) for state in states}
        if what == "unlock":
            return {_unlock(state, statement.lock) for state in states}
        if what == "probe":
            self.probe(f"p{number}", states)
            return states
        if what == "return":
            self.exits |= self.leave(states, 0)
        elif what == "goto":
            self.out |= self.leave(states, 0)
        elif what == "break":
            self.breaks[-1] |= self.leave(states, self.depths[-1])
        else:
            self.continues[-1] |= self.leave(states, self.depths[-1])
        return set()

    def leave(self, states: set[State], depth: int) -> set[State]:
        """States once the guards above *depth* have been released."""
        for lock, _ in reversed(self.guards[depth:]):
            states = {_unlock(state, lock) for state in states}
        return states

    def if_(self, on: str, item: Numbered, states: set[State], in_loop: bool) -> set[State]:
        then, other = item.parts
        if on in FLAGS:
            return self.block(then if self.flags[on] else other, states, in_loop)
        yes = states
        if on.startswith("try "):
            yes = {_lock(state, on[4:], item.number) for state in states}
        return self.block(then, yes, in_loop) | self.block(other, states, in_loop)

    def loop(self, how: str, body: tuple[Numbered, ...], states: set[State]) -> set[State]:
        self.breaks.append(set())
        self.continues.append(set())
        self.depths.append(len(self.guards))
        heads = set(states)
        after: set[State] = set()
        while True:
            ends = self.block(body, heads, True) | self.continues[-1]
            if how in ("while", "each"):
                after = heads | ends
            elif how == "do":
                after = ends
            if ends <= heads:
                break
            heads |= ends
        self.continues.pop()
        self.depths.pop()
        return after | self.breaks.pop()

    def switch(self, statement: Switch, item: Numbered, states: set[State]) -> set[State]:
        after: set[State] = set() if statement.default else set(states)
        falling: set[State] = set()
        for (_, stops), part in zip(statement.arms, item.parts, strict=True):
            ends = self.block(part, states | falling, False)
            falling = set() if stops else ends
            after |= ends if stops else set()
        return after | falling


def _lock(state: State, lock: str, number: int) -> State:
    """A lock that was given back for the caller is the caller's again once it is taken."""
    held, released = state
    if lock in released:
        return (*held, (lock, number, True)), released - {lock}
    if any(name == lock for name, _, _ in held):
        return state  # a mutex cannot be held twice
    return (*held, (lock, number, False)), released


def _unlock(state: State, lock: str) -> State:
    held, released = state
    places = [place for place, (name, _, _) in enumerate(held) if name == lock]
    if not places:
        return held, released | {lock}
    last = places[-1]
    callers = held[last][2]
    return held[:last] + held[last + 1 :], released | {lock} if callers else released


def interpret(block: Block) -> tuple[dict[str, str], set[str]]:
    """What may be held at each probe, and what the ways out leave, over all flags."""
    probes: dict[str, set[str]] = {}
    exits: set[str] = set()
    for values in product([False, True], repeat=len(FLAGS)):
        machine = Machine(dict(zip(FLAGS, values, strict=True)))
        machine.run(block)
        for name, locks in machine.probes.items():
            probes.setdefault(name, set()).update(locks)
        exits |= {
            " ".join(sorted([lock for lock, _, _ in held] + [f"-{lock}" for lock in released]))
            for held, released in machine.exits
        }
    return {name: " ".join(sorted(locks)) for name, locks in probes.items() if locks}, exits


def without_flags(block: Block) -> Block:
    """The function with every test of a flag unknown each time it is made."""

    def one(statement: Statement) -> Statement:
        if isinstance(statement, If):
            on = "" if statement.on in FLAGS else statement.on
            return If(on, without_flags(statement.then), without_flags(statement.other))
        if isinstance(statement, Loop):
            return Loop(statement.how, without_flags(statement.body))
        if isinstance(statement, Guard):
            return Guard(statement.how, statement.lock, without_flags(statement.body))
        if isinstance(statement, Switch):
            arms = tuple((without_flags(arm), stops) for arm, stops in statement.arms)
            return Switch(arms, statement.default)
        return statement

    return tuple(one(statement) for statement in block)


def statements_in(block: Block) -> Iterator[Statement]:
    """Every statement, at any depth."""
    for statement in block:
        yield statement
        if isinstance(statement, If):
            yield from statements_in(statement.then + statement.other)
        elif isinstance(statement, Loop | Guard):
            yield from statements_in(statement.body)
        elif isinstance(statement, Switch):
            for arm, _ in statement.arms:
                yield from statements_in(arm)


# ---- properties ----


def walk_of_block(block: Block, mirrored: bool = False) -> Walk:
    return kernel_of(Printer(mirrored).function(block)).walk(FILE, "f")


def takes_locks(block: Block) -> bool:
    return any(
        (isinstance(s, Do | Guard) and s.lock) or (isinstance(s, If) and s.on.startswith("try "))
        for s in statements_in(block)
    )


@settings(max_examples=150)
@given(FUNCTIONS)
def test_the_walk_says_what_an_interpreter_says(block: Block) -> None:
    assume(takes_locks(block))
    walk = walk_of_block(block)
    assume(not walk.capped)
    probes, exits = interpret(block)
    looping = any(isinstance(statement, Loop) for statement in statements_in(block))
    if not looping or block == without_flags(block):
        assert held_at(walk) == probes
        assert ways_out(walk) == exits
        return
    # A test made once in the text is not remembered from one turn of a loop to the next:
    # nothing that can happen is missed, and nothing is made up that no flag forbids.
    most_probes, most_exits = interpret(without_flags(block))
    assert exits <= ways_out(walk) <= most_exits
    for name, locks in most_probes.items():
        found = set(held_at(walk).get(name, "").split())
        assert set(probes.get(name, "").split()) <= found <= set(locks.split())


@settings(max_examples=60)
@given(FUNCTIONS)
def test_the_order_of_branches_does_not_matter(block: Block) -> None:
    assume(takes_locks(block))
    straight, mirrored = walk_of_block(block), walk_of_block(block, mirrored=True)
    assume(not straight.capped and not mirrored.capped)
    assert held_at(straight) == held_at(mirrored)
    assert ways_out(straight) == ways_out(mirrored)


@settings(max_examples=30)
@given(FUNCTIONS)
def test_white_space_and_comments_do_not_matter(block: Block) -> None:
    text = Printer().function(block)
    other = text.replace("(", " ( ").replace(";", " ; /* mutex_lock(&c); */")
    before, after = (kernel_of(t).walk(FILE, "f") for t in (text, other))
    assert held_at(before) == held_at(after)
    assert ways_out(before) == ways_out(after)


def test_the_declarations_take_no_lock() -> None:
    assert kernel_of("void f(void)\n{\n\tp1();\n\tmutex_unlock(&a);\n}\n").walk(FILE, "f").points
    assert "p1" not in DECLARATIONS
