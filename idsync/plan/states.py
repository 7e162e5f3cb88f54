"""Suspending and giving back: the status of cardholders and the states of their credentials."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from idsync.plan.holdings import Holdings
from idsync.plan.items import items


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Whose cards shall change: `leaving` and `coming` have key, person, person_id.

    opening: persons (rows) who can open something now. confirmed: persons who are revoked.
    """

    leaving: pl.DataFrame
    coming: pl.DataFrame
    opening: pl.Series
    confirmed: pl.Series


def state_items(
    target: str, holdings: Holdings, ledger: pl.DataFrame, moves: Moves, *, credentials: bool
) -> list[pl.DataFrame]:
    """Return the items that suspend who leaves, and give back what idsync itself had taken.

    With *credentials* the states of cards are changed too, not only that of the cardholder.
    """
    # where two records carry one key, the active one counts: "active" sorts first
    holders = holdings.cardholders.filter(pl.col("key").is_not_null()).select("key", "status")
    if holders["key"].is_duplicated().any():
        holders = holders.sort("key", "status").unique("key", keep="first", maintain_order=True)
    states = {
        "status": holders.select("key", kind=pl.lit(""), ref=pl.lit("status"), state="status")
    }
    if credentials:
        cards = holdings.credentials.filter(pl.col("key").is_not_null()).sort(
            "key", "number", "state"
        )
        states["credential"] = cards.unique(
            ["key", "number"], keep="first", maintain_order=True
        ).select(
            "key", kind="medium", ref=pl.concat_str(pl.lit("credential:"), "number"), state="state"
        )
    taken = ledger.filter(pl.col("kind") == "block").select("key", "ref")
    return [_moved(target, part, table, taken, moves) for part, table in states.items()]


def _moved(
    target: str, part: str, states: pl.DataFrame, taken: pl.DataFrame, moves: Moves
) -> pl.DataFrame:
    person = ["key", "person", "person_id"]
    opens = pl.col("person").is_in(moves.opening.implode())
    off = (
        states.filter(pl.col("state") == "active")
        .join(moves.leaving.select(person), on="key")
        .with_columns(
            value_after=pl.lit("suspended"),
            # a card that opens nothing loses nothing
            effect=pl.when(opens).then(pl.lit("losing")).otherwise(pl.lit("neutral")),
        )
    )
    on = (
        states.filter(pl.col("state") == "suspended")
        .join(taken, on=["key", "ref"], how="semi")
        .join(moves.coming.select(person), on="key")
        .with_columns(value_after=pl.lit("active"), effect=pl.lit("gaining"))
    )
    named = pl.concat([off, on]).select(
        "person_id", "key", "kind", "effect", "value_after",
        ref=pl.col("ref").str.strip_prefix("credential:"), value_before="state",
        confirmed=pl.col("person").is_in(moves.confirmed.implode()),
    )  # fmt: skip
    return items(named, target=target, part=part, was=True, shall=True, creates=False, because="")
