"""A read that is right but for a part: the part stays as it was, everything else goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idsync.service import reading
from tests.whole.feeds import Feeds, Row, employed, started

EVERYTHING = {"ENTRY", "WARD", "LAB"}
FEW = "band_people = 5"
MARKED = "secrecy_marking"


@pytest.fixture
def feeds(tmp_path: Path) -> Feeds:
    """Thirty nurses in care and ten teachers at school; five concerned are enough to trip."""
    return started(tmp_path, town(), hr=FEW, lms=FEW, people=3)


def town() -> list[Row]:
    school = {"unit": "School / South", "job": "T"}
    return [employed(i, **(school if i >= 30 else {})) for i in range(40)]


def doubts(document: dict[str, Any], source: str = "hr") -> list[str]:
    """The parts of a source that a run did not believe."""
    told = document["sources"][source]
    assert told["complete"] is not bool(told["doubts"])
    assert all(doubt["digest"][:12] in told["reason"] for doubt in told["doubts"])
    return [doubt["part"] for doubt in told["doubts"]]


@pytest.mark.case("S2")
def test_a_department_that_vanishes_stays_and_the_others_go_on(feeds: Feeds) -> None:
    feeds.rows = [row for row in feeds.rows if row.unit != "School / South"]
    feeds.without(4)
    feeds.rows.append(employed(80, unit="Office", job=""))
    for _ in range(4):
        run = feeds.night()
        assert run["outcome"] == "incomplete"
        assert doubts(run) == ["department School"]
        assert "10 of its 10 people are not in this read" in run["sources"]["hr"]["reason"]
    held = feeds.held()
    assert {held[f"{1030 + i}"] == {"ENTRY"} for i in range(10)} == {True}
    assert held["1004"] == set(), "somebody who left another department"
    assert held["1080"] == {"ENTRY"}, "somebody new"
    assert feeds.waits() == ["source hr, department School"]


@pytest.mark.case("S2")
@pytest.mark.parametrize("kept", ["every second", "up to M"])
def test_half_of_the_people_is_no_read_at_all(feeds: Feeds, kept: str) -> None:
    names = sorted(feeds.rows, key=lambda row: row.number)
    feeds.rows = names[::2] if kept == "every second" else names[:20]
    run = feeds.night()
    assert run["outcome"] == "incomplete"
    assert "less than min_share" in run["sources"]["hr"]["reason"]
    assert run["writes"] == 0


def test_a_department_that_is_approved_is_let_in_and_meets_absence_and_the_brake(
    feeds: Feeds,
) -> None:
    feeds.rows = feeds.rows[:30]
    [doubt] = feeds.night()["sources"]["hr"]["doubts"]
    assert (doubt["part"], doubt["people"], doubt["base"]) == ("department School", 10, 10)
    feeds.approve(doubt["digest"])
    run = feeds.sync()
    assert run["outcome"] == "held"
    assert run["sources"]["hr"]["complete"]
    assert [part["people"] for part in run["held"]] == [10]
    feeds.approve(run["held"][0]["digest"])
    assert feeds.sync()["targets"]["doors"]["confirmed"] == 10
    assert feeds.held()["1035"] == set()
    assert feeds.night()["writes"] == 0


def test_an_approval_of_a_department_is_for_exactly_those_people(feeds: Feeds) -> None:
    whole = feeds.rows
    feeds.rows = whole[:31]
    feeds.approve(feeds.night()["sources"]["hr"]["doubts"][0]["digest"])
    feeds.rows = whole[:30]
    run = feeds.night()
    assert doubts(run) == ["department School"]
    assert run["writes"] == 0


def test_a_small_department_does_not_trip(tmp_path: Path) -> None:
    feeds = started(tmp_path, town(), hr="band_people = 11", people=10)
    feeds.rows = feeds.rows[:30]
    run = feeds.night()
    assert run["outcome"] == "no-change"
    assert run["targets"]["doors"]["waiting"] == 10


def test_what_was_doubted_and_comes_back_was_never_gone(feeds: Feeds) -> None:
    whole = feeds.rows
    feeds.rows = whole[:30]
    feeds.night()
    feeds.rows = whole
    run = feeds.night()
    assert (run["outcome"], run["sources"]["hr"]["absent"]) == ("no-change", 0)
    assert feeds.waits() == []


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("job", "", "attribute job_code"),
        ("job", "X", "attribute job_code"),
        ("born", "1900-01-01", "attribute birth_date"),
        ("unit", "", "department Care"),
    ],
)
def test_an_attribute_that_flips_for_everybody_is_quarantined_alone(
    feeds: Feeds, name: str, value: str, part: str
) -> None:
    feeds.without(7)
    feeds.rows = [replace(row, **{name: value}) for row in feeds.rows]
    feeds.rows[3] = replace(feeds.rows[3], end="2026-11-01")
    feeds.rows.append(employed(80))
    run = feeds.night()
    assert part in doubts(run)
    assert run["targets"]["doors"] | {"held": 0, "refused": 0} == run["targets"]["doors"]
    held = feeds.held()
    assert held["1000"] == EVERYTHING
    assert held["1003"] == set(), "an end that is told"
    assert held["1080"] >= {"ENTRY"}, "somebody new"
    feeds.night()
    assert feeds.held()["1007"] == set(), "absence is counted all the same"


def test_an_attribute_that_nothing_looks_at_may_change_freely(feeds: Feeds) -> None:
    feeds.rows = [replace(row, form="hourly", given="Örjan") for row in feeds.rows]
    assert feeds.night()["sources"]["hr"]["complete"]


def test_an_attribute_that_few_change_is_believed(feeds: Feeds) -> None:
    feeds.rows[:3] = [replace(row, job="X") for row in feeds.rows[:3]]
    assert feeds.night()["outcome"] == "applied"
    assert feeds.held()["1000"] == {"ENTRY", "LAB"}


def test_an_approved_attribute_is_believed(feeds: Feeds) -> None:
    feeds.rows = [replace(row, job="X") for row in feeds.rows]
    [doubt] = feeds.night()["sources"]["hr"]["doubts"]
    feeds.approve(doubt["digest"])
    assert feeds.sync()["outcome"] == "held", "the brake is asked too"
    assert feeds.night()["sources"]["hr"]["complete"]


@pytest.mark.case("S26")
def test_a_course_that_nobody_has_taken_any_longer_is_not_believed(feeds: Feeds) -> None:
    taken = feeds.courses
    feeds.courses = {"1000": taken["1000"]}
    feeds.people, feeds.lms = 3, f"{FEW}\nmin_share = 0.0"
    feeds.configure()
    for _ in range(3):
        run = feeds.night()
        assert doubts(run, "lms") == ["course fire"]
        assert run["writes"] == 0
    assert feeds.held()["1010"] == EVERYTHING
    feeds.courses = dict.fromkeys(taken, "2026-11-01")  # passed, but over for all of them
    assert doubts(feeds.night(), "lms") == ["course fire"]
    feeds.courses = {number: until for number, until in taken.items() if number != "1010"}
    assert feeds.night()["outcome"] == "no-change"
    feeds.night()  # the same file: it does not say of when it is, so it is true of today
    assert feeds.held()["1010"] == {"ENTRY", "WARD"}, "one person without it is believed"


@pytest.mark.case("S27")
def test_a_unit_with_another_name_is_another_scope_and_nobody_left(feeds: Feeds) -> None:
    renamed = [
        replace(row, unit=row.unit.replace("Care", "Omsorg")) if "Care" in row.unit else row
        for row in feeds.rows
    ]
    feeds.rows = renamed
    run = feeds.night()
    assert run["outcome"] == "incomplete"
    assert run["writes"] == 0
    reason = run["sources"]["hr"]["reason"]
    assert reason.startswith("scope changed: 30 of 30 people of department Care stand under Omsorg")
    assert doubts(run) == ["department Care"]
    assert feeds.held()["1003"] == EVERYTHING


@pytest.mark.case("S27")
def test_other_settings_of_a_source_are_another_scope_and_nobody_left(feeds: Feeds) -> None:
    text = (feeds.folder / "connectors.toml").read_text(encoding="utf-8")
    (feeds.folder / "connectors.toml").write_text(
        text.replace('path = "hr.csv"', 'path = "care.csv"'), encoding="utf-8"
    )
    feeds.without(1, 2)
    feeds.deliver()
    (feeds.folder / "hr.csv").rename(feeds.folder / "care.csv")
    for _ in range(3):
        run = feeds.sync()
        assert run["outcome"] == "incomplete"
        assert run["writes"] == 0
        assert doubts(run) == ["scope"]
        assert run["sources"]["hr"]["reason"].startswith("scope changed: the settings")
    feeds.approve(run["sources"]["hr"]["doubts"][0]["digest"])
    run = feeds.sync()
    assert run["sources"]["hr"]["complete"]
    assert run["targets"]["doors"]["waiting"] == 2


def test_the_same_settings_written_otherwise_are_the_same_scope(feeds: Feeds) -> None:
    feeds.hr = f"{FEW}\nmin_share = 0.5 # as agreed"
    feeds.configure()
    feeds.without(1)
    assert feeds.night()["outcome"] == "no-change"


def test_marks_of_protection_that_vanish_stay(tmp_path: Path) -> None:
    feeds = started(tmp_path, [employed(i, mark=MARKED if i < 4 else "none") for i in range(40)])
    feeds.rows[:4] = [replace(row, mark="none") for row in feeds.rows[:4]]
    run = feeds.night()
    assert doubts(run) == ["attribute protection"]
    with feeds.state() as state:
        marks = reading.accepted("hr", state)["persons"]["protection"].to_list()
    assert marks.count(MARKED) == 4


def test_the_verdict_of_every_read_is_kept(feeds: Feeds) -> None:
    with feeds.state() as state:
        last = state.verdicts.last("hr")
    assert last is not None
    assert last[1].complete
    assert "its count 40 agrees" in last[1].reason
    (feeds.folder / "hr.csv").write_text("cut")
    feeds.sync()
    with feeds.state() as state:
        last = state.verdicts.last("hr")
    assert last is not None
    assert not last[1].complete
    assert "cut off" in last[1].reason
