"""A revocation that did not get through is tried for ever, and holds nobody else up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from idsync.config import Config, load
from idsync.service.pursuing import pursue
from idsync.store import State, open_state
from tests.whole.test_main_job import by_key, rights
from tests.whole.town import Town

START = datetime(2026, 10, 1, 6, tzinfo=UTC)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    made = Town(tmp_path / "en stad", people=12)
    made.write()
    made.json("sync", code=0)
    return made


@pytest.fixture
def opened(town: Town) -> Iterator[tuple[Config, State]]:
    config = load(town.folder / "connectors.toml")
    state = open_state(config.idsync.state, witness=config.idsync.witness)
    yield config, state
    state.close()


def down(town: Town) -> Path:
    """Take the school's system down; return what brings it back."""
    system = town.folder / "var" / "skola.db"
    away = system.rename(system.with_suffix(".away"))
    system.write_bytes(b"down" * 1000)
    return away


def up(town: Town, away: Path) -> None:
    away.rename(town.folder / "var" / "skola.db")


@pytest.mark.case("T7")
def test_a_revocation_is_pursued_every_minute_until_the_system_answers(
    town: Town, opened: tuple[Config, State]
) -> None:
    config, state = opened
    away = down(town)
    order = town.json("revoke", "200001", "--reason", "uppsagd", code=1)
    person = order["person"]
    now = START

    def clock() -> datetime:
        return now

    for _ in range(30):
        now += timedelta(seconds=60)
        [tried] = pursue(config, state, clock)
        assert (tried.target, tried.outcome, tried.at) == ("skola", "unavailable", now)
    now += timedelta(days=30)
    assert [one.outcome for one in pursue(config, state, clock)] == ["unavailable"]
    [open_] = state.closings.unconfirmed(config.targets)
    assert (open_.order.person_id, open_.at) == (person, now.isoformat())

    up(town, away)
    [closed] = pursue(config, state, clock)
    assert closed.outcome == "confirmed"
    assert rights(by_key(town.doors()["skola"])["200001"]) == set()
    assert pursue(config, state, clock) == []


@pytest.mark.case("T19")
def test_a_system_that_is_down_for_days_holds_no_other_up_and_it_is_shown_who_may_open_what(
    town: Town,
) -> None:
    away = down(town)
    order = town.json("revoke", "200001", "--reason", "uppsagd", code=1)
    rows = [row for row in town.hr_rows() if not row.startswith("p2;")]
    newcomer = "p99;200099;Ny;Anställd;e99;Skola / Norr;Lärare;2020-01-01;"
    for _ in range(2):  # the second day
        town.write_hr([*rows, newcomer])
        town.json("sync", code=4)
    assert "200099" in by_key(town.doors_of("stadshuset"))
    status = town.json("status", code=0)
    [exposed] = status["unconfirmed"]
    assert (exposed["target"], exposed["order"]["person_id"]) == ("skola", order["person"])
    assert exposed["outcome"] == "unavailable"
    assert status["oldest_unconfirmed"] == order["accepted"]
    assert "NOT CONFIRMED: skola" in town.run("status").out

    up(town, away)
    town.json("sync", "--due", code=0)
    assert town.json("status", code=0)["unconfirmed"] == []
    assert rights(by_key(town.doors()["skola"])["200001"]) == set()


def test_what_is_pursued_goes_before_everything_else_and_past_the_sources(town: Town) -> None:
    away = down(town)
    town.json("revoke", "200001", "--reason", "uppsagd", code=1)
    up(town, away)
    (town.folder / "hr.csv").unlink()
    town.run("sync")
    assert rights(by_key(town.doors()["skola"])["200001"]) == set()
    assert town.json("status", code=0)["unconfirmed"] == []


@pytest.mark.case("J12")
def test_after_a_long_outage_what_is_true_now_is_done_and_nothing_old(town: Town) -> None:
    away = down(town)
    town.people += 4  # hired on the first day
    town.write()
    town.json("sync", code=4)
    town.json("revoke", "200001", "--reason", "uppsagd", code=1)
    town.leavers = {town.people - 2}  # gone again on the third
    town.write_hr()
    for _ in range(2):
        town.json("sync", code=4)
    up(town, away)
    first, second = town.json("sync", code=0), town.json("sync", code=0)
    assert (first["outcome"], second["writes"]) == ("applied", 0)
    doors = by_key(town.doors_of("skola"))
    assert town.number(town.people - 2) not in doors, "nobody is let in by an old plan"
    assert rights(doors[town.number(13)]) == {"SKOLA", "LARM-SKOLA"}
    assert rights(doors["200001"]) == set()
    runs = [run["command"] for run in town.json("status", code=0)["runs"]]
    assert "pursue" in runs, "revocations first"
