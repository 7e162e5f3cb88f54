"""Grants beside others' grants: what covers, what stands in the way, what a new date does."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from idsync.mapping.times import ALWAYS, NEVER
from idsync.plan.redating import RIGHT, beside_kept, beside_others, covering, grant_items

NOW = 1_000


def spans(*rows: tuple[int, str, int | None, int | None]) -> pl.DataFrame:
    """Grants of persons (by row) to rights, each with begin and end."""
    told = [
        (person, "access", ref, begin, end, begin, f"n{person}") for person, ref, begin, end in rows
    ]
    columns = {
        "person": pl.UInt32(), "kind": pl.String(), "ref": pl.String(), "begin": pl.Int64(),
        "end": pl.Int64(), "valid_from": pl.Int64(), "key": pl.String(),
    }  # fmt: skip
    return pl.DataFrame(told, schema=columns, orient="row")


def rights(found: pl.DataFrame) -> list[tuple[int, str]]:
    return sorted(found.select("person", "ref").iter_rows())


@pytest.mark.parametrize(
    ("grant", "wider", "within"),
    [
        ((5, 10), (5, 10), True),
        ((5, 10), (4, 11), True),
        ((5, 10), (6, 10), False),
        ((5, 10), (5, 9), False),
        ((5, None), (5, None), True),
        ((5, None), (5, 2000), False),
        ((None, 10), (None, 10), True),
        ((None, 10), (5, 10), False),
        ((None, None), (ALWAYS, NEVER), True),
    ],
)
def test_a_grant_is_covered_by_one_that_begins_no_later_and_ends_no_earlier(
    grant: Any, wider: Any, within: bool
) -> None:
    found = covering(spans((1, "A", *grant)), spans((1, "A", *wider), (1, "B", None, None)))
    assert rights(found) == [(1, "A")] * within
    assert found.columns == RIGHT


def test_a_right_is_covered_where_each_of_its_grants_is_and_by_the_same_persons() -> None:
    mine = spans((1, "A", 1, 2), (1, "A", 5, 9), (2, "A", 1, 2), (3, "A", 1, 2))
    wider = spans((1, "A", 1, 2), (2, "A", 8, 9), (2, "A", 1, 2), (4, "A", 0, 9))
    assert rights(covering(mine, wider)) == [(2, "A")]


@pytest.mark.parametrize("one_per_right", [True, False])
def test_others_grants_cover_or_stand_in_the_way_while_they_last(one_per_right: bool) -> None:
    missing = spans((1, "A", 1, None), (2, "A", 1, None), (3, "A", 1, None), (4, "A", 1, None))
    others = spans((1, "A", 1, None), (2, "A", 1, NOW + 1), (3, "A", 1, NOW), (4, "B", 1, None))
    open_, blocked = beside_others(missing, others, instant=NOW, one_per_right=one_per_right)
    assert rights(blocked) == [(2, "A")] * one_per_right
    assert rights(open_) == [(2, "A")] * (not one_per_right) + [(3, "A"), (4, "A")]


def test_what_nobody_can_decide_is_prolonged_and_never_shortened_or_doubled() -> None:
    mine = spans(
        (1, "A", 1, NOW + 5), (2, "A", 1, NOW + 5), (3, "A", 1, NOW), (4, "A", 1, NOW + 5),
        (5, "A", 1, NOW + 5),
    )  # fmt: skip
    missing = spans(
        (1, "A", 1, NOW + 9), (2, "A", 1, NOW + 3), (3, "A", NOW, NOW + 9), (5, "A", 1, NOW + 3)
    )
    kept = spans(*((person, "A", None, None) for person in (1, 2, 3, 4))).select(RIGHT)
    wanted, own = beside_kept(missing, mine, kept, instant=NOW)
    assert rights(wanted) == [(1, "A"), (3, "A"), (5, "A")]
    assert rights(own) == [(1, "A"), (3, "A"), (5, "A")]


KEYS = pl.DataFrame(
    {"person": [1, 2], "person_id": ["id-1", "id-2"], "key": ["n1", "n2"], "exists": [True, False]},
    schema_overrides={"person": pl.UInt32},
)


@pytest.mark.parametrize(
    ("was", "shall", "effect"),
    [
        (None, (1, None), "gaining"),
        ((1, None), None, "losing"),
        ((1, NOW + 1), None, "losing"),
        ((1, NOW), None, "neutral"),  # it is over: nothing opens less
        ((1, NOW), (1, NOW + 9), "gaining"),
        ((1, NOW + 9), (1, NOW + 8), "losing"),
        ((1, NOW + 8), (1, NOW + 9), "gaining"),
        ((1, None), (1, NOW + 9), "losing"),
        ((1, NOW + 9), (1, None), "gaining"),
        ((1, None), (2, None), "losing"),
        ((2, None), (1, None), "gaining"),
        ((None, None), (1, None), "losing"),
        ((1, None), (None, None), "gaining"),
        ((1, NOW + 8), (2, NOW + 9), "losing"),  # shortened and prolonged at once
        ((1, NOW + 8), (1, NOW + 8), "neutral"),
    ],
)
def test_what_a_new_date_does_to_doors(was: Any, shall: Any, effect: str) -> None:
    mine, missing = ([(1, "A", *one)] if one else [] for one in (was, shall))
    (row,) = grant_items(
        "hall", spans(*missing), spans(*mine), KEYS, revoked=pl.Series([2], dtype=pl.UInt32),
        instant=NOW,
    ).to_dicts()  # fmt: skip
    assert row["effect"] == effect
    assert (row["was"], row["shall"]) == (was is not None, shall is not None)
    assert (row["target"], row["part"], row["person_id"], row["key"]) == (
        "hall",
        "grant",
        "id-1",
        "n1",
    )
    assert (row["kind"], row["ref"], row["confirmed"], row["creates"]) == (
        "access",
        "A",
        False,
        False,
    )


def test_of_several_own_grants_of_one_right_the_first_becomes_the_new_one() -> None:
    mine = spans((2, "A", 7, None), (2, "A", 3, None), (2, "A", 3, 5000))
    missing = spans((2, "A", 1, None), (2, "B", 1, None))
    found = grant_items(
        "hall", missing, mine, KEYS, revoked=pl.Series([2], dtype=pl.UInt32), instant=NOW
    )
    told = found.select(
        "ref", pl.col("from_before", "to_before", "from_after", "to_after").to_physical()
    )
    assert sorted(told.rows(), key=str) == [
        ("A", 3, 5000, None, None), ("A", 3, None, 1, None), ("A", 7, None, None, None),
        ("B", None, None, 1, None),
    ]  # fmt: skip
    assert found["confirmed"].all()
    assert found["creates"].all()
