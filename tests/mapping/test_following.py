"""Somebody gets a new number, and not every system knows it yet."""

from __future__ import annotations

from typing import Any

import pytest

from idsync.mapping.correlate import Matching, People, empty_people
from idsync.mapping.following import IN_PLACE_OF
from tests.mapping.test_correlate import Reading, Row, ids, reasons, record

OLD = [{"key": "g-1", "employee_number": "n1"}]


def read(hr: list[Row], groups: list[Row], before: People | None = None) -> People:
    return Reading(hr=hr, groups=groups, before=before or empty_people()).people()


def test_a_group_under_the_old_number_is_still_theirs() -> None:
    before = read([record("1")], OLD)
    after = read([{"key": "1", "employee_number": "n7"}], OLD, before)
    assert ids(after) == {"n7": ids(before)["n1"]}, "the old number came back"
    assert after.memberships["person_id"].to_list() == [ids(before)["n1"]]
    assert after.unmatched.is_empty()


@pytest.mark.case("S7")
def test_a_group_goes_with_the_number_where_somebody_else_has_it_now() -> None:
    before = read([record("1", birth_date="1980-01-01")], OLD)
    hr = [
        {"key": "1", "employee_number": "n7", "birth_date": "1980-01-01"},
        {"key": "2", "employee_number": "n1", "birth_date": "1990-02-02"},
    ]
    after = read(hr, OLD, before)
    assert ids(before)["n1"] not in after.memberships["person_id"].to_list()


def test_a_record_that_is_keyed_by_a_number_is_not_followed() -> None:
    keyed = [{"key": "n1", "employee_number": "n1"}]
    before = read([record("1")], keyed)
    after = read([{"key": "1", "employee_number": "n7"}], keyed, before)
    assert after.memberships.is_empty(), "numbers are given again"
    assert after.unmatched.to_dicts() == [{"source": "groups", "count": 1}]


def test_a_group_of_the_predecessor_is_not_inherited_with_the_number() -> None:
    before = read([record("1", birth_date="1980-01-01")], OLD)
    hr = [{"key": "2", "employee_number": "n1", "birth_date": "1990-02-02"}]
    after = read(hr, OLD, before)
    assert ids(after)["n1"] != ids(before)["n1"]
    assert after.memberships.is_empty(), "the directory has not noticed yet"
    assert after.unmatched.to_dicts() == [{"source": "groups", "count": 1}]


def test_whoever_has_left_is_not_brought_back_by_a_group() -> None:
    before = read([record("1"), record("2")], OLD)
    after = read([record("2")], OLD, before)
    assert set(ids(after)) == {"n2"}
    assert after.memberships.is_empty()


# ── while somebody is missing ───────────────────────────────────────────────────────────

ACCOUNT = {"key": "d1", "employee_number": "n1", "mail": "a@exempel.se"}
ANOTHER = {"key": "d9", "employee_number": "n1", "mail": "b@exempel.se"}


def missing(hr: list[Row], directory: list[Row], before: People, **more: Any) -> People:
    """Read while HR's record 1 is believed although it did not come."""
    return Reading(hr=hr, directory=directory, before=before, away=(("hr", "1"),), **more).people()


@pytest.mark.case("S7")
def test_a_new_account_with_the_number_of_somebody_missing_is_not_theirs() -> None:
    before = Reading(hr=[record("1")], directory=[ACCOUNT]).people()
    during = missing([record("1")], [ANOTHER], before)
    assert reasons(during) == {("d9", IN_PLACE_OF, None)}
    assert "d9" not in during.links["value"]
    assert ids(during) == ids(before), "who is missing stays meanwhile"
    assert during.persons["mail"].to_list() == [None], "the newcomer's address is not theirs"

    newcomer = record("2", employee_number="n1", birth_date="1990-02-02")
    after = Reading(hr=[newcomer], directory=[ANOTHER], before=during).people()
    assert ids(after)["n1"] != ids(before)["n1"]
    assert after.persons["mail"].to_list() == ["b@exempel.se"]


def test_an_account_that_was_known_stays_theirs_while_they_are_missing() -> None:
    before = Reading(hr=[record("1")], directory=[ACCOUNT]).people()
    during = missing([record("1"), record("2")], [ACCOUNT], before)
    assert reasons(during) == set()
    assert set(ids(during)) == {"n1", "n2"}, "a newcomer with a number of their own is nobody else"


def test_a_new_account_is_theirs_when_they_are_back() -> None:
    before = Reading(hr=[record("1")], directory=[ACCOUNT]).people()
    during = missing([record("1")], [ANOTHER], before)
    after = Reading(hr=[record("1")], directory=[ANOTHER], before=during).people()
    assert (reasons(after), ids(after)) == (set(), ids(before))


def test_a_new_account_is_theirs_where_only_another_system_has_lost_them() -> None:
    before = Reading(hr=[record("1")], groups=OLD).people()
    away = (("groups", "g-1"),)
    during = Reading(
        hr=[record("1")], groups=OLD, directory=[ACCOUNT], before=before, away=away
    ).people()
    assert (reasons(during), ids(during)) == (set(), ids(before))
    assert during.persons["mail"].to_list() == ["a@exempel.se"]


# ── while a source cannot be read ───────────────────────────────────────────────────────

OLD_GROUPS = Matching(stale=frozenset({"groups"}))


def old(groups: list[Row], hr: list[Row], before: People) -> People:
    """Read HR anew, and of the groups what they were the last time."""
    return Reading(hr=hr, groups=groups, before=before, matching=OLD_GROUPS).people()


@pytest.mark.case("S7")
def test_what_an_old_read_says_of_a_number_is_not_of_a_newcomer_who_has_it_since() -> None:
    before = read([record("9")], OLD)
    assert before.memberships.is_empty()
    during = old(OLD, [record("9"), record("1")], before)
    assert set(ids(during)) == {"n9", "n1"}
    assert during.memberships.is_empty()
    assert during.unmatched.to_dicts() == [{"source": "groups", "count": 1}]
    after = read([record("9"), record("1")], OLD, during)
    assert after.memberships["person_id"].to_list() == [ids(after)["n1"]], "it says so itself now"


def test_what_an_old_read_says_of_whom_it_told_before_stands() -> None:
    before = read([record("1")], OLD)
    during = old(OLD, [record("1"), record("2")], before)
    assert during.memberships["person_id"].to_list() == [ids(before)["n1"]]


def test_an_old_read_that_shows_the_same_face_tells_of_a_newcomer() -> None:
    faced = [{"key": "g-1", "employee_number": "n1", "birth_date": "1990-02-02"}]
    before = read([record("9")], faced)
    during = old(faced, [record("9"), record("1", birth_date="1990-02-02")], before)
    assert during.memberships["person_id"].to_list() == [ids(during)["n1"]]


def test_a_source_of_people_in_their_own_right_is_believed_as_it_was_read() -> None:
    during = Reading(hr=[record("1")], matching=Matching(stale=frozenset({"hr"}))).people()
    assert set(ids(during)) == {"n1"}
