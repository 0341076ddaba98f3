# SPDX-License-Identifier: GPL-2.0-or-later
"""From the command line to the verdict: the installed program on real repositories and servers."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from reviewbot.report import etiquette
from tests.report.test_jsonout import DOCUMENT, broken
from tests.support import mails
from tests.support.program import (
    DOMAIN,
    LOCK,
    PROGRAM,
    SITES,
    Kernel,
    Ran,
    environment,
    only_one,
    renamed,
    run,
    sample_files,
    seeded,
    sites,
)

SEED_V1 = "20260323053353.805336-1-sonam.sanju@intel.com"
SEED_V2 = "20260323064248.1660757-1-sonam.sanju@intel.com"
FILE = "virt/kvm/eventfd.c"
GONE = dict.fromkeys(SITES, "removed")
V1_LEAVES = {**GONE, ("kvm_irqfd_assign", ""): "remaining"}


def review(kernel: Kernel, *args: str | Path, **kwargs: Any) -> Ran:
    """A review that comes to a verdict, and says nothing beside it."""
    ran = run("review", *args, "--tree", kernel.path, **kwargs)
    assert ran.err == ""
    return ran


# ---- the demo ----


def test_the_demo_reviews_the_seed(home: Path, sample_patches: Path, repository_root: Path) -> None:
    done = subprocess.run(
        ["env", f"REVIEWBOT={PROGRAM}", sample_patches / "demo"],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, _, rest = done.stdout.partition("\n")
    assert first.startswith("Verdict: removed.")
    assert all(f"\n{function}(): gone. Before:\n  {FILE}:" in rest for function, _ in SITES)
    assert all(f": {via}\n" in rest for _, via in SITES if via)
    assert list((home / "tmp").iterdir()) == []
    shown = re.search(r"\n```\nmake demo\n```\n.*?\n```\n(.*?)```\n", readme(repository_root), re.S)
    assert shown, "README.md shows no output of the demo"
    assert shown[1] == done.stdout


def readme(repository_root: Path) -> str:
    return (repository_root / "README.md").read_text()


# ---- where it goes ----


def test_remotes_and_lists_of_the_configuration(kernel: Kernel, v2: Path, tmp_path: Path) -> None:
    kernel.git("clone", "-q", kernel.path, tmp_path / "kvm")
    remote = Kernel(tmp_path / "kvm")
    commit = remote.commit({"kvm.c": "int kvm;\n"}, "kvm: next")
    config = tmp_path / "config.toml"
    config.write_text(
        f'[service]\nstate = "{tmp_path / "state"}"\n'
        f'[remote.kvm]\nurl = "{remote.path.as_uri()}"\n'
        '[list.kvm]\naddress = "kvm.example.org"\nbranch = "master"\n'
    )
    named = tmp_path / "named.mbox"
    named.write_bytes(
        v2.read_bytes().replace(b"\n-- \n", b"\nbase-commit: %b\n-- \n" % commit.encode())
    )
    ran = review(kernel, named, "--config", config)
    assert ran.status == 0
    assert "by the base-commit trailer: the series names it; fetched from kvm" in ran.prose
    ran = review(kernel, v2, "--config", config)
    assert "the list's branch: pre-image blobs differ; used master" in ran.prose


# ---- the seed's five rows ----


@pytest.fixture(scope="module")
def posted(kernel: Kernel, v2: Path) -> Ran:
    """The seed as it was posted, reviewed on the sample tree."""
    return review(kernel, v2, "--json")


def test_v2_removes_all_three_sites(posted: Ran) -> None:
    assert (posted.status, posted.json["verdict"]) == (0, "removed")
    assert sites(posted.json) == GONE


def test_v1_leaves_one_site(kernel: Kernel, v1: Path) -> None:
    ran = review(kernel, v1, "--json")
    assert (ran.status, ran.json["verdict"]) == (1, "partially-removed")
    assert sites(ran.json) == V1_LEAVES
    assert ran.json["hazards"][0]["state"] == "remaining"


def test_v2_on_top_of_v1_removes_the_last_site(kernel: Kernel, v2: Path) -> None:
    ran = review(kernel, v2, "--base", "v1", "--json")
    assert (ran.status, ran.json["verdict"]) == (0, "removed")
    assert sites(ran.json) == {("kvm_irqfd_assign", ""): "removed"}
    (patch,) = ran.json["application"]["patches"]
    assert [hunk["hunk"] for hunk in patch["already"]] == [1, 2]


def test_the_revert_of_v2_brings_all_three_back(kernel: Kernel) -> None:
    ran = review(kernel, "--range", "v2..revert", "--json")
    assert (ran.status, ran.json["verdict"]) == (1, "introduced")
    assert sites(ran.json) == dict.fromkeys(SITES, "introduced")
    assert ran.json["base"]["commit"] == kernel.git("rev-parse", "v2").strip()


def test_v2_on_a_tree_that_has_it_is_already_applied(kernel: Kernel, v2: Path) -> None:
    ran = review(kernel, v2, "--base", "v2")
    assert ran.status == 3
    assert ran.first == "Verdict: does not apply. Patch 1/1 is in the base already."
    ran = review(kernel, v2, "--base", "v2", "--json")
    assert (ran.status, ran.json["verdict"]) == (3, "does-not-apply")
    assert ran.json["application"]["state"] == "already-applied"
    assert ran.json["hazards"] == []
    assert broken(ran.json, DOCUMENT) == []


def test_the_seed_as_given_is_repaired_and_says_so(
    kernel: Kernel, posted: Ran, sample_patches: Path
) -> None:
    given = sample_patches / "seed-as-given.txt"
    text = review(kernel, given)
    assert text.status == 0
    assert text.first.startswith("Verdict: removed.")
    assert "Repaired: patch 1/1, leading white space lost on its way" in text.prose
    repaired = review(kernel, given, "--json").json
    assert (repaired["verdict"], repaired["hazards"]) == ("removed", posted.json["hazards"])
    (after,) = repaired["application"]["patches"]
    assert after["repaired"]
    assert after["repair_proof"]
    assert not posted.json["application"]["patches"][0]["repaired"]


def test_a_clean_verdict_does_not_contradict_itself(kernel: Kernel, tmp_path: Path) -> None:
    """The series changes a function of a hazard, does nothing to it and claims nothing."""
    author = Kernel(tmp_path / "author")
    kernel.git("clone", "-q", kernel.path, author.path)
    sync = "\t\tsynchronize_srcu_expedited(&kvm->irq_srcu);\n\n"
    author.edit(FILE, "KVM: irqfd: tidy", lambda text: text.replace(sync, f"{sync}\t\tret = 0;\n"))
    ran = review(author, "--range", "HEAD~..HEAD")
    assert ran.status == 0
    assert ran.first.startswith("Verdict: clean.")
    assert "Nothing that the series changes is part of a lock pattern" not in ran.prose
    assert ": the hazards that its functions are part of (1) are as they were." in ran.prose


# ---- names mean nothing ----


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory, sample_patches: Path) -> Kernel:
    """The sample tree with every file, function, lock and SRCU domain renamed."""
    files = sample_files(sample_patches)
    return Kernel.make(
        tmp_path_factory.mktemp("foreign") / "linux",
        {renamed(name): renamed(text) for name, text in files.items()},
    )


def rename_value(value: Any) -> Any:
    """A hazard as it is called in the renamed tree; its id, which hashes names, left out."""
    if isinstance(value, str):
        return renamed(value)
    if isinstance(value, list):
        return [rename_value(item) for item in value]
    if isinstance(value, dict):
        return {key: rename_value(item) for key, item in value.items() if key != "id"}
    return value


@pytest.mark.parametrize("series", ["seed-v1.mbox", "seed-v2.mbox", "seed-as-given.txt"])
def test_the_same_under_other_names(
    kernel: Kernel, foreign: Kernel, sample_patches: Path, tmp_path: Path, series: str
) -> None:
    original = sample_patches / series
    other = tmp_path / series
    other.write_text(renamed(original.read_text()))
    before = review(kernel, original, "--json")
    after = review(foreign, other, "--json")
    assert (after.status, after.json["verdict"]) == (before.status, before.json["verdict"])
    keep = {"verdict", "reason", "hazards"}
    known = rename_value({key: before.json[key] for key in keep})
    assert {key: rename_value(after.json[key]) for key in keep} == known
    assert after.json["hazards"][0]["id"] != before.json["hazards"][0]["id"]
    assert LOCK not in after.out
    assert DOMAIN not in after.out


# ---- JSON ----

CONTRACT = {
    "schema": "reviewbot.review/1",
    "series": {
        "message_id": SEED_V2,
        "subject": "KVM: irqfd: fix deadlock by moving synchronize_srcu out of resampler_lock",
        "version": 2,
        "expected": 1,
        "missing": [],
    },
    "base": {"how": "head", "commit": str, "why": str},
    "application": {
        "state": "applied",
        "patches": [
            {
                "index": 1,
                "subject": (
                    "KVM: irqfd: fix deadlock by moving synchronize_srcu out of resampler_lock"
                ),
                "offsets": list,
                "three_way": False,
                "repaired": False,
            }
        ],
    },
    "verdict": "removed",
    "hazards": [
        {
            "id": str,
            "kind": "worker-pool-cycle",
            "grade": "conditional",
            "state": "removed",
            "classes": [LOCK, DOMAIN],
            "patch": 1,
            "sites": list,
        }
    ],
    "stats": {"files": 13, "functions": 32},
    "tool": {"version": str},
}
"""Issue 2's contract with the seed's values; a type stands for any value of it."""


def unlike(value: Any, wanted: Any, at: str = "$") -> list[str]:
    """Where a value is not what the contract has; members beyond it are allowed."""
    if isinstance(wanted, type):
        return [] if isinstance(value, wanted) and value != "" else [f"{at}: {value!r}"]
    if isinstance(wanted, Mapping):
        return [
            line
            for key, inner in wanted.items()
            for line in unlike(value.get(key), inner, f"{at}.{key}")
        ]
    if isinstance(wanted, list) and wanted and isinstance(wanted[0], Mapping):
        pairs = zip(value, wanted, strict=True)
        return [line for n, (v, w) in enumerate(pairs) for line in unlike(v, w, f"{at}[{n}]")]
    return [] if value == wanted else [f"{at}: {value!r} is not {wanted!r}"]


def test_json_keeps_the_contract(kernel: Kernel, posted: Ran) -> None:
    assert unlike(posted.json, CONTRACT) == []
    assert broken(posted.json, DOCUMENT) == []
    for site in posted.json["hazards"][0]["sites"]:
        assert site["file"] == FILE
        assert site["after"] is None
        chain = site["before"]["chain"]
        assert [chain[0]["what"], chain[-1]["what"]] == [
            "mutex_lock",
            "synchronize_srcu_expedited",
        ]
        text = (kernel.path / FILE).read_text().split("\n")
        for step in chain:
            assert step["what"] in text[step["line"] - 1]
        assert f"{site['via'] or 'synchronize_srcu_expedited'}(" in text[site["before"]["line"] - 1]


def test_ids_know_no_line_numbers(
    posted: Ran, v2: Path, tmp_path: Path, sample_patches: Path
) -> None:
    moved = Kernel.make(tmp_path / "linux", sample_files(sample_patches))
    moved.edit(FILE, "move down", lambda text: "\n" * 40 + text)
    (before,) = posted.json["hazards"]
    (after,) = review(moved, v2, "--json").json["hazards"]
    assert after["id"] == before["id"]
    shift = {a["before"]["line"] - b["before"]["line"] for a, b in site_pairs(after, before)}
    assert shift == {40}


def site_pairs(one: Any, other: Any) -> list[tuple[Any, Any]]:
    return list(zip(one["sites"], other["sites"], strict=True))


# ---- the mail ----


def test_out_writes_a_mail_with_manners(kernel: Kernel, v2: Path, tmp_path: Path) -> None:
    out = tmp_path / "reply.eml"
    ran = review(kernel, v2, "--out", out)
    assert (ran.status, ran.out) == (0, f"removed: {out}\n")
    raw = out.read_bytes()
    assert etiquette.check(raw) == ()
    mail = BytesParser(policy=policy.default).parsebytes(raw)
    assert mail.defects == []
    assert mail["In-Reply-To"] == f"<{SEED_V2}>"
    assert mail["References"].split() == [f"<{SEED_V1}>", f"<{SEED_V2}>"]
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail["X-Patchwork-Hint"] == "ignore"
    assert mail["Message-ID"].endswith("@example.org>")
    addresses = [a.addr_spec for name in ("From", "To", "Cc") for a in mail[name].addresses]
    assert {address.partition("@")[2] for address in addresses} == {"example.org"}
    assert mail.get_content() == review(kernel, v2).out


def test_the_message_id_is_the_reviews_own(kernel: Kernel, v1: Path, v2: Path) -> None:
    ids = []
    for number, (series, base) in enumerate([(v2, "master"), (v2, "master"), (v1, "master")]):
        out = Path(os.environ["HOME"]) / f"{number}.eml"
        review(kernel, series, "--base", base, "--out", out)
        ids.append(mails.message_id(out.read_bytes()))
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]


def test_out_and_json_do_not_exclude_each_other(kernel: Kernel, v1: Path, tmp_path: Path) -> None:
    out = tmp_path / "reply.eml"
    ran = review(kernel, v1, "--out", out, "--json")
    assert (ran.status, ran.json["verdict"]) == (1, "partially-removed")
    assert b"\nVerdict: partially removed." in out.read_bytes()


# ---- ways in ----


def one_mail(v2: Path) -> bytes:
    return v2.read_bytes().partition(b"\n")[2]


def test_standard_input(kernel: Kernel, v2: Path) -> None:
    ran = review(kernel, "-", "--json", data=v2.read_bytes())
    assert sites(ran.json) == GONE


def test_a_single_mail(kernel: Kernel, v2: Path, tmp_path: Path) -> None:
    path = tmp_path / "patch.eml"
    path.write_bytes(one_mail(v2))
    assert sites(review(kernel, path, "--json").json) == GONE


def test_a_maildir(kernel: Kernel, v2: Path, tmp_path: Path) -> None:
    for name in ("cur", "new", "tmp"):
        (tmp_path / "mail" / name).mkdir(parents=True)
    (tmp_path / "mail" / "new" / "1.a.host").write_bytes(one_mail(v2))
    assert sites(review(kernel, tmp_path / "mail", "--json").json) == GONE


def test_a_range_is_reviewed_as_it_would_be_posted(kernel: Kernel, posted: Ran) -> None:
    ran = review(kernel, "--range", "master..v2", "--json")
    assert (ran.status, sites(ran.json)) == (0, GONE)
    assert ran.json["hazards"] == posted.json["hazards"]


def test_a_base_that_was_asked_for(kernel: Kernel, v2: Path) -> None:
    ran = review(kernel, v2, "--base", "sample-6.12", "--json")
    assert ran.json["base"]["how"] == "option"
    assert ran.json["base"]["commit"] == kernel.git("rev-parse", "master").strip()


def test_the_blobs_of_the_patch_find_its_base(tmp_path: Path, sample_patches: Path) -> None:
    kernel = seeded(tmp_path / "linux", sample_patches)
    mbox = tmp_path / "series.mbox"
    mbox.write_bytes(kernel.mails("v2..revert"))
    ran = review(kernel, mbox, "--json")
    assert (ran.status, ran.json["verdict"]) == (1, "introduced")
    assert ran.json["base"]["how"] == "blobs"
    assert ran.json["base"]["describe"] == "v2"


def test_a_conflict_shows_its_hunk(kernel: Kernel, v2: Path, tmp_path: Path) -> None:
    mbox = tmp_path / "other.mbox"
    mbox.write_text(v2.read_text().replace("kvm = resampler->kvm;", "kvm = resampler->owner;"))
    ran = review(kernel, mbox)
    assert ran.status == 3
    assert ran.first == f"Verdict: does not apply. Patch 1/1 stops at {FILE}."
    assert "\n> @@ -93,6 +93,7 @@ irqfd_resampler_shutdown(" in ran.out
    assert "\n>  \tstruct kvm *kvm = resampler->owner;\n" in ran.out


# ---- the real kernel ----


def quiet_state(tree: Path) -> tuple[object, ...]:
    """What a reader of a big checkout must leave alone, as far as it is quick to see."""
    git = ["git", "--no-optional-locks", "-C", str(tree)]
    told = [
        subprocess.run([*git, *command], capture_output=True, check=True).stdout
        for command in (("for-each-ref",), ("count-objects", "-v"), ("rev-parse", "HEAD"))
    ]
    index = (tree / ".git" / "index").stat()
    names = sorted(path.name for path in (tree / ".git").iterdir())
    return told, index.st_mtime_ns, index.st_size, names


@pytest.fixture(scope="module")
def linux(
    kernel_tree: Path, tmp_path_factory: pytest.TempPathFactory, sample_patches: Path
) -> Iterator[Kernel]:
    """The real kernel with the seed's branches, in a clone that borrows its objects."""
    before = quiet_state(kernel_tree)
    path = tmp_path_factory.mktemp("linux") / "linux"
    clone = ("git", "clone", "-q", "--shared", "--no-checkout", kernel_tree, path)
    subprocess.run(clone, check=True, capture_output=True)
    made = Kernel(path)
    for name, parent, options in (
        ("v1", "v6.12", (sample_patches / "seed-v1.mbox",)),
        ("v2", "v6.12", (sample_patches / "seed-v2.mbox",)),
        ("revert", "v2", ("-R", sample_patches / "seed-v2.mbox")),
    ):
        made.git("read-tree", parent)
        made.git("apply", "--cached", *options)
        tree = made.git("write-tree").strip()
        commit = made.git("commit-tree", "-p", parent, "-m", f"KVM: irqfd: {name}", tree)
        made.git("branch", name, commit.strip())
    yield made
    assert quiet_state(kernel_tree) == before


KERNEL_ROWS: dict[str, tuple[tuple[str, ...], int, str, dict[tuple[str, str], str]]] = {
    "v2": (("seed-v2.mbox", "--base", "v6.12"), 0, "removed", GONE),
    "as given": (("seed-as-given.txt", "--base", "v6.12"), 0, "removed", GONE),
    "v1": (("seed-v1.mbox", "--base", "v6.12"), 1, "partially-removed", V1_LEAVES),
    "v2 on v1": (("seed-v2.mbox", "--base", "v1"), 0, "removed", {SITES[2]: "removed"}),
    "revert": (("--range", "v2..revert"), 1, "introduced", dict.fromkeys(SITES, "introduced")),
    "v2 on v2": (("seed-v2.mbox", "--base", "v2"), 3, "does-not-apply", {}),
}


@pytest.mark.kernel
@pytest.mark.xdist_group("kernel-index")
@pytest.mark.parametrize("row", KERNEL_ROWS)
def test_the_seed_on_the_real_kernel(
    linux: Kernel, posted: Ran, shared_cache: Path, sample_patches: Path, home: Path, row: str
) -> None:
    arguments, status, verdict, expected = KERNEL_ROWS[row]
    args = [sample_patches / arg if arg.startswith("seed-") else arg for arg in arguments]
    config = home / "config.toml"
    config.write_text(f'cache = "{shared_cache}"\n')
    with only_one(shared_cache):  # the first review of a tree reads all of it
        ran = review(linux, *args, "--config", config, "--json", seconds=3600)
    assert (ran.status, ran.json["verdict"]) == (status, verdict)
    (on_sample,) = posted.json["hazards"]
    assert {hazard["id"] for hazard in ran.json["hazards"]} <= {on_sample["id"]}
    assert (sites(ran.json) if expected else {}) == expected
    assert bool(ran.json["hazards"]) == bool(expected)
    assert broken(ran.json, DOCUMENT) == []
