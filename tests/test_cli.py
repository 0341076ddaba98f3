# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: what it teaches, how it fails, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from reviewbot import __version__, cli
from tests.support import faults
from tests.support.program import (
    DOMAIN,
    LOCK,
    PROGRAM,
    SECONDS,
    Kernel,
    complaint,
    environment,
    run,
    start,
)

APP: Any = typer.main.get_command(cli.app)
COMMANDS: dict[str, Any] = {name: APP.get_command(None, name) for name in APP.list_commands(None)}
FILE = "virt/kvm/eventfd.c"


# ---- help, completion, documentation ----


def options(command: Any) -> list[Any]:
    return [param for param in command.params if param.param_type_name == "option"]


def names(param: Any) -> list[str]:
    return [*param.opts, *param.secondary_opts]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches(name: str) -> None:
    ran = run(name, "--help")
    assert (ran.status, ran.err) == (0, "")
    command = COMMANDS[name]
    assert command.help.split("\n")[0].endswith(".")
    told = " ".join(re.sub(r"[^ -~]", " ", ran.out).split())
    for param in options(command):
        assert param.help, f"{param.name} has no help"
        assert param.help.endswith((".", "'")), param.help
        assert all(option in told for option in names(param))
        assert param.help.split()[0] in told


def test_review_help_has_an_example_of_each_way_in() -> None:
    examples = re.findall(r"reviewbot review (.*)", run("review", "--help").out)
    assert any("@" in line for line in examples)
    assert any(".mbox" in line for line in examples)
    assert any("--range" in line for line in examples)


def test_without_a_command_the_program_explains_itself() -> None:
    ran = run()
    assert (ran.status, ran.err) == (2, "")
    assert all(name in ran.out for name in COMMANDS)
    assert "Exit status: 0" in ran.out


def test_version() -> None:
    ran = run("--version")
    assert (ran.status, ran.out, ran.err) == (0, f"reviewbot {__version__}\n", "")


def section(page: str, title: str) -> str:
    """What stands below a heading of the manual, up to the next one."""
    _, found, rest = page.partition(f"\n{title}\n")
    assert found, f"no heading {title!r}"
    return re.split(r"\n##+ ", rest, maxsplit=1)[0]


@pytest.fixture(scope="module")
def manual(repository_root: Path) -> str:
    return (repository_root / "docs" / "reviewbot.1.md").read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_manual_has_every_option_and_no_other(manual: str, name: str) -> None:
    text = section(manual, f"### reviewbot {name}")
    terms = "\n".join(re.findall(r"^`.*`$(?=\n: )", text, re.MULTILINE))
    known = {option for param in options(COMMANDS[name]) for option in names(param)}
    known -= {"-h", "--help"}
    assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", terms)) == known
    for param in options(COMMANDS[name]):
        if param.metavar:
            assert f"{param.opts[0]} {param.metavar}`" in terms
    for param in COMMANDS[name].params:
        if param.param_type_name == "argument":
            assert f"`{param.metavar.strip('[]')}`" in terms


def test_the_manual_has_the_options_of_the_program_itself(manual: str) -> None:
    text = section(manual, "## OPTIONS")
    for param in options(APP):
        assert all(f"`{option}`" in text for option in names(param))


def test_the_readme_names_only_options_that_exist(repository_root: Path) -> None:
    readme = (repository_root / "README.md").read_text()
    known = {"--help", "--strict", "--git"}  # the last two are mypy's and diff's
    for command in (APP, *COMMANDS.values()):
        known.update(option for param in options(command) for option in names(param))
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", readme))
    assert used <= known
    assert {"--range", "--base", "--lore", "--out", "--json", "--stats", "--config"} <= used


@pytest.mark.parametrize("page", ["README.md", "docs/reviewbot.1.md"])
def test_the_exit_statuses_are_documented(repository_root: Path, page: str) -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", (repository_root / page).read_text(), re.MULTILINE)
    assert rows == ["0", "1", "2", "3", "4", "130, 143"]


def test_completion_knows_commands_and_options() -> None:
    asked = {"_REVIEWBOT_COMPLETE": "complete_bash"}
    ran = run(env=environment(**asked, COMP_WORDS="reviewbot ", COMP_CWORD="1"))
    assert set(ran.out.split()) == set(COMMANDS)
    ran = run(env=environment(**asked, COMP_WORDS="reviewbot review --b", COMP_CWORD="2"))
    assert ran.out.split() == ["--base"]


def test_show_completion_prints_a_script_that_bash_takes() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is missing")
    command = [bash, "-c", f"{PROGRAM} --show-completion; true"]
    script = subprocess.run(command, capture_output=True, env=environment(), check=True).stdout
    assert b"_REVIEWBOT_COMPLETE=complete_bash" in script
    subprocess.run([bash, "-n"], input=script, check=True)


# ---- one stage at a time ----


def test_facts(kernel: Kernel) -> None:
    ran = run("facts", kernel.path / FILE)
    assert (ran.status, ran.err) == (0, "")
    assert "kvm_irqfd_assign() line" in ran.out
    assert re.search(r"mutex_lock\(&kvm->irqfds\.resampler_lock\)", ran.out)
    found = run("facts", kernel.path / FILE, "--json").json
    assert found["schema"] == "reviewbot.facts/1"
    assert "kvm_irqfd_assign" in [function["name"] for function in found["functions"]]


def test_graph(kernel: Kernel) -> None:
    ran = run("graph", "--lock", LOCK, "--tree", kernel.path)
    assert (ran.status, ran.err) == (0, "")
    assert ran.first == LOCK
    assert f"blocks on {DOMAIN}" in ran.out
    part = run("graph", "--lock", "resampler_lock", "-t", kernel.path, "--json").json
    assert (part["schema"], part["name"]) == ("reviewbot.lock/1", LOCK)
    assert {step["function"] for step in part["takers"]} == {
        "irqfd_resampler_shutdown",
        "kvm_irqfd_assign",
    }


def test_graph_of_another_revision(kernel: Kernel) -> None:
    ran = run("graph", "--lock", LOCK, "--tree", kernel.path, "--rev", "v2")
    assert ran.first == LOCK
    assert f"blocks on {DOMAIN}" not in ran.out


def test_graph_names_the_locks_that_could_be_meant(kernel: Kernel) -> None:
    said = complaint(run("graph", "--lock", "irqfds", "--tree", kernel.path), 2)
    assert LOCK in said
    assert "'nowhere'" in complaint(run("graph", "--lock", "nowhere", "-t", kernel.path), 2)


def test_index_reads_a_tree_once(kernel: Kernel, home: Path, v2: Path) -> None:
    ran = run("index", "--tree", kernel.path, "--json")
    assert (ran.status, ran.err) == (0, "")
    assert ran.json["commit"] == kernel.git("rev-parse", "HEAD").strip()
    assert (ran.json["files"], ran.json["functions"]) == (13, 32)
    text = run("index", "--tree", kernel.path, "--rev", "v1").out
    assert text.startswith("v1: 13 files, 32 functions, ")
    # What it left is all that a review of these files needs.
    made = stored(home / "cache")
    assert run("review", v2, "--tree", kernel.path).status == 0
    assert made <= stored(home / "cache")


def stored(folder: Path) -> set[tuple[str, int]]:
    """The stored trees, each with its inode: one that was written again has another."""
    return {(path.name, path.stat().st_ino) for path in (folder / "reviewbot" / "trees").iterdir()}


def test_primitives() -> None:
    listed = run("primitives")
    assert (listed.status, listed.err) == (0, "")
    table = run("primitives", "--json").json
    assert isinstance(table, list)
    assert {"mutex_lock", "synchronize_srcu", "queue_work"} <= {entry["name"] for entry in table}
    for entry in table:  # whole names, whatever the width: this is for grep
        assert re.search(rf"^ *{entry['name']} +{entry['role']} ", listed.out, re.MULTILINE)


def test_primitives_lists_those_of_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        '[[primitives]]\nnames = ["grab_it"]\nrole = "acquire"\nlock = "mutex"\narg = 0\n'
    )
    ran = run("primitives", "--config", config)
    assert re.search(r"^ *grab_it +acquire +mutex ", ran.out, re.MULTILINE)


def test_init_writes_what_the_program_reads(home: Path, kernel: Kernel) -> None:
    ran = run("init")
    path = home / "config" / "reviewbot" / "config.toml"
    assert (ran.status, ran.out) == (0, f"wrote {path}\n")
    text = path.read_text()
    assert text.count("#") > 20
    assert run("primitives").status == 0
    assert "exists already" in complaint(run("init"), 2)
    assert path.read_text() == text
    path.write_text(text + f'\ntree = "{kernel.path}"\n')
    assert run("index").status == 2  # behind the last table it is that table's key
    path.write_text(f'tree = "{kernel.path}"\n' + text)
    assert run("index").status == 0


def test_doctor(kernel: Kernel, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[lore]\nurl = "http://127.0.0.1:1/x"\n')
    ran = run("doctor", "--config", config, "--tree", kernel.path)
    assert (ran.status, ran.err) == (0, "")
    *good, lore, advice = ran.out.splitlines()
    assert all(line.startswith("ok    ") for line in good), ran.out
    assert lore.startswith("note  lore: http://127.0.0.1:1/x is not reached")
    assert advice.startswith("      ")
    checks = json.loads(run("doctor", "--config", config, "-t", kernel.path, "--json").out)
    assert [(check["name"], check["ok"]) for check in checks] == [
        *((line[6:].partition(":")[0], True) for line in good),
        ("lore", None),
    ]


def test_doctor_fails_where_a_review_would(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[lore]\nurl = "http://127.0.0.1:1/x"\n')
    ran = run("doctor", "--config", config, "--tree", tmp_path)
    assert ran.status == 2
    assert re.search(r"^FAIL  kernel tree: .*\n +give --tree", ran.out, re.MULTILINE)


# ---- terminals ----

COLOUR = re.compile(rb"\x1b\[(?:\d+;)*3[0-7]")


def on_terminal(*args: str | Path, stdout: bool, **extra: str) -> tuple[bytes, bytes]:
    """Standard output of a run, and what it wrote to the terminal that it was given."""
    master, slave = pty.openpty()
    env = environment(**{"TERM": "xterm", **extra})
    command = [str(PROGRAM), *map(str, args)]
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=slave if stdout else subprocess.PIPE,
        stderr=slave,
        env=env,
    )
    os.close(slave)
    seen = b""
    while chunk := read_terminal(master):
        seen += chunk
    out = child.stdout.read() if child.stdout else b""
    if child.stdout:
        child.stdout.close()
    os.close(master)
    assert child.wait(SECONDS) == 0
    return out, seen


def read_terminal(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # Linux says EIO when the other side is gone
        return b""


def test_no_colour_where_none_is_wanted() -> None:
    assert COLOUR.search(on_terminal("--help", stdout=True)[1])
    assert not COLOUR.search(on_terminal("--help", stdout=True, NO_COLOR="1")[1])
    assert b"\x1b" not in run("--help").out.encode()


def test_progress_is_for_terminals(kernel: Kernel, v2: Path) -> None:
    plain = run("review", v2, "--tree", kernel.path)
    assert plain.err == ""
    out, seen = on_terminal("review", v2, "--tree", kernel.path, stdout=False)
    assert out.decode() == plain.out
    assert b"Traceback" not in seen


def test_a_reader_that_goes_away_is_no_error(kernel: Kernel) -> None:
    child = start("facts", kernel.path / FILE, "--json")
    assert child.stdout is not None
    child.stdout.close()
    child.stdout = None
    said = child.communicate(timeout=SECONDS)[1]
    assert (child.returncode, said) == (141, b"")


def test_stats_go_to_standard_error(kernel: Kernel, v2: Path) -> None:
    ran = run("review", v2, "--tree", kernel.path, "--stats")
    stats = json.loads(ran.err)
    assert ran.first.startswith("Verdict: removed.")
    assert (stats["files"], stats["functions"], stats["changed_functions"]) == (13, 32, 2)


# ---- failures: one sentence each ----


def not_there(place: Path) -> list[str | Path]:
    return ["review", "--range", "a..b", "--tree", place / "nowhere"]


def no_repository(place: Path) -> list[str | Path]:
    (place / "plain").mkdir()
    return ["review", "--range", "a..b", "--tree", place / "plain"]


def no_commits(place: Path) -> list[str | Path]:
    subprocess.run(["git", "init", "-q", place / "empty"], check=True)
    return ["review", "--range", "a..b", "--tree", place / "empty"]


def misspelt_key(place: Path) -> list[str | Path]:
    (place / "bad.toml").write_text('[lore]\ndeadlin = 3\nurl = "http://127.0.0.1:1/"\n')
    return ["review", "x@example.org", "--tree", place, "--config", place / "bad.toml"]


def no_configuration(place: Path) -> list[str | Path]:
    return ["primitives", "--config", place / "none.toml"]


def binary(place: Path) -> list[str | Path]:
    (place / "binary.mbox").write_bytes(bytes(range(256)) * 400)
    return ["review", place / "binary.mbox", "--tree", "{tree}"]


def nothing(place: Path) -> list[str | Path]:
    (place / "empty.mbox").touch()
    return ["review", place / "empty.mbox", "--tree", "{tree}"]


def folder(place: Path) -> list[str | Path]:
    return ["review", place, "--tree", "{tree}"]


def unwritable(place: Path) -> list[str | Path]:
    return ["review", "{v2}", "--tree", "{tree}", "--out", place / "no" / "reply.eml"]


def bad_base(place: Path) -> list[str | Path]:
    return ["review", "{v2}", "--tree", "{tree}", "--base", "v9.99"]


def option_as_base(place: Path) -> list[str | Path]:
    return ["review", "{v2}", "--tree", "{tree}", "--base=--upload-pack=touch"]


def bad_range(place: Path) -> list[str | Path]:
    return ["review", "--range", "master", "--tree", "{tree}"]


def empty_range(place: Path) -> list[str | Path]:
    return ["review", "--range", "v2..v2", "--tree", "{tree}"]


def huge(place: Path) -> list[str | Path]:
    with (place / "huge.mbox").open("wb") as file:
        file.write(b"From: A <a@example.org>\nSubject: [PATCH] x\n\n")
        file.write(b"x" * 100_000_000)
    return ["review", place / "huge.mbox", "--tree", "{tree}"]


FAILURES: dict[str, tuple[Callable[[Path], list[str | Path]], int, str]] = {
    "no such tree": (not_there, 2, "nowhere does not exist"),
    "not a repository": (no_repository, 2, "plain is not a git repository"),
    "no commits": (no_commits, 2, "empty has no commits yet"),
    "misspelt key": (
        misspelt_key,
        2,
        "lore.deadlin is not a known key; did you mean lore.deadline",
    ),
    "no such configuration": (no_configuration, 2, "none.toml does not exist"),
    "binary garbage": (binary, 2, "binary.mbox is neither mail nor a patch"),
    "empty file": (nothing, 2, "empty.mbox is neither mail nor a patch"),
    "directory": (folder, 2, "is a directory without cur/ or new/"),
    "unwritable reply": (unwritable, 2, "reply.eml cannot be written: No such file"),
    "no such base": (bad_base, 2, "'v9.99' names no commit"),
    "option for a base": (option_as_base, 2, "'--upload-pack=touch' is not a revision"),
    "no range": (bad_range, 2, "'master' is not a range"),
    "empty range": (empty_range, 2, "v2..v2 holds no commits"),
    "one line of 100 MB": (huge, 3, "huge.mbox is larger than 64 MiB"),
    "no tree": (lambda _: ["review", "{v2}"], 2, "no kernel tree: give --tree DIR"),
    "no series": (lambda _: ["review"], 2, "name a SERIES or a --range"),
    "series and range": (lambda _: ["review", "x", "--range", "a..b"], 2, "one of the two"),
    "neither file nor id": (
        lambda _: ["review", "no/such/file", "--tree", "{tree}"],
        2,
        "'no/such/file' is neither a file here nor a message-id",
    ),
    "lore is no server": (
        lambda _: ["review", "x@example.org", "--tree", "{tree}", "--lore", "ftp://example.org"],
        2,
        "'ftp://example.org' is not the URL of a public-inbox server",
    ),
    "no such source file": (lambda place: ["facts", place / "no.c"], 2, "no.c cannot be read"),
    "no such revision": (
        lambda _: ["index", "--tree", "{tree}", "--rev", "v9"],
        2,
        "'v9' names no commit",
    ),
    "no such command": (lambda _: ["reviev"], 2, "reviev"),
    "no such option": (lambda _: ["review", "--bass", "x"], 2, "--bass"),
    "no lock named": (lambda _: ["graph", "--tree", "{tree}"], 2, "--lock"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_one_sentence(kernel: Kernel, v2: Path, tmp_path: Path, failure: str) -> None:
    make, status, words = FAILURES[failure]
    named = {"{tree}": kernel.path, "{v2}": v2}
    args = [named.get(str(arg), arg) for arg in make(tmp_path)]
    assert words in complaint(run(*args), status)


def test_an_address_is_not_asked_for_before_the_tree_is_there(tmp_path: Path) -> None:
    with faults.serving(faults.hang) as server:
        ran = run("review", "x@example.org", "--lore", server.url, "--tree", tmp_path / "no")
        assert server.requests == []
    assert "does not exist" in complaint(ran, 2)
