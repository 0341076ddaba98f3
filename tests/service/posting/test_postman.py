# SPDX-License-Identifier: GPL-2.0-or-later
"""A letter from its approval to its end, with all that may come between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from reviewbot.errors import ConfigError, UsageError
from reviewbot.series.fetch import FetchLimits
from reviewbot.service.archive import Archive
from reviewbot.service.model import AddressState, Fate, OutboxState
from reviewbot.service.posting.archive import has, next_delay
from reviewbot.service.posting.local import Directory
from reviewbot.service.posting.parcel import Answers, Lost, Parcel, Proceed, Withheld, all_of
from reviewbot.service.posting.signing import Signer
from reviewbot.service.state import addresses, outbox, queries, quiet, sending
from reviewbot.service.state.model import Answer, Letter
from reviewbot.service.state.sending import Budget, Claim
from reviewbot.service.state.store import State
from reviewbot.service.state.tables import lists
from reviewbot.service.state.transitions import IllegalTransition
from reviewbot.service.talk.model import ListState
from tests.service.posting.letters import KIM, LEE, LIST, PLENTY, Hand, name, postman, put, terms
from tests.service.support import HandClock
from tests.support.public_inbox import PublicInbox, available


def take(parcel: Parcel, proceed: Proceed) -> Answers:
    if why := proceed({}):
        raise Withheld(why)
    return all_of(parcel.recipients, Fate.TAKEN, "250 OK")


def lose(parcel: Parcel, proceed: Proceed) -> Answers:
    raise Lost("the connection was lost after the text", {})


def once(*answers: Answers) -> Hand:
    """Answers in turn, for those that are asked about."""
    rest = list(answers)
    return Hand(
        lambda parcel, proceed: (
            {one: rest[0][one] for one in parcel.recipients} if not rest[1:] else rest.pop(0)
        )
    )


def fates(state: State, letter: Letter) -> dict[str, Fate]:
    return {one.address: one.fate for one in outbox.deliveries_of(state, letter.id)}


def changes(state: State, letter: Letter) -> list[str]:
    return [event.after for event in queries.letter_events(state, letter.message_id)]


def test_an_approved_letter_goes_out_once(state: State) -> None:
    letter = put(state)
    hand = Hand(take)
    man = postman(state, hand)
    assert man.round() == 1
    sent = outbox.get(state, letter.id)
    assert (sent.state, sent.reason, sent.attempts) == (OutboxState.SENT, "2 taken: 250 OK", 1)
    assert fates(state, letter) == {KIM: Fate.TAKEN, LEE.lower(): Fate.TAKEN}
    assert changes(state, letter) == ["sending", "sent"]
    assert man.round() == 0
    assert [(parcel.message_id, parcel.recipients) for parcel in hand.given] == [
        (name(1), (KIM, LEE))
    ]
    for decide in (outbox.approve, outbox.reject):
        with pytest.raises(IllegalTransition, match="is sent and cannot become"):
            decide(state, letter.id, "again")


@pytest.mark.parametrize("to", [OutboxState.WAITING, OutboxState.KEPT, OutboxState.REJECTED])
def test_what_nobody_approved_stays(state: State, to: OutboxState) -> None:
    letter = put(state, to=to)
    hand = Hand(take)
    assert postman(state, hand).round() == 0
    assert postman(state, hand).post(letter.id).state is to
    assert hand.given == []
    outbox.approve(state, letter.id, "good")
    assert postman(state, hand).round() == 1
    assert changes(state, letter) == ["approved", "sending", "sent"]


def test_the_stop_switch_before_and_within(state: State) -> None:
    letter = put(state)
    outbox.throw(state, True, "a complaint")
    assert postman(state, Hand(take)).round() == 0
    assert outbox.get(state, letter.id).state is OutboxState.APPROVED
    outbox.throw(state, False, "")

    def stop(parcel: Parcel, proceed: Proceed) -> Answers:
        outbox.throw(state, True, "another complaint")
        return take(parcel, proceed)

    postman(state, Hand(stop)).round()
    kept = outbox.get(state, letter.id)
    assert (kept.state, kept.reason) == (
        OutboxState.APPROVED,
        "sending is stopped: another complaint",
    )
    outbox.throw(state, False, "")
    assert postman(state, Hand(take)).round() == 1
    assert outbox.get(state, letter.id).state is OutboxState.SENT


def test_only_those_put_off_are_tried_again(state: State, clock: HandClock) -> None:
    letter = put(state, recipients=(KIM, LEE, LIST))
    later = {KIM: Answer(Fate.TAKEN, "250"), LEE: Answer(Fate.DEFERRED, "450 greylisted")}
    hand = once({**later, LIST: Answer(Fate.REFUSED, "550 closed")}, later | {LEE: later[KIM]})
    man = postman(state, hand)
    man.round()
    waiting = outbox.get(state, letter.id)
    assert waiting.state is OutboxState.APPROVED
    assert waiting.next_try is not None
    assert "450 greylisted" in waiting.reason
    assert man.round() == 0
    clock.forward(301)
    assert man.round() == 1
    assert [parcel.recipients for parcel in hand.given] == [(KIM, LEE, LIST), (LEE,)]
    assert outbox.get(state, letter.id).state is OutboxState.PARTLY_SENT


def test_what_is_put_off_for_ever_fails(state: State, clock: HandClock) -> None:
    letter = put(state)
    hand = Hand(lambda parcel, _: all_of(parcel.recipients, Fate.DEFERRED, "421 busy"))
    man = postman(state, hand, terms=terms(attempts=5))
    tried = [clock.elapsed for _ in range(30) if man.round() or clock.forward(300)]
    assert len(tried) == 5
    gaps = [round(b - a) for a, b in pairwise(tried)]
    assert gaps == [300, 600, 1200, 2400]
    failed = outbox.get(state, letter.id)
    assert (failed.state, failed.reason) == (OutboxState.FAILED, "2 deferred: 421 busy")


def test_all_refused_fails_at_once(state: State) -> None:
    letter = put(state)
    hand = Hand(lambda parcel, _: all_of(parcel.recipients, Fate.REFUSED, "550 no"))
    postman(state, hand).round()
    assert outbox.get(state, letter.id).state is OutboxState.FAILED


def test_a_mail_that_breaks_a_rule_is_the_operators(state: State) -> None:
    letter = put(state, mail=b"From: a@example.org\nMessage-ID: <x@example.org>\n\nhello\n")
    hand = Hand(take)
    postman(state, hand).round()
    failed = outbox.get(state, letter.id)
    assert failed.state is OutboxState.FAILED
    assert "breaks the etiquette" in failed.reason
    assert hand.given == []


# ---- in doubt ----


def test_in_doubt_the_archive_is_asked_and_then_a_person(state: State, clock: HandClock) -> None:
    letter = put(state)
    hand = Hand(lose)
    archive = Archive("http://127.0.0.1:9/all", FetchLimits(deadline=2.0, retries=0))
    man = postman(state, hand, doubt=600.0, archive=archive)
    man.round()
    assert outbox.get(state, letter.id).state is OutboxState.IN_DOUBT
    for _ in range(100):
        clock.forward(60)
        man.round()
    asked = outbox.get(state, letter.id)
    assert (asked.state, asked.next_try, len(hand.given)) == (OutboxState.IN_DOUBT, None, 1)
    assert f"outbox approve {letter.id} sends it again" in asked.reason
    assert asked.asked == 4  # after 1, 3, 7 and 15 minutes
    outbox.approve(state, letter.id, "it is not there")
    postman(state, Hand(take)).round()
    assert outbox.get(state, letter.id).state is OutboxState.SENT


def test_how_often_the_archive_is_asked() -> None:
    delays, asked, spent = [60.0], 0, 60.0
    while (delay := next_delay(asked, 86_400.0)) is not None:
        delays.append(delay)
        spent += delay
        asked += 1
    assert delays[:7] == [60, 120, 240, 480, 960, 1920, 3600]
    assert 86_400 <= spent < 86_400 + 3600


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> PublicInbox:
    if not available():
        pytest.skip("needs Debian's public-inbox")
    return PublicInbox(tmp_path_factory.mktemp("lore") / "inbox", ("kvm",))


@pytest.mark.public_inbox
def test_what_the_archive_has_is_not_sent_again(
    state: State, clock: HandClock, inbox: PublicInbox
) -> None:
    number = 100 + len(state.shown)  # the inbox is used for both databases
    letter = put(state, number, next_try=None)
    hand = Hand(lose)
    with inbox:
        archive = Archive(inbox.url("kvm"), FetchLimits(deadline=20.0))
        man = postman(state, hand, archive=archive)
        man.round()
        clock.forward(61)
        man.round()
        asked = outbox.get(state, letter.id)
        assert (asked.state, asked.asked) == (OutboxState.IN_DOUBT, 1)
        assert asked.reason == "the archive does not have it (yet)"
        (sent,) = hand.given
        answer = sent.mail.replace(b"Message-ID: <", b"Message-ID: <re-").replace(
            b"\nDate:", b"\nIn-Reply-To: <" + sent.message_id.encode() + b">\nDate:"
        )
        inbox.add("kvm", [answer])  # somebody refers to it: it is still not there
        assert not has(archive, sent.message_id)
        inbox.add("kvm", [sent.mail])
        clock.forward(121)
        man.round()
    assert outbox.get(state, letter.id).state is OutboxState.SENT
    assert set(fates(state, letter).values()) == {Fate.TAKEN}
    assert len(hand.given) == 1


def test_an_archive_that_is_down_decides_nothing(state: State, clock: HandClock) -> None:
    letter = put(state)
    archive = Archive("http://127.0.0.1:9/all", FetchLimits(deadline=2.0, retries=0))
    man = postman(state, Hand(lose), archive=archive)
    man.round()
    clock.forward(61)
    man.round()
    asked = outbox.get(state, letter.id)
    assert asked.state is OutboxState.IN_DOUBT
    assert "the archive cannot be asked" in asked.reason


def test_what_a_dead_process_left_is_in_doubt(state: State, clock: HandClock) -> None:
    letter = put(state)
    man = postman(state, Hand(take))
    mark = man._mark.split(" ")
    dead = " ".join([*mark[:3], "1"])  # this pid, but born at another time
    assert isinstance(sending.claim(state, letter.id, terms(), dead), Claim)
    man.round()
    doubt = outbox.get(state, letter.id)
    assert doubt.state is OutboxState.IN_DOUBT
    assert "ended while it was on its way" in doubt.reason


def test_what_a_process_elsewhere_sends_is_left_to_it_for_an_hour(
    state: State, clock: HandClock
) -> None:
    letter = put(state)
    elsewhere = "other-1-ab boot/pid:[1] 1 1"
    assert isinstance(sending.claim(state, letter.id, terms(), elsewhere), Claim)
    man = postman(state, Hand(take))
    man.round()
    assert outbox.get(state, letter.id).state is OutboxState.SENDING
    clock.forward(3601)
    man.round()
    assert outbox.get(state, letter.id).state is OutboxState.IN_DOUBT


def test_a_slow_process_that_was_given_up_sends_no_text(state: State, clock: HandClock) -> None:
    letter = put(state)

    def slow(parcel: Parcel, proceed: Proceed) -> Answers:
        clock.forward(3601)
        postman(state, Hand(take)).look_after()
        return take(parcel, proceed)

    postman(state, Hand(slow)).round()
    stopped = outbox.get(state, letter.id)
    assert (stopped.state, stopped.reason) == (OutboxState.APPROVED, "it is in doubt")


def test_of_many_that_send_one_does(state: State) -> None:
    letters = [put(state, number) for number in range(6)]
    hand = Hand(take)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: postman(state, hand).round(), range(4)))
    assert sorted(parcel.message_id for parcel in hand.given) == [name(n) for n in range(6)]
    assert {outbox.get(state, letter.id).state for letter in letters} == {OutboxState.SENT}


# ---- a directory ----


def test_a_directory_knows_what_it_has(state: State, clock: HandClock, tmp_path: Path) -> None:
    letter, other = put(state, 1), put(state, 2)
    directory = Directory(tmp_path / "out")
    man = postman(state, directory)
    for one in (letter, other):
        claimed = sending.claim(state, one.id, terms(), "dead boot 1 1")
        assert isinstance(claimed, Claim)
        if one is letter:
            directory.send(
                Parcel(one.message_id, "", one.recipients, claimed.mail), lambda told: ""
            )
    clock.forward(3601)
    man.round()
    clock.forward(61)
    man.round()
    assert outbox.get(state, letter.id).state is OutboxState.SENT
    assert outbox.get(state, other.id).state is OutboxState.APPROVED
    clock.forward(301)
    man.round()
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == [f"{name(1)}.eml", f"{name(2)}.eml"]
    assert files[1].read_bytes() == outbox.mail_of(state, other.id)


# ---- who gets none, and how many ----


def test_who_is_silent_gets_none(state: State) -> None:
    letter = put(state, recipients=(KIM, "lee+kernel@example.org", LIST))
    addresses.silence(state, "Lee@example.org", AddressState.OPTED_OUT, "asked for it")
    hand = Hand(take)
    bar = terms(bar=lambda address: "is a program" if address == LIST else "")
    postman(state, hand, terms=bar).round()
    assert [parcel.recipients for parcel in hand.given] == [(KIM,)]
    assert outbox.get(state, letter.id).state is OutboxState.SENT
    said = {one.address: one.said for one in outbox.deliveries_of(state, letter.id)}
    assert said["lee+kernel@example.org"] == "is opted out: asked for it"
    assert said[LIST] == "is a program"
    assert addresses.restore(state, "LEE@example.org", "changed their mind")
    assert addresses.silent(state) == ()


def test_a_letter_for_nobody_fails(state: State) -> None:
    letter = put(state)
    for address in (KIM, LEE):
        addresses.silence(state, address, AddressState.DEAD, "550")
    hand = Hand(take)
    postman(state, hand).round()
    failed = outbox.get(state, letter.id)
    assert (failed.state, failed.reason) == (OutboxState.FAILED, "nobody is left to get it")
    assert hand.given == []


def test_what_the_configuration_holds_back_waits(state: State, clock: HandClock) -> None:
    letter = put(state)
    hand = Hand(take)
    man = postman(state, hand, terms=terms(hold=lambda letter: "post is off"))
    man.round()
    held = outbox.get(state, letter.id)
    assert (held.state, held.reason, hand.given) == (OutboxState.APPROVED, "post is off", [])
    assert sending.due(state) == ()
    clock.forward(901)
    assert sending.due(state) == (letter.id,)


def test_a_muted_list_gets_nothing(state: State, clock: HandClock) -> None:
    letter = put(state)
    muted = {"name": "kvm", "state": ListState.MUTED, "reason": "wrong", "changed": clock.now()}
    with state.write() as connection:
        connection.execute(lists.insert().values(**muted))
    man = postman(state, Hand(take))
    assert man.round() == 0
    assert outbox.get(state, letter.id).reason == "the list kvm is muted: wrong"
    quiet.unmute(state, "kvm", "right after all")
    clock.forward(901)
    assert man.round() == 1


@pytest.mark.parametrize(
    ("budget", "what"),
    [
        (Budget(2, 50, 50, 50), "the budget of the list kvm"),
        (Budget(50, 50, 2, 50), f"the budget of {KIM}"),
    ],
)
def test_over_budget_a_letter_waits(
    state: State, clock: HandClock, budget: Budget, what: str
) -> None:
    for number in range(3):
        put(state, number, (KIM,))
    hand = Hand(take)
    man = postman(state, hand, terms=terms(budget, lists=frozenset({LIST})))
    assert man.round() == 2
    (waiting,) = outbox.in_state(state, OutboxState.APPROVED)
    assert waiting.reason.startswith(what)
    clock.forward(3599)
    assert man.round() == 0
    clock.forward(2)
    assert man.round() == 1


def test_a_list_has_a_budget_of_its_own(state: State) -> None:
    for number in range(3):
        put(state, number, (LIST,))
    rules = terms(Budget(50, 50, 1, 1), lists=frozenset({LIST}))
    assert postman(state, Hand(take), terms=rules).round() == 3


# ---- the rest ----


def test_a_key_that_is_none_sends_nothing(state: State, tmp_path: Path) -> None:
    letter = put(state)
    signer = Signer(tmp_path / "absent", "bot@example.org", "default")
    hand = Hand(take)
    with pytest.raises(ConfigError, match="cannot sign"):
        postman(state, hand, signer=signer).round()
    assert hand.given == []
    assert outbox.get(state, letter.id).state is OutboxState.APPROVED


def test_a_letter_that_is_not_there(state: State) -> None:
    with pytest.raises(UsageError, match="There is no letter 7"):
        outbox.approve(state, 7, "")
    assert PLENTY.list_day


def test_who_was_refused_did_not_get_what_the_archive_has(state: State, clock: HandClock) -> None:
    letter = put(state)

    class Dead(BaseException):
        """The process dies."""

    def die(parcel: Parcel, proceed: Proceed) -> Answers:
        assert proceed({KIM: Answer(Fate.DEFERRED, "450 greylisted")}) == ""
        raise Dead

    hand = Hand(die)
    with pytest.raises(Dead):
        postman(state, hand).round()
    clock.forward(3601)
    postman(state, hand).look_after()
    clock.forward(61)
    hand.known = True
    postman(state, hand).look_after()
    assert fates(state, letter) == {KIM: Fate.DEFERRED, LEE.lower(): Fate.TAKEN}
    assert outbox.get(state, letter.id).state is OutboxState.APPROVED


def test_an_archive_cannot_tell_of_a_second_attempt(state: State, clock: HandClock) -> None:
    letter = put(state)
    first = {KIM: Answer(Fate.TAKEN, "250"), LEE: Answer(Fate.DEFERRED, "450")}
    postman(state, once(first)).round()
    clock.forward(301)
    man = postman(state, Hand(lose))
    man.round()
    clock.forward(61)
    man.round()
    doubt = outbox.get(state, letter.id)
    assert (doubt.state, doubt.next_try) == (OutboxState.IN_DOUBT, None)
    assert "nobody can tell who of the rest has" in doubt.reason
    assert fates(state, letter) == {KIM: Fate.TAKEN, LEE.lower(): Fate.TRYING}
