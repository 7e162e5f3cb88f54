"""A clock that has jumped: what dates decide is held until somebody says which time it is.

A clock that is a year ahead ends every fixed employment at once, and one that is behind
opens what has ended. Confirmed terminations ask no clock and go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import datetime, timedelta

import polars as pl

from idsync.plan.brake import HeldPart

BACK = timedelta(minutes=5)
"""How far the clock may go back: more than a clock is corrected by while it runs."""

AHEAD = timedelta(days=45)
"""After how long without a run the clock is asked about: nobody leaves a city alone that long."""

SCOPE = "clock"


def hold_by_clock(
    items: pl.DataFrame, now: datetime, trusted: datetime | None, approved: Collection[str]
) -> tuple[pl.DataFrame, HeldPart | None, str]:
    """Return *items* with all that a doubtful clock may have decided held, and the held part.

    *trusted* is the time of the last run whose clock was believed. The third value is the
    approval that was used: it says that the clock of this day is right.
    """
    if trusted is None or trusted - BACK <= now <= trusted + AHEAD:
        return items, None, ""
    told = f"idsync.clock/1\n{trusted.isoformat()}\n{now.date().isoformat()}"
    digest = hashlib.sha256(told.encode()).hexdigest()
    if digest in approved:
        return items, None, digest
    doubtful = ~pl.col("confirmed")
    people = items.filter(doubtful)["person_id"].n_unique()
    part = HeldPart(digest=digest, scope=SCOPE, direction="losing", people=people, limit=0, base=0)
    held = pl.when(doubtful).then(pl.lit(digest)).otherwise("held")
    return items.with_columns(held=held), part, ""
