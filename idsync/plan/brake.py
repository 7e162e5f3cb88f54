"""The brake: holds the doubtful part of a plan for a person to approve, and lets the rest go.

It counts people whose access changes by effect, in each direction, per target and per
controller. Confirmed terminations are never counted and never held. There is no switch
to turn it off: there is approval of one held part, by its digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from idsync.plan.given import TargetPlan
from idsync.plan.items import ITEMS, ORDER

Direction = Literal["losing", "gaining"]

ABSENT = "absent"
"""Stands in `held` for a digest: it waits until more complete reads have missed its person."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How many people may change in one run: the larger of both counts."""

    people: int
    percent: float

    def of(self, base: int) -> int:
        """Return the limit where *base* people hold rights."""
        return max(self.people, int(base * self.percent / 100))


@dataclass(frozen=True, kw_only=True)
class HeldPart:
    """A part of a plan that waits for approval, and why."""

    digest: str
    scope: str  # "target NAME" or "controller NAME"
    direction: Direction | Literal["changing"]  # changing: a part of a source that is doubted
    people: int
    limit: int
    base: int


def brake(
    plans: Sequence[TargetPlan],
    limits: dict[Direction, Limit],
    *,
    config_digest: str,
    approved: Collection[str] = (),
) -> tuple[pl.DataFrame, list[HeldPart], list[str]]:
    """Return all items with `held` set, the held parts, and the approvals that were used.

    An approval names the digest of exactly one part: what was seen, by the configuration
    it was seen under. Another input is another digest, so the approval does not fit.
    """
    items = pl.concat([pl.DataFrame(schema=ITEMS), *(plan.items for plan in plans)])
    held: list[HeldPart] = []
    used: list[str] = []
    for scope, names, base in _scopes(plans):
        for direction, limit in limits.items():
            mine = (
                pl.col("target").is_in(names)
                & (pl.col("effect") == direction)
                & ~pl.col("confirmed")
                & (pl.col("held").is_null() | (pl.col("held") == ABSENT))
            )
            people = items.filter(mine)["person_id"].n_unique()
            if people <= limit.of(base):
                continue
            digest = _digest(scope, direction, config_digest, items.filter(mine))
            if digest in approved:  # a person says so: no more reads are asked for
                used.append(digest)
                free = mine & (pl.col("held") == ABSENT)
                items = items.with_columns(held=pl.when(~free).then("held"))
                continue
            part = HeldPart(
                digest=digest, scope=scope, direction=direction, people=people,
                limit=limit.of(base), base=base,
            )  # fmt: skip
            held.append(part)
            items = items.with_columns(held=pl.when(mine).then(pl.lit(digest)).otherwise("held"))
    return _with_their_makings(items), held, used


def _scopes(plans: Sequence[TargetPlan]) -> list[tuple[str, list[str], int]]:
    """Every target, then every controller of several: name, targets, people who hold rights."""
    scopes = [(f"target {p.target.name}", [p.target.name], p.holders.height) for p in plans]
    controllers = dict.fromkeys(plan.target.controller for plan in plans)
    for controller in controllers:
        theirs = [plan for plan in plans if plan.target.controller == controller]
        if len(theirs) > 1:
            holders = pl.concat([plan.holders for plan in theirs])["person_id"].n_unique()
            scopes.append((f"controller {controller}", [p.target.name for p in theirs], holders))
    return scopes


def _with_their_makings(items: pl.DataFrame) -> pl.DataFrame:
    """Hold the making of a cardholder all of whose grants are held."""
    making = pl.col("creates") & (pl.col("part") == "attribute")
    free = ((pl.col("part") == "grant") & pl.col("held").is_null()).any().over("target", "key")
    first = pl.col("held").drop_nulls().first().over("target", "key")
    return items.with_columns(held=pl.when(making & ~free).then(first).otherwise("held"))


def _digest(scope: str, direction: str, config_digest: str, part: pl.DataFrame) -> str:
    told = part.drop("held").sort(*ORDER).write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
    text = f"idsync.held/2\n{scope}\n{direction}\n{config_digest}\n{told}"
    return hashlib.sha256(text.encode()).hexdigest()
