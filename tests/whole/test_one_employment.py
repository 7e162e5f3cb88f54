"""An order ends one employment: what it alone gave goes at once, and nothing else changes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from idsync.config import connect_target, load
from idsync.model import Grant
from idsync.service.revoking import Closed, close_person
from tests.whole.feeds import Feeds, Row, employed, started
from tests.whole.test_identity import EVERYTHING, person_of

OFFICE = {"job": "X", "unit": "Office"}


def second(i: int, **said: str) -> Row:
    """Another employment of person number *i*: a nurse with a laboratory."""
    return employed(i, id=f"x{i}", **said)


def at_a_desk(i: int) -> Row:
    return employed(i, **OFFICE)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Feeds:
    """Forty people at a desk, after their first run; the first ten are nurses too."""
    rows = [at_a_desk(i) for i in range(40)] + [second(i) for i in range(10)]
    return started(tmp_path_factory.mktemp("begun"), rows)


@pytest.fixture
def feeds(begun: Feeds, tmp_path: Path) -> Feeds:
    """That city, anew."""
    folder = Path(shutil.copytree(begun.folder, tmp_path / "city"))
    return replace(begun, folder=folder, rows=[*begun.rows], courses={**begun.courses})


def ordered(feeds: Feeds, i: int, job: str | None, *, lift: bool = False) -> Closed:
    """Give or lift an order on an employment (None: the person), and return what the doors show."""
    config = load(feeds.folder / "connectors.toml")
    with feeds.state() as state:
        person = person_of(state, f"{1000 + i}")
        part = None if job is None else f"hr:{job}"
        if lift:
            assert state.orders.lift(person, "a mistake", "HR", feeds.now, employment=part)
        else:
            state.orders.revoke(person, "ended", "HR", feeds.now, employment=part)
        run = state.begin_run("restore" if lift else "revoke", feeds.now)
        [closed] = close_person(config, state, person, run, lambda: feeds.now, giving=lift)
        state.end_run(run, "applied", {}, feeds.now)
    return closed


def unconfirmed(feeds: Feeds) -> list[str]:
    with feeds.state() as state:
        return [one.outcome for one in state.closings.unconfirmed(["doors"])]


def status_of(feeds: Feeds, key: str) -> str:
    target = connect_target(load(feeds.folder / "connectors.toml").targets["doors"])
    try:
        holder = target.read_one(key)
        assert holder is not None
        return holder.status
    finally:
        target.close()


# ── what goes, and what stays ───────────────────────────────────────────────────────────


@pytest.mark.case("S11", "W10")
def test_what_the_ended_employment_alone_gave_goes_and_no_file_gives_it_back(
    feeds: Feeds,
) -> None:
    before = feeds.held()
    assert before["1003"] == EVERYTHING
    assert ordered(feeds, 3, "x3").outcome == "confirmed"
    assert feeds.held() == before | {"1003": {"ENTRY"}}
    assert status_of(feeds, "1003") == "active"
    for _ in range(2):  # HR's file still says that it goes on
        assert feeds.night()["writes"] == 0
    assert feeds.sync(sources=False)["writes"] == 0
    assert feeds.held()["1003"] == {"ENTRY"}
    feeds.rows[43] = second(3, end="2026-11-02")  # HR follows, and then an old file comes
    feeds.night()
    feeds.rows[43] = second(3)
    assert feeds.night()["writes"] == 0
    assert ordered(feeds, 3, "x3").outcome == "confirmed", "as often as you like"
    assert feeds.held() == before | {"1003": {"ENTRY"}}


@pytest.mark.case("W14")
def test_restoring_it_gives_exactly_what_the_rules_give(feeds: Feeds) -> None:
    before = feeds.held()
    ordered(feeds, 3, "x3")
    assert ordered(feeds, 3, "x3", lift=True).outcome == "confirmed"
    assert feeds.held() == before
    assert feeds.night()["writes"] == 0
    ordered(feeds, 4, "x4")
    feeds.rows[44] = second(4, unit="Office")  # a nurse there, without a laboratory
    feeds.night()
    ordered(feeds, 4, "x4", lift=True)
    assert feeds.held()["1004"] == {"ENTRY", "WARD"}


def test_the_end_of_the_last_one_is_that_of_a_leaver_and_a_new_one_gives(feeds: Feeds) -> None:
    assert ordered(feeds, 20, "e20").outcome == "confirmed"
    assert feeds.held()["1020"] == set()
    assert status_of(feeds, "1020") == "suspended"
    assert feeds.night()["writes"] == 0
    feeds.rows.append(second(20))
    feeds.courses["1020"] = "2099-01-01"
    feeds.night()
    assert feeds.held()["1020"] == EVERYTHING, "another employment is not the one that was ended"
    assert status_of(feeds, "1020") == "active"


def test_what_was_given_by_hand_stays_and_keeps_the_cardholder(feeds: Feeds) -> None:
    target = connect_target(load(feeds.folder / "connectors.toml").targets["doors"])
    holder = target.read_one("1020")
    assert holder is not None
    from idsync.model import Change

    guest = replace(holder, grants=(*holder.grants, Grant(ref="GYM")))
    target.put(Change(before=holder, after=guest))
    target.close()
    assert ordered(feeds, 20, "e20").outcome == "confirmed"
    assert feeds.held()["1020"] == {"GYM"}
    assert status_of(feeds, "1020") == "active"


def test_an_employment_to_come_gives_nothing_once_it_is_ended(feeds: Feeds) -> None:
    feeds.rows[43] = second(3, begin="2026-11-04")
    feeds.night()
    ordered(feeds, 3, "x3")
    for _ in range(3):
        feeds.night()
    assert feeds.held()["1003"] == {"ENTRY"}
    ordered(feeds, 3, "x3", lift=True)
    assert feeds.held()["1003"] == EVERYTHING


def test_leave_from_the_other_one_is_no_reason_to_keep_it(feeds: Feeds) -> None:
    feeds.rows[3] = employed(3, unit="Office", away="2026-11-01", back="2026-12-01")
    feeds.night()
    assert feeds.held()["1003"] == EVERYTHING
    ordered(feeds, 3, "x3")
    assert feeds.held()["1003"] == {"ENTRY"}


def test_a_key_given_to_somebody_else_takes_no_order_with_it(feeds: Feeds) -> None:
    ordered(feeds, 3, "x3")
    feeds.rows[43] = replace(second(30), id="x3")
    feeds.courses["1030"] = "2099-01-01"
    feeds.night()
    assert feeds.held()["1030"] == EVERYTHING


# ── beside other orders, doubts and limits ──────────────────────────────────────────────


def test_an_order_on_the_person_and_one_on_an_employment_stand_side_by_side(feeds: Feeds) -> None:
    ordered(feeds, 3, "x3")
    assert ordered(feeds, 3, None).outcome == "confirmed"
    assert feeds.held()["1003"] == set()
    ordered(feeds, 3, "x3", lift=True)
    assert feeds.held()["1003"] == set(), "the person opens nothing yet"
    ordered(feeds, 3, "x3")
    ordered(feeds, 3, None, lift=True)
    assert feeds.held()["1003"] == {"ENTRY"}
    assert feeds.night()["writes"] == 0


@pytest.mark.case("P10")
def test_no_limit_holds_the_orders_and_they_open_none_for_other_losses(feeds: Feeds) -> None:
    """Five people may lose something in a run."""
    with feeds.state() as state:
        for i in range(9):  # ordered, and nothing was sent
            person = person_of(state, f"{1000 + i}")
            state.orders.revoke(person, "ended", "HR", feeds.now, employment=f"hr:x{i}")
    feeds.rows = [
        replace(row, end="2026-11-01") if row.id in {f"e{i}" for i in range(4, 12)} else row
        for row in feeds.rows
    ]
    run = feeds.night()
    held = feeds.held()
    assert [held[f"{1000 + i}"] for i in range(9)] == [{"ENTRY"}] * 9
    assert (held["1009"], held["1010"]) == (EVERYTHING, {"ENTRY"})
    assert [part["people"] for part in run["held"]] == [7], "all but who is a nurse yet"
    assert [status_of(feeds, f"{1000 + i}") for i in (3, 5)] == ["active"] * 2
    assert unconfirmed(feeds) == []


def test_what_other_reasons_give_or_take_waits_for_a_run(feeds: Feeds) -> None:
    feeds.courses["1003"] = "2026-11-05"
    feeds.night()
    with feeds.state() as state:
        from idsync.model import Employment, schema

        jobs = state.frames.load("employment", schema(Employment))
        begun = {"hr:e3": "Care / North"}  # as if accepted, and not planned yet
        import polars as pl

        unit = pl.col("id").replace_strict(begun, default=pl.col("unit"))
        with state.engine.begin() as connection:
            moved = jobs.with_columns(unit=unit).select("person_id", pl.exclude("person_id"))
            state.frames.save(connection, "employment", moved)
    closed = ordered(feeds, 3, "x3")
    assert (closed.outcome, feeds.held()["1003"]) == ("confirmed", {"ENTRY", "LAB"})


@pytest.mark.case("S6")
def test_whoever_cannot_be_told_apart_is_told_and_closed_once_they_can(feeds: Feeds) -> None:
    feeds.rows.append(employed(77, number="1003"))
    feeds.night()
    closed = ordered(feeds, 3, "x3")
    assert closed.outcome == "refused"
    assert "end the whole person" in closed.reason
    assert feeds.held()["1003"] == EVERYTHING, "neither widened nor removed"
    assert unconfirmed(feeds) == ["refused"]
    feeds.rows.pop()
    feeds.night()
    feeds.night()
    assert feeds.held()["1003"] == {"ENTRY"}
    assert unconfirmed(feeds) == []


@pytest.mark.case("T7")
@pytest.mark.parametrize("then", ["as before", "gone", "moved"])
def test_a_system_that_was_down_is_pursued_whatever_hr_says_meanwhile(
    feeds: Feeds, then: str
) -> None:
    file = feeds.folder / "var" / "doors.db"
    away = file.rename(file.with_suffix(".away"))
    file.write_bytes(b"down" * 1000)
    assert ordered(feeds, 3, "x3").outcome == "unavailable"
    if then == "gone":
        del feeds.rows[43]
    elif then == "moved":
        feeds.rows[43] = second(3, job="X", unit="Office")
    feeds.people = 0  # the brake holds whatever is not confirmed
    feeds.configure()
    feeds.night()
    feeds.night()
    away.rename(file)
    run = feeds.sync()
    assert run["held"] == []
    assert feeds.held()["1003"] == {"ENTRY"}
    assert unconfirmed(feeds) == []


def test_a_plan_shows_the_order_as_the_reason(feeds: Feeds) -> None:
    from idsync.service.looking import look

    with feeds.state() as state:
        person = person_of(state, "1003")
        order = state.orders.revoke(person, "ended", "HR", feeds.now, employment="hr:x3")
        state.orders.revoke(
            person_of(state, "1020"), "ended", "HR", feeds.now, employment="hr:e20"
        )  # fmt: skip
        config = load(feeds.folder / "connectors.toml")
        plan = look(config, state, feeds.now, lambda _: None).plan
        told = plan.items.select("person_id", "part", "ref", "confirmed", "because").rows()
    mine = f"an employment was ended by order {order.id}"
    assert {row[1:] for row in told if row[0] == person} == {
        ("grant", "LAB", True, mine), ("grant", "WARD", True, mine),
    }  # fmt: skip
    assert {row[1:] for row in told if row[0] != person} == {
        ("grant", "ENTRY", True, f"an employment was ended by order {order.id + 1}"),
        ("status", "status", True, f"an employment was ended by order {order.id + 1}"),
    }
