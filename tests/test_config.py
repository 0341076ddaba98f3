# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewbot import config
from reviewbot.config import Config, LoreConfig
from reviewbot.config_service import ListConfig, PostMode, SourceConfig
from reviewbot.errors import ConfigError, ExitStatus, UsageError
from reviewbot.locking.model import Verdict

FILE = Path("/etc/reviewbot/config.toml")


def parse(text: str) -> Config:
    return config.parse(text.encode(), FILE)


def complaint(text: str) -> str:
    """The message for a configuration that must be refused, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    message = str(caught.value)
    assert message.startswith(str(FILE))
    assert "\n" not in message
    return message.removeprefix(str(FILE)).removeprefix(": ")


def test_defaults_need_no_file_and_mail_nobody() -> None:
    loaded = config.load()
    assert loaded == Config()
    assert loaded.tree is None
    assert loaded.lore.url == "https://lore.kernel.org/all"
    assert loaded.sender.address.endswith("@example.org")
    assert loaded.sender.contact.endswith("@example.org")
    assert loaded.sender.domain == "example.org"


def test_the_users_file_is_read(home: Path) -> None:
    path = home / "config" / "reviewbot" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('tree = "linux"\ncache = "~/facts"\n[lore]\nretries = 0\ndeadline = 5\n')
    loaded = config.load()
    assert loaded.tree == path.parent / "linux"
    assert loaded.cache == home / "facts"
    assert loaded.lore == LoreConfig(deadline=5.0, retries=0)
    assert isinstance(loaded.lore.deadline, float)


def test_the_option_wins_over_the_environment_and_that_over_the_users_file(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, path in enumerate([config.default_path(), tmp_path / "env", tmp_path / "option"]):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"lore.retries = {number}")
    assert config.load().lore.retries == 0
    monkeypatch.setenv(config.ENVIRONMENT, str(tmp_path / "env"))
    assert config.load().lore.retries == 1
    assert config.load(tmp_path / "option").lore.retries == 2


def test_a_named_file_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(ConfigError, match=r"missing\.toml does not exist; .*init") as caught:
        config.load(missing)
    assert caught.value.exit_status is ExitStatus.USAGE
    monkeypatch.setenv(config.ENVIRONMENT, str(missing))
    with pytest.raises(ConfigError, match="does not exist"):
        config.load()


def test_unreadable_and_huge_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        config.load(tmp_path)
    huge = tmp_path / "huge"
    huge.write_bytes(b"#" * (2 << 20))
    with pytest.raises(ConfigError, match="is it the right file"):
        config.load(huge)


def test_relative_xdg_directories_are_ignored(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert config.default_path() == home / ".config/reviewbot/config.toml"
    assert Config().cache == home / ".cache/reviewbot"


def test_no_list_is_mailed_to_by_default() -> None:
    kvm = parse("[list.kvm]\nrfc = false").list["kvm"]
    assert (kvm.post, kvm.volunteers) == (PostMode.OFF, ())
    assert set(kvm.verdicts) < {verdict.value for verdict in Verdict} - {Verdict.CLEAN}
    people = parse('[list.kvm]\nvolunteers = ["a@example.org", "Zoë, K. <z@example.org>"]')
    assert len(people.list["kvm"].volunteers) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lores.url = 1", "lores is not a known key; did you mean lore?"),
        ("[lore]\nurll = 1", "lore.urll is not a known key; did you mean lore.url?"),
        ("deadline = 1", "deadline is not a known key; did you mean lore.deadline?"),
        ("[sender]\nretries = 1", "sender.retries is not a known key; did you mean lore.retries?"),
        (
            "zzz = 1",
            "zzz is not a known key; known keys here are"
            " tree, cache, lore, sender, limits, patchwork, service, talk, post, smtp, source,"
            " list, remote, primitives",
        ),
        ('"a\\u001bb" = 1', r"'a\x1bb' is not a known key; known keys here are"),
    ],
)
def test_an_unknown_key_is_an_error_with_a_hint(text: str, message: str) -> None:
    assert complaint(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('lore.deadline = "soon"', 'lore.deadline must be a number, not "soon"'),
        ("lore.deadline = true", "lore.deadline must be a number, not true"),
        ("lore.retries = 1.5", "lore.retries must be a whole number, not 1.5"),
        ("lore.retries = true", "lore.retries must be a whole number, not true"),
        ("lore.url = 1", "lore.url must be a string, not 1"),
        ("lore = 1", "lore must be a table, not 1"),
        ("lore = [1]", "lore must be a table, not an array"),
        ("tree = {a = 1}", "tree must be a path in quotes, not a table"),
        ('tree = ""', 'tree must be a path in quotes, not ""'),
        ("primitives = 1979-05-27", "primitives must be an array, not 1979-05-27"),
        ("primitives = [{}, 1]", "primitives[2] must be a table, not 1"),
    ],
)
def test_a_wrong_type_says_what_is_expected(text: str, message: str) -> None:
    assert complaint(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lore.deadline = 0", "lore.deadline must be above 0, not 0.0"),
        ("lore.deadline = inf", "lore.deadline must be above 0, not inf"),
        ("lore.deadline = nan", "lore.deadline must be above 0, not nan"),
        ("lore.retries = -1", "lore.retries must not be below 0, not -1"),
        ('lore.url = "lore.kernel.org"', "lore.url must be the http or https address"),
        ('lore.url = "file:///etc"', "lore.url must be the http or https address"),
        ('lore.url = "http://[::1"', "lore.url must be the http or https address"),
        ('lore.url = "http://a:99999"', "lore.url must be the http or https address"),
        ('sender.address = "bot"', "sender.address must be one bare address"),
        ('sender.address = "a@b, c@d"', "sender.address must be one bare address"),
        ('sender.domain = "-x.org"', "sender.domain must be a domain name"),
        ('sender.name = "a\\nBcc: b@c.example.org"', "sender.name must be one line"),
        ('sender.stop = " "', "sender.stop must not be empty"),
        ('sender.contact = "me"', "sender.contact must be an address"),
        ('tree = "a\\u0000"', "tree must be one line"),
        (f"lore.retries = {2**63}", "lore.retries is beyond the 64 bits"),
        (f"lore = 0x{'f' * 9000}", "lore is beyond the 64 bits"),
        (f"lore.deadline = {10**400}", "lore.deadline is beyond the 64 bits"),
    ],
)
def test_a_senseless_value_is_refused(text: str, message: str) -> None:
    assert complaint(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a = 1\nb =\n", ":2: not valid TOML: invalid value"),
        ('a = 1\n\nb = """', ":3: not valid TOML: unterminated string"),
        ("a = 1\na = 2", ":2: not valid TOML: cannot overwrite"),
        ("a = " + "9" * 5000, ":1: not valid TOML: exceeds the limit"),
        ("a = " + "[" * 20000, ": arrays or tables are nested too deeply"),
    ],
)
def test_broken_toml_names_the_line(text: str, start: str) -> None:
    assert re.sub("^(?!:)", ": ", complaint(text)).startswith(start)


def test_other_encodings_name_the_line() -> None:
    with pytest.raises(ConfigError, match=r"config.toml:2: not UTF-8"):
        config.parse(b'a = 1\nb = "\xff"', FILE)


def test_a_web_page_is_a_contact() -> None:
    assert parse('sender.contact = "https://bot.example.org/help"').sender.contact


def test_primitives_are_passed_on_with_their_place() -> None:
    (first, second) = parse('[[primitives]]\nnames = ["a"]\n[[primitives]]\nrole = "x"').primitives
    assert dict(first.entries) == {"names": ["a"]}
    assert second.where == f"{FILE}: primitives[2]"


def test_the_commented_file_changes_nothing() -> None:
    assert parse(config.commented_default()) == Config()


def test_every_key_of_the_commented_file_is_real_and_shows_its_default() -> None:
    """Uncommented, every line is accepted and every fixed default is the real one."""
    text = re.sub(r"^#(?=\S)", "", config.commented_default(), flags=re.MULTILINE)
    loaded = parse(text)
    default = Config()
    assert (loaded.lore, loaded.sender, loaded.limits) == (
        default.lore,
        default.sender,
        default.limits,
    )
    assert loaded.tree == Path("~/linux").expanduser()
    assert len(loaded.primitives) == 1
    assert loaded.list["NAME"] == ListConfig(tree=Path("~/linux").expanduser())
    assert loaded.source["NAME"].kind == SourceConfig().kind


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[list]\nkvm = 1", "list.kvm must be a table, not 1"),
        ("[list.'a b']", "list.'a b' must be letters, digits, dots or dashes"),
        ("[list.kvm]\npost = 'all'", "list.kvm.post must be one of off, moderate, author, list"),
        ("[list.kvm]\nverdicts = ['clean']", "list.kvm.verdicts must not name clean"),
        ("[list.kvm]\nverdicts = ['bad']", "list.kvm.verdicts must be of introduced, "),
        ("[list.kvm]\nvolunteers = ['Kim']", "list.kvm.volunteers must be addresses such as"),
        ("[list.kvm]\nrfx = true", "list.kvm.rfx is not a known key; did you mean list.kvm.rfc?"),
        ("[source.x]\nkind = 'pop3'", "source.x.kind must be one of public-inbox, imap,"),
        ("[service]\ndatabase = 'mysql://x'", "service.database must be sqlite:///PATH or"),
        ("[remote.x]\nurl = '--upload-pack=x'", "remote.x.url must be a git address such as"),
    ],
)
def test_what_is_wrong_with_a_named_table_is_said(text: str, message: str) -> None:
    assert complaint(text).startswith(message)


def test_every_key_is_documented() -> None:
    lines = config.commented_default().splitlines()
    keys = [at for at, line in enumerate(lines) if re.match(r"#\w+ = ", line)]
    assert len(keys) >= 16
    undocumented = [lines[at] for at in keys[:-3] if not lines[at - 1].startswith(("# ", "#["))]
    assert undocumented == []


def test_write_default_makes_directories_and_never_overwrites(home: Path) -> None:
    path = config.default_path()
    config.write_default(path)
    assert config.load() == Config()
    path.write_text("# mine")
    with pytest.raises(UsageError, match="exists already and was left as it is"):
        config.write_default(path)
    assert path.read_text() == "# mine"


def test_write_default_below_a_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        config.write_default(tmp_path / "file" / "config.toml")


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_KEYS = st.sampled_from(
    ["tree", "cache", "lore", "sender", "limits", "primitives", "url", "retries", "address", "x"]
)


def _toml(value: object) -> str:
    """A value as TOML, roughly: what is no TOML must be refused as well."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return ascii(value)


_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_any_table_is_a_config_or_a_config_error(table: dict[str, object]) -> None:
    text = "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
    try:
        parse(text)
    except ConfigError as error:
        assert str(error).startswith(str(FILE))
        assert str(error).isprintable()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_config_or_a_config_error(data: bytes) -> None:
    try:
        config.parse(data, FILE)
    except ConfigError as error:
        assert str(error).startswith(str(FILE))
