# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Callable

import dkim
import dns.resolver
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot.service.talk.signature import ResolveError, author_in, objection, resolver
from tests.service.talk.letters import SIGNED, Names, Server, reply

ANN = "ann@example.org"


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def server(names: Names) -> Server:
    return Server.of("example.org", names)


def test_a_signed_mail_is_from_its_author(server: Server, names: Names) -> None:
    mail = server.sign(reply())
    assert author_in(mail) == ANN
    assert objection(mail, names) == ""
    assert names.asked == ["s1._domainkey.example.org."]


def test_a_domain_signs_for_those_below_it(server: Server, names: Names) -> None:
    assert objection(server.sign(reply(author="ann@lists.Example.org")), names) == ""
    other = Server.of("lists.example.org", names)
    assert "another domain" in objection(other.sign(reply()), names)
    top = Server.of("org", names)
    assert "another domain" in objection(top.sign(reply()), names)
    alike = Server.of("ample.org", names)
    assert "another domain" in objection(alike.sign(reply()), names)


def test_without_a_signature_nobody_is_known(names: Names) -> None:
    assert objection(reply(), names) == "it has no DKIM signature"
    assert names.asked == []


def test_a_forged_author_is_found_out(names: Names) -> None:
    mallory = Server.of("mallory.example.org", names)
    assert "another domain" in objection(mallory.sign(reply()), names)
    assert names.asked == []  # a stranger does not say whom we ask


def test_the_first_good_one_of_several_counts(server: Server, names: Names) -> None:
    mallory = Server.of("mallory.example.org", names)
    assert objection(mallory.sign(server.sign(reply())), names) == ""
    many = reply()
    for _ in range(8):
        many = mallory.sign(many)
    assert objection(many.replace(b"d=mallory.", b"d=", 0), names) != ""


Change = Callable[[bytes], bytes]
CHANGES: dict[str, Change] = {
    "another word": lambda mail: mail.replace(b"never taken", b"always taken"),
    "another command": lambda mail: mail.replace(b"#reviewbot stop", b"#reviewbot retest"),
    "another thread": lambda mail: mail.replace(b"<reply-1@", b"<reply-2@"),
    "another person of that domain": lambda mail: mail.replace(b"<ann@", b"<kim@"),
    "a line more": lambda mail: mail + b"#reviewbot stop\n",
    "another From on top": lambda mail: b"From: kim@example.org\n" + mail,
    "another In-Reply-To": lambda mail: b"In-Reply-To: <other@example.org>\n" + mail,
    "a type": lambda mail: b"Content-Type: multipart/mixed; boundary=x\n" + mail,
    "an encoding": lambda mail: b"Content-Transfer-Encoding: base64\n" + mail,
    "a bare return": lambda mail: b"X-A: b\rReferences: <other@example.org>\n" + mail,
    "a space before a colon": lambda mail: b"References : <other@example.org>\n" + mail,
    "a separator": lambda mail: mail.replace(b"\nTo:", b"\nFrom mallory\nTo:"),
    "no hash": lambda mail: mail.replace(b"bh=", b"xx="),
    "a hash that is none": lambda mail: mail.replace(b"bh=", b"bh=!"),
    "another time": lambda mail: mail.replace(b"v=1;", b"v=1; x=100;"),
    "nonsense": lambda mail: mail.replace(b"v=1;", b"v;;=1"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_does_not_verify(server: Server, names: Names, change: str) -> None:
    mail = CHANGES[change](server.sign(reply()))
    assert mail != server.sign(reply())
    assert objection(mail, names) != ""


def test_a_header_that_was_signed_as_absent_cannot_be_added(server: Server, names: Names) -> None:
    """The signature holds, our parser sees the header: only its malformed line tells."""
    plain = reply().replace(b"In-Reply-To: <reply-1@example.org>\n", b"")
    mail = b"X-A: b\rIn-Reply-To: <reply-2@example.org>\n" + server.sign(plain)
    assert dkim.verify(mail, dnsfunc=lambda name, timeout=5: names(name.decode()))
    assert objection(mail, names) == "its headers are malformed"


@pytest.mark.parametrize("missing", ["in-reply-to", "references"])
def test_which_mail_it_answers_has_to_be_signed(server: Server, names: Names, missing: str) -> None:
    signed = [name for name in SIGNED if name != missing]
    assert objection(server.sign(reply(), signed), names).endswith(f"leaves out {missing}")


def test_plain_text_needs_no_signed_type(server: Server, names: Names) -> None:
    plain = {"Content-Type": "text/plain; charset=utf-8", "Content-Transfer-Encoding": "8bit"}
    assert objection(server.sign(reply(more=plain)), names) == ""
    mixed = {"Content-Type": "multipart/mixed; boundary=x"}
    assert "content-type" in objection(server.sign(reply(more=mixed)), names)
    assert objection(server.sign(reply(more=mixed), (*SIGNED, "content-type")), names) == ""


def test_a_signature_of_a_part_of_the_text_does_not_count(server: Server, names: Names) -> None:
    mail = server.sign(reply(), length=True)
    assert "end of the text" in objection(mail, names)


@pytest.mark.parametrize(
    "author", ["", "Ann", "ann@example.org, kim@example.org", "undisclosed:;", "=?utf-8?q?a=40b?="]
)
def test_from_has_to_name_one_person(names: Names, author: str) -> None:
    assert objection(reply(author=author), names) == "From names no one person"


def test_a_key_that_is_withdrawn_or_nonsense(server: Server, names: Names) -> None:
    mail = server.sign(reply())
    for record in (None, b"", b"v=DKIM1; p=", b"v=DKIM1; k=ed25519; p=AAAA", b"\xff" * 300):
        assert objection(
            mail, Names({} if record is None else {"s1._domainkey.example.org": record})
        )
    assert objection(server.sign(reply()), Names()) == "its DKIM signature does not verify"


def test_a_name_service_that_is_down_is_no_verdict(server: Server, names: Names) -> None:
    names.down = True
    with pytest.raises(ResolveError):
        objection(server.sign(reply()), names)


@pytest.mark.parametrize(("bits", "good"), [(2048, True), (768, False)])
def test_rsa_keys_have_to_be_long(names: Names, bits: int, good: bool) -> None:
    make = ["openssl", "genrsa", "-traditional", str(bits)]
    key = subprocess.run(make, check=True, capture_output=True).stdout
    tell = ["openssl", "rsa", "-pubout", "-outform", "DER"]
    public = subprocess.run(tell, input=key, check=True, capture_output=True).stdout
    published = b64encode(public)
    names.records["r._domainkey.example.org"] = b"v=DKIM1; k=rsa; p=" + published
    signed = [name.encode() for name in SIGNED]
    mail = dkim.sign(reply(), b"r", b"example.org", key, include_headers=signed)
    mail = mail.replace(b"\r\n", b"\n") + reply()
    assert (objection(mail, names) == "") == good
    sha1 = mail.replace(b"rsa-sha256", b"rsa-sha1")
    assert "algorithm" in objection(sha1, names)


def test_the_systems_name_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """No packet leaves: the resolver has no server but a closed port of this machine."""
    nowhere = dns.resolver.Resolver(configure=False)
    nowhere.nameservers, nowhere.port = ["127.0.0.1"], 9
    monkeypatch.setattr(dns.resolver, "default_resolver", nowhere)
    with pytest.raises(ResolveError, match=r"s1\._domainkey\.example\.org cannot be looked up"):
        resolver(0.2)("s1._domainkey.example.org")


@given(st.binary(max_size=400))
def test_any_signature_is_looked_at(value: bytes) -> None:
    line = b"DKIM-Signature: " + b" ".join(value.split()) + b"\n"
    assert objection(line + reply(), Names()) != ""
    tags = b"DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s1; h=from; " + line[16:]
    assert objection(tags + reply(), Names()) != ""
