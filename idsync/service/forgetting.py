"""Finds what is idsync's own no longer: what somebody took away in a target by hand."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from idsync.config import Config
from idsync.plan.holdings import Holdings
from idsync.plan.items import LEDGER
from idsync.plan.lost import lost, too_many
from idsync.service.reaching import capabilities_of
from idsync.store import State


def lost_in(config: Config, state: State, name: str, held: Holdings, now: datetime) -> pl.DataFrame:
    """Return the rows of the ledger that a complete read of the target *name* shows no longer.

    Where far too much is gone, a copy of yesterday may have been put back in the target:
    then nothing is forgotten, so that it is known again when it returns.
    """
    ledger = state.frames.load(f"ledger:{name}", LEDGER)
    gone = lost(ledger, held)
    settles_s = capabilities_of(config.targets[name]).settles_s if gone.height else 0
    if settles_s:  # what was written a moment ago need not show yet
        lately = state.journal.since(name, now - timedelta(seconds=settles_s))
        keys = pl.Series([key for one in lately for key in one.items["key"]], dtype=pl.String)
        gone = gone.filter(~pl.col("key").is_in(keys.implode()))
    return gone.clear() if too_many(gone.height, ledger.height) else gone
