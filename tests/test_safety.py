# SPDX-License-Identifier: GPL-2.0-or-later
"""A review harms nobody: not the repository, not the machine, and it leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import faults
from tests.support.program import (
    SECONDS,
    Kernel,
    Ran,
    environment,
    finish,
    run,
    seeded,
    start,
)

# ---- the user's repository ----


def without_times(out: str) -> dict[str, Any]:
    review = json.loads(out)
    review["stats"].pop("seconds")
    assert isinstance(review, dict)
    return review


def test_two_reviews_at_once_say_what_they_say_alone(
    tmp_path: Path, sample_patches: Path, v1: Path, v2: Path
) -> None:
    kernel = seeded(tmp_path / "linux", sample_patches)
    before = kernel.state()
    commands = [("review", mbox, "--tree", kernel.path, "--json") for mbox in (v1, v2)]
    children = [start(*command) for command in commands]
    together = [finish(child) for child in children]
    assert kernel.state() == before
    alone = [run(*command) for command in commands]
    assert kernel.state() == before
    assert [ran.err for ran in (*together, *alone)] == [""] * 4
    assert [ran.status for ran in together] == [1, 0]
    for one, other in zip(together, alone, strict=True):
        assert without_times(one.out) == without_times(other.out)


def hostile_configuration(script: Path) -> str:
    """Every key we know of by which git runs something."""
    return f"""
[core]
	fsmonitor = {script}
	hooksPath = {script.parent}
	pager = {script}
	editor = {script}
	sshCommand = {script}
	alternateRefsCommand = {script}
[diff]
	external = {script}
[diff "evil"]
	command = {script}
	textconv = {script}
[filter "evil"]
	clean = {script}
	smudge = {script}
	process = {script}
	required = true
[merge "evil"]
	driver = {script}
[alias]
	apply = !{script}
	cat-file = !{script}
	format-patch = !{script}
[include]
	path = {script.parent}/more
[format]
	signatureFile = {script.parent}/more
[b4]
	midmask = http://127.0.0.1:1/%s
	am-perpatch-check-cmd = {script}
"""


HOOKS = (
    *("applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "post-commit"),
    *("post-checkout", "post-merge", "post-index-change", "reference-transaction", "update"),
)


def test_nothing_of_the_repository_is_run(tmp_path: Path, sample_patches: Path, v2: Path) -> None:
    kernel = seeded(tmp_path / "linux", sample_patches)
    everything = "* filter=evil diff=evil merge=evil ident\n"
    kernel.commit({".gitattributes": everything, ".b4-config": "[b4]\n"}, "attributes")
    marker, script = tmp_path / "marker", tmp_path / "hooks" / "evil"
    script.parent.mkdir()
    for path in (script, *(kernel.path / ".git" / "hooks" / name for name in HOOKS)):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "$0 $*" >> {marker}\ncat\n')
        path.chmod(0o755)
    for name in HOOKS:
        shutil.copy2(script, script.parent / name)
    (script.parent / "more").write_text(f"[core]\n\tfsmonitor = {script}\n")
    (kernel.path / ".git" / "info").mkdir(exist_ok=True)
    (kernel.path / ".git" / "info" / "attributes").write_text(everything)
    theirs = tmp_path / "gitconfig"
    theirs.write_text(hostile_configuration(script))
    with (kernel.path / ".git" / "config").open("a") as config:
        config.write(hostile_configuration(script))
    env = environment(GIT_CONFIG_GLOBAL=str(theirs), GIT_EXTERNAL_DIFF=str(script))
    for args in ((v2,), ("--range", "v2..revert"), (v2, "--base", "v1")):
        ran = run("review", *args, "--tree", kernel.path, cwd=kernel.path, env=env)
        assert (ran.status in (0, 1), ran.err) == (True, "")
    assert not marker.exists(), marker.read_text()
    subprocess.run(["git", "status"], cwd=kernel.path, capture_output=True, check=False)
    assert marker.exists()  # the trap can snap


# ---- patches that mean harm ----

EVIL = """\
From: A <a@example.org>
Subject: [PATCH] evil
Message-ID: <evil@example.org>
Date: Mon, 23 Mar 2026 12:12:48 +0530

Do it.

Signed-off-by: A <a@example.org>
---
diff --git a/{path} b/{path}
new file mode {mode}
index 000000000000..8ae9f81f8bb3
--- /dev/null
+++ b/{path}
@@ -0,0 +1,1 @@
+{text}
"""
HARM = {
    "above": ("../above", "100755", "'..'"),
    "far above": ("a/../../../above", "100644", ".."),
    "hook": (".git/hooks/post-checkout", "100755", "git's own directory"),
    "odd .git": (".GIT/config", "100644", "git's own directory"),
    "short .git": ("git~1/config", "100644", "git's own directory"),
    "absolute": ("/etc/evil", "100644", "absolute"),
    "symbolic link": ("link", "120000", "symbolic"),
    "submodule": ("module", "160000", "submodule"),
}


@pytest.mark.parametrize("harm", HARM)
def test_harm_is_refused(kernel: Kernel, tmp_path: Path, harm: str) -> None:
    path, mode, _ = HARM[harm]
    mbox = tmp_path / "evil.eml"
    mbox.write_text(EVIL.format(path=path, mode=mode, text=f"touch {tmp_path}/marker"))
    before = kernel.state()
    ran = run("review", mbox, "--tree", kernel.path)
    assert (ran.status, ran.err) == (3, "")
    assert ran.prose.startswith("Verdict: not reviewable. Patch 1/1 was refused")
    assert HARM[harm][2].strip("'") in ran.prose
    assert kernel.state() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.eml"]


# ---- signals ----

SLOW_GIT = """\
#!/bin/sh
case " $* " in
*" apply "*) echo $$ > {marker}.new; mv {marker}.new {marker}; exec sleep 300 ;;
esac
exec {git} "$@"
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_in_the_middle_leaves_nothing(
    kernel: Kernel, v2: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """The review is stopped while its git applies the patch, with all directories in use."""
    marker, slow = tmp_path / "marker", tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(SLOW_GIT.format(marker=marker, git=shutil.which("git")))
    slow.chmod(0o755)
    env = environment(PATH=f"{slow.parent}:{os.environ['PATH']}")
    child = start("review", v2, "--tree", kernel.path, env=env)
    wait_for(marker.exists, child)
    assert temporary()
    ran = signalled(child, number)
    assert (ran.status, ran.out) == (status, "")
    assert "Traceback" not in ran.err
    assert temporary() == []
    assert ended(int(marker.read_text()))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_a_server_is_slow(
    kernel: Kernel, number: signal.Signals, status: int
) -> None:
    with faults.serving(faults.trickle_body) as server:
        child = start("review", "x@example.org", "--lore", server.url, "--tree", kernel.path)
        wait_for(lambda: bool(server.requests), child)
        ran = signalled(child, number)
    assert (ran.status, ran.out) == (status, "")
    assert "Traceback" not in ran.err
    assert temporary() == []


def signalled(child: subprocess.Popen[bytes], number: signal.Signals) -> Ran:
    child.send_signal(number)
    return finish(child)


def wait_for(what: Callable[[], bool], child: subprocess.Popen[bytes]) -> None:
    """Wait until a running program has come so far."""
    deadline = time.monotonic() + SECONDS
    while not what() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    if not what():
        child.kill()
        pytest.fail(f"it did not come so far: {finish(child)}")


def temporary() -> list[str]:
    return sorted(os.listdir(os.environ["TMPDIR"]))  # noqa: PTH208 - names, not paths


def ended(pid: int) -> bool:
    """Whether a process is gone, or will be soon: it was killed just now."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False
