"""HR says now, says on a date, and takes it back; two sources say different things of one end."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from idsync.config import load
from idsync.model import Cardholder
from idsync.service.disagreeing import disagreeing
from idsync.service.revoking import close_person
from tests.whole.feeds import Feeds, employed, started
from tests.whole.test_brakes import changed
from tests.whole.test_identity import EVERYTHING, person_of
from tests.whole.test_main_job import by_key
from tests.whole.town import Town


@pytest.fixture
def feeds(tmp_path: Path) -> Feeds:
    return started(tmp_path)


def end_at_the_doors(feeds: Feeds, key: str) -> datetime | None:
    """Return the end of the right to enter that stands in the access system itself."""
    from idsync.config import connect_target

    target = connect_target(load(feeds.folder / "connectors.toml").targets["doors"])
    try:
        holder = target.read_one(key)
        assert holder is not None
        [entry] = [grant for grant in holder.grants if grant.ref == "ENTRY"]
        return entry.valid_to
    finally:
        target.close()


def ordered(feeds: Feeds, key: str, *, lift: bool = False) -> str:
    """Revoke, or restore, whoever has the number *key*; return what the doors show."""
    config = load(feeds.folder / "connectors.toml")
    with feeds.state() as state:
        person = person_of(state, key)
        if lift:
            assert state.orders.lift(person, "a mistake", "HR", feeds.now)
        else:
            state.orders.revoke(person, "ended", "HR", feeds.now)
        run = state.begin_run("restore" if lift else "revoke", feeds.now)
        [closed] = close_person(config, state, person, run, lambda: feeds.now)
        state.end_run(run, "applied", {}, feeds.now)
    return closed.outcome


@pytest.mark.case("W15")
def test_an_end_on_a_date_stands_at_the_doors_beforehand_and_an_end_now_is_now(
    feeds: Feeds,
) -> None:
    assert end_at_the_doors(feeds, "1003") is None
    feeds.rows[3] = employed(3, end="2026-11-20")
    feeds.night()
    # the day after its last day begins at 23 o'clock UTC: the doors close by themselves
    assert end_at_the_doors(feeds, "1003") == datetime(2026, 11, 20, 23, tzinfo=UTC)
    assert feeds.held()["1003"] == EVERYTHING, "until then nothing is taken"
    assert ordered(feeds, "1004") == "confirmed"
    assert feeds.held()["1004"] == set()
    assert feeds.night()["writes"] == 0
    assert feeds.held()["1003"] == EVERYTHING
    assert ordered(feeds, "1003") == "confirmed", "now does not wait for the date"
    assert feeds.held()["1003"] == set()


def content(holder: Cardholder) -> tuple[object, ...]:
    """Everything a record holds, but when it was made."""
    grants = sorted((one.ref, one.kind, str(one.valid_to)) for one in holder.grants)
    cards = sorted((one.number or "", one.state) for one in holder.credentials)
    return holder.status, grants, cards


@pytest.mark.case("W14")
def test_an_end_that_is_taken_back_gives_exactly_what_was_there_before(town: Town) -> None:
    town.json("sync", code=0)
    before = town.doors()
    both = town.number(10)  # holds a right that a local administrator gave
    town.json("revoke", both, "--reason", "uppsagd", code=0)
    nobody = town.run("restore", town.number(11), "--reason", "fel person")
    assert nobody.code == 2, "without an order there is nothing to take back"
    again = town.run("revoke", both, "--reason", "uppsagd")
    assert again.code == 0
    town.json("restore", both, "--reason", "misstag", code=0)
    for name, holders in town.doors().items():
        then = by_key(before[name])
        assert {one.key: content(one) for one in holders} == {
            key: content(one) for key, one in then.items()
        }
    assert town.json("sync", code=0)["writes"] == 0


@pytest.mark.case("W14")
def test_what_is_taken_back_gives_no_more_than_the_rules_give_by_then(feeds: Feeds) -> None:
    assert ordered(feeds, "1003") == "confirmed"
    feeds.rows[3] = employed(3, unit="Office")  # and no nurse in care any longer
    feeds.night()
    assert feeds.held()["1003"] == set(), "no run gives back what an order took"
    ordered(feeds, "1003", lift=True)
    assert feeds.held()["1003"] == {"ENTRY", "WARD"}


# ── two sources ─────────────────────────────────────────────────────────────────────────

DIRECTORY = """
[sources.directory]
type = "csv"
kind = "persons"
path = "directory.csv"
map = { key = "id", employee_number = "number", mail = "mail", status = "status" }

[sources.crm]
type = "csv"
kind = "persons"
path = "crm.csv"
map = { key = "id", employee_number = "number", mail = "mail" }
"""


@pytest.mark.case("S24")
def test_an_account_that_is_enabled_keeps_nobody_whose_employment_has_ended(
    tmp_path: Path,
) -> None:
    for name in ("directory", "crm"):
        accounts = [
            f"u{i},{1000 + i},{name if i == 7 else 'x'}@example.se,active" for i in range(40)
        ]
        (tmp_path / f"{name}.csv").write_text(
            "\n".join(["id,number,mail,status", *accounts]) + "\n"
        )
    feeds = started(tmp_path, lms=DIRECTORY)
    feeds.rows[3] = employed(3, end="2026-11-01")
    feeds.rows[5] = employed(5, end="2026-11-01")
    feeds.rows.append(employed(5, id="second", job="X", unit="Office"))
    feeds.night()
    held = feeds.held()
    assert held["1003"] == set(), "the end that HR tells wins over the account"
    assert held["1005"] == {"ENTRY"}, "of two employments the other one goes on"
    with feeds.state() as state:
        told = disagreeing(load(tmp_path / "connectors.toml"), state, feeds.now)
        ended, differing = person_of(state, "1003"), person_of(state, "1007")
    assert {row["person_id"]: (row["attribute"], row["sources"]) for row in told} == {
        ended: ("employment", "crm, directory, hr, lms"),
        differing: ("mail", "crm, directory"),
    }


# ── by whom ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.case("X15")
def test_who_edits_the_rules_for_himself_is_held_named_and_cannot_let_it_go(town: Town) -> None:
    town.json("sync", code=0)
    me = town.number(3)  # works in the town hall, and wants the school
    changed(town, 'id = "skola"\nname', 'id = "skola"\nsensitive = true\nname')
    changed(town, "percent = 5.0\n", "percent = 5.0\nsensitive = { people = 0, percent = 0.0 }\n")
    changed(
        town,
        'when = { unit_under = "Skola" }',
        'when = { any = [{ unit_under = "Skola" }, { unit_under = "Stadskontoret" }] }',
    )
    run = town.json("sync", code=3)
    [part] = run["held"]
    assert (part["scope"], part["direction"], part["approvals"]) == ("profile skola", "gaining", 2)
    mine = town.run("approve", part["digest"], "--reason", "ja", "--by", me)
    assert mine.code == 2
    assert "somebody else has to" in mine.err
    assert me not in by_key(town.doors_of("skola"))
    with sqlite3.connect(town.folder / "var" / "idsync.db") as state:
        facts = [
            json.loads(text)
            for (text,) in state.execute("SELECT facts FROM audit WHERE kind = 'configured'")
        ]
    assert len(facts) == 2, "the changed configuration is told"
    assert facts[1]["before"] == facts[0]["digest"]
    assert all(one["by"] for one in facts), "and who ran it"
