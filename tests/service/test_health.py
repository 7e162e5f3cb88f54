"""Health is the age of the last whole cycle, and alarms are state."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from idsync.config import Config, load
from idsync.service.applying import sync
from idsync.service.health import health, standing, watch
from idsync.store import State, open_state
from tests.whole.town import Town

START = datetime(2026, 10, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    made = Town(tmp_path / "en stad", people=12)
    made.write()
    return made


@pytest.fixture
def opened(town: Town) -> Iterator[tuple[Config, State]]:
    config = load(town.folder / "connectors.toml")
    state = open_state(config.idsync.state, witness=config.idsync.witness)
    yield config, state
    state.close()


def night(opened: tuple[Config, State], now: datetime, *, sources: bool = True) -> str:
    config, state = opened
    return sync(config, state, lambda _: None, sources=sources, time=lambda: now).outcome


def names(opened: tuple[Config, State], now: datetime) -> list[str]:
    return [one["name"] for one in standing(*opened, now)]


@pytest.mark.case("O5")
def test_a_source_that_fails_softly_for_days_is_told_of_though_runs_go_on(
    town: Town, opened: tuple[Config, State]
) -> None:
    assert night(opened, START) == "applied"
    assert health(*opened, START)["ok"]
    town.write_hr(trailer=False)  # it answers, and no answer is whole
    for count in (1, 2):
        assert night(opened, START + count * DAY) == "incomplete"
    now = START + 2 * DAY
    told = health(*opened, now)
    assert not told["ok"]
    assert told["sources"]["hr"]["age_s"] == 2 * 86_400
    assert told["sources"]["lms"]["age_s"] == told["targets"]["skola"]["age_s"] == 0
    assert told["run"]["age_s"] == 2 * 86_400
    assert names(opened, now) == ["run-stale", "source-stale:hr"]
    assert "last complete 48 hours ago" in standing(*opened, now)[0]["detail"]

    town.write_hr()
    night(opened, now + DAY)
    assert health(*opened, now + DAY)["ok"]


@pytest.mark.case("O5")
def test_a_system_that_is_down_is_told_of_by_itself(
    town: Town, opened: tuple[Config, State]
) -> None:
    night(opened, START)
    (town.folder / "var" / "skola.db").write_bytes(b"down" * 1000)
    for count in (1, 2):
        night(opened, START + count * DAY)
    assert names(opened, START + 2 * DAY) == ["run-stale", "target-stale:skola"]


@pytest.mark.case("O5")
def test_a_service_in_which_nothing_runs_at_all_is_found_out_by_whoever_asks(
    opened: tuple[Config, State],
) -> None:
    night(opened, START)
    assert names(opened, START + timedelta(hours=25)) == []
    late = names(opened, START + timedelta(hours=27))
    assert late[0] == "run-stale"
    assert len(late) == 5  # and both sources, and both targets


def test_runs_for_known_dates_alone_are_no_whole_cycle(opened: tuple[Config, State]) -> None:
    night(opened, START)
    night(opened, START + 2 * DAY, sources=False)
    told = health(*opened, START + 2 * DAY)
    assert told["sources"]["hr"]["age_s"] == told["run"]["age_s"] == 2 * 86_400
    assert told["targets"]["skola"]["age_s"] == 0


def test_an_alarm_stands_until_it_is_over_whoever_sees_to_it(
    opened: tuple[Config, State],
) -> None:
    config, state = opened
    night(opened, START)
    state.nights.claim(date(2026, 10, 1), "a machine", START, late=True)
    state.nights.end(date(2026, 10, 1), "a machine", 1, "applied", START)
    assert watch(config, state, START, {"pursuing": "died"}) == (
        ["fault:pursuing", "night-late"], []
    )  # fmt: skip
    later = START + timedelta(hours=1)
    assert watch(config, state, later) == ([], [])
    assert [one["since"] for one in standing(config, state, later)] == [START.isoformat()] * 2
    for name in ("night-late", "fault:pursuing"):
        assert not health(config, state, later)["ok"]
        assert state.alarms.acknowledge(name, "Åsa", later)
    assert not state.alarms.acknowledge("night-slow", "Åsa", later)
    told = health(config, state, later)
    assert told["ok"]
    assert [one["acknowledged_by"] for one in told["alarms"]] == ["Åsa", "Åsa"]

    state.nights.claim(date(2026, 10, 2), "a machine", later)
    assert watch(config, state, later, {}) == ([], ["fault:pursuing", "night-late"])
    assert names(opened, later) == []


@pytest.mark.case("K4")
def test_a_night_that_was_late_and_those_that_nobody_ran_are_alarms(
    opened: tuple[Config, State],
) -> None:
    _, state = opened
    night(opened, START)
    for day in (2, 3):
        state.nights.note(date(2026, 10, day), "missed", START + 3 * DAY)
    state.nights.claim(date(2026, 10, 4), "a machine", START + 3 * DAY, late=True)
    now = START + 3 * DAY
    told = {one["name"]: one["detail"] for one in standing(*opened, now)}
    assert {"night-missed", "night-late", "run-stale"} <= told.keys()
    assert "2026-10-02, 2026-10-03" in told["night-missed"]


@pytest.mark.case("K5")
def test_a_night_at_twice_the_median_is_an_alarm_while_it_still_runs(
    opened: tuple[Config, State],
) -> None:
    _, state = opened
    night(opened, START)
    for count, minutes in enumerate((20, 30, 40)):
        begun = START + timedelta(hours=count)
        day = date(2026, 9, 28 + count)
        state.nights.claim(day, "a machine", begun)
        state.nights.end(day, "a machine", 1, "applied", begun + timedelta(minutes=minutes))
    begun = START + timedelta(hours=5)
    state.nights.claim(date(2026, 10, 1), "a machine", begun)
    assert names(opened, begun + timedelta(minutes=60)) == []
    assert names(opened, begun + timedelta(minutes=61)) == ["night-slow"]


def test_a_revocation_that_no_system_confirms_is_an_alarm_after_a_quarter_of_an_hour(
    town: Town, opened: tuple[Config, State]
) -> None:
    config, state = opened
    night(opened, START)
    state.orders.revoke("id-1", "uppsagd", "hr", START)
    assert names(opened, START + timedelta(minutes=15)) == []
    [alarm] = standing(config, state, START + timedelta(minutes=16))
    assert alarm["name"] == "revocation-unconfirmed"
    assert "skola, stadshuset" in alarm["detail"]
    told = health(config, state, START + timedelta(minutes=16))
    assert told["unconfirmed"] == {
        "revocations": 1, "oldest": START.isoformat(), "oldest_s": 16 * 60,
        "oldest_s_by_target": {"stadshuset": 16 * 60, "skola": 16 * 60},
    }  # fmt: skip
    assert "id-1" not in str(told), "health names nobody"


def test_the_command_shows_what_is_wrong_and_who_sees_to_it(town: Town) -> None:
    assert town.run("alarms").code == 1
    town.json("sync", code=0)
    assert town.json("alarms", code=0)["alarms"] == []
    file = town.folder / "connectors.toml"
    more = "\n[targets.ny]\ntype = 'local'\npath = 'var/ny.db'\ncreate = true\n"
    file.write_text(file.read_text(encoding="utf-8") + more, encoding="utf-8")
    [alarm] = town.json("alarms", code=1)["alarms"]
    assert alarm["name"] == "target-stale:ny"
    assert "ALARM target-stale:ny" in town.run("status").out
    town.json("alarms", "target-stale:ny", "--by", "Åsa", code=0)
    assert "Åsa sees to it" in town.run("alarms").out
    assert "ALARM" not in town.run("status").out
    assert town.run("alarms", "night-late").code == 2
    town.json("sync", code=0)
    assert town.json("alarms", code=0)["alarms"] == []
