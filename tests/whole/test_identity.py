"""Nobody inherits anything: numbers given to others, returns, new names, merges and splits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from idsync.config import load
from idsync.service.absences import absent_people
from idsync.service.revoking import close_person
from idsync.store import State
from tests.whole.feeds import Feeds, employed, started

EVERYTHING = {"ENTRY", "WARD", "LAB"}


@pytest.fixture
def feeds(tmp_path: Path) -> Feeds:
    return started(tmp_path)


def person_of(state: State, key: str) -> str:
    """Return the id of who has the number *key* at the doors."""
    from idsync.service.planning import LINKS

    links = state.frames.load("link:doors", LINKS)
    return str(links.filter(links["key"] == key)["person_id"].item())


def set_aside(feeds: Feeds) -> dict[str, str]:
    """Return the records of HR that could not be tied to one person, and why."""
    from idsync.service.planning import SET_ASIDE

    with feeds.state() as state:
        rows = state.frames.load("set_aside", SET_ASIDE)
    rows = rows.filter(rows["source"] == "hr")
    return dict(zip(rows["key"], rows["reason"], strict=True))


@pytest.mark.case("S6")
def test_records_that_share_an_id_are_quarantined_and_the_others_proceed(feeds: Feeds) -> None:
    feeds.rows.append(employed(77, number="1003"))  # two persons, one number
    feeds.rows.append(replace(feeds.rows[4], id="again", born="1999-09-09"))  # one key, two ways
    feeds.rows.append(employed(78))
    run = feeds.night()
    assert set(set_aside(feeds)) == {"p3", "p77", "p4"}
    held = feeds.held()
    assert held["1003"] == held["1004"] == EVERYTHING, "neither widened nor removed"
    assert held["1078"] == {"ENTRY", "WARD"}
    assert run["targets"]["doors"]["confirmed"] == 1


@pytest.mark.case("S7")
def test_a_number_given_to_somebody_else_is_a_leaver_and_a_joiner(feeds: Feeds) -> None:
    feeds.rows[3] = employed(99, number="1003", job="X", unit="Office")
    run = feeds.night()
    assert feeds.held()["1003"] == set(), "the number stands on another record: that is told"
    assert [one["reason"] for one in run["refusals"]] == [
        "their employee_number belonged to somebody else here: free it first"
    ]
    feeds.night()
    assert feeds.held()["1003"] == set()


@pytest.mark.case("S7")
def test_every_key_given_to_somebody_else_is_a_leaver_and_a_joiner(feeds: Feeds) -> None:
    with feeds.state() as state:
        before = person_of(state, "1003")
    feeds.rows[3] = employed(3, born="2001-01-01", job="X", unit="Office")
    run = feeds.night()
    assert feeds.held()["1003"] == set()
    [refused] = run["refusals"]
    assert refused["person_id"] != before
    feeds.rows[3] = employed(3, number="7003", born="2001-01-01", job="X", unit="Office")
    feeds.night()
    assert (feeds.held()["1003"], feeds.held()["7003"]) == (set(), {"ENTRY"})


@pytest.mark.case("S8")
@pytest.mark.parametrize("gap", [1, 3 * 365])
@pytest.mark.parametrize("same", [True, False])
def test_whoever_is_hired_again_has_what_the_rules_give_now(
    feeds: Feeds, gap: int, same: bool
) -> None:
    last = feeds.day
    feeds.rows[3] = employed(3, end=last.isoformat())
    feeds.night()
    assert feeds.held()["1003"] == set()
    begin = last + timedelta(days=gap + 1)
    feeds.day = begin - timedelta(days=1)
    again = employed(3, id="new", job="X", unit="Office", begin=begin.isoformat())
    if not same:
        again = replace(again, person="p300", number="1300")
    feeds.rows[3] = again
    for part in feeds.night()["held"]:  # after three years without a run the clock is asked about
        feeds.approve(part["digest"])
        feeds.sync()
    held = feeds.held()
    assert held[again.number] == {"ENTRY"}, "the new employment alone decides"
    assert same or held["1003"] == set(), "the old cardholder stays closed"


@pytest.mark.case("S9")
def test_a_new_name_and_number_in_the_same_message_as_the_end_do_not_hide_the_end(
    feeds: Feeds,
) -> None:
    feeds.rows[3] = employed(3, number="8003", given="Ny", end="2026-11-01")
    feeds.night()
    held = feeds.held()
    assert held["1003"] == set()
    assert held.get("8003", set()) == set()


@pytest.mark.case("S9")
def test_a_new_name_and_number_alone_change_nobodys_access(feeds: Feeds) -> None:
    feeds.rows[3] = employed(3, number="8003", given="Ny")
    feeds.courses["8003"] = "2099-01-01"
    feeds.night()
    assert "8003" not in feeds.held()
    assert feeds.held()["1003"] >= {"ENTRY", "WARD"}


@pytest.mark.case("S10")
def test_two_records_merged_are_no_union_and_the_losing_one_closes(feeds: Feeds) -> None:
    feeds.rows[3] = employed(3, job="X", unit="Office")
    feeds.night()
    assert feeds.held()["1003"] == {"ENTRY"}
    feeds.without(4)  # the clean-up keeps p3, under its own number
    feeds.night()
    feeds.night()
    held = feeds.held()
    assert held["1003"] == {"ENTRY"}, "nothing of the other record came over"
    assert held["1004"] == set()


@pytest.mark.case("S10")
def test_two_known_persons_on_one_number_wait_with_both_listed(feeds: Feeds) -> None:
    feeds.rows[4] = employed(4, number="1003")
    feeds.night()
    assert set(set_aside(feeds)) == {"p3", "p4"}
    assert feeds.held()["1003"] == feeds.held()["1004"] == EVERYTHING
    feeds.rows[4] = employed(4)
    assert feeds.night()["writes"] == 0, "split again, each is who they were"


@pytest.mark.case("S11")
def test_one_of_two_employments_ends_and_only_what_it_alone_gave_goes(feeds: Feeds) -> None:
    feeds.rows[3] = employed(3, unit="Office")
    feeds.rows.append(employed(3, id="second", job="X", unit="Care / South"))
    feeds.night()
    assert feeds.held()["1003"] == EVERYTHING
    feeds.rows[3] = employed(3, unit="Office", end="2026-11-02")
    feeds.night()
    assert feeds.held()["1003"] == {"ENTRY", "LAB"}


@pytest.mark.case("S12")
def test_leave_begins_is_extended_and_ends_early(feeds: Feeds) -> None:
    feeds.rows[3] = employed(3, away="2026-11-04", back="2026-11-06")
    told = []
    for day in range(2, 13):
        if day == 6:
            feeds.rows[3] = employed(3, away="2026-11-04", back="2026-11-20")
        if day == 10:
            feeds.rows[3] = employed(3, away="2026-11-04", back="2026-11-09")
        assert feeds.night()["outcome"] in ("applied", "no-change"), day
        told.append("WARD" in feeds.held()["1003"])
    assert told == [True, True, *[False] * 6, True, True, True]
    assert feeds.held()["1003"] == EVERYTHING


@pytest.mark.case("S13")
def test_a_sentinel_is_no_end_and_a_day_long_past_is_refused_or_over(feeds: Feeds) -> None:
    feeds.rows[3] = employed(3, end="9999-12-31")
    assert feeds.night()["writes"] == 0
    assert feeds.held()["1003"] == EVERYTHING
    feeds.rows[3] = employed(3, end="00010101")
    assert feeds.night()["outcome"] == "incomplete"
    assert feeds.held()["1003"] == EVERYTHING


@pytest.mark.case("S25", "S14")
def test_a_course_system_that_is_down_for_a_week_takes_nothing_but_what_expires(
    feeds: Feeds,
) -> None:
    feeds.courses |= {"1003": "2026-11-05"}
    feeds.night()
    feeds.rows.append(employed(60))
    for day in range(3, 11):
        feeds.day += timedelta(days=1)
        feeds.deliver()
        (feeds.folder / "lms.csv").unlink()
        run = feeds.sync()
        assert run["outcome"] == "incomplete"
        held = feeds.held()
        assert ("LAB" in held["1003"]) is (day <= 5), "its last day is its own"
        assert held["1005"] == EVERYTHING
        assert held["1060"] == {"ENTRY", "WARD"}, "who needs the course waits for it"


@pytest.mark.case("S1")
def test_a_source_with_nobody_is_a_failed_read_and_orders_run_all_the_same(feeds: Feeds) -> None:
    whole = feeds.rows
    feeds.rows = []
    run = feeds.night()
    assert run["outcome"] == "incomplete"
    assert run["sources"]["hr"]["records"] == 40
    assert run["writes"] == 0
    config = load(feeds.folder / "connectors.toml")
    with feeds.state() as state:
        for key in ("1001", "1002", "1003"):
            person = person_of(state, key)
            state.orders.revoke(person, "ended", "HR", feeds.now)
            number = state.begin_run("revoke", feeds.now)
            [closed] = close_person(config, state, person, number, lambda: feeds.now)
            assert closed.outcome == "confirmed"
    held = feeds.held()
    assert [held[f"{1000 + i}"] == set() for i in range(5)] == [False, True, True, True, False]
    feeds.rows = whole
    assert feeds.night()["writes"] == 0


def test_nobody_is_absent_where_nothing_is(feeds: Feeds) -> None:
    with feeds.state() as state:
        from idsync.model import IdentityLink, schema

        links = state.frames.load("identity_link", schema(IdentityLink))
    assert absent_people({}, links).is_empty()


def test_ends_are_counted_by_complete_reads_that_tell_them(feeds: Feeds) -> None:
    from idsync.mapping.absence import ANNOUNCED

    def seen() -> list[int]:
        with feeds.state() as state:
            return state.frames.load("announced", ANNOUNCED)["reads_seen"].to_list()

    assert seen() == []
    feeds.rows[3] = employed(3, end="2026-12-31")
    counts = []
    for _ in range(3):
        feeds.night()
        counts.append(seen())
    feeds.sync()  # the same file: no other read
    counts.append(seen())
    (feeds.folder / "hr.csv").write_text("cut")
    feeds.sync()
    counts.append(seen())
    feeds.rows[3] = employed(3, end="2026-12-30")
    feeds.night()
    counts.append(seen())
    assert counts == [[1], [2], [3], [3], [3], [1]]
