"""Cardholders that are never written to: the fire brigade's tags, the emergency keys."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from idsync.plan.given import TargetPlan
from idsync.plan.holdings import Holdings
from idsync.plan.recognise import REFUSALS

EXEMPT = "is exempt in this system: nothing is written to it, close it by hand if need be"


def without_exempt(plan: TargetPlan, holdings: Holdings) -> TargetPlan:
    """Return *plan* without anything that touches an exempt cardholder, and say who that is.

    `exempt` of the target names keys of cardholders and numbers of cards; whoever carries
    an exempt card is exempt, since a card opens no more than its holder.
    """
    named = pl.Series(plan.target.exempt, dtype=pl.String)
    if named.is_empty():
        return plan
    carrying = holdings.credentials.filter(pl.col("number").is_in(named.implode()))["key"]
    exempt = pl.concat([named, carrying.drop_nulls()])
    touches = pl.col("key").is_in(exempt.implode())
    told = plan.items.filter(touches).select("person_id", ref=pl.lit(""), reason=pl.lit(EXEMPT))
    refusals = pl.concat([plan.refusals, told.select(*REFUSALS)])
    return replace(
        plan,
        items=plan.items.filter(~touches),
        adopt=plan.adopt.filter(~touches),
        refusals=refusals.unique().sort("person_id", "ref"),
    )
