"""Windows of access that touch are one; a gap between them is never bridged."""

from __future__ import annotations

import polars as pl


def union_of_shared(grants: pl.DataFrame, spelled: pl.DataFrame) -> pl.DataFrame:
    """Unite what two profiles give; a right of one profile alone is one row a person already."""
    shared = spelled.filter(pl.col("right").is_duplicated())["right"].unique()
    if shared.is_empty():
        return first_block(grants)
    mixed = pl.col("right").is_in(shared.implode())
    # a later block of one profile may touch a block of another: all of them are united
    return pl.concat(
        [first_block(grants.filter(~mixed)), first_block(blocks_of(grants.filter(mixed), "right"))]
    )


def first_block(blocks: pl.DataFrame) -> pl.DataFrame:
    """Return the earliest block of each person and right.

    Windows that are over have been left out before, so the earliest block is the one in
    force now, if any is. A gap is never bridged: nobody opens doors between two jobs.
    """
    return blocks.filter(pl.col("block") == 0).drop("block")


def blocks_of(windows: pl.DataFrame, what: str) -> pl.DataFrame:
    """Return windows that touch as one; `block` numbers those of one person and *what*."""
    columns = ["person", what, "valid_from", "valid_to"]
    windows = windows.select(columns)
    pair = (pl.col("person").cast(pl.UInt64) * 2**32 + pl.col(what)).alias("pair")
    pairs = windows.select(pair).to_series()
    many = pairs.is_duplicated()
    first = pl.lit(0, pl.UInt32).alias("block")
    alone = windows.filter(~many).with_columns(first)
    if alone.height == windows.height:
        return alone
    several = windows.filter(many).with_columns(pairs.filter(many))
    # most often there are two, and they touch: then nothing need be put in order
    spans = several.group_by("pair").agg(
        pl.col("person", what).first(),
        pl.col("valid_from").min(),
        pl.col("valid_to").max(),
        last_begin=pl.col("valid_from").max(),
        first_end=pl.col("valid_to").min(),
        count=pl.len(),
    )
    touching = (pl.col("count") == 2) & (pl.col("last_begin") <= pl.col("first_end"))
    united = spans.filter(touching).select(*columns, first)
    scattered = several.join(spans.filter(~touching), on="pair", how="semi")
    return pl.concat([alone, united, _in_order(scattered, what).select(alone.columns)])


def _in_order(windows: pl.DataFrame, what: str) -> pl.DataFrame:
    """Unite windows one after the other, however many a person has."""
    reached = pl.col("valid_to").cum_max().over("pair")
    return (
        windows.sort("pair", "valid_from")
        .with_columns(reached=reached)
        .with_columns(
            gap=(pl.col("valid_from") > pl.col("reached").shift(1).over("pair")).fill_null(False)
        )
        .with_columns(block=pl.col("gap").cast(pl.UInt32).cum_sum().over("pair"))
        .group_by("person", what, "block", maintain_order=True)
        .agg(pl.col("valid_from").min(), pl.col("valid_to").max())
    )
