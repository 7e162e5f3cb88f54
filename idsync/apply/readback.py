"""What a target shows afterwards, held against what should have become of it."""

from __future__ import annotations

from typing import Any

import polars as pl

from idsync.model import Cardholder


def achieved(items: pl.DataFrame, shown: Cardholder | None) -> pl.DataFrame:
    """Return those of *items* that stand as they shall in the cardholder as it is shown."""
    return items.filter(
        pl.Series([_stands(row, shown) for row in items.to_dicts()], dtype=pl.Boolean)
    )


def _stands(item: dict[str, Any], shown: Cardholder | None) -> bool:
    if shown is None:
        return item["part"] == "grant" and not item["shall"]
    if item["part"] == "grant":
        held = {(grant.kind, grant.ref, grant.valid_from, grant.valid_to) for grant in shown.grants}
        # an equal grant that somebody gave by hand stays when idsync's own is gone
        ours = {
            (grant.kind, grant.ref, grant.valid_from, grant.valid_to)
            for grant in shown.grants
            if not any(reason.type == "manual" for reason in grant.because)
        }
        right = (item["kind"], item["ref"])
        gone = not item["was"] or (*right, item["from_before"], item["to_before"]) not in ours
        there = not item["shall"] or (*right, item["from_after"], item["to_after"]) in held
        return gone and there
    if item["part"] == "credential":
        card = (item["ref"], item["kind"])
        states = [c.state for c in shown.credentials if (c.number, c.medium) == card]
        return all(state == item["value_after"] for state in states)
    if item["part"] == "again":
        return not shown.amiss
    if item["part"] == "status":
        return bool(shown.status == item["value_after"])
    return bool((getattr(shown, item["ref"]) or "") == item["value_after"])


def left(items: pl.DataFrame, shown: Cardholder | None) -> pl.DataFrame:
    """Return what stands of *items* that went half way, as the ledger has to know it.

    A grant that was to get other dates and shows neither the old ones nor the new is gone.
    """
    stands = achieved(items, shown)
    dated = (pl.col("part") == "grant") & pl.col("was") & pl.col("shall")
    nothing = pl.lit(None, items.schema["to_after"])
    ended = items.filter(dated).with_columns(
        shall=pl.lit(False), from_after=nothing, to_after=nothing
    )
    lost = achieved(ended, shown)
    identity = ["kind", "ref", "from_before", "to_before"]
    lost = lost.join(stands.filter(dated), on=identity, how="anti", nulls_equal=True)
    return pl.concat([stands, lost])


def takes_away(items: pl.DataFrame) -> bool:
    """Return whether the change is one whose success is never taken on the system's word.

    Giving a card back is one too: once it is done, idsync forgets that it had taken it.
    """
    seen = pl.col("part").is_in(["status", "credential", "again"])
    removed = (pl.col("part") == "grant") & pl.col("was")
    return not items.filter(removed | seen).is_empty()


def gives(items: pl.DataFrame) -> bool:
    """Return whether the change opens something that was closed, or may do so again."""
    again = (pl.col("part") == "again") & ~pl.col("confirmed")
    return not items.filter((pl.col("effect") == "gaining") | again).is_empty()
