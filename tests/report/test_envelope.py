# SPDX-License-Identifier: GPL-2.0-or-later
"""Who gets a reply and which mail it answers, as tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.config_service import MAILED, ListConfig, PostMode
from reviewbot.locking.model import ChangeState, Verdict
from reviewbot.report.envelope import (
    ANSWERS_LIMIT,
    Audience,
    Dispatch,
    Field,
    Policy,
    answer,
    answers,
    distribute,
    message_id,
    policy_of,
    rule,
)
from reviewbot.report.headers import RECIPIENTS_LIMIT
from reviewbot.report.model import Review
from reviewbot.series.model import Envelope, Identity

from . import builders, shapes

ROBIN = Identity("Ample, Robin (TI)", "robin@example.org")
LIST = Identity("", "linux-frob@lists.example.org")
OTHER = Identity("", "linux-grob@lists.example.org")
MAINTAINER = Identity("Kim Maintainer", "kim@example.org")
RELAY = Identity("Robin Ample via B4 Relay", "devnull+robin.example.org@kernel.org")
MUNGED = Identity("Robin Ample via linux-frob", LIST.address)
BOT = "reviewbot@bot.example.org"
ALL, AUTHOR = Audience.ALL, Audience.AUTHOR

MAIL = Envelope("1@example.org", "[PATCH] x", ROBIN, "", to=(MAINTAINER,), cc=(LIST, OTHER))
POLICY = Policy(mode=PostMode.LIST, own=frozenset({BOT}))


def sent(mail: Envelope, audience: Audience = ALL, **policy: object) -> tuple[list[str], list[str]]:
    """Addresses in To and Cc."""
    made = distribute(mail, replace(POLICY, **policy), audience)  # type: ignore[arg-type]
    return (
        [one.address for one in made.field(Field.TO)],
        [one.address for one in made.field(Field.CC)],
    )


def left_out(mail: Envelope, audience: Audience = ALL, **policy: object) -> dict[str, str]:
    """Who does not get it, and why."""
    made = distribute(mail, replace(POLICY, **policy), audience)  # type: ignore[arg-type]
    return {one.identity.address: one.why for one in made.left_out}


# ---- to all ----


def test_a_reply_to_all_keeps_all() -> None:
    assert sent(MAIL) == ([ROBIN.address], [MAINTAINER.address, LIST.address, OTHER.address])
    assert left_out(MAIL) == {}


def test_everybody_has_a_reason() -> None:
    made = distribute(replace(MAIL, reply_to=(LIST,)), POLICY, ALL)
    assert [(one.identity.address, one.why) for one in made.recipients] == [
        (LIST.address, "is in Reply-To of the mail answered"),
        (ROBIN.address, "wrote the mail answered"),
        (MAINTAINER.address, "is in To of the mail answered"),
        (OTHER.address, "is in Cc of the mail answered"),
    ]


@pytest.mark.parametrize(
    ("address", "policy", "why"),
    [
        (BOT, {}, "is the bot itself"),
        ("ReviewBot+1f@BOT.example.org", {}, "is the bot itself"),
        ("nobody", {}, "is no address that mail can be sent to"),
        ("someone@xxxxxxxxx", {}, "is no address that mail can be sent to"),
        ("a@example.org\nBcc: b@example.org", {}, "is no address that mail can be sent to"),
        (RELAY.address, {}, "is a relay that nobody reads"),
        ("syz+0f@bots.example.org", {"bots": ("syz+*@bots.example.org",)}, "is a program"),
        (
            "Lee+kernel@Example.org",
            {"silent": frozenset({"lee@example.org"})},
            "wants no mail, or cannot be reached",
        ),
        (
            OTHER.address,
            {"closed": frozenset({"linux-grob.lists.example.org"})},
            "is a list that takes no mail of the bot's",
        ),
        (
            "Linux-Grob@lists.example.org",
            {"closed": frozenset({OTHER.address})},
            "is a list that takes no mail of the bot's",
        ),
    ],
)
def test_who_never_gets_mail(address: str, policy: dict[str, object], why: str) -> None:
    mail = replace(MAIL, cc=(LIST, Identity("", address)))
    to, cc = sent(mail, **policy)
    assert address not in (*to, *cc)
    assert left_out(mail, **policy) == {address: why}
    assert sent(replace(mail, author=Identity("", address)), **policy)[0] == []


@pytest.mark.parametrize(
    "policy",
    [
        {"silent": frozenset({"im@example.org", "kim@example.or"})},
        {"bots": ("im@example.org",)},
        {"closed": frozenset({"example.org", "frob.lists.example.org"})},
        {"own": frozenset({"m@example.org"})},
    ],
)
def test_a_part_of_an_address_is_not_the_address(policy: dict[str, object]) -> None:
    assert left_out(MAIL, **policy) == {}


def test_two_spellings_are_one_recipient() -> None:
    twice = replace(MAIL, cc=(Identity("", "KIM@example.org"), Identity("R", "robin@EXAMPLE.org")))
    assert sent(twice) == ([ROBIN.address], [MAINTAINER.address])


def test_a_crowd_is_cut() -> None:
    crowd = tuple(Identity("", f"p{number}@example.org") for number in range(500))
    to, cc = sent(replace(MAIL, cc=crowd))
    assert len(to) + len(cc) == RECIPIENTS_LIMIT
    assert left_out(replace(MAIL, cc=crowd))["p499@example.org"].startswith("there are 128")


@pytest.mark.parametrize("field", ["reply_to", "original_from"])
def test_behind_a_relay_is_the_author(field: str) -> None:
    mail = replace(MAIL, author=RELAY, **{field: (ROBIN,)})  # type: ignore[arg-type]
    assert sent(mail)[0] == [ROBIN.address]
    assert sent(mail, AUTHOR) == ([ROBIN.address], [])
    assert left_out(mail)[RELAY.address] == "is a relay that nobody reads"


# ---- to the author ----


def test_for_the_author_alone_no_list_stays() -> None:
    assert sent(MAIL, AUTHOR) == ([ROBIN.address], [])
    assert set(left_out(MAIL, AUTHOR).values()) == {"the reply is for the author alone"}


def test_volunteers_get_what_the_author_gets() -> None:
    assert sent(MAIL, AUTHOR, volunteers=(MAINTAINER,)) == ([ROBIN.address], [MAINTAINER.address])
    assert MAINTAINER.address not in left_out(MAIL, AUTHOR, volunteers=(MAINTAINER,))


@pytest.mark.parametrize(
    ("changes", "to"),
    [
        ({"reply_to": (LIST,)}, [ROBIN.address]),
        ({"author": MUNGED, "reply_to": (ROBIN,)}, [ROBIN.address]),
        ({"author": MUNGED, "original_from": (ROBIN,), "reply_to": (LIST,)}, [ROBIN.address]),
        ({"author": MUNGED, "reply_to": (OTHER,)}, []),
        ({"author": RELAY}, []),
    ],
)
def test_the_author_is_a_person(changes: dict[str, object], to: list[str]) -> None:
    assert sent(replace(MAIL, **changes), AUTHOR) == (to, [])  # type: ignore[arg-type]


def test_a_list_that_is_known_is_no_author() -> None:
    mail = Envelope("1@example.org", "x", MUNGED, "", reply_to=(ROBIN,))
    known = frozenset({"linux-frob.lists.example.org"})
    assert sent(mail, AUTHOR, lists=known) == ([ROBIN.address], [])


TEXT = st.text(max_size=40)
ADDRESSES = st.one_of(TEXT, st.sampled_from([BOT, LIST.address, "a@example.org", RELAY.address]))
SOMEBODY = st.builds(Identity, TEXT, ADDRESSES)
CROWDS = st.lists(SOMEBODY, max_size=5).map(tuple)
MAILS = st.builds(Envelope, TEXT, TEXT, SOMEBODY, TEXT, CROWDS, CROWDS, CROWDS, CROWDS, st.just(()))


@given(MAILS, st.sampled_from(Audience))
def test_everybody_is_told_or_left_out_once(mail: Envelope, audience: Audience) -> None:
    made = distribute(mail, POLICY, audience)
    told = [one.identity.address.casefold() for one in made.recipients]
    assert len(told) == len(set(told))
    assert BOT not in told
    assert not set(told) & {one.identity.address.casefold() for one in made.left_out}
    if audience is AUTHOR:
        assert len(told) <= 1


# ---- what may become of a verdict ----


def with_verdict(verdict: Verdict, words: str) -> Review:
    made = replace(builders.clean(), verdict=verdict)
    return replace(made, series=replace(made.series, cover_text=words))


QUIET, CLAIM = "a clean-up", "this fixes a deadlock"


@pytest.mark.parametrize(
    ("mode", "verdict", "words", "dispatch", "audience"),
    [
        ("off", "introduced", QUIET, "keep", "all"),
        ("moderate", "introduced", QUIET, "approve", "all"),
        ("author", "introduced", QUIET, "send", "author"),
        ("list", "introduced", QUIET, "send", "all"),
        ("list", "not-removed", CLAIM, "send", "all"),
        ("list", "removed", QUIET, "send", "author"),
        ("list", "removed", CLAIM, "send", "all"),
        ("list", "partially-removed", QUIET, "send", "author"),
        ("moderate", "removed", QUIET, "approve", "author"),
        ("author", "removed", CLAIM, "send", "author"),
        ("list", "clean", CLAIM, "keep", "all"),
        ("list", "does-not-apply", QUIET, "keep", "all"),
        ("list", "not-reviewable", QUIET, "keep", "all"),
    ],
)
def test_what_a_policy_makes_of_a_verdict(
    mode: str, verdict: str, words: str, dispatch: str, audience: str
) -> None:
    found = rule(with_verdict(Verdict(verdict), words), Policy(mode=PostMode(mode)))
    assert (found.dispatch, found.audience) == (Dispatch(dispatch), Audience(audience))
    assert found.why


def test_clean_is_never_mailed_whatever_the_policy_says() -> None:
    policy = Policy(mode=PostMode.LIST, verdicts=frozenset(Verdict))
    assert rule(with_verdict(Verdict.CLEAN, CLAIM), policy).dispatch is Dispatch.KEEP
    policy = replace(policy, verdicts=frozenset())
    assert rule(with_verdict(Verdict.INTRODUCED, CLAIM), policy).dispatch is Dispatch.KEEP


def test_the_configuration_makes_the_policy() -> None:
    lists = {
        "frob": ListConfig(
            address="linux-frob.lists.example.org", post="list", volunteers=("V <v@example.org>",)
        ),
        "grob": ListConfig(address=OTHER.address, post="author"),
        "drob": ListConfig(address="drob@lists.example.org", post="moderate"),
    }
    made = policy_of("frob", lists, [BOT], silent=["x@example.org"])
    assert made.mode is PostMode.LIST
    assert made.volunteers == (Identity("V", "v@example.org"),)
    assert made.closed == {OTHER.address, "drob@lists.example.org"}
    assert made.verdicts == {Verdict(name) for name in MAILED}
    assert sent(MAIL, closed=made.closed)[1] == [MAINTAINER.address, LIST.address]
    assert "drob@lists.example.org" not in policy_of("drob", lists, [BOT]).closed
    assert policy_of("nowhere", lists, [BOT]).mode is PostMode.OFF


# ---- which mail ----


def test_a_verdict_on_the_series_answers_its_head() -> None:
    assert answer(builders.clean()).envelope == builders.three().cover
    assert answer(builders.removed()).envelope == builders.removed().series.patches[0].envelope
    nothing = replace(builders.three(), cover=None, patches=())
    empty = answer(builders.review(nothing, Verdict.NOT_REVIEWABLE, "no"))
    assert empty.envelope.message_id == nothing.message_id


def test_what_one_patch_brings_answers_that_patch() -> None:
    found = answer(builders.introduced())
    assert found.patch == 2
    assert found.envelope == builders.three().patches[1].envelope
    assert answers(builders.introduced()) == (found,)


def test_what_several_patches_bring_answers_each() -> None:
    review = shapes.two_patches()
    old = replace(builders.not_removed().hazards[0], state=ChangeState.REMAINING)
    review = replace(review, hazards=(*review.hazards, old))
    assert answer(review).envelope == review.series.cover
    first, second = answers(review)
    assert (first.patch, first.elsewhere) == (2, (3,))
    assert (second.patch, second.elsewhere) == (3, (2,))
    assert first.hazards == (review.hazards[0], old)
    assert second.hazards == (review.hazards[1],)


def test_too_many_answers_are_one() -> None:
    (hazard,) = builders.introduced().hazards
    patch = builders.three().patches[0]
    count = ANSWERS_LIMIT + 1
    series = replace(
        builders.three(),
        patches=tuple(replace(patch, index=number) for number in range(1, count + 1)),
    )
    hazards = tuple(replace(hazard, patch=number) for number in range(1, count + 1))
    (one,) = answers(replace(builders.introduced(), series=series, hazards=hazards))
    assert one.envelope == series.cover


def test_a_patch_that_did_not_arrive_is_not_answered() -> None:
    whole = builders.introduced()
    series = replace(whole.series, patches=whole.series.patches[:1])
    assert answer(replace(whole, series=series)).envelope == whole.series.cover


# ---- its name ----


def test_the_message_id_is_what_was_reviewed_and_said() -> None:
    review = builders.removed()
    first = message_id(review, "bot.example.org")
    assert first == message_id(builders.removed(), "bot.example.org")
    assert first.startswith("reviewbot-removed-v2-")
    assert first.endswith("@bot.example.org")
    for other in (
        replace(review, verdict=Verdict.NOT_REMOVED),
        builders.partially_removed(),
        replace(review, series=replace(review.series, version=3)),
    ):
        assert message_id(other, "bot.example.org") != first
    assert message_id(review, "bot.example.org", 1) != first


def test_whichever_mail_was_named_the_reply_is_the_same() -> None:
    review = builders.introduced()
    asked = replace(review.series, message_id=review.series.patches[2].envelope.message_id)
    assert message_id(replace(review, series=asked), "x") == message_id(review, "x")
