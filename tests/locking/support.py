# SPDX-License-Identifier: GPL-2.0-or-later
"""Small kernels for the tests of this room: in memory, and in a git repository.

A kernel is a mapping of paths to C text.  What every kernel has is in
:data:`HEADERS`: the guards as ``include/linux`` of 6.12 defines them.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import msgspec

from reviewbot.kernel.objects import ObjectStore
from reviewbot.locking.classes import Classifier
from reviewbot.locking.compare import compare
from reviewbot.locking.facts import FileFacts, Function, lacks_flow
from reviewbot.locking.flow import Effects, Walk
from reviewbot.locking.index import Settings, is_source, quiet
from reviewbot.locking.link import Linker
from reviewbot.locking.linked import LinkedFile, LinkedFunction
from reviewbot.locking.model import Comparison, Hazard, HazardKind, Verdict
from reviewbot.locking.primitives import builtin, definer_types
from reviewbot.locking.reading import read_facts
from reviewbot.locking.symbols import MemorySymbols
from reviewbot.locking.trees import Trees, consult
from reviewbot.locking.view import View
from reviewbot.locking.wrappers import ROUNDS, function_refs, summarize_file, wrapper_names

Files = Mapping[str, str]

CLAIM = "fix a deadlock"
"""What a series may say of itself: a review of one that does looks further."""

HEADERS: Files = {
    "include/linux/guards.h": """\
DEFINE_GUARD(mutex, struct mutex *, mutex_lock(_T), mutex_unlock(_T))
DEFINE_GUARD_COND(mutex, _try, mutex_trylock(_T))
DEFINE_GUARD_COND(mutex, _intr, mutex_lock_interruptible(_T) == 0)
DEFINE_GUARD(rwsem_read, struct rw_semaphore *, down_read(_T), up_read(_T))
DEFINE_LOCK_GUARD_1(srcu, struct srcu_struct,
			_T->idx = srcu_read_lock(_T->lock),
			srcu_read_unlock(_T->lock, _T->idx),
			int idx)
DEFINE_LOCK_GUARD_1(spinlock, spinlock_t,
			spin_lock(_T->lock),
			spin_unlock(_T->lock))
DEFINE_LOCK_GUARD_1(spinlock_irqsave, spinlock_t,
			spin_lock_irqsave(_T->lock, _T->flags),
			spin_unlock_irqrestore(_T->lock, _T->flags),
			unsigned long flags)
DEFINE_LOCK_GUARD_0(rcu,
	do {
		rcu_read_lock();
		__acquire(RCU);
	} while (0),
	do {
		__release(RCU);
		rcu_read_unlock();
	} while (0))
""",
}


def facts_of_text(text: str | bytes) -> FileFacts:
    """The facts of a file with this text."""
    data = text.encode("latin-1") if isinstance(text, str) else text
    return read_facts(data, builtin().flow_names)


# ---- a kernel in memory ----


@dataclass
class Kernel:
    """A kernel's files, their facts, and what calls of its functions do."""

    files: Files
    facts: dict[str, FileFacts] = field(default_factory=dict)
    symbols: MemorySymbols = field(default_factory=MemorySymbols)
    first: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        texts = {path: text.encode("latin-1") for path, text in {**HEADERS, **self.files}.items()}
        for path, text in sorted(texts.items()):
            self.facts[path] = read_facts(text, builtin().flow_names)
        for _ in range(ROUNDS):
            self._number()
            for _ in range(ROUNDS):
                self._summarize()
            wrappers = wrapper_names(self.symbols.all_functions())
            poor = [path for path, facts in self.facts.items() if lacks_flow(facts, wrappers)]
            if not poor:
                return
            for path in poor:
                self.facts[path] = read_facts(texts[path], builtin().flow_names | wrappers)

    def _number(self) -> None:
        number = 0
        self.symbols = MemorySymbols()
        for path, facts in self.facts.items():
            self.first[path] = number
            self.symbols.add_declarations(path, facts, definer_types(builtin()))
            for ref, _ in function_refs(path, facts, number):
                self.symbols.add_function(ref)
            number += len(facts.functions)

    @property
    def linker(self) -> Linker:
        return Linker.of(self.symbols, builtin())

    def _summarize(self) -> None:
        found: dict[int, Effects | None] = {}
        for path, facts in self.facts.items():
            numbers = {n: self.first[path] + n for n in range(len(facts.functions))}
            found.update(summarize_file(self.linker, path, facts, numbers, None))
        self.symbols.replace_functions(
            msgspec.structs.replace(ref, effects=found[ref.id])
            for ref in list(self.symbols.all_functions())
            if ref.id in found
        )

    def function(self, path: str, name: str) -> Function:
        return next(f for f in self.facts[path].functions if f.name == name)

    def effects(self, path: str, name: str) -> Effects | None:
        """What a call of a function of *path* does to the caller's locks."""
        return self.symbols.own(name, path)[0].effects

    def walk(self, path: str, name: str) -> Walk:
        linker = self.linker
        classifier = Classifier(path, self.symbols)
        return linker.walk(self.function(path, name), linker.lookup(path), classifier)

    def link(self, path: str) -> LinkedFile:
        facts = self.facts[path]
        numbers = {n: self.first[path] + n for n in range(len(facts.functions))}
        return self.linker.link(path, facts, numbers)

    def linked(self, path: str, name: str) -> LinkedFunction:
        place = [f.name for f in self.facts[path].functions].index(name)
        return self.link(path).functions[place]


# ---- a kernel in a git repository ----


@dataclass
class Lab:
    """A git repository of small kernels, and a cache of the checker's own."""

    git_dir: Path
    cache: Path
    workers: int = 1

    @classmethod
    def make(cls, place: Path) -> Lab:
        git_dir = place / "kernel.git"
        _git(git_dir, "init", "-q", "--bare", str(git_dir))
        return cls(git_dir, place / "cache")

    @property
    def settings(self) -> Settings:
        return Settings(self.cache, builtin(), self.workers)

    def with_cache(self, name: str) -> Lab:
        """The same repository with another cache."""
        return Lab(self.git_dir, self.cache.with_name(name), self.workers)

    def trees(self, *versions: Files, links: Files = MappingProxyType({})) -> list[str]:
        """Write kernels into the repository; the ids of their trees.

        *links* are symbolic ones, path to target, and are in all of them.
        """
        stream: list[bytes] = []
        for number, files in enumerate(versions):
            stream.append(b"commit refs/heads/v%d\n" % number)
            stream.append(b"committer A U Thor <author@example.org> 0 +0000\ndata 0\n")
            stream.append(b"deleteall\n")
            for path, text in {**HEADERS, **files, **links}.items():
                data = text.encode("latin-1")
                mode = b"120000" if path in links else b"100644"
                stream.append(b"M %s inline %s\ndata %d\n" % (mode, path.encode(), len(data)))
                stream.append(data + b"\n")
        _git(self.git_dir, "fast-import", "--quiet", "--force", data=b"".join(stream))
        names = [f"v{number}^{{tree}}" for number in range(len(versions))]
        return _git(self.git_dir, "rev-parse", *names).split()

    @contextmanager
    def views(self, *versions: Files) -> Iterator[Sequence[View]]:
        """Views of kernels: the first is the base, the others are laid over it."""
        with self.open(*self.trees(*versions)) as views:
            yield views

    @contextmanager
    def open(self, *trees: str) -> Iterator[Sequence[View]]:
        with (
            ObjectStore(self.git_dir) as objects,
            Trees(objects, self.settings) as opened,
        ):
            yield opened.views(trees[0], trees[1:])

    def review(self, *versions: Files, claim: str = "") -> Comparison:
        """Compare a kernel with itself after each patch of a series that says *claim*."""
        return self.compare(*self.trees(*versions), claim=claim)

    def compare(self, *trees: str, claim: str = "") -> Comparison:
        with ObjectStore(self.git_dir) as objects:
            files = {
                change.path
                for before, after in pairwise(trees)
                for change in objects.diff_trees(before, after)
                if is_source(change.path)
            }
            return consult(
                objects, self.settings, quiet, trees, lambda views: compare(views, files, claim)
            )


def _git(git_dir: Path, *args: str, data: bytes = b"") -> str:
    done = subprocess.run(
        ["git", *args],
        env={**os.environ, "GIT_DIR": str(git_dir)},
        input=data,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@contextmanager
def fresh_lab() -> Iterator[Lab]:
    """A lab of its own, for the examples of a property."""
    with tempfile.TemporaryDirectory(prefix="lab-") as place:
        yield Lab.make(Path(place))


class Reviews:
    """Comparisons of the scenarios' two kernels, made once; each base with a store of its own."""

    def __init__(self, lab: Lab, cases: Mapping[str, tuple[Files, Files]]) -> None:
        self._lab = lab
        self._cases = cases
        self._made: dict[tuple[str, bool], Comparison] = {}

    def introducing(self, name: str) -> Comparison:
        """From the kernel without the hazard to the one that has it."""
        return self._review(name, back=False)

    def removing(self, name: str) -> Comparison:
        return self._review(name, back=True)

    def _review(self, name: str, back: bool) -> Comparison:
        if (name, back) not in self._made:
            series = self._cases[name][::-1] if back else self._cases[name]
            lab = self._lab.with_cache(f"cache-{len(self._made)}")
            self._made[name, back] = lab.review(*series)
        return self._made[name, back]


# ---- short forms for comparisons ----


def kinds(comparison: Comparison) -> list[str]:
    return sorted(hazard.kind.value for hazard in comparison.hazards)


def of_kind(comparison: Comparison, kind: HazardKind) -> Hazard:
    """The one hazard of a kind."""
    found = [hazard for hazard in comparison.hazards if hazard.kind is kind]
    assert len(found) == 1, (kind, brief(comparison))
    return found[0]


def removed(comparison: Comparison, kind: HazardKind) -> Hazard:
    """The one hazard of a kind, if its removal is all that a review has to say."""
    assert comparison.verdict is Verdict.REMOVED, brief(comparison)
    return of_kind(comparison, kind)


def removed_if_asked(lab: Lab, before: Files, after: Files, kind: HazardKind) -> Hazard:
    """The one hazard of a kind, which only a series that speaks of locking is told to remove."""
    assert lab.review(before, after).verdict is Verdict.CLEAN
    return removed(lab.review(before, after, claim=CLAIM), kind)


def brief(comparison: Comparison) -> list[tuple[object, ...]]:
    """Everything a comparison says but line numbers and times, in one order."""
    return sorted(
        (
            hazard.kind.value,
            hazard.state.value,
            hazard.grade.value,
            tuple(sorted(hazard.classes)),
            tuple(
                sorted(
                    (s.file, s.function, s.via, s.state.value, s.patch or 0) for s in hazard.sites
                )
            ),
        )
        for hazard in comparison.hazards
    )
