"""What goes since an order has ended one employment: that is confirmed, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from idsync.mapping.ending import TIED
from idsync.mapping.rules import Desired
from idsync.plan.given import Orders, TargetPlan

SUSPENDS = pl.col("value_after").eq_missing("suspended")
"""Of a cardholder or a credential."""


def confirmed_ends(plan: TargetPlan, desired: Desired, orders: Orders) -> TargetPlan:
    """Return *plan* with `confirmed` set on what an order takes by ending an employment.

    Until the target has shown once that it is gone, that is every right somebody loses which
    the rules do not tie to another employment of theirs. They are suspended by the order
    where everything that they lose goes by it; else the brake looks at that as at the rest.
    """
    open_ = _open(plan.target.name, orders)
    if open_.is_empty():
        return plan
    mine = pl.col("person_id").is_in(open_["person_id"].implode())
    lost = mine & (pl.col("part") == "grant") & (pl.col("effect") == "losing")
    elsewhere = pl.struct(*TIED).is_in(desired.elsewhere.select(*TIED).to_struct().implode())
    doubtful = plan.items.filter(lost & elsewhere)["key"].unique()
    by_order = (lost & ~elsewhere) | (mine & SUSPENDS & ~pl.col("key").is_in(doubtful.implode()))
    return replace(plan, items=plan.items.with_columns(confirmed=pl.col("confirmed") | by_order))


def with_ends_told(plan: TargetPlan, orders: Orders) -> TargetPlan:
    """Return *plan* with the order as the reason of what is confirmed by ending an employment."""
    open_ = _open(plan.target.name, orders)
    if open_.is_empty():
        return plan
    whole = pl.col("person_id").is_in(orders.revoked["person_id"].implode())
    told = plan.items.join(
        open_.rename({"because": "order"}), on="person_id", how="left", maintain_order="left"
    )
    by_order = pl.col("confirmed") & ~whole & pl.col("order").is_not_null()
    because = pl.when(by_order).then("order").otherwise("because")
    return replace(plan, items=told.with_columns(because=because).select(plan.items.columns))


def _open(target: str, orders: Orders) -> pl.DataFrame:
    """person_id, because: whose end of an employment *target* has not shown to be done yet."""
    if orders.ended.is_empty():
        return orders.ended.select("person_id", "because")
    done = orders.done.filter(pl.col("target") == target)
    left = orders.ended.join(done, on="because", how="anti")
    return left.group_by("person_id").agg(pl.col("because").min())
