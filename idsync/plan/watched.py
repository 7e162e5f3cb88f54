"""Profiles that need more than the limits: those with a floor of staff, and sensitive ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from idsync.plan.holdings import Holdings

if TYPE_CHECKING:
    from idsync.plan.brake import Limit

STAFF = pl.Schema(dict.fromkeys(("target", "kind", "ref", "person_id"), pl.String()))
"""Who can use a right now: its grant is in force, and the cardholder active."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A profile that is not left to the limits alone.

    rights: target, kind, ref. floor: how many must keep each of its rights. sensitive: how
    many people may gain it in a run before two others must agree; None: any number.
    """

    name: str
    rights: pl.DataFrame
    floor: int = 0
    sensitive: Limit | None = None


def staff_of(
    rights: pl.DataFrame,
    holdings: Mapping[str, Holdings],
    links: Mapping[str, pl.DataFrame],
    now: datetime,
) -> pl.DataFrame:
    """Return STAFF of *rights* (target, kind, ref), as far as the targets could be read.

    *links* is key, person_id by target: a holder whom nobody knows is nobody's staff.
    """
    found = [pl.DataFrame(schema=STAFF)]
    for (name,), named in rights.group_by("target"):
        if name not in holdings:
            continue
        held = holdings[str(name)]
        asked = held.rights.with_row_index("right").join(named, on=["kind", "ref"])
        grants = held.held.filter(_in_force(now)).join(
            asked.with_columns(pl.col("right").cast(pl.UInt32)), on="right"
        )
        active = held.cardholders.with_row_index("holder").filter(pl.col("status") == "active")
        active = active.select(pl.col("holder").cast(pl.UInt32), "key")
        known = active.join(links[str(name)].select("key", "person_id"), on="key")
        found.append(grants.join(known, on="holder").select(*STAFF).unique())
    return pl.concat(found)


def short_of_staff(losing: pl.DataFrame, profile: Watched, staff: pl.DataFrame) -> pl.DataFrame:
    """Return STAFF whose loss would leave a right of *profile* with fewer than its floor.

    *losing* are the items that take access away. Confirmed terminations lessen the staff,
    and are never among what is returned. Who gains the right in the same run is not counted
    yet: whoever follows must be there before the last one may go.
    """
    mine = staff.join(profile.rights, on=["target", "kind", "ref"], how="semi")
    grants = losing.filter(pl.col("part") == "grant").select(*STAFF, "confirmed")
    cards = losing.filter(pl.col("part") != "grant").select("target", "person_id", "confirmed")
    gone = pl.concat(
        [
            mine.join(grants, on=list(STAFF)),
            mine.join(cards, on=["target", "person_id"]).select(*STAFF, "confirmed"),
        ]
    )
    gone = gone.group_by(list(STAFF)).agg(pl.col("confirmed").any())
    right = ["target", "kind", "ref"]
    left = mine.join(gone, on=list(STAFF), how="anti").group_by(right).agg(left=pl.len())
    told = gone.join(left, on=right, how="left").with_columns(pl.col("left").fill_null(0))
    return told.filter((pl.col("left") < profile.floor) & ~pl.col("confirmed")).select(*STAFF)


def _in_force(now: datetime) -> pl.Expr:
    begun = pl.col("valid_from").is_null() | (pl.col("valid_from") <= now)
    return begun & (pl.col("valid_to").is_null() | (pl.col("valid_to") > now))
