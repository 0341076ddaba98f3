# SPDX-License-Identifier: GPL-2.0-or-later
"""Message-ids from the command line: a real public-inbox, and servers that fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import policy
from email.parser import BytesParser
from pathlib import Path

import pytest

from reviewbot.report import etiquette
from tests.report.test_jsonout import DOCUMENT, broken
from tests.support import faults, mails
from tests.support.program import (
    SITES,
    Kernel,
    Ran,
    complaint,
    environment,
    run,
    sample_files,
    sites,
)
from tests.support.public_inbox import PublicInbox, available

SEED_V1 = "20260323053353.805336-1-sonam.sanju@intel.com"
SEED_V2 = "20260323064248.1660757-1-sonam.sanju@intel.com"
FILE = "virt/kvm/eventfd.c"
GONE = dict.fromkeys(SITES, "removed")


def review(kernel: Kernel, *args: str | Path) -> Ran:
    """A review that comes to a verdict, and says nothing beside it."""
    ran = run("review", *args, "--tree", kernel.path)
    assert ran.err == ""
    return ran


# ---- a public-inbox server ----


class Lore:
    """A running public-inbox with the threads that a review may ask for."""

    def __init__(self, url: str, three: list[bytes], holed: list[bytes], lonely: str) -> None:
        self.url = url
        self.three = three
        self.holed = holed
        self.lonely = lonely


def assign_half(text: str) -> str:
    """The sample file with the grace period of kvm_irqfd_assign() after the unlock."""
    sync = "\t\tsynchronize_srcu_expedited(&kvm->irq_srcu);\n"
    unlock = "\t\tmutex_unlock(&kvm->irqfds.resampler_lock);\n"
    assert f"{sync}\n{unlock}\t}}" in text
    return text.replace(f"{sync}\n{unlock}\t}}", f"{unlock}{sync}\t}}")


def three_patches(root: Path, sample_patches: Path) -> list[bytes]:
    """A cover letter and three patches: the second and the third each do a part."""
    author = Kernel.make(root, sample_files(sample_patches))
    author.branch("topic", "master")
    author.git("config", "branch.topic.description", "KVM: irqfd: shorten\n\nIn three steps.")
    author.edit(
        "virt/kvm/irqchip.c",
        "KVM: irqchip: start with all lines low",
        lambda text: text.replace(
            "\tmutex_init(&kvm->irq_lock);\n",
            "\tmutex_init(&kvm->irq_lock);\n\tkvm->irq_level[0] = 0;\n",
        ),
    )
    author.git("apply", "--index", sample_patches / "seed-v1.mbox")
    author.git("commit", "-q", "-m", "KVM: irqfd: wait without the lock when shutting down")
    author.edit(FILE, "KVM: irqfd: wait without the lock when assigning", assign_half)
    options = ("--cover-letter", "--cover-from-description=subject", "master..topic")
    return mails.split(author.mails(*options))


@pytest.fixture(scope="module")
def lore(tmp_path_factory: pytest.TempPathFactory, sample_patches: Path) -> Iterator[Lore]:
    if not available():
        pytest.skip("needs Debian's public-inbox (apt-get install public-inbox)")
    root = tmp_path_factory.mktemp("lore")
    three = three_patches(root / "author", sample_patches)
    assert len(three) == 4
    holed = [re.sub(rb"\.git\.(\S+@example\.org>)", rb".hole.\1", mail) for mail in three]
    del holed[2]
    seed = [(sample_patches / f"seed-{v}.mbox").read_bytes() for v in ("v1", "v2")]
    never = mails.Author(root / "lonely").series(subjects=("lone: never delivered",))
    replies = [mails.reply(never[0], "Why?", "lone-1@example.org")]
    replies.append(mails.reply(replies[0], "Indeed.", "lone-2@example.org"))
    inbox = PublicInbox(root / "inbox", ("kvm",))
    for mail in (*(mbox.partition(b"\n")[2] for mbox in seed), *three, *holed, *replies):
        inbox.deliver("kvm", mail)
    with inbox:
        yield Lore(inbox.url("kvm"), three, holed, "lone-1@example.org")


@pytest.mark.public_inbox
def test_v1_is_reviewed_when_v1_is_asked_for(kernel: Kernel, lore: Lore) -> None:
    ran = review(kernel, SEED_V1, "--lore", lore.url)
    assert ran.status == 1
    assert ran.first.startswith("Verdict: partially removed.")
    assert "v2 of this series exists; this report is about v1" in ran.prose
    ran = review(kernel, SEED_V1, "--lore", lore.url, "--json")
    assert (ran.json["series"]["version"], ran.json["series"]["newer_versions"]) == (1, [2])
    assert sites(ran.json) == GONE | {("kvm_irqfd_assign", ""): "remaining"}


@pytest.fixture
def built_on_three(kernel: Kernel, lore: Lore, tmp_path: Path) -> Path:
    """A patch to a line that the three patches bring, which it says."""
    kernel.git("clone", "-q", kernel.path, tmp_path / "author")
    author = Kernel(tmp_path / "author")
    (tmp_path / "three.mbox").write_bytes(mails.join(*lore.three[1:]))
    author.am(tmp_path / "three.mbox")
    author.edit(
        "virt/kvm/irqchip.c",
        "KVM: irqchip: start with all lines high",
        lambda text: text.replace("irq_level[0] = 0;", "irq_level[0] = 1;"),
    )
    below = f"---\nDepends-on: <{mails.message_id(lore.three[0])}>\n".encode()
    path = tmp_path / "built-on.mbox"
    path.write_bytes(author.mails("-1").replace(b"---\n", below, 1))
    return path


@pytest.mark.public_inbox
def test_what_a_series_is_built_on_is_applied_first(
    kernel: Kernel, lore: Lore, built_on_three: Path
) -> None:
    ran = review(kernel, built_on_three, "--lore", lore.url)
    assert ran.status == 0, ran.out
    assert ran.first.startswith("Verdict: clean.")  # what the three remove is not its merit
    assert f"/r/{mails.message_id(lore.three[0])}): 3 patches applied first" in ran.prose
    ran = review(kernel, built_on_three, "--lore", lore.url, "--json")
    (below,) = ran.json["application"]["prerequisites"]
    assert (below["state"], below["patches"]) == ("applied", 3)
    assert broken(ran.json, DOCUMENT) == []


@pytest.mark.public_inbox
def test_prerequisites_may_be_left_out(kernel: Kernel, lore: Lore, built_on_three: Path) -> None:
    ran = review(kernel, built_on_three, "--lore", lore.url, "--no-prerequisites")
    assert ran.status == 3
    assert "Built on: 1 prerequisite, not applied" in ran.prose
    ran = review(kernel, built_on_three, "--lore", "http://127.0.0.1:1")
    assert ran.status == 3
    assert "1 of its 1 prerequisites could not be applied" in ran.prose


@pytest.mark.public_inbox
def test_v2_is_reviewed_when_its_address_is_given(kernel: Kernel, lore: Lore) -> None:
    url = f"https://patch.msgid.link/{SEED_V2}"
    ran = review(kernel, url, "--lore", lore.url, "--json")
    assert (ran.status, ran.json["verdict"]) == (0, "removed")
    assert ran.json["series"]["newer_versions"] == []
    assert ran.json["series"]["message_id"] == SEED_V2
    assert sites(ran.json) == GONE


@pytest.mark.public_inbox
def test_it_is_told_which_patch_did_it(kernel: Kernel, lore: Lore) -> None:
    cover = mails.message_id(lore.three[0])
    ran = review(kernel, cover, "--lore", lore.url, "--json")
    assert (ran.status, ran.json["verdict"]) == (0, "removed")
    (hazard,) = ran.json["hazards"]
    by = {(site["function"], site["via"]): site["patch"] for site in hazard["sites"]}
    assert by == dict(zip(SITES, (2, 2, 3), strict=True))
    assert hazard["patch"] == 3
    assert [patch["index"] for patch in ran.json["application"]["patches"]] == [1, 2, 3]
    assert ran.json["base"]["how"] == "blobs"
    text = review(kernel, mails.message_id(lore.three[2]), "--lore", lore.url)
    assert text.status == 0
    assert "Applied: all 3 patches" in text.prose
    assert "(conditional), gone with patch 3/3" in text.prose
    assert "kvm_irqfd_assign(): gone with patch 3/3." in text.prose
    assert "irqfd_resampler_shutdown(): gone with patch 2/3." in text.prose


@pytest.mark.public_inbox
def test_a_verdict_on_a_series_answers_its_cover_letter(
    kernel: Kernel, lore: Lore, tmp_path: Path
) -> None:
    out = tmp_path / "reply.eml"
    review(kernel, mails.message_id(lore.three[3]), "--lore", lore.url, "--out", out)
    mail = BytesParser(policy=policy.default).parsebytes(out.read_bytes())
    assert mail["In-Reply-To"] == f"<{mails.message_id(lore.three[0])}>"
    assert mail["Subject"] == "Re: [PATCH 0/3] KVM: irqfd: shorten"
    assert etiquette.check(out.read_bytes()) == ()


@pytest.mark.public_inbox
def test_a_series_with_a_hole_is_looked_at_as_far_as_it_goes(kernel: Kernel, lore: Lore) -> None:
    cover = mails.message_id(lore.holed[0])
    ran = review(kernel, cover, "--lore", lore.url, "--json")
    assert (ran.status, ran.json["verdict"]) == (0, "clean")
    assert ran.json["series"]["missing"] == [2]
    assert ran.json["series"]["expected"] == 3
    assert broken(ran.json, DOCUMENT) == []
    text = review(kernel, cover, "--lore", lore.url)
    assert "only patch 1 was looked at, as patch 2 of 3 did not arrive" in text.prose


@pytest.mark.public_inbox
def test_a_thread_of_replies_has_no_series(kernel: Kernel, lore: Lore) -> None:
    ran = run("review", lore.lonely, "--lore", lore.url, "--tree", kernel.path)
    assert lore.lonely in complaint(ran, 3)


@pytest.mark.public_inbox
def test_an_unknown_message_is_said_to_be_unknown(kernel: Kernel, lore: Lore) -> None:
    ran = run("review", "nobody@example.org", "--lore", lore.url, "--tree", kernel.path)
    said = complaint(ran, 3)
    assert "nobody@example.org" in said
    assert "check the Message-ID" in said


# ---- servers that fail ----

HTML = b"<!doctype html><title>Making sure you are not a bot!</title>"
FAULTS = {
    "503": (faults.status(503), "overloaded"),
    "503 with a long wait": (faults.status(503, Retry_After="3600"), "asks to wait 3600 seconds"),
    "hanging": (faults.hang, "did not finish within 2 seconds"),
    "trickling body": (faults.trickle_body, "did not finish within 2 seconds"),
    "trickling headers": (faults.trickle_headers, "did not finish within 2 seconds"),
    "web page": (faults.status(200, HTML, Content_Type="text/html"), "no gzipped mailbox"),
    "cut short": (faults.reset, "cannot be read"),
}


@pytest.fixture
def hasty(tmp_path: Path) -> Path:
    """A configuration with small deadlines."""
    path = tmp_path / "hasty.toml"
    path.write_text("[lore]\ndeadline = 2\nretries = 1\n")
    return path


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_server_is_one_sentence(kernel: Kernel, hasty: Path, fault: str) -> None:
    answer, words = FAULTS[fault]
    with faults.serving(answer) as server:
        ran = run(
            *("review", SEED_V2, "--lore", server.url, "--tree", kernel.path, "--config", hasty),
            seconds=30,  # the servers go on for a minute and more
        )
    said = complaint(ran, 4)
    assert words in said
    assert server.url in said


def test_a_server_that_is_down(kernel: Kernel, hasty: Path) -> None:
    with faults.serving(faults.hang) as server:
        url = server.url
    ran = run("review", SEED_V2, "--lore", url, "--tree", kernel.path, "--config", hasty)
    assert "Connection refused" in complaint(ran, 4)


def test_the_configured_server_is_asked_with_a_name(
    kernel: Kernel, sample_patches: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    mbox = (sample_patches / "seed-v2.mbox").read_bytes()
    with faults.serving(faults.mailbox(mbox)) as server:
        config.write_text(
            f'tree = "{kernel.path}"\n[lore]\nurl = "{server.url}"\n'
            '[sender]\ncontact = "me@example.org"\n'
        )
        ran = run("review", f"<{SEED_V2}>", env=environment(REVIEWBOT_CONFIG=str(config)))
        ((path, headers),) = server.requests
    assert (ran.status, ran.err) == (0, "")
    assert path == f"/list/{SEED_V2}/t.mbox.gz"
    assert re.fullmatch(r"reviewbot/\S+ \(\+me@example\.org\)", headers["User-Agent"])
