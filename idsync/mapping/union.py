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
    packed = pl.col("person").cast(pl.UInt64) * 2**32 + pl.col(what)
    many = windows.select(packed.is_duplicated()).to_series()
    single = windows.filter(~many)
    alone = single.with_columns(block=pl.lit(0, pl.UInt32))
    if single.height == windows.height:
        return alone
    blocks = (
        windows.filter(many)
        .sort("person", what, "valid_from")
        .with_columns(reached=pl.col("valid_to").cum_max().over("person", what))
        .with_columns(
            gap=(pl.col("valid_from") > pl.col("reached").shift(1).over("person", what)).fill_null(
                False
            )
        )
        .with_columns(block=pl.col("gap").cast(pl.UInt32).cum_sum().over("person", what))
        .group_by("person", what, "block", maintain_order=True)
        .agg(pl.col("valid_from").min(), pl.col("valid_to").max())
    )
    return pl.concat([alone, blocks.select(alone.columns)])
