"""The difference, held against the simplest model there is: sets of tuples."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idsync.plan.difference import Difference, classify, difference

Row = tuple[Any, ...]

SCHEMA = pl.Schema(
    {
        "target": pl.String(),
        "key": pl.String(),
        "level": pl.Int64(),
        "valid_from": pl.Datetime("us", "UTC"),
        "valid_to": pl.Datetime("us", "UTC"),
        "primary": pl.Boolean(),
    }
)
KEY = ["target", "key"]

# Few values, so that rows often meet; among them those that are easily taken for each other.
words = st.sampled_from(["", "null", "å", "a\u030a", "Öst", "ost", "0", "\x00", "𝄞"]) | st.text(
    max_size=14
)
numbers = st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)])
instants = st.sampled_from(
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 0, 0, 1, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
    ]
)
rows = st.tuples(
    st.none() | words,
    st.none() | words,
    st.none() | numbers,
    st.none() | instants,
    st.none() | instants,
    st.none() | st.booleans(),
)
sides = st.lists(rows, max_size=12)
seeds = st.integers(-(2**70), 2**70)


@st.composite
def overlapping(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Two sides that share rows, duplicates included."""
    shared, desired, actual = draw(sides), draw(sides), draw(sides)
    return draw(st.permutations(shared + desired)), draw(st.permutations(shared + actual))


def frame(side: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(side, schema=SCHEMA, orient="row")


def both(desired: list[Row], actual: list[Row], seed: int = 0) -> Difference:
    return difference(frame(desired), frame(actual), seed=seed)


def applied(changes: pl.DataFrame, actual: set[Row], columns: list[str]) -> set[Row]:
    """Carry the changes out on *actual*, and insist that each is possible when its turn comes."""
    result = set(actual)
    old = [name if name in KEY else name + "_before" for name in columns]
    for change in changes.sort("action", descending=True).iter_rows(named=True):
        if change["action"] in ("update", "delete"):
            result.remove(tuple(change[name] for name in old))
    for change in changes.iter_rows(named=True):
        if change["action"] in ("update", "create"):
            row = tuple(change[name] for name in columns)
            assert row not in result
            result.add(row)
    return result


# ── the difference ──────────────────────────────────────────────────────────────────────


@given(overlapping(), seeds)
def test_the_difference_is_the_difference_of_two_sets(
    pair: tuple[list[Row], list[Row]], seed: int
) -> None:
    desired, actual = pair
    found = both(desired, actual, seed)
    assert set(found.missing.rows()) == set(desired) - set(actual)
    assert set(found.extra.rows()) == set(actual) - set(desired)


@given(overlapping())
def test_a_row_that_differs_is_returned_once(pair: tuple[list[Row], list[Row]]) -> None:
    desired, actual = pair
    found = both(desired, actual)
    assert found.missing.height == len(set(desired) - set(actual))
    assert found.extra.height == len(set(actual) - set(desired))


@given(sides, st.randoms(use_true_random=False))
def test_equal_tables_have_no_difference_in_whatever_order_their_rows_stand(
    side: list[Row], chance: random.Random
) -> None:
    shuffled = side + side[: len(side) // 2]
    chance.shuffle(shuffled)
    found = both(side, shuffled)
    assert found.missing.is_empty()
    assert found.extra.is_empty()


@given(overlapping(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(
    pair: tuple[list[Row], list[Row]], chance: random.Random
) -> None:
    desired, actual = pair
    first = classify(both(desired, actual), KEY)
    chance.shuffle(desired)
    chance.shuffle(actual)
    second = classify(both(desired, actual), KEY)
    assert set(first.rows()) == set(second.rows())
    assert first.height == second.height


@given(overlapping(), st.permutations(SCHEMA.names()))
def test_the_order_of_columns_does_not_matter(
    pair: tuple[list[Row], list[Row]], order: list[str]
) -> None:
    desired, actual = frame(pair[0]), frame(pair[1])
    plain = difference(desired, actual)
    turned = difference(desired, actual.select(order))
    assert turned.missing.equals(plain.missing)
    assert turned.extra.equals(plain.extra)
    other_way = difference(desired.select(order), actual)
    assert other_way.missing.columns == other_way.extra.columns == order
    assert other_way.missing.select(SCHEMA.names()).equals(plain.missing)


@given(overlapping(), seeds)
def test_the_seed_and_the_order_of_the_sides_do_not_change_the_answer(
    pair: tuple[list[Row], list[Row]], seed: int
) -> None:
    forward, backward = both(*pair, seed=0), both(pair[1], pair[0], seed)
    assert backward.extra.equals(forward.missing)
    assert backward.missing.equals(forward.extra)


def test_the_rows_returned_keep_the_order_of_their_table() -> None:
    desired = pl.DataFrame({"a": list(range(50_000, 0, -1))})
    actual = pl.DataFrame({"a": list(range(1, 50_001, 2))})
    assert difference(desired, actual).missing["a"].to_list() == list(range(50_000, 0, -2))


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1, 2**64, -1])
def test_null_equals_null_and_no_value(seed: int) -> None:
    columns = {"text": pl.String, "number": pl.Int64, "flag": pl.Boolean}
    nulls = pl.DataFrame({name: [None] for name in columns}, schema=columns)
    values = pl.DataFrame({"text": [""], "number": [0], "flag": [False]}, schema=columns)
    assert difference(nulls, nulls, seed=seed).missing.is_empty()
    for name in columns:
        one_value = nulls.with_columns(values[name])
        assert difference(nulls, one_value, seed=seed).missing.height == 1
        assert difference(nulls, one_value, seed=seed).extra.height == 1


def test_values_that_trade_places_are_a_difference() -> None:
    columns = {"first": pl.String, "second": pl.String}
    for here, there in [("a", "b"), ("a", None), (None, ""), ("aa", "a")]:
        desired = pl.DataFrame({"first": [here], "second": [there]}, schema=columns)
        actual = pl.DataFrame({"first": [there], "second": [here]}, schema=columns)
        assert difference(desired, actual).missing.height == 1


def test_equal_values_in_a_row_do_not_cancel_each_other_out() -> None:
    desired = pl.DataFrame({"first": ["a", "b"], "second": ["a", "b"]})
    actual = pl.DataFrame({"first": ["a"], "second": ["a"]})
    assert difference(desired, actual).missing.rows() == [("b", "b")]


def test_among_many_rows_that_look_alike_not_one_is_overlooked() -> None:
    grid = pl.select(pl.int_range(400).alias("first")).join(
        pl.select(pl.int_range(400).alias("second")), how="cross"
    )
    beyond = grid.select(pl.col("first") + 400, "second")
    found = difference(pl.concat([grid, beyond]), grid)
    assert found.missing.equals(beyond)
    assert found.extra.is_empty()


def test_a_column_may_have_any_name() -> None:
    table = pl.DataFrame({"digest": [1, 2], "digest_": [3, 4], "": [5, 6]})
    found = difference(table, table.head(1))
    assert found.missing.equals(table.tail(1))


def test_named_values_compare_by_name_and_not_by_code() -> None:
    words = ["schools", "library", None]
    desired = pl.Series("target", words, dtype=pl.Categorical).to_frame()
    actual = pl.Series("target", words[::-1], dtype=pl.Categorical).to_frame()
    assert difference(desired, actual).missing.is_empty()


def test_empty_tables_and_tables_without_columns_are_compared() -> None:
    nothing, something = frame([]), frame([("cityhall", "1", 1, None, None, True)])
    assert difference(something, nothing).missing.equals(something)
    assert difference(nothing, something).extra.equals(something)
    assert difference(nothing, nothing).missing.schema == SCHEMA
    assert difference(pl.DataFrame(), pl.DataFrame()).missing.is_empty()


def test_the_tables_given_are_not_changed() -> None:
    desired, actual = frame([("a", "b", 1, None, None, None)]), frame([])
    copies = desired.clone(), actual.clone()
    classify(difference(desired, actual), KEY)
    assert desired.equals(copies[0])
    assert actual.equals(copies[1])


def test_other_types_are_refused_by_name() -> None:
    desired = pl.DataFrame({"key": ["1"], "level": [1]})
    actual = pl.DataFrame({"key": [1], "level": [1]})
    with pytest.raises(ValueError, match="key is String in desired and Int64 in actual") as caught:
        difference(desired, actual)
    assert "level" not in str(caught.value)


def test_another_time_zone_is_another_type() -> None:
    utc = pl.DataFrame(schema={"valid_to": pl.Datetime("us", "UTC")})
    local = pl.DataFrame(schema={"valid_to": pl.Datetime("us", "Europe/Stockholm")})
    with pytest.raises(ValueError, match="valid_to"):
        difference(utc, local)


def test_other_columns_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"kind is only in desired; begin is only in actual"):
        difference(pl.DataFrame({"kind": [1]}), pl.DataFrame({"begin": [1]}))


# ── the changes ─────────────────────────────────────────────────────────────────────────


@given(overlapping())
@settings(max_examples=200)
def test_applying_the_changes_to_actual_gives_desired(pair: tuple[list[Row], list[Row]]) -> None:
    desired, actual = pair
    changes = classify(both(desired, actual), KEY)
    assert applied(changes, set(actual), SCHEMA.names()) == set(desired)


@given(overlapping())
def test_a_change_says_what_it_is_and_nothing_more(pair: tuple[list[Row], list[Row]]) -> None:
    values = [name for name in SCHEMA.names() if name not in KEY]
    changes = classify(both(*pair), KEY)
    assert changes.columns == ["action", *KEY, *values, *(name + "_before" for name in values)]
    assert set(changes["action"]) <= {"create", "update", "delete"}
    new = changes.filter(action="create").select(name + "_before" for name in values)
    gone = changes.filter(action="delete").select(values)
    assert all(value is None for row in new.rows() + gone.rows() for value in row)


def test_one_row_on_each_side_of_a_key_is_an_update() -> None:
    desired = pl.DataFrame({"ref": ["a", "b", None], "level": [1, 2, 3]})
    actual = pl.DataFrame({"ref": ["c", "b", None], "level": [1, 9, 8]})
    changes = classify(difference(desired, actual), ["ref"])
    assert changes.rows() == [
        ("create", "a", 1, None),
        ("update", "b", 2, 9),
        ("update", None, 3, 8),
        ("delete", "c", None, 1),
    ]


def test_a_key_that_stands_twice_is_created_and_deleted() -> None:
    desired = pl.DataFrame({"ref": ["a", "a"], "level": [1, 2]})
    actual = pl.DataFrame({"ref": ["a"], "level": [3]})
    changes = classify(difference(desired, actual), ["ref"])
    assert sorted(changes.rows(), key=str) == [
        ("create", "a", 1, None),
        ("create", "a", 2, None),
        ("delete", "a", None, 3),
    ]


def test_only_rows_that_differ_make_a_key_stand_twice() -> None:
    desired = pl.DataFrame({"ref": ["a", "a"], "level": [1, 2]})
    actual = pl.DataFrame({"ref": ["a", "a"], "level": [1, 3]})
    changes = classify(difference(desired, actual), ["ref"])
    assert changes.rows() == [("update", "a", 2, 3)]


def test_a_key_of_all_columns_gives_no_updates() -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    desired = pl.DataFrame({"ref": ["a"], "begin": [begin]})
    actual = pl.DataFrame({"ref": ["a"], "begin": [begin + timedelta(days=7)]})
    changes = classify(difference(desired, actual), ["ref", "begin"])
    assert changes["action"].to_list() == ["create", "delete"]
    assert changes.columns == ["action", "ref", "begin"]


def test_no_difference_is_no_change_and_still_a_whole_table() -> None:
    changes = classify(both([], []), KEY)
    assert changes.is_empty()
    assert changes.schema["valid_to_before"] == pl.Datetime("us", "UTC")


@pytest.mark.parametrize(
    ("columns", "key", "words"),
    [
        (["ref", "level"], [], "at least one column"),
        (["ref", "level"], ["reff"], "reff"),
        (["ref", "action"], ["ref"], "action"),
        (["ref", "level", "level_before"], ["ref"], "level_before"),
    ],
)
def test_a_key_or_a_name_that_cannot_be_used_is_refused(
    columns: list[str], key: list[str], words: str
) -> None:
    empty = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    with pytest.raises(ValueError, match=words):
        classify(difference(empty, empty), key)


# ── over some of the columns ────────────────────────────────────────────────────────────


@given(overlapping(), seeds)
def test_over_some_columns_rows_differ_only_by_those(
    pair: tuple[list[Row], list[Row]], seed: int
) -> None:
    desired, actual = pair
    width = len(KEY)
    found = difference(
        frame(desired).rename({"primary": "ours"}),
        frame(actual).rename({"level": "theirs"}),
        on=KEY,
        seed=seed,
    )
    held = {row[:width] for row in actual}
    wanted = {row[:width] for row in desired}
    assert found.missing.rows() == [row for row in desired if row[:width] not in held]
    assert found.extra.rows() == [row for row in actual if row[:width] not in wanted]


def test_over_some_columns_only_those_need_the_same_types() -> None:
    desired = pl.DataFrame({"key": ["1"], "level": [1]})
    actual = pl.DataFrame({"key": ["1"], "level": ["1"]})
    assert difference(desired, actual, on=["key"]).missing.is_empty()
    with pytest.raises(ValueError, match="level is Int64 in desired and String in actual"):
        difference(desired, actual, on=["key", "level"])
