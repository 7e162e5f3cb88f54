"""Somebody gets a new number, and not every system knows it yet."""

from __future__ import annotations

import pytest

from idsync.mapping.correlate import People, empty_people
from tests.mapping.test_correlate import Reading, Row, ids, record

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
