"""Who is missing from a complete read: waits, shows, and goes when enough reads agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.whole.feeds import Feeds, employed, started

EVERYTHING = {"ENTRY", "WARD", "LAB"}


@pytest.fixture
def feeds(tmp_path: Path) -> Feeds:
    return started(tmp_path)


def test_a_leaver_by_absence_waits_for_the_second_read(feeds: Feeds) -> None:
    feeds.without(3)
    first = feeds.night()
    assert (first["outcome"], first["writes"]) == ("no-change", 0)
    assert first["sources"]["hr"]["complete"]
    assert first["sources"]["hr"]["absent"] == 1
    assert first["targets"]["doors"]["waiting"] == 1
    assert feeds.held()["1003"] == EVERYTHING
    second = feeds.night()
    assert (second["outcome"], second["targets"]["doors"]["waiting"]) == ("applied", 0)
    assert feeds.held()["1003"] == set()
    assert feeds.night()["writes"] == 0


def test_more_reads_may_be_asked_for(tmp_path: Path) -> None:
    feeds = started(tmp_path, hr="absent_reads = 4")
    feeds.without(3)
    assert [feeds.night()["writes"] for _ in range(5)] == [0, 0, 0, 1, 0]


def test_one_read_may_be_enough(tmp_path: Path) -> None:
    feeds = started(tmp_path, hr="absent_reads = 1")
    feeds.without(3)
    feeds.night()
    assert feeds.held()["1003"] == set()


def test_an_end_that_is_told_acts_at_once(feeds: Feeds) -> None:
    feeds.rows[3] = employed(3, end="2026-11-01")
    feeds.night()
    assert feeds.held()["1003"] == set()


@pytest.mark.case("S23")
def test_a_file_delivered_again_is_no_other_read_and_an_older_one_is_refused(feeds: Feeds) -> None:
    feeds.without(3)
    feeds.night()
    for _ in range(3):
        assert feeds.sync()["writes"] == 0, "the same file counted twice"
    old = feeds.rows
    feeds.rows = [*old, employed(3), employed(90)]
    feeds.deliver(day=feeds.day.replace(day=1))
    back = feeds.sync()
    assert back["outcome"] == "incomplete"
    assert "older than the last accepted file" in back["sources"]["hr"]["reason"]
    assert "1090" not in feeds.held()
    feeds.rows = old
    feeds.night()
    assert feeds.held()["1003"] == set()


@pytest.mark.case("S28")
def test_whoever_flaps_between_present_and_absent_is_never_removed(feeds: Feeds) -> None:
    everybody = feeds.rows
    for turn in range(10):
        feeds.rows = everybody if turn % 2 else everybody[:-1]
        assert feeds.night()["writes"] == 0
        assert feeds.held()["1039"] == EVERYTHING
    feeds.rows = [*everybody[:-1], employed(39, end="2026-11-02")]
    feeds.night()
    assert feeds.held()["1039"] == set(), "an end that is told does not wait"


def test_a_mass_that_is_missing_is_held_at_once_and_an_approval_lets_it_go(feeds: Feeds) -> None:
    feeds.without(*range(0, 36, 3))
    feeds.rows.append(employed(70))
    held = feeds.night()
    assert held["outcome"] == "held"
    [part] = held["held"]
    assert (part["scope"], part["direction"], part["people"]) == ("target doors", "losing", 12)
    assert held["targets"]["doors"] | {"held": 12, "waiting": 0} == held["targets"]["doors"]
    assert feeds.held()["1070"] == {"ENTRY", "WARD"}, "the rest goes on"
    assert feeds.held()["1000"] == EVERYTHING
    feeds.approve(part["digest"])
    assert feeds.sync()["targets"]["doors"]["confirmed"] == 12
    assert {feeds.held()[f"{1000 + i}"] == set() for i in range(0, 36, 3)} == {True}
    assert feeds.sync()["writes"] == 0, "what somebody approved was given back"
    assert feeds.night()["writes"] == 0


def test_the_absent_who_were_held_are_held_when_their_second_read_comes(feeds: Feeds) -> None:
    feeds.without(*range(12))
    [first] = feeds.night()["held"]
    [second] = feeds.night()["held"]
    assert second["digest"] == first["digest"], "the same people, the same changes"
    feeds.approve(second["digest"])
    feeds.sync()
    assert feeds.held()["1003"] == set()


def test_what_waits_for_approval_goes_on_waiting_while_no_source_is_read(feeds: Feeds) -> None:
    feeds.without(*range(12))
    [part] = feeds.night()["held"]
    feeds.approve(part["digest"])
    (feeds.folder / "hr.csv").unlink()
    assert feeds.sync(sources=False)["targets"]["doors"]["confirmed"] == 12
    assert feeds.held()["1003"] == set()
    assert feeds.sync(sources=False)["writes"] == 0
    assert feeds.sync()["writes"] == 0


def test_what_a_failing_read_cannot_tell_changes_nothing_of_who_waits(feeds: Feeds) -> None:
    feeds.without(3)
    feeds.night()
    (feeds.folder / "hr.csv").write_text("cut")
    for _ in range(3):
        assert feeds.sync()["writes"] == 0
    assert feeds.held()["1003"] == EVERYTHING
    feeds.night()
    assert feeds.held()["1003"] == set()


def test_few_who_are_absent_count_with_those_who_end(feeds: Feeds) -> None:
    feeds.without(0, 1, 2)
    for i in range(4):
        feeds.rows[i] = employed(i + 3, end="2026-11-01")
    held = feeds.night()
    assert [part["people"] for part in held["held"]] == [7]


def test_one_of_two_employments_that_is_missing_keeps_what_it_gave_for_a_read(
    feeds: Feeds,
) -> None:
    feeds.rows.append(employed(3, id="second", job="X", unit="School"))
    feeds.rows[3] = employed(3, unit="Office")
    feeds.night()
    feeds.rows = [row for row in feeds.rows if row.id != "e3"]
    feeds.night()
    assert feeds.held()["1003"] >= {"ENTRY", "WARD"}
    feeds.night()
    assert feeds.held()["1003"] == {"ENTRY"}
