# SPDX-License-Identifier: GPL-2.0-or-later
"""Indexing a tree: what is read, what is kept, what an interruption costs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reviewbot.kernel.objects import ObjectStore
from reviewbot.locking import facts as facts_module
from reviewbot.locking.cache import FactsCache
from reviewbot.locking.index import (
    facts_of,
    is_source,
    read_heads,
    sources,
    stores,
)
from reviewbot.locking.primitives import builtin, with_extra
from tests.locking.scenarios import SCENARIOS
from tests.locking.support import HEADERS, Lab, brief

CASE = SCENARIOS["flush"]
MANY = {f"dir/file{n}.c": f"int f{n}(void)\n{{\n\treturn {n};\n}}\n" for n in range(700)}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("virt/kvm/eventfd.c", True),
        ("include/linux/kvm_host.h", True),
        ("arch/x86/kernel/head_64.S", False),
        ("tools/perf/builtin.c", False),
        ("Documentation/x.c", False),
        ("samples/a/b.c", False),
        ("scripts/mod/modpost.c", False),
        ("drivers/gpu/drm/amd/include/asic_reg/x.h", False),
        ("net/tools/x.c", True),
        ("Makefile", False),
        ("c", False),
    ],
)
def test_what_is_read(path: str, source: bool) -> None:
    assert is_source(path) == source


def test_only_plain_files_of_the_tree(lab: Lab, tmp_path: Path) -> None:
    """A symbolic link or a submodule called x.c is no source."""
    (tree,) = lab.trees({"a.c": "int a;\n", "README": "x\n"})
    blob = subprocess.run(
        ["git", "--git-dir", str(lab.git_dir), "ls-tree", tree, "a.c"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[2]
    listing = (
        f"120000 blob {blob}\tlink.c\n160000 commit {'1' * 40}\tsub.c\n"
        f"100644 blob {blob}\tplain.c\n"
    )
    odd = subprocess.run(
        ["git", "--git-dir", str(lab.git_dir), "mktree", "--missing"],
        input=listing,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    with ObjectStore(lab.git_dir) as objects:
        assert set(sources(objects, tree)) == {"a.c", *HEADERS}
        assert set(sources(objects, odd)) == {"plain.c"}


# ---- facts ----


def refuse_to_read(monkeypatch: pytest.MonkeyPatch, known: set[str]) -> None:
    """From now on reading one of these blobs is an error, in forked processes too."""
    read = ObjectStore.read_blobs

    def checked(self: ObjectStore, oids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        wanted = list(oids)
        assert known.isdisjoint(wanted)
        return read(self, wanted)

    monkeypatch.setattr(ObjectStore, "read_blobs", checked)


def test_facts_are_made_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree,) = lab.trees(MANY)
    told: list[tuple[str, int, int]] = []
    with ObjectStore(lab.git_dir) as objects:
        blobs = list(sources(objects, tree).values())
        first = list(read_heads(objects, blobs, lab.settings, lambda *what: told.append(what)))
        assert [read.blob for read in first] == blobs
        assert told[0][1] == 0
        assert told[-1][1] == told[-1][2] == len(blobs)
        refuse_to_read(monkeypatch, set(blobs))
        again = list(read_heads(objects, blobs, lab.settings))
        assert [(r.blob, r.head, r.callees.tolist()) for r in again] == [
            (r.blob, r.head, r.callees.tolist()) for r in first
        ]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_run_keeps_what_it_has(
    lab: Lab, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree,) = lab.trees(MANY)
    settings = replace(lab.settings, workers=workers)

    def stop(_stage: str, done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with ObjectStore(lab.git_dir) as objects:
        blobs = list(sources(objects, tree).values())
        with pytest.raises(KeyboardInterrupt):
            list(read_heads(objects, blobs, settings, stop))
        with FactsCache(settings.facts_path) as cache:
            kept = cache.known(blobs)
        assert 0 < len(kept) < len(MANY)
        refuse_to_read(monkeypatch, kept)
        list(read_heads(objects, blobs, settings))
        with FactsCache(settings.facts_path) as cache:
            assert cache.known(blobs) == set(blobs)


def test_a_damaged_entry_is_made_again(lab: Lab) -> None:
    before, after = lab.trees(CASE.good, CASE.bad)
    whole = brief(lab.compare(before, after))
    with ObjectStore(lab.git_dir) as objects:
        blobs = list({*sources(objects, before).values(), *sources(objects, after).values()})
        with FactsCache(lab.settings.facts_path) as cache:
            cache.put((blob, b"garbage") for blob in blobs)
        found = facts_of(objects, blobs, lab.settings, frozenset())
        assert set(found) == set(blobs)
    assert brief(lab.compare(before, after)) == whole
    assert brief(lab.compare(after, before)) != []


@pytest.mark.parametrize(
    "text", ["", "\0", "}\n{\n", "#if\n", "\xff\xfe{\n}\n", "int f(void)\n{\n" * 50]
)
def test_a_tree_with_odd_files_is_built(lab: Lab, text: str) -> None:
    odd = {"lib/odd.c": text, "lib/odd.h": text}
    comparison = lab.review({**CASE.good, **odd}, {**CASE.bad, **odd})
    assert [h.kind for h in comparison.hazards] == [CASE.kind]


def test_a_tree_without_source(lab: Lab) -> None:
    (tree,) = lab.trees({"README": "nothing\n"})
    with lab.open(tree) as (view,):
        assert view.store.size()[0] == len(HEADERS)


# ---- versions ----


def test_another_version_reads_neither_facts_nor_stores(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = lab.trees(CASE.good, CASE.bad)
    whole = brief(lab.compare(*trees))
    old = lab.settings.fingerprint
    monkeypatch.setattr(facts_module, "VERSION", facts_module.VERSION + 1000)
    assert lab.settings.fingerprint != old
    assert stores(lab.settings) == []
    assert not lab.settings.facts_path.exists()
    assert brief(lab.compare(*trees)) == whole


def test_another_table_of_primitives_is_another_cache(lab: Lab) -> None:
    entry = {"names": ["frob_lock"], "role": "acquire", "lock": "mutex", "arg": 0}
    mine = replace(lab.settings, primitives=with_extra([entry], "test"))
    assert mine.fingerprint != lab.settings.fingerprint
    assert replace(lab.settings, workers=7).fingerprint == lab.settings.fingerprint
    for change in (
        {"mode": "read"},
        {"nested": True},
        {"arg": 1},
        {"irq": "off"},
        {"role": "acquire-zero"},
    ):
        other = replace(lab.settings, primitives=with_extra([{**entry, **change}], "test"))
        assert other.fingerprint != mine.fingerprint, change


def test_primitives_of_the_program_are_the_same_in_every_run(lab: Lab) -> None:
    assert lab.settings.fingerprint == replace(lab.settings, primitives=builtin()).fingerprint


def test_a_primitive_of_ones_own_needs_no_other_facts(lab: Lab) -> None:
    """Facts are kept; what calls the new primitive gets its flow."""
    take = "void f(struct dev *d)\n{\n\tfrob_take(&d->lock);\n}\n"
    (tree,) = lab.trees({"f.c": take})
    entry = {"names": ["frob_take"], "role": "acquire", "lock": "mutex", "arg": 0}
    mine = replace(lab.settings, primitives=with_extra([entry], "test"))
    assert mine.facts_path == lab.settings.facts_path
    assert mine.store_path(tree) != lab.settings.store_path(tree)
    with ObjectStore(lab.git_dir) as objects:
        blob = sources(objects, tree)["f.c"]
        for settings, flows in ((lab.settings, 0), (mine, 1), (lab.settings, 1)):
            list(read_heads(objects, [blob], settings))
            with FactsCache(settings.facts_path) as cache:
                assert len(cache.get([blob])[blob].functions[0].flows) == flows
