"""Incomplete reads, the brake, orders and crashes: nobody loses access by accident."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from idsync.model import Cardholder
from tests.whole.test_main_job import by_key, rights
from tests.whole.town import Town

Doors: TypeAlias = dict[str, list[tuple[str | None, str, list[str], list[tuple[str, str]]]]]


def access(doors: dict[str, list[Cardholder]]) -> Doors:
    """Return what everybody can open, by right and state; a begin long past opens no more."""
    return {
        name: [
            (h.key, h.status, sorted(rights(h)), sorted((c.number, c.state) for c in h.credentials))
            for h in holders
        ]
        for name, holders in doors.items()
    }


def truncated(town: Town) -> None:
    file = town.folder / "hr.csv"
    file.write_bytes(file.read_bytes()[:-200])


def emptied(town: Town) -> None:
    (town.folder / "hr.csv").write_bytes(b"")


def halved(town: Town) -> None:
    town.write_hr(town.hr_rows()[::2])


def without_rows(town: Town) -> None:
    town.write_hr([])


def gone(town: Town) -> None:
    (town.folder / "hr.csv").unlink()


@pytest.mark.parametrize("harm", [truncated, emptied, halved, without_rows, gone])
def test_an_incomplete_read_removes_nobody(town: Town, harm: Callable[[Town], None]) -> None:
    town.json("sync", code=0)
    before = town.doors()
    harm(town)
    plan = town.json("plan", code=4)
    assert plan["outcome"] == "incomplete"
    assert not plan["sources"]["hr"]["complete"]
    assert plan["sources"]["lms"]["complete"]
    assert plan["changes"] == []
    shown = town.run("sync")
    assert shown.code == 4
    assert "hr" in shown.out
    assert "INCOMPLETE" in shown.out
    assert town.doors() == before


def test_an_unreadable_target_does_not_hold_up_the_others(town: Town) -> None:
    (town.folder / "var").mkdir()
    (town.folder / "var" / "stadshuset.db").write_bytes(b"this is no access system" * 100)
    run = town.json("sync", code=4)
    assert not run["targets"]["stadshuset"]["complete"]
    assert run["targets"]["skola"]["confirmed"] == 40


def test_the_brake_holds_the_removals_and_lets_the_rest_go(town: Town) -> None:
    town.json("sync", code=0)
    before = town.doors()
    town.leavers = set(range(0, 60, 3)) - {0}
    town.people = 64  # and four new people begin
    town.write_hr()
    held = town.json("sync", code=3)
    assert held["outcome"] == "held"
    assert {part["direction"] for part in held["held"]} == {"losing"}
    assert held["targets"]["stadshuset"]["held"] == 19
    assert held["targets"]["stadshuset"]["create"] == 4
    now = by_key(town.doors()["stadshuset"])
    assert all(now[holder.key] == holder for holder in before["stadshuset"])
    assert rights(now["200063"]) == {"ENTRE"}

    for part in held["held"]:
        town.json("approve", part["digest"][:12], "--reason", "stämmer", code=0)
    released = town.json("sync", code=0)
    assert released["targets"]["stadshuset"]["revoke"] == 19
    assert town.json("sync", code=0)["writes"] == 0
    assert rights(by_key(town.doors()["stadshuset"])["200003"]) == set()


def test_an_approval_dies_when_what_was_held_changes(town: Town) -> None:
    town.json("sync", code=0)
    town.leavers = set(range(30))
    town.write_hr()
    assert town.json("sync", code=4)["held"] == []  # half of HR: no complete read, nothing is held
    town.leavers = set(range(20))
    town.write_hr()
    held = town.json("sync", code=3)["held"]
    for part in held:
        town.json("approve", part["digest"], "--reason", "stämmer", code=0)
    town.leavers = set(range(21))
    town.write_hr()
    assert town.json("sync", code=3)["targets"]["stadshuset"]["revoke"] == 0


def test_a_revocation_holds_until_it_is_lifted(town: Town) -> None:
    town.json("sync", code=0)
    before = town.doors()
    order = town.json("revoke", "200010", "--reason", "uppsagd", code=0)
    assert order["confirmed"]
    assert {one["target"]: one["outcome"] for one in order["targets"]} == {
        "stadshuset": "confirmed", "skola": "confirmed",
    }  # fmt: skip
    closed = by_key(town.doors()["stadshuset"])["200010"]
    assert (rights(closed), closed.status) == ({"GYM"}, "suspended")
    assert {card.state for card in closed.credentials} == {"suspended"}
    assert town.json("sync", code=0)["writes"] == 0
    town.json("restore", "200010", "--reason", "misstag", code=0)
    assert access(town.doors()) == access(before)
    assert town.json("sync", code=0)["writes"] == 0


def test_a_revocation_goes_past_the_brake_and_past_a_broken_source(town: Town) -> None:
    town.json("sync", code=0)
    emptied(town)
    order = town.json("revoke", "200010", "--reason", "uppsagd", code=0)
    assert order["confirmed"]


def test_a_revocation_waits_for_a_system_that_is_down(town: Town) -> None:
    town.json("sync", code=0)
    system = town.folder / "var" / "skola.db"
    away = system.rename(system.with_suffix(".away"))
    system.write_bytes(b"down" * 1000)
    order = town.json("revoke", "200010", "--reason", "uppsagd", code=1)
    shown = {one["target"]: one["outcome"] for one in order["targets"]}
    assert shown == {"stadshuset": "confirmed", "skola": "unavailable"}
    away.rename(system)
    town.json("sync", code=0)
    assert rights(by_key(town.doors()["skola"])["200010"]) == set()


def test_a_stranger_is_not_revoked_and_no_name_is_repeated(town: Town) -> None:
    town.json("sync", code=0)
    answer = town.run("revoke", "Förnamn Hemlig", "--reason", "uppsagd")
    assert answer.code == 2
    assert "Hemlig" not in answer.out + answer.err
    assert "Traceback" not in answer.err


@pytest.fixture(scope="module")
def never_killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a town of 150 whose first run was left alone."""
    town = Town(tmp_path_factory.mktemp("never") / "killed", people=150)
    town.write()
    town.json("sync", code=0)
    return town.folder


@pytest.mark.case("J1")
@pytest.mark.parametrize("after", [1, 20, 64, 65])
def test_killed_anywhere_the_next_run_ends_the_same(
    tmp_path: Path, never_killed: Path, after: int
) -> None:
    whole = Town(tmp_path / "whole", people=150)
    shutil.copytree(never_killed, whole.folder)

    town = Town(tmp_path / "cut", people=150)
    town.write()
    process = town.start("sync")
    wait_for_operations(town, after)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL

    town.json("sync", code=0)
    assert town.doors() == whole.doors()
    assert town.json("sync", code=0)["writes"] == 0
    # what was written before the kill is idsync's own: it goes when the person goes
    town.leavers = whole.leavers = {1, 2}
    for one in (town, whole):
        one.write_hr()
        one.json("sync", code=0)
    assert town.doors() == whole.doors()


def wait_for_operations(town: Town, count: int, *, intents: int = 0) -> None:
    """Wait until the state tells of *count* operations whose outcome is known, and *intents*."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with sqlite3.connect(town.folder / "var" / "idsync.db", timeout=5) as state:
                query = "SELECT count(*), count(*) FILTER (WHERE state <> 'intent') FROM journal"
                written, known = state.execute(query).fetchone()
                if known >= count and written >= intents:
                    return
        except sqlite3.OperationalError:
            pass
        time.sleep(0.002)
    raise AssertionError(f"the run never did {count} operations")
