# SPDX-License-Identifier: GPL-2.0-or-later
"""Reviews made by hand, of an invented driver, for the golden mails.

The sources and patches are real: ``tests/data/golden/frob`` holds the files
before, and the patches git made.  Line numbers are looked up in the sources,
so a chain never names a line that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reviewbot.kernel.model import (
    Application,
    ApplyState,
    Base,
    BaseHow,
    Conflict,
    HunkFailure,
    Offset,
    PatchApplication,
    PrerequisiteResult,
    PrerequisiteState,
)
from reviewbot.locking.model import (
    Chain,
    ChangeState,
    Evidence,
    Grade,
    Hazard,
    HazardKind,
    Scenario,
    ScenarioRow,
    Site,
    Stats,
    Step,
    Verdict,
)
from reviewbot.report.model import Gone, Review, Since
from reviewbot.report.reply import Sender
from reviewbot.series.model import (
    Damage,
    DamageKind,
    Envelope,
    Identity,
    Patch,
    Reference,
    ReferenceKind,
    Series,
    Trailer,
)

DATA = Path(__file__).parents[1] / "data" / "golden"
GATE_PATH = "drivers/frob/gate.c"
POLL_PATH = "drivers/frob/poll.c"
LINE_PATH = "drivers/frob/line.c"
GATE_LOCK = "struct frob.gate_lock"
PORTS_SRCU = "struct frob.ports_srcu"
CONF_LOCK = "struct frob.conf_lock"
POLL_WORK = "struct frob.poll_work"

GATE = (DATA / "frob" / "gate.c").read_text()
POLL = (DATA / "frob" / "poll.c").read_text()
COMMIT = "0f1e2d3c4b5a69788796a5b4c3d2e1f001234567"
TREE = "89abcdef0123456789abcdef0123456789abcdef"

SENDER = Sender(
    name="reviewbot",
    address="reviewbot@bot.example.org",
    operator="Example Operator",
    contact="operator@example.org",
    stop='answer with the one word "stop", or write to operator@example.org.',
    domain="bot.example.org",
)
AUTHOR = Identity("Robin Ample", "robin@example.org")
STATS = Stats(
    files=61234, functions=612345, changed_functions=2, locks=41, unknown_locks=2, seconds=3.14159
)


def patch_text(name: str) -> str:
    """One of the stored patches."""
    return (DATA / "frob" / f"{name}.patch").read_text()


def line_of(source: str, function: str, text: str) -> int:
    """The line of the last ``text`` within a function, as the checker would name it."""
    lines = source.splitlines()
    start = next(
        number
        for number, line in enumerate(lines)
        if line[:1].strip() and f"{function}(" in line and not line.endswith(";")
    )
    end = lines.index("}", start)
    return next(number for number in range(end, start, -1) if text in lines[number]) + 1


def envelope(subject: str, message_id: str, references: tuple[str, ...] = ()) -> Envelope:
    """A mail to the invented driver's list."""
    return Envelope(
        message_id=message_id,
        subject=subject,
        author=AUTHOR,
        date="Mon, 03 Aug 2026 10:00:00 +0200",
        to=(Identity("Frob maintainers", "frob@example.org"),),
        cc=(
            Identity("", "linux-frob@example.org"),
            Identity("reviewbot", "reviewbot@bot.example.org"),
            Identity("Masked", "someone@xxxxxxxxx"),
        ),
        references=references,
    )


def patch(index: int, subject: str, diff: str, mail: Envelope, **more: object) -> Patch:
    """One patch as the assembler would give it."""
    values: dict[str, object] = {
        "message": "Words of the commit message.\n",
        "trailers": (Trailer("Signed-off-by", "Robin Ample <robin@example.org>"),),
        "patch_id": f"{index:040x}",
        **more,
    }
    return Patch(
        index=index,
        envelope=mail,
        subject=subject,
        author=AUTHOR,
        diff=diff,
        **values,  # type: ignore[arg-type]
    )


def single(diff: str, **more: object) -> Series:
    """A series of one patch, version 2, in the thread of version 1."""
    subject = "frob: gate: do not wait for readers under gate_lock"
    mail = envelope(
        f"[PATCH v2] {subject}", "20260803080000.2-1-robin@example.org", ("v1-1@example.org",)
    )
    damage = more.pop("damage", None)
    values: dict[str, object] = {
        "message_id": mail.message_id,
        "subject": mail.subject,
        "version": 2,
        "expected": 1,
        "patches": (patch(1, subject, diff, mail, damage=damage),),
        "source": mail.message_id,
        **more,
    }
    return Series(**values)  # type: ignore[arg-type]


def three(**more: object) -> Series:
    """A series of three patches with a cover letter, in the poll file."""
    subjects = (
        "frob: poll: keep to the shortest period",
        "frob: poll: stop the work with conf_lock held",
        "frob: poll: say where the work runs",
    )
    cover = envelope("[PATCH 0/3] frob: polling", "20260803090000.7-1-robin@example.org")
    patches = tuple(
        patch(
            index,
            subject,
            patch_text(f"poll-{index}"),
            envelope(
                f"[PATCH {index}/3] {subject}",
                f"20260803090000.7-{index + 1}-robin@example.org",
                (cover.message_id,),
            ),
        )
        for index, subject in enumerate(subjects, 1)
    )
    values: dict[str, object] = {
        "message_id": cover.message_id,
        "subject": cover.subject,
        "version": 1,
        "expected": 3,
        "patches": patches,
        "cover": cover,
        "base_commit": COMMIT,
        "source": cover.message_id,
        **more,
    }
    return Series(**values)  # type: ignore[arg-type]


def base(how: BaseHow = BaseHow.BLOBS, why: str = "1 of 1 pre-image blobs match") -> Base:
    """The commit everything is tried on."""
    return Base(commit=COMMIT, tree=TREE, describe="v6.12", how=how, why=why)


def applied(series: Series, **first: object) -> Application:
    """Every patch on; ``first`` are further facts about patch 1."""
    return Application(
        ApplyState.APPLIED,
        tuple(
            PatchApplication(
                index=entry.index,
                subject=entry.subject,
                state=ApplyState.APPLIED,
                tree=TREE,
                diff=entry.diff,
                **(first if entry.index == 1 else {}),  # type: ignore[arg-type]
            )
            for entry in series.patches
        ),
    )


def stopped(
    series: Series, index: int, state: ApplyState, failure: HunkFailure | None
) -> Application:
    """Patches up to ``index`` tried, the last without success."""
    tried = applied(series).patches[:index]
    last = tried[-1]
    return Application(
        state,
        (
            *tried[:-1],
            PatchApplication(last.index, last.subject, state, None, last.diff, failure=failure),
        ),
    )


def review(
    series: Series, verdict: Verdict, reason: str, hazards: Sequence[Hazard] = (), **more: object
) -> Review:
    """A finished review by a fixed version of the program."""
    values: dict[str, object] = {
        "base": base(),
        "application": applied(series),
        "stats": STATS,
        "tool_version": "0.1.0",
        **more,
    }
    return Review(
        series=series,
        verdict=verdict,
        reason=reason,
        hazards=tuple(hazards),
        **values,  # type: ignore[arg-type]
    )


def shifted(source: str) -> str:
    """The gate file as a later kernel may have it: hunks go on at +1, +1 and -19 lines."""
    source = source.replace(
        "#include <linux/srcu.h>\n", "#include <linux/slab.h>\n#include <linux/srcu.h>\n"
    )
    start = source.index("static int frob_stat_1(")
    return source[:start] + source[source.index("static int frob_stat_5(") :]


SHIFTS = (Offset(GATE_PATH, 1, 1), Offset(GATE_PATH, 2, 1), Offset(GATE_PATH, 3, -19))


def gate_site(
    function: str, state: ChangeState, source: str, *, via: str = "", number: int | None = None
) -> Site:
    """A place where gate_lock is held over a grace period; seen in the base ``source``."""
    lock = Step(
        function, GATE_PATH, line_of(source, function, "mutex_lock("), "mutex_lock", GATE_LOCK
    )
    call = via or "synchronize_srcu"
    at = line_of(source, function, f"{call}(")
    wait = (
        (
            Step(function, GATE_PATH, at, via),
            Step(via, LINE_PATH, 77, "synchronize_srcu", PORTS_SRCU),
        )
        if via
        else (Step(function, GATE_PATH, at, "synchronize_srcu", PORTS_SRCU),)
    )
    close = line_of(source, "frob_gate_close", "mutex_lock(")
    drain = line_of(source, "frob_port_drain", "frob_gate_close(")
    worker = Chain(
        context="work item struct frob_port.drain on frob_drain_wq (bound)",
        steps=(
            Step("frob_port_drain", GATE_PATH, drain, "frob_gate_close"),
            Step("frob_gate_close", GATE_PATH, close, "mutex_lock", GATE_LOCK),
        ),
    )
    evidence = Evidence(line=at, chain=(lock, *wait), closing=(worker,))
    after = evidence if state is ChangeState.REMAINING else None
    return Site(
        function=function,
        file=GATE_PATH,
        via=via,
        state=state,
        before=evidence,
        after=after,
        patch=number,
    )


def gate_hazard(state: ChangeState, sites: Sequence[Site], number: int | None = None) -> Hazard:
    """The worker-pool-cycle of the gate."""
    return Hazard(
        kind=HazardKind.WORKER_POOL_CYCLE,
        grade=Grade.CONDITIONAL,
        state=state,
        classes=(GATE_LOCK, PORTS_SRCU),
        sites=tuple(sites),
        scenario=Scenario(
            columns=("task", "kworker (frob_drain_wq)", "kworker (rcu_gp)"),
            rows=(
                ScenarioRow(0, f"lock({GATE_LOCK});"),
                ScenarioRow(0, f"synchronize_srcu({PORTS_SRCU});"),
                ScenarioRow(1, f"lock({GATE_LOCK});"),
                ScenarioRow(2, "process_srcu() waits for a kworker of the same pool"),
            ),
        ),
        summary=(
            f"{GATE_LOCK} is held while a grace period of {PORTS_SRCU} is awaited. "
            "The grace period ends only when a kworker runs process_srcu(), and work items "
            f"on frob_drain_wq block on {GATE_LOCK}."
        ),
        condition=(
            "Holding a mutex over an SRCU grace period is legal in itself. To deadlock it takes "
            "enough blocked work items at once to keep every worker of rcu_gp's pool from "
            "running process_srcu(), and no rescuer or new worker getting there first. "
            "frob_drain_wq is bound and shares its per-CPU pool with rcu_gp."
        ),
        patch=number,
    )


def poll_after(*patches: int) -> str:
    """The poll file after some of the three patches."""
    source = POLL
    if 1 in patches:
        source = source.replace(
            "#include <linux/mutex.h>\n", "#include <linux/minmax.h>\n#include <linux/mutex.h>\n"
        )
    if 2 in patches:
        source = source.replace(
            "\tmutex_unlock(&frob->conf_lock);\n\n\tcancel_delayed_work_sync(&frob->poll_work);\n",
            "\tcancel_delayed_work_sync(&frob->poll_work);\n\tmutex_unlock(&frob->conf_lock);\n",
        )
    if 3 in patches:
        source = source.replace(
            "static void frob_poll(",
            "/* Runs on system_wq, each period. */\nstatic void frob_poll(",
        )
    return source


def poll_hazard(after: str = "") -> Hazard:
    """The flush-cycle that patch 2 of 3 brings; ``after`` is the tree that it is in."""
    after = after or poll_after(1, 2, 3)
    at = line_of(after, "frob_poll_stop", "cancel_delayed_work_sync(")
    chain = (
        Step(
            "frob_poll_stop",
            POLL_PATH,
            line_of(after, "frob_poll_stop", "mutex_lock("),
            "mutex_lock",
            CONF_LOCK,
        ),
        Step("frob_poll_stop", POLL_PATH, at, "cancel_delayed_work_sync", POLL_WORK),
    )
    worker = Chain(
        context=f"work item {POLL_WORK}",
        steps=(
            Step(
                "frob_poll",
                POLL_PATH,
                line_of(after, "frob_poll", "mutex_lock("),
                "mutex_lock",
                CONF_LOCK,
            ),
        ),
    )
    site = Site(
        function="frob_poll_stop",
        file=POLL_PATH,
        via="",
        state=ChangeState.INTRODUCED,
        before=None,
        after=Evidence(line=at, chain=chain, closing=(worker,)),
        patch=2,
    )
    return Hazard(
        kind=HazardKind.FLUSH_CYCLE,
        grade=Grade.DEFINITE,
        state=ChangeState.INTRODUCED,
        classes=(CONF_LOCK, POLL_WORK),
        sites=(site,),
        scenario=Scenario(
            columns=("task", "kworker"),
            rows=(
                ScenarioRow(0, f"lock({CONF_LOCK});"),
                ScenarioRow(1, f"work item {POLL_WORK} runs"),
                ScenarioRow(1, f"lock({CONF_LOCK});"),
                ScenarioRow(0, f"cancel_delayed_work_sync({POLL_WORK});"),
            ),
        ),
        summary=(
            f"{CONF_LOCK} is held while cancel_delayed_work_sync() waits for {POLL_WORK} "
            f"to finish, and its function takes {CONF_LOCK}."
        ),
        patch=2,
    )


def all_gate_sites(state: ChangeState, source: str, number: int | None) -> tuple[Site, ...]:
    """The three places of the gate's hazard."""
    return (
        gate_site("frob_gate_close", state, source, number=number),
        gate_site("frob_gate_close", state, source, via="frob_line_put", number=number),
        gate_site("frob_gate_open", state, source, number=number),
    )


def removed() -> Review:
    """One patch, three sites gone, hunks at offsets."""
    series = single(patch_text("both"))
    sites = all_gate_sites(ChangeState.REMOVED, shifted(GATE), 1)
    return review(
        series,
        Verdict.REMOVED,
        "one hazard gone, 3 sites",
        [gate_hazard(ChangeState.REMOVED, sites, 1)],
        base=base(BaseHow.OPTION, "v6.12 was asked for"),
        application=applied(series, offsets=SHIFTS),
    )


def one_site() -> Review:
    """The same with one site only: the shortest whole report."""
    site = gate_site("frob_gate_open", ChangeState.REMOVED, GATE, number=1)
    return review(
        single(patch_text("both")),
        Verdict.REMOVED,
        "one hazard gone, 1 site",
        [gate_hazard(ChangeState.REMOVED, [site], 1)],
    )


def partially_removed() -> Review:
    """The first version, which left frob_gate_open() as it was; a v3 exists."""
    gone = all_gate_sites(ChangeState.REMOVED, GATE, 1)[:2]
    left = gate_site("frob_gate_open", ChangeState.REMAINING, GATE)
    return review(
        single(patch_text("close-only"), newer_versions=(3,)),
        Verdict.PARTIALLY_REMOVED,
        "some sites are gone, others remain",
        [gate_hazard(ChangeState.REMAINING, (*gone, left))],
    )


def introduced() -> Review:
    """Patch 2 of 3 brings a definite flush-cycle."""
    series = three()
    return review(
        series,
        Verdict.INTRODUCED,
        "one hazard introduced, 1 site",
        [poll_hazard()],
        base=base(BaseHow.BASE_COMMIT, "the series names it"),
    )


def not_removed() -> Review:
    """A fix is claimed, and all is as it was."""
    sites = (gate_site("frob_gate_open", ChangeState.REMAINING, GATE),)
    return review(
        single(patch_text("close-only")),
        Verdict.NOT_REMOVED,
        "the series speaks of a locking hazard that its functions are still part of",
        [gate_hazard(ChangeState.REMAINING, sites)],
    )


def clean() -> Review:
    """Nothing to say but that."""
    return review(
        three(),
        Verdict.CLEAN,
        "nothing that the series changes is part of a hazard",
        base=base(BaseHow.BASE_COMMIT, "the series names it"),
    )


def conflict() -> Review:
    """Patch 2 of 3 stops at a hunk."""
    series = three(base_commit=None, depends_on=(Reference(ReferenceKind.PATCH_ID, "1" * 40),))
    hunk = patch_text("poll-2").split("+++ b/drivers/frob/poll.c\n")[1]
    return review(
        series,
        Verdict.DOES_NOT_APPLY,
        "a hunk of patch 2/3 does not match the base",
        base=base(BaseHow.HEAD, "no base named; used HEAD"),
        application=replace(
            stopped(
                series,
                2,
                ApplyState.CONFLICT,
                HunkFailure(POLL_PATH, hunk, "git apply: patch failed: drivers/frob/poll.c:20"),
            ),
            prerequisites=(
                PrerequisiteResult(
                    series.depends_on[0], PrerequisiteState.NOT_FOUND, note="not in the archive"
                ),
            ),
            conflict=Conflict(
                POLL_PATH,
                commit="a1b2c3d4e5f6" * 3 + "a1b2",
                subject="frob: poll: let the caller stop it",
                applies_to="v6.11",
                applies_commit="b2" * 20,
                tried=2,
            ),
        ),
        stats=Stats(),
    )


def already_applied() -> Review:
    """The base has the patch."""
    series = single(patch_text("both"))
    return review(
        series,
        Verdict.DOES_NOT_APPLY,
        "the base already has this series",
        application=stopped(series, 1, ApplyState.ALREADY_APPLIED, None),
        stats=Stats(),
    )


def repaired() -> Review:
    """White space lost on the way and restored."""
    damage = Damage((DamageKind.LEADING_SPACE_LOST, DamageKind.TABS_EXPANDED))
    series = single(patch_text("both"), damage=damage, source="archive page.txt", version=1)
    sites = all_gate_sites(ChangeState.REMOVED, GATE, 1)[2:]
    return review(
        series,
        Verdict.REMOVED,
        "one hazard gone, 1 site",
        [gate_hazard(ChangeState.REMOVED, sites, 1)],
        application=applied(
            series,
            repaired=True,
            repair_proof="the result is blob 8971cb7996bd, as the patch's index line says",
            three_way=True,
        ),
    )


def missing() -> Review:
    """Patch 2 of 3 never came."""
    whole = three()
    series = three(patches=(whole.patches[0], whole.patches[2]), missing=(2,))
    return review(
        series,
        Verdict.NOT_REVIEWABLE,
        "patch 2/3 has not arrived",
        application=Application(
            ApplyState.MISSING_PATCH,
            (
                applied(series).patches[0],
                PatchApplication(
                    3,
                    whole.patches[2].subject,
                    ApplyState.MISSING_PATCH,
                    None,
                    failure=HunkFailure("", "", "patch 2/3 did not arrive"),
                ),
            ),
        ),
        stats=Stats(),
    )


def not_reviewable() -> Review:
    """No C in it."""
    diff = "diff --git a/README b/README\n--- a/README\n+++ b/README\n@@ -1 +1 @@\n-a\n+b\n"
    return review(
        single(diff),
        Verdict.NOT_REVIEWABLE,
        "the series changes no C source of a kernel",
        base=None,
        application=None,
        stats=Stats(),
    )


def long_chain() -> Review:
    """A wait fourteen calls deep, one of them through an operations table."""
    site = gate_site("frob_gate_open", ChangeState.REMOVED, GATE, number=1)
    assert site.before is not None
    middle = tuple(
        Step(f"frob_layer_{number}", LINE_PATH, 100 + number, f"frob_layer_{number + 1}")
        for number in range(12)
    )
    hop = Step(
        "frob_layer_12", LINE_PATH, 140, "ops->wait", indirect="ops struct frob_line_ops.wait"
    )
    evidence = Evidence(
        line=site.before.line,
        chain=(
            *site.before.chain[:1],
            Step(site.function, GATE_PATH, site.before.line, "frob_layer_0"),
            *middle,
            hop,
            Step("frob_line_wait", LINE_PATH, 90, "synchronize_srcu", PORTS_SRCU),
        ),
        closing=site.before.closing,
    )
    deep = Site(
        site.function, site.file, "frob_layer_0", ChangeState.REMOVED, evidence, None, patch=1
    )
    return review(
        single(patch_text("both")),
        Verdict.REMOVED,
        "one hazard gone, 1 site",
        [gate_hazard(ChangeState.REMOVED, [deep], 1)],
    )


def unicode_names() -> Review:
    """People and subjects that are not ASCII, on a range that was never mailed."""
    subject = "frob: Tür: nicht unter gate_lock auf Leser warten — 待機しない"
    author = Identity("Zoë Ångström-Łukasiewicz", "zoe@example.org")
    mail = Envelope(
        message_id="",
        subject=subject,
        author=author,
        date="",
        cc=(
            Identity("山田 太郎", "taro@example.org"),
            Identity("Ample, Robin", "robin@example.org"),
        ),
    )
    series = single(
        patch_text("close-only"),
        patches=(patch(1, subject, patch_text("close-only"), mail),),
        message_id="",
        subject=subject,
        source="origin/master..HEAD",
        version=1,
    )
    sites = all_gate_sites(ChangeState.REMOVED, GATE, 1)[:1]
    return review(
        series,
        Verdict.REMOVED,
        "one hazard gone, 1 site",
        [gate_hazard(ChangeState.REMOVED, sites, 1)],
    )


def next_version() -> Review:
    """The third version of a series, whose second had three hazards."""
    found = poll_hazard()
    since = Since(
        version=2,
        gone=(Gone("flush-cycle-0123456789ab", 1), Gone("recursive-lock-0123456789ab", 3)),
        remaining=(found.id,),
    )
    third = introduced()
    return replace(third, series=replace(third.series, version=3), since=since)
