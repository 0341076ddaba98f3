# SPDX-License-Identifier: GPL-2.0-or-later
"""From a configuration to what sends; and what a configuration forbids."""

from __future__ import annotations

import ssl
import subprocess
from base64 import b64encode
from pathlib import Path

import patatt
import pytest
from nacl.signing import SigningKey

from reviewbot import config
from reviewbot.config import Config
from reviewbot.errors import ConfigError
from reviewbot.kernel.git import user_settings
from reviewbot.service.model import OutboxState
from reviewbot.service.posting.local import Directory, Sendmail
from reviewbot.service.posting.open import envelope_of, open_office, open_transport
from reviewbot.service.posting.smtp import Smtp
from reviewbot.service.posting.terms import terms_of
from reviewbot.service.state.model import Letter
from tests.service.posting.letters import KIM, mail
from tests.service.support import START


def settings(text: str, path: Path = Path("/etc/reviewbot.toml")) -> Config:
    return config.parse(text.encode(), path)


@pytest.fixture
def gits(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's git configuration."""
    file = home / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file))
    return file


def test_by_default_files_are_written(tmp_path: Path) -> None:
    office = open_office(settings(f'[service]\nstate = "{tmp_path}"'))
    assert isinstance(office.transport, Directory)
    assert not office.transport.reaches_people
    assert (office.envelope, office.signer) == ("", None)


def test_the_server_is_checked_and_encrypted() -> None:
    transport = open_transport(
        settings('[post]\ntransport = "smtp"\n[smtp]\nserver = "mail.example.org"\nuser = "bot"')
    )
    assert isinstance(transport, Smtp)
    account = transport._server.account
    assert (account.port, account.starttls, account.user) == (587, True, "bot")
    assert account.context is not None
    assert account.context.verify_mode is ssl.CERT_REQUIRED
    assert account.context.check_hostname


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[smtp]\nserver = "mail.example.org"\nencryption = "none"', "is not encrypted"),
        ('[smtp]\nserver = "mail.example.org"\nca_file = "/dev/null"', "holds no certificates"),
        ("", "there is no server"),
    ],
)
def test_what_is_unsafe_or_missing(gits: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_transport(settings(f'[post]\ntransport = "smtp"\n{text}'))


def test_gits_own_way_of_sending(gits: Path) -> None:
    gits.write_text(
        "[sendemail]\nsmtpServer = mail.example.org\nsmtpEncryption = ssl\nsmtpUser = kim\n"
        "smtpPass = secret\nenvelopeSender = kim@example.org\n"
    )
    own = settings('[post]\ntransport = "smtp"')
    transport = open_transport(own)
    assert isinstance(transport, Smtp)
    account = transport._server.account
    assert (account.host, account.port, account.starttls) == ("mail.example.org", 465, False)
    assert (account.user, transport._server.password) == ("kim", "secret")
    assert "secret" not in repr(transport._server)
    assert envelope_of(own) == "kim@example.org"
    assert envelope_of(settings('[post]\nenvelope = "b@example.org"')) == "b@example.org"


def test_gits_command_is_split_and_meets_no_shell(gits: Path) -> None:
    gits.write_text("[sendemail]\nsendmailCmd = \"/usr/bin/msmtp -a 'my account'; touch x\"\n")
    for kind in ("smtp", "sendmail"):
        transport = open_transport(settings(f'[post]\ntransport = "{kind}"'))
        assert isinstance(transport, Sendmail)
        assert transport._command == ("/usr/bin/msmtp", "-a", "my account;", "touch", "x")


@pytest.mark.parametrize("command", ["", "   "])
def test_gits_command_may_be_empty(gits: Path, command: str) -> None:
    gits.write_text(f'[sendemail]\nsendmailCmd = "{command}"\n')
    with pytest.raises(ConfigError, match="there is no command"):
        open_transport(settings('[post]\ntransport = "sendmail"'))


def test_a_server_that_is_a_path_is_a_command(gits: Path) -> None:
    gits.write_text("[sendemail]\nsmtpserver = /usr/sbin/sendmail\n")
    transport = open_transport(settings('[post]\ntransport = "smtp"'))
    assert isinstance(transport, Sendmail)


def test_gits_settings_of_a_repository_do_not_count(gits: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    command = ["git", "-C", tmp_path, "config", "sendemail.smtpserver", "evil.example.org"]
    subprocess.run(command, check=True)
    assert user_settings("sendemail") == {}


# ---- terms ----


def letter(*recipients: str, list_: str = "kvm") -> Letter:
    return Letter(1, "m", 1, list_, "s", recipients, OutboxState.APPROVED, START)


def test_until_it_is_meant_only_some_domains_get_mail() -> None:
    text = '[list.kvm]\npost = "list"\n[post]\ndomains = ["example.org"]\ni_mean_it = {}\n'
    guarded = terms_of(settings(text.format("false")), reaches_people=True)
    assert guarded.hold(letter("a@example.org", "b@lists.EXAMPLE.org")) == ""
    for outside in ("kim@example.invalid", "kim@notexample.org", "kim@example.org.invalid"):
        assert "is in none of post.domains" in guarded.hold(letter(KIM, outside))
    assert terms_of(settings(text.format("false")), False).hold(letter("kim@example.invalid")) == ""
    assert terms_of(settings(text.format("true")), True).hold(letter("kim@example.invalid")) == ""


def test_a_list_that_is_off_or_gone_gets_nothing() -> None:
    rules = terms_of(settings('[list.kvm]\npost = "off"'), reaches_people=False)
    assert rules.hold(letter(KIM)) == "post is off for the list kvm"
    assert rules.hold(letter(KIM, list_="gone")) == "post is off for the list gone"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("kim@example.org", ""),
        ("bot+x@Example.org", "is the bot itself"),
        ("lkp@INTEL.com", "is a program"),
        ("syzbot+1a2b@syzkaller.appspotmail.com", "is a program"),
        ("devnull+kim.example.org@kernel.org", "is a relay that nobody reads"),
        ("kim@example.org>\nRCPT TO:<x@example.org", "is no address that mail can be sent to"),
    ],
)
def test_who_never_gets_mail(address: str, why: str) -> None:
    rules = terms_of(settings('[sender]\naddress = "bot@example.org"'), reaches_people=True)
    assert rules.bar(address) == why


# ---- signing ----


def test_a_signature_that_patatt_accepts(tmp_path: Path) -> None:
    key = SigningKey.generate()
    public = tmp_path / "keys" / "ed25519" / "bot.example.org" / "reviewbot" / "default"
    public.parent.mkdir(parents=True)
    public.write_bytes(b64encode(bytes(key.verify_key)))
    (tmp_path / "key").write_bytes(b64encode(bytes(key)))
    office = open_office(
        settings(
            f'[post]\nsign_key = "{tmp_path}/key"\ndirectory = "{tmp_path}/out"\n'
            '[sender]\naddress = "reviewbot@bot.example.org"\n'
        )
    )
    assert office.signer is not None
    signed = office.signer.sign(mail(1))
    assert signed.endswith(mail(1).partition(b"\n\n")[2])

    def results(text: bytes) -> list[int]:
        return [one[0] for one in patatt.validate_message(text, [str(tmp_path / "keys")])]

    assert results(signed) == [patatt.RES_VALID]
    assert results(signed.replace(b"Verdict: removed", b"Verdict: clean")) == [patatt.RES_BADSIG]
