# SPDX-License-Identifier: GPL-2.0-or-later
"""``audit`` and ``explain`` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.program import DOMAIN, LOCK, Kernel, complaint, run


def test_an_audit_then_an_explanation(kernel: Kernel) -> None:
    ran = run("audit", "--tree", kernel.path)
    assert (ran.status, ran.err) == (1, "")
    assert "1 hazard: 1 worker-pool-cycle." in ran.first
    assert f"\n  {LOCK} --> {DOMAIN} --> {LOCK}\n" in ran.out
    (identity,) = (line[5:] for line in ran.out.split("\n") if line.startswith("  id "))
    told = run("explain", identity, "--tree", kernel.path)
    assert (told.status, told.err) == (0, "")
    assert told.first == "worker-pool-cycle (conditional), sample-6.12"
    assert "mutex_lock(&kvm->irqfds.resampler_lock);" in told.out
    values = run("explain", identity[:20], "-t", kernel.path, "--json").json
    assert (values["schema"], values["hazard"]["id"]) == ("reviewbot.explain/1", identity)


def test_a_review_then_an_explanation(kernel: Kernel, sample_patches: Path) -> None:
    v2 = sample_patches / "seed-v2.mbox"
    (hazard,) = run("review", v2, "-t", kernel.path, "--json").json["hazards"]
    told = run("explain", hazard["id"], "-t", kernel.path)
    assert told.status == 0
    also = run("explain", hazard["id"], "-t", kernel.path, "--series", v2)
    assert also.first == f"{told.first}, before the series"
    assert also.out.partition("\n")[2] == told.out.partition("\n")[2]


def test_nothing_to_list_is_a_success(kernel: Kernel) -> None:
    for args in (["--rev", "v2"], ["--kind", "flush-cycle"], ["--since", "master"], ["include"]):
        ran = run("audit", "-t", kernel.path, *args)
        assert (ran.status, ran.err) == (0, ""), args
        assert ran.out.rstrip().endswith("functions."), ran.out


def test_for_tools(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "out.sarif"
    ran = run("audit", "-t", kernel.path, "--sarif", path)
    assert (ran.status, ran.out) == (1, f"1 of 1 hazards: {path}\n")
    (result,) = json.loads(path.read_text())["runs"][0]["results"]
    both = run("audit", "-t", kernel.path, "--json", "--sarif", path)
    assert both.json["schema"] == "reviewbot.audit/1"
    (hazard,) = both.json["hazards"]
    assert result["partialFingerprints"]["hazardId/v1"] == hazard["id"]


def test_mistakes_are_one_sentence(kernel: Kernel, tmp_path: Path, sample_patches: Path) -> None:
    tree = ["-t", kernel.path]
    assert "drivers/x" in complaint(run("audit", *tree, "drivers/x"), 2)
    assert "'v99'" in complaint(run("audit", *tree, "--since", "v99"), 2)
    assert "--kind" in complaint(run("audit", *tree, "--kind", "deadlock"), 2)
    assert "--limit" in complaint(run("audit", *tree, "--limit", "-1"), 2)
    nowhere = tmp_path / "no" / "x.sarif"
    assert str(nowhere) in complaint(run("audit", *tree, "--sarif", nowhere), 2)
    assert "PATH" in complaint(run("explain", *tree, "0123abcd"), 2)
    assert "--rev" in complaint(run("explain", *tree, "0123", "--base", "v1"), 2)
    series = ["--series", sample_patches / "seed-v2.mbox"]
    assert "--base" in complaint(run("explain", *tree, "0123", *series, "--rev", "v1"), 2)
    assert "0123" in complaint(run("explain", *tree, "0123", *series), 2)
