"""What is said of a configuration that is wrong: one case a message."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from idsync.errors import ConfigError
from tests.config.conftest import Load, Wrong
from tests.config.examples import GOOD, with_line

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
    "the secret of a key in the query of the state": (
        with_line("[idsync]", '[idsync]\nstate = "postgresql://db/idsync?sslpassword=hunter2"'),
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
    "a window for more than everybody": (
        GOOD + "[brakes]\nweek = { people = 3, percent = 101 }\n",
        "31: brakes.week.percent: write a number less than or equal to 100",
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


def test_the_value_does_not_hide_in_the_chain_of_the_error(load_text: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(with_line('{ env = "IDSYNC_TOKEN" }', '"hunter2"'))
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in repr(error)
        error = error.__cause__ or error.__context__
