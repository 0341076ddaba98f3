# SPDX-License-Identifier: GPL-2.0-or-later
"""The mirror: real remotes, a tree that is never written, and damage that mends."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reviewbot.config_service import RemoteConfig
from reviewbot.errors import ConfigError
from reviewbot.kernel import mirror as module
from reviewbot.kernel.base import choose_base
from reviewbot.kernel.mirror import Fetched, Mirror, MirrorError
from reviewbot.kernel.model import BaseHow
from reviewbot.kernel.repository import Repository
from tests.kernel.support import Checkout, make_series
from tests.support.git_server import GitServer, git_server


@pytest.fixture
def upstream(tmp_path: Path) -> Checkout:
    """What everybody has cloned from: ten commits."""
    made = Checkout.make(tmp_path / "upstream")
    for number in range(10):
        made.commit({"a.c": f"int a{number};\n", "b.c": "int b;\n"}, date=number)
    made.git("tag", "v1")
    return made


@pytest.fixture
def user(upstream: Checkout, tmp_path: Path) -> Checkout:
    """The user's clone."""
    upstream.git("clone", "-q", str(upstream.path), str(tmp_path / "user"))
    return Checkout(tmp_path / "user")


@pytest.fixture
def kvm(upstream: Checkout, tmp_path: Path) -> Checkout:
    """A maintainer's tree: upstream and two commits on ``next``."""
    upstream.git("clone", "-q", str(upstream.path), str(tmp_path / "kvm"))
    made = Checkout(tmp_path / "kvm")
    made.git("checkout", "-q", "-b", "next")
    for number in (20, 21):
        made.commit({"kvm.c": f"int k{number};\n"}, date=number)
    made.git("tag", "kvm-6.13")
    return made


@pytest.fixture(params=[True, False], ids=["v2", "v0"])
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[GitServer]:
    """Both protocols; with the old one commits cannot be asked for by their id."""
    with git_server(tmp_path, modern=request.param) as running:
        yield running


def mirror_of(tree: Checkout, root: Path, **remotes: str) -> Mirror:
    return Mirror(root / "mirrors", tree.path, {n: RemoteConfig(url) for n, url in remotes.items()})


def at(checkout: Checkout) -> str:
    """The address of a repository on disk."""
    return checkout.path.as_uri()


def head(checkout: Checkout, rev: str = "HEAD") -> str:
    return checkout.git("rev-parse", rev).strip()


def resolve(mirror: Mirror, rev: str) -> str:
    with Repository.open(mirror.tree, mirror) as repository:
        commit = repository.resolve(rev)
        repository.tree_of(commit)
        return commit


def packed(mirror: Mirror) -> int:
    """Objects in the mirror itself."""
    return int(Checkout(mirror.git_dir).git("count-objects", "-v").split("in-pack: ")[1].split()[0])


def test_a_remote_is_fetched_beside_the_tree(
    user: Checkout, kvm: Checkout, server: GitServer, tmp_path: Path
) -> None:
    before = user.state()
    mirror = mirror_of(user, tmp_path, kvm=server.url("kvm/.git"))
    assert mirror.refresh() == (Fetched("kvm"),)
    assert resolve(mirror, "kvm/next") == head(kvm, "next")
    assert resolve(mirror, "kvm-6.13") == head(kvm, "next")
    assert user.state() == before
    assert packed(mirror) == 6  # two commits, each with a tree and a blob


def test_the_trees_own_references_are_seen_too(
    user: Checkout, kvm: Checkout, tmp_path: Path
) -> None:
    mirror = mirror_of(user, tmp_path, kvm=at(kvm))
    kvm.git("tag", "-f", "v1", "next")
    user.git("update-ref", "refs/remotes/kvm/next", "v1~3")
    mirror.refresh()
    assert resolve(mirror, "v1") == head(user, "v1")
    assert resolve(mirror, "kvm/next") == head(kvm, "next")
    assert resolve(mirror, "master~2") == head(user, "master~2")
    with Repository.open(user.path, mirror) as repository:
        assert not [tip.ref for tip in repository.tips if "borrowed" in tip.ref]


def test_fetching_is_due_again_after_the_interval(
    user: Checkout, kvm: Checkout, tmp_path: Path
) -> None:
    mirror = mirror_of(user, tmp_path, kvm=at(kvm))
    assert mirror.refresh() == (Fetched("kvm"),)
    assert mirror.refresh() == ()
    assert mirror.refresh(every=True) == (Fetched("kvm"),)
    stamp = mirror.git_dir / "fetched-kvm"
    for shift in (-3601, +3600):  # too long ago; and a clock that was set back since
        os.utime(stamp, (time.time() + shift,) * 2)
        assert mirror.refresh() == (Fetched("kvm"),)


def test_a_branch_that_went_away_or_became_a_directory(
    user: Checkout, kvm: Checkout, tmp_path: Path
) -> None:
    mirror = mirror_of(user, tmp_path, kvm=at(kvm))
    mirror.refresh()
    kvm.git("checkout", "-q", "--detach")
    kvm.git("branch", "-m", "next", "next/6.13")
    assert mirror.refresh(every=True) == (Fetched("kvm"),)
    assert resolve(mirror, "kvm/next/6.13") == head(kvm)


def test_a_remote_that_is_down_does_not_stop_the_others(
    user: Checkout, kvm: Checkout, tmp_path: Path
) -> None:
    mirror = mirror_of(user, tmp_path, away="http://127.0.0.1:1/x.git", kvm=at(kvm))
    away, found = mirror.refresh()
    assert found == Fetched("kvm")
    assert away.remote == "away"
    assert "127.0.0.1" in away.error
    assert mirror.refresh() == (away,)  # still due


def test_a_remote_that_never_answers(
    user: Checkout, kvm: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FETCH_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.git"
        (failed,) = mirror_of(user, tmp_path, kvm=url).refresh()
    assert failed == Fetched("kvm", "did not answer within 0.5 seconds")


def test_only_the_protocol_of_the_address_is_spoken(user: Checkout, tmp_path: Path) -> None:
    mirror = mirror_of(user, tmp_path, evil="ext::sh -c touch% " + str(tmp_path / "pwned"))
    (failed,) = mirror.refresh()
    assert failed.error
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["../x", "a/b", "-x", "x.lock", "a..b", "x.", "", "ä"])
def test_a_name_that_git_would_not_take(user: Checkout, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no name for a git remote"):
        Mirror(tmp_path, user.path, {name: RemoteConfig("https://example.org/x.git")})


# ---- single commits ----


def test_a_base_commit_is_fetched(
    user: Checkout, kvm: Checkout, server: GitServer, tmp_path: Path
) -> None:
    commit = head(kvm, "next~1")
    mirror = mirror_of(user, tmp_path, kvm=server.url("kvm/.git"))
    with Repository.open(user.path, mirror) as repository:
        base = choose_base(repository, make_series("", base_commit=commit), None)
        assert base.tree == head(kvm, "next~1^{tree}")
        assert repository.resolve(f"{commit}~1") == head(user)
    assert (base.commit, base.how) == (commit, BaseHow.BASE_COMMIT)
    assert base.why == "the series names it; fetched from kvm"
    assert resolve(mirror, commit) == commit  # it stays


def test_a_commit_on_no_branch(
    user: Checkout, kvm: Checkout, server: GitServer, tmp_path: Path
) -> None:
    lost = kvm.commit({"kvm.c": "int lost;\n"})
    kvm.git("reset", "-q", "--hard", "HEAD~1")
    (asked,) = mirror_of(user, tmp_path, kvm=server.url("kvm/.git")).fetch_commit(lost)
    refused = "gives no commits by their id, and what was fetched lacks it"
    assert asked == Fetched("kvm", "" if server.modern else refused)


def test_commits_that_are_nowhere_make_no_fetch_each(
    user: Checkout, kvm: Checkout, tmp_path: Path
) -> None:
    with git_server(tmp_path, modern=False) as server:
        mirror = mirror_of(user, tmp_path, kvm=server.url("kvm/.git"))
        mirror.refresh()
        kvm.commit({"kvm.c": "int news;\n"}, date=30)
        before = resolve(mirror, "kvm/next")
        (asked,) = mirror.fetch_commit("1" * 40)
        assert asked.error
        assert resolve(mirror, "kvm/next") == before


def test_a_commit_that_nobody_has(user: Checkout, kvm: Checkout, tmp_path: Path) -> None:
    mirror = mirror_of(user, tmp_path, kvm=at(kvm), self=at(user))
    with Repository.open(user.path, mirror) as repository:
        base = choose_base(repository, make_series("", base_commit="1" * 40), None)
    assert base.how is BaseHow.HEAD
    assert base.why.startswith(
        "base-commit given but not in this tree (kvm does not have it, self does not have it); "
    )


def test_a_short_id_cannot_be_asked_for(user: Checkout, kvm: Checkout, tmp_path: Path) -> None:
    mirror = mirror_of(user, tmp_path, kvm=at(kvm))
    with Repository.open(user.path, mirror) as repository:
        base = choose_base(repository, make_series("", base_commit=head(kvm)[:12]), None)
    assert "not in this tree (a shortened id cannot be asked for)" in base.why


def test_single_commits_are_kept_in_bounds(
    user: Checkout, kvm: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_COMMITS", 0)
    mirror = mirror_of(user, tmp_path, kvm=at(kvm))
    assert mirror.fetch_commit(head(kvm)) == (Fetched("kvm"),)
    kept = Checkout(mirror.git_dir)
    assert "refs/commits/" in kept.git("for-each-ref")
    mirror.refresh()
    assert "refs/commits/" not in kept.git("for-each-ref")


def test_a_shallow_tree_without_the_base(
    upstream: Checkout, kvm: Checkout, server: GitServer, tmp_path: Path
) -> None:
    upstream.git("clone", "-q", "--depth=2", at(upstream), str(tmp_path / "shallow"))
    shallow = Checkout(tmp_path / "shallow")
    before = shallow.state()
    old = head(upstream, "master~5")
    mirror = mirror_of(shallow, tmp_path, kvm=server.url("kvm/.git"))
    with Repository.open(shallow.path, mirror) as repository:
        base = choose_base(repository, make_series("", base_commit=old), None)
    if server.modern:
        assert (base.commit, base.tree) == (old, head(upstream, f"{old}^{{tree}}"))
    else:
        assert base.how is BaseHow.HEAD
        assert "(kvm gives no commits by their id, and what was fetched lacks it)" in base.why
    assert mirror.refresh(every=True) == (Fetched("kvm"),)
    assert resolve(mirror, "kvm/next") == head(kvm, "next")
    assert shallow.state() == before


# ---- damage, and company ----


def test_the_tree_is_repacked_and_pruned_meanwhile(
    user: Checkout, kvm: Checkout, tmp_path: Path
) -> None:
    mirror = mirror_of(user, tmp_path, kvm=at(kvm))
    mirror.refresh()
    with Repository.open(user.path, mirror) as repository:
        (first, *_) = repository.list_tree(repository.tree_of(head(user, "v1~4")))
        user.git("repack", "-q", "-a", "-d", "-f")
        user.git("gc", "-q", "--prune=now")
        for rev in ("v1~4", "kvm/next", "v1~9"):
            commit = repository.resolve(rev)
            for entry in repository.list_tree(repository.tree_of(commit)):
                assert repository.read_blob(entry.blob)
        assert repository.read_blob(first.blob) == b"int a5;\n"


def test_what_the_tree_has_thrown_away_is_fetched_again(
    user: Checkout, kvm: Checkout, tmp_path: Path
) -> None:
    user.git("fetch", "-q", "--no-tags", at(kvm), "next:mine")
    mirror = mirror_of(user, tmp_path, kvm=at(kvm))
    mirror.refresh()
    assert packed(mirror) == 0  # all of it was borrowed
    user.git("branch", "-q", "-D", "mine")
    user.git("reflog", "expire", "--all", "--expire=now")
    user.git("gc", "-q", "--prune=now")
    assert mirror.refresh(every=True) == (Fetched("kvm"),)
    assert resolve(mirror, "kvm/next") == head(kvm, "next")
    assert packed(mirror) == 6


def truncate(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize("what", ["head", "pack", "alternates", "refs", "gone"])
def test_a_damaged_mirror_is_made_anew(
    user: Checkout, kvm: Checkout, tmp_path: Path, what: str
) -> None:
    mirror = mirror_of(user, tmp_path, kvm=at(kvm))
    mirror.refresh()
    if what == "gone":
        shutil.rmtree(mirror.root)
    elif what == "head":
        (mirror.git_dir / "HEAD").unlink()
    elif what == "alternates":
        (mirror.git_dir / "objects" / "info" / "alternates").write_text("/nowhere\n")
    elif what == "refs":
        (mirror.git_dir / "refs" / "remotes" / "kvm" / "next").write_text("1" * 40 + "\n")
    else:
        for pack in (mirror.git_dir / "objects" / "pack").glob("*.pack"):
            truncate(pack)
    kvm.commit({"kvm.c": "int news;\n"}, date=30)
    user.commit({"own.c": "int own;\n"}, date=31)
    assert mirror.refresh(every=True) == (Fetched("kvm"),)
    assert resolve(mirror, "kvm/next") == head(kvm, "next")
    assert resolve(mirror, "kvm/next~1") == head(kvm, "next~1")


def test_what_a_killed_git_left_is_cleared(user: Checkout, kvm: Checkout, tmp_path: Path) -> None:
    mirror = mirror_of(user, tmp_path, kvm=at(kvm))
    mirror.refresh()
    left = [
        *(mirror.git_dir / name for name in ("packed-refs.lock", "shallow.lock")),
        mirror.git_dir / "refs" / "remotes" / "kvm" / "next.lock",
        mirror.git_dir / "objects" / "pack" / "tmp_pack_abc",
    ]
    for path in left:
        path.touch()
    kvm.commit({"kvm.c": "int news;\n"}, date=30)
    assert mirror.refresh(every=True) == (Fetched("kvm"),)
    assert resolve(mirror, "kvm/next") == head(kvm, "next")
    assert not [path for path in left if path.exists()]


def test_one_at_a_time(
    user: Checkout, kvm: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = mirror_of(user, tmp_path, kvm=at(kvm))
    mirror.prepare()
    monkeypatch.setattr(module, "COMMIT_SECONDS", 0.2)
    with mirror.git_dir.with_name(f"{mirror.git_dir.name}.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert mirror.refresh() == ()
        with pytest.raises(MirrorError, match="is being fetched: try again later"):
            mirror.fetch_commit("1" * 40)
        assert resolve(mirror, "master") == head(user)  # reading needs no lock


def test_many_fetches_leave_few_packs(
    user: Checkout, kvm: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PACKS", 2)
    mirror = mirror_of(user, tmp_path, kvm=at(kvm))
    for number in range(5):
        kvm.commit({"kvm.c": f"int more{number};\n"}, date=40 + number)
        assert mirror.refresh(every=True) == (Fetched("kvm"),)
    assert len(list(mirror.git_dir.glob("objects/pack/*.pack"))) <= 3
    assert resolve(mirror, "kvm/next~6") == head(kvm, "next~6")


def test_a_place_that_cannot_be_written(user: Checkout, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    mirror = Mirror(tmp_path / "file" / "mirrors", user.path, {})
    with pytest.raises(MirrorError, match="cannot be made"):
        mirror.prepare()


def test_the_trees_configuration_and_hooks_have_no_say(
    user: Checkout, kvm: Checkout, tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    script = f"#!/bin/sh\ntouch {trap}\n"
    hook = user.path / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(script)
    hook.chmod(0o755)
    user.git("config", "core.fsmonitor", f"touch {trap}")
    user.git("config", "core.alternateRefsCommand", f"touch {trap};")
    user.git("config", "url.https://127.0.0.1:1/.insteadOf", "file:///")
    mirror = mirror_of(user, tmp_path, kvm=at(kvm))
    assert mirror.refresh() == (Fetched("kvm"),)
    assert not trap.exists()
