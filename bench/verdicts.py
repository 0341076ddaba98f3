# SPDX-License-Identifier: GPL-2.0-or-later
"""Replay labelled kernel patches and count the verdicts.

    bench/verdicts.py --tree 6.12=DIR [--tree 6.1=DIR] [--corpus DIR] [--json] [ID…]

Each entry of ``labels.jsonl`` names a patch that the tree already contains: the
base is the tree with the patch reversed, the series is the patch.  A fix counts
as found if the right kind of hazard is reported as gone on one of the label's
locks, or in the context that stands there (``tasklet context``).  What sleeps where
nothing may has but one class: the report names the lock that it sleeps for as well,
and the call since which nothing may.  A control is a false alarm if any hazard is
reported as gone or new.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reviewbot.errors import ReviewbotError
from reviewbot.kernel import git
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.locking.compare import compare
from reviewbot.locking.index import Settings, is_source
from reviewbot.locking.model import ChangeState, Comparison, Hazard, HazardKind
from reviewbot.locking.primitives import CPU_OBJECTS, builtin
from reviewbot.locking.trees import Trees
from reviewbot.series.assemble import assemble

Label = dict[str, Any]
KINDS = {
    "srcu-cycle": {HazardKind.GRACE_PERIOD_CYCLE, HazardKind.GRACE_PERIOD_IN_READER,
                   HazardKind.WORKER_POOL_CYCLE},
    "rcu-under-lock/sleep-in-rcu": {HazardKind.SLEEP_IN_ATOMIC},
    "work-flush-cycle": {HazardKind.FLUSH_CYCLE},
    "abba": {HazardKind.LOCK_ORDER_INVERSION, HazardKind.FLUSH_CYCLE},
    "self-deadlock": {HazardKind.RECURSIVE_LOCK, HazardKind.FLUSH_CYCLE},
    "missing-unlock": {HazardKind.LOCK_IMBALANCE, HazardKind.RECURSIVE_LOCK},
    "irq-inversion": {HazardKind.LOCK_ORDER_INVERSION},
}  # fmt: skip
"""Label kinds to the hazards that stand for them; others are not expressible."""
DIRECT, REGISTERED, OPS = "one function or file", "across files or registered", "ops or framework"


@dataclass(frozen=True)
class Result:
    """One entry replayed."""

    id: str
    kind: str
    group: str
    expected: str
    verdict: str
    found: bool
    alarm: bool
    hazards: tuple[str, ...]
    seconds: float


def group_of(label: Label) -> str:
    """Which target an entry counts towards."""
    if str(label["kind"]).startswith("control"):
        return "control"
    if label["verdict"] not in ("removed", "partially"):
        return "not expected"
    through = str(label["fnptr"])
    if through.startswith(("ops", "framework", "sysfs", "debugfs")) or "notifier" in through:
        return OPS
    if through != "no" or label["reach"] not in ("intra", "same-file"):
        return REGISTERED
    return DIRECT


def replay(label: Label, corpus: Path, repository: Repository, trees: Settings) -> Result:
    """Compare the tree without and with the entry's patch."""
    started = time.monotonic()
    raw = (corpus / str(label["patch"])).read_bytes()
    series = assemble(raw, wanted=None, source=str(label["id"]))
    diff = series.patches[0].diff
    after = repository.tree_of(repository.resolve("HEAD"))
    with Scratch(repository) as scratch:
        before = _reverse(scratch, after, diff)
        files = [c.path for c in scratch.diff_trees(before, after) if is_source(c.path)]
        with Trees(scratch, trees) as opened:
            base, tip = opened.views(after, [before])
            text = f"{series.patches[0].subject}\n{series.patches[0].message}"
            comparison = compare([tip, base], files, text)
    return _judge(label, comparison, time.monotonic() - started)


def _reverse(scratch: Scratch, tree: str, diff: str) -> str:
    """The tree without the patch, in the scratch repository."""
    index = scratch.index
    git.run(scratch.git_dir, ["read-tree", tree], index=index)
    data = diff.encode("utf-8", "surrogateescape")
    git.run(scratch.git_dir, ["apply", "-R", "--cached", "-C1", "-"], data=data, index=index)
    return git.run(scratch.git_dir, ["write-tree"], index=index).stdout.decode().strip()


def _judge(label: Label, comparison: Comparison, seconds: float) -> Result:
    touched = [h for h in comparison.hazards if _changed(h)]
    wanted = KINDS.get(str(label["kind"]), set())
    words = {_bare(word) for lock in label["locks"] for word in _WORD.findall(lock)}
    contexts = {lock.split()[0] for lock in label["locks"] if lock.endswith(" context")}
    found = False
    for hazard in comparison.hazards:
        gone = any(site.state is ChangeState.REMOVED for site in hazard.sites)
        names = {_bare(word) for c in hazard.classes for word in _WORD.findall(c)}
        fields = {_bare(c.rsplit(".", 1)[-1].split(":")[-1]) for c in hazard.classes}
        named = fields & words or len(names & words) >= 2
        named = named or contexts & {c.partition(" ")[0] for c in hazard.classes}
        named = named or any(_is_meant(end, words) for end in _ends(hazard))
        if gone and hazard.kind in wanted and named:
            found = True
    shown = tuple(
        f"{h.state.value} {h.kind.value} {' -> '.join(h.classes)}" for h in comparison.hazards
    )
    return Result(
        str(label["id"]), str(label["kind"]), group_of(label), str(label["verdict"]),
        comparison.verdict.value, found, bool(touched), shown, round(seconds, 2),
    )  # fmt: skip


def _ends(hazard: Hazard) -> tuple[str, ...]:
    """What the summary of a sleep names besides its class."""
    if hazard.kind is not HazardKind.SLEEP_IN_ATOMIC:
        return ()
    chains = [proof.chain for s in hazard.sites if (proof := s.before or s.after) and proof.chain]
    off = [chain[0].what for chain in chains if chain[0].lock in CPU_OBJECTS]
    return (*off, *(chain[-1].lock for chain in chains))


def _is_meant(name: str, words: set[str]) -> bool:
    """Whether a lock or a call has all its words in a label."""
    parts = {_bare(word) for word in _WORD.findall(name)} - {"struct"}
    return bool(parts) and parts <= words


_WORD = re.compile(r"[A-Za-z_]\w{2,}")


def _bare(word: str) -> str:
    """A name as labels may write it: ``ILOCK`` for ``i_lock``."""
    return word.lower().replace("_", "")


def _changed(hazard: Hazard) -> bool:
    return any(site.state is not ChangeState.REMAINING for site in hazard.sites)


def summary(results: list[Result]) -> str:
    """The confusion table, recall by group, and false alarms."""
    out = ["kind                          n  found  other  silent"]
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for result in results:
        column = "found" if result.found else "other" if result.alarm else "silent"
        table[result.kind][column] += 1
    for kind, counts in sorted(table.items()):
        out.append(
            f"{kind:28}{sum(counts.values()):4}{counts['found']:7}{counts['other']:7}"
            f"{counts['silent']:8}"
        )
    out.append("")
    for group in (DIRECT, REGISTERED, OPS):
        some = [r for r in results if r.group == group]
        hit = sum(r.found for r in some)
        share = f"{hit / len(some):.0%}" if some else "-"
        out.append(f"{group:30} {hit:3} of {len(some):3} found  {share}")
    controls = [r for r in results if r.group == "control"]
    false = sum(r.alarm for r in controls)
    share = f"{false / len(controls):.1%}" if controls else "-"
    out.append(f"{'controls with an alarm':30} {false:3} of {len(controls):3}        {share}")
    return "\n".join(out)


def main() -> int:
    """Run the bench; exit status 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--tree", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/reviewbot").expanduser())
    parser.add_argument("--json", action="store_true")
    parser.add_argument("ids", nargs="*", metavar="ID")
    options = parser.parse_args()
    labels = [
        json.loads(line) for line in (options.corpus / "labels.jsonl").read_text().splitlines()
    ]
    settings = Settings(options.cache, builtin())
    results: list[Result] = []
    for entry in options.tree:
        name, _, place = entry.partition("=")
        with Repository.open(Path(place)) as repository:
            for label in labels:
                chosen = not options.ids or any(wanted in label["id"] for wanted in options.ids)
                if label["tree"] != name or not chosen:
                    continue
                try:
                    results.append(replay(label, options.corpus, repository, settings))
                except ReviewbotError as error:
                    print(f"{label['id']}: {error}", file=sys.stderr)
                    continue
                if not options.json:
                    _print(results[-1])
    print(
        json.dumps([asdict(r) for r in results], indent=1)
        if options.json
        else "\n" + summary(results)
    )
    return 0


def _print(result: Result) -> None:
    mark = "ok " if result.found or (result.group == "control" and not result.alarm) else "-- "
    print(f"{mark}{result.id:36} {result.group:28} {result.verdict:18} {result.seconds:6.2f}s")
    for hazard in result.hazards[:6]:
        print(f"       {hazard}")


if __name__ == "__main__":
    sys.exit(main())
