"""The ledger follows what is done: what was added is idsync's own, what was removed is not."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from idsync.plan.items import ITEMS, LEDGER, items, merged_ledger
from tests.plan.examples import ENTRE, KITCHEN, LATER, PAST, SOON, grant, owned

Row = dict[str, object]


def done(*rows: Row) -> pl.DataFrame:
    known: Row = {
        "person_id": "id-1", "key": "n1", "part": "grant", "kind": "access", "ref": "ENTRÉ",
        "was": False, "shall": False, "value_after": None, "to_before": None, "to_after": None,
    }  # fmt: skip
    columns = {name: ITEMS[name] for name in known}
    table = pl.DataFrame([{**known, **row} for row in rows], schema=columns)
    return items(table, target="hall", because="x")


def told(ledger: pl.DataFrame) -> list[tuple[object, ...]]:
    columns = ["target", "key", "kind", "ref", "valid_from", "valid_to"]
    return sorted(ledger.select(columns).rows(), key=str)


def test_what_is_added_is_own_and_what_is_removed_is_not() -> None:
    ledger = merged_ledger(owned((1, grant(KITCHEN))), done({"shall": True}))
    assert told(ledger) == told(owned((1, grant(KITCHEN)), (1, grant(ENTRE, None))))
    assert told(merged_ledger(ledger, done({"was": True}))) == told(owned((1, grant(KITCHEN))))


def test_a_redated_grant_is_own_under_its_new_dates_only() -> None:
    ledger = merged_ledger(
        owned((1, grant(ENTRE, None, SOON))),
        done({"was": True, "shall": True, "to_before": SOON, "to_after": LATER}),
    )
    assert told(ledger) == told(owned((1, grant(ENTRE, None, LATER))))


def test_a_removal_takes_the_grant_of_exactly_these_dates() -> None:
    ledger = owned((1, grant(ENTRE, None, SOON)), (2, grant(ENTRE, None)))
    assert told(merged_ledger(ledger, done({"was": True}))) == told(ledger)


def test_what_was_suspended_is_remembered_until_it_is_given_back() -> None:
    rows: list[Row] = [
        {"part": "status", "kind": "", "ref": "status"},
        {"part": "credential", "kind": "card", "ref": "7"},
    ]
    both: Row = {"was": True, "shall": True}
    taken = done(*({**row, **both, "value_after": "suspended"} for row in rows))
    ledger = merged_ledger(pl.DataFrame(schema=LEDGER), taken)
    assert told(ledger) == told(owned((1, "status"), (1, "credential:7")))
    back = done(*({**row, **both, "value_after": "active"} for row in rows))
    assert told(merged_ledger(ledger, back)) == []


def test_names_are_not_in_the_ledger() -> None:
    ledger = owned((1, grant(ENTRE, PAST)))
    name: Row = {"part": "attribute", "ref": "display_name", "shall": True, "was": True}
    assert merged_ledger(ledger, done(name)).equals(ledger)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from([None, SOON, LATER])), max_size=6))
def test_doing_it_twice_equals_once(rows: list[tuple[int, object]]) -> None:
    table = done(*({"key": f"n{key}", "to_after": end, "shall": True} for key, end in rows))
    once = merged_ledger(pl.DataFrame(schema=LEDGER), table)
    assert told(merged_ledger(once, table)) == told(once)
    assert once.height == len(set(rows))


def test_constants_stand_in_every_row_and_the_rest_is_null() -> None:
    table = items(pl.DataFrame({"key": ["a", "b"]}), target="hall", creates=True)
    assert table.schema == ITEMS
    assert table["target"].to_list() == ["hall", "hall"]
    assert table["creates"].all()
    assert table["held"].null_count() == 2
