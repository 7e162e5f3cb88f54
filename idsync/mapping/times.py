"""Instants as the rules count them: microseconds since 1970, and whole local days away.

The ends of the scale stand for "always" and "never ends".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

ALWAYS = -(2**62)
NEVER = 2**62
INSTANT = pl.Datetime("us", "UTC")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(instant: datetime) -> int:
    """Return *instant* as microseconds since 1970."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def micro(name: str, unbounded: int) -> pl.Expr:
    """The instant in column *name* as microseconds; *unbounded* where there is none."""
    return pl.col(name).to_physical().fill_null(unbounded)


def shifted(name: str, days: int, zone: ZoneInfo, unbounded: int) -> pl.Expr:
    """The instant *days* local calendar days away: midnight stays midnight over clock changes."""
    if days == 0:
        return micro(name, unbounded)
    local = pl.col(name).dt.convert_time_zone(zone.key).dt.offset_by(f"{days}d")
    return local.dt.convert_time_zone("UTC").to_physical().fill_null(unbounded)


def days_later(instant: pl.Expr, days: int, zone: ZoneInfo) -> pl.Expr:
    """*instant* and *days* local days; an unbounded begin has had its grace long ago."""
    if days == 0:
        return pl.lit(ALWAYS)
    bounded = pl.when(instant > ALWAYS).then(instant)
    local = bounded.cast(INSTANT).dt.convert_time_zone(zone.key).dt.offset_by(f"{days}d")
    return local.dt.convert_time_zone("UTC").to_physical().fill_null(ALWAYS)


def by_switch(switch: str, prefix: str, values: Sequence[int]) -> pl.Expr:
    """The column `PREFIX_VALUE` for the value that stands in column *switch*."""
    if not values:
        return pl.lit(ALWAYS)  # of no rows
    first, *rest = values
    chosen = pl.col(f"{prefix}_{first}")
    for value in rest:
        chosen = pl.when(pl.col(switch) == value).then(f"{prefix}_{value}").otherwise(chosen)
    return chosen


def moved(instants: pl.Series, columns: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Return *columns*, expressions over the column `instant`, row by row of *instants*.

    Each distinct instant is reckoned once: days begin at few instants, and people are many.
    """
    values = instants.alias("instant").to_frame()
    told = values.unique().with_columns(**columns)
    joined = values.join(told, on="instant", how="left", nulls_equal=True, maintain_order="left")
    return joined.select(list(columns))
