"""Records that still carry an old number of somebody whom HR has given a new one.

The directory and the training system follow days later, or never. Until they do, their
records share no number with anybody; but each has a key of its own by which it is known.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

AWAY = pl.Schema({"source": pl.String(), "key": pl.String()})
NOBODY = pl.DataFrame(schema=AWAY)
IN_PLACE_OF = "new, with the number of somebody who is missing: it waits until that is settled"


def followed(
    records: pl.DataFrame, *, keys: Sequence[str], fingerprint: Sequence[str]
) -> pl.DataFrame:
    """Return *records* with those that match nobody any longer given to whom they were of.

    Only where that person is there, and nothing says that the record is of somebody else by
    now: a record that is keyed by a number itself needs a fingerprint besides, since numbers
    are given again. What such a record says of numbers is old, and is left out.
    """
    here = records.filter(pl.col("reason").is_null())["id"].drop_nulls().unique()
    numbered = _numbered(keys)
    faced = pl.any_horizontal(
        pl.lit(False), *(pl.col(name).fill_null("") != "" for name in fingerprint)
    )
    follows = (
        (pl.col("reason") == "unmatched")
        & pl.col("linked").is_in(here.implode())
        & ~pl.col("reused")
        & (~numbered | faced)
    ).fill_null(False)
    found = records.select(follows).to_series()
    if not found.any():
        return records
    late = pl.lit(found)
    return records.with_columns(
        reason=pl.when(~late).then("reason"),
        id=pl.when(late).then("linked").otherwise("id"),
        **{name: pl.when(~late).then(name) for name in keys},
    )


def kept_apart(
    records: pl.DataFrame,
    faces: pl.DataFrame,
    *,
    keys: Sequence[str],
    fingerprint: Sequence[str],
    anchors: Sequence[str],
) -> pl.DataFrame:
    """Return *records* without those of a predecessor: matched by a number that was given again.

    Who has the number now has another fingerprint (*faces*: `persons_before`) than the person
    of whom such a record was. A record that is keyed by a number goes with the number.
    """
    before = faces.select(linked="id", **{f"{name}_before": name for name in fingerprint})
    compared = records.join(before, on="linked", how="left", maintain_order="left")
    strange = [_told(name).min().over("label") != _told(f"{name}_before") for name in fingerprint]
    others = (
        pl.col("reason").is_null()
        & (pl.col("linked") != pl.col("id"))
        & ~pl.col("source").is_in(list(anchors))
        & ~_numbered(keys)
        & pl.any_horizontal(pl.lit(False), *(one.fill_null(False) for one in strange))
    ).fill_null(False)
    found = compared.select(others).to_series()
    if not found.any():
        return records
    apart = pl.lit(found)
    return records.with_columns(
        reason=pl.when(apart).then(pl.lit("unmatched")).otherwise("reason"),
        id=pl.when(~apart).then("id"),
    )


def set_aside_in_place_of(
    records: pl.DataFrame, away: pl.DataFrame, *, anchors: Sequence[str]
) -> pl.DataFrame:
    """Return *records* with new ones set aside that share a number with somebody missing.

    *away*: source and key of records that a complete read has missed, and that are believed
    until more have. Such a person may have left, and the number may be another's by now:
    a record that was never seen before must not become theirs meanwhile. Whom one of
    *anchors* still tells of is not missing, whatever another source has lost.
    """
    if away.is_empty():
        return records
    known = records.filter(pl.col("linked").is_not_null() & pl.col("source").is_in(list(anchors)))
    missing = known.join(away, on=["source", "key"], how="semi")["label"]
    there = known.join(away, on=["source", "key"], how="anti")["label"]
    new = pl.col("reason").is_null() & pl.col("linked").is_null()
    alone = pl.col("label").is_in(missing.implode()) & ~pl.col("label").is_in(there.implode())
    waits = new & alone
    return records.with_columns(
        reason=pl.when(waits).then(pl.lit(IN_PLACE_OF)).otherwise("reason"),
        id=pl.when(~waits).then("id"),
    )


def not_by_old_reads(
    records: pl.DataFrame, stale: Collection[str], *, fingerprint: Sequence[str]
) -> pl.DataFrame:
    """Return *records* without those that only an old read ties to somebody, for the first time.

    *stale* are sources that were not read now. What such a one said of a number it said before
    HR gave the number to whoever has it today; where no face says that they are the same, the
    record may be of a predecessor, and waits until its source is read again.
    """
    faceless = pl.all_horizontal(
        pl.lit(True), *(pl.col(name).fill_null("") == "" for name in fingerprint)
    )
    anew = pl.col("reason").is_null() & pl.col("linked").is_null() & faceless
    old = records.select(anew & pl.col("source").is_in(sorted(stale))).to_series()
    if not old.any():
        return records
    return records.with_columns(
        reason=pl.when(old).then(pl.lit("unmatched")).otherwise("reason"),
        id=pl.when(~old).then("id"),
    )


def _numbered(keys: Sequence[str]) -> pl.Expr:
    return pl.any_horizontal((pl.col("key") == pl.col(name)).fill_null(False) for name in keys)


def _told(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != "").then(name)
