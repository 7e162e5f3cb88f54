"""What of a read is doubted, and what of it stays."""

from __future__ import annotations

from typing import Any

import polars as pl

from idsync.mapping.bands import Bands, decisive
from idsync.mapping.doubting import departments
from tests.mapping.examples import catalogue

BANDS = Bands(people=20)


def read(units: dict[int, str]) -> Any:
    """Return a read of one employment each, by the number of the person."""
    rows = [(f"e{number}", f"p{number}", unit) for number, unit in units.items()]
    employments = pl.DataFrame(rows, schema=["key", "person_key", "unit"], orient="row")
    return {"employments": employments}


def test_where_some_moved_and_as_good_as_many_are_absent_both_stay() -> None:
    before = dict.fromkeys(range(60), "Ängsta / Skola / A") | {99: "Ängsta / Vård"}
    came = dict.fromkeys(range(30), "Ängsta / Bildning / A") | {99: "Ängsta / Vård"}
    came |= dict.fromkeys(range(56, 60), "Ängsta / Skola / A")
    [found] = departments("hr", read(before), read(came), BANDS)
    assert (found.doubt.people, found.doubt.base) == (56, 60)
    assert "stand under Bildning now" in found.doubt.reason
    assert sorted(found.stay["employments"]["key"]) == sorted(f"e{n}" for n in range(30, 56))
    [(kind, name, was)] = found.was
    assert (kind, name) == ("employments", "unit")
    assert sorted(was["key"]) == sorted(f"e{n}" for n in range(30))


def test_where_many_moved_and_few_are_absent_those_have_left() -> None:
    before = dict.fromkeys(range(60), "Ängsta / Skola / A") | {99: "Ängsta / Vård"}
    came = dict.fromkeys(range(50), "Ängsta / Bildning / A") | {99: "Ängsta / Vård"}
    [found] = departments("hr", read(before), read(came), BANDS)
    assert found.stay["employments"].is_empty()


def test_what_rules_ask_of_a_person_decides() -> None:
    rules = catalogue({"when": {"person_kind": "student"}}, {"when": {"person_status": "active"}})
    found = decisive(rules, keys=["employee_number"], fingerprint=[], targets=["id", "mail"])
    assert ("persons", "kind") in found.attributes
    assert ("persons", "status") in found.attributes
    assert ("persons", "mail") in found.attributes
    assert ("persons", "id") not in found.attributes
    assert not [name for kind, name in found.attributes if kind == "employments"]
