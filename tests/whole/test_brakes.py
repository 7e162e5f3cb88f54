"""The brakes of a whole town: what is held, for how long, and who may let it go."""

from __future__ import annotations

import re
import sqlite3
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from idsync.cli.app import COMMANDS, app
from idsync.config import load
from idsync.errors import ConfigError
from tests.whole.test_main_job import by_key, rights
from tests.whole.town import Town


def changed(town: Town, old: str, new: str) -> None:
    """Edit connectors.toml."""
    file = town.folder / "connectors.toml"
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def later(town: Town, past: timedelta) -> None:
    """Let time go by for what the state remembers of operations and held parts."""
    with sqlite3.connect(town.folder / "var" / "idsync.db") as state:
        for table, column in (("journal", "intent_at"), ("approval", "first_seen_at")):
            rows = state.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
            moved = [((datetime.fromisoformat(at) - past).isoformat(), row) for row, at in rows]
            state.executemany(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", moved)


def ended(town: Town, people: range) -> None:
    """Let HR say that the employment of these people is over."""
    over = {f"p{number}" for number in people}
    rows = [
        re.sub(r";$", ";2024-01-31", row) if row.partition(";")[0] in over else row
        for row in town.hr_rows()
    ]
    town.write_hr(rows)


@pytest.mark.case("P10")
def test_five_confirmed_terminations_run_while_every_brake_holds(town: Town) -> None:
    town.json("sync", code=0)
    before = town.doors()
    skola = town.folder / "var" / "skola.db"
    away = skola.rename(skola.with_suffix(".away"))
    skola.write_bytes(b"down" * 1000)  # so that the orders cannot act there at once
    for number in range(5):
        town.json("revoke", town.number(number), "--reason", "uppsagd", code=1)
    away.rename(skola)
    ended(town, range(40))
    run = town.json("sync", code=3)
    assert {part["direction"] for part in run["held"]} == {"losing"}
    assert {part["scope"] for part in run["held"]} == {"target stadshuset", "target skola"}
    after = {name: by_key(holders) for name, holders in town.doors().items()}
    ordered = {town.number(number) for number in range(5)}
    for name, holders in before.items():
        for holder in holders:
            now = after[name][holder.key]
            if holder.key in ordered:
                assert rights(now) <= {"GYM"}
                assert now.status == "suspended"
            else:
                assert now == holder, "somebody in the held part was touched"
    assert town.json("sync", code=3)["writes"] == 0


def test_a_thousand_ends_in_a_file_are_not_confirmed(town: Town) -> None:
    town.json("sync", code=0)
    ended(town, range(60))
    run = town.json("sync", code=3)
    assert run["writes"] == 0
    assert sum(part["people"] for part in run["held"]) == 100


@pytest.mark.case("S3")
def test_a_few_every_night_are_held_when_the_week_is_full(town: Town) -> None:
    town.json("sync", code=0)
    held: list[Any] = []
    nights = 0
    while not held and nights < 10:
        ended(town, range(3 * nights + 3))
        run = town.run("sync", "--json")
        held = town.json("status", code=0)["held"]
        assert run.code in (0, 3)
        if not held:
            later(town, timedelta(hours=25))
            nights += 1
    assert nights == 4  # twelve people in a week may go
    assert held[0]["window"] == "7 days"
    room = town.json("status", code=0)["brakes"]
    losing = {(one["scope"], one["window"]): one for one in room if one["direction"] == "losing"}
    assert losing["target stadshuset", "7 days"]["used"] == 12
    assert losing["target stadshuset", "24 hours"]["used"] == 0


@pytest.mark.case("P1")
def test_a_sensitive_profile_for_everybody_needs_two_people(town: Town) -> None:
    town.json("sync", code=0)
    changed(town, 'id = "skola"\nname', 'id = "skola"\nsensitive = true\nname')
    changed(town, 'when = { unit_under = "Skola" }', "when = {}")
    run = town.json("sync", code=3)
    [part] = run["held"]
    assert (part["scope"], part["people"], part["approvals"]) == ("profile skola", 20, 2)
    digest = part["digest"][:12]
    alone = town.run("approve", digest, "--reason", "ja", "--by", town.number(3))
    assert alone.code == 2  # number 3 is one of the twenty
    assert "among those who would gain" in alone.err
    first = town.json("approve", digest, "--reason", "ja", "--by", "maja", code=0)
    assert (first["state"], first["first_by"]) == ("held", "maja")
    assert town.json("sync", code=3)["writes"] == 0
    again = town.run("approve", digest, "--reason", "ja", "--by", "Maja")
    assert again.code == 2
    assert "somebody else" in again.err
    assert town.json("approve", digest, "--reason", "ja", "--by", "olle", code=0)["state"] == (
        "approved"
    )
    assert town.json("sync", code=0)["targets"]["skola"]["confirmed"] == 20


@pytest.mark.case("P4")
@pytest.mark.parametrize("edit", ["somebody stays", "the limit", "a profile"])
def test_an_approval_is_void_when_anything_it_was_given_for_changes(town: Town, edit: str) -> None:
    town.json("sync", code=0)
    ended(town, range(20))
    for part in town.json("sync", code=3)["held"]:
        town.json("approve", part["digest"], "--reason", "stämmer", code=0)
    if edit == "somebody stays":
        ended(town, range(19))
    elif edit == "the limit":
        changed(town, "people = 3\n", "people = 4\n")
    else:
        changed(town, "Skolans dörrar", "Skolans hus")
    assert town.json("sync", code=3)["writes"] == 0


@pytest.mark.case("P5")
def test_an_approval_replayed_the_next_night_is_worth_nothing(town: Town) -> None:
    town.json("sync", code=0)
    ended(town, range(20))
    digests = [part["digest"] for part in town.json("sync", code=3)["held"]]
    for digest in digests:
        town.json("approve", digest, "--reason", "stämmer", code=0)
    town.json("sync", code=0)
    town.write_hr()
    town.json("sync", code=0)
    ended(town, range(20))
    for digest in digests:
        assert town.run("approve", digest, "--reason", "igen").code == 2
    again = town.json("sync", code=3)
    assert again["writes"] == 0


@pytest.mark.case("P11")
def test_a_forgotten_part_grows_louder_and_lets_others_pass(town: Town) -> None:
    town.json("sync", code=0)
    ended(town, range(20))
    town.json("sync", code=3)
    assert town.json("status", code=0)["held"][0]["urgent"] == "new"
    for days, loud in ((1, "reminder"), (4, "overdue"), (14, "overdue")):
        town.json("sync", code=3)
        waited = town.json("status", code=0)["held"][0]["waited_hours"]
        later(town, timedelta(days=days) - timedelta(hours=waited))
        part = town.json("status", code=0)["held"][0]
        assert (part["waited_hours"], part["urgent"]) == (24 * days, loud)
    town.people = 62  # two begin, and one more leaves
    ended(town, range(21))
    run = town.run("sync")
    assert run.code == 3
    assert "OVERDUE, waits for 14 days" in run.out
    assert "OVERDUE, waits for 14 days" in town.run("status").out
    doors = {name: by_key(holders) for name, holders in town.doors().items()}
    assert rights(doors["stadshuset"][town.number(20)]) <= {"GYM"}
    assert "ENTRE" in rights(doors["stadshuset"][town.number(19)])
    assert "ENTRE" in rights(doors["stadshuset"][town.number(61)])


@pytest.mark.case("P12")
def test_the_last_two_who_can_arm_the_school_stay_until_somebody_looks(town: Town) -> None:
    town.people = 6  # two of whom can use the school
    town.write()
    changed(town, 'id = "skola"\nname', 'id = "skola"\nfloor = 4\nname')
    town.json("sync", code=0)
    ended(town, range(1, 2))
    run = town.json("sync", code=3)
    [part] = run["held"]
    assert (part["scope"], part["window"], part["limit"]) == ("profile skola", "floor", 4)
    assert "LARM-SKOLA" in rights(by_key(town.doors()["skola"])[town.number(1)])
    assert rights(by_key(town.doors()["stadshuset"])[town.number(1)]) == set()
    shown = town.run("sync").out
    assert "4 can use it there now, and 4 must stay" in shown
    town.json("revoke", town.number(1), "--reason", "uppsagd", code=0)
    assert rights(by_key(town.doors()["skola"])[town.number(1)]) == set()


# ── no way around ───────────────────────────────────────────────────────────────────────

AROUND = re.compile(r"force|brake|limit|percent|skip|ignore|override|approve|no-|off", re.I)


@pytest.mark.case("P6")
def test_no_option_of_any_command_goes_around_the_brake() -> None:
    context = click.Context(app)
    names = app.list_commands(context)
    assert set(COMMANDS) == set(names)
    for name in names:
        command = app.get_command(context, name)
        assert command is not None
        inner = getattr(command, "commands", {})
        for one in (command, *inner.values()):
            for parameter in one.params:
                for written in (*parameter.opts, *parameter.secondary_opts):
                    assert not AROUND.search(written), f"{name} {written}"


SWITCHES = [
    "enabled = false", "off = true", "force = true", "day = false", "week = false",
    "percent = 101", "percent = inf", "people = -1",
]  # fmt: skip
WIDE = {
    "people = 501": ["run", "day", "week"],
    "percent = 50.1": ["run", "day", "week"],
    "day = { people = 501, percent = 1 }": ["day"],
    "gaining = { people = 1, percent = 1, week = { people = 1, percent = 99 } }": ["gaining, week"],
    "sensitive = { people = 30000, percent = 1 }": ["sensitive"],
}


def with_brakes(town: Town, written: str) -> Path:
    """Return the town's configuration with nothing under [brakes] but *written*."""
    file = town.folder / "connectors.toml"
    text = file.read_text(encoding="utf-8")
    part = re.search(r"\[brakes\]\n(?:.+\n)+", text)
    assert part is not None
    file.write_text(text.replace(part[0], f"[brakes]\n{written}\n"), encoding="utf-8")
    return file


@pytest.mark.case("P6")
@pytest.mark.parametrize("written", SWITCHES)
def test_no_key_of_the_configuration_switches_the_brake_off(town: Town, written: str) -> None:
    with pytest.raises(ConfigError):
        load(with_brakes(town, written))


@pytest.mark.case("P6")
@pytest.mark.parametrize("written", WIDE)
def test_a_limit_that_holds_next_to_nothing_is_warned_of(town: Town, written: str) -> None:
    with_brakes(town, written)
    assert town.json("check", code=0)["wide_limits"] == WIDE[written]


@pytest.mark.case("P15")
def test_a_half_saved_configuration_changes_nobodys_doors(town: Town) -> None:
    """Every beginning of the file is refused, or what it would change is held."""
    town.json("sync", code=0)
    changed(
        town, "gaining = { people = 500, percent = 50.0 }\n", ""
    )  # filled: now with the default
    before = town.doors()
    file = town.folder / "connectors.toml"
    whole = file.read_bytes()
    readable = []
    for length in filter(lambda end: is_toml(whole[:end]), range(len(whole))):
        file.write_bytes(whole[:length])
        try:
            if load(file).targets:
                readable.append(length)
        except ConfigError:
            continue
    meant = {load_at(town, whole[:length]) for length in readable}
    assert 4 < len(meant) < 20, "too many meanings to try each"
    for text in meant:
        file.write_bytes(text)
        answer = town.run("sync")
        assert answer.code in (0, 2, 3, 4)
        file.write_bytes(whole)
        doors = town.doors()
        for name, holders in before.items():
            now = by_key(doors[name])
            assert [now[holder.key] for holder in holders] == holders
    file.write_bytes(whole[:-5])
    broken = town.run("sync")
    assert (broken.code, "Traceback" in broken.err) == (2, False)
    file.write_bytes(whole)
    assert town.json("sync", code=0)["writes"] == 0


def is_toml(text: bytes) -> bool:
    """Whether it can be read at all: most beginnings cannot, and are refused for that."""
    try:
        tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False
    return True


def load_at(town: Town, text: bytes) -> bytes:
    """Return one text for all that mean the same."""
    file = town.folder / "connectors.toml"
    file.write_bytes(text)
    config = load(file)
    meaning = (config.digest, tuple(config.sources), tuple(config.targets))
    return _texts.setdefault(meaning, text)


_texts: dict[object, bytes] = {}


@pytest.mark.case("P2")
def test_a_column_that_a_rule_looks_at_and_that_is_gone_changes_nothing(town: Town) -> None:
    town.json("sync", code=0)
    before = town.doors()
    file = town.folder / "hr.csv"
    file.write_text(file.read_text(encoding="utf-8").replace(";Enhet;", ";Avdelning;", 1), "utf-8")
    answer = town.run("sync")
    assert answer.code == 4
    assert "Enhet" in answer.out + answer.err
    assert town.doors() == before
