"""What a good configuration says."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest

from idsync.config import connect_source, connect_target, load
from idsync.config.tables import Brakes, Count, Limits
from idsync.mapping.catalogue import Right
from idsync.mapping.conditions import parse
from idsync.settings import Secret
from tests.config.conftest import Load
from tests.config.examples import GOOD, with_line

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


def test_the_windows_follow_the_limits_of_a_run(load_text: Load) -> None:
    brakes = load_text(GOOD + "[brakes]\npeople = 4\npercent = 6\n").brakes
    assert brakes.over_a_day == Count(people=8, percent=6.0)
    assert brakes.over_a_week == Count(people=16, percent=10.0)
    brakes = load_text(GOOD + "[brakes]\nday = { people = 4, percent = 1 }\n").brakes
    assert brakes.over_a_day == Count(people=4, percent=1.0)
    assert brakes.over_a_week == Count(people=12, percent=10.0)


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


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("sslmode=verify-full&sslrootcert=stadens ca.pem", "{}/stadens ca.pem"),
        ("sslrootcert=/etc/ca.pem&sslmode=verify-full", "/etc/ca.pem"),
        ("sslmode=verify-full&sslrootcert=system", "system"),
    ],
)
def test_a_certificate_in_the_state_stands_beside_the_file(
    tmp_path: Path, load_text: Load, written: str, read: str
) -> None:
    url = f"postgresql://idsync@db.example.se/idsync?{written}"
    state = load_text(with_line("[idsync]", f'[idsync]\nstate = "{url}"')).idsync.state
    assert state.partition("?")[0] == url.partition("?")[0]
    query = dict(parse_qsl(urlsplit(state).query))
    assert query == {"sslmode": "verify-full", "sslrootcert": read.format(tmp_path)}


def test_a_relative_file_name_still_gives_absolute_paths(
    tmp_path: Path, load_text: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_text(GOOD)
    monkeypatch.chdir(tmp_path)
    config = load(Path("connectors.toml"))
    assert config.idsync.state == f"sqlite:///{tmp_path}/var/idsync.db"


def test_tables_may_be_written_in_any_way_toml_allows(load_text: Load) -> None:
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


def test_the_whole_grammar_is_read_by_the_connectors_that_come_along() -> None:
    config = load(Path(__file__).with_name("city.toml"))
    assert {name: source.kind for name, source in config.sources.items()} == {
        "hr": "employments", "courses": "trainings", "directory": "persons",
    }  # fmt: skip
    sources = [type(connect_source(source)).__name__ for source in config.sources.values()]
    targets = [type(connect_target(target)).__name__ for target in config.targets.values()]
    assert sources == ["CsvSource", "CsvSource", "LdapSource"]
    assert targets == ["ScimTarget", "LocalTarget"]


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
    "a window": GOOD + "[brakes]\nday = { people = 9, percent = 5 }\n",
    "a floor": with_line('id = "förskola"', 'id = "förskola"\nfloor = 2'),
    "what is sensitive": with_line('id = "förskola"', 'id = "förskola"\nsensitive = true'),
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
