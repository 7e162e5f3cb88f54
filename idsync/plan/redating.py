"""Grants that come, go and get other dates: which item each becomes, and what it does to doors."""

from __future__ import annotations

import polars as pl

from idsync.mapping.times import ALWAYS, NEVER
from idsync.plan.items import INSTANT, ITEMS, items

RIGHT = ["person", "kind", "ref"]


def beside_others(
    missing: pl.DataFrame, others: pl.DataFrame, *, instant: int, one_per_right: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return *missing* without what grants made by others give, and RIGHT that they block.

    With *one_per_right* a grant of another time stands in the way: it is not idsync's to
    replace. Grants are person, kind, ref, begin, end; *instant* in microseconds.
    """
    if missing.is_empty() or others.is_empty():
        return missing, missing.select(RIGHT).clear()
    lasting = others.filter(_lasts(instant))
    covered = covering(missing, lasting)
    open_ = missing.join(covered, on=RIGHT, how="anti")
    blocked = open_.select(RIGHT).head(0)
    if one_per_right:
        blocked = open_.join(lasting, on=RIGHT, how="semi").select(RIGHT).unique()
        open_ = open_.join(blocked, on=RIGHT, how="anti")
    return open_, blocked


def beside_kept(
    missing: pl.DataFrame, mine: pl.DataFrame, kept: pl.DataFrame, *, instant: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return *missing* and *mine* as far as anybody can decide them.

    *kept* names rights that may be somebody's or not: own grants of them stay as they are,
    or are prolonged by what is certain, and are never shortened or doubled. What is over
    at *instant* is over, whoever it may be for.
    """
    if kept.is_empty():
        return missing, mine
    undecided = mine.filter(_lasts(instant)).join(kept, on=RIGHT, how="semi")
    prolonged = covering(undecided, missing)
    staying = undecided.join(prolonged, on=RIGHT, how="anti")
    free = (
        mine.filter(~_lasts(instant)),
        mine.filter(_lasts(instant)).join(staying, on=RIGHT, how="anti"),
    )
    return missing.join(staying, on=RIGHT, how="anti"), pl.concat(free)


def covering(grants: pl.DataFrame, wider: pl.DataFrame) -> pl.DataFrame:
    """Return RIGHT of *grants* each of whose grants lies within one of *wider*."""
    if grants.is_empty() or wider.is_empty():
        return grants.select(RIGHT).clear()
    spans = wider.select(*RIGHT, wide_begin=_begin("begin"), wide_end=_end("end"))
    met = grants.with_row_index("grant").join(spans, on=RIGHT, how="left")
    within = (pl.col("wide_begin") <= _begin("begin")) & (pl.col("wide_end") >= _end("end"))
    each = met.group_by("grant", *RIGHT).agg(within=within.fill_null(False).any())
    return each.group_by(RIGHT).agg(pl.col("within").all()).filter("within").select(RIGHT)


def grant_items(
    target: str,
    missing: pl.DataFrame,
    mine: pl.DataFrame,
    keys: pl.DataFrame,
    *,
    revoked: pl.Series,
    instant: int,
) -> pl.DataFrame:
    """Return the items that remove *mine*, add *missing*, and re-date what is in both."""
    if missing.is_empty() and mine.is_empty():
        return pl.DataFrame(schema=ITEMS)
    # one right once: the first of several own grants of one right becomes the new one
    first = pl.int_range(pl.len()).over(RIGHT)
    paired = mine.sort(*RIGHT, "begin", "end").with_columns(nth=first, was=pl.lit(True)).join(
        missing.with_columns(nth=pl.lit(0, pl.Int64), shall=pl.lit(True)),
        on=[*RIGHT, "nth"], how="full", coalesce=True, suffix="_after",
    )  # fmt: skip
    paired = paired.with_columns(pl.col("was", "shall").fill_null(False)).drop("key")
    rows = paired.join(keys.select("person", "person_id", "key", "exists"), on="person")
    return items(
        rows.select(
            "person_id", "key", "kind", "ref", "was", "shall",
            from_before=_when("was", "valid_from"),
            to_before=_when("was", "end"),
            from_after=_when("shall", "valid_from_after"),
            to_after=_when("shall", "end_after"),
            effect=_effect(instant),
            confirmed=pl.col("person").is_in(revoked.implode()),
            creates=~pl.col("exists"),
        ),
        target=target, part="grant", because="",
    )  # fmt: skip


def _effect(instant: int) -> pl.Expr:
    """What an item does to opening doors; what shortens and prolongs at once counts as losing."""
    over = pl.col("end").is_not_null() & (pl.col("end") <= instant)
    lived = pl.col("was") & ~over
    narrower = (_end("end_after") < _end("end")) | (_begin("begin_after") > _begin("begin"))
    wider = (_end("end_after") > _end("end")) | (_begin("begin_after") < _begin("begin"))
    both = lived & pl.col("shall")
    return (
        pl.when(both & narrower)
        .then(pl.lit("losing"))
        .when(both & wider)
        .then(pl.lit("gaining"))
        .when(both)
        .then(pl.lit("neutral"))
        .when(pl.col("shall"))
        .then(pl.lit("gaining"))
        .when(lived)
        .then(pl.lit("losing"))
        .otherwise(pl.lit("neutral"))
    )


def _lasts(instant: int) -> pl.Expr:
    return _end("end") > instant


def _begin(name: str) -> pl.Expr:
    return pl.col(name).fill_null(ALWAYS)


def _end(name: str) -> pl.Expr:
    return pl.col(name).fill_null(NEVER)


def _when(condition: str, column: str) -> pl.Expr:
    return pl.when(condition).then(column).cast(INSTANT)
