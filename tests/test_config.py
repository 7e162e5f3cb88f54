"""connectors.toml: what is read, and what is said when it is wrong."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from idsync.config import Config, connect_source, connect_target, load
from idsync.config.tables import Brakes, Limits
from idsync.errors import ConfigError
from idsync.mapping.catalogue import Right
from idsync.mapping.conditions import parse
from idsync.settings import Secret

STRANGERS_CODE = """
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from idsync.model import Kind
from idsync.settings import PathField, SecretField, Settings, ZoneField


class Trailer(Settings):
    starts_with: str
    count: int


class Number(Settings):
    number: int


def echo(value: str) -> str:
    raise ValueError(f"{value} is not good enough")


class Register:
    class Config(Settings):
        kind: Kind = "trainings"
        path: PathField
        password: SecretField | None = None
        timezone: ZoneField = Field(default=None, validate_default=True)
        delimiter: Annotated[str, Field(max_length=1)] = ","
        trailer: Trailer | None = None
        proof: Trailer | Number | None = None
        no_end: tuple[str, ...] = ("",)
        picky: Annotated[str, AfterValidator(echo)] | None = None

    def __init__(self, config):
        self.config = config


class Doors:
    class Config(Settings):
        url: str
        token: SecretField
        timeout_s: float = 30.0

    def __init__(self, config):
        self.config = config


class Naked:
    pass
"""

ENTRY_POINTS = """
[idsync.sources]
register = stranger:Register
unfinished = stranger_needs:Register
crashing = stranger_crashes:Register
naked = stranger:Naked

[idsync.targets]
doors = stranger:Doors
"""

GOOD = """
[idsync]
timezone = "Europe/Helsinki"

[correlation]
keys = ["employee_number"]
[correlation.precedence]
default = ["hr"]

[sources.hr]
type = "register"
kind = "employments"
path = "hr/löner.csv"

[targets.stadshuset]
type = "doors"
url = "https://dörrar.example.se"
token = { env = "IDSYNC_TOKEN" }
release = ["display_name"]

[[profiles]]
id = "förskola"
grants = { stadshuset = ["FSK-ENTRÉ", { ref = "LARM-FSK", kind = "alarm" }] }

[[rules]]
profile = "förskola"
when = { unit_under = "Förskoleförvaltningen", job_code = ["403010", "403011"] }
requires = ["brandskydd-grund"]
grace_days = 14
"""

Load = Callable[[str], Config]
Wrong = Callable[[str], list[str]]


@pytest.fixture(autouse=True)
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Connectors of a package that idsync has never heard of, installed for real."""
    packages = tmp_path / "site-packages"
    record = packages / "stranger-1.0.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text(ENTRY_POINTS)
    (packages / "stranger.py").write_text(STRANGERS_CODE)
    (packages / "stranger_needs.py").write_text("import absent_package\n")
    (packages / "stranger_crashes.py").write_text("raise RuntimeError('hunter2')\n")
    monkeypatch.syspath_prepend(packages)
    yield
    for name in ("stranger", "stranger_needs", "stranger_crashes"):
        sys.modules.pop(name, None)


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    def load_it(text: str) -> Config:
        path = tmp_path / "connectors.toml"
        path.write_text(text, encoding="utf-8")
        return load(path)

    return load_it


@pytest.fixture
def wrong(load_text: Load, tmp_path: Path) -> Wrong:
    """Return what is said of a text, one line a problem, without the name of the file."""

    def say(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load_text(text)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        prefix = str(tmp_path / "connectors.toml") + ":"
        told = str(caught.value).split("\n")
        assert all(line.startswith(prefix) for line in told)
        return [line.removeprefix(prefix).strip() for line in told]

    return say


def with_line(old: str, new: str) -> str:
    """Return the good file with one thing in it written otherwise."""
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


# ── what is read ────────────────────────────────────────────────────────────────────────


def test_a_good_file_is_read_whole(load_text: Load, tmp_path: Path) -> None:
    config = load_text(GOOD)
    assert config.folder == tmp_path
    assert config.idsync.timezone == ZoneInfo("Europe/Helsinki")
    assert config.idsync.state == f"sqlite:///{tmp_path}/var/idsync.db"
    assert config.idsync.ahead_days == 14
    assert config.correlation.keys == ("employee_number",)
    assert config.correlation.precedence == {"default": ("hr",)}
    assert config.brakes == Brakes(people=3, percent=2.0, gaining=None)
    [profile] = config.profiles
    assert (profile.id, profile.name, profile.level) == ("förskola", "förskola", "basic")
    assert profile.rights == (
        Right(target="stadshuset", kind="access", ref="FSK-ENTRÉ"),
        Right(target="stadshuset", kind="alarm", ref="LARM-FSK"),
    )
    [rule] = config.rules
    assert (rule.id, rule.profile) == ("förskola", "förskola")
    assert (rule.requires, rule.grace_days) == (("brandskydd-grund",), 14)
    assert rule.when == parse(
        {"unit_under": "Förskoleförvaltningen", "job_code": ["403010", "403011"]}
    )
    assert config.catalogue.profile(rule) is profile


def test_a_source_has_the_common_keys_and_its_connector_the_rest(
    load_text: Load, tmp_path: Path
) -> None:
    hr = load_text(GOOD).sources["hr"]
    assert (hr.name, hr.type, hr.kind, hr.min_share) == ("hr", "register", "employments", 0.6)
    settings: Any = hr.settings
    assert settings.path == tmp_path / "hr/löner.csv"
    assert settings.kind == "employments"
    assert settings.timezone == ZoneInfo("Europe/Helsinki")


def test_a_kind_that_is_not_written_is_the_one_the_connector_says(load_text: Load) -> None:
    config = load_text(with_line('kind = "employments"\n', ""))
    assert config.sources["hr"].kind == "trainings"


def test_a_target_has_the_common_keys_and_its_connector_the_rest(load_text: Load) -> None:
    hall = load_text(GOOD).targets["stadshuset"]
    assert (hall.name, hall.type, hall.controller) == ("stadshuset", "doors", "stadshuset")
    assert (hall.key, hall.release, hall.adopt) == ("id", ("display_name",), "nothing")
    settings: Any = hall.settings
    assert settings.url == "https://dörrar.example.se"
    assert isinstance(settings.token, Secret)


def test_connectors_are_made_of_their_settings(load_text: Load) -> None:
    config = load_text(GOOD)
    source: Any = connect_source(config.sources["hr"])
    target: Any = connect_target(config.targets["stadshuset"])
    assert source.config is config.sources["hr"].settings
    assert target.config is config.targets["stadshuset"].settings
    assert type(source).__name__ == "Register"


def test_only_what_is_configured_is_loaded(load_text: Load) -> None:
    load_text(GOOD)
    assert "stranger" in sys.modules
    assert "stranger_crashes" not in sys.modules


def test_limits_for_gaining_can_differ(load_text: Load) -> None:
    brakes = load_text(
        GOOD + "[brakes]\npercent = 1\ngaining = { people = 25, percent = 10 }\n"
    ).brakes
    assert brakes == Brakes(people=3, percent=1.0, gaining=Limits(people=25, percent=10.0))


@pytest.mark.parametrize(
    ("written", "days"),
    [('"keep"', None), ('"suspend"', 0), ("{ suspend_after_days = 30 }", 30)],
)
def test_leave_keeps_suspends_or_suspends_later(
    load_text: Load, written: str, days: int | None
) -> None:
    config = load_text(with_line('id = "förskola"', f'id = "förskola"\non_leave = {written}'))
    assert config.profiles[0].suspend_after_days == days


def test_a_file_saved_by_a_windows_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "connectors.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(path).profiles[0].id == "förskola"


def test_an_absolute_or_remote_state_is_left_as_it_is(load_text: Load) -> None:
    for url in ("sqlite:////srv/idsync.db", "postgresql://idsync@db.example.se/idsync"):
        text = with_line("[idsync]", f'[idsync]\nstate = "{url}"')
        assert load_text(text).idsync.state == url


def test_a_relative_file_name_still_gives_absolute_paths(
    tmp_path: Path, load_text: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_text(GOOD)
    monkeypatch.chdir(tmp_path)
    config = load(Path("connectors.toml"))
    assert config.idsync.state == f"sqlite:///{tmp_path}/var/idsync.db"


# ── the digest ──────────────────────────────────────────────────────────────────────────

SAME = {
    "a remark": GOOD + "# checked in March\n",
    "a default written out": with_line("[idsync]", "[idsync]\nahead_days = 14"),
    "a default of a profile written out": with_line(
        'id = "förskola"', 'id = "förskola"\nlevel = "basic"'
    ),
    "another order of keys": with_line(
        'requires = ["brandskydd-grund"]\ngrace_days = 14',
        'grace_days = 14\nrequires = ["brandskydd-grund"]',
    ),
    "another place of the file": with_line("hr/löner.csv", "hr/löner-2.csv"),
    "another secret": with_line("IDSYNC_TOKEN", "IDSYNC_NEW_TOKEN"),
}

OTHER = {
    "correlation": with_line('keys = ["employee_number"]', 'keys = ["employee_number", "mail"]'),
    "a key": with_line('release = ["display_name"]', 'release = ["display_name"]\nkey = "mail"'),
    "a release": with_line('release = ["display_name"]', "release = []"),
    "adoption": with_line("release =", 'adopt = "matching"\nrelease ='),
    "a brake": GOOD + "[brakes]\npeople = 4\n",
    "a right": with_line("FSK-ENTRÉ", "FSK-BAKDÖRR"),
    "leave": with_line('id = "förskola"', 'id = "förskola"\non_leave = "suspend"'),
    "a condition": with_line('"403011"', '"403012"'),
    "a training": with_line("brandskydd-grund", "brandskydd-2"),
    "grace": with_line("grace_days = 14", "grace_days = 15"),
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME.keys())
def test_the_digest_stays_with(load_text: Load, text: str) -> None:
    assert load_text(text).digest == load_text(GOOD).digest


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER.keys())
def test_the_digest_changes_with(load_text: Load, text: str) -> None:
    assert load_text(text).digest != load_text(GOOD).digest


# ── one case a message ──────────────────────────────────────────────────────────────────

CASES = {
    "an unknown table": (
        GOOD + "[brake]\npeople = 3\n",
        "30: brake: there is no such key here; did you mean brakes?",
    ),
    "an unknown key": (
        with_line("grace_days", "grace_day"),
        "29: rules[1].grace_day: there is no such key here; did you mean grace_days?",
    ),
    "a key unlike any other": (
        with_line("grace_days", "zzz"),
        "29: rules[1].zzz: there is no such key here; "
        "known: grace_days, id, profile, requires, when",
    ),
    "a key of the connector": (
        with_line("path =", "paht ="),
        "13: sources.hr.paht: there is no such key here; did you mean path?",
    ),
    "a common key of a connector": (
        with_line("path =", "min_shar = 1.0\npath ="),
        "13: sources.hr.min_shar: there is no such key here; did you mean min_share?",
    ),
    "a key of a table in a table": (
        with_line("path =", 'trailer = { starts_with = "#", cuont = 2 }\npath ='),
        "13: sources.hr.trailer.cuont: there is no such key here; did you mean count?",
    ),
    "a key of a right": (
        with_line('ref = "LARM-FSK", kind', 'ref = "LARM-FSK", kin'),
        "23: profiles[1].grants.stadshuset[2].kin: there is no such key here; did you mean kind?",
    ),
    "a missing key": (
        with_line('url = "https://dörrar.example.se"\n', ""),
        "15: targets.stadshuset.url: this key is missing: add it",
    ),
    "a rule without conditions": (
        re.sub("when = .*\n", "", GOOD),
        "25: rules[1].when: this key is missing: add it",
    ),
    "no type": (
        with_line('type = "doors"\n', ""),
        "15: targets.stadshuset.type: this key is missing: add it",
    ),
    "an unknown type": (
        with_line('"doors"', '"door"'),
        "16: targets.stadshuset.type: no connector of this type is installed; did you mean doors?",
    ),
    "a type that needs something": (
        with_line('"register"', '"unfinished"'),
        "11: sources.hr.type: type unfinished of package stranger needs something that is not "
        "installed (module absent_package): install it, or the extra of stranger that brings it",
    ),
    "a type that crashes": (
        with_line('"register"', '"crashing"'),
        "11: sources.hr.type: type crashing of package stranger does not load (RuntimeError): "
        "reinstall the package or report it to its author",
    ),
    "a type that is no connector": (
        with_line('"register"', '"naked"'),
        "11: sources.hr.type: type naked of package stranger is no connector: its class needs a "
        "Config made of idsync.settings.Settings; report it to its author",
    ),
    "a type that is no text": (
        with_line('"register"', "7"),
        '11: sources.hr.type: write a text in quotes: "…"',
    ),
    "a literal secret": (
        with_line('{ env = "IDSYNC_TOKEN" }', '"hunter2"'),
        "18: targets.stadshuset.token: a secret never stands in this file: write "
        '{ env = "NAME" }, { file = "PATH" } or { credential = "NAME" }',
    ),
    "a literal secret in the state": (
        with_line("[idsync]", '[idsync]\nstate = "postgresql://idsync:hunter2@db/idsync"'),
        "3: idsync.state: a secret never stands in this file: leave the password out, and give "
        "it in a PostgreSQL password file (PGPASSFILE)",
    ),
    "a secret in the query of the state": (
        with_line("[idsync]", '[idsync]\nstate = "postgresql://db/idsync?password=hunter2"'),
        "3: idsync.state: a secret never stands in this file: leave the password out, and give "
        "it in a PostgreSQL password file (PGPASSFILE)",
    ),
    "a state that cannot last": (
        with_line("[idsync]", '[idsync]\nstate = "sqlite://"'),
        '3: idsync.state: write "sqlite:///var/idsync.db" or "postgresql://user@host/database"',
    ),
    "a time zone": (
        with_line("Europe/Helsinki", "Europe/Stockholn"),
        "3: idsync.timezone: no such time zone: write an IANA name such as Europe/Stockholm",
    ),
    "a number in quotes": (
        with_line("grace_days = 14", 'grace_days = "14"'),
        "29: rules[1].grace_days: write a whole number",
    ),
    "yes for a number": (
        with_line("grace_days = 14", "grace_days = true"),
        "29: rules[1].grace_days: write a whole number",
    ),
    "days before zero": (
        with_line("grace_days = 14", "grace_days = -1"),
        "29: rules[1].grace_days: write a number greater than or equal to 0",
    ),
    "more than everybody": (
        GOOD + "[brakes]\npercent = 101\n",
        "31: brakes.percent: write a number less than or equal to 100",
    ),
    "no number at all": (
        GOOD + "[brakes]\npercent = nan\n",
        "31: brakes.percent: write a number",
    ),
    "half the limits for gaining": (
        GOOD + "[brakes]\ngaining = { people = 3 }\n",
        "31: brakes.gaining.percent: this key is missing: add it",
    ),
    "a share": (
        with_line("path =", "min_share = 60\npath ="),
        "13: sources.hr.min_share: write a number less than or equal to 1",
    ),
    "a kind": (
        with_line('"employments"', '"employment"'),
        "12: sources.hr.kind: write one of persons, employments, trainings, memberships; "
        "did you mean employments?",
    ),
    "a text for a list": (
        with_line('["brandskydd-grund"]', '"brandskydd-grund"'),
        "28: rules[1].requires: write a list: [ … ]",
    ),
    "a list for a table": (
        with_line('release = ["display_name"]', "release = [1]"),
        '19: targets.stadshuset.release[1]: write a text in quotes: "…"',
    ),
    "a table for a list of tables": (
        with_line("[[rules]]", "[rules]"),
        "25: rules: write a list: [ … ]",
    ),
    "an attribute no system may have": (
        with_line('["display_name"]', '["display_name", "birth_date"]'),
        "19: targets.stadshuset.release[2]: there is no attribute of this name here; "
        "known: department, display_name, family_name, given_name, mail",
    ),
    "a name as a correlation key": (
        with_line('keys = ["employee_number"]', 'keys = ["display_name"]'),
        "6: correlation.keys[1]: there is no attribute of this name here; "
        "known: employee_number, mail, phone, user_name",
    ),
    "no correlation key": (
        with_line('keys = ["employee_number"]', "keys = []"),
        "6: correlation.keys: this is empty or too short: write more, or leave the key out",
    ),
    "a target's key": (
        with_line("release =", 'key = "employee_numbr"\nrelease ='),
        "19: targets.stadshuset.key: there is no attribute of this name here; "
        "did you mean employee_number?",
    ),
    "a precedence of nothing": (
        with_line("default =", "mial ="),
        "8: correlation.precedence.mial: there is no attribute of this name here; "
        "did you mean mail?",
    ),
    "a precedence of nobody": (
        with_line('default = ["hr"]', 'default = ["hr", "hrm"]'),
        "8: correlation.precedence.default[2]: no source has this name; did you mean hr?",
    ),
    "a name with a space": (
        with_line("[targets.stadshuset]", '[targets."stads huset"]'),
        '15: targets."stads huset": write a name of letters, digits, - and _',
    ),
    "a right as a number": (
        with_line('"FSK-ENTRÉ"', "12"),
        '23: profiles[1].grants.stadshuset[1]: write "NAME" or { ref = "NAME", kind = "alarm" }',
    ),
    "a target that is not there": (
        with_line("grants = { stadshuset", "grants = { stadshust"),
        "23: profiles[1].grants.stadshust: no target has this name; did you mean stadshuset?",
    ),
    "a profile that is not there": (
        with_line('profile = "förskola"', 'profile = "förskolan"'),
        "26: rules[1].profile: no profile has this id; did you mean förskola?",
    ),
    "leave": (
        with_line('id = "förskola"', 'id = "förskola"\non_leave = "pause"'),
        '23: profiles[1].on_leave: write "keep", "suspend" or { suspend_after_days = 30 }',
    ),
    "one profile twice": (
        GOOD + '[[profiles]]\nid = "förskola"\ngrants = {}\n',
        "31: profiles[2].id: profiles[1] has this id already: give each an id of its own",
    ),
    "two rules of one name": (
        GOOD + '[[rules]]\nprofile = "förskola"\nwhen = {}\n',
        "30: rules[2].id: rules[1] has this id already: give each an id of its own",
    ),
    "rules for nobody": (
        re.sub(r"default = .*|\[sources.hr\](?s:.*?)\n\n", "", GOOD),
        "20: rules: there are rules but no people: add a [sources.NAME] table",
    ),
    "a condition that is no table": (
        re.sub("when = .*", 'when = "everybody"', GOOD),
        "27: rules[1].when: write a table of conditions: { unit_under = … }",
    ),
    "a validator that lets the value out": (
        with_line("path =", 'picky = "hunter2"\npath ='),
        "13: sources.hr.picky: this value does not fit here",
    ),
    "a branch of a union": (
        with_line("path =", "proof = 7\npath ="),
        "13: sources.hr.proof: write a table: { … }",
    ),
    "a list where a table stands": (
        re.sub(r"\[sources.hr\](?s:.*?)\n\n", "", with_line("[idsync]", "sources = 3\n[idsync]")),
        "2: sources: write a table: { … }",
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_the_message_names_the_place_and_what_to_write(
    wrong: Wrong, text: str, expected: str
) -> None:
    assert wrong(text) == [expected]


def test_a_wrong_condition_names_the_nearest_field(wrong: Wrong) -> None:
    [told] = wrong(with_line("unit_under", "unit_undr"))
    assert told.startswith("27: rules[1].when")
    assert "unit_undr" in told
    assert "unit_under" in told


def test_two_packages_of_one_type_are_an_error(wrong: Wrong, tmp_path: Path) -> None:
    record = tmp_path / "site-packages" / "rival-2.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 2.0\n")
    (record / "entry_points.txt").write_text("[idsync.targets]\ndoors = rival:Doors\n")
    assert wrong(GOOD) == [
        "16: targets.stadshuset.type: 2 packages offer this type (rival, stranger): "
        "uninstall all but one"
    ]


def test_several_problems_are_told_at_once_in_the_order_of_the_file(wrong: Wrong) -> None:
    text = with_line('{ env = "IDSYNC_TOKEN" }', '"hunter2"').replace("keys =", "kyes =")
    text = text.replace("path =", "paht =").replace("grace_days", "grace_day")
    assert [line.split(":")[0] for line in wrong(text)] == ["6", "13", "18", "29"]


def test_no_more_than_ten_problems_are_told(wrong: Wrong) -> None:
    told = wrong(GOOD + "".join(f"unknown_{number} = 1\n" for number in range(13)))
    assert len(told) == 11
    assert told[-1] == "and 3 more: mend these first"


def test_no_value_is_ever_told(wrong: Wrong) -> None:
    """Every value of the file is replaced by a secret, each alone, and none is seen."""
    lines = GOOD.split("\n")
    seen = 0
    for number, line in enumerate(lines):
        key, equals, _ = line.partition(" = ")
        for secret in ('"hunter2"', "[8675309]", "{ hunter2 = 8675309 }"):
            if not equals or key == "id":  # ids are names, told where they are referred to
                continue
            lines[number] = f"{key} = {secret}"
            try:
                told = wrong("\n".join(lines))
            except pytest.fail.Exception:
                continue  # a text that fits here, such as a name
            finally:
                lines[number] = line
            seen += 1
            if "{" not in secret:
                assert not re.search("hunter2|8675309", "\n".join(told))
            assert "8675309" not in "\n".join(told)
    assert seen > 30


# ── files that are not TOML ─────────────────────────────────────────────────────────────

SYNTAX = {
    'password = "hunter2\n': "2: a text is not closed: add the closing quote",
    "password = hunter2\n": '2: this is no value: texts stand in "quotes"',
    "password 'hunter2'\n": "2: a key needs = and a value",
    "password = 'a' 'hunter2'\n": (
        "2: something stands after the value: one key a line, # before a remark"
    ),
    'path = "C:\\hunter2"\n': (
        "2: a text holds a sign it may not: write \\ as \\\\, or use 'single quotes'"
    ),
    "[sources.hunter2\n": "2: the name of a table is not closed: write [name] or [[name]]",
    "[hunter2]\n[hunter2]\n": "3: this key or table stands here twice: keep one",
    "hunter2 = 1\nhunter2 = 2\nb = 1\n": "3: this key or table stands here twice: keep one",
    "hunter2 = { b = 1\n": "2: a table is not closed: add }",
    "ö = 'hunter2'\n": "2: this is no key: quote keys with signs beside a-z, 0-9, - and _",
    "lösen = 'hunter2'\n": "2: a key needs = and a value",
    "hunter2 = 2020-13-45T99\n": None,
    "a = " + "[" * 5000: None,
}


@pytest.mark.parametrize(("text", "expected"), SYNTAX.items())
def test_a_syntax_error_names_the_line_and_not_the_content(
    wrong: Wrong, text: str, expected: str | None
) -> None:
    [told] = wrong("# the first line\n" + text)
    assert "hunter2" not in told
    assert re.match(r"\d+: ", told)
    assert expected in (None, told)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file.*--config FILE.*idsync demo"):
        load(tmp_path / "connectors.toml")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


def test_a_file_in_another_encoding_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "connectors.toml"
    path.write_bytes("# ok\n# för\n".encode("iso-8859-1"))
    with pytest.raises(ConfigError, match=r"toml:2: a letter is not UTF-8"):
        load(path)


def test_an_error_says_the_same_through_every_layer(load_text: Load) -> None:
    """Nothing of the value hides in the exception's chain or its arguments either."""
    with pytest.raises(ConfigError) as caught:
        load_text(with_line('{ env = "IDSYNC_TOKEN" }', '"hunter2"'))
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in repr(error)
        error = error.__cause__ or error.__context__


def test_a_dedented_example_of_every_table_is_accepted(load_text: Load) -> None:
    text = textwrap.dedent(
        """
        idsync = { ahead_days = 7 }
        sources.hr = { type = "register", path = "hr.csv" }
        targets.hall = { type = "doors", url = "https://h", token = { file = "t" } }
        profiles = [ { id = "a", name = "A", grants.hall = ["X"], lead_days = 2 } ]
        rules = [ { id = "r", profile = "a", when.percent = { between = [50, 100] } } ]
        """
    )
    config = load_text(text)
    assert (config.idsync.ahead_days, config.rules[0].id, config.sources["hr"].kind) == (
        7, "r", "trainings",
    )  # fmt: skip
