"""Suspending and giving back: the status of cardholders and the states of their credentials."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from idsync.plan.holdings import Holdings
from idsync.plan.items import items


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Whose cards shall change: `leaving` and `coming` are holder, person, person_id, key.

    `holder` is the row of a record. opening: persons (rows) who can open something now.
    confirmed: persons who are revoked.
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
    taken = ledger.filter(pl.col("kind") == "block").select("key", pl.col("ref").cast(pl.String))
    return [
        _moved(
            target, part,
            _states(part, holdings, moves.leaving),
            _states(part, holdings, moves.coming) if taken.height else None,
            taken, moves,
        )
        for part in (["status", "credential"] if credentials else ["status"])
    ]  # fmt: skip


def _states(part: str, holdings: Holdings, holders: pl.DataFrame) -> pl.DataFrame:
    """kind, ref, state of what *holders* have, with their person, person_id and key."""
    if part == "status":
        states = holders.with_columns(holdings.cardholders["status"].gather(holders["holder"]))
        # where two records carry one key, the active one counts: "active" sorts first
        if states["key"].is_duplicated().any():
            states = states.sort("key", "status").unique("key", keep="first", maintain_order=True)
        return states.select(
            "person", "person_id", "key", kind=pl.lit(""), ref=pl.lit("status"), state="status"
        )
    cards = holdings.credentials.select("holder", "number", "medium", "state")
    cards = cards.join(holders, on="holder")
    return cards.sort("key", "number", "state").unique(
        ["key", "number"], keep="first", maintain_order=True
    ).select(
        "person", "person_id", "key", kind="medium",
        ref=pl.concat_str(pl.lit("credential:"), "number"), state="state",
    )  # fmt: skip


def _moved(
    target: str,
    part: str,
    leaving: pl.DataFrame,
    coming: pl.DataFrame | None,
    taken: pl.DataFrame,
    moves: Moves,
) -> pl.DataFrame:
    opens = pl.col("person").is_in(moves.opening.implode())
    off = leaving.filter(pl.col("state") == "active").with_columns(
        value_after=pl.lit("suspended"),
        # a card that opens nothing loses nothing
        effect=pl.when(opens).then(pl.lit("losing")).otherwise(pl.lit("neutral")),
    )
    parts = [off]
    if coming is not None:  # idsync has suspended something here before
        back = coming.filter(pl.col("state") == "suspended")
        back = back.join(taken, on=["key", "ref"], how="semi")
        parts.append(back.with_columns(value_after=pl.lit("active"), effect=pl.lit("gaining")))
    named = pl.concat(parts).select(
        "person_id", "key", "kind", "effect", "value_after",
        ref=pl.col("ref").str.strip_prefix("credential:"), value_before="state",
        confirmed=pl.col("person").is_in(moves.confirmed.implode()),
    )  # fmt: skip
    return items(named, target=target, part=part, was=True, shall=True, creates=False, because="")
