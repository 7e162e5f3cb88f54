"""Who was believed and is not in what came now: absence, counted in complete reads. Pure.

A record that is missing is not yet gone. It is carried on as it was last known, with
the number of complete reads that have missed it, until they are enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import polars as pl

from idsync.model import Kind

Tables: TypeAlias = Mapping[Kind, pl.DataFrame]
"""What a source says, by kind of record."""

IDENTITY: dict[Kind, tuple[str, ...]] = {
    "persons": ("key",),
    "employments": ("key",),
    "trainings": ("person_key", "course_id"),
    "memberships": ("person_key", "role"),
}
"""By what a record of each kind is known again in the next read."""

INSTANT = pl.Datetime("us", "UTC")
COUNT = pl.Schema({"missed": pl.Int64(), "since": INSTANT})
"""What is known of an absence beside the record: complete reads without it, and since when."""

ANNOUNCED = pl.Schema(
    {
        "person_id": pl.String(),
        "employment": pl.String(),
        "valid_to": INSTANT,
        "reads_seen": pl.Int64(),
    }
)
"""Ends that the sources announce, and how many complete reads in a row have said the same."""


def owner(kind: Kind) -> str:
    """Return the column that names the person of a record of *kind*."""
    return "key" if kind == "persons" else "person_key"


def present(believed: Tables, absent: Tables) -> dict[Kind, pl.DataFrame]:
    """Return what was in the last accepted read: what is believed without what it missed."""
    return {
        kind: without(table, absent[kind].filter(pl.col("missed") > 0), kind)
        if kind in absent
        else table
        for kind, table in believed.items()
    }


def without(table: pl.DataFrame, gone: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """Return *table* without the records that *gone* names."""
    if gone.is_empty():
        return table
    return table.join(gone, on=list(IDENTITY[kind]), how="anti", maintain_order="left")


def gone_from(believed: Tables, absent: Tables, came: Tables) -> dict[Kind, pl.DataFrame]:
    """Return the records that are believed and did not come, with the absence so far."""
    gone = {}
    for kind, table in believed.items():
        name = list(IDENTITY[kind])
        missing = without(table, came[kind].select(name), kind) if kind in came else table
        if kind in absent:
            counted = absent[kind].select(*name, *COUNT).unique(name)
            missing = missing.join(counted, on=name, how="left", maintain_order="left")
        else:
            missing = missing.with_columns(
                pl.lit(None, type_).alias(n) for n, type_ in COUNT.items()
            )
        gone[kind] = missing.with_columns(pl.col("missed").fill_null(0))
    return gone


def replaced(gone: pl.DataFrame, came: pl.DataFrame, keys: Sequence[str]) -> pl.Series:
    """Return the keys of persons who are gone and whose number now stands on another record.

    That is no absence: the source says whose the number is.
    """
    taken = [
        gone.filter(pl.col(name).fill_null("") != "").join(came.select(name), on=name, how="semi")[
            "key"
        ]
        for name in keys
    ]
    return pl.concat([gone["key"].clear(), *taken]).unique()


def counted(gone: pl.DataFrame, now: datetime, *, again: bool) -> pl.DataFrame:
    """Return *gone* after one read more; *again*: the same delivery, which is no other read."""
    step = pl.when(pl.lit(again) & (pl.col("missed") > 0)).then(0).otherwise(1)
    return gone.with_columns(
        missed=pl.col("missed") + step,
        since=pl.col("since").fill_null(pl.lit(now).cast(INSTANT)),
    )


def with_their_persons(gone: Tables, chosen: Tables) -> dict[Kind, pl.DataFrame]:
    """Return *chosen*, rows of *gone*, with the persons records that they lean on."""
    named = [rows.select(key=owner(kind)) for kind, rows in chosen.items()]
    if "persons" not in gone or not named:
        return dict(chosen)
    persons = gone["persons"].join(pl.concat(named), on="key", how="semi", maintain_order="left")
    return {**chosen, "persons": persons}


# ── announced ends ──────────────────────────────────────────────────────────────────────


def announced_ends(
    before: pl.DataFrame, employments: pl.DataFrame, counts: Mapping[str, bool], now: datetime
) -> pl.DataFrame:
    """Return ANNOUNCED after a run: a read more for each end that is told again unchanged.

    Only a read before the end announces it. What is told when it is past, however often,
    was never announced: a fault of HR's does not grow true by being repeated.

    *before* is what it was after the run before, *employments* are believed now. *counts*
    says of each source whether it was read again, complete and with another delivery: the
    ends of the others keep their count. An end that is told for another day begins anew.
    """
    told = employments.filter(pl.col("valid_to").is_not_null()).select(
        "person_id", "valid_to", employment="id"
    )
    known = told.join(
        before.select("person_id", "employment", "valid_to", "reads_seen"),
        on=["person_id", "employment", "valid_to"], how="left", maintain_order="left",
    )  # fmt: skip
    source = pl.col("employment").str.split_exact(":", 1).struct.field("field_0")
    another = source.is_in([name for name, read in counts.items() if read])
    ahead = pl.col("valid_to") > pl.lit(now, INSTANT)
    seen = pl.col("reads_seen")
    return known.with_columns(
        reads_seen=pl.when(another & ahead)
        .then(seen.fill_null(0) + 1)
        .otherwise(seen.fill_null(pl.when(ahead).then(1).otherwise(0)))
    ).select(*ANNOUNCED)
